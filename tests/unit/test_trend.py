from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.strategies.trend import Signal, trend_signal
from aether.domain.values import Bps

D = Decimal


def ramp(step: str, count: int = 40) -> list[Decimal]:
    return [D(100) * D(step) ** place for place in range(count)]


@pytest.mark.parametrize(("count", "is_enough"), [(11, False), (12, True)])
def test_a_signal_needs_three_slow_windows(make: Any, count: int, *, is_enough: bool) -> None:
    assert (trend_signal(ramp("1.01", count), make.trend(), 0) is not None) is is_enough


def test_a_steady_rise_wants_a_full_position_and_expects_the_distance_of_its_averages(make: Any) -> None:
    signal = trend_signal(ramp("1.01"), make.trend(), 0)

    assert signal is not None
    assert signal.target_bps == 10_000
    assert signal.edge_bps == 100  # lags of half a bar and of one and a half, a percent a bar
    assert signal.reason == "trend score 1.00 (averages of 2 and 4 bars)"


@pytest.mark.parametrize("closes", [ramp("0.99"), [D(100)] * 40])
def test_a_fall_or_a_flat_market_wants_nothing(make: Any, closes: list[Decimal]) -> None:
    signal = trend_signal(closes, make.trend(), 10_000)

    assert signal is not None
    assert (signal.target_bps, signal.edge_bps) == (0, 0)


def test_the_edge_is_the_share_of_the_distance_that_settings_name(make: Any) -> None:
    signal = trend_signal(ramp("1.01"), make.trend(edge_percent=30), 0)

    assert signal is not None
    assert signal.edge_bps == 30


@pytest.mark.parametrize(
    ("full_score_percent", "now_bps", "target_bps"),
    [
        (200, 0, 5000),  # a score of 1 of 2: the grid's middle
        (160, 5000, 5000),  # 6250 is half a step away: the target in force stays
        (145, 5000, 7500),  # 6900 is more than three quarters of a step away
        (160, 7500, 7500),
        (300, 7500, 2500),  # 3333 lies nearest to 2500
    ],
)
def test_the_target_moves_in_steps_with_hysteresis(
    make: Any, full_score_percent: int, now_bps: int, target_bps: int
) -> None:
    signal = trend_signal(ramp("1.01", 200), make.trend(full_score_percent=full_score_percent), now_bps)

    assert signal is not None
    assert signal.target_bps == target_bps


@pytest.mark.parametrize("step_bps", [1, 3000, 4000, 6000, 7000, 10_000])
def test_a_target_is_never_more_than_the_whole_budget(make: Any, step_bps: int) -> None:
    signal = trend_signal(ramp("1.01"), make.trend(step_bps=step_bps), 0)

    assert signal is not None
    assert 0 < signal.target_bps <= 10_000


def test_a_trend_that_is_over_wants_nothing_even_from_a_target_off_the_grid(make: Any) -> None:
    signal = trend_signal(ramp("0.99"), make.trend(step_bps=2500), 1000)  # 1000 of a grid that settings had before

    assert signal is not None
    assert signal.target_bps == 0


def test_nonsense_prices_raise_and_are_not_hidden(make: Any) -> None:
    with pytest.raises(ValueError, match=r"math domain|expected a positive"):
        trend_signal([D(0)] * 40, make.trend(), 0)


@pytest.mark.parametrize(
    ("target_bps", "edge_bps", "is_sense"),
    [(0, 0, True), (10_000, 99_999, True), (10_001, 0, False), (-1, 0, False), (0, -1, False)],
)
def test_a_signal_has_a_target_up_to_the_whole_budget_and_no_negative_edge(
    target_bps: int, edge_bps: int, *, is_sense: bool
) -> None:
    if is_sense:
        assert Signal(Bps(target_bps), Bps(edge_bps), "why").target_bps == target_bps
    else:
        with pytest.raises(ValueError, match="no signal"):
            Signal(Bps(target_bps), Bps(edge_bps), "why")
