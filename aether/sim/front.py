"""The made Kraken's face without sockets: REST calls and WebSocket lines, the faults between, and the market's time.

The sandbox puts it behind real sockets, the simulator behind a made wire: what Kraken does is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aether.domain.values import NANOS_PER_MS
from aether.ports import Clock
from aether.sim.crowd import Crowd
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal
from aether.sim.fault_acts import strike_desk
from aether.sim.fault_wire import Reply, struck_reply
from aether.sim.faults import Fault, FaultBox
from aether.sim.lines import Lines
from aether.sim.rest_api import RestApi, read_form, refusal
from aether.sim.rest_public import find_pair

PAUSE_NS_MAX = 250 * NANOS_PER_MS  # timers of the exchange act at most this late
PAUSE_NS_MIN = 5 * NANOS_PER_MS


class Front:
    """One exchange as its clients meet it. With a `box` things can go wrong. `new_id` draws a connection's id."""

    def __init__(
        self, desk: Desk, crowd: Crowd, clock: Clock, *, box: FaultBox | None, new_id: Callable[[], int]
    ) -> None:
        self.desk = desk
        self.box = box
        self.lines = Lines(desk, clock, box, new_id)
        self._crowd = crowd
        self._clock = clock
        self._rest = RestApi(desk)

    @property
    def takes_connects(self) -> bool:
        """Whether a WebSocket can be opened: not in maintenance (Kraken docs, Reconnection: they fail while it is)."""
        return self.desk.exchange.system_status != "maintenance"

    def public(self, method: str, query: Mapping[str, str], content_type: str = "", body: bytes | None = None) -> Reply:
        """Answer `/0/public/METHOD`; a posted body's fields win over the query's."""
        try:
            fields = dict(query) | ({} if body is None else read_form(content_type, body))
        except ExchangeRefusal as refused:
            return Reply(refusal(refused.text))
        fault = self._fault_of_call(method, fields.get("pair"))
        return struck_reply(fault, lambda: self._rest.public(method, fields), self.desk.now_ns())

    def private(self, path: str, headers: Mapping[str, str], body: bytes, address: str = "") -> Reply:
        """Answer `POST path`; `address` is the caller's."""
        fault = self._fault_of_call(path.rpartition("/")[2], _pair_in(headers.get("Content-Type", ""), body))
        return struck_reply(fault, lambda: self._rest.private(path, headers, body, address), self.desk.now_ns())

    def live_on(self) -> int:
        """Let faults strike that are due and the market move up to now; nanoseconds until this is due again."""
        self.strike_now()
        self.desk.settle()
        return min(max(self._crowd.next_due_ns() - self.desk.now_ns(), PAUSE_NS_MIN), PAUSE_NS_MAX)

    def strike_now(self) -> None:
        """Do all faults that are due and wait for nothing else to happen."""
        while self.box is not None and not self.box.is_quiet("now"):
            fault = self.box.take("now", {}, self._clock.wall_ns())
            if fault is None:
                return
            strike_desk(self.desk, fault)
            self.lines.strike(fault)

    def _fault_of_call(self, method: str, pair: str | None) -> Fault | None:
        if self.box is None or self.box.is_quiet("call"):
            return None
        context = {"endpoint": method, "door": "public"}
        if pair is not None:
            try:
                context["symbol"] = find_pair(self.desk, pair).name
            except ExchangeRefusal:
                context["symbol"] = pair
        return self.box.take("call", context, self._clock.wall_ns())


def _pair_in(content_type: str, body: bytes) -> str | None:
    try:
        return read_form(content_type, body).get("pair")
    except ExchangeRefusal:
        return None
