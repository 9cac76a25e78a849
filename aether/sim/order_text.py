"""Kraken's words on an order: the sentence of its description, its prices as asked, its flags."""

from __future__ import annotations

from decimal import Decimal

from aether.sim.records import Order, PairRules, PriceType
from aether.sim.wire import digits, exact

_PERCENT_DECIMALS = 4  # as captured: `trailing stop +50.0000%`

_TRIGGER_WORDS = {"stop-loss": "stop loss", "take-profit": "take profit", "trailing-stop": "trailing stop"}


def order_text(order: Order, rules: PairRules) -> str:
    """`buy 0.01000000 XBTUSD @ limit 60000.0`, `sell 0.1 LTCUSD @ stop loss 55.0 -> limit 54.0` and the like."""
    volume = exact(order.cash_qty or order.qty, rules.qty_decimals)
    parts = []
    if order.trigger is not None:
        word = _TRIGGER_WORDS[order.order_type.removesuffix("-limit")]
        parts.append(f"{word} {trigger_text(order, rules)}")
    if order.limit_price is not None:
        parts.append(f"limit {price_text(order, rules)}")
    return f"{order.side} {volume} {rules.altname} @ {' -> '.join(parts) or 'market'}"


def price_text(order: Order, rules: PairRules) -> str:
    """The limit as asked: an offset from a trailing trigger stays one. `0` where there is no limit."""
    if order.limit_asked is not None:
        return _offset_text(order.limit_asked, order.limit_price_type, rules)
    return "0" if order.limit_price is None else exact(order.limit_price, rules.price_decimals)


def trigger_text(order: Order, rules: PairRules) -> str:
    """The trigger: a trailing one as the offset that it is, any other as its price. Empty where there is none."""
    trigger = order.trigger
    if trigger is None:
        return ""
    if order.order_type.startswith("trailing"):
        return _offset_text(trigger.price, trigger.price_type, rules)
    return exact(trigger.actual_price, rules.price_decimals)


def flags_text(order: Order) -> str:
    """`oflags`: what was asked for. Fees are paid in quote whatever `fcib` wished."""
    flags = ["post"] if order.post_only else []
    flags.append("fcib" if order.fee_in_base else "fciq")
    if order.cash_qty is not None:
        flags.append("viqc")
    return ",".join(flags)


def _offset_text(offset: Decimal, price_type: PriceType, rules: PairRules) -> str:
    sign = "-" if offset.is_signed() else "+"
    if price_type == "pct":
        return f"{sign}{digits(abs(offset), _PERCENT_DECIMALS)}%"
    return f"{sign}{digits(abs(offset), rules.price_decimals)}"
