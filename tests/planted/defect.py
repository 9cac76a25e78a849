"""What a planted defect is: a few exact replacements in the program's own source, and the tree that they make."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("aether", "config")


@dataclass(frozen=True, slots=True)
class Change:
    """`old` stands exactly once in `file` (of the package), and becomes `new`."""

    file: str
    old: str
    new: str

    def made_in(self, source: str) -> str:
        """The source with this change. Raises ValueError unless `old` stands there exactly once."""
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.file}: found {count} times, not once:\n{self.old}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug as somebody in a hurry would write it. `why` says what else had to go, where a second defence held it.

    It is looked for in runs in which the fault classes of `heavy` are heavy and all others off: one of the mixes that a
    seed may draw, taken for all seeds, so that they need be neither many nor long.
    """

    name: str
    title: str
    changes: tuple[Change, ...]
    why: str = ""
    heavy: tuple[str, ...] = ("calls",)

    def sources(self, root: Path = ROOT) -> dict[str, str]:
        """The changed files of the tree at `root`, by path within the package. Raises ValueError as Change.made_in."""
        found: dict[str, str] = {}
        for change in self.changes:
            before = found.get(change.file) or (root / "aether" / change.file).read_text()
            found[change.file] = change.made_in(before)
        return found

    def plant(self, tree: Path) -> None:
        """Make these changes in the copy of the package at `tree`."""
        for file, source in self.sources(tree).items():
            (tree / "aether" / file).write_text(source)


def copy_tree(to: Path) -> None:
    """Copy what a run needs of the program, without what Python keeps beside it."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
