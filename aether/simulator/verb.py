"""What `aether simulate` does: a campaign with its file and its shrunk plans, or one seed once more with its trace."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from aether.app import CODE_VERSION
from aether.domain.errors import BadConfiguration
from aether.simulator.campaign import run_campaign, shrink_failures
from aether.simulator.mix import draw_plan
from aether.simulator.plan import Plan
from aether.simulator.report import Campaign, ReportFile, Tally, summary
from aether.simulator.run import run_seed


@dataclass(frozen=True, slots=True)
class Asked:
    """A campaign as the command line asks for it; `seconds` is the simulated time of each seed."""

    first_seed: int
    seeds: int
    seconds: int
    jobs: int | None = None
    report: Path | None = None
    resume: Path | None = None


def simulate_seeds(asked: Asked, show: Callable[[str], None]) -> tuple[dict[str, Any], bool]:
    """Run a campaign to its end; its report, and whether nothing broke.

    Raises BadConfiguration for a report to resume that is of another campaign, FileExistsError for one that is there.
    """
    if asked.report is not None and asked.resume is not None:
        raise BadConfiguration("--report begins a file and --resume goes on with one", "name one of the two")
    tally = Tally(Campaign(asked.first_seed, asked.seeds, asked.seconds, CODE_VERSION))
    kept = _kept(asked, tally)
    jobs = asked.jobs or len(os.sched_getaffinity(0))
    run_campaign(tally, jobs=jobs, kept=kept, show=lambda now: show(_line(now)))
    if tally.findings:
        show("cutting the failing plans down")
        shrink_failures(tally, kept.path.parent if kept is not None else Path())
    return summary(tally), tally.is_clean


def _kept(asked: Asked, tally: Tally) -> ReportFile | None:
    path = asked.report or asked.resume
    if path is None:
        return None
    kept = ReportFile(path, tally.campaign)
    if asked.resume is None:
        kept.begin()
    else:
        for outcome in kept.resume():
            tally.take(outcome)
    return kept


def _line(tally: Tally) -> str:
    done, left = len(tally.outcomes) + len(tally.repeats), len(tally.missing)
    hours = sum(outcome.simulated_s for outcome in tally.outcomes.values()) / 3600
    return f"{done} runs done, {left} to go  {hours:.1f} simulated hours  {len(tally.findings)} broken"


def replay_seed(seed: int, seconds: int, plan_file: Path | None, trace: Path | None) -> tuple[dict[str, Any], bool]:
    """Run one seed once more; all that is known of it, and whether nothing broke.

    `trace` is a new file. Raises BadConfiguration for a plan file that is none or another seed's, FileExistsError for
    a trace that is there.
    """
    plan = draw_plan(seed, seconds) if plan_file is None else Plan.from_json(plan_file.read_bytes())
    if plan.seed != seed:
        raise BadConfiguration(f"{plan_file} is a plan of seed {plan.seed}, asked was {seed}", "replay that seed")
    if trace is None:
        outcome = run_seed(seed, seconds=seconds, plan=plan)
    else:
        with trace.open("xb") as file:
            outcome = run_seed(seed, seconds=seconds, plan=plan, keep=lambda at_ns, what: _write(file, at_ns, what))
    answer = {**msgspec.to_builtins(outcome), "classes": ", ".join(sorted(plan.classes()))}
    return answer, outcome.is_clean


def _write(file: BinaryIO, at_ns: int, what: bytes) -> None:
    """One line: the exchange's time, and a message or a fact as it was on the wire or on the disk."""
    file.write(b"%d %s\n" % (at_ns, what.replace(b"\n", b"\\n")))
