"""The system's clock: the only place where the program reads the time."""

from __future__ import annotations

import time

from aether.domain.values import UtcNanos


class SystemClock:
    """Time of this machine, read once and counted on from there, so that it never jumps.

    Wall time is the machine's at the start plus what has passed since, also while it slept (CLOCK_BOOTTIME). Whoever
    sets the machine's clock meanwhile ends no deadline and makes no quote young; that ours drifts from the venue's is
    measured against the venue, and told as ClockMeasured.
    """

    def __init__(self) -> None:
        self._anchor_ns = time.time_ns() - self.monotonic_ns()

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC."""
        return UtcNanos(self._anchor_ns + self.monotonic_ns())

    def monotonic_ns(self) -> int:
        """Nanoseconds since the machine started, sleep included; never goes backwards."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
