"""Our requests to WebSocket v2 as bytes. The second lock: nothing here can name leverage, margin or an unadmitted pair.

Source: Kraken docs, WebSocket v2 (add_order, cancel_order, subscribe, ping). Amounts are JSON numbers without exponent;
as strings they would be refused (`Limit_price field must be a number_float`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from aether.domain.effects import CancelOrder, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.orders import OrderType
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, Symbol, plain

DIGITS_MAX = 18  # on either side of the point

_Json = str | int | bool | msgspec.Raw | list[str]


def add_order(order: SubmitOrder, gate: SpotGate, *, token: str, req_id: int) -> bytes:
    """Bytes of an order. Price and quantity are written as they are: they stand on the steps that the core adopted.

    The gate's own steps are those of the start, and Kraken may change them since.

    Raises:
        InvariantBroken: the symbol is not admitted, or a price or quantity is no positive number of at most 18 digits
            on either side of the point: such an order must never have been made.
    """
    if order.symbol not in gate.instruments:
        raise InvariantBroken(f"{order.cl_ord_id}: {order.symbol} was never admitted")
    fields: dict[str, _Json] = {
        "order_type": order.order_type.value,
        "side": order.side.value,
        "symbol": order.symbol,
        "order_qty": _digits(order.qty.coins, order),
        "fee_preference": "quote",  # the default for sells is documented as base; one currency of fees is enough
        "cl_ord_id": order.cl_ord_id,
        "deadline": rfc3339_ms(order.deadline_ns),
        "token": token,
    }
    if order.order_type is OrderType.LIMIT:
        fields |= _limit_fields(order)
    elif order.limit_price is not None or order.post_only:
        raise InvariantBroken(f"{order.cl_ord_id}: a market order has no limit price and cannot be post-only")
    return _request("add_order", fields, req_id)


def cancel_order(cancel: CancelOrder, *, token: str, req_id: int) -> bytes:
    """Bytes of a cancel, by Kraken's order id where it is known, else by ours; exactly one of the two may be sent."""
    which: dict[str, _Json] = {"order_id": [cancel.order_id]} if cancel.order_id else {"cl_ord_id": [cancel.cl_ord_id]}
    return _request("cancel_order", {**which, "token": token}, req_id)


def subscribe_book(symbols: Sequence[Symbol], depth: int, *, req_id: int) -> bytes:
    """Ask for the books of these symbols; one answer and one snapshot each."""
    fields: dict[str, _Json] = {"channel": "book", "symbol": list(symbols), "depth": depth, "snapshot": True}
    return _request("subscribe", fields, req_id)


def unsubscribe_book(symbols: Sequence[Symbol], depth: int, *, req_id: int) -> bytes:
    """End book subscriptions; they are keyed by symbol and depth, so the depth must be repeated."""
    fields: dict[str, _Json] = {"channel": "book", "symbol": list(symbols), "depth": depth}
    return _request("unsubscribe", fields, req_id)


def subscribe_trades(symbols: Sequence[Symbol], *, req_id: int) -> bytes:
    """Ask for the public trades of these symbols from now on."""
    return _request("subscribe", {"channel": "trade", "symbol": list(symbols), "snapshot": False}, req_id)


def subscribe_instruments(*, req_id: int) -> bytes:
    """Ask for the rules of all pairs, and for their changes."""
    return _request("subscribe", {"channel": "instrument", "snapshot": True}, req_id)


def subscribe_executions(*, token: str, req_id: int) -> bytes:
    """Ask for our open orders, the last fifty fills, and all that follows."""
    fields: dict[str, _Json] = {"channel": "executions", "snap_orders": True, "snap_trades": True, "token": token}
    return _request("subscribe", fields, req_id)


def subscribe_balances(*, token: str, req_id: int) -> bytes:
    """Ask for our balances and their changes."""
    return _request("subscribe", {"channel": "balances", "snapshot": True, "token": token}, req_id)


def ping(*, req_id: int) -> bytes:
    """Ask for a pong, which tells when Kraken heard us. A ping with parameters would be refused."""
    return msgspec.json.encode({"method": "ping", "req_id": req_id})


def rfc3339_ms(at_ns: int) -> str:
    """Time as Kraken wants deadlines, cut to the millisecond: `2026-09-25T18:00:05.000Z`."""
    whole = datetime.fromtimestamp(at_ns // NANOS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ns % NANOS_PER_S // NANOS_PER_MS:03d}Z"


def _limit_fields(order: SubmitOrder) -> Mapping[str, _Json]:
    if order.limit_price is None:
        raise InvariantBroken(f"{order.cl_ord_id}: a limit order without a limit price")
    price = _digits(order.limit_price.usd_per_coin, order)
    fields: dict[str, _Json] = {"limit_price": price, "time_in_force": order.time_in_force.value}
    if order.post_only:
        fields["post_only"] = True
    return fields


def _digits(value: Decimal, order: SubmitOrder) -> msgspec.Raw:
    """The number as plain JSON, its digits as they are."""
    if not value.is_finite() or value <= 0 or value.adjusted() >= DIGITS_MAX:
        raise InvariantBroken(f"{order.cl_ord_id}: {value} is no positive number below 10^{DIGITS_MAX}")
    text = plain(value)
    if len(text.partition(".")[2]) > DIGITS_MAX:
        raise InvariantBroken(f"{order.cl_ord_id}: {value} has more than {DIGITS_MAX} decimals")
    return msgspec.Raw(text.encode("ascii"))


def _request(method: str, fields: Mapping[str, _Json], req_id: int) -> bytes:
    return msgspec.json.encode({"method": method, "params": fields, "req_id": req_id})
