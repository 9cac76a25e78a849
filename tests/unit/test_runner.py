"""The only loop that changes state: it writes before it acts, and what cannot be written never happened outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from aether.core.engine import Engine
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
from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import Numbered, OrderRefused, OrderSubmitted, RunEnded
from aether.domain.inputs import (
    AccountUnavailable,
    AmendAccepted,
    CancelAllAnswered,
    CancelAnswered,
    CommandGiven,
    DeadManAnswered,
    FeesSeen,
    Halt,
    Input,
    PrivateStreamLive,
    RunEnding,
    Stamped,
    StopAsked,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
    Tick,
)
from aether.domain.values import Symbol
from aether.ports import Put
from aether.runtime.hands import Hands
from aether.runtime.inbox import Inbox
from aether.runtime.latch import Latch
from aether.runtime.runner import Runner
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

END = (StopAsked("SIGTERM"), RunEnding("SIGTERM"))


class MemoryJournal:
    """Facts in memory: each commit takes a second, and one of them fails where `fails_at` says so."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self.facts: list[Numbered] = []
        self.appends: list[int] = []
        self.is_writing = False
        self._fails_at = fails_at

    async def append(self, facts: Sequence[Numbered]) -> None:
        assert not self.is_writing
        self.is_writing = True
        await asyncio.sleep(1)
        self.is_writing = False
        self.appends.append(len(facts))
        if len(self.appends) == self._fails_at:
            raise JournalBroken("the disk is full")
        self.facts += facts

    async def read(self, from_seq: int = 1) -> AsyncIterator[Numbered]:
        for numbered in self.facts[from_seq - 1 :]:
            yield numbered


class ListTape:
    def __init__(self) -> None:
        self.inputs: list[Stamped] = []

    def record(self, inputs: Sequence[Stamped]) -> None:
        self.inputs += inputs


class WatchfulVenue:
    """Says yes at once, and looks into the journal at each call: is the order's fact there?"""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self.calls: list[Effect] = []

    async def run(self, put: Put) -> None:
        await asyncio.Event().wait()

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        written = [n.fact.cl_ord_id for n in self._journal.facts if isinstance(n.fact, OrderSubmitted)]
        assert order.cl_ord_id in written
        self.calls.append(order)
        return SubmitAccepted(order.cl_ord_id, f"O-{order.cl_ord_id}")

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        self.calls.append(cancel)
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

    async def account(self, ask: AskAccount) -> AccountUnavailable:
        self.calls.append(ask)
        return AccountUnavailable("not today")

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        return ()

    @property
    def orders(self) -> list[SubmitOrder]:
        return [call for call in self.calls if isinstance(call, SubmitOrder)]


class Bench:
    """A runner on virtual time, with its journal, tape, hands and venue."""

    def __init__(self, policy: Any, at_ns: int, journal: MemoryJournal) -> None:
        clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=at_ns)
        self.inbox, self.engine, self.journal, self.tape = Inbox(clock), Engine(policy, Ledger()), journal, ListTape()
        self.venue, self.latch = WatchfulVenue(journal), Latch()
        self.hands = Hands(self.venue, self.latch, self.inbox.put, clock, lambda: 0)
        self.told: list[Numbered] = []
        self.sent_before_told = 0
        self.steps_s: list[float] = []
        self.commits_s: list[float] = []
        self.runner = Runner(
            inbox=self.inbox,
            engine=self.engine,
            journal=journal,
            tape=self.tape,
            hands=self.hands,
            latch=self.latch,
            observers=[self._observe],
            clock=clock,
            step_took=self.steps_s.append,
            commit_took=self.commits_s.append,
        )

    def _observe(self, facts: Sequence[Numbered]) -> None:
        assert self.journal.facts[-len(facts) :] == list(facts)
        if not self.told:
            self.sent_before_told = len(self.venue.orders)
        self.told += facts

    async def run(self) -> None:
        """Until the runner ends, and all that was begun is done."""
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self.hands.run())
            await self.runner.run()
            await asyncio.sleep(1)  # the venue answers at once
            working.cancel()


Story = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def until_an_order(desk: Any) -> list[Input]:
    """Inputs of a start that ends with an order."""
    desk.trade()
    return [stamped.input for stamped in desk.inputs]


@pytest.fixture
def play(make: Any) -> Callable[..., Bench]:
    """Put all inputs in at once, run to the end, and give back what became of it; a story may put in more."""

    def run(inputs: Sequence[Input], story: Story | None = None, journal: MemoryJournal | None = None) -> Bench:
        async def whole() -> Bench:
            bench = Bench(make.policy(), make.T0, journal or MemoryJournal())
            for told in inputs:
                bench.inbox.put(told)
            async with asyncio.TaskGroup() as group:
                group.create_task(bench.run())
                if story is not None:
                    group.create_task(_tell(story, bench))
            return bench

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(whole())

    return run


async def _tell(story: Story, bench: Bench) -> None:
    await story(bench)


# --- writing before acting ------------------------------------------------------------------------------------------


def test_facts_are_on_disk_before_anything_leaves(play: Any, until_an_order: list[Input]) -> None:
    async def story(bench: Bench) -> None:
        await asyncio.sleep(0.5)
        assert bench.journal.is_writing
        assert bench.venue.calls == []
        assert bench.told == []
        assert bench.runner.view is None
        await asyncio.sleep(1)
        assert len(bench.venue.orders) == 1
        assert bench.told == bench.journal.facts
        for told in END:
            bench.inbox.put(told)

    play(until_an_order, story)


def test_what_cannot_be_written_never_leaves(make: Any, until_an_order: list[Input]) -> None:
    async def whole() -> Bench:
        bench = Bench(make.policy(), make.T0, MemoryJournal(fails_at=1))
        for told in until_an_order:
            bench.inbox.put(told)
        with pytest.raises(ExceptionGroup) as ended:
            await bench.run()
        assert ended.group_contains(JournalBroken, match="disk is full")
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = runner.run(whole())
    assert bench.venue.calls == []
    assert bench.told == []
    assert bench.runner.view is None
    assert bench.engine.ledger.unsettled  # decided, and known to nobody


def test_a_halt_of_the_same_commit_stops_an_order_that_was_decided_before_it(
    play: Any, make: Any, until_an_order: list[Input]
) -> None:
    halt = CommandGiven("r1", make.OPERATOR, Halt("all", "enough"))

    async def story(bench: Bench) -> None:
        await asyncio.sleep(5)
        for told in END:
            bench.inbox.put(told)

    bench = play([*until_an_order, halt], story)
    assert bench.venue.orders == []
    refused = [n.fact for n in bench.journal.facts if isinstance(n.fact, OrderRefused)]
    assert [fact.code for fact in refused] == ["latched"]


def test_an_input_without_facts_writes_nothing_and_its_effects_leave(play: Any, make: Any, desk: Any) -> None:
    desk.begin()

    async def story(bench: Bench) -> None:
        await asyncio.sleep(5)
        for told in END:
            bench.inbox.put(told)

    bench = play([desk.inputs[0].input, PrivateStreamLive(1)], story)
    assert [type(call) for call in bench.venue.calls] == [AskAccount]
    assert all(bench.journal.appends)


# --- what is told, and to whom --------------------------------------------------------------------------------------


def test_the_journal_and_the_observers_have_the_same_facts_in_order(play: Any, until_an_order: list[Input]) -> None:
    bench = play([*until_an_order, *END])
    assert bench.told == bench.journal.facts
    assert [numbered.seq for numbered in bench.told] == list(range(1, len(bench.told) + 1))


def test_an_order_waits_for_no_observer(play: Any, until_an_order: list[Input]) -> None:
    bench = play([*until_an_order, *END])
    assert bench.sent_before_told == len(bench.venue.orders) == 1


def test_a_batch_is_one_commit(play: Any, until_an_order: list[Input]) -> None:
    bench = play([*until_an_order, *END])
    assert bench.journal.appends == [len(bench.journal.facts)]
    assert bench.commits_s == [1.0]


def test_the_tape_has_exactly_what_the_engine_took(play: Any, until_an_order: list[Input]) -> None:
    async def story(bench: Bench) -> None:
        await asyncio.sleep(5)
        for told in (Tick(), *END):
            bench.inbox.put(told)

    bench = play(until_an_order, story)
    taken = [stamped.input for stamped in bench.tape.inputs]
    assert taken[: len(until_an_order)] == until_an_order
    assert [type(told) for told in taken[len(until_an_order) :]] == [
        AccountUnavailable,
        SubmitAccepted,
        Tick,
        StopAsked,
        RunEnding,
    ]
    assert [stamped.seq for stamped in bench.tape.inputs] == list(range(1, len(taken) + 1))
    assert len(bench.steps_s) == len(taken)


def test_the_view_is_of_what_is_written(play: Any, until_an_order: list[Input]) -> None:
    bench = play([*until_an_order, *END])
    assert bench.runner.view is not None
    assert bench.runner.view.last_seq == bench.journal.facts[-1].seq


def test_a_tick_without_facts_publishes_too(play: Any, desk: Any) -> None:
    desk.begin()
    began = desk.inputs[0].input
    seen: list[int] = []

    async def story(bench: Bench) -> None:
        await asyncio.sleep(3)
        for seen_or_tick in (SystemStatusSeen("post_only"), Tick()):
            bench.inbox.put(seen_or_tick)
            await asyncio.sleep(1)
            assert bench.runner.view is not None
            seen.append(bench.runner.view.at_ns)
        for told in END:
            bench.inbox.put(told)

    bench = play([began], story)
    assert seen[1] > seen[0]
    assert bench.journal.appends == [len(desk.facts), len(bench.journal.facts) - len(desk.facts)]


# --- the end --------------------------------------------------------------------------------------------------------


def test_the_runner_ends_with_run_ended(play: Any, desk: Any) -> None:
    desk.begin()
    bench = play([desk.inputs[0].input, *END])
    assert isinstance(bench.journal.facts[-1].fact, RunEnded)
    assert bench.told[-1] == bench.journal.facts[-1]


def test_what_came_behind_the_end_is_neither_taken_nor_taped(play: Any, desk: Any) -> None:
    desk.begin()
    bench = play([desk.inputs[0].input, *END, Tick(), SystemStatusSeen("maintenance")])
    assert [type(stamped.input) for stamped in bench.tape.inputs] == [type(desk.inputs[0].input), StopAsked, RunEnding]
    assert isinstance(bench.journal.facts[-1].fact, RunEnded)
    assert bench.engine.market.system_status != "maintenance"


def test_a_broken_invariant_ends_the_runner_and_nothing_of_its_batch_is_written(make: Any, desk: Any) -> None:
    desk.begin()

    async def whole() -> Bench:
        bench = Bench(make.policy(), make.T0, MemoryJournal())
        bench.inbox.put(desk.inputs[0].input)
        bench.inbox.put(SubmitAccepted("never-submitted", "O-1"))
        with pytest.raises(ExceptionGroup) as ended:
            await bench.run()
        assert ended.group_contains(InvariantBroken, match="never-submitted")
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = runner.run(whole())
    assert (bench.journal.facts, bench.told, bench.venue.calls) == ([], [], [])


def test_orders_out_are_at_most_the_intents_in(make: Any, until_an_order: list[Input]) -> None:
    """Also when the engine were to ask twice: the effect is taken from the step, and played again."""

    async def whole() -> Bench:
        bench = Bench(make.policy(), make.T0, MemoryJournal())
        for told in until_an_order:
            bench.inbox.put(told)

        async def again() -> None:
            await asyncio.sleep(2)
            (order,) = bench.venue.orders
            bench.hands.start(replace(order))
            await asyncio.sleep(2)

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(bench.run())
                group.create_task(again())

        with pytest.raises(ExceptionGroup) as ended:
            await both()
        assert ended.group_contains(InvariantBroken, match="it was sent already")
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = runner.run(whole())
    submitted = [n for n in bench.journal.facts if isinstance(n.fact, OrderSubmitted)]
    assert len(bench.venue.orders) == len(submitted) == 1


def test_the_input_that_breaks_an_invariant_is_on_the_tape(make: Any, desk: Any) -> None:
    desk.begin()

    async def whole() -> Bench:
        bench = Bench(make.policy(), make.T0, MemoryJournal())
        bench.inbox.put(desk.inputs[0].input)
        bench.inbox.put(SubmitAccepted("never-submitted", "O-1"))
        with pytest.raises(ExceptionGroup):
            await bench.run()
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = runner.run(whole())
    assert bench.tape.inputs[-1].input == SubmitAccepted("never-submitted", "O-1")
