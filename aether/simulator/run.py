"""One seed, from its plan to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import cache
from random import Random
from time import process_time
from typing import Any

from aether.domain.values import NANOS_PER_S
from aether.settings import Settings, default_config_path, load_settings
from aether.simulator.faults.carrier import afflict
from aether.simulator.faults.sightings import sighted
from aether.simulator.invariants.checker import Checker
from aether.simulator.mix import draw_plan
from aether.simulator.outcome import Outcome
from aether.simulator.plan import Plan
from aether.simulator.world import START_NS, World

# As shipped, but small orders all the time, both ways: nearly always there is something under way that can be lost.
BUSY: Mapping[str, Any] = {
    "risk": {
        "order_usd_max": 60,
        "orders_per_minute_max": 1_000,
        "executions_max": 100_000,
        "orders_per_day_max": 100_000,
        "daily_loss_bps_max": 10_000,
        "drawdown_bps_max": 10_000,
    },
    "sizing": {"risk_budget_bps": 1_000, "rebalance_band_bps": 0, "rebalance_usd_min": 20, "edge_margin_bps": 0},
    "orders": {"resting_s_max": 20},
}
BUSY_TREND: Mapping[str, Any] = {"edge_percent": 1_000, "fast_bars": 4, "slow_bars": 16}
USD = ("20000", "20000", "700")
SPEED = 30  # recorded hours in one: about one trade a second and pair

RECORDED_DAYS = 330  # of 2020-10 to 2021-09, so that a run does not end beyond them
RECORDED_FROM = date(2020, 10, 5)


def settings_of(seed: int) -> Settings:
    """The settings under which a seed runs: its days are drawn from the recorded year.

    So is its money, for what is promised twice shows only where it is short; and whether the switch is armed.
    """
    random = Random(f"{seed}:settings")  # noqa: S311 - a made world, no secret
    start = RECORDED_FROM + timedelta(days=random.randrange(RECORDED_DAYS))
    shipped = _shipped()
    trends = {name: trend.model_dump() | dict(BUSY_TREND) for name, trend in shipped.strategies.items()}
    usd, orders = random.choice(USD), dict(BUSY["orders"])
    if not random.randrange(3):
        orders |= {"account_is_ours": True, "dead_man_s": 60}
    sandbox = {"balances": {"USD": usd}, "speed": SPEED, "start": f"{start}T00:00:00Z"}
    return load_settings(
        default_config_path(),
        {**BUSY, "orders": orders, "world": {"seed": seed}, "strategies": trends, "sandbox": sandbox},
    )


@cache
def _shipped() -> Settings:
    return load_settings(default_config_path())


def run_seed(
    seed: int,
    *,
    seconds: int,
    plan: Plan | None = None,
    keep: Callable[[int, bytes], None] | None = None,
    stops_at_first: bool = False,
) -> Outcome:
    """Let one world live for so many seconds of its own time. `plan` None draws what goes wrong from the seed.

    `keep` is handed all that the trace is made of, each with the exchange's time in nanoseconds. `stops_at_first` ends
    the run at the first broken property.
    """
    plan = plan or draw_plan(seed, seconds)
    began_s = process_time()
    world = World(seed, settings_of(seed), length_ns=plan.length_ns, quiet_ns=plan.quiet_ns, judge=Checker())
    world.wire.keep = keep
    world.stops_at_first = stops_at_first
    tally = afflict(world, plan)
    world.run()
    return Outcome(
        seed=seed,
        trace=world.wire.trace,
        simulated_s=(world.agenda.now_ns - START_NS) / NANOS_PER_S,
        cpu_s=process_time() - began_s,
        events=world.inputs + world.wire.messages,
        facts=len(world.evidence.committed),
        orders=world.orders,
        fills=world.fills,
        boots=world.evidence.boot,
        faults=tally.classes(),
        rows=tally.rows + sighted(world.evidence.committed, world.judge.seen),
        seen=world.judge.seen,
        violations=tuple(world.judge.violations),
    )
