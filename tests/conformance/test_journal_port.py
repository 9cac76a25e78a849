"""What every Journal promises (see `ports.Journal`): on a file, and in memory as the tests of other rooms use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import pytest

from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import DifferenceFound, HoldBegan, HoldEnded, Numbered, Reconciled, RunStarted
from aether.domain.orders import AssetBalance
from aether.domain.values import UtcNanos
from aether.journal.sqlite import SqliteJournal, open_database, open_journal

START_NS = UtcNanos(1_790_000_000 * 10**9)
ACCOUNT = "made"

Facts: TypeAlias = Sequence[Numbered]


def facts(first: int, count: int) -> list[Numbered]:
    """So many facts of several kinds, numbered from `first` on."""
    kinds = (
        RunStarted(1, "abcd", ACCOUNT, "sandbox", real_money=False, code_version="1", settings_digest="d", seed=2**62),
        HoldBegan("starting", "all", "the account was not compared: ä, €, \N{GRINNING FACE}, \x00 and \\"),
        Reconciled(
            (AssetBalance("USD", Decimal("0.10"), Decimal(0)), AssetBalance("BTC", Decimal("1E-8"), Decimal(0))), 2
        ),
        DifferenceFound("BTC", Decimal("-12345678901234567890.0000000001"), Decimal("0E-10"), "nothing explains it"),
        HoldEnded("starting", "all"),
    )
    return [
        Numbered(seq, 1, UtcNanos(START_NS + seq), 7 * seq, kinds[(seq - 1) % len(kinds)])
        for seq in range(first, first + count)
    ]


async def read(journal: SqliteJournal, from_seq: int = 1) -> list[Numbered]:
    return [numbered async for numbered in journal.read(from_seq)]


@pytest.fixture(params=["file", "memory"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """An empty journal of each kind."""
    opened = (
        open_journal(tmp_path / "journal.db", account=ACCOUNT, tag="abcd", created_ns=START_NS)
        if request.param == "file"
        else open_database("file::memory:", account=ACCOUNT, tag="abcd", created_ns=START_NS)
    )
    async with opened as made:
        yield made


async def test_an_empty_journal_has_nothing_to_read_and_takes_an_empty_batch(journal: SqliteJournal) -> None:
    await journal.append([])
    assert await read(journal) == []


async def test_what_was_appended_is_read_back_in_order_and_to_the_last_digit(journal: SqliteJournal) -> None:
    written = facts(1, 5)
    await journal.append(written)
    kept = await read(journal)
    assert kept == written
    assert [str(numbered) for numbered in kept] == [str(numbered) for numbered in written]


async def test_batches_of_any_size_make_one_sequence(journal: SqliteJournal) -> None:
    first = 1
    for count in (1, 0, 7, 700, 1, 291):
        await journal.append(facts(first, count))
        first += count
    assert await read(journal) == facts(1, 1_000)


@pytest.mark.parametrize("from_seq", [1, 2, 12, 13])
async def test_reading_begins_where_it_is_asked_to(journal: SqliteJournal, from_seq: int) -> None:
    await journal.append(facts(1, 12))
    assert await read(journal, from_seq) == facts(from_seq, 13 - from_seq)


async def test_reading_beyond_the_row_after_the_last_is_told_as_a_missing_row(journal: SqliteJournal) -> None:
    await journal.append(facts(1, 3))
    with pytest.raises(JournalBroken) as broken:
        await read(journal, 5)
    assert broken.value.seq == 4


@pytest.mark.parametrize("first", [3, 5, 0])
async def test_a_number_that_does_not_follow_is_refused_and_leaves_nothing(journal: SqliteJournal, first: int) -> None:
    await journal.append(facts(1, 3))
    with pytest.raises(InvariantBroken):
        await journal.append(facts(first, 2))
    assert await read(journal) == facts(1, 3)


async def test_a_gap_within_a_batch_leaves_nothing_of_the_batch_and_the_next_one_is_taken(
    journal: SqliteJournal,
) -> None:
    with pytest.raises(InvariantBroken):
        await journal.append([*facts(1, 2), *facts(4, 1)])
    assert await read(journal) == []
    await journal.append(facts(1, 2))
    assert await read(journal) == facts(1, 2)


async def test_appends_that_overlap_in_time_are_written_in_the_order_of_the_calls(journal: SqliteJournal) -> None:
    async with asyncio.TaskGroup() as group:
        for first in range(1, 41, 4):
            group.create_task(journal.append(facts(first, 4)))
    assert await read(journal) == facts(1, 40)


async def test_a_reader_under_way_is_not_disturbed_by_an_append(journal: SqliteJournal) -> None:
    await journal.append(facts(1, 3))
    seen: list[Numbered] = []
    async for numbered in journal.read():
        if not seen:
            await journal.append(facts(4, 2))
        seen.append(numbered)
    assert seen[:3] == facts(1, 3)
    assert seen == facts(1, len(seen))
    assert await read(journal) == facts(1, 5)


async def test_after_a_failed_write_every_other_is_refused_and_what_was_kept_stays(journal: SqliteJournal) -> None:
    await journal.append(facts(1, 3))
    await _leave_no_room(journal)
    with pytest.raises(JournalBroken, match="full"):
        await journal.append(facts(4, 5_000))
    await _make_room(journal)
    with pytest.raises(JournalBroken, match="full"):
        await journal.append(facts(4, 1))
    assert await read(journal) == facts(1, 3)


async def _leave_no_room(journal: SqliteJournal) -> None:
    await journal._connection.execute_fetchall("PRAGMA max_page_count=1")


async def _make_room(journal: SqliteJournal) -> None:
    await journal._connection.execute_fetchall("PRAGMA max_page_count=100000")


async def test_a_journal_that_is_opened_again_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for first in (1, 6, 11):
        async with open_journal(path, account=ACCOUNT, tag="abcd", created_ns=START_NS) as journal:
            assert await read(journal) == facts(1, first - 1)
            await journal.append(facts(first, 5))
    async with open_journal(path, account=ACCOUNT, tag="zzzz", created_ns=START_NS) as journal:
        assert await read(journal) == facts(1, 15)
        assert journal.meta.tag == "abcd"
