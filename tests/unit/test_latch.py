"""The halt's latch: what it stops, and what releases it."""

from __future__ import annotations

from typing import Any

import pytest

from aether.domain.actors import SYSTEM
from aether.domain.facts import (
    CommandAccepted,
    Fact,
    FlattenBegan,
    FlattenEnded,
    Numbered,
    StopBegan,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import Halt
from aether.domain.instruments import Side
from aether.domain.spot_gate import recall
from aether.domain.values import UtcNanos
from aether.runtime.latch import Latch


def numbered(*facts: Fact) -> list[Numbered]:
    return [Numbered(seq, 1, UtcNanos(0), seq, fact) for seq, fact in enumerate(facts, start=1)]


def halted(scope: str) -> TradingHalted:
    return TradingHalted(scope, "halt_operator", "a look first", SYSTEM)


def resumed(scope: str) -> TradingResumed:
    return TradingResumed(scope, "looked", SYSTEM)


def test_a_new_latch_stops_nothing(make: Any) -> None:
    assert not Latch().stops(make.submitted())


@pytest.mark.parametrize("scope", ["all", "symbol:BTC/USD", "strategy:trend"])
def test_a_scope_stops_the_orders_it_covers(make: Any, scope: str) -> None:
    latch = Latch()
    latch.set(scope)
    assert latch.stops(make.submitted())


@pytest.mark.parametrize("scope", ["symbol:BTC/USD", "strategy:trend"])
def test_a_scope_lets_other_orders_pass(make: Any, scope: str) -> None:
    latch = Latch([scope])
    assert not latch.stops(make.submitted(symbol=recall("ETH/USD"), strategy="other"))


def test_halts_of_the_ledger_set_it_at_the_start(make: Any) -> None:
    assert Latch(("all",)).stops(make.submitted())


def test_a_committed_halt_sets_it(make: Any) -> None:
    latch = Latch()
    latch.observe(numbered(halted("strategy:trend")))
    assert latch.stops(make.submitted())


def accepted(scope: str) -> CommandAccepted:
    return CommandAccepted("r1", SYSTEM, Halt(scope, "a look first"))


def test_a_resume_that_stood_in_the_queue_before_a_halt_does_not_open_the_door_in_between(make: Any) -> None:
    latch = Latch(["all"])
    latch.set("all")
    latch.observe(numbered(resumed("all")))
    assert latch.stops(make.submitted())
    latch.observe(numbered(accepted("all"), halted("all")))
    assert latch.stops(make.submitted())
    latch.observe(numbered(resumed("all")))
    assert not latch.stops(make.submitted())


def test_only_a_committed_resume_of_the_same_scope_releases_it(make: Any) -> None:
    latch = Latch()
    latch.set("all")
    latch.observe(numbered(accepted("all"), halted("all")))
    latch.observe(numbered(StopBegan("SIGTERM"), resumed("symbol:BTC/USD"), resumed("strategy:trend")))
    assert latch.stops(make.submitted())
    latch.observe(numbered(resumed("all")))
    assert not latch.stops(make.submitted())


def test_a_resume_leaves_the_halts_of_other_scopes(make: Any) -> None:
    latch = Latch(["all", "symbol:BTC/USD"])
    latch.observe(numbered(resumed("all")))
    assert latch.stops(make.submitted())


def test_facts_of_one_commit_are_followed_in_their_order(make: Any) -> None:
    latch = Latch()
    latch.observe(numbered(halted("all"), resumed("all")))
    assert not latch.stops(make.submitted())
    latch.observe(numbered(resumed("all"), halted("all")))
    assert latch.stops(make.submitted())


def test_a_resume_of_what_was_not_halted_changes_nothing(make: Any) -> None:
    latch = Latch()
    latch.observe(numbered(resumed("all")))
    assert not latch.stops(make.submitted())


# --- what people have sold ------------------------------------------------------------------------------------------


def test_a_sale_by_people_passes_the_halt_of_its_scope_until_it_is_over(make: Any) -> None:
    latch, sale = Latch(("all",)), make.submitted(side=Side.SELL, intent_id="f1-9")
    assert latch.stops(sale)

    latch.observe(numbered(FlattenBegan("symbol:BTC/USD", "out", SYSTEM)))
    assert not latch.stops(sale)
    assert latch.stops(make.submitted())
    assert latch.covers(sale.symbol, sale.strategy)

    latch.observe(numbered(FlattenEnded("symbol:BTC/USD", "sold", ())))
    assert latch.stops(sale)


def test_s14_a_halt_given_since_stops_it_before_it_is_written(make: Any) -> None:
    latch, sale = Latch(("all",), ("all",)), make.submitted(side=Side.SELL, intent_id="f1-9")
    assert not latch.stops(sale)

    latch.set("strategy:trend")
    assert latch.stops(sale)
