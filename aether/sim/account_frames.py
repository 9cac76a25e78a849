"""Rows of the private WebSocket v2 channels. Executions are deltas: only the first record tells the whole order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aether.domain.values import ZERO
from aether.sim.assets import MONEY_DECIMALS
from aether.sim.exchange import LedgerEntry, Order, OrderEvent, PairRules, Trade
from aether.sim.rest_records import average_price
from aether.sim.wire import number, rfc3339

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
        "order_status": event.exec_type,
        "exec_type": event.exec_type,
        "order_userref": order.userref or 0,
        "order_id": order.order_id,
    }
    if event.exec_type == "new":
        return row | _named(order.cl_ord_id) | ({"post_only": True} if order.post_only else {})
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
        "order_qty": number(order.qty, rules.qty_decimals),
        "cum_cost": number(order.cum_cost, rules.cost_decimals),
        "time_in_force": order.time_in_force.upper(),
        "exec_type": exec_type,
        "side": order.side,
        "order_type": order.order_type,
        "order_userref": order.userref or 0,
        "stop_price": number(ZERO, rules.price_decimals),
        "order_status": status,
        "fee_usd_equiv": number(order.cum_fee, rules.cost_decimals),
        "fee_ccy_pref": "fciq",
        "timestamp": rfc3339(at_ns),
    }
    if order.limit_price is not None:
        row |= {"limit_price_type": "static", "limit_price": number(order.limit_price, rules.price_decimals)}
    return row | _named(order.cl_ord_id) | ({"post_only": True} if order.post_only else {})


def open_order(order: Order, rules: PairRules) -> Data:
    """A row of the orders snapshot: the whole order with what is filled of it."""
    return whole_order(order, rules, "new", order.status, order.opened_ns) | _totals(order, rules)


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
        "last_qty": number(trade.qty, rules.qty_decimals),
        "last_price": number(trade.price, rules.price_decimals),
        "liquidity_ind": trade.liquidity,
        "cost": number(trade.cost, rules.cost_decimals),
        "order_status": status,
        "order_type": trade.order_type,
        "timestamp": rfc3339(trade.at_ns),
        "fee_usd_equiv": number(trade.fee, rules.cost_decimals),
        "fees": [{"asset": rules.quote, "qty": number(trade.fee, rules.cost_decimals)}],
    } | _named(trade.cl_ord_id)


def balance_rows(balances: Mapping[str, tuple[Decimal, Decimal]]) -> list[Data]:
    """The balances snapshot: totals, which open orders do not lessen."""
    rows: list[Data] = []
    for asset, (total, _) in balances.items():
        amount = number(total, MONEY_DECIMALS[asset])
        wallets = [{"type": "spot", "id": "main", "balance": amount}]
        rows.append({"asset": asset, "asset_class": "currency", "balance": amount, "wallets": wallets})
    return rows


def ledger_row(entry: LedgerEntry) -> Data:
    """One change of one balance: it moved by amount - fee."""
    decimals = MONEY_DECIMALS[entry.asset]
    return {
        "ledger_id": entry.ledger_id,
        "ref_id": entry.ref_id,
        "timestamp": rfc3339(entry.at_ns),
        "type": entry.type,
        "asset": entry.asset,
        "asset_class": "currency",
        "category": entry.type,
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": number(entry.amount, decimals),
        "fee": number(entry.fee, decimals),
        "balance": number(entry.balance, decimals),
    }


def _totals(order: Order, rules: PairRules) -> Data:
    return {
        "cum_qty": number(order.cum_qty, rules.qty_decimals),
        "cum_cost": number(order.cum_cost, rules.cost_decimals),
        "avg_price": number(average_price(order.cum_cost, order.cum_qty), rules.cost_decimals),
    }


def _named(cl_ord_id: str | None) -> Data:
    return {} if cl_ord_id is None else {"cl_ord_id": cl_ord_id}
