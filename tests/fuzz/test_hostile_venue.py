"""Our client on real sockets, and a peer that speaks HTTP and WebSocket badly: it says what it knows, and lives on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random

import aiohttp
import pytest

from aether.domain.errors import OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.kraken.connection import ConnectBudget, Connector, LinkTimes, Send
from aether.kraken.endpoints import Endpoint
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import RestClient
from aether.runtime.clock import SystemClock
from tests.fuzz import corpus
from tests.fuzz.links import key_for
from tests.fuzz.wounds import bytes_wounded

GOOD = b'{"error":[],"result":{"open":{}}}'


def answer(body: bytes, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), head, body)


@dataclass
class Peer:
    """Says these bytes to whoever asks, and closes; on a socket after its handshake, and then the client must close."""

    says: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            said = self.says.pop(0)
            if b"Sec-WebSocket-Key: " in head:
                key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
                accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                said = (
                    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n%s"
                    % (
                        accept,
                        said,
                    )
                )
            writer.write(said)
            await writer.drain()
            if b"Sec-WebSocket-Key: " in head:
                await reader.read()  # until the client has enough
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client had enough
        writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def rest(peer: Peer, session: aiohttp.ClientSession) -> RestClient:
    base_url = f"http://127.0.0.1:{peer.port}"
    return RestClient(
        session, base_url, clock=SystemClock(), limits=Tier.PRO.value, key=key_for(base_url), timeout_s=20.0
    )


CLOSED = b"Connection: close\r\n"
RESPONSES: dict[str, bytes] = {
    "nothing": b"",
    "no http": b"hello\r\n\r\n",
    "binary": Random(1).randbytes(2_000),
    "a tls alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "half a status": b"HTTP/1.1 2",
    "a status of no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status beyond": answer(GOOD, status=b"99999 x"),
    "a status of information": b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    "switching": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "no content": b"HTTP/1.1 204 x\r\n\r\n",
    "a partial": answer(GOOD, status=b"206 x"),
    "a redirect to nowhere": answer(b"", b"Location: http://[::bad\r\n", b"302 x"),
    "a redirect without where": answer(b"", status=b"307 x"),
    "a page": answer(b"<html>" + b"x" * 50_000, b"Content-Type: text/html\r\n", b"502 Bad Gateway"),
    "a length that lies": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + GOOD,
    "a length of no number": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + GOOD,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n" + GOOD,
    "length and chunks": answer(GOOD, b"Transfer-Encoding: chunked\r\n"),
    "chunks of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD,
    "chunks that break off": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a gzip that is none": answer(GOOD, b"Content-Encoding: gzip\r\n"),
    "a gzip that breaks off": answer(gzip.compress(GOOD * 50)[:-9], b"Content-Encoding: gzip\r\n"),
    "a deflate that is none": answer(b"\xff\xff", b"Content-Encoding: deflate\r\n"),
    "a coding that is none": answer(GOOD[:-1], b"Content-Encoding: klingon\r\n"),
    "a bomb": answer(gzip.compress(bytes(60_000_000)), b"Content-Encoding: gzip\r\n"),
    "a charset that is none": answer(GOOD[:-1], b"Content-Type: application/json; charset=klingon\r\n"),
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "thousands of headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "a header that is no utf-8": answer(GOOD[:-1], b"X: \xff\xfe\r\nSet-Cookie: \xff=\xfe\r\n"),
    "cookies": answer(GOOD[:-1], b"Set-Cookie: a=b; expires=never; max-age=x\r\nSet-Cookie: ;;;=\r\n"),
    "a nul in a header": answer(GOOD, b"X: a\x00b\r\n"),
    "two answers": answer(b"{}") + answer(GOOD),
}


@pytest.mark.parametrize("name", RESPONSES)
async def test_no_response_makes_more_of_a_call_than_an_outcome(name: str, peer: Peer, rest: RestClient) -> None:
    peer.says = [RESPONSES[name]] * 2 + [answer(GOOD, CLOSED)]

    with pytest.raises(OutcomeUnknown):
        await rest.call(Endpoint.CANCEL_ORDER, {"txid": "O1"})
    peer.says = [RESPONSES[name]] * 2
    with pytest.raises(VenueUnavailable):
        await rest.call(Endpoint.OPEN_ORDERS)
    peer.says = [answer(GOOD, CLOSED)]
    assert bytes(await rest.call(Endpoint.OPEN_ORDERS)) == b'{"open":{}}'


@pytest.mark.parametrize("seed", range(3))
async def test_wounded_responses_make_no_more_either(seed: int, peer: Peer, rest: RestClient) -> None:
    chance, sound = Random(seed), answer(corpus.answers("OpenOrders")[0].text, CLOSED)
    for _ in range(40):
        peer.says = [bytes_wounded(chance, sound)] * 2  # a connection that broke before any answer is tried once more
        with contextlib.suppress(OutcomeUnknown, VenueRefused):  # and never VenueUnavailable: the first byte had left
            await rest.call(Endpoint.CANCEL_ORDER)


# --- WebSocket ------------------------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", first | opcode, length) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", first | opcode, 126, length) + payload
    return struct.pack("!BBQ", first | opcode, 127, length) + payload


TEXT, BINARY, CLOSING, PING, PONG = 1, 2, 8, 9, 10
BOMB = zlib.compressobj(wbits=-15)
DEFLATED = BOMB.compress(bytes(60_000_000)) + BOMB.flush(zlib.Z_SYNC_FLUSH)
GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "random bytes": Random(2).randbytes(4_000),
    "http": answer(GOOD),
    "masked": b"\x81\x81\x01\x02\x03\x04x",
    "a reserved opcode": frame(3, b"x"),
    "a reserved bit": frame(TEXT, b"x", first=0xB0),
    "a length beyond 64 bits": b"\x81\x7f" + b"\xff" * 8,
    "a length that lies": b"\x81\x7e\xff\xffabc",
    "a long ping": frame(PING, b"x" * 126),
    "pings and pongs": frame(PING, b"x") * 500 + frame(PONG, b"x") * 500,
    "a text that is no utf-8": frame(TEXT, b"\xff\xfe"),
    "a piece without a beginning": frame(0, b"x"),
    "a beginning within another": frame(TEXT, b"a", first=0) + frame(TEXT, b"b"),
    "pieces without end": frame(TEXT, b"a" * 1_000, first=0) + frame(0, b"a" * 1_000, first=0) * 2_000,
    "a close of one byte": frame(CLOSING, b"x"),
    "a close of no sense": frame(CLOSING, struct.pack("!H", 999) + b"\xff"),
    "a close for a policy": frame(CLOSING, struct.pack("!H", 1008) + b"policy"),
    "a bomb": frame(TEXT, DEFLATED, first=0xC0),
    "two megabytes": frame(TEXT, b"x" * (2 << 20)),
    "bytes for text": frame(BINARY, b'{"channel":"heartbeat"}'),
}


class Notes:
    """Hears, and notes why links were lost."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.lost_why: list[str] = []
        self.good = asyncio.Event()

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def opened(self, _send: Send) -> None:
        """Nothing is asked."""

    def heard(self, said: bytes) -> None:
        self.frames.append(bytes(said))
        if said == b'"good"':
            self.good.set()

    async def beat(self, _send: Send) -> None:
        """Nothing is sent."""

    def lost(self, why: str) -> None:
        self.lost_why.append(why)


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_ends_the_link_and_the_next_one_is_heard(
    name: str, peer: Peer, session: aiohttp.ClientSession
) -> None:
    clock, notes = SystemClock(), Notes()
    times = LinkTimes(silence_s=0.3, beat_s=0.05, backoff_min_s=0.001, backoff_max_s=0.01, policy_wait_s=0.01)
    connector = Connector(clock=clock, random=Random(1), budget=ConnectBudget(clock), times=times)
    peer.says = [GARBAGE[name]] + [frame(TEXT, b'"good"')] * 100
    async with asyncio.TaskGroup() as group:
        link = group.create_task(connector.keep_connected(f"ws://127.0.0.1:{peer.port}/v2", notes))
        async with asyncio.timeout(20):
            await notes.good.wait()
        link.cancel()

    assert notes.lost_why
    assert all(len(said) <= 1 << 20 for said in notes.frames)
