"""The trading methods of WebSocket v2. Each gives its answers: one, or for a cancel one for each order named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aether.sim.account import cl_ord_id_key
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal, Order
from aether.sim.field_text import bad_argument
from aether.sim.order_form import socket_order
from aether.sim.rest_trading import cancel_every, cancel_one, dead_man
from aether.sim.ws_fields import TRIGGERS, SocketRefusal, check_fields

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """A method's answer: what was done, or Kraken's text of why not."""

    result: Mapping[str, object] | None = None
    error: str = ""


Method = Callable[[Desk, str, Fields], list[Answer]]


def add_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`add_order`: with `validate` the order is only checked, and its `order_id` is empty."""
    symbol = fields.get("symbol")
    if symbol is None:
        raise SocketRefusal("Symbol(s) not found")
    if symbol not in desk.exchange.pairs:
        raise SocketRefusal(f"Currency pair not supported {symbol}")
    triggers = fields.get("triggers", {})
    assert isinstance(triggers, dict), "the field's type was checked before"
    check_fields(triggers, TRIGGERS, "add_order")
    now_ns = desk.now_ns()
    new = socket_order(fields, now_ns)
    result: dict[str, object] = {"order_id": ""}
    if fields.get("validate", False):
        desk.exchange.check_order(account, new, now_ns)
    else:
        desk.trading_counters.add(account, str(symbol), now_ns)
        result["order_id"] = desk.exchange.add_order(account, new, now_ns).order_id
    if new.cl_ord_id is not None:
        result["cl_ord_id"] = new.cl_ord_id
    if new.userref is not None:
        result["order_userref"] = new.userref
    return [Answer(result)]


def cancel_order(desk: Desk, account: str, fields: Fields) -> list[Answer]:
    """`cancel_order`: exactly one of three arrays; one answer for each of its entries."""
    names = [name for name in ("order_id", "cl_ord_id", "order_userref") if fields.get(name)]
    if len(names) != 1:
        raise bad_argument("order_id")
    named = fields[names[0]]
    kind = int if names[0] == "order_userref" else str
    if not isinstance(named, list) or any(type(item) is not kind for item in named):
        raise bad_argument(names[0])
    return [_cancel(desk, account, names[0], item) for item in named]


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
    found = [order for order in desk.exchange.open_orders(account) if _bears(order, name, item)]
    if not found:
        return Answer(error="EOrder:Unknown order")
    try:
        for order in found:
            cancel_one(desk, account, order.order_id)
    except ExchangeRefusal as refused:
        return Answer(error=refused.text)
    return Answer({name: item})


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
