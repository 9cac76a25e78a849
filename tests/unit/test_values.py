from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.values import MONEY, Price, Qty, Usd, plain, rounded_to_decimals, rounded_to_step

D = Decimal


@pytest.mark.parametrize("kind", [Usd, Qty, Price])
@pytest.mark.parametrize("value", [1.5, 1, "1"])
def test_money_is_made_of_decimals_alone(kind: type, value: object) -> None:
    with pytest.raises(TypeError, match="takes a Decimal"):
        kind(value)


@pytest.mark.parametrize("kind", [Usd, Qty, Price])
@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_does_not_exist(kind: type, value: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        kind(D(value))


def test_a_quantity_may_be_nothing_but_never_less() -> None:
    assert not Qty(D(0))
    with pytest.raises(ValueError, match="negative"):
        Qty(D("-0.00000001"))


def test_a_price_is_more_than_nothing() -> None:
    assert Price(D("0.00000001")).usd_per_coin == D("1E-8")
    with pytest.raises(ValueError, match="positive"):
        Price(D(0))


def test_dollars_may_be_owed() -> None:
    assert Usd(D(1)) - Usd(D(3)) == Usd(D(-2))
    assert -Usd(D(-2)) == Usd(D(2))


def test_units_do_not_mix() -> None:
    with pytest.raises(AttributeError):
        Usd(D(1)) + Qty(D(1))  # type: ignore[operator]
    with pytest.raises(TypeError):
        assert Usd(D(1)) < Price(D(2))  # type: ignore[operator]


def test_a_difference_of_quantities_refuses_to_go_below_zero_and_less_stops_there() -> None:
    assert Qty(D(3)) - Qty(D(3)) == Qty(D(0))
    assert Qty(D(1)).less(Qty(D(2))) == Qty(D(0))
    with pytest.raises(ValueError, match="negative"):
        Qty(D(1)) - Qty(D(2))


@pytest.mark.parametrize(("coins", "down"), [("0.00019999", "0.0001"), ("0.0002", "0.0002"), ("0.00009", "0")])
def test_a_quantity_rounds_down_to_its_lot(coins: str, down: str) -> None:
    assert Qty(D(coins)).rounded_down(D("0.0001")) == Qty(D(down))


def test_dollars_round_towards_and_away_from_zero() -> None:
    assert Usd(D("1.23456")).rounded_down(4) == Usd(D("1.2345"))
    assert Usd(D("1.23451")).rounded_up(4) == Usd(D("1.2346"))
    assert Usd(D("-1.23451")).rounded_up(4) == Usd(D("-1.2346"))
    assert Usd(D("1.2345")).rounded_up(4) == Usd(D("1.2345"))


def test_basis_points_are_ten_thousandths() -> None:
    assert Usd(D(10_000)).bps(1) == Usd(D(1))
    assert Price(D("100.5")).bps_from(Price(D(100))) == D(50)


def test_a_price_and_a_spend_give_coins_but_never_negative_ones() -> None:
    assert Price(D(250)).coins_for(Usd(D(1000))) == Qty(D(4))
    assert Price(D(250)).coins_for(Usd(D(-1))) == Qty(D(0))
    assert Price(D("0.5")).times(Qty(D(3))) == Usd(D("1.5"))


def test_text_of_money_has_no_exponent() -> None:
    assert plain(D("1E-8")) == "0.00000001"
    assert str(Usd(D("1E+3"))) == "1000"


def test_sums_of_money_do_not_depend_on_the_ambient_decimal_context() -> None:
    with localcontext(Context(prec=4)):
        assert (Usd(D("123456.789")) + Usd(D("0.001"))).amount == D("123456.790")
        assert Price(D("123456.7")).times(Qty(D("1.0001"))).amount == D("123469.04567")
        assert Price(D("123456.8")).bps_from(Price(D("123456.7"))) != 0
        assert rounded_to_step(D("123456.789"), D("0.01"), ROUND_DOWN) == D("123456.78")


@given(
    value=st.decimals(-(10**12), 10**12, places=None, allow_nan=False, allow_infinity=False),
    decimals=st.integers(-2, 18),
    rounding=st.sampled_from([ROUND_DOWN, ROUND_UP, ROUND_HALF_EVEN]),
)
def test_moving_the_point_rounds_to_the_same_digits_as_dividing(value: Decimal, decimals: int, rounding: str) -> None:
    step = Decimal(1).scaleb(-decimals)
    divided = MONEY.multiply(MONEY.divide(value, step).to_integral_value(rounding, MONEY), step)

    assert str(rounded_to_decimals(value, decimals, rounding)) == str(divided)
    assert str(rounded_to_step(value, step, rounding)) == str(divided)
