"""Time itself, and all that will happen in it outside the daemon: messages on their way, beats, the market, faults.

It knows nothing of the daemon's loop. Whoever waits lets the agenda reach a moment; what is due on the way happens
then, each at its own time, in one order.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from aether.domain.values import UtcNanos

Act = Callable[[], object]
"""What it returns is nobody's concern."""


class Agenda:
    """Acts by time; those of one moment in the order in which they were put down. Times are nanoseconds since 1970."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.acts = 0
        self._waiting: list[tuple[int, int, Act]] = []
        self._number = 0

    def at(self, at_ns: int, act: Act) -> None:
        """Do this then; at once, though not before what waits already, where that is past."""
        self._number += 1
        heappush(self._waiting, (max(at_ns, self.now_ns), self._number, act))

    def after(self, delay_ns: int, act: Act) -> None:
        """Do this so much later."""
        self.at(self.now_ns + delay_ns, act)

    def every(self, pause_ns: int, act: Act) -> None:
        """Do this again and again, for ever."""

        def again() -> None:
            act()
            self.after(pause_ns, again)

        self.after(pause_ns, again)

    def next_ns(self) -> int | None:
        """When something happens next."""
        return self._waiting[0][0] if self._waiting else None

    def reach(self, to_ns: int) -> None:
        """Let time pass up to a moment, and all that is due by then happen. Never goes back."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= to_ns:
            at_ns, _, act = heappop(waiting)
            self.now_ns = max(self.now_ns, at_ns)
            self.acts += 1
            act()
        self.now_ns = max(self.now_ns, to_ns)


class ExchangeClock:
    """The `Clock` port on the exchange's side: the true time."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC."""
        return UtcNanos(self._agenda.now_ns)

    def monotonic_ns(self) -> int:
        """The same: it never goes back."""
        return self._agenda.now_ns


class MachineClocks:
    """The clocks of the daemon's machine, which outlive its processes: one that people set, and one that only runs.

    `ppm` is by how many millionths its oscillator runs fast; `set_by_ns` by how much people have set the wall clock.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._drifted_ns = 0
        self._since_ns = agenda.now_ns
        self._ppm = 0
        self.set_by_ns = 0

    def drift(self, ppm: int) -> None:
        """From now on it runs fast by so much, or slow where negative."""
        self._drifted_ns = self._drift_ns()
        self._since_ns = self._agenda.now_ns
        self._ppm = ppm

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME: runs on while the machine sleeps, and nobody sets it."""
        return self._agenda.now_ns + self._drift_ns()

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME: what people set."""
        return self.boottime_ns() + self.set_by_ns

    def _drift_ns(self) -> int:
        return self._drifted_ns + (self._agenda.now_ns - self._since_ns) * self._ppm // 1_000_000


class ProcessClock:
    """The `Clock` port of one process there: as `runtime.clock.SystemClock`, it reads the wall clock once."""

    def __init__(self, machine: MachineClocks) -> None:
        self._machine = machine
        self._anchor_ns = machine.realtime_ns() - machine.boottime_ns()

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC, as this process believes."""
        return UtcNanos(self._anchor_ns + self._machine.boottime_ns())

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment."""
        return self._machine.boottime_ns()
