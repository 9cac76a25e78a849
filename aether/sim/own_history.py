"""The user's own history: files of candles as Kraken's historical downloads have them, one for each pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from aether.domain.values import rounded_to_step
from aether.sim.recorded import HOUR_S, RecordedHour
from aether.sim.records import PairRules

_NAME = re.compile(r"(?P<pair>[A-Za-z0-9.-]+?)(_(?P<minutes>1|5|15|30|60))?\.csv")
_TRADES_UNKNOWN = 60
_FIELDS_MIN = 6


class _Candle(NamedTuple):
    at_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


def history_files(directory: Path) -> dict[str, Path]:
    """Files of candles by the pair in their names (`XBTUSD_60.csv`, `XBTUSD.csv`), longest candles first.

    Raises ValueError where there are none.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(directory.glob("*.csv")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        minutes = int(named["minutes"] or 60)
        if named["pair"] not in found or minutes > found[named["pair"]][0]:
            found[named["pair"]] = (minutes, path)
    if not found:
        raise ValueError(f"{directory} has no file such as XBTUSD_60.csv, of candles of an hour or less")
    return {pair: path for pair, (_, path) in found.items()}


def read_hours(path: Path, rules: PairRules) -> tuple[RecordedHour, ...]:
    """Hours out of lines `time,open,high,low,close,volume[,trades]`; shorter candles are joined to hours.

    Prices are rounded to the pair's tick and volumes to its lot. Raises ValueError naming the line.
    """
    with path.open(encoding="ascii", errors="replace") as lines:
        candles = list(_candles(path, lines))
    if not candles:
        raise ValueError(f"{path} holds no candle")
    hours = [
        _joined(rules, hour, list(inside)) for hour, inside in groupby(candles, lambda candle: candle.at_s // HOUR_S)
    ]
    if any(later.open_s <= sooner.open_s for sooner, later in pairwise(hours)):
        raise ValueError(f"{path}: its times do not rise")
    return tuple(hours)


def _candles(path: Path, lines: Iterable[str]) -> Iterator[_Candle]:
    for number, line in enumerate(lines, 1):
        fields = line.strip().split(",")
        if fields == [""] or (number == 1 and not fields[0].isdigit()):
            continue  # an empty line, or the names of the columns
        try:
            opened, high, low, close, volume = (Decimal(text) for text in fields[1:6])
            trades = int(fields[6]) if len(fields) > _FIELDS_MIN else _TRADES_UNKNOWN
            candle = _Candle(int(fields[0]), opened, high, low, close, volume, trades)
        except (ValueError, InvalidOperation) as error:
            raise ValueError(f"{path}:{number} is no candle: time,open,high,low,close,volume[,trades]") from error
        if not all(value.is_finite() for value in (opened, high, low, close, volume)):
            raise ValueError(f"{path}:{number} has a value that is no number")
        if not 0 < low <= min(opened, close) <= max(opened, close) <= high or volume < 0:
            raise ValueError(
                f"{path}:{number}: its prices are not between its low and its high, or its volume is below 0"
            )
        yield candle


def _joined(rules: PairRules, hour: int, candles: list[_Candle]) -> RecordedHour:
    def ticks(price: Decimal) -> int:
        step = Decimal(1).scaleb(-rules.price_decimals)
        return max(1, int(rounded_to_step(price, step, ROUND_HALF_EVEN).scaleb(rules.price_decimals)))

    lots = int(sum((candle.volume for candle in candles), Decimal(0)).scaleb(rules.qty_decimals))
    return RecordedHour(
        hour * HOUR_S,
        ticks(candles[0].open),
        ticks(max(candle.high for candle in candles)),
        ticks(min(candle.low for candle in candles)),
        ticks(candles[-1].close),
        max(4, lots),  # an hour without trades still shows its four prices
        max(4, sum(candle.trades for candle in candles)),
    )
