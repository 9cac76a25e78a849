from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aether.journal.reserve import RESERVE_BYTES, FileReserve, NoReserve


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db.reserve"


def test_room_is_held_in_whole_blocks_and_given_back_once(path: Path) -> None:
    reserve = FileReserve(path)
    assert reserve.is_held
    assert path.stat().st_size == RESERVE_BYTES
    assert path.stat().st_blocks * 512 >= RESERVE_BYTES
    assert path.stat().st_mode & 0o777 == 0o600

    assert reserve.give_back()
    assert not path.exists()
    assert reserve.is_spent
    assert not reserve.give_back()
    reserve.take()
    assert reserve.is_held
    assert not reserve.is_spent


def test_room_that_an_earlier_process_held_is_held_still(path: Path) -> None:
    FileReserve(path)
    before = path.stat().st_ino

    assert FileReserve(path).is_held
    assert path.stat().st_ino == before


def test_a_disk_without_room_holds_none_and_leaves_no_half(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    reserve = FileReserve(path)

    assert not reserve.is_held
    assert not path.exists()
    assert not reserve.give_back()
    assert not reserve.is_spent


@pytest.mark.parametrize(("blocks", "is_needed"), [(0, True), (511, True), (512, False)])
def test_it_is_needed_where_the_disk_has_less_room_than_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, *, is_needed: bool
) -> None:
    reserve = FileReserve(path)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=blocks, f_frsize=4096))

    assert reserve.is_needed() is is_needed


def test_a_link_in_its_place_is_not_followed_g11(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")

    assert FileReserve(path).is_held is False
    assert not (tmp_path / "elsewhere").exists()


def test_a_journal_in_memory_has_none() -> None:
    reserve = NoReserve()
    reserve.take()

    assert not reserve.is_spent
    assert not reserve.give_back()
