"""Frames of the public WebSocket v2 channels: numbers are JSON numbers with all of the pair's digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from aether.domain.values import NANOS_PER_S, ZERO
from aether.sim.assets import Asset, assets_of
from aether.sim.desk import Desk
from aether.sim.exchange import Book, PairRules
from aether.sim.market_board import Candle, Figures
from aether.sim.records import PublicTrade
from aether.sim.wire import Rows, checksum, encode, number, rfc3339

Data = dict[str, object]

_PHASES = (
    (86_401, "announced"),
    (1_801, "reminder_24h"),
    (301, "approaching_30m"),
    (31, "imminent_5m"),
    (0, "final_warning_30s"),
)


def frame(channel: str, kind: str, data: object) -> str:
    """A data frame; `kind` is `snapshot` or `update`."""
    return encode({"channel": channel, "type": kind, "data": data})


def status_frame(desk: Desk, connection_id: int) -> str:
    """`status`: sent on connect and at each change."""
    row: Data = {"version": "2.0.10", "system": desk.exchange.system_status, "api_version": "v2"}
    row |= {"connection_id": connection_id, **announcements(desk)}
    return frame("status", "update", [row])


def announcements(desk: Desk) -> Data:
    """What `status` and `SystemStatus` say of standstills to come, with the words that Kraken's own pages list."""
    windows: list[Data] = []
    for number_of, window in enumerate(desk.exchange.announced, start=1):
        to_start_s = max(0, window.start_ns - desk.now_ns()) // NANOS_PER_S
        windows.append(
            {
                "event_id": number_of,
                "title": "Scheduled maintenance",
                "expected_start_utc": rfc3339(window.start_ns),
                "expected_end_utc": None if window.end_ns is None else rfc3339(window.end_ns),
                "time_to_start_s": to_start_s,
                "phase": next(phase for least_s, phase in _PHASES if to_start_s >= least_s),
                "affected_services": ["all"],
                "order_submission": "allowed",
                "recommended_action": "continue",
            }
        )
    return {"upcoming_maintenance": windows, "emergency": []}


def instrument_frame(desk: Desk, kind: str, pairs: Iterable[PairRules]) -> str:
    """`instrument`: an object, not a list, with assets and pairs; updates carry what changed: never an asset."""
    assets = assets_of(desk.exchange.pairs.values()) if kind == "snapshot" else []
    pair_rows = [_pair_data(rules, desk.pair_rows[rules.key]) for rules in pairs]
    return frame("instrument", kind, {"assets": [_asset_data(asset) for asset in assets], "pairs": pair_rows})


def book_frame(desk: Desk, kind: str, book: Book, bids: Rows, asks: Rows) -> str:
    """`book`: these levels, and the checksum of `book` as the subscriber holds it after them."""
    rules = desk.exchange.pairs[book.pair]
    row: Data = {
        "symbol": book.pair,
        "bids": _level_data(bids, rules),
        "asks": _level_data(asks, rules),
        "checksum": checksum(book.bids, book.asks, rules.price_decimals, rules.qty_decimals),
        "timestamp": rfc3339(desk.now_ns()),
    }
    return frame("book", kind, [row])


def trade_frame(desk: Desk, kind: str, trades: Iterable[PublicTrade]) -> str:
    """`trade`: one row for each trade, oldest first."""
    pairs = desk.exchange.pairs
    return frame("trade", kind, [_trade_data(trade, pairs[trade.pair]) for trade in trades])


def candle_frame(desk: Desk, kind: str, symbol: str, minutes: int, candles: Sequence[Candle]) -> str:
    """`ohlc`: candles, oldest first."""
    rules = desk.exchange.pairs[symbol]
    rows = [_candle_data(candle, rules, minutes) for candle in candles]
    return encode({"channel": "ohlc", "type": kind, "timestamp": rfc3339(desk.now_ns(), 9), "data": rows})


def ticker_frame(desk: Desk, kind: str, symbol: str) -> str:
    """`ticker`: best prices of now, and the figures of the last 24 hours."""
    rules, book = desk.exchange.pairs[symbol], desk.exchange.book(symbol, 1)
    last = desk.exchange.last_trade_price(symbol) or ZERO
    day = desk.board.last_day(symbol, desk.now_ns()) or Figures(last, last, last, last, ZERO, 0)
    bid, bid_qty = book.bids[0] if book.bids else (ZERO, ZERO)
    ask, ask_qty = book.asks[0] if book.asks else (ZERO, ZERO)
    change = last - day.open
    row: Data = {
        "symbol": symbol,
        "bid": number(bid, rules.price_decimals),
        "bid_qty": number(bid_qty, rules.qty_decimals),
        "ask": number(ask, rules.price_decimals),
        "ask_qty": number(ask_qty, rules.qty_decimals),
        "last": number(last, rules.price_decimals),
        "volume": number(day.volume, rules.qty_decimals),
        "vwap": number(day.vwap, rules.price_decimals),
        "low": number(day.low, rules.price_decimals),
        "high": number(day.high, rules.price_decimals),
        "change": number(change, rules.price_decimals),
        "change_pct": number(change / day.open * 100 if day.open else ZERO, 2),
        "trades": day.count,
        "timestamp": rfc3339(desk.now_ns()),
    }
    return frame("ticker", kind, [row])


def _level_data(levels: Rows, rules: PairRules) -> list[Data]:
    return [
        {"price": number(price, rules.price_decimals), "qty": number(qty, rules.qty_decimals)} for price, qty in levels
    ]


def _trade_data(trade: PublicTrade, rules: PairRules) -> Data:
    return {
        "symbol": trade.pair,
        "side": trade.side,
        "price": number(trade.price, rules.price_decimals),
        "qty": number(trade.qty, rules.qty_decimals),
        "ord_type": trade.order_type,
        "trade_id": trade.trade_id,
        "timestamp": rfc3339(trade.at_ns),
    }


def _candle_data(candle: Candle, rules: PairRules, minutes: int) -> Data:
    nanos = candle.open_s * 1_000_000_000
    return {
        "symbol": rules.name,
        "open": number(candle.open, rules.price_decimals),
        "high": number(candle.high, rules.price_decimals),
        "low": number(candle.low, rules.price_decimals),
        "close": number(candle.close, rules.price_decimals),
        "trades": candle.count,
        "volume": number(candle.volume, rules.qty_decimals),
        "vwap": number(candle.vwap, rules.price_decimals),
        "interval_begin": rfc3339(nanos, 9),
        "interval": minutes,
        "timestamp": rfc3339(nanos + minutes * 60_000_000_000),  # the END of the interval, as Kraken has it
    }


def _asset_data(asset: Asset) -> Data:
    row: Data = {
        "id": asset.name,
        "status": "enabled",
        "precision": asset.decimals,
        "precision_display": asset.display_decimals,
        "borrowable": bool(asset.collateral),
    }
    if asset.collateral:
        row |= {"collateral_value": number(asset.collateral, 2), "margin_rate": number(asset.margin_rate, 6)}
    return row | {"class": "currency"}


def _pair_data(rules: PairRules, row: Data) -> Data:
    """The pair as v2 tells it; margin figures follow from the recorded `AssetPairs` row."""
    leverage = row["leverage_buy"]
    assert isinstance(leverage, list), f"{rules.key}: leverage {leverage}"
    tick = number(Decimal(1).scaleb(-rules.price_decimals), rules.price_decimals)
    data: Data = {
        "symbol": rules.name,
        "base": rules.base,
        "quote": rules.quote,
        "status": rules.status,
        "qty_precision": rules.qty_decimals,
        "qty_increment": number(Decimal(1).scaleb(-rules.qty_decimals), rules.qty_decimals),
        "price_precision": rules.price_decimals,
        "cost_precision": rules.cost_decimals,
        "marginable": bool(leverage),
        "has_index": True,
        "cost_min": number(rules.cost_min, 2),
        "tick_size": tick,
        "price_increment": tick,
        "qty_min": number(rules.qty_min, rules.qty_decimals),
    }
    if leverage:
        data["margin_initial"] = number(Decimal(1) / max(leverage), 2)
        data["position_limit_long"] = row.get("long_position_limit", 0)
        data["position_limit_short"] = row.get("short_position_limit", 0)
    return data
