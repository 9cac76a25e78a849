"""How faults look on a wire: what they make of a REST answer, and of the frames of one WebSocket. No sockets here."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.faults import Fault, FaultBox
from aether.sim.wire import encode, rfc3339

PLAIN_TEXT = "CloudFlare WebSocket proxy restarting"  # as captured, when the edge restarted
UNHEARD_OF = "EUniverse:Unheard of"
HTML_502 = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)

FILLS_REPEATED = 5
THROTTLED_S = 10

# Fields whose values are words of a closed list in Kraken's documents, on either door.
_ENUMERATIONS = frozenset(
    (
        *("status", "aclass", "aclass_base", "aclass_quote", "type", "ordertype", "execution_venue", "system"),
        *("exec_type", "order_status", "order_type", "ord_type", "time_in_force", "liquidity_ind", "fee_ccy_pref"),
        *("asset_class", "category", "wallet_type", "class", "limit_price_type", "side", "reference", "price_type"),
        "amend_type",
    )
)
_SURPRISE = "surprise"
_SEQUENCE = re.compile(r'"sequence":([0-9]+)\}$')


@dataclass(frozen=True, slots=True)
class Reply:
    """What a REST caller gets. `is_lost` cuts the connection instead; `delay_ms` comes before anything."""

    text: str
    status: int = 200
    content_type: str = "application/json"
    is_lost: bool = False
    delay_ms: int = 0


def struck_reply(fault: Fault | None, carry_out: Callable[[], str], now_ns: int) -> Reply:
    """The reply to a REST call after this fault; `carry_out` is called where the fault lets the call be carried out."""
    refused = None if fault is None else _refusal_before(fault, now_ns)
    if refused is not None:
        return Reply(_refused(refused))
    text = carry_out()
    match fault.kind.name if fault else "":
        case "ack_lost":
            return Reply("", is_lost=True)
        case "bad_gateway":
            return Reply(HTML_502, 502, "text/html")
        case "delay":
            assert fault is not None
            return Reply(text, delay_ms=fault.delay_ms)
        case _:
            return Reply(text if fault is None else _changed_answer(fault, text))


def error_text(fault: Fault) -> str:
    """The text that this fault answers with, empty where it changes something else."""
    texts = {"deadline_elapsed": "EService:Deadline elapsed", "unknown_error": UNHEARD_OF, "error": fault.text}
    return texts.get(fault.kind.name, "")


def _refusal_before(fault: Fault, now_ns: int) -> str | None:
    """Kraken's text where the call is not carried out at all."""
    texts = {
        "invalid_nonce": "EAPI:Invalid nonce",
        "throttled": f"EService: Throttled: {now_ns // NANOS_PER_S + THROTTLED_S}",
        "rest_rate_limit": "EAPI:Rate limit exceeded",
    }
    return fault.text if fault.kind.name == "error" and not fault.executed else texts.get(fault.kind.name)


def _refused(text: str) -> str:
    return encode({"error": [text]})


def _changed_answer(fault: Fault, text: str) -> str:
    if error := error_text(fault):
        return _refused(error)
    answer = _object(text)
    rows = answer.get("result")
    match fault.kind.name:
        case "unknown_enums" | "unknown_fields":
            return encode(answer | {"result": _surprised(rows, fault.kind.name)})
        case "empty_fees":
            return encode(answer | {"result": _each_pair(rows, lambda row: row | {"fees": [], "fees_maker": []})})
        case _:
            assert fault.kind.name == "no_pair_status", f"{fault.kind.name} is no fault of an answer"
            return encode(answer | {"result": _each_pair(rows, _without_status)})


def _each_pair(rows: object, change: Callable[[dict[str, object]], object]) -> object:
    return {key: change(row) for key, row in rows.items()} if isinstance(rows, dict) else rows


def _without_status(row: dict[str, object]) -> object:
    return {name: value for name, value in row.items() if name != "status"}


def _surprised(value: object, how: str) -> object:
    """The same with unknown words in every enumeration, or with unknown fields in every object."""
    if isinstance(value, list):
        return [_surprised(item, how) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _surprised(item, how) for name, item in value.items()}
    if how == "unknown_fields":
        is_map_of_rows = all(isinstance(item, dict) for item in changed.values())
        return changed if is_map_of_rows else changed | {_SURPRISE: {"of": [1, "two", None]}}
    known = {name for name, item in changed.items() if name in _ENUMERATIONS and isinstance(item, str)}
    return {name: _SURPRISE if name in known else item for name, item in changed.items()}


class Fills:
    """The latest fills that were told to anybody, to be told once more."""

    def __init__(self) -> None:
        self.rows: deque[object] = deque(maxlen=FILLS_REPEATED)


class FaultyWire:
    """Stands between one session and its socket: requests pass `hear`, frames pass `put`."""

    def __init__(self, send: Callable[[str], None], box: FaultBox, fills: Fills, clock: Clock, door: str) -> None:
        self._send = send
        self._box = box
        self._fills = fills
        self._clock = clock
        self._door = door
        self._asked: dict[str, str] = {}
        self._striking: Fault | None = None
        self._held: list[str] = []
        self._ahead: dict[str, int] = {}  # how many frames of a private channel were put in by a fault
        self._silent_until_ns = 0

    def hear(self, data: str | bytes, hear: Callable[[str | bytes], None]) -> None:
        """Let the session hear a request, unless a fault answers it before."""
        request = _object(data)
        self._asked = _context_of(request) | {"door": self._door}
        self._striking = self._box.take("answer", self._asked, self._clock.wall_ns())
        if self._striking is not None and error_text(self._striking) and not self._striking.executed:
            echo = {"req_id": request["req_id"]} if isinstance(request.get("req_id"), int) else {}
            self._emit(self._with_error({"method": request.get("method")} | echo))
        else:
            hear(data)
        self._striking = None
        held, self._held = self._held, []
        for text in held:
            self._emit(text)

    def be_silent(self, for_ms: int) -> None:
        """Send nothing for so long."""
        self._silent_until_ns = self._clock.wall_ns() + for_ms * NANOS_PER_S // 1_000

    def put(self, text: str) -> None:
        """Send a frame as it is, changed, twice, later or not at all."""
        if text.startswith('{"method"'):
            self._put_answer(text)
        elif '"exec_type":"trade"' in text or self._ahead or not self._box.is_quiet("frame"):
            self._put_frame(text)
        else:
            self._emit(text)

    def _emit(self, text: str) -> None:
        if self._clock.wall_ns() >= self._silent_until_ns:
            self._send(text)

    def _put_answer(self, text: str) -> None:
        fault = self._striking
        if fault is None:
            self._emit(text)
        elif fault.kind.name == "late_ack":
            self._held.append(text)
        elif fault.kind.name.startswith("unknown_") and not error_text(fault):
            answer = _object(text)
            self._emit(encode(answer | {"result": _surprised(answer.get("result"), fault.kind.name)}))
        elif fault.kind.name != "ack_lost":
            answer = _object(text)
            self._emit(self._with_error({name: answer[name] for name in ("method", "req_id") if name in answer}))

    def _with_error(self, echo: dict[str, object]) -> str:
        assert self._striking is not None, "only a fault answers so"
        at = rfc3339(self._clock.wall_ns())
        error = {"error": error_text(self._striking), "success": False, "time_in": at, "time_out": at}
        return encode(echo | error)

    def _put_frame(self, text: str) -> None:
        frame = _object(text)
        context = _context_of(frame) | {"door": self._door}
        channel = context.get("channel", "")
        if frame.get("sequence") == 1:
            self._ahead.pop(channel, None)  # a new subscription counts from 1 again
        fault = self._box.take("frame", context, self._clock.wall_ns())
        moved = self._renumbered(text, channel)
        for changed in [moved] if fault is None else _changed_frames(fault, frame, moved):
            self._emit(changed)
        if fault is not None and fault.kind.name == "duplicate_executions" and self._fills.rows:
            self._repeat_fills(frame)
        if channel == "executions" and context.get("type") == "update":
            rows = frame.get("data")
            assert isinstance(rows, list), "executions are a list"
            self._fills.rows.extend(row for row in rows if row.get("exec_type") == "trade")

    def _renumbered(self, text: str, channel: str) -> str:
        ahead = self._ahead.get(channel, 0)
        return _SEQUENCE.sub(lambda found: f'"sequence":{int(found[1]) + ahead}}}', text) if ahead else text

    def _repeat_fills(self, snapshot: dict[str, object]) -> None:
        before = snapshot["sequence"]
        assert isinstance(before, int), "private frames are numbered"
        ahead = self._ahead["executions"] = self._ahead.get("executions", 0) + 1
        again = {"channel": "executions", "type": "update", "data": list(self._fills.rows), "sequence": before + ahead}
        self._emit(encode(again))


def _changed_frames(fault: Fault, frame: dict[str, object], text: str) -> list[str]:
    """The frames that are sent instead of this one."""
    match fault.kind.name:
        case "sequence_gap" | "lost_frame" | "heartbeat_silence":
            return []
        case "repeated_frame":
            return [text, text]
        case "duplicate_executions":
            return [text]
        case "unknown_enums" | "unknown_fields":
            return [encode(frame | {"data": _surprised(frame.get("data"), fault.kind.name)})]
        case _:
            return [encode(frame | {"data": [_changed_book(fault.kind.name, row) for row in _rows(frame)]})]


def _changed_book(name: str, row: dict[str, object]) -> dict[str, object]:
    if name == "checksum_mismatch":
        value = row["checksum"]
        assert isinstance(value, int), "a checksum is a number"
        return row | {"checksum": value ^ 1}
    if name == "no_timestamp":
        return {field: value for field, value in row.items() if field != "timestamp"}
    assert name == "double_entry", f"{name} is no fault of a book"
    return row | {side: _doubled(row[side]) for side in ("bids", "asks")}


def _doubled(levels: object) -> object:
    """The first level named twice, at first with another quantity: what counts is the last."""
    if not isinstance(levels, list) or not levels:
        return levels
    first, *rest = levels
    another = msgspec.Raw(b"9" + bytes(first["qty"]))
    return [first | {"qty": another}, first, *rest]


def _rows(frame: dict[str, object]) -> list[dict[str, object]]:
    data = frame["data"]
    assert isinstance(data, list), "a book's data is a list"
    return data


def _object(text: str | bytes) -> dict[str, object]:
    """The object in a text, its decimals as they stand there; empty for what is none."""
    try:
        value = json.loads(text, parse_float=lambda digits: msgspec.Raw(digits.encode()))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _context_of(message: dict[str, object]) -> dict[str, str]:
    """What a request or a frame can be told apart by."""
    found = {name: value for name in ("method", "channel", "type") if isinstance(value := message.get(name), str)}
    for inner in (message.get("params"), *(_first_row(message),)):
        if isinstance(inner, dict):
            found |= {name: value for name in ("channel", "symbol") if isinstance(value := inner.get(name), str)}
            symbols = inner.get("symbol")
            if isinstance(symbols, list) and symbols and isinstance(symbols[0], str):
                found["symbol"] = symbols[0]
    return found


def _first_row(message: dict[str, object]) -> object:
    data = message.get("data")
    return data[0] if isinstance(data, list) and data else None
