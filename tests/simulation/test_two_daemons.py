"""H03, S32, N33: two daemons on one account, each on a journal of its own machine, where no lock can part them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from aether.domain.facts import Numbered, OrderSubmitted, TradingHalted
from aether.policies import pace_of, policy_of
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import RunLabel, recover
from aether.settings import Settings, default_config_path, load_settings
from aether.sim.feed import SimFeed
from aether.sim.venue import SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from aether.sim.world import SimWorld
from aether.worlds import MADE_ACCOUNT, Parts, made_world
from tests.machine_bench import ListTape, MemoryJournal

START_NS = 1_790_000_000_000_000_000
FIRST_ALONE_S = 600.0
BOTH_S = 120.0


@dataclass
class Daemon:
    """One of the two: its journal and when it began, on the world's clock."""

    journal: MemoryJournal
    began_ns: int

    def said(self, kind: type) -> list[Numbered]:
        """Facts of a kind from its own run on."""
        return [told for told in self.journal.facts if isinstance(told.fact, kind) and told.at_ns >= self.began_ns]

    @property
    def halted_ns(self) -> int | None:
        """When it stopped for the other one."""
        halts = [told for told in self.said(TradingHalted) if getattr(told.fact, "code", "") == "halt_foreign_order"]
        return halts[0].at_ns if halts else None


def _settings() -> Settings:
    """An eager trader: small orders, one each ten seconds, so that neither is silent for long."""
    shipped = load_settings(default_config_path())
    trends = {name: trend.model_dump() | {"edge_percent": 1000} for name, trend in shipped.strategies.items()}
    risk = {"order_usd_max": 60, "order_spacing_s_min": 10, "daily_loss_bps_max": 10_000, "drawdown_bps_max": 10_000}
    sizing = {"rebalance_band_bps": 0, "rebalance_usd_min": 20, "edge_margin_bps": 0}
    changes: dict[str, dict[str, Any]] = {
        "risk": risk,
        "sizing": sizing,
        "strategies": trends,
        "sandbox": {"start": "2021-02-08T00:00:00Z"},
    }
    return load_settings(default_config_path(), changes)


async def _machine(parts: Parts, journal: MemoryJournal, clock: VirtualClock, tag: str, seed: int) -> Machine:
    """A daemon as another machine would have it: its own feed and session, the same account."""
    settings, world = _settings(), _world(parts)
    policy = policy_of(settings, parts.gate)
    label = RunLabel(tag, MADE_ACCOUNT, "sandbox", real_money=False, code_version="0", settings_digest="d", seed=1)
    crowd = parts.feed._crowd if isinstance(parts.feed, SimFeed) else None
    assert crowd is not None
    return Machine(
        policy=policy,
        instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
        recovered=await recover(journal, label, clock),
        journal=journal,
        tape=ListTape(),
        feed=SimFeed(world, crowd, parts.gate),
        venue=SimVenue(world, parts.gate, MADE_ACCOUNT, clock, latency_ms=50, seed=seed),
        clock=clock,
        pace=replace(pace_of(settings), tick_ms=1000),
        free_bytes=lambda: 10**12,
        gauges=Gauges(lambda _: None, lambda _: None, lambda _: None),
    )


def _world(parts: Parts) -> SimWorld:
    assert isinstance(parts.venue, SimVenue)
    return parts.venue._world


async def _both(
    second_tag: str, copied: Sequence[Numbered] | None, clock: VirtualClock, copy_s: float
) -> AsyncIterator[Daemon]:
    async with made_world(_settings(), clock) as parts, asyncio.TaskGroup() as group:
        world = group.create_task(_world(parts).run())
        first = MemoryJournal()
        began_ns = clock.wall_ns()
        running = await _machine(parts, first, clock, "aaaa", 1)
        ends = [group.create_task(running.run())]
        await asyncio.sleep(copy_s)
        second = MemoryJournal()
        second.facts = list(first.facts) if copied is None else list(copied)
        await asyncio.sleep(FIRST_ALONE_S - copy_s)
        second_began_ns = clock.wall_ns()
        other = await _machine(parts, second, clock, second_tag, 2)
        ends.append(group.create_task(other.run()))
        await asyncio.sleep(BOTH_S)
        running.supervisor.ask_to_stop("the test is over")
        other.supervisor.ask_to_stop("the test is over")
        await asyncio.wait(ends)
        world.cancel()
        yield Daemon(first, began_ns)
        yield Daemon(second, second_began_ns)


def _two(second_tag: str, copied: Sequence[Numbered] | None, copy_s: float = FIRST_ALONE_S) -> list[Daemon]:
    async def story() -> list[Daemon]:
        clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=START_NS)
        return [daemon async for daemon in _both(second_tag, copied, clock, copy_s)]

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(Random(1))) as runner:
        return runner.run(story())


@pytest.mark.parametrize(
    ("tag", "copied", "copy_s"),
    [("aaaa", None, FIRST_ALONE_S), ("aaaa", None, 400.0), ("bbbb", (), 400.0)],
    ids=["a copy of now", "an older copy", "a journal of its own"],
)
def test_h03_s32_n33_of_two_daemons_on_one_account_one_at_most_trades_on(
    tag: str, copied: Sequence[Numbered] | None, copy_s: float
) -> None:
    first, second = _two(tag, copied, copy_s)
    assert first.said(OrderSubmitted), "the first one traded while it was alone"
    halted = [daemon for daemon in (first, second) if daemon.halted_ns is not None]
    assert halted, "neither has noticed the other"
    for daemon in halted:
        assert daemon.halted_ns is not None
        assert daemon.halted_ns - second.began_ns < BOTH_S * 10**9
        assert [told for told in daemon.said(OrderSubmitted) if told.at_ns > daemon.halted_ns] == []
    ids = [getattr(told.fact, "cl_ord_id", "") for daemon in (first, second) for told in daemon.said(OrderSubmitted)]
    assert len(set(ids)) == len(ids), "no id was made twice"
    if tag == "aaaa" and copy_s < FIRST_ALONE_S:
        assert second.said(OrderSubmitted) == [], "what its copy lacks stops it before its first order"
