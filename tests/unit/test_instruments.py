from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.domain.instruments import PairStatus, Side
from aether.domain.values import Price, Qty, Usd

D = Decimal


@pytest.mark.parametrize(
    ("side", "price", "on_tick"),
    [
        (Side.BUY, "100.19", "100.1"),
        (Side.BUY, "100.1", "100.1"),
        (Side.SELL, "100.11", "100.2"),
        (Side.SELL, "100.1", "100.1"),
    ],
)
def test_a_limit_price_on_the_tick_is_never_worse_for_us(make: Any, side: Side, price: str, on_tick: str) -> None:
    assert make.instrument().limit_price(side, make.price(price)) == make.price(on_tick)


def test_a_buy_below_one_tick_is_priced_at_one_tick(make: Any) -> None:
    assert make.instrument().limit_price(Side.BUY, make.price("0.04")) == make.price("0.1")


def test_a_tick_need_not_be_a_power_of_ten(make: Any) -> None:
    halves = make.instrument(tick=D("0.5"))

    assert halves.limit_price(Side.BUY, make.price("100.9")) == make.price("100.5")
    assert halves.limit_price(Side.SELL, make.price("100.6")) == make.price("101.0")


def test_a_quantity_goes_down_to_the_lot(make: Any) -> None:
    assert make.instrument().qty_down(make.qty("1.23459")) == make.qty("1.2345")


def test_the_shortfall_is_zero_at_both_minimums_and_told_below_them(make: Any) -> None:
    instrument = make.instrument(qty_min=Qty(D("0.01")), cost_min=Usd(D(5)))

    assert instrument.shortfall(make.qty("0.05"), make.price("100")) == (Qty(D(0)), Usd(D(0)))
    assert instrument.shortfall(make.qty("0.009"), make.price("100")) == (Qty(D("0.001")), Usd(D("4.1")))
    assert instrument.shortfall(make.qty("0.0499"), make.price("100")) == (Qty(D(0)), Usd(D("0.01")))


@pytest.mark.parametrize("step", ["tick", "lot"])
@pytest.mark.parametrize("value", ["0", "-0.1"])
def test_steps_are_positive(make: Any, step: str, value: str) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        make.instrument(**{step: D(value)})


def test_only_an_online_pair_takes_orders_and_only_maintenance_refuses_cancels() -> None:
    assert [status for status in PairStatus if status.may_submit] == [PairStatus.ONLINE]
    assert [status for status in PairStatus if not status.may_cancel] == [PairStatus.MAINTENANCE]


def test_the_rounded_limit_keeps_its_type(make: Any) -> None:
    assert isinstance(make.instrument().limit_price(Side.BUY, make.price("1")), Price)
