"""Kraken's private REST endpoints that read: money, orders, trades, ledger, fees. The caller is known by now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from aether.domain.values import MONEY, NANOS_PER_S, ZERO
from aether.sim.account import cl_ord_id_key
from aether.sim.assets import BY_NAME, asset_id, find_asset, money_decimals
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal, LedgerEntry, Order, Trade
from aether.sim.fees import FeeSchedule, FeeTier
from aether.sim.field_text import bad_argument, is_true, whole
from aether.sim.rest_public import answer_key, find_pair
from aether.sim.rest_records import PAGE, T, between, bound_ns, ledger_record, order_record, trade_record
from aether.sim.view_lag import seen_entries, seen_orders, seen_trades
from aether.sim.wire import digits

Form = Mapping[str, str]
Handler = Callable[[Desk, str, Form], object]

# Kraken REST: how many ids one query may name, and the longest page of TradesHistory.
QUERY_ORDERS_MAX = 50
QUERY_ROWS_MAX = 20
TRADES_PAGE_MAX = 100


def balance(desk: Desk, account: str, _form: Form) -> object:
    """`Balance`: totals, not net of open orders."""
    totals = desk.exchange.balances(account)
    return {asset_id(name): digits(total, money_decimals(name, total)) for name, (total, _) in totals.items()}


def balance_extended(desk: Desk, account: str, _form: Form) -> object:
    """`BalanceEx`: totals, and what open orders hold."""
    return {
        asset_id(name): {
            "balance": digits(total, money_decimals(name, total)),
            "hold_trade": digits(held, money_decimals(name, held)),
        }
        for name, (total, held) in desk.exchange.balances(account).items()
    }


def trade_balance(desk: Desk, account: str, form: Form) -> object:
    """`TradeBalance`: everything valued in USD at the last prices; `tb` at Kraken's share for collateral. No margin."""
    if form.get("asset", "ZUSD") not in ("ZUSD", "USD"):
        raise ExchangeRefusal("EQuery:Unknown asset")
    equity = collateral = ZERO
    for name, (total, _) in desk.exchange.balances(account).items():
        coin = name.partition(".")[0]
        price = Decimal(1) if coin == "USD" else _last_price(desk, f"{coin}/USD")
        value = MONEY.multiply(total, price)
        equity = MONEY.add(equity, value)
        if name in BY_NAME:  # what earns in a wallet, or trades nowhere, is no collateral
            collateral = MONEY.add(collateral, MONEY.multiply(value, BY_NAME[name].collateral))
    zero, trading = digits(ZERO, 4), digits(collateral, 4)
    margin = dict.fromkeys(("m", "n", "c", "v", "uv"), zero)
    return {"eb": digits(equity, 4), "tb": trading, "e": trading, "mf": trading} | margin


def open_orders(desk: Desk, account: str, form: Form) -> object:
    """`OpenOrders`."""
    return {"open": _order_rows(desk, _named(seen_orders(desk, desk.exchange.open_orders(account)), form), form)}


def closed_orders(desk: Desk, account: str, form: Form) -> object:
    """`ClosedOrders`, newest first; `closetime` says which of an order's two times `start` and `end` are held to."""
    by = form.get("closetime") or "both"
    if by not in ("open", "close", "both"):
        raise bad_argument("closetime")
    found = _named(seen_orders(desk, desk.exchange.closed_orders(account)), form)
    start_ns, end_ns = _bounds(form, {order.order_id: order.opened_ns for order in found})
    opened = between(found, lambda order: order.opened_ns, start_ns, end_ns) if by != "close" else []
    closed = between(found, lambda order: order.closed_ns or 0, start_ns, end_ns) if by != "open" else []
    kept = {order.order_id for order in (*opened, *closed)}
    page, count = _page([order for order in found if order.order_id in kept], form)
    return {"closed": _order_rows(desk, page, form)} | count


def query_orders(desk: Desk, account: str, form: Form) -> object:
    """`QueryOrders`: orders by txid, open or closed."""
    ids = _ids(form, "txid", QUERY_ORDERS_MAX)
    known = [order for text in ids if (order := desk.exchange.find_order(account, order_id=text)) is not None]
    found = _named(seen_orders(desk, known), {"userref": form.get("userref", "")})
    if not found:
        raise ExchangeRefusal("EOrder:Invalid order")
    return _order_rows(desk, found, form)


def trades_history(desk: Desk, account: str, form: Form) -> object:
    """`TradesHistory`, newest first. There are no positions: types other than `all` and `no position` match nothing."""
    found = seen_trades(desk, reversed(desk.exchange.trades(account)))
    if form.get("pair"):
        wanted = find_pair(desk, form["pair"]).name
        found = [trade for trade in found if trade.pair == wanted]
    if form.get("type", "all") not in ("all", "no position"):
        found = []
    bounds = _bounds(form, {trade.exec_id: trade.at_ns for trade in found})
    limit = min(whole(form["limit"], "limit"), TRADES_PAGE_MAX) if form.get("limit") else PAGE
    page, count = _page(between(found, lambda trade: trade.at_ns, *bounds), form, limit)
    return {"trades": _trade_rows(desk, account, page, with_ledgers=is_true(form, "ledgers"))} | count


def query_trades(desk: Desk, account: str, form: Form) -> object:
    """`QueryTrades`: trades by id."""
    ids = set(_ids(form, "txid", QUERY_ROWS_MAX))
    found = [trade for trade in seen_trades(desk, desk.exchange.trades(account)) if trade.exec_id in ids]
    if not found:
        raise ExchangeRefusal("EQuery:Unknown trade")
    return _trade_rows(desk, account, found, with_ledgers=True)


def ledgers(desk: Desk, account: str, form: Form) -> object:
    """`Ledgers`, newest first."""
    found = seen_entries(desk, reversed(desk.exchange.ledgers(account)))
    if form.get("asset", "all") != "all":
        names = {_asset_name(text) for text in form["asset"].split(",")}
        found = [entry for entry in found if entry.asset in names]
    if form.get("type", "all") != "all":
        found = [entry for entry in found if entry.type == form["type"]]
    bounds = _bounds(form, {entry.ledger_id: entry.at_ns for entry in found})
    page, count = _page(between(found, lambda entry: entry.at_ns, *bounds), form)
    return {"ledger": _ledger_rows(page)} | count


def query_ledgers(desk: Desk, account: str, form: Form) -> object:
    """`QueryLedgers`: ledger rows by id."""
    ids = set(_ids(form, "id", QUERY_ROWS_MAX))
    found = [entry for entry in seen_entries(desk, desk.exchange.ledgers(account)) if entry.ledger_id in ids]
    if not found:
        raise ExchangeRefusal("EQuery:Unknown ledger")
    return _ledger_rows(found)


def trade_volume(desk: Desk, account: str, form: Form) -> object:
    """`TradeVolume`: this account's rates in percent; no rates where no pair is named."""
    volume = desk.exchange.volume_30d(account)
    result: dict[str, object] = {"currency": "ZUSD", "volume": digits(volume, 4), "fees": None, "fees_maker": None}
    # Since July 2026 the tier is the best of three: this exchange has no futures, and counts no assets held.
    result["inputs"] = {
        "domain_spot_volume_30d": digits(volume, 4),
        "domain_futures_volume_30d": digits(ZERO, 4),
        "domain_assets_on_platform": digits(ZERO, 4),
    }
    if form.get("pair"):
        asked = [(text, find_pair(desk, text)) for text in form["pair"].split(",")]
        by_key = [(answer_key(rules, text, form), rules.fees) for text, rules in asked]
        result["fees"] = {key: _fee_row(fees, volume, lambda tier: tier.taker_percent) for key, fees in by_key}
        result["fees_maker"] = {key: _fee_row(fees, volume, lambda tier: tier.maker_percent) for key, fees in by_key}
    return result


def _order_rows(desk: Desk, orders: Iterable[Order], form: Form) -> dict[str, object]:
    pairs, with_trades = desk.exchange.pairs, is_true(form, "trades")
    return {order.order_id: order_record(order, pairs[order.pair], with_trades=with_trades) for order in orders}


def _trade_rows(desk: Desk, account: str, trades: Iterable[Trade], *, with_ledgers: bool) -> dict[str, object]:
    ledger_ids: dict[str, list[str]] = {}
    if with_ledgers:
        for entry in desk.exchange.ledgers(account):
            ledger_ids.setdefault(entry.ref_id, []).append(entry.ledger_id)
    pairs = desk.exchange.pairs
    return {
        trade.exec_id: trade_record(trade, pairs[trade.pair], ledger_ids[trade.exec_id] if with_ledgers else None)
        for trade in trades
    }


def _ledger_rows(entries: Iterable[LedgerEntry]) -> dict[str, object]:
    return {entry.ledger_id: ledger_record(entry) for entry in entries}


def _named(orders: Sequence[Order], form: Form) -> list[Order]:
    """Only the orders that bear the `userref` or `cl_ord_id` asked for."""
    found = list(orders)
    if form.get("userref"):
        userref = whole(form["userref"], "userref")
        found = [order for order in found if (order.userref or 0) == userref]
    if form.get("cl_ord_id"):
        key = cl_ord_id_key(form["cl_ord_id"])
        found = [order for order in found if order.cl_ord_id and cl_ord_id_key(order.cl_ord_id) == key]
    return found


def _bounds(form: Form, times: Mapping[str, int]) -> tuple[int | None, int | None]:
    """`start` and `end` in nanoseconds; an end in whole seconds includes that second."""
    start, end = form.get("start"), form.get("end")
    start_ns = bound_ns(start, times, "start") if start else None
    end_ns = bound_ns(end, times, "end") if end else None
    if end_ns is not None and end_ns % NANOS_PER_S == 0 and end not in times:
        end_ns += NANOS_PER_S - 1
    return start_ns, end_ns


def _page(found: list[T], form: Form, limit: int = PAGE) -> tuple[list[T], dict[str, object]]:
    """Rows from `ofs` on, and the count of all of them unless the client does without."""
    offset = whole(form["ofs"], "ofs") if form.get("ofs") else 0
    if offset < 0 or limit < 1:
        raise bad_argument("ofs" if offset < 0 else "limit")
    count: dict[str, object] = {} if is_true(form, "without_count") else {"count": len(found)}
    return found[offset : offset + limit], count


def _ids(form: Form, field: str, at_most: int) -> list[str]:
    ids = [text.strip() for text in form.get(field, "").split(",") if text.strip()]
    if not 1 <= len(ids) <= at_most:
        raise bad_argument(field)
    return ids


def _asset_name(text: str) -> str:
    plain, dot, wallet = text.partition(".")
    asset = find_asset(plain)
    if asset is None:
        raise ExchangeRefusal("EQuery:Unknown asset")
    return asset.name + dot + wallet


def _last_price(desk: Desk, pair: str) -> Decimal:
    return (desk.exchange.last_trade_price(pair) or ZERO) if pair in desk.exchange.pairs else ZERO


def _fee_row(schedule: FeeSchedule, volume: Decimal, percent: Callable[[FeeTier], Decimal]) -> dict[str, str | None]:
    tiers, index = schedule.tiers, schedule.tier_index(volume)
    following = tiers[index + 1] if index + 1 < len(tiers) else None
    return {
        "fee": digits(percent(tiers[index]), 4),
        "minfee": digits(percent(tiers[-1]), 4),
        "maxfee": digits(percent(tiers[0]), 4),
        "nextfee": digits(percent(following), 4) if following else None,
        "tiervolume": digits(tiers[index].volume_usd, 4),
        "nextvolume": digits(following.volume_usd, 4) if following else None,
    }


READING: dict[str, Handler] = {
    "Balance": balance,
    "BalanceEx": balance_extended,
    "TradeBalance": trade_balance,
    "OpenOrders": open_orders,
    "ClosedOrders": closed_orders,
    "QueryOrders": query_orders,
    "TradesHistory": trades_history,
    "QueryTrades": query_trades,
    "Ledgers": ledgers,
    "QueryLedgers": query_ledgers,
    "TradeVolume": trade_volume,
}
