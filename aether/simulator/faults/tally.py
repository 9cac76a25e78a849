"""What went wrong so far: by kind, by class, and by row of the fault model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from aether.simulator.kinds import KINDS
from aether.simulator.plan import Fault

Act: TypeAlias = Callable[[Fault], bool]
"""Carries a fault out; False where there was nothing to strike, and so nothing happened."""

Acts: TypeAlias = Mapping[str, Act]
"""By the kind that each carries out."""


class Later(Protocol):
    """The world's agenda, as faults use it: the time, in nanoseconds since 1970 UTC, and what is to happen later."""

    now_ns: int

    def after(self, delay_ns: int, act: Callable[[], None]) -> None:
        """Do this so much later."""
        ...


class Tally:
    """Counts what struck. A row is counted with each fault that shows it, and where one is seen by coincidence."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def struck(self, kind: str) -> None:
        """This happened once, and with it every row that it shows."""
        self.kinds[kind] += 1
        self.saw(*KINDS[kind].rows)

    def saw(self, *rows: str) -> None:
        """These rows were shown."""
        self.rows.update(rows)

    def classes(self) -> dict[str, int]:
        """How often each class struck."""
        found: Counter[str] = Counter()
        for kind, count in self.kinds.items():
            found[KINDS[kind].fault_class.value] += count
        return dict(sorted(found.items()))


def joined(parts: Iterable[Acts]) -> Acts:
    """One table of them all; no kind has two."""
    table: dict[str, Act] = {}
    for part in parts:
        assert not table.keys() & part.keys(), f"carried out twice: {table.keys() & part.keys()}"
        table |= part
    return table
