"""Kraken's private REST endpoints that act: add and cancel orders, and the dead man's switch."""

from __future__ import annotations

from collections.abc import Sequence

from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal
from aether.sim.field_text import bad_argument, is_true, whole
from aether.sim.order_form import rest_order
from aether.sim.order_text import order_text
from aether.sim.rest_private import Form, Handler
from aether.sim.rest_public import find_pair
from aether.sim.wire import rfc3339


def add_order(desk: Desk, account: str, form: Form) -> object:
    """`AddOrder`. With `validate` the order is checked and described, and has no txid."""
    rules, now_ns = find_pair(desk, form.get("pair", "")), desk.now_ns()
    new = rest_order(rules.name, form, now_ns)
    if is_true(form, "validate"):
        return {"descr": {"order": order_text(desk.exchange.check_order(account, new, now_ns), rules)}}
    desk.trading_counters.add(account, rules.name, now_ns)
    order = desk.exchange.add_order(account, new, now_ns)
    return {"descr": {"order": order_text(order, rules)}, "txid": [order.order_id]}


def cancel_order(desk: Desk, account: str, form: Form) -> object:
    """`CancelOrder` by txid, by userref (which may name several) or by cl_ord_id."""
    ids = orders_named(desk, account, form)
    for order_id in ids:
        cancel_one(desk, account, order_id)
    return {"count": len(ids)}


def cancel_one(desk: Desk, account: str, order_id: str) -> None:
    """Count a cancel, then do it; of both doors. Raises ExchangeRefusal."""
    now_ns = desk.now_ns()
    order = desk.exchange.find_order(account, order_id=order_id)
    if order is not None and order.is_open:
        desk.trading_counters.cancel(order, now_ns)
    desk.exchange.cancel_order(account, order_id, now_ns)


def cancel_together(desk: Desk, account: str, order_ids: Sequence[str]) -> int:
    """Count and cancel a batch's orders, as far as they are open; how many were cancelled.

    One that cannot be cancelled now does not keep the others. Raises ExchangeRefusal where that is all of them.
    """
    now_ns, wanted = desk.now_ns(), set(order_ids)
    standing = [order for order in desk.exchange.open_orders(account) if order.order_id in wanted]
    desk.trading_counters.cancel_batch(standing, now_ns)
    cancelled, refusal = 0, None
    for order in standing:
        try:
            desk.exchange.cancel_order(account, order.order_id, now_ns)
            cancelled += 1
        except ExchangeRefusal as refused:
            refusal = refused
    if refusal is not None and not cancelled:
        raise refusal
    return cancelled


def cancel_all(desk: Desk, account: str, _form: Form) -> object:
    """`CancelAll`."""
    return {"count": cancel_every(desk, account)}


def cancel_every(desk: Desk, account: str) -> int:
    """Count and cancel all of the account's open orders; of both doors. Raises ExchangeRefusal."""
    now_ns = desk.now_ns()
    desk.trading_counters.cancel_all(desk.exchange.open_orders(account), now_ns)
    return desk.exchange.cancel_all(account, now_ns)


def cancel_all_after(desk: Desk, account: str, form: Form) -> object:
    """`CancelAllOrdersAfter`: times in whole seconds, the trigger time `0` when switched off."""
    return dead_man(desk, account, whole(form.get("timeout", ""), "timeout"))


def dead_man(desk: Desk, account: str, timeout_s: int) -> dict[str, str]:
    """Set or switch off (0) the dead man's switch; the answer of both doors. Raises ExchangeRefusal."""
    now_ns = desk.now_ns()
    desk.trading_counters.cancel_all(desk.exchange.open_orders(account), now_ns)
    trigger_ns = desk.exchange.set_dead_man(account, timeout_s, now_ns)
    return {"currentTime": rfc3339(now_ns, 0), "triggerTime": "0" if trigger_ns is None else rfc3339(trigger_ns, 0)}


def orders_named(desk: Desk, account: str, form: Form) -> list[str]:
    """Ids of the orders that a txid, a userref or a cl_ord_id names. Raises ExchangeRefusal where there are none."""
    text, cl_ord_id = form.get("txid", ""), form.get("cl_ord_id", "")
    if bool(text) == bool(cl_ord_id):
        raise bad_argument("txid")
    if text and not text.lstrip("-").isdigit():
        return [text]
    if cl_ord_id:
        named = desk.exchange.find_order(account, cl_ord_id=cl_ord_id)
        found = [named.order_id] if named is not None else []
    else:
        userref = whole(text, "txid")
        found = [order.order_id for order in desk.exchange.open_orders(account) if order.userref == userref]
    if not found:
        raise ExchangeRefusal("EOrder:Unknown order")
    return found


ACTING: dict[str, Handler] = {
    "AddOrder": add_order,
    "CancelOrder": cancel_order,
    "CancelAll": cancel_all,
    "CancelAllOrdersAfter": cancel_all_after,
}
