"""A plan is a plain value: it survives JSON, and a shrinker can cut it in every way without changing what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.mix import draw_plan
from aether.simulator.plan import Fault, Plan, Rate, in_order, quiet_plan

PLAN = Plan(
    seed=7,
    length_ns=1_000 * NANOS_PER_S,
    quiet_ns=400 * NANOS_PER_S,
    faults=(
        Fault(1, 10 * NANOS_PER_S, "kill", 11, {"after": 3}),
        Fault(2, 100 * NANOS_PER_S, "deposit", 12),
        Fault(3, 300 * NANOS_PER_S, "power_loss", 13, {"after": 9}),
    ),
    rates=(Rate("request_lost", 1_000, 14), Rate("slow", 10_000, 15, {"upto_ms": 2_000})),
)


@pytest.mark.parametrize("plan", [PLAN, quiet_plan(1, 60), draw_plan(3, 3_600)])
def test_a_plan_survives_json(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": "x"}', '{"seed":1,"length_ns":1,"quiet_ns":1,"faults":3}'])
def test_a_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match="no plan of faults"):
        Plan.from_json(text)


def test_a_plan_with_a_kind_that_nobody_knows_is_refused() -> None:
    text = PLAN.to_json().replace('"kill"', '"locusts"')
    with pytest.raises(BadConfiguration, match="locusts"):
        Plan.from_json(text)


def test_its_classes_are_those_of_its_faults_and_rates() -> None:
    assert PLAN.classes() == {FaultClass.DEATH, FaultClass.OTHERS, FaultClass.CALLS, FaultClass.LATENCY}


def test_a_class_can_be_dropped_and_the_rest_stays() -> None:
    cut = PLAN.without(FaultClass.DEATH)
    assert [fault.number for fault in cut.faults] == [2]
    assert cut.rates == PLAN.rates
    assert PLAN.without(FaultClass.CALLS).rates == PLAN.rates[1:]


def test_a_kind_can_be_dropped() -> None:
    assert [fault.kind for fault in PLAN.without_kind("kill").faults] == ["deposit", "power_loss"]


def test_faults_can_be_chosen_by_their_numbers() -> None:
    assert PLAN.with_faults({1, 3}).faults == (PLAN.faults[0], PLAN.faults[2])


def test_a_shorter_plan_keeps_its_quiet_end() -> None:
    short = PLAN.shortened(800 * NANOS_PER_S)
    assert short.quiet_ns == 200 * NANOS_PER_S
    assert [fault.number for fault in short.faults] == [1, 2]
    assert PLAN.shortened(500 * NANOS_PER_S).quiet_ns == 0


def test_faults_are_put_in_order_of_time() -> None:
    assert in_order(reversed(PLAN.faults)) == PLAN.faults


def test_every_kind_is_named_once_and_says_what_it_does() -> None:
    assert all(kind.name == name and kind.meaning for name, kind in KINDS.items())
    assert {kind.fault_class for kind in KINDS.values()} == set(FaultClass)


def test_every_kind_is_documented_with_its_rows() -> None:
    page = (Path(__file__).parents[2] / "docs" / "fault-mix.md").read_text()
    for kind in KINDS.values():
        assert f"| {kind.name} | {kind.fault_class.value} | {' '.join(kind.rows)} | {kind.meaning} |" in page


def test_a_fault_knows_the_rows_that_it_shows() -> None:
    assert PLAN.faults[0].of.rows == ("G04", "H04", "H09")
    assert PLAN.rates[0].of.fault_class is FaultClass.CALLS
