"""The loop that jumps: hours in no time, deadlocks as errors, orders of tasks drawn or kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, TypeVar

import aiosqlite
import pytest
from aiosqlite import core

from aether.sim.virtual_time import EverythingWaits, VirtualClock, VirtualTimeLoop, inline_sqlite

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], order: Random | None = None) -> T:
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(order)) as runner:
        return runner.run(coroutine)


def test_a_sleep_takes_exactly_its_time_on_both_clocks() -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=1_000)
        await asyncio.sleep(3 * 3600)
        return clock.wall_ns(), clock.monotonic_ns()

    assert run(main()) == (3 * 3600 * 10**9 + 1_000, 3 * 3600 * 10**9)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    async def main() -> None:
        await asyncio.gather(*(sleeper(seconds) for seconds in (30, 10, 20)))

    run(main())
    assert woken == [10, 20, 30]


def test_a_deadlock_is_an_error() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualTimeLoop()
    task = loop.create_task(main())
    with pytest.raises(EverythingWaits):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def order_of_tasks(order: Random | None) -> list[int]:
    seen: list[int] = []

    async def mark(number: int) -> None:
        seen.append(number)

    async def main() -> None:
        await asyncio.gather(*(mark(number) for number in range(8)))

    run(main(), order)
    return seen


def test_ready_tasks_run_first_come_first_served_unless_drawn() -> None:
    assert order_of_tasks(None) == list(range(8))


def test_a_seed_draws_another_order_and_the_same_one_twice() -> None:
    drawn = {seed: order_of_tasks(Random(seed)) for seed in range(5)}

    assert all(sorted(seen) == list(range(8)) for seen in drawn.values())
    assert len({tuple(seen) for seen in drawn.values()}) > 1
    assert drawn[3] == order_of_tasks(Random(3))


def test_executor_work_runs_inline_and_its_error_reaches_who_awaits_it() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)
        return await asyncio.to_thread(max, 1, 2)

    assert run(main()) == 2


@pytest.mark.parametrize("order", [None, Random(5)])
def test_sqlite_works_inline_and_keeps_the_order_of_statements(tmp_path: Path, order: Random | None) -> None:
    async def main() -> list[int]:
        with inline_sqlite(Random(1)):
            async with aiosqlite.connect(tmp_path / "made.db") as database:
                await database.execute("CREATE TABLE numbers (number INTEGER)")
                async with asyncio.TaskGroup() as group:
                    for number in range(5):
                        group.create_task(_insert(database, number))
                rows = await database.execute_fetchall("SELECT number FROM numbers ORDER BY number")
                with pytest.raises(sqlite3.OperationalError):
                    await database.execute("SELECT nothing FROM nowhere")
        return [row[0] for row in rows]

    async def _insert(database: aiosqlite.Connection, number: int) -> None:
        await database.execute("INSERT INTO numbers VALUES (?)", (number,))

    assert run(main(), order) == [0, 1, 2, 3, 4]
    assert vars(core)["Thread"] is Thread
