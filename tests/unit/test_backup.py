# ruff: noqa: ASYNC240  nothing else runs on the loop while a test looks at the file
from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration, JournalBroken
from aether.domain.facts import Numbered, OrderAccepted
from aether.domain.values import UtcNanos
from aether.journal.audit import verify
from aether.journal.backup import back_up
from aether.journal.sqlite import open_journal

BORN = UtcNanos(1_700_000_000_000_000_000)


def facts(first: int, last: int) -> list[Numbered]:
    return [Numbered(seq, 1, BORN, seq, OrderAccepted(f"c-{seq}", f"O-{seq}")) for seq in range(first, last + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


async def written(path: Path, last: int) -> None:
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=BORN) as journal:
        await journal.append(facts(1, last))


def files_of(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


async def test_a_copy_that_is_made_while_facts_are_written_is_a_whole_beginning_of_them_g13(
    path: Path, tmp_path: Path
) -> None:
    copies: list[Path] = []
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=BORN) as journal:

        async def write() -> None:
            for seq in range(1, 1_000_000, 5):
                await journal.append(facts(seq, seq + 4))
                if len(copies) == 3:
                    return

        async def copy() -> None:
            for number in range(3):
                target = tmp_path / f"copy-{number}.db"
                assert (await back_up(path, target)).ok
                copies.append(target)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(copy())
        at_the_end = journal.tail()[0]

    rows = [(await verify(target)).rows for target in copies]
    assert rows == sorted(rows)
    assert 0 <= rows[0] <= rows[-1] <= at_the_end
    assert all(count % 5 == 0 for count in rows)


async def test_a_copy_in_the_place_of_a_lost_journal_goes_on_where_it_ended_g13(path: Path, tmp_path: Path) -> None:
    await written(path, 7)
    copied = await back_up(path, tmp_path / "copy.db")
    path.write_bytes(b"lost")
    (tmp_path / "copy.db").replace(path)

    async with open_journal(path, account="sandbox", tag="zz99", created_ns=BORN) as journal:
        assert journal.tail() == (7, bytes.fromhex(copied.tail_hash))
        assert journal.meta.tag == "ab12"
        await journal.append(facts(8, 9))
    assert (await verify(path)).rows == 9


async def test_a_copy_is_one_private_file_and_nothing_is_left_beside_it(path: Path, tmp_path: Path) -> None:
    await written(path, 3)
    target = tmp_path / "copies" / "copy.db"
    await back_up(path, target)

    assert files_of(target.parent) == {"copy.db"}
    assert target.stat().st_mode & 0o777 == 0o600


async def test_what_an_interrupted_backup_left_is_no_hindrance(path: Path, tmp_path: Path) -> None:
    await written(path, 3)
    (tmp_path / "copy.db.part").write_bytes(os.urandom(5_000))

    assert (await back_up(path, tmp_path / "copy.db")).rows == 3
    assert "copy.db.part" not in files_of(tmp_path)


async def test_nothing_is_written_over_and_nothing_is_made_of_nothing(path: Path, tmp_path: Path) -> None:
    await written(path, 3)
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(BadConfiguration, match="is there already"):
        await back_up(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"

    with pytest.raises(BadConfiguration, match="name the file of a journal"):
        await back_up(tmp_path / "none.db", tmp_path / "other.db")
    assert files_of(tmp_path) == {"copy.db", "state"}


async def test_a_damaged_journal_has_no_copy_g06(path: Path, tmp_path: Path) -> None:
    await written(path, 10)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER facts_unchanged")
        database.execute("UPDATE facts SET at_ns = 1 WHERE seq = 4")
        database.execute("CREATE TRIGGER facts_unchanged BEFORE UPDATE ON facts BEGIN SELECT RAISE(ABORT, 'no'); END")
        database.commit()

    with pytest.raises(JournalBroken, match="row 4 was changed"):
        await back_up(path, tmp_path / "copy.db")
    assert files_of(tmp_path) == {"state"}
