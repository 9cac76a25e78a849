"""Trend following: the distance of two exponential averages, measured in volatilities (R. Carver's EWMAC, long only).

The score is (fast average - slow average) of log prices over the standard deviation of one bar's return. It is zero in
a sideways market and grows with a steady rise; `full_score_percent` of it is a full position. The target moves in
steps, with hysteresis, so that noise does not trade. The volatility target itself is the sizer's: it turns a target
into dollars by a risk budget over measured volatility.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from aether.core.policy import TrendParameters
from aether.domain.values import Bps

FULL_TARGET_BPS = 10_000
EDGE_BPS_MAX = 100_000  # ten times the price: who expects more has lost its mind
REASON_LENGTH_MAX = 500
SLOW_WINDOWS = 3  # of closes before the first word: by then the slow average has forgotten where it began


@dataclass(frozen=True, slots=True)
class Signal:
    """What a strategy wants: a target (0 to 10 000 basis points of its risk budget), the edge it expects, and why.

    Raises TypeError where a number is no whole one or the reason no text, ValueError where the target is outside that
    range, the edge negative or beyond EDGE_BPS_MAX, or the reason too long or not to be written.
    """

    target_bps: Bps
    edge_bps: Bps
    reason: str

    def __post_init__(self) -> None:
        if type(self.target_bps) is not int or type(self.edge_bps) is not int or type(self.reason) is not str:
            raise TypeError("a signal is two whole numbers and a text")
        if len(self.reason) > REASON_LENGTH_MAX:
            raise ValueError(f"a reason of {len(self.reason)} characters")
        self.reason.encode()  # a lone surrogate could not be written
        if not (0 <= self.target_bps <= FULL_TARGET_BPS and 0 <= self.edge_bps <= EDGE_BPS_MAX):
            raise ValueError(f"target of {self.target_bps} bps with an edge of {self.edge_bps} bps is no signal")


def trend_signal(closes: Sequence[Decimal], parameters: TrendParameters, target_now_bps: int) -> Signal | None:
    """Signal of the trend on complete bars, oldest first; None with fewer than three slow windows of them.

    `target_now_bps` is the target in force, for the hysteresis. Floats stay inside; what leaves is whole basis points.

    Example:
        A steady rise of 10 bps a bar with 20 bps of noise, windows 12 and 48 -> score near 9, target 10 000.
    """
    if len(closes) < SLOW_WINDOWS * parameters.slow_bars:
        return None
    logs = [math.log(close) for close in closes]
    spread = _exponential_average(logs, parameters.fast_bars) - _exponential_average(logs, parameters.slow_bars)
    deviation = _bar_deviation(logs[-parameters.slow_bars - 1 :])
    score = spread / deviation if deviation > 0 else 0.0
    raw_bps = max(0.0, min(10_000.0, 1_000_000.0 * score / parameters.full_score_percent))
    target_bps = _stepped(raw_bps, target_now_bps, parameters.step_bps)
    edge_bps = round(max(0.0, spread * 10_000 * parameters.edge_percent / 100))
    reason = f"trend score {score:.2f} (averages of {parameters.fast_bars} and {parameters.slow_bars} bars)"
    return Signal(Bps(target_bps), Bps(edge_bps), reason)


def _exponential_average(values: Sequence[float], span: int) -> float:
    weight = 2.0 / (span + 1)
    average = values[0]
    for value in values:
        average += weight * (value - average)
    return average


def _bar_deviation(logs: Sequence[float]) -> float:
    returns = [later - earlier for earlier, later in pairwise(logs)]
    return math.sqrt(math.fsum(value * value for value in returns) / len(returns))


def _stepped(raw_bps: float, now_bps: int, step_bps: int) -> int:
    if raw_bps == 0:
        return 0  # a trend that is over keeps nothing, whatever grid the target in force was made on
    nearest = min(10_000, round(raw_bps / step_bps) * step_bps)
    return nearest if abs(raw_bps - now_bps) > step_bps * 0.75 else now_bps
