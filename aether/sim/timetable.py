"""What is due at which time: orders that begin, and orders that expire."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal, TypeAlias

from aether.sim.account import WorkingOrder

Due: TypeAlias = Literal["expire", "start"]


class Timetable:
    """Entries by time, at one time by order of entry. An entry of an order that is closed by then says nothing."""

    __slots__ = ("_count", "_entries")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Due, WorkingOrder]] = []
        self._count = 0

    def add(self, at_ns: int, due: Due, working: WorkingOrder) -> None:
        """Remember what an order does at `at_ns`."""
        self._count += 1
        heappush(self._entries, (at_ns, self._count, due, working))

    def next_ns(self) -> int | None:
        """When something is due next; None if nothing is."""
        while self._entries and not self._entries[0][3].order.is_open:
            heappop(self._entries)
        return self._entries[0][0] if self._entries else None

    def pop(self) -> tuple[Due, WorkingOrder]:
        """The next entry. Raises IndexError where there is none."""
        _, _, due, working = heappop(self._entries)
        return due, working
