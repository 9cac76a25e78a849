"""Trades drawn along a candle make that candle, whatever it looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.sim.candle_path import HOUR_NS, PathTrade, draw_path
from aether.sim.recorded import RecordedHour, pair_rules, recorded_hours
from aether.sim.records import PairRules

RULES = {rules.name: rules for rules in pair_rules()}


def assert_makes(path: tuple[PathTrade, ...], hour: RecordedHour) -> None:
    prices = [trade.ticks for trade in path]
    assert (prices[0], max(prices), min(prices), prices[-1]) == (hour.open, hour.high, hour.low, hour.close)
    assert sum(trade.lots for trade in path) == hour.volume
    assert min(trade.lots for trade in path) > 0
    times = [trade.offset_ns for trade in path]
    assert times == sorted(set(times))
    assert times[0] >= 0
    assert times[-1] < HOUR_NS


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_recorded_hour_comes_out_exactly(rules: PairRules) -> None:
    for row, hour in enumerate(recorded_hours(rules)):
        path = draw_path(hour, f"1:{rules.name}:{row}")
        assert_makes(path, hour)
        assert len(path) <= 120
        assert len(path) >= min(60, hour.trades)


@st.composite
def hours(draw: st.DrawFn) -> RecordedHour:
    low = draw(st.integers(1, 10**7))
    high = low + draw(st.sampled_from((0, 1, 2, 1000)) | st.integers(0, 10**6))
    opened, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    volume = draw(st.integers(4, 200) | st.integers(4, 10**13))
    return RecordedHour(0, opened, high, low, close, volume, draw(st.integers(1, 5000)))


@given(hour=hours(), seed=st.text(max_size=5))
def test_any_possible_hour_comes_out_exactly_and_the_same_twice(hour: RecordedHour, seed: str) -> None:
    path = draw_path(hour, seed)

    assert_makes(path, hour)
    assert path == draw_path(hour, seed)


def test_a_single_lot_makes_a_flat_hour() -> None:
    (trade,) = draw_path(RecordedHour(0, 7, 7, 7, 7, 1, 1), "seed")

    assert (trade.ticks, trade.lots) == (7, 1)


def test_an_hour_with_fewer_lots_than_prices_is_impossible() -> None:
    with pytest.raises(ValueError, match="needs 4 trades"):
        draw_path(RecordedHour(0, 5, 9, 1, 6, 3, 3), "seed")
    assert_makes(draw_path(RecordedHour(0, 5, 9, 1, 6, 4, 3), "seed"), RecordedHour(0, 5, 9, 1, 6, 4, 3))
