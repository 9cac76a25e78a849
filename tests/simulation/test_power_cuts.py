"""The whole daemon on a disk that loses power or fails in mid-trade: it ends, sends nothing more, and comes back."""

from __future__ import annotations

import os

import pytest

from aether.domain.facts import Numbered, OrderFilled, RunEnded
from aether.domain.values import NANOS_PER_S
from aether.sim.disk import Disk, Fault, Operation
from aether.sim.disk_vfs import DiskUnavailable
from aether.simulator.invariants.checker import Checker
from aether.simulator.run import settings_of
from aether.simulator.world import World

# `make ci` cuts the power for a trading hour, `make test` for a part of one.
TRADED_S = 3_600 if os.environ.get("TEST_PROFILE") == "ci" else 450
EACH_S = 90  # longer than a fifth of the window in which five crashes are a loop
QUIET_S = 200
SEED = 1  # its market lets the strategies trade from the first minute on


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def world_of(seconds: int) -> World:
    length_ns, quiet_ns = (seconds + QUIET_S) * NANOS_PER_S, seconds * NANOS_PER_S
    return World(SEED, settings_of(SEED), length_ns=length_ns, quiet_ns=quiet_ns, judge=Checker())


def books_agree(world: World) -> None:
    """S15, S16: each fill of the account is in the journal once, and no other."""
    booked = [number.fact.exec_id for number in world.evidence.committed if isinstance(number.fact, OrderFilled)]
    assert sorted(booked) == sorted(trade.exec_id for trade in world.evidence.exchange.trades(world.account))


def ended_clean(facts: list[Numbered]) -> bool:
    return isinstance(facts[-1].fact, RunEnded) and facts[-1].fact.clean


def test_power_cuts_in_a_trading_hour_lose_and_invent_nothing_g04_g05_s15_s17() -> None:
    world = world_of(TRADED_S)
    random = world.random("cuts")
    cuts = TRADED_S // EACH_S - 1
    for number in range(cuts):
        at_ns = world.agenda.now_ns + (60 + EACH_S * number) * NANOS_PER_S
        world.agenda.at(at_ns, lambda: world.die_at_disk("power", random.randint(1, 60)))
    world.run()

    # Where little is written, the operation at which the power goes is still to come when the next cut is drawn.
    *deaths, last = (ended.why for ended in world.ended)
    assert set(deaths) == {"killed"}
    assert cuts // 2 < len(deaths) <= cuts
    assert last == ""
    assert world.judge.violations == []
    assert world.fills > cuts
    assert ended_clean(world.evidence.committed)
    books_agree(world)


@pytest.mark.parametrize(("kind", "fault"), [("sync", Fault.ERROR), ("write", Fault.FULL)])
def test_a_commit_that_fails_ends_the_daemon_and_nothing_leaves_after_it_g02_g03(kind: str, fault: Fault) -> None:
    world = world_of(240)
    failed_at: list[int] = []  # how many requests had left by then

    def trouble(operation: Operation) -> Fault | None:
        is_due = world.agenda.now_ns >= world.quiet_ns - 120 * NANOS_PER_S and world.orders > 3
        if operation.kind != kind or not operation.name.endswith("-wal") or not is_due or failed_at:
            return None
        failed_at.append(len(world.evidence.sent))
        world.may_fail = True
        return fault

    world.disk_trouble = trouble
    world.run()

    first, last = world.ended
    assert first.why.startswith("JournalBroken: journal:")
    assert last.why == ""
    asked = [sent for sent in world.evidence.sent[failed_at[0] :] if sent.boot == 1]
    assert [sent.method for sent in asked if sent.method in {"add_order", "batch_add", "AddOrder", "amend_order"}] == []
    assert world.judge.violations == []
    assert ended_clean(world.evidence.committed)
    books_agree(world)
