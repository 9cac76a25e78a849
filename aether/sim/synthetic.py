"""A market that never was: hours of any pair drawn from a seed, with prices, volumes and habits like those of its kind.

Kraken sets the least order of a pair at about five dollars: so the first price is five dollars over `ordermin`. Prices
then walk by whole ticks, mostly a little and sometimes a lot, and are drawn back when they have gone far; a pair that
is worth less trades less often. Whole numbers throughout; the draw depends on seed and pair alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import overload

from aether.sim.recorded import HOUR_S, RecordedHour
from aether.sim.records import PairRules

HOURS = 1_440
START_ROW = 720  # so many hours lie before the present: the candles that Kraken's OHLC serves at most

_ORDER_MIN_USD = 5
_TICKS_MIN = 2_000
_MILLION = 1_000_000
_STRETCHES = (1, 1, 1, 1, 1, 2, 2, 4)  # how far an hour goes, in calm hours and wild ones
_REACH = 3  # the walk is drawn back beyond this many times its first price, or below one part in it
_TRADES_PER_HOUR = (4, 12, 40, 150, 600, 4_000)
_USD_PER_TRADE = 300


class SyntheticHours(Sequence[RecordedHour]):
    """The hours of one pair, drawn as far as they are looked at: 615 pairs would else draw for seconds at a start."""

    def __init__(self, rules: PairRules, *, seed: int) -> None:
        self._drawn = _draw(rules, Random(f"{seed}:{rules.name}:hours"))  # noqa: S311 - a made market, no secret
        self._rows: list[RecordedHour] = []

    def __len__(self) -> int:
        return HOURS

    @overload
    def __getitem__(self, index: int) -> RecordedHour: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[RecordedHour, ...]: ...

    def __getitem__(self, index: int | slice) -> RecordedHour | tuple[RecordedHour, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(HOURS)[index])
        row = range(HOURS)[index]
        while len(self._rows) <= row:
            self._rows.append(next(self._drawn))
        return self._rows[row]


def _draw(rules: PairRules, random: Random) -> Iterator[RecordedHour]:
    first = max(_TICKS_MIN, int((_ORDER_MIN_USD / rules.qty_min).scaleb(rules.price_decimals)))
    swing = random.randint(2_000, 9_000)  # millionths of the price, in a calm hour
    activity = random.choice(_TRADES_PER_HOUR) if rules.base not in ("BTC", "ETH") else _TRADES_PER_HOUR[-1]
    opened = first
    for row in range(HOURS):
        reach = opened * swing * random.choice(_STRETCHES) // _MILLION + 1
        closed = max(1, opened + random.randint(-reach, reach) + _pull(opened, first, reach))
        high = max(opened, closed) + random.randint(0, reach)
        low = max(1, min(opened, closed) - random.randint(0, reach))
        trades = max(4, activity * random.randint(50, 150) // 100)
        volume = max(4 * trades, _lots(rules, trades * _USD_PER_TRADE * random.randint(20, 300) // 100, closed))
        yield RecordedHour(row * HOUR_S, opened, high, low, closed, volume, trades)
        opened = closed


def _pull(ticks: int, first: int, reach: int) -> int:
    if ticks > first * _REACH:
        return -reach
    return reach if ticks * _REACH < first else 0


def _lots(rules: PairRules, usd: int, ticks: int) -> int:
    price = Decimal(ticks).scaleb(-rules.price_decimals)
    return int((usd / price).scaleb(rules.qty_decimals))
