"""Kraken's public market as the crowd of a made exchange: paper trading against real books and real trades.

Books and trades are repeated on the exchange as they are heard. An order of ours takes from the levels of the moment
and is filled, where it rests, when a real trade reaches its price or the book crosses it, behind the quantity that
stood there before it. Our orders do not move the real market: what we took is there again with the next message.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from aether.domain.inputs import BookChanged, FeedLost, Input, InstrumentSeen, Level, SystemStatusSeen, TradeSeen
from aether.domain.instruments import Instrument
from aether.domain.values import NANOS_PER_S, Symbol
from aether.ports import Clock, MarketFeed, Put
from aether.sim.exchange import Exchange
from aether.sim.records import PairRules
from aether.sim.world import SimWorld

OLD_TRADE_NS = 10 * NANOS_PER_S  # a snapshot brings trades of the past, which fill nobody now
TIMER_NS = NANOS_PER_S // 4


def mirrored_rules(instrument: Instrument) -> PairRules:
    """Rules of a real pair for the made exchange."""
    name = str(instrument.symbol)
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
        status=instrument.status.value,
    )


class Mirror:
    """Moves an exchange with what is heard of the real market (see `world.MarketMover`)."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._traded_ns: dict[Symbol, int] = {}

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
            case TradeSeen(symbol=symbol) if heard.venue_ns > max(
                self._traded_ns.get(symbol, 0), now_ns - OLD_TRADE_NS
            ):
                self._traded_ns[symbol] = heard.venue_ns
                self._exchange.crowd_trade(symbol, heard.side.value, heard.price.usd_per_coin, heard.qty.coins, now_ns)
            case FeedLost(symbol=symbol):
                self._repeat_side(symbol, "bid", (), None, now_ns)
                self._repeat_side(symbol, "ask", (), None, now_ns)
            case InstrumentSeen(instrument=instrument):
                self._exchange.set_pair_status(instrument.symbol, instrument.status.value)
            case SystemStatusSeen(status=status):
                # A word the made exchange does not know stops it, as the safe reading of it would the real one.
                known = status in ("online", "post_only", "cancel_only", "maintenance")
                self._exchange.set_system_status(status if known else "maintenance")

    def _repeat_side(
        self,
        symbol: Symbol,
        side: Literal["bid", "ask"],
        levels: tuple[Level, ...],
        book: BookChanged | None,
        now_ns: int,
    ) -> None:
        rules = self._exchange.pairs[symbol]
        wanted = dict(levels)
        if book is not None:  # digits of the wire and of the rules are the same; a difference would be another pair
            assert (book.price_decimals, book.qty_decimals) == (rules.price_decimals, rules.qty_decimals)
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
