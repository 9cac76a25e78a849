"""Log lines: one JSON object each, or a short coloured line for a person at a terminal.

Fields are on an allow-list, so that a secret has no name to appear under. Text from outside is escaped until it is
inert: one event is one line, whatever a peer or a person wrote into it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal, TextIO, TypeAlias

import orjson
import structlog

from aether.domain.actors import Actor
from aether.domain.values import NANOS_PER_S, Price, Qty, Usd, plain
from aether.observe.line_writer import LineWriter
from aether.ports import Clock

Style: TypeAlias = Literal["auto", "json", "human"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Event: TypeAlias = MutableMapping[str, Any]

_HEAD = ("timestamp", "level", "event")
_CONTEXT = (
    "mode",
    "run",
    "input",
    "fact",
    "symbol",
    "strategy",
    "order_id",
    "cl_ord_id",
    "actor",
    "code",
    "request_id",
)
_DETAILS = (
    *(
        "account",
        "acts",
        "address",
        "asset",
        "balances",
        "bound_by",
        "cause",
        "channel",
        "clean",
        "command",
        "endpoint",
    ),
    *(
        "amount",
        "day",
        "day_bps",
        "day_orders",
        "day_start_usd",
        "divergence_bps",
        "edge_bps",
        "equity_usd",
        "error",
        "exec_id",
        "expected",
        "fees",
        "cash_free_usd",
        "code_version",
    ),
    *(
        "cost_usd",
        "cum_qty",
        "in_flight",
        "intent_id",
        "left",
        "library",
        "limit_price_usd",
        "liquidity",
        "maker_bps",
        "name",
    ),
    *("open_orders", "order_type", "path", "peak_usd", "price_usd", "qty", "reason", "reserved_usd", "resting"),
    *("real_money", "scope", "seconds", "seed", "seen", "settings_digest", "side", "source", "status", "tag"),
    "timeout_s",
    "offset_ms",
    *("balance", "entry_id", "fee", "kind", "moved", "nature", "refid", "subtype"),
    *(
        "taker_bps",
        "target_bps",
        "text",
        "transport",
        "unmatched_usd",
        "url",
        "venue_at",
        "views",
        "wanted_usd",
        "what",
        "where",
        "why",
        "world",
    ),
)
FIELDS = (*_HEAD, *_CONTEXT, *_DETAILS)

TEXT_LENGTH_MAX = 2_000
# C0, DEL, C1; line and paragraph separators; what turns the direction of writing; halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLOURS: Mapping[str, str] = MappingProxyType({"debug": "2", "info": "32", "warning": "33", "error": "31;1"})
_CLOSE_WAIT_S = 2.0


class UnknownField(AssertionError):
    """A log line has a field that the allow-list lacks. Raised in tests; elsewhere the field is dropped."""


class Log:
    """The process's log, from `start_log` to `close`."""

    def __init__(self, writer: LineWriter, bridge: logging.Handler) -> None:
        self._writer = writer
        self._bridge = bridge

    def close(self) -> None:
        """Write out what waits (at most two seconds) and let go of the standard library's log."""
        logging.getLogger().removeHandler(self._bridge)
        self._writer.close(_CLOSE_WAIT_S)


def start_log(
    clock: Clock, stream: TextIO, *, style: Style = "auto", level: Level = "info", strict: bool = False
) -> Log:
    """Send every logger of the process, ours and the libraries', to `stream`.

    `auto` is `human` on a terminal and `json` elsewhere. With `strict` a field that is not on the list raises
    UnknownField, for tests; without, it is dropped, because a log line must not stop trading.
    """
    writer = LineWriter(stream)
    is_terminal = stream.isatty()
    render = (
        _render_human(colours=is_terminal) if style == "human" or (style == "auto" and is_terminal) else _render_json
    )
    structlog.configure(
        processors=[_name_level, _stamp(clock), _allow(strict=strict), _render(render)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=False,
    )
    bridge = _Bridge()
    root = logging.getLogger()
    root.addHandler(bridge)
    root.setLevel(logging.WARNING)  # libraries are asked for trouble alone
    return Log(writer, bridge)


def rfc3339(at_ns: int) -> str:
    """Moment in UTC with all nine digits."""
    seconds, nanos = divmod(at_ns, NANOS_PER_S)
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{nanos:09d}Z"


def inert(text: str) -> str:
    """This text with every character that could end a line, move a cursor or turn the writing made visible."""
    cut = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", cut)


def shown(value: Any) -> Any:
    """What a log line holds of a value: amounts as text with their digits kept, enumerations by value."""
    match value:
        case Enum():
            return shown(value.value)
        case None | bool() | int() | float():
            return value
        case str():
            return inert(value)
        case Decimal():
            return plain(value)
        case Price() | Qty() | Usd():
            return str(value)
        case Actor():
            return inert(value.subject)
        case tuple() | list():
            return [shown(item) for item in value]
        case _:
            return type(value).__name__


class _Lines:
    """The last link of structlog's chain: every level is one hand-over."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.put


class _Bridge(logging.Handler):
    """The libraries' log records as lines of ours. The traceback stays out: its values are on no allow-list."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        write = log.error if record.levelno >= logging.ERROR else log.warning
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        write("library.message", library=record.name, text=record.getMessage(), error=error)


def _name_level(_: Any, level: str, event: Event) -> Event:
    event["level"] = level
    return event


def _stamp(clock: Clock) -> Callable[[Any, str, Event], Event]:
    def stamp(_: Any, __: str, event: Event) -> Event:
        event["timestamp"] = rfc3339(clock.wall_ns())
        return event

    return stamp


def _allow(*, strict: bool) -> Callable[[Any, str, Event], Event]:
    def allow(_: Any, __: str, event: Event) -> Event:
        if strict and (unknown := event.keys() - set(FIELDS)):
            raise UnknownField(f"{event['event']}: {', '.join(sorted(unknown))} must be added to FIELDS")
        return {name: shown(event[name]) for name in FIELDS if event.get(name) is not None}

    return allow


def _render(render: Callable[[Event], str]) -> Callable[[Any, str, Event], str]:
    return lambda _, __, event: render(event)


def _render_json(event: Event) -> str:
    return orjson.dumps(event).decode()


def _render_human(*, colours: bool) -> Callable[[Event], str]:
    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours else text

    def render(event: Event) -> str:
        time = paint("2", event["timestamp"][11:23])
        level = paint(_COLOURS.get(event["level"], "31;1"), event["level"].upper()[:4].ljust(4))
        rest = " ".join(f"{name}={_worded(event[name])}" for name in FIELDS if name in event and name not in _HEAD)
        return f"{time} {level} {paint('1', event['event'])} {rest}".rstrip()

    return render


def _worded(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f'"{text}"' if " " in text else text
