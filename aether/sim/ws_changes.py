"""The trading methods of WebSocket v2 that change or name several orders: amend, edit, and batches."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aether.domain.values import MONEY
from aether.sim.desk import Desk
from aether.sim.exchange import Amend, ExchangeRefusal, NewOrder, Order
from aether.sim.field_text import (
    SOCKET_DEADLINE_NS_MIN,
    bad_argument,
    deadline,
    exact_amount,
    exact_offset,
    one_of,
)
from aether.sim.order_form import socket_order
from aether.sim.records import PRICE_TYPES, TRAILING_KINDS, PriceType
from aether.sim.rest_changes import BATCH_MAX, BATCH_MIN, CANCEL_BATCH_MAX, amend_counted, the_open_order
from aether.sim.rest_trading import cancel_together
from aether.sim.wire import rfc3339
from aether.sim.ws_answers import Answer, Fields, Method
from aether.sim.ws_fields import BATCH_ORDER, TRIGGERS, SocketRefusal, check_fields
from aether.sim.ws_trading import names_of, orders_bearing, the_symbol


def amend_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`amend_order` by order_id or cl_ord_id: the order keeps its id."""
    given = [name for name in ("order_id", "cl_ord_id") if fields.get(name)]
    if len(given) != 1:
        raise bad_argument("order_id")
    name, text = given[0], str(fields[given[0]])
    found = desk.exchange.find_order(account, **{name: text})
    order = the_open_order(desk, account, found.order_id if found is not None else "")
    now_ns = desk.now_ns()
    amend = _amend(order, fields, now_ns)
    amend_id = amend_counted(desk, account, amend, now_ns)
    return [Answer({"amend_id": amend_id, name: text})]


def edit_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`edit_order`, the older way: another order, with an id of its own, takes the place of this one."""
    symbol, now_ns = the_symbol(desk, fields), desk.now_ns()
    old = the_open_order(desk, account, str(fields.get("order_id", "")))
    if old.pair != symbol:
        raise bad_argument("symbol")
    changes = {name: value for name, value in fields.items() if name not in ("order_id", "validate", "token")}
    _check_triggers(changes, "edit_order")
    new = socket_order(_as_fields(old) | changes, now_ns)
    if fields.get("validate", False):
        desk.exchange.check_replacement(account, old.order_id, new, now_ns)
        return [Answer({"order_id": "", "original_order_id": old.order_id})]
    desk.trading_counters.edit(old, now_ns)
    order = desk.exchange.replace_order(account, old.order_id, new, now_ns)
    return [Answer({"order_id": order.order_id, "original_order_id": old.order_id})]


def batch_add(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`batch_add`: the result is an array in the request's order; a row that the engine refused has an error."""
    symbol, now_ns = the_symbol(desk, fields), desk.now_ns()
    rows = fields.get("orders", [])
    assert isinstance(rows, list), "the field's type was checked before"
    if not BATCH_MIN <= len(rows) <= BATCH_MAX:
        raise bad_argument("orders")
    shared = {"symbol": symbol} | ({"deadline": fields["deadline"]} if "deadline" in fields else {})
    batch = [socket_order(_checked_row(row) | shared, now_ns) for row in rows]
    if fields.get("validate", False):
        found = desk.exchange.check_batch(account, batch, now_ns)
    else:
        desk.trading_counters.add(account, symbol, now_ns, count=len(batch))
        found = desk.exchange.add_batch(account, batch, now_ns)
    return [Answer([_row(new, outcome) for new, outcome in zip(batch, found, strict=True)])]


def batch_cancel(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`batch_cancel`: how many orders were cancelled stands beside `success`, without a result (as captured)."""
    named = [("order_id" if isinstance(item, str) else "order_userref", item) for item in names_of(fields, "orders")]
    named += [("cl_ord_id", item) for item in names_of(fields, "cl_ord_id")]
    if not BATCH_MIN <= len(named) <= CANCEL_BATCH_MAX:
        raise bad_argument("orders")
    found = [order_id for name, item in named for order_id in orders_bearing(desk, account, name, item)]
    return [Answer(also={"orders_cancelled": cancel_together(desk, account, found)})]


def _amend(order: Order, fields: Fields, now_ns: int) -> Amend:
    default: PriceType = "quote" if order.order_type in TRAILING_KINDS else "static"
    limit_type = one_of(str(fields.get("limit_price_type", default)), PRICE_TYPES, "limit_price_type")
    trigger_type = one_of(str(fields.get("trigger_price_type", default)), PRICE_TYPES, "trigger_price_type")
    text = fields.get("deadline")
    return Amend(
        order_id=order.order_id,
        qty=_number(fields, "order_qty", "static"),
        limit_price=_number(fields, "limit_price", limit_type),
        limit_price_type=limit_type,
        trigger_price=_number(fields, "trigger_price", trigger_type),
        trigger_price_type=trigger_type,
        display_qty=_number(fields, "display_qty", "static"),
        post_only=bool(fields.get("post_only", False)),
        deadline_ns=deadline(str(text), now_ns, SOCKET_DEADLINE_NS_MIN) if text is not None else None,
    )


def _number(fields: Fields, field: str, price_type: PriceType) -> Decimal | None:
    value = fields.get(field)
    if value is None:
        return None
    return exact_amount(value, field) if price_type == "static" else exact_offset(value, field)


def _as_fields(order: Order) -> dict[str, object]:
    """What would place the rest of this order again by `add_order`."""
    fields: dict[str, object] = {
        "symbol": order.pair,
        "side": order.side,
        "order_type": order.order_type,
        "order_qty": MONEY.subtract(order.qty, order.cum_qty),
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        "stp_type": order.self_trade,
        "fee_preference": "base" if order.fee_in_base else "quote",
    }
    if order.limit_price is not None:
        is_offset = order.limit_asked is not None
        fields["limit_price"] = order.limit_asked if is_offset else order.limit_price
        fields["limit_price_type"] = order.limit_price_type if is_offset else "static"
    if order.trigger is not None:
        trails = order.order_type in TRAILING_KINDS
        price = order.trigger.price if trails else order.trigger.actual_price
        price_type = order.trigger.price_type if trails else "static"
        fields["triggers"] = {"price": price, "price_type": price_type, "reference": order.trigger.reference}
    rare: dict[str, object] = {"display_qty": order.display_qty, "order_userref": order.userref}
    if order.expires_ns is not None:
        rare["expire_time"] = rfc3339(order.expires_ns, 9)
    if order.status == "pending_new" and order.starts_ns is not None:
        rare["effective_time"] = rfc3339(order.starts_ns, 9)
    return fields | {name: value for name, value in rare.items() if value is not None}


def _check_triggers(fields: Fields, method: str) -> None:
    triggers = fields.get("triggers", {})
    assert isinstance(triggers, Mapping), "the field's type was checked before"
    check_fields(triggers, TRIGGERS, method)


def _checked_row(row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise SocketRefusal("Orders field must be an array of objects")
    check_fields(row, BATCH_ORDER, "batch_add")
    _check_triggers(row, "batch_add")
    return row


def _row(new: NewOrder, outcome: Order | ExchangeRefusal) -> dict[str, object]:
    row: dict[str, object] = {}
    if isinstance(outcome, ExchangeRefusal):
        row["error"] = outcome.text
    else:
        row["order_id"] = outcome.order_id
    if new.cl_ord_id is not None:
        row["cl_ord_id"] = new.cl_ord_id
    if new.userref is not None:
        row["order_userref"] = new.userref
    return row


CHANGES: Mapping[str, Method] = {
    "amend_order": amend_order,
    "edit_order": edit_order,
    "batch_add": batch_add,
    "batch_cancel": batch_cancel,
}
