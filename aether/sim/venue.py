"""The `OrderVenue` port over the made Kraken, in process: paper, back-test and fault test send their orders here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from aether.domain.effects import AskAccount, CancelOrder, SubmitOrder
from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    CancelAnswered,
    FeesSeen,
    FillReported,
    OrderReported,
    PrivateStreamLive,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import (
    AssetAmount,
    AssetBalance,
    Execution,
    Liquidity,
    OrderReport,
    OrderType,
    TimeInForce,
    VenueStatus,
)
from aether.domain.spot_gate import SpotGate
from aether.domain.values import Price, Qty, Symbol, Usd
from aether.ports import Clock, Put
from aether.sim.exchange import Event, ExchangeRefusal, NewOrder, Order, OrderEvent, Trade
from aether.sim.records import Kind, Lifetime
from aether.sim.world import SimWorld

ACCOUNT_VIEWS = ("balances", "executions", "open", "closed", "trades")
_UNAVAILABLE = "EService:Unavailable"

# Texts after which an order may live all the same (Kraken docs, Spot Error Messages: check open orders first).
_UNKNOWN_OUTCOMES = ("EService:Deadline elapsed", _UNAVAILABLE)

_KINDS: Mapping[OrderType, Kind] = {OrderType.LIMIT: "limit", OrderType.MARKET: "market"}
_LIFETIMES: Mapping[TimeInForce, Lifetime] = {TimeInForce.GTC: "gtc", TimeInForce.IOC: "ioc"}

_REFUSAL_CODES = (
    ("EOrder:Insufficient funds", "venue_funds"),
    ("EGeneral:Invalid arguments:volume minimum not met", "venue_minimum"),
    ("EOrder:Cost minimum not met", "venue_minimum"),
    ("EOrder:Tick size check failed", "venue_tick"),
    ("EOrder:Invalid price", "venue_tick"),
    ("EOrder:Post only order", "venue_post_only"),
    ("EOrder:cl_ord_id already in use", "venue_duplicate"),
    ("EOrder:Orders limit exceeded", "venue_rate_limit"),
    ("EService:Market in ", "venue_status"),
    ("EGeneral:Invalid arguments", "venue_invalid"),
    ("EQuery:", "venue_invalid"),
)


class SimVenue:
    """One account of the world's exchange. Requests and answers each take up to `latency_ms`, drawn from `seed`.

    Executions are told when they happen, so they may come before the answer to the order, as on Kraken.
    """

    def __init__(
        self, world: SimWorld, gate: SpotGate, account: str, clock: Clock, *, latency_ms: int = 0, seed: int = 0
    ) -> None:
        self._world = world
        self._gate = gate
        self._account = account
        self._clock = clock
        self._latency_ms = latency_ms
        self._random = Random(seed)  # noqa: S311 - a made network, no secret
        self._connections = 0

    async def run(self, put: Put) -> None:
        """Hear of the account until cancelled: its open orders, PrivateStreamLive, then every report."""

        def hear(events: Sequence[Event]) -> None:
            for event in events:
                if isinstance(event, OrderEvent) and event.order.account == self._account:
                    put(self._heard(event))

        self._world.listen(hear)
        try:
            for order in self._world.exchange.open_orders(self._account):
                put(OrderReported(self._report(order, order.opened_ns), "executions"))
            self._connections += 1
            put(PrivateStreamLive(self._connections))
            await asyncio.get_running_loop().create_future()
        finally:
            self._world.ignore(hear)

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        """Send this order once. A text that proves nothing comes back as SubmitUnknown; nothing is raised."""
        if self._gate.wire(order.symbol) is None:
            return refused_submit(order.cl_ord_id, "EQuery:Unknown asset pair")
        if order.order_type not in _KINDS or order.time_in_force not in _LIFETIMES:
            return refused_submit(order.cl_ord_id, "EGeneral:Invalid arguments:ordertype")
        await self._travel()
        now_ns = self._world.catch_up()
        try:
            accepted = self._world.exchange.add_order(self._account, _new_order(order), now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            return refused_submit(order.cl_ord_id, refusal.text)
        self._world.publish()
        await self._travel()
        return SubmitAccepted(order.cl_ord_id, accepted.order_id)

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        """Ask for a cancel, by our own id where the venue's is not known; nothing is raised."""
        await self._travel()
        now_ns = self._world.catch_up()
        try:
            self._world.exchange.cancel_order(self._account, self._order_id(cancel), now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            return CancelAnswered(cancel.cl_ord_id, done=False, text=refusal.text)
        self._world.publish()
        await self._travel()
        return CancelAnswered(cancel.cl_ord_id, done=True, text="")

    async def account(self, ask: AskAccount) -> AccountSeen | AccountUnavailable:
        """All views of the account, `closed` and `trades` back to `ask.since_ns`; nothing is raised."""
        asked_ns = self._clock.wall_ns()
        await self._travel()
        self._world.catch_up()
        exchange = self._world.exchange
        if exchange.system_status == "maintenance":
            return AccountUnavailable(_UNAVAILABLE)
        balances = exchange.balances(self._account).items()
        open_orders = exchange.open_orders(self._account)
        closed = [(order, order.closed_ns or 0) for order in exchange.closed_orders(self._account)]
        trades = exchange.trades(self._account)
        await self._travel()
        return AccountSeen(
            asked_ns=asked_ns,
            answered_ns=self._clock.wall_ns(),
            since_ns=ask.since_ns,
            views=ACCOUNT_VIEWS,
            balances=tuple(AssetBalance(asset, total, held) for asset, (total, held) in balances),
            open_orders=tuple(self._report(order, order.opened_ns) for order in open_orders),
            closed_orders=tuple(self._report(order, ended) for order, ended in closed if ended >= ask.since_ns),
            fills=tuple(self._execution(trade) for trade in trades if trade.at_ns >= ask.since_ns),
            live_cl_ord_ids=tuple(order.cl_ord_id for order in open_orders if order.cl_ord_id is not None),
        )

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        """The account's own rates. Raises VenueUnavailable in maintenance."""
        await self._travel()
        exchange = self._world.exchange
        if exchange.system_status == "maintenance":
            raise VenueUnavailable(_UNAVAILABLE, retry_after_s=5.0)
        rates = [(symbol, exchange.fee_rates(self._account, symbol)) for symbol in symbols]
        await self._travel()
        return tuple(FeesSeen(symbol, taker * 100, maker * 100) for symbol, (taker, maker) in rates)

    def _order_id(self, cancel: CancelOrder) -> str:
        """The venue's id of the order; empty, and so of no order, where there is none."""
        if cancel.order_id:
            return cancel.order_id
        order = self._world.exchange.find_order(self._account, cl_ord_id=cancel.cl_ord_id)
        return order.order_id if order is not None else ""

    async def _travel(self) -> None:
        if self._latency_ms:
            await asyncio.sleep(self._random.randint(0, self._latency_ms) / 1000)

    def _heard(self, event: OrderEvent) -> OrderReported | FillReported:
        if event.trade is not None:
            return FillReported(self._execution(event.trade), "executions")
        return OrderReported(self._report(event.order, event.at_ns), "executions")

    def _report(self, order: Order, at_ns: int) -> OrderReport:
        return OrderReport(
            order_id=order.order_id,
            cl_ord_id=order.cl_ord_id,
            name=order.pair,
            symbol=self._gate.wire(order.pair),
            side=Side(order.side),
            qty=Qty(order.qty),
            limit_price=None if order.limit_price is None else Price(order.limit_price),
            status=VenueStatus(order.status),
            cum_qty=Qty(order.cum_qty),
            reason=order.reason,
            venue_ns=at_ns,
        )

    def _execution(self, trade: Trade) -> Execution:
        return Execution(
            exec_id=trade.exec_id,
            order_id=trade.order_id,
            cl_ord_id=trade.cl_ord_id,
            name=trade.pair,
            symbol=self._gate.wire(trade.pair),
            side=Side(trade.side),
            qty=Qty(trade.qty),
            price=Price(trade.price),
            cost=Usd(trade.cost),
            fees=(AssetAmount(self._world.exchange.pairs[trade.pair].quote, trade.fee),),
            liquidity=Liquidity.MAKER if trade.liquidity == "m" else Liquidity.TAKER,
            venue_ns=trade.at_ns,
        )


def _new_order(order: SubmitOrder) -> NewOrder:
    return NewOrder(
        pair=order.symbol,
        side=order.side.value,
        order_type=_KINDS[order.order_type],
        qty=order.qty.coins,
        limit_price=None if order.limit_price is None else order.limit_price.usd_per_coin,
        time_in_force=_LIFETIMES[order.time_in_force],
        post_only=order.post_only,
        cl_ord_id=order.cl_ord_id,
        deadline_ns=order.deadline_ns,
    )


def refused_submit(cl_ord_id: str, text: str) -> SubmitRefused | SubmitUnknown:
    """What the exchange's refusal of an order means: no order, or nothing at all."""
    if text in _UNKNOWN_OUTCOMES:
        return SubmitUnknown(cl_ord_id, text)
    code = next((code for start, code in _REFUSAL_CODES if text.startswith(start)), "venue_other")
    return SubmitRefused(cl_ord_id, code, text)
