"""The sandbox's open WebSockets: what clients send goes to sessions, frames go out, and faults stand in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.desk import Desk
from aether.sim.exchange import Event
from aether.sim.fault_wire import PLAIN_TEXT, FaultyWire, Fills
from aether.sim.faults import Fault, FaultBox
from aether.sim.rate_counters import POINT, Counter
from aether.sim.records import StatusEvent
from aether.sim.ws_account import AccountHub
from aether.sim.ws_api import Door, Session
from aether.sim.ws_market import MarketHub

MESSAGE_BYTES_MAX = 64 * 1024
CLOSE_S_MAX = 1.0  # how long a client may take to say goodbye
UNSENT_FRAMES_MAX = 10_000  # a reader further behind than this is dropped: some seconds of all pairs

IDLE_NS_MAX = 60 * NANOS_PER_S  # Kraken docs, WebSockets introduction: closed after about a minute without traffic
STATUS_EVERY_BEATS = 60  # Kraken's SDK: the status is told again from time to time

# Kraken's limit of messages on one socket moves and is not published: far above what any client there is sends.
MESSAGES_MAX = 1_000
MESSAGES_PER_S = 100
EXCEEDED = '{"Error":"Exceeded msg rate"}'


class Outbox:
    """Frames that wait for one client. Putting never waits: whoever lets too many pile up is dropped."""

    def __init__(self, drop: Callable[[], None]) -> None:
        self._frames: asyncio.Queue[str | int] = asyncio.Queue(UNSENT_FRAMES_MAX)
        self._drop = drop

    def put(self, text: str) -> None:
        """Send this frame as soon as the client takes it."""
        self._put(text)

    def put_close(self, code: int) -> None:
        """Close the socket with this code after all that waits."""
        self._put(code)

    def _put(self, item: str | int) -> None:
        try:
            self._frames.put_nowait(item)
        except asyncio.QueueFull:
            self._drop()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Send frames in order until the connection is lost."""
        try:
            while True:
                item = await self._frames.get()
                if isinstance(item, int):
                    await socket.close(code=item)
                    return
                await socket.send_str(item)
        except ConnectionError:
            return


class Throttle:
    """Counts the messages of one socket."""

    def __init__(self) -> None:
        self._counter = Counter(MESSAGES_PER_S * 100)

    def lets_pass(self, now_ns: int) -> bool:
        """Count a message; False if there are too many."""
        if self._counter.at(now_ns) + POINT > MESSAGES_MAX * POINT:
            return False
        self._counter.add(POINT, now_ns)
        return True


@dataclass(frozen=True, slots=True)
class _Line:
    """One client: its session, its socket, and what lies between them."""

    session: Session
    socket: web.WebSocketResponse
    door: Door
    outbox: Outbox
    faulty: FaultyWire | None
    cut: Callable[[], None]

    def hear(self, data: str | bytes) -> None:
        """A message came in."""
        if self.faulty is None:
            self.session.hear(data)
        else:
            self.faulty.hear(data, self.session.hear)


class Connections:
    """All open sockets. Without a `box` nothing goes wrong. `new_id` draws a connection's id."""

    def __init__(self, desk: Desk, clock: Clock, box: FaultBox | None, new_id: Callable[[], int]) -> None:
        self._desk = desk
        self._clock = clock
        self._box = box
        self._new_id = new_id
        self._fills = Fills()
        self._market = MarketHub(desk)
        self._accounts = AccountHub(desk)
        self._lines: dict[Session, _Line] = {}
        desk.listen(self._tell_status)

    async def serve(self, request: web.Request, socket: web.WebSocketResponse, door: Door) -> None:
        """Speak with one client until it goes, or is sent away."""
        line = self._line(request, socket, door)
        session, throttle = line.session, Throttle()
        self._lines[session] = line
        try:
            session.open()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(line.outbox.write_to(socket)), group.create_task(self._beat(line))]
                async for message in socket:
                    if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        continue
                    if throttle.lets_pass(self._desk.now_ns()):
                        line.hear(message.data)
                    else:
                        line.outbox.put(EXCEEDED)
                for task in tasks:
                    task.cancel()
        finally:
            del self._lines[session]
            session.close()

    async def close(self) -> None:
        """Say goodbye to everybody."""
        for line in list(self._lines.values()):
            await line.socket.close(code=1001)

    def __len__(self) -> int:
        return len(self._lines)

    def strike(self, fault: Fault) -> None:
        """Do to the sockets what this fault does to them at once."""
        door = fault.where.get("door")
        for line in [line for line in self._lines.values() if door in (None, line.door)]:
            match fault.kind.name:
                case "plain_text":
                    line.outbox.put(PLAIN_TEXT)
                case "silence":
                    assert line.faulty is not None, "only a sandbox with faults is struck"
                    line.faulty.be_silent(fault.for_ms)
                case "close_1006":
                    line.cut()
                case "close_1008":
                    line.outbox.put_close(1008)
                case "stale_token":
                    line.session.forget_tokens()

    def _line(self, request: web.Request, socket: web.WebSocketResponse, door: Door) -> _Line:
        outbox = Outbox(lambda: _abort(request))
        faulty = None if self._box is None else FaultyWire(outbox.put, self._box, self._fills, self._clock, door)
        session = Session(
            self._desk,
            self._market,
            self._accounts,
            door=door,
            connection_id=self._new_id(),
            send=outbox.put if faulty is None else faulty.put,
        )
        return _Line(session, socket, door, outbox, faulty, lambda: _abort(request))

    async def _beat(self, line: _Line) -> None:
        beats = 0
        while True:
            await asyncio.sleep(1.0)
            beats += 1
            line.session.beat()
            if beats % STATUS_EVERY_BEATS == 0:
                line.session.tell_status()
            if line.session.idle_ns() >= IDLE_NS_MAX:
                line.outbox.put_close(1000)

    def _tell_status(self, events: Sequence[Event], _now_ns: int) -> None:
        if any(isinstance(event, StatusEvent) and event.pair is None for event in events):
            for session in list(self._lines):
                session.tell_status()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
