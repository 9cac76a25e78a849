# ruff: noqa: ASYNC220, ASYNC221, ASYNC240  nothing else runs on the loop while a test looks at the file
from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosqlite.core
import pytest

from aether.domain.actors import Actor, Role
from aether.domain.errors import BadConfiguration, InvariantBroken, JournalBroken
from aether.domain.facts import Fact, Numbered, OrderAccepted, OrderFilled, TradingHalted
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, Liquidity
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Usd, UtcNanos
from aether.journal.codec import encode_fact
from aether.journal.reader import JournalReader
from aether.journal.sqlite import SqliteJournal, open_database, open_journal, read_only
from aether.ports import Journal

BORN = UtcNanos(1_700_000_000_000_000_000)


def numbered(seq: int, fact: Fact | None = None) -> Numbered:
    return Numbered(seq, 1, UtcNanos(BORN + seq), seq * 2, fact or OrderAccepted(f"c-{seq}", f"O-{seq}"))


def facts(first: int, last: int) -> list[Numbered]:
    return [numbered(seq) for seq in range(first, last + 1)]


def fill(exec_id: str) -> OrderFilled:
    return OrderFilled(
        exec_id=exec_id,
        order_id="O1",
        cl_ord_id=None,
        strategy=None,
        name="BTC/USD",
        symbol=recall("BTC/USD"),
        side=Side.BUY,
        qty=Qty(Decimal("0.5")),
        price=Price(Decimal(100)),
        cost=Usd(Decimal(50)),
        fees=(AssetAmount("USD", Decimal("0.13")),),
        liquidity=Liquidity.TAKER,
        venue_ns=BORN,
        source="executions",
    )


def opened(path: Path, account: str = "sandbox", tag: str = "ab12") -> Any:
    return open_journal(path, account=account, tag=tag, created_ns=BORN)


async def rows_of(journal: JournalReader, from_seq: int = 1) -> list[Numbered]:
    return [fact async for fact in journal.read(from_seq)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sandbox" / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with opened(path) as journal:
        yield journal


def tamper(path: Path, *statements: str) -> None:
    """What an intruder does who takes the triggers off and puts them back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)
        for _, sql in triggers:
            database.execute(sql)


# --- appending and reading ------------------------------------------------------------------------------------------


async def test_facts_come_back_in_order_after_the_journal_was_closed(path: Path) -> None:
    written = [*facts(1, 3), numbered(4, TradingHalted("all", "halt_person", "drill", Actor("uid:7", Role.OPERATOR)))]
    async with opened(path) as journal:
        await journal.append(written[:1])
        await journal.append(written[1:])
        tail = journal.tail()

    async with opened(path) as journal:
        assert await rows_of(journal) == written
        assert journal.tail() == tail
        assert tail[0] == 4


async def test_a_journal_is_what_the_port_asks_for(journal: SqliteJournal) -> None:
    port: Journal = journal
    await port.append(facts(1, 2))

    assert [fact async for fact in port.read(2)] == facts(2, 2)


async def test_a_new_journal_ends_at_nothing_and_remembers_whose_it_is(path: Path) -> None:
    async with opened(path) as journal:
        assert journal.tail() == (0, journal.meta.genesis)
        assert await rows_of(journal) == []

    async with opened(path, tag="zz99") as journal:
        assert (journal.meta.account, journal.meta.tag, journal.meta.created_ns) == ("sandbox", "ab12", BORN)


async def test_appending_nothing_changes_nothing(journal: SqliteJournal) -> None:
    await journal.append([])

    assert journal.tail()[0] == 0


@pytest.mark.parametrize("seqs", [(2,), (0,), (1, 3), (1, 1), (1, 2, 2)])
async def test_numbers_that_do_not_follow_are_our_bug_and_nothing_is_written(
    journal: SqliteJournal, seqs: Sequence[int]
) -> None:
    with pytest.raises(InvariantBroken):
        await journal.append([numbered(seq) for seq in seqs])

    await journal.append(facts(1, 2))
    assert await rows_of(journal) == facts(1, 2)


async def test_a_value_that_is_no_fact_leaves_the_journal_as_it_was(journal: SqliteJournal) -> None:
    with pytest.raises(InvariantBroken, match="order_id"):
        await journal.append([numbered(1), numbered(2, OrderAccepted("c", 7))])  # type: ignore[arg-type]

    await journal.append(facts(1, 1))
    assert await rows_of(journal) == facts(1, 1)


@pytest.mark.parametrize("count", [499, 500, 501, 1000])
async def test_long_journals_are_read_page_by_page_to_the_end(journal: SqliteJournal, count: int) -> None:
    await journal.append(facts(1, count))

    assert await rows_of(journal) == facts(1, count)


async def test_reading_may_begin_anywhere_up_to_the_next_row(journal: SqliteJournal) -> None:
    await journal.append(facts(1, 5))

    assert await rows_of(journal, 4) == facts(4, 5)
    assert await rows_of(journal, 6) == []
    with pytest.raises(JournalBroken, match="row 6 is missing"):
        await rows_of(journal, 7)


async def test_rows_appended_while_someone_reads_are_read_too(journal: SqliteJournal) -> None:
    await journal.append(facts(1, 500))
    read: list[Numbered] = []
    async for fact in journal.read():
        read.append(fact)
        if fact.seq == 500:
            await journal.append(facts(501, 502))

    assert read == facts(1, 502)


async def test_appends_that_overlap_keep_their_order_g08(journal: SqliteJournal) -> None:
    async with asyncio.TaskGroup() as group:
        for seq in range(1, 9):
            group.create_task(journal.append([numbered(seq)]))

    assert await rows_of(journal) == facts(1, 8)


async def test_the_chain_can_be_computed_by_anyone_from_what_the_schema_says(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 2))
        tail = journal.tail()

    def compact(columns: list[Any]) -> bytes:
        return json.dumps(columns, separators=(",", ":"), ensure_ascii=False).encode()

    link = hashlib.sha256(b"aether journal\n" + compact(["sandbox", "ab12", BORN])).digest()
    for fact in facts(1, 2):
        columns = [fact.seq, fact.run, fact.at_ns, fact.input_seq, "OrderAccepted", 1, "system"]
        link = hashlib.sha256(link + compact(columns) + b"\n" + encode_fact(fact.fact).body).digest()
    assert tail == (2, link)


async def test_rows_are_on_disk_in_full_when_append_returns(journal: SqliteJournal) -> None:
    async def pragma(name: str) -> Any:
        return next(iter(await journal._connection.execute_fetchall(f"PRAGMA {name}")))[0]

    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2  # FULL


# --- append-only ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE facts SET actor = 'nobody' WHERE seq = 2", "no row is changed"),
        ("DELETE FROM facts", "no row is deleted"),
        ("DELETE FROM facts WHERE seq = 3", "no row is deleted"),
        ("UPDATE meta SET account = 'live'", "its account stays"),
        ("DELETE FROM meta", "its account stays"),
        ("INSERT INTO meta VALUES ('live', 'ab12', 1, x'00')", "one account"),
        ("INSERT INTO facts SELECT 5, run, 1, 1, kind, 1, actor, body, hash, hash FROM facts WHERE seq = 3", "follow"),
        ("INSERT INTO facts SELECT 4, run, 1, 1, kind, 1, actor, body, x'00', hash FROM facts WHERE seq = 3", "follow"),
        (
            "INSERT OR REPLACE INTO facts SELECT 3, run, 1, 1, kind, 1, actor, body, hash, hash FROM facts WHERE seq=3",
            "follow",
        ),
    ],
)
async def test_the_database_itself_refuses_whatever_is_no_next_row(path: Path, statement: str, why: str) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 3))

    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match=why):
        database.execute(statement)


async def test_an_execution_counted_twice_is_refused_with_its_whole_group(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append([numbered(1, fill("T1")), numbered(2, fill("T2"))])
        with pytest.raises(JournalBroken, match="UNIQUE"):
            await journal.append([numbered(3), numbered(4, fill("T1")), numbered(5)])

    async with opened(path) as journal:
        assert journal.tail()[0] == 2


async def test_a_journal_that_failed_once_refuses_every_later_append(journal: SqliteJournal) -> None:
    await journal.append([numbered(1, fill("T1"))])
    with pytest.raises(JournalBroken, match="UNIQUE"):
        await journal.append([numbered(2, fill("T1"))])

    with pytest.raises(JournalBroken, match="UNIQUE"):
        await journal.append([numbered(2)])
    with pytest.raises(JournalBroken, match="UNIQUE"):
        await journal.append([])
    assert [fact.seq for fact in await rows_of(journal)] == [1]


# --- cancellation: G07, G08 -----------------------------------------------------------------------------------------


async def cancelled(journal: SqliteJournal, group: Sequence[Numbered]) -> None:
    writing = asyncio.get_running_loop().create_task(journal.append(group))
    await asyncio.sleep(0)  # far enough to be handed to the database's thread
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_g07_g08_a_cancelled_append_is_whole_and_the_next_one_follows_it(journal: SqliteJournal) -> None:
    await cancelled(journal, facts(1, 50))
    await journal.append(facts(51, 52))

    assert await rows_of(journal) == facts(1, 52)


async def test_a_cancelled_append_that_failed_is_noticed_by_the_next_one_g07(journal: SqliteJournal) -> None:
    await journal.append([numbered(1, fill("T1"))])
    await cancelled(journal, [numbered(2), numbered(3, fill("T1"))])

    with pytest.raises(JournalBroken, match="does not follow"):
        await journal.append([numbered(4)])
    assert [fact.seq for fact in await rows_of(journal)] == [1]


class InlineQueue:
    """What a loop with virtual time puts in the place of aiosqlite's queue: it runs each function where it stands."""

    def put_nowait(self, job: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = job
        try:
            result, error = function(), None
        except sqlite3.Error as raised:
            result, error = None, raised
        if future is not None and not future.done():
            future.set_exception(error) if error else future.set_result(result)


class NoThread:
    def __init__(self, **_: Any) -> None:
        pass

    def start(self) -> None:
        pass


async def test_the_journal_works_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiosqlite.core, "SimpleQueue", InlineQueue)
    monkeypatch.setattr(aiosqlite.core, "Thread", NoThread)
    uri = "file:inline?mode=memory"
    pragmas = ["locking_mode=EXCLUSIVE"]
    async with open_database(uri, account="sandbox", tag="ab12", created_ns=BORN, pragmas=pragmas) as journal:
        await journal.append(facts(1, 3))

        assert await rows_of(journal) == facts(1, 3)


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE facts SET body = CAST(replace(body, 'O-4', 'O-5') AS BLOB) WHERE seq = 4", 4),
        ("UPDATE facts SET actor = 'nobody' WHERE seq = 1", 1),
        ("UPDATE facts SET at_ns = at_ns + 1 WHERE seq = 9", 9),
        ("UPDATE facts SET run = 2 WHERE seq = 5", 5),
        ("UPDATE facts SET input_seq = 1 WHERE seq = 5", 5),
        ("UPDATE facts SET version = 2 WHERE seq = 5", 5),
        ("UPDATE facts SET kind = 'OrderOpened' WHERE seq = 5", 5),
        ("UPDATE facts SET hash = zeroblob(32) WHERE seq = 5", 5),
        ("UPDATE facts SET prev_hash = zeroblob(32) WHERE seq = 5", 5),
        ("DELETE FROM facts WHERE seq = 1", 1),
        ("DELETE FROM facts WHERE seq = 6", 6),
        ("DELETE FROM facts WHERE seq BETWEEN 3 AND 7", 3),
        ("UPDATE facts SET seq = CASE seq WHEN 4 THEN -5 ELSE -4 END WHERE seq IN (4, 5)", 4),
    ],
)
async def test_an_edited_journal_is_broken_at_the_first_bad_row_g14(path: Path, statement: str, first_bad: int) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 10))
    tamper(path, statement, "UPDATE facts SET seq = -seq WHERE seq < 0")

    async with read_only(path) as journal:
        assert await good_and_first_bad(journal) == (first_bad - 1, first_bad)


async def good_and_first_bad(journal: JournalReader) -> tuple[int, int | None]:
    good = 0
    try:
        async for _ in journal.read():
            good += 1
    except JournalBroken as error:
        return good, error.seq
    return good, None


async def test_a_row_that_was_edited_together_with_its_hash_no_longer_carries_the_next_one(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 5))
    body = encode_fact(OrderAccepted("c-3", "O-9")).body
    columns = json.dumps([3, 1, BORN + 3, 6, "OrderAccepted", 1, "system"], separators=(",", ":")).encode()
    with closing(sqlite3.connect(path)) as database:
        ((previous,),) = database.execute("SELECT prev_hash FROM facts WHERE seq = 3").fetchall()
    forged = hashlib.sha256(previous + columns + b"\n" + body).digest()
    tamper(path, f"UPDATE facts SET body = x'{body.hex()}', hash = x'{forged.hex()}' WHERE seq = 3")

    async with read_only(path) as journal:
        assert await good_and_first_bad(journal) == (3, 4)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM facts WHERE seq > 7", "row 8 is missing: the journal ends at 7, and 10 was written"),
        ("DELETE FROM facts", "row 1 is missing"),
        ("UPDATE facts SET hash = zeroblob(32) WHERE seq = 10", "row 10 was changed"),
        ("UPDATE meta SET account = 'live'", "account was changed"),
        ("DELETE FROM meta", "account was changed"),
    ],
)
async def test_a_journal_with_another_end_or_account_is_not_opened(path: Path, statement: str, why: str) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 10))
    tamper(path, statement)

    with pytest.raises(JournalBroken, match=why):
        async with opened(path):
            pass


@pytest.mark.parametrize("name", ["facts_follow", "facts_kept", "facts_unchanged", "meta_once"])
async def test_a_journal_without_its_triggers_is_not_opened(path: Path, name: str) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"DROP TRIGGER {name}")

    with pytest.raises(JournalBroken, match=f"lacks {name}"):
        async with opened(path):
            pass


async def test_a_full_disk_is_said_clearly_and_what_was_written_stays_g02_g03() -> None:
    uri, pragmas = "file:full?mode=memory", ["max_page_count=24"]
    async with open_database(uri, account="sandbox", tag="ab12", created_ns=BORN, pragmas=pragmas) as journal:
        await journal.append(facts(1, 10))
        with pytest.raises(JournalBroken, match="the disk is full: free space on it, then start again"):
            await journal.append(facts(11, 2000))

        with pytest.raises(JournalBroken, match="the disk is full"):
            await journal.append(facts(11, 11))
        assert await rows_of(journal) == facts(1, 10)


WRITE_UNTIL_FILE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from aether.domain.errors import JournalBroken
from aether.domain.facts import Numbered, OrderAccepted
from aether.journal.sqlite import open_journal

async def main(path):
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=1) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        seq = 0
        try:
            while True:
                seq += 1
                await journal.append([Numbered(seq, 1, seq, seq, OrderAccepted("c" * 900, f"O-{seq}"))])
        except JournalBroken as error:
            print(seq - 1, error)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.process
async def test_a_disk_that_refuses_a_write_loses_nothing_that_was_acknowledged_g03(path: Path) -> None:
    writer = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FILE_LIMIT, str(path)], capture_output=True, text=True, check=True
    )
    acknowledged, why = writer.stdout.split(" ", 1)

    assert "SQLITE_IOERR" in why
    assert "start again" in why
    async with opened(path) as journal:
        assert int(acknowledged) > 10
        assert len(await rows_of(journal)) == int(acknowledged)
        await journal.append([numbered(int(acknowledged) + 1)])


WRITE_UNTIL_FULL = """
import asyncio, os, sys
from pathlib import Path
from aether.domain.errors import JournalBroken
from aether.domain.facts import Numbered, OrderAccepted
from aether.journal.sqlite import open_journal

async def main(path):
    seq = on_reserve = 0
    try:
        async with open_journal(path, account="sandbox", tag="ab12", created_ns=1) as journal:
            filler = os.open(path.with_name("filler"), os.O_WRONLY | os.O_CREAT)
            os.posix_fallocate(filler, 0, os.statvfs(path.parent).f_bavail * 4096 - 200_000)
            os.close(filler)
            while True:
                seq += 1
                await journal.append([Numbered(seq, 1, seq, seq, OrderAccepted("c" * 900, f"O-{seq}"))])
                on_reserve += not journal.has_room(0)
    except JournalBroken as error:
        print(seq - 1, on_reserve, error)
    path.with_name("filler").unlink()
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=1) as journal:
        rows = [numbered.seq async for numbered in journal.read()]
        print(len(rows), journal.has_room(0))

asyncio.run(main(Path(sys.argv[1])))
"""


def on_a_small_disk(place: Path, program: str, *, then: str = "true") -> str:
    """What a program says whose journal lives on a disk of its own, after a command of the shell."""
    mount = f"mount -t tmpfs -o size=8m,mode=0700 none {place}"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets its user mount no small disk")
    script = f'{mount} && {then} && exec "$0" -c "$1" {place}/state/journal.db'
    ran = subprocess.run([*inside, script, sys.executable, program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.process
def test_a_disk_that_is_really_full_still_takes_the_last_facts_g02(tmp_path: Path) -> None:
    broken, found = on_a_small_disk(tmp_path, WRITE_UNTIL_FULL).splitlines()
    acknowledged, on_reserve, why = broken.split(" ", 2)
    assert int(on_reserve) > 50
    assert "the disk is full: free space on it, then start again" in why
    assert found == f"{acknowledged} True"


OPEN_AT_ALL = """
import asyncio, sys
from pathlib import Path
from aether.domain.errors import BadConfiguration
from aether.journal.sqlite import open_journal

async def main(path):
    try:
        async with open_journal(path, account="sandbox", tag="ab12", created_ns=1):
            print("opened")
    except BadConfiguration as error:
        print(error)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.process
def test_a_disk_that_is_read_only_is_refused_at_the_start_g11(tmp_path: Path) -> None:
    read_only = f"mkdir -m 0700 {tmp_path}/state && mount -o remount,ro {tmp_path}"

    assert "Read-only file system" in on_a_small_disk(tmp_path, OPEN_AT_ALL, then=read_only)
    assert on_a_small_disk(tmp_path, OPEN_AT_ALL) == "opened\n"


WRITE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from aether.domain.facts import Numbered, OrderAccepted
from aether.journal.sqlite import open_journal

async def main(path):
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=1) as journal:
        seq = journal.tail()[0]
        while True:
            group = [Numbered(seq + n, 1, 1, 1, OrderAccepted("c", f"O-{seq + n}")) for n in range(1, 8)]
            await journal.append(group)
            seq += 7
            print(seq, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.process
async def test_a_killed_writer_leaves_whole_groups_all_it_acknowledged_and_no_lock_g04(path: Path) -> None:
    acknowledged = 0
    for lives in range(1, 6):
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(7 * lives):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL

        async with opened(path) as journal:
            rows = await rows_of(journal)
            assert journal.tail()[0] == len(rows)
        assert len(rows) % 7 == 0
        assert len(rows) in (acknowledged, acknowledged + 7)
        acknowledged = len(rows)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
async def test_a_file_that_was_cut_short_is_broken_g06(path: Path, keep: float) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 400))
    os.truncate(path, int(path.stat().st_size * keep))

    async def look() -> None:
        async with read_only(path) as reader:
            await reader.check_file()

    with pytest.raises(JournalBroken, match="keep it, and restore a backup"):
        await look()


async def test_a_flipped_bit_in_any_row_is_found_g06(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 400))
    content = bytearray(path.read_bytes())
    place = content.index(b'"O-123"') + 3
    content[place] ^= 1
    path.write_bytes(content)

    async with read_only(path) as reader:
        assert await good_and_first_bad(reader) == (122, 123)


# --- whose file, and who may write it ---------------------------------------------------------------------------------


async def test_file_and_directory_are_private(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 1))
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(modes) == {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock", "journal.db.reserve"}
    assert set(modes.values()) == {0o600}


async def test_a_second_writer_is_refused_and_told_who_the_first_is_h03(path: Path) -> None:
    async with opened(path):
        with pytest.raises(BadConfiguration, match=f"in use by pid {os.getpid()}"):
            async with opened(path):
                pass

    async with opened(path):
        pass


async def test_another_account_s_journal_is_refused_g10(path: Path) -> None:
    async with opened(path):
        pass

    with pytest.raises(BadConfiguration, match="belongs to account sandbox, not paper"):
        async with opened(path, account="paper"):
            pass


async def test_a_symbolic_link_is_refused_g11(path: Path, tmp_path: Path) -> None:
    async with opened(path):
        pass
    link = tmp_path / "link.db"
    link.symlink_to(path)

    with pytest.raises(BadConfiguration, match="symbolic link"):
        async with opened(link):
            pass


async def test_a_linked_lock_is_refused_g11(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.with_name("journal.db.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BadConfiguration, match="symbolic link"):
        async with opened(path):
            pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
async def test_a_file_that_others_may_write_is_refused_g11(path: Path, mode: int) -> None:
    async with opened(path):
        pass
    path.chmod(mode)

    with pytest.raises(BadConfiguration, match=r"can be written by others.*chmod 600"):
        async with opened(path):
            pass


async def test_a_file_that_others_may_only_read_is_taken(path: Path) -> None:
    async with opened(path):
        pass
    path.chmod(0o644)

    async with opened(path) as journal:
        await journal.append(facts(1, 1))


async def test_another_user_s_file_is_refused_g11(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path):
        pass
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(BadConfiguration, match=f"belongs to user {owner}, this process is user {owner + 1}"):
        async with opened(path):
            pass


async def test_what_is_no_plain_file_is_refused_g11(path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(BadConfiguration, match=f"^{re.escape(str(path))} cannot be opened"):
        async with opened(path):
            pass


async def test_a_directory_that_cannot_be_made_is_refused_g11(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(BadConfiguration, match="a directory that this user may write"):
        async with opened(tmp_path / "state" / "journal.db"):
            pass


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("dear diary, " * 500)
    path.chmod(0o600)

    with pytest.raises(JournalBroken, match="no database: keep it"):
        async with opened(path):
            pass
    assert path.read_text().startswith("dear diary")


async def test_somebody_else_s_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE guests (name TEXT)")
    path.chmod(0o600)

    with pytest.raises(BadConfiguration, match="no journal of Aether"):
        async with opened(path):
            pass
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("guests",)]


async def test_a_newer_schema_is_refused_h12(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=2")

    with pytest.raises(BadConfiguration, match="schema 2, this program knows 1"):
        async with opened(path):
            pass


@pytest.mark.parametrize("tag", ["abc", "abcde", "ABCD", "ab-1", ""])
async def test_a_tag_is_four_of_its_letters(path: Path, tag: str) -> None:
    with pytest.raises(InvariantBroken, match="four of 0-9a-z"):
        async with opened(path, tag=tag):
            pass


async def test_an_interrupted_birth_is_finished_at_the_next_opening_g09(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)

    async with opened(path) as journal:
        await journal.append(facts(1, 1))


# --- reading beside the writer ----------------------------------------------------------------------------------------


async def test_a_reader_sees_what_is_committed_while_the_writer_lives(path: Path) -> None:
    async with opened(path) as journal, read_only(path) as reader:
        await journal.append(facts(1, 3))
        assert await rows_of(reader) == facts(1, 3)

        await journal.append(facts(4, 4))
        assert await rows_of(reader, 4) == facts(4, 4)
        assert await reader.last_seq_ever() == 4


async def test_a_reader_opens_a_journal_that_no_one_writes_and_changes_nothing(path: Path) -> None:
    async with opened(path) as journal:
        await journal.append(facts(1, 3))
    before = path.read_bytes()

    async with read_only(path) as reader:
        await reader.check_file()
        assert await rows_of(reader) == facts(1, 3)
    assert path.read_bytes() == before


async def test_a_reader_of_nothing_is_refused_and_makes_nothing(path: Path) -> None:
    with pytest.raises(BadConfiguration, match="name the file of a journal"):
        async with read_only(path):
            pass
    assert not path.exists()
