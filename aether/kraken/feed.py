"""Kraken's public market as inputs: verified books, trades, pair rules, status and clock, over one WebSocket."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    BookChanged,
    FeedLost,
    HistorySeen,
    InstrumentSeen,
    Maintenance,
    MaintenanceAnnounced,
    SystemStatusSeen,
)
from aether.domain.instruments import Instrument
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken import requests
from aether.kraken.book_sync import BookBroken, BookSync
from aether.kraken.book_text import HEAD_END, update_head
from aether.kraken.connection import Connector, MaintenancePause, Pinger, Send
from aether.kraken.endpoints import Endpoint
from aether.kraken.listings import read_bars
from aether.kraken.messages import (
    Answer,
    BookMessage,
    BooksRead,
    Complaint,
    PairRules,
    PairsRead,
    SystemStatus,
    TradesRead,
)
from aether.kraken.rate_limit import Pace
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Malformed, Unreadable
from aether.kraken.wire import Reader
from aether.ports import Clock, Put, VenueCounters

# Kraken docs, OHLC: the intervals there are, in minutes. At most the newest 720 candles can be had.
OHLC_MINUTES = frozenset({1, 5, 15, 30, 60, 240, 1440, 10080, 21600})
SYMBOLS_IN_REQUEST = 100


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """How the public feed listens: subscribed book depth (10, 25, 100, 500 or 1000), and patience in seconds.

    A book without any update for `book_silence_s` is asked for anew, and so is one that stays still for
    `traded_silence_s` after a trade in it; a snapshot that does not come is asked for again after `snapshot_s`. One
    book is asked for at most every `ask_again_s`.
    """

    book_depth: int = 10
    snapshot_s: float = 10.0
    book_silence_s: float = 60.0
    traded_silence_s: float = 2.0
    ask_again_s: float = 2.0
    ping_s: float = 15.0


class KrakenFeed:
    """MarketFeed on Kraken's public WebSocket and REST. Only symbols of the gate can be heard.

    Args:
        url: address of the public WebSocket, such as `wss://ws.kraken.com/v2`.
        symbols: whose books and trades are subscribed.
    """

    def __init__(
        self,
        connector: Connector,
        rest: RestClient,
        *,
        url: str,
        gate: SpotGate,
        symbols: Sequence[Symbol],
        clock: Clock,
        settings: FeedSettings | None = None,
        counters: VenueCounters | None = None,
    ) -> None:
        self._connector = connector
        self._rest = rest
        self._url = url
        self._gate = gate
        self._symbols = tuple(symbols)
        self._clock = clock
        self._settings = settings or FeedSettings()
        self._counters = counters
        self._reader = Reader(gate.wire)

    @property
    def counts(self) -> Mapping[str, int]:
        """Frames heard, and rows dropped, by kind (see `wire.Reader`)."""
        return self._reader.counts

    async def run(self, put: Put) -> None:
        """Hear the market until cancelled (see `ports.MarketFeed`)."""
        listener = _MarketListener(
            self._reader,
            self._gate,
            self._symbols,
            clock=self._clock,
            settings=self._settings,
            put=put,
            counters=self._counters,
        )
        await self._connector.keep_connected(self._url, listener)

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        """Up to `count` newest complete candles, at most 719. Raises VenueUnavailable, VenueRefused."""
        minutes, rest_s = divmod(bar_s, 60)
        if rest_s or minutes not in OHLC_MINUTES:
            raise VenueRefused("venue_invalid", f"Kraken has no candles of {bar_s} s")
        result = await self._rest.call(Endpoint.OHLC, {"pair": symbol, "interval": str(minutes)})
        try:
            return HistorySeen(symbol, bar_s, read_bars(result, count))
        except Unreadable as error:
            raise VenueUnavailable(f"OHLC: {error}") from error


_CHANNELS: Mapping[type, str] = MappingProxyType(
    {BooksRead: "book", TradesRead: "trade", PairsRead: "instrument", SystemStatus: "status", Malformed: "malformed"}
)


@dataclass(slots=True)
class _Watch:
    """What is expected of one book subscription; times are monotonic."""

    book: BookSync
    asked_ns: int
    has_trades: bool = False
    heard_ns: int = 0
    traded_ns: int = 0
    is_lost: bool = False
    is_due: bool = False


class _MarketListener:
    """Subscribes and hears on one link after another. Books are dropped, and said to be lost, with each link."""

    def __init__(
        self,
        reader: Reader,
        gate: SpotGate,
        symbols: Iterable[Symbol],
        *,
        clock: Clock,
        settings: FeedSettings,
        put: Put,
        counters: VenueCounters | None,
    ) -> None:
        self._reader = reader
        self._gate = gate
        self._clock = clock
        self._settings = settings
        self._put = put
        self._counters = counters
        self._req_ids = itertools.count(1)
        self._pinger = Pinger(clock, self._req_ids, settings.ping_s)
        self._pause = MaintenancePause(clock)
        self._announced: tuple[Maintenance, ...] = ()
        self._pace = Pace(clock)
        self._asked_rules_ns = 0
        self._asked_trades_ns = 0
        self._has_rules = False
        self._rules: dict[Symbol, Instrument] = {symbol: gate.instruments[symbol] for symbol in symbols}
        self._told: dict[Symbol, Instrument] = {}
        self._watches: dict[Symbol, _Watch] = {}
        # Only symbols of the gate are subscribed, so a head that is found here names an admitted one.
        self._watch_of_head: dict[bytes, _Watch] = {}

    async def prepare(self) -> None:
        """A public connect needs nothing but patience during maintenance."""
        await self._pause.wait()

    async def opened(self, send: Send) -> None:
        """Subscribe to all: the rules first, for a book's digits come from them."""
        self._pinger.begin_again()
        await self._ping(send)
        self._pace = Pace(self._clock)  # each link has its own
        await self._ask_rules(send)
        symbols = tuple(self._rules)
        now_ns = self._clock.monotonic_ns()
        for symbol in symbols:
            self._expect(_Watch(self._new_book(symbol), now_ns, is_lost=symbol in self._watches))
        for some in _chunks(symbols):
            await self._pace.take()
            await send(requests.subscribe_book(some, self._settings.book_depth, req_id=next(self._req_ids)))
        await self._ask_trades(send, symbols)

    def heard(self, frame: bytes) -> None:
        """Turn one frame into inputs. What is malformed or not ours is counted by the reader, and dropped.

        Nearly all frames are plain updates of a book: they are tried first, and read without decoding.
        """
        head, _, text = frame.partition(HEAD_END)
        watch = self._watch_of_head.get(head)
        outcome = watch.book.apply_plain(text) if watch is not None else None
        if watch is None or outcome is None:
            self._read(frame)
            return
        self._reader.frames += 1
        if self._counters is not None:
            self._counters.feed_message("book")
        if type(outcome) is BookChanged:
            watch.heard_ns = self._clock.monotonic_ns()
            watch.is_lost = False
            self._put(outcome)
        else:
            self._outcome(watch, outcome)

    def _read(self, frame: bytes) -> None:
        message = self._reader.read(frame)
        if self._counters is not None:
            self._counters.feed_message(_CHANNELS.get(type(message), "other"))
        match message:
            case BooksRead(books):
                for book in books:
                    self._book(book)
            case TradesRead(trades):
                for trade in trades:
                    watch = self._watches.get(trade.symbol)
                    if watch is not None:
                        watch.has_trades = True
                        watch.traded_ns = self._clock.monotonic_ns()
                        self._put(trade)
            case SystemStatus(system, announced):
                self._pause.heard(system)
                self._put(SystemStatusSeen(system))
                if announced != self._announced:
                    self._announced = announced
                    self._put(MaintenanceAnnounced(announced))
            case PairsRead(pairs):
                self._has_rules = True
                for pair in pairs:
                    self._pair(pair)
            case Answer() as answer:
                self._answer(answer)
            case Complaint(text):
                if self._counters is not None:
                    self._counters.throttled("ws", text)
                self._pace.complained()
            case _:
                pass  # heartbeats, malformed frames, and what we did not ask for

    async def beat(self, send: Send) -> None:
        """Ping, and ask anew for each book that broke or fell silent; one symbol's trouble touches no other."""
        await self._ping(send)
        now_ns = self._clock.monotonic_ns()
        for symbol, watch in self._watches.items():
            silence = self._silence(watch, now_ns)
            if silence:
                self._lose(symbol, watch, silence)
        if self._pace.is_free:
            await self._ask_again(send, now_ns)

    async def _ask_again(self, send: Send, now_ns: int) -> None:
        due = [symbol for symbol, watch in self._watches.items() if watch.is_due and self._may_ask(watch, now_ns)]
        for some in _chunks(due):
            await self._pace.take()
            for symbol in some:  # before it is asked for: the snapshot may come before the next chunk may leave
                has_trades = self._watches[symbol].has_trades
                self._expect(_Watch(self._new_book(symbol), now_ns, has_trades, is_lost=True))
            await send(requests.unsubscribe_book(some, self._settings.book_depth, req_id=next(self._req_ids)))
            await send(requests.subscribe_book(some, self._settings.book_depth, req_id=next(self._req_ids)))
        patience_s = self._settings.snapshot_s
        if not self._has_rules and _is_older(self._asked_rules_ns, now_ns, patience_s):
            await self._ask_rules(send)
        mute = [symbol for symbol, watch in self._watches.items() if not watch.has_trades]
        if mute and _is_older(self._asked_trades_ns, now_ns, patience_s):
            await self._ask_trades(send, mute)

    async def _ask_rules(self, send: Send) -> None:
        """Until their snapshot is in, the rules are asked for again and again: an acknowledgement is no rule."""
        self._has_rules = False
        self._asked_rules_ns = self._clock.monotonic_ns()
        await self._pace.take()
        await send(requests.subscribe_instruments(req_id=next(self._req_ids)))

    async def _ask_trades(self, send: Send, symbols: Sequence[Symbol]) -> None:
        """Trades come without a snapshot: that they were acknowledged is all that can be waited for."""
        self._asked_trades_ns = self._clock.monotonic_ns()
        for some in _chunks(symbols):
            await self._pace.take()
            await send(requests.subscribe_trades(some, req_id=next(self._req_ids)))

    def lost(self, why: str) -> None:
        """No book can be believed any more."""
        for symbol in self._rules:
            self._put(FeedLost(symbol, why))
        for watch in self._watches.values():
            watch.book.drop()
            watch.is_lost = True

    def _book(self, message: BookMessage) -> None:
        watch = self._watches.get(message.symbol)
        outcome = watch.book.apply(message) if watch is not None else None
        if watch is not None and outcome is not None:
            self._outcome(watch, outcome)

    def _outcome(self, watch: _Watch, outcome: BookChanged | BookBroken) -> None:
        if isinstance(outcome, BookBroken):
            if self._counters is not None and outcome.kind == "checksum":
                self._counters.checksum_failed(outcome.symbol)
            self._lose(outcome.symbol, watch, outcome.why)
            return
        watch.heard_ns = self._clock.monotonic_ns()
        watch.is_lost = False
        self._put(outcome)

    def _pair(self, rules: PairRules) -> None:
        known = self._rules.get(rules.symbol)
        if known is None:
            return
        seen = _with_rules(known, rules)
        self._rules[rules.symbol] = seen
        if self._told.get(rules.symbol) != seen:
            self._told[rules.symbol] = seen
            self._put(InstrumentSeen(seen))
        watch = self._watches.get(rules.symbol)
        if watch is not None and (watch.book.price_decimals, watch.book.qty_decimals) != _digits(seen):
            self._lose(rules.symbol, watch, "the pair's digits changed")

    def _answer(self, answer: Answer) -> None:
        if answer.method == "pong":
            measured = self._pinger.measure(answer)
            if measured is not None:
                self._put(measured)
        elif answer.method == "subscribe":
            symbol = self._gate.wire(answer.name)
            watch = self._watches.get(symbol) if symbol is not None else None
            if symbol is None or watch is None:
                return
            if answer.error.lower().startswith("already subscribed"):
                watch.has_trades = True  # only the acknowledgement was lost
            elif not answer.is_yes:
                watch.has_trades = True  # a refusal is an answer too: asking again would change nothing
                self._lose(symbol, watch, answer.error, ask_again=False)
            elif answer.channel == "trade":
                watch.has_trades = True

    def _silence(self, watch: _Watch, now_ns: int) -> str:
        """Why a subscription counts as silent; empty where it does not."""
        if not watch.heard_ns:
            return "no snapshot came" if _is_older(watch.asked_ns, now_ns, self._settings.snapshot_s) else ""
        if _is_older(watch.heard_ns, now_ns, self._settings.book_silence_s):
            return "the book fell silent"
        # A trade changes the book at once: one that came well after the book's last word, and was not followed by any,
        # shows that the market moves and our book does not.
        patience_s = self._settings.traded_silence_s
        is_late = _is_older(watch.heard_ns, watch.traded_ns, patience_s)
        is_still = is_late and _is_older(watch.traded_ns, now_ns, patience_s)
        return "trades come, the book stands still" if is_still else ""

    def _may_ask(self, watch: _Watch, now_ns: int) -> bool:
        return _is_older(watch.asked_ns, now_ns, self._settings.ask_again_s)

    def _lose(self, symbol: Symbol, watch: _Watch, why: str, *, ask_again: bool = True) -> None:
        watch.book.drop()
        watch.is_due = watch.is_due or ask_again
        if not watch.is_lost:
            watch.is_lost = True
            self._put(FeedLost(symbol, why))

    def _expect(self, watch: _Watch) -> None:
        self._watches[watch.book.symbol] = self._watch_of_head[update_head(watch.book.symbol)] = watch

    def _new_book(self, symbol: Symbol) -> BookSync:
        return BookSync(symbol, *_digits(self._rules[symbol]), self._settings.book_depth)

    async def _ping(self, send: Send) -> None:
        frame = self._pinger.ping_if_due()
        if frame is not None:
            await send(frame)


def _with_rules(known: Instrument, rules: PairRules) -> Instrument:
    return replace(
        known,
        tick=rules.tick,
        lot=rules.lot,
        price_decimals=rules.price_decimals,
        qty_decimals=rules.qty_decimals,
        cost_decimals=rules.cost_decimals,
        qty_min=rules.qty_min,
        cost_min=rules.cost_min,
        status=rules.status,
    )


def _digits(instrument: Instrument) -> tuple[int, int]:
    return instrument.price_decimals, instrument.qty_decimals


def _is_older(then_ns: int, now_ns: int, age_s: float) -> bool:
    return now_ns - then_ns >= int(age_s * NANOS_PER_S)


def _chunks(symbols: Sequence[Symbol]) -> list[Sequence[Symbol]]:
    return [symbols[start : start + SYMBOLS_IN_REQUEST] for start in range(0, len(symbols), SYMBOLS_IN_REQUEST)]
