"""Requests as clients of Kraken's make them, written from its documents: REST fields by method, WebSocket v2 messages.

What this sandbox does not have is here too: a broken client asks for anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from tests.fuzz.wounds import Document

Fields = Mapping[str, Any]

_LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "59000.0"}
_TRIGGERED = {"pair": "XXBTZUSD", "type": "sell", "volume": "0.01", "price": "58000.0"}
_ROW = {"type": "buy", "ordertype": "limit", "volume": "0.01", "price": "59000.0", "cl_ord_id": "row-1"}

REST: Mapping[str, Sequence[Fields]] = {
    "AddOrder": (
        _LIMIT,
        _LIMIT | {"oflags": "post,fciq", "cl_ord_id": "short-1", "deadline": "2026-09-21T14:13:30Z"},
        _LIMIT | {"timeinforce": "IOC", "userref": "7", "validate": "true", "stptype": "cancel-oldest"},
        _LIMIT | {"timeinforce": "GTD", "expiretm": "+60", "cl_ord_id": "6d1b345e-2821-40e2-ad83-4ecb18a06876"},
        _LIMIT | {"timeinforce": "FOK", "starttm": "0", "leverage": "none", "reduce_only": "false"},
        {"pair": "BTC/USD", "type": "buy", "ordertype": "market", "volume": "0.01"},
        {"pair": "BTC/USD", "type": "buy", "ordertype": "market", "volume": "100", "oflags": "viqc"},
        _TRIGGERED | {"ordertype": "stop-loss", "trigger": "last"},
        _TRIGGERED | {"ordertype": "stop-loss-limit", "price2": "57900.0", "trigger": "index"},
        _TRIGGERED | {"ordertype": "take-profit-limit", "price": "#5%", "price2": "#1"},
        _TRIGGERED | {"ordertype": "trailing-stop", "price": "+5%"},
        _TRIGGERED | {"ordertype": "trailing-stop-limit", "price": "+100", "price2": "+0"},
        _LIMIT | {"ordertype": "iceberg", "volume": "0.1", "displayvol": "0.01"},
        _LIMIT | {"close[ordertype]": "stop-loss-limit", "close[price]": "-5%", "close[price2]": "#0.5%"},
        _LIMIT | {"leverage": "5:1", "ordertype": "settle-position", "margin": "true"},
    ),
    "AddOrderBatch": ({"pair": "XBTUSD", "orders": [_ROW, {**_ROW, "cl_ord_id": "row-2"}], "deadline": ""},),
    "AmendOrder": (
        {"txid": "O1", "order_qty": "0.02", "limit_price": "59001.0"},
        {"cl_ord_id": "short-1", "limit_price": "+1%"},
    ),
    "EditOrder": ({"txid": "O1", "pair": "XBTUSD", "volume": "0.02", "price": "58000.0", "oflags": "post"},),
    "CancelOrder": ({"txid": "O1"}, {"txid": "7"}, {"cl_ord_id": "short-1"}, {"txid": "O1", "cl_ord_id": "x"}),
    "CancelOrderBatch": ({"orders": ["O1", 7], "cl_ord_ids": ["short-1"]},),
    "CancelAll": ({},),
    "CancelAllOrdersAfter": ({"timeout": "60"}, {"timeout": "0"}, {"timeout": 86400}),
    "Balance": ({}, {"asset": "ZUSD"}),
    "BalanceEx": ({},),
    "TradeBalance": ({"asset": "ZUSD"},),
    "OpenOrders": ({"trades": "true"}, {"userref": "7"}, {"cl_ord_id": "short-1"}),
    "ClosedOrders": (
        {"start": "1789999999", "end": "1790000001.5", "ofs": "0", "closetime": "both", "trades": "true"},
        {"without_count": "true", "consolidate_taker": "true", "start": "O1", "ofs": "50"},
    ),
    "QueryOrders": ({"txid": "O1,O2", "trades": "true"},),
    "TradesHistory": ({"type": "all", "start": "0", "end": "1790000000", "ofs": "0", "pair": "XBTUSD", "limit": "5"},),
    "QueryTrades": ({"txid": "T1", "trades": "true"},),
    "Ledgers": ({"asset": "XXBT,ZUSD", "type": "trade", "start": "0", "ofs": "0", "aclass": "currency"},),
    "QueryLedgers": ({"id": "L1"},),
    "TradeVolume": ({"pair": "XBTUSD,ETHUSD"}, {"fee-info": "true", "fee_schedule": "true"}),
    "OrderAmends": ({"order_id": "O1"},),
    "GetApiKeyInfo": ({},),
    "GetWebSocketsToken": ({},),
    "WithdrawFunds": ({"asset": "XBT", "key": "x", "amount": "1"},),
    "OpenPositions": ({},),
    "Time": ({},),
    "SystemStatus": ({},),
    "Assets": ({"asset": "XBT,ZUSD", "aclass": "currency", "assetVersion": "1"},),
    "AssetPairs": ({"pair": "XBTUSD,ETH/USD", "info": "fees", "country_code": "US"},),
    "Ticker": ({"pair": "XBTUSD"}, {}),
    "OHLC": ({"pair": "BTC/USD", "interval": "60", "since": "1789000000"},),
    "Depth": ({"pair": "XXBTZUSD", "count": "10"},),
    "Trades": ({"pair": "XBTUSD", "since": "1789000000000000000", "count": "10"},),
    "Spread": ({"pair": "XBTUSD", "since": "1789000000"},),
}
PUBLIC = ("Time", "SystemStatus", "Assets", "AssetPairs", "Ticker", "OHLC", "Depth", "Trades", "Spread")
PRIVATE = tuple(name for name in REST if name not in PUBLIC)

PRIVATE_FORMS = tuple((name, form) for name in PRIVATE for form in REST[name])  # orders stand for a quarter of them

TOKEN = "token-1"
_PAIRS = ["BTC/USD", "ETH/USD"]
_ORDER = {
    "order_type": "limit",
    "side": "buy",
    "symbol": "BTC/USD",
    "order_qty": 0.01,
    "limit_price": 59000.0,
    "fee_preference": "quote",
    "token": TOKEN,
}
_TRIGGERS = {"reference": "last", "price": 58000.0, "price_type": "static"}

SOCKET: Sequence[tuple[str, Any]] = (
    ("ping", None),
    *(("subscribe", {"channel": "book", "symbol": _PAIRS, "depth": depth, "snapshot": True}) for depth in (10, 1000)),
    ("subscribe", {"channel": "trade", "symbol": _PAIRS, "snapshot": True}),
    ("subscribe", {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo"}),
    ("subscribe", {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 60}),
    ("subscribe", {"channel": "instrument", "snapshot": True, "include_tokenized_assets": False}),
    ("subscribe", {"channel": "level3", "symbol": ["BTC/USD"], "depth": 10, "token": TOKEN}),
    ("subscribe", {"channel": "status"}),
    (
        "subscribe",
        {"channel": "executions", "snap_orders": True, "snap_trades": True, "ratecounter": True, "token": TOKEN},
    ),
    ("subscribe", {"channel": "balances", "snapshot": True, "token": TOKEN}),
    ("unsubscribe", {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}),
    ("unsubscribe", {"channel": "executions", "token": TOKEN}),
    ("add_order", _ORDER),
    (
        "add_order",
        _ORDER | {"post_only": True, "time_in_force": "gtc", "cl_ord_id": "short-1", "stp_type": "cancel_both"},
    ),
    ("add_order", _ORDER | {"time_in_force": "ioc", "order_userref": 7, "deadline": "2026-09-21T14:13:30.000Z"}),
    ("add_order", _ORDER | {"time_in_force": "gtd", "expire_time": "2026-09-21T15:00:00Z", "validate": True}),
    ("add_order", {**_ORDER, "order_type": "market", "limit_price": None}),
    ("add_order", {**_ORDER, "order_type": "stop-loss-limit", "triggers": _TRIGGERS, "limit_price_type": "static"}),
    (
        "add_order",
        {**_ORDER, "order_type": "trailing-stop", "triggers": {**_TRIGGERS, "price": 5, "price_type": "pct"}},
    ),
    ("add_order", {**_ORDER, "order_type": "iceberg", "order_qty": 0.1, "display_qty": 0.01}),
    (
        "add_order",
        {**_ORDER, "conditional": {"order_type": "stop-loss-limit", "trigger_price": 1.0, "limit_price": 1.0}},
    ),
    ("add_order", _ORDER | {"leverage": 5, "margin": True, "reduce_only": True}),
    ("amend_order", {"order_id": "O1", "order_qty": 0.02, "limit_price": 59001.0, "post_only": True, "token": TOKEN}),
    ("amend_order", {"cl_ord_id": "short-1", "limit_price": 59002.0, "token": TOKEN}),
    ("edit_order", {"order_id": "O1", "symbol": "BTC/USD", "order_qty": 0.02, "token": TOKEN}),
    ("cancel_order", {"order_id": ["O1", "O2"], "token": TOKEN}),
    ("cancel_order", {"cl_ord_id": ["short-1"], "token": TOKEN}),
    ("cancel_order", {"order_userref": [7], "token": TOKEN}),
    ("cancel_all", {"token": TOKEN}),
    ("cancel_all_orders_after", {"timeout": 60, "token": TOKEN}),
    ("batch_add", {"symbol": "BTC/USD", "orders": [_ORDER, _ORDER], "validate": False, "token": TOKEN}),
    ("batch_cancel", {"orders": ["O1", "O2"], "cl_ord_id": ["short-1"], "token": TOKEN}),
)


@cache
def socket_documents() -> tuple[Document, ...]:
    """The WebSocket messages, ready to be wounded."""
    made = []
    for number, (method, params) in enumerate(SOCKET):
        message = {"method": method, "req_id": number} | ({} if params is None else {"params": params})
        made.append(Document(json.dumps(message).encode()))
    return tuple(made)
