"""An order as a client writes it, on REST or WebSocket, turned into what the exchange takes.

What Kraken knows and this exchange does not have (margin, conditional closes, tokenised assets) is refused by name,
never taken silently for something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from aether.domain.values import ZERO
from aether.sim.exchange import NewOrder
from aether.sim.field_text import (
    REST_DEADLINE_NS_MIN,
    SOCKET_DEADLINE_NS_MIN,
    amount,
    bad_argument,
    deadline,
    exact_amount,
    exact_offset,
    later_time,
    offset_or_price,
    one_of,
    socket_time,
    whole,
)
from aether.sim.records import (
    KINDS,
    LIFETIMES,
    LIMIT_KINDS,
    PRICE_TYPES,
    SELF_TRADES,
    TRAILING_KINDS,
    TRIGGERED_KINDS,
    Kind,
    NewTrigger,
    OrderSide,
    PriceType,
    Reference,
    SelfTrade,
)

# Fields of REST `AddOrder` for what this exchange does not have, with the values that ask for nothing.
_NEUTRAL_REST = {
    "leverage": ("none",),
    "reduce_only": ("false",),
    "margin": ("false",),
    "asset_class": (),
    "close": (),
    "close[ordertype]": (),
    "close[price]": (),
    "close[price2]": (),
}

# The same of WebSocket `add_order`.
_NEUTRAL_SOCKET: Mapping[str, tuple[object, ...]] = {
    "margin": (False,),
    "reduce_only": (False,),
    "conditional": (),
    "sender_sub_id": (),
}

_OFLAGS = frozenset({"post", "fcib", "fciq", "nompp", "viqc"})
_REFERENCES: tuple[Reference, ...] = ("last", "index")
_SIDES: tuple[OrderSide, ...] = ("buy", "sell")

Prices = tuple[Decimal | None, PriceType, NewTrigger | None]
"""Limit, what kind of price it is, and trigger."""


def rest_order(pair: str, form: Mapping[str, str], now_ns: int) -> NewOrder:
    """The order of a REST `AddOrder` call on a pair (v2 name). Raises ExchangeRefusal naming the field."""
    for field, neutral in _NEUTRAL_REST.items():
        # Python clients write their booleans as "False": python-kraken-sdk sends reduce_only so with every order.
        if form.get(field, "").lower() not in ("", *neutral):
            raise bad_argument(field)
    flags = _flags(form.get("oflags", ""))
    kind = one_of(form.get("ordertype", ""), KINDS, "ordertype")
    side = one_of(form.get("type", ""), _SIDES, "type")
    volume = amount(form.get("volume", ""), "volume")
    limit_price, limit_price_type, trigger = _rest_prices(kind, side, form)
    return NewOrder(
        pair=pair,
        side=side,
        order_type=kind,
        qty=ZERO if "viqc" in flags else volume,
        limit_price=limit_price,
        time_in_force=one_of((form.get("timeinforce") or "GTC").lower(), LIFETIMES, "timeinforce"),
        post_only="post" in flags,
        cl_ord_id=form.get("cl_ord_id") or None,
        userref=whole(form["userref"], "userref") if form.get("userref") else None,
        deadline_ns=deadline(form["deadline"], now_ns, REST_DEADLINE_NS_MIN) if form.get("deadline") else None,
        limit_price_type=limit_price_type,
        trigger=trigger,
        display_qty=_display(form, kind),
        starts_ns=later_time(form.get("starttm", ""), now_ns, "starttm"),
        expires_ns=later_time(form.get("expiretm", ""), now_ns, "expiretm"),
        self_trade=_self_trade(form.get("stptype") or "cancel-newest"),
        cash_qty=volume if "viqc" in flags else None,
        fee_in_base="fcib" in flags,
    )


def socket_order(fields: Mapping[str, object], now_ns: int) -> NewOrder:
    """The order of a WebSocket `add_order`, whose JSON types are checked. Raises ExchangeRefusal naming the field."""
    for name, neutral in _NEUTRAL_SOCKET.items():
        if name in fields and fields[name] not in neutral:
            raise bad_argument(name)
    kind = one_of(str(fields.get("order_type", "")), KINDS, "order_type")
    if fields.get("no_mpp", False) and kind != "market":  # for one it changes nothing: protection is always on
        raise bad_argument("no_mpp order option is only available when ordertype = market")
    limit_price, limit_price_type, trigger = _socket_prices(kind, fields)
    cash, display, text = fields.get("cash_order_qty"), fields.get("display_qty"), fields.get("deadline")
    return NewOrder(
        pair=str(fields["symbol"]),
        side=one_of(str(fields.get("side", "")), _SIDES, "side"),
        order_type=kind,
        qty=ZERO if cash is not None else exact_amount(fields.get("order_qty"), "order_qty"),
        limit_price=limit_price,
        time_in_force=one_of(str(fields.get("time_in_force", "gtc")).lower(), LIFETIMES, "time_in_force"),
        post_only=bool(fields.get("post_only", False)),
        cl_ord_id=cast("str | None", fields.get("cl_ord_id")),
        userref=cast("int | None", fields.get("order_userref")),
        deadline_ns=deadline(str(text), now_ns, SOCKET_DEADLINE_NS_MIN) if text is not None else None,
        limit_price_type=limit_price_type,
        trigger=trigger,
        display_qty=None if display is None else exact_amount(display, "display_qty"),
        starts_ns=socket_time(fields, "effective_time"),
        expires_ns=socket_time(fields, "expire_time"),
        self_trade=one_of(str(fields.get("stp_type", "cancel_newest")), SELF_TRADES, "stp_type"),
        cash_qty=None if cash is None else exact_amount(cash, "cash_order_qty"),
        fee_in_base=one_of(str(fields.get("fee_preference", "quote")), ("base", "quote"), "fee_preference") == "base",
    )


def _flags(text: str) -> set[str]:
    flags = {flag for flag in text.split(",") if flag}
    if not flags <= _OFLAGS or {"fcib", "fciq"} <= flags:
        raise bad_argument("oflags")
    return flags


def _self_trade(text: str) -> SelfTrade:
    if "_" in text:
        raise bad_argument("stptype")
    return one_of(text.replace("-", "_"), SELF_TRADES, "stptype")


def _display(form: Mapping[str, str], kind: Kind) -> Decimal | None:
    text = form.get("displayvol") or "0"
    return None if text == "0" and kind != "iceberg" else amount(text, "displayvol")


def _rest_prices(kind: Kind, side: OrderSide, form: Mapping[str, str]) -> Prices:
    """REST: `price` is the limit of a plain order and the trigger of a waiting one, whose limit is `price2`."""
    if form.get("trigger") and kind not in TRIGGERED_KINDS:
        raise bad_argument("trigger")
    if kind not in TRIGGERED_KINDS:
        if form.get("price2", "0") not in ("", "0"):
            raise bad_argument("price2")
        if kind == "market":
            return None, "static", None
        return *offset_or_price(form.get("price", ""), "price", _sign(kind, side)), None
    price, price_type = offset_or_price(form.get("price", ""), "price", _sign(kind, side))
    if kind in TRAILING_KINDS and not form.get("price", "").startswith("+"):
        raise bad_argument("price")
    reference = one_of(form.get("trigger") or "last", _REFERENCES, "trigger")
    trigger = NewTrigger(price, price_type, reference)
    if kind not in LIMIT_KINDS:
        return None, "static", trigger
    if kind in TRAILING_KINDS and form.get("price2", "")[:1] not in ("+", "-"):
        raise bad_argument("price2")
    return *offset_or_price(form.get("price2", ""), "price2", _sign(kind, side)), trigger


def _sign(kind: Kind, side: OrderSide) -> int:
    """Where `#` leads from the last trade: a stop to the unfavourable side, all else to the favourable one."""
    is_above = (side == "buy") == kind.startswith("stop-loss")
    return 1 if is_above else -1


def _socket_prices(kind: Kind, fields: Mapping[str, object]) -> Prices:
    limit_price: Decimal | None = None
    limit_price_type: PriceType = "static"
    if kind in LIMIT_KINDS:
        default = "quote" if kind in TRAILING_KINDS else "static"
        limit_price_type = one_of(str(fields.get("limit_price_type", default)), PRICE_TYPES, "limit_price_type")
        limit_price = _socket_price(fields.get("limit_price"), limit_price_type, "limit_price")
    elif fields.get("limit_price") is not None and kind != "market":
        raise bad_argument("limit_price")
    asked = fields.get("triggers")
    if (asked is not None) != (kind in TRIGGERED_KINDS):
        raise bad_argument("triggers")
    return limit_price, limit_price_type, None if asked is None else _socket_trigger(kind, asked)


def _socket_trigger(kind: Kind, asked: object) -> NewTrigger:
    assert isinstance(asked, Mapping), "the field's type was checked before"
    default = "quote" if kind in TRAILING_KINDS else "static"
    price_type = one_of(str(asked.get("price_type", default)), PRICE_TYPES, "triggers.price_type")
    reference = one_of(str(asked.get("reference", "last")), _REFERENCES, "triggers.reference")
    return NewTrigger(_socket_price(asked.get("price"), price_type, "triggers.price"), price_type, reference)


def _socket_price(value: object, price_type: PriceType, field: str) -> Decimal:
    return exact_amount(value, field) if price_type == "static" else exact_offset(value, field)
