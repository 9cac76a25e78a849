"""Ten seeds of the fault simulator, each a quarter of an hour of the whole daemon's life with its drawn faults.

Of what breaks here `aether simulate --replay SEED --hours 0.25` shows it again.
"""

from __future__ import annotations

import pytest

from aether.simulator.campaign import run_one

SECONDS = 900


@pytest.mark.parametrize("seed", range(1, 11))
def test_nothing_breaks_whatever_goes_wrong(seed: int) -> None:
    outcome = run_one(seed, SECONDS)
    assert outcome.violations == ()
    assert outcome.boots > 0
