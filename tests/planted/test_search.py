"""The search itself: what it copies, what it keeps, and which runs it makes."""

from __future__ import annotations

import filecmp
from pathlib import Path

from tests.planted.defect import ROOT
from tests.planted.hunt import plan_of
from tests.planted.search import SEEDS_MAX, WITNESSES, Witness, load, planted, store
from tests.planted.table import DEFECTS


def test_a_copy_bears_the_defect_and_no_other_change() -> None:
    with planted(DEFECTS["N10"]) as tree:
        changed = [
            str(path.relative_to(ROOT / "aether"))
            for path in (ROOT / "aether").rglob("*.py")
            if not filecmp.cmp(path, tree / path.relative_to(ROOT), shallow=False)
        ]
        assert changed == ["journal/sqlite.py"]
        assert "synchronous=NORMAL" in (tree / "aether/journal/sqlite.py").read_text()
    assert not tree.exists()


def test_witnesses_are_kept_in_the_order_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "witnesses.json"
    assert load(path) == {}
    found = [Witness(name, 7, ("calls", "death"), ("S1", "S2"), "S1: why", 7) for name in ("N07", "N01")]
    store({witness.defect: witness for witness in found}, path)
    assert list(load(path).values()) == found[::-1]


def test_a_run_has_faults_of_the_classes_it_is_to_have_and_no_others() -> None:
    plan = plan_of(3, ["stream", "death"])
    assert plan == plan_of(3, ["stream", "death"])
    assert {part.of.fault_class for part in plan.parts} == {"stream", "death"}
    assert all(fault.at_ns < plan.quiet_ns < plan.length_ns for fault in plan.faults)


def test_each_witness_is_of_a_defect_and_was_found_within_the_bound() -> None:
    for name, witness in load(WITNESSES).items():
        assert witness.heavy == DEFECTS[name].heavy
        assert witness.rules
        assert 1 <= witness.tried <= SEEDS_MAX
