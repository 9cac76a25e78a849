from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aether.core.portfolio import Portfolio
from aether.domain.facts import OrderFilled
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance, Liquidity
from aether.domain.spot_gate import recall
from aether.domain.values import MONEY, ZERO, Price, Qty, Usd, UtcNanos

D = Decimal
SYMBOLS = (recall("BTC/USD"), recall("ETH/USD"))
STRATEGIES = ("trend", "twin", None)


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    scale = D(10) ** places  # whole numbers are drawn ten times as fast as decimals
    return st.integers(int(D(least) * scale), int(D(most) * scale)).map(lambda units: D(units).scaleb(-places))


@st.composite
def fills(draw: st.DrawFn) -> OrderFilled:
    """A fill at any price and size; cost rounded as a venue would; a fee in dollars, coins, or both, or none."""
    symbol, side = draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from(list(Side)))
    qty, price = draw(decimals("0.00000001", "5", 8)), draw(decimals("0.01", "99999", 5))
    coins_fee = draw(st.sampled_from([ZERO, MONEY.multiply(qty, D("0.004"))]))
    fees = (AssetAmount("USD", draw(decimals("0", "50", 5))), AssetAmount(symbol.removesuffix("/USD"), coins_fee))
    return OrderFilled(
        exec_id="T",
        order_id="O",
        cl_ord_id=None,
        strategy=draw(st.sampled_from(STRATEGIES)),
        name=symbol,
        symbol=symbol,
        side=side,
        qty=Qty(qty),
        price=Price(price),
        cost=Usd(round(MONEY.multiply(qty, price), 5)),
        fees=fees[: draw(st.integers(0, 2))],
        liquidity=Liquidity.TAKER,
        venue_ns=UtcNanos(0),
        source="executions",
    )


def booked(told: list[OrderFilled]) -> Portfolio:
    """A portfolio that all of these fills moved, also sales of more coins than are held."""
    portfolio = Portfolio()
    portfolio.open_with((AssetBalance("USD", D(100_000), ZERO),))
    for fill in told:
        portfolio.book(fill)
    return portfolio


def total(values: list[Decimal]) -> Decimal:
    result = ZERO
    for value in values:
        result = MONEY.add(result, value)
    return result


@given(st.lists(fills(), max_size=30), decimals("0.01", "99999", 5))
def test_realised_and_unrealised_profit_is_the_change_of_equity_to_the_last_digit(
    told: list[OrderFilled], mark: Decimal
) -> None:
    portfolio = booked(told)
    equity = portfolio.balance("USD")
    for asset in ("BTC", "ETH"):
        equity = MONEY.add(equity, MONEY.multiply(portfolio.balance(asset), mark))

    positions = list(portfolio.positions.values())
    worth = [position.value_at(Price(mark)).amount for position in positions]
    unrealised = total([MONEY.subtract(now, item.cost.amount) for now, item in zip(worth, positions, strict=True)])
    realised = total([position.realised.amount for position in positions])
    assert MONEY.add(realised, unrealised) == MONEY.subtract(equity, D(100_000))


@given(st.lists(fills(), max_size=30))
def test_balances_are_the_exact_sums_of_costs_coins_and_fees(told: list[OrderFilled]) -> None:
    portfolio = booked(told)

    dollars = [D(100_000)]
    for fill in told:
        direction = -1 if fill.side is Side.BUY else 1
        dollars.append(direction * fill.cost.amount)
        dollars += [-fee.amount for fee in fill.fees if fee.asset == "USD"]
    assert portfolio.balance("USD") == total(dollars)


@given(st.lists(fills(), max_size=30))
def test_positions_of_all_strategies_add_up_to_the_holding(told: list[OrderFilled]) -> None:
    portfolio = booked(told)

    for symbol in SYMBOLS:
        held = [item.coins for item in portfolio.positions.values() if item.symbol == symbol]
        assert total(held) == portfolio.balance(symbol.removesuffix("/USD"))


@given(st.lists(fills(), max_size=30))
def test_an_empty_position_costs_nothing_and_what_is_owed_cannot_be_sold(told: list[OrderFilled]) -> None:
    for position in booked(told).positions.values():
        assert position.coins or not position.cost.amount
        assert position.qty.coins == max(ZERO, position.coins)
