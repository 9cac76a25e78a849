"""What an amend makes of an open order: a changed copy of it, or the refusal (Kraken docs, Spot Atomic Amends)."""

from __future__ import annotations

from dataclasses import replace

from aether.domain.values import MONEY, ZERO
from aether.sim.account import WorkingOrder
from aether.sim.admission import check_amount, check_display, check_minimums
from aether.sim.clearing import check_funds
from aether.sim.matching import limit_beside
from aether.sim.pair_market import PairMarket
from aether.sim.pricing import price_ticks, trailing_ticks
from aether.sim.records import LIMIT_KINDS, TRAILING_KINDS, Amend, AmendRecord, ExchangeRefusal, Order, Trigger
from aether.sim.triggers import looks_up


def check_amend_status(system_status: str, pair_status: str, working: WorkingOrder, amend: Amend) -> None:
    """Raise ExchangeRefusal where the exchange or the pair takes no such change now.

    Kraken's page on statuses does not speak of amends: in the strict reading, what may not be placed may not be made of
    another order either.
    """
    for status in (system_status, pair_status):
        if status in ("maintenance", "delisted", "work_in_progress"):
            raise ExchangeRefusal("EService:Unavailable")
        if status == "post_only" and not _can_only_post(working, amend):
            raise ExchangeRefusal("EService:Market in post_only mode")
        if status in ("cancel_only", "reduce_only"):
            raise ExchangeRefusal(f"EService:Market in {status} mode")


def amended(market: PairMarket, working: WorkingOrder, amend: Amend) -> WorkingOrder:
    """The order as the amend wants it, without lots where no more than the filled ones are wanted.

    Raises ExchangeRefusal for what does not apply to the order, changes nothing, takes although it is to be posted, or
    cannot be paid.
    """
    _check_fields(working, amend)
    changed = replace(working, order=replace(working.order, is_amended=True))
    if amend.trigger_price is not None:
        _move_trigger(market, changed, amend)
    if amend.limit_price is not None:
        _move_limit(market, changed, amend)
    else:
        changed.ticks = limit_beside(market, changed) if changed.is_waiting and changed.trigger_ticks else changed.ticks
    _resize(market, changed, amend)
    if _terms(changed) == _terms(working):
        raise ExchangeRefusal("EGeneral:Invalid arguments:no change requested")
    if not changed.lots_left:
        return changed
    if changed.order.limit_price is not None:
        changed.order = replace(changed.order, limit_price=market.price(changed.ticks))
    _check_posting(market, changed, amend)
    check_funds(market, changed)
    return changed


def original(order: Order) -> AmendRecord:
    """The first row of an order's history. Its id is the order's own with the letter of a change."""
    return AmendRecord("T" + order.order_id[1:], "original", order, "", order.opened_ns)


def _can_only_post(working: WorkingOrder, amend: Amend) -> bool:
    """Whether nothing can trade by this amend: an order that waits for a price might be set off by it, and take."""
    is_waiting_for_price = working.is_waiting and working.order.trigger is not None
    return (working.order.post_only or amend.post_only) and not is_waiting_for_price


def _check_fields(working: WorkingOrder, amend: Amend) -> None:
    order = working.order
    for field, value in (
        ("order_qty", amend.qty),
        ("limit_price", amend.limit_price),
        ("trigger_price", amend.trigger_price),
        ("display_qty", amend.display_qty),
    ):
        if value is not None:
            check_amount(value, field)
    if amend.limit_price is not None and order.order_type not in LIMIT_KINDS:
        raise ExchangeRefusal("EGeneral:Invalid arguments:limit_price")
    if amend.display_qty is not None and order.order_type != "iceberg":
        raise ExchangeRefusal("EGeneral:Invalid arguments:display_qty")
    is_waiting_for_price = order.trigger is not None and not order.trigger.is_triggered
    if amend.trigger_price is not None and not is_waiting_for_price:
        raise ExchangeRefusal("EGeneral:Invalid arguments:trigger_price")


def _move_trigger(market: PairMarket, changed: WorkingOrder, amend: Amend) -> None:
    price, order = amend.trigger_price, changed.order
    assert price is not None, "only a given price is moved to"
    assert order.trigger is not None, f"{order} waits for no price"
    if order.order_type in TRAILING_KINDS:
        if amend.trigger_price_type == "static" or price <= 0:
            raise ExchangeRefusal("EGeneral:Invalid arguments:trigger_price")
        behind = trailing_ticks(market, price, amend.trigger_price_type, changed.peak_ticks)
        changed.trigger_ticks = changed.peak_ticks + (behind if looks_up(changed) else -behind)
        if changed.trigger_ticks <= 0:
            raise ExchangeRefusal("EOrder:Invalid price")
    else:
        changed.trigger_ticks = price_ticks(market, price, amend.trigger_price_type, market.last_ticks)
    trigger: Trigger = replace(
        order.trigger,
        price=price,
        price_type=amend.trigger_price_type,
        actual_price=market.price(changed.trigger_ticks),
    )
    changed.order = replace(order, trigger=trigger)


def _move_limit(market: PairMarket, changed: WorkingOrder, amend: Amend) -> None:
    price, order = amend.limit_price, changed.order
    assert price is not None, "only a given price is moved to"
    trails = order.order_type in TRAILING_KINDS and changed.is_waiting
    base = changed.trigger_ticks if trails else market.last_ticks
    changed.ticks = price_ticks(market, price, amend.limit_price_type, base)
    is_offset = trails and amend.limit_price_type != "static"
    asked = price if is_offset else None
    changed.order = replace(
        order, limit_asked=asked, limit_price_type=amend.limit_price_type if is_offset else "static"
    )


def _resize(market: PairMarket, changed: WorkingOrder, amend: Amend) -> None:
    order, order_lots = changed.order, changed.lots_left
    if amend.qty is not None:
        # What was filled may be off the lot, where the pair's rules changed since; what is left may not.
        left = market.lots(max(ZERO, MONEY.subtract(amend.qty, order.cum_qty)))
        if amend.qty <= 0 or market.lots(amend.qty) is None or left is None:
            raise ExchangeRefusal("EGeneral:Invalid arguments:order_qty")
        changed.lots_left = left
        changed.order = replace(order, qty=max(amend.qty, order.cum_qty))
    if not changed.lots_left:
        return
    check_minimums(market, changed.order.qty, changed.ticks or None)
    display_qty = amend.display_qty
    if display_qty is None and changed.display_lots and changed.lots_left > order_lots:
        display_qty = changed.order.display_qty  # a larger iceberg has to show enough of itself, too
    if display_qty is not None:
        changed.display_lots = check_display(market, display_qty, changed.lots_left)
        changed.order = replace(changed.order, display_qty=display_qty)


def _check_posting(market: PairMarket, changed: WorkingOrder, amend: Amend) -> None:
    """An amend that is to be posted is refused where it would take: unlike a new order, it has something to lose."""
    if changed.is_waiting or not (amend.post_only or changed.order.post_only):
        return
    if market.book.facing(changed.order.side).crosses(changed.ticks):
        raise ExchangeRefusal("EOrder:Post only order")


def _terms(working: WorkingOrder) -> tuple[object, ...]:
    order = working.order
    asked = None if order.trigger is None else (order.trigger.price, order.trigger.price_type)
    limit = (order.limit_asked, order.limit_price_type) if order.limit_asked is not None else None
    return working.ticks, working.lots_left, working.display_lots, working.trigger_ticks, asked, limit
