from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from aether.domain.errors import VenueUnavailable
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.kraken.rate_limit import COMPLAINT_S, Counter, Pace, Silence, Tier, limits_of_max
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

S = NANOS_PER_S


def test_a_counter_lets_through_exactly_its_maximum() -> None:
    counter = Counter(15, 330)
    for _ in range(15):
        assert counter.wait_ns(1, 0) == 0
        counter.charge(1, 0)

    assert counter.wait_ns(1, 0) > 0


def test_the_wait_is_exact_to_the_nanosecond() -> None:
    counter = Counter(15, 330)
    counter.charge(15, 0)

    wait_ns = counter.wait_ns(1, 0)

    assert wait_ns == -(-1000 * S // 330)
    assert counter.wait_ns(1, wait_ns - 1) > 0
    assert counter.wait_ns(1, wait_ns) == 0


def test_decay_never_goes_below_zero_and_a_clock_that_stands_still_does_no_harm() -> None:
    counter = Counter(20, 1000)
    counter.charge(5, 100 * S)

    assert counter.wait_ns(20, 90 * S) == 5 * S
    assert counter.wait_ns(20, 1000 * S) == 0


def test_what_kraken_says_of_the_limit_is_believed() -> None:
    counter = Counter(20, 1000)
    counter.fill(0)

    assert counter.wait_ns(1, 0) == S


def test_kraken_s_own_count_stands_in_place_of_ours() -> None:
    counter = Counter(20, 1000)
    counter.charge(5, 0)
    counter.adopt_milli(12_500, S)

    assert counter.milli(S) == 12_500
    assert counter.wait_ns(8, S) == S // 2
    assert counter.milli(2 * S) == 11_500


def test_other_limits_keep_what_was_counted() -> None:
    counter = Counter(15, 330)
    counter.charge(15, 0)
    counter.set_limits(20, 1000)

    assert counter.wait_ns(5, 0) == 0
    assert counter.milli(S) == 14_000


@pytest.mark.parametrize("tier", list(Tier))
def test_the_largest_count_tells_the_tier(tier: Tier) -> None:
    assert limits_of_max(tier.value.orders_max) == tier.value


@pytest.mark.parametrize(("told", "like"), [(20, Tier.STARTER), (100, Tier.STARTER), (150, Tier.INTERMEDIATE)])
def test_a_largest_count_that_no_table_has_is_believed_and_nothing_beyond_it(told: int, like: Tier) -> None:
    assert limits_of_max(told) == replace(like.value, orders_max=told)


class HandClock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now_ns = 5 * S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


def test_a_silence_ends_to_the_nanosecond_and_a_shorter_one_does_not_cut_it() -> None:
    clock = HandClock()
    silence = Silence(clock)
    silence.check()
    silence.keep("HTTP 429", 60)
    silence.keep("HTTP 403", 1)

    clock.now_ns += 60 * S - 1
    with pytest.raises(VenueUnavailable, match="HTTP 4"):
        silence.check()
    clock.now_ns += 1
    silence.check()


def on_virtual_time(act: Callable[[VirtualClock], Awaitable[None]]) -> int:
    """Nanoseconds that a coroutine slept."""
    loop = VirtualTimeLoop()
    clock = VirtualClock(loop, start_wall_ns=0)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_awaited(act, clock))
        return clock.monotonic_ns()


async def _awaited(act: Callable[[VirtualClock], Awaitable[None]], clock: VirtualClock) -> None:
    await act(clock)


def test_b13_subscriptions_leave_at_their_pace_after_a_first_burst() -> None:
    async def subscribe(clock: VirtualClock) -> None:
        pace = Pace(clock)
        for _ in range(120):
            await pace.take()

    assert on_virtual_time(subscribe) == pytest.approx(5 * S, rel=1e-6)


def test_b13_after_a_complaint_nothing_leaves_for_a_while_and_then_no_burst() -> None:
    async def subscribe(clock: VirtualClock) -> None:
        pace = Pace(clock)
        pace.complained()
        for _ in range(20):
            await pace.take()

    assert on_virtual_time(subscribe) == pytest.approx((COMPLAINT_S + 1) * S, rel=1e-6)
