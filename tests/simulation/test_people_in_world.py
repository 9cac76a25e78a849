"""What people and the exchange itself do to orders, met by the whole daemon: a sale of all, amends, the dead man."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import pytest

from aether.admin.commands import CommandOutcome
from aether.domain.actors import Actor, Role
from aether.domain.facts import (
    CancelRequested,
    DeadManArmed,
    DeadManFired,
    Fact,
    FlattenBegan,
    FlattenEnded,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderSubmitted,
    TradingHalted,
)
from aether.domain.inputs import CommandGiven, Flatten, Halt
from aether.domain.values import NANOS_PER_S
from aether.settings import Settings
from aether.sim.disk import Disk
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.exchange import Amend
from aether.simulator.life import Life
from aether.simulator.run import settings_of
from aether.simulator.world import World

PERSON = Actor("uid:1000", Role.OPERATOR)
Kind = TypeVar("Kind", bound=Fact)


@pytest.fixture(autouse=True)
def _needs_the_made_disk() -> None:
    try:
        Disk().uri("probe")
    except DiskUnavailable as why:
        pytest.skip(str(why))


def world_of(seed: int, seconds: int, settings: Settings | None = None) -> World:
    length_ns = seconds * NANOS_PER_S
    return World(seed, settings or settings_of(seed), length_ns=length_ns, quiet_ns=length_ns)


def changed(settings: Settings, section: str, **values: object) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})


def facts_of(world: World, kind: type[Kind]) -> list[Kind]:
    return [numbered.fact for numbered in world.evidence.committed if isinstance(numbered.fact, kind)]


def books_agree(world: World) -> None:
    booked = [fact.exec_id for fact in facts_of(world, OrderFilled)]
    assert sorted(booked) == sorted(trade.exec_id for trade in world.evidence.exchange.trades(world.account))


def at_s(world: World, seconds: int, act: Callable[[], object]) -> None:
    world.agenda.at(world.agenda.now_ns + seconds * NANOS_PER_S, act)


@pytest.mark.parametrize("is_killed", [False, True], ids=["in one life", "killed on the way"])
def test_a_sale_of_all_leaves_nothing_that_could_be_sold(*, is_killed: bool) -> None:
    """A18, S14, S30: everything is sold once, while halted, also by the life that comes after the one that began it."""
    world = world_of(1, 400, changed(settings_of(1), "risk", order_usd_max=Decimal(2_000)))

    def flatten() -> None:
        assert world.life is not None
        assert world.machine is not None
        told = CommandGiven("person-1", PERSON, Flatten("all", "out"))
        world.life.loop.call_soon(world.machine.inbox.put, told)

    at_s(world, 200, flatten)
    if is_killed:
        at_s(world, 201, lambda: world.kill(3))
    world.run()

    assert world.judge.violations == []
    assert [fact.scope for fact in facts_of(world, FlattenBegan)] == ["all"]
    (ended,) = facts_of(world, FlattenEnded)
    assert ended.why == "all that can be sold is sold"
    assert all(left.why.startswith("dust") for left in ended.left)
    assert [fact for fact in facts_of(world, OrderSubmitted) if fact.is_exit]
    assert world.evidence.exchange.open_orders(world.account) == []
    books_agree(world)


def test_orders_that_people_amend_are_followed_and_end_with_equal_books() -> None:
    """A25: every three seconds a person makes a resting order smaller, or the engine restates one."""
    settings = settings_of(1)
    passive = {name: trend.model_copy(update={"execution": "make"}) for name, trend in settings.strategies.items()}
    world = world_of(1, 400, settings.model_copy(update={"strategies": passive}))
    exchange, done = world.evidence.exchange, list[str]()

    def amend() -> None:
        for order in exchange.open_orders(world.account):
            half = (order.qty / 2).quantize(Decimal("0.00001"))
            if order.order_id in done or order.cum_qty or half < Decimal("0.0005"):
                continue
            change, now_ns = Amend(order.order_id, qty=half), world.agenda.now_ns
            if len(done) % 2:
                exchange.restate_order(world.account, change, "Order restated", now_ns)
            else:
                exchange.amend_order(world.account, change, now_ns)
            done.append(order.order_id)
            return

    world.agenda.every(3 * NANOS_PER_S, amend)
    world.run()

    assert world.judge.violations == []
    assert len(done) > 2
    told = [fact.order_id for fact in facts_of(world, OrderAmended)]
    assert set(done) <= set(told)
    books_agree(world)


def test_the_dead_mans_switch_is_kept_and_its_firing_after_a_maintenance_is_booked() -> None:
    """A30, A31, N23: it never fires while all is well; an exchange that was away fires it, and it is armed anew."""
    world = world_of(3, 400, changed(settings_of(3), "orders", dead_man_s=20, account_is_ours=True))
    fired_before: list[int] = []

    def away() -> None:
        fired_before.append(len(facts_of(world, DeadManFired)))
        world.evidence.exchange.set_system_status("maintenance")

    at_s(world, 200, away)
    at_s(world, 260, lambda: world.evidence.exchange.set_system_status("online"))
    world.run()

    assert world.judge.violations == []
    assert fired_before == [0]
    assert len(facts_of(world, DeadManFired)) == 1
    assert facts_of(world, DeadManArmed)[-1].timeout_s == 20
    assert len(facts_of(world, DeadManArmed)) == 2
    books_agree(world)


@pytest.mark.parametrize("scope", ["symbol:ETH/USD", "strategy:trend_eth", "all"])
def test_a_halt_while_the_exchange_is_away_stops_at_once_and_cancels_when_it_is_back(scope: str) -> None:
    """K08, J11, N24, N40: each scope from end to end; what it does not cover trades on."""
    settings = settings_of(1)
    passive = {name: trend.model_copy(update={"execution": "make"}) for name, trend in settings.strategies.items()}
    world = world_of(1, 400, settings.model_copy(update={"strategies": passive}))
    exchange, answers, resting = world.evidence.exchange, list[CommandOutcome](), list[str]()

    async def halt(life: Life) -> None:
        assert life.desk is not None
        answers.append(await life.desk.give(PERSON, Halt(scope, "out"), "person-1", 5.0))

    def give() -> None:
        life = world.life
        assert life is not None
        life.loop.call_soon(lambda: life.loop.create_task(halt(life)))
        world.judge.halt_given(world.evidence, scope)

    def go_away() -> None:
        """With the first order that rests after two minutes."""
        open_orders = exchange.open_orders(world.account)
        names = [order.cl_ord_id for order in open_orders if order.pair == "ETH/USD" and order.cl_ord_id]
        if names and not resting and world.agenda.now_ns > began_ns + 120 * NANOS_PER_S:
            resting.extend(names)
            exchange.set_system_status("maintenance")
            at_s(world, 5, give)
            at_s(world, 60, lambda: exchange.set_system_status("online"))

    began_ns = world.agenda.now_ns
    world.agenda.every(NANOS_PER_S, go_away)
    world.run()

    assert world.judge.violations == []
    assert [(answer.accepted, answer.on_disk) for answer in answers] == [(True, True)]
    (halted_at,) = [n.seq for n in world.evidence.committed if isinstance(n.fact, TradingHalted)]
    later = [n.fact for n in world.evidence.committed if n.seq > halted_at]
    traded = {str(fact.symbol) for fact in later if isinstance(fact, OrderSubmitted)}
    assert traded == (set() if scope == "all" else {"BTC/USD"})
    asked = {fact.cl_ord_id for fact in later if isinstance(fact, CancelRequested)}
    gone = {fact.cl_ord_id for fact in later if isinstance(fact, OrderEnded)}
    assert resting
    assert set(resting) <= asked
    assert set(resting) <= gone
    books_agree(world)
