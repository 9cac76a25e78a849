"""Kraken's private REST endpoints that change or name several orders: amend, edit, batches, and an order's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from aether.domain.values import MONEY, NANOS_PER_S
from aether.sim.desk import Desk
from aether.sim.exchange import Amend, AmendRecord, ExchangeRefusal, Order, PairRules
from aether.sim.field_text import (
    REST_DEADLINE_NS_MIN,
    amount,
    bad_argument,
    deadline,
    is_true,
    json_text,
    offset_or_price,
)
from aether.sim.order_form import rest_order
from aether.sim.order_text import flags_text, order_text, price_text, trigger_text
from aether.sim.records import PriceType
from aether.sim.rest_private import Form, Handler
from aether.sim.rest_public import find_pair
from aether.sim.rest_trading import cancel_together, orders_named
from aether.sim.wire import decode, digits

# Kraken docs, Add Order Batch and Cancel Order Batch: how many orders one request may name.
BATCH_MIN, BATCH_MAX = 2, 15
CANCEL_BATCH_MAX = 50


def amend_order(desk: Desk, account: str, form: Form) -> object:
    """`AmendOrder` by txid or cl_ord_id: the order keeps its id."""
    if bool(form.get("txid")) == bool(form.get("cl_ord_id")):
        raise bad_argument("txid")
    now_ns = desk.now_ns()
    limit_price, limit_price_type = _price(form, "limit_price")
    trigger_price, trigger_price_type = _price(form, "trigger_price")
    (order_id,) = orders_named(desk, account, form)
    amend = Amend(
        order_id=order_id,
        qty=_amount(form, "order_qty"),
        limit_price=limit_price,
        limit_price_type=limit_price_type,
        trigger_price=trigger_price,
        trigger_price_type=trigger_price_type,
        display_qty=_amount(form, "display_qty"),
        post_only=is_true(form, "post_only"),
        deadline_ns=_deadline(form, now_ns),
    )
    return {"amend_id": amend_counted(desk, account, amend, now_ns)}


def amend_counted(desk: Desk, account: str, amend: Amend, now_ns: int) -> str:
    """Count an amend, then do it; of both doors. One that cancels the rest costs as a cancel, too.

    Raises ExchangeRefusal. (Kraken docs, Spot Atomic Amends: below the filled quantity.)
    """
    order = the_open_order(desk, account, amend.order_id)
    if amend.qty is not None and 0 < amend.qty <= order.cum_qty:
        desk.trading_counters.cancel(order, now_ns)
    desk.trading_counters.amend(order, now_ns)
    return desk.exchange.amend_order(account, amend, now_ns)


def edit_order(desk: Desk, account: str, form: Form) -> object:
    """`EditOrder`, the older way: the order is cancelled, and another one takes what the request leaves as it was."""
    now_ns, old = desk.now_ns(), the_open_order(desk, account, form.get("txid", ""))
    rules = find_pair(desk, form.get("pair", ""))
    if rules.name != old.pair:
        raise bad_argument("pair")
    changes = {name: text for name, text in form.items() if name in _EDITABLE and text}
    new = rest_order(rules.name, as_form(old, rules) | changes, now_ns)
    if is_true(form, "validate"):
        order = desk.exchange.check_replacement(account, old.order_id, new, now_ns)
        return {"descr": {"order": order_text(order, rules)}}
    desk.trading_counters.edit(old, now_ns)
    order = desk.exchange.replace_order(account, old.order_id, new, now_ns)
    return {
        "status": "ok",
        "txid": order.order_id,
        "originaltxid": old.order_id,
        "volume": digits(order.qty, rules.qty_decimals),
        "price": trigger_text(order, rules) or price_text(order, rules),
        "price2": price_text(order, rules) if order.trigger else "0",
        "orders_cancelled": 1,
        "descr": {"order": order_text(order, rules)},
    }


def add_order_batch(desk: Desk, account: str, form: Form) -> object:
    """`AddOrderBatch`: a fault in any order refuses all; what one order meets in the engine is its own answer."""
    now_ns, rules = desk.now_ns(), find_pair(desk, form.get("pair", ""))
    rows = _list(form, "orders")
    if not BATCH_MIN <= len(rows) <= BATCH_MAX:
        raise bad_argument("orders")
    shared = {"deadline": form["deadline"]} if form.get("deadline") else {}
    batch = [rest_order(rules.name, _row_form(row) | shared, now_ns) for row in rows]
    if is_true(form, "validate"):
        return {"orders": [_outcome(found, rules) for found in desk.exchange.check_batch(account, batch, now_ns)]}
    desk.trading_counters.add(account, rules.name, now_ns, count=len(batch))
    return {"orders": [_outcome(found, rules) for found in desk.exchange.add_batch(account, batch, now_ns)]}


def cancel_order_batch(desk: Desk, account: str, form: Form) -> object:
    """`CancelOrderBatch` by txids or userrefs, and by cl_ord_ids: how many orders were cancelled."""
    names = [str(name) for name in _list(form, "orders")]
    cl_ord_ids = [str(name) for name in _list(form, "cl_ord_ids")]
    if not 1 <= len(names) + len(cl_ord_ids) <= CANCEL_BATCH_MAX:
        raise bad_argument("orders")
    wanted = [{"txid": name} for name in names] + [{"cl_ord_id": name} for name in cl_ord_ids]
    found = [order_id for one in wanted for order_id in _named(desk, account, one)]
    return {"count": cancel_together(desk, account, found)}


def order_amends(desk: Desk, account: str, form: Form) -> object:
    """`OrderAmends`: how the order entered, and each change of it, oldest first."""
    found = desk.exchange.amends(account, form.get("order_id", ""))
    if not found:
        raise ExchangeRefusal("EOrder:Invalid order")
    rules = desk.exchange.pairs[found[0].order.pair]
    return {"count": len(found), "amends": [_amend_row(record, rules) for record in found]}


def the_open_order(desk: Desk, account: str, order_id: str) -> Order:
    """An open order by its id. Raises ExchangeRefusal where there is none."""
    order = desk.exchange.find_order(account, order_id=order_id)
    if order is None or not order.is_open:
        raise ExchangeRefusal("EOrder:Unknown order")
    return order


def as_form(order: Order, rules: PairRules) -> dict[str, str]:
    """What would place the rest of this order again by `AddOrder`."""
    form = {
        "type": order.side,
        "ordertype": order.order_type,
        "volume": digits(MONEY.subtract(order.qty, order.cum_qty), rules.qty_decimals),
        "oflags": flags_text(order),
        "timeinforce": order.time_in_force.upper(),
        "stptype": order.self_trade.replace("_", "-"),
        "price": trigger_text(order, rules) or price_text(order, rules),
    }
    if order.trigger is not None:
        form |= {"price2": price_text(order, rules), "trigger": order.trigger.reference}
    if order.display_qty is not None:
        form["displayvol"] = digits(order.display_qty, rules.qty_decimals)
    if order.expires_ns is not None:
        form["expiretm"] = str(order.expires_ns // NANOS_PER_S)
    if order.status == "pending_new" and order.starts_ns is not None:
        form["starttm"] = str(order.starts_ns // NANOS_PER_S)
    return form | ({"userref": str(order.userref)} if order.userref is not None else {})


_EDITABLE = frozenset({"volume", "displayvol", "price", "price2", "oflags", "userref", "deadline"})


def _named(desk: Desk, account: str, one: Form) -> list[str]:
    """Orders that one entry of a batch names: none where there are none, for the others are cancelled all the same."""
    try:
        return orders_named(desk, account, one)
    except ExchangeRefusal:
        return []


def _price(form: Form, field: str) -> tuple[Decimal | None, PriceType]:
    """A price or an offset, which an amend writes with `+` or `-` alone (Kraken docs, Amend Order)."""
    text = form.get(field, "")
    if not text:
        return None, "static"
    if text.startswith("#"):
        raise bad_argument(field)
    return offset_or_price(text, field, 1)


def _amount(form: Form, field: str) -> Decimal | None:
    return amount(form[field], field) if form.get(field) else None


def _deadline(form: Form, now_ns: int) -> int | None:
    return deadline(form["deadline"], now_ns, REST_DEADLINE_NS_MIN) if form.get("deadline") else None


def _list(form: Form, field: str) -> Sequence[object]:
    """A JSON list of the request, whose text the form carries."""
    rows = decode(form.get(field) or "[]")
    if not isinstance(rows, list):
        raise bad_argument(field)
    return rows


def _row_form(row: object) -> dict[str, str]:
    if not isinstance(row, Mapping):
        raise bad_argument("orders")
    form: dict[str, str] = {}
    for name, value in row.items():
        if value is not None:
            form[name] = json_text(value, name)
    return form


def _outcome(found: Order | ExchangeRefusal, rules: PairRules) -> dict[str, object]:
    if isinstance(found, ExchangeRefusal):
        return {"error": found.text}
    row: dict[str, object] = {"txid": found.order_id} if found.order_id else {}
    return row | {"descr": {"order": order_text(found, rules)}}


def _amend_row(record: AmendRecord, rules: PairRules) -> dict[str, object]:
    order = record.order
    left = order.qty if record.amend_type == "original" else MONEY.subtract(order.qty, order.cum_qty)
    row: dict[str, object] = {
        "amend_id": record.amend_id,
        "amend_type": record.amend_type,
        "order_qty": digits(order.qty, rules.qty_decimals),
        "remaining_qty": digits(left, rules.qty_decimals),
        "post_only": order.post_only,
        "timestamp": record.at_ns,
    }
    if order.display_qty is not None:
        row["display_qty"] = digits(order.display_qty, rules.qty_decimals)
    if order.limit_price is not None:
        row["limit_price"] = digits(order.limit_price, rules.price_decimals)
    if order.trigger is not None:
        row["trigger_price"] = digits(order.trigger.actual_price, rules.price_decimals)
    return row | ({"reason": record.reason} if record.reason else {})


CHANGING: dict[str, Handler] = {
    "AmendOrder": amend_order,
    "EditOrder": edit_order,
    "AddOrderBatch": add_order_batch,
    "CancelOrderBatch": cancel_order_batch,
    "OrderAmends": order_amends,
}
