"""Faults are counted by kind, by class and by the rows of the fault model that they show."""

from __future__ import annotations

import pytest

from aether.simulator.faults.tally import Tally, joined
from aether.simulator.plan import Fault


def test_a_fault_counts_for_its_class_and_for_every_row_it_shows() -> None:
    tally = Tally()
    tally.struck("kill")
    tally.struck("power_loss")
    tally.struck("deposit")

    assert tally.classes() == {"death": 2, "others": 1}
    assert tally.rows == {"G04": 1, "H04": 2, "H09": 1, "G05": 1, "E08": 1}


def test_a_row_that_was_seen_by_coincidence_counts_too() -> None:
    tally = Tally()
    tally.saw("A07", "A16")

    assert tally.rows == {"A07": 1, "A16": 1}
    assert tally.classes() == {}


def test_tables_of_acts_are_joined_and_no_kind_has_two() -> None:
    def act(_: Fault) -> bool:
        return True

    assert joined([{"kill": act}, {"deposit": act}]) == {"kill": act, "deposit": act}
    with pytest.raises(AssertionError, match="kill"):
        joined([{"kill": act}, {"kill": act}])
