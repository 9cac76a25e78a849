"""Who looks on while a world runs. The judge of a campaign checks the invariants; the onlooker here sees nothing."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from aether.simulator.evidence import Evidence
from aether.simulator.outcome import Violation


class Judge(Protocol):
    """Told at each moment that matters; what it finds broken it keeps."""

    violations: list[Violation]
    seen: Counter[str]

    def after_step(self, evidence: Evidence) -> None:
        """Facts were committed, a private request left, or a second has passed."""
        ...

    def market_moved(self, evidence: Evidence) -> None:
        """Books of the exchange have changed, and everybody is being told."""
        ...

    def hourly(self, evidence: Evidence) -> None:
        """An hour has passed."""
        ...

    def after_recovery(self, evidence: Evidence) -> None:
        """A new life of the daemon has compared its account with the exchange's for the first time."""
        ...

    def in_tail(self, evidence: Evidence) -> None:
        """A second of the quiet time at the end has passed."""
        ...


class Onlooker:
    """A judge who finds nothing."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.seen: Counter[str] = Counter()

    def after_step(self, evidence: Evidence) -> None:
        """See Judge."""

    def market_moved(self, evidence: Evidence) -> None:
        """See Judge."""

    def hourly(self, evidence: Evidence) -> None:
        """See Judge."""

    def after_recovery(self, evidence: Evidence) -> None:
        """See Judge."""

    def in_tail(self, evidence: Evidence) -> None:
        """See Judge."""
