"""What the public market has done so far: candles of every interval, the day's figures, the age of each level.

Candles begin as the crowd's history and go on with every public trade, whoever made it: REST, WebSocket and ticker
all read these, so that they never tell different stories.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from aether.domain.values import MONEY, NANOS_PER_S, ZERO
from aether.sim.records import BookSide, LevelChanged, PublicTrade

CANDLES = 721  # Kraken REST `OHLC`: the newest 720 and the running one
INTERVALS_MINUTES = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
SPREADS = 200  # Kraken REST `Spread`: about 200 rows
DAY_S = 86_400

_FINE_S = 900  # the day's figures are summed from quarter hours: 96 of them make a day

HistoryRow: TypeAlias = Sequence[int | Decimal]
"""`[open_s, open, high, low, close, vwap, volume, count]`, prices in USD, volume in coins."""

History: TypeAlias = Callable[[str, int, int], Sequence[HistoryRow]]
"""Candles of a pair at an interval in seconds up to a time in nanoseconds, oldest first, the running one last."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One interval from `open_s` on; `cost` is the sum of price times quantity."""

    open_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    cost: Decimal
    volume: Decimal
    count: int

    @property
    def vwap(self) -> Decimal:
        """Mean price by volume; 0 where nothing was traded, as Kraken writes it."""
        return MONEY.divide(self.cost, self.volume) if self.volume else ZERO

    def with_trade(self, price: Decimal, qty: Decimal) -> Candle:
        """This candle after one more trade. The first trade of an interval sets its opening price."""
        return Candle(
            self.open_s,
            self.open if self.count else price,
            max(self.high, price) if self.count else price,
            min(self.low, price) if self.count else price,
            price,
            MONEY.fma(price, qty, self.cost),
            self.volume + qty,
            self.count + 1,
        )

    def gone_on(self, later: Candle) -> Candle:
        """This candle after the trades of a later part of its interval."""
        if not self.count or not later.count:
            return later if later.count else self
        return Candle(
            self.open_s,
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            MONEY.add(self.cost, later.cost),
            self.volume + later.volume,
            self.count + later.count,
        )

    def flat_after(self, open_s: int) -> Candle:
        """A later interval in which nothing has been traded yet."""
        return Candle(open_s, self.close, self.close, self.close, self.close, ZERO, ZERO, 0)


@dataclass(frozen=True, slots=True)
class Figures:
    """A span of candles in one row: what the ticker tells of today and of the last 24 hours."""

    open: Decimal
    high: Decimal
    low: Decimal
    vwap: Decimal
    volume: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The best prices from this second on, 0 where a side was empty."""

    at_s: int
    bid: Decimal
    ask: Decimal


class CandleSeries:
    """The newest candles of one pair at one interval. Its past is made when it is first read: most never are."""

    def __init__(self, interval_s: int, past: Callable[[], Iterable[Candle]]) -> None:
        self._interval_s = interval_s
        self._past: Callable[[], Iterable[Candle]] | None = past
        self._candles: deque[Candle] = deque(maxlen=CANDLES)

    def add(self, trade: PublicTrade) -> None:
        """Fold a public trade in."""
        at_s = trade.at_ns // NANOS_PER_S
        self._roll(at_s, trade.price)
        self._candles[-1] = self._candles[-1].with_trade(trade.price, trade.qty)

    def until(self, now_s: int) -> Sequence[Candle]:
        """All candles, oldest first, the one that runs at `now_s` last; empty before the first trade ever."""
        if self._past is not None:
            past, self._past = self._past, None
            self._candles = self._joined(past())
        if self._candles:
            self._roll(now_s, self._candles[-1].close)
        return self._candles

    def _joined(self, past: Iterable[Candle]) -> deque[Candle]:
        """The past, and after it what was made since: one candle may have begun in the one and gone on in the other."""
        since, self._candles = self._candles, deque(past, maxlen=CANDLES)
        for candle in since:
            if self._candles and self._candles[-1].open_s >= candle.open_s:
                self._candles[-1] = self._candles[-1].gone_on(candle)
                continue
            if self._candles:
                self._roll(candle.open_s - 1, self._candles[-1].close)
            self._candles.append(candle)
        return self._candles

    def _roll(self, at_s: int, price: Decimal) -> None:
        open_s = at_s - at_s % self._interval_s
        if not self._candles:
            self._candles.append(Candle(open_s, price, price, price, price, ZERO, ZERO, 0))
        first_s = max(self._candles[-1].open_s + self._interval_s, open_s - CANDLES * self._interval_s)
        for next_s in range(first_s, open_s + 1, self._interval_s):
            self._candles.append(self._candles[-1].flat_after(next_s))


class MarketBoard:
    """Candles, day figures and level ages of every pair."""

    def __init__(self, history: History, pairs: Iterable[str], now_ns: int) -> None:
        self._series = {
            (pair, minutes * 60): CandleSeries(minutes * 60, partial(_past, history, pair, minutes * 60, now_ns))
            for pair in pairs
            for minutes in INTERVALS_MINUTES
        }
        self._level_s: dict[tuple[str, BookSide, Decimal], int] = {}
        self._spreads: dict[str, deque[Spread]] = {}

    def add_trade(self, trade: PublicTrade) -> None:
        """A public trade was made."""
        for minutes in INTERVALS_MINUTES:
            self._series[trade.pair, minutes * 60].add(trade)

    def change_level(self, change: LevelChanged) -> None:
        """A level of the public book changed."""
        key = (change.pair, change.side, change.price)
        if change.qty:
            self._level_s[key] = change.at_ns // NANOS_PER_S
        else:
            self._level_s.pop(key, None)

    def note_best(self, pair: str, at_s: int, bid: Decimal, ask: Decimal) -> None:
        """These are the best prices now."""
        rows = self._spreads.setdefault(pair, deque(maxlen=SPREADS))
        if not rows or (rows[-1].bid, rows[-1].ask) != (bid, ask):
            rows.append(Spread(at_s, bid, ask))

    def spreads(self, pair: str) -> Sequence[Spread]:
        """The newest changes of the best prices, oldest first."""
        return self._spreads.get(pair, ())

    def level_s(self, pair: str, side: BookSide, price: Decimal) -> int:
        """When this level last changed, seconds since 1970 UTC. Raises KeyError for a level that is not there."""
        return self._level_s[pair, side, price]

    def candles(self, pair: str, interval_minutes: int, now_ns: int) -> Sequence[Candle]:
        """Up to 720 complete candles and the running one, oldest first; intervals without a trade are flat."""
        return self._series[pair, interval_minutes * 60].until(now_ns // NANOS_PER_S)

    def today(self, pair: str, now_ns: int) -> Figures | None:
        """Figures since 00:00 UTC; None before the first trade ever."""
        now_s = now_ns // NANOS_PER_S
        return self._figures(pair, now_s - now_s % DAY_S, now_s)

    def last_day(self, pair: str, now_ns: int) -> Figures | None:
        """Figures of the last 24 hours, begun at a full quarter of an hour; None before the first trade ever."""
        now_s = now_ns // NANOS_PER_S
        return self._figures(pair, now_s - DAY_S, now_s)

    def _figures(self, pair: str, since_s: int, now_s: int) -> Figures | None:
        span = [candle for candle in self._series[pair, _FINE_S].until(now_s) if candle.open_s >= since_s]
        if not span:
            return None
        # Flat candles say nothing new about prices, but a span of nothing else still has one.
        traded = [candle for candle in span if candle.count] or span
        volume, cost = sum((candle.volume for candle in span), ZERO), sum((candle.cost for candle in span), ZERO)
        return Figures(
            open=span[0].open,
            high=max(candle.high for candle in traded),
            low=min(candle.low for candle in traded),
            vwap=MONEY.divide(cost, volume) if volume else ZERO,
            volume=volume,
            count=sum(candle.count for candle in span),
        )


def _past(history: History, pair: str, interval_s: int, now_ns: int) -> Iterable[Candle]:
    return map(_candle, history(pair, interval_s, now_ns))


def _candle(row: HistoryRow) -> Candle:
    open_s, first, high, low, last, vwap, volume, count = row
    prices = [Decimal(price) for price in (first, high, low, last)]
    cost = MONEY.multiply(Decimal(vwap), Decimal(volume))
    return Candle(int(open_s), prices[0], prices[1], prices[2], prices[3], cost, Decimal(volume), int(count))
