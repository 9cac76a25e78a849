"""An order as a client writes it, on REST or WebSocket, turned into what the exchange takes.

What Kraken knows and this exchange does not have (triggers, iceberg, margin, scheduled orders, fees in base) is
refused by name, never taken silently for something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal, NewOrder
from aether.sim.records import Kind, Lifetime, OrderSide

# Kraken docs, Add Order: how far ahead a deadline may lie, at least on each door and at most on both.
REST_DEADLINE_NS_MIN = 2 * NANOS_PER_S
SOCKET_DEADLINE_NS_MIN = NANOS_PER_S // 2
DEADLINE_NS_MAX = 60 * NANOS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")

# Fields of REST `AddOrder` for what this exchange does not have, with the values that ask for nothing.
_NEUTRAL_REST = {
    "leverage": ("none",),
    "reduce_only": ("false",),
    "margin": ("false",),
    "starttm": ("0",),
    "expiretm": ("0",),
    "stptype": ("cancel-newest",),
    "displayvol": ("0",),
    "price2": ("0",),
    "trigger": (),
    "asset_class": (),
    "close[ordertype]": (),
    "close[price]": (),
    "close[price2]": (),
}


def bad_argument(name: str) -> ExchangeRefusal:
    """Kraken's refusal of one field."""
    return ExchangeRefusal(f"EGeneral:Invalid arguments:{name}")


def amount(text: str, field: str) -> Decimal:
    """A plain positive decimal without sign, exponent or percent; the field's refusal otherwise."""
    if not _DECIMAL.fullmatch(text) or not (value := Decimal(text)):
        raise bad_argument(field)
    return value


def whole(text: str, field: str) -> int:
    """A whole number as people write it; the field's refusal otherwise."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise bad_argument(field)
    return int(text)


def rest_order(pair: str, form: Mapping[str, str], now_ns: int) -> NewOrder:
    """The order of a REST `AddOrder` call on a pair (v2 name). Raises ExchangeRefusal naming the field."""
    for field, neutral in _NEUTRAL_REST.items():
        if form.get(field, "") not in ("", *neutral):
            raise bad_argument(field)
    flags = [flag for flag in form.get("oflags", "").split(",") if flag]
    if not set(flags) <= {"post", "fciq", "nompp"}:
        raise bad_argument("oflags")
    kind = _kind(form.get("ordertype", ""), "ordertype")
    return NewOrder(
        pair=pair,
        side=_side(form.get("type", ""), "type"),
        order_type=kind,
        qty=amount(form.get("volume", ""), "volume"),
        limit_price=amount(form.get("price", ""), "price") if kind == "limit" else None,
        time_in_force=_lifetime(form.get("timeinforce") or "GTC", "timeinforce"),
        post_only="post" in flags,
        cl_ord_id=form.get("cl_ord_id") or None,
        userref=whole(form["userref"], "userref") if form.get("userref") else None,
        deadline_ns=deadline(form["deadline"], now_ns, REST_DEADLINE_NS_MIN) if form.get("deadline") else None,
    )


def socket_order(fields: Mapping[str, object], now_ns: int) -> NewOrder:
    """The order of a WebSocket `add_order`, whose JSON types are checked. Raises ExchangeRefusal naming the field."""
    kind = _kind(str(fields.get("order_type", "")), "order_type")
    price = fields.get("limit_price")
    if kind == "limit" and price is None:
        raise bad_argument("limit_price")
    text = fields.get("deadline")
    return NewOrder(
        pair=str(fields["symbol"]),
        side=_side(str(fields.get("side", "")), "side"),
        order_type=kind,
        qty=exact_amount(fields.get("order_qty"), "order_qty"),
        limit_price=exact_amount(price, "limit_price") if kind == "limit" else None,
        time_in_force=_lifetime(str(fields.get("time_in_force", "gtc")), "time_in_force"),
        post_only=bool(fields.get("post_only", False)),
        cl_ord_id=cast("str | None", fields.get("cl_ord_id")),
        userref=cast("int | None", fields.get("order_userref")),
        deadline_ns=deadline(str(text), now_ns, SOCKET_DEADLINE_NS_MIN) if text is not None else None,
    )


def exact_amount(value: object, field: str) -> Decimal:
    """A positive JSON number of a sane length; the field's refusal otherwise."""
    if not isinstance(value, Decimal | int):
        raise bad_argument(field)
    decimal = Decimal(value)
    if decimal <= 0 or not -20 <= decimal.adjusted() <= 20 or len(decimal.as_tuple().digits) > 40:
        raise bad_argument(field)
    return decimal


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


def _side(text: str, field: str) -> OrderSide:
    if text not in ("buy", "sell"):
        raise bad_argument(field)
    return cast("OrderSide", text)


def _kind(text: str, field: str) -> Kind:
    if text not in ("limit", "market"):
        raise bad_argument(field)
    return cast("Kind", text)


def _lifetime(text: str, field: str) -> Lifetime:
    if text.lower() not in ("gtc", "ioc"):
        raise bad_argument(field)
    return cast("Lifetime", text.lower())
