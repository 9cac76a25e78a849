from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aether import doctor
from aether.doctor import Finding, examine_all
from aether.domain.inputs import ClockMeasured
from aether.domain.values import NANOS_PER_MS
from aether.kraken.key_lock import key_lock
from aether.kraken.signing import Credentials
from aether.runtime.clock import SystemClock
from aether.settings import Settings, load_settings
from aether.sim.server import Sandbox
from aether.worlds import sandbox_config

SHIPPED = Path(__file__).parents[2] / "config" / "aether.toml"
CLOCK = SystemClock()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped settings, in a directory of this test."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "aether.toml"
    path.write_bytes(SHIPPED.read_bytes())
    path.chmod(0o644)
    return path


@pytest.fixture
def settings(config: Path, tmp_path: Path) -> Callable[..., Settings]:
    def load(**overrides: dict[str, Any]) -> Settings:
        return load_settings(config, {"world": {"state_dir": tmp_path / "state"}} | overrides)

    return load


@pytest.fixture
async def hello(settings: Callable[..., Settings]) -> AsyncIterator[dict[str, str]]:
    """A sandbox that runs elsewhere, by its first line."""
    sandbox = await Sandbox.start(sandbox_config(settings()), CLOCK)
    yield dict(sandbox.hello())
    await sandbox.stop()


@pytest.fixture
def connected(settings: Callable[..., Settings], tmp_path: Path) -> Callable[[dict[str, str]], Settings]:
    def connect(hello: dict[str, str]) -> Settings:
        file = tmp_path / "hello.json"
        file.write_text(json.dumps(hello))
        file.chmod(0o600)
        return settings(sandbox={"connect": file})

    return connect


def by_check(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


async def test_the_shipped_settings_are_well(settings: Callable[..., Settings], config: Path) -> None:
    findings = by_check(await examine_all(settings(), config, CLOCK))

    slow = {"disk sync"}  # a machine of continuous integration may have a slow disk
    assert {check: finding.grade for check, finding in findings.items() if check not in slow} == dict.fromkeys(
        ("python", "limits", "settings file", "state directory", "disk space", "rest", "public socket",
         "private socket", "clock", "system", "key"), "ok",
    )  # fmt: skip
    assert "create-ws-token" in findings["key"].what


async def test_a_key_that_somebody_brought_is_warned_about(
    connected: Callable[[dict[str, str]], Settings], hello: dict[str, str], config: Path
) -> None:
    findings = by_check(await examine_all(connected(hello), config, CLOCK))

    assert findings["sandbox.connect"].grade == "ok"
    assert findings["key"].grade == "warn"
    assert "IP allow-list" in findings["key"].remedy


async def test_a_key_in_use_is_left_alone(
    connected: Callable[[dict[str, str]], Settings], hello: dict[str, str], config: Path
) -> None:
    with key_lock(Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])):
        findings = by_check(await examine_all(connected(hello), config, CLOCK))

    assert findings["key"].grade == "skip"
    assert f"pid {os.getpid()}" in findings["key"].what


async def test_a_key_that_kraken_refuses_fails(
    connected: Callable[[dict[str, str]], Settings], hello: dict[str, str], config: Path
) -> None:
    findings = by_check(await examine_all(connected(hello | {"api_secret": "c2VjcmV0"}), config, CLOCK))

    assert findings["key"].grade == "fail"
    assert "EAPI:Invalid signature" in findings["key"].what


async def test_a_key_that_can_withdraw_fails_by_the_permission_s_name(
    settings: Callable[..., Settings], config: Path
) -> None:
    findings = by_check(await examine_all(settings(sandbox={"withdraw_key": True}), config, CLOCK))

    assert findings["key"].grade == "fail"
    assert "withdraw-funds" in findings["key"].what
    assert "take these permissions away" in findings["key"].remedy


async def test_offline_it_says_what_it_could_not_look_at(
    connected: Callable[[dict[str, str]], Settings], hello: dict[str, str], config: Path, unused_tcp_port: int
) -> None:
    gone = dict.fromkeys(("rest", "ws_public", "ws_private"), f"http://127.0.0.1:{unused_tcp_port}")
    findings = by_check(await examine_all(connected(hello | gone), config, CLOCK))

    assert {findings[name].grade for name in ("rest", "public socket", "private socket")} == {"fail"}
    assert (findings["clock"].grade, findings["key"].grade) == ("skip", "skip")


async def test_an_address_where_nobody_speaks_the_protocol_has_no_clock(
    connected: Callable[[dict[str, str]], Settings], hello: dict[str, str], config: Path
) -> None:
    server = TestServer(web.Application())
    await server.start_server()
    stranger = f"ws://127.0.0.1:{server.port}/v2"
    findings = by_check(await examine_all(connected(hello | {"ws_public": stranger}), config, CLOCK))
    await server.close()

    assert findings["public socket"].grade == "ok"
    assert findings["clock"].grade == "fail"


async def test_a_peer_without_tls_fails() -> None:
    server = TestServer(web.Application())
    await server.start_server()
    plain = await doctor._address("rest", f"https://127.0.0.1:{server.port}", CLOCK)
    await server.close()

    assert plain.grade == "fail"
    assert "who answers there" in plain.remedy


async def test_a_name_that_is_not_known_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_knows(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody_knows)
    finding = await doctor._address("rest", "https://api.kraken.com", CLOCK)

    assert (finding.grade, finding.remedy) == ("fail", "check DNS and network")


@pytest.mark.parametrize(("days", "grade"), [(13, "warn"), (15, "ok"), (400, "ok")])
def test_a_certificate_near_its_end_is_a_warning(days: int, grade: str) -> None:
    class Now(SystemClock):
        def wall_ns(self) -> Any:
            return 1_819_800_000 * 10**9 - days * 86_400 * 10**9  # 2027-09-01T12:00:00Z less so many days

    finding = doctor._certificate("rest", "https://x", "Sep  1 12:00:00 2027 GMT", Now())

    assert (finding.grade, f"good for {days} days" in finding.what) == (grade, True)


@pytest.mark.parametrize(
    ("off_ms", "grade", "words"),
    [(0, "ok", ""), (-1000, "ok", ""), (1001, "warn", "corrected"), (-5000, "warn", ""), (5001, "fail", "not")],
)
def test_f03_a_clock_is_warned_about_over_a_second_and_fails_over_the_limit(
    off_ms: int, grade: str, words: str
) -> None:
    finding = doctor._clock(ClockMeasured(off_ms * NANOS_PER_MS, NANOS_PER_MS), 5000)

    assert finding.grade == grade
    assert words in finding.remedy


@pytest.mark.parametrize(
    ("mode", "others_may", "grade"),
    [(0o600, 0, "ok"), (0o644, 0o055, "ok"), (0o644, 0, "warn"), (0o620, 0o055, "fail"), (0o602, 0, "fail")],
)
def test_a_file_that_others_can_write_fails_and_one_that_they_can_read_may(
    mode: int, others_may: int, grade: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)

    finding = doctor._file("file", tmp_path / "file", others_may=others_may)

    assert finding.grade == grade
    assert ("chmod" in finding.remedy) == (grade != "ok")


def test_a_file_that_is_missing_fails(tmp_path: Path) -> None:
    assert doctor._file("file", tmp_path / "none", others_may=0).grade == "fail"


async def test_limits_that_never_halt_and_a_full_disk_are_found(
    settings: Callable[..., Settings], config: Path
) -> None:
    loose = settings(risk={"daily_loss_bps_max": 10_000}, journal={"disk_reserve_mb": 1_000_000})
    findings = by_check(await examine_all(loose, config, CLOCK))

    assert findings["limits"].grade == "warn"
    assert "daily_loss_bps_max" in findings["limits"].remedy
    assert findings["disk space"].grade == "fail"


def test_a_directory_that_takes_no_write_fails(tmp_path: Path) -> None:
    assert doctor._fsync(tmp_path / "none", CLOCK).grade == "fail"
