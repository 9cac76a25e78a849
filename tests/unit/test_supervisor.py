"""One task group owns a run: the ticker, the orderly stop, and the first failure that ends all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import DiskGateChanged, Input, LoopStalled, RunEnding, StopAsked, Tick
from aether.domain.values import NANOS_PER_MS, UtcNanos
from aether.runtime.supervisor import Pace, Service, Supervisor, Ticker
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

PACE = Pace(tick_ms=250, stall_ms_max=2_000, disk_reserve_bytes=1_000, stop_s_max=20)


def on_virtual_time(story: Callable[[], Awaitable[None]]) -> float:
    """Run a story, and give back how many seconds it took."""

    async def whole() -> float:
        await story()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(whole())


# --- the ticker -----------------------------------------------------------------------------------------------------


class StallingClock:
    """The loop's time, and what a standstill of the loop added to it."""

    def __init__(self) -> None:
        self._loop = VirtualClock(asyncio.get_running_loop(), start_wall_ns=0)
        self.stalled_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self._loop.wall_ns() + self.stalled_ns)

    def monotonic_ns(self) -> int:
        return self._loop.monotonic_ns() + self.stalled_ns


class TickerBench:
    def __init__(self) -> None:
        self.clock = StallingClock()
        self.told: list[Input] = []
        self.lags_s: list[float] = []
        self.free = 5_000
        self.ticker = Ticker(self.told.append, self.clock, PACE, lambda: self.free, self.lags_s.append)

    async def ticks(self, count: int) -> list[Input]:
        """Inputs of so many ticks."""
        seen = len(self.told)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.ticker.run())
            await asyncio.sleep((count + 0.5) * PACE.tick_ms / 1000)
            running.cancel()
        return self.told[seen:]

    async def tick_after_stall(self, stalled_ns: int) -> list[Input]:
        """Inputs of one tick in whose wait the loop stood still for so long."""
        asyncio.get_running_loop().call_later(0.1, self._stall, stalled_ns)
        return await self.ticks(1)

    def _stall(self, stalled_ns: int) -> None:
        self.clock.stalled_ns += stalled_ns


def test_the_ticker_ticks_at_its_pace() -> None:
    async def story() -> None:
        bench = TickerBench()
        assert await bench.ticks(4) == [Tick()] * 4
        assert bench.lags_s == [0.0] * 4

    assert on_virtual_time(story) == pytest.approx(4.5 * 0.25)


@pytest.mark.parametrize(
    ("stalled_ns", "told"),
    [
        (2_000 * NANOS_PER_MS, [Tick()]),
        (2_000 * NANOS_PER_MS + 1, [LoopStalled(2_000 * NANOS_PER_MS + 1), Tick()]),
    ],
)
def test_a_loop_that_stood_still_too_long_is_told_before_the_tick(stalled_ns: int, told: list[Input]) -> None:
    async def story() -> None:
        bench = TickerBench()
        assert await bench.tick_after_stall(stalled_ns) == told
        assert bench.lags_s == [stalled_ns / 1e9]
        assert await bench.ticks(1) == [Tick()]

    on_virtual_time(story)


def test_a_clock_that_runs_slow_is_no_negative_lag() -> None:
    async def story() -> None:
        bench = TickerBench()
        assert await bench.tick_after_stall(-100 * NANOS_PER_MS) == [Tick()]
        assert bench.lags_s == [0.0]

    on_virtual_time(story)


def test_a_full_disk_is_told_once_and_its_end_once() -> None:
    async def story() -> None:
        bench = TickerBench()
        bench.free = 1_000
        assert await bench.ticks(2) == [Tick(), Tick()]
        bench.free = 999
        assert await bench.ticks(3) == [DiskGateChanged(is_open=False, free_bytes=999), Tick(), Tick(), Tick()]
        bench.free = 1_000
        assert await bench.ticks(2) == [DiskGateChanged(is_open=True, free_bytes=1_000), Tick(), Tick()]

    on_virtual_time(story)


def test_a_disk_that_is_full_from_the_start_is_told_at_the_first_tick() -> None:
    async def story() -> None:
        bench = TickerBench()
        bench.free = 0
        assert await bench.ticks(1) == [DiskGateChanged(is_open=False, free_bytes=0), Tick()]

    on_virtual_time(story)


# --- the supervisor -------------------------------------------------------------------------------------------------


class SupervisorBench:
    """A supervisor; a runner that ends at RunEnding; the times at which each input came."""

    def __init__(self, *, is_quiet: bool = True) -> None:
        self.told: list[tuple[float, Input]] = []
        self.ended: list[str] = []
        self.is_quiet = is_quiet
        self._over = asyncio.Event()
        self.supervisor = Supervisor(self._put, PACE, lambda: self.is_quiet)

    def _put(self, told: Input) -> None:
        self.told.append((asyncio.get_running_loop().time(), told))
        if isinstance(told, RunEnding):
            self._over.set()

    async def runner(self) -> None:
        await self._over.wait()

    async def lives(self) -> None:
        """A service that runs until it is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("service")

    async def run(self, *services: Service) -> None:
        await self.supervisor.run(self.runner, services or (("lives", self.lives),))


def test_h01_an_orderly_stop_asks_then_ends_the_run_and_cancels_the_services() -> None:
    async def story() -> None:
        bench = SupervisorBench()
        asyncio.get_running_loop().call_later(3, bench.supervisor.ask_to_stop, "SIGTERM")
        await bench.run()
        assert bench.told == [(3.0, StopAsked("SIGTERM")), (3.0, RunEnding("SIGTERM"))]
        assert bench.ended == ["service"]

    assert on_virtual_time(story) == 3.0


def test_a_stop_waits_until_all_is_quiet() -> None:
    async def story() -> None:
        bench = SupervisorBench(is_quiet=False)
        loop = asyncio.get_running_loop()
        loop.call_later(5.1, setattr, bench, "is_quiet", True)  # noqa: FBT003
        bench.supervisor.ask_to_stop("SIGTERM")
        await bench.run()
        assert bench.told == [(0.0, StopAsked("SIGTERM")), (5.25, RunEnding("SIGTERM"))]

    on_virtual_time(story)


def test_a_stop_waits_no_longer_than_its_bound() -> None:
    async def story() -> None:
        bench = SupervisorBench(is_quiet=False)
        bench.supervisor.ask_to_stop("SIGTERM")
        await bench.run()
        (_, (ended_s, ending)) = bench.told
        assert ending == RunEnding("SIGTERM")
        assert ended_s == pytest.approx(PACE.stop_s_max)

    on_virtual_time(story)


def test_h02_only_the_first_reason_to_stop_counts() -> None:
    async def story() -> None:
        bench = SupervisorBench()
        bench.supervisor.ask_to_stop("SIGINT")
        bench.supervisor.ask_to_stop("SIGTERM")
        await bench.run()
        assert [told for _, told in bench.told] == [StopAsked("SIGINT"), RunEnding("SIGINT")]

    on_virtual_time(story)


def test_nothing_is_put_while_no_stop_is_asked_for() -> None:
    async def story() -> None:
        bench = SupervisorBench()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await bench.run()
        assert bench.told == []
        assert bench.ended == ["service"]

    on_virtual_time(story)


def test_h07_a_service_that_raises_takes_all_down() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise VenueUnavailable("no route")

    async def story() -> None:
        bench = SupervisorBench()
        with pytest.raises(ExceptionGroup) as ended:
            await bench.run(("fails", fails), ("lives", bench.lives))
        assert ended.group_contains(VenueUnavailable, match="no route")
        assert bench.ended == ["service"]
        assert bench.told == []

    on_virtual_time(story)


def test_a_service_that_ends_by_itself_takes_all_down_and_is_named() -> None:
    async def ends() -> None:
        await asyncio.sleep(1)

    async def story() -> None:
        bench = SupervisorBench()
        with pytest.raises(ExceptionGroup) as ended:
            await bench.run(("ends", ends), ("lives", bench.lives))
        assert ended.group_contains(RuntimeError, match="service ends ended by itself")
        assert bench.ended == ["service"]

    on_virtual_time(story)


def test_a_runner_that_raises_takes_all_down() -> None:
    async def breaks() -> None:
        await asyncio.sleep(1)
        raise AssertionError("an invariant")

    async def story() -> None:
        bench = SupervisorBench()
        with pytest.raises(ExceptionGroup) as ended:
            await bench.supervisor.run(breaks, (("lives", bench.lives),))
        assert ended.group_contains(AssertionError, match="an invariant")
        assert bench.ended == ["service"]

    on_virtual_time(story)


def test_a_service_that_fails_while_it_is_stopped_is_not_hidden_by_the_orderly_end() -> None:
    async def fails_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot close")

    async def story() -> None:
        bench = SupervisorBench()
        bench.supervisor.ask_to_stop("SIGTERM")
        with pytest.raises(ExceptionGroup) as ended:
            await bench.run(("fails late", fails_late))
        assert ended.group_contains(OSError, match="cannot close")

    on_virtual_time(story)


def test_services_that_end_slowly_are_waited_for() -> None:
    async def ends_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(4)

    async def story() -> None:
        bench = SupervisorBench()
        bench.supervisor.ask_to_stop("SIGTERM")
        await bench.run(("slow", ends_slowly))

    assert on_virtual_time(story) == 4.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_for_an_orderly_stop(number: signal.Signals) -> None:
    bench = SupervisorBench()
    bench.supervisor.catch_signals()
    loop = asyncio.get_running_loop()
    try:
        loop.call_soon(os.kill, os.getpid(), number)
        async with asyncio.timeout(10):
            await bench.run()
    finally:
        for caught in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(caught)
    assert [told for _, told in bench.told] == [StopAsked(number.name), RunEnding(number.name)]


def names_of_tasks(seen: list[set[str]]) -> Callable[[], Awaitable[None]]:
    async def look() -> None:
        seen.append({task.get_name() for task in asyncio.all_tasks()})
        await asyncio.Event().wait()

    return look


def test_every_task_bears_the_name_of_its_service() -> None:
    seen: list[set[str]] = []

    async def story() -> None:
        bench = SupervisorBench()
        services: Sequence[Any] = [("feed", bench.lives), ("looks", names_of_tasks(seen))]
        asyncio.get_running_loop().call_later(1, bench.supervisor.ask_to_stop, "enough")
        await bench.run(*services)

    on_virtual_time(story)
    assert {"engine", "stop", "feed", "looks"} <= seen[0]
