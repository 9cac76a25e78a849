"""The made wire between the daemon and the made Kraken: message pipes, with delay, loss and cuts drawn from a seed.

It stands where picows and aiohttp stand in the real program, at whole messages: TLS, TCP, HTTP and WebSocket framing
are not made here, and are the matter of the suites that run over real sockets. Each end has its own time of arrival;
the order of one WebSocket is kept, the order of REST calls is not.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import suppress
from hashlib import blake2b
from random import Random
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson

from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.sim.fault_wire import Reply
from aether.sim.front import Front
from aether.sim.lines import BEAT_S, Line
from aether.sim.ws_api import Door
from aether.simulator.agenda import Agenda
from aether.simulator.trouble import Fate, Trouble

HOST = "kraken.made"
ADDRESSES: Mapping[str, str] = {
    "rest": f"http://{HOST}",
    "ws_public": f"ws://{HOST}/v2",
    "ws_private": f"ws://auth.{HOST}/v2",
}
CLOSE_ABNORMAL = 1006

_BODY_NS = (20 * NANOS_PER_MS, 80 * NANOS_PER_MS)  # of a message one way
_BEAT_NS = int(BEAT_S * NANOS_PER_S)
_RESET_NS = 200 * NANOS_PER_MS  # until a broken connection is noticed


class Witness(Protocol):
    """Who is told of all that leaves the daemon, at its first byte."""

    def left(self, transport: str, method: str, fields: Mapping[str, object]) -> None:
        """One private request leaves."""
        ...


class Wire:
    """Carries messages between one daemon and one made Kraken, and keeps a hash of all of them.

    `trouble` is asked what goes wrong. `begin_life` is for each new process; what the one before it left under way
    arrives at Kraken, and nowhere else.
    """

    def __init__(self, agenda: Agenda, front: Front, random: Random, witness: Witness) -> None:
        self.agenda = agenda
        self.front = front
        self.trouble = Trouble()
        self.messages = 0
        self.pipes: list[Pipe] = []
        self._random = random
        self._witness = witness
        self.keep: Callable[[int, bytes], None] | None = None
        self._trace = blake2b(digest_size=16)
        self._waits: dict[_Wait, None] = {}  # of the present life

    @property
    def trace(self) -> str:
        """Hash over times and bytes of all messages so far."""
        return self._trace.hexdigest()

    def note(self, what: bytes) -> None:
        """Let the hash know of something, and of its time, and whoever keeps the trace."""
        if self.keep is not None:
            self.keep(self.agenda.now_ns, what)
        self._trace.update(b"%d " % self.agenda.now_ns)
        self._trace.update(what)

    def end_life(self) -> None:
        """The process is gone: its sockets close at Kraken's end, and nothing that still comes is heard."""
        for pipe in tuple(self.pipes):
            pipe.abandon()
        for wait in self._waits:
            wait.abandon()
        self._waits.clear()

    async def dial(self, url: str, tls: ssl.SSLContext, timeout_s: float) -> Pipe:  # noqa: ARG002 - no TLS is made
        """Open a WebSocket (`connection.Dial`). Raises OSError."""
        door: Door = "private" if url == ADDRESSES["ws_private"] else "public"
        why = self.trouble.refuses(door)
        async with asyncio.timeout(timeout_s):
            await self.sleep(self.delay_ns() + self.delay_ns())
        if why or not self.front.takes_connects:
            raise ConnectionError(why or "answered with HTTP 503")
        return Pipe(self, door)

    def delay_ns(self) -> int:
        """How long a message takes one way."""
        return self._random.randrange(*_BODY_NS) + self.trouble.delay_ns()

    def cut(self, door: Door | None = None) -> int:
        """Cut every open socket of a door, or of both; how many there were."""
        struck = [pipe for pipe in self.pipes if door in (None, pipe.door)]
        for pipe in struck:
            pipe.cut()
        return len(struck)

    def left(self, transport: str, method: str, fields: Mapping[str, object], content: bytes) -> None:
        """A request leaves the daemon."""
        self.messages += 1
        self.note(content)
        self._witness.left(transport, method, fields)

    def came(self, content: bytes) -> None:
        """A message reaches the daemon."""
        self.messages += 1
        self.note(content)

    async def sleep(self, for_ns: int) -> None:
        """Wait so long, in a task of the daemon."""
        over = self.wait()
        self.agenda.after(for_ns, lambda: over.end(None))
        await over

    def wait(self) -> _Wait:
        """Something that a task of the daemon waits for, and the world brings."""
        made = _Wait(self._waits)
        self._waits[made] = None
        return made


class _Wait:
    """What one task of the daemon waits for. After its process died nothing holds the task, and nothing comes."""

    def __init__(self, waits: dict[_Wait, None]) -> None:
        self._waits = waits
        self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Reply | None] | None = self._loop.create_future()

    def __await__(self) -> Generator[Any, None, Reply | None]:
        assert self._outcome is not None, "only the living wait"
        try:
            return (yield from self._outcome)
        finally:
            self._waits.pop(self, None)
            self.abandon()  # whoever was cancelled, or waited long enough, wants no answer any more

    def end(self, outcome: Reply | Exception | None) -> None:
        """It came; the daemon's loop reads it at one of its next turns."""
        if self._loop is not None:
            self._loop.call_soon(self._settle, outcome)

    def abandon(self) -> None:
        """Its process is gone."""
        self._loop = self._outcome = None

    def _settle(self, outcome: Reply | Exception | None) -> None:
        if self._outcome is None or self._outcome.done():
            return
        if isinstance(outcome, Exception):
            self._outcome.set_exception(outcome)
        else:
            self._outcome.set_result(outcome)


class Pipe:
    """One WebSocket (`connection.OpenSocket`): the daemon's end, and the line at Kraken's."""

    def __init__(self, wire: Wire, door: Door) -> None:
        self.door = door
        self.close_code = CLOSE_ABNORMAL
        self.messages = 0
        self._wire = wire
        self._agenda = wire.agenda
        loop = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = loop
        self._over: asyncio.Future[None] | None = loop.create_future()
        self._arrived: deque[bytes | int | None] = deque()
        self._hear: Callable[[bytes], None] | None = None
        self._is_over = False
        self._up_ns = self._down_ns = 0
        self._mute_until_ns = 0
        wire.pipes.append(self)
        self._has_left = False  # Kraken's end
        self._line: Line = wire.front.lines.open(door, self)
        self._beat_later()

    # --- the daemon's end -----------------------------------------------------------------------------------------

    async def hear(self, hear: Callable[[bytes], None]) -> None:
        """Hand on every message until the link ends. Raises what `hear` raised; returns where it closed."""
        assert self._over is not None, "only the living hear"
        over, self._hear = self._over, hear
        try:
            self._drain()
            await asyncio.shield(over)
        except asyncio.CancelledError:
            failure = over.exception() if over.done() else None
            raise failure or asyncio.CancelledError from None
        finally:
            self._is_over = True

    async def send(self, frame: bytes) -> None:
        """Write one text message. Raises ConnectionError where the link is gone."""
        if self._is_over:
            raise ConnectionResetError("the socket is closed")
        request = orjson.loads(frame)
        if self.door == "private":
            self._wire.left("ws", request["method"], request.get("params", {}), frame)
        else:
            self._wire.came(frame)
        self._up_ns = max(self._up_ns, self._agenda.now_ns + self._wire.delay_ns())
        if self._wire.trouble.asked(self.door, frame):
            self._agenda.at(self._up_ns, lambda: self._reach_kraken(frame))

    async def close(self) -> None:
        """Say farewell and let go."""
        self._end(None)
        self._up_ns = max(self._up_ns, self._agenda.now_ns + self._wire.delay_ns())
        self._agenda.at(self._up_ns, self._leave_kraken)
        self._forget()

    # --- Kraken's end (`lines.Outlet`) ----------------------------------------------------------------------------

    def put(self, text: str) -> None:
        """Send a frame to the daemon."""
        for frame in self._wire.trouble.told(self.door, text.encode()):
            self._put(frame)

    def put_close(self, code: int) -> None:
        """Close with this code after all that was put before."""
        self._put(code)
        self._leave_kraken()

    def cut(self) -> None:
        """End the connection without a word: what is on its way is lost."""
        self._leave_kraken()
        self._agenda.after(self._wire.delay_ns(), lambda: self._arrive(None))

    def mute(self, for_ns: int) -> None:
        """Stay open, and let nothing come through to the daemon for so long."""
        self._mute_until_ns = max(self._mute_until_ns, self._agenda.now_ns + for_ns)

    def abandon(self) -> None:
        """The daemon's process is gone, and nothing here shall hold on to its tasks."""
        self._is_over = True
        self._loop = self._over = self._hear = None
        self._arrived.clear()
        self._leave_kraken()
        self._forget()

    def _put(self, item: bytes | int) -> None:
        if self._has_left or self._agenda.now_ns < self._mute_until_ns:
            return
        self._down_ns = max(self._down_ns, self._agenda.now_ns + self._wire.delay_ns())
        self._agenda.at(self._down_ns, lambda: self._arrive(item))

    def _reach_kraken(self, frame: bytes) -> None:
        if not self._has_left:
            self._line.hear(frame)

    def _leave_kraken(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._wire.front.lines.close(self._line)

    def _beat_later(self) -> None:
        self._agenda.after(_BEAT_NS, self._beat)

    def _beat(self) -> None:
        if not self._has_left:
            self._line.beat()
            self._beat_later()

    # --- arriving -------------------------------------------------------------------------------------------------

    def _arrive(self, item: bytes | int | None) -> None:
        """Something is in the daemon's socket: its loop reads at one of its next turns."""
        if self._is_over or self._loop is None:
            return
        self._arrived.append(item)
        if len(self._arrived) == 1:
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        while self._arrived and self._hear is not None and not self._is_over:
            item = self._arrived.popleft()
            if isinstance(item, bytes):
                self.messages += 1
                self._wire.came(item)
                try:
                    self._hear(item)
                except Exception as failure:  # noqa: BLE001 - as the real socket: `hear` raises it
                    self._end(failure)
            else:
                self.close_code = CLOSE_ABNORMAL if item is None else item
                self._leave_kraken()
                self._forget()
                self._end(None)

    def _end(self, failure: Exception | None) -> None:
        self._is_over = True
        if self._over is None or self._over.done():
            return
        if failure is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(failure)

    def _forget(self) -> None:
        with suppress(ValueError):
            self._wire.pipes.remove(self)


class HttpPipe:
    """Carries REST calls (`rest.HttpSession`)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def request(
        self,
        method: str,  # noqa: ARG002 - told by whether there is a body
        url: str,
        *,
        data: bytes | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        allow_redirects: bool,  # noqa: ARG002 - the made Kraken sends none
    ) -> _Call:
        """Send a request and wait for its answer. Raises aiohttp.ClientError, OSError."""
        return _Call(self._wire, url, data, dict(headers), timeout.total)


class _Call:
    """One REST call under way."""

    def __init__(
        self, wire: Wire, url: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float | None
    ) -> None:
        self._wire = wire
        self._split = urlsplit(url)
        self._body = body
        self._headers = headers
        self._timeout_s = timeout_s
        self._answer: _Wait | None = None

    async def __aenter__(self) -> _Answer:
        wire, path = self._wire, self._split.path
        endpoint, is_private = path.rpartition("/")[2], path.startswith("/0/private/")
        fate = wire.trouble.called(endpoint, is_private=is_private)
        async with asyncio.timeout(self._timeout_s):
            if fate.refused:
                await wire.sleep(wire.delay_ns())
                raise aiohttp.ConnectionTimeoutError("no connection")
            if is_private:
                wire.left("rest", endpoint, _fields(self._body or b""), self._body or b"")
            else:
                wire.came(path.encode())
            self._answer = wire.wait()
            if fate.arrives:
                wire.agenda.after(wire.delay_ns(), lambda: self._reach_kraken(fate))
            elif not fate.hangs:
                wire.agenda.after(_RESET_NS, lambda: self._come(None))
            reply = await self._answer
        assert reply is not None, "an answer or an error"
        wire.came(reply.text.encode())
        return _Answer(reply)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connection goes back to its pool, which is not made here."""

    def _reach_kraken(self, fate: Fate) -> None:
        front, path = self._wire.front, self._split.path
        if fate.instead is not None:
            reply = fate.instead
        elif path.startswith("/0/private/"):
            reply = front.private(path, self._headers, self._body or b"", "127.0.0.1")
        else:
            reply = front.public(path.rpartition("/")[2], dict(parse_qsl(self._split.query)))
        if fate.rewrite is not None:
            reply = fate.rewrite(reply)
        delay_ns = self._wire.delay_ns() + reply.delay_ms * NANOS_PER_MS
        if fate.answers and not reply.is_lost:
            self._wire.agenda.after(delay_ns, lambda: self._come(reply))
        elif not fate.hangs:
            self._wire.agenda.after(delay_ns + _RESET_NS, lambda: self._come(None))

    def _come(self, reply: Reply | None) -> None:
        """The answer is in the daemon's socket, or its connection is broken."""
        assert self._answer is not None, "it was asked"
        self._answer.end(aiohttp.ServerDisconnectedError() if reply is None else reply)


class _Answer:
    """Head and body of an answer (`rest.Response`)."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.content = _Body(reply.text.encode())


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), n):
            yield self._body[start : start + n]


def _fields(body: bytes) -> Mapping[str, object]:
    if body.startswith(b"{"):
        fields: Mapping[str, object] = orjson.loads(body)
        return fields
    return dict(parse_qsl(body.decode(), keep_blank_values=True))
