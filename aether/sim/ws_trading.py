"""The trading methods of WebSocket v2. Each gives its answers: one, or for a cancel one for each order named."""

from __future__ import annotations

from collections.abc import Mapping

from aether.sim.account import cl_ord_id_key
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal, Order
from aether.sim.field_text import bad_argument
from aether.sim.order_form import socket_order
from aether.sim.rest_trading import cancel_every, cancel_one, dead_man
from aether.sim.ws_answers import Answer, Fields, Method
from aether.sim.ws_fields import TRIGGERS, SocketRefusal, check_fields


def add_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`add_order`: with `validate` the order is only checked, and its `order_id` is empty."""
    symbol = the_symbol(desk, fields)
    triggers = fields.get("triggers", {})
    assert isinstance(triggers, dict), "the field's type was checked before"
    check_fields(triggers, TRIGGERS, "add_order")
    now_ns = desk.now_ns()
    new = socket_order(fields, now_ns)
    result: dict[str, object] = {"order_id": ""}
    if fields.get("validate", False):
        desk.exchange.check_order(account, new, now_ns)
    else:
        desk.trading_counters.add(account, symbol, now_ns)
        result["order_id"] = desk.exchange.add_order(account, new, now_ns).order_id
    if new.cl_ord_id is not None:
        result["cl_ord_id"] = new.cl_ord_id
    if new.userref is not None:
        result["order_userref"] = new.userref
    return [Answer(result)]


def the_symbol(desk: Desk, fields: Fields) -> str:
    """The pair that a request names. Raises SocketRefusal where there is none such."""
    symbol = fields.get("symbol")
    if symbol is None:
        raise SocketRefusal("Symbol(s) not found")
    if symbol not in desk.exchange.pairs:
        raise SocketRefusal(f"Currency pair not supported {symbol}")
    return str(symbol)


def cancel_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`cancel_order`: exactly one of three arrays; one answer for each of its entries."""
    names = [name for name in ("order_id", "cl_ord_id", "order_userref") if fields.get(name)]
    if len(names) != 1:
        raise bad_argument("order_id")
    named = names_of(fields, names[0])
    kind = int if names[0] == "order_userref" else str
    if any(type(item) is not kind for item in named):
        raise bad_argument(names[0])
    return [_cancel(desk, account, names[0], item) for item in named]


def names_of(fields: Fields, field: str) -> list[str | int]:
    """The ids or references of an array field, empty where it is not there. Raises ExchangeRefusal for other things."""
    named = fields.get(field, [])
    assert isinstance(named, list), "the field's type was checked before"
    if any(type(item) not in (str, int) for item in named):
        raise bad_argument(field)
    return list(named)


def cancel_all(desk: Desk, account: str, _fields: Fields) -> list[Answer]:
    """`cancel_all`."""
    return [Answer({"count": cancel_every(desk, account)})]


def cancel_all_orders_after(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`cancel_all_orders_after`: the dead man's switch; 0 switches it off."""
    timeout_s = fields.get("timeout")
    if not isinstance(timeout_s, int):
        raise bad_argument("timeout")
    return [Answer(dead_man(desk, account, timeout_s))]


def _cancel(desk: Desk, account: str, name: str, item: str | int) -> Answer:
    found = orders_bearing(desk, account, name, item)
    try:
        for order_id in found:
            cancel_one(desk, account, order_id)
    except ExchangeRefusal as refused:
        return Answer(error=refused.text)
    return Answer({name: item}) if found else Answer(error="EOrder:Unknown order")


def orders_bearing(desk: Desk, account: str, name: str, item: str | int) -> list[str]:
    """Ids of the open orders that bear this id or reference."""
    return [order.order_id for order in desk.exchange.open_orders(account) if _bears(order, name, item)]


def _bears(order: Order, name: str, item: str | int) -> bool:
    if name == "order_userref":
        return order.userref == item
    if name == "order_id":
        return order.order_id == item
    return order.cl_ord_id is not None and cl_ord_id_key(order.cl_ord_id) == cl_ord_id_key(str(item))


METHODS: Mapping[str, Method] = {
    "add_order": add_order,
    "cancel_order": cancel_order,
    "cancel_all": cancel_all,
    "cancel_all_orders_after": cancel_all_orders_after,
}
