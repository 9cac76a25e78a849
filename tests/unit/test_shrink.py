"""A failing plan is cut to its cause, in few runs, and never to one that does not fail."""

from __future__ import annotations

from collections.abc import Callable

from aether.domain.values import NANOS_PER_S
from aether.simulator.kinds import FaultClass
from aether.simulator.mix import draw_plan
from aether.simulator.plan import Plan
from aether.simulator.shrink import SHORTEST_NS, shrink


def _long_plan() -> Plan:
    plans = (draw_plan(seed, 6 * 3600) for seed in range(100))
    return next(plan for plan in plans if len(plan.faults) > 100 and len(plan.classes()) > 5)


def _counting(breaks: Callable[[Plan], bool]) -> tuple[Callable[[Plan], bool], list[Plan]]:
    tried: list[Plan] = []

    def ask(plan: Plan) -> bool:
        tried.append(plan)
        return breaks(plan)

    return ask, tried


def test_one_guilty_fault_is_found_among_hundreds() -> None:
    plan = _long_plan()
    guilty = plan.faults[len(plan.faults) // 3]
    ask, tried = _counting(lambda smaller: guilty in smaller.faults)
    small = shrink(plan, ask, tries=100)
    assert small.faults == (guilty,)
    assert small.rates == ()
    assert small.length_ns < plan.length_ns
    assert len(tried) <= 100


def test_two_faults_that_need_each_other_stay_together() -> None:
    plan = _long_plan()
    guilty = plan.faults[5], plan.faults[60]
    small = shrink(plan, lambda smaller: all(fault in smaller.faults for fault in guilty), tries=400)
    assert small.faults == guilty


def test_what_breaks_without_any_fault_is_left_with_none() -> None:
    small = shrink(_long_plan(), lambda _: True, tries=100)
    assert small.parts == ()
    assert SHORTEST_NS <= small.length_ns < 2 * SHORTEST_NS


def test_a_class_that_is_needed_stays() -> None:
    plan = _long_plan()
    needed = sorted(plan.classes())[2]
    small = shrink(plan, lambda smaller: needed in smaller.classes(), tries=200)
    assert small.classes() == {needed}


def test_no_run_is_spent_beyond_the_budget_and_the_answer_still_breaks() -> None:
    plan = _long_plan()
    guilty = plan.faults[7]
    ask, tried = _counting(lambda smaller: guilty in smaller.faults)
    small = shrink(plan, ask, tries=5)
    assert len(tried) == 5
    assert guilty in small.faults
    assert small.length_ns <= 6 * 3600 * NANOS_PER_S
    assert FaultClass(guilty.of.fault_class) in small.classes()
