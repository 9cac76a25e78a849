"""Many seeds, in as many worker processes as there are cores: run, repeat each tenth, cut the failing plans down.

A worker is a fresh interpreter (spawn): it shares nothing with this one, and a seed's trace must be the same in any.
Repeats are made by workers of their own, whose hashes of texts are salted anew.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from aether.domain.values import NANOS_PER_S
from aether.simulator.mix import draw_plan
from aether.simulator.outcome import Outcome, Violation
from aether.simulator.plan import Plan
from aether.simulator.report import ReportFile, Tally
from aether.simulator.run import run_seed
from aether.simulator.shrink import shrink

SHRINK_TRIES = 40
SHRUNK_MAX = 3  # failing seeds that are cut down: they most often fail alike
RUNS_PER_WORKER = 20  # then a worker makes room for a fresh one

RunSeed = Callable[[int, int, Plan | None], Outcome]
Show = Callable[[Tally], None]


def run_one(seed: int, seconds: int, plan: Plan | None = None) -> Outcome:
    """One seed. A defect of the simulator itself is told as one more thing that broke, not as the campaign's end."""
    try:
        return run_seed(seed, seconds=seconds, plan=plan or draw_plan(seed, seconds))
    except Exception as error:  # noqa: BLE001 - whatever it is, it has a seed and belongs into the report
        text = "".join(traceback.format_exception(error))
        return Outcome(seed, "", 0, 0, 0, 0, 0, 0, 0, violations=(Violation("simulator", text, 0),))


def run_campaign(
    tally: Tally,
    *,
    jobs: int,
    kept: ReportFile | None = None,
    show: Show = lambda _: None,
    run: RunSeed = run_one,
) -> None:
    """Make all runs that `tally` still lacks, each kept in the file when it ends. With one job, in this process."""
    for outcome in _outcomes(run, tally.missing, tally.campaign.seconds, jobs):
        tally.take(outcome)
        if kept is not None:
            kept.add(outcome)
        show(tally)


def _outcomes(run: RunSeed, seeds: Sequence[int], seconds: int, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        for seed in seeds:
            yield run(seed, seconds, None)
        return
    for batch in _batches(seeds, jobs * RUNS_PER_WORKER):
        yield from _in_workers(run, batch, seconds, jobs)


def _batches(seeds: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """Parts of them in their order; where the numbers fall back the repeats begin, and a part of its own with them."""
    while seeds:
        falls_back = (place for place in range(1, len(seeds)) if seeds[place] <= seeds[place - 1])
        ends = min(next(falls_back, len(seeds)), most)
        yield seeds[:ends]
        seeds = seeds[ends:]


def _in_workers(run: RunSeed, seeds: Sequence[int], seconds: int, jobs: int) -> Iterator[Outcome]:
    """In their order. The workers are new, and gone afterwards.

    Not by `max_tasks_per_child`: with all the work handed in beforehand, Python 3.11 replaces no worker that has done
    its share, and waits for ever (python/cpython#115634).
    """
    workers = ProcessPoolExecutor(min(jobs, len(seeds)), get_context("spawn"), _die_of_an_interrupt)
    try:
        yield from workers.map(run, seeds, repeat(seconds), repeat(None))
    finally:
        workers.shutdown(cancel_futures=True)


def _die_of_an_interrupt() -> None:
    """At Ctrl-C a worker is gone: what it was doing is done again, and is no news."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def shrink_failures(tally: Tally, directory: Path, *, run: RunSeed = run_one) -> None:
    """Cut the plans of the first failing seeds down, and keep them beside the report; `tally` learns their files."""
    for finding in tally.findings[:SHRUNK_MAX]:
        if "simulator" in finding.rules:
            continue
        plan = smallest_plan(finding.seed, tally.campaign.seconds, finding.rules[0], run)
        path = directory / f"plan-{finding.seed}.json"
        path.write_text(plan.to_json() + "\n", encoding="utf-8")
        tally.plans[finding.seed] = str(path)


def smallest_plan(seed: int, seconds: int, rule: str, run: RunSeed = run_one) -> Plan:
    """The smallest plan found under which this seed still breaks this rule."""

    def breaks(plan: Plan) -> bool:
        outcome = run(seed, plan.length_ns // NANOS_PER_S, plan)
        return any(violation.rule == rule for violation in outcome.violations)

    return shrink(draw_plan(seed, seconds), breaks, tries=SHRINK_TRIES)
