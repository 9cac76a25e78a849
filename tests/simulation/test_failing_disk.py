"""The real journal on a made disk that fails: it stops at the first failure, and the next life has all it promised."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from random import Random
from typing import Any, TypeVar

import pytest

from aether.domain.errors import JournalBroken
from aether.domain.facts import Numbered, OrderAccepted
from aether.domain.values import UtcNanos
from aether.journal.audit import verify_open
from aether.journal.reserve import RESERVE_BYTES, Reserve
from aether.journal.sqlite import SqliteJournal, open_database
from aether.sim.disk import Disk, Fault, Operation
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.medium import Loss
from aether.sim.virtual_time import VirtualTimeLoop, inline_sqlite

BORN = UtcNanos(1_790_000_000_000_000_000)
NAME = "journal.db"
WAL = "journal.db-wal"

T = TypeVar("T")
Life = Callable[[SqliteJournal], Coroutine[Any, Any, T]]


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as error:
        pytest.skip(str(error))


def lived(disk: Disk, life: Life[T], *, reserve: Reserve | None = None, log_bytes_max: int = 60_000) -> T:
    """What a life of the journal on this disk gives."""

    async def live() -> T:
        async with open_database(
            disk.uri(NAME),
            account="made",
            tag="test",
            created_ns=BORN,
            reserve=reserve,
            log_bytes_max=log_bytes_max,
        ) as journal:
            return await life(journal)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, inline_sqlite(Random(1)):
        return runner.run(live())


def facts(first: int, last: int) -> list[Numbered]:
    return [Numbered(seq, 1, BORN, seq, OrderAccepted(f"c-{seq}", f"O-{seq}")) for seq in range(first, last + 1)]


async def whole(journal: SqliteJournal) -> int:
    """How many rows there are, all of them good."""
    report = await verify_open(journal)
    assert report.ok, report.why
    return report.rows


def writing(seqs: range, acknowledged: list[int]) -> Life[None]:
    async def life(journal: SqliteJournal) -> None:
        for seq in seqs:
            await journal.append(facts(seq, seq))
            acknowledged.append(seq)

    return life


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_disk_that_fails_between_two_openings_is_said_plainly() -> None:
    disk, opened = Disk(), list[Operation]()

    def hook(operation: Operation) -> Fault | None:
        opened.extend([operation] if operation.kind == "open" else [])
        return Fault.ERROR if len(opened) > 1 else None

    lived(disk, whole)
    disk.hook = hook
    with pytest.raises(JournalBroken, match="unable to open"):
        lived(disk, whole)


def test_a_journal_is_opened_again_on_the_disk_that_it_was_made_on() -> None:
    disk = Disk()
    lived(disk, lambda journal: journal.append(facts(1, 3)))

    assert lived(disk, whole) == 3
    assert lived(disk.crash(Random(1)), whole) == 3


def test_a_broken_page_that_no_fact_stands_on_is_found_at_the_start_g06() -> None:
    disk = Disk()
    lived(disk, writing(range(1, 200), []))
    with closing(sqlite3.connect(disk.uri(NAME), uri=True)) as database:
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'fill_once'").fetchall()
    file = disk.open_file(NAME, create=False)
    file.write(b"\xff" * 8, (page - 1) * 4096)

    with pytest.raises(JournalBroken, match=r"the file is damaged \(.*\): keep it, and restore a backup"):
        lived(disk, whole)


def test_another_writer_ends_the_journal_before_anything_is_sent_g01() -> None:
    disk = Disk()

    async def life(journal: SqliteJournal) -> None:
        await journal.append(facts(1, 1))
        with closing(sqlite3.connect(disk.uri(NAME), uri=True, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalBroken, match="another program holds the database"):
                await journal.append(facts(2, 2))
        with pytest.raises(JournalBroken, match="another program holds the database"):
            await journal.append(facts(2, 2))
        assert await whole(journal) == 1

    lived(disk, life)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["write", "sync", "truncate"])
@pytest.mark.parametrize("fault", Fault)
def test_whichever_operation_fails_no_acknowledged_fact_is_lost_g02_g03(kind: str, fault: Fault) -> None:
    """One operation of a kind fails, each in its turn; then the power does, and takes all that it can."""
    failed, number = 0, 0
    while True:
        number += 1
        disk, acknowledged, seen = Disk(), list[int](), list[Operation]()
        lived(disk, whole)

        def hook(
            operation: Operation, seen: list[Operation] = seen, number: int = number, disk: Disk = disk
        ) -> Fault | None:
            seen.extend([operation] if operation.kind == kind else [])
            return fault if operation.kind == kind and len(seen) == number else None

        disk.hook = hook
        try:
            lived(disk, writing(range(1, 13), acknowledged), log_bytes_max=100_000)
        except JournalBroken:
            failed += 1
        if len(seen) < number:
            break
        found = lived(disk.crash(Random(number), Loss.ALL), whole)
        assert found in (len(acknowledged), len(acknowledged) + 1), number

    assert failed > 0 or kind == "truncate"


def test_after_a_failed_sync_the_disk_is_asked_for_nothing_more_g03() -> None:
    disk, asked = Disk(), list[str]()

    async def life(journal: SqliteJournal) -> None:
        await journal.append(facts(1, 1))
        disk.hook = lambda operation: Fault.ERROR if operation.kind == "sync" else None
        with pytest.raises(JournalBroken, match=r"FSYNC.*the disk failed"):
            await journal.append(facts(2, 2))
        disk.hook = lambda operation: asked.append(operation.kind)
        for _ in range(3):
            with pytest.raises(JournalBroken, match="FSYNC"):
                await journal.append(facts(2, 2))
        assert asked == []

    lived(disk, life)
    assert lived(disk.crash(Random(1), Loss.ALL), whole) == 1


def test_a_sync_that_fails_while_the_log_is_shortened_is_not_kept_quiet_g03() -> None:
    disk, acknowledged = Disk(), list[int]()

    def hook(operation: Operation) -> Fault | None:
        return Fault.ERROR if operation.kind == "sync" and operation.name == NAME else None

    async def life(journal: SqliteJournal) -> None:
        disk.hook = hook
        await writing(range(1, 100), acknowledged)(journal)

    with pytest.raises(JournalBroken, match=r"FSYNC.*the disk failed"):
        lived(disk, life)
    assert 0 < len(acknowledged) < 10
    assert lived(disk.crash(Random(1), Loss.ALL), whole) == len(acknowledged) + 1


# --- room -------------------------------------------------------------------------------------------------------------


class DiskReserve:
    """Room that is kept on a made disk."""

    NAME = "reserve"

    def __init__(self, disk: Disk, size: int) -> None:
        self.is_spent = False
        self._disk = disk
        self._size = size
        self.take()

    @property
    def is_held(self) -> bool:
        return self._disk.size_of(self.NAME) == self._size

    def take(self) -> None:
        try:
            self._disk.open_file(self.NAME, create=True).write(bytes(self._size), 0)
            self.is_spent = False
        except OSError:
            self._disk.delete(self.NAME)

    def give_back(self) -> bool:
        was_held = self.is_held
        if was_held:
            self._disk.delete(self.NAME)
            self.is_spent = True
        return was_held


def test_on_a_full_disk_the_last_facts_go_into_the_room_kept_for_them_g02() -> None:
    disk, acknowledged = Disk(capacity_bytes=600_000), list[int]()
    reserve = DiskReserve(disk, 200_000)
    room: list[bool] = []

    async def life(journal: SqliteJournal) -> None:
        for seq in range(1, 1000):
            await journal.append(facts(seq, seq))
            acknowledged.append(seq)
            room.append(journal.has_room(disk.free_bytes()))

    with pytest.raises(JournalBroken, match="the disk is full: free space on it, then start again"):
        lived(disk, life, reserve=reserve, log_bytes_max=10_000_000)

    on_reserve = room.count(False)
    assert on_reserve > 10
    assert room == [True] * (len(room) - on_reserve) + [False] * on_reserve
    assert not reserve.is_held
    found = disk.crash(Random(1), Loss.ALL)
    found.capacity_bytes = 1_000_000
    assert lived(found, whole) == len(acknowledged)


def test_room_is_kept_anew_once_the_disk_has_it_g02() -> None:
    disk = Disk()
    reserve = DiskReserve(disk, 200_000)

    async def life(journal: SqliteJournal) -> None:
        await journal.append(facts(1, 1))
        fault = iter([Fault.FULL])
        disk.hook = lambda operation: next(fault, None) if operation.kind == "write" else None
        await journal.append(facts(2, 2))
        assert not journal.has_room(4 * RESERVE_BYTES)
        assert journal.has_room(4 * RESERVE_BYTES + 1)
        assert reserve.is_held

    lived(disk, life, reserve=reserve)
    assert lived(disk, whole) == 2


def test_a_disk_too_full_to_shorten_the_log_takes_what_the_log_still_holds_g02() -> None:
    disk, acknowledged = Disk(), list[int]()
    refused: list[Operation] = []

    def hook(operation: Operation) -> Fault | None:
        if operation.kind != "write" or operation.name != NAME:
            return None
        refused.append(operation)
        return Fault.FULL

    async def life(journal: SqliteJournal) -> None:
        disk.hook = hook
        await writing(range(1, 21), acknowledged)(journal)

    lived(disk, life)
    assert refused
    assert lived(disk.crash(Random(1), Loss.ALL), whole) == 20


def test_the_log_stays_small_over_thousands_of_commits_g12_s35() -> None:
    disk, sizes = Disk(), list[int]()

    async def life(journal: SqliteJournal) -> None:
        for seq in range(1, 3000):
            await journal.append(facts(seq, seq))
            sizes.append(disk.size_of(WAL) or 0)

    lived(disk, life, log_bytes_max=500_000)
    assert max(sizes) < 500_000
    assert max(sizes[:100]) > 0.9 * max(sizes)


def test_a_log_that_a_reader_kept_from_being_shortened_shrinks_again_g12() -> None:
    disk = Disk()

    async def life(journal: SqliteJournal) -> int:
        await writing(range(1, 50), [])(journal)
        with closing(sqlite3.connect(disk.uri(NAME), uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM facts").fetchall()
            await writing(range(50, 700), [])(journal)
            grown = disk.size_of(WAL) or 0
            reader.execute("COMMIT")
        await writing(range(700, 710), [])(journal)
        assert (disk.size_of(WAL) or 0) <= 4_000_000 < grown
        return await whole(journal)

    assert lived(disk, life) == 709
