"""`python -m tests.planted [N01 ...] [--again] [--seeds N] [--jobs N] [--replay]`: see `make planted`.

Searches a witness for each planted defect that has none yet, or replays those that there are. Exit code 6 where a
defect is not found, or a witness finds it no more.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.planted.defect import Defect
from tests.planted.search import REPLAY_SEEDS_MAX, SEEDS_MAX, Clean, Tell, Witness, load, planted, replay, search, store
from tests.planted.table import DEFECTS, OF_PEOPLE

NOT_FOUND = 6


def main() -> int:
    """See above."""
    options = _options()
    chosen = [DEFECTS[name] for name in options.defects or DEFECTS]
    if options.replay:
        chosen = [defect for defect in chosen if defect.name in load()]
    missing = _replay(chosen, options.jobs) if options.replay else _search(chosen, options)
    found = len(chosen) - len(missing)
    sys.stdout.write(f"{found} of {len(chosen)} found; {len(OF_PEOPLE)} more are planted with the rooms of people\n")
    if missing:
        sys.stdout.write(f"not found: {', '.join(missing)}\n")
    return NOT_FOUND if missing else 0


def _search(chosen: list[Defect], options: argparse.Namespace) -> list[str]:
    known = load()
    wanted = [defect for defect in chosen if options.again or defect.name not in known]
    with planted() as tree, ThreadPoolExecutor(options.jobs) as pool:
        clean = Clean(tree)
        under_way = {pool.submit(search, defect, clean, _tell(), options.seeds): defect for defect in wanted}
        for done in as_completed(under_way):
            witness, defect = done.result(), under_way[done]
            known.pop(defect.name, None)
            if witness is not None:
                known[defect.name] = witness
                store(known)
            sys.stdout.write(f"{defect.name} {defect.title}: {_told(witness, options.seeds)}\n")
            sys.stdout.flush()
    return [defect.name for defect in chosen if defect.name not in known]


def _replay(chosen: list[Defect], jobs: int) -> list[str]:
    """Those whose witness finds them no more, and that a few other seeds do not find either."""
    known, missing = load(), list[str]()
    with planted() as tree, ThreadPoolExecutor(jobs) as pool:
        clean = Clean(tree)

        def again(defect: Defect) -> tuple[Defect, Witness | None]:
            return defect, replay(known[defect.name], defect, clean, _tell())

        for defect, witness in pool.map(again, chosen):
            sys.stdout.write(f"{defect.name} {defect.title}: {_told(witness, REPLAY_SEEDS_MAX)}\n")
            sys.stdout.flush()
            if witness is None:
                missing.append(defect.name)
    return missing


def _told(witness: Witness | None, seeds: int) -> str:
    if witness is None:
        return f"not found within {seeds} seeds"
    return f"seed {witness.seed} breaks {', '.join(witness.rules)}"


def _tell() -> Tell:
    """Progress on a terminal, silence in a pipe."""

    def tell(line: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(line + "\n")

    return tell


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("defects", nargs="*", metavar="DEFECT", help="such as N07; all by default")
    parser.add_argument("--again", action="store_true", help="search those anew that have a witness")
    parser.add_argument("--replay", action="store_true", help="replay the witnesses by their seeds alone")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help=f"most seeds to try (default {SEEDS_MAX})")
    parser.add_argument("--jobs", type=int, default=1, help="defects at a time (default 1)")
    options = parser.parse_args()
    if unknown := set(options.defects) - set(DEFECTS):
        parser.error(f"no defect {', '.join(sorted(unknown))}; there are {', '.join(DEFECTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
