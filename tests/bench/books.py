"""Bytes of a `book` update to a verified book: ours, the decoding alone, and what others do with the same frames."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any

import msgspec

from aether.domain.inputs import BookChanged
from aether.domain.spot_gate import recall
from aether.kraken.book_sync import BookSync
from aether.kraken.book_text import HEAD_END, update_head
from aether.kraken.messages import BooksRead
from aether.kraken.wire import Reader
from tests.bench.stream import Stream, made, recorded
from tests.bench.timing import Goal, Pass, Row, in_turns

DEPTHS = (10, 100, 1000)
_LEVEL = re.compile(r'\{"price":([0-9.]+),"qty":([0-9.]+)\}')


class _Level(msgspec.Struct, gc=False):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: int
    timestamp: str = ""


class _Frame(msgspec.Struct, gc=False):
    channel: str
    type: str
    data: list[_Book]


def rows(*, quick: bool) -> Iterator[Row]:
    """One row for the recorded stream and one for each depth of the made one."""
    rounds, updates = (3, 1000) if quick else (15, 4000)
    for stream in (recorded(), *(made(depth, updates) for depth in DEPTHS)):
        yield _row(stream, rounds)


def _row(stream: Stream, rounds: int) -> Row:
    takes: dict[str, Callable[[], Pass]] = {
        "aether": lambda: aether_book(stream, _Unseen),
        "aether with its picture": lambda: aether_book(stream, BookSync),
        "decode alone": lambda: decode_alone(stream),
        "ccxt.pro": lambda: ccxt_book(stream),
        "cryptofeed": lambda: cryptofeed_book(stream),
    }
    ns = in_turns(takes, rounds)
    ours = ns["aether"]
    goals = [
        Goal("of the decoding alone", ours / ns["decode alone"], 3, at_most=True),
        Goal("faster than ccxt.pro", ns["ccxt.pro"] / ours, 5, at_most=False),
        Goal("faster than cryptofeed", ns["cryptofeed"] / ours, 5, at_most=False),
    ]
    figures = {name: time / 1000 for name, time in ns.items()}
    return Row(f"book update to verified book, depth {stream.depth}, {stream.name}", "µs", figures, goals)


class _Unseen(BookSync):
    """A book that is verified as ever, and whose picture nobody wants."""

    __slots__ = ()
    _NOTHING = BookChanged(recall("BTC/USD"), (), (), 0, 0)

    def top(self) -> BookChanged:
        return self._NOTHING


def aether_book(stream: Stream, kind: type[BookSync]) -> Pass:
    """Our book as the feed drives it; of the picture of the top ten that it hands on no peer makes the like."""
    symbol = recall(stream.symbol)
    book = kind(symbol, stream.price_decimals, stream.qty_decimals, stream.depth)
    snapshot = Reader(recall).read(stream.snapshot)
    assert isinstance(snapshot, BooksRead)
    book.apply(snapshot.books[0])
    books = {update_head(symbol): book}

    def run() -> int:
        for frame in stream.updates:
            head, _, text = frame.partition(HEAD_END)
            books[head].apply_plain(text)
        assert book.is_whole
        return len(stream.updates)

    return run


def decode_alone(stream: Stream) -> Pass:
    decode = msgspec.json.Decoder(_Frame).decode

    def run() -> int:
        for frame in stream.updates:
            decode(frame)
        return len(stream.updates)

    return run


def ccxt_exchange(**settings: Any) -> Any:
    """ccxt.pro's Kraken, which takes its markets from us, so that no network is asked."""
    pro = import_module("ccxt.pro")
    return pro.kraken({"enableRateLimit": False, **settings})


def ccxt_client() -> tuple[Any, Any]:
    """An exchange, and a client of it that hears what is handed to it."""
    exchange = ccxt_exchange()
    client_module = import_module("ccxt.async_support.base.ws.client")

    async def connect() -> Any:
        return client_module.Client("ws://127.0.0.1", exchange.handle_message, *[lambda *_: None] * 3)

    return exchange, asyncio.run(connect())


def ccxt_book(stream: Stream) -> Pass:
    """Its client's own road for a text message, with orjson: decode, find the handler, apply. It checks nothing."""
    exchange, client = ccxt_client()
    client.subscriptions[exchange.get_message_hash("orderbook", None, stream.symbol)] = {"limit": stream.depth}
    client.handle_text_or_binary_message(stream.snapshot.decode())
    texts = [frame.decode() for frame in stream.updates]

    def run() -> int:
        for text in texts:
            client.handle_text_or_binary_message(text)
        assert len(exchange.orderbooks[stream.symbol]["bids"]) == stream.depth
        return len(texts)

    return run


def cryptofeed_book(stream: Stream) -> Pass:
    """Its own reader and its own check of every update."""
    feed = cryptofeed_feed(stream)
    texts = [as_v1(frame, "a", "b") for frame in stream.updates]

    def run() -> int:
        for text in texts:
            run_at_once(feed.message_handler(text, None, 0.0))
        return len(texts)

    return run


def cryptofeed_feed(stream: Stream) -> Any:
    """It speaks WebSocket v1: the same levels and checksums are told to it in v1's shape. The snapshot is in."""
    kraken = import_module("cryptofeed.exchanges").Kraken
    symbols = import_module("cryptofeed.symbols").Symbols
    symbols.set("KRAKEN", {"BTC-USD": "XBT/USD"}, {"instrument_type": {"BTC-USD": "spot"}})
    feed = kraken(symbols=["BTC-USD"], channels=["l2_book"], max_depth=stream.depth, checksum_validation=True)
    run_at_once(feed.message_handler(as_v1(stream.snapshot, "as", "bs"), None, 0.0))
    return feed


def as_v1(frame: bytes, asks: str, bids: str) -> str:
    """A v2 frame in v1's words: `[channel, {side: [[price, qty, time]], "c": checksum}, name, pair]`."""
    text = frame.decode()
    bids_text, _, asks_text = text.partition('"asks":')
    checksum = text.rpartition('"checksum":')[2].split(",")[0]
    sides = {
        side: ",".join(f'["{price}","{qty}","1534614248.765567"]' for price, qty in _LEVEL.findall(levels))
        for side, levels in ((asks, asks_text), (bids, bids_text))
    }
    told = ",".join(f'"{side}":[{levels}]' for side, levels in sides.items() if levels)
    return f'[336,{{{told},"c":"{checksum}"}},"book-10","XBT/USD"]'


def run_at_once(waiting: Any) -> None:
    """Run a coroutine that never waits, without the cost of a loop."""
    try:
        waiting.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")
