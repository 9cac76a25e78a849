"""Everything behind the sandbox's doors: exchange, crowd, board and keys, moved on with the clock. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from aether.domain.values import NANOS_PER_S, ZERO
from aether.ports import Clock
from aether.sim.exchange import Event, Exchange
from aether.sim.keys import KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.pair_table import Row
from aether.sim.rate_counters import TIERS, RestCounters, Tier, TradingCounters
from aether.sim.recorded import asset_pair_rows
from aether.sim.records import LevelChanged, PublicTrade

Listener: TypeAlias = Callable[[Sequence[Event], int], None]
"""Told what happened, in order, and the time."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How this Kraken treats its clients.

    `tier` is the account's verification level, which sets its limits. `view_lag_ns` is for how long REST views do not
    show what just happened. `with_fees` fills the fee arrays of `AssetPairs`, as Kraken did until September 2026.
    """

    tier: Tier = TIERS["pro"]
    view_lag_ns: int = 0
    with_fees: bool = False


STANDARD = Manners()


class Others(Protocol):
    """Whoever else trades there."""

    def advance(self, now_ns: int) -> None:
        """Do all that is due by now, and let the exchange's own timers act."""
        ...


class Desk:
    """One exchange with its surroundings. Whoever changed something calls `settle`, so that everybody hears of it."""

    def __init__(
        self,
        exchange: Exchange,
        crowd: Others,
        board: MarketBoard,
        keys: KeyRing,
        clock: Clock,
        *,
        manners: Manners = STANDARD,
        pair_rows: Mapping[str, Row] | None = None,
    ) -> None:
        """`pair_rows` are the `AssetPairs` rows of the exchange's pairs, by key; the recorded ones unless given."""
        self.exchange = exchange
        self.board = board
        self.keys = keys
        self.manners = manners
        self.rest_counters = RestCounters(manners.tier)
        self.trading_counters = TradingCounters(manners.tier)
        self.pair_rows = asset_pair_rows() if pair_rows is None else pair_rows
        self._crowd = crowd
        self._clock = clock
        self._listeners: list[Listener] = []
        for pair in exchange.pairs:
            self._note_best(pair, self.now_ns())

    def now_ns(self) -> int:
        """The exchange's time: real time, nanoseconds since 1970 UTC."""
        return self._clock.wall_ns()

    def listen(self, listener: Listener) -> None:
        """Tell this listener of everything from now on."""
        self._listeners.append(listener)

    def settle(self) -> None:
        """Let time pass up to now, then tell the board and all listeners what happened."""
        now_ns = self.now_ns()
        self._crowd.advance(now_ns)
        events = self.exchange.drain()
        if not events:
            return
        moved: dict[str, None] = {}
        for event in events:
            if isinstance(event, LevelChanged):
                self.board.change_level(event)
                moved[event.pair] = None
            elif isinstance(event, PublicTrade):
                self.board.add_trade(event)
        for pair in moved:
            self._note_best(pair, now_ns)
        for listener in self._listeners:
            listener(events, now_ns)

    def _note_best(self, pair: str, now_ns: int) -> None:
        book = self.exchange.book(pair, 1)
        bid, ask = (levels[0][0] if levels else ZERO for levels in (book.bids, book.asks))
        self.board.note_best(pair, now_ns // NANOS_PER_S, bid, ask)
