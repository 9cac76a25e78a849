"""A socket against a peer that speaks bytes: what a sound server would never send, too. On both event loops."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import uvloop

from aether.kraken.socket import PARTS_MAX, BadFrame, Socket, connect
from aether.kraken.strict_json import FRAME_BYTES_MAX
from aether.sim.certificate import secure

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
FIN = 0x80
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def on_the_loop(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test, 10))

    return on_the_loop


def frame(kind: int, payload: bytes = b"", *, first: int = FIN) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first | kind, size]) + payload
    if size < 1 << 16:
        return bytes([first | kind, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first | kind, 127]) + size.to_bytes(8, "big") + payload


class Peer:
    """Takes one socket at a time, says `greeting` in one piece with its handshake, and keeps what it hears."""

    def __init__(self, greeting: bytes = b"", *, tls: ssl.SSLContext | None = None) -> None:
        self.greeting = greeting
        self.head = b""
        self.heard = bytearray()
        self.has_asked, self.has_ended = asyncio.Event(), asyncio.Event()
        self.is_mute = False
        self.refusal = b""
        self._tls = tls
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/v2"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._writer is not None and not self._writer.is_closing():  # early 3.11 cannot abort TLS that was closed
            self._writer.transport.abort()
        await self.has_ended.wait()

    async def say(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    def cut(self) -> None:
        assert self._writer is not None
        self._writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.head = await reader.readuntil(b"\r\n\r\n")
            self.has_asked.set()
            if self.refusal:
                writer.write(self.refusal)
                await writer.drain()
            elif not self.is_mute:
                writer.write(_accepted(self.head) + self.greeting)
            while data := await reader.read(1 << 16):
                self.heard += data
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        self.has_ended.set()


def _accepted(head: bytes) -> bytes:
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return _SWITCHING + b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept


def opened(peer: Peer, timeout_s: float = 5.0) -> Coroutine[Any, Any, Socket]:
    return connect(peer.url, ssl.create_default_context(), timeout_s)


async def heard_of(greeting: bytes, *, until_close: bool = True) -> tuple[list[bytes], Socket]:
    """What a link hears of a peer that says this, and then closes with 1000."""
    messages: list[bytes] = []
    async with Peer(greeting + (frame(CLOSE, (1000).to_bytes(2, "big")) if until_close else b"")) as peer:
        socket = await opened(peer)
        try:
            await socket.hear(messages.append)
        finally:
            await socket.close()
    return messages, socket


def test_nothing_is_lost_that_came_in_one_piece_with_the_handshake(run: Run) -> None:
    async def test() -> None:
        many = [b'{"n":%d}' % number for number in range(500)]
        messages, socket = await heard_of(b"".join(frame(TEXT, each) for each in many))

        assert messages == many
        assert (socket.messages, socket.close_code) == (501, 1000)

    run(test())


def test_messages_come_whole_in_order_and_between_them_a_ping_is_answered(run: Run) -> None:
    said = (
        frame(TEXT, b"one", first=0)
        + frame(PING, b"are you there")
        + frame(CONTINUATION, b"", first=0)
        + frame(PONG, b"unasked")
        + frame(CONTINUATION, b", whole")
        + frame(BINARY, b"two")
        + frame(TEXT)
        + frame(TEXT, b"x" * FRAME_BYTES_MAX)
    )

    async def test() -> None:
        messages: list[bytes] = []
        async with Peer(said) as peer:
            socket = await opened(peer)
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(socket.hear(messages.append))
                await socket.send(b"hello")
                await peer.say(frame(CLOSE, (1012).to_bytes(2, "big") + b"restart"))
                await hearing
            await socket.close()
            await peer.has_ended.wait()
            assert bytes([FIN | PONG, 0x80 | 13]) in peer.heard
            assert bytes([FIN | TEXT, 0x80 | 5]) in peer.heard

        assert messages == [b"one, whole", b"two", b"", b"x" * FRAME_BYTES_MAX]
        assert socket.close_code == 1012

    run(test())


@pytest.mark.parametrize(
    "said",
    [
        frame(TEXT, b"compressed", first=FIN | 0x40),
        frame(TEXT, b"reserved", first=FIN | 0x20),
        frame(TEXT, b"reserved", first=FIN | 0x10),
        frame(PONG, b"reserved", first=FIN | 0x10),
        frame(CONTINUATION, b"of nothing"),
        frame(TEXT, b"begun", first=0) + frame(TEXT, b"another"),
        frame(TEXT, b"", first=0) + frame(BINARY, b"another", first=0),
        frame(0x3, b"of no kind"),
        frame(PING, b"in parts", first=0),
        frame(PING, b"x" * 126),
        frame(CLOSE, b"\x03"),
        frame(CLOSE, (999).to_bytes(2, "big")),
        bytes([FIN | TEXT, 0x80 | 1, 0, 0, 0, 0, 0x78]),
        bytes([FIN | TEXT, 126, 0, 1, 0x78]),
        bytes([FIN | TEXT, 127, 0xFF]) + bytes(7),
        frame(TEXT, b"x" * (FRAME_BYTES_MAX + 1)),
        frame(TEXT, b"x" * FRAME_BYTES_MAX, first=0) + frame(CONTINUATION, b"x"),
        frame(TEXT, b"x", first=0) + frame(CONTINUATION, b"x", first=0) * PARTS_MAX,
    ],
)
def test_what_breaks_the_protocol_or_the_bounds_ends_the_link_unheard(said: bytes, run: Run) -> None:
    async def test() -> None:
        messages: list[bytes] = []
        async with Peer(frame(TEXT, b"sound") + said + frame(TEXT, b"too late") * 3) as peer:
            socket = await opened(peer)
            with pytest.raises(BadFrame):
                await socket.hear(messages.append)
            await socket.close()

        assert messages in ([b"sound"], [])  # picows does not hand on what stands just before a frame it cannot read

    run(test())


@pytest.mark.parametrize(("payload", "code"), [((1008).to_bytes(2, "big"), 1008), (b"", 1005), (b"\x0f\xa0", 4000)])
def test_the_code_of_a_close_is_told_though_it_came_with_the_handshake(payload: bytes, code: int, run: Run) -> None:
    async def test() -> None:
        _, socket = await heard_of(frame(CLOSE, payload) + frame(TEXT, b"after the end"), until_close=False)

        assert socket.close_code == code
        assert socket.messages == 1

    run(test())


def test_a_link_that_breaks_off_has_no_code_and_takes_no_more(run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            socket = await opened(peer)
            peer.cut()
            with suppress(ConnectionResetError):
                await socket.hear(_ignore)
            assert socket.close_code == 1006
            with pytest.raises(ConnectionResetError):
                await socket.send(b"lost")
            await socket.close()

    run(test())


def test_what_the_hearer_raises_ends_the_hearing_and_nothing_more_is_heard(run: Run) -> None:
    async def test() -> None:
        messages: list[bytes] = []

        def hear(message: bytes) -> None:
            messages.append(message)
            raise AssertionError("a defect")

        async with Peer() as peer:
            socket = await opened(peer)
            async with asyncio.TaskGroup() as group:
                group.create_task(peer.say(frame(TEXT, b"one") * 3))
                with pytest.raises(AssertionError, match="a defect"):
                    await socket.hear(hear)
            await socket.close()

        assert messages == [b"one"]

    run(test())


def test_after_close_nothing_is_heard(run: Run) -> None:
    async def test() -> None:
        messages: list[bytes] = []
        has_heard = asyncio.Event()

        def hear(message: bytes) -> None:
            messages.append(message)
            has_heard.set()

        async with Peer() as peer:
            socket = await opened(peer)
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(socket.hear(hear))
                await peer.say(frame(TEXT, b"in time"))
                await has_heard.wait()
                hearing.cancel()
            await asyncio.gather(socket.close(), peer.say(frame(TEXT, b"too late")))
            await peer.has_ended.wait()
            assert _farewell(bytes(peer.heard)) == 1000

        assert messages == [b"in time"]

    run(test())


@pytest.mark.parametrize(
    ("status", "why"),
    [(b"307 Temporary Redirect", "HTTP 307"), (b"403 Forbidden", "HTTP 403"), (b"200 OK", "HTTP 200")],
)
def test_what_is_no_handshake_is_refused_and_no_redirect_followed(status: bytes, why: str, run: Run) -> None:
    async def test() -> None:
        async with Peer() as elsewhere, Peer() as peer:
            elsewhere.has_ended.set()
            peer.refusal = b"HTTP/1.1 %b\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (
                status,
                elsewhere.url.encode(),
            )
            with pytest.raises(ConnectionError, match=why):
                await opened(peer)
            await peer.has_ended.wait()
            assert elsewhere.head == b""
            assert b"User-Agent: aether" in peer.head
            assert b"Extensions" not in peer.head

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\x00\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101\r\n\r\n",
        b"HTTP/1.1 abc Switching\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nX: \xc3\x28\xff\r\n\r\n",
        _SWITCHING + b"Sec-WebSocket-Accept: bm90IG91cnM=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 200_000,
    ],
)
def test_an_answer_that_is_no_answer_is_a_connection_error(answer: bytes, run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            peer.refusal = answer
            with pytest.raises(ConnectionError):
                await opened(peer)
            await peer.has_ended.wait()

    run(test())


def test_what_the_hearer_raises_of_an_early_message_is_told_too(run: Run) -> None:
    async def test() -> None:
        def hear(_message: bytes) -> None:
            raise AssertionError("a defect")

        async with Peer(frame(TEXT, b"early") * 3 + frame(CLOSE)) as peer:
            socket = await opened(peer)
            with pytest.raises(AssertionError, match="a defect"):
                await socket.hear(hear)
            await socket.close()

    run(test())


def test_a_handshake_that_does_not_end_is_given_up_and_the_link_let_go(run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            peer.is_mute = True
            with pytest.raises(TimeoutError):
                await opened(peer, timeout_s=0.1)
            await peer.has_ended.wait()

    run(test())


def test_a_cancelled_connect_lets_the_link_go(run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            peer.is_mute = True
            async with asyncio.TaskGroup() as group:
                connecting = group.create_task(opened(peer))
                await peer.has_asked.wait()
                connecting.cancel()
            await peer.has_ended.wait()

    run(test())


def test_a_peer_that_hangs_up_in_the_handshake_is_a_connection_error(run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            peer.refusal = b"HTTP/1.1 101 Swi"
            async with asyncio.TaskGroup() as group:
                connecting = group.create_task(_fails(opened(peer)))
                await peer.has_asked.wait()
                peer.cut()
                await connecting

    run(test())


async def _fails(connecting: Awaitable[Socket]) -> None:
    with pytest.raises(ConnectionError):
        await connecting


def test_writing_waits_while_the_peer_does_not_read(run: Run) -> None:
    async def test() -> None:
        async with Peer() as peer:
            socket = await opened(peer)
            socket.pause_writing()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(socket.send(b"patient"))
                await asyncio.sleep(0)
                assert not sending.done()
                socket.resume_writing()
            await socket.close()

    run(test())


def test_tls_is_verified_by_authority_and_name_and_names_the_host(run: Run, tmp_path: Path) -> None:
    sound, other = (
        secure(tmp_path / name, host, time.time_ns()) for name, host in (("a", "127.0.0.1"), ("b", "127.0.0.2"))
    )
    asked: list[str | None] = []
    sound.context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def test() -> None:
        messages: list[bytes] = []
        async with Peer(frame(TEXT, b"sealed") + frame(CLOSE), tls=sound.context) as peer:
            socket = await connect(
                peer.url.replace("127.0.0.1", "localhost"), ssl.create_default_context(cafile=sound.ca), 5.0
            )
            await socket.hear(messages.append)
            await socket.close()
        assert (messages, asked) == ([b"sealed"], ["localhost"])

    async def strangers() -> None:
        for server, trusted in ((sound, None), (other, other.ca)):
            async with Peer(tls=server.context) as peer:
                peer.has_ended.set()
                with pytest.raises(ssl.SSLCertVerificationError):
                    await connect(peer.url, ssl.create_default_context(cafile=trusted), 5.0)
                assert peer.head == b""

    run(test())
    run(strangers())


def _farewell(heard: bytes) -> int:
    """The code of a close frame that stands alone, and is masked as a client's must be."""
    assert heard[:2] == bytes([FIN | CLOSE, 0x80 | 2])
    return int.from_bytes(heard[6:8], "big") ^ int.from_bytes(heard[2:4], "big")


def _ignore(_message: bytes) -> None:
    """What is said does not matter here."""
