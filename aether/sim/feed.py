"""The `MarketFeed` port over the made Kraken, in process: back-test and fault test hear the market here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from aether.domain.errors import VenueRefused
from aether.domain.inputs import (
    Bar,
    BookChanged,
    ClockMeasured,
    HistorySeen,
    InstrumentSeen,
    Maintenance,
    MaintenanceAnnounced,
    SystemStatusSeen,
    TradeSeen,
)
from aether.domain.instruments import PairStatus, Side
from aether.domain.spot_gate import SpotGate
from aether.domain.values import Price, Qty, Symbol
from aether.ports import Put
from aether.sim.crowd import Crowd
from aether.sim.exchange import Event, LevelChanged, PublicTrade, StatusEvent
from aether.sim.records import Announcement
from aether.sim.world import SimWorld

BOOK_DEPTH = 10
CLOCK_EVERY_S = 15  # as often as the live feed pings


class SimFeed:
    """Hears the world's public events; of pairs that the gate admits, nothing else passes."""

    def __init__(self, world: SimWorld, crowd: Crowd, gate: SpotGate) -> None:
        self._world = world
        self._crowd = crowd
        self._gate = gate
        self._announced: tuple[Announcement, ...] = ()

    async def run(self, put: Put) -> None:
        """Hear until cancelled: first rules, status, clock and books as they are, then every change."""

        def hear(events: Sequence[Event]) -> None:
            self._hear(events, put)

        self._world.listen(hear)
        try:
            self._tell_present(put)
            while True:
                await asyncio.sleep(CLOCK_EVERY_S)
                put(ClockMeasured(offset_ns=0, error_ns=0))
        finally:
            self._world.ignore(hear)

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        """Up to `count` newest complete candles. Raises VenueRefused for a symbol that is not traded here."""
        if symbol not in self._world.exchange.pairs:
            raise VenueRefused("venue_invalid", "EQuery:Unknown asset pair")
        complete = self._crowd.candles(symbol, bar_s, self._world.catch_up())[:-1]
        bars = tuple(Bar(row.open_s, row.open, row.high, row.low, row.close, row.volume) for row in complete[-count:])
        return HistorySeen(symbol, bar_s, bars)

    def _tell_present(self, put: Put) -> None:
        put(ClockMeasured(offset_ns=0, error_ns=0))
        put(SystemStatusSeen(self._world.exchange.system_status))
        self._tell_announced(put)
        for name in self._world.exchange.pairs:
            if symbol := self._gate.wire(name):
                self._tell_instrument(symbol, put)
                self._tell_book(symbol, put)

    def _hear(self, events: Sequence[Event], put: Put) -> None:
        """Trades one by one; of each changed book, one picture after them."""
        changed: dict[Symbol, None] = {}
        for event in events:
            if isinstance(event, StatusEvent) and event.pair is None:
                put(SystemStatusSeen(event.status))
                self._tell_announced(put)
                continue
            if not isinstance(event, PublicTrade | LevelChanged | StatusEvent) or event.pair is None:
                continue
            symbol = self._gate.wire(event.pair)
            if symbol is None:
                continue
            if isinstance(event, PublicTrade):
                put(TradeSeen(symbol, Side(event.side), Price(event.price), Qty(event.qty), event.at_ns))
            elif isinstance(event, StatusEvent):
                self._tell_instrument(symbol, put)
            else:
                changed[symbol] = None
        for symbol in changed:
            self._tell_book(symbol, put)

    def _tell_announced(self, put: Put) -> None:
        announced = self._world.exchange.announced
        if announced != self._announced:
            self._announced = announced
            put(MaintenanceAnnounced(tuple(Maintenance(window.start_ns, window.end_ns) for window in announced)))

    def _tell_instrument(self, symbol: Symbol, put: Put) -> None:
        status = PairStatus(self._world.exchange.pairs[symbol].status)
        put(InstrumentSeen(replace(self._gate.instruments[symbol], status=status)))

    def _tell_book(self, symbol: Symbol, put: Put) -> None:
        rules = self._world.exchange.pairs[symbol]
        bids, asks = self._world.exchange.top(symbol, BOOK_DEPTH)
        put(BookChanged(symbol, bids, asks, rules.price_decimals, rules.qty_decimals))
