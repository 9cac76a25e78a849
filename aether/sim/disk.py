"""A made disk that can lose power, fill up and fail; SQLite keeps its files on it, and so do a few plain files.

What was written and not synced is volatile; `medium` says what a power cut makes of it. A failed sync loses what it
should have written, and the next one succeeds all the same: that is what Linux does (PostgreSQL wiki, "Fsync Errors").
There is no clock and no thread here: what a stall costs is counted, for the loop to spend.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Literal

from aether.sim.disk_vfs import attach, uri_of
from aether.sim.medium import Directory, Loss, Node, Truncate, Write

_SHARED, _RESERVED, _PENDING = 1, 2, 3  # SQLite's locks (SQLite docs, "File Locking And Concurrency")
_ENDLESS_BYTES = 1 << 60

Kind = Literal["open", "read", "write", "truncate", "sync", "delete", "rename", "sync_directory"]


class PowerLoss(BaseException):
    """Raised by a hook: the power fails before this operation. It ends in the disk; SQLite sees a dead one."""


class Fault(Enum):
    """What a hook lets happen instead of the operation."""

    ERROR = "error"  # EIO, and nothing is done; a sync that fails so has lost what it should have written
    FULL = "full"  # ENOSPC, and nothing is done
    SHORT = "short"  # half of a write, then ENOSPC


@dataclass(frozen=True, slots=True)
class Stall:
    """The operation is done, but the disk takes so long for it."""

    ns: int


@dataclass(frozen=True, slots=True)
class Operation:
    """What is about to happen: its number on this disk, from 1, and the file. A directory's sync has no name."""

    number: int
    kind: Kind
    name: str

    @property
    def changes(self) -> bool:
        """Whether a power cut before it and one after it can leave different disks."""
        return self.kind != "read"


Hook = Callable[[Operation], Fault | Stall | None]
"""Asked before each operation. May raise PowerLoss and nothing else."""


class Disk:
    """One volume in one life of its machine.

    After a power cut or the death of its process it is dead: every operation fails, so that what is left of the old
    life cannot touch what the next one finds. `crash` and `kill` give that next one.
    """

    def __init__(
        self, *, strict: bool = False, capacity_bytes: int = _ENDLESS_BYTES, found: Directory | None = None
    ) -> None:
        """An empty disk, or what was `found`. `strict`: names are lost as POSIX allows, not as Linux does."""
        self.hook: Hook | None = None
        self.operations = 0
        self.syncs = 0
        self.stalled_ns = 0
        self.is_dead = False
        self.capacity_bytes = capacity_bytes
        self._directory = found or Directory({}, strict=strict)
        self._number = 0

    def uri(self, name: str) -> str:
        """The file for `open_database`. Raises DiskUnavailable."""
        self._number = self._number or attach(self)
        return uri_of(self._number, name)

    def free_bytes(self) -> int:
        """Room that is left."""
        return max(0, self.capacity_bytes - sum(len(node.live) for node in self._directory.live.values()))

    # --- the next life ------------------------------------------------------------------------------------------

    def crash(self, random: Random, loss: Loss | None = None) -> Disk:
        """The disk as it is found after a power cut, without a hook. `loss` is drawn where it is not given."""
        self.is_dead = True
        return self.picture(random, loss or random.choice(list(Loss)))

    def picture(self, random: Random, loss: Loss) -> Disk:
        """What a power cut would leave at this moment. This disk lives on."""
        return Disk(capacity_bytes=self.capacity_bytes, found=self._directory.after(loss, random))

    def kill(self) -> Disk:
        """The disk as the death of its process leaves it: all that was written is there, synced or not; no hook."""
        self.is_dead = True
        for node in self._directory.live.values():
            node.locks.clear()
        return Disk(capacity_bytes=self.capacity_bytes, found=self._directory)

    # --- files, as SQLite sees them -----------------------------------------------------------------------------

    def open_file(self, name: str, *, create: bool) -> DiskFile:
        """The file; `create` makes one where there is none. Raises OSError."""
        self.begin("open", name)
        node = self._directory.live.get(name)
        if node is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, f"{name} is not on the disk")
            node = Node()
            self._directory.change(((name, node),))
        return DiskFile(self, name, node)

    def delete(self, name: str) -> None:
        """Unlink. Raises FileNotFoundError, OSError."""
        self.begin("delete", name)
        if name not in self._directory.live:
            raise FileNotFoundError(errno.ENOENT, f"{name} is not on the disk")
        self._directory.change(((name, None),))

    def sync_directory(self) -> None:
        """Names are on the medium when this returns. Raises OSError: then those since the last sync never will be."""
        self.syncs += 1
        fault = self._asked("sync_directory", "")
        if fault is not None:
            if not self.is_dead:  # a power cut draws what is lost
                self._directory.lose()
            raise _error(fault)
        self._directory.settle()

    def size_of(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        node = self._directory.live.get(name)
        return None if node is None else len(node.live)

    # --- plain files ----------------------------------------------------------------------------------------------

    def make(self, name: str) -> None:
        """An empty file, if there is none, on the medium with its name: what a program does before SQLite."""
        file = self.open_file(name, create=True)
        file.sync()
        self.sync_directory()

    def read(self, name: str) -> bytes | None:
        """All of a file; None where there is none. Raises OSError."""
        size = self.size_of(name)
        return None if size is None else self.open_file(name, create=False).read(size, 0)

    def replace(self, name: str, content: bytes) -> None:
        """Put a file in the place of another, so that a power cut leaves either. Raises OSError."""
        new = f"{name}.new"
        file = self.open_file(new, create=True)
        file.truncate(0)
        file.write(content, 0)
        file.sync()
        self.begin("rename", name)
        self._directory.change(((name, self._directory.live[new]), (new, None)))
        self.sync_directory()

    # --- what an operation goes through -----------------------------------------------------------------------------

    def begin(self, kind: Kind, name: str) -> None:
        """Count an operation and ask the hook. Raises OSError where the disk is dead or the hook wants a fault."""
        fault = self._asked(kind, name)
        if fault is not None:
            raise _error(fault)

    def write_node(self, name: str, node: Node, write: Write) -> None:
        """Write; as much as there is room for where there is too little. Raises OSError."""
        fault = self._asked("write", name)
        size = len(write.data)
        grows = max(0, write.offset + size - max(len(node.live), write.offset))
        room = size if (free := self.free_bytes()) >= grows else size - grows + free
        if fault is Fault.SHORT:
            room = size // 2
        elif fault is not None:
            raise _error(fault)
        node.change(Write(write.offset, write.data[:room]))
        if room < size:
            raise _error(Fault.FULL)

    def sync_node(self, name: str, node: Node) -> None:
        """Bring a file to the medium. Raises OSError: then what was to be written never will be."""
        self.syncs += 1
        fault = self._asked("sync", name)
        if fault is not None:
            if not self.is_dead:
                node.lose()
            raise _error(fault)
        node.settle()
        if not self._directory.strict:
            self._directory.settle()

    def _asked(self, kind: Kind, name: str) -> Fault | None:
        if self.is_dead:
            return Fault.ERROR
        self.operations += 1
        if self.hook is None:
            return None
        try:
            answer = self.hook(Operation(self.operations, kind, name))
        except PowerLoss:
            self.is_dead = True
            return Fault.ERROR
        except BaseException:
            self.is_dead = True  # SQLite cannot pass it on: see that nothing is written under a broken hook
            raise
        if isinstance(answer, Stall):
            self.stalled_ns += answer.ns
            return None
        return answer


class DiskFile:
    """One open file of a disk."""

    def __init__(self, disk: Disk, name: str, node: Node) -> None:
        self._disk = disk
        self._name = name
        self._node = node

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes; fewer at the end. Raises OSError."""
        self._disk.begin("read", self._name)
        return bytes(self._node.live[offset : offset + size])

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes; a gap before them is zeros. Raises OSError."""
        self._disk.write_node(self._name, self._node, Write(offset, data))

    def truncate(self, size: int) -> None:
        """Cut to this size. Raises OSError."""
        self._disk.begin("truncate", self._name)
        self._node.change(Truncate(size))

    def sync(self) -> None:
        """On the medium when this returns. Raises OSError."""
        self._disk.sync_node(self._name, self._node)

    def size(self) -> int:
        """Bytes."""
        return len(self._node.live)

    def lock(self, level: int) -> bool:
        """Take SQLite's lock of this level; False where another open file holds one against it."""
        others = max((held for owner, held in self._node.locks.items() if owner != id(self)), default=0)
        if others >= {_SHARED: _PENDING, _RESERVED: _RESERVED}.get(level, _SHARED):
            return False
        self._node.locks[id(self)] = level
        return True

    def unlock(self, level: int) -> None:
        """Fall back to this level."""
        self._node.locks[id(self)] = level

    def is_reserved(self) -> bool:
        """Does anyone mean to write?"""
        return any(held >= _RESERVED for held in self._node.locks.values())

    def close(self) -> None:
        """Give up locks."""
        self._node.locks.pop(id(self), None)


def _error(fault: Fault) -> OSError:
    number = errno.EIO if fault is Fault.ERROR else errno.ENOSPC
    return OSError(number, f"made disk: {errno.errorcode[number]}")
