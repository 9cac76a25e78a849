"""Tickers and candles of WebSocket v2: a second opinion on prices, and what recordings hold.

Source: Kraken docs, WebSocket v2 channels `ticker` and `ohlc`, and captured frames. A candle's `timestamp` is the end
of its interval and deprecated; `interval_begin` tells where it stands.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from aether.domain.inputs import Bar
from aether.domain.values import NANOS_PER_S, Price, Qty, Symbol
from aether.kraken.messages import Candle, Ticker
from aether.kraken.shapes import Whole
from aether.kraken.strict_json import Unreadable, decode, not_negative, positive, rfc3339_to_nanos

S_PER_MIN = 60


class _TickerShape(msgspec.Struct):
    symbol: str
    bid: Raw
    bid_qty: Raw
    ask: Raw
    ask_qty: Raw
    last: Raw
    volume: Raw
    timestamp: str = ""  # not sent before 2026


class _CandleShape(msgspec.Struct):
    symbol: str
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    interval_begin: str
    interval: Whole


_TICKER = msgspec.json.Decoder(_TickerShape)
_CANDLE = msgspec.json.Decoder(_CandleShape)


def read_ticker(row: Raw, admit: Callable[[str], Symbol | None]) -> Ticker | None:
    """One row of `ticker`; None where its name is not admitted. Raises Unreadable.

    An empty side of the book, or a pair without any trade, is told as 0: such a price is None.
    """
    shape: _TickerShape = decode(_TICKER, row)
    symbol = admit(shape.symbol)
    if symbol is None:
        return None
    return Ticker(
        symbol=symbol,
        bid=_price(shape.bid, "bid"),
        bid_qty=Qty(not_negative(shape.bid_qty, "bid_qty")),
        ask=_price(shape.ask, "ask"),
        ask_qty=Qty(not_negative(shape.ask_qty, "ask_qty")),
        last=_price(shape.last, "last"),
        volume=Qty(not_negative(shape.volume, "volume")),
        venue_ns=rfc3339_to_nanos(shape.timestamp, "timestamp") if shape.timestamp else 0,
    )


def read_candle(row: Raw, admit: Callable[[str], Symbol | None]) -> Candle | None:
    """One row of `ohlc`; None where its name is not admitted. Raises Unreadable."""
    shape: _CandleShape = decode(_CANDLE, row)
    symbol = admit(shape.symbol)
    if symbol is None:
        return None
    if not shape.interval:
        raise Unreadable("interval is 0")
    first, high, low, last = (
        positive(token, name)
        for token, name in ((shape.open, "open"), (shape.high, "high"), (shape.low, "low"), (shape.close, "close"))
    )
    if not low <= min(first, last) <= max(first, last) <= high:
        raise Unreadable(f"a candle from {first} to {last} between {low} and {high}")
    began_ns = rfc3339_to_nanos(shape.interval_begin, "interval_begin")
    volume = not_negative(shape.volume, "volume")
    bar = Bar(open_s=began_ns // NANOS_PER_S, open=first, high=high, low=low, close=last, volume=volume)
    return Candle(symbol, bar, shape.interval * S_PER_MIN)


def _price(token: Raw, name: str) -> Price | None:
    price = not_negative(token, name)
    return Price(price) if price else None
