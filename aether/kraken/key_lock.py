"""One process for one API key on this machine: Kraken remembers only the highest nonce, so two would refuse each other.

The lock is flock(2) on a file in the user's runtime directory, whatever state directories the processes have; the
kernel releases it with its process, SIGKILL included. Where the runtime directory is private to a service or container,
what Kraken answers tells of the other program (see `key_standing`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aether.domain.errors import BadConfiguration
from aether.kraken.signing import Credentials

_REMEDY = "stop that process, or give each its own API key"


class KeyTaken(BadConfiguration):
    """Another process has the key; `what` names it."""


@contextmanager
def key_lock(credentials: Credentials, directory: Path | None = None) -> Iterator[None]:
    """Be the only user of a key until the block ends or the process does. `directory` is for tests.

    Raises KeyTaken naming the process that holds the key, BadConfiguration for a file that cannot be opened.
    """
    path = lock_path(credentials, directory)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = f"{path}, the lock of the API key, cannot be opened ({error.strerror})"
        raise BadConfiguration(what, "another user may hold it: give each user its own API key") from error
    try:
        _claim(descriptor, credentials)
        yield
    finally:
        os.close(descriptor)


def lock_path(credentials: Credentials, directory: Path | None = None) -> Path:
    """The lock's file: it bears a digest of address and public key, for a key is no name for a file."""
    digest = hashlib.sha256(f"{credentials.base_url} {credentials.api_key}".encode()).hexdigest()
    return (directory or Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())) / f"aether-key-{digest[:16]}"


def _claim(descriptor: int, credentials: Credentials) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise KeyTaken(
            f"the API key {credentials.shown_key} is in use by pid {owner} of this machine", _REMEDY
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
