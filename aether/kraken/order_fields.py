"""Orders and amends as the fields of WebSocket v2.

The second lock: nothing here can name leverage, margin or a pair that was never admitted. Amounts are JSON numbers
without exponent; as strings they would be refused (`Limit_price field must be a number_float`).
Source: Kraken docs, WebSocket v2 (add_order, amend_order, batch_add).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from aether.domain.effects import AmendOrder, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.orders import OrderType, SelfTrade, TimeInForce, Trigger
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, Symbol, plain

DIGITS_MAX = 18  # on either side of the point

Json: TypeAlias = "str | int | bool | msgspec.Raw | Sequence[str] | Mapping[str, Json] | Sequence[Mapping[str, Json]]"


def order_fields(order: SubmitOrder) -> dict[str, Json]:
    """The order itself, as `add_order` and each row of `batch_add` take it; symbol and deadline stand beside it.

    Price and quantity are written as they are: they stand on the steps that the core adopted. The gate's own steps are
    those of the start, and Kraken may change them since.

    Raises:
        InvariantBroken: a price or quantity is no positive number of at most 18 digits on either side of the point.
    """
    kind, name = order.order_type, order.cl_ord_id
    fields: dict[str, Json] = {
        "order_type": kind.value,
        "side": order.side.value,
        "order_qty": _positive(order.qty.coins, name),
        "fee_preference": "quote",  # the default for sells is documented as base; one currency of fees is enough
        "cl_ord_id": name,
    }
    if order.limit_price is not None:
        fields["limit_price"] = _positive(order.limit_price.usd_per_coin, name)
    if kind.has_limit_price or order.time_in_force is not TimeInForce.GTC:
        fields["time_in_force"] = order.time_in_force.value
    if order.post_only:
        fields["post_only"] = True
    if kind is not OrderType.LIMIT:
        fields |= _special_fields(order)
    if order.expire_ns is not None:
        fields["expire_time"] = rfc3339_s(order.expire_ns)
    if order.self_trade is not SelfTrade.CANCEL_NEWEST:
        fields["stp_type"] = order.self_trade.value
    return fields


def amend_fields(amend: AmendOrder) -> dict[str, Json]:
    """What differs, and which order it is: by Kraken's id where it is known, else by ours. Raises as order_fields."""
    old, new, name = amend.before, amend.after, amend.cl_ord_id
    fields: dict[str, Json] = {"order_id": amend.order_id} if amend.order_id else {"cl_ord_id": name}
    if new.qty != old.qty:
        fields["order_qty"] = _positive(new.qty.coins, name)
    if new.display_qty is not None and new.display_qty != old.display_qty:
        fields["display_qty"] = _positive(new.display_qty.coins, name)
    if new.limit_price is not None and new.limit_price != old.limit_price:
        fields["limit_price"] = _positive(new.limit_price.usd_per_coin, name)
        if new.post_only:
            fields["post_only"] = True  # an amend would take without it: it is a condition of each amend (Kraken docs)
    if old.trigger is not None and new.trigger is not None:
        fields |= _amended_trigger(old.trigger, new.trigger, name)
    return fields


def refuse_unadmitted(symbol: Symbol, gate: SpotGate, name: str) -> None:
    """Raises InvariantBroken where the gate never admitted the symbol: such an order must never have been made."""
    if symbol not in gate.instruments:
        raise InvariantBroken(f"{name}: {symbol} was never admitted")


def rfc3339_ms(at_ns: int) -> str:
    """Time as Kraken wants deadlines, cut to the millisecond: `2026-09-25T18:00:05.000Z`."""
    return f"{_seconds(at_ns)}.{at_ns % NANOS_PER_S // NANOS_PER_MS:03d}Z"


def rfc3339_s(at_ns: int) -> str:
    """Time as Kraken wants expiries, cut to the second: `2026-09-25T18:00:05Z`."""
    return f"{_seconds(at_ns)}Z"


def _seconds(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NANOS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _special_fields(order: SubmitOrder) -> dict[str, Json]:
    """What an iceberg shows, and when a triggered order wakes."""
    fields: dict[str, Json] = {}
    if order.display_qty is not None:
        fields["display_qty"] = _positive(order.display_qty.coins, order.cl_ord_id)
    trigger = order.trigger
    if trigger is not None:
        fields["triggers"] = {
            "reference": trigger.reference.value,
            "price": _number(trigger.price, order.cl_ord_id),
            "price_type": trigger.price_type.value,
        }
        if trigger.limit_offset is not None:
            fields["limit_price"] = _number(trigger.limit_offset, order.cl_ord_id)
            fields["limit_price_type"] = trigger.limit_offset_type.value
    return fields


def _amended_trigger(old: Trigger, new: Trigger, name: str) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    if (new.price, new.price_type) != (old.price, old.price_type):
        fields["trigger_price"] = _number(new.price, name)
        fields["trigger_price_type"] = new.price_type.value
    limit, was = (new.limit_offset, new.limit_offset_type), (old.limit_offset, old.limit_offset_type)
    if new.limit_offset is not None and limit != was:
        fields["limit_price"] = _number(new.limit_offset, name)
        fields["limit_price_type"] = new.limit_offset_type.value
    return fields


def _positive(value: Decimal, name: str) -> msgspec.Raw:
    if not value.is_finite() or value <= 0:
        raise InvariantBroken(f"{name}: {value} is no positive number")
    return _number(value, name)


def _number(value: Decimal, name: str) -> msgspec.Raw:
    """The number as plain JSON, its digits as they are."""
    if value.adjusted() >= DIGITS_MAX:
        raise InvariantBroken(f"{name}: {value} is no number below 10^{DIGITS_MAX}")
    text = plain(value)
    if len(text.partition(".")[2]) > DIGITS_MAX:
        raise InvariantBroken(f"{name}: {value} has more than {DIGITS_MAX} decimals")
    return msgspec.Raw(text.encode("ascii"))
