"""A copy of a journal that a daemon may be writing: whole, verified, and on disk in one file before it gets its name.

To restore it, put it where the journal was, with no `-wal` beside it, and start. What the account did since is then not
in the journal: the start compares the two, and halts until people have looked at what is new.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from aether.domain.errors import BadConfiguration, JournalBroken
from aether.journal.audit import VerifyReport, verify
from aether.journal.lock import prepare_file, sync_directory
from aether.journal.reader import sqlite_told


async def back_up(journal: Path, target: Path) -> VerifyReport:
    """Copy `journal` to `target`, which must not be there yet; what the copy holds.

    The writer goes on meanwhile: the copy is the journal as it stood when the copying began (SQLite docs, "Online
    Backup API"; the log of WAL mode keeps what a reader began with).

    Raises:
        BadConfiguration: no journal, or a target that is there already or cannot be made.
        JournalBroken: the journal is damaged, or the disk failed; there is no copy then.
    """
    _refuse_taken(target)
    part = target.with_name(f"{target.name}.part")
    try:
        await asyncio.to_thread(_copy, journal, part)
        report = await verify(part)
        if not report.ok:
            raise JournalBroken(f"the copy of {journal} does not verify: {report.why}", seq=report.first_bad_seq)
        await asyncio.to_thread(_name, part, target)
    finally:
        part.unlink(missing_ok=True)
    return report


def _refuse_taken(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise BadConfiguration(f"{target} is there already", "name a new file: no backup is written over")


def _copy(journal: Path, part: Path) -> None:
    part.unlink(missing_ok=True)  # of a backup that was interrupted
    prepare_file(part)
    try:
        source = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise BadConfiguration(f"{journal} cannot be opened ({error})", "name the file of a journal") from error
    with sqlite_told(), closing(source), closing(sqlite3.connect(part)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, with no log beside it


def _name(part: Path, target: Path) -> None:
    """The name comes last, so that what bears it is whole."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.rename(target)
    sync_directory(target.parent)
