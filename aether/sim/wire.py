"""Kraken's text forms: JSON numbers with all of a pair's digits, times, and the book checksum.

Money never passes through a float: a decimal becomes its own digits, and the digits become a raw piece of JSON.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import msgspec

from aether.domain.values import NANOS_PER_S

Rows = Sequence[tuple[Decimal, Decimal]]
"""Price and quantity of the levels of one side, best first."""

CHECKSUM_LEVELS = 10

# Rounding for display alone: long enough for any sum of this exchange, so that quantize never overflows.
_DISPLAY = Context(prec=60, rounding=ROUND_HALF_EVEN)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MalformedText(ValueError):
    """Not the JSON that a client may send: broken, too deep, or with NaN or Infinity in it."""


@lru_cache(maxsize=65_536)  # a book tells the same prices and quantities again and again
def digits(value: Decimal, decimals: int) -> str:
    """The value with exactly so many decimals, never with an exponent: `5100` at 8 is `5100.00000000`."""
    return format(value.quantize(Decimal(1).scaleb(-decimals), context=_DISPLAY), "f")


def exact(value: Decimal, decimals: int) -> str:
    """The value with at least so many decimals and with all that it has: what was traded is told as it was traded.

    A pair's digits may have become fewer since.
    """
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), f"{value} is no amount"
    return digits(value, max(decimals, -exponent))


def exact_number(value: Decimal, decimals: int) -> msgspec.Raw:
    """The same as a JSON number."""
    return msgspec.Raw(exact(value, decimals).encode("ascii"))


def number(value: Decimal, decimals: int) -> msgspec.Raw:
    """The value as a JSON number with exactly so many decimals."""
    return msgspec.Raw(digits(value, decimals).encode("ascii"))


def encode(frame: object) -> str:
    """JSON text of a frame; `msgspec.Raw` pieces stand in it as they are, decimals as numbers with their own digits."""
    return _ENCODER.encode(frame).decode("utf-8")


def decode(text: str | bytes) -> object:
    """What a client sent: numbers with a point or exponent as Decimal, others as int. Raises MalformedText."""
    try:
        msgspec.json.decode(text)  # stricter than json: no NaN, no lone surrogates, which no answer could repeat
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as error:  # the last: an exponent beyond any decimal
        raise MalformedText(f"no JSON: {type(error).__name__}") from error


def epoch(at_ns: int, decimals: int = 6) -> msgspec.Raw:
    """Seconds since 1970 with a fraction, as a JSON number: what REST records carry."""
    return number(Decimal(at_ns).scaleb(-9), decimals)


def rfc3339(at_ns: int, decimals: int = 6) -> str:
    """UTC time such as `2026-07-19T17:54:39.614696Z`; no point where `decimals` is 0."""
    seconds, nanos = divmod(at_ns, NANOS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanos:09d}"[: decimals + 1] if decimals else ""
    return f"{whole}{fraction}Z"


def rfc1123(at_ns: int) -> str:
    """UTC time as REST `Time` writes it, `Fri, 25 Sep 26 18:00:00 +0000`: English in every locale."""
    at = datetime.fromtimestamp(at_ns // NANOS_PER_S, UTC)
    day = f"{_WEEKDAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year % 100:02d}"
    return f"{day} {at:%H:%M:%S} +0000"


def checksum(bids: Rows, asks: Rows, price_decimals: int, qty_decimals: int) -> int:
    """CRC32 over the ten best asks, then the ten best bids (Kraken docs, WebSocket v2 book guide).

    Each price and quantity goes in with all of the pair's digits, without its point and its leading zeros:
    45285.2 and 0.00100000 give `452852100000`.
    """
    rows = (*asks[:CHECKSUM_LEVELS], *bids[:CHECKSUM_LEVELS])
    parts = (_bare(price, price_decimals) + _bare(qty, qty_decimals) for price, qty in rows)
    return zlib.crc32("".join(parts).encode("ascii"))


def _bare(value: Decimal, decimals: int) -> str:
    return digits(value, decimals).replace(".", "").lstrip("0")
