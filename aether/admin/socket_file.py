"""The control socket as a file: who may reach it, whether it is in use, and who is at the other end."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

from aether.domain.actors import Actor, Role
from aether.domain.errors import BadConfiguration

PATH_BYTES_MAX = 107  # sun_path of Linux holds 108 with the final zero: unix(7)
_ROOT = 0
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid: unix(7), SO_PEERCRED


def listen_on(path: Path) -> tuple[socket.socket, int]:
    """A listening socket of mode 0600 in a directory that is ours alone, and its inode. A stale one is removed first.

    Raises BadConfiguration where the directory is open to others, the path is too long or taken, or somebody listens.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise BadConfiguration(
            f"the control socket's path {path} has more than {PATH_BYTES_MAX} bytes",
            "set world.state_dir to a shorter one",
        )
    _own_directory(path.parent)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # until here the directory alone keeps others out
        listener.listen()
    except OSError as error:
        listener.close()
        raise BadConfiguration(
            f"cannot listen on {path}: {error.strerror}", "set world.state_dir to another directory"
        ) from error
    listener.settimeout(0)
    return listener, path.lstat().st_ino


def remove(path: Path, inode: int) -> None:
    """Remove our own socket file; one that another daemon has put in its place stays."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass  # somebody cleaned up before us


def peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end, as the kernel saw it when it connected."""
    _, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)


def operator_of(uid: int) -> Actor | None:
    """The actor behind a user id: the daemon's own user, and root. None for everybody else."""
    return Actor(f"uid:{uid}", Role.OPERATOR) if uid in (os.geteuid(), _ROOT) else None


def _own_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = directory.stat()
    except OSError as error:
        raise BadConfiguration(
            f"cannot make {directory} for the control socket: {error.strerror}",
            "set world.state_dir to another directory",
        ) from error
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        raise BadConfiguration(
            f"{directory} holds the control socket and is open to others",
            f"chown it to this user and chmod 700 {directory}",
        )


def _remove_stale(path: Path) -> None:
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode) or seen.st_uid != os.geteuid():
        raise BadConfiguration(f"{path} is no socket of ours", "remove it, or set world.state_dir to another directory")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # a full backlog means a listener, too: do not wait for it
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise BadConfiguration(f"another daemon listens on {path}", "stop it, or give this one another world.state_dir")
