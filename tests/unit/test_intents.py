from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.intents import FINEST_LOT, OrderIntent, is_worth_an_order, target_position, wish
from aether.domain.instruments import Side
from aether.domain.values import Bps, Usd

D = Decimal


def test_a_target_spends_the_risk_budget_at_the_volatility_in_use(make: Any) -> None:
    policy = make.sizing(risk_budget_bps=50)

    assert target_position(Usd(D(100_000)), 10_000, 400, 100, policy) == Usd(D(12_500))
    assert target_position(Usd(D(100_000)), 5_000, 400, 100, policy) == Usd(D(6_250))
    assert target_position(Usd(D(100_000)), 10_000, 800, 100, policy) == Usd(D(6_250))
    assert target_position(Usd(D(100_000)), 10_000, 400, 25, policy) == Usd(D(3_125))


@pytest.mark.parametrize(("equity", "target_bps"), [("100", 0), ("100", -1), ("0", 10_000), ("-5", 10_000)])
def test_no_target_or_no_equity_is_no_position(make: Any, equity: str, target_bps: int) -> None:
    assert target_position(make.usd(equity), target_bps, 400, 100, make.sizing()) == Usd(D(0))


@pytest.mark.parametrize(
    ("target", "position", "is_worth"),
    [
        ("1000", "850", True),  # at the band of 15 %
        ("1000", "850.01", False),
        ("1000", "1150", True),
        ("1000", "1149.99", False),
        ("100", "50", True),  # at the least of 50 USD, though the band is 15
        ("100", "50.01", False),
        ("0", "0.01", True),  # leaving is always worth it
        ("0", "0", False),
    ],
)
def test_small_distances_are_not_worth_an_order(make: Any, target: str, position: str, *, is_worth: bool) -> None:
    assert is_worth_an_order(make.usd(target), make.usd(position), make.sizing()) is is_worth


def a_wish(make: Any, target: str, held: str, *, passive: bool = False) -> OrderIntent | None:
    return wish(
        strategy="trend",
        symbol=make.BTC,
        target=make.usd(target),
        held=make.qty(held),
        bid=make.price("100"),
        ask=make.price("101"),
        edge_bps=Bps(30),
        passive=passive,
    )


@pytest.mark.parametrize(("passive", "price"), [(False, "101"), (True, "100")])
def test_a_buy_crosses_or_joins_the_bid(make: Any, *, passive: bool, price: str) -> None:
    intent = a_wish(make, "2020", "10", passive=passive)

    assert intent is not None
    assert (intent.side, intent.limit_price) == (Side.BUY, make.price(price))
    assert intent.wanted_qty == make.price(price).coins_for(Usd(D(1020))).rounded_down(FINEST_LOT)
    assert intent.wanted == intent.limit_price.times(intent.wanted_qty)


@pytest.mark.parametrize(("passive", "price"), [(False, "100"), (True, "101")])
def test_a_sell_crosses_or_joins_the_ask(make: Any, *, passive: bool, price: str) -> None:
    intent = a_wish(make, "500", "10", passive=passive)

    assert intent is not None
    assert (intent.side, intent.limit_price) == (Side.SELL, make.price(price))
    assert intent.wanted_qty == make.price(price).coins_for(Usd(D(500))).rounded_down(FINEST_LOT)


def test_a_target_of_nothing_sells_every_coin(make: Any) -> None:
    intent = a_wish(make, "0", "0.12345678")

    assert intent is not None
    assert (intent.side, intent.wanted_qty) == (Side.SELL, make.qty("0.12345678"))


def test_a_sell_is_never_more_than_what_is_held(make: Any) -> None:
    intent = a_wish(make, "0.01", "0.001", passive=True)

    assert intent is not None
    assert intent.wanted_qty <= make.qty("0.001")


def test_what_needs_nothing_is_no_intent(make: Any) -> None:
    assert a_wish(make, "1000", "10") is None
    assert a_wish(make, "0", "0") is None
