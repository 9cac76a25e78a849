"""Prices that a client gives as such, as so many dollars off another price, or as so many percent off it, in ticks."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from aether.domain.values import MONEY
from aether.sim.pair_market import PairMarket
from aether.sim.records import ExchangeRefusal, PriceType

_HUNDRED = Decimal(100)
_WHOLE = Decimal(1)


def static_ticks(market: PairMarket, price: Decimal) -> int:
    """A price in ticks. Raises ExchangeRefusal for one that is not above zero or off the tick."""
    if price <= 0:
        raise ExchangeRefusal("EOrder:Invalid price")
    ticks = market.ticks(price)
    if ticks is None:
        raise ExchangeRefusal("EOrder:Tick size check failed")
    return ticks


def offset_ticks(market: PairMarket, offset: Decimal, price_type: PriceType, base_ticks: int) -> int:
    """How far from `base_ticks` an offset leads, to the nearest tick (Kraken names no rounding)."""
    dollars = offset
    if price_type == "pct":
        dollars = MONEY.divide(MONEY.multiply(market.price(base_ticks), offset), _HUNDRED)
    scaled = MONEY.scaleb(dollars, market.rules.price_decimals)
    return int(scaled.quantize(_WHOLE, ROUND_HALF_EVEN, MONEY))


def price_ticks(market: PairMarket, price: Decimal, price_type: PriceType, base_ticks: int | None) -> int:
    """A price of any type in ticks. Raises ExchangeRefusal, also for an offset where there is nothing to count from."""
    if price_type == "static":
        return static_ticks(market, price)
    if base_ticks is None:
        raise ExchangeRefusal("EOrder:Invalid price")
    ticks = base_ticks + offset_ticks(market, price, price_type, base_ticks)
    if ticks <= 0:
        raise ExchangeRefusal("EOrder:Invalid price")
    return ticks


def trailing_ticks(market: PairMarket, offset: Decimal, price_type: PriceType, peak_ticks: int) -> int:
    """How far a trailing trigger stays behind its peak: at least one tick, or it would act at once."""
    return max(1, offset_ticks(market, offset, price_type, peak_ticks))
