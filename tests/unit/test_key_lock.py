from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration
from aether.kraken.key_lock import KeyTaken, key_lock, lock_path
from aether.kraken.signing import Credentials

KEY = Credentials.from_text("https://api.kraken.com", "QWERTYUIOP", "c2VjcmV0")
OTHER = Credentials.from_text("https://api.kraken.com", "ASDFGHJKL", "c2VjcmV0")

HOLD = """
import sys
from pathlib import Path
from aether.kraken.key_lock import key_lock
from aether.kraken.signing import Credentials
with key_lock(Credentials.from_text("https://api.kraken.com", "QWERTYUIOP", "c2VjcmV0"), Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_c03_a_second_user_of_a_key_is_refused_by_name(tmp_path: Path) -> None:
    with key_lock(KEY, tmp_path), pytest.raises(KeyTaken) as refused, key_lock(KEY, tmp_path):
        pass

    assert "QWERTY…" in refused.value.what
    assert str(os.getpid()) in refused.value.what
    assert "its own API key" in refused.value.remedy


def test_another_key_is_free_and_so_is_the_same_one_afterwards(tmp_path: Path) -> None:
    with key_lock(KEY, tmp_path), key_lock(OTHER, tmp_path):
        pass
    with key_lock(KEY, tmp_path):
        pass


@pytest.mark.process
def test_a_killed_process_leaves_the_key_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BadConfiguration, match=f"pid {holder.pid}"), key_lock(KEY, tmp_path):
            pass
        holder.kill()
    with key_lock(KEY, tmp_path):
        pass


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    lock_path(KEY, tmp_path).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BadConfiguration, match="cannot be opened"), key_lock(KEY, tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_neither_key_nor_secret_stands_in_the_lock_s_name(tmp_path: Path) -> None:
    assert "QWERTY" not in lock_path(KEY, tmp_path).name
