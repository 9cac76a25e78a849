"""What one seed of the simulator did, and what broke: plain values, so that a worker process can hand them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken property: `rule` is its number (`S1`, `L2`), `at_ns` the exchange's time at which it was seen."""

    rule: str
    why: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one seed.

    `trace` is the hash over times, message bytes and facts: the same for the same seed and plan in any process.
    `simulated_s` is exchange time, `cpu_s` the processor time it took, both in seconds. `faults` counts what was
    carried out by class, `rows` by its row of the fault table, `seen` the edges and "sometimes" of the run.
    """

    seed: int
    trace: str
    simulated_s: float
    cpu_s: float
    events: int
    facts: int
    orders: int
    fills: int
    boots: int
    faults: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Nothing broke."""
        return not self.violations
