"""The control socket as a file: ours alone, and never taken from a daemon that lives."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from aether.admin.socket_file import PATH_BYTES_MAX, listen_on, operator_of, peer_uid, remove
from aether.domain.actors import Actor, Role
from aether.domain.errors import BadConfiguration


def test_the_socket_and_its_directory_are_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    listener, inode = listen_on(path)
    with listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.stat().st_ino == inode


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(BadConfiguration, match="chmod 700"):
        listen_on(tmp_path / "control.sock")


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    first, _ = listen_on(path)
    first.close()
    second, _ = listen_on(path)
    second.close()


def test_the_socket_of_a_living_daemon_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listener, inode = listen_on(path)
    with listener:
        with pytest.raises(BadConfiguration, match="another daemon listens"):
            listen_on(path)
        assert path.stat().st_ino == inode


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, make: object) -> None:
    path = tmp_path / "control.sock"
    assert callable(make)
    make(path)
    with pytest.raises(BadConfiguration, match="no socket of ours"):
        listen_on(path)
    assert path.is_symlink() or path.read_text() == "x"


def test_a_path_is_as_long_as_the_kernel_takes_and_no_longer(tmp_path: Path) -> None:
    directory = Path("/tmp") / f"s{os.getpid()}"  # pytest's own directories are too deep for the boundary
    longest = directory / ("s" * (PATH_BYTES_MAX - len(str(directory)) - 1))
    listener, inode = listen_on(longest)
    listener.close()
    remove(longest, inode)
    directory.rmdir()
    with pytest.raises(BadConfiguration, match="more than 107 bytes"):
        listen_on(longest.with_name(longest.name + "s"))


def test_a_directory_that_cannot_be_made_is_a_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfiguration, match=r"world\.state_dir"):
        listen_on(tmp_path / "file" / "run" / "control.sock")


def test_only_our_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listener, inode = listen_on(path)
    with listener:
        remove(path, inode + 1)
        assert path.exists()
        remove(path, inode)
        assert not path.exists()
        remove(path, inode)


def test_the_kernel_names_the_other_end() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert peer_uid(here) == os.geteuid()


def test_the_daemons_user_and_root_are_operators_and_nobody_else() -> None:
    me = os.geteuid()
    assert operator_of(me) == Actor(f"uid:{me}", Role.OPERATOR)
    assert operator_of(0) == Actor("uid:0", Role.OPERATOR)
    assert operator_of(me + 1) is None
