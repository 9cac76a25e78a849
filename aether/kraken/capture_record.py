"""Records a public feed as raw frames, one a line, exactly as they came: what `capture verify` and tests read.

The file is sound whatever ends the recording: what was flushed ends with a whole line, also in a compressed file, and
where the disk is full the unfinished rest is cut off.
"""

from __future__ import annotations

import gzip
import itertools
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from aether.domain.errors import BadConfiguration
from aether.domain.values import Symbol
from aether.kraken import requests
from aether.kraken.connection import Send
from aether.kraken.messages import (
    Answer,
    BooksRead,
    CandlesRead,
    Complaint,
    Heartbeat,
    PairsRead,
    SystemStatus,
    TickersRead,
    TradesRead,
)
from aether.kraken.rate_limit import Pace
from aether.kraken.wire import Reader
from aether.ports import Clock

DEPTHS = (10, 25, 100, 500, 1000)  # levels a side that Kraken sends (docs, WebSocket v2 `book`)
CHANNELS = ("book", "trade", "ticker", "ohlc", "instrument")
FLUSH_BYTES = 1 << 16
CANDLE_MIN = 1
SYMBOLS_IN_REQUEST = 100
_CHANNEL_OF: Mapping[type, str] = MappingProxyType(
    {
        BooksRead: "book",
        TradesRead: "trade",
        TickersRead: "ticker",
        CandlesRead: "ohlc",
        PairsRead: "instrument",
        Heartbeat: "heartbeat",
        SystemStatus: "status",
        Answer: "answer",
    }
)
_GZIP_WINDOW = 31  # zlib's code for a gzip header and trailer around the data


class FrameFile:
    """A new file of frames; compressed where its name ends in `.gz`.

    Raises BadConfiguration where there is a file already: a recording cannot be had again.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError as error:
            raise BadConfiguration(f"{path} is there already", "name another file") from error
        except OSError as error:
            raise BadConfiguration(f"cannot write {path}: {error.strerror}", "name a file that can be made") from error
        self._compressor = zlib.compressobj(wbits=_GZIP_WINDOW) if path.suffix == ".gz" else None
        self._waiting = bytearray()
        self._sound_bytes = 0
        self.frames = 0

    @property
    def size_bytes(self) -> int:
        """What the file holds."""
        return self._sound_bytes

    def write(self, frame: bytes) -> None:
        """Take one frame. A line break, which JSON allows only between its tokens, becomes a space: one frame a line.

        Raises OSError as `flush`.
        """
        self._waiting += frame.replace(b"\n", b" ").replace(b"\r", b" ")
        self._waiting += b"\n"
        self.frames += 1
        if len(self._waiting) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises OSError where it cannot be; the file then ends with the last whole line before."""
        taken, self._waiting = bytes(self._waiting), bytearray()
        if not taken:
            return
        if self._compressor is None:
            self._append(taken)
            return
        before = self._compressor.copy()
        try:
            self._append(self._compressor.compress(taken) + self._compressor.flush(zlib.Z_SYNC_FLUSH))
        except OSError:
            self._compressor = before  # what did not reach the disk is no part of the stream
            raise

    def close(self) -> None:
        """Flush, and end the file. Raises OSError as `flush`; the file is closed all the same."""
        try:
            self.flush()
        finally:
            try:
                if self._compressor is not None:
                    self._append(self._compressor.flush(zlib.Z_FINISH))
            finally:
                os.close(self._descriptor)

    def _append(self, content: bytes) -> None:
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            os.ftruncate(self._descriptor, self._sound_bytes)
            os.lseek(self._descriptor, self._sound_bytes, os.SEEK_SET)
            raise
        self._sound_bytes += len(content)


class Recorder:
    """Listens to one link after another and keeps every frame, also those of subscriptions that were refused.

    `channels` counts frames by what they are; `refusals` are Kraken's texts to subscriptions, each once.
    """

    def __init__(
        self, file: FrameFile, clock: Clock, *, symbols: Sequence[Symbol], channels: Sequence[str], depth: int
    ) -> None:
        self._file = file
        self._symbols = tuple(symbols)
        self._wanted = tuple(channels)
        self._depth = depth
        self._pace = Pace(clock)
        self._req_ids = itertools.count(1)
        self._reader = Reader(_admit_none)
        self.channels: Counter[str] = Counter()
        self.refusals: dict[str, None] = {}
        self.links_lost: list[str] = []

    async def prepare(self) -> None:
        """Nothing is needed before a public connect."""

    async def opened(self, send: Send) -> None:
        """Subscribe to all that is wanted."""
        for frame in self._subscriptions():
            await self._pace.take()
            await send(frame)

    def heard(self, frame: bytes) -> None:
        """Keep a frame. Raises OSError where it cannot be."""
        self._file.write(frame)
        message = self._reader.read(frame)
        self.channels[_CHANNEL_OF.get(type(message), "other")] += 1
        match message:
            case Answer(method="subscribe", error=error) if error:
                self.refusals[error] = None
            case Complaint():
                self._pace.complained()
            case _:
                pass

    async def beat(self, send: Send) -> None:  # noqa: ARG002 - a heartbeat comes each second and keeps the link
        """Let what was heard reach the disk. Raises OSError where it cannot."""
        self._file.flush()

    def lost(self, why: str) -> None:
        """The next link goes on in the same file: its acknowledgements and snapshots show where."""
        self.links_lost.append(why)

    def _subscriptions(self) -> Iterator[bytes]:
        by_symbols: dict[str, Callable[[Sequence[Symbol], int], bytes]] = {
            "book": lambda some, req_id: requests.subscribe_book(some, self._depth, req_id=req_id),
            "trade": lambda some, req_id: requests.subscribe_trades(some, req_id=req_id),
            "ticker": lambda some, req_id: requests.subscribe_ticker(some, req_id=req_id),
            "ohlc": lambda some, req_id: requests.subscribe_candles(some, CANDLE_MIN, req_id=req_id),
        }
        for channel in self._wanted:
            if channel == "instrument":
                yield requests.subscribe_instruments(req_id=next(self._req_ids))
                continue
            for start in range(0, len(self._symbols), SYMBOLS_IN_REQUEST):
                yield by_symbols[channel](self._symbols[start : start + SYMBOLS_IN_REQUEST], next(self._req_ids))


def read_frames(path: Path) -> Iterator[bytes]:
    """Frames of a recording, one a line, compressed or not; one that was cut off by a power cut ends where it breaks.

    Raises OSError where the file cannot be read, BadConfiguration where it is no gzip for all its name.
    """
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            yield from lines
        except (EOFError, zlib.error):
            return
        except gzip.BadGzipFile as error:
            raise BadConfiguration(f"{path} is no whole gzip: {error}", "name a recording, or rename it") from error


def _admit_none(_name: str) -> None:
    """A recorder keeps frames; what they hold is for `verify` to read."""
