"""Single fields of a request: numbers, prices, times and words, as text or as JSON, each refused by its own name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from aether.domain.values import NANOS_PER_S
from aether.sim.records import ExchangeRefusal, PriceType

Word = TypeVar("Word", bound=str)

# Kraken docs, Add Order: how far ahead a deadline may lie, at least on each door and at most on both.
REST_DEADLINE_NS_MIN = 2 * NANOS_PER_S
SOCKET_DEADLINE_NS_MIN = NANOS_PER_S // 2
DEADLINE_NS_MAX = 60 * NANOS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_NUMBER = r"(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})"
_DECIMAL = re.compile(_NUMBER)
_OFFSET = re.compile(rf"([-+#])({_NUMBER})(%?)")
_DIGITS_MAX = 40
_MAGNITUDE_MAX = 20


def bad_argument(name: str) -> ExchangeRefusal:
    """Kraken's refusal of one field."""
    return ExchangeRefusal(f"EGeneral:Invalid arguments:{name}")


def is_true(form: Mapping[str, str], field: str) -> bool:
    """Whether a flag of a form is set, in any spelling: Python clients write `True`."""
    return form.get(field, "false").lower() in ("true", "1")


def amount(text: str, field: str) -> Decimal:
    """A plain positive decimal without sign, exponent or percent; the field's refusal otherwise."""
    if not _DECIMAL.fullmatch(text) or not (value := Decimal(text)):
        raise bad_argument(field)
    return value


def json_text(value: object, field: str) -> str:
    """A JSON value as a form would have it; the field's refusal for what no form could hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return format(exact_offset(value, field), "f")
    if not isinstance(value, str):
        raise bad_argument(field)
    return value


def offset_or_price(text: str, field: str, sign: int) -> tuple[Decimal, PriceType]:
    """A price, or an offset in dollars or percent: `+5`, `-0.5%`, and `#5`, which takes its sign from `sign`.

    (Kraken docs, Add Order: relative prices.) The field's refusal for anything else.
    """
    offset = _OFFSET.fullmatch(text)
    if offset is None:
        return amount(text, field), "static"
    prefix, digits, percent = offset.groups()
    value = Decimal(digits)
    if (prefix, sign) in (("-", 1), ("-", -1), ("#", -1)):
        value = value.copy_negate()
    return value, "pct" if percent else "quote"


def whole(text: str, field: str) -> int:
    """A whole number as people write it; the field's refusal otherwise."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise bad_argument(field)
    return int(text)


def one_of(text: str, words: Sequence[Word], field: str) -> Word:
    """The word, if it is one of these; the field's refusal otherwise."""
    for word in words:
        if text == word:
            return word
    raise bad_argument(field)


def exact_amount(value: object, field: str) -> Decimal:
    """A positive JSON number of a sane length; the field's refusal otherwise."""
    decimal = exact_offset(value, field)
    if decimal <= 0:
        raise bad_argument(field)
    return decimal


def exact_offset(value: object, field: str) -> Decimal:
    """A JSON number of either sign and a sane length; the field's refusal otherwise."""
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        raise bad_argument(field)
    decimal = Decimal(value)
    if abs(decimal.adjusted()) > _MAGNITUDE_MAX or len(decimal.as_tuple().digits) > _DIGITS_MAX:
        raise bad_argument(field)
    return decimal


def later_time(text: str, now_ns: int, field: str) -> int | None:
    """REST's `starttm` and `expiretm`: unix seconds, or `+` so many from now; None for 0 and for nothing."""
    if text in ("", "0"):
        return None
    seconds = whole(text.removeprefix("+"), field)
    return now_ns + seconds * NANOS_PER_S if text.startswith("+") else seconds * NANOS_PER_S


def socket_time(fields: Mapping[str, object], field: str) -> int | None:
    """Nanoseconds of an RFC 3339 time; the field's refusal otherwise."""
    text = fields.get(field)
    try:
        return None if text is None else instant_ns(str(text))
    except ValueError as error:
        raise bad_argument(field) from error


def deadline(text: str, now_ns: int, least_ns: int) -> int:
    """Nanoseconds of an RFC 3339 deadline; refused where it is nearer than `least_ns`, or beyond 60 s.

    One that has elapsed is the exchange's to refuse.
    """
    try:
        at_ns = instant_ns(text)
    except ValueError as error:
        raise bad_argument("deadline") from error
    ahead_ns = at_ns - now_ns
    if 0 <= ahead_ns < least_ns or ahead_ns > DEADLINE_NS_MAX:
        raise bad_argument("deadline")
    return at_ns


def instant_ns(text: str) -> int:
    """Nanoseconds since 1970 UTC of an RFC 3339 time with its offset. Raises ValueError."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("no RFC 3339 time with its offset")
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1000
    except OverflowError as error:
        raise ValueError("a time out of range") from error
