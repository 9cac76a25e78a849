from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.spot_gate import recall
from aether.kraken.connection import ConnectBudget, Connector, LinkLost, LinkTimes, MaintenancePause, Pinger, Send
from aether.kraken.messages import Answer
from aether.kraken.wire import Reader
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop


class Notes:
    """A listener that writes down what it meets, and lets the test wait for it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ends: list[str] = []
        self.opens = 0
        self.refuse: Exception | None = None
        self.drop_at: bytes | None = None
        self._news = asyncio.Event()

    async def prepare(self) -> None:
        if self.refuse is not None:
            raise self.refuse

    async def opened(self, send: Send) -> None:
        self.opens += 1
        await send(b'{"method":"hello"}')

    def heard(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._news.set()
        if frame == self.drop_at:
            raise LinkLost("the listener wants a new link")

    async def beat(self, send: Send) -> None:
        self._news.set()

    def lost(self, why: str) -> None:
        self.ends.append(why)
        self._news.set()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(3):
            while not condition():
                self._news.clear()
                await self._news.wait()


Background = Callable[[Any], None]


async def test_a_link_subscribes_hears_and_comes_back_after_a_drop(
    toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()

    async def greet(say: Any) -> None:
        await say('{"channel":"heartbeat"}')

    toy.on_connect = greet
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: len(notes.frames) == 1)
    await toy.drop()
    await notes.wait_until(lambda: len(notes.frames) == 2)

    assert notes.frames == [b'{"channel":"heartbeat"}'] * 2
    assert notes.ends[0] == "closed with code 1012"
    await notes.wait_until(lambda: {"method": "hello"} in toy.requests)


async def test_plain_text_is_handed_on_like_any_frame(toy: Any, connector: Connector, background: Background) -> None:
    notes = Notes()

    async def greet(say: Any) -> None:
        await say("CloudFlare WebSocket proxy restarting")
        await say('{"channel":"heartbeat"}')

    toy.on_connect = greet
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: len(notes.frames) == 2)

    assert notes.ends == []


async def test_b08_a_link_without_any_frame_is_dead_though_its_socket_stands_open(
    toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: notes.opens == 2)

    assert notes.ends[0].startswith("no frame for ")


async def test_b08_pings_of_the_protocol_do_not_keep_a_mute_link_alive(
    toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()

    async def ping(_: Any) -> None:
        with suppress(ConnectionError):
            while not toy.sockets[-1].closed:
                await toy.sockets[-1].ping()
                await asyncio.sleep(0.02)

    toy.on_connect = ping
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: bool(notes.ends))

    assert notes.ends[0].startswith("no frame for ")


async def test_a_link_with_heartbeats_outlives_the_silence(
    toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()

    async def beat(say: Any) -> None:
        for _ in range(100):
            await say('{"channel":"heartbeat"}')
            await asyncio.sleep(0.02)

    toy.on_connect = beat
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: len(notes.frames) >= 20)

    assert notes.ends == []


async def test_a_listener_can_end_its_link(toy: Any, connector: Connector, background: Background) -> None:
    notes = Notes()
    notes.drop_at = b"stop"

    async def greet(say: Any) -> None:
        await say("stop")

    toy.on_connect = greet
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: len(notes.ends) == 2)

    assert notes.ends == ["the listener wants a new link"] * 2


async def test_a_frame_beyond_a_megabyte_ends_the_link_unread(
    toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()

    async def flood(say: Any) -> None:
        await say("x" * ((1 << 20) + 1))

    toy.on_connect = flood
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: bool(notes.ends))

    assert notes.frames == []


@pytest.mark.parametrize(("code", "reconnects"), [(1012, True), (1006 - 5, True), (1008, False)])
async def test_b13_a_policy_violation_is_not_answered_by_a_quick_reconnect(
    code: int, *, reconnects: bool, toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: notes.opens == 1)
    await toy.drop(code)
    await notes.wait_until(lambda: len(notes.ends) == 1)
    await asyncio.sleep(0.15)  # back-off is at most a tenth of a second here, the wait after 1008 three of them

    assert (notes.opens > 1) == reconnects
    await notes.wait_until(lambda: notes.opens > 1)


@pytest.mark.parametrize(
    ("refusal", "why"),
    [(VenueUnavailable("no token"), "no token"), (VenueRefused("venue_auth", "EAPI"), "venue_auth: EAPI")],
)
async def test_what_cannot_be_prepared_is_not_connected(
    refusal: Exception, why: str, toy: Any, connector: Connector, background: Background
) -> None:
    notes = Notes()
    notes.refuse = refusal
    background(connector.keep_connected(toy.ws_url, notes))
    await notes.wait_until(lambda: bool(notes.ends))

    assert (notes.ends[0], toy.connects) == (why, 0)


async def test_an_address_that_takes_no_connection_is_tried_again(connector: Connector, background: Background) -> None:
    notes = Notes()
    background(connector.keep_connected("ws://127.0.0.1:1/v2", notes))
    await notes.wait_until(lambda: len(notes.ends) == 2)

    assert notes.ends[0].startswith("ConnectionRefusedError")


async def test_a_defect_of_the_listener_is_not_swallowed(toy: Any, connector: Connector) -> None:
    class Broken(Notes):
        def heard(self, frame: bytes) -> None:
            raise AssertionError("a defect")

    async def greet(say: Any) -> None:
        await say("anything")

    toy.on_connect = greet
    with pytest.raises(ExceptionGroup) as group:
        await connector.keep_connected(toy.ws_url, Broken())
    assert group.group_contains(AssertionError)


def test_b13_backing_off_doubles_to_a_bound_and_is_the_same_for_the_same_seed(clock: Any) -> None:
    def delays() -> list[float]:
        times = LinkTimes(backoff_min_s=0.5, backoff_max_s=30.0)
        made = Connector(clock=clock, random=Random(3), budget=ConnectBudget(clock), times=times)
        return [made._backoff_s(failures) for failures in range(12)]

    assert delays() == delays()
    for failures, delay_s in enumerate(delays()):
        bound_s = min(30.0, 0.5 * 2**failures)
        assert bound_s / 2 <= delay_s <= bound_s


async def test_b13_no_more_connects_are_made_than_the_window_allows(clock: Any) -> None:
    budget = ConnectBudget(clock, connects_max=3, window_s=0.3)
    began_ns = clock.monotonic_ns()
    for _ in range(3):
        await budget.take()
    assert clock.monotonic_ns() - began_ns < 10**8

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(budget.take())

    assert clock.monotonic_ns() - began_ns >= 2 * 3 * 10**8 - 10**8


class SteppedClock:
    def __init__(self) -> None:
        self.wall, self.monotonic = 10**18, 5 * 10**9

    def wall_ns(self) -> Any:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic


def pong(req_id: int, time_in: str) -> Answer:
    answer = Reader(recall).read(f'{{"method":"pong","req_id":{req_id},"time_in":"{time_in}"}}'.encode())
    assert isinstance(answer, Answer)
    return answer


def test_a_pong_tells_the_offset_at_half_the_round_trip_even_if_our_clock_jumps() -> None:
    clock = SteppedClock()
    pinger = Pinger(clock, itertools.count(1))
    frame = pinger.ping_if_due()
    assert frame is not None
    assert json.loads(frame) == {"method": "ping", "req_id": 1}
    clock.monotonic += 40_000_000
    clock.wall -= 3600 * 10**9

    measured = pinger.measure(pong(1, "2001-09-09T01:46:40.520000Z"))

    assert measured is not None
    assert (measured.offset_ns, measured.error_ns) == (500_000_000, 20_000_000)


def test_a_pong_of_another_ping_measures_nothing() -> None:
    clock = SteppedClock()
    pinger = Pinger(clock, itertools.count(1))
    pinger.ping_if_due()

    assert pinger.measure(pong(2, "2001-09-09T01:46:40Z")) is None
    assert pinger.measure(pong(1, "no time")) is None
    assert pinger.measure(pong(1, "2001-09-09T01:46:40Z")) is not None
    assert pinger.measure(pong(1, "2001-09-09T01:46:40Z")) is None, "one ping, one measure"


def test_pings_are_spaced() -> None:
    clock = SteppedClock()
    pinger = Pinger(clock, itertools.count(1), every_s=15)
    assert pinger.ping_if_due() is not None
    clock.monotonic += 15 * 10**9 - 1
    assert pinger.ping_if_due() is None
    clock.monotonic += 1
    assert pinger.ping_if_due() is not None


async def test_a_redirect_is_not_followed(connector: Connector, background: Background) -> None:
    elsewhere: list[str] = []

    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def receive(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return web.Response()

    application = web.Application()
    application.router.add_get("/v2", redirect)
    application.router.add_get("/elsewhere", receive)
    server = TestServer(application)
    await server.start_server()
    notes = Notes()
    background(connector.keep_connected(str(server.make_url("/v2")).replace("http", "ws", 1), notes))
    await notes.wait_until(lambda: len(notes.ends) == 2)

    assert notes.ends[0] == "ConnectionError: answered with HTTP 307"
    assert (notes.opens, elsewhere) == (0, [])
    await server.close()


def test_b13_during_maintenance_there_is_at_most_one_connect_in_five_seconds() -> None:
    async def connect(clock: VirtualClock) -> list[float]:
        pause = MaintenancePause(clock)
        connects_s = []
        for system in ("online", "maintenance", "maintenance", "online", "online"):
            await pause.wait()
            connects_s.append(clock.monotonic_ns() / 1e9)
            pause.heard(system)
        return connects_s

    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        connects_s = runner.run(connect(VirtualClock(loop, start_wall_ns=0)))

    assert connects_s == pytest.approx([0, 0, 5, 10, 10])


class _EndingSocket:
    """A socket that the peer ends in the very turn in which whoever waits on it is cancelled."""

    def __init__(self) -> None:
        self.messages = 0
        self.close_code = 1006
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hear(self, _: Callable[[bytes], None]) -> None:
        try:
            await self.ended
        except asyncio.CancelledError:
            raise ConnectionResetError("the peer was quicker") from None

    async def send(self, _: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("ends_first", [True, False])
def test_h01_h07_a_link_that_ends_in_the_turn_of_its_cancellation_is_not_opened_anew(
    clock: Any, *, ends_first: bool
) -> None:
    async def scene() -> int:
        sockets: list[_EndingSocket] = []

        async def dial(url: str, tls: ssl.SSLContext, timeout_s: float) -> _EndingSocket:
            sockets.append(_EndingSocket())
            return sockets[-1]

        connector = Connector(clock=clock, random=Random(1), budget=ConnectBudget(clock), dial=dial)
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(connector.keep_connected("wss://made", Notes()))
            await asyncio.sleep(1)
            if ends_first:
                sockets[0].ended.set_result(None)
                await asyncio.sleep(0)  # the link's part has ended, and its group has not heard of it yet
            kept.cancel()
            await asyncio.wait([kept], timeout=60)
            kept.cancel()
        return len(sockets)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(scene()) == 1
