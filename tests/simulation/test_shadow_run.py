"""The daemon's parts with and without a shadow, in virtual time: trading is the same, and the shadow sees it all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aether.app import label_of, shadow_of
from aether.core.divergence import Compared
from aether.domain.facts import Numbered, OrderFilled, OrderSubmitted, RunEnded
from aether.journal.codec import encode_fact
from aether.journal.sqlite import open_database
from aether.observe.metrics import Metrics
from aether.policies import pace_of, policy_of
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import recover
from aether.settings import Settings, default_config_path, load_settings
from aether.sim.shadow import OverheardFeed, Shadow
from aether.sim.venue import SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop, inline_sqlite
from aether.worlds import MADE_ACCOUNT, Parts, made_world

START_NS = 1_790_000_000_000_000_000
RUN_S = 1_800


@dataclass
class _Run:
    facts: list[Numbered] = field(default_factory=list)
    told: list[Compared] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def rows(self) -> list[tuple[Any, ...]]:
        rows = [(numbered, encode_fact(numbered.fact)) for numbered in self.facts]
        return [(numbered.seq, numbered.at_ns, numbered.input_seq, row.kind, row.body) for numbered, row in rows]


class _Broken(Shadow):
    def _follow(self, numbered: Numbered) -> None:
        raise RuntimeError("out of order")


def _settings() -> Settings:
    """Recorded hours that pass in a minute each, and orders that the venue is given a while to answer."""
    shipped = load_settings(default_config_path())
    trends = {name: trend.model_dump() | {"bar_s": 60} for name, trend in shipped.strategies.items()}
    return load_settings(default_config_path(), {"sandbox": {"speed": 60}, "strategies": trends})


async def _trade(clock: VirtualClock, path: Path, kind: type[Shadow] | None) -> _Run:
    run, settings = _Run(), _settings()
    async with made_world(settings, clock) as parts:
        assert isinstance(parts.venue, SimVenue)
        # A venue that is some way off, as real ones are.
        far = SimVenue(parts.venue._world, parts.gate, MADE_ACCOUNT, clock, latency_ms=40, seed=1)
        shadow = kind(parts.gate.instruments.values(), clock, run.told.append, run.ends.append) if kind else None
        uri = f"file:{path}?mode=rwc"
        async with open_database(uri, account=MADE_ACCOUNT, tag="test", created_ns=clock.wall_ns()) as journal:
            policy = policy_of(settings, parts.gate)
            machine = Machine(
                policy=policy,
                instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
                recovered=await recover(journal, label_of(settings, MADE_ACCOUNT, journal), clock),
                journal=journal,
                tape=_NoTape(),
                feed=parts.feed if shadow is None else OverheardFeed(parts.feed, shadow),
                venue=far,
                clock=clock,
                pace=replace(pace_of(settings), tick_ms=1000),
                free_bytes=lambda: 10**12,
                gauges=Gauges(lambda _: None, lambda _: None, lambda _: None),
            )
            machine.observers.append(run.facts.extend)
            services = parts.services
            if shadow is not None:
                machine.observers.append(shadow.observe)
                services = (*services, ("shadow", shadow.run))
            asyncio.get_running_loop().call_later(RUN_S, machine.supervisor.ask_to_stop, "enough")
            await machine.run(services)
    return run


class _NoTape:
    def record(self, inputs: object) -> None:
        """Nothing is replayed here."""


def _played(path: Path, kind: type[Shadow] | None) -> _Run:
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner, inline_sqlite(Random(1)):
        return runner.run(_trade(VirtualClock(loop, start_wall_ns=START_NS), path, kind))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> _Run:
    return _played(tmp_path_factory.mktemp("alone") / "journal-made.db", None)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> _Run:
    return _played(tmp_path_factory.mktemp("followed") / "journal-made.db", Shadow)


def test_every_order_of_the_run_is_compared(followed: _Run) -> None:
    sent = [numbered.fact.cl_ord_id for numbered in followed.facts if isinstance(numbered.fact, OrderSubmitted)]
    assert len(sent) >= 5
    assert sorted(order.cl_ord_id for order in followed.told) == sorted(sent)
    assert followed.ends == []


def test_the_real_side_is_what_the_journal_booked(followed: _Run) -> None:
    booked = [numbered.fact for numbered in followed.facts if isinstance(numbered.fact, OrderFilled)]
    assert sum(order.real.coins for order in followed.told) == sum(fill.qty.coins for fill in booked)
    assert sum(order.real.usd for order in followed.told) == sum(fill.cost.amount for fill in booked)


def test_a_venue_of_the_same_rules_on_the_same_market_is_no_further_off_than_its_way(followed: _Run) -> None:
    seen = [order.divergence_bps for order in followed.told if order.divergence_bps is not None]
    assert seen
    assert max(map(abs, seen)) < 20
    assert 0 in seen


def test_trading_is_the_same_with_and_without_a_shadow(alone: _Run, followed: _Run) -> None:
    assert followed.rows() == alone.rows()


def test_trading_is_the_same_when_its_shadow_breaks(alone: _Run, tmp_path: Path) -> None:
    broken = _played(tmp_path / "journal-made.db", _Broken)
    assert broken.ends == ["RuntimeError: out of order"]
    assert broken.rows() == alone.rows()
    assert isinstance(broken.facts[-1].fact, RunEnded)


async def test_a_shadow_stands_where_the_venue_is_another_and_the_settings_want_one() -> None:
    loop = asyncio.get_running_loop()
    clock, settings = VirtualClock(loop, start_wall_ns=START_NS), _settings()
    metrics = Metrics(clock)
    off = settings.model_copy(update={"shadow": settings.shadow.model_copy(update={"enabled": False})})
    async with made_world(settings, clock) as parts:
        elsewhere: Parts = replace(parts, is_made=False)
        assert shadow_of(settings, parts, clock, metrics)[0] is None
        assert shadow_of(off, elsewhere, clock, metrics)[0] is None
        assert isinstance(shadow_of(settings, elsewhere, clock, metrics)[0], Shadow)
