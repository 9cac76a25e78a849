"""Clients of the loopback venue, each a program of its own: `clients.py NAME PORT ORDERS`. Prints what it used as JSON.

With orders, a client sends one for each update that it hears; without, it only keeps a verified book, and tells how
much processor time it took from the first update to the end of the stream.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import uvloop

from aether.domain.effects import AskAccount
from aether.domain.facts import Numbered
from aether.domain.inputs import AccountSeen, BookChanged, FeedLost, Input, PrivateStreamLive, Stamped, Tick
from aether.domain.spot_gate import GatePolicy, PairListing, SpotGate
from aether.domain.values import UtcNanos
from aether.journal.sqlite import open_journal
from aether.journal.tape import TapeHeader, TapeWriter
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.feed import FeedSettings, KrakenFeed
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.ports import Journal, Tape
from aether.runtime.clock import SystemClock
from aether.runtime.hands import Hands
from aether.runtime.inbox import Inbox
from aether.runtime.latch import Latch
from aether.runtime.runner import Runner
from tests.bench import desk
from tests.bench.books import ccxt_exchange
from tests.bench.echo import echo_order
from tests.bench.loopback import DEPTH, PAIRS, PAIRS_DEPTH
from tests.bench.signing import SECRET

FAR_LIMITS = replace(Tier.PRO.value, orders_max=1_000_000_000, open_orders_max=1_000_000_000, rest_max=1_000_000_000)


class Meter:
    """Processor time of this process between the first book and the end of the stream."""

    def __init__(self) -> None:
        self.books = 0
        self.began_ns = 0
        self.ended = asyncio.Event()

    def put(self, told: Input) -> None:
        if isinstance(told, BookChanged):
            self.books += 1
            if self.books == 1:
                self.began_ns = time.process_time_ns()
        elif isinstance(told, FeedLost) and self.books:
            self.ended.set()

    def figures(self) -> dict[str, float]:
        return {"books": self.books, "cpu_ns": time.process_time_ns() - self.began_ns}


def gate(symbols: Sequence[str] = ("BTC/USD",)) -> SpotGate:
    """Admits these, all with the rules of the made streams."""
    rules = desk.instrument()
    rows = [
        PairListing(
            key=symbol,
            altname=symbol.replace("/", ""),
            wsname=symbol,
            base=symbol.removesuffix("/USD"),
            quote="ZUSD",
            aclass_base="currency",
            aclass_quote="currency",
            execution_venue="international",
            status="online",
            pair_decimals=rules.price_decimals,
            lot_decimals=rules.qty_decimals,
            cost_decimals=rules.cost_decimals,
            tick_size=rules.tick,
            ordermin=rules.qty_min.coins,
            costmin=rules.cost_min.amount,
        )
        for symbol in symbols
    ]
    return SpotGate(rows, GatePolicy(frozenset(), None))


class _Ours:
    """Our client's parts at one address."""

    def __init__(self, session: aiohttp.ClientSession, port: int, folder: Path, symbols: Sequence[str]) -> None:
        self.clock = SystemClock()
        self.gate = gate(symbols)
        self.url = f"ws://127.0.0.1:{port}/v2"
        base_url = f"http://127.0.0.1:{port}"
        self.connector = Connector(clock=self.clock, random=Random(1), budget=ConnectBudget(self.clock))
        key = KeyInUse(
            Credentials.from_text(base_url, "key", SECRET), NonceKeeper(MarkFile(folder / "nonce"), self.clock)
        )
        self.rest = RestClient(session, base_url, clock=self.clock, limits=FAR_LIMITS, key=key)
        self.feed = KrakenFeed(
            self.connector,
            self.rest,
            url=self.url,
            gate=self.gate,
            symbols=self.gate.symbols,
            clock=self.clock,
            settings=FeedSettings(book_depth=DEPTH if len(symbols) == 1 else PAIRS_DEPTH),
        )


@asynccontextmanager
async def _ours(port: int, symbols: Sequence[str] = ("BTC/USD",)) -> AsyncIterator[_Ours]:
    async with aiohttp.ClientSession() as session:
        with tempfile.TemporaryDirectory() as folder:
            yield _Ours(session, port, Path(folder), symbols)


async def aether_book(port: int, _orders: int) -> dict[str, float]:
    meter = Meter()
    async with _ours(port) as ours, asyncio.TaskGroup() as group:
        hearing = group.create_task(ours.feed.run(meter.put))
        await meter.ended.wait()
        figures = meter.figures()
        hearing.cancel()
    return figures


async def aether_pairs(port: int, _orders: int) -> dict[str, float]:
    """All pairs through feed, inbox and core, where one strategy looks at one of them; the share of a core in use."""
    meter = Meter()
    async with _ours(port, PAIRS) as ours:
        engine, inbox = desk.engine(), Inbox(ours.clock)
        began_s = 0.0

        def put(told: Input) -> None:
            nonlocal began_s
            meter.put(told)
            inbox.put(told)
            if meter.books == len(PAIRS) + 1 and not began_s:  # all snapshots are in
                began_s, meter.began_ns = time.monotonic(), time.process_time_ns()

        async def decide() -> None:
            while True:
                for stamped in await inbox.take():
                    engine.take(stamped)

        for told in desk.opening(ours.clock.wall_ns()):
            inbox.put(told)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (ours.feed.run(put), decide())]
            await meter.ended.wait()
            share = meter.figures()["cpu_ns"] / 1e9 / (time.monotonic() - began_s)
            for task in tasks:
                task.cancel()
    return {"share": share, "books": meter.books, "superseded": inbox.superseded_books}


def _ccxt(port: int) -> Any:
    exchange = ccxt_exchange(apiKey="key", secret=SECRET)
    exchange.urls["api"]["private"] = exchange.urls["api"]["public"] = f"http://127.0.0.1:{port}"
    for name in exchange.urls["api"]["ws"]:
        exchange.urls["api"]["ws"][name] = f"ws://127.0.0.1:{port}/v2" + ("-auth" if "rivate" in name else "")
    market = {
        "id": "XXBTZUSD",
        "wsId": "XBT/USD",
        "altname": "XBTUSD",
        "symbol": "BTC/USD",
        "base": "BTC",
        "quote": "USD",
        "baseId": "XXBT",
        "quoteId": "ZUSD",
        "type": "spot",
        "spot": True,
        "active": True,
        "info": {},
        "precision": {"amount": 1e-8, "price": 0.1},
        "limits": {"amount": {}, "price": {}, "cost": {}},
    }
    exchange.set_markets([exchange.safe_market_structure(market)])
    return exchange


async def ccxt_book(port: int, _orders: int) -> dict[str, float]:
    """One subscription, and nobody who waits for each update: the least that it can do."""
    exchange, books = _ccxt(port), 0
    handle = exchange.handle_order_book
    began_ns = 0

    def count(client: Any, message: Any) -> None:
        nonlocal books, began_ns
        handle(client, message)
        books += 1
        if books == 1:
            began_ns = time.process_time_ns()

    exchange.handle_order_book = count
    with suppress(Exception):
        while True:
            await exchange.watch_order_book("BTC/USD", DEPTH)
    figures = {"books": float(books), "cpu_ns": float(time.process_time_ns() - began_ns)}
    with suppress(Exception):
        await exchange.close()
    return figures


async def _ccxt_order(port: int, orders: int, place: str) -> dict[str, float]:
    """An order at the best bid of each book, in a task of its own; it checks nothing."""
    exchange, sent = _ccxt(port), 0
    create = getattr(exchange, place)
    await exchange.authenticate()
    await exchange.watch_order_book("BTC/USD", DEPTH)
    async with asyncio.TaskGroup() as group:
        while sent < orders:
            book = await exchange.watch_order_book("BTC/USD", DEPTH)
            group.create_task(create("BTC/USD", "limit", "buy", 1.25, book["bids"][0][0]))
            sent += 1
    with suppress(Exception):
        await exchange.close()
    return {}


async def ccxt_order(port: int, orders: int) -> dict[str, float]:
    return await _ccxt_order(port, orders, "create_order_ws")


async def ccxt_rest_order(port: int, orders: int) -> dict[str, float]:
    return await _ccxt_order(port, orders, "create_order")


class _NoMemory:
    """In the place of journal and tape, for the figure before the commit."""

    async def append(self, facts: Sequence[Numbered]) -> None:
        """Nothing is kept."""

    def record(self, inputs: Sequence[Stamped]) -> None:
        """Nothing is kept."""


class _Venue(KrakenVenue):
    """Kraken's client, but for the account's views, which the loopback venue does not have."""

    async def account(self, ask: AskAccount) -> AccountSeen:
        now_ns = self._clock.wall_ns()
        seen = next(told for told in desk.opening(now_ns) if isinstance(told, AccountSeen))
        return replace(seen, since_ns=ask.since_ns)


async def aether_order(port: int, _orders: int) -> dict[str, float]:
    return await _order(port, is_durable=False)


async def aether_durable_order(port: int, _orders: int) -> dict[str, float]:
    return await _order(port, is_durable=True)


async def _order(port: int, *, is_durable: bool) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        ours = await stack.enter_async_context(_ours(port))
        journal: Journal | _NoMemory = _NoMemory()
        tape: Tape | _NoMemory = _NoMemory()
        if is_durable:
            opened = open_journal(folder / "journal.db", account="bench-1", tag="abcd", created_ns=UtcNanos(1))
            journal = await stack.enter_async_context(opened)
            tape = stack.enter_context(TapeWriter(folder, _tape_header()))
        engine, inbox = desk.engine(), Inbox(ours.clock)
        latch = Latch(engine.ledger.halted_scopes)
        venue = _Venue(ours.connector, ours.rest, url=ours.url, gate=ours.gate, clock=ours.clock, limits=FAR_LIMITS)
        hands = Hands(venue, latch, inbox.put, ours.clock, lambda: 0)
        runner = Runner(
            inbox=inbox,
            engine=engine,
            journal=journal,  # type: ignore[arg-type]  # without memory nothing is read back
            tape=tape,
            hands=hands,
            latch=latch,
            observers=[],
            clock=ours.clock,
            step_took=_take_nothing,
            commit_took=_take_nothing,
        )
        is_live, is_over = asyncio.Event(), asyncio.Event()

        def put(told: Input) -> None:
            inbox.put(told)
            if isinstance(told, PrivateStreamLive):
                is_live.set()
            elif isinstance(told, FeedLost):
                is_over.set()

        for told in desk.opening(ours.clock.wall_ns()):
            inbox.put(told)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(work) for work in (runner.run(), hands.run(), venue.run(put))]
            await is_live.wait()
            running.append(group.create_task(ours.feed.run(put)))
            while engine.ledger.mark is None:
                inbox.put(Tick())  # equity is marked by a tick; one more would send an order of its own
                await asyncio.sleep(0.05)
            await is_over.wait()
            for task in running:
                task.cancel()
    return {"orders": len(engine.ledger.sent_ns)}


def _tape_header() -> TapeHeader:
    return TapeHeader(1, "0.1.0", "{}", 1, "journal.db", UtcNanos(1))


def _take_nothing(_seconds: float) -> None:
    """Nobody measures steps here."""


CLIENTS: dict[str, Callable[[int, int], Coroutine[Any, Any, dict[str, float]]]] = {
    "aether": aether_book,
    "ccxt.pro": ccxt_book,
    "aether pairs": aether_pairs,
    "loopback alone": echo_order,
    "aether order": aether_order,
    "aether durable order": aether_durable_order,
    "ccxt.pro order": ccxt_order,
    "ccxt REST order": ccxt_rest_order,
}


if __name__ == "__main__":
    name, port, orders, cpu = sys.argv[1], *map(int, sys.argv[2:5])
    os.sched_setaffinity(0, {cpu})
    print(json.dumps(uvloop.run(CLIENTS[name](port, orders))))
