"""Brings a plan to a world: each fault at its time, each rate on the wire, and quiet at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aether.domain.values import NANOS_PER_MS
from aether.simulator.faults.disk import DiskFaults
from aether.simulator.faults.market import MarketFaults
from aether.simulator.faults.others import OthersFaults
from aether.simulator.faults.people import People
from aether.simulator.faults.process import ProcessFaults
from aether.simulator.faults.tally import Acts, Tally, joined
from aether.simulator.faults.wire import WireFaults
from aether.simulator.plan import Fault, Plan
from aether.simulator.world import START_NS, World


def afflict(world: World, plan: Plan) -> Tally:
    """Put all of the plan into the world's agenda; what struck is counted in the answer while the world runs."""
    tally, exchange = Tally(), world.front.desk.exchange
    settle = world.front.desk.settle
    wire = WireFaults(plan, world.box, world.agenda, tally, world.wire.cut)
    market = MarketFaults(exchange, settle, world.agenda)
    others = OthersFaults(
        exchange, world.account, world.agenda, tally, settle=settle, cut=lambda: _ignore(world.wire.cut("private"))
    )
    process = ProcessFaults(world, tally)
    disk = DiskFaults(world, tally, world.settings.journal.disk_reserve_mb * 1_000_000)
    market_acts = market.acts()
    people = People(world, market_acts["maintenance"])
    acts = joined([wire.acts(), market_acts, others.acts(), process.acts(), disk.acts(), people.acts()])
    world.wire.trouble = wire
    for fault in plan.faults:
        world.agenda.at(START_NS + fault.at_ns, _strike(acts, fault, tally))
    for calm in (wire.calm, market.calm, process.calm, disk.calm):
        world.agenda.at(START_NS + plan.quiet_ns, calm)
    _let_views_lag(world, plan, tally)
    return tally


def _let_views_lag(world: World, plan: Plan, tally: Tally) -> None:
    """REST shows everything late, from the first moment on."""
    desk = world.front.desk
    prompt, lag_ms = desk.manners, max((rate.parameters["upto_ms"] for rate in plan.rates_of("view_lag")), default=0)
    if lag_ms:
        desk.manners = replace(prompt, view_lag_ns=lag_ms * NANOS_PER_MS)
        tally.struck("view_lag")
        world.agenda.at(START_NS + plan.quiet_ns, lambda: setattr(desk, "manners", prompt))


def _strike(acts: Acts, fault: Fault, tally: Tally) -> Callable[[], None]:
    def strike() -> None:
        if acts[fault.kind](fault):
            tally.struck(fault.kind)

    return strike


def _ignore(_: object) -> None:
    """A lambda wants a value."""
