"""Power cuts at the disk operations of sixty orders: no acknowledged fact is lost, whatever else is."""

from __future__ import annotations

import os

import pytest

from aether.sim import disk_vfs
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.medium import Loss
from tests.crash_points.points import ORDERS_MAX, Point, Tally, changes_of, drawn, points_of, script_of, try_points

# `make ci` cuts at every change of the disk, `make test` at each that makes the file and puts it into WAL mode, and at
# some of the others.
MAKING = 40
EVERY = 1 if os.environ.get("TEST_PROFILE") == "ci" else 149
AT_ONCE = 20
SIXTY_ORDERS = 5  # the seed of a script that has so many


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("strict", [False, True])
def test_no_power_cut_takes_what_was_acknowledged_g04_g05_s30_s31(*, strict: bool) -> None:
    """G09, too: the making of the file, which is its one migration so far, is cut at each of its operations."""
    tally, last = Tally(), changes_of(SIXTY_ORDERS, strict=strict)
    changes = [n for n in range(1, last + 1) if n <= MAKING or n % EVERY == 0]
    for first in range(0, len(changes), AT_ONCE):
        try_points(points_of(SIXTY_ORDERS, changes[first : first + AT_ONCE], strict=strict), tally)

    assert tally.lost == []
    assert len(script_of(SIXTY_ORDERS).groups) > ORDERS_MAX
    assert tally.cuts == 5 * len(changes)
    assert tally.cuts_in_recovery > tally.cuts // 4


def test_points_of_the_long_run_are_drawn_alike_every_time_and_lose_nothing() -> None:
    tally = Tally()
    points = drawn(7, 0)
    try_points(points, tally)

    assert drawn(7, 0) == points
    assert drawn(7, 1) != points
    assert [Point.from_text(str(point)) for point in points] == points
    assert (tally.cuts, tally.lost) == (len(points), [])


@pytest.mark.parametrize("strict", [False, True])
def test_a_journal_that_does_not_sync_each_commit_is_found_n10(*, strict: bool) -> None:
    tally, points = Tally(), points_of(SIXTY_ORDERS, range(60, 400, 20), strict=strict, losses=[Loss.ALL])
    try_points(points, tally, weakened="synchronous=NORMAL")

    assert len(tally.lost) > len(points) // 2
    assert "groups were acknowledged" in tally.lost[0]


def test_a_disk_whose_new_names_are_not_synced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite syncs the directory with a new log. Were it not so, even a perfect journal would lose all of its rows.
    monkeypatch.setattr(disk_vfs, "_sync_if_possible", lambda _: None)
    tally = Tally()
    try_points(points_of(SIXTY_ORDERS, range(1, 80, 4), strict=True), tally)

    assert tally.lost
