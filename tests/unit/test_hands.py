"""What leaves, in what order, and what never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

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
from aether.domain.errors import InvariantBroken
from aether.domain.inputs import (
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    FeesSeen,
    Input,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.values import NANOS_PER_S, Qty, Symbol, UtcNanos
from aether.ports import Put
from aether.runtime.hands import IN_HAND_MAX, Hands
from aether.runtime.latch import Latch
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

T0 = 1_767_268_800 * NANOS_PER_S
LATENCY_S = 1.0


class SlowVenue:
    """Answers each call a second later. `calls` tells what came and when; `done` what was answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Effect]] = []
        self.unanswered = 0

    async def run(self, put: Put) -> None:
        await asyncio.Event().wait()

    async def _answer(self, effect: Effect) -> None:
        self.calls.append((asyncio.get_running_loop().time(), effect))
        self.unanswered += 1
        await asyncio.sleep(LATENCY_S)
        self.unanswered -= 1

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        await self._answer(order)
        return SubmitAccepted(order.cl_ord_id, f"O-{order.cl_ord_id}")

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        await self._answer(cancel)
        return CancelAnswered(cancel.cl_ord_id, done=True, text="")

    async def amend(self, amend: AmendOrder) -> AmendAccepted:
        await self._answer(amend)
        return AmendAccepted(amend.cl_ord_id, "TA")

    async def submit_batch(self, batch: SubmitBatch) -> tuple[SubmitAccepted, ...]:
        await self._answer(batch)
        return tuple(SubmitAccepted(order.cl_ord_id, f"O-{order.cl_ord_id}") for order in batch.orders)

    async def cancel_batch(self, batch: CancelBatch) -> tuple[CancelAnswered, ...]:
        await self._answer(batch)
        return tuple(CancelAnswered(cancel.cl_ord_id, done=True, text="") for cancel in batch.cancels)

    async def cancel_all(self) -> CancelAllAnswered:
        await self._answer(CancelAllOrders())
        return CancelAllAnswered(done=True, count=0, text="")

    async def set_dead_man(self, dead_man: SetDeadMan) -> DeadManAnswered:
        await self._answer(dead_man)
        return DeadManAnswered(dead_man.timeout_s, done=True, trigger_ns=None, text="")

    async def account(self, ask: AskAccount) -> AccountUnavailable:
        await self._answer(ask)
        return AccountUnavailable(ask.why)

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        return ()

    def sent(self, kind: type[Effect]) -> list[Effect]:
        return [effect for _, effect in self.calls if isinstance(effect, kind)]


@dataclass
class Bench:
    """Hands at work on a slow venue, on virtual time."""

    hands: Hands
    venue: SlowVenue
    latch: Latch
    make: Any
    told: list[Input] = field(default_factory=list)
    offset_ns: int = 0

    def ask_for(self, cl_ord_id: str, **changes: Any) -> SubmitOrder:
        """Commit an order of this name, and give back its effect."""
        fact = self.make.submitted(cl_ord_id, **changes)
        self.hands.expect(fact)
        return effect_of(fact)

    def submit(self, cl_ord_id: str, **changes: Any) -> None:
        self.hands.start(self.ask_for(cl_ord_id, **changes))


def effect_of(fact: Any) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=fact.cl_ord_id,
        symbol=fact.symbol,
        side=fact.side,
        order_type=fact.order_type,
        time_in_force=fact.time_in_force,
        post_only=fact.post_only,
        qty=fact.qty,
        limit_price=fact.limit_price,
        deadline_ns=fact.deadline_ns,
    )


@asynccontextmanager
async def at_work(make: Any) -> AsyncIterator[Bench]:
    clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=T0)
    venue, latch = SlowVenue(), Latch()
    told: list[Input] = []
    hands = Hands(venue, latch, told.append, clock, lambda: bench.offset_ns)
    bench = Bench(hands, venue, latch, make, told)
    async with asyncio.TaskGroup() as group:
        working = group.create_task(hands.run())
        await asyncio.sleep(0)
        yield bench
        working.cancel()


def work(make: Any, story: Callable[[Bench], Awaitable[None]]) -> Bench:
    """Tell a story to hands at work, and give back what became of it."""

    async def whole() -> Bench:
        async with at_work(make) as bench:
            await story(bench)
        return bench

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(whole())


# --- outcomes and order ---------------------------------------------------------------------------------------------


def test_each_outcome_goes_to_the_inbox(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        bench.hands.start(CancelOrder("b1", "O-b1"))
        bench.hands.start(AskAccount("it is time", 0))
        await asyncio.sleep(2 * LATENCY_S)

    told = work(make, story).told
    assert SubmitAccepted("a1", "O-a1") in told
    assert CancelAnswered("b1", done=True, text="") in told
    assert AccountUnavailable("it is time") in told
    assert len(told) == 3


def test_a_cancel_never_overtakes_its_submit(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        bench.hands.start(CancelOrder("a1", "O-a1"))
        await asyncio.sleep(0.5 * LATENCY_S)
        assert [type(effect) for _, effect in bench.venue.calls] == [SubmitOrder]
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert [(at_s, type(effect)) for at_s, effect in bench.venue.calls] == [(0.0, SubmitOrder), (1.0, CancelOrder)]
    assert [type(told) for told in bench.told] == [SubmitAccepted, CancelAnswered]


def test_orders_do_not_wait_for_one_another(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        bench.submit("a2")
        await asyncio.sleep(2 * LATENCY_S)

    assert [at_s for at_s, _ in work(make, story).venue.calls] == [0.0, 0.0]


def test_looks_at_the_account_never_run_side_by_side_and_do_not_pile_up(make: Any) -> None:
    async def story(bench: Bench) -> None:
        for why in ("it is time", "a fill is missing", "it is time", "it is time"):
            bench.hands.start(AskAccount(why, 0))
        await asyncio.sleep(5 * LATENCY_S)

    calls = work(make, story).venue.calls
    assert calls == [(0.0, AskAccount("it is time", 0)), (1.0, AskAccount("a fill is missing", 0))]


def test_a_lane_is_used_again_after_it_was_empty(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        await asyncio.sleep(2 * LATENCY_S)
        bench.hands.start(CancelOrder("a1", "O-a1"))
        await asyncio.sleep(2 * LATENCY_S)

    assert [type(told) for told in work(make, story).told] == [SubmitAccepted, CancelAnswered]


def test_in_hand_counts_what_is_begun_and_what_waits(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        bench.hands.start(CancelOrder("a1", "O-a1"))
        bench.submit("a2")
        assert bench.hands.in_hand == 3
        await asyncio.sleep(1.5 * LATENCY_S)
        assert bench.hands.in_hand == 1
        await asyncio.sleep(LATENCY_S)
        assert bench.hands.in_hand == 0

    work(make, story)


def test_a_look_at_the_account_is_not_in_hand_for_no_stop_waits_for_it(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(AskAccount("it is time", 0))
        await asyncio.sleep(0.5 * LATENCY_S)
        assert bench.venue.unanswered == 1
        assert bench.hands.in_hand == 0

    work(make, story)


# --- what never leaves ----------------------------------------------------------------------------------------------


def broken(make: Any, story: Callable[[Bench], Awaitable[None]]) -> Bench:
    """As `work`, for a story that breaks an invariant: the hands end, and with them the process."""
    kept: list[Bench] = []

    async def remembered(bench: Bench) -> None:
        kept.append(bench)
        await story(bench)

    with pytest.raises(ExceptionGroup) as ended:
        work(make, remembered)
    assert ended.group_contains(InvariantBroken, match="no committed fact asks")
    return kept[0]


def test_k09_an_order_that_no_committed_fact_asks_for_never_reaches_the_venue(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(effect_of(make.submitted("a1")))
        await asyncio.sleep(2 * LATENCY_S)

    assert broken(make, story).venue.calls == []


@pytest.mark.parametrize("pause_s", [0.0, 2 * LATENCY_S])
def test_a04_an_order_that_is_asked_for_twice_leaves_once_and_is_called_neither_refused_nor_dead(
    make: Any, pause_s: float
) -> None:
    async def story(bench: Bench) -> None:
        order = bench.ask_for("a1")
        bench.hands.start(order)
        await asyncio.sleep(pause_s)
        bench.hands.start(order)
        await asyncio.sleep(3 * LATENCY_S)

    bench = broken(make, story)
    assert len(bench.venue.sent(SubmitOrder)) == 1
    assert [type(told) for told in bench.told] == [SubmitAccepted]


@pytest.mark.parametrize("scope", ["all", "symbol:BTC/USD", "strategy:trend"])
def test_a_latch_set_between_commit_and_send_stops_the_order(make: Any, scope: str) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")  # its task has not begun
        bench.latch.set(scope)
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert bench.venue.calls == []
    assert [(told.cl_ord_id, told.code) for told in bench.told if isinstance(told, SubmitRefused)] == [
        ("a1", "latched")
    ]


def test_a_latch_lets_cancels_and_looks_pass(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.latch.set("all")
        bench.hands.start(CancelOrder("a1", "O-a1"))
        bench.hands.start(AskAccount("it is time", 0))
        await asyncio.sleep(2 * LATENCY_S)

    assert len(work(make, story).venue.calls) == 2


def test_a_latch_of_another_scope_stops_nothing(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.latch.set("strategy:other")
        bench.submit("a1")
        await asyncio.sleep(2 * LATENCY_S)

    assert len(work(make, story).venue.sent(SubmitOrder)) == 1


@pytest.mark.parametrize(("spare_ns", "is_sent"), [(1, True), (0, False), (-1, False)])
@pytest.mark.parametrize("offset_ns", [0, 250_000_000, -250_000_000])
def test_an_order_leaves_only_before_its_deadline_in_the_venues_time(
    make: Any,
    spare_ns: int,
    is_sent: bool,  # noqa: FBT001
    offset_ns: int,
) -> None:
    async def story(bench: Bench) -> None:
        bench.offset_ns = offset_ns
        bench.submit("a1", deadline_ns=UtcNanos(T0 + offset_ns + spare_ns))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert bool(bench.venue.calls) is is_sent
    refused = [told.code for told in bench.told if isinstance(told, SubmitRefused)]
    assert refused == ([] if is_sent else ["venue_deadline"])


def test_a_refusal_for_lateness_says_by_how_much(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1", deadline_ns=UtcNanos(T0 - 1_500_000_000))
        await asyncio.sleep(2 * LATENCY_S)

    (refused,) = work(make, story).told
    assert isinstance(refused, SubmitRefused)
    assert refused.text.startswith("1.500 s late")


# --- amends, batches, and what stops ------------------------------------------------------------------------------


def amend_of(order: SubmitOrder, deadline_ns: int = T0 + 10 * NANOS_PER_S, **changes: Any) -> AmendOrder:
    return AmendOrder(order, replace(order, **changes), f"O-{order.cl_ord_id}", "trend", deadline_ns)


def smaller(order: SubmitOrder) -> AmendOrder:
    return amend_of(order, qty=Qty(order.qty.coins / 2))


def larger(order: SubmitOrder) -> AmendOrder:
    return amend_of(order, qty=Qty(order.qty.coins * 2))


@pytest.mark.parametrize("scope", ["all", "symbol:BTC/USD", "strategy:trend"])
def test_a_latch_holds_back_an_amend_that_is_a_new_risk_and_lets_a_smaller_order_pass(make: Any, scope: str) -> None:
    order = effect_of(make.submitted("a1"))

    async def story(bench: Bench) -> None:
        bench.latch.set(scope)
        bench.hands.start(larger(order))
        bench.hands.start(smaller(order))
        await asyncio.sleep(3 * LATENCY_S)

    bench = work(make, story)
    assert bench.venue.sent(AmendOrder) == [smaller(order)]
    assert [(type(told), getattr(told, "code", "")) for told in bench.told] == [
        (AmendRefused, "latched"),
        (AmendAccepted, ""),
    ]


def test_an_amend_after_its_deadline_is_not_sent(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(amend_of(effect_of(make.submitted("a1")), T0, qty=Qty(Decimal(1))))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert bench.venue.calls == []
    assert [told.code for told in bench.told if isinstance(told, AmendRefused)] == ["venue_deadline"]


def test_changes_of_one_order_wait_for_one_another(make: Any) -> None:
    """Kraken promises no order among those that it has not answered yet."""
    order = effect_of(make.submitted("a1"))

    async def story(bench: Bench) -> None:
        bench.hands.start(smaller(order))
        bench.hands.start(larger(order))
        bench.hands.start(CancelOrder("a1", "O-a1"))
        await asyncio.sleep(4 * LATENCY_S)

    assert [at_s for at_s, _ in work(make, story).venue.calls] == [0.0, 1.0, 2.0]


def batch(bench: Bench, *names: str, **changes: Any) -> SubmitBatch:
    return SubmitBatch(tuple(bench.ask_for(name, **changes) for name in names))


def test_a_batch_leaves_once_and_has_an_outcome_for_each_order(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(batch(bench, "a1", "a2"))
        bench.hands.start(CancelOrder("a2", "O-a2"))
        await asyncio.sleep(3 * LATENCY_S)
        bench.hands.start(CancelOrder("a2", "O-a2"))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert [(at_s, type(effect)) for at_s, effect in bench.venue.calls] == [
        (0.0, SubmitBatch),
        (1.0, CancelOrder),
        (3.0, CancelOrder),
    ]
    assert bench.told[:2] == [SubmitAccepted("a1", "O-a1"), SubmitAccepted("a2", "O-a2")]


def test_a_batch_of_which_one_order_is_latched_does_not_leave_at_all(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.latch.set("strategy:other")
        orders = (bench.ask_for("a1"), bench.ask_for("a2", strategy="other"))
        bench.hands.start(SubmitBatch(orders))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert bench.venue.calls == []
    assert [(told.cl_ord_id, told.code) for told in bench.told if isinstance(told, SubmitRefused)] == [
        ("a1", "latched"),
        ("a2", "latched"),
    ]


def test_a_late_batch_does_not_leave(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(batch(bench, "a1", "a2", deadline_ns=UtcNanos(T0)))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert bench.venue.calls == []
    assert [told.code for told in bench.told if isinstance(told, SubmitRefused)] == ["venue_deadline"] * 2


def test_a_batch_with_an_order_that_no_fact_asks_for_never_reaches_the_venue(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.hands.start(SubmitBatch((bench.ask_for("a1"), effect_of(make.submitted("a2")))))
        await asyncio.sleep(2 * LATENCY_S)

    assert broken(make, story).venue.calls == []


def test_what_stops_passes_every_latch_at_once(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.latch.set("all")
        bench.hands.start(CancelBatch((CancelOrder("a1", "O1"), CancelOrder("a2", "O2"))))
        bench.hands.start(CancelBatch((CancelOrder("a3", "O3"), CancelOrder("a4", "O4"))))
        bench.hands.start(CancelAllOrders())
        bench.hands.start(SetDeadMan(60))
        await asyncio.sleep(2 * LATENCY_S)

    bench = work(make, story)
    assert [at_s for at_s, _ in bench.venue.calls] == [0.0] * 4
    assert sum(1 for told in bench.told if isinstance(told, CancelAnswered)) == 4
    assert CancelAllAnswered(done=True, count=0, text="") in bench.told
    assert DeadManAnswered(60, done=True, trigger_ns=None, text="") in bench.told


def test_of_dead_man_s_switches_that_wait_the_newest_counts(make: Any) -> None:
    async def story(bench: Bench) -> None:
        for timeout_s in (60, 60, 60, 0):
            bench.hands.start(SetDeadMan(timeout_s))
        await asyncio.sleep(4 * LATENCY_S)

    assert work(make, story).venue.sent(SetDeadMan) == [SetDeadMan(60), SetDeadMan(0)]


# --- bounds and the end ---------------------------------------------------------------------------------------------


def test_more_lanes_than_the_bound_are_a_broken_invariant(make: Any) -> None:
    async def story(bench: Bench) -> None:
        for number in range(IN_HAND_MAX):
            bench.hands.start(CancelOrder(f"a{number}", "O"))
        bench.hands.start(CancelOrder("a0", "O"))  # a lane that is there already
        with pytest.raises(InvariantBroken, match=str(IN_HAND_MAX)):
            bench.hands.start(CancelOrder("one more", "O"))

    work(make, story)


def test_what_is_begun_before_the_hands_run_is_carried_out_in_order_when_they_do(make: Any) -> None:
    async def whole() -> SlowVenue:
        clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=T0)
        venue = SlowVenue()
        hands = Hands(venue, Latch(), lambda _: None, clock, lambda: 0)
        fact = make.submitted("a1")
        hands.expect(fact)
        hands.start(effect_of(fact))
        hands.start(CancelOrder("a1", "O-a1"))
        async with asyncio.TaskGroup() as group:
            working = group.create_task(hands.run())
            await asyncio.sleep(3 * LATENCY_S)
            working.cancel()
        return venue

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        venue = runner.run(whole())
    assert [type(effect) for _, effect in venue.calls] == [SubmitOrder, CancelOrder]


def test_hands_that_are_cancelled_leave_no_task_behind(make: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.submit("a1")
        await asyncio.sleep(0.5 * LATENCY_S)
        assert bench.venue.unanswered == 1

    bench = work(make, story)
    assert bench.hands.in_hand == 0
    assert bench.told == []


def test_an_answer_that_the_inbox_cannot_take_ends_the_hands(make: Any) -> None:
    def full(_: Input) -> None:
        raise InvariantBroken("full")

    async def whole() -> None:
        clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=T0)
        hands = Hands(SlowVenue(), Latch(), full, clock, lambda: 0)
        async with asyncio.TaskGroup() as group:
            group.create_task(hands.run())
            await asyncio.sleep(0)
            hands.start(CancelOrder("a1", "O-a1"))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, pytest.raises(ExceptionGroup) as ended:
        runner.run(whole())
    assert ended.group_contains(InvariantBroken, match="full")
