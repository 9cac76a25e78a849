"""The words for money, size and time: exact, frozen, and with their unit in the name."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Context, Decimal
from typing import NewType, Self

# One fixed context for money. 60 digits: the longest product of two wire values (40 characters each would be refused;
# real ones have at most 20 digits) stays exact, so that sums of money never depend on a rounding we did not write.
MONEY = Context(prec=60, rounding=ROUND_HALF_EVEN)

Symbol = NewType("Symbol", str)
"""A spot USD pair that the gate admitted, in Kraken's v2 spelling (`BTC/USD`). Only `domain/spot_gate.py` makes one."""

UtcNanos = NewType("UtcNanos", int)
"""Nanoseconds since 1970 UTC."""

Bps = NewType("Bps", int)
"""Basis points: 1 = 0.01 %."""

NANOS_PER_S = 1_000_000_000
NANOS_PER_MS = 1_000_000
BPS = Decimal(10_000)
ZERO = Decimal(0)


def exact(value: Decimal, name: str) -> Decimal:
    """Refuse what is no finite decimal. Raises TypeError for another type, ValueError for NaN or infinity."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{name} takes a Decimal, was {type(value).__name__}")
    if not value.is_finite():
        raise ValueError(f"{name} must be finite, was {value}")
    return value


def plain(value: Decimal) -> str:
    """Text of a decimal without exponent, its digits as they are: `1E-8` becomes `0.00000001`."""
    return format(value, "f")


def rounded_to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """Nearest multiple of `step` in the given direction, exact in the money context."""
    _, digits, exponent = step.as_tuple()
    if digits == (1,) and isinstance(exponent, int):
        return rounded_to_decimals(value, -exponent, rounding)
    return MONEY.multiply(MONEY.divide(value, step).to_integral_value(rounding, MONEY), step)


def rounded_to_decimals(value: Decimal, decimals: int, rounding: str) -> Decimal:
    """As `rounded_to_step` for a step of 10^-decimals: moving the point takes a tenth of the time of dividing."""
    return value.scaleb(decimals, MONEY).to_integral_value(rounding, MONEY).scaleb(-decimals, MONEY)


# A decision makes some sixty amounts. Each class of them sets its one slot itself: the way of frozen dataclasses,
# through `object.__setattr__` and a call after it, takes half as long again.
@dataclass(frozen=True, slots=True, order=True, init=False)
class Usd:
    """US dollars; negative where money is owed or lost."""

    amount: Decimal

    def __init__(self, amount: Decimal) -> None:
        if type(amount) is not Decimal or not amount.is_finite():
            exact(amount, "Usd")
        _set_amount(self, amount)

    def __add__(self, other: Usd) -> Usd:
        return Usd(MONEY.add(self.amount, other.amount))

    def __sub__(self, other: Usd) -> Usd:
        return Usd(MONEY.subtract(self.amount, other.amount))

    def __neg__(self) -> Usd:
        return Usd(MONEY.minus(self.amount))

    def scaled(self, factor: Decimal) -> Usd:
        """This amount times a pure number."""
        return Usd(MONEY.multiply(self.amount, factor))

    def bps(self, bps: int) -> Usd:
        """So many basis points of this amount."""
        return Usd(MONEY.divide(MONEY.multiply(self.amount, bps), BPS))

    def rounded_down(self, decimals: int) -> Usd:
        """Towards zero, to so many decimals."""
        return Usd(rounded_to_decimals(self.amount, decimals, ROUND_DOWN))

    def rounded_up(self, decimals: int) -> Usd:
        """Away from zero, to so many decimals."""
        return Usd(rounded_to_decimals(self.amount, decimals, ROUND_UP))

    def __str__(self) -> str:
        return f"{self.amount:f}"


_set_amount = Usd.__dict__["amount"].__set__
NO_USD = Usd(ZERO)


@dataclass(frozen=True, slots=True, order=True, init=False)
class Qty:
    """Whole coins of the base asset. Never negative: the side gives the direction."""

    coins: Decimal

    def __init__(self, coins: Decimal) -> None:
        if type(coins) is not Decimal or not coins.is_finite():
            exact(coins, "Qty")
        if coins.is_signed() and coins < ZERO:  # minus zero is signed, too
            raise ValueError(f"Qty must not be negative, was {coins}")
        _set_coins(self, coins)

    def __add__(self, other: Qty) -> Qty:
        return Qty(MONEY.add(self.coins, other.coins))

    def __sub__(self, other: Qty) -> Qty:
        """Difference; raises ValueError where it would be negative."""
        return Qty(MONEY.subtract(self.coins, other.coins))

    def less(self, other: Qty) -> Qty:
        """Difference, or nothing where the other is larger."""
        return Qty(max(ZERO, MONEY.subtract(self.coins, other.coins)))

    def rounded_down(self, lot: Decimal) -> Self:
        """Nearest multiple of `lot` below: rounding never makes an order larger."""
        return type(self)(rounded_to_step(self.coins, lot, ROUND_DOWN))

    def __bool__(self) -> bool:
        return bool(self.coins)

    def __str__(self) -> str:
        return f"{self.coins:f}"


_set_coins = Qty.__dict__["coins"].__set__
NO_QTY = Qty(ZERO)


@dataclass(frozen=True, slots=True, order=True, init=False)
class Price:
    """Dollars for one coin. Always positive."""

    usd_per_coin: Decimal

    def __init__(self, usd_per_coin: Decimal) -> None:
        if type(usd_per_coin) is not Decimal or not usd_per_coin.is_finite():
            exact(usd_per_coin, "Price")
        if usd_per_coin <= ZERO:
            raise ValueError(f"Price must be positive, was {usd_per_coin}")
        _set_usd_per_coin(self, usd_per_coin)

    def times(self, qty: Qty) -> Usd:
        """Notional of so many coins, unrounded."""
        return Usd(MONEY.multiply(self.usd_per_coin, qty.coins))

    def coins_for(self, spend: Usd) -> Qty:
        """Coins that so many dollars buy, unrounded; nothing for a negative amount."""
        return Qty(max(ZERO, MONEY.divide(spend.amount, self.usd_per_coin)))

    def bps_from(self, other: Price) -> Decimal:
        """Signed distance from another price in basis points of that other price."""
        distance = MONEY.subtract(self.usd_per_coin, other.usd_per_coin)
        return MONEY.multiply(MONEY.divide(distance, other.usd_per_coin), BPS)

    def __str__(self) -> str:
        return f"{self.usd_per_coin:f}"


_set_usd_per_coin = Price.__dict__["usd_per_coin"].__set__
