"""Who listens to which account: the executions and balances channels, each subscription with its own sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aether.sim import account_frames
from aether.sim.desk import Desk
from aether.sim.exchange import Event, LedgerEvent, OrderEvent
from aether.sim.wire import encode, number
from aether.sim.ws_market import Send

TRADE_SNAPSHOT = 50  # Kraken docs, WebSocket v2 executions: `snap_trades` brings the last 50

# `order_status: false` leaves these out: the transitions that neither open nor close an order. Whether Kraken then
# leaves out fills too, its page does not say; a client that got none could not know what it owns.
_TRANSITIONS = ("pending_new", "amended", "restated", "status", "iceberg_refill")


@dataclass(slots=True)
class Stream:
    """One subscription. `sequence` is the number of its last frame: they count from 1 without gaps."""

    send: Send
    account: str
    channel: str
    all_transitions: bool = True
    with_counter: bool = False
    sequence: int = 0

    def push(self, kind: str, rows: Sequence[account_frames.Data]) -> None:
        """Send a frame with the next number."""
        self.sequence += 1
        self.send(encode({"channel": self.channel, "type": kind, "data": rows, "sequence": self.sequence}))


class AccountHub:
    """Publishes what happened to accounts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams: list[Stream] = []
        desk.listen(self._hear)

    def join(self, stream: Stream) -> None:
        """Send this subscription's frames from now on."""
        self._streams.append(stream)

    def leave(self, stream: Stream) -> None:
        """This subscription is over."""
        self._streams.remove(stream)

    def snapshot_executions(self, stream: Stream, *, orders: bool, trades: bool) -> None:
        """The account's open orders and its last fills, each as a frame of its own, empty ones too."""
        exchange = self._desk.exchange
        if orders:
            found = exchange.open_orders(stream.account)
            rows = [account_frames.open_order(order, exchange.pairs[order.pair]) for order in found]
            stream.push("snapshot", rows)
        if trades:
            stream.push("snapshot", self._trade_rows(stream.account))

    def snapshot_balances(self, stream: Stream) -> None:
        """The account's balances."""
        stream.push("snapshot", account_frames.balance_rows(self._desk.exchange.balances(stream.account)))

    def _trade_rows(self, account: str) -> list[account_frames.Data]:
        exchange, rows = self._desk.exchange, []
        for trade in reversed(exchange.trades(account)[-TRADE_SNAPSHOT:]):
            order = exchange.find_order(account, order_id=trade.order_id)
            assert order is not None, f"{trade} of no order"
            rows.append(account_frames.trade_row(trade, order.status, order.userref, exchange.pairs[trade.pair]))
        return rows

    def _hear(self, events: Sequence[Event], _now_ns: int) -> None:
        for event in events:
            if isinstance(event, OrderEvent):
                self._tell_order(event)
            elif isinstance(event, LedgerEvent):
                row = account_frames.ledger_row(event.entry)
                for stream in self._listening(event.account, "balances"):
                    stream.push("update", [row])

    def _tell_order(self, event: OrderEvent) -> None:
        desk, order = self._desk, event.order
        row = account_frames.execution(event, desk.exchange.pairs[order.pair])
        is_transition = event.exec_type in _TRANSITIONS
        for stream in self._listening(order.account, "executions"):
            if stream.all_transitions or not is_transition:
                # Name and place of the counter are not documented: in each record, beside what it says of the order.
                points = desk.trading_counters.points(order.account, order.pair, desk.now_ns())
                stream.push("update", [row | {"ratecount": number(points, 2)} if stream.with_counter else row])

    def _listening(self, account: str, channel: str) -> list[Stream]:
        return [stream for stream in self._streams if (stream.account, stream.channel) == (account, channel)]
