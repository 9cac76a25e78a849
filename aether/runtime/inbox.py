"""Where every input arrives: bounded, numbered, stamped. Of books the newest wins; all else keeps its order."""

from __future__ import annotations

import asyncio
from collections import deque

from aether.domain.errors import InvariantBroken
from aether.domain.inputs import BookChanged, FeedLost, Input, Stamped, TradeSeen
from aether.domain.values import Symbol
from aether.ports import Clock

DEPTH_MAX = 20_000
TRADES_DEPTH_MAX = 10_000  # public trades may be dropped before anything about money is
SLOTS_MAX = 2 * DEPTH_MAX  # with superseded books, which are swept out when they are so many
BATCH_MAX = 256


class _Slot:
    __slots__ = ("at_ns", "input")

    def __init__(self, at_ns: int, input_: Input) -> None:
        self.at_ns = at_ns
        self.input: Input | None = input_


class Inbox:
    """A queue with one reader. `put` never waits; a full lane of fills or commands is a broken invariant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: deque[_Slot] = deque()
        self._book_slot: dict[Symbol, _Slot] = {}
        self._has_some = asyncio.Event()
        self._stamped_ns = 0
        self._seq = 0
        self.live = 0  # inputs waiting, superseded books not counted
        self.superseded_books = 0
        self.dropped_trades = 0

    def put(self, input_: Input) -> None:
        """Stamp and queue one input. Raises InvariantBroken when the queue is full of what may not be lost."""
        if self.live >= TRADES_DEPTH_MAX and isinstance(input_, TradeSeen):
            self.dropped_trades += 1
            return
        if self.live >= DEPTH_MAX:
            raise InvariantBroken(f"{self.live} inputs wait, and none of them may be lost")
        self._stamped_ns = max(self._stamped_ns, self._clock.wall_ns())
        slot = _Slot(self._stamped_ns, input_)
        if isinstance(input_, BookChanged):
            self._supersede(input_.symbol)
            self._book_slot[input_.symbol] = slot
        elif isinstance(input_, FeedLost):
            self._book_slot.pop(input_.symbol, None)  # a book from before the loss stays before it
        if len(self._slots) >= SLOTS_MAX:
            self._slots = deque(waiting for waiting in self._slots if waiting.input is not None)
        self._slots.append(slot)
        self.live += 1
        self._has_some.set()

    def _supersede(self, symbol: Symbol) -> None:
        waiting = self._book_slot.get(symbol)
        if waiting is not None and waiting.input is not None:
            waiting.input = None
            self.live -= 1
            self.superseded_books += 1

    async def take(self) -> tuple[Stamped, ...]:
        """The next inputs, at least one, in order."""
        while True:
            await self._has_some.wait()
            if batch := self._drain():
                return batch

    def _drain(self) -> tuple[Stamped, ...]:
        batch: list[Stamped] = []
        while self._slots and len(batch) < BATCH_MAX:
            slot = self._slots.popleft()
            if slot.input is None:
                continue
            self._seq += 1
            self.live -= 1
            batch.append(Stamped(self._seq, slot.at_ns, slot.input))
            slot.input = None
        if not self._slots:
            self._has_some.clear()
        return tuple(batch)
