"""Holdings, average cost and profit: from what the venue booked, to the digit, and what people accepted beside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from functools import reduce

from aether.domain.facts import DifferenceAccepted, LedgerEntryBooked, OrderFilled
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance
from aether.domain.values import MONEY, NO_USD, ZERO, Price, Qty, Symbol, Usd

EXTERNAL = "external"
USD = "USD"
_COST_STEP = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Position:
    """Coins that a strategy's fills left it with. `cost` is with fees; `realised` is net of them.

    `coins` and `cost` are negative together where more was sold than bought: people may sell what a strategy holds, and
    then EXTERNAL owes it, so that all positions of a symbol still add up to what was traded.
    """

    strategy: str
    symbol: Symbol
    coins: Decimal = ZERO
    cost: Usd = NO_USD
    realised: Usd = NO_USD
    fees: Usd = NO_USD

    @property
    def qty(self) -> Qty:
        """What can be sold of it: nothing where it is owed."""
        return Qty(max(ZERO, self.coins))

    @property
    def average_cost(self) -> Price | None:
        """Dollars a coin, fees included; of what is owed, dollars a coin that its sale brought."""
        if not self.coins or MONEY.multiply(self.cost.amount, self.coins) <= 0:
            return None
        return Price(MONEY.divide(self.cost.amount, self.coins))

    def value_at(self, price: Price) -> Usd:
        """Notional at a price; negative where it is owed."""
        return Usd(MONEY.multiply(price.usd_per_coin, self.coins))

    def after(self, fill: OrderFilled, base: str) -> Position:
        """This position with one fill booked. Profit and cost move by the fill's dollars, to the last digit."""
        sign = Decimal(1 if fill.side is Side.BUY else -1)
        fee = Usd(_fees_in(USD, fill))
        moved = MONEY.subtract(MONEY.multiply(sign, fill.qty.coins), _fees_in(base, fill))
        paid = fill.cost.scaled(sign) + fee
        coins = MONEY.add(self.coins, moved)
        cost = self._cost_after(coins, moved, paid)
        return replace(
            self,
            coins=coins,
            cost=cost,
            realised=self.realised + cost - self.cost - paid,
            fees=self.fees + fee,
        )

    def _cost_after(self, coins: Decimal, moved: Decimal, paid: Usd) -> Usd:
        """Cost of what is held when the fill has moved so many coins for what was paid, both signed."""
        if not coins:
            return NO_USD
        if MONEY.multiply(self.coins, moved) >= 0:  # more of the same
            return self.cost + paid
        if MONEY.multiply(self.coins, coins) > 0:  # less of it: the cost shrinks in proportion
            return _share(self.cost, coins, self.coins)
        return _share(paid, coins, moved)  # through zero: what is left over was opened by this fill


def _share(whole: Usd, part: Decimal, of: Decimal) -> Usd:
    share = MONEY.divide(MONEY.multiply(whole.amount, part), of)
    return Usd(share.quantize(_COST_STEP, ROUND_HALF_EVEN, MONEY))


def _fees_in(asset: str, fill: OrderFilled) -> Decimal:
    return reduce(MONEY.add, (fee.amount for fee in fill.fees if fee.asset == asset), ZERO)


def moves_of(fill: OrderFilled) -> dict[str, Decimal]:
    """By how much a fill moves each asset, fees included; nothing where its pair has no name that tells its assets.

    Such a pair is not ours: what it moved is told by the rows of the venue's ledger.
    """
    base, slash, quote = (fill.symbol or fill.name).partition("/")
    if not slash:
        return {}
    sign = Decimal(1 if fill.side is Side.BUY else -1)
    moves = {base: MONEY.multiply(sign, fill.qty.coins)}
    for asset, amount in ((quote, MONEY.multiply(sign, fill.cost.amount)), *((f.asset, f.amount) for f in fill.fees)):
        moves[asset] = MONEY.subtract(moves.get(asset, ZERO), amount)
    return moves


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
        for asset, amount in moves_of(fill).items():
            self._move(asset, amount)
        if fill.symbol is not None:
            key = (fill.strategy or EXTERNAL, fill.symbol)
            base = fill.symbol.partition("/")[0]
            self.positions[key] = self.positions.get(key, Position(*key)).after(fill, base)

    def book_entry(self, entry: LedgerEntryBooked) -> None:
        """Move a balance by a row of the venue's ledger; no position moves, for nobody traded."""
        self._move(entry.asset, entry.moved)

    def accept(self, accepted: DifferenceAccepted) -> None:
        """Move a balance by what a person took for right and the venue's ledger did not tell."""
        self._move(accepted.asset, accepted.amount)

    def _move(self, asset: str, amount: Decimal) -> None:
        self.balances[asset] = MONEY.add(self.balances.get(asset, ZERO), amount)

    def balance(self, asset: str) -> Decimal:
        """Total of an asset; zero where it was never seen."""
        return self.balances.get(asset, ZERO)

    def position(self, strategy: str, symbol: Symbol) -> Position:
        """A strategy's position, empty where it has none."""
        return self.positions.get((strategy, symbol), Position(strategy, symbol))
