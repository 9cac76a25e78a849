"""One TaskGroup owns every task of a run; signals, the ticker and stopping in order live here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aether.domain.errors import AetherError
from aether.domain.inputs import DiskGateChanged, LoopStalled, RunEnding, StopAsked, Tick
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.ports import Clock, Put

Service = tuple[str, Callable[[], Awaitable[None]]]


RUN_ENDS_WITHIN_S = 10  # after all answers are in, or the time for them is over


class RunOver(Exception):
    """The runner has written RunEnded."""


class StopHung(AetherError):
    """The run's end could not be written: whatever was under way is found by the next start, as after a crash."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the loop ticks, when it counts as stalled, and how much disk must stay free."""

    tick_ms: int
    stall_ms_max: int
    disk_reserve_bytes: int
    stop_s_max: int


class Ticker:
    """Puts Tick on the clock, LoopStalled where the loop stood still, DiskGateChanged where space runs out."""

    def __init__(
        self, put: Put, clock: Clock, pace: Pace, free_bytes: Callable[[], int], lag: Callable[[float], None]
    ) -> None:
        self._put = put
        self._clock = clock
        self._pace = pace
        self._free_bytes = free_bytes
        self._lag = lag
        self._disk_is_open = True

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            before_ns = self._clock.monotonic_ns()
            await asyncio.sleep(self._pace.tick_ms / 1000)
            late_ns = self._clock.monotonic_ns() - before_ns - self._pace.tick_ms * NANOS_PER_MS
            self._lag(max(0, late_ns) / NANOS_PER_S)
            if late_ns > self._pace.stall_ms_max * NANOS_PER_MS:
                self._put(LoopStalled(late_ns))
            self._check_disk()
            self._put(Tick())

    def _check_disk(self) -> None:
        free = self._free_bytes()
        is_open = free >= self._pace.disk_reserve_bytes
        if is_open != self._disk_is_open:
            self._disk_is_open = is_open
            self._put(DiskGateChanged(is_open, free))


class Supervisor:
    """Runs the services of one run until a stop is asked for or one of them fails; the first failure ends all."""

    def __init__(self, put: Put, pace: Pace, is_quiet: Callable[[], bool]) -> None:
        self._put = put
        self._pace = pace
        self._is_quiet = is_quiet
        self._stop = asyncio.Event()
        self._why = ""

    @property
    def is_stopping(self) -> bool:
        """An orderly stop was asked for."""
        return self._stop.is_set()

    def ask_to_stop(self, why: str) -> None:
        """Begin an orderly stop; further calls change nothing."""
        if not self._stop.is_set():
            self._why = why
            self._stop.set()

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT ask for an orderly stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_to_stop, signal.Signals(number).name)

    async def run(self, runner: Callable[[], Awaitable[None]], services: Sequence[Service]) -> None:
        """Own all tasks. Returns after an orderly stop; raises what the first failing service raised, in a group."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until_over(runner), name="engine")
                group.create_task(self._stop_in_order(), name="stop")
                for name, service in services:
                    group.create_task(self._keep(name, service), name=name)
        except* RunOver:
            pass

    async def _until_over(self, runner: Callable[[], Awaitable[None]]) -> None:
        with _named("engine"):
            await runner()
        raise RunOver

    async def _keep(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        with _named(name):
            await service()
        raise RuntimeError(f"service {name} ended by itself")

    async def _stop_in_order(self) -> None:
        await self._stop.wait()
        self._put(StopAsked(self._why))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.stop_s_max):
                while not self._is_quiet():  # noqa: ASYNC110 - a state of the ledger, looked at once a tick
                    await asyncio.sleep(self._pace.tick_ms / 1000)
        self._put(RunEnding(self._why))
        # A disk that does not answer keeps the runner in its commit, and it never comes to take this input.
        await asyncio.sleep(RUN_ENDS_WITHIN_S)
        raise StopHung(f"the end of the run was not on disk within {RUN_ENDS_WITHIN_S} s; look at the journal's disk")


@contextmanager
def _named(task: str) -> Iterator[None]:
    """Whoever reads of a failure learns which task it ended."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the task {task}")
        raise
