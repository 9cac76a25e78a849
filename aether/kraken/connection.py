"""One WebSocket after another: connect, let the listener subscribe, hear, notice silence, back off, connect again.

Source: Kraken docs, Spot WebSocket introduction and reconnection guide: about 150 connects in 10 minutes are let
through per address, a link without any frame for seconds is dead, and close code 1008 must not be answered by a quick
reconnect.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.inputs import ClockMeasured
from aether.domain.values import NANOS_PER_S
from aether.kraken import requests
from aether.kraken.messages import Answer
from aether.kraken.socket import connect
from aether.ports import Clock, VenueCounters

CLOSE_POLICY_VIOLATION = 1008
CONNECTS_MAX = 120  # Kraken's own command line tool keeps to this, below the edge's 150
CONNECTS_WINDOW_S = 600
MAINTENANCE_RECONNECT_S = 5.0

Send = Callable[[bytes], Awaitable[None]]
"""Writes one text frame. Raises ConnectionError where the link is gone."""


class OpenSocket(Protocol):
    """An open WebSocket as a link uses it (see `socket.Socket`)."""

    close_code: int
    messages: int

    async def hear(self, hear: Callable[[bytes], None]) -> None:
        """Hand on every message until the link ends. Raises what `hear` raised, or ConnectionError."""
        ...

    async def send(self, frame: bytes) -> None:
        """Write one text message. Raises ConnectionError where the link is gone."""
        ...

    async def close(self) -> None:
        """Say farewell and let go."""
        ...


class Dial(Protocol):
    """Opens WebSockets."""

    async def __call__(self, url: str, tls: ssl.SSLContext, timeout_s: float) -> OpenSocket:
        """Open one within so many seconds. Raises OSError."""
        ...


class LinkLost(Exception):
    """Raised by a listener to end this link; it will be connected anew."""


class Listener(Protocol):
    """Who listens to one link after another."""

    async def prepare(self) -> None:
        """Before each connect. Raises VenueUnavailable, VenueRefused where there is no use in connecting now."""
        ...

    async def opened(self, send: Send) -> None:
        """The link is up: subscribe. Frames may be heard before this ends."""
        ...

    def heard(self, frame: bytes) -> None:
        """One frame. Raises LinkLost."""
        ...

    async def beat(self, send: Send) -> None:
        """Every `beat_s` while the link lives. Raises LinkLost."""
        ...

    def lost(self, why: str) -> None:
        """The link is gone, or could not be made."""
        ...


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Times of a link in seconds. The defaults follow Kraken's reconnection guide."""

    connect_s: float = 10.0
    silence_s: float = 5.0
    beat_s: float = 0.5
    settled_s: float = 30.0  # a link that lived so long begins the back-off anew
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0
    policy_wait_s: float = 60.0
    suspended_s: float = 5.0  # a beat that comes so much late: the machine slept, or the loop stood still
    write_s: float = 5.0


class ConnectBudget:
    """How many connects one address may make; shared by all links of the process."""

    def __init__(
        self, clock: Clock, connects_max: int = CONNECTS_MAX, window_s: float = float(CONNECTS_WINDOW_S)
    ) -> None:
        self._clock = clock
        self._connects_max = connects_max
        self._window_ns = int(window_s * NANOS_PER_S)
        self._made_ns: deque[int] = deque()
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait until one more connect is allowed, and count it."""
        async with self._turn:
            await asyncio.sleep(self._wait_ns() / NANOS_PER_S)
            self._made_ns.append(self._clock.monotonic_ns())

    def _wait_ns(self) -> int:
        now_ns = self._clock.monotonic_ns()
        while self._made_ns and now_ns - self._made_ns[0] >= self._window_ns:
            self._made_ns.popleft()
        if len(self._made_ns) < self._connects_max:
            return 0
        return self._made_ns[0] + self._window_ns - now_ns


class MaintenancePause:
    """Between two connects of one listener, while the venue's last word was not `online`: at most one each 5 s.

    Source: Kraken docs, reconnection guide.
    """

    def __init__(self, clock: Clock, pause_s: float = MAINTENANCE_RECONNECT_S) -> None:
        self._clock = clock
        self._pause_ns = int(pause_s * NANOS_PER_S)
        self._is_online = True
        self._next_ns = 0

    def heard(self, system: str) -> None:
        """The venue told its status."""
        self._is_online = system == "online"

    async def wait(self) -> None:
        """Before a connect: wait for its time."""
        wait_ns = 0 if self._is_online else self._next_ns - self._clock.monotonic_ns()
        await asyncio.sleep(max(0, wait_ns) / NANOS_PER_S)
        self._next_ns = self._clock.monotonic_ns() + self._pause_ns


class Connector:
    """Keeps a listener connected until cancelled. A lost link is expected trouble and raises nothing.

    `tls` verifies whom it speaks with; where it is left out, the system's authorities do, as for any other address.
    `dial` opens the sockets: real ones, unless the whole wire is made.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        budget: ConnectBudget,
        times: LinkTimes | None = None,
        counters: VenueCounters | None = None,
        tls: ssl.SSLContext | None = None,
        dial: Dial = connect,
    ) -> None:
        self._dial = dial
        self._tls = tls or ssl.create_default_context()
        self._clock = clock
        self._random = random
        self._budget = budget
        self._times = times or LinkTimes()
        self._counters = counters

    async def keep_connected(self, url: str, listener: Listener) -> None:
        """Connect to `url` again and again. Ends only by cancellation, or by a defect of the listener."""
        failures = 0
        while True:
            await self._budget.take()
            began_ns = self._clock.monotonic_ns()
            end = await self._one_life(url, listener)
            listener.lost(end.why)
            if self._counters is not None:
                self._counters.reconnected()
            lived_s = (self._clock.monotonic_ns() - began_ns) / NANOS_PER_S
            failures = 0 if lived_s >= self._times.settled_s else failures + 1
            await asyncio.sleep(max(end.wait_s, self._backoff_s(failures)))

    async def _one_life(self, url: str, listener: Listener) -> _End:
        try:
            await listener.prepare()
            return await self._connect_and_hear(url, listener)
        except VenueUnavailable as error:
            return _End(str(error), error.retry_after_s)
        except VenueRefused as error:
            return _End(str(error), self._times.policy_wait_s)
        except OSError as error:  # a time-out is one too
            return _End(f"{type(error).__name__}: {error}")

    async def _connect_and_hear(self, url: str, listener: Listener) -> _End:
        socket = await self._dial(url, self._tls, self._times.connect_s)
        try:
            return await _Link(socket, listener, self._clock, self._times).live()
        finally:
            await socket.close()

    def _backoff_s(self, failures: int) -> float:
        """Doubling to a bound; a random half of it, so that many clients do not come back at once."""
        bound_s = min(self._times.backoff_max_s, self._times.backoff_min_s * float(1 << min(failures, 16)))
        return bound_s * (0.5 + self._random.random() / 2)


@dataclass(frozen=True, slots=True)
class _End:
    why: str
    wait_s: float = 0.0


class _Link:
    """One socket's life: three tasks, of which the first to end takes the others along."""

    def __init__(self, socket: OpenSocket, listener: Listener, clock: Clock, times: LinkTimes) -> None:
        self._socket = socket
        self._listener = listener
        self._clock = clock
        self._times = times

    async def live(self) -> _End:
        """Until it is lost.

        A part that ends tells why and takes the other along, but raises nothing: where a child of a group fails in the
        turn in which the group's own task is cancelled, Python up to 3.12 tells of the failure alone (CPython issue
        116720). Whoever handled that would live on, and all that waits for its end with it.
        """
        lost: list[str] = []
        failed: list[str] = []
        parts: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:
            parts.append(group.create_task(self._part(self._hear, parts, lost, failed), name="hear"))
            parts.append(group.create_task(self._part(self._open_and_watch, parts, lost, failed), name="watch"))
        policy_wait_s = self._times.policy_wait_s if self._socket.close_code == CLOSE_POLICY_VIOLATION else 0.0
        # Where the listener ended the link, whoever writes to it at that moment only learns of the end.
        return _End("; ".join(lost or failed), policy_wait_s)

    async def _part(
        self,
        work: Callable[[], Awaitable[None]],
        parts: Sequence[asyncio.Task[None]],
        lost: list[str],
        failed: list[str],
    ) -> None:
        try:
            await work()
        except LinkLost as error:
            lost.append(str(error))
        except ConnectionError as error:
            failed.append(f"{type(error).__name__}: {error}")
        for part in parts:
            if part is not asyncio.current_task():
                part.cancel()

    async def _hear(self) -> None:
        await self._socket.hear(self._listener.heard)
        raise LinkLost(f"closed with code {self._socket.close_code}")

    async def _open_and_watch(self) -> None:
        heard, heard_ns = self._socket.messages, self._clock.monotonic_ns()
        await self._written(self._listener.opened(self._socket.send))
        while True:
            slept_ns = self._clock.monotonic_ns()
            await asyncio.sleep(self._times.beat_s)
            now_ns = self._clock.monotonic_ns()
            self._refuse_the_past((now_ns - slept_ns) / NANOS_PER_S)
            if heard != self._socket.messages:  # counted by the socket: no clock is read for each of them
                heard, heard_ns = self._socket.messages, now_ns
            silent_s = (now_ns - heard_ns) / NANOS_PER_S
            if silent_s >= self._times.silence_s:
                raise LinkLost(f"no frame for {silent_s:.1f} s")
            await self._written(self._listener.beat(self._socket.send))

    async def _written(self, writing: Awaitable[None]) -> None:
        """Whoever does not read what we write ends the link, as one does who says nothing."""
        try:
            async with asyncio.timeout(self._times.write_s):
                await writing
        except TimeoutError as error:
            raise LinkLost(f"nothing could be written for {self._times.write_s} s") from error

    def _refuse_the_past(self, slept_s: float) -> None:
        """After the machine was suspended what waits in the socket is old, and what came meanwhile may be lost."""
        if slept_s >= self._times.beat_s + self._times.suspended_s:
            raise LinkLost(f"this machine stood still for {slept_s:.1f} s")


class Pinger:
    """Pings of one link, and what their pongs tell of the venue's clock."""

    def __init__(self, clock: Clock, req_ids: itertools.count[int], every_s: float = 15.0) -> None:
        self._clock = clock
        self._req_ids = req_ids
        self._every_ns = int(every_s * NANOS_PER_S)
        self._sent: tuple[int, int, int] | None = None  # req_id, wall and monotonic time of sending
        self._next_ns = 0

    def ping_if_due(self) -> bytes | None:
        """A ping to send now, or None. The first one is due at once."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_ns:
            return None
        self._next_ns = now_ns + self._every_ns
        req_id = next(self._req_ids)
        self._sent = (req_id, self._clock.wall_ns(), now_ns)
        return requests.ping(req_id=req_id)

    def measure(self, pong: Answer) -> ClockMeasured | None:
        """Venue time minus ours, taking Kraken to have heard us half-way; None where the pong is not of the last ping.

        The round trip is measured on the monotonic clock, so that a jump of the wall clock within it does no harm.
        """
        if self._sent is None or pong.req_id != self._sent[0] or pong.time_in_ns is None:
            return None
        _, sent_wall_ns, sent_ns = self._sent
        self._sent = None
        half_ns = (self._clock.monotonic_ns() - sent_ns) // 2
        return ClockMeasured(offset_ns=pong.time_in_ns - (sent_wall_ns + half_ns), error_ns=half_ns)

    def begin_again(self) -> None:
        """A new link: the next ping is due at once."""
        self._sent = None
        self._next_ns = 0
