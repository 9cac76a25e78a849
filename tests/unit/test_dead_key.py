"""A key that Kraken no longer takes halts trading, wherever the core hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from aether.domain.facts import TradingHalted
from aether.domain.inputs import AccountUnavailable, Input, PrivateStreamLost


@pytest.mark.parametrize("kind", [AccountUnavailable, PrivateStreamLost])
def test_a_dead_key_halts_everything_once_and_in_kraken_s_words(desk: Any, kind: Any) -> None:
    desk.start()
    for _ in range(2):
        desk.take(kind("venue_auth: EAPI:Invalid key", "venue_auth"), after_s=1)

    (halted,) = [numbered.fact for numbered in desk.facts if isinstance(numbered.fact, TradingHalted)]
    assert (halted.scope, halted.code, halted.reason) == ("all", "halt_auth", "venue_auth: EAPI:Invalid key")


@pytest.mark.parametrize("told", [AccountUnavailable("503"), PrivateStreamLost("gap")])
def test_a_venue_that_is_not_reached_halts_nothing(desk: Any, told: Input) -> None:
    desk.start()
    desk.take(told)

    assert not [numbered for numbered in desk.facts if isinstance(numbered.fact, TradingHalted)]
