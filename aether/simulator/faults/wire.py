"""What goes wrong between the daemon and Kraken: calls and frames lost, doubled, late, muted, hurt, refused.

What the sandbox's own faults can do is armed there (`sim.faults`) and strikes at Kraken's end; the rest happens to
messages under way. Chance comes from each fault's own seed.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp, log
from random import Random

from aether.domain.values import NANOS_PER_MS
from aether.sim.fault_wire import Reply
from aether.sim.faults import KINDS as BOX_KINDS
from aether.sim.faults import Fault as BoxFault
from aether.sim.faults import FaultBox
from aether.sim.wire import CHECKSUM_LEVELS
from aether.sim.ws_api import Door
from aether.simulator.faults.mutes import Mutes
from aether.simulator.faults.tally import Acts, Later, Tally
from aether.simulator.faults.windows import Windows
from aether.simulator.faults.wounds import wounded
from aether.simulator.plan import ONE, Fault, Plan, Rate
from aether.simulator.trouble import WELL, Fate, Trouble

_LEAST_MS = 100  # a message that is slow takes at least so long

# Armed at Kraken's end, to strike the next message that fits, under the name that each has there.
_BOXED: Mapping[str, str] = {
    **{name: name for name in ("sequence_gap", "repeated_frame", "late_ack", "unknown_enums", "unknown_fields")},
    **{name: name for name in ("plain_text", "double_entry", "stale_token", "order_rate_limit")},
    "repeated_fills": "duplicate_executions",
    "bad_checksum": "checksum_mismatch",
    "lost_book_frame": "lost_frame",
    "closed_1008": "close_1008",
}
_AT_A_DOOR = ("plain_text", "closed_1008")
_MUTES = ("socket_mute", "heartbeats_only", "channel_mute", "no_snapshot")
_NO_CALLS = ("ping", "pong", "")

_HEAD = re.compile(rb'\{"(channel|method)":"(\w+)"(?:,"type":"(\w+)")?')
_BOOK = re.compile(rb'"bids":\[(.*?)\],"asks":\[(.*?)\],"checksum":[0-9]+')
_LEVEL = re.compile(rb'\{"price":([0-9.]+),"qty":([0-9.]+)\}')


class _Dice:
    """A rate of the plan."""

    def __init__(self, rate: Rate) -> None:
        self.parameters = rate.parameters
        self.random = Random(rate.draw)  # noqa: S311 - made faults, no secret
        self._per_million = rate.per_million

    def fall(self) -> bool:
        """Whether it strikes now."""
        return self.random.randrange(ONE) < self._per_million


class WireFaults(Trouble):
    """The plan's trouble on the wire. `box` strikes at Kraken's end; `cut` cuts a door's sockets, or all of them."""

    def __init__(
        self, plan: Plan, box: FaultBox, later: Later, tally: Tally, cut: Callable[[Door | None], int]
    ) -> None:
        self._box = box
        self._tally = tally
        self._cut = cut
        self._dice = {rate.kind: _Dice(rate) for rate in plan.rates}
        self._windows = Windows(later, tally)
        self._mutes = Mutes(later)
        self._crossings = 0
        self._counted: Counter[str] = Counter()

    def acts(self) -> Acts:
        """By kind; what strikes messages at a rate needs none."""
        return {
            **self._windows.acts(),
            **dict.fromkeys(_MUTES, self._mute),
            **dict.fromkeys(_BOXED, self._arm),
            "cut": self._cut_some,
            "crossed_book": self._cross,
        }

    def calm(self) -> None:
        """Nothing more goes wrong on the wire, and what struck at Kraken's end is counted."""
        self._dice.clear()
        self._windows.calm()
        self._mutes.calm()
        self._crossings = 0
        self.count()
        self._box.clear()
        if self._tally.kinds["stale_token"]:
            self._cut("private")  # or it would only be found out with the next order, which may be long after

    def count(self) -> None:
        """Count what struck at Kraken's end since the last time."""
        for kind, name in _BOXED.items():
            for _ in range(self._box.counts[name] - self._counted[name]):
                self._tally.struck(kind)
            self._counted[name] = self._box.counts[name]

    # --- what the plan asks for -------------------------------------------------------------------------------------

    def _cut_some(self, fault: Fault) -> bool:
        return self._cut(_random(fault).choice(("private", "public", None))) > 0

    def _mute(self, fault: Fault) -> bool:
        door = self._mutes.begin(fault)
        if fault.kind == "no_snapshot":
            self._cut(door)  # so that it is subscribed to anew
        return True

    def _arm(self, fault: Fault) -> bool:
        """Counted when it strikes, which it does with the next message that fits."""
        where = {"door": _random(fault).choice(("private", "public"))} if fault.kind in _AT_A_DOOR else {}
        self._box.arm(BoxFault(BOX_KINDS[_BOXED[fault.kind]], where=where))
        return False

    def _cross(self, _: Fault) -> bool:
        """Strikes the next whole book that is told, which is soon: the public sockets are cut."""
        self._crossings += 1
        self._cut("public")
        return False

    # --- what the wire asks (`trouble.Trouble`) ---------------------------------------------------------------------

    def delay_ns(self) -> int:
        """See Trouble."""
        if not self._falls("slow"):
            return 0
        dice = self._dice["slow"]
        most_ms = max(dice.parameters["upto_ms"], _LEAST_MS + 1)
        return round(exp(dice.random.uniform(log(_LEAST_MS), log(most_ms)))) * NANOS_PER_MS

    def refuses(self, door: Door) -> str:  # noqa: ARG002 - no door is spared
        """See Trouble."""
        return "connection refused" if self._windows.refuses_connect() else ""

    def asked(self, door: Door, frame: bytes) -> bool:
        """See Trouble."""
        method = _head(frame)[1]
        if door != "private" or method in _NO_CALLS:
            return True
        if self._falls("request_lost"):
            return False
        error = self._windows.error_of_request(method)
        if error is not None:
            where = {"method": method, "door": "private"}
            self._box.arm(BoxFault(BOX_KINDS["error"], where=where, text=error[0], executed=error[1]))
        return True

    def told(self, door: Door, frame: bytes) -> Sequence[bytes]:
        """See Trouble."""
        if not (self._dice or self._mutes or self._crossings):
            return (frame,)
        what, name, kind = _head(frame)
        if self._mutes and self._mutes.keep(door, name, kind):
            return ()
        if what == "method" and door == "private" and name not in _NO_CALLS:
            if self._falls("response_lost"):
                return ()
            if self._falls("response_doubled"):
                return (frame, frame)
        if self._crossings and name == "book" and kind == "snapshot":
            self._crossings -= 1
            self._tally.struck("crossed_book")
            return (crossed(frame),)
        return (self._hurt(frame),)

    def called(self, endpoint: str, *, is_private: bool) -> Fate:
        """See Trouble."""
        fate = self._windows.fate_of_call(endpoint, is_private=is_private)
        if fate is not None:
            return fate
        if is_private and self._falls("request_lost"):
            return Fate(arrives=False, hangs=self._dice["request_lost"].random.randrange(2) == 0)
        if is_private and self._falls("response_lost"):
            return Fate(answers=False, hangs=self._dice["response_lost"].random.randrange(2) == 0)
        return Fate(rewrite=self._hurt_reply) if "malformed" in self._dice else WELL

    # --- inside -----------------------------------------------------------------------------------------------------

    def _falls(self, kind: str) -> bool:
        dice = self._dice.get(kind)
        if dice is None or not dice.fall():
            return False
        self._tally.struck(kind)
        return True

    def _hurt(self, frame: bytes) -> bytes:
        if not frame.startswith(b"{") or not self._falls("malformed"):
            return frame
        hurt, row = wounded(frame, self._dice["malformed"].random)
        self._tally.saw(row)
        return hurt

    def _hurt_reply(self, reply: Reply) -> Reply:
        return replace(reply, text=self._hurt(reply.text.encode()).decode("utf-8", "replace"))


def crossed(frame: bytes) -> bytes:
    """A whole book with its sides exchanged and its checksum right: the best bid is above the best ask."""
    found = _BOOK.search(frame)
    if found is None:
        return frame
    bids, asks = (_LEVEL.findall(side)[::-1] for side in (found[2], found[1]))
    digits = b"".join(
        number.replace(b".", b"").lstrip(b"0")
        for side in (asks, bids)
        for level in side[:CHECKSUM_LEVELS]
        for number in level
    )
    bid_text, ask_text = (b",".join(b'{"price":%b,"qty":%b}' % level for level in side) for side in (bids, asks))
    text = b'"bids":[%b],"asks":[%b],"checksum":%d' % (bid_text, ask_text, zlib.crc32(digits))
    return frame[: found.start()] + text + frame[found.end() :]


def _head(frame: bytes) -> tuple[str, str, str]:
    """`channel` or `method`, its name, and the type of a frame."""
    found = _HEAD.match(frame)
    return ("", "", "") if found is None else (found[1].decode(), found[2].decode(), (found[3] or b"").decode())


def _random(fault: Fault) -> Random:
    return Random(fault.draw)  # noqa: S311 - made faults, no secret
