"""What trading costs: Kraken's schedule by volume, and the two roundings of money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_UP, Decimal

from aether.domain.values import MONEY, NANOS_PER_S

VOLUME_WINDOW_NS = 30 * 86_400 * NANOS_PER_S
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class FeeTier:
    """Rates in percent from so many USD of volume in 30 days."""

    volume_usd: Decimal
    taker_percent: Decimal
    maker_percent: Decimal


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Tiers in rising order of volume; the first begins at 0."""

    tiers: tuple[FeeTier, ...]

    def tier_index(self, volume_usd: Decimal) -> int:
        """Which tier so much volume has reached."""
        reached = 0
        for index, tier in enumerate(self.tiers):
            if volume_usd >= tier.volume_usd:
                reached = index
        return reached

    def rates(self, volume_usd: Decimal) -> tuple[Decimal, Decimal]:
        """`(taker_percent, maker_percent)` at this volume."""
        tier = self.tiers[self.tier_index(volume_usd)]
        return tier.taker_percent, tier.maker_percent


def schedule_of(fees: Sequence[Sequence[int | Decimal]], fees_maker: Sequence[Sequence[int | Decimal]]) -> FeeSchedule:
    """The schedule of a pair by the two arrays of its `AssetPairs` row; the usual one where they are empty.

    Kraken has three groups: most pairs, those whose makers pay 0.02 % less, and pegged coins (AssetPairs of
    2026-01-12); since 2026-09 the arrays are empty on every pair.
    """
    if not fees or not fees_maker:
        return KRAKEN_FEES
    volumes = sorted({Decimal(volume) for volume, _ in (*fees, *fees_maker)})
    return FeeSchedule(tuple(FeeTier(volume, _rate(fees, volume), _rate(fees_maker, volume)) for volume in volumes))


def _rate(rows: Sequence[Sequence[int | Decimal]], volume_usd: Decimal) -> Decimal:
    """The percent of the last row that so much volume has reached."""
    return [Decimal(percent) for volume, percent in rows if volume_usd >= volume][-1]


def _schedule(*rows: tuple[str, str, str]) -> FeeSchedule:
    return FeeSchedule(tuple(FeeTier(Decimal(volume), Decimal(taker), Decimal(maker)) for volume, taker, maker in rows))


# `fees` and `fees_maker` of BTC/USD in Kraken's AssetPairs of 2026-01-12 (data/pairs.json).
KRAKEN_FEES = _schedule(
    ("0", "0.40", "0.25"),
    ("10000", "0.35", "0.20"),
    ("50000", "0.24", "0.14"),
    ("100000", "0.22", "0.12"),
    ("250000", "0.20", "0.10"),
    ("500000", "0.18", "0.08"),
    ("1000000", "0.16", "0.06"),
    ("2500000", "0.14", "0.04"),
    ("5000000", "0.12", "0.02"),
    ("10000000", "0.10", "0.00"),
    ("100000000", "0.08", "0.00"),
    ("500000000", "0.05", "0.00"),
)


def cost_of(price: Decimal, qty: Decimal, decimals: int) -> Decimal:
    """What a fill costs in quote, rounded down: the parts of an order never cost more than the whole."""
    return MONEY.multiply(price, qty).quantize(Decimal(1).scaleb(-decimals), ROUND_DOWN, MONEY)


def fee_of(cost: Decimal, percent: Decimal, decimals: int) -> Decimal:
    """The fee of a cost, rounded up; a rebate, which is a fee below zero, is rounded towards less of it."""
    exact = MONEY.divide(MONEY.multiply(cost, percent), _HUNDRED)
    return exact.quantize(Decimal(1).scaleb(-decimals), ROUND_CEILING, MONEY)


def most_of(price: Decimal, qty: Decimal, percent: Decimal, decimals: int) -> Decimal:
    """The most that buying so much can take in quote: cost and fee, both rounded up."""
    cost = MONEY.multiply(price, qty).quantize(Decimal(1).scaleb(-decimals), ROUND_UP, MONEY)
    return MONEY.add(cost, fee_of(cost, percent, decimals))
