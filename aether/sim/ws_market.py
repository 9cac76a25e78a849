"""Who listens to which public channel; each frame is made once for all of its listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from aether.domain.values import ZERO
from aether.sim import market_frames
from aether.sim.desk import Desk
from aether.sim.exchange import Book, Event
from aether.sim.records import LevelChanged, PublicTrade, StatusEvent
from aether.sim.wire import Rows

Send: TypeAlias = Callable[[str], None]

BOOK_DEPTHS = (10, 25, 100, 500, 1000)
TRADE_SNAPSHOT = 50  # Kraken docs, WebSocket v2 trade: the latest 50
CANDLE_SNAPSHOT = 720


@dataclass(frozen=True, slots=True)
class Topic:
    """What a subscription is keyed by. `number` is a book's depth or a candle's minutes, `trigger` a ticker's."""

    channel: str
    symbol: str = ""
    number: int = 0
    trigger: str = ""


class BookView:
    """The top of one book as its subscribers hold it, cut to their depth."""

    def __init__(self, book: Book, depth: int) -> None:
        self._depth = depth
        self._bids = dict(book.bids)
        self._asks = dict(book.asks)

    def move_to(self, book: Book) -> tuple[Rows, Rows]:
        """Levels of bids and asks to send, so that subscribers hold `book` once they cut to their depth.

        Of a level that was pushed out of sight nothing is sent, for the cut takes it away (Kraken docs, WebSocket v2
        book guide); one that lay better than the worst in sight now, and is not there, is gone (quantity 0).
        """
        bids, asks = dict(book.bids), dict(book.asks)
        # The worst price in sight, with its sign turned for asks, so that better is greater on both sides.
        worst_bid = min(bids) if len(bids) == self._depth else -Decimal("Infinity")
        worst_ask = -max(asks) if len(asks) == self._depth else -Decimal("Infinity")
        changed = (
            _differences(self._bids, bids, lambda price: price > worst_bid),
            _differences(self._asks, asks, lambda price: -price > worst_ask),
        )
        self._bids, self._asks = bids, asks
        return changed


def _differences(
    before: dict[Decimal, Decimal], now: dict[Decimal, Decimal], was_in_sight: Callable[[Decimal], bool]
) -> Rows:
    gone = [(price, ZERO) for price in before if price not in now and was_in_sight(price)]
    return gone + [(price, qty) for price, qty in now.items() if before.get(price) != qty]


class MarketHub:
    """Publishes what the market did."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._listeners: dict[Topic, dict[Send, None]] = {}
        self._views: dict[str, dict[Topic, BookView]] = {}
        self._candles: dict[str, dict[Topic, None]] = {}
        self._best: dict[str, tuple[Rows, Rows]] = {}
        desk.listen(self._hear)

    def join(self, topic: Topic, send: Send) -> bool:
        """Send this topic's frames from now on; False if they are sent already. The desk must be settled."""
        listeners = self._listeners.setdefault(topic, {})
        if send in listeners:
            return False
        listeners[send] = None
        if topic.channel == "book":
            views = self._views.setdefault(topic.symbol, {})
            if topic not in views:
                views[topic] = BookView(self._desk.exchange.book(topic.symbol, topic.number), topic.number)
        elif topic.channel == "ohlc":
            self._candles.setdefault(topic.symbol, {})[topic] = None
        return True

    def leave(self, topic: Topic, send: Send) -> bool:
        """Send no more of this topic; False if nothing was sent."""
        listeners = self._listeners.get(topic, {})
        if send not in listeners:
            return False
        del listeners[send]
        if not listeners:
            del self._listeners[topic]
            self._views.get(topic.symbol, {}).pop(topic, None)
            self._candles.get(topic.symbol, {}).pop(topic, None)
        return True

    def leave_all(self, send: Send) -> None:
        """This listener is gone."""
        for topic in [topic for topic, listeners in self._listeners.items() if send in listeners]:
            self.leave(topic, send)

    def snapshot(self, topic: Topic) -> str:
        """The whole picture that a subscription begins with. The desk must be settled."""
        desk = self._desk
        if topic.channel == "instrument":
            return market_frames.instrument_frame(desk, "snapshot", desk.exchange.pairs.values())
        if topic.channel == "book":
            book = desk.exchange.book(topic.symbol, topic.number)
            return market_frames.book_frame(desk, "snapshot", book, book.bids, book.asks)
        if topic.channel == "trade":
            return market_frames.trade_frame(
                desk, "snapshot", desk.exchange.public_trades(topic.symbol)[-TRADE_SNAPSHOT:]
            )
        if topic.channel == "ohlc":
            candles = list(desk.board.candles(topic.symbol, topic.number, desk.now_ns()))[-CANDLE_SNAPSHOT:]
            return market_frames.candle_frame(desk, "snapshot", topic.symbol, topic.number, candles)
        return market_frames.ticker_frame(desk, "snapshot", topic.symbol)

    def _hear(self, events: Sequence[Event], _now_ns: int) -> None:
        trades: dict[str, list[PublicTrade]] = {}
        moved: dict[str, None] = {}
        for event in events:
            if isinstance(event, PublicTrade):
                trades.setdefault(event.pair, []).append(event)
            elif isinstance(event, LevelChanged):
                moved[event.pair] = None
            elif isinstance(event, StatusEvent) and event.pair is not None:
                self._publish_status(event.pair)
        for symbol in moved:
            self._publish_books(symbol)
        for symbol, made in trades.items():
            self._publish_trades(symbol, made)
        for symbol in moved:
            self._publish_best(symbol)

    def _publish_status(self, symbol: str) -> None:
        changed = [self._desk.exchange.pairs[symbol]]
        self._send(Topic("instrument"), lambda: market_frames.instrument_frame(self._desk, "update", changed))

    def _publish_books(self, symbol: str) -> None:
        views = self._views.get(symbol)
        if not views:
            return
        deepest = self._desk.exchange.book(symbol, max(topic.number for topic in views))
        for topic, view in views.items():
            book = Book(symbol, deepest.bids[: topic.number], deepest.asks[: topic.number])
            bids, asks = view.move_to(book)
            if bids or asks:
                self._send_text(topic, market_frames.book_frame(self._desk, "update", book, bids, asks))

    def _publish_trades(self, symbol: str, trades: Sequence[PublicTrade]) -> None:
        desk = self._desk
        self._send(Topic("trade", symbol), lambda: market_frames.trade_frame(desk, "update", trades))
        self._send(
            Topic("ticker", symbol, trigger="trades"), lambda: market_frames.ticker_frame(desk, "update", symbol)
        )
        for topic in self._candles.get(symbol, ()):
            candle = desk.board.candles(symbol, topic.number, desk.now_ns())[-1]
            self._send_text(topic, market_frames.candle_frame(desk, "update", symbol, topic.number, [candle]))

    def _publish_best(self, symbol: str) -> None:
        topic = Topic("ticker", symbol, trigger="bbo")
        if topic not in self._listeners:
            return
        book = self._desk.exchange.book(symbol, 1)
        if self._best.get(symbol) != (book.bids, book.asks):
            self._best[symbol] = (book.bids, book.asks)
            self._send_text(topic, market_frames.ticker_frame(self._desk, "update", symbol))

    def _send(self, topic: Topic, make_frame: Callable[[], str]) -> None:
        if topic in self._listeners:
            self._send_text(topic, make_frame())

    def _send_text(self, topic: Topic, text: str) -> None:
        for send in list(self._listeners.get(topic, {})):
            send(text)
