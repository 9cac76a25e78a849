"""The fault mix: drawn from the seed alone, as often as it says, quiet at its end, every kind in some seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import mean

import pytest

from aether.domain.values import NANOS_PER_S
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.mix import QUIET_S, draw_levels, draw_plan
from aether.simulator.plan import Plan

HOUR_S = 3_600
SEEDS = range(400)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [draw_plan(seed, HOUR_S) for seed in SEEDS]


def faults_an_hour(plans: list[Plan], level: str, kinds: set[str]) -> float:
    fault_class = KINDS[min(kinds)].fault_class
    counted = [
        sum(fault.kind in kinds for fault in plan.faults)
        for plan in plans
        if draw_levels(plan.seed)[fault_class] == level
    ]
    return mean(counted) * HOUR_S / (HOUR_S - QUIET_S)


def test_the_same_seed_draws_the_same_plan_and_another_another() -> None:
    assert draw_plan(5, HOUR_S) == draw_plan(5, HOUR_S)
    assert draw_plan(5, HOUR_S).to_json() == draw_plan(5, HOUR_S).to_json()
    assert draw_plan(5, HOUR_S) != draw_plan(6, HOUR_S)


def test_a_class_is_off_rare_or_heavy_with_four_four_and_two_of_ten() -> None:
    counts = Counter(level for seed in SEEDS for level in draw_levels(seed).values())
    every = counts.total()
    assert counts["off"] / every == pytest.approx(0.4, abs=0.03)
    assert counts["rare"] / every == pytest.approx(0.4, abs=0.03)
    assert counts["heavy"] / every == pytest.approx(0.2, abs=0.03)


def test_classes_are_drawn_each_by_itself() -> None:
    both = sum(draw_levels(seed)[FaultClass.DEATH] == draw_levels(seed)[FaultClass.DISK] == "off" for seed in SEEDS)
    assert both / len(SEEDS) == pytest.approx(0.16, abs=0.06)


def test_what_is_off_is_not_there(plans: list[Plan]) -> None:
    for plan in plans:
        off = {fault_class for fault_class, level in draw_levels(plan.seed).items() if level == "off"}
        assert not plan.classes() & off


@pytest.mark.parametrize(
    ("kinds", "rare", "heavy"),
    [
        ({"cut", "closed_1008", "stale_token"}, 1, 30),
        ({"socket_mute", "heartbeats_only", "channel_mute", "no_snapshot"}, 1, 30),
        ({"bad_checksum", "lost_book_frame", "double_entry", "crossed_book"}, 1, 30),
        ({"kill", "kill_at_disk", "power_loss"}, 1, 60),
        ({"loop_stall", "task_dies", "strategy_raises", "strategy_nonsense", "strategy_overruns"}, 1, 30),
        ({"step_forward", "step_back", "suspend", "drift"}, 1 / 24, 4),
        ({name for name, kind in KINDS.items() if kind.fault_class is FaultClass.MARKET}, 1 / 24, 6),
        ({name for name, kind in KINDS.items() if kind.fault_class is FaultClass.OTHERS}, 1, 60),
        ({name for name, kind in KINDS.items() if kind.fault_class is FaultClass.PEOPLE}, 1, 60),
    ],
    ids=lambda value: min(value) if isinstance(value, set) else None,
)
def test_a_class_strikes_as_often_as_the_mix_says(
    plans: list[Plan], kinds: set[str], rare: float, heavy: float
) -> None:
    assert faults_an_hour(plans, "rare", kinds) == pytest.approx(rare, rel=0.3, abs=0.04)
    assert faults_an_hour(plans, "heavy", kinds) == pytest.approx(heavy, rel=0.12)


def test_times_between_faults_are_exponential(plans: list[Plan]) -> None:
    """Of an exponential time the part beyond its mean is 1/e, and its spread is its mean."""
    gaps = []
    for plan in plans:
        times = [fault.at_ns for fault in plan.faults if fault.of.fault_class is FaultClass.DEATH]
        if draw_levels(plan.seed)[FaultClass.DEATH] == "heavy":
            gaps += [later - earlier for earlier, later in pairwise(times)]
    assert mean(gap > 60 * NANOS_PER_S for gap in gaps) == pytest.approx(0.368, abs=0.03)
    assert mean(gap > 120 * NANOS_PER_S for gap in gaps) == pytest.approx(0.135, abs=0.03)


def test_the_last_ten_minutes_are_quiet(plans: list[Plan]) -> None:
    for plan in plans:
        assert plan.quiet_ns == (HOUR_S - QUIET_S) * NANOS_PER_S
        assert all(fault.at_ns < plan.quiet_ns for fault in plan.faults)


def test_faults_are_numbered_in_order_of_time(plans: list[Plan]) -> None:
    for plan in plans:
        assert [fault.number for fault in plan.faults] == list(range(1, len(plan.faults) + 1))
        assert list(plan.faults) == sorted(plan.faults, key=lambda fault: fault.at_ns)


def test_every_kind_is_drawn_by_some_seed(plans: list[Plan]) -> None:
    drawn = {part.kind for plan in plans for part in plan.parts}
    assert drawn == set(KINDS)


def test_rates_are_those_of_the_mix(plans: list[Plan]) -> None:
    found = {(rate.kind, rate.per_million) for plan in plans for rate in plan.rates}
    assert {per for kind, per in found if kind == "request_lost"} == {1_000, 150_000}
    assert {per for kind, per in found if kind == "malformed"} == {100, 20_000}
    tails = [rate.parameters["upto_ms"] for plan in plans for rate in plan.rates if rate.kind == "slow"]
    assert min(tails) >= 100
    assert 2_000 < max(tails) <= 60_000


def test_a_run_shorter_than_its_quiet_end_has_no_faults() -> None:
    assert all(not draw_plan(seed, 300).faults for seed in range(20))
