"""Passing picture of the market, folded from inputs: best prices, depth, ages, candles, volatility. Not journalled."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from aether.domain.inputs import Bar, BookChanged, HistorySeen, Level, Maintenance, TradeSeen
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NANOS_PER_MS, NANOS_PER_S, ZERO, Bps, Price, Symbol, Usd

DAY_S = 86_400
BARS_KEPT = 1_000
# A book wider than this, or further from what was just paid, shows a mistake or an emptied side and no worth. It is far
# beyond the spread and the collar that orders are held to, so that a true fall is still seen.
SOUND_BPS_MAX = 500
# A trade older than this says little of the price now: in five minutes BTC seldom moves by a collar's width.
TRADE_FRESH_NS = 300 * NANOS_PER_S
GAP_BARS_MAX = 2  # a longer silence of the feed is no calm market: nothing is known of its bars
STALL_DRAIN_NS = NANOS_PER_S  # by then the frames that waited in the socket while the loop stood still were read


@dataclass(frozen=True, slots=True)
class Volatility:
    """Measured on closes: per day in basis points, and the ratio of its short to its long window in percent."""

    day_bps: Bps
    ratio_percent: int


class Candles:
    """Closes of `bar_s` seconds built from trades, seeded with history. A bar without trades repeats its forerunner.

    Bars in which the feed was lost for long are unknown, not flat: all closes are forgotten, and there is no volatility
    and no signal until history is told again or enough new bars have closed.
    """

    __slots__ = ("_closing", "_lost_ns", "_measured", "_measured_for", "_open_s", "bar_s", "closes", "completed")

    def __init__(self, bar_s: int) -> None:
        self.bar_s = bar_s
        self.closes: deque[Decimal] = deque(maxlen=BARS_KEPT)
        self.completed = 0  # counts bars for ever: a strategy looks again when it moved
        self._open_s: int | None = None
        self._closing: Decimal | None = None
        self._lost_ns: int | None = None
        self._measured: Volatility | None = None
        self._measured_for: tuple[int, int, int] | None = None

    def seed(self, bars: Sequence[Bar]) -> None:
        """Begin anew from complete candles, oldest first; none at all say nothing."""
        if not bars:
            return
        self.closes.clear()
        self.closes.extend(bar.close for bar in bars)
        self.completed += len(bars)
        self._open_s = bars[-1].open_s + self.bar_s
        self._closing = bars[-1].close
        if self._lost_ns is not None:
            self._lost_ns = self._open_s * NANOS_PER_S

    def lose(self, since_ns: int) -> None:
        """Nothing was heard of the market since then, until it is found."""
        if self._lost_ns is None:
            self._lost_ns = since_ns

    def find(self, at_ns: int) -> None:
        """The market is heard again."""
        if self._lost_ns is not None:
            self.pass_time(at_ns)
            self._lost_ns = None

    def pass_time(self, at_ns: int) -> None:
        """Close every bar that ended before this moment, or forget them all where the feed was lost for too long."""
        if self._closing is None or self._open_s is None:
            return
        if self._lost_ns is not None and at_ns - self._lost_ns > GAP_BARS_MAX * self.bar_s * NANOS_PER_S:
            self._forget()
            return
        behind = (at_ns // NANOS_PER_S - self._open_s) // self.bar_s
        for _ in range(min(behind, BARS_KEPT)):
            self.closes.append(self._closing)
        if behind > 0:
            self.completed += behind
            self._open_s += behind * self.bar_s

    def _forget(self) -> None:
        self.closes.clear()
        self._open_s = self._closing = None
        self.completed += 1  # news: a strategy looks again, and sees too little

    def volatility(self, short_bars: int, long_bars: int) -> Volatility | None:
        """As measure_volatility; measured once for each complete bar."""
        wanted_for = self.completed, short_bars, long_bars
        if wanted_for != self._measured_for:
            self._measured = measure_volatility(self.closes, self.bar_s, short_bars, long_bars)
            self._measured_for = wanted_for
        return self._measured

    def trade(self, price: Decimal, at_ns: int) -> None:
        """Let a trade move the running bar."""
        self.pass_time(at_ns)
        if self._lost_ns is not None:
            self._lost_ns = at_ns  # the book is lost, and trades are heard
        if self._open_s is None:
            self._open_s = at_ns // NANOS_PER_S // self.bar_s * self.bar_s
        self._closing = price


class SymbolPicture:
    """What is known of one symbol now. Best prices are live or last known.

    Positions are valued at `mid`, the middle of the last sound book: both sides there and uncrossed, not wider than
    SOUND_BPS_MAX, and not further than that from a fresh trade. One mad quote moves neither equity nor its peak.
    """

    __slots__ = (
        "_book",
        "ask",
        "bid",
        "book_at_ns",
        "candles",
        "is_live",
        "last_trade",
        "mid",
        "stale_until_ns",
        "symbol",
        "trade_at_ns",
    )

    def __init__(self, symbol: Symbol, bar_lengths_s: Iterable[int]) -> None:
        self.symbol = symbol
        self.is_live = False
        self.bid: Price | None = None
        self.ask: Price | None = None
        self.mid: Price | None = None
        self.book_at_ns = 0
        self.stale_until_ns = 0
        self.last_trade: Price | None = None
        self.trade_at_ns = 0
        self.candles = {bar_s: Candles(bar_s) for bar_s in bar_lengths_s}
        self._book: BookChanged | None = None

    @property
    def book(self) -> BookChanged | None:
        """The last whole picture, live or not; None before the first."""
        return self._book

    def take_book(self, book: BookChanged, at_ns: int) -> None:
        """A whole new picture. One with an empty or crossed side is no quote."""
        self._book = book
        self.bid = _price(book, book.bids[0]) if book.bids else None
        self.ask = _price(book, book.asks[0]) if book.asks else None
        self.book_at_ns = at_ns
        self.is_live = bool(book.bids and book.asks and book.bids[0][0] < book.asks[0][0])
        if self.is_live:
            self.mid = self._sound_middle(at_ns) or self.mid
            for candles in self.candles.values():
                candles.find(at_ns)

    def _sound_middle(self, at_ns: int) -> Price | None:
        assert self.bid is not None and self.ask is not None  # noqa: PT018 - a live book has both
        if self.ask.bps_from(self.bid) > SOUND_BPS_MAX:
            return None
        middle, paid = middle_of(self.bid, self.ask), self.fresh_trade(at_ns)
        is_near = paid is None or middle.bps_from(paid).copy_abs() <= SOUND_BPS_MAX
        return middle if is_near else None

    def fresh_trade(self, at_ns: int) -> Price | None:
        """Price of the last trade, where it is not older than TRADE_FRESH_NS."""
        return self.last_trade if at_ns - self.trade_at_ns <= TRADE_FRESH_NS else None

    @property
    def last_close(self) -> Price | None:
        """Close of the last complete bar of the shortest candles; None while they are cold."""
        closes = self.candles[min(self.candles)].closes if self.candles else ()
        return Price(closes[-1]) if closes else None

    def take_trade(self, trade: TradeSeen, at_ns: int) -> None:
        """A public trade."""
        self.last_trade = trade.price
        self.trade_at_ns = at_ns
        for candles in self.candles.values():
            candles.trade(trade.price.usd_per_coin, at_ns)

    def take_history(self, history: HistorySeen, at_ns: int) -> None:
        """Warm the candles of that length."""
        candles = self.candles.get(history.bar_s)
        if candles is not None:
            candles.seed(history.bars)
            candles.pass_time(at_ns)

    def lose(self, since_ns: int) -> None:
        """Nothing was heard since then; the old book is kept for valuation alone."""
        self.is_live = False
        for candles in self.candles.values():
            candles.lose(since_ns)

    def pass_time(self, at_ns: int) -> None:
        """Close the bars that ended."""
        for candles in self.candles.values():
            candles.pass_time(at_ns)

    def quote_age_ms(self, at_ns: int) -> int:
        """Age of the book by our clock."""
        return (at_ns - self.book_at_ns) // NANOS_PER_MS

    def average_price_for(self, side: Side, spend: Usd) -> Price | None:
        """Average price of crossing the book for so many dollars; the visible depth's worst price fills the rest."""
        book = self._book
        levels: tuple[Level, ...] = () if book is None else book.asks if side is Side.BUY else book.bids
        if book is None or not levels or spend.amount <= 0:
            return None
        left, coins, price = spend.amount, ZERO, ZERO
        for ticks, lots in levels:  # bare decimals: a decision walks the depth, and each word takes its time to make
            price = MONEY.scaleb(Decimal(ticks), -book.price_decimals)
            worth = MONEY.multiply(price, MONEY.scaleb(Decimal(lots), -book.qty_decimals))
            taken = min(left, worth)
            coins = MONEY.add(coins, MONEY.divide(taken, price))
            left = MONEY.subtract(left, taken)
            if not left:
                break
        else:
            coins = MONEY.add(coins, MONEY.divide(left, price))
        return Price(MONEY.divide(spend.amount, coins))


def middle_of(bid: Price, ask: Price) -> Price:
    """The price half-way between the best two."""
    return Price(MONEY.divide(MONEY.add(bid.usd_per_coin, ask.usd_per_coin), Decimal(2)))


def _price(book: BookChanged, level: Level) -> Price:
    return Price(MONEY.scaleb(Decimal(level[0]), -book.price_decimals))


class Market:
    """The pictures of all symbols in use, and what is known of the venue as a whole."""

    __slots__ = (
        *("_of_base", "clock_at_ns", "clock_error_ns", "clock_offset_ns"),
        *("maintenance", "pictures", "system_status"),
    )

    def __init__(self, bars_of: dict[Symbol, tuple[int, ...]]) -> None:
        self.pictures = {symbol: SymbolPicture(symbol, bars) for symbol, bars in bars_of.items()}
        self._of_base = {symbol.removesuffix("/USD"): picture for symbol, picture in self.pictures.items()}
        self.system_status = "unknown"
        self.maintenance: tuple[Maintenance, ...] = ()
        self.clock_at_ns: int | None = None
        self.clock_offset_ns = 0
        self.clock_error_ns = 0

    def is_in_use(self, asset: str) -> bool:
        """We trade this asset, so its market is heard or will be."""
        return asset in self._of_base

    def mid_of_asset(self, asset: str) -> Price | None:
        """Dollars for one coin of an asset, where we hear its market."""
        picture = self._of_base.get(asset)
        return picture.mid if picture is not None else None


def measure_volatility(closes: Sequence[Decimal], bar_s: int, short_bars: int, long_bars: int) -> Volatility | None:
    """Standard deviation of log returns, scaled to a day; None with fewer than `long_bars` + 1 closes.

    Floats are allowed here because the result leaves as rounded basis points (statistics, not money).
    """
    if len(closes) <= long_bars:
        return None
    logs = [math.log(close) for close in list(closes)[-long_bars - 1 :]]
    squares = [(later - earlier) ** 2 for earlier, later in pairwise(logs)]
    long_variance = math.fsum(squares) / long_bars
    short_variance = math.fsum(squares[-short_bars:]) / short_bars
    ratio = math.sqrt(short_variance / long_variance) if long_variance > 0 else 1.0
    day_bps = math.sqrt(long_variance * DAY_S / bar_s) * 10_000
    return Volatility(Bps(round(day_bps)), round(ratio * 100))
