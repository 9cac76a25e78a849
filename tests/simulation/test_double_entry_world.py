"""The whole daemon while others move money on its account: opening plus entries is the balance, to the last digit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from aether.domain.facts import DifferenceFound, LedgerEntryBooked, Reconciled, TradingHalted
from aether.domain.values import NANOS_PER_S
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.exchange import ExchangeRefusal
from aether.sim.foreign_acts import ForeignActs
from aether.simulator.invariants.checker import Checker
from aether.simulator.run import settings_of
from aether.simulator.world import World

D = Decimal
PAIR = "BTC/USD"
LAG_NS = 25 * NANOS_PER_S


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def world_of(seed: int, seconds: int) -> World:
    """A world whose REST views are late by `LAG_NS`."""
    length_ns = seconds * NANOS_PER_S
    world = World(seed, settings_of(seed), length_ns=length_ns, quiet_ns=length_ns, judge=Checker())
    desk = world.front.desk
    desk.manners = replace(desk.manners, view_lag_ns=LAG_NS)
    return world


def every(world: World, seconds: int, act: Callable[[], object]) -> None:
    """Do this now and then; what funds do not allow does not happen."""

    def again() -> None:
        with suppress(ExchangeRefusal):
            act()
        world.agenda.after(seconds * NANOS_PER_S, again)

    world.agenda.after(seconds * NANOS_PER_S, again)


def said(world: World, kind: type) -> list[object]:
    return [numbered.fact for numbered in world.evidence.committed if isinstance(numbered.fact, kind)]


def halts(world: World) -> list[str]:
    return [numbered.fact.code for numbered in world.evidence.committed if isinstance(numbered.fact, TradingHalted)]


def test_e08_e09_e10_e14_money_that_others_move_is_booked_exactly_over_lags_and_kills() -> None:
    """A12, A27, S17: every minute is different, views are late, the daemon is killed, and no sum is ever off."""
    world = world_of(5, 1_000)
    others = ForeignActs(world.evidence.exchange, world.account)

    def now() -> int:
        return world.agenda.now_ns

    every(world, 70, lambda: others.deposit("USD", D("123.4567"), now()))
    every(world, 110, lambda: others.deposit("BTC", D("0.0123456789"), now()))
    every(world, 90, lambda: others.begin_to_earn("BTC", D("0.002"), now()))
    every(world, 130, lambda: others.reward("BTC.F", D("0.0000000001"), now()))
    every(world, 150, lambda: others.cease_to_earn("BTC", D("0.001"), now()))
    every(world, 160, lambda: others.withdraw("USD", D(50), D("0.35"), now()))
    every(world, 170, lambda: others.transfer("USD", D(-20), now()))
    every(world, 190, lambda: others.buy_at_once(PAIR, D(25), now()))
    every(world, 100, lambda: others.buy(PAIR, D("0.001"), now()))
    every(world, 230, lambda: others.deposit("WIF2", D(1000), now()))
    for at_s in (333, 700):
        world.agenda.after(at_s * NANOS_PER_S, lambda: world.kill(7))
    world.run()

    assert world.judge.violations == []
    assert (halts(world), said(world, DifferenceFound)) == ([], [])
    booked = {
        (fact.kind, fact.subtype) for fact in said(world, LedgerEntryBooked) if isinstance(fact, LedgerEntryBooked)
    }
    assert booked == {
        *(("deposit", ""), ("withdrawal", ""), ("transfer", "spottofutures"), ("spend", ""), ("receive", "")),
        *(("earn", "allocation"), ("earn", "deallocation"), ("earn", "reward")),
    }
    agreed = [fact for fact in said(world, Reconciled) if isinstance(fact, Reconciled)]
    assert len(agreed) >= world.evidence.boot == 3


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda others, now_ns: others.shift_unbooked("USD", D("-0.00001"), now_ns), "halt_difference"),
        (lambda others, now_ns: others.pay_for_margin(D("0.02"), now_ns), "halt_strange_entry"),
    ],
)
def test_what_cannot_be_explained_halts_and_the_account_is_named(
    act: Callable[[ForeignActs, int], object], code: str
) -> None:
    world = world_of(6, 300)
    others = ForeignActs(world.evidence.exchange, world.account)
    world.agenda.after(100 * NANOS_PER_S, lambda: act(others, world.agenda.now_ns))
    world.run()

    assert halts(world) == [code]
