"""The account's views over REST, and the executions view of the stream, put together.

Source: Kraken docs, Spot REST account data: pages of fifty, and trade records without client order ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aether.domain.effects import AskAccount
from aether.domain.entries import AccountEntry
from aether.domain.inputs import AccountSeen
from aether.domain.orders import Execution, OrderReport
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S
from aether.kraken.account import (
    OrdersPage,
    TradesPage,
    read_balances,
    read_closed_orders,
    read_open_orders,
    read_queried_orders,
    read_trades,
)
from aether.kraken.endpoints import Endpoint
from aether.kraken.ledger_rows import LedgersPage, read_ledgers
from aether.kraken.listings import AssetNames, load_asset_names
from aether.kraken.private_stream import PrivateListener
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Unreadable
from aether.ports import Clock

ORDERS_IN_QUERY = 50  # Kraken docs, QueryOrders
ROWS_IN_PAGE = 50  # Kraken docs, ClosedOrders, TradesHistory and Ledgers


class AccountViews:
    """Looks at the account. The executions view is there while the stream is live."""

    def __init__(self, rest: RestClient, stream: PrivateListener, gate: SpotGate, clock: Clock) -> None:
        self._rest = rest
        self._stream = stream
        self._gate = gate
        self._clock = clock
        self._names: AssetNames | None = None

    async def look(self, ask: AskAccount) -> AccountSeen:
        """All views of now. Raises VenueUnavailable, VenueRefused, OutcomeUnknown, Unreadable.

        Open orders are asked before closed ones, so that one which ends in between is in at least one of them; trades
        come after the balances, so that every fill that those hold is among them, and the ledger's rows last, so that
        no trade of theirs is looked for in vain.
        """
        asked_ns = self._clock.wall_ns()
        is_live = self._stream.is_live
        live = self._stream.states.live_cl_ord_ids if is_live else ()
        if self._names is None:
            self._names = await load_asset_names(self._rest)
        balances = read_balances(await self._rest.call(Endpoint.BALANCES), self._names)
        open_orders = read_open_orders(await self._rest.call(Endpoint.OPEN_ORDERS), self._gate)
        closed_orders = await self._closed_orders(ask.since_ns)
        fills = await self._fills(ask.since_ns, (*open_orders, *closed_orders))
        entries = await self._entries(ask.since_ns, self._names) if ask.with_ledgers else ()
        views = ("balances", "executions", "open", "closed", "trades", *(("ledgers",) if ask.with_ledgers else ()))
        return AccountSeen(
            asked_ns=asked_ns,
            answered_ns=self._clock.wall_ns(),
            since_ns=ask.since_ns,
            views=views if is_live and self._stream.is_live else tuple(v for v in views if v != "executions"),
            balances=balances,
            open_orders=open_orders,
            closed_orders=closed_orders,
            fills=fills,
            live_cl_ord_ids=live,
            entries=entries,
        )

    async def _closed_orders(self, since_ns: int) -> tuple[OrderReport, ...]:
        """All pages, newest first. What ends while we page shifts rows to later pages, where they are met twice."""
        found: dict[str, OrderReport] = {}
        offset = 0
        while True:
            fields = {"start": _start(since_ns), "ofs": str(offset), "closetime": "close"}
            page = read_closed_orders(await self._rest.call(Endpoint.CLOSED_ORDERS, fields), self._gate)
            known = len(found)
            found.update({order.order_id: order for order in page.orders})
            offset += page.rows
            if _is_last(page, offset, news=len(found) - known):
                return tuple(found.values())

    async def _fills(self, since_ns: int, orders: Sequence[OrderReport]) -> tuple[Execution, ...]:
        """All pages. Unless told not to, Kraken adds a taker's fills up: one id would stand for several of them."""
        found: dict[str, Execution] = {}
        offset = 0
        while True:
            fields = {"start": _start(since_ns), "ofs": str(offset), "consolidate_taker": "false"}
            page = read_trades(await self._rest.call(Endpoint.TRADES_HISTORY, fields), self._gate)
            known = len(found)
            found.update({trade.exec_id: trade for trade in page.trades})
            offset += page.rows
            if _is_last(page, offset, news=len(found) - known):
                return await self._with_our_ids(tuple(found.values()), orders)

    async def _entries(self, since_ns: int, names: AssetNames) -> tuple[AccountEntry, ...]:
        """All pages, turned round: Kraken tells the newest first, also of rows that bear one time."""
        found: dict[str, AccountEntry] = {}
        offset = 0
        while True:
            fields = {"start": _start(since_ns), "ofs": str(offset)}
            page = read_ledgers(await self._rest.call(Endpoint.LEDGERS, fields), names)
            known = len(found)
            found.update({entry.entry_id: entry for entry in page.entries})
            offset += page.rows
            if _is_last(page, offset, news=len(found) - known):
                oldest_first = list(found.values())[::-1]
                return tuple(sorted(oldest_first, key=lambda entry: entry.venue_ns))

    async def _with_our_ids(self, trades: Sequence[Execution], orders: Sequence[OrderReport]) -> tuple[Execution, ...]:
        """Fill in the client order ids that trade records lack: from the orders seen, else by asking for the order."""
        ids = {order.order_id: order.cl_ord_id for order in orders}
        unknown = dict.fromkeys(trade.order_id for trade in trades if trade.order_id not in ids)
        asked = [order_id for order_id in unknown if self._stream.states.cl_ord_id(order_id) is None]
        for start in range(0, len(asked), ORDERS_IN_QUERY):
            fields = {"txid": ",".join(asked[start : start + ORDERS_IN_QUERY])}
            for order in read_queried_orders(await self._rest.call(Endpoint.QUERY_ORDERS, fields), self._gate):
                ids[order.order_id] = order.cl_ord_id
        return tuple(
            replace(trade, cl_ord_id=trade.cl_ord_id or ids.get(trade.order_id) or self._known(trade.order_id))
            for trade in trades
        )

    def _known(self, order_id: str) -> str | None:
        return self._stream.states.cl_ord_id(order_id)


def _is_last(page: OrdersPage | TradesPage | LedgersPage, rows_seen: int, *, news: int) -> bool:
    """Whether no page follows; where Kraken tells no count, a page that is not full is the last.

    Raises Unreadable where one should follow a page of which every row is known: they would come without end.
    """
    is_last = page.rows < ROWS_IN_PAGE if page.count is None else not page.rows or rows_seen >= page.count
    if not is_last and not news:
        raise Unreadable(f"a page of {page.rows} rows with nothing new, and more are said to follow")
    return is_last


def _start(since_ns: int) -> str:
    """Kraken leaves out what happened exactly at `start`: a second earlier, so that nothing of ours is."""
    return str(max(0, since_ns // NANOS_PER_S - 1))
