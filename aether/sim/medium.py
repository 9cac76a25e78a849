"""What a power cut leaves: contents of files and their names, each as on the medium, as seen now, and between the two.

Everything that was changed and not synced is kept in order, and a power cut keeps, loses or tears each such change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from random import Random

SECTOR_BYTES = 512


class Loss(Enum):
    """Which unsynced changes a power cut takes."""

    NONE = "none"  # all had been written in time
    ALL = "all"
    NEWEST = "newest"  # they were written in order: the last ones are lost, the one at the cut is torn
    OLDEST = "oldest"  # they were written in the opposite order
    DRAWN = "drawn"  # each by itself is kept, lost or torn


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place of a file; a gap before them is zeros."""

    offset: int
    data: bytes

    def on(self, content: bytearray) -> None:
        """Do it."""
        gap = self.offset - len(content)
        if gap > 0:
            content.extend(bytes(gap))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, random: Random) -> list[Change]:
        """The sectors of it that reached the medium. Bytes outside of it are never harmed."""
        end = self.offset + len(self.data)
        first_sector = (self.offset // SECTOR_BYTES + 1) * SECTOR_BYTES
        cuts = [self.offset, *range(first_sector, end, SECTOR_BYTES), end]
        return [
            Write(cut, self.data[cut - self.offset : next_cut - self.offset])
            for cut, next_cut in pairwise(cuts)
            if random.random() < 0.5
        ]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut a file to a size."""

    size: int

    def on(self, content: bytearray) -> None:
        """Do it."""
        del content[self.size :]

    def torn(self, _: Random) -> list[Change]:
        """There is no half of it."""
        return []


Change = Write | Truncate


@dataclass(slots=True)
class Node:
    """Content of a file. `locks` are SQLite's, by open file; no power cut outlives them."""

    durable: bytearray = field(default_factory=bytearray)
    live: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    locks: dict[int, int] = field(default_factory=dict)

    def change(self, change: Change) -> None:
        """Change what is seen now."""
        change.on(self.live)
        self.pending.append(change)

    def settle(self) -> None:
        """Bring all changes to the medium."""
        for change in self.pending:
            change.on(self.durable)
        self.pending.clear()

    def lose(self) -> None:
        """Nothing brings the changes so far to the medium any more, though they are still seen."""
        self.pending.clear()

    def after(self, loss: Loss, random: Random) -> Node:
        """The same file after a power cut."""
        content = bytearray(self.durable)
        for change in _surviving(self.pending, loss, random):
            change.on(content)
        return Node(content, bytearray(content))


def _surviving(pending: list[Change], loss: Loss, random: Random) -> list[Change]:
    cut = random.randint(0, len(pending))
    match loss:
        case Loss.NONE:
            return list(pending)
        case Loss.ALL:
            return []
        case Loss.NEWEST:
            return [*pending[:cut], *_torn(pending[cut : cut + 1], random)]
        case Loss.OLDEST:
            return [*_torn(pending[max(0, cut - 1) : cut], random), *pending[cut:]]
        case Loss.DRAWN:
            return [piece for change in pending for piece in _drawn(change, random)]


def _torn(changes: list[Change], random: Random) -> list[Change]:
    return [piece for change in changes for piece in change.torn(random)]


def _drawn(change: Change, random: Random) -> list[Change]:
    fate = random.random()
    if fate < 0.45:
        return [change]
    return change.torn(random) if fate < 0.7 else []


Renaming = tuple[tuple[str, Node | None], ...]
"""Names that change together: each is from now on this node's, or nobody's."""


class Directory:
    """Names of a volume.

    `strict` is what POSIX promises: each change of a name may be lost by itself until the directory is synced.
    Otherwise they reach the medium in order, and with the sync of any file: as on ext4, XFS and btrfs.
    """

    def __init__(self, names: dict[str, Node], *, strict: bool) -> None:
        self.strict = strict
        self.live = dict(names)
        self._durable = dict(names)
        self._pending: list[Renaming] = []

    def change(self, renaming: Renaming) -> None:
        """Change what is seen now."""
        _rename(self.live, renaming)
        self._pending.append(renaming)

    def settle(self) -> None:
        """Bring all changes to the medium."""
        for renaming in self._pending:
            _rename(self._durable, renaming)
        self._pending.clear()

    def lose(self) -> None:
        """Nothing brings the changes so far to the medium any more, though they are still seen."""
        self._pending.clear()

    def after(self, loss: Loss, random: Random) -> Directory:
        """Names and contents after a power cut."""
        names = dict(self._durable)
        for renaming in self._surviving(loss, random):
            _rename(names, renaming)
        nodes = {id(node): node.after(loss, random) for node in names.values()}
        return Directory({name: nodes[id(node)] for name, node in names.items()}, strict=self.strict)

    def _surviving(self, loss: Loss, random: Random) -> list[Renaming]:
        cut = random.randint(0, len(self._pending))
        if loss is Loss.NONE:
            return self._pending
        if loss is Loss.ALL:
            return []
        if not self.strict or loss is Loss.NEWEST:
            return self._pending[:cut]
        if loss is Loss.OLDEST:
            return self._pending[cut:]
        return [renaming for renaming in self._pending if random.random() < 0.5]


def _rename(names: dict[str, Node], renaming: Renaming) -> None:
    for name, node in renaming:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
