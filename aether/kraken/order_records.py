"""Orders as REST tells them, open or ended, read into the house's words.

Kraken describes an order in its own shorthand: one field holds a limit price or a trigger, another the limit of a
triggered order, either as a price or as a distance (`+50.0000%`). Source: Kraken docs, Open Orders and Add Order;
captured answers.
"""

from __future__ import annotations

import re
from decimal import Decimal
from types import MappingProxyType

import msgspec

from aether.domain.instruments import Side
from aether.domain.orders import (
    OrderReport,
    OrderTerms,
    OrderType,
    PriceType,
    TimeInForce,
    TriggerReference,
    TriggerReport,
    VenueStatus,
)
from aether.domain.spot_gate import SpotGate
from aether.domain.values import Price, Qty, Symbol, Usd
from aether.kraken.shapes import ABSENT, Raw, is_there
from aether.kraken.strict_json import Unreadable, exact, not_negative, printable, seconds_to_nanos

_STATUS_OF = MappingProxyType(
    {
        "pending": VenueStatus.PENDING,
        "open": VenueStatus.NEW,
        "closed": VenueStatus.FILLED,
        "canceled": VenueStatus.CANCELED,
        "expired": VenueStatus.EXPIRED,
    }
)
_NO_LEVERAGE = frozenset({"", "none", "0"})
_RELATIVE = re.compile(r"([+-]?)([0-9.]{1,40})(%?)")
_FIRED = frozenset({"stopped", "touched"})


class DescrShape(msgspec.Struct):
    """What was asked, in Kraken's shorthand."""

    pair: str
    type: str
    ordertype: str
    price: str = "0"
    price2: str = "0"
    leverage: str | None = None


class OrderShape(msgspec.Struct):
    """One order of `OpenOrders`, `ClosedOrders` or `QueryOrders`."""

    status: str
    descr: DescrShape
    vol: Raw
    vol_exec: Raw
    opentm: Raw = ABSENT
    closetm: Raw = ABSENT
    expiretm: Raw = ABSENT
    cost: Raw = ABSENT
    price: Raw = ABSENT
    stopprice: Raw = ABSENT
    limitprice: Raw = ABSENT
    cl_ord_id: str | None = None
    reason: str | None = None
    margin: Raw = ABSENT
    trigger: str | None = None
    misc: str | None = None
    oflags: str | None = None


def read_order(order_id: str, row: OrderShape, gate: SpotGate) -> OrderReport:
    """One order. Raises Unreadable where its quantities or times are none."""
    descr, misc, flags = row.descr, _words(row.misc), _words(row.oflags)
    filled = Qty(not_negative(row.vol_exec, "vol_exec"))
    status = _STATUS_OF.get(row.status, VenueStatus.UNKNOWN)
    if status is VenueStatus.NEW and filled:
        status = VenueStatus.PARTIALLY_FILLED  # REST says `open` for both
    is_ours = not is_margin(descr.leverage, row.margin) and "liquidated" not in misc
    in_dollars = "viqc" in flags  # both volumes are then in quote: no coins are told
    ended_or_opened = row.closetm if is_there(row.closetm) else row.opentm
    return OrderReport(
        order_id=order_id,
        cl_ord_id=row.cl_ord_id or None,
        name=descr.pair,
        symbol=symbol_of(descr.pair, gate) if is_ours else None,
        side=Side(descr.type) if descr.type in ("buy", "sell") else None,
        qty=None if in_dollars else Qty(not_negative(row.vol, "vol")),
        limit_price=_limit_price(row),
        status=status,
        cum_qty=None if in_dollars else filled,
        reason=printable(row.reason or ""),
        venue_ns=seconds_to_nanos(ended_or_opened, "opentm") if is_there(ended_or_opened) else 0,
        terms=_terms(row, has_fired=bool(misc & _FIRED), is_amended="amended" in misc, is_posted="post" in flags),
    )


def symbol_of(name: str, gate: SpotGate) -> Symbol | None:
    """Symbol of a REST name, by key or altname; None where it is not ours."""
    admitted = gate.admit(name)
    return admitted if isinstance(admitted, str) else None


def is_margin(leverage: str | None, margin: Raw) -> bool:
    """Whether a record is of margin, by either field: orders and trades of margin are never ours.

    `margin` is a truth value in orders and an amount in trades; a word that is neither counts as margin.
    """
    if (leverage or "") not in _NO_LEVERAGE:
        return True
    if not is_there(margin) or bytes(margin) == b"false":
        return False
    try:
        return exact(margin, "margin") != 0
    except Unreadable:
        return True


def _terms(row: OrderShape, *, has_fired: bool, is_amended: bool, is_posted: bool) -> OrderTerms:
    kind = _type_of(row)
    expires_ns = seconds_to_nanos(row.expiretm, "expiretm") if is_there(row.expiretm) else 0
    offset, offset_type = _asked(row.descr.price2) if kind is OrderType.TRAILING_STOP_LIMIT else (None, None)
    return OrderTerms(
        order_type=kind,
        time_in_force=TimeInForce.GTD if expires_ns else None,  # the record has no other word of it
        post_only=is_posted,
        trigger=_trigger(row, has_fired=has_fired) if kind is not None and kind.has_trigger else None,
        limit_offset=offset,
        limit_offset_type=offset_type,
        display_qty=None,
        display_qty_remain=None,
        expire_ns=expires_ns or None,
        avg_price=_price(row.price),
        cum_cost=Usd(not_negative(row.cost, "cost")) if is_there(row.cost) else None,
        is_amended=is_amended,
    )


def _trigger(row: OrderShape, *, has_fired: bool) -> TriggerReport:
    price, price_type = _asked(row.descr.price)
    return TriggerReport(
        price=price,
        price_type=price_type,
        reference=TriggerReference.INDEX if row.trigger == "index" else TriggerReference.LAST,
        actual_price=_price(row.stopprice),
        peak_price=None,
        is_triggered=has_fired,
    )


def _limit_price(row: OrderShape) -> Price | None:
    """The limit that was asked as a price; of one that was asked as a distance, the price that it became."""
    kind = _type_of(row)
    if kind in (OrderType.LIMIT, OrderType.ICEBERG):
        asked, price_type = _asked(row.descr.price)
        if asked is None:
            raise Unreadable(f"price: {printable(row.descr.price)!r} is no price")
    elif kind in (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT):
        asked, price_type = _asked(row.descr.price2)
    else:
        asked, price_type = None, None
    if price_type is PriceType.STATIC and asked:
        return Price(asked)
    is_limited = kind is not None and (kind.has_limit_price or kind is OrderType.TRAILING_STOP_LIMIT)
    return _price(row.limitprice) if is_limited else None


def _type_of(row: OrderShape) -> OrderType | None:
    try:
        return OrderType(row.descr.ordertype)
    except ValueError:
        return None  # `settle-position`, or a word nobody knows


def _asked(text: str) -> tuple[Decimal | None, PriceType | None]:
    """A price as it was asked: `55.0` is one, `+1.5` and `-2.0000%` are distances; None where it is none of them."""
    matched = _RELATIVE.fullmatch(text)
    if matched is None:
        return None, None
    sign, digits, percent = matched.groups()
    try:
        amount = exact(digits.encode(), "price")
    except Unreadable:
        return None, None
    price_type = PriceType.PCT if percent else PriceType.QUOTE if sign else PriceType.STATIC
    return -amount if sign == "-" else amount, price_type


def _price(token: Raw) -> Price | None:
    """A price that is there; Kraken writes 0 for none."""
    price = not_negative(token, "price") if is_there(token) else Decimal(0)
    return Price(price) if price else None


def _words(text: str | None) -> frozenset[str]:
    return frozenset((text or "").split(","))
