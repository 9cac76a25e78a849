from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.kraken.signing import NONCE_RESERVE_NS, Credentials, MarkFile, NonceKeeper, form

VECTORS = json.loads((Path(__file__).parents[1] / "wire" / "captures" / "signing-vectors.json").read_text("utf-8"))
NOW = 1_790_000_000 * NANOS_PER_S


class SetClock:
    def __init__(self, wall_ns: int = NOW) -> None:
        self.now_ns = wall_ns

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["path"]))
def test_the_published_signatures_come_out(vector: dict[str, str]) -> None:
    credentials = Credentials.from_text("https://api.kraken.com", "key", vector["secret_b64"])

    signature = credentials.sign(vector["path"], int(vector["nonce"]), vector["body"].encode())

    assert signature == vector["api_sign"]


@given(secret=st.binary(min_size=1, max_size=300), nonce=st.integers(0, 2**64 - 1), body=st.binary(max_size=300))
def test_a_signature_is_the_hmac_of_the_standard_library(secret: bytes, nonce: int, body: bytes) -> None:
    message = b"/0/private/Balance" + hashlib.sha256(str(nonce).encode() + body).digest()

    signature = Credentials("https://api.kraken.com", "key", secret).sign("/0/private/Balance", nonce, body)

    assert signature == base64.b64encode(hmac.digest(secret, message, "sha512")).decode()


@given(fields=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans())))
def test_a_form_is_written_as_the_standard_library_writes_it(fields: dict[str, object]) -> None:
    assert form(fields) == urlencode(fields).encode("ascii")


def test_the_secret_never_shows_in_text() -> None:
    credentials = Credentials.from_text("https://api.kraken.com", "key", base64.b64encode(b"very secret").decode())

    assert "secret" not in repr(credentials).replace("Credentials", "")
    assert "very" not in str(credentials)


@pytest.mark.parametrize(("key", "secret"), [("key", "no base64!"), ("key", ""), ("", "YQ=="), ("key", "YQ")])
def test_a_secret_that_kraken_never_issued_is_named(key: str, secret: str) -> None:
    with pytest.raises(BadConfiguration):
        Credentials.from_text("https://api.kraken.com", key, secret)


async def test_f01_nonces_rise_even_while_the_clock_stands_still_or_steps_back(tmp_path: Path) -> None:
    clock = SetClock()
    keeper = NonceKeeper(MarkFile(tmp_path / "nonce"), clock)
    taken = [await keeper.take() for _ in range(3)]
    clock.now_ns -= 3600 * NANOS_PER_S

    taken += [await keeper.take() for _ in range(3)]

    assert taken == sorted(set(taken))
    assert taken[0] >= NOW


@pytest.mark.parametrize("step_s", [-3600, 0, 1, 3600])
async def test_a_new_process_repeats_nothing_wherever_the_clock_went(tmp_path: Path, step_s: int) -> None:
    clock = SetClock()
    first = NonceKeeper(MarkFile(tmp_path / "nonce"), clock)
    last = 0
    for _ in range(200):
        last = await first.take()
        clock.now_ns += NANOS_PER_S  # more than three reserves go by
    clock.now_ns += step_s * NANOS_PER_S

    assert await NonceKeeper(MarkFile(tmp_path / "nonce"), clock).take() > last


async def test_the_mark_is_on_disk_before_a_nonce_beyond_it_is_handed_out(tmp_path: Path) -> None:
    keeper = NonceKeeper(MarkFile(tmp_path / "nonce"), SetClock())

    nonce = await keeper.take()

    assert int((tmp_path / "nonce").read_text()) == nonce + NONCE_RESERVE_NS
    assert stat.S_IMODE((tmp_path / "nonce").stat().st_mode) == 0o600


async def test_a_mark_that_cannot_be_written_hands_out_nothing(tmp_path: Path) -> None:
    keeper = NonceKeeper(MarkFile(tmp_path / "missing" / "nonce"), SetClock())

    with pytest.raises(OSError, match="missing"):
        await keeper.take()


async def test_a_jump_goes_ahead_of_what_another_program_may_have_used(tmp_path: Path) -> None:
    keeper = NonceKeeper(MarkFile(tmp_path / "nonce"), SetClock())
    before = await keeper.take()
    keeper.jump(5)

    assert await keeper.take() == before + 6


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.5", str(1 << 64), "١٢"])
def test_a_file_that_holds_no_nonce_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "nonce").write_text(text, "utf-8")

    with pytest.raises(BadConfiguration):
        NonceKeeper(MarkFile(tmp_path / "nonce"), SetClock())


TAKE_FOR_EVER = """
import asyncio, sys, time
from pathlib import Path
from urllib.parse import urlencode
from aether.kraken.signing import MarkFile, NonceKeeper
class LeapingClock:
    # A minute goes by with every look, so that nearly every nonce needs a new mark on disk.
    now_ns = int(sys.argv[2])
    def wall_ns(self):
        self.now_ns += 60_000_000_000
        return self.now_ns
async def take():
    keeper = NonceKeeper(MarkFile(Path(sys.argv[1])), LeapingClock())
    while True:
        print(await keeper.take(), flush=True)
asyncio.run(take())
"""


@pytest.mark.process
@pytest.mark.parametrize("lines", [1, 2, 7, 20])
def test_c01_a_process_killed_at_any_moment_has_used_no_nonce_that_the_next_one_takes(
    lines: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", TAKE_FOR_EVER, str(tmp_path / "nonce"), str(NOW)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as taker:
        assert taker.stdout is not None
        used = [int(taker.stdout.readline()) for _ in range(lines)]
        taker.kill()
        used += [int(line) for line in taker.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]

    # The clock of the next process may stand anywhere, also far behind.
    assert asyncio.run(NonceKeeper(MarkFile(tmp_path / "nonce"), SetClock(NOW)).take()) > max(used)


@given(steps_s=st.lists(st.one_of(st.none(), st.just("jump"), st.integers(-7200, 7200)), max_size=40))
async def test_c01_nonces_rise_whatever_restarts_jumps_and_clock_steps_come_between(
    steps_s: list[int | str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("nonces") / "nonce"
    clock = SetClock()
    keeper = NonceKeeper(MarkFile(path), clock)
    taken = [await keeper.take()]
    for step in steps_s:
        if step is None:
            keeper = NonceKeeper(MarkFile(path), clock)
        elif isinstance(step, int):
            clock.now_ns += step * NANOS_PER_S
        else:
            keeper.jump()
        taken.append(await keeper.take())

    assert all(before < after for before, after in pairwise(taken))
