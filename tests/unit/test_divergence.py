from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.core.divergence import Compared, DayDivergence, Filled
from aether.domain.instruments import Side
from aether.domain.spot_gate import recall
from aether.domain.values import MONEY, NANOS_PER_S

D = Decimal
BTC = recall("BTC/USD")
T0 = 1_767_268_800 * NANOS_PER_S  # 2026-01-01T12:00:00Z


def compared(real: tuple[str, str], made: tuple[str, str], side: Side = Side.BUY, **changes: Any) -> Compared:
    """An order with so many coins at such a price on each side."""

    def filled(coins: str, price: str) -> Filled:
        return Filled(D(coins), D(coins) * D(price))

    return Compared("a", BTC, side, changes.get("at_ns", T0), filled(*real), filled(*made))


@pytest.mark.parametrize(
    ("side", "real_price", "bps"),
    [
        (Side.BUY, "100", "0.00"),
        (Side.BUY, "100.1", "10.00"),
        (Side.BUY, "99.9", "-10.00"),
        (Side.SELL, "99.9", "10.00"),
        (Side.SELL, "100.1", "-10.00"),
    ],
)
def test_above_zero_the_venue_was_the_worse_one(side: Side, real_price: str, bps: str) -> None:
    assert compared(("2", real_price), ("2", "100"), side).divergence_bps == D(bps)


def test_of_two_sizes_the_coins_that_both_filled_are_compared_and_the_rest_is_told_apart() -> None:
    order = compared(("1", "101"), ("3", "100"))
    assert (order.matched_usd, order.worse_usd, order.unmatched_usd) == (D(100), D(1), D(200))
    assert order.divergence_bps == D(100)


@pytest.mark.parametrize(("real", "made"), [("0", "0"), ("1", "0"), ("0", "1")])
def test_what_was_not_filled_on_both_sides_has_no_divergence(real: str, made: str) -> None:
    order = compared((real, "100"), (made, "100"))
    assert order.divergence_bps is None
    assert order.unmatched_usd == D(100) * (D(real) + D(made))


def test_a_day_weighs_its_orders_by_their_dollars() -> None:
    day = DayDivergence("2026-01-01")
    assert (day.orders, day.divergence_bps) == (0, None)
    day = day.plus(compared(("1", "101"), ("1", "100"))).plus(compared(("3", "100"), ("3", "100")))
    assert (day.orders, day.matched_usd, day.worse_usd, day.divergence_bps) == (2, D(400), D(1), D("25.00"))


def test_a_day_with_no_order_that_both_filled_has_no_divergence() -> None:
    day = DayDivergence("2026-01-01").plus(compared(("0", "0"), ("1", "100")))
    assert (day.orders, day.divergence_bps, day.unmatched_usd) == (1, None, D(100))


@pytest.mark.parametrize(
    ("after_s", "day"), [(0, "2026-01-01"), (43_199, "2026-01-01"), (43_200, "2026-01-02"), (-43_201, "2025-12-31")]
)
def test_days_are_those_of_utc(after_s: int, day: str) -> None:
    assert compared(("1", "100"), ("1", "100"), at_ns=T0 + after_s * NANOS_PER_S).day == day


coins = st.decimals("0.0001", "1000", places=4)
prices = st.decimals("0.1", "100000", places=1)


@given(real=coins, real_price=prices, made=coins, made_price=prices, side=st.sampled_from(Side))
def test_matched_and_unmatched_dollars_are_all_dollars(
    real: Decimal, real_price: Decimal, made: Decimal, made_price: Decimal, side: Side
) -> None:
    order = Compared("a", BTC, side, T0, Filled(real, real * real_price), Filled(made, made * made_price))
    sign = 1 if side is Side.BUY else -1
    both = MONEY.add(order.real.usd, order.made.usd)
    told = MONEY.add(order.matched_usd * 2 + sign * order.worse_usd, order.unmatched_usd)
    assert abs(both - told) < D("1E-20")
