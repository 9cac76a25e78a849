"""The sandbox over loopback: real sockets, a real client, and a living crowd."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim import connections, server
from aether.sim.connections import Outbox
from aether.sim.opening import SandboxConfig
from aether.sim.server import Sandbox

D = Decimal

PAIR = "BTC/USD"
BALANCES = {"USD": D(10_000), "BTC": D("0.5")}


class RealClock:
    def wall_ns(self) -> UtcNanos:
        return UtcNanos(time.time_ns())

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


@dataclass
class HandClock:
    now_ns: int = 1_790_000_000 * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@dataclass
class Client:
    """A small Kraken client of the test's own making."""

    http: aiohttp.ClientSession
    hello: dict[str, str]
    nonce: int = 0

    async def public(self, path: str) -> Any:
        async with self.http.get(f"{self.hello['rest']}/0/public/{path}") as answer:
            assert answer.status == 200
            return await answer.json()

    async def private(self, method: str, **form: str) -> Any:
        self.nonce += 1
        path, body = f"/0/private/{method}", urlencode({"nonce": self.nonce, **form})
        digest = hashlib.sha256(f"{self.nonce}{body}".encode()).digest()
        key = base64.b64decode(self.hello["api_secret"])
        sign = base64.b64encode(hmac.digest(key, path.encode() + digest, "sha512")).decode()
        headers = {
            "API-Key": self.hello["api_key"],
            "API-Sign": sign,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self.http.post(self.hello["rest"] + path, data=body, headers=headers) as answer:
            assert answer.status == 200
            return await answer.json()

    async def connect(self, door: str) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(self.hello[f"ws_{door}"])


async def ask(wire: aiohttp.ClientWebSocketResponse, method: str, **params: Any) -> None:
    await wire.send_str(json.dumps({"method": method} | ({"params": params} if params else {})))


async def hear(wire: aiohttp.ClientWebSocketResponse, wanted: str) -> Any:
    """The next frame of a channel, or answer of a method."""
    async with asyncio.timeout(10):
        while True:
            frame = json.loads(await wire.receive_str(), parse_float=D)
            if wanted in (frame.get("channel"), frame.get("method")):
                return frame


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = await Sandbox.start(SandboxConfig(BALANCES, seed=3, speed=600), RealClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run())
        yield made
        await made.stop()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(http, sandbox.hello())


async def test_an_order_made_over_rest_fills_and_is_heard_over_the_private_socket(
    sandbox: Sandbox, client: Client
) -> None:
    token = (await client.private("GetWebSocketsToken"))["result"]["token"]
    wire = await client.connect("private")
    await ask(wire, "subscribe", channel="executions", token=token)
    assert (await hear(wire, "executions"))["type"] == "snapshot"

    placed = await client.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.01")
    heard: list[Any] = []
    while not heard or heard[-1]["exec_type"] != "filled":
        heard += (await hear(wire, "executions"))["data"]

    assert {row["order_id"] for row in heard} == set(placed["result"]["txid"])
    assert heard[-1]["cum_qty"] == D("0.01")
    spent = sum(row["cost"] + row["fees"][0]["qty"] for row in heard if row["exec_type"] == "trade")
    balance = (await client.private("Balance"))["result"]
    assert D(balance["ZUSD"]) == D(10_000) - spent == sandbox.exchange.balances("main")["USD"][0]
    assert D(balance["XXBT"]) == D("0.51")


@dataclass
class Copy:
    """A client's copy of a book by the documents' rules; levels are kept as the texts that were sent."""

    sides: dict[str, dict[D, tuple[str, str]]] = field(default_factory=lambda: {"bids": {}, "asks": {}})

    def take(self, text: str) -> None:
        (data,) = json.loads(text, parse_float=str, parse_int=str)["data"]
        for name, side in self.sides.items():
            for level in data[name]:
                side.pop(D(level["price"]), None)
                if D(level["qty"]):
                    side[D(level["price"])] = (level["price"], level["qty"])
            best_first = sorted(side, reverse=name == "bids")[:10]
            self.sides[name] = {price: side[price] for price in best_first}
        rows = [*self.sides["asks"].values(), *self.sides["bids"].values()]
        content = "".join(word.replace(".", "").lstrip("0") for row in rows for word in row)
        assert zlib.crc32(content.encode()) == int(data["checksum"])


async def test_the_living_book_can_be_followed_and_is_the_exchanges() -> None:
    clock, copy, frames = HandClock(), Copy(), 0
    sandbox = await Sandbox.start(SandboxConfig(BALANCES, seed=3, speed=600), clock)
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        wire = await Client(http, sandbox.hello()).connect("public")
        await ask(wire, "subscribe", channel="book", symbol=[PAIR])
        for _ in range(60):
            clock.now_ns += NANOS_PER_S // 4
            sandbox.settle()
            await ask(wire, "ping")
            while not (text := await wire.receive_str()).startswith('{"method":"pong"'):
                if text.startswith('{"channel":"book"'):
                    copy.take(text)
                    frames += 1
            book = sandbox.exchange.book(PAIR, 10)
            for name, levels in (("bids", book.bids), ("asks", book.asks)):
                assert [(price, D(qty)) for price, (_, qty) in copy.sides[name].items()] == list(levels)
    await sandbox.stop()
    assert frames > 20


async def test_each_account_has_its_own_money_and_each_program_its_own_key() -> None:
    sandbox = await Sandbox.start(SandboxConfig(BALANCES, accounts=2, keys=2), RealClock())
    hello = sandbox.hello()
    try:
        async with aiohttp.ClientSession() as http:
            clients = [
                Client(http, hello | {name: hello[numbered.format(name)] for name in ("api_key", "api_secret")})
                for numbered in ("{}", "{}_2", "account_2_{}", "account_2_{}_2")
            ]
            await clients[0].private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.01")
            bitcoins = [(await client.private("Balance"))["result"].get("XXBT") for client in clients]
        assert bitcoins == ["0.5100000000", "0.5100000000", "0.5000000000", "0.5000000000"]
    finally:
        await sandbox.stop()


async def test_heartbeats_come_every_second(client: Client) -> None:
    wire = await client.connect("public")
    await ask(wire, "subscribe", channel="instrument", snapshot=False)
    await hear(wire, "subscribe")
    began = time.monotonic()
    await hear(wire, "heartbeat")
    await hear(wire, "heartbeat")

    assert 0.9 < time.monotonic() - began < 4


async def test_everybody_hears_of_a_status_change(sandbox: Sandbox, client: Client) -> None:
    wires = [await client.connect("public"), await client.connect("private")]
    for wire in wires:
        await hear(wire, "status")
    sandbox.exchange.set_system_status("post_only")
    sandbox.settle()

    assert [(await hear(wire, "status"))["data"][0]["system"] for wire in wires] == ["post_only"] * 2


async def test_candles_and_the_spread_are_served_at_once() -> None:
    sandbox = await Sandbox.start(SandboxConfig(BALANCES), RealClock())
    async with aiohttp.ClientSession() as http:
        client = Client(http, sandbox.hello())
        for interval in (1, 5, 15, 30, 60, 240, 1440, 10080, 21600):
            result = (await client.public(f"OHLC?pair=XBTUSD&interval={interval}"))["result"]
            rows = result["XXBTZUSD"]
            assert len(rows) == 721 if interval <= 5 else rows
            assert result["last"] == (rows[-2][0] if len(rows) > 1 else 0)
            assert all(two[0] - one[0] == interval * 60 for one, two in pairwise(rows))
            assert all(D(row[3]) <= min(D(row[1]), D(row[4])) <= D(row[2]) for row in rows)
        assert (await client.public("Spread?pair=XBTUSD"))["result"]["XXBTZUSD"]
    await sandbox.stop()


async def test_the_candles_go_on_with_the_public_trades() -> None:
    clock = HandClock()
    sandbox = await Sandbox.start(SandboxConfig(BALANCES, seed=3, speed=60), clock)
    desk = sandbox._front.desk
    before = list(desk.board.candles(PAIR, 1, clock.now_ns))[-1]
    seen = len(sandbox.exchange.public_trades(PAIR))
    clock.now_ns += 55 * NANOS_PER_S
    sandbox.settle()
    trades = sandbox.exchange.public_trades(PAIR)
    new = [trade for trade in trades[seen:] if trade.at_ns // NANOS_PER_S // 60 == before.open_s // 60]
    after = next(row for row in desk.board.candles(PAIR, 1, clock.now_ns) if row.open_s == before.open_s)
    await sandbox.stop()

    assert new
    assert after.volume == before.volume + sum(trade.qty for trade in new)
    assert after.count == before.count + len(new)
    assert after.high == max(before.high, *(trade.price for trade in new))


async def test_server_time_is_the_clocks_whatever_the_speed() -> None:
    clock = HandClock()
    sandbox = await Sandbox.start(SandboxConfig(BALANCES, speed=3600), clock)
    async with aiohttp.ClientSession() as http:
        client = Client(http, sandbox.hello())
        assert (await client.public("Time"))["result"]["unixtime"] == 1_790_000_000
        clock.now_ns += NANOS_PER_S
        assert (await client.public("Time"))["result"]["unixtime"] == 1_790_000_001
    await sandbox.stop()


async def test_what_is_not_there_is_unknown_and_never_an_error_page(client: Client) -> None:
    rest = client.hello["rest"]
    private = client.hello["ws_private"].replace("ws:", "http:").removesuffix("/v2")
    for method, url in (
        ("GET", f"{rest}/0/private/Balance"),
        ("GET", f"{rest}/0/public/Nothing"),
        ("GET", f"{rest}/"),
        ("GET", f"{rest}/v2"),
        ("DELETE", f"{rest}/0/public/../../x"),
        ("POST", f"{private}/0/private/Balance"),
        ("PUT", f"{private}/%ff%00"),
    ):
        async with client.http.request(method, url) as answer:
            assert (answer.status, await answer.json()) == (200, {"error": ["EGeneral:Unknown method"]})


async def test_public_methods_take_a_form_too(client: Client) -> None:
    async with client.http.post(
        f"{client.hello['rest']}/0/public/Depth", data={"pair": "XBTUSD", "count": "1"}
    ) as answer:
        assert len((await answer.json())["result"]["XXBTZUSD"]["bids"]) == 1


@pytest.mark.parametrize("path", ["/0/private/Balance", "/0/public/Depth"])
async def test_a_huge_body_is_refused(client: Client, path: str) -> None:
    async with client.http.post(client.hello["rest"] + path, data=b"a" * (server.BODY_BYTES_MAX + 1)) as answer:
        assert (answer.status, await answer.json()) == (200, {"error": ["EAPI:Bad request"]})


@pytest.mark.parametrize("path", ["/0/private/Balance", "/0/public/Depth"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Encoding: gzip\r\nContent-Length: 7\r\n", b"nonce=5"),
        (b"Content-Encoding: deflate\r\nContent-Length: 7\r\n", b"nonce=5"),
    ],
    ids=["no gzip", "no deflate"],
)
async def test_a_body_that_is_not_what_its_headers_say_is_a_bad_request(
    client: Client, path: str, headers: bytes, body: bytes
) -> None:
    head, answer = await raw(client, b"POST " + path.encode() + b" HTTP/1.1\r\nHost: a\r\n" + headers, body)
    assert (head, answer) == (b"HTTP/1.1 200 OK", {"error": ["EAPI:Bad request"]})


@pytest.mark.parametrize("name", [b"API-Key", b"API-Sign", b"Content-Type"])
async def test_a_header_that_is_no_utf8_is_refused_like_any_wrong_one(client: Client, name: bytes) -> None:
    key = b"" if name == b"API-Key" else b"API-Key: " + client.hello["api_key"].encode() + b"\r\n"
    request = b"POST /0/private/Balance HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n" + key + name + b": \xff\xfe\r\n"
    wrong = "EAPI:Invalid key" if name == b"API-Key" else "EAPI:Invalid signature"
    assert await raw(client, request, b"nonce=5") == (b"HTTP/1.1 200 OK", {"error": [wrong]})


@pytest.mark.parametrize("target", [b"/0/private/%ff%ed%a0%80", b"/0/public/Depth?pair=%ff&count=%ed%a0%80"])
async def test_an_address_that_is_no_utf8_has_an_answer_too(client: Client, target: bytes) -> None:
    head, answer = await raw(client, b"POST " + target + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n", b"nonce=5")
    assert head == b"HTTP/1.1 200 OK"
    assert len(answer["error"]) == 1


async def raw(client: Client, head: bytes, body: bytes) -> tuple[bytes, Any]:
    """Status line and JSON of the answer to these very bytes."""
    port = int(client.hello["rest"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"Connection: close\r\n\r\n" + body)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    status, _, _ = answer.partition(b"\r\n")
    return status, json.loads(answer.partition(b"\r\n\r\n")[2] or b"null")


async def test_a_huge_message_ends_that_connection_alone(client: Client) -> None:
    wire, other = await client.connect("public"), await client.connect("public")
    await wire.send_str("x" * (connections.MESSAGE_BYTES_MAX + 1))
    async with asyncio.timeout(10):
        while not wire.closed:
            await wire.receive()
    await ask(other, "ping")

    assert wire.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert await hear(other, "pong")


async def test_binary_and_broken_frames_have_an_answer(client: Client) -> None:
    wire = await client.connect("public")
    await wire.send_bytes(b'{"method":"ping","req_id":1}')
    assert (await hear(wire, "pong"))["req_id"] == 1
    await wire.send_bytes(b"\xff\xfe")
    async with asyncio.timeout(10):
        assert (await wire.receive_json())["error"] == "Malformed request"


async def test_a_reader_that_falls_behind_is_dropped_and_the_others_are_not(
    sandbox: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNSENT_FRAMES_MAX", 10)
    slow = await client.connect("public")
    await ask(slow, "subscribe", channel="trade", symbol=[PAIR], snapshot=False)
    await hear(slow, "subscribe")
    monkeypatch.setattr(connections, "UNSENT_FRAMES_MAX", 1000)
    quick = await client.connect("public")
    await ask(quick, "subscribe", channel="trade", symbol=[PAIR], snapshot=False)
    await hear(quick, "subscribe")

    for _ in range(20):  # without a pause in which anything could be sent
        best = sandbox.exchange.book(PAIR, 1).bids[0][0]
        sandbox.exchange.crowd_trade(PAIR, "sell", best, D("0.1"), time.time_ns())
        sandbox.settle()
    async with asyncio.timeout(10):
        while not slow.closed:
            await slow.receive()
    assert len([await hear(quick, "trade") for _ in range(20)]) == 20


async def test_putting_into_an_outbox_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNSENT_FRAMES_MAX", 2)
    dropped: list[bool] = []
    outbox = Outbox(lambda: dropped.append(True))
    outbox.put("1")
    outbox.put("2")
    assert dropped == []

    outbox.put("3")
    assert dropped == [True]


async def test_a_client_that_leaves_without_a_word_is_forgotten(sandbox: Sandbox, client: Client) -> None:
    wire = await client.connect("public")
    await ask(wire, "subscribe", channel="book", symbol=[PAIR])
    await hear(wire, "book")
    assert len(sandbox._connections) == 1
    assert wire._conn is not None
    assert wire._conn.transport is not None
    wire._conn.transport.abort()
    async with asyncio.timeout(10):
        while len(sandbox._connections):
            await client.public("Time")


async def test_stopping_closes_every_connection_and_ends_run() -> None:
    sandbox = await Sandbox.start(SandboxConfig(BALANCES), RealClock())
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        running = group.create_task(sandbox.run())
        wire = await Client(http, sandbox.hello()).connect("private")
        async with asyncio.timeout(10):
            async with asyncio.TaskGroup() as closing:
                closing.create_task(sandbox.stop())
                while not wire.closed:
                    await wire.receive()
            await running
    assert wire.close_code == aiohttp.WSCloseCode.GOING_AWAY


def free_pair_of_ports() -> int:
    """A port that is free and whose follower is free too, below those that systems hand out by themselves."""
    for port in range(20_000, 30_000, 2):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind((server.HOST, port))
                second.bind((server.HOST, port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports in a row")


@pytest.mark.parametrize("door", [0, 1])
async def test_a_taken_port_of_either_door_is_named_with_its_remedy(door: int) -> None:
    port = free_pair_of_ports()
    with socket.socket() as taken:
        taken.bind((server.HOST, port + door))
        taken.listen()
        with pytest.raises(BadConfiguration, match=rf"port {port + door}\b.*choose another port"):
            await Sandbox.start(SandboxConfig(BALANCES, port=port), RealClock())


@pytest.mark.parametrize("changed", [{"speed": 0}, {"speed": 3601}, {"start_row": -1}, {"api_secret": "no base64!"}])
async def test_what_no_sandbox_can_be_made_of_is_refused_by_name(changed: dict[str, Any]) -> None:
    with pytest.raises(BadConfiguration, match=r"speed|start_row|secret"):
        await Sandbox.start(SandboxConfig(BALANCES, **changed), RealClock())


async def test_each_sandbox_draws_its_own_key_unless_it_is_given_one() -> None:
    one, two = [await Sandbox.start(SandboxConfig(BALANCES), HandClock()) for _ in range(2)]
    given = await Sandbox.start(SandboxConfig(BALANCES, api_key="mine", api_secret="c2VjcmV0"), HandClock())
    hellos = [sandbox.hello() for sandbox in (one, two, given)]
    for sandbox in (one, two, given):
        await sandbox.stop()

    assert hellos[0]["api_secret"] != hellos[1]["api_secret"]
    assert (hellos[2]["api_key"], hellos[2]["api_secret"]) == ("mine", "c2VjcmV0")
    assert set(hellos[0]) == {"rest", "ws_public", "ws_private", "api_key", "api_secret"}
