"""Who else trades at the made Kraken: recorded hours played again as trades, with a living book drawn around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from heapq import merge
from itertools import count
from operator import itemgetter
from random import Random
from typing import TypeAlias

from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.sim.candle_path import PathTrade
from aether.sim.candles import Candle, candles
from aether.sim.exchange import Exchange
from aether.sim.quoting import Quoting
from aether.sim.recorded import RecordedHour
from aether.sim.replay import Replay

Action: TypeAlias = Callable[[int], None]
TimedTrade: TypeAlias = tuple[int, PathTrade]

# Trades nearer than this are quoted for together: at the highest speeds the book then changes about 20 times a second.
QUOTE_GAP_NS = 400 * NANOS_PER_MS


class Crowd:
    """Plays recorded hours of each pair on an exchange, with the exchange's own rules.

    One recorded hour lasts 3600/speed seconds (speed is 1 to 3600). Row `start_row` is running at `now_ns`; it began
    at the last whole multiple of that time, so that candles and rows coincide, and its trades till now are made at
    once. After the last row the first one comes again.

    With nobody else there, the public trades of an hour have exactly its recorded open, high, low, close and volume.
    What happens, and when, depends on the arguments alone, never on how `advance` is called.
    """

    def __init__(
        self,
        exchange: Exchange,
        histories: Mapping[str, Sequence[RecordedHour]],
        *,
        seed: int,
        speed: int,
        start_row: int,
        now_ns: int,
    ) -> None:
        """Raises ValueError for a speed outside 1 to 3600, or for a start outside the hours."""
        self._exchange = exchange
        self._replays = {
            pair: Replay(exchange.pairs[pair], hours, seed=seed, speed=speed, start_row=start_row, now_ns=now_ns)
            for pair, hours in histories.items()
        }
        streams: list[Iterator[tuple[int, Action]]] = []
        for pair, replay in self._replays.items():
            quoting = Quoting(exchange, replay.rules, _random(seed, pair, "quotes"))
            streams += [_plays(quoting, replay), _stirs(quoting, _random(seed, pair, "stirs"), replay.begins_ns(0))]
        self._actions = merge(*streams, key=itemgetter(0))
        self._next = next(self._actions)
        self.advance(now_ns)

    def next_due_ns(self) -> int:
        """When the crowd acts next."""
        return self._next[0]

    def advance(self, now_ns: int) -> None:
        """Do all that is due by now, each act at its own time, then let the exchange's own timers act."""
        while self._next[0] <= now_ns:
            self._act()
        self._exchange.advance(now_ns)

    def advance_some(self, now_ns: int, acts_max: int) -> None:
        """The same, but only so many acts: where a machine cannot keep up, the market falls behind and nobody waits."""
        for _ in range(acts_max):
            if self._next[0] > now_ns:
                break
            self._act()
        self._exchange.advance(now_ns)

    def _act(self) -> None:
        at_ns, act = self._next
        act(at_ns)
        self._next = next(self._actions)

    def candles(self, pair: str, interval_s: int, now_ns: int) -> list[Candle]:
        """Up to 720 complete candles and the running one, oldest first. Raises KeyError for an unknown pair."""
        return candles(self._replays[pair], interval_s, now_ns)


def _random(seed: int, pair: str, use: str) -> Random:
    return Random(f"{seed}:{pair}:{use}")  # noqa: S311 - a made market, no secret


def _plays(quoting: Quoting, replay: Replay) -> Iterator[tuple[int, Action]]:
    """The trades of every lap, each group quoted for half-way since the last trade; the first one from the start."""
    start_ns = before_ns = replay.begins_ns(0)
    for lap in count():
        for group in _grouped(replay.trades(lap)):
            quote_ns = start_ns if before_ns == start_ns else (before_ns + group[0][0]) // 2
            yield quote_ns, partial(quoting.quote_for, replay.hour(lap), [trade for _, trade in group])
            for at_ns, trade in group:
                yield at_ns, partial(quoting.trade, trade)
                before_ns = at_ns


def _stirs(quoting: Quoting, random: Random, start_ns: int) -> Iterator[tuple[int, Action]]:
    """A change of mind about once a second, whatever the speed."""
    at_ns = start_ns
    while True:
        at_ns += random.randrange(NANOS_PER_S // 2, 3 * NANOS_PER_S // 2)
        yield at_ns, quoting.stir


def _grouped(trades: Sequence[TimedTrade]) -> Iterator[list[TimedTrade]]:
    group: list[TimedTrade] = []
    for timed in trades:
        if group and timed[0] - group[0][0] >= QUOTE_GAP_NS:
            yield group
            group = []
        group.append(timed)
    if group:
        yield group
