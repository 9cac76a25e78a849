"""Recorded inputs through the same core: what a replay finds, and what it calls a difference."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.domain.facts import Numbered, OrderSubmitted, TradingHalted
from aether.domain.inputs import Halt, Stamped
from aether.domain.orders import VenueStatus
from aether.domain.values import UtcNanos
from aether.journal.codec import encode_fact
from aether.runtime.replay import Encoded, ReplayReport, replay


def encoded(numbered: Numbered) -> Encoded:
    row = encode_fact(numbered.fact)
    return numbered.seq, numbered.run, numbered.at_ns, numbered.input_seq, row.kind, row.body


@pytest.fixture
def traded(desk: Any) -> Any:
    """A desk that started, bought, was filled, was halted."""
    desk.trade()
    desk.accept()
    desk.fill("T1", "1")
    desk.report(VenueStatus.FILLED, str(desk.order.qty.coins))
    desk.command(Halt("all", "enough"))
    assert len(desk.facts) > 10
    return desk


def again(desk: Any, inputs: list[Stamped], recorded: list[Numbered], ledger: Ledger | None = None) -> ReplayReport:
    return replay(Engine(desk.engine.policy, ledger or Ledger()), inputs, recorded, encoded)


def test_the_same_inputs_lead_to_the_same_facts(traded: Any) -> None:
    assert again(traded, traded.inputs, traded.facts) == ReplayReport(
        ok=True,
        inputs=len(traded.inputs),
        facts=len(traded.facts),
        first_difference=None,
        recorded="",
        replayed="",
        journal_facts_beyond=0,
    )


def test_nothing_replays_to_nothing(desk: Any) -> None:
    report = again(desk, [], [])
    assert (report.ok, report.inputs, report.facts) == (True, 0, 0)


def test_a_second_run_replays_from_the_ledger_that_it_began_with(traded: Any, new_desk: Any, make: Any) -> None:
    second = new_desk(make.policy(), Ledger())
    for numbered in traded.facts:
        second.ledger.fold(numbered)
    second.begin(run=2)
    ledger = Ledger()
    for numbered in traded.facts:
        ledger.fold(numbered)
    assert again(second, second.inputs, second.facts, ledger).ok
    assert not again(second, second.inputs, second.facts, Ledger()).ok


def changed_size(facts: list[Numbered]) -> tuple[int, Numbered]:
    """Place of the first order, and that fact with one dollar more wanted."""
    place = next(place for place, numbered in enumerate(facts) if isinstance(numbered.fact, OrderSubmitted))
    fact = facts[place].fact
    assert isinstance(fact, OrderSubmitted)
    reserved = fact.reserved + type(fact.reserved)(Decimal(1))
    return place, replace(facts[place], fact=replace(fact, reserved=reserved))


def test_a_changed_fact_is_named_with_both_sides(traded: Any) -> None:
    place, other = changed_size(traded.facts)
    report = again(traded, traded.inputs, [*traded.facts[:place], other, *traded.facts[place + 1 :]])
    assert not report.ok
    assert report.first_difference == traded.facts[place].seq
    assert (report.recorded, report.replayed) == (str(other), str(traded.facts[place]))
    assert report.journal_facts_beyond == 0


@pytest.mark.parametrize("change", [{"at_ns": UtcNanos(1)}, {"input_seq": 999}, {"run": 2}])
def test_a_fact_at_another_time_or_of_another_cause_differs(traded: Any, change: dict[str, int]) -> None:
    facts = [*traded.facts[:3], replace(traded.facts[3], **change), *traded.facts[4:]]
    assert again(traded, traded.inputs, facts).first_difference == traded.facts[3].seq


def test_a_fact_that_the_journal_lacks_in_the_middle_is_found_at_its_number(traded: Any) -> None:
    report = again(traded, traded.inputs, [*traded.facts[:4], *traded.facts[5:]])
    assert report.first_difference == traded.facts[4].seq
    assert report.replayed == str(traded.facts[4])


def test_a_fact_that_the_journal_lacks_at_the_end_is_found(traded: Any) -> None:
    report = again(traded, traded.inputs, traded.facts[:-1])
    assert not report.ok
    assert (report.first_difference, report.recorded) == (traded.facts[-1].seq, "nothing")


def test_a_fact_that_only_the_journal_has_is_found(traded: Any) -> None:
    last = traded.facts[-1]
    report = again(traded, traded.inputs, [*traded.facts, replace(last, seq=last.seq + 1)])
    assert not report.ok
    assert (report.first_difference, report.replayed) == (last.seq + 1, "nothing")
    assert report.recorded == str(replace(last, seq=last.seq + 1))


def test_facts_beyond_the_tapes_end_are_counted_but_no_difference(traded: Any) -> None:
    kept = [stamped for stamped in traded.inputs if stamped.seq < traded.facts[-1].input_seq]
    beyond = [numbered for numbered in traded.facts if numbered.input_seq > kept[-1].seq]
    assert beyond
    assert any(isinstance(numbered.fact, TradingHalted) for numbered in beyond)
    report = again(traded, kept, traded.facts)
    assert report.ok
    assert report.journal_facts_beyond == len(beyond)
    assert report.facts == len(traded.facts) - len(beyond)


def test_a_lost_fact_is_found_though_the_journal_goes_on_beyond_the_tape(traded: Any) -> None:
    kept = [stamped for stamped in traded.inputs if stamped.seq < traded.facts[-1].input_seq]
    told = [numbered for numbered in traded.facts if numbered.input_seq <= kept[-1].seq]
    extra = replace(told[-1], seq=told[-1].seq + 1)
    report = again(traded, kept, [*told, extra, *traded.facts[len(told) :]])
    assert not report.ok
    assert report.first_difference == extra.seq


def test_a_changed_input_is_found(traded: Any) -> None:
    inputs = [*traded.inputs[:-1], replace(traded.inputs[-1], at_ns=traded.inputs[-1].at_ns + 1)]
    assert not again(traded, inputs, traded.facts).ok
