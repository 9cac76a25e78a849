"""What goes between the port and the made Kraken, in either's words: orders, amends, reports, refusals."""

from __future__ import annotations

from dataclasses import replace

from aether.domain.effects import AmendOrder, SubmitOrder
from aether.domain.inputs import SubmitAccepted, SubmitRefused, SubmitUnknown
from aether.domain.orders import OrderTerms, OrderType, PriceType, TimeInForce, TriggerReference, TriggerReport
from aether.domain.values import MONEY, Price, Qty, Usd
from aether.sim.exchange import NewOrder, Order
from aether.sim.records import Amend, NewTrigger, Trigger

SubmitOutcome = SubmitAccepted | SubmitRefused | SubmitUnknown

UNAVAILABLE = "EService:Unavailable"

# Texts after which an order may live all the same (Kraken docs, Spot Error Messages: check open orders first).
UNKNOWN_OUTCOMES = ("EService:Deadline elapsed", UNAVAILABLE)

_REFUSAL_CODES = (
    ("EOrder:Insufficient funds", "venue_funds"),
    ("EGeneral:Invalid arguments:volume minimum not met", "venue_minimum"),
    ("EOrder:Cost minimum not met", "venue_minimum"),
    ("EOrder:Tick size check failed", "venue_tick"),
    ("EOrder:Invalid price", "venue_tick"),
    ("EOrder:Post only order", "venue_post_only"),
    ("EOrder:cl_ord_id already in use", "venue_duplicate"),
    ("EOrder:Orders limit exceeded", "venue_rate_limit"),
    ("EService:Market in ", "venue_status"),
    ("EGeneral:Invalid arguments", "venue_invalid"),
    ("EQuery:", "venue_invalid"),
)


def new_order(order: SubmitOrder) -> NewOrder:
    """An order of ours in the exchange's words."""
    asked, offset = order.trigger, None if order.trigger is None else order.trigger.limit_offset
    limit = offset if order.limit_price is None else order.limit_price.usd_per_coin
    return NewOrder(
        pair=order.symbol,
        side=order.side.value,
        order_type=order.order_type.value,
        qty=order.qty.coins,
        limit_price=limit,
        limit_price_type=asked.limit_offset_type.value if asked is not None and offset is not None else "static",
        time_in_force=order.time_in_force.value,
        post_only=order.post_only,
        cl_ord_id=order.cl_ord_id,
        deadline_ns=order.deadline_ns,
        trigger=None if asked is None else NewTrigger(asked.price, asked.price_type.value, asked.reference.value),
        display_qty=None if order.display_qty is None else order.display_qty.coins,
        expires_ns=order.expire_ns,
        self_trade=order.self_trade.value,
    )


def change_of(amend: AmendOrder, order_id: str) -> Amend:
    """What differs, in the exchange's words."""
    old, new = amend.before, amend.after
    change = Amend(order_id, deadline_ns=amend.deadline_ns)
    if new.qty != old.qty:
        change = replace(change, qty=new.qty.coins)
    if new.display_qty is not None and new.display_qty != old.display_qty:
        change = replace(change, display_qty=new.display_qty.coins)
    if new.limit_price is not None and new.limit_price != old.limit_price:
        change = replace(change, limit_price=new.limit_price.usd_per_coin, post_only=new.post_only)
    was, now = old.trigger, new.trigger
    if was is None or now is None:
        return change
    if (now.price, now.price_type) != (was.price, was.price_type):
        change = replace(change, trigger_price=now.price, trigger_price_type=now.price_type.value)
    if (now.limit_offset, now.limit_offset_type) != (was.limit_offset, was.limit_offset_type):
        change = replace(change, limit_price=now.limit_offset, limit_price_type=now.limit_offset_type.value)
    return change


def is_offset(order: Order) -> bool:
    """Its limit is still a distance: it becomes a price when the trigger fires."""
    return order.limit_asked is not None and not (order.trigger is not None and order.trigger.is_triggered)


def terms_of(order: Order) -> OrderTerms:
    """What Kraken's executions tell of an order beside its size and state."""
    has_offset, trigger = is_offset(order), order.trigger
    average = MONEY.divide(order.cum_cost, order.cum_qty) if order.cum_qty else None
    return OrderTerms(
        order_type=OrderType(order.order_type),
        time_in_force=TimeInForce(order.time_in_force),
        post_only=order.post_only,
        trigger=None if trigger is None else _trigger_report(trigger),
        limit_offset=order.limit_asked if has_offset else None,
        limit_offset_type=PriceType(order.limit_price_type) if has_offset else None,
        display_qty=None if order.display_qty is None else Qty(order.display_qty),
        display_qty_remain=None if order.shown_qty is None else Qty(order.shown_qty),
        expire_ns=order.expires_ns,
        avg_price=None if average is None else Price(average),
        cum_cost=Usd(order.cum_cost),
        is_amended=order.is_amended,
    )


def _trigger_report(trigger: Trigger) -> TriggerReport:
    return TriggerReport(
        price=trigger.price,
        price_type=PriceType(trigger.price_type),
        reference=TriggerReference(trigger.reference),
        actual_price=Price(trigger.actual_price),
        peak_price=None if trigger.peak_price is None else Price(trigger.peak_price),
        is_triggered=trigger.is_triggered,
    )


def refused_submit(cl_ord_id: str, text: str) -> SubmitRefused | SubmitUnknown:
    """What the exchange's refusal of an order means: no order, or nothing at all."""
    if text in UNKNOWN_OUTCOMES:
        return SubmitUnknown(cl_ord_id, text)
    return SubmitRefused(cl_ord_id, code_of(text), text)


def code_of(text: str) -> str:
    """Our stable code for the exchange's refusal."""
    return next((code for start, code in _REFUSAL_CODES if text.startswith(start)), "venue_other")
