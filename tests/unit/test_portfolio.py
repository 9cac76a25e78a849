from __future__ import annotations

from decimal import Decimal
from typing import Any

from aether.core.portfolio import EXTERNAL, Portfolio
from aether.domain.actors import SYSTEM
from aether.domain.facts import DifferenceAccepted
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance
from aether.domain.values import NO_QTY, NO_USD, Price, Qty, Usd

D = Decimal


def opened(usd: str = "10000", coins: str = "0") -> Portfolio:
    portfolio = Portfolio()
    portfolio.open_with((AssetBalance("USD", D(usd), D(0)), AssetBalance("BTC", D(coins), D(0))))
    return portfolio


def test_a_buy_moves_cash_coins_and_fee(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "2", "100"))

    assert portfolio.balances == {"USD": D("9799.2"), "BTC": D(2)}
    position = portfolio.position("trend", make.BTC)
    assert (position.qty, position.cost, position.fees) == (Qty(D(2)), Usd(D("200.8")), Usd(D("0.8")))
    assert position.average_cost == Price(D("100.4"))


def test_a_sale_realises_its_share_of_the_cost_and_what_stays_keeps_the_rest(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "3", "100", fees=()))
    portfolio.book(make.filled("T2", "b", "1", "130", side=Side.SELL, fees=(AssetAmount("USD", D(1)),)))

    position = portfolio.position("trend", make.BTC)
    assert (position.qty, position.cost, position.realised) == (Qty(D(2)), Usd(D(200)), Usd(D(29)))
    assert position.value_at(make.price("130")) == Usd(D(260))


def test_selling_all_leaves_no_cent_of_cost_behind(make: Any) -> None:
    portfolio = opened()
    for number, coins in enumerate(("1", "1", "1")):
        portfolio.book(make.filled(f"B{number}", "a", coins, "33.33"))
    for number in range(3):
        portfolio.book(make.filled(f"S{number}", "b", "1", "40", side=Side.SELL, fees=()))

    position = portfolio.position("trend", make.BTC)
    assert (position.qty, position.cost) == (NO_QTY, NO_USD)
    assert position.realised.amount == portfolio.balance("USD") - 10_000
    assert position.average_cost is None


def test_a_fee_in_coins_comes_off_the_coins(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "2", "100", fees=(AssetAmount("BTC", D("0.01")),)))

    assert portfolio.balances == {"USD": D(9800), "BTC": D("1.99")}
    assert portfolio.position("trend", make.BTC).qty == Qty(D("1.99"))


def test_a_fee_in_credits_moves_that_asset_alone(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "1", "100", fees=(AssetAmount("KFEE", D(40)),)))

    assert portfolio.balances == {"USD": D(9900), "BTC": D(1), "KFEE": D(-40)}
    assert portfolio.position("trend", make.BTC).fees == NO_USD


def test_a_fill_of_others_is_a_position_of_its_own(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "1"))
    portfolio.book(make.filled("T2", None, "5"))

    assert portfolio.position("trend", make.BTC).qty == Qty(D(1))
    assert portfolio.position(EXTERNAL, make.BTC).qty == Qty(D(5))
    assert portfolio.balance("BTC") == D(6)


def test_others_may_sell_coins_that_no_position_holds(make: Any) -> None:
    portfolio = opened(coins="5")
    portfolio.book(make.filled("T1", None, "2", "100", side=Side.SELL, fees=()))

    position = portfolio.position(EXTERNAL, make.BTC)
    assert (position.coins, position.qty, portfolio.balance("BTC")) == (D(-2), NO_QTY, D(3))
    assert (position.realised, position.cost, position.average_cost) == (NO_USD, Usd(D(-200)), Price(D(100)))
    assert position.value_at(Price(D(90))) == Usd(D(-180))


def test_what_people_sell_of_a_strategys_coins_is_owed_and_no_profit(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", "a", "2", "100", fees=()))
    portfolio.book(make.filled("T2", None, "2", "150", side=Side.SELL, fees=()))

    positions = portfolio.positions.values()
    assert [position.coins for position in positions] == [D(2), D(-2)]
    assert [position.realised for position in positions] == [NO_USD, NO_USD]
    assert portfolio.balance("BTC") == 0


def test_a_debt_of_coins_is_bought_back_through_zero_with_its_profit(make: Any) -> None:
    portfolio = opened(coins="5")
    portfolio.book(make.filled("T1", None, "2", "100", side=Side.SELL, fees=()))
    portfolio.book(make.filled("T2", None, "1", "90", fees=()))
    half = portfolio.position(EXTERNAL, make.BTC)
    assert (half.coins, half.cost, half.realised) == (D(-1), Usd(D(-100)), Usd(D(10)))

    portfolio.book(make.filled("T3", None, "3", "80", fees=()))
    bought = portfolio.position(EXTERNAL, make.BTC)
    assert (bought.coins, bought.cost, bought.realised) == (D(2), Usd(D(160)), Usd(D(30)))


def test_a_difference_that_was_accepted_moves_its_balance_and_no_position(make: Any) -> None:
    portfolio = opened()
    portfolio.accept(DifferenceAccepted("USD", D(-500), SYSTEM))
    portfolio.accept(DifferenceAccepted("EUR", D(5), SYSTEM))

    assert portfolio.balances == {"USD": D(9500), "BTC": D(0), "EUR": D(5)}
    assert portfolio.positions == {}


def test_a_pair_that_is_not_ours_moves_its_two_assets_and_no_position(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", None, "2", "50", name="ETH/EUR", symbol=None, fees=()))

    assert portfolio.balances == {"USD": D(10_000), "BTC": D(0), "ETH": D(2), "EUR": D(-100)}
    assert portfolio.positions == {}


def test_a_pair_without_two_names_moves_nothing(make: Any) -> None:
    portfolio = opened()
    portfolio.book(make.filled("T1", None, "2", "50", name="XETHZEUR", symbol=None))

    assert portfolio.balances == {"USD": D(10_000), "BTC": D(0)}


def test_an_asset_never_seen_is_zero(make: Any) -> None:
    assert opened().balance("DOGE") == 0
    assert opened().position("trend", make.BTC).qty == NO_QTY
