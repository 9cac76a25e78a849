"""The loop of a made world: it waits by letting the world go on, and it can die between any two of its turns."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.virtual_time import EverythingWaits
from aether.simulator.agenda import Agenda
from aether.simulator.loop import Killed, WorldLoop


def make() -> tuple[Agenda, WorldLoop]:
    agenda = Agenda(1_000 * NANOS_PER_S)
    return agenda, WorldLoop(agenda, Random(1))


def test_a_sleep_is_the_agendas_time_and_the_world_acts_within_it() -> None:
    agenda, loop = make()
    acted: list[int] = []
    agenda.after(NANOS_PER_S, lambda: acted.append(agenda.now_ns))
    loop.run_until_complete(asyncio.sleep(2))
    assert acted == [1_001 * NANOS_PER_S]
    assert (agenda.now_ns, loop.time()) == (1_002 * NANOS_PER_S, 2.0)
    loop.close()


def test_the_world_wakes_whoever_waits_for_it() -> None:
    agenda, loop = make()
    woken = loop.create_future()
    agenda.after(5 * NANOS_PER_S, lambda: loop.call_soon(woken.set_result, None))
    loop.run_until_complete(woken)
    assert loop.time() == 5.0
    loop.close()


def test_a_wait_that_nothing_can_end_is_an_error() -> None:
    _, loop = make()
    with pytest.raises(EverythingWaits):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_a_kill_leaves_the_loop_and_no_task_can_catch_it() -> None:
    """H04: not even a `finally` runs, until the garbage is taken away."""
    agenda, loop = make()
    heard: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            heard.append("caught")
            raise

    agenda.after(10 * NANOS_PER_S, lambda: loop.kill_after(0))
    with pytest.raises(Killed):
        loop.run_until_complete(stubborn())
    assert agenda.now_ns == 1_010 * NANOS_PER_S
    assert heard == []
    loop.set_exception_handler(lambda *_: None)
    loop.close()


def test_a_kill_counts_turns() -> None:
    _, loop = make()

    async def turn_and_turn() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    loop.kill_after(7)
    loop.kill_after(100)  # an earlier death stays
    with pytest.raises(Killed):
        loop.run_until_complete(turn_and_turn())
    assert loop.turns == 7
    loop.spare()
    loop.run_until_complete(turn_and_turn())
    loop.close()


def test_a_stalled_loop_finds_the_world_gone_on() -> None:
    """H06."""
    agenda, loop = make()

    async def main() -> None:
        loop.stand_still(30 * NANOS_PER_S)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert loop.time() >= 30.0
    assert agenda.now_ns >= 1_030 * NANOS_PER_S
    loop.close()


def test_a_sleeping_machine_does_not_count_the_time_on_its_loop() -> None:
    """F04: timers of the loop run on CLOCK_MONOTONIC, which stands still while the machine sleeps."""
    agenda, loop = make()

    async def main() -> None:
        loop.sleep_through(30 * NANOS_PER_S)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert loop.time() == pytest.approx(1.0)
    assert agenda.now_ns == pytest.approx(1_031 * NANOS_PER_S)
    loop.close()


def test_what_a_stall_took_grows_while_it_lasts() -> None:
    agenda, loop = make()
    began_ns, seen = agenda.now_ns, []
    for after_s in (10, 20):
        agenda.after(after_s * NANOS_PER_S, lambda: seen.append(loop.still_ns))

    async def live() -> None:
        loop.stand_still(15 * NANOS_PER_S)
        await asyncio.sleep(30)

    loop.run_until_complete(live())
    loop.close()
    assert agenda.now_ns - began_ns >= 30 * NANOS_PER_S
    assert seen == [10 * NANOS_PER_S, 15 * NANOS_PER_S]
