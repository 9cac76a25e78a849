"""The made Kraken with its crowd, in one process and moving with a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.exchange import Event, Exchange

Listener: TypeAlias = Callable[[Sequence[Event]], None]

_SHORTEST_NAP_S = 0.001  # below it, a rounding of the loop's float seconds could wake us too early for ever


class MarketMover(Protocol):
    """Who else trades there: recorded hours played again, or the real market repeated."""

    def advance(self, now_ns: int) -> None:
        """Do all that is due by now."""
        ...

    def next_due_ns(self) -> int:
        """When something is due next."""
        ...


class SimWorld:
    """Owns an exchange and its crowd, moves both with the clock, and hands every event to each listener in order."""

    def __init__(self, exchange: Exchange, crowd: MarketMover, clock: Clock) -> None:
        self.exchange = exchange
        self.crowd = crowd
        self._clock = clock
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Hand all later events to this listener, until `ignore`. What happened before is not told again."""
        self.publish()
        self._listeners.append(listener)

    def ignore(self, listener: Listener) -> None:
        """Hand no more events to this listener."""
        self._listeners.remove(listener)

    def catch_up(self) -> int:
        """Bring the exchange to the clock's time, which is returned; whoever acts on it calls this first."""
        now_ns = self._clock.wall_ns()
        self.crowd.advance(now_ns)
        return now_ns

    def publish(self) -> None:
        """Hand out what happened since the last time; whoever acted on the exchange calls this afterwards."""
        events = self.exchange.drain()
        if events:
            for listener in list(self._listeners):
                listener(events)

    async def run(self) -> None:
        """Move the world until cancelled."""
        while True:
            now_ns = self.catch_up()
            self.publish()
            await asyncio.sleep(max(_SHORTEST_NAP_S, (self.crowd.next_due_ns() - now_ns) / NANOS_PER_S))
