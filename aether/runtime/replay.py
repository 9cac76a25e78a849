"""Recorded inputs through the same core: do they lead to the same facts, byte for byte?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aether.core.engine import Engine
from aether.domain.facts import Numbered
from aether.domain.inputs import Stamped

Encoded = tuple[int, int, int, int, str, bytes]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found. `first_difference` is the number of the first fact that differs or is missing on one side.

    `journal_facts_beyond` counts facts of the run that came after the tape's last input (a crash loses the tape's end).
    """

    ok: bool
    inputs: int
    facts: int
    first_difference: int | None
    recorded: str
    replayed: str
    journal_facts_beyond: int


def replay(
    engine: Engine, inputs: Iterable[Stamped], recorded: Iterable[Numbered], encode: Callable[[Numbered], Encoded]
) -> ReplayReport:
    """Run the inputs through `engine` (its ledger folded up to the run) and compare with the run's recorded facts."""
    expected: Iterator[Numbered] = iter(recorded)
    taken, facts, last_input = 0, 0, 0
    for stamped in inputs:
        taken, last_input = taken + 1, stamped.seq
        for fact in engine.take(stamped).facts:
            facts += 1
            twin = next(expected, None)
            if twin is None or encode(twin) != encode(fact):
                return ReplayReport(
                    ok=False,
                    inputs=taken,
                    facts=facts,
                    first_difference=fact.seq,
                    recorded="nothing" if twin is None else str(twin),
                    replayed=str(fact),
                    journal_facts_beyond=0,
                )
    beyond = list(expected)
    missed = next((fact for fact in beyond if fact.input_seq <= last_input), None)
    return ReplayReport(
        ok=missed is None,
        inputs=taken,
        facts=facts,
        first_difference=missed.seq if missed else None,
        recorded=str(missed) if missed else "",
        replayed="nothing" if missed else "",
        journal_facts_beyond=len(beyond),
    )
