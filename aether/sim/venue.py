"""The `OrderVenue` port over the made Kraken, in process: paper, back-test and fault test send their orders here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from aether.domain.effects import AmendOrder, AskAccount, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.entries import AccountEntry
from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    FeesSeen,
    FillReported,
    OrderReported,
    PrivateStreamLive,
    SubmitAccepted,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import (
    AssetAmount,
    AssetBalance,
    Execution,
    Liquidity,
    OrderReport,
    VenueStatus,
)
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S, Price, Qty, Symbol, Usd
from aether.ports import Clock, Put
from aether.sim.exchange import Event, ExchangeRefusal, LedgerEntry, Order, OrderEvent, Trade
from aether.sim.venue_words import (
    UNAVAILABLE,
    UNKNOWN_OUTCOMES,
    SubmitOutcome,
    change_of,
    code_of,
    is_offset,
    new_order,
    refused_submit,
    terms_of,
)
from aether.sim.world import SimWorld

ACCOUNT_VIEWS = ("balances", "executions", "open", "closed", "trades")


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

    async def submit(self, order: SubmitOrder) -> SubmitOutcome:
        """Send this order once. A text that proves nothing comes back as SubmitUnknown; nothing is raised."""
        if self._gate.wire(order.symbol) is None:
            return refused_submit(order.cl_ord_id, "EQuery:Unknown asset pair")
        await self._travel()
        outcome = self._placed(order, self._world.catch_up())
        self._world.publish()
        await self._travel()
        return outcome

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        """Ask for a cancel, by our own id where the venue's is not known; nothing is raised."""
        await self._travel()
        text = self._cancelled(cancel, self._world.catch_up())
        self._world.publish()
        await self._travel()
        return CancelAnswered(cancel.cl_ord_id, done=not text, text=text)

    async def amend(self, amend: AmendOrder) -> AmendAccepted | AmendRefused | AmendUnknown:
        """Change an open order in place, once. A text that proves nothing is AmendUnknown; nothing is raised."""
        await self._travel()
        now_ns = self._world.catch_up()
        order_id = self._order_id(CancelOrder(amend.cl_ord_id, amend.order_id))
        try:
            amend_id = self._world.exchange.amend_order(self._account, change_of(amend, order_id), now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            if refusal.text in UNKNOWN_OUTCOMES:
                return AmendUnknown(amend.cl_ord_id, refusal.text)
            return AmendRefused(amend.cl_ord_id, code_of(refusal.text), refusal.text)
        self._world.publish()
        await self._travel()
        return AmendAccepted(amend.cl_ord_id, amend_id)

    async def submit_batch(self, batch: SubmitBatch) -> tuple[SubmitOutcome, ...]:
        """Send these orders once: a fault in one's fields refuses all; the engine's no to one leaves it unknown.

        How Kraken tells the latter is documented nowhere, so that its client cannot take it for a proof either.
        """
        if self._gate.wire(batch.symbol) is None:
            return tuple(refused_submit(order.cl_ord_id, "EQuery:Unknown asset pair") for order in batch.orders)
        await self._travel()
        now_ns = self._world.catch_up()
        try:
            placed = self._world.exchange.add_batch(self._account, [new_order(each) for each in batch.orders], now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            return tuple(refused_submit(order.cl_ord_id, refusal.text) for order in batch.orders)
        self._world.publish()
        await self._travel()
        return tuple(
            SubmitAccepted(asked.cl_ord_id, row.order_id)
            if isinstance(row, Order)
            else SubmitUnknown(asked.cl_ord_id, row.text)
            for asked, row in zip(batch.orders, placed, strict=True)
        )

    async def cancel_batch(self, batch: CancelBatch) -> tuple[CancelAnswered, ...]:
        """Ask for several cancels: Kraken tells how many were cancelled, and not which; nothing is raised."""
        await self._travel()
        now_ns = self._world.catch_up()
        texts = [self._cancelled(cancel, now_ns) for cancel in batch.cancels]
        self._world.publish()
        await self._travel()
        count = texts.count("")
        is_done = count == len(batch.cancels)
        text = "" if is_done else f"{count} were cancelled, of {len(batch.cancels)}"
        return tuple(CancelAnswered(cancel.cl_ord_id, is_done, text) for cancel in batch.cancels)

    async def cancel_all(self) -> CancelAllAnswered:
        """Ask for a cancel of every order of the account; nothing is raised."""
        await self._travel()
        now_ns = self._world.catch_up()
        try:
            count = self._world.exchange.cancel_all(self._account, now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            return CancelAllAnswered(done=False, count=None, text=refusal.text)
        self._world.publish()
        await self._travel()
        return CancelAllAnswered(done=True, count=count, text="")

    async def set_dead_man(self, dead_man: SetDeadMan) -> DeadManAnswered:
        """Set the dead man's switch, or switch it off; nothing is raised. Its time is told in whole seconds."""
        await self._travel()
        now_ns = self._world.catch_up()
        try:
            trigger_ns = self._world.exchange.set_dead_man(self._account, dead_man.timeout_s, now_ns)
        except ExchangeRefusal as refusal:
            await self._travel()
            return DeadManAnswered(dead_man.timeout_s, done=False, trigger_ns=None, text=refusal.text)
        await self._travel()
        whole_ns = None if trigger_ns is None else trigger_ns // NANOS_PER_S * NANOS_PER_S
        return DeadManAnswered(dead_man.timeout_s, done=True, trigger_ns=whole_ns, text="")

    async def account(self, ask: AskAccount) -> AccountSeen | AccountUnavailable:
        """All views asked for, `closed`, `trades` and `ledgers` back to `ask.since_ns`; nothing is raised."""
        asked_ns = self._clock.wall_ns()
        await self._travel()
        self._world.catch_up()
        exchange = self._world.exchange
        if exchange.system_status == "maintenance":
            return AccountUnavailable(UNAVAILABLE)
        balances = exchange.balances(self._account).items()
        open_orders = exchange.open_orders(self._account)
        closed = [(order, order.closed_ns or 0) for order in exchange.closed_orders(self._account)]
        trades = exchange.trades(self._account)
        rows = exchange.ledgers(self._account) if ask.with_ledgers else []
        await self._travel()
        return AccountSeen(
            asked_ns=asked_ns,
            answered_ns=self._clock.wall_ns(),
            since_ns=ask.since_ns,
            views=(*ACCOUNT_VIEWS, *(("ledgers",) if ask.with_ledgers else ())),
            balances=tuple(AssetBalance(asset, total, held) for asset, (total, held) in balances),
            open_orders=tuple(self._report(order, order.opened_ns) for order in open_orders),
            closed_orders=tuple(self._report(order, ended) for order, ended in closed if ended >= ask.since_ns),
            fills=tuple(self._execution(trade) for trade in trades if trade.at_ns >= ask.since_ns),
            live_cl_ord_ids=tuple(order.cl_ord_id for order in open_orders if order.cl_ord_id is not None),
            entries=tuple(_entry(row) for row in rows if row.at_ns >= ask.since_ns),
        )

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        """The account's own rates. Raises VenueUnavailable in maintenance."""
        await self._travel()
        exchange = self._world.exchange
        if exchange.system_status == "maintenance":
            raise VenueUnavailable(UNAVAILABLE, retry_after_s=5.0)
        rates = [(symbol, exchange.fee_rates(self._account, symbol)) for symbol in symbols]
        await self._travel()
        return tuple(FeesSeen(symbol, taker * 100, maker * 100) for symbol, (taker, maker) in rates)

    def _placed(self, order: SubmitOrder, now_ns: int) -> SubmitOutcome:
        try:
            accepted = self._world.exchange.add_order(self._account, new_order(order), now_ns)
        except ExchangeRefusal as refusal:
            return refused_submit(order.cl_ord_id, refusal.text)
        return SubmitAccepted(order.cl_ord_id, accepted.order_id)

    def _cancelled(self, cancel: CancelOrder, now_ns: int) -> str:
        """The exchange's no; empty where it took the cancel."""
        try:
            self._world.exchange.cancel_order(self._account, self._order_id(cancel), now_ns)
        except ExchangeRefusal as refusal:
            return refusal.text
        return ""

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
            limit_price=None if order.limit_price is None or is_offset(order) else Price(order.limit_price),
            status=VenueStatus(order.status),
            cum_qty=Qty(order.cum_qty),
            reason=order.reason,
            venue_ns=at_ns,
            terms=terms_of(order),
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


def _entry(row: LedgerEntry) -> AccountEntry:
    return AccountEntry(
        entry_id=row.ledger_id,
        refid=row.ref_id,
        kind=row.type,
        subtype=row.subtype,
        asset=row.asset,
        amount=row.amount,
        fee=row.fee,
        balance=row.balance,
        venue_ns=row.at_ns,
    )
