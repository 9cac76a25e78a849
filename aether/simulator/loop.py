"""The daemon's event loop inside a made world: time and everything outside live in an agenda, and the loop can die.

A loop is one life of a process. A kill is an exception that no task can catch: it leaves the loop between two turns,
nothing of the daemon runs after it, and the world goes on.
"""

from __future__ import annotations

from math import ceil
from random import Random
from typing import Any

from aether.domain.values import NANOS_PER_S
from aether.sim.virtual_time import DrawnQueue, EverythingWaits, JumpingSelector, VirtualTimeLoop
from aether.simulator.agenda import Agenda

_IMMORTAL = 1 << 62  # turns


class Killed(BaseException):
    """The process is gone, between two turns of its loop."""


class WorldLoop(VirtualTimeLoop):
    """A virtual loop whose waits are the agenda's time. The next ready task is drawn from `order`."""

    def __init__(self, agenda: Agenda, order: Random) -> None:
        self._turns = _MortalQueue(order)
        self._waits = _WorldSelector(agenda, self._turns)
        super().__init__(self._turns, self._waits)

    @property
    def turns(self) -> int:
        """Turns taken so far."""
        return self._turns.taken

    @property
    def still_ns(self) -> int:
        """For how long it was made to stand still, or its machine to sleep, so far."""
        return self._waits.still_ns

    def kill_after(self, turns: int) -> None:
        """Let the process die before it takes so many more turns; an earlier death stays."""
        self._turns.left = min(turns, self._turns.left)

    def spare(self) -> None:
        """Let a death that was dealt not come."""
        self._turns.left = _IMMORTAL

    def stand_still(self, for_ns: int) -> None:
        """Let the loop stand still, as if one of its turns took so long: the world goes on meanwhile."""
        self.call_soon(self._waits.stand_still, for_ns)

    def sleep_through(self, for_ns: int) -> None:
        """Let the machine sleep: the world goes on, and the loop's timers notice nothing (CLOCK_MONOTONIC)."""
        self.call_soon(self._waits.sleep_through, for_ns)


class _MortalQueue(DrawnQueue):
    """Gives out turns until none is left."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.taken = 0
        self.left = _IMMORTAL

    def live(self) -> None:
        """Raises Killed where no turn is left."""
        if self.left <= 0:
            raise Killed

    def popleft(self) -> Any:
        self.live()
        self.left -= 1
        self.taken += 1
        return super().popleft()


class _WorldSelector(JumpingSelector):
    """Waits by letting the agenda pass, up to the loop's next timer or the world's next act, whichever is first."""

    def __init__(self, agenda: Agenda, turns: _MortalQueue) -> None:
        super().__init__()
        self._agenda = agenda
        self._turns = turns
        self._began_ns = agenda.now_ns
        self._asleep_ns = 0
        self._still_ns = 0
        self._still_since_ns: int | None = None

    @property
    def still_ns(self) -> int:
        """So far: a part of a stall that is still to come has taken no time yet."""
        since_ns = self._still_since_ns
        return self._still_ns + (0 if since_ns is None else self._agenda.now_ns - since_ns)

    def wait(self, timeout_s: float | None) -> None:
        act_ns = self._agenda.next_ns()
        if timeout_s is None and act_ns is None:
            raise EverythingWaits("nothing is ready, no timer is set, and nothing is coming")
        timer_ns = None if timeout_s is None else self._agenda.now_ns + ceil(max(0.0, timeout_s) * NANOS_PER_S)
        self._reach(min(ns for ns in (timer_ns, act_ns) if ns is not None))
        self._turns.live()

    def stand_still(self, for_ns: int) -> None:
        self._still_since_ns = self._agenda.now_ns
        self._reach(self._agenda.now_ns + for_ns)
        self._still_ns, self._still_since_ns = self.still_ns, None

    def sleep_through(self, for_ns: int) -> None:
        self._asleep_ns += for_ns
        self.stand_still(for_ns)

    def _reach(self, to_ns: int) -> None:
        self._agenda.reach(to_ns)
        self.elapsed_s = (self._agenda.now_ns - self._began_ns - self._asleep_ns) / NANOS_PER_S
