"""The journal on SQLite: appended in one transaction, read in order, hash-chained, one writer.

SQLite runs in aiosqlite's thread, which takes one function at a time and finishes it whether or not the caller still
waits. So a whole append is one function there: a cancelled caller can leave all of it or nothing, never a part.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosqlite
import orjson

from aether.domain.errors import BadConfiguration, InvariantBroken, JournalBroken
from aether.domain.facts import Numbered
from aether.domain.values import UtcNanos
from aether.journal.codec import decode_fact, encode_fact
from aether.journal.lock import prepare_file, writer_lock

APPLICATION_ID = 0x41455448  # "AETH": tells file(1), and us, whose database this is
SCHEMA_VERSION = 1

_SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
_TAG = re.compile(r"[0-9a-z]{4}")
_COLUMNS = "seq, run, at_ns, input_seq, kind, version, actor, body, prev_hash, hash"
_INSERT = f"INSERT INTO facts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants alone
_PAGE = f"SELECT {_COLUMNS} FROM facts WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608  constants alone
_PAGE_ROWS = 500
_REMEDIES = {
    "SQLITE_FULL": "the disk is full: free space on it, then start again",
    "SQLITE_IOERR": "the disk failed: look at the kernel's log, then start again; what was acknowledged is safe",
    "SQLITE_BUSY": "another program holds the database: close it, then start again",
    "SQLITE_READONLY": "the file or its disk is read-only: make it writable, then start again",
    "SQLITE_CORRUPT": "the file is damaged: keep it, and restore a backup beside it",
    "SQLITE_NOTADB": "the file is no database: keep it, and restore a backup beside it",
}

Row = tuple[int, int, int, int, str, int, str, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Meta:
    """Whose journal this is: its account, the tag in its client order ids, its birth, and where its chain begins."""

    account: str
    tag: str
    created_ns: UtcNanos
    genesis: bytes


class JournalReader:
    """A journal to read from: its own writer's, or one that another process is writing."""

    def __init__(self, connection: aiosqlite.Connection, meta: Meta) -> None:
        self._connection = connection
        self.meta = meta

    async def read(self, from_seq: int = 1) -> AsyncIterator[Numbered]:
        """Facts in order, each bound to the one before it.

        Pages are read one by one, so that no statement stays open and no reader keeps the writer's log from shrinking.

        Raises:
            JournalBroken: with the number of the first row that is missing, changed or unreadable.
        """
        previous = await self.hash_of(from_seq - 1)
        rows: Sequence[Row] = ()
        while True:
            with _sqlite_told(from_seq):
                rows = await _rows(self._connection, _PAGE, (from_seq, _PAGE_ROWS))
            for row in rows:
                yield _checked(row, from_seq, previous)
                from_seq, previous = from_seq + 1, row[9]
            if len(rows) < _PAGE_ROWS:
                return

    async def mentioning(self, names: Sequence[str]) -> tuple[Numbered, ...]:
        """Facts whose text has one of these names anywhere in it, in order. SQLite looks, in its own thread.

        Each row is checked for itself; that they follow one another is for `read`. Raises JournalBroken.
        """
        where = " OR ".join("instr(body, ?) > 0" for _ in names)
        sql = f"SELECT {_COLUMNS} FROM facts WHERE {where} ORDER BY seq"  # noqa: S608  names go in as parameters
        with _sqlite_told():
            rows = await _rows(self._connection, sql, [name.encode() for name in names])
        return tuple(_checked(row, row[0], row[8]) for row in rows)

    async def last_seq_ever(self) -> int:
        """The last row that was ever written, as SQLite remembers it apart from the rows; 0 in a new journal."""
        with _sqlite_told():
            rows = await _rows(self._connection, "SELECT seq FROM sqlite_sequence WHERE name = 'facts'")
        return int(rows[0][0]) if rows else 0

    async def check_file(self) -> None:
        """Look through every page of the file. Raises JournalBroken with SQLite's first complaint."""
        with _sqlite_told():
            rows = await _rows(self._connection, "PRAGMA integrity_check(1)")
        if rows != [("ok",)]:
            raise JournalBroken(f"the file is damaged ({rows[0][0]}): keep it, and restore a backup beside it")

    async def hash_of(self, seq: int) -> bytes:
        """The hash that the next row after `seq` is bound to. Raises JournalBroken where row `seq` is missing."""
        if seq == 0:
            return self.meta.genesis
        with _sqlite_told(seq):
            rows = await _rows(self._connection, "SELECT hash FROM facts WHERE seq = ?", (seq,))
        if not rows:
            raise JournalBroken(f"row {seq} is missing", seq=seq)
        return bytes(rows[0][0])


class SqliteJournal(JournalReader):
    """The one writer of a journal. After a failed write it refuses every other: memory and disk may differ by then."""

    def __init__(self, connection: aiosqlite.Connection, meta: Meta, tail: tuple[int, bytes]) -> None:
        super().__init__(connection, meta)
        self._tail = tail
        self._failure: str | None = None

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
            self._failure = _advice(error)
            raise JournalBroken(self._failure) from error


@asynccontextmanager
async def open_journal(path: Path, *, account: str, tag: str, created_ns: UtcNanos) -> AsyncIterator[SqliteJournal]:
    """The journal of `account` at `path`, made if there is none, for this process alone until the block ends.

    Args:
        path: the database; `<path>.lock` beside it is the lock.
        account: whose memory this is; another account's file is refused.
        tag: four of `0-9a-z`, drawn at random by the caller. A new journal keeps it; an old one keeps its own.
        created_ns: the time now, kept in a new journal.

    Raises:
        BadConfiguration: in use by another process, another account's, a newer program's, a link, another owner.
        JournalBroken: no journal, damaged, or its last row is not what was written.
    """
    with writer_lock(path):
        prepare_file(path)
        async with open_database(_uri(path, "rw"), account=account, tag=tag, created_ns=created_ns) as journal:
            yield journal


@asynccontextmanager
async def open_database(
    uri: str, *, account: str, tag: str, created_ns: UtcNanos, pragmas: Sequence[str] = ()
) -> AsyncIterator[SqliteJournal]:
    """As open_journal, for any SQLite URI and without its lock: a database in memory, or on a made disk.

    `pragmas` are set before the first access, e.g. `locking_mode=EXCLUSIVE` where there is no shared memory.
    """
    async with _connected(uri) as connection:
        with _sqlite_told():
            await _settle(connection, pragmas)
            if await _is_empty(connection):
                await _create(connection, _new_meta(account, tag, created_ns))
            await _switch_to_wal(connection)
            meta = await _known(connection)
            journal = SqliteJournal(connection, meta, await _tail(connection, meta))
            _refuse_cut(journal.tail()[0], await journal.last_seq_ever())
        if meta.account != account:
            raise BadConfiguration(
                f"the journal belongs to account {meta.account}, not {account}",
                "name that account, or give this one a journal of its own",
            )
        yield journal


@asynccontextmanager
async def read_only(path: Path) -> AsyncIterator[JournalReader]:
    """A journal to look at, also while a daemon writes it. Raises as open_journal, but for the lock and the owner."""
    async with _connected(_uri(path, "ro")) as connection:
        with _sqlite_told():
            meta = await _known(connection)
        yield JournalReader(connection, meta)


# --- the chain ----------------------------------------------------------------------------------------------------


def _row_hash(previous: bytes, columns: Sequence[int | str], body: bytes) -> bytes:
    return sha256(previous + orjson.dumps(columns) + b"\n" + body).digest()


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
        hashed = _row_hash(previous, columns, encoded.body)
        rows.append((*columns, encoded.body, previous, hashed))
        previous = hashed
    return rows


def _checked(row: Row, expected_seq: int, previous: bytes) -> Numbered:
    """The fact of a row. Raises JournalBroken, with its number, unless it is the very row that was written there."""
    seq, run, at_ns, input_seq, kind, version, _, body, prev_hash, row_hash = row
    if seq != expected_seq:
        raise JournalBroken(f"row {expected_seq} is missing: {seq} stands in its place", seq=expected_seq)
    if prev_hash != previous:
        raise JournalBroken(f"row {seq} does not follow row {seq - 1}: one of the two was changed", seq=seq)
    if _row_hash(previous, row[:7], body) != row_hash:
        raise JournalBroken(f"row {seq} was changed after it was written", seq=seq)
    try:
        fact = decode_fact(kind, version, body)
    except JournalBroken as error:
        raise JournalBroken(f"row {seq}: {error}", seq=seq) from error
    return Numbered(seq, run, UtcNanos(at_ns), input_seq, fact)


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
        with _sqlite_told():  # a disk may fail between the two openings
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


async def _rows(connection: aiosqlite.Connection, sql: str, parameters: Sequence[int | bytes] = ()) -> list[Any]:
    return list(await connection.execute_fetchall(sql, parameters))


async def _settle(connection: aiosqlite.Connection, pragmas: Sequence[str]) -> None:
    # EXTRA until the file is in WAL mode: it also syncs the directory when the first rollback journal is removed. A
    # power cut could otherwise bring that journal back, and its rollback would hide all that the WAL holds.
    for pragma in (*pragmas, "synchronous=EXTRA"):
        await _rows(connection, f"PRAGMA {pragma}")


async def _switch_to_wal(connection: aiosqlite.Connection) -> None:
    ((mode,),) = await _rows(connection, "PRAGMA journal_mode=WAL")
    if mode not in {"wal", "memory"}:
        raise BadConfiguration(
            f"SQLite keeps to journal mode {mode} here", "put the journal on a local disk; network disks lack WAL"
        )
    # FULL syncs the WAL at every commit (SQLite docs, PRAGMA synchronous); NORMAL would lose acknowledged rows.
    await _rows(connection, "PRAGMA synchronous=FULL")


async def _is_empty(connection: aiosqlite.Connection) -> bool:
    return not await _rows(connection, "SELECT 1 FROM sqlite_schema LIMIT 1")


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
    ((application_id,),) = await _rows(connection, "PRAGMA application_id")
    if application_id != APPLICATION_ID:
        raise BadConfiguration("this SQLite file is no journal of Aether", "name the file of a journal")
    ((schema_version,),) = await _rows(connection, "PRAGMA user_version")
    if schema_version != SCHEMA_VERSION:
        raise BadConfiguration(
            f"the journal has schema {schema_version}, this program knows {SCHEMA_VERSION}",
            "run the version of the program that last wrote it, or a newer one",
        )
    missing = _schema_objects() - set(await _rows(connection, "SELECT type, name FROM sqlite_schema"))
    if missing:
        raise JournalBroken(f"the journal lacks {', '.join(sorted(name for _, name in missing))}: it was tampered with")
    rows = await _rows(connection, "SELECT account, tag, created_ns, genesis FROM meta")
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
    rows = await _rows(connection, f"SELECT {_COLUMNS} FROM facts ORDER BY seq DESC LIMIT 1")  # noqa: S608  as above
    if not rows:
        return 0, meta.genesis
    _checked(rows[0], rows[0][0], rows[0][8])
    return rows[0][0], rows[0][9]


@contextmanager
def _sqlite_told(seq: int | None = None) -> Iterator[None]:
    """Turn SQLite's errors into JournalBroken, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise JournalBroken(_advice(error), seq=seq) from error


def _advice(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    remedy = next((text for start, text in _REMEDIES.items() if name.startswith(start)), "stop, and look at the file")
    return f"journal: {error} ({name}); {remedy}"
