"""A machine on virtual time between a quiet market, an account where orders rest, and a journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

from aether.core.ledger import Ledger
from aether.domain.effects import (
    AmendOrder,
    AskAccount,
    CancelAllOrders,
    CancelBatch,
    CancelOrder,
    Effect,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.facts import (
    Numbered,
    RunEnded,
)
from aether.domain.inputs import (
    AccountSeen,
    AmendAccepted,
    CancelAllAnswered,
    CancelAnswered,
    ClockMeasured,
    DeadManAnswered,
    FeesSeen,
    HistorySeen,
    Input,
    OrderReported,
    PrivateStreamLive,
    Stamped,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
)
from aether.domain.orders import OrderReport, VenueStatus
from aether.domain.values import Symbol
from aether.ports import Put
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import RunLabel, recover
from aether.runtime.supervisor import Pace
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

PACE = Pace(tick_ms=250, stall_ms_max=2_000, disk_reserve_bytes=0, stop_s_max=20)
LABEL = RunLabel("abcd", "sandbox-1", "sandbox", False, "0.1.0", "d", 1)  # noqa: FBT003


class MemoryJournal:
    def __init__(self) -> None:
        self.facts: list[Numbered] = []

    async def append(self, facts: Sequence[Numbered]) -> None:
        await asyncio.sleep(0.001)
        self.facts += facts

    async def read(self, from_seq: int = 1) -> AsyncIterator[Numbered]:
        for numbered in self.facts[from_seq - 1 :]:
            yield numbered


class ListTape:
    def __init__(self) -> None:
        self.inputs: list[Input] = []

    def record(self, inputs: Sequence[Stamped]) -> None:
        self.inputs += [stamped.input for stamped in inputs]


class Feed:
    """A quiet market near 100 USD that rose for a while. `history_fails` is raised by as many first questions."""

    def __init__(self, make: Any, clock: VirtualClock) -> None:
        self._make = make
        self._clock = clock
        self.history_fails: list[Exception] = []
        self.asked_s: list[float] = []

    async def run(self, put: Put) -> None:
        self.say = put
        put(ClockMeasured(offset_ns=0, error_ns=0))
        put(SystemStatusSeen("online"))
        while True:
            put(self._make.book())
            await asyncio.sleep(1)

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        self.asked_s.append(asyncio.get_running_loop().time())
        if self.history_fails:
            raise self.history_fails.pop(0)
        seen = self._make.history(self._make.RISING, self._clock.wall_ns(), symbol=symbol, bar_s=bar_s)
        assert isinstance(seen, HistorySeen)
        return seen


class Venue:
    """An account with 10 000 USD where orders rest until they are cancelled. An answer to an order takes `answer_s`."""

    def __init__(self, make: Any, clock: VirtualClock) -> None:
        self._make = make
        self._clock = clock
        self._put: Put = lambda _: None
        self.calls: list[Effect] = []
        self.resting: dict[str, OrderReport] = {}
        self.answer_s = 0.1
        self.cancel_s = 0.1
        self.fees_fail: list[Exception] = []
        self.fees_asked_s: list[float] = []

    async def run(self, put: Put) -> None:
        self._put = put
        put(PrivateStreamLive(1))
        await asyncio.Event().wait()

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        self.calls.append(order)
        await asyncio.sleep(self.answer_s)
        report = self._make.report(
            order.cl_ord_id, VenueStatus.NEW, "0", side=order.side, qty=order.qty, limit_price=order.limit_price
        )
        self.resting[order.cl_ord_id] = report
        return SubmitAccepted(order.cl_ord_id, report.order_id)

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        self.calls.append(cancel)
        await asyncio.sleep(self.cancel_s)
        report = self.resting.pop(cancel.cl_ord_id)
        self._put(OrderReported(replace(report, status=VenueStatus.CANCELED), "executions"))
        return CancelAnswered(cancel.cl_ord_id, done=True, text="")

    async def amend(self, amend: AmendOrder) -> AmendAccepted:
        self.calls.append(amend)
        return AmendAccepted(amend.cl_ord_id, "TA")

    async def submit_batch(self, batch: SubmitBatch) -> tuple[SubmitAccepted | SubmitRefused | SubmitUnknown, ...]:
        return tuple([await self.submit(order) for order in batch.orders])

    async def cancel_batch(self, batch: CancelBatch) -> tuple[CancelAnswered, ...]:
        return tuple([await self.cancel(cancel) for cancel in batch.cancels])

    async def cancel_all(self) -> CancelAllAnswered:
        self.calls.append(CancelAllOrders())
        return CancelAllAnswered(done=True, count=None, text="")

    async def set_dead_man(self, dead_man: SetDeadMan) -> DeadManAnswered:
        self.calls.append(dead_man)
        return DeadManAnswered(dead_man.timeout_s, done=True, trigger_ns=None, text="")

    async def account(self, ask: AskAccount) -> AccountSeen:
        self.calls.append(ask)
        await asyncio.sleep(0.1)
        seen = self._make.account(
            self._clock.wall_ns(),
            {"USD": "10000", "BTC": "0"},
            since_ns=ask.since_ns,
            open_orders=tuple(self.resting.values()),
            live_cl_ord_ids=tuple(self.resting),
        )
        assert isinstance(seen, AccountSeen)
        return seen

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        self.fees_asked_s.append(asyncio.get_running_loop().time())
        if self.fees_fail:
            raise self.fees_fail.pop(0)
        return tuple(FeesSeen(symbol, Decimal(26), Decimal(16)) for symbol in symbols)

    def sent(self, kind: type[Effect]) -> list[Effect]:
        return [call for call in self.calls if isinstance(call, kind)]


class Bench:
    """A machine with its parts; `facts(kind)` are what it wrote."""

    def __init__(self, machine: Machine, feed: Feed, venue: Venue, journal: MemoryJournal, tape: ListTape) -> None:
        self.machine, self.feed, self.venue, self.journal, self.tape = machine, feed, venue, journal, tape

    def facts(self, kind: type[Any]) -> list[Any]:
        return [numbered.fact for numbered in self.journal.facts if isinstance(numbered.fact, kind)]

    def stop_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.machine.supervisor.ask_to_stop, "enough")

    @property
    def ended(self) -> RunEnded:
        (ended,) = self.facts(RunEnded)
        assert isinstance(ended, RunEnded)
        return ended


async def build(
    make: Any,
    *,
    first: Sequence[Input] = (),
    ledger: Ledger | None = None,
    clock: VirtualClock | None = None,
    **orders: Any,
) -> Bench:
    """A machine whose strategy rests its orders in the book, with these settings of [orders]."""
    clock = clock or VirtualClock(asyncio.get_running_loop(), start_wall_ns=make.T0)
    feed, venue, journal, tape = Feed(make, clock), Venue(make, clock), MemoryJournal(), ListTape()
    recovered = await recover(journal, LABEL, clock)
    machine = Machine(
        policy=make.policy(
            trends=(make.trend(passive=True),), orders=make.order_policy(**{"resting_s_max": 600, **orders})
        ),
        instruments=[make.instrument()],
        recovered=recovered if ledger is None else replace(recovered, ledger=ledger),
        journal=journal,
        tape=tape,
        feed=feed,
        venue=venue,
        clock=clock,
        pace=PACE,
        free_bytes=lambda: 1,
        gauges=Gauges(lambda _: None, lambda _: None, lambda _: None),
        first=first,
    )
    return Bench(machine, feed, venue, journal, tape)


def on_virtual_time(story: Coroutine[Any, Any, Any], order: Random | None = None) -> float:
    """Run a story, and give back how many seconds it took."""

    async def whole() -> float:
        await story
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(order)) as runner:
        return runner.run(whole())
