"""Runs seeds of the simulator in the tree that PYTHONPATH names, and prints what broke: one JSON object for each seed.

Started as a file of its own, by `search`, so that nothing of the tree beside it is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from aether.simulator import run
from aether.simulator.kinds import FaultClass
from aether.simulator.mix import QUIET_S, Level, draw_plan
from aether.simulator.plan import Plan, in_order

FAULTS_S = 420
TAIL_S = 150  # no property asks for more time until all is well again
RARE = frozenset({"clock", "disk", "market"})
RARE_PACE = 8
_NANOS_PER_S = 1_000_000_000


def main() -> None:
    """Run the seeds in order, up to and with the first that is not clean."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("seeds", type=int, nargs=2, metavar=("FIRST", "END"))
    parser.add_argument("heavy", nargs="+")
    options = parser.parse_args()
    assert Path(run.__file__).is_relative_to(options.tree.resolve()), run.__file__
    for seed in range(*options.seeds):
        outcome = run.run_seed(seed, seconds=FAULTS_S + TAIL_S, plan=plan_of(seed, options.heavy), stops_at_first=True)
        first = [(violation.rule, violation.why) for violation in outcome.violations[:3]]
        rules = sorted({violation.rule for violation in outcome.violations})
        line = {"seed": seed, "rules": rules, "first": first, "cpu_s": round(outcome.cpu_s, 1), "trace": outcome.trace}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        if outcome.violations:
            break
    sys.stdout.flush()
    # What killed lives of the daemon left behind is not to be taken apart at the interpreter's end, where nothing is
    # there any more that it leans on.
    os._exit(0)


def plan_of(seed: int, heavy: list[str]) -> Plan:
    """Faults of these classes for seven minutes, and then a quiet time.

    Of what strikes a few times an hour even when heavy, an hour's worth comes in those minutes.
    """
    often = _drawn(seed, [name for name in heavy if name not in RARE], 1)
    rare = _drawn(seed, [name for name in heavy if name in RARE], RARE_PACE)
    quicker = (replace(fault, at_ns=fault.at_ns // RARE_PACE) for fault in rare.faults)
    faults = enumerate(in_order((*often.faults, *quicker)), start=1)
    return replace(
        often,
        length_ns=often.quiet_ns + TAIL_S * _NANOS_PER_S,
        faults=tuple(replace(fault, number=number) for number, fault in faults),
        rates=(*often.rates, *rare.rates),
    )


def _drawn(seed: int, heavy: list[str], pace: int) -> Plan:
    levels: dict[FaultClass, Level] = {name: "heavy" if name in heavy else "off" for name in FaultClass}
    return draw_plan(seed, FAULTS_S * pace + QUIET_S, levels)


if __name__ == "__main__":
    main()
