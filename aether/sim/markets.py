"""Which market the made Kraken has: the recorded one, one drawn from a seed, or the user's own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aether.sim.own_history import history_files, read_hours
from aether.sim.pair_table import Row, chosen_rows
from aether.sim.recorded import RecordedHour, asset_pair_rows, recorded_hours, rules_of
from aether.sim.records import PairRules
from aether.sim.synthetic import START_ROW, SyntheticHours

_DAYS_BEFORE = 720  # hours of one's own history that are the past when it begins, as far as there are so many


@dataclass(frozen=True, slots=True)
class Market:
    """Pairs with their rows of `AssetPairs` and their hours. The hour `start_row` is the present when it opens."""

    rows: Mapping[str, Row]
    rules: Sequence[PairRules]
    hours: Mapping[str, Sequence[RecordedHour]]
    start_row: int


def recorded_market(start_row: int) -> Market:
    """The two pairs that ship."""
    rows = asset_pair_rows()
    rules = [rules_of(key, row) for key, row in rows.items()]
    return Market(rows, rules, {pair.name: recorded_hours(pair) for pair in rules}, start_row)


def synthetic_market(seed: int, pairs: str) -> Market:
    """Pairs drawn from a seed: `all`, a number of them, or names. Raises ValueError for pairs that are not there."""
    rows = chosen_rows(pairs)
    rules = [rules_of(key, row) for key, row in rows.items()]
    return Market(rows, rules, {pair.name: SyntheticHours(pair, seed=seed) for pair in rules}, START_ROW)


def own_market(directory: Path) -> Market:
    """One pair for each file of candles. Raises ValueError for a file that cannot be read or a pair that is none."""
    files = history_files(directory)
    rows = chosen_rows(",".join(files))
    rules = [rules_of(key, row) for key, row in rows.items()]
    hours = {pair.name: read_hours(path, pair) for pair, path in zip(rules, files.values(), strict=True)}
    return Market(rows, rules, hours, min(_DAYS_BEFORE, min(map(len, hours.values())) - 1))
