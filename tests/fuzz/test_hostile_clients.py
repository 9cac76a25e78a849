"""A real sandbox on loopback, and clients that are broken or mean: it answers a good client after each of them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.http_exceptions import HttpProcessingError

from aether.runtime.clock import SystemClock
from aether.sim.opening import SandboxConfig
from aether.sim.server import BODY_BYTES_MAX, Sandbox
from tests.fuzz import requests
from tests.fuzz.sandbox import PATIENCE, PATIENCE_NS, HandClock, private_request, public_request
from tests.fuzz.wounds import wounded

D = Decimal
MESSAGE_BYTES_MAX = 64 * 1024  # the sandbox closes on more
SEEDS = 3  # of the wounded requests that go over real sockets; most go to the desk itself (see `sandbox`)


@dataclass
class Good:
    """A client without fault, and what it knows of the account."""

    sandbox: Sandbox
    http: aiohttp.ClientSession
    clock: HandClock
    nonce: int = 1 << 62  # above what the broken ones use

    @property
    def hello(self) -> dict[str, str]:
        return dict(self.sandbox.hello())

    def port(self, door: str) -> int:
        return int(self.hello[door].rpartition(":")[2].partition("/")[0])

    async def balances(self) -> Any:
        """Asked again after a while, where a counter or lockout of the broken clients is met: they use the same key."""
        said = await self._balances()
        if said["error"] and said["error"][0] in PATIENCE:
            self.clock.now_ns += PATIENCE_NS
            said = await self._balances()
        assert said["error"] == []
        return said["result"]

    async def _balances(self) -> Any:
        self.nonce += 1
        path, body = "/0/private/BalanceEx", urlencode({"nonce": self.nonce}).encode()
        digest = hashlib.sha256(f"{self.nonce}".encode() + body).digest()
        sign = hmac.digest(base64.b64decode(self.hello["api_secret"]), path.encode() + digest, "sha512")
        headers = {"API-Key": self.hello["api_key"], "API-Sign": base64.b64encode(sign).decode()}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.http.post(self.hello["rest"] + path, data=body, headers=headers) as answer:
            assert answer.status == 200
            return await answer.json()

    async def time(self) -> None:
        async with self.http.get(f"{self.hello['rest']}/0/public/Time") as answer:
            assert (answer.status, (await answer.json())["error"]) == (200, [])

    async def is_served(self) -> None:
        """On every door: public and private REST, and both sockets."""
        async with asyncio.timeout(20):
            await self.time()
            assert await self.balances()
            for door in ("ws_public", "ws_private"):
                async with self.http.ws_connect(self.hello[door]) as wire:
                    await wire.send_str('{"method":"ping","req_id":7}')
                    while '"pong"' not in await wire.receive_str():
                        pass


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one sandbox takes it all


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Good]:
    clock = HandClock()
    sandbox = await Sandbox.start(SandboxConfig({"USD": D(10_000), "BTC": D("0.5")}, seed=3, speed=1), clock)
    async with aiohttp.ClientSession() as http:
        yield Good(sandbox, http, clock)
    await sandbox.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def good(served: Good, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Good]:
    """The good client, which is still served after the test: its money is there, and no error is logged."""
    before = await served.balances()
    yield served
    await served.is_served()
    assert await served.balances() == before
    told = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    assert [str(record.exc_info) for record in told if record.levelno >= logging.ERROR and not is_no_http(record)] == []


def is_no_http(record: logging.LogRecord) -> bool:
    """aiohttp tells of what its parser refuses as it tells of a handler's defect."""
    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)


async def raw(port: int, *pieces: bytes, is_read: bool = True) -> bytes:
    """All that the server says to these very bytes before it closes; or nothing, where it is left waiting for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if is_read:
            async with asyncio.timeout(20):
                said = await reader.read()
    except ConnectionError:
        pass  # it had enough of us: that is an answer too
    writer.close()
    return said


def status_of(said: bytes) -> int:
    """Of an HTTP answer; 0 where the connection was closed without one."""
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/") else 0


# --- HTTP -----------------------------------------------------------------------------------------------------------

CLOSE = b"Host: a\r\nConnection: close\r\n"
TIME = b"/0/public/Time"
BALANCE = b"/0/private/BalanceEx"


def http(method: bytes, target: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + CLOSE + headers + b"\r\n" + body


def post(headers: bytes, body: bytes, target: bytes = BALANCE) -> bytes:
    return http(b"POST", target, b"Content-Length: %d\r\n" % len(body) + headers, body)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# Whole requests: each has an answer in Kraken's envelope, with HTTP 200.
ANSWERED: dict[str, bytes] = {
    "a method for another verb": http(b"DELETE", BALANCE),
    "options": http(b"OPTIONS", BALANCE),
    "trace": http(b"TRACE", b"/"),
    "dots in the path": http(b"GET", b"/0/private/../../etc/passwd"),
    "dots percent-encoded": http(b"GET", b"/%2e%2e/%2e%2e/etc/passwd"),
    "a nul in the path": http(b"GET", b"/0/public/Ti%00me"),
    "a path that is no utf-8": http(b"POST", b"/0/private/%ff%fe"),
    "a path that is encoded": http(b"GET", b"/0/public/%54ime"),
    "a slash that is encoded": http(b"GET", b"/0/public%2fTime"),
    "slashes": http(b"GET", b"//0//public//Time"),
    "a query of nothing": http(b"GET", TIME + b"?&&&=&=%&%zz"),
    "a query of thousands": http(b"GET", TIME + b"?" + b"a=1&" * 1500),
    "a pair that is no utf-8": http(b"GET", b"/0/public/Ticker?pair=%ff"),
    "a fragment": http(b"GET", TIME + b"#x"),
    "an empty post": post(FORM, b""),
    "a type that is none": post(b"Content-Type: \xff/\xfe\r\n", b"nonce=1"),
    "an empty type": post(b"Content-Type: \r\n", b"nonce=1"),
    "a type of parameters alone": post(b"Content-Type: ;;;charset\r\n", b"nonce=1"),
    "a charset that is none": post(b"Content-Type: application/json; charset=klingon\r\n", b'{"nonce":1}'),
    "a multipart without boundary": post(b"Content-Type: multipart/form-data\r\n", b"--x"),
    "a public multipart without boundary": post(b"Content-Type: multipart/form-data\r\n", b"--x", TIME),
    "a form that is no utf-8": post(FORM, b"nonce=%ff&\xff=\xfe"),
    "a form of thousands": post(FORM, b"a=1&" * 10_000),
    "json that is not finished": post(JSON, b'{"nonce":1,"pair":"XBT'),
    "json that is deep": post(JSON, b"[" * 100_000),
    "json of a huge number": post(JSON, b'{"nonce":' + b"9" * 100_000 + b"}"),
    "json with a lone surrogate": post(JSON, b'{"nonce":"\\ud800"}'),
    "json of nothing": post(JSON, b"NaN"),
    "json after a mark": post(JSON, b'\xef\xbb\xbf{"nonce":1}'),
    "a body too long": post(FORM, b"a" * (BODY_BYTES_MAX + 1)),
    "chunks too long": http(b"POST", BALANCE, CHUNKED, chunked(*[b"a" * 60_000] * 5)),
    "a gzip bomb": post(b"Content-Encoding: gzip\r\n", gzip.compress(bytes(50_000_000))),
    "a deflate bomb": post(b"Content-Encoding: deflate\r\n", zlib.compress(bytes(50_000_000)), TIME),
    "a gzip that breaks off": post(b"Content-Encoding: gzip\r\n", gzip.compress(b"nonce=1" * 100)[:-9]),
    "a coding that is none": post(b"Content-Encoding: klingon\r\n", b"nonce=1"),
    "a key that is no utf-8": post(FORM + b"API-Key: \xff\r\n", b"nonce=1"),
    "a key twice": post(FORM + b"API-Key: a\r\nAPI-Key: b\r\n", b"nonce=1"),
    "a long key": post(FORM + b"API-Key: " + b"k" * 7_000 + b"\r\n", b"nonce=1"),
    "a cookie": http(b"GET", TIME, b'Cookie: =;;="\r\n'),
    "a range": http(b"GET", TIME, b"Range: bytes=5-1\r\n"),
    "an expectation": http(b"GET", TIME, b"If-Modified-Since: never\r\n"),
    "an upgrade without a key": http(b"GET", b"/v2", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "an upgrade of another version": http(
        b"GET",
        b"/v2",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: a\r\n",
    ),
    "an upgrade by post": http(b"POST", b"/v2", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "an upgrade to something else": http(b"GET", TIME, b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    "the socket's path without an upgrade": http(b"GET", b"/v2"),
}
# What is no HTTP at all: refused by the parser, as Kraken's edge would; the connection ends, and nothing breaks.
NO_HTTP: dict[str, bytes] = {
    "binary": bytes(range(256)) * 8 + b"\r\n\r\n",
    "a tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512) + b"\r\n\r\n",
    "a method that is none": http(b"BREW", TIME),
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\n" + CLOSE + b"\r\n",
    "a path with spaces": b"GET / a b HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a huge path": http(b"GET", b"/" + b"a" * 200_000),
    "a huge header": http(b"GET", TIME, b"X: " + b"x" * 200_000 + b"\r\n"),
    "thousands of headers": http(b"GET", TIME, b"X: y\r\n" * 50_000),
    "a header without a colon": http(b"GET", TIME, b"nonsense\r\n"),
    "a control character in a cookie": http(b"GET", TIME, b"Cookie: \x01\r\n"),
    "a nul in a header": http(b"GET", TIME, b"X: a\x00b\r\n"),
    "a folded header": http(b"GET", TIME, b"X: a\r\n b\r\n"),
    "two lengths": http(b"POST", BALANCE, b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"),
    "a negative length": http(b"POST", BALANCE, b"Content-Length: -1\r\n"),
    "length and chunks": http(b"POST", BALANCE, b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n"),
    "a chunk of no size": http(b"POST", BALANCE, CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n"),
    "a chunk of all sizes": http(b"POST", BALANCE, CHUNKED, b"f" * 100 + b"\r\nabc"),
    "a connect": b"CONNECT kraken.invalid:443 HTTP/1.1\r\n" + CLOSE + b"\r\n",
}


@pytest.mark.parametrize("name", ANSWERED)
async def test_a_broken_request_has_kraken_s_answer(name: str, good: Good) -> None:
    head, _, body = (await raw(good.port("rest"), ANSWERED[name])).partition(b"\r\n\r\n")
    said = json.loads(body)

    assert status_of(head) == 200
    assert said["error"] or "result" in said
    assert all(text.startswith("E") for text in said["error"])


@pytest.mark.parametrize("name", NO_HTTP)
async def test_what_is_no_http_ends_that_connection_alone(name: str, good: Good) -> None:
    status = status_of(await raw(good.port("rest"), NO_HTTP[name]))

    assert status < 500


async def test_requests_that_never_end_hold_nobody_up(good: Good) -> None:
    unfinished = [
        b"",
        b"GET ",
        b"GET /0/public/Time HTTP/1.1\r\nHost: a\r\n",
        b"POST /0/private/Balance HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\nnonce=",
        b"POST /0/private/Balance HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nn",
        b"POST /0/private/Balance HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno",
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ]
    waiting = [await asyncio.open_connection("127.0.0.1", good.port("rest")) for _ in range(15 * len(unfinished))]
    for number, (_, writer) in enumerate(waiting):
        writer.write(unfinished[number % len(unfinished)])
        await writer.drain()

    await good.is_served()
    for _, writer in waiting:
        writer.close()


async def test_many_requests_in_one_write_are_all_answered(good: Good) -> None:
    request = b"GET /0/public/Time HTTP/1.1\r\nHost: a\r\n\r\n"

    said = await raw(good.port("rest"), request * 200 + http(b"GET", TIME))

    assert said.count(b'"unixtime"') == 201


async def test_clients_that_hang_up_at_once_leave_nothing_behind(good: Good) -> None:
    for door in ("rest", "ws_private"):
        for number in range(60):
            with socket.create_connection(("127.0.0.1", good.port(door))) as caller:
                if number % 2:
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                caller.sendall(http(b"GET", TIME)[: number * 2])

    await good.is_served()


# --- WebSocket ------------------------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, *, first: int = 0x80, mask: bytes | None = b"\x01\x02\x03\x04") -> bytes:
    """A frame as a client sends it; `first` holds the final and reserved bits, no mask breaks the rules."""
    length, masked = len(payload), 0 if mask is None else 0x80
    if length < 126:
        head = struct.pack("!BB", first | opcode, masked | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first | opcode, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first | opcode, masked | 127, length)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


TEXT, BINARY, CLOSING, PING = 1, 2, 8, 9
UPGRADE = (
    b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
BOMB = zlib.compressobj(wbits=-15)
DEFLATED = BOMB.compress(bytes(50_000_000)) + BOMB.flush(zlib.Z_SYNC_FLUSH)
SOCKET_GARBAGE: dict[str, bytes] = {
    "random bytes": Random(1).randbytes(4_000),
    "http again": UPGRADE * 3,
    "no mask": frame(TEXT, b'{"method":"ping"}', mask=None),
    "a reserved opcode": frame(3, b"x"),
    "a reserved bit": frame(TEXT, b"x", first=0xB0),
    "a length beyond 64 bits": b"\x81\xff" + b"\xff" * 8 + b"\x00" * 4,
    "a length without its text": b"\x81\xfe\xff\xff\x00\x00\x00\x00abc",
    "a long ping": frame(PING, b"x" * 126),
    "a ping in pieces": frame(PING, b"x", first=0),
    "pings": frame(PING, b"x") * 2_000,
    "a text that is no utf-8": frame(TEXT, b"\xff\xfe"),
    "a text cut within a letter": frame(TEXT, "é".encode()[:1], first=0) + frame(0, b"x"),
    "a piece without a beginning": frame(0, b"x"),
    "a beginning within another": frame(TEXT, b"a", first=0) + frame(TEXT, b"b"),
    "pieces without end": frame(TEXT, b"a" * 100, first=0) + frame(0, b"a" * 100, first=0) * 2_000,
    "a close of one byte": frame(CLOSING, b"x"),
    "a close of no sense": frame(CLOSING, struct.pack("!H", 999) + b"\xff"),
    "a close and more": frame(CLOSING, struct.pack("!H", 1000)) + frame(TEXT, b'{"method":"ping"}') * 10,
    "a bomb": frame(TEXT, DEFLATED, first=0xC0),
    "a deflate that is none": frame(TEXT, b"\xff\xff\xff", first=0xC0),
    "a megabyte of text": frame(TEXT, b"x" * (1 << 20)),
    "a megabyte of bytes": frame(BINARY, bytes(1 << 20)),
    "the longest that is taken": frame(TEXT, b"[" * (MESSAGE_BYTES_MAX - 1)),
}


@pytest.mark.parametrize("door", ["ws_public", "ws_private"])
@pytest.mark.parametrize("name", SOCKET_GARBAGE)
async def test_garbage_on_a_socket_ends_at_most_that_connection(name: str, door: str, good: Good) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", good.port(door))
    writer.write(UPGRADE)
    async with asyncio.timeout(20):
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 101
    writer.write(SOCKET_GARBAGE[name])

    await good.is_served()
    writer.close()


UNFINISHED = ('{"method":"subscribe","params":{"channel":"book"', "{", '{"method":', "[[[", '"', "")
NAMES = json.dumps({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"] * 5_000}})
MANY = {
    "unfinished": UNFINISHED * 50,
    "one name thousands of times": (NAMES, NAMES.replace("BTC/USD", "x"), NAMES.replace("subscribe", "unsubscribe")),
    "thousands of subscriptions": [json.dumps({"method": m, "params": p}) for m, p in requests.SOCKET if p] * 100,
    "thousands of pings": ['{"method":"ping"}'] * 3_000,
}


@pytest.mark.parametrize("door", ["ws_public", "ws_private"])
@pytest.mark.parametrize("name", MANY)
async def test_floods_end_at_most_that_connection(name: str, door: str, good: Good) -> None:
    async with good.http.ws_connect(good.hello[door]) as wire:
        for text in MANY[name]:
            try:
                await wire.send_str(text)
            except ConnectionError:
                break  # it was dropped, for it reads nothing

        await good.is_served()


# --- wounded requests over real sockets -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_wounded_requests_over_http_have_kraken_s_answer(seed: int, good: Good) -> None:
    chance, hello = Random(f"http {seed}"), good.hello
    before = await good.balances()
    for number in range(60):
        if chance.randrange(3):
            method, headers, body = private_request(
                chance, str(number + 1), key=hello["api_key"], secret=hello["api_secret"], change=_only_checked
            )
            fields = b"".join(
                f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in headers.items()
            )
            said = await raw(good.port("rest"), post(_one_line(fields), body, b"/0/private/" + method.encode()))
        else:
            method, query = public_request(chance)
            target = b"/0/public/" + method.encode() + b"?" + urlencode(query, errors="surrogatepass").encode()
            said = await raw(good.port("rest"), http(b"GET", target[:7_000]))
        answer = json.loads(said.partition(b"\r\n\r\n")[2])
        assert status_of(said) == 200
        assert ("result" in answer) == (not answer["error"])
        if answer["error"] and answer["error"][0] in PATIENCE:
            good.clock.now_ns += PATIENCE_NS
    assert await good.balances() == before


def _only_checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Orders are only checked, so that the account stays as it was."""
    return fields | {"validate": "true"}


def _one_line(headers: bytes) -> bytes:
    return headers.replace(b"\x00", b"")


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("door", ["ws_public", "ws_private"])
async def test_wounded_requests_over_a_socket_are_answered(seed: int, door: str, good: Good) -> None:
    chance = Random(f"{door} {seed}")
    async with good.http.ws_connect(good.hello[door]) as wire:
        for _ in range(100):
            await wire.send_bytes(wounded(chance, chance.choice(requests.socket_documents()))[:MESSAGE_BYTES_MAX])
        await wire.send_str('{"method":"ping","req_id":4242}')
        async with asyncio.timeout(20):
            while '"pong","req_id":4242' not in await wire.receive_str():
                pass


# --- TLS ------------------------------------------------------------------------------------------------------------

HANDSHAKES: dict[str, bytes] = {
    "plain http": http(b"GET", TIME),
    "random bytes": Random(3).randbytes(2_000),
    "a record that lies": b"\x16\x03\x01\xff\xff\x01",
    "a hello that breaks off": b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(40),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "nothing": b"",
}


async def test_handshakes_that_are_none_end_their_connections_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = SandboxConfig({"USD": D(1)}, speed=1, tls_dir=tmp_path)
    sandbox = await Sandbox.start(config, SystemClock())
    hello = sandbox.hello()
    trusting = ssl.create_default_context(cafile=hello["ca"])
    port = int(hello["rest"].rpartition(":")[2])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as client:
        for garbage in HANDSHAKES.values():
            await raw(port, garbage, is_read=False)
            async with client.get(f"{hello['rest']}/0/public/Time") as answer:
                assert (answer.status, (await answer.json())["error"]) == (200, [])
    await sandbox.stop()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
