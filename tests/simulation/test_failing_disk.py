"""The real journal on a made disk that fails: it stops at the first failure, and the next life has all it promised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import pytest

from aether.domain.errors import JournalBroken
from aether.domain.facts import Numbered, OrderAccepted
from aether.domain.values import UtcNanos
from aether.journal.audit import verify_open
from aether.journal.sqlite import SqliteJournal, open_database
from aether.sim.disk import Disk, Fault, Operation
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.virtual_time import VirtualTimeLoop, inline_sqlite

BORN = UtcNanos(1_790_000_000_000_000_000)

T = TypeVar("T")
Life = Callable[[SqliteJournal], Coroutine[Any, Any, T]]


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as error:
        pytest.skip(str(error))


def lived(disk: Disk, life: Life[T]) -> T:
    """What a life of the journal on this disk gives."""

    async def live() -> T:
        uri = disk.uri("journal.db")
        async with open_database(uri, account="made", tag="test", created_ns=BORN) as journal:
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
