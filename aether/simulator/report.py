"""What a campaign of seeds showed, added up: what was covered, what broke, how fast it was. And the file it is kept in.

The file has one JSON document a line: the campaign itself, then each outcome as it came, so that a campaign which was
interrupted goes on where it stood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aether.domain.errors import BadConfiguration
from aether.simulator.invariants.sometimes import EDGES, WANTED
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.outcome import Outcome

REPEAT_EVERY = 10  # each tenth seed is run twice, and its two traces are compared


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which seeds, each for how many simulated seconds. `version` is of the code: a seed holds for one alone."""

    first_seed: int
    seeds: int
    seconds: int
    version: str

    @property
    def all_seeds(self) -> range:
        """The seeds, in order."""
        return range(self.first_seed, self.first_seed + self.seeds)


@dataclass(frozen=True, slots=True)
class Finding:
    """A seed that broke something: the rules, the first one's words, and the command that shows it again."""

    seed: int
    rules: tuple[str, ...]
    why: str
    replay: str
    plan: str = ""


@dataclass(slots=True)
class Tally:
    """What is known so far: the first outcome of each seed, and those of the seeds that were run again."""

    campaign: Campaign
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    repeats: dict[int, Outcome] = field(default_factory=dict)
    plans: dict[int, str] = field(default_factory=dict)

    def take(self, outcome: Outcome) -> None:
        """Count one outcome; a second one of a seed is its repeat."""
        kept = self.repeats if outcome.seed in self.outcomes else self.outcomes
        kept[outcome.seed] = outcome

    @property
    def missing(self) -> tuple[int, ...]:
        """Runs still to be made, in order; a seed that is to be run twice stands there twice, the second time last."""
        firsts = [seed for seed in self.campaign.all_seeds if seed not in self.outcomes]
        again = [seed for seed in self.campaign.all_seeds[::REPEAT_EVERY] if seed not in self.repeats]
        return (*firsts, *again)

    @property
    def forked(self) -> tuple[int, ...]:
        """Seeds whose two runs left different traces: something outside the seed decides."""
        return tuple(seed for seed, again in self.repeats.items() if again.trace != self.outcomes[seed].trace)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All seeds that broke something, in order."""
        broken = (self.outcomes[seed] for seed in sorted(self.outcomes) if not self.outcomes[seed].is_clean)
        return tuple(self._finding(outcome) for outcome in broken)

    def _finding(self, outcome: Outcome) -> Finding:
        first = outcome.violations[0]
        plan = self.plans.get(outcome.seed, "")
        replay = f"aether simulate --replay {outcome.seed} --hours {hours(self.campaign.seconds)}"
        return Finding(
            seed=outcome.seed,
            rules=tuple(dict.fromkeys(violation.rule for violation in outcome.violations)),
            why=f"{first.rule}: {first.why}",
            replay=f"{replay} --plan {plan}" if plan else replay,
            plan=plan,
        )

    @property
    def is_clean(self) -> bool:
        """Nothing broke, and each repeat was the same."""
        return not self.findings and not self.forked


def hours(seconds: int) -> str:
    """Hours as the command line takes them, without a needless fraction."""
    return f"{seconds / 3600:.6f}".rstrip("0").rstrip(".")


def summary(tally: Tally) -> dict[str, Any]:
    """The report as plain JSON values. Times in seconds and hours; `speed` is simulated time over processor time."""
    outcomes = list(tally.outcomes.values())
    simulated_s = sum(outcome.simulated_s for outcome in outcomes)
    cpu_s = sum(outcome.cpu_s for outcome in outcomes)
    return {
        "version": tally.campaign.version,
        "seeds": len(outcomes),
        "first_seed": tally.campaign.first_seed,
        "simulated_hours": round(simulated_s / 3600, 3),
        "cpu_seconds": round(cpu_s, 1),
        "speed": round(simulated_s / cpu_s, 1) if cpu_s else 0,
        "lives": sum(outcome.boots for outcome in outcomes),
        "events": sum(outcome.events for outcome in outcomes),
        "facts": sum(outcome.facts for outcome in outcomes),
        "orders": sum(outcome.orders for outcome in outcomes),
        "fills": sum(outcome.fills for outcome in outcomes),
        "violations": len(tally.findings),
        "repeats": len(tally.repeats),
        "repeats_different": len(tally.forked),
        **_coverage(outcomes),
        "findings": [msgspec.to_builtins(finding) for finding in tally.findings],
    }


def _coverage(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    kinds, rows, seen = (_added(map(part, outcomes)) for part in (_faults, _rows, _seen))
    classes: Counter[str] = Counter()
    for kind, count in kinds.items():
        classes[KINDS[kind].fault_class.value if kind in KINDS else kind] += count
    edges = [edge for edge in EDGES if seen[edge]]
    return {
        "faults": sum(classes.values()),
        "faults_by_class": {each.value: classes[each.value] for each in FaultClass},
        "rows": dict(sorted(rows.items())),
        "edges": f"{len(edges)} of {len(EDGES)}",
        "edges_missing": ", ".join(edge for edge in EDGES if not seen[edge]),
        "sometimes": {what: seen[what] for what in WANTED},
        "refusals": {name: count for name, count in sorted(seen.items()) if name.startswith("refused ")},
        "halts": {name: count for name, count in sorted(seen.items()) if name.startswith("halted ")},
    }


def _faults(outcome: Outcome) -> Mapping[str, int]:
    return outcome.faults


def _rows(outcome: Outcome) -> Mapping[str, int]:
    return outcome.rows


def _seen(outcome: Outcome) -> Mapping[str, int]:
    return outcome.seen


def _added(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


class ReportFile:
    """Outcomes on disk, a line each, appended as they come."""

    def __init__(self, path: Path, campaign: Campaign) -> None:
        self.path = path
        self._campaign = campaign

    def begin(self) -> None:
        """A new file. Raises FileExistsError: a report is never written over."""
        with self.path.open("xb") as file:
            file.write(msgspec.json.encode(self._campaign) + b"\n")

    def resume(self) -> tuple[Outcome, ...]:
        """Outcomes that are there already. A last line that was cut is left out, and will be run again.

        Raises BadConfiguration for a file of another campaign, or of another version of the code.
        """
        lines = self.path.read_bytes().splitlines()
        try:
            kept = msgspec.json.decode(lines[0], type=Campaign)
            found = [msgspec.json.decode(line, type=Outcome) for line in lines[1:-1]]
        except (IndexError, msgspec.MsgspecError) as error:
            raise BadConfiguration(f"{self.path} is no report of a campaign: {error}", "name another file") from error
        if kept != self._campaign:
            raise BadConfiguration(f"{self.path} is of {kept}, asked was {self._campaign}", "ask for the same again")
        with_last = _decoded(lines[-1]) if len(lines) > 1 else ()
        self._write((*found, *with_last))
        return (*found, *with_last)

    def add(self, outcome: Outcome) -> None:
        """Keep one more."""
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")

    def _write(self, outcomes: Iterable[Outcome]) -> None:
        lines = [msgspec.json.encode(self._campaign), *(msgspec.json.encode(outcome) for outcome in outcomes)]
        self.path.write_bytes(b"\n".join(lines) + b"\n")


def _decoded(line: bytes) -> tuple[Outcome, ...]:
    try:
        return (msgspec.json.decode(line, type=Outcome),)
    except msgspec.MsgspecError:
        return ()
