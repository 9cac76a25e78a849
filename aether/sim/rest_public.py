"""Kraken's public REST endpoints, answered from the desk. Each handler takes the query and returns `result`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from aether.domain.values import NANOS_PER_S, ZERO
from aether.sim.assets import Asset, assets_of, find_asset
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal, PairRules
from aether.sim.field_text import bad_argument
from aether.sim.market_board import INTERVALS_MINUTES, Candle, Figures
from aether.sim.market_frames import announcements
from aether.sim.records import BookSide, PublicTrade
from aether.sim.rest_records import price_digits
from aether.sim.wire import digits, epoch, number, rfc1123, rfc3339

Query = Mapping[str, str]
Handler = Callable[[Desk, Query], object]

VENUE = "international"  # Kraken's other one is not made here

_BOOK_QTY_DECIMALS = 3  # REST `Depth` and `Ticker` round quantities of levels, unlike the WebSocket book

# Kraken REST `AssetPairs`, parameter `info`: which fields of a row each kind of answer has.
_INFO_FIELDS = {
    "leverage": ("leverage_buy", "leverage_sell"),
    "fees": ("fees", "fees_maker", "fee_volume_currency"),
    "margin": ("margin_call", "margin_stop"),
}


def find_pair(desk: Desk, text: str) -> PairRules:
    """The pair called by key, altname or v2 name. Raises ExchangeRefusal for any other text."""
    for rules in desk.exchange.pairs.values():
        if text in (rules.key, rules.altname, rules.name):
            return rules
    raise ExchangeRefusal("EQuery:Unknown asset pair")


def answer_key(rules: PairRules, asked: str, query: Query) -> str:
    """What the answer is keyed by: the canonical key, or the v2 name where that was asked for."""
    return rules.name if asked == rules.name or query.get("assetVersion") == "1" else rules.key


def server_time(desk: Desk, _: Query) -> object:
    """`Time`."""
    now_ns = desk.now_ns()
    return {"unixtime": now_ns // NANOS_PER_S, "rfc1123": rfc1123(now_ns)}


def system_status(desk: Desk, _: Query) -> object:
    """`SystemStatus`."""
    status = desk.exchange.system_status
    return {"status": status, "timestamp": rfc3339(desk.now_ns(), 0), **announcements(desk)}


def assets(desk: Desk, query: Query) -> object:
    """`Assets`."""
    if query.get("aclass", "currency") != "currency":
        return {}
    traded = assets_of(desk.exchange.pairs.values())
    wanted = [_asset(text) for text in query["asset"].split(",")] if query.get("asset") else traded
    by_name = query.get("assetVersion") == "1"
    return {asset.name if by_name else asset.asset_id: _asset_row(asset) for asset in wanted}


def asset_pairs(desk: Desk, query: Query) -> object:
    """`AssetPairs`: the recorded rows, with the rules of now. Since September 2026 their fee arrays are empty."""
    info = query.get("info", "info")
    if info != "info" and info not in _INFO_FIELDS:
        raise bad_argument("info")
    asked = query["pair"].split(",") if query.get("pair") else [rules.key for rules in desk.exchange.pairs.values()]
    rows: dict[str, object] = {}
    if query.get("aclass_base") == "tokenized_asset" or (query.get("execution_venue") or VENUE) != VENUE:
        return rows
    fees: dict[str, object] = {} if desk.manners.with_fees else {"fees": [], "fees_maker": []}
    for text in asked:
        rules = find_pair(desk, text)
        row = dict(desk.pair_rows[rules.key]) | fees | _live_fields(rules)
        if query.get("assetVersion") == "1":
            row |= {"base": rules.base, "quote": rules.quote}
        if info != "info":
            row = {field: row[field] for field in _INFO_FIELDS[info] if field in row}
        rows[answer_key(rules, text, query)] = row
    return rows


def _live_fields(rules: PairRules) -> dict[str, object]:
    return {
        "pair_decimals": rules.price_decimals,
        "cost_decimals": rules.cost_decimals,
        "lot_decimals": rules.qty_decimals,
        "ordermin": format(rules.qty_min, "f"),
        "costmin": format(rules.cost_min, "f"),
        "tick_size": format(Decimal(1).scaleb(-rules.price_decimals), "f"),
        "status": rules.status,
    }


def ticker(desk: Desk, query: Query) -> object:
    """`Ticker`."""
    asked = query["pair"].split(",") if query.get("pair") else [rules.key for rules in desk.exchange.pairs.values()]
    pairs = [(text, find_pair(desk, text)) for text in asked]
    return {answer_key(rules, text, query): _ticker_row(desk, rules) for text, rules in pairs}


def ohlc(desk: Desk, query: Query) -> object:
    """`OHLC`: up to 720 candles and the running one; `last` is the opening of the newest complete one."""
    rules = find_pair(desk, query.get("pair", ""))
    minutes = query.get("interval") or "1"
    if minutes not in map(str, INTERVALS_MINUTES):
        raise bad_argument("interval")
    since_s = _since(query, 12)
    candles = desk.board.candles(rules.name, int(minutes), desk.now_ns())
    rows = [_candle_row(candle, rules) for candle in candles if candle.open_s > since_s]
    last_s = candles[-2].open_s if len(candles) > 1 else since_s
    return {answer_key(rules, query["pair"], query): rows, "last": last_s}


def depth(desk: Desk, query: Query) -> object:
    """`Depth`: price, quantity and the second of the last change of each level."""
    rules = find_pair(desk, query.get("pair", ""))
    text = query.get("count") or "100"
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 500):
        raise bad_argument("count")
    book = desk.exchange.book(rules.name, int(text))
    sides: dict[BookSide, tuple[tuple[Decimal, Decimal], ...]] = {"ask": book.asks, "bid": book.bids}
    rows = {
        f"{side}s": [
            [price_digits(price, rules), digits(qty, _BOOK_QTY_DECIMALS), desk.board.level_s(rules.name, side, price)]
            for price, qty in levels
        ]
        for side, levels in sides.items()
    }
    return {answer_key(rules, query["pair"], query): rows}


def trades(desk: Desk, query: Query) -> object:
    """`Trades`: the newest, or the oldest after `since` (nanoseconds); `last` is the next `since`."""
    rules = find_pair(desk, query.get("pair", ""))
    text = query.get("count") or "1000"
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000):
        raise bad_argument("count")
    count, known = int(text), desk.exchange.public_trades(rules.name)
    since_ns = _since(query, 20)
    page = _after(known, since_ns, count) if query.get("since") else known[-count:]
    last_ns = page[-1].at_ns if page else since_ns
    return {answer_key(rules, query["pair"], query): [_trade_row(trade, rules) for trade in page], "last": str(last_ns)}


def spread(desk: Desk, query: Query) -> object:
    """`Spread`: the best prices as they changed; `last` is the next `since`, in seconds."""
    rules = find_pair(desk, query.get("pair", ""))
    since_s = _since(query, 12)
    rows = [row for row in desk.board.spreads(rules.name) if row.at_s >= since_s]
    shown = [[row.at_s, price_digits(row.bid, rules), price_digits(row.ask, rules)] for row in rows]
    return {answer_key(rules, query["pair"], query): shown, "last": rows[-1].at_s if rows else since_s}


def _after(known: list[PublicTrade], since_ns: int, count: int) -> list[PublicTrade]:
    newer = [trade for trade in known if trade.at_ns > since_ns]
    # Trades of one moment stay on one page: `last` could not tell them apart.
    return [trade for trade in newer if trade.at_ns <= newer[min(count, len(newer)) - 1].at_ns]


def _since(query: Query, digits_max: int) -> int:
    text = query.get("since") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= digits_max):
        raise bad_argument("since")
    return int(text)


def _asset(text: str) -> Asset:
    asset = find_asset(text)
    if asset is None:
        raise ExchangeRefusal("EQuery:Unknown asset")
    return asset


def _asset_row(asset: Asset) -> object:
    row: dict[str, object] = {
        "aclass": "currency",
        "altname": asset.altname,
        "decimals": asset.decimals,
        "display_decimals": asset.display_decimals,
    }
    if not asset.collateral:
        return row | {"status": "enabled"}
    lent = {"collateral_value": number(asset.collateral, 2), "status": "enabled"}
    return row | lent | {"margin_rate": str(asset.margin_rate)}


def _candle_row(candle: Candle, rules: PairRules) -> list[object]:
    prices = (candle.open, candle.high, candle.low, candle.close, candle.vwap)
    texts = [digits(price, rules.price_decimals) for price in prices]
    return [candle.open_s, *texts, digits(candle.volume, rules.qty_decimals), candle.count]


def _trade_row(trade: PublicTrade, rules: PairRules) -> list[object]:
    price, qty = price_digits(trade.price, rules), digits(trade.qty, rules.qty_decimals)
    return [price, qty, epoch(trade.at_ns, 7), trade.side[0], trade.order_type[0], "", trade.trade_id]


def _ticker_row(desk: Desk, rules: PairRules) -> object:
    now_ns, book = desk.now_ns(), desk.exchange.book(rules.name, 1)
    newest = desk.exchange.public_trades(rules.name)[-1:]
    last = desk.exchange.last_trade_price(rules.name) or ZERO
    empty = Figures(last, last, last, last, ZERO, 0)
    today = desk.board.today(rules.name, now_ns) or empty
    day = desk.board.last_day(rules.name, now_ns) or empty
    spans = (today, day)
    return {
        "a": _level(book.asks, rules),
        "b": _level(book.bids, rules),
        "c": [price_digits(last, rules), digits(newest[0].qty if newest else ZERO, rules.qty_decimals)],
        "v": [digits(span.volume, rules.qty_decimals) for span in spans],
        "p": [price_digits(span.vwap, rules) for span in spans],
        "t": [span.count for span in spans],
        "l": [price_digits(span.low, rules) for span in spans],
        "h": [price_digits(span.high, rules) for span in spans],
        "o": price_digits(today.open, rules),
    }


def _level(levels: tuple[tuple[Decimal, Decimal], ...], rules: PairRules) -> list[str]:
    price, qty = levels[0] if levels else (ZERO, ZERO)
    return [price_digits(price, rules), str(int(qty)), digits(qty, _BOOK_QTY_DECIMALS)]


PUBLIC: dict[str, Handler] = {
    "Time": server_time,
    "SystemStatus": system_status,
    "Assets": assets,
    "AssetPairs": asset_pairs,
    "Ticker": ticker,
    "OHLC": ohlc,
    "Depth": depth,
    "Trades": trades,
    "Spread": spread,
}
