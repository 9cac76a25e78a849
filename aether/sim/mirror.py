"""Kraken's public market as the crowd of a made exchange: paper trading against real books and real trades.

Books and trades are repeated on the exchange as they are heard. An order of ours takes from the levels of the moment
and is filled, where it rests, when a real trade reaches its price or the book crosses it, behind the quantity that
stood there before it. Our orders do not move the real market: what we took is there again with the next message.
Nothing that the market says raises: what does not fit the pair's rules is left out, to the cost of our orders.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from aether.domain.inputs import BookChanged, FeedLost, Input, InstrumentSeen, Level, SystemStatusSeen, TradeSeen
from aether.domain.instruments import Instrument, PairStatus
from aether.domain.values import NANOS_PER_S, Symbol, rounded_to_step
from aether.ports import Clock, MarketFeed, Put
from aether.sim.exchange import Exchange
from aether.sim.records import PairRules
from aether.sim.world import SimWorld

# A snapshot brings trades of the past, which fill nobody now; one from as far ahead would hide all that follow.
OLD_TRADE_NS = 10 * NANOS_PER_S
TIMER_NS = NANOS_PER_S // 4


def mirrored_rules(instrument: Instrument) -> PairRules:
    """Rules of a real pair for the made exchange. With a status that nobody knows, orders can be cancelled alone."""
    name = str(instrument.symbol)
    status = PairStatus.CANCEL_ONLY if instrument.status is PairStatus.UNKNOWN else instrument.status
    return PairRules(
        name=name,
        key=name,
        altname=name.replace("/", ""),
        wsname=name,
        base=instrument.base,
        base_id=instrument.base,
        price_decimals=instrument.price_decimals,
        qty_decimals=instrument.qty_decimals,
        cost_decimals=instrument.cost_decimals,
        qty_min=instrument.qty_min.coins,
        cost_min=instrument.cost_min.amount,
        status=status.value,
    )


@dataclass(slots=True)
class Heard:
    """Trades of a symbol's newest moment: those heard, and those that a snapshot may tell again.

    One sweep through the book is several trades of one time, and two of them may be alike in all else. So equal trades
    count each, until the link is lost; then each is passed over once.
    """

    at_ns: int = 0
    trades: Counter[TradeSeen] = field(default_factory=Counter)
    told_again: Counter[TradeSeen] = field(default_factory=Counter)

    def is_new(self, trade: TradeSeen) -> bool:
        """Whether this trade was not heard before; from now on it was."""
        if trade.venue_ns < self.at_ns:
            return False
        if trade.venue_ns > self.at_ns:
            self.at_ns, self.trades, self.told_again = trade.venue_ns, Counter(), Counter()
        if self.told_again[trade]:
            self.told_again[trade] -= 1
            return False
        self.trades[trade] += 1
        return True

    def lose_link(self) -> None:
        """What was heard may be told again."""
        self.told_again = self.trades.copy()


class Mirror:
    """Moves an exchange with what is heard of the real market (see `world.MarketMover`)."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._heard: dict[Symbol, Heard] = {}

    def advance(self, now_ns: int) -> None:
        """Let the exchange's own timers act; the market itself moves when something is heard."""
        self._exchange.advance(now_ns)

    def next_due_ns(self) -> int:
        """When the timers are looked at next."""
        return self._clock.wall_ns() + TIMER_NS

    def hear(self, heard: Input) -> None:
        """Repeat one public input on the exchange."""
        now_ns = self._clock.wall_ns()
        match heard:
            case BookChanged(symbol=symbol):
                self._repeat_side(symbol, "bid", heard.bids, heard, now_ns)
                self._repeat_side(symbol, "ask", heard.asks, heard, now_ns)
            case TradeSeen(symbol=symbol):
                is_of_now = abs(now_ns - heard.venue_ns) < OLD_TRADE_NS
                if is_of_now and self._heard.setdefault(symbol, Heard()).is_new(heard):
                    self._repeat_trade(heard, now_ns)
            case FeedLost(symbol=symbol):
                self._heard.setdefault(symbol, Heard()).lose_link()
                self._repeat_side(symbol, "bid", (), None, now_ns)
                self._repeat_side(symbol, "ask", (), None, now_ns)
            case InstrumentSeen(instrument=instrument):
                self._exchange.set_pair_rules(mirrored_rules(instrument), now_ns)
            case SystemStatusSeen(status=status):
                # A word the made exchange does not know stops it, as the safe reading of it would the real one.
                known = status in ("online", "post_only", "cancel_only", "maintenance")
                self._exchange.set_system_status(status if known else "maintenance")

    def _repeat_trade(self, trade: TradeSeen, now_ns: int) -> None:
        rules = self._exchange.pairs[trade.symbol]
        tick, lot = Decimal(1).scaleb(-rules.price_decimals), Decimal(1).scaleb(-rules.qty_decimals)
        price, qty = trade.price.usd_per_coin, rounded_to_step(trade.qty.coins, lot, ROUND_DOWN)
        if qty > 0 and price == rounded_to_step(price, tick, ROUND_DOWN):
            self._exchange.crowd_trade(trade.symbol, trade.side.value, price, qty, now_ns)

    def _repeat_side(
        self,
        symbol: Symbol,
        side: Literal["bid", "ask"],
        levels: tuple[Level, ...],
        book: BookChanged | None,
        now_ns: int,
    ) -> None:
        rules = self._exchange.pairs[symbol]
        wanted = {ticks: lots for ticks, lots in levels if ticks > 0 and lots > 0}
        if book and (book.price_decimals, book.qty_decimals) != (rules.price_decimals, rules.qty_decimals):
            wanted = {}  # until the pair's rules say the same, its ticks and lots mean nothing
        standing = dict(self._exchange.crowd_levels(symbol, side))
        changes = {ticks: 0 for ticks in standing if ticks not in wanted}
        changes |= {ticks: lots for ticks, lots in wanted.items() if standing.get(ticks) != lots}
        for ticks, lots in changes.items():
            price = Decimal(ticks).scaleb(-rules.price_decimals)
            self._exchange.set_level(symbol, side, price, Decimal(lots).scaleb(-rules.qty_decimals), now_ns)


class MirroredFeed:
    """MarketFeed that lets the made exchange hear everything first."""

    def __init__(self, feed: MarketFeed, mirror: Mirror, world: SimWorld) -> None:
        self._feed = feed
        self._mirror = mirror
        self._world = world
        self.history = feed.history

    async def run(self, put: Put) -> None:
        """As the feed within."""

        def hear(heard: Input) -> None:
            self._mirror.hear(heard)
            put(heard)
            self._world.publish()

        await self._feed.run(hear)
