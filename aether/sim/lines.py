"""The made Kraken's open WebSockets, with no socket in them: requests go to sessions, frames go out, faults between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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

BEAT_S = 1.0
IDLE_NS_MAX = 60 * NANOS_PER_S  # Kraken docs, WebSockets introduction: closed after about a minute without traffic
STATUS_EVERY_BEATS = 60  # Kraken's SDK: the status is told again from time to time

# Kraken's limit of messages on one socket moves and is not published: far above what any client there is sends.
MESSAGES_MAX = 1_000
MESSAGES_PER_S = 100
EXCEEDED = '{"Error":"Exceeded msg rate"}'


class Outlet(Protocol):
    """The way to one client. Nothing waits here: whoever does not read is dropped."""

    def put(self, text: str) -> None:
        """Send this frame."""
        ...

    def put_close(self, code: int) -> None:
        """Close with this code after all that was put before."""
        ...

    def cut(self) -> None:
        """End the connection without a word."""
        ...


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


@dataclass(eq=False, slots=True)
class Line:
    """One client: its session, its outlet, and what lies between them."""

    desk: Desk
    session: Session
    door: Door
    outlet: Outlet
    faulty: FaultyWire | None
    _throttle: Throttle = field(default_factory=Throttle)
    _beats: int = 0

    def hear(self, data: str | bytes) -> None:
        """A message came in."""
        if not self._throttle.lets_pass(self.desk.now_ns()):
            self.outlet.put(EXCEEDED)
        elif self.faulty is None:
            self.session.hear(data)
        else:
            self.faulty.hear(data, self.session.hear)

    def beat(self) -> None:
        """`BEAT_S` have passed: a heartbeat, now and then the status; whoever asked for nothing is sent away."""
        self._beats += 1
        self.session.beat()
        if self._beats % STATUS_EVERY_BEATS == 0:
            self.session.tell_status()
        if self.session.idle_ns() >= IDLE_NS_MAX:
            self.outlet.put_close(1000)


class Lines:
    """All open lines. Without a `box` nothing goes wrong. `new_id` draws a connection's id."""

    def __init__(self, desk: Desk, clock: Clock, box: FaultBox | None, new_id: Callable[[], int]) -> None:
        self._desk = desk
        self._clock = clock
        self._box = box
        self._new_id = new_id
        self._fills = Fills()
        self._market = MarketHub(desk)
        self._accounts = AccountHub(desk)
        self._open: dict[Line, None] = {}
        desk.listen(self._tell_status)

    def open(self, door: Door, outlet: Outlet) -> Line:
        """A client has connected: the first frames go out at once."""
        faulty = None if self._box is None else FaultyWire(outlet.put, self._box, self._fills, self._clock, door)
        session = Session(
            self._desk,
            self._market,
            self._accounts,
            door=door,
            connection_id=self._new_id(),
            send=outlet.put if faulty is None else faulty.put,
        )
        line = Line(self._desk, session, door, outlet, faulty)
        self._open[line] = None
        session.open()
        return line

    def close(self, line: Line) -> None:
        """A client is gone."""
        if self._open.pop(line, line) is None:
            line.session.close()

    def all(self) -> tuple[Line, ...]:
        """Every open line, the oldest first."""
        return tuple(self._open)

    def strike(self, fault: Fault) -> None:
        """Do to the lines what this fault does to them at once."""
        door = fault.where.get("door")
        for line in [line for line in self._open if door in (None, line.door)]:
            match fault.kind.name:
                case "plain_text":
                    line.outlet.put(PLAIN_TEXT)
                case "silence":
                    assert line.faulty is not None, "only a sandbox with faults is struck"
                    line.faulty.be_silent(fault.for_ms)
                case "close_1006":
                    line.outlet.cut()
                case "close_1008":
                    line.outlet.put_close(1008)
                case "stale_token":
                    line.session.forget_tokens()

    def _tell_status(self, events: Sequence[Event], _now_ns: int) -> None:
        if any(isinstance(event, StatusEvent) and event.pair is None for event in events):
            for line in self.all():
                line.session.tell_status()
