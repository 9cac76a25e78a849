"""Links whose other side does not read, and links that slept with their machine: on virtual time, no socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from aether.domain.inputs import PrivateStreamLost
from aether.domain.values import UtcNanos
from aether.kraken.connection import ConnectBudget, Connector, LinkTimes, Send
from aether.kraken.private_stream import NotWritten, PrivateListener
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop


class SleepyClock:
    """The loop's time and what the machine slept besides, as CLOCK_BOOTTIME counts it."""

    def __init__(self) -> None:
        self._loop = VirtualClock(asyncio.get_running_loop(), start_wall_ns=0)
        self.slept_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self._loop.wall_ns() + self.slept_ns)

    def monotonic_ns(self) -> int:
        return self._loop.monotonic_ns() + self.slept_ns


class Pipe:
    """An open socket that hears a heartbeat each second. Writes wait while `reads` is clear."""

    def __init__(self) -> None:
        self.close_code = 1006
        self.messages = 0
        self.reads = asyncio.Event()
        self.reads.set()
        self.written: list[bytes] = []

    async def hear(self, hear: Callable[[bytes], None]) -> None:
        while True:
            await asyncio.sleep(1)
            self.messages += 1
            hear(b'{"channel":"heartbeat"}')

    async def send(self, frame: bytes) -> None:
        await self.reads.wait()
        self.written.append(frame)

    async def close(self) -> None:
        pass


class Notes:
    """A listener that writes with each beat, and notes when its links ended and why."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, str]] = []

    async def prepare(self) -> None:
        pass

    async def opened(self, send: Send) -> None:
        await send(b"hello")

    def heard(self, frame: bytes) -> None:
        pass

    async def beat(self, send: Send) -> None:
        await send(b"beat")

    def lost(self, why: str) -> None:
        self.ends.append((asyncio.get_running_loop().time(), why))


def told(act: Callable[[Pipe, SleepyClock], object], at_s: float, until_s: float) -> list[tuple[float, str]]:
    """Ends of a listener's links within so many seconds, where something happens at a moment."""

    async def story() -> list[tuple[float, str]]:
        clock, pipe, notes = SleepyClock(), Pipe(), Notes()

        async def dial(url: str, tls: Any, timeout_s: float) -> Pipe:
            return pipe

        connector = Connector(
            clock=clock, random=Random(1), budget=ConnectBudget(clock), times=LinkTimes(), dial=dial, tls=_NO_TLS
        )
        asyncio.get_running_loop().call_later(at_s, act, pipe, clock)
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(connector.keep_connected("ws://made", notes))
            await asyncio.sleep(until_s)
            kept.cancel()
        return notes.ends

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story())


_NO_TLS: Any = object()


def test_a_link_that_lives_is_left_alone() -> None:
    assert told(lambda pipe, _: None, 1, 120) == []


@pytest.mark.parametrize("at_s", [0, 10.2])
def test_b08_a_link_that_beats_and_reads_nothing_is_dead_within_the_silence(at_s: float) -> None:
    (ended_s, why), *_ = told(lambda pipe, _: pipe.reads.clear(), at_s, 20)
    assert why == "nothing could be written for 5.0 s"
    assert ended_s <= at_s + 0.5 + 5 + 0.01


def test_f04_after_a_suspension_every_link_is_made_anew_though_its_socket_still_speaks() -> None:
    def sleep_an_hour(_: Pipe, clock: SleepyClock) -> None:
        clock.slept_ns += 3_600 * 10**9

    (ended_s, why), *others = told(sleep_an_hour, 30.1, 60)
    assert why.startswith("this machine stood still for 3600.")
    assert ended_s <= 31
    assert others == []


# --- what must leave in this turn or not at all ---------------------------------------------------------------------


def on_virtual_time(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(whole())


async def listener(pipe: Pipe) -> PrivateListener:
    clock: Any = SleepyClock()
    made = PrivateListener(_Rest(), _Gate(), clock, itertools.count(1), answer_s=10.0)  # type: ignore[arg-type]
    await made.opened(pipe.send)
    pipe.written.clear()
    return made


class _Rest:
    standing: Any = type("Standing", (), {"fatal_code": ""})()


class _Gate:
    wire = None


def test_j11_s14_an_order_that_cannot_leave_at_once_never_leaves() -> None:
    async def story() -> None:
        pipe = Pipe()
        stream = await listener(pipe)
        pipe.reads.clear()
        with pytest.raises(NotWritten):
            await stream.ask(7, b"add_order", at_once=True)
        pipe.reads.set()
        await asyncio.sleep(60)
        assert pipe.written == [], "a halt may have come meanwhile"

    on_virtual_time(story)


def test_a_cancel_waits_until_the_other_side_reads() -> None:
    async def story() -> None:
        pipe = Pipe()
        stream = await listener(pipe)
        pipe.reads.clear()
        asyncio.get_running_loop().call_later(3, pipe.reads.set)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(stream.ask(7, b"cancel_order"))
            await asyncio.sleep(4)
            assert pipe.written == [b"cancel_order"]
            asked.cancel()

    on_virtual_time(story)


def test_an_order_that_can_leave_leaves_and_waits_for_its_answer() -> None:
    async def story() -> None:
        pipe, heard = Pipe(), list[Any]()
        stream = await listener(pipe)
        stream.put = heard.append
        asyncio.get_running_loop().call_later(2, stream.lost, "the other side went away")
        with pytest.raises(Exception, match="the other side went away"):
            await stream.ask(7, b"add_order", at_once=True)
        assert pipe.written == [b"add_order"]
        assert [type(each) for each in heard] == [PrivateStreamLost]

    on_virtual_time(story)
