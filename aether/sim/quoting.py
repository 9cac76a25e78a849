"""The crowd's orders: levels on both sides of the next trades, sizes drawn, never more changes than it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from aether.sim.candle_path import PathTrade
from aether.sim.exchange import Exchange, PairRules
from aether.sim.recorded import RecordedHour
from aether.sim.records import BookSide

LEVELS_MIN = 15
LEVELS_MAX = 24
_HOUR_PARTS = 90  # an average level holds about as much as this part of an hour's volume


class Quoting:
    """Keeps the crowd's levels of one pair. `random` draws distances and sizes.

    Hours and trades are in ticks and lots of the `rules` given here; where the exchange has changed its digits since,
    the crowd speaks in the new ones, rounded where they are coarser.
    """

    def __init__(self, exchange: Exchange, rules: PairRules, random: Random) -> None:
        self._exchange = exchange
        self._rules = rules
        self._random = random
        self._size = 1
        self._spacing = 1

    def quote_for(self, hour: RecordedHour, trades: Sequence[PathTrade], now_ns: int) -> None:
        """Quote so that these trades come next: the best ask at the highest of them and the best bid at the lowest."""
        trades = [self._on_grid(trade) for trade in trades]
        high, low = max(trade.ticks for trade in trades), min(trade.ticks for trade in trades)
        self._size = max(1, self._lots(hour.volume) // _HOUR_PARTS)
        self._spacing = max(1, (self._ticks(hour.high) - self._ticks(hour.low)) // 20, low // 10_000)
        if high == low:
            spread = max(1, low * self._random.randint(5, 20) // 100_000)
            low, high = (low - spread, high) if trades[-1].side == "buy" else (low, high + spread)
        bids = self._withdraw_better("bid", low, now_ns)
        asks = self._withdraw_better("ask", high, now_ns)
        self._quote_side("bid", bids, low, trades, now_ns)
        self._quote_side("ask", asks, high, trades, now_ns)

    def trade(self, trade: PathTrade, now_ns: int) -> None:
        """Take what the path says."""
        trade = self._on_grid(trade)
        self._exchange.crowd_trade(
            self._rules.name, trade.side, self._price(trade.ticks), self._qty(trade.lots), now_ns
        )

    def stir(self, now_ns: int) -> None:
        """Change the size of one level, as people do who change their minds."""
        side: BookSide = "bid" if self._random.randrange(2) else "ask"
        levels = self._exchange.crowd_levels(self._rules.name, side)
        if levels:
            index = self._random.randrange(len(levels))
            self._set(side, levels[index][0], self._drawn_size(index), now_ns)

    def _withdraw_better(self, side: BookSide, best: int, now_ns: int) -> list[tuple[int, int]]:
        """Take away levels that are better than the best shall be; those that stay, best first."""
        stay = []
        for ticks, lots in self._exchange.crowd_levels(self._rules.name, side):
            if ticks > best if side == "bid" else ticks < best:
                self._set(side, ticks, 0, now_ns)
            else:
                stay.append((ticks, lots))
        return stay

    def _quote_side(
        self, side: BookSide, levels: list[tuple[int, int]], best: int, trades: Sequence[PathTrade], now_ns: int
    ) -> None:
        taker = "sell" if side == "bid" else "buy"
        needed = sum(trade.lots for trade in trades if trade.ticks == best and trade.side == taker)
        resting = levels[0][1] if levels and levels[0][0] == best else 0
        if resting <= needed and best >= 1:
            self._set(side, best, needed + self._drawn_size(0), now_ns)
        for ticks, _ in levels[LEVELS_MAX:]:
            self._set(side, ticks, 0, now_ns)
        outwards = -1 if side == "bid" else 1
        ticks = levels[-1][0] if levels else best
        for depth in range(len(levels), LEVELS_MIN):
            ticks += outwards * self._random.randint(1, self._spacing * 3 // 2 + 1)
            if ticks >= 1:
                self._set(side, ticks, self._drawn_size(depth), now_ns)

    def _drawn_size(self, depth: int) -> int:
        return max(1, self._size * self._random.randint(50, 400) * (4 + depth) // 400)

    def _set(self, side: BookSide, ticks: int, lots: int, now_ns: int) -> None:
        self._exchange.set_level(self._rules.name, side, self._price(ticks), self._qty(lots), now_ns)

    def _price(self, ticks: int) -> Decimal:
        return Decimal(ticks).scaleb(-self._live.price_decimals)

    def _qty(self, lots: int) -> Decimal:
        return Decimal(lots).scaleb(-self._live.qty_decimals)

    @property
    def _live(self) -> PairRules:
        return self._exchange.pairs[self._rules.name]

    def _on_grid(self, trade: PathTrade) -> PathTrade:
        return replace(trade, ticks=self._ticks(trade.ticks), lots=self._lots(trade.lots))

    def _ticks(self, ticks: int) -> int:
        return _moved(ticks, self._live.price_decimals - self._rules.price_decimals)

    def _lots(self, lots: int) -> int:
        return _moved(lots, self._live.qty_decimals - self._rules.qty_decimals)


def _moved(number: int, digits: int) -> int:
    """The same in units of so many more digits; never less than one of them."""
    return number * int(10**digits) if digits >= 0 else max(1, number // int(10**-digits))
