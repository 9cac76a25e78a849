"""The fault mix on the whole daemon: every kind strikes, and the books are right at the end."""

from __future__ import annotations

import pytest

from aether.domain.facts import OrderFilled, TradingHalted, TradingResumed
from aether.domain.values import NANOS_PER_S
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.simulator.faults.carrier import afflict
from aether.simulator.faults.tally import Tally
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.plan import ONE, Fault, Plan, Rate
from aether.simulator.run import settings_of
from aether.simulator.world import World

EACH_S = 15
FIRST_S = 30
QUIET_S = 150
SEED = 1  # its market lets the strategies trade from the first minute on
SMALL = {"per_million": ONE, "after": 3, "by_ms": 1_500, "ppm": 300, "percent": 10, "fills": 60, "upto_ms": 500}
FOR_MS = {FaultClass.REFUSALS: 12_000}


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def plan_of(kinds: list[str], *rates: Rate) -> Plan:
    """Each kind in turn, some seconds apart."""
    faults = tuple(
        Fault(number, (FIRST_S + EACH_S * number) * NANOS_PER_S, kind, number, SMALL | {"for_ms": for_ms_of(kind)})
        for number, kind in enumerate(kinds)
    )
    quiet_ns = (FIRST_S + EACH_S * (len(faults) + 1)) * NANOS_PER_S
    return Plan(SEED, quiet_ns + QUIET_S * NANOS_PER_S, quiet_ns, faults, rates)


def for_ms_of(kind: str) -> int:
    return FOR_MS.get(KINDS[kind].fault_class, 4_000)


def lived(plan: Plan) -> tuple[World, Tally]:
    world = World(plan.seed, settings_of(plan.seed), length_ns=plan.length_ns, quiet_ns=plan.quiet_ns)
    tally = afflict(world, plan)
    world.run()
    return world, tally


def books_agree(world: World) -> None:
    """S15, S16: each fill of the account is in the journal once, and no other."""
    booked = [number.fact.exec_id for number in world.evidence.committed if isinstance(number.fact, OrderFilled)]
    assert sorted(booked) == sorted(trade.exec_id for trade in world.evidence.exchange.trades(world.account))


TO_COME = ("strategy_raises", "strategy_nonsense", "flatten")
RATES = {
    FaultClass.CALLS: ("request_lost", "response_lost", "response_doubled"),
    FaultClass.LATENCY: ("slow",),
    FaultClass.VIEW_LAG: ("view_lag",),
    FaultClass.MALFORMED: ("malformed",),
}


@pytest.mark.parametrize("fault_class", [each for each in FaultClass if each not in RATES])
def test_every_kind_of_a_class_strikes_a_daemon_whose_books_stay_right(fault_class: FaultClass) -> None:
    kinds = [name for name, kind in KINDS.items() if kind.fault_class is fault_class and name not in TO_COME]
    world, tally = lived(plan_of(kinds))
    assert set(tally.kinds) == set(kinds)
    assert world.judge.violations == []
    books_agree(world)


@pytest.mark.parametrize("fault_class", RATES)
def test_every_rate_strikes_a_daemon_whose_books_stay_right(fault_class: FaultClass) -> None:
    kinds = RATES[fault_class]
    rates = [Rate(kind, 20_000 if kind != "view_lag" else ONE, 7, SMALL) for kind in kinds]
    plan = Plan(SEED, 400 * NANOS_PER_S, 250 * NANOS_PER_S, rates=tuple(rates))
    world, tally = lived(plan)
    assert set(tally.kinds) == set(kinds)
    assert world.judge.violations == []
    books_agree(world)


def test_the_operator_lets_go_on_what_a_person_halted() -> None:
    """K08: and every halt is a fact, with its resume behind it."""
    world, _ = lived(plan_of(["people_halt", "people_halt_symbol", "people_halt_strategy"]))
    facts = [numbered.fact for numbered in world.evidence.committed]
    halted = [fact.scope for fact in facts if isinstance(fact, TradingHalted)]
    assert len(set(halted)) >= 3
    assert {fact.scope for fact in facts if isinstance(fact, TradingResumed)} == set(halted)
    assert world.machine is None
