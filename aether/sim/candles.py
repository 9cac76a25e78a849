"""Candles of a replayed market, at once and for any interval: from recorded hours, and inside one from its trades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from aether.domain.values import NANOS_PER_S
from aether.sim.replay import Replay

CANDLES_SERVED = 720  # Kraken docs, Get OHLC Data: up to 720 entries


class Candle(NamedTuple):
    """A row as Kraken's OHLC: `open_s` in seconds UTC, prices in USD, volume in coins.

    Where whole hours make the candle, `trades` counts the recorded ones and `vwap` is made of each hour's mean of high,
    low and close, for the record has none. Without trades `vwap` is 0.
    """

    open_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    trades: int


@dataclass(slots=True)
class _Part:
    """What happened in a stretch of time that lies inside one candle: ticks and lots; `value` is ticks times lots."""

    at_ns: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    value: int
    count: int

    def join(self, later: _Part) -> None:
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.value += later.value
        self.count += later.count


def candles(replay: Replay, interval_s: int, now_ns: int) -> list[Candle]:
    """Up to 720 complete candles and the running one, oldest first; those without a trade are flat (as on Kraken)."""
    interval_ns = interval_s * NANOS_PER_S
    running = now_ns // interval_ns
    parts: dict[int, _Part] = {}
    for part in _parts(replay, (running - CANDLES_SERVED) * interval_ns, now_ns, interval_ns):
        index = part.at_ns // interval_ns
        if index in parts:
            parts[index].join(part)
        else:
            parts[index] = part
    return list(_with_gaps_filled(replay, parts, running, interval_s))


def _parts(replay: Replay, from_ns: int, now_ns: int, interval_ns: int) -> Iterator[_Part]:
    for lap in replay.laps_between(from_ns, now_ns):
        hour, begin_ns, end_ns = replay.hour(lap), replay.begins_ns(lap), replay.begins_ns(lap + 1)
        if from_ns <= begin_ns and end_ns <= now_ns and begin_ns // interval_ns == (end_ns - 1) // interval_ns:
            value = (hour.high + hour.low + hour.close) * hour.volume // 3
            yield _Part(begin_ns, hour.open, hour.high, hour.low, hour.close, hour.volume, value, hour.trades)
            continue
        for at_ns, trade in replay.trades(lap):
            if from_ns <= at_ns <= now_ns:
                ticks, lots = trade.ticks, trade.lots
                yield _Part(at_ns, ticks, ticks, ticks, ticks, lots, ticks * lots, 1)


def _with_gaps_filled(replay: Replay, parts: dict[int, _Part], running: int, interval_s: int) -> Iterator[Candle]:
    if not parts:
        return
    rules = replay.rules

    def usd(ticks: int) -> Decimal:
        return Decimal(ticks).scaleb(-rules.price_decimals)

    close = next(iter(parts.values())).open
    for index in range(min(parts), running + 1):
        part = parts.get(index) or _Part(0, close, close, close, close, 0, 0, 0)
        close = part.close
        vwap = usd(part.value // part.lots) if part.lots else Decimal(0)
        volume = Decimal(part.lots).scaleb(-rules.qty_decimals)
        yield Candle(
            index * interval_s, usd(part.open), usd(part.high), usd(part.low), usd(close), vwap, volume, part.count
        )
