"""Whatever a strategy answers or raises, it alone is paused: nothing of it is written that could not be read back."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aether.core.strategies.trend import EDGE_BPS_MAX, FULL_TARGET_BPS, Signal
from aether.domain.facts import OrderSubmitted, SignalChanged, StrategyPaused
from aether.domain.values import Bps
from aether.journal.codec import decode_fact, encode_fact

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.integers(0, FULL_TARGET_BPS),
)
TEXTS = st.one_of(st.text(max_size=20), st.none(), st.integers(), st.just("\ud800"), st.just("x" * 501), st.just(b"b"))


class MuteError(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@given(NUMBERS, NUMBERS, TEXTS)
@example(math.nan, 1, "r")
@example(math.inf, 1, "r")
@example(1.5, 1, "r")
@example(target=True, edge=1, reason="r")
@example(Decimal("NaN"), 1, "r")
@example(1, 10**400, "r")
def test_h10_a_signal_is_whole_numbers_in_range_or_it_is_none(target: Any, edge: Any, reason: Any) -> None:
    try:
        signal = Signal(target, edge, reason)
    except (TypeError, ValueError, ArithmeticError):
        return
    assert type(signal.target_bps) is type(signal.edge_bps) is int
    assert 0 <= signal.target_bps <= FULL_TARGET_BPS
    assert 0 <= signal.edge_bps <= EDGE_BPS_MAX


ANSWERS = st.one_of(
    st.tuples(NUMBERS, NUMBERS, TEXTS),
    st.sampled_from([1, "sell", b"", object(), [Signal], {}, ValueError("\ud800"), MuteError(), KeyError(), 0.1]),
    st.builds(
        lambda target, edge: Signal(Bps(target), Bps(edge), "w"), st.integers(0, 10_000), st.integers(0, 100_000)
    ),
    st.none(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS)
def test_n34_no_answer_of_a_strategy_stops_the_engine_and_all_of_it_can_be_written(
    new_desk: Any, make: Any, answer: Any
) -> None:
    def nonsense(*_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return Signal(*answer) if isinstance(answer, tuple) else answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aether.core.deciding.trend_signal", nonsense)
        desk = new_desk(make.policy())
        desk.start()
        desk.take(make.book())
        for _ in range(2):
            desk.tick(after_s=1)

    for numbered in desk.facts:
        encoded = encode_fact(numbered.fact)
        assert decode_fact(encoded.kind, encoded.version, encoded.body) == numbered.fact
    is_paused = bool(desk.said(StrategyPaused))
    assert not (is_paused and (desk.said(SignalChanged) or desk.said(OrderSubmitted)))
    is_sound = answer is None or type(answer) is Signal
    if is_sound or not isinstance(answer, tuple):
        assert is_paused is not is_sound
