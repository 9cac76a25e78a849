"""The fault mix on the whole daemon: every kind strikes, and the books are right at the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aether.domain.facts import OrderFilled, TradingHalted, TradingResumed
from aether.domain.values import NANOS_PER_S
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.simulator.faults.carrier import afflict
from aether.simulator.faults.tally import Tally
from aether.simulator.invariants.checker import Checker
from aether.simulator.kinds import FaultClass
from aether.simulator.plan import ONE, Fault, Plan, Rate
from aether.simulator.run import settings_of
from aether.simulator.world import World

EACH_S = 15
FIRST_S = 30
QUIET_S = 150
SEED = 1  # its market lets the strategies trade from the first minute on
SMALL = {"for_ms": 4_000, "after": 3, "by_ms": 1_500, "ppm": 300, "percent": 10, "fills": 60, "upto_ms": 500}


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def plan_of(kinds: Sequence[str]) -> Plan:
    """Each kind in turn, some seconds apart."""
    faults = tuple(
        Fault(number, (FIRST_S + EACH_S * number) * NANOS_PER_S, kind, number, SMALL)
        for number, kind in enumerate(kinds)
    )
    quiet_ns = (FIRST_S + EACH_S * (len(faults) + 1)) * NANOS_PER_S
    return Plan(SEED, quiet_ns + QUIET_S * NANOS_PER_S, quiet_ns, faults)


def lived(plan: Plan) -> tuple[World, Tally]:
    world = World(plan.seed, settings_of(plan.seed), length_ns=plan.length_ns, quiet_ns=plan.quiet_ns)
    tally = afflict(world, plan)
    world.run()
    return world, tally


def test_a_death_that_did_not_come_is_not_counted() -> None:
    far, near = {**SMALL, "after": 10**9}, {**SMALL, "after": 1}
    faults = (Fault(0, 30 * NANOS_PER_S, "kill_at_disk", 0, near), Fault(1, 45 * NANOS_PER_S, "power_loss", 1, far))
    world, tally = lived(Plan(SEED, 70 * NANOS_PER_S, 60 * NANOS_PER_S, faults))
    assert (world.evidence.boot, dict(tally.kinds)) == (2, {"kill_at_disk": 1})


def books_agree(world: World) -> None:
    """S15, S16: each fill of the account is in the journal once, and no other."""
    booked = [number.fact.exec_id for number in world.evidence.committed if isinstance(number.fact, OrderFilled)]
    assert sorted(booked) == sorted(trade.exec_id for trade in world.evidence.exchange.trades(world.account))


# Those that strike whatever the market does; the others need an order or a call at the right moment.
SURE = {
    FaultClass.STREAM: ("cut", "closed_1008", "stale_token", "sequence_gap", "bad_checksum", "crossed_book"),
    FaultClass.MARKET: ("maintenance", "pair_cancel_only", "delisting", "tick_change", "lot_change", "price_jump"),
    FaultClass.OTHERS: ("human_order", "human_trade", "many_fills", "deposit", "withdrawal"),
    FaultClass.DEATH: ("kill", "kill_at_disk", "power_loss"),
    FaultClass.DISK: ("disk_full", "low_space", "io_error", "failed_fsync"),
    FaultClass.PROCESS: ("loop_stall", "task_dies", "suspend", "step_forward", "drift", "strategy_nonsense"),
    FaultClass.PEOPLE: ("people_halt_in_maintenance", "flatten", "restart", "stop_twice"),
}


@pytest.mark.parametrize("fault_class", SURE)
def test_faults_of_each_kind_strike_a_daemon_whose_books_stay_right(fault_class: FaultClass) -> None:
    world, tally = lived(plan_of(SURE[fault_class]))
    assert set(tally.kinds) == set(SURE[fault_class])
    assert world.judge.violations == []
    books_agree(world)


def test_messages_lost_late_doubled_and_hurt_leave_the_books_right() -> None:
    kinds = ("request_lost", "response_lost", "response_doubled", "slow", "view_lag", "malformed")
    rates = tuple(Rate(kind, 60_000 if kind != "view_lag" else ONE, 7, SMALL) for kind in kinds)
    world, tally = lived(Plan(SEED, 400 * NANOS_PER_S, 250 * NANOS_PER_S, rates=rates))
    assert set(tally.kinds) >= {"slow", "view_lag", "malformed"}
    assert world.judge.violations == []
    books_agree(world)


def test_the_operator_lets_go_on_what_a_person_halted() -> None:
    """K08: and every halt is a fact, with its resume behind it."""
    world, tally = lived(plan_of(("people_halt", "people_halt_symbol", "people_halt_strategy", "cancel_all")))
    facts = [numbered.fact for numbered in world.evidence.committed]
    halted = [fact.scope for fact in facts if isinstance(fact, TradingHalted)]
    assert tally.rows["K08"] == 3
    assert len(set(halted)) == 3
    assert {fact.scope for fact in facts if isinstance(fact, TradingResumed)} == set(halted)
    assert world.machine is None


def test_c01_nonces_refused_for_seconds_at_a_start_end_no_daemon() -> None:
    at_ns, parameters = FIRST_S * NANOS_PER_S, {"after": 3, "for_ms": 8_000, "per_million": ONE}
    faults = tuple(
        Fault(number, at_ns, kind, number, parameters) for number, kind in enumerate(("kill", "invalid_nonce"))
    )
    world = World(SEED, settings_of(SEED), length_ns=180 * NANOS_PER_S, quiet_ns=90 * NANOS_PER_S, judge=Checker())
    tally = afflict(world, Plan(SEED, 180 * NANOS_PER_S, 90 * NANOS_PER_S, faults))
    world.run()

    assert tally.rows["C01"] > 2, "a start was refused more often than any call is repeated by itself"
    assert world.evidence.boot == 2
    assert world.judge.violations == []
