"""Room on the disk that is kept for a journal's last facts: on a full disk a halt or a fill must still go in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

RESERVE_BYTES = 2 << 20  # a commit's pages are 10 to 20 KB of log: more than a hundred commits


class Reserve(Protocol):
    """Room that can be given back to the disk, once, and be taken anew."""

    @property
    def is_spent(self) -> bool:
        """Whether it was given back, and the disk has had no room for it since."""
        ...

    def take(self) -> None:
        """Hold the room, if the disk has it; never raises."""
        ...

    def give_back(self) -> bool:
        """Let the room go; False where none is held."""
        ...


class NoReserve:
    """For a journal in memory."""

    is_spent = False

    def take(self) -> None:
        """There is nothing to hold."""

    def give_back(self) -> bool:
        """Nor to let go."""
        return False


class FileReserve:
    """A file of zeros beside the journal, whose blocks the file system has handed out."""

    def __init__(self, path: Path) -> None:
        self.is_spent = False
        self._path = path
        self.take()

    @property
    def is_held(self) -> bool:
        """Whether the file is there in its whole length."""
        return self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES

    def take(self) -> None:
        """Make the file, if the disk has room for it; never raises."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
            self.is_spent = False
        except OSError:
            self._path.unlink(missing_ok=True)

    def give_back(self) -> bool:
        """Remove the file; False where there was none."""
        was_held = self.is_held
        self._path.unlink(missing_ok=True)
        self.is_spent = self.is_spent or was_held
        return was_held

    def is_needed(self) -> bool:
        """Whether the disk has less room left than this is."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize < RESERVE_BYTES
