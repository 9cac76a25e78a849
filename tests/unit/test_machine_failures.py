"""What ends a run at once and what does not, and that nothing leaves once it is to stop, whatever hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aether.domain.effects import Effect, SubmitOrder
from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import Numbered, OrderRefused, OrderSubmitted, RunEnded, TradingHalted
from aether.domain.inputs import CommandGiven, Halt, Input, StopAsked, TradeSeen
from aether.domain.instruments import Side
from aether.observe.harmless import harmless
from aether.runtime import inbox as inbox_module
from aether.runtime.supervisor import RUN_ENDS_WITHIN_S, StopHung
from tests.machine_bench import PACE, Bench, build, on_virtual_time

FAILS_S = 5.3


class Defect(Exception):
    """What nobody foresaw."""


async def fails() -> None:
    """A service that dies after a while."""
    await asyncio.sleep(FAILS_S)
    raise Defect("a defect")


def at(bench: Bench, seconds: float, act: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)


def now_s() -> float:
    return asyncio.get_running_loop().time()


# --- H07, S34: no task dies unseen ----------------------------------------------------------------------------------


def break_feed(bench: Bench) -> None:
    async def run(put: Any) -> None:
        bench.feed.say = put
        await fails()

    bench.feed.run = run  # type: ignore[method-assign]


def break_executions(bench: Bench) -> None:
    async def run(_put: Any) -> None:
        await fails()

    bench.venue.run = run  # type: ignore[assignment,method-assign]


def break_hands(bench: Bench) -> None:
    async def submit(_order: SubmitOrder) -> Any:
        raise Defect("a defect")

    bench.venue.submit = submit  # type: ignore[assignment,method-assign]


def break_ticker(bench: Bench) -> None:
    def free_bytes() -> int:
        if now_s() > FAILS_S:
            raise Defect("a defect")
        return 1

    bench.machine._ticker._free_bytes = free_bytes


def break_fees(bench: Bench) -> None:
    async def fees(_symbols: Any) -> Any:
        await fails()

    bench.venue.fees = fees  # type: ignore[assignment,method-assign]


def break_engine(bench: Bench) -> None:
    async def append(facts: Sequence[Numbered]) -> None:
        if now_s() > 0.05:
            raise Defect("a defect")
        bench.journal.facts += facts

    bench.journal.append = append  # type: ignore[method-assign]


BREAKS = {
    "feed": break_feed,
    "executions": break_executions,
    "hands": break_hands,
    "ticker": break_ticker,
    "fees": break_fees,
    "engine": break_engine,
}


@pytest.mark.parametrize("name", BREAKS)
def test_h07_s34_a_task_that_dies_ends_the_run_within_a_second_and_is_named(make: Any, name: str) -> None:
    async def story() -> None:
        bench = await build(make)
        BREAKS[name](bench)
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run()
        assert ended.group_contains(Defect, match="a defect")
        assert name in "".join(_notes(ended.value)), "whoever reads the log learns which task it was"
        assert now_s() <= FAILS_S + 1
        sent = len(bench.venue.sent(SubmitOrder))
        await asyncio.sleep(60)
        assert len(bench.venue.sent(SubmitOrder)) == sent, "nothing is left that could send"

    on_virtual_time(story())


def _notes(error: BaseException) -> list[str]:
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [*getattr(error, "__notes__", ()), *(note for each in inner for note in _notes(each))]


@pytest.mark.parametrize("name", ["admin", "watch"])
def test_h07_a_further_service_that_dies_is_named_too(make: Any, name: str) -> None:
    async def story() -> None:
        bench = await build(make)
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run([(name, fails)])
        assert f"in the task {name}" in _notes(ended.value)
        assert now_s() <= FAILS_S + 1

    on_virtual_time(story())


def test_h07_what_looks_on_may_fail_and_trading_goes_on(make: Any) -> None:
    def blind(_facts: Sequence[Numbered]) -> None:
        raise Defect("a metric that cannot be")

    async def story() -> None:
        bench, failures = await build(make), list[str]()
        bench.machine.observers.append(harmless("metrics", blind, failures.append))
        bench.stop_after(30)
        await bench.machine.run()
        assert bench.ended.clean
        assert bench.venue.sent(SubmitOrder)
        assert set(failures) == {"metrics"}

    on_virtual_time(story())


# --- H01, L6, S33: a stop ends, whatever hangs, and tells the truth -------------------------------------------------


def hang_after(bench: Bench, seconds: float) -> asyncio.Event:
    """From then on the journal's disk does not answer, until the event is set."""
    answers, append = asyncio.Event(), bench.journal.append

    async def slow(facts: Sequence[Numbered]) -> None:
        if now_s() >= seconds:
            await answers.wait()
        await append(facts)

    bench.journal.append = slow  # type: ignore[method-assign]
    return answers


def test_h01_l6_a_stop_on_a_disk_that_does_not_answer_ends_within_its_time_and_is_not_clean(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        hang_after(bench, 5)
        bench.stop_after(10)
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run()
        assert ended.group_contains(StopHung, match="look at the journal's disk")
        assert now_s() <= 10 + PACE.stop_s_max + RUN_ENDS_WITHIN_S + 0.5
        assert bench.facts(RunEnded) == [], "the next start must count this as a crash"

    on_virtual_time(story())


def test_h01_l6_a_stop_with_a_cancel_that_hangs_ends_within_its_time_and_says_so(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.venue.cancel_s = 10_000
        bench.stop_after(10)
        await bench.machine.run()
        assert now_s() <= 10 + PACE.stop_s_max + 1
        assert bench.ended == RunEnded(clean=False, in_flight=0, resting=1, why="enough")

    on_virtual_time(story())


def test_h02_further_signals_during_a_stop_change_nothing(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.venue.cancel_s = 3
        bench.stop_after(10)
        for seconds in (10.1, 11, 12.5):
            at(bench, seconds, lambda: bench.machine.supervisor.ask_to_stop("SIGTERM"))
        await bench.machine.run()
        assert [type(told) for told in bench.tape.inputs].count(StopAsked) == 1
        assert bench.ended == RunEnded(clean=True, in_flight=0, resting=0, why="enough")

    on_virtual_time(story())


# --- K08, J11, L5, S14: the latch acts whatever else is stuck -------------------------------------------------------


def halt(bench: Bench, make: Any) -> None:
    """As the command desk does it: the latch first, then the command takes its row like any other."""
    bench.machine.latch.set("all")
    bench.machine.inbox.put(CommandGiven("r1", make.OPERATOR, Halt("all", "a test")))


def flood(bench: Bench, told: Sequence[Input]) -> None:
    for each in told:
        bench.machine.inbox.put(each)


def test_k08_l5_after_the_latch_nothing_leaves_though_the_disk_comes_back_with_an_order(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        answers = hang_after(bench, 0.15)  # the first order is decided in the first second
        at(bench, 5, lambda: halt(bench, make))
        at(bench, 9, answers.set)
        bench.stop_after(20)
        await bench.machine.run()
        assert bench.facts(OrderSubmitted), "it waited for the disk when the halt came"
        assert bench.venue.sent(SubmitOrder) == []
        assert {fact.code for fact in bench.facts(OrderRefused)} == {"latched"}
        assert bench.facts(TradingHalted)

    on_virtual_time(story())


def test_k08_j11_a_venue_that_hangs_keeps_no_halt_waiting(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.venue.answer_s = 10_000
        at(bench, 2, lambda: halt(bench, make))
        sent: list[Sequence[Effect]] = []
        at(bench, 2, lambda: sent.append(bench.venue.sent(SubmitOrder)))
        bench.stop_after(60)
        await bench.machine.run()
        assert bench.venue.sent(SubmitOrder) == sent[0]

    on_virtual_time(story())


def test_l5_a_full_queue_takes_no_further_input_and_the_latch_holds(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and fills may not be lost, so the process ends; what was latched does not leave on the way out."""
    monkeypatch.setattr(inbox_module, "TRADES_DEPTH_MAX", 50)
    monkeypatch.setattr(inbox_module, "DEPTH_MAX", 60)
    trade = TradeSeen(make.BTC, Side.BUY, make.price("100"), make.qty("1"), make.T0)

    async def story() -> None:
        bench = await build(make)
        hang_after(bench, 0.15)
        at(bench, 1, lambda: flood(bench, [trade] * 200))
        at(bench, 2, lambda: halt(bench, make))
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run()
        assert ended.group_contains(InvariantBroken, match="none of them may be lost")
        assert bench.machine.inbox.dropped_trades > 0, "public trades go first"
        assert bench.venue.sent(SubmitOrder) == []

    on_virtual_time(story())


def test_g03_a_commit_that_fails_ends_the_run_and_its_order_never_leaves(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)

        async def append(facts: Sequence[Numbered]) -> None:
            if any(isinstance(numbered.fact, OrderSubmitted) for numbered in facts):
                raise JournalBroken("the disk failed")
            bench.journal.facts += facts

        bench.journal.append = append  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run()
        assert ended.group_contains(JournalBroken, match="the disk failed")
        assert bench.venue.sent(SubmitOrder) == []

    on_virtual_time(story())


# --- S35, H08: everything is bounded --------------------------------------------------------------------------------


def test_s35_h08_what_is_kept_is_as_much_after_two_hours_as_after_one(make: Any) -> None:
    async def story() -> None:
        bench, sizes = await build(make, resting_s_max=5, reconcile_s=300), list[dict[str, int]]()
        for hours in (1, 2):
            at(bench, hours * 3600, lambda: sizes.append(bench.machine.sizes()))
        bench.stop_after(2 * 3600 + 1)
        await bench.machine.run()
        early, late = sizes
        growing = {name for name in late if late[name] > early[name] + 10}
        assert growing <= {"own_ids", "sent", "orders"}, "these have bounds of a day or two, and of two thousand"
        assert late["own_ids"] == late["sent"] == len(bench.facts(OrderSubmitted)), "the orders of a day, and no more"

    on_virtual_time(story())
