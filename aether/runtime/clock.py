"""The system's clock: the only place where the program reads the time."""

from __future__ import annotations

import time

from aether.domain.values import UtcNanos


class SystemClock:
    """Wall and monotonic time of this machine."""

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC; may jump when the machine's clock is set."""
        return UtcNanos(time.time_ns())

    def monotonic_ns(self) -> int:
        """Nanoseconds since the machine started; never goes backwards."""
        return time.monotonic_ns()
