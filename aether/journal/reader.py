"""Reading a journal: rows in order, each bound to the one before it, and SQLite's errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import aiosqlite
import orjson

from aether.domain.errors import JournalBroken
from aether.domain.facts import Numbered
from aether.domain.values import UtcNanos
from aether.journal.codec import decode_fact

COLUMNS = "seq, run, at_ns, input_seq, kind, version, actor, body, prev_hash, hash"
_PAGE = f"SELECT {COLUMNS} FROM facts WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608  constants alone
_PAGE_ROWS = 500
REMEDY_FULL = "the disk is full: free space on it, then start again"
_REMEDIES = {
    "SQLITE_FULL": REMEDY_FULL,
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
            with sqlite_told(from_seq):
                rows = await rows_of(self._connection, _PAGE, (from_seq, _PAGE_ROWS))
            for row in rows:
                yield checked(row, from_seq, previous)
                from_seq, previous = from_seq + 1, row[9]
            if len(rows) < _PAGE_ROWS:
                return

    async def mentioning(self, names: Sequence[str]) -> tuple[Numbered, ...]:
        """Facts whose text has one of these names anywhere in it, in order. SQLite looks, in its own thread.

        Each row is checked for itself; that they follow one another is for `read`. Raises JournalBroken.
        """
        where = " OR ".join("instr(body, ?) > 0" for _ in names)
        sql = f"SELECT {COLUMNS} FROM facts WHERE {where} ORDER BY seq"  # noqa: S608  names go in as parameters
        with sqlite_told():
            rows = await rows_of(self._connection, sql, [name.encode() for name in names])
        return tuple(checked(row, row[0], row[8]) for row in rows)

    async def last_seq_ever(self) -> int:
        """The last row that was ever written, as SQLite remembers it apart from the rows; 0 in a new journal."""
        with sqlite_told():
            rows = await rows_of(self._connection, "SELECT seq FROM sqlite_sequence WHERE name = 'facts'")
        return int(rows[0][0]) if rows else 0

    async def check_file(self) -> None:
        """Look through every page and index of the file. Raises JournalBroken with SQLite's first complaint."""
        await self._check("integrity_check")

    async def check_pages(self) -> None:
        """As check_file and faster: whether indexes and rows agree is left out. Raises JournalBroken."""
        await self._check("quick_check")

    async def _check(self, pragma: str) -> None:
        with sqlite_told():
            rows = await rows_of(self._connection, f"PRAGMA {pragma}(1)")
        if rows != [("ok",)]:
            what = " ".join(rows[0][0].split())
            raise JournalBroken(f"the file is damaged ({what}): keep it, and restore a backup beside it")

    async def hash_of(self, seq: int) -> bytes:
        """The hash that the next row after `seq` is bound to. Raises JournalBroken where row `seq` is missing."""
        if seq == 0:
            return self.meta.genesis
        with sqlite_told(seq):
            rows = await rows_of(self._connection, "SELECT hash FROM facts WHERE seq = ?", (seq,))
        if not rows:
            raise JournalBroken(f"row {seq} is missing", seq=seq)
        return bytes(rows[0][0])


def checked(row: Row, expected_seq: int, previous: bytes) -> Numbered:
    """The fact of a row. Raises JournalBroken, with its number, unless it is the very row that was written there."""
    seq, run, at_ns, input_seq, kind, version, _, body, prev_hash, row_hash = row
    if seq != expected_seq:
        raise JournalBroken(f"row {expected_seq} is missing: {seq} stands in its place", seq=expected_seq)
    if prev_hash != previous:
        raise JournalBroken(f"row {seq} does not follow row {seq - 1}: one of the two was changed", seq=seq)
    if hash_of_row(previous, row[:7], body) != row_hash:
        raise JournalBroken(f"row {seq} was changed after it was written", seq=seq)
    try:
        fact = decode_fact(kind, version, body)
    except JournalBroken as error:
        raise JournalBroken(f"row {seq}: {error}", seq=seq) from error
    return Numbered(seq, run, UtcNanos(at_ns), input_seq, fact)


def hash_of_row(previous: bytes, columns: Sequence[int | str], body: bytes) -> bytes:
    """What a row of these columns and this body, after a row of the hash `previous`, is bound by."""
    return sha256(previous + orjson.dumps(columns) + b"\n" + body).digest()


async def rows_of(connection: aiosqlite.Connection, sql: str, parameters: Sequence[int | bytes] = ()) -> list[Any]:
    """All rows of a statement. Raises sqlite3.Error."""
    return list(await connection.execute_fetchall(sql, parameters))


@contextmanager
def sqlite_told(seq: int | None = None) -> Iterator[None]:
    """Turn SQLite's errors into JournalBroken, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise JournalBroken(advice(error), seq=seq) from error


def advice(error: sqlite3.Error) -> str:
    """What failed, by SQLite's name for it, and what to do."""
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    remedy = next((text for start, text in _REMEDIES.items() if name.startswith(start)), "stop, and look at the file")
    return f"journal: {error} ({name}); {remedy}"
