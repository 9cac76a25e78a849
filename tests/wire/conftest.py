from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import strategies as st

from aether.domain.effects import SubmitOrder
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, PriceType, SelfTrade, TimeInForce, Trigger, TriggerReference
from aether.domain.spot_gate import GatePolicy, SpotGate, recall
from aether.domain.values import Price, Qty, UtcNanos
from aether.kraken.connection import ConnectBudget, Connector, LinkTimes
from aether.kraken.listings import read_listings
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from tests.fuzz import corpus

CAPTURES = Path(__file__).parent / "captures"


def read_capture(name: str) -> bytes:
    data = (CAPTURES / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


@pytest.fixture(scope="session")
def capture() -> Callable[[str], bytes]:
    return read_capture


@pytest.fixture(scope="session")
def result_of() -> Callable[[str], bytes]:
    """The `result` of a recorded REST answer, in its own bytes."""

    class Envelope(msgspec.Struct):
        result: msgspec.Raw

    def result(name: str) -> bytes:
        return bytes(msgspec.json.decode(read_capture(name), type=Envelope).result)

    return result


@pytest.fixture(scope="session")
def mutated_frame() -> Callable[[Random], bytes]:
    """A recorded frame with wounds, drawn from the chance."""
    return corpus.wounded_frame


@pytest.fixture(scope="session")
def gate(result_of: Callable[[str], bytes]) -> SpotGate:
    """Kraken's pairs of 2026-01, none excluded."""
    return SpotGate(read_listings(result_of("assetpairs/AssetPairs-20260112.json.gz")), GatePolicy(frozenset()))


@pytest.fixture(scope="session")
def plain() -> Callable[[object], Any]:
    """A message as JSON that a golden file can hold: decimals as text with their digits, level tokens as sent."""
    return plain_value


def plain_value(value: object) -> Any:
    if is_dataclass(value):
        named = {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, **named}
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple | list):
        return [plain_value(each) for each in value]
    if hasattr(value, "price") and hasattr(value, "qty"):
        return [bytes(value.price).decode(), bytes(value.qty).decode()]
    return json.loads(json.dumps(value))


class ManualClock:
    """The system's own monotonic time, which the test may let run ahead, and a wall clock that is set apart from it."""

    def __init__(self) -> None:
        self.wall_ahead_ns = 1_790_000_000 * 10**9 - time.monotonic_ns()
        self._ahead_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.monotonic_ns() + self.wall_ahead_ns)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def lapse(self, seconds: int) -> None:
        self._ahead_ns += seconds * 10**9


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


Say = Callable[[str], Awaitable[None]]


class ToyKraken:
    """A scripted stand-in on loopback: REST answers by endpoint name, and what a socket does with each request.

    `on_request(request, say)` answers a WebSocket request; `on_connect(say)` speaks first. Each is set by the test.
    """

    def __init__(self) -> None:
        self.rest: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.requests: list[dict[str, Any]] = []
        self.connects = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.on_connect: Callable[[Say], Awaitable[None]] = _say_nothing
        self.on_request: Callable[[dict[str, Any], Say], Awaitable[None]] = _answer_nothing
        self.base_url = ""
        self.ws_url = ""

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/v2", self._socket)
        application.router.add_route("*", "/0/{kind}/{name}", self._rest)
        return application

    def answers(self, name: str, *answers: Any) -> None:
        """The next answers of an endpoint; the last one stays. A dict is a result, bytes are a raw body."""
        self.rest[name] = list(answers)

    async def drop(self, code: int = 1012) -> None:
        for socket in self.sockets:
            await socket.close(code=code)

    async def say(self, text: str) -> None:
        await self.sockets[-1].send_str(text)

    async def _rest(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await request.text()
        is_json = request.content_type == "application/json"
        fields = json.loads(body) if is_json else dict(parse_qsl(body or request.query_string))
        self.calls.append((name, fields, {**request.headers, "raw-body": body}))
        queue = self.rest.get(name, [{}])
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, web.Response):
            return answer
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        if isinstance(answer, str):
            return web.json_response({"error": [answer]})
        return web.json_response({"error": [], "result": answer})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connects += 1
        self.sockets.append(socket)
        await self.on_connect(socket.send_str)
        async for message in socket:
            asked = json.loads(message.data)
            self.requests.append(asked)
            await self.on_request(asked, socket.send_str)
        return socket


async def _say_nothing(_say: Say) -> None:
    """A peer that does not speak first."""


async def _answer_nothing(_request: dict[str, Any], _say: Say) -> None:
    """A peer that does not answer."""


@pytest.fixture
async def toy() -> AsyncIterator[ToyKraken]:
    peer = ToyKraken()
    server = TestServer(peer.application())
    await server.start_server()
    peer.base_url = str(server.make_url("")).rstrip("/")
    peer.ws_url = str(server.make_url("/v2")).replace("http", "ws", 1)
    yield peer
    await peer.drop()
    await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def rest(toy: ToyKraken, session: aiohttp.ClientSession, clock: ManualClock, tmp_path: Path) -> RestClient:
    credentials = Credentials.from_text(toy.base_url, "the-key", "c2VjcmV0")
    key = KeyInUse(credentials, NonceKeeper(MarkFile(tmp_path / "nonce"), clock))
    return RestClient(session, toy.base_url, clock=clock, limits=Tier.PRO.value, key=key, timeout_s=1.0)


@pytest.fixture
def connector(clock: ManualClock) -> Connector:
    """Quick enough for a test: silence is noticed after a fifth of a second."""
    times = LinkTimes(silence_s=0.2, beat_s=0.02, backoff_min_s=0.02, backoff_max_s=0.1, policy_wait_s=0.3)
    return Connector(clock=clock, random=Random(7), budget=ConnectBudget(clock), times=times)


class Heard:
    """What was put in the inbox, and a way to wait for it."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self._news = asyncio.Event()

    def put(self, told: Any) -> None:
        self.inputs.append(told)
        self._news.set()

    def of(self, kind: type) -> list[Any]:
        return [told for told in self.inputs if isinstance(told, kind)]

    async def wait_for(self, kind: type, count: int = 1) -> Any:
        """The newest of `count` inputs of a kind, within three seconds."""
        async with asyncio.timeout(3):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def background() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Runs a coroutine beside the test and cancels it at the end; its own failure fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        yield lambda coroutine: tasks.append(group.create_task(coroutine))
        for task in tasks:
            task.cancel()


@st.composite
def any_order(draw: st.DrawFn, *, deadline_ns: int = 1_790_359_205_000_000_000) -> SubmitOrder:
    """Every type with every field it may have: BTC/USD, whole ticks of 0.1 and lots of 10^-8, near 100 000 dollars."""
    kind = draw(st.sampled_from(OrderType))
    lots = draw(st.integers(100_000, 10**7))
    lives, expire_ns = _lifetime(draw, kind, deadline_ns)
    price = Price(draw(st.integers(500_000, 1_500_000)) * Decimal("0.1")) if kind.has_limit_price else None
    can_post = kind is OrderType.LIMIT and lives in (TimeInForce.GTC, TimeInForce.GTD)
    shown = Qty(draw(st.integers(-(-lots // 15), lots)) * Decimal("1E-8")) if kind is OrderType.ICEBERG else None
    return SubmitOrder(
        cl_ord_id=f"a{draw(st.integers(1, 10**15))}",
        symbol=recall("BTC/USD"),
        side=draw(st.sampled_from(Side)),
        order_type=kind,
        time_in_force=lives,
        post_only=can_post and draw(st.booleans()),
        qty=Qty(lots * Decimal("1E-8")),
        limit_price=price,
        deadline_ns=deadline_ns,
        trigger=_trigger(draw, kind) if kind.has_trigger else None,
        display_qty=shown,
        expire_ns=expire_ns,
        self_trade=draw(st.sampled_from(SelfTrade)),
    )


def _lifetime(draw: st.DrawFn, kind: OrderType, deadline_ns: int) -> tuple[TimeInForce, int | None]:
    allowed = [TimeInForce.GTC]
    if kind is not OrderType.MARKET:
        allowed.append(TimeInForce.GTD)
    if kind is OrderType.LIMIT:
        allowed += [TimeInForce.IOC, TimeInForce.FOK]
    lives = draw(st.sampled_from(allowed))
    later_s = draw(st.integers(60, 20 * 86_400))
    return lives, (deadline_ns // 10**9 + later_s) * 10**9 if lives is TimeInForce.GTD else None


def _trigger(draw: st.DrawFn, kind: OrderType) -> Trigger:
    price_type = draw(st.sampled_from([PriceType.QUOTE, PriceType.PCT] if kind.is_trailing else list(PriceType)))
    amount = Decimal(draw(st.integers(5, 500)))
    sign = -1 if price_type is not PriceType.STATIC and not kind.is_trailing and draw(st.booleans()) else 1
    scale = {PriceType.STATIC: Decimal(200), PriceType.QUOTE: Decimal("0.1"), PriceType.PCT: Decimal("0.1")}
    price = sign * amount * scale[price_type]
    reference = draw(st.sampled_from(TriggerReference))
    if kind is not OrderType.TRAILING_STOP_LIMIT:
        return Trigger(price, price_type, reference)
    offset = Decimal(draw(st.integers(-500, 500))) * Decimal("0.1")
    return Trigger(price, price_type, reference, offset, draw(st.sampled_from([PriceType.QUOTE, PriceType.PCT])))


@pytest.fixture(scope="session")
def orders() -> Callable[..., st.SearchStrategy[SubmitOrder]]:
    """Strategies of orders: all that the house can say."""
    return any_order
