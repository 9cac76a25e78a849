from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S
from aether.kraken.order_counters import OrderCounters, amend_cost, cancel_cost, orders_cost_milli
from aether.kraken.rate_limit import Tier

BTC, ETH = recall("BTC/USD"), recall("ETH/USD")
S = NANOS_PER_S


def place(counters: OrderCounters, cl_ord_id: str, now_ns: int, answered_ns: int | None = None) -> None:
    counters.charge_orders(BTC, (cl_ord_id,), now_ns)
    counters.answered(cl_ord_id, now_ns if answered_ns is None else answered_ns)


@pytest.mark.parametrize(
    ("age_s", "points"),
    [(0, 8), (4.999, 8), (5, 6), (10, 5), (15, 4), (44, 4), (45, 2), (90, 1), (299, 1), (300, 0), (9999, 0)],
)
def test_a_cancel_costs_by_the_age_of_its_order(age_s: float, points: int) -> None:
    assert cancel_cost(int(age_s * S)) == points


@pytest.mark.parametrize(("age_s", "points"), [(0, 4), (4.999, 4), (5, 3), (10, 2), (14.999, 2), (15, 1), (9999, 1)])
def test_an_amend_costs_its_fixed_point_and_one_to_three_for_a_young_order(age_s: float, points: int) -> None:
    assert amend_cost(int(age_s * S)) == points


def test_a_batch_costs_half_a_point_for_each_order_and_one_alone_a_whole_one() -> None:
    assert [orders_cost_milli(count) for count in (1, 2, 3, 15)] == [1000, 1000, 1500, 7500]


def test_kraken_s_first_example_comes_out() -> None:
    """Add, amend after 7 s, cancel 36 s later: 1 + (1 + 2) + 4 = 8 (Kraken docs, without the decay)."""
    counters = OrderCounters(Tier.PRO.value)
    costs = []
    for request, now_ns in (("add", 0), ("amend", 7 * S), ("cancel", 43 * S)):
        before = counters.count_milli(BTC, now_ns)
        match request:
            case "add":
                place(counters, "a", now_ns)
            case "amend":
                counters.charge_amend("a", BTC, now_ns)
                counters.answered("a", now_ns)
            case _:
                counters.charge_cancels(("a",), now_ns)
        costs.append(counters.count_milli(BTC, now_ns) - before)

    assert costs == [1000, 3000, 4000]


def test_kraken_s_second_example_comes_out() -> None:
    """Fifty adds at Intermediate, 10 s later: 50 - 23.4 = 26.6 (Kraken docs)."""
    counters = OrderCounters(Tier.INTERMEDIATE.value)
    for number in range(50):
        place(counters, f"id-{number}", 0)

    assert counters.count_milli(BTC, 10 * S) == 26_600


def test_new_orders_leave_what_cancelling_all_that_rests_would_cost() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    placed: list[str] = []
    while counters.wait_for_orders_ns(BTC, 1, 0) == 0:
        placed.append(f"id-{len(placed)}")
        place(counters, placed[-1], 0)

    assert len(placed) == 6, "six orders and their cancels: 6 x (1 + 8) of 60"
    assert counters.wait_for_orders_ns(ETH, 1, 0) == 0, "each pair has its own counter"
    for cl_ord_id in placed:
        assert counters.wait_for_cancel_ns((cl_ord_id,), 0) == 0
        counters.charge_cancels((cl_ord_id,), 0)
        counters.ended(cl_ord_id)
    assert counters.count_milli(BTC, 0) == 54_000


def test_the_wait_that_is_told_suffices() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for number in range(6):
        place(counters, f"id-{number}", 0)
    wait_ns = counters.wait_for_orders_ns(BTC, 1, 0)

    assert wait_ns == 4 * S
    assert counters.wait_for_orders_ns(BTC, 1, wait_ns - 1) > 0
    assert counters.wait_for_orders_ns(BTC, 1, wait_ns) == 0


def test_an_order_that_ended_needs_no_reserve() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for number in range(40):
        place(counters, f"id-{number}", 0)
        counters.ended(f"id-{number}")

    assert counters.wait_for_orders_ns(BTC, 1, 0) == 0
    assert counters.open_places(BTC) == 60


def test_an_age_begins_when_the_answer_came_not_when_the_order_left() -> None:
    counters = OrderCounters(Tier.PRO.value)
    place(counters, "a", 0, answered_ns=S)
    counters.charge_cancels(("a",), 5 * S + S // 2)

    assert counters.count_milli(BTC, 5 * S + S // 2) == 8000, "Kraken may have taken the order a second later"


def test_an_amend_makes_an_order_young_again_and_pays_for_the_dearer_cancel() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    place(counters, "a", 0)
    counters.charge_amend("a", BTC, 400 * S)
    counters.answered("a", 400 * S)
    for number in range(5):
        place(counters, f"id-{number}", 400 * S)

    assert counters.count_milli(BTC, 400 * S) == 6000
    assert counters.wait_for_amend_ns("a", BTC, 400 * S) == 0
    assert counters.wait_for_amend_ns("never heard of", BTC, 400 * S) == 7 * S


def test_a_batch_of_cancels_never_waits_and_one_alone_does() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    place(counters, "a", 0)
    place(counters, "b", 0)
    counters.fill(BTC, 0)

    assert counters.wait_for_cancel_ns(("a",), 0) == 8 * S
    assert counters.wait_for_cancel_ns(("a", "b"), 0) == 0


def test_cancels_of_orders_that_are_not_known_cost_nothing_here() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    counters.charge_cancels(("older", "oldest"), 0)

    assert counters.wait_for_cancel_ns(("older",), 0) == 0
    assert counters.count_milli(BTC, 0) == 0


def test_an_order_of_an_earlier_run_counts_as_placed_when_it_was_seen() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    counters.resting(BTC, "older", 0)
    counters.charge_cancels(("older",), S)

    assert counters.count_milli(BTC, S) == 8000
    assert counters.open_places(BTC) == 59


def test_a_snapshot_of_what_rests_ends_the_others_but_those_under_way() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for cl_ord_id in ("rests", "ended unheard"):
        place(counters, cl_ord_id, 0)
    counters.charge_orders(BTC, ("under way",), 0)
    counters.keep_only({"rests"}, 0)

    assert counters.open_places(BTC) == 58
    assert list(counters._orders) == ["rests", "under way"]


def test_a_view_that_lags_ends_old_orders_alone() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    place(counters, "never lived", 0)
    place(counters, "young", 200 * S)
    counters.keep_only((), 300 * S, 300 * S)

    assert list(counters._orders) == ["young"]


def test_an_amend_that_comes_after_the_end_takes_no_place() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    place(counters, "a", 0)
    counters.ended("a")
    counters.charge_amend("a", BTC, 0)

    assert counters.count_milli(BTC, 0) == 5000
    assert counters.open_places(BTC) == 60


def test_kraken_s_count_is_taken_over_with_what_is_under_way_on_top() -> None:
    counters = OrderCounters(Tier.PRO.value)
    place(counters, "a", 0)
    counters.charge_orders(BTC, ("under way",), 0)
    counters.adopt(BTC, 40_000, 0)
    assert counters.count_milli(BTC, 0) == 41_000
    counters.answered("under way", 0)
    counters.adopt(BTC, 3_000, 0)

    assert counters.count_milli(BTC, 0) == 3000
    assert counters.count_milli(ETH, 0) == 0


def test_the_tier_that_kraken_tells_holds_from_then_on() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    for number in range(6):
        place(counters, f"id-{number}", 0)
    counters.set_limits(Tier.PRO.value)

    assert counters.wait_for_orders_ns(BTC, 1, 0) == 0
    assert counters.open_places(BTC) == 219


def test_what_is_not_in_the_table_counts_for_each_pair() -> None:
    counters = OrderCounters(Tier.PRO.value)
    place(counters, "a", 0)
    counters.charge_dead_man(0)
    assert counters.count_milli(BTC, 0) == 2000
    counters.charge_cancel_all(0)

    assert counters.count_milli(BTC, 0) == 11_000


def test_a_refusal_by_kraken_fills_the_pair_s_counter() -> None:
    counters = OrderCounters(Tier.STARTER.value)
    counters.fill(BTC, 0)

    assert counters.wait_for_orders_ns(BTC, 1, 0) == 10 * S
    assert counters.wait_for_orders_ns(ETH, 1, 0) == 0


STEP = st.tuples(st.sampled_from(("add", "batch", "amend", "cancel")), st.integers(0, 9), st.integers(0, 30 * S))


@given(tier=st.sampled_from(list(Tier)), steps=st.lists(STEP, max_size=60))
def test_a32_at_every_moment_all_that_rests_can_be_cancelled_at_once(
    tier: Tier, steps: list[tuple[str, int, int]]
) -> None:
    counters = OrderCounters(tier.value)
    resting: dict[str, int] = {}
    now_ns = 0
    for number, (request, which, wait_ns) in enumerate(steps):
        now_ns += wait_ns
        chosen = sorted(resting)[which % len(resting)] if resting else "none"
        if request in ("add", "batch"):
            ids = [f"{number}-{row}" for row in range(1 if request == "add" else 2 + which)]
            if counters.wait_for_orders_ns(BTC, len(ids), now_ns) == 0:
                counters.charge_orders(BTC, ids, now_ns)
                for cl_ord_id in ids:
                    counters.answered(cl_ord_id, now_ns)
                    resting[cl_ord_id] = now_ns
        elif chosen in resting and request == "amend":
            if counters.wait_for_amend_ns(chosen, BTC, now_ns) == 0:
                counters.charge_amend(chosen, BTC, now_ns)
                counters.answered(chosen, now_ns)
                resting[chosen] = now_ns
        elif chosen in resting:
            assert counters.wait_for_cancel_ns((chosen,), now_ns) == 0
            counters.charge_cancels((chosen,), now_ns)
            counters.ended(chosen)
            del resting[chosen]
        owed = sum(cancel_cost(now_ns - since_ns) for since_ns in resting.values())
        assert counters.count_milli(BTC, now_ns) + owed * 1000 <= tier.value.orders_max * 1000
