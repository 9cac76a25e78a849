"""What any byte from outside must be before it is believed: bounded, whole, unambiguous JSON with exact numbers.

msgspec decodes fast and exactly, but takes the last of two equal keys and passes over bytes that are no UTF-8 in fields
it does not read. `check` refuses both, so that no two readers of one message can read two things.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import msgspec

from aether.domain.values import MONEY, NANOS_PER_S

FRAME_BYTES_MAX = 1 << 20
DEPTH_MAX = 16
NUMBER_CHARACTERS_MAX = 40
EXPONENT_MAX = 18
DECIMALS_MAX = 18
INT64_MAX = (1 << 63) - 1  # nanoseconds end in 2262; journal and tape hold no larger number
TEXT_CHARACTERS_SHOWN = 200

_T = TypeVar("_T")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?([0-9]+))?")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is refused as a whole: what it claimed to be, and why it cannot be read."""

    what: str
    why: str


class Unreadable(Exception):
    """Raised by the readers of fields, caught where a message is read: it never leaves this room."""


def check(frame: bytes, *, bytes_max: int = FRAME_BYTES_MAX) -> None:
    """Raise Unreadable unless `frame` is one whole JSON document within bounds, in UTF-8, without equal keys.

    NaN and Infinity, which Python's own reader takes, are refused.
    """
    check_bounds(frame, bytes_max=bytes_max)
    try:
        json.loads(
            frame.decode("utf-8"),
            object_pairs_hook=_refuse_equal_keys,
            parse_constant=_refuse_constant,
            parse_float=_skip_number,
            parse_int=_skip_number,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(printable(str(error))) from error


def check_bounds(frame: bytes, *, bytes_max: int = FRAME_BYTES_MAX) -> None:
    """Raise Unreadable where `frame` is longer or nested deeper than any message of Kraken's."""
    if len(frame) > bytes_max:
        raise Unreadable(f"{len(frame)} bytes, more than {bytes_max}")
    if frame.count(b"[") + frame.count(b"{") > DEPTH_MAX and _depth(frame) > DEPTH_MAX:
        raise Unreadable(f"nested deeper than {DEPTH_MAX}")


def decode(decoder: msgspec.json.Decoder[_T], document: bytes | msgspec.Raw) -> _T:
    """Typed value of a checked document. Raises Unreadable, naming the field that is missing or of a wrong type."""
    try:
        return decoder.decode(document)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(printable(str(error))) from error


def exact(token: msgspec.Raw | bytes, name: str) -> Decimal:
    """Decimal of a JSON number or of a string that holds one, its digits as sent. Raises Unreadable, naming the field.

    At most 40 characters and an exponent within 18 either way, so that arithmetic stays exact and cheap.

    Example:
        `b'64525.0'` -> Decimal("64525.0"); `b'"0.10000000"'` -> Decimal("0.10000000"); `b'1E-8'` -> Decimal("1E-8").
    """
    text = bytes(token)
    if text[:1] == b'"' and text[-1:] == b'"':
        text = text[1:-1]
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise Unreadable(f"{name}: a number of {len(text)} characters")
    matched = _NUMBER.fullmatch(text)
    if matched is None:
        raise Unreadable(f"{name}: {printable(repr(text))} is no number")
    if matched[1] is not None and int(matched[1]) > EXPONENT_MAX:
        raise Unreadable(f"{name}: exponent beyond {EXPONENT_MAX}")
    number = Decimal(text.decode("ascii"))
    if number and not (-EXPONENT_MAX <= number.adjusted() <= EXPONENT_MAX):
        raise Unreadable(f"{name}: {number} is beyond 10^{EXPONENT_MAX}")
    return number


def positive(token: msgspec.Raw | bytes, name: str) -> Decimal:
    """As `exact`, refusing zero and less."""
    number = exact(token, name)
    if number <= 0:
        raise Unreadable(f"{name}: {number} must be positive")
    return number


def not_negative(token: msgspec.Raw | bytes, name: str) -> Decimal:
    """As `exact`, refusing less than zero."""
    number = exact(token, name)
    if number < 0:
        raise Unreadable(f"{name}: {number} must not be negative")
    return number


def seconds_to_nanos(token: msgspec.Raw | bytes, name: str) -> int:
    """Nanoseconds of Kraken's REST times: seconds since 1970 with a fraction, as number or as text.

    Raises Unreadable, after 2262 too.
    """
    return _within_64_bits(int(not_negative(token, name).scaleb(9, MONEY)), name)


def rfc3339_to_nanos(text: str, name: str) -> int:
    """Nanoseconds of Kraken's WebSocket times, exact to the ninth digit.

    Raises Unreadable where no zone is given, and outside 1970 to 2262.
    """
    matched = _RFC3339.fullmatch(text)
    if matched is None:
        raise Unreadable(f"{name}: {printable(text)!r} is no time in UTC")
    try:
        whole = datetime.fromisoformat(matched[1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise Unreadable(f"{name}: {error}") from error
    nanos = int(whole.timestamp()) * NANOS_PER_S + int((matched[2] or "").ljust(9, "0"))
    return _within_64_bits(nanos, name)


def printable(text: str) -> str:
    """Text from outside, made safe to show: control characters escaped, cut to 200 characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown if len(shown) <= TEXT_CHARACTERS_SHOWN else shown[:TEXT_CHARACTERS_SHOWN] + "…"


def _within_64_bits(nanos: int, name: str) -> int:
    if not 0 <= nanos <= INT64_MAX:
        raise Unreadable(f"{name}: a time outside 1970 to 2262")
    return nanos


def _depth(frame: bytes) -> int:
    deepest = depth = 0
    for bracket in _STRING.sub(b"", frame).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_equal_keys(pairs: Sequence[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _skip_number(_text: str) -> None:
    """Numbers are read from their own text later; here only the shape counts, and no digit is converted."""
