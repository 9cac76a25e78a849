"""The journal on SQLite: appended in one transaction, read in order, hash-chained, one writer.

SQLite runs in aiosqlite's thread, which takes one function at a time and finishes it whether or not the caller still
waits. So a whole append is one function there: a cancelled caller can leave all of it or nothing, never a part.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosqlite
import orjson

from aether.domain.errors import BadConfiguration, InvariantBroken, JournalBroken
from aether.domain.facts import Numbered
from aether.domain.values import UtcNanos
from aether.journal.codec import encode_fact
from aether.journal.lock import prepare_file, writer_lock
from aether.journal.reader import (
    COLUMNS,
    REMEDY_FULL,
    JournalReader,
    Meta,
    Row,
    advice,
    checked,
    hash_of_row,
    rows_of,
    sqlite_told,
)
from aether.journal.reserve import RESERVE_BYTES, FileReserve, NoReserve, Reserve

APPLICATION_ID = 0x41455448  # "AETH": tells file(1), and us, whose database this is
SCHEMA_VERSION = 1
LOG_BYTES_MAX = 4_000_000
_COMMIT_BYTES = 24_000  # what one commit adds to the log besides its rows, at most: five or six pages of 4 KB

_SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_TAG = re.compile(r"[0-9a-z]{4}")
_INSERT = f"INSERT INTO facts ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants alone


class SqliteJournal(JournalReader):
    """The one writer of a journal. After a failed write it refuses every other: memory and disk may differ by then."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        meta: Meta,
        tail: tuple[int, bytes],
        reserve: Reserve,
        log_bytes_max: int,
    ) -> None:
        super().__init__(connection, meta)
        self._tail = tail
        self._failure: str | None = None
        self._reserve = reserve
        self._log_bytes = 0
        self._log_bytes_max = log_bytes_max

    def tail(self) -> tuple[int, bytes]:
        """Number and hash of the last row that was handed over: 0 and the genesis hash in a new journal."""
        return self._tail

    async def append(self, facts: Sequence[Numbered]) -> None:
        """All of these facts in one transaction, on disk when this returns.

        A cancelled caller does not know whether they are on disk. The next append does: its rows name the hash of the
        ones before, and the database refuses rows that do not follow.

        Raises:
            JournalBroken: not written, or not for certain; what failed, and what to do. Every later append raises it.
            InvariantBroken: numbers that do not follow the last row, or a value that is no legal fact.
        """
        if self._failure is not None:
            raise JournalBroken(self._failure)
        if not facts:
            return
        rows = _chained(facts, self._tail)
        self._tail = rows[-1][0], rows[-1][9]  # before the wait: a second caller writes behind this one
        try:
            await self._connection.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            await self._write_on_reserve(rows, error)
        self._log_bytes += _COMMIT_BYTES + sum(len(row[7]) for row in rows)
        if self._log_bytes >= self._log_bytes_max:
            await self.shorten_log()

    def has_room(self, free_bytes: int) -> bool:
        """False since the disk was found full: what is written goes into the room that was kept for the last facts.

        That room is taken anew once the disk has several times as much free, as the caller has just seen.
        """
        if self._reserve.is_spent and free_bytes > 4 * RESERVE_BYTES:
            self._reserve.take()
        return not self._reserve.is_spent

    async def shorten_log(self) -> None:
        """Bring what the log holds into the database, so that its file is written anew from the start.

        SQLite would do so by itself, and keep a failed sync to itself and try again. Here it ends the journal: whether
        the next sync tells the truth nobody knows. A full disk is no such failure: the log keeps what it has.

        Raises:
            JournalBroken: the disk failed; what was acknowledged is safe.
        """
        self._log_bytes = 0
        try:
            await rows_of(self._connection, "PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            if not _is_full(error):
                raise self._broken(error) from error

    async def _write_on_reserve(self, rows: Sequence[Row], error: sqlite3.Error) -> None:
        """On a full disk SQLite has undone the whole group, and it goes into the room that was kept; once."""
        if not (_is_full(error) and self._reserve.give_back()):
            raise self._broken(error) from error
        try:
            await self._connection.executemany(_INSERT, rows)
        except sqlite3.Error as again:
            raise self._broken(again) from again

    def _broken(self, error: sqlite3.Error) -> JournalBroken:
        self._failure = advice(error)
        return JournalBroken(self._failure)


@asynccontextmanager
async def open_journal(path: Path, *, account: str, tag: str, created_ns: UtcNanos) -> AsyncIterator[SqliteJournal]:
    """The journal of `account` at `path`, made if there is none, for this process alone until the block ends.

    Args:
        path: the database; beside it `<path>.lock` is the lock, and `<path>.reserve` room for the last facts.
        account: whose memory this is; another account's file is refused.
        tag: four of `0-9a-z`, drawn at random by the caller. A new journal keeps it; an old one keeps its own.
        created_ns: the time now, kept in a new journal.

    Raises:
        BadConfiguration: in use by another process, another account's, a newer program's, a link, another owner.
        JournalBroken: no journal, damaged, its last row is not what was written, or the disk has no room at all.
    """
    with writer_lock(path):
        prepare_file(path)
        reserve = FileReserve(path.with_name(f"{path.name}.reserve"))
        if reserve.is_needed() and not reserve.give_back():
            raise JournalBroken(f"journal: no room beside {path}; {REMEDY_FULL}")
        async with open_database(
            _uri(path, "rw"), account=account, tag=tag, created_ns=created_ns, reserve=reserve
        ) as journal:
            yield journal


@asynccontextmanager
async def open_database(
    uri: str,
    *,
    account: str,
    tag: str,
    created_ns: UtcNanos,
    pragmas: Sequence[str] = (),
    reserve: Reserve | None = None,
    log_bytes_max: int = LOG_BYTES_MAX,
) -> AsyncIterator[SqliteJournal]:
    """As open_journal, for any SQLite URI and without its lock: a database in memory, or on a made disk.

    `pragmas` are set before the first access, e.g. `locking_mode=EXCLUSIVE` where there is no shared memory. The log
    is brought into the database each time that about `log_bytes_max` were written to it.
    """
    async with _connected(uri) as connection:
        with sqlite_told():
            await _settle(connection, pragmas)
            if await _is_empty(connection):
                await _create(connection, _new_meta(account, tag, created_ns))
            await _switch_to_wal(connection)
            meta = await _known(connection)
            journal = SqliteJournal(
                connection, meta, await _tail(connection, meta), reserve or NoReserve(), log_bytes_max
            )
            _refuse_cut(journal.tail()[0], await journal.last_seq_ever())
        if meta.account != account:
            raise BadConfiguration(
                f"the journal belongs to account {meta.account}, not {account}",
                "name that account, or give this one a journal of its own",
            )
        await journal.check_pages()
        await journal.shorten_log()
        yield journal


@asynccontextmanager
async def read_only(path: Path) -> AsyncIterator[JournalReader]:
    """A journal to look at, also while a daemon writes it. Raises as open_journal, but for the lock and the owner."""
    async with _connected(_uri(path, "ro")) as connection:
        with sqlite_told():
            meta = await _known(connection)
        yield JournalReader(connection, meta)


# --- the chain ----------------------------------------------------------------------------------------------------


def _genesis(account: str, tag: str, created_ns: int) -> bytes:
    return sha256(b"aether journal\n" + orjson.dumps([account, tag, created_ns])).digest()


def _chained(facts: Sequence[Numbered], tail: tuple[int, bytes]) -> list[Row]:
    """Rows of these facts, bound to the last row. Raises InvariantBroken where a number does not follow."""
    seq, previous = tail
    rows: list[Row] = []
    for numbered in facts:
        seq += 1
        if numbered.seq != seq:
            raise InvariantBroken(f"fact {numbered.seq} was to be written where {seq} is next")
        encoded = encode_fact(numbered.fact)
        columns = (seq, numbered.run, numbered.at_ns, numbered.input_seq, encoded.kind, encoded.version, numbered.actor)
        hashed = hash_of_row(previous, columns, encoded.body)
        rows.append((*columns, encoded.body, previous, hashed))
        previous = hashed
    return rows


def _refuse_cut(last_seq: int, last_seq_ever: int) -> None:
    if last_seq != last_seq_ever:
        raise JournalBroken(
            f"row {last_seq + 1} is missing: the journal ends at {last_seq}, and {last_seq_ever} was written",
            seq=last_seq + 1,
        )


# --- SQLite ---------------------------------------------------------------------------------------------------------


class _AtomicConnection(sqlite3.Connection):
    """A connection whose `executemany` is one transaction, and so one function in the thread that runs it."""

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        self.execute("BEGIN IMMEDIATE")
        try:
            cursor = super().executemany(sql, parameters)
            self.execute("COMMIT")
            # Closed here, in its own thread. Collected in the loop's, it would reset a statement that is in use again.
            cursor.close()
        except BaseException:
            if self.in_transaction:  # SQLite ends it by itself after the worst errors
                self.execute("ROLLBACK")
            raise
        return cursor


@asynccontextmanager
async def _connected(uri: str) -> AsyncIterator[aiosqlite.Connection]:
    _refuse_unopenable(uri)
    async with AsyncExitStack() as stack:
        connecting = aiosqlite.connect(uri, uri=True, isolation_level=None, factory=_AtomicConnection)
        with sqlite_told():  # a disk may fail between the two openings
            connection = await stack.enter_async_context(connecting)
        yield connection


def _refuse_unopenable(uri: str) -> None:
    # Where its own opening fails, aiosqlite does not wait for its thread, and a thread that outlives its loop dies
    # with a traceback. So the first opening is this one.
    try:
        sqlite3.connect(uri, uri=True).close()
    except sqlite3.Error as error:
        path = unquote(urlsplit(uri).path)
        raise BadConfiguration(f"{path} cannot be opened ({error})", "name the file of a journal") from error


def _uri(path: Path, mode: str) -> str:
    """SQLite's name of a file that must exist already (SQLite docs, URI filenames: `mode`)."""
    return f"{path.absolute().as_uri()}?mode={mode}"


async def _settle(connection: aiosqlite.Connection, pragmas: Sequence[str]) -> None:
    # EXTRA until the file is in WAL mode: it also syncs the directory when the first rollback journal is removed. A
    # power cut could otherwise bring that journal back, and its rollback would hide all that the WAL holds.
    for pragma in (*pragmas, "synchronous=EXTRA"):
        await rows_of(connection, f"PRAGMA {pragma}")


async def _switch_to_wal(connection: aiosqlite.Connection) -> None:
    ((mode,),) = await rows_of(connection, "PRAGMA journal_mode=WAL")
    if mode not in {"wal", "memory"}:
        raise BadConfiguration(
            f"SQLite keeps to journal mode {mode} here", "put the journal on a local disk; network disks lack WAL"
        )
    # FULL syncs the WAL at every commit (SQLite docs, PRAGMA synchronous); NORMAL would lose acknowledged rows.
    await rows_of(connection, "PRAGMA synchronous=FULL")
    # The journal shortens its log itself. A log that a reader kept from being shortened is cut again afterwards.
    await rows_of(connection, "PRAGMA wal_autocheckpoint=0")
    await rows_of(connection, f"PRAGMA journal_size_limit={LOG_BYTES_MAX}")


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"


async def _is_empty(connection: aiosqlite.Connection) -> bool:
    return not await rows_of(connection, "SELECT 1 FROM sqlite_schema LIMIT 1")


def _new_meta(account: str, tag: str, created_ns: UtcNanos) -> Meta:
    if _TAG.fullmatch(tag) is None:
        raise InvariantBroken(f"a journal's tag is four of 0-9a-z, was {tag!r}")
    return Meta(account, tag, created_ns, _genesis(account, tag, created_ns))


async def _create(connection: aiosqlite.Connection, meta: Meta) -> None:
    """Tables, triggers and the one row of `meta` in one transaction: whatever interrupts it leaves an empty file."""
    await connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; {_SCHEMA}"
    )
    await connection.execute(
        "INSERT INTO meta (account, tag, created_ns, genesis) VALUES (?, ?, ?, ?)",
        (meta.account, meta.tag, meta.created_ns, meta.genesis),
    )
    await connection.commit()


async def _known(connection: aiosqlite.Connection) -> Meta:
    """Whose journal this is. Refuses what is no journal of this program's schema, with all of its triggers in place."""
    ((application_id,),) = await rows_of(connection, "PRAGMA application_id")
    if application_id != APPLICATION_ID:
        raise BadConfiguration("this SQLite file is no journal of Aether", "name the file of a journal")
    ((schema_version,),) = await rows_of(connection, "PRAGMA user_version")
    if schema_version != SCHEMA_VERSION:
        raise BadConfiguration(
            f"the journal has schema {schema_version}, this program knows {SCHEMA_VERSION}",
            "run the version of the program that last wrote it, or a newer one",
        )
    missing = _schema_objects() - set(await rows_of(connection, "SELECT type, name FROM sqlite_schema"))
    if missing:
        raise JournalBroken(f"the journal lacks {', '.join(sorted(name for _, name in missing))}: it was tampered with")
    rows = await rows_of(connection, "SELECT account, tag, created_ns, genesis FROM meta")
    meta = Meta(*rows[0]) if len(rows) == 1 else None
    if meta is None or meta.genesis != _genesis(meta.account, meta.tag, meta.created_ns):
        raise JournalBroken("the journal's account was changed after it was written")
    return meta


def _schema_objects() -> set[tuple[str, str]]:
    memory = sqlite3.connect(":memory:")
    try:
        memory.executescript(_SCHEMA)
        return set(memory.execute("SELECT type, name FROM sqlite_schema"))
    finally:
        memory.close()


async def _tail(connection: aiosqlite.Connection, meta: Meta) -> tuple[int, bytes]:
    rows = await rows_of(connection, f"SELECT {COLUMNS} FROM facts ORDER BY seq DESC LIMIT 1")  # noqa: S608  as above
    if not rows:
        return 0, meta.genesis
    checked(rows[0], rows[0][0], rows[0][8])
    return rows[0][0], rows[0][9]
