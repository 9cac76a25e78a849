"""Kraken's two counters: the published costs, to the point and to the nanosecond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal, Order
from aether.sim.rate_counters import TIERS, RestCounters, TierName, TradingCounters, rest_points

D = Decimal

PAIR = "BTC/USD"
ORDER = Order(
    order_id="O1",
    account="main",
    pair=PAIR,
    side="buy",
    order_type="limit",
    qty=D(1),
    limit_price=D(1),
    time_in_force="gtc",
    post_only=False,
    cl_ord_id=None,
    userref=None,
    deadline_ns=None,
    status="new",
    opened_ns=0,
)


def at(seconds: float) -> int:
    return int(seconds * NANOS_PER_S)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ExchangeRefusal) as refusal:
        act()
    return refusal.value.text


@pytest.mark.parametrize(
    ("tier", "most", "decay"), [("starter", 15, "0.33"), ("intermediate", 20, "0.5"), ("pro", 20, "1")]
)
def test_rest_calls_are_refused_over_the_maximum_and_served_after_the_decay(
    tier: TierName, most: int, decay: str
) -> None:
    counters = RestCounters(TIERS[tier])
    for _ in range(most):
        counters.charge("key", "Balance", 0)
    one_point_s = 1 / float(decay)

    assert refused(lambda: counters.charge("key", "Balance", 0)) == "EAPI:Rate limit exceeded"
    assert refused(lambda: counters.charge("key", "Balance", at(one_point_s))) == "EAPI:Rate limit exceeded"
    counters.charge("key", "Balance", at(4 * one_point_s))


def test_each_key_has_its_own_counter_and_trading_is_free_on_it() -> None:
    counters = RestCounters(TIERS["starter"])
    counters.fill("key", 0)

    counters.charge("key", "AddOrder", 0)
    counters.charge("other", "Balance", 0)
    assert refused(lambda: counters.charge("key", "Balance", 0)) == "EAPI:Rate limit exceeded"


def test_a_storm_of_calls_prolongs_the_wait_but_not_for_ever() -> None:
    counters = RestCounters(TIERS["pro"])
    for _ in range(1_000):
        try:
            counters.charge("key", "Balance", 0)
        except ExchangeRefusal:
            continue

    assert refused(lambda: counters.charge("key", "Balance", at(20))) == "EAPI:Rate limit exceeded"
    counters.charge("key", "Balance", at(42))


def test_history_costs_more() -> None:
    assert {rest_points(method) for method in ("Ledgers", "TradesHistory", "ClosedOrders", "QueryTrades")} == {2}
    assert rest_points("CancelAll") == 0
    assert rest_points("GetWebSocketsToken") == 1


def test_the_documents_examples_come_out() -> None:
    """Kraken docs, Spot trading limits: add, amend after 7 s, cancel 36 s later; fifty adds and 10 s."""
    counters = TradingCounters(replace(TIERS["intermediate"], trading_decay=0))
    counters.add("main", PAIR, 0)
    counters.amend(ORDER, at(7))
    counters.cancel(ORDER, at(43))
    assert counters.points("main", PAIR, at(43)) == 8

    counters = TradingCounters(TIERS["intermediate"])
    for _ in range(50):
        counters.add("main", PAIR, 0)
    assert counters.points("main", PAIR, at(10)) == D("26.6")


@pytest.mark.parametrize(
    ("age_s", "amend", "edit", "cancel"),
    [
        (0, 4, 7, 8),
        (5, 3, 6, 6),
        (10, 2, 5, 5),
        (15, 1, 3, 4),
        (45, 1, 2, 2),
        (90, 1, 1, 1),
        (300, 1, 1, 0),
    ],
)
def test_changing_an_order_costs_by_its_age(age_s: int, amend: int, edit: int, cancel: int) -> None:
    def cost(act: Callable[[TradingCounters], object]) -> Decimal:
        counters = TradingCounters(TIERS["pro"])
        act(counters)
        return counters.points("main", PAIR, at(age_s))

    assert cost(lambda counters: counters.amend(ORDER, at(age_s))) == amend
    assert cost(lambda counters: counters.edit(ORDER, at(age_s))) == edit
    assert cost(lambda counters: counters.cancel(ORDER, at(age_s))) == cancel
    assert cost(lambda counters: counters.cancel_batch([ORDER] * 3, at(age_s))) == 3 * cancel


def test_a_batch_costs_half_a_point_for_each_order() -> None:
    counters = TradingCounters(TIERS["pro"])
    counters.add("main", PAIR, 0, count=15)

    assert counters.points("main", PAIR, 0) == D("7.5")


@pytest.mark.parametrize(("tier", "most"), [("starter", 60), ("intermediate", 125), ("pro", 180)])
def test_a_pair_is_refused_over_its_threshold_and_other_pairs_are_not(tier: TierName, most: int) -> None:
    counters = TradingCounters(TIERS[tier])
    for _ in range(most):
        counters.add("main", PAIR, 0)

    assert refused(lambda: counters.add("main", PAIR, 0)) == "EOrder:Rate limit exceeded"
    assert refused(lambda: counters.cancel(ORDER, 0)) == "EOrder:Rate limit exceeded"
    assert counters.points("main", PAIR, 0) == most
    counters.add("main", "ETH/USD", 0)
    counters.add("other", PAIR, 0)
    counters.cancel(replace(ORDER, opened_ns=-at(300)), 0)


def test_cancelling_together_is_taken_over_the_threshold() -> None:
    counters = TradingCounters(TIERS["starter"])
    counters.fill("main", PAIR, 0)
    counters.cancel_batch([ORDER] * 5, 0)
    counters.cancel_all([ORDER, ORDER], 0)

    assert counters.points("main", PAIR, 0) == 60 + 40 + 1
