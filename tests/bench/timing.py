"""How long work takes beside other work: passes taken in turns, so that a busy machine slows all alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from time import process_time_ns
from typing import Any

Pass = Callable[[], int]
"""Does the work once, anew, and tells how many items it took. What `prepare` gives stays outside the time."""


@dataclass(frozen=True)
class Goal:
    """`value` should be at most, or at least, `bound`; both are pure numbers."""

    what: str
    value: float
    bound: float
    at_most: bool

    @property
    def is_met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


@dataclass(frozen=True)
class Row:
    """One line of the table: the same work done by each, in `unit`, and what was hoped for. `note` says what is odd."""

    work: str
    unit: str
    figures: Mapping[str, float]
    goals: list[Goal] = field(default_factory=list)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in self.goals]}


def in_turns(prepare: Mapping[str, Callable[[], Pass]], rounds: int) -> dict[str, float]:
    """Nanoseconds of processor time an item of each work: the median over rounds, in which every one has its turn.

    Garbage is collected between passes and never within one. Time in which other processes run is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in prepare}
    for _ in range(rounds):
        for name, make in prepare.items():
            work = make()
            gc.collect()
            gc.disable()
            began_ns = process_time_ns()
            items = work()
            taken[name].append((process_time_ns() - began_ns) / items)
            gc.enable()
    return {name: median(times) for name, times in taken.items()}
