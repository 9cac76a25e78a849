"""The journal's file and its one writer: mode 0600 in a directory of 0700, and a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aether.domain.errors import BadConfiguration

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Be the only writer of what is at `path` until the block ends or the process does, however it dies.

    The lock is flock(2) on `<path>.lock`; the kernel releases it with the last descriptor, SIGKILL included. The file
    holds the owner's process number for people and is never removed: removing it would let two owners lock two files.

    Raises:
        BadConfiguration: another process writes this journal, or the directory cannot be used.
    """
    descriptor = _open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT)
    try:
        _claim(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def prepare_file(path: Path) -> None:
    """See that `path` is a file of ours that nobody else can write; make an empty one where there is none.

    Raises:
        BadConfiguration: a symbolic link, no plain file, another owner, writable by others, or not to be opened.
    """
    descriptor = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def _open(path: Path, flags: int) -> int:
    """Open without following a link at the last step; directories and files that are missing are made private."""
    try:
        _make_directory(path.parent)
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise BadConfiguration(f"{path} is a symbolic link", "name the real file of the journal") from error
        raise BadConfiguration(
            f"{path} cannot be opened ({error.strerror})",
            "give the journal a directory that this user may write",
        ) from error


def _claim(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise BadConfiguration(
            f"{path} is in use by pid {owner}",
            "stop that process first, or give this one a state directory of its own",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadConfiguration(f"{path} is no plain file", "name a file for the journal")
    if status.st_uid != os.geteuid():
        raise BadConfiguration(
            f"{path} belongs to user {status.st_uid}, this process is user {os.geteuid()}",
            "run as its owner, or change the owner back",
        )
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise BadConfiguration(f"{path} can be written by others", f"find out why, then: chmod 600 {path}")


def _make_directory(directory: Path) -> None:
    """Make what is missing of a path, each level on disk before anything is put into it."""
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """A new file's name is on disk only when its directory is (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
