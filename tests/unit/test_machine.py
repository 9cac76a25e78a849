"""One run from RunBegan to RunEnded: who is started, in what order things are heard, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from aether.domain.effects import (
    CancelOrder,
    SubmitOrder,
)
from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.facts import (
    FeesAdopted,
    InstrumentAdopted,
    Numbered,
    OrderAccepted,
    OrderSubmitted,
    RunEnded,
    RunStarted,
    TradingHalted,
)
from aether.domain.inputs import (
    BookChanged,
    FeedLost,
    HistorySeen,
    InstrumentSeen,
    LoopStalled,
    RunBegan,
    SystemStatusSeen,
    TradeSeen,
)
from aether.domain.instruments import Side
from aether.ports import Put
from aether.runtime.machine import FEES_RETRY_S
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.machine_bench import PACE, Bench, build, on_virtual_time

# --- the start ------------------------------------------------------------------------------------------------------


def test_candles_are_heard_beside_the_market_and_again_after_its_feed_was_lost(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        loss = FeedLost(make.book().symbol, "disconnected")
        asyncio.get_running_loop().call_later(2.5, lambda: bench.feed.say(loss))
        bench.stop_after(5)
        await bench.machine.run()
        heard = [type(told) for told in bench.tape.inputs]
        assert heard.count(HistorySeen) == 2
        assert heard.index(FeedLost) < len(heard) - 1 - heard[::-1].index(HistorySeen)

    on_virtual_time(story())


def test_a_symbol_whose_candles_cannot_be_had_keeps_nobody_waiting(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [VenueUnavailable("no route")] * 100
        bench.stop_after(5)
        await bench.machine.run()
        heard = [type(told) for told in bench.tape.inputs]
        assert BookChanged in heard
        assert HistorySeen not in heard

    on_virtual_time(story())


def test_the_rules_are_heard_before_the_market(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.stop_after(5)
        await bench.machine.run()
        heard = [type(told) for told in bench.tape.inputs]
        assert heard[0] is RunBegan
        assert heard.index(InstrumentSeen) < heard.index(BookChanged)

    on_virtual_time(story())


def test_what_the_venue_has_to_say_first_is_heard_right_after_the_start(make: Any) -> None:
    first = [SystemStatusSeen("online"), SystemStatusSeen("post_only")]

    async def story() -> None:
        bench = await build(make, first=first)
        bench.stop_after(1)
        await bench.machine.run()
        assert bench.tape.inputs[1:3] == first

    on_virtual_time(story())


def test_a_run_leads_from_its_start_to_an_order_to_its_end(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.stop_after(30)
        await bench.machine.run()
        assert len(bench.facts(RunStarted)) == len(bench.facts(InstrumentAdopted)) == 1
        assert len(bench.facts(FeesAdopted)) == 1
        assert len(bench.facts(OrderSubmitted)) == len(bench.venue.sent(SubmitOrder)) == 1
        assert bench.ended == RunEnded(clean=True, in_flight=0, resting=0, why="enough")

    on_virtual_time(story())


@pytest.mark.parametrize("seed", range(25))
def test_a_run_starts_and_ends_in_whatever_order_its_tasks_go(make: Any, seed: int) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.stop_after(30)
        await bench.machine.run()
        assert bench.ended.clean
        assert len(bench.venue.sent(SubmitOrder)) == 1

    on_virtual_time(story(), Random(seed))


def test_halts_of_the_ledger_are_latched_from_the_first_moment(make: Any, book: Any) -> None:
    halted = TradingHalted("strategy:trend", "halt_operator", "a look", make.OPERATOR)

    async def story() -> None:
        bench = await build(make, ledger=book.fold(halted))
        assert bench.machine.latch.stops(make.submitted())
        assert not bench.machine.latch.stops(make.submitted(strategy="other"))

    on_virtual_time(story())


def test_an_observer_is_told_of_all_that_is_written(make: Any) -> None:
    async def story() -> None:
        bench, told = await build(make), list[Numbered]()
        bench.machine.observers.append(told.extend)
        bench.stop_after(5)
        await bench.machine.run()
        assert told == bench.journal.facts

    on_virtual_time(story())


# --- a venue that is not reached ------------------------------------------------------------------------------------


def test_candles_are_asked_for_until_the_venue_is_reached_with_growing_pauses(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [VenueUnavailable("no route") for _ in range(3)]
        bench.stop_after(20)
        await bench.machine.run()
        assert bench.feed.asked_s[:4] == pytest.approx([0, 0.5, 1.5, 3.5], abs=0.01)
        assert HistorySeen in [type(told) for told in bench.tape.inputs]

    on_virtual_time(story())


def test_pauses_have_a_bound_and_the_venues_own_wish_is_kept(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [
            VenueUnavailable("limit", retry_after_s=100),
            *(VenueUnavailable("no route") for _ in range(9)),
        ]
        bench.stop_after(400)
        await bench.machine.run()
        pauses = [later - earlier for earlier, later in pairwise(bench.feed.asked_s)]
        assert pauses == pytest.approx([100, 1, 2, 4, 8, 16, 30, 30, 30, 30], abs=0.01)

    on_virtual_time(story())


def test_a_venue_that_refuses_candles_leaves_the_symbol_cold_and_says_why(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [VenueRefused("venue_invalid", "EQuery:Unknown asset pair")]
        bench.stop_after(10)
        await bench.machine.run()
        heard = [type(told) for told in bench.tape.inputs]
        assert (heard.count(BookChanged) >= 10, HistorySeen in heard) == (True, False)
        assert bench.machine.cold_why == {make.BTC: "venue_invalid: EQuery:Unknown asset pair"}
        assert len(bench.feed.asked_s) == 1, "not once for each book"
        assert bench.ended.clean

    on_virtual_time(story())


def test_candles_refused_once_are_asked_for_anew_after_the_feed_was_lost(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [VenueRefused("venue_invalid", "EQuery:Unknown asset pair")]
        asyncio.get_running_loop().call_later(2.5, lambda: bench.feed.say(FeedLost(make.BTC, "disconnected")))
        bench.stop_after(5)
        await bench.machine.run()
        assert HistorySeen in [type(told) for told in bench.tape.inputs]
        assert bench.machine.cold_why == {}

    on_virtual_time(story())


def test_candles_are_asked_for_once_at_a_time_however_often_the_feed_is_lost(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.feed.history_fails = [VenueUnavailable("limit", retry_after_s=20)]
        for moment_s in (2.5, 4.5, 6.5):
            asyncio.get_running_loop().call_later(moment_s, lambda: bench.feed.say(FeedLost(make.BTC, "disconnected")))
        bench.stop_after(30)
        await bench.machine.run()
        # The first question, its repetition, and one for the losses that came while it was under way.
        assert bench.feed.asked_s == pytest.approx([0, 20, 20], abs=1.01)

    on_virtual_time(story())


class StallingClock(VirtualClock):
    """A clock on which the loop once stood still for as long as the test says."""

    stalled_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.stalled_ns


def test_candles_are_asked_for_anew_after_the_loop_stood_still(make: Any) -> None:
    async def story() -> None:
        clock = StallingClock(asyncio.get_running_loop(), start_wall_ns=make.T0)
        bench = await build(make, clock=clock)

        def stall() -> None:
            clock.stalled_ns = 3_000_000_000

        asyncio.get_running_loop().call_later(2.6, stall)
        bench.stop_after(5)
        await bench.machine.run()
        heard = [type(told) for told in bench.tape.inputs]
        assert heard.count(LoopStalled) == 1
        assert heard.count(HistorySeen) == 2
        assert heard.index(LoopStalled) < len(heard) - 1 - heard[::-1].index(HistorySeen)

    on_virtual_time(story())


def test_fees_are_asked_again_soon_after_a_failure_but_not_after_an_answer(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.venue.fees_fail = [VenueUnavailable("no route"), VenueRefused("venue_rate_limit", "EAPI:Rate limit")]
        bench.stop_after(600)
        await bench.machine.run()
        assert bench.venue.fees_asked_s == pytest.approx([0, FEES_RETRY_S, 2 * FEES_RETRY_S], abs=0.01)
        assert len(bench.facts(FeesAdopted)) == 1

    on_virtual_time(story())


# --- the stop -------------------------------------------------------------------------------------------------------


def stopped_with_a_resting_order(
    make: Any, *, cancel_on_stop: bool, prepare: Callable[[Bench], None] = lambda _: None, resting_s_max: int = 600
) -> tuple[Bench, float]:
    """The run, and how many seconds its stop took; an order rests when it is asked to stop at 30 s."""

    async def story() -> Bench:
        bench = await build(make, cancel_on_stop=cancel_on_stop, resting_s_max=resting_s_max)
        prepare(bench)
        bench.stop_after(30)
        await bench.machine.run()
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = runner.run(story())
        return bench, runner.get_loop().time() - 30


def test_a_stop_cancels_what_rests_and_waits_until_it_is_gone(make: Any) -> None:
    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=True)
    assert len(bench.venue.sent(CancelOrder)) == 1
    assert bench.venue.resting == {}
    assert bench.ended == RunEnded(clean=True, in_flight=0, resting=0, why="enough")
    assert 0.1 <= took_s < 1


def test_a_stop_leaves_what_rests_where_the_settings_say_so(make: Any) -> None:
    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=False)
    assert bench.venue.sent(CancelOrder) == []
    assert len(bench.venue.resting) == 1
    assert bench.ended == RunEnded(clean=False, in_flight=0, resting=1, why="enough")
    assert took_s < 1


@pytest.mark.parametrize("cancel_on_stop", [True, False])
def test_a_stop_waits_for_an_answer_that_is_under_way(make: Any, cancel_on_stop: bool) -> None:  # noqa: FBT001
    def slow(bench: Bench) -> None:
        bench.venue.answer_s = 35  # the order leaves in the first second

    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=cancel_on_stop, prepare=slow)
    assert len(bench.facts(OrderAccepted)) == 1
    assert bench.ended.in_flight == 0
    assert bench.ended.resting == (0 if cancel_on_stop else 1)
    assert bench.ended.clean is cancel_on_stop
    assert 5 <= took_s < 8


def test_a_stop_that_leaves_what_rests_waits_for_a_cancel_under_way(make: Any) -> None:
    def slow(bench: Bench) -> None:
        bench.venue.cancel_s = 3

    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=False, prepare=slow, resting_s_max=29)
    assert len(bench.venue.sent(CancelOrder)) == 1
    assert bench.ended == RunEnded(clean=True, in_flight=0, resting=0, why="enough")
    assert 1 < took_s < 4


def test_a_stop_waits_no_longer_than_its_bound_and_tells_what_is_in_flight(make: Any) -> None:
    def silent(bench: Bench) -> None:
        bench.venue.answer_s = 10_000

    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=True, prepare=silent)
    assert bench.ended == RunEnded(clean=False, in_flight=1, resting=0, why="enough")
    assert took_s == pytest.approx(PACE.stop_s_max, abs=0.5)


def test_nothing_new_is_sent_once_a_stop_was_asked_for(make: Any) -> None:
    async def story() -> None:
        bench = await build(make)
        bench.machine.supervisor.ask_to_stop("at once")
        await bench.machine.run()
        assert bench.venue.sent(SubmitOrder) == []
        assert bench.ended.clean

    assert on_virtual_time(story()) < 1


def test_a_further_service_runs_beside_and_its_failure_ends_the_run(make: Any) -> None:
    async def fails() -> None:
        await asyncio.sleep(2)
        raise OSError("port taken")

    async def story() -> None:
        bench = await build(make)
        with pytest.raises(ExceptionGroup) as ended:
            await bench.machine.run([("admin", fails)])
        assert ended.group_contains(OSError, match="port taken")

    on_virtual_time(story())


def test_a_flood_of_the_market_does_not_keep_a_stop_waiting(make: Any) -> None:
    trade = TradeSeen(make.BTC, Side.BUY, make.price("100"), make.qty("1"), make.T0)

    def flooding(bench: Bench) -> None:
        async def flood(put: Put) -> None:
            while True:
                put(trade)
                put(make.book())
                await asyncio.sleep(0.001)

        bench.feed.run = flood  # type: ignore[method-assign]

    bench, took_s = stopped_with_a_resting_order(make, cancel_on_stop=True, prepare=flooding)
    assert bench.ended.clean
    assert took_s < 1
