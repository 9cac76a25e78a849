"""The made wire: order is kept, cuts lose what is under way, and a dead process hears nothing more."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

import aiohttp
import orjson
import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.fault_wire import Reply
from aether.sim.front import Front
from aether.sim.opening import SandboxConfig, open_desk
from aether.sim.ws_api import Door
from aether.simulator.agenda import Agenda, ExchangeClock
from aether.simulator.loop import WorldLoop
from aether.simulator.trouble import WELL, Fate, Trouble
from aether.simulator.wire import ADDRESSES, CLOSE_ABNORMAL, HttpPipe, Pipe, Wire

T = TypeVar("T")
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TIMEOUT = aiohttp.ClientTimeout(total=5)
START_NS = 1_790_000_000 * NANOS_PER_S


class House:
    """A made Kraken, a wire to it, and a loop."""

    def __init__(self) -> None:
        self.agenda = Agenda(START_NS)
        clock = ExchangeClock(self.agenda)
        opened = open_desk(SandboxConfig(balances={}), clock, Random(1).randbytes)
        self.front = Front(opened.desk, opened.crowd, clock, box=None, new_id=lambda: 1)
        self.sent: list[tuple[str, str]] = []
        self.wire = Wire(self.agenda, self.front, Random(2), self)
        self.loop = WorldLoop(self.agenda, Random(3))

    def left(self, transport: str, method: str, _fields: Mapping[str, object]) -> None:
        self.sent.append((transport, method))

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            return self.loop.run_until_complete(main)
        finally:
            self.loop.close()

    async def dial(self, door: Door = "public") -> Pipe:
        return await self.wire.dial(ADDRESSES[f"ws_{door}"], TLS, 5)

    async def get(self, method: str) -> tuple[int, bytes]:
        http = HttpPipe(self.wire)
        url = f"{ADDRESSES['rest']}/0/public/{method}"
        async with http.request("GET", url, data=None, headers={}, timeout=TIMEOUT, allow_redirects=False) as answer:
            return answer.status, b"".join([part async for part in answer.content.iter_chunked(100)])


async def hear_for(pipe: Pipe, seconds: float) -> list[Any]:
    heard: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            await pipe.hear(heard.append)
    except TimeoutError:
        pass
    return [orjson.loads(frame) for frame in heard]


def test_a_socket_tells_the_status_first_and_answers_in_order() -> None:
    house = House()

    async def main() -> list[Any]:
        pipe = await house.dial()
        for number in range(20):
            await pipe.send(b'{"method":"ping","req_id":%d}' % number)
        return await hear_for(pipe, 10)

    status, *pongs = house.run(main())
    assert status["channel"] == "status"
    assert [pong["req_id"] for pong in pongs] == list(range(20))


def test_a_private_request_is_told_at_its_first_byte() -> None:
    house = House()

    async def main() -> None:
        pipe = await house.dial("private")
        await pipe.send(b'{"method":"add_order","params":{}}')
        assert house.sent == [("ws", "add_order")]

    house.run(main())


def test_a_cut_loses_what_is_under_way() -> None:
    house = House()

    async def main() -> None:
        pipe = await house.dial()
        await pipe.send(b'{"method":"ping"}')
        assert house.wire.cut("private") == 0
        assert house.wire.cut() == 1
        await pipe.hear(lambda _: None)
        assert pipe.close_code == CLOSE_ABNORMAL
        with pytest.raises(ConnectionError):
            await pipe.send(b"{}")
        assert house.front.lines.all() == ()

    house.run(main())


def test_a_closed_socket_is_left_at_both_ends() -> None:
    house = House()

    async def main() -> None:
        pipe = await house.dial()
        await pipe.close()
        await asyncio.sleep(1)
        assert house.front.lines.all() == () == tuple(house.wire.pipes)

    house.run(main())


def test_what_the_listener_raises_ends_the_link() -> None:
    house = House()

    def refuse(_: bytes) -> None:
        raise KeyError("no")

    async def main() -> None:
        pipe = await house.dial()
        with pytest.raises(KeyError):
            await pipe.hear(refuse)

    house.run(main())


def test_a_call_is_answered() -> None:
    house = House()
    status, body = house.run(house.get("Time"))
    assert status == 200
    assert orjson.loads(body)["error"] == []


class Bad(Trouble):
    """One fate for every call; every frame twice."""

    def __init__(self, fate: Fate = WELL, why: str = "") -> None:
        self.fate = fate
        self.why = why

    def refuses(self, door: Door) -> str:
        return self.why

    def told(self, door: Door, frame: bytes) -> Sequence[bytes]:
        return frame, frame

    def called(self, endpoint: str, *, is_private: bool) -> Fate:
        return self.fate


@pytest.mark.parametrize(
    ("fate", "raised"),
    [
        (Fate(refused=True), aiohttp.ConnectionTimeoutError),
        (Fate(arrives=False), aiohttp.ServerDisconnectedError),
        (Fate(answers=False), aiohttp.ServerDisconnectedError),
        (Fate(answers=False, hangs=True), TimeoutError),
        (Fate(arrives=False, hangs=True), TimeoutError),
    ],
)
def test_a_call_meets_its_fate(fate: Fate, raised: type[Exception]) -> None:
    house = House()
    house.wire.trouble = Bad(fate)
    with pytest.raises(raised):
        house.run(house.get("Time"))


def test_an_answer_may_be_another_one() -> None:
    house = House()
    house.wire.trouble = Bad(Fate(instead=Reply("<html>", 502, "text/html")))
    assert house.run(house.get("Time")) == (502, b"<html>")


def test_an_answer_may_be_changed_on_its_way() -> None:
    house = House()
    house.wire.trouble = Bad(Fate(rewrite=lambda reply: Reply(reply.text[:3])))
    assert house.run(house.get("Time")) == (200, b'{"e')


def test_frames_may_come_twice_and_sockets_be_refused() -> None:
    house = House()
    house.wire.trouble = trouble = Bad()

    async def main() -> None:
        first, second = await hear_for(await house.dial(), 5)
        assert first == second
        trouble.why = "no way there"
        with pytest.raises(ConnectionError, match="no way there"):
            await house.dial()

    house.run(main())


def test_no_socket_opens_in_maintenance() -> None:
    house = House()
    house.front.desk.exchange.set_system_status("maintenance")
    with pytest.raises(ConnectionError, match="503"):
        house.run(house.dial())


def test_a_muted_socket_stays_open_and_silent() -> None:
    house = House()

    async def main() -> None:
        pipe = await house.dial()
        pipe.mute(3 * NANOS_PER_S)
        await pipe.send(b'{"method":"ping","req_id":1}')
        await asyncio.sleep(4)
        await pipe.send(b'{"method":"ping","req_id":2}')
        heard = await hear_for(pipe, 5)
        assert [pong["req_id"] for pong in heard if "req_id" in pong] == [2]

    house.run(main())


def test_a_dead_process_hears_nothing_more() -> None:
    house = House()

    async def main() -> None:
        pipe = await house.dial()
        await pipe.send(b'{"method":"ping"}')
        house.agenda.after(NANOS_PER_S // 100, house.wire.end_life)
        with pytest.raises(TimeoutError):
            await house.get("Time")
        assert house.front.lines.all() == ()
        with pytest.raises(ConnectionError):
            await pipe.send(b"{}")

    house.run(main())


def test_an_answer_after_the_loop_was_closed_is_nobodys() -> None:
    house = House()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await house.get("Time")

    house.run(main())
    house.agenda.reach(house.agenda.now_ns + 10 * NANOS_PER_S)


def test_the_trace_knows_every_byte_and_its_time() -> None:
    def trace(pings: int) -> str:
        house = House()

        async def main() -> None:
            pipe = await house.dial()
            for _ in range(pings):
                await pipe.send(b'{"method":"ping"}')
            await hear_for(pipe, 3)

        house.run(main())
        return house.wire.trace

    assert trace(1) == trace(1) != trace(2)
