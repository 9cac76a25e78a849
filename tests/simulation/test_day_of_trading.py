"""A whole day in virtual time: the real engine, runner, hands and journal (real SQLite); only the venue is made."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from aether.app import label_of
from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.valuation import value
from aether.domain.facts import Numbered, OrderFilled, RunEnded
from aether.domain.inputs import AccountSeen, Stamped
from aether.domain.values import MONEY, Symbol
from aether.journal.audit import verify
from aether.journal.codec import encode_fact
from aether.journal.sqlite import open_database
from aether.policies import pace_of, policy_of
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import recover
from aether.runtime.replay import replay
from aether.settings import Settings, default_config_path, load_settings
from aether.sim.exchange import Exchange
from aether.sim.venue import SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop, inline_sqlite
from aether.worlds import MADE_ACCOUNT, Parts, made_world

START_NS = 1_790_000_000_000_000_000
# `make ci` trades a whole day, `make test` three hours of it.
DAY_S = 86_400 if os.environ.get("TEST_PROFILE") == "ci" else 3 * 3600


class _Tape:
    def __init__(self) -> None:
        self.inputs: list[Stamped] = []

    def record(self, inputs: Sequence[Stamped]) -> None:
        self.inputs += inputs


@dataclass
class _Day:
    engine: Engine
    exchange: Exchange
    inputs: list[Stamped]
    facts: list[Numbered]
    path: Path
    mids: dict[Symbol, Decimal]


def _settings() -> Settings:
    """Twelve recorded days in one: a recorded hour lasts five minutes, and so does a candle of the strategies."""
    shipped = load_settings(default_config_path())
    trends = {name: trend.model_dump() | {"bar_s": 300} for name, trend in shipped.strategies.items()}
    return load_settings(default_config_path(), {"sandbox": {"speed": 12}, "strategies": trends})


async def _trade(settings: Settings, clock: VirtualClock, path: Path, seconds: int) -> _Day:
    async with made_world(settings, clock) as parts:
        policy, tape = policy_of(settings, parts.gate), _Tape()
        uri = f"file:{path}?mode=rwc"
        async with open_database(uri, account=MADE_ACCOUNT, tag="test", created_ns=clock.wall_ns()) as journal:
            machine = Machine(
                policy=policy,
                instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
                recovered=await recover(journal, label_of(settings, MADE_ACCOUNT, journal), clock),
                journal=journal,
                tape=tape,
                feed=parts.feed,
                venue=parts.venue,
                clock=clock,
                pace=replace(pace_of(settings), tick_ms=1000),
                free_bytes=lambda: 10**12,
                gauges=Gauges(lambda _: None, lambda _: None, lambda _: None),
            )
            facts: list[Numbered] = []
            machine.observers.append(facts.extend)
            asyncio.get_running_loop().call_later(seconds, machine.supervisor.ask_to_stop, "the day is over")
            await machine.run(parts.services)
        pictures = machine.engine.market.pictures
        mids = {symbol: picture.mid.usd_per_coin for symbol, picture in pictures.items() if picture.mid}
        return _Day(machine.engine, _exchange_of(parts), tape.inputs, facts, path, mids)


def _exchange_of(parts: Parts) -> Exchange:
    assert isinstance(parts.venue, SimVenue)
    return parts.venue._world.exchange


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> _Day:
    loop = VirtualTimeLoop()
    clock = VirtualClock(loop, start_wall_ns=START_NS)
    path = tmp_path_factory.mktemp("day") / "journal-made.db"
    with asyncio.Runner(loop_factory=lambda: loop) as runner, inline_sqlite(Random(1)):
        return runner.run(_trade(_settings(), clock, path, DAY_S))


def test_a_day_trades_and_ends_clean(day: _Day) -> None:
    fills = [numbered for numbered in day.facts if isinstance(numbered.fact, OrderFilled)]
    assert len(fills) >= DAY_S // 3600
    assert isinstance(day.facts[-1].fact, RunEnded)
    assert day.facts[-1].fact.clean


def test_equity_from_the_journal_is_the_accounts_to_the_last_decimal(day: _Day) -> None:
    totals = {asset: total for asset, (total, _) in day.exchange.balances(MADE_ACCOUNT).items()}
    journal = {asset: total for asset, total in day.engine.ledger.portfolio.balances.items() if total}
    assert journal == {asset: total for asset, total in totals.items() if total}
    worth = totals["USD"]
    for symbol, mid in day.mids.items():
        worth = MONEY.add(worth, MONEY.multiply(totals.get(symbol.removesuffix("/USD"), Decimal(0)), mid))
    valuation = value(day.engine.ledger, day.engine.market)
    assert valuation is not None
    assert valuation.equity.amount == worth


def test_profit_of_the_positions_is_the_change_of_equity(day: _Day) -> None:
    profit = Decimal(0)
    for (_, symbol), position in day.engine.ledger.portfolio.positions.items():
        unrealised = MONEY.multiply(position.qty.coins, day.mids[symbol]) - position.cost.amount
        profit = MONEY.add(profit, MONEY.add(position.realised.amount, unrealised))
    valuation = value(day.engine.ledger, day.engine.market)
    assert valuation is not None
    assert profit == valuation.equity.amount - Decimal(100_000)


def test_every_fill_of_the_account_is_booked_once(day: _Day) -> None:
    booked = [numbered.fact.exec_id for numbered in day.facts if isinstance(numbered.fact, OrderFilled)]
    assert sorted(booked) == sorted(trade.exec_id for trade in day.exchange.trades(MADE_ACCOUNT))
    assert len(set(booked)) == len(booked)


async def test_the_journal_verifies(day: _Day) -> None:
    report = await verify(day.path)
    assert report.ok, report.why
    assert report.rows == day.facts[-1].seq


def test_the_same_inputs_give_the_same_facts_again(day: _Day) -> None:
    def row(numbered: Numbered) -> tuple[int, int, int, int, str, bytes]:
        kept = encode_fact(numbered.fact)
        return numbered.seq, numbered.run, numbered.at_ns, numbered.input_seq, kept.kind, kept.body

    report = replay(Engine(day.engine.policy, Ledger()), day.inputs, day.facts, row)
    assert report.ok, (report.recorded, report.replayed)
    assert report.facts == len(day.facts)


def test_a_changed_input_is_found_by_the_replay(day: _Day) -> None:
    index = next(i for i, stamped in enumerate(day.inputs) if isinstance(stamped.input, AccountSeen))
    stamped = day.inputs[index]
    inputs = [
        *day.inputs[:index],
        replace(stamped, at_ns=stamped.at_ns + 1),
        *day.inputs[index + 1 : index + 50],
    ]
    report = replay(Engine(day.engine.policy, Ledger()), inputs, day.facts, lambda n: (n.seq, 0, n.at_ns, 0, "", b""))
    assert not report.ok
