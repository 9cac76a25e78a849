"""Trades drawn along one recorded hour, so that its open, high, low, close and volume come out exactly.

Whole numbers throughout: ticks, lots, nanoseconds. The draw depends on its seed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from aether.domain.values import NANOS_PER_S
from aether.sim.recorded import HOUR_S, RecordedHour
from aether.sim.records import OrderSide

HOUR_NS = HOUR_S * NANOS_PER_S
_TRADES_DRAWN = (60, 120)


@dataclass(frozen=True, slots=True)
class PathTrade:
    """One trade of the crowd: nanoseconds into the recorded hour, the taker's side, ticks and lots."""

    offset_ns: int
    side: OrderSide
    ticks: int
    lots: int


def draw_path(hour: RecordedHour, seed: str) -> tuple[PathTrade, ...]:
    """Trades of one hour in order of time: 60 to 120 of them, but never more than were recorded.

    Raises ValueError where the volume has too few lots for the prices that the hour must show.
    """
    random = Random(seed)  # noqa: S311 - a made market, no secret
    count = _trade_count(hour, random)
    prices = _draw_prices(hour, count, random)
    lots = _draw_lots(hour.volume, count, random)
    sides = _draw_sides(prices, random)
    slot_ns = HOUR_NS // count
    return tuple(
        PathTrade(index * slot_ns + random.randrange(slot_ns), sides[index], prices[index], lots[index])
        for index in range(count)
    )


def _turns(hour: RecordedHour) -> list[int]:
    """Extremes which neither the first nor the last trade shows."""
    inside = []
    if hour.high > max(hour.open, hour.close):
        inside.append(hour.high)
    if hour.low < min(hour.open, hour.close):
        inside.append(hour.low)
    return inside


def _trade_count(hour: RecordedHour, random: Random) -> int:
    needed = 1 if hour.high == hour.low else 2 + len(_turns(hour))
    if hour.volume < needed:
        raise ValueError(f"{hour} needs {needed} trades of one lot at least")
    return max(needed, min(random.randint(*_TRADES_DRAWN), hour.trades, hour.volume))


def _draw_prices(hour: RecordedHour, count: int, random: Random) -> list[int]:
    """Prices from open to close that touch both extremes and never leave them."""
    turns = _turns(hour)
    random.shuffle(turns)
    places = sorted(random.sample(range(1, count - 1), len(turns))) if turns else []
    anchors = [(0, hour.open), *zip(places, turns, strict=True), (count - 1, hour.close)]
    prices = [hour.open] * count
    for (first, start), (last, end) in pairwise(anchors):
        prices[first], prices[last] = start, end
        _bridge(prices, first, last, (hour.high - hour.low) // 4, random)
    return [min(hour.high, max(hour.low, price)) for price in prices]


def _bridge(prices: list[int], first: int, last: int, swing: int, random: Random) -> None:
    """Fill the prices between two by halving: each middle is off its line by at most `swing`, which shrinks."""
    if last - first < 2:
        return
    middle = (first + last) // 2
    line = prices[first] + (prices[last] - prices[first]) * (middle - first) // (last - first)
    prices[middle] = line + random.randint(-swing, swing)
    _bridge(prices, first, middle, swing * 2 // 3, random)
    _bridge(prices, middle, last, swing * 2 // 3, random)


def _draw_lots(volume: int, count: int, random: Random) -> list[int]:
    """Quantities of at least one lot, few large and many small, that add up to the volume."""
    weights = [random.randint(1, 1000) ** 3 for _ in range(count)]
    total = sum(weights)
    spread = volume - count
    lots = [1 + spread * weight // total for weight in weights]
    lots[random.randrange(count)] += volume - sum(lots)
    return lots


def _draw_sides(prices: list[int], random: Random) -> list[OrderSide]:
    """Who took: buyers lift the price, sellers press it; where it stands still, either."""
    sides: list[OrderSide] = []
    before = prices[0]
    for price in prices:
        if price != before:
            sides.append("buy" if price > before else "sell")
        else:
            sides.append("buy" if random.randrange(2) else "sell")
        before = price
    return sides
