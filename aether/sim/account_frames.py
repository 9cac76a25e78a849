"""Rows of the private WebSocket v2 channels. Executions are deltas: only the first record tells the whole order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import reduce

from aether.domain.values import MONEY, ZERO
from aether.sim.assets import money_decimals
from aether.sim.exchange import LedgerEntry, Order, OrderEvent, PairRules, Trade
from aether.sim.rest_records import average_price
from aether.sim.wire import exact_number, number, rfc3339

Data = dict[str, object]


def execution(event: OrderEvent, rules: PairRules) -> Data:
    """One record of an update frame, with the fields that Kraken sends for its `exec_type`."""
    order = event.order
    if event.exec_type == "pending_new":
        return whole_order(order, rules, "pending_new", "pending_new", event.at_ns)
    if event.trade is not None:
        return trade_row(event.trade, order.status, order.userref, rules) | _totals(order, rules)
    row: Data = {
        "timestamp": rfc3339(event.at_ns),
        "order_status": order.status,
        "exec_type": event.exec_type,
        "order_userref": order.userref or 0,
        "order_id": order.order_id,
    }
    if event.exec_type == "new":
        return row | _named(order.cl_ord_id) | ({"post_only": True} if order.post_only else {})
    if event.exec_type in _CHANGES:
        return row | _named(order.cl_ord_id) | _CHANGES[event.exec_type](order, rules)
    row |= _totals(order, rules) | {"fee_usd_equiv": number(order.cum_fee, rules.cost_decimals)}
    return (
        row
        | _named(order.cl_ord_id)
        | ({"reason": order.reason, "cancel_reason": order.reason} if order.reason else {})
    )


def whole_order(order: Order, rules: PairRules, exec_type: str, status: str, at_ns: int) -> Data:
    """Everything about an order: the record that a client builds on, and a row of the snapshot."""
    row: Data = {
        "order_id": order.order_id,
        "symbol": order.pair,
        "order_qty": exact_number(order.qty, rules.qty_decimals),
        "cum_cost": number(order.cum_cost, rules.cost_decimals),
        "time_in_force": order.time_in_force.upper(),
        "exec_type": exec_type,
        "side": order.side,
        "order_type": order.order_type,
        "order_userref": order.userref or 0,
        "stop_price": exact_number(order.trigger.actual_price if order.trigger else ZERO, rules.price_decimals),
        "order_status": status,
        "fee_usd_equiv": number(order.cum_fee, rules.cost_decimals),
        "fee_ccy_pref": "fcib" if order.fee_in_base else "fciq",
        "timestamp": rfc3339(at_ns),
    }
    row |= _limit(order, rules) | _triggers(order, rules) | _named(order.cl_ord_id)
    return row | ({"post_only": True} if order.post_only else {}) | _rare(order, rules)


def open_order(order: Order, rules: PairRules) -> Data:
    """A row of the orders snapshot: the whole order with what is filled of it."""
    exec_type = "pending_new" if order.status == "pending_new" else "new"
    return whole_order(order, rules, exec_type, order.status, order.opened_ns) | _totals(order, rules)


def trade_row(trade: Trade, status: str, userref: int | None, rules: PairRules) -> Data:
    """A fill; in the trades snapshot it stands without the order's totals, as Kraken sends it."""
    return {
        "order_id": trade.order_id,
        "order_userref": userref or 0,
        "exec_id": trade.exec_id,
        "exec_type": "trade",
        "trade_id": trade.trade_id,
        "symbol": trade.pair,
        "side": trade.side,
        "last_qty": exact_number(trade.qty, rules.qty_decimals),
        "last_price": exact_number(trade.price, rules.price_decimals),
        "liquidity_ind": trade.liquidity,
        "cost": number(trade.cost, rules.cost_decimals),
        "order_status": status,
        "order_type": trade.order_type,
        "timestamp": rfc3339(trade.at_ns),
        "fee_usd_equiv": number(trade.fee, rules.cost_decimals),
        "fees": [{"asset": rules.quote, "qty": number(trade.fee, rules.cost_decimals)}],
    } | _named(trade.cl_ord_id)


def balance_rows(balances: Mapping[str, tuple[Decimal, Decimal]]) -> list[Data]:
    """The balances snapshot: totals over all wallets, which open orders do not lessen."""
    coins: dict[str, list[tuple[str, Decimal]]] = {}
    for asset, (total, _) in balances.items():
        coins.setdefault(asset.partition(".")[0], []).append((asset, total))
    return [_balance_row(coin, parts) for coin, parts in coins.items()]


def _balance_row(coin: str, parts: Sequence[tuple[str, Decimal]]) -> Data:
    decimals = max(money_decimals(asset, total) for asset, total in parts)
    total = reduce(MONEY.add, (amount for _, amount in parts), ZERO)
    wallets = [
        {"type": kind, "id": name, "balance": number(amount, decimals)}
        for (kind, name), amount in ((_wallet(asset), amount) for asset, amount in parts)
    ]
    return {"asset": coin, "asset_class": "currency", "balance": number(total, decimals), "wallets": wallets}


def _wallet(asset: str) -> tuple[str, str]:
    """Type and id of the wallet that REST tells by a suffix (Kraken docs, WebSocket v2 balances)."""
    suffix = asset.partition(".")[2]
    return ("earn", _EARN_WALLETS.get(suffix, "locked")) if suffix else ("spot", "main")


_EARN_WALLETS: Mapping[str, str] = {"F": "flexible", "M": "flex", "B": "bonded", "S": "bonded"}


def ledger_row(entry: LedgerEntry) -> Data:
    """One change of one balance: it moved by amount - fee."""
    decimals = max(money_decimals(entry.asset, value) for value in (entry.amount, entry.fee, entry.balance))
    wallet_type, wallet_id = _wallet(entry.asset)
    row: Data = {
        "ledger_id": entry.ledger_id,
        "ref_id": entry.ref_id,
        "timestamp": rfc3339(entry.at_ns),
        "type": entry.type,
        "asset": entry.asset.partition(".")[0],
        "asset_class": "currency",
        "category": entry.type,
        "wallet_type": wallet_type,
        "wallet_id": wallet_id,
        "amount": number(entry.amount, decimals),
        "fee": number(entry.fee, decimals),
        "balance": number(entry.balance, decimals),
    }
    return row | ({"subtype": entry.subtype} if entry.subtype else {})


def _totals(order: Order, rules: PairRules) -> Data:
    decimals = max(rules.cost_decimals, rules.price_decimals)  # a cheap coin's price has more than its cost
    return {
        "cum_qty": exact_number(order.cum_qty, rules.qty_decimals),
        "cum_cost": number(order.cum_cost, rules.cost_decimals),
        "avg_price": number(average_price(order.cum_cost, order.cum_qty), decimals),
    }


def _named(cl_ord_id: str | None) -> Data:
    return {} if cl_ord_id is None else {"cl_ord_id": cl_ord_id}


def _limit(order: Order, rules: PairRules) -> Data:
    if order.limit_price is None:
        return {}
    # An offset from a trailing trigger is told as asked until the order goes to market with a price of its own.
    is_offset = order.limit_asked is not None and not (order.trigger and order.trigger.is_triggered)
    price = order.limit_asked if is_offset and order.limit_asked is not None else order.limit_price
    price_type = order.limit_price_type if is_offset else "static"
    return {"limit_price_type": price_type, "limit_price": exact_number(price, rules.price_decimals)}


def _triggers(order: Order, rules: PairRules) -> Data:
    trigger = order.trigger
    if trigger is None:
        return {}
    triggers: Data = {
        "reference": trigger.reference,
        "price": exact_number(trigger.price, rules.price_decimals if trigger.price_type != "pct" else 4),
        "price_type": trigger.price_type,
        "actual_price": exact_number(trigger.actual_price, rules.price_decimals),
        "status": "triggered" if trigger.is_triggered else "untriggered",
    }
    if trigger.peak_price is not None:
        triggers["peak_price"] = exact_number(trigger.peak_price, rules.price_decimals)
    if trigger.last_price is not None:
        triggers["last_price"] = exact_number(trigger.last_price, rules.price_decimals)
    if trigger.at_ns is not None:
        triggers["timestamp"] = rfc3339(trigger.at_ns)
    return {"triggers": triggers}


def _rare(order: Order, rules: PairRules) -> Data:
    row: Data = {"amended": True} if order.is_amended else {}
    if order.display_qty is not None:
        row["display_qty"] = exact_number(order.display_qty, rules.qty_decimals)
        row |= _shown(order, rules)
    if order.cash_qty is not None:
        row["cash_order_qty"] = number(order.cash_qty, rules.cost_decimals)
    if order.starts_ns is not None:
        row["effective_time"] = rfc3339(order.starts_ns)
    if order.expires_ns is not None:
        row["expire_time"] = rfc3339(order.expires_ns)
    return row


def _shown(order: Order, rules: PairRules) -> Data:
    return {} if order.shown_qty is None else {"display_qty_remain": exact_number(order.shown_qty, rules.qty_decimals)}


def _status_changed(order: Order, rules: PairRules) -> Data:
    return _triggers(order, rules) | _limit(order, rules)


def _amended(order: Order, rules: PairRules) -> Data:
    row: Data = {"cum_qty": exact_number(order.cum_qty, rules.qty_decimals), "reason": order.reason, "amended": True}
    row |= {"order_qty": exact_number(order.qty, rules.qty_decimals)} | _limit(order, rules) | _triggers(order, rules)
    return row | _rare(order, rules)


# What the records say, beside names and statuses, that tell of a change of an order which stays live.
_CHANGES: Mapping[str, Callable[[Order, PairRules], Data]] = {
    "amended": _amended,
    "restated": _amended,
    "status": _status_changed,
    "iceberg_refill": _shown,
}
