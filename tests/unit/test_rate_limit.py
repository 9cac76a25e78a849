from __future__ import annotations

import pytest

from aether.domain.errors import VenueUnavailable
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.kraken.rate_limit import Counter, OrderCounters, Silence, Tier, cancel_cost

BTC, ETH = recall("BTC/USD"), recall("ETH/USD")
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


@pytest.mark.parametrize(
    ("age_s", "points"),
    [(0, 8), (4.999, 8), (5, 6), (10, 5), (15, 4), (44, 4), (45, 2), (90, 1), (299, 1), (300, 0), (9999, 0)],
)
def test_a_cancel_costs_by_the_age_of_its_order(age_s: float, points: int) -> None:
    assert cancel_cost(int(age_s * S)) == points


def test_new_orders_cannot_eat_the_reserve_of_cancels() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    placed = 0
    while counters.has_room_for_order(BTC, 0):
        counters.charge_order(BTC, f"id-{placed}", 0)
        placed += 1

    assert placed == 45
    assert counters.has_room_for_order(ETH, 0), "each pair has its own counter"


def test_cancelling_young_orders_delays_new_ones() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for number in range(5):
        counters.charge_order(BTC, f"id-{number}", 0)
        counters.charge_cancel(f"id-{number}", S)
    assert counters.has_room_for_order(BTC, S) is True
    counters.charge_order(BTC, "last", S)
    counters.charge_cancel("last", S)

    assert counters.has_room_for_order(BTC, S) is False
    assert counters.has_room_for_order(BTC, 60 * S) is True


def test_cancels_of_orders_of_an_earlier_run_cost_nothing_here() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for number in range(100):
        counters.charge_cancel(f"older-{number}", 0)

    assert counters.has_room_for_order(BTC, 0)


def test_orders_older_than_five_minutes_are_forgotten() -> None:
    counters = OrderCounters(Tier.PRO.value)
    counters.charge_order(BTC, "old", 0)
    counters.charge_order(BTC, "new", 300 * S)

    assert list(counters._placed_ns) == ["new"]


def test_a_refusal_by_kraken_fills_the_pair_s_counter() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    counters.fill(BTC, 0)

    assert not counters.has_room_for_order(BTC, 0)
    assert counters.has_room_for_order(ETH, 0)


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
