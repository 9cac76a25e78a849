"""`python -m tests.fuzz [TARGET ...] [--cases N] [--seed S] [--only NUMBER]`: see `make fuzz`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.campaign import TARGETS, run_many, run_one
from tests.fuzz.tally import Tally

OUTCOMES_SHOWN = 12


def main() -> int:
    """Exit code 0 where every case held, 1 at the first that did not."""
    options = _options()
    names = options.targets or list(TARGETS)
    for name in names:
        began_s, tally = time.perf_counter(), Tally()
        if options.only is not None:
            failure = run_one(name, options.seed, options.only, tally)
        else:
            failure = run_many(name, options.seed, -(-options.cases // len(names)), tally)
        if failure is not None:
            sys.stdout.write(f"{name}: FAILED\n{failure}\n")
            return 1
        took_s = time.perf_counter() - began_s
        sys.stdout.write(
            f"{name}: {tally.cases} cases, {took_s:.1f} s, {len(tally.outcomes)} outcomes, seed {options.seed}\n"
        )
        for outcome, count in tally.outcomes.most_common(options.show):
            sys.stdout.write(f"  {count:>8}  {outcome}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--cases", type=int, default=10_000, help="payloads in all (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of every sequence (default 1)")
    parser.add_argument("--only", type=int, help="replay this one sequence of the seed")
    parser.add_argument("--show", type=int, default=OUTCOMES_SHOWN, help="commonest outcomes to show of each target")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
