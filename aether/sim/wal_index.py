"""Shared memory of the connections to one database in WAL mode: regions and eight locks (SQLite docs, "WAL-mode").

It is memory alone. SQLite makes it anew from the log whenever the first connection comes, as after a power cut.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

LOCKS = 8


@dataclass(slots=True)
class WalIndex:
    """What the connections of one database share. A connection is named by the number of its open file."""

    users: set[int] = field(default_factory=set)
    regions: list[Any] = field(default_factory=list)
    _shared: list[set[int]] = field(default_factory=lambda: [set() for _ in range(LOCKS)])
    _exclusive: list[int | None] = field(default_factory=lambda: [None] * LOCKS)

    def region(self, number: int, size: int, *, extend: bool) -> int | None:
        """Address of a region; None where there is none yet and none is to be made."""
        while extend and len(self.regions) <= number:
            self.regions.append(ctypes.create_string_buffer(size))
        return ctypes.addressof(self.regions[number]) if number < len(self.regions) else None

    def lock(self, user: int, slots: range, *, exclusive: bool) -> bool:
        """Take these locks, all or none; False where another holds one against it."""
        if any(self._exclusive[slot] not in (None, user) for slot in slots):
            return False
        if exclusive and any(self._shared[slot] - {user} for slot in slots):
            return False
        for slot in slots:
            if exclusive:
                self._exclusive[slot] = user
            else:
                self._shared[slot].add(user)
        return True

    def unlock(self, user: int, slots: range) -> None:
        """Give these locks back."""
        for slot in slots:
            self._shared[slot].discard(user)
            if self._exclusive[slot] == user:
                self._exclusive[slot] = None

    def leave(self, user: int) -> None:
        """This connection is gone, and its locks with it."""
        self.unlock(user, range(LOCKS))
        self.users.discard(user)
