"""A strategy that loops is interrupted, the loop turns on, and no ring comes late."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from aether.core.strategies.trend import trend_signal
from aether.domain.errors import StrategyOverran
from aether.domain.facts import OrderSubmitted, StrategyPaused
from aether.runtime.thinking_time import ThinkingTime


@pytest.fixture
def guard() -> Iterator[ThinkingTime]:
    with ThinkingTime(0.02) as opened:
        yield opened


def for_ever() -> None:
    while True:
        pass


def deaf() -> None:
    """Takes whatever comes for an error of its own."""
    while True:
        try:
            for_ever()
        except Exception:  # noqa: BLE001 - so do strategies
            continue


def very_deaf() -> str:
    try:
        for_ever()
    except BaseException:  # noqa: BLE001 - the worst that a strategy can do
        for_ever()
    return "never"


@pytest.mark.parametrize("strategy", [for_ever, deaf, very_deaf])
def test_h10_one_that_loops_is_interrupted_whatever_it_swallows(guard: ThinkingTime, strategy: Any) -> None:
    with pytest.raises(StrategyOverran):
        guard(strategy)


def test_an_answer_and_an_error_pass(guard: ThinkingTime) -> None:
    assert guard(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        guard(lambda: 1 // 0)


def test_a_ring_that_comes_after_the_answer_finds_nobody(guard: ThinkingTime) -> None:
    guard(lambda: 7)
    signal.raise_signal(signal.SIGPROF)

    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


class RingsAtTheEnd(ThinkingTime):
    """Rings once more at the worst moment: the answer is there, and the guard has not noted it yet."""

    has_rung = False
    was_thinking = False

    @property
    def _is_thinking(self) -> bool:
        return self.was_thinking

    @_is_thinking.setter
    def _is_thinking(self, value: bool) -> None:
        if self.was_thinking and not value and not self.has_rung:
            self.has_rung = True
            signal.raise_signal(signal.SIGPROF)
        self.was_thinking = value


def test_a_ring_in_the_midst_of_the_end_is_the_last_one() -> None:
    with RingsAtTheEnd(60) as guard:
        with pytest.raises(StrategyOverran):
            guard(lambda: 7)

        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
        signal.raise_signal(signal.SIGPROF)


def test_when_it_closes_the_signal_is_whose_it_was() -> None:
    before = signal.getsignal(signal.SIGPROF)
    with ThinkingTime():
        assert signal.getsignal(signal.SIGPROF) != before

    assert signal.getsignal(signal.SIGPROF) == before


def test_h10_the_core_pauses_the_one_that_loops_and_the_other_goes_on(
    guard: ThinkingTime, new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looping(closes: Any, parameters: Any, now_bps: int) -> Any:
        return for_ever() if parameters.id == "trend" else trend_signal(closes, parameters, now_bps)

    monkeypatch.setattr("aether.core.deciding.trend_signal", looping)
    desk = new_desk(make.policy(trends=(make.trend(), make.trend(id="twin"))))
    desk.engine.guard = guard
    desk.start()
    desk.take(make.book())
    desk.tick()

    assert [fact.strategy for fact in desk.said(StrategyPaused)] == ["trend"]
    assert desk.said(StrategyPaused)[0].why.startswith("StrategyOverran: no answer after")
    assert [fact.strategy for fact in desk.said(OrderSubmitted)] == ["twin"]
