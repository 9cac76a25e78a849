"""Client order ids tell whose they are, and what an id was is known for good though few are kept."""

from __future__ import annotations

import pytest

from aether.core.order_ids import IDS_KEPT_NS, RUNS_KEPT, Mark, OwnIds, base36, read_mark
from aether.domain.errors import InvariantBroken

T0 = 1_790_000_000_000_000_007


def begun(*runs: int, at_ns: int = T0) -> OwnIds:
    ids = OwnIds()
    for run in runs:
        ids.begin_run(run, "abcd", at_ns + run)
    return ids


def test_a_number_is_padded_and_refused_where_it_does_not_fit() -> None:
    assert (base36(0, 4), base36(35, 2), base36(36, 2)) == ("0000", "0z", "10")
    assert base36(36**4 - 1, 4) == "zzzz"
    with pytest.raises(InvariantBroken, match="longer than 4"):
        base36(36**4, 4)


def test_an_id_has_18_characters_and_tells_journal_run_and_fact() -> None:
    ids = begun(36 * 36)
    name = ids.make(36 * 36, 2)
    assert len(name) == 18
    assert read_mark(name) == Mark("abcd", 36 * 36, ids.runs[36 * 36], 2)


def test_an_id_from_before_the_twin_digits_is_read_too() -> None:
    assert read_mark("aeabcd0001000000m") == Mark("abcd", 1, "", 22)


@pytest.mark.parametrize("name", [None, "", "aeabcd", "beabcd00010000001", "aeabcd00010000001234", "aeabcd----0000001"])
def test_other_names_bear_no_mark(name: str | None) -> None:
    assert read_mark(name) is None


def made(ids: OwnIds, name: str) -> bool:
    mark = read_mark(name)
    assert mark is not None
    return ids.made(name, mark)


def test_h03_two_runs_of_one_epoch_make_different_ids_and_neither_takes_the_others_for_its_own() -> None:
    ours, theirs = begun(1, 2), begun(1, 2, at_ns=T0 + 5)
    name = theirs.make(2, 10)
    assert name != ours.make(2, 10)
    ours.forgotten_seq = 100
    assert not made(ours, name)
    assert made(ours, ours.make(2, 10))


def test_h03_an_id_of_an_epoch_that_never_was_is_not_ours() -> None:
    ids = begun(1)
    ids.forgotten_seq = 1_000
    assert not made(ids, "aeabcd0002000000m")


def test_an_id_is_never_used_twice() -> None:
    ids = begun(1)
    ids.add("aeabcd00010000001", T0)
    with pytest.raises(InvariantBroken, match="used twice"):
        ids.add("aeabcd00010000001", T0)


def test_s35_ids_that_no_view_shows_any_more_are_known_by_their_number_alone() -> None:
    ids = begun(1)
    old, young = ids.make(1, 5), ids.make(1, 9)
    ids.add(old, T0)
    ids.add(young, T0 + IDS_KEPT_NS + 1)
    assert list(ids.kept) == [young]
    assert made(ids, old)
    assert made(ids, young)
    assert not made(ids, ids.make(1, 8)), "a fact that was no order, or one of a copy: it is later than what was let go"


def test_s35_runs_are_let_go_and_their_ids_stay_ours() -> None:
    ids = begun(*range(1, RUNS_KEPT + 2))
    ids.forgotten_seq = 50
    assert len(ids.runs) == RUNS_KEPT
    assert made(ids, "aeabcd0001zz000009")
    assert not made(ids, ids.make(RUNS_KEPT + 5, 9))
