"""Holdings, average cost and profit: from fills alone, exactly as the venue booked them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from functools import reduce

from aether.domain.facts import OrderFilled
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance
from aether.domain.values import MONEY, NO_QTY, NO_USD, ZERO, Price, Qty, Symbol, Usd

EXTERNAL = "external"
USD = "USD"
_COST_STEP = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Position:
    """Coins that a strategy's fills left it with. `cost` is with fees; `realised` is net of them."""

    strategy: str
    symbol: Symbol
    qty: Qty = NO_QTY
    cost: Usd = NO_USD
    realised: Usd = NO_USD
    fees: Usd = NO_USD

    @property
    def average_cost(self) -> Price | None:
        """Dollars a coin, fees included."""
        return Price(MONEY.divide(self.cost.amount, self.qty.coins)) if self.qty and self.cost.amount > 0 else None

    def value_at(self, price: Price) -> Usd:
        """Notional at a price."""
        return price.times(self.qty)

    def after(self, fill: OrderFilled, base: str) -> Position:
        """This position with one fill booked. Coins sold beyond what is held (an EXTERNAL sale) cost nothing."""
        fee_usd = Usd(_fees_in(USD, fill))
        fee_coins = Qty(max(ZERO, _fees_in(base, fill)))
        fees = self.fees + fee_usd
        if fill.side is Side.BUY:
            return replace(
                self, qty=self.qty + fill.qty.less(fee_coins), cost=self.cost + fill.cost + fee_usd, fees=fees
            )
        sold = min(self.qty, fill.qty + fee_coins)
        # What leaves and what stays add up to the cost exactly, so profit loses no cent to this rounding.
        share = MONEY.divide(MONEY.multiply(self.cost.amount, sold.coins), self.qty.coins) if self.qty else ZERO
        leaving = Usd(share.quantize(_COST_STEP, ROUND_HALF_EVEN, MONEY)) if sold < self.qty else self.cost
        return replace(
            self,
            qty=self.qty - sold,
            cost=self.cost - leaving,
            realised=self.realised + fill.cost - fee_usd - leaving,
            fees=fees,
        )


def _fees_in(asset: str, fill: OrderFilled) -> Decimal:
    return reduce(MONEY.add, (fee.amount for fee in fill.fees if fee.asset == asset), ZERO)


class Portfolio:
    """Balances per asset and positions per strategy and symbol. Mutated by facts only."""

    __slots__ = ("balances", "positions")

    def __init__(self) -> None:
        self.balances: dict[str, Decimal] = {}
        self.positions: dict[tuple[str, Symbol], Position] = {}

    def open_with(self, balances: Iterable[AssetBalance]) -> None:
        """Begin the sums."""
        self.balances = {balance.asset: balance.total for balance in balances}

    def book(self, fill: OrderFilled) -> None:
        """Move balances and position by one fill."""
        base, slash, quote = (fill.symbol or fill.name).partition("/")
        if not slash:  # a pair we have no names for: the balances will show what it moved, and reconciliation asks
            return
        direction = 1 if fill.side is Side.BUY else -1
        self._move(base, MONEY.multiply(Decimal(direction), fill.qty.coins))
        self._move(quote, MONEY.multiply(Decimal(-direction), fill.cost.amount))
        for fee in fill.fees:
            self._move(fee.asset, fee.amount.copy_negate())
        if fill.symbol is not None:
            key = (fill.strategy or EXTERNAL, fill.symbol)
            self.positions[key] = self.positions.get(key, Position(*key)).after(fill, base)

    def _move(self, asset: str, amount: Decimal) -> None:
        self.balances[asset] = MONEY.add(self.balances.get(asset, ZERO), amount)

    def balance(self, asset: str) -> Decimal:
        """Total of an asset; zero where it was never seen."""
        return self.balances.get(asset, ZERO)

    def position(self, strategy: str, symbol: Symbol) -> Position:
        """A strategy's position, empty where it has none."""
        return self.positions.get((strategy, symbol), Position(strategy, symbol))
