"""A failing plan cut down to what still fails: whole classes, then kinds, then time, then the list of faults in parts.

A smaller plan draws as the larger one did (`plan.py`), so what is left is most often the cause and its few accomplices.
"""

from __future__ import annotations

from collections.abc import Callable

from aether.domain.values import NANOS_PER_S
from aether.simulator.plan import Plan

Breaks = Callable[[Plan], bool]
"""Whether the same property is broken under this plan."""

SHORTEST_NS = 60 * NANOS_PER_S


class _Budget:
    """Answers with `breaks` so many times, and with no after that: a shrunk plan is worth minutes, not hours."""

    def __init__(self, breaks: Breaks, tries: int) -> None:
        self._breaks = breaks
        self.left = tries

    def __call__(self, plan: Plan) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return self._breaks(plan)


def shrink(plan: Plan, breaks: Breaks, *, tries: int) -> Plan:
    """The smallest plan found, in at most so many runs, under which `breaks` still holds. `plan` itself must break."""
    still = _Budget(breaks, tries)
    plan = _without_parts(plan, still)
    plan = _shorter(plan, still)
    plan = _fewer_faults(plan, still)
    return _without_parts(plan, still)


def _without_parts(plan: Plan, still: Breaks) -> Plan:
    """Drop classes, then kinds, as long as it still breaks."""
    for fault_class in sorted(plan.classes()):
        if still(smaller := plan.without(fault_class)):
            plan = smaller
    for kind in sorted({part.kind for part in plan.parts}):
        if still(smaller := plan.without_kind(kind)):
            plan = smaller
    return plan


def _shorter(plan: Plan, still: Breaks) -> Plan:
    """Halve the time as long as it still breaks, then take off quarters."""
    for kept, of in ((1, 2), (3, 4)):
        while plan.length_ns * kept // of >= SHORTEST_NS:
            smaller = plan.shortened(plan.length_ns * kept // of)
            if not still(smaller):
                break
            plan = smaller
    return plan


def _fewer_faults(plan: Plan, still: Breaks) -> Plan:
    """Leave out halves of the list, then quarters, and so on to single ones (Zeller's delta debugging)."""
    parts = 2
    while len(plan.faults) > 1 and parts <= 2 * len(plan.faults):
        numbers = [fault.number for fault in plan.faults]
        size = max(1, -(-len(numbers) // parts))
        for begin in range(0, len(numbers), size):
            smaller = plan.with_faults([*numbers[:begin], *numbers[begin + size :]])
            if still(smaller):
                plan, parts = smaller, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts *= 2
    return plan
