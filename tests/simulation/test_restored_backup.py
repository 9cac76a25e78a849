"""G13, the drill: the disk is lost, an older copy of the journal takes its place, and the account tells the rest."""

from __future__ import annotations

from random import Random

import pytest

from aether.core.ledger import Ledger
from aether.domain.actors import Actor, Role
from aether.domain.facts import OrderFilled, OrderSubmitted, TradingHalted, TradingResumed
from aether.domain.inputs import CommandGiven, Resume
from aether.domain.values import NANOS_PER_S
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.medium import Loss
from aether.simulator.run import settings_of
from aether.simulator.world import World

SEED = 1  # its market lets the strategies trade from the first minute on
COPIED_S, LOST_S, RESTORED_S, RESUMED_S, END_S = 100, 160, 163, 260, 420


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def test_an_older_copy_halts_books_all_fills_since_and_trades_on_once_people_have_looked_g13() -> None:
    world = World(SEED, settings_of(SEED), length_ns=END_S * NANOS_PER_S, quiet_ns=END_S * NANOS_PER_S)
    begin_ns, copies, ledgers = world.agenda.now_ns, list[Disk](), list[Ledger]()
    world.began_observers.append(lambda life: ledgers.append(life.machine.engine.ledger) if life.machine else None)

    def restore() -> None:
        world.disk = copies[0]

    def resume() -> None:
        assert world.life is not None
        assert world.life.machine is not None
        command = CommandGiven("drill", Actor("uid:1", Role.OPERATOR), Resume("all", "what is new was looked at"))
        world.life.loop.call_soon(world.life.machine.inbox.put, command)

    for at_s, act in (
        (COPIED_S, lambda: copies.append(world.disk.picture(Random(1), Loss.NONE))),
        (LOST_S, world.kill),
        (RESTORED_S, restore),
        (RESUMED_S, resume),
    ):
        world.agenda.at(begin_ns + at_s * NANOS_PER_S, act)
    world.run()

    facts = [(numbered.at_ns - begin_ns, numbered.fact) for numbered in world.evidence.committed]
    halts = [(at_ns, fact.code) for at_ns, fact in facts if isinstance(fact, TradingHalted)]
    (resumed_ns,) = [at_ns for at_ns, fact in facts if isinstance(fact, TradingResumed)]
    sent_s = [at_ns // NANOS_PER_S for at_ns, fact in facts if isinstance(fact, OrderSubmitted)]
    assert [code for _, code in halts] == ["halt_foreign_order"]
    assert LOST_S * NANOS_PER_S < halts[0][0] < RESUMED_S * NANOS_PER_S <= resumed_ns
    assert [at_s for at_s in sent_s if LOST_S <= at_s < RESUMED_S] == []
    assert [at_s for at_s in sent_s if at_s >= RESUMED_S] != []

    ledger, exchange = ledgers[-1], world.evidence.exchange
    booked = {fact.exec_id for _, fact in facts if isinstance(fact, OrderFilled)}
    assert booked == {trade.exec_id for trade in exchange.trades(world.account)}
    held = {asset: total for asset, (total, _) in exchange.balances(world.account).items() if total}
    assert {asset: total for asset, total in ledger.portfolio.balances.items() if total} == held
    ids = [fact.cl_ord_id for _, fact in facts if isinstance(fact, OrderSubmitted)]
    assert len(set(ids)) == len(ids)
