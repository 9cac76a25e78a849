"""Both decoders under hypothesis, which draws the wounds, and shrinks what breaks the claim (see `client`, `sandbox`).

`make ci` and `make fuzz` run the same targets from plain seeds, many times as long.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import campaign
from tests.fuzz.campaign import TARGETS, run_many, run_one
from tests.fuzz.tally import Tally


@pytest.mark.parametrize("target", TARGETS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(chance=st.randoms(use_true_random=False))
def test_nothing_hostile_gets_through(target: str, chance: Random) -> None:
    TARGETS[target](chance, Tally())


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_hostile_of_the_first_seed_gets_through(target: str) -> None:
    failure = run_many(target, 1, 400, Tally())

    assert failure is None, str(failure)


def test_a_failure_names_its_seed_its_bytes_and_its_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_at_a_zero(chance: Random, tally: Tally) -> None:
        payload = tally.offer("frame", b"%d" % chance.randrange(20))
        assert payload != b"0", "a zero"

    monkeypatch.setitem(campaign.TARGETS, "frames", breaks_at_a_zero)
    failure = run_many("frames", 5, 10_000, Tally())

    assert failure is not None
    assert failure.offered == (("frame", b"0"),)
    assert f"python -m tests.fuzz frames --seed 5 --only {failure.number}" in str(failure)
    again = run_one("frames", 5, failure.number, Tally())
    assert again is not None
    assert again.offered == failure.offered


def test_outcomes_are_told_apart_by_kind_and_not_by_case() -> None:
    tally = Tally()
    for outcome in ("key 'a' stands twice", "key 'b' stands twice", "12 bytes, more than 10"):
        tally.ended(outcome)

    assert tally.outcomes == {"key _ stands twice": 2, "_ bytes, more than _": 1}
