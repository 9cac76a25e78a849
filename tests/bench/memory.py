"""Memory that 500 books of depth 1000 add to a process; each candidate is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from aether.domain.spot_gate import recall
from aether.kraken.book_sync import BookSync
from aether.kraken.messages import BooksRead
from aether.kraken.wire import Reader
from tests.bench.books import as_v1, ccxt_client, cryptofeed_feed, run_at_once
from tests.bench.stream import Stream, made
from tests.bench.timing import Goal, Row

BOOKS = 500
DEPTH = 1000
UPDATES = 50  # so that each book holds what updates leave behind, too


def rows(*, quick: bool) -> Iterator[Row]:
    """Resident memory before and after, in MiB; ccxt.pro and cryptofeed hold their books as they always do."""
    del quick
    figures = {name: _added(name) for name in HOLDERS}
    share = figures["aether"] / figures["ccxt.pro"]
    goals = [Goal("of what ccxt.pro adds", share, 1 / 8, at_most=True)]
    yield Row(f"memory of {BOOKS} books of depth {DEPTH}", "MiB", figures, goals)


def _added(name: str) -> float:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "tests.bench.memory", name]
    told = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout
    return float(json.loads(told))


def _hold_aether(streams: Iterable[Stream]) -> Any:
    books, read = [], Reader(recall).read
    for stream in streams:
        book = BookSync(recall(stream.symbol), 1, 8, DEPTH)
        for frame in (stream.snapshot, *stream.updates):
            message = read(frame)
            assert isinstance(message, BooksRead)
            book.apply(message.books[0])
        assert book.is_whole
        books.append(book)
    return books


def _hold_ccxt(streams: Iterable[Stream]) -> Any:
    exchange, client = ccxt_client()
    for stream in streams:
        client.subscriptions[exchange.get_message_hash("orderbook", None, stream.symbol)] = {"limit": DEPTH}
        for frame in (stream.snapshot, *stream.updates):
            client.handle_text_or_binary_message(frame.decode())
    return exchange, client


def _hold_cryptofeed(streams: Iterable[Stream]) -> Any:
    feeds = []
    for stream in streams:
        feed = cryptofeed_feed(stream)
        for frame in stream.updates:
            run_at_once(feed.message_handler(as_v1(frame, "a", "b"), None, 0.0))
        feeds.append(feed)
    return feeds


HOLDERS: dict[str, Callable[[Iterable[Stream]], Any]] = {
    "aether": _hold_aether,
    "ccxt.pro": _hold_ccxt,
    "cryptofeed": _hold_cryptofeed,
}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main(name: str) -> None:
    """Hold all books; the frames come one book after another, from one stream under many names."""
    hold, stream = HOLDERS[name], made(DEPTH, UPDATES)
    hold([replace(stream, symbol="BTC/USD")])  # imports and caches are no book's
    before = _resident_mib()
    held = hold(_renamed(stream, f"C{number}/USD") for number in range(BOOKS))
    print(json.dumps(_resident_mib() - before))
    del held


def _renamed(stream: Stream, symbol: str) -> Stream:
    """The same stream under another name."""
    own = symbol.encode()
    frames = tuple(frame.replace(b"BTC/USD", own) for frame in stream.updates)
    return replace(stream, symbol=symbol, snapshot=stream.snapshot.replace(b"BTC/USD", own), updates=frames)


if __name__ == "__main__":
    main(sys.argv[1])
