"""`python -m tests.crash_points [--points N] [--seed S] [--state FILE] [--only POINT]`: see `make crashes`.

Each point draws its own script, change of the disk, pattern of loss and further cuts in the recovery. With a state file
a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.crash_points.points import POINTS_OF_A_SCRIPT, Point, Tally, drawn, try_points

TOLD_EVERY = 25  # scripts


def main() -> int:
    """Exit code 0 where nothing was lost, 1 at the first script of which something was."""
    options, tally = _options(), Tally()
    if options.only is not None:
        return _try([Point.from_text(options.only)], tally)
    scripts, number = -(-options.points // POINTS_OF_A_SCRIPT), _done(options.state, options.seed)
    began_s = time.perf_counter()
    while number < scripts:
        if _try(drawn(options.seed, number), tally):
            return 1
        number += 1
        if number % TOLD_EVERY == 0 or number == scripts:
            _tell(number * POINTS_OF_A_SCRIPT, tally, time.perf_counter() - began_s)
            if options.state is not None:
                options.state.write_text(json.dumps({"seed": options.seed, "scripts": number}), "utf-8")
    return 0


def _try(points: Sequence[Point], tally: Tally) -> int:
    try_points(points, tally)
    for lost in tally.lost:
        _say(f"LOST {lost}\nagain: python -m tests.crash_points --only {lost.split()[0]}\n")
    return int(bool(tally.lost))


def _tell(points: int, tally: Tally, took_s: float) -> None:
    speed = tally.cuts / took_s
    _say(
        f"{points} points done, nothing lost; here {tally.cuts}, {tally.cuts_in_recovery} in recovery, {speed:.0f}/s\n"
    )


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _done(state: Path | None, seed: int) -> int:
    if state is None or not state.exists():
        return 0
    kept = json.loads(state.read_text("utf-8"))
    return int(kept["scripts"]) if kept["seed"] == seed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash_points", description=__doc__)
    parser.add_argument("--points", type=int, default=10_000, help="power cuts in all (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the whole run (default 1)")
    parser.add_argument("--state", type=Path, help="keep how far it came in this file, and go on from there")
    parser.add_argument("--only", help="try this one point, as it is printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
