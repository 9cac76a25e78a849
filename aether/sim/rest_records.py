"""Orders, trades and ledger rows in the forms of Kraken's private REST endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias, TypeVar

from aether.domain.values import MONEY, NANOS_PER_S, ZERO
from aether.sim.assets import asset_id, money_decimals
from aether.sim.exchange import LedgerEntry, Order, PairRules, Trade
from aether.sim.field_text import bad_argument
from aether.sim.order_text import flags_text, order_text, price_text, trigger_text
from aether.sim.wire import digits, epoch, exact

Record: TypeAlias = dict[str, object]
T = TypeVar("T")

PAGE = 50  # Kraken docs: closed orders, trades and ledgers come 50 at a time

_STATUS = {
    "pending_new": "pending",
    "new": "open",
    "partially_filled": "open",
    "filled": "closed",
    "canceled": "canceled",
    "expired": "expired",
}

# The documents' own examples carry this position id on spot trades, which have no position.
_NO_POSITION = "TKH2SE-M7IF5-CFI7LT"


def average_price(cum_cost: Decimal, cum_qty: Decimal) -> Decimal:
    """Mean price of what was filled, 0 before the first fill."""
    return MONEY.divide(cum_cost, cum_qty) if cum_qty else ZERO


def price_digits(price: Decimal, rules: PairRules) -> str:
    """A price of a level, a trade or an order: with the decimals of the cost, or of the pair where those are more."""
    return digits(price, max(rules.cost_decimals, rules.price_decimals))


def order_record(order: Order, rules: PairRules, *, with_trades: bool) -> Record:
    """One row of OpenOrders, ClosedOrders and QueryOrders."""
    zero = digits(ZERO, rules.cost_decimals)
    row: Record = {
        "refid": None,
        "userref": order.userref or 0,
        "status": _STATUS[order.status],
        "opentm": epoch(order.opened_ns),
        "starttm": (order.starts_ns or 0) // NANOS_PER_S,
        "expiretm": (order.expires_ns or 0) // NANOS_PER_S,
        "descr": {
            "pair": rules.altname,
            "aclass": "forex",
            "type": order.side,
            "ordertype": order.order_type,
            "price": trigger_text(order, rules) or price_text(order, rules),
            "price2": price_text(order, rules) if order.trigger else "0",
            "leverage": "none",
            "order": order_text(order, rules),
            "close": "",
        },
        # With `viqc` volumes are in quote (Kraken docs, Open Orders).
        "vol": exact(order.cash_qty or order.qty, rules.qty_decimals),
        "vol_exec": exact(order.cum_cost if order.cash_qty else order.cum_qty, rules.qty_decimals),
        "cost": digits(order.cum_cost, rules.cost_decimals),
        "fee": digits(order.cum_fee, rules.cost_decimals),
        "price": price_digits(average_price(order.cum_cost, order.cum_qty), rules),
        "stopprice": zero,
        "limitprice": zero,
        "misc": _misc(order),
        "oflags": flags_text(order),
        "reason": order.reason or None,
    }
    return row | _rare_fields(order, rules, with_trades=with_trades)


def _misc(order: Order) -> str:
    """Kraken's list of what befell an order: `stopped` or `touched` by its trigger, `partial`, `amended`."""
    words = []
    if order.trigger is not None and order.trigger.is_triggered:
        words.append("touched" if order.order_type.startswith("take-profit") else "stopped")
    if order.status in ("canceled", "expired") and order.cum_qty:
        words.append("partial")
    if order.is_amended:
        words.append("amended")
    return ",".join(words)


def _rare_fields(order: Order, rules: PairRules, *, with_trades: bool) -> Record:
    row: Record = {}
    if order.cl_ord_id is not None:
        row["cl_ord_id"] = order.cl_ord_id
    trigger = order.trigger
    if trigger is not None and trigger.reference == "index":
        row["trigger"] = "index"
    if trigger is not None and trigger.is_triggered:
        # An order that still waits shows zeros here (captured: an open stop-loss-limit).
        row["stopprice"] = price_digits(trigger.actual_price, rules)
        row["limitprice"] = price_digits(order.limit_price or ZERO, rules)
    if with_trades and order.trade_ids:
        row["trades"] = list(order.trade_ids)
    if order.closed_ns is not None:
        row["closetm"] = epoch(order.closed_ns)
    return row


def trade_record(trade: Trade, rules: PairRules, ledger_ids: Sequence[str] | None) -> Record:
    """One row of TradesHistory and QueryTrades; `ledger_ids` only where they were asked for."""
    row: Record = {
        "ordertxid": trade.order_id,
        "postxid": _NO_POSITION,
        "pair": rules.key,
        "aclass": "forex",
        "time": epoch(trade.at_ns, 7),
        "type": trade.side,
        "ordertype": trade.order_type,
        "price": price_digits(trade.price, rules),
        "cost": digits(trade.cost, rules.cost_decimals),
        "fee": digits(trade.fee, rules.cost_decimals),
        "vol": exact(trade.qty, rules.qty_decimals),
        "margin": digits(ZERO, rules.cost_decimals),
        "leverage": "0",
        "misc": "",
        "trade_id": trade.trade_id,
        "maker": trade.liquidity == "m",
    }
    return row if ledger_ids is None else row | {"ledgers": list(ledger_ids)}


def ledger_record(entry: LedgerEntry) -> Record:
    """One row of Ledgers and QueryLedgers: the balance moved by amount - fee."""
    decimals = max(money_decimals(entry.asset, value) for value in (entry.amount, entry.fee, entry.balance))
    return {
        "refid": entry.ref_id,
        "time": epoch(entry.at_ns, 7),
        "type": entry.type,
        "subtype": entry.subtype,
        "aclass": "currency",
        "asset": asset_id(entry.asset),
        "amount": digits(entry.amount, decimals),
        "fee": digits(entry.fee, decimals),
        "balance": digits(entry.balance, decimals),
    }


def bound_ns(text: str, times: Mapping[str, int], field: str) -> int:
    """A `start` or `end`: unix seconds with or without a fraction, or the id of a record, whose time it means."""
    if text in times:
        return times[text]
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 12 and len(fraction) <= 9):
        raise bad_argument(field)
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise bad_argument(field)
    return int(whole) * NANOS_PER_S + int(fraction.ljust(9, "0"))


def between(records: Iterable[T], at_ns: Callable[[T], int], start_ns: int | None, end_ns: int | None) -> list[T]:
    """Records after `start_ns` and not after `end_ns`: Kraken's start is exclusive, its end inclusive."""
    return [
        record
        for record in records
        if (start_ns is None or at_ns(record) > start_ns) and (end_ns is None or at_ns(record) <= end_ns)
    ]
