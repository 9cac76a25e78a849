"""The tape: every input as the engine took it, in compressed segments. It may lose work and never stops trading.

A run has a directory `run-<run>-<started_at_ns>` with segments `000001.tape`, `000002.tape`, … A segment is the line
`aether tape 1` and then blocks: four bytes of length (big-endian) and so many bytes of zlib. The first block is the
header; the others are lines of canonical JSON, each an input, or a gap where inputs were lost. A last block that a
crash cut short ends the tape; whatever else is missing shows in the numbers of the inputs.
"""

from __future__ import annotations

import errno
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self, TypeAlias

from aether.domain.errors import BadConfiguration, InvariantBroken, JournalBroken
from aether.domain.inputs import Stamped
from aether.domain.values import UtcNanos
from aether.journal.codec import decode, encode

_MAGIC = b"aether tape 1\n"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class TapeHeader:
    """What it takes to run these inputs again. `settings` is the core's policy as JSON, opaque here.

    `first_fact_seq` is the number of the run's first fact in the journal at path `journal`.
    """

    run: int
    code_version: str
    settings: str
    first_fact_seq: int
    journal: str
    started_at_ns: UtcNanos


@dataclass(frozen=True, slots=True)
class TapeGap:
    """Here `lost` inputs are missing, the first of them number `first_seq`: from here on nothing can be replayed."""

    first_seq: int
    lost: int
    why: str


TapeEntry: TypeAlias = Stamped | TapeGap


@dataclass(frozen=True, slots=True)
class TapeLimits:
    """How much of a tape waits in memory, and how much is kept on disk.

    A block is written after `flush_inputs` inputs or `flush_s` seconds, whichever comes first. Where more than
    `backlog_inputs` would wait, the newest are lost. `total_bytes_max` covers all runs in the directory.
    """

    flush_inputs: int = 2_000
    flush_s: float = 1.0
    backlog_inputs: int = 100_000
    segment_bytes_max: int = 64 * 1024 * 1024
    total_bytes_max: int = 4 * 1024 * 1024 * 1024


class TapeWriter:
    """Writes one run's tape from a thread of its own. A context manager: leaving it writes what waits.

    `trouble` is the last reason for a loss, for the log; empty while nothing is lost.
    """

    def __init__(self, directory: Path, header: TapeHeader, limits: TapeLimits | None = None) -> None:
        self.trouble = ""
        self._limits = limits or TapeLimits()
        self._segments = _Segments(directory, header, self._limits)
        self._waiting: deque[tuple[Stamped, ...]] = deque()
        # Each counter has one thread that writes it: the caller's above, the tape's own below.
        self._taken = 0
        self._dropped = 0
        self._last_seq = 0
        self._handled = 0
        self._unwritten = 0
        self._next_seq = 1
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._write_until_closed, name="tape", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """Inputs of this run that are on no tape."""
        return self._dropped + self._unwritten

    def record(self, inputs: Sequence[Stamped]) -> None:
        """Take these inputs; never waits, never raises. They are lost, and counted, where the disk is too slow.

        To be called from one thread.
        """
        if not inputs:
            return
        self._last_seq = inputs[-1].seq
        waiting = self._taken - self._handled + len(inputs)
        if waiting > self._limits.backlog_inputs:
            self._dropped += len(inputs)
            self.trouble = f"{waiting} inputs were waiting for the disk"
        else:
            self._taken += len(inputs)
            self._waiting.append(tuple(inputs))
        if waiting >= self._limits.flush_inputs:
            self._wake.set()

    def close(self) -> None:
        """Write what waits, end the thread and close the file. Blocks for as long as the disk takes."""
        self._is_closing = True
        self._wake.set()
        self._thread.join()

    def _write_until_closed(self) -> None:
        while not self._is_closing:
            self._wake.wait(self._limits.flush_s)
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()
        if self._next_seq <= self._last_seq:
            self._write_lines([self._gap(self._next_seq, self._last_seq + 1)])
        self._segments.close()

    def _write_waiting(self) -> None:
        block: list[Stamped] = []
        while self._waiting:
            block.extend(self._waiting.popleft())
            if len(block) >= self._limits.flush_inputs:
                self._write(block)
                block = []
        if block:
            self._write(block)

    def _write(self, block: list[Stamped]) -> None:
        """Write these inputs as one block. Where that fails, the next block begins with a gap."""
        lines: list[bytes] = []
        next_seq, written = self._next_seq, 0
        for stamped in block:
            line = self._line(stamped)
            if line is None:
                continue
            if stamped.seq != next_seq:
                lines.append(self._gap(next_seq, stamped.seq))
            lines.append(line)
            next_seq, written = stamped.seq + 1, written + 1
        if self._write_lines(lines):
            self._next_seq = next_seq
        else:
            written = 0
        self._unwritten += len(block) - written
        self._handled += len(block)

    def _line(self, stamped: Stamped) -> bytes | None:
        try:
            return encode(_Line(stamped))
        except InvariantBroken as error:  # whoever acts on this input will break on it, and say so; the tape goes on
            self.trouble = str(error)
            return None

    def _gap(self, first_seq: int, next_seq: int) -> bytes:
        return encode(_Line(TapeGap(first_seq, next_seq - first_seq, self.trouble)))

    def _write_lines(self, lines: list[bytes]) -> bool:
        try:
            self._segments.write(lines)
        except OSError as error:
            self.trouble = f"the tape cannot be written: {error}"
            return False
        return True


def read_tape(run_directory: Path) -> tuple[TapeHeader, Iterator[TapeEntry]]:
    """The header of a run's tape, and its inputs in order with a TapeGap wherever some are missing.

    A tape whose first segment was deleted begins with a gap. One whose end was cut off by a crash just ends earlier.
    The inputs raise JournalBroken for a line that this program cannot read.

    Raises:
        BadConfiguration: no tape there, or of a format that this program does not know.
    """
    segments = sorted(run_directory.glob("*.tape"))
    for segment in segments:
        for header in _blocks(segment):
            return decode(TapeHeader, header), _numbered(_entries(segments))
    raise BadConfiguration(f"{run_directory} holds no tape that can be read", "name the directory of a recorded run")


@dataclass(frozen=True, slots=True)
class _Line:
    entry: TapeEntry


class _Segments:
    """The files of one run. Every method may raise OSError; the next write then begins a new segment."""

    def __init__(self, directory: Path, header: TapeHeader, limits: TapeLimits) -> None:
        self._directory = directory
        self._run_directory = directory / f"run-{header.run:06d}-{header.started_at_ns}"
        self._header = encode(header)
        self._limits = limits
        self._number = 0
        self._file: FileIO | None = None
        self._bytes = 0

    def write(self, lines: list[bytes]) -> None:
        try:
            file = self._file or self._begin()
            self._put(file, _block(lines))
        except OSError:
            self.close()  # what was written of the block is its torn end
            raise
        if self._bytes >= self._limits.segment_bytes_max:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> FileIO:
        self._make_room()
        self._run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._run_directory / f"{self._number + 1:06d}.tape"
        self._file = FileIO(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))
        self._bytes = 0
        self._put(self._file, _MAGIC + _block([self._header]))
        self._number += 1
        return self._file

    def _put(self, file: FileIO, content: bytes) -> None:
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._bytes += len(content)

    def _make_room(self) -> None:
        """Delete the oldest segments, of this run or an earlier one, until a whole new one fits."""
        segments = sorted(self._directory.glob("run-*/*.tape"))
        total_bytes = sum(segment.stat().st_size for segment in segments)
        for segment in segments:
            if total_bytes + self._limits.segment_bytes_max <= self._limits.total_bytes_max:
                return
            total_bytes -= segment.stat().st_size
            segment.unlink()
            with suppress(OSError):  # the run has other segments
                segment.parent.rmdir()


def _block(lines: Sequence[bytes]) -> bytes:
    packed = zlib.compress(b"\n".join(lines))
    return len(packed).to_bytes(_LENGTH_BYTES, "big") + packed


def _blocks(segment: Path) -> Iterator[bytes]:
    """Contents of the whole blocks of a segment. A damaged one is left out: the numbers of the inputs will tell."""
    content = segment.read_bytes()
    if not _MAGIC.startswith(content[: len(_MAGIC)]):
        raise BadConfiguration(f"{segment} is no tape of format 1", "replay it with the program that recorded it")
    start = len(_MAGIC)
    while start + _LENGTH_BYTES <= len(content):
        end = start + _LENGTH_BYTES + int.from_bytes(content[start : start + _LENGTH_BYTES], "big")
        if end > len(content):
            return
        packed, start = content[start + _LENGTH_BYTES : end], end
        try:
            block = zlib.decompress(packed)
        except zlib.error:
            continue
        yield block


def _entries(segments: Sequence[Path]) -> Iterator[TapeEntry]:
    for segment in segments:
        blocks = _blocks(segment)
        next(blocks, None)  # the header, the same in each segment
        for block in blocks:
            for line in block.split(b"\n"):
                yield decode(_Line, line).entry


def _numbered(entries: Iterator[TapeEntry]) -> Iterator[TapeEntry]:
    """The entries, with a gap wherever their numbers jump."""
    next_seq = 1
    for entry in entries:
        first_seq = entry.seq if isinstance(entry, Stamped) else entry.first_seq
        if first_seq < next_seq:
            raise JournalBroken(f"tape: input {first_seq} comes after input {next_seq - 1}")
        if first_seq > next_seq:
            yield TapeGap(next_seq, first_seq - next_seq, "no segment holds them")
        yield entry
        next_seq = first_seq + (1 if isinstance(entry, Stamped) else entry.lost)
