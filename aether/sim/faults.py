"""What goes wrong on purpose: every fault that Kraken's clients meet live, made to happen when it is asked for.

This part decides; it touches no socket and no clock. Faults are armed one by one, by a script, or drawn by a seed; each
place where one can strike asks `take` whether it does so now.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Literal, TypeAlias

from aether.domain.values import NANOS_PER_MS
from aether.sim.records import SYSTEM_STATUSES
from aether.sim.rest_api import PRIVATE_METHODS

Place: TypeAlias = Literal["call", "answer", "frame", "now", "always"]
"""A REST call, the answer to a socket's request, a data frame, the sandbox itself at once; or the way it always is."""

Where: TypeAlias = Mapping[str, str]
"""A filter, or what it is held against: any of `WHERE_KEYS`."""

WHERE_KEYS = ("endpoint", "method", "channel", "type", "symbol", "door")

PAIR_STATUSES = (*SYSTEM_STATUSES, "limit_only", "reduce_only")

STRUCK_KEPT = 1_000
ARMED_MAX = 1_000
RATE_ONE = 1_000_000

_PRIVATE = {"channel": ("executions", "balances"), "type": ("update",)}
_SIGNED = {"endpoint": tuple(sorted(PRIVATE_METHODS))}  # public calls bear no nonce
_BOOK_UPDATE = {"channel": ("book",), "type": ("update",)}


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One class of fault. `only` says to what it can happen at all; `options` are the further fields it reads.

    `is_drawn` is False for those that a seed does not draw: they need an option, or change the exchange for good.
    """

    name: str
    places: tuple[Place, ...]
    meaning: str
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    is_drawn: bool = True


_REPLY: tuple[Place, ...] = ("call", "answer")
_ANY: tuple[Place, ...] = ("call", "answer", "frame")

_CATALOGUE = (
    FaultKind("ack_lost", _REPLY, "carried out, and the answer never comes: REST cuts the connection"),
    FaultKind("deadline_elapsed", _REPLY, "carried out, and answered EService:Deadline elapsed"),
    FaultKind("unknown_error", _REPLY, "carried out, and answered with an error text that nobody has seen before"),
    FaultKind(
        "error",
        _REPLY,
        "answered with `text`; carried out unless `executed` is false",
        options=("text", "executed"),
        is_drawn=False,
    ),
    FaultKind("bad_gateway", ("call",), "carried out, and answered 502 with a page of HTML"),
    FaultKind("delay", ("call",), "carried out, and answered `delay_ms` later", options=("delay_ms",)),
    FaultKind("invalid_nonce", ("call",), "refused with EAPI:Invalid nonce, as after reordered requests", _SIGNED),
    FaultKind("throttled", ("call",), "refused with EService: Throttled: and a time"),
    FaultKind("rest_rate_limit", ("call",), "refused with EAPI:Rate limit exceeded"),
    FaultKind("empty_fees", ("call",), "AssetPairs with empty fee arrays", {"endpoint": ("AssetPairs",)}),
    FaultKind("no_pair_status", ("call",), "AssetPairs without the status of any pair", {"endpoint": ("AssetPairs",)}),
    FaultKind("unknown_enums", _ANY, "a new, unknown value in every enumeration of the answer or frame"),
    FaultKind("unknown_fields", _ANY, "new, unknown fields in every object of the answer or frame"),
    FaultKind("late_ack", ("answer",), "the answer comes after the first execution records"),
    FaultKind(
        "duplicate_executions",
        ("frame",),
        "after the next executions snapshot the latest fills are told once more",
        {"channel": ("executions",), "type": ("snapshot",)},
    ),
    FaultKind("sequence_gap", ("frame",), "a frame of a private channel is lost, and its number with it", _PRIVATE),
    FaultKind("repeated_frame", ("frame",), "a frame of a private channel comes twice", _PRIVATE),
    FaultKind("lost_frame", ("frame",), "a frame of the book is lost: the next checksum does not hold", _BOOK_UPDATE),
    FaultKind("checksum_mismatch", ("frame",), "a book update with a wrong checksum", _BOOK_UPDATE),
    FaultKind(
        "double_entry", ("frame",), "a book update that names one price twice; the last one counts", _BOOK_UPDATE
    ),
    FaultKind(
        "no_timestamp",
        ("frame",),
        "a book snapshot without its timestamp, as until 2025",
        {"channel": ("book",), "type": ("snapshot",)},
    ),
    FaultKind("heartbeat_silence", ("frame",), "a heartbeat is withheld", {"channel": ("heartbeat",)}),
    FaultKind("plain_text", ("now",), "a text frame that is no JSON, as when Kraken's edge restarts"),
    FaultKind("silence", ("now",), "sockets stay open and send nothing for `for_ms`", options=("for_ms",)),
    FaultKind("close_1006", ("now",), "sockets are cut without a closing frame"),
    FaultKind("close_1008", ("now",), "sockets are closed with code 1008, policy violation"),
    FaultKind("stale_token", ("now",), "every WebSocket token is stale; sockets stay open"),
    FaultKind("order_rate_limit", ("now",), "the trading counter of a pair is full; of every pair without `symbol`"),
    *(
        FaultKind(status, ("now",), f"the exchange, or the pair named, becomes {status}", is_drawn=False)
        for status in PAIR_STATUSES
    ),
    FaultKind("partially_filled_last", ("always",), "the trade that completes an order says partially_filled"),
    FaultKind("batch_cancel_bare", ("always",), "batch_cancel answers orders_cancelled at its top, without a result"),
    FaultKind("legacy_name", ("always",), "XBT/USD is refused on WebSocket v2"),
)
KINDS: Mapping[str, FaultKind] = {kind.name: kind for kind in _CATALOGUE}


@dataclass(slots=True)
class Fault:
    """A fault that waits to strike: how often still, where, and from when on."""

    kind: FaultKind
    times: int = 1
    where: Where = field(default_factory=dict)
    due_ns: int = 0
    text: str = ""
    executed: bool = True
    delay_ms: int = 1_000
    for_ms: int = 10_000
    number: int = 0

    def strikes(self, place: Place, context: Where, now_ns: int) -> bool:
        """Whether it happens here and now. Of what happens at once, `where` says to whom."""
        return (
            place in self.kind.places
            and now_ns >= self.due_ns
            and _can_happen(self.kind, context)
            and (place == "now" or all(context.get(key) == value for key, value in self.where.items()))
        )


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened."""

    name: str
    at_ns: int
    place: Place
    context: Where


class FaultBox:
    """The faults that wait, those that are drawn, and those that happened."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        self.struck: deque[Struck] = deque(maxlen=STRUCK_KEPT)
        self.counts: Counter[str] = Counter()
        self._numbers = count(1)
        self._random: Random | None = None
        self._rate = 0

    def arm(self, fault: Fault) -> int:
        """Let this fault happen; its number. Raises ValueError where too many wait."""
        if len(self.armed) >= ARMED_MAX:
            raise ValueError(f"at most {ARMED_MAX} faults can wait")
        fault.number = next(self._numbers)
        self.armed.append(fault)
        return fault.number

    def draw_by(self, seed: int, rate: int) -> None:
        """Draw faults by this seed, each time with so many chances in a million; 0 ends it."""
        self._random = Random(seed) if rate else None  # noqa: S311 - made faults, no secret
        self._rate = rate

    def clear(self) -> None:
        """Nothing more shall go wrong; what happened stays told."""
        self.armed.clear()
        self.draw_by(0, 0)

    def take(self, place: Place, context: Where, now_ns: int) -> Fault | None:
        """The fault that strikes here and now; it is used up once. None if all goes well."""
        fault = next((fault for fault in self.armed if fault.strikes(place, context, now_ns)), None)
        if fault is not None:
            fault.times -= 1
            self.armed = [waiting for waiting in self.armed if waiting.times]
        else:
            fault = self._drawn(place, context)
        if fault is not None:
            self.counts[fault.kind.name] += 1
            self.struck.append(Struck(fault.kind.name, now_ns, place, dict(context)))
        return fault

    def is_quiet(self, place: Place) -> bool:
        """Nothing can strike at this place: whoever asks need not even look at what passes."""
        return self._random is None and not any(place in fault.kind.places for fault in self.armed)

    def _drawn(self, place: Place, context: Where) -> Fault | None:
        if self._random is None or self._random.randrange(RATE_ONE) >= self._rate:
            return None
        fitting = [kind for kind in _drawable(place) if _can_happen(kind, context)]
        return Fault(self._random.choice(fitting)) if fitting else None


def _drawable(place: Place) -> Iterable[FaultKind]:
    return (kind for kind in _CATALOGUE if place in kind.places and kind.is_drawn)


def _can_happen(kind: FaultKind, context: Where) -> bool:
    return all(context.get(key) in allowed for key, allowed in kind.only.items())


def due_after(now_ns: int, after_ms: int) -> int:
    """When a fault that is asked for now is due."""
    return now_ns + after_ms * NANOS_PER_MS
