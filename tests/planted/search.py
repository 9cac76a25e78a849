"""The search for a witness: a seed under which the simulator tells a planted defect from the program as it is.

A seed counts where the copy with the defect breaks a property and the tree without it breaks none. What was found is
kept in `witnesses.json`, so that a search goes on where it ended, and a witness can be replayed alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.planted.defect import Defect, copy_tree

SEEDS_MAX = 200
REPLAY_SEEDS_MAX = 20
WITNESSES = Path(__file__).with_name("witnesses.json")
_HUNT = Path(__file__).with_name("hunt.py")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a defect was found: the seed, what broke first, and how many seeds were tried, this one among them."""

    defect: str
    seed: int
    heavy: tuple[str, ...]
    rules: tuple[str, ...]
    first: str
    tried: int


class Clean:
    """Which seeds break nothing in the tree as it is; each is run once."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._known: dict[tuple[object, ...], bool] = {}

    def is_clean(self, seed: int, heavy: tuple[str, ...]) -> bool:
        """Run the seed here, unless that was done before."""
        key = seed, heavy
        if key not in self._known:
            (line,) = hunt(self._tree, seed, seed + 1, heavy)
            self._known[key] = not line["rules"]
        return self._known[key]


def hunt(tree: Path, first: int, end: int, heavy: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """What each seed broke in the copy at `tree`, up to the first that broke anything. Raises RuntimeError."""
    command = [sys.executable, "-P", str(_HUNT), str(tree), str(first), str(end), *heavy]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield json.loads(line)
        talk = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"seeds {first} to {end - 1} ended with {process.returncode}: {talk[-2000:]}")


def search(defect: Defect, clean: Clean, tell: Tell, seeds: int = SEEDS_MAX) -> Witness | None:
    """Try seed after seed, from 1 on. Raises RuntimeError where a run falls over instead of ending."""
    with planted(defect) as tree:
        first = 1
        while first <= seeds:
            broken = None
            for line in hunt(tree, first, seeds + 1, defect.heavy):
                tell(f"{defect.name}: seed {line['seed']}, {line['cpu_s']} s, {', '.join(line['rules']) or 'clean'}")
                broken = line if line["rules"] else None
            if broken is None:
                return None
            seed = broken["seed"]
            if clean.is_clean(seed, defect.heavy):
                return _witness(defect, broken)
            tell(f"{defect.name}: seed {seed} is not clean without it, and tells nothing")
            first = seed + 1
    return None


def replay(witness: Witness, defect: Defect, clean: Clean, tell: Tell) -> Witness | None:
    """The witness, where its seed still tells; else one that is searched anew: a seed holds for one state of the code.

    None where the defect is not found within REPLAY_SEEDS_MAX seeds either. Raises as search.
    """
    with planted(defect) as tree:
        (line,) = hunt(tree, witness.seed, witness.seed + 1, witness.heavy)
    if line["rules"] and clean.is_clean(witness.seed, witness.heavy):
        return _witness(defect, line)
    tell(f"{defect.name}: seed {witness.seed} tells nothing any more")
    return search(defect, clean, tell, REPLAY_SEEDS_MAX)


class planted:  # noqa: N801 - used as a context manager
    """A copy of the program with a defect in, for as long as the block lasts; without one, the program as it is."""

    def __init__(self, defect: Defect | None = None) -> None:
        self._defect = defect
        self._place = tempfile.TemporaryDirectory(prefix="planted-")

    def __enter__(self) -> Path:
        tree = Path(self._place.__enter__()).resolve()
        copy_tree(tree)
        if self._defect is not None:
            self._defect.plant(tree)
        return tree

    def __exit__(self, *why: object) -> None:
        self._place.cleanup()


def load(path: Path = WITNESSES) -> dict[str, Witness]:
    """Witnesses by the name of their defect."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text())
    return {
        row["defect"]: Witness(**{**row, "heavy": tuple(row["heavy"]), "rules": tuple(row["rules"])}) for row in rows
    }


def store(witnesses: Mapping[str, Witness], path: Path = WITNESSES) -> None:
    """Keep them, in the order of the table."""
    rows = [asdict(witnesses[name]) for name in sorted(witnesses)]
    path.write_text(json.dumps(rows, indent=1) + "\n")


def _witness(defect: Defect, line: Mapping[str, Any]) -> Witness:
    rule, why = line["first"][0]
    first = f"{rule}: {why}"[:300]
    return Witness(defect.name, line["seed"], defect.heavy, tuple(line["rules"]), first, tried=line["seed"])
