"""What an order got at the venue beside what the same order got on a made Kraken: the difference, by order and by day.

Of the coins that both sides filled, prices are compared, in basis points of the made side's dollars: above zero the
venue was the worse one. Coins that one side alone filled are told apart, in dollars. Fees are no part of it: the
account's own are known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from aether.domain.instruments import Side
from aether.domain.values import BPS, MONEY, NANOS_PER_S, ZERO, Symbol

HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Filled:
    """So many coins for so many dollars, fees not counted."""

    coins: Decimal = ZERO
    usd: Decimal = ZERO

    def plus(self, coins: Decimal, usd: Decimal) -> Filled:
        """With one more fill."""
        return Filled(MONEY.add(self.coins, coins), MONEY.add(self.usd, usd))

    def part_usd(self, coins: Decimal) -> Decimal:
        """What these coins of it cost, at its average price."""
        return MONEY.divide(MONEY.multiply(self.usd, coins), self.coins) if self.coins else ZERO


NOTHING = Filled()


@dataclass(frozen=True, slots=True)
class Compared:
    """One order on both sides, over on both at `at_ns` (UTC)."""

    cl_ord_id: str
    symbol: Symbol
    side: Side
    at_ns: int
    real: Filled
    made: Filled

    @property
    def day(self) -> str:
        """The UTC day it counts for, as 2026-07-19."""
        return datetime.fromtimestamp(self.at_ns // NANOS_PER_S, UTC).date().isoformat()

    @property
    def matched_usd(self) -> Decimal:
        """Dollars, on the made side, of the coins that both filled."""
        return self.made.part_usd(self._matched_coins)

    @property
    def worse_usd(self) -> Decimal:
        """Dollars by which the venue's price was the worse one for those coins; below zero where it was better."""
        more = MONEY.subtract(self.real.part_usd(self._matched_coins), self.matched_usd)
        return more if self.side is Side.BUY else more.copy_negate()

    @property
    def unmatched_usd(self) -> Decimal:
        """Dollars of what one side alone filled."""
        coins = self._matched_coins
        real, made = (MONEY.subtract(side.usd, side.part_usd(coins)) for side in (self.real, self.made))
        return MONEY.add(real, made)

    @property
    def divergence_bps(self) -> Decimal | None:
        """The difference in price, rounded to hundredths; None where nothing was filled on both sides."""
        return in_bps(self.worse_usd, self.matched_usd)

    @property
    def _matched_coins(self) -> Decimal:
        return min(self.real.coins, self.made.coins)


@dataclass(frozen=True, slots=True)
class DayDivergence:
    """A UTC day's orders together; `divergence_bps` weighs them by their dollars, None where none was matched."""

    day: str
    orders: int = 0
    matched_usd: Decimal = ZERO
    worse_usd: Decimal = ZERO
    unmatched_usd: Decimal = ZERO
    divergence_bps: Decimal | None = None

    def plus(self, compared: Compared) -> DayDivergence:
        """With one more order of that day."""
        matched = MONEY.add(self.matched_usd, compared.matched_usd)
        worse = MONEY.add(self.worse_usd, compared.worse_usd)
        unmatched = MONEY.add(self.unmatched_usd, compared.unmatched_usd)
        return DayDivergence(self.day, self.orders + 1, matched, worse, unmatched, in_bps(worse, matched))


def in_bps(worse_usd: Decimal, matched_usd: Decimal) -> Decimal | None:
    """Basis points, rounded to hundredths; None of nothing."""
    if not matched_usd:
        return None
    share = MONEY.divide(MONEY.multiply(worse_usd, BPS), matched_usd)
    return share.quantize(HUNDREDTH, ROUND_HALF_EVEN, MONEY)
