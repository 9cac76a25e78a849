from __future__ import annotations

import asyncio
import gzip
import json
import resource
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aether.domain.errors import BadConfiguration
from aether.domain.spot_gate import recall
from aether.kraken.capture import verify_capture
from aether.kraken.capture_record import CHANNELS, FLUSH_BYTES, FrameFile, Recorder, read_frames
from aether.kraken.connection import Connector

BTC, ETH = recall("BTC/USD"), recall("ETH/USD")
RAW = "ws2-book/btcusd-d10-20260719T1754.raw.ndjson"
NAMES = pytest.mark.parametrize("name", ["feed.ndjson", "feed.ndjson.gz"])


@NAMES
def test_frames_come_back_as_they_came_and_verify(name: str, tmp_path: Path, capture: Callable[[str], bytes]) -> None:
    frames = capture(RAW).splitlines()
    file = FrameFile(tmp_path / name)
    for frame in frames:
        file.write(frame)
    file.close()

    assert [line.rstrip(b"\n") for line in read_frames(tmp_path / name)] == frames
    assert file.frames == len(frames)
    assert file.size_bytes == (tmp_path / name).stat().st_size
    assert verify_capture(read_frames(tmp_path / name), None).total.checksums_ok == 1254


def test_other_programs_read_the_compressed_file(tmp_path: Path) -> None:
    file = FrameFile(tmp_path / "feed.gz")
    file.write(b'{"channel":"heartbeat"}')
    file.flush()
    file.write(b"CloudFlare WebSocket proxy restarting")
    file.close()

    assert gzip.decompress((tmp_path / "feed.gz").read_bytes()).count(b"\n") == 2


@NAMES
def test_a_line_break_between_tokens_makes_no_second_frame(name: str, tmp_path: Path) -> None:
    file = FrameFile(tmp_path / name)
    file.write(b'{"channel":\r\n"heartbeat"}')
    file.close()

    assert [json.loads(line) for line in read_frames(tmp_path / name)] == [{"channel": "heartbeat"}]


@NAMES
def test_what_was_flushed_is_read_though_the_end_never_came(name: str, tmp_path: Path) -> None:
    file = FrameFile(tmp_path / name)
    file.write(b"kept")
    file.flush()
    file.write(b"lost")

    assert list(read_frames(tmp_path / name)) == [b"kept\n"]
    file.close()
    half = (tmp_path / name).read_bytes()[:-4]
    (tmp_path / name).write_bytes(half)
    assert next(iter(read_frames(tmp_path / name))) == b"kept\n"


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "feed").write_bytes(b"dear\n")

    with pytest.raises(BadConfiguration, match="is there already"):
        FrameFile(tmp_path / "feed")
    with pytest.raises(BadConfiguration, match="cannot write"):
        FrameFile(tmp_path / "no folder" / "feed")
    assert (tmp_path / "feed").read_bytes() == b"dear\n"


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to write further into any file: a disk that is full, to whoever writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@NAMES
def test_a_full_disk_leaves_whole_lines_and_raises(name: str, tmp_path: Path) -> None:
    chance, path = Random(5), tmp_path / name
    frames = [chance.randbytes(64).hex().encode() for _ in range(3 * FLUSH_BYTES // 128)]
    file = FrameFile(path)
    with files_end_at(100_000):
        with pytest.raises(OSError, match="File too large"):
            deque(map(file.write, frames), maxlen=0)
        kept = [line.rstrip(b"\n") for line in read_frames(path)]
        file.close()

    assert 0 < len(kept) < len(frames)
    assert kept == frames[: len(kept)]
    assert [line.rstrip(b"\n") for line in read_frames(path)] == kept


class CountedFile(FrameFile):
    """A frame file that can be waited for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._news = asyncio.Event()

    def write(self, frame: bytes) -> None:
        super().write(frame)
        self._news.set()

    async def wait_for(self, frames: int) -> None:
        async with asyncio.timeout(3):
            while self.frames < frames:
                self._news.clear()
                await self._news.wait()


async def test_a_recorder_subscribes_to_all_that_is_wanted_and_keeps_every_frame(
    toy: Any, connector: Connector, clock: Any, tmp_path: Path, background: Callable[[Any], None]
) -> None:
    said = ["CloudFlare WebSocket proxy restarting", '{"channel":"heartbeat"}', '{"channel":"ticker","type":"x"}']

    async def answer(asked: dict[str, Any], say: Any) -> None:
        if asked["params"]["channel"] == "instrument":
            for text in said:
                await say(text)
        elif asked["params"]["channel"] == "ohlc":
            await say('{"method":"subscribe","success":false,"error":"Currency pair not supported ETH/USD"}')

    toy.on_request = answer
    file = CountedFile(tmp_path / "feed")
    recorder = Recorder(file, clock, symbols=(BTC, ETH), channels=CHANNELS, depth=100)
    background(connector.keep_connected(toy.ws_url, recorder))
    await file.wait_for(4)
    await toy.drop()
    await file.wait_for(8)
    file.flush()

    kept = [line.rstrip(b"\n").decode() for line in read_frames(tmp_path / "feed")]
    assert set(said) < set(kept)
    assert recorder.channels["heartbeat"] == 2
    assert list(recorder.refusals) == ["Currency pair not supported ETH/USD"]
    assert recorder.links_lost == ["closed with code 1012"]
    asked = [request["params"] for request in toy.requests[:5]]
    assert {params["channel"] for params in asked} == set(CHANNELS)
    assert {"channel": "book", "symbol": ["BTC/USD", "ETH/USD"], "depth": 100, "snapshot": True} in asked
