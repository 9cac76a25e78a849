"""`aether capture record` as a shell runs it, on a sandbox of its own, and what it makes of a plan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether.domain.errors import BadConfiguration
from aether.recording import RecordingPlan

ALL = "book,trade,ticker,ohlc,instrument"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER__")}

    def run(*arguments: object, **settings: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "aether", "capture", *map(str, arguments)],
            env=environment | {"AETHER__WORLD__STATE_DIR": str(tmp_path / "state"), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return run


def ended(process: subprocess.Popen[bytes]) -> tuple[int, Any, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out), err.decode()


@pytest.mark.process
def test_a_recording_of_a_second_verifies_in_every_channel(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "feed.ndjson.gz"
    code, report, talk = ended(
        start("record", file, "--channels", ALL, "--symbols", "xbt/usd,ETH/USD", "--seconds", "1", "--json")
    )
    assert (code, report["ended"], report["refusals"], talk) == (0, "time", [], "")
    assert set(ALL.split(",")) <= set(report["channels"])

    code, counts, _ = ended(start("verify", file, "--json"))
    assert code == 0
    assert (counts["frames"], counts["unknown"], counts["refused"]) == (report["frames"], 0, 0)
    assert set(counts["symbols"]) == {"BTC/USD", "ETH/USD"}
    assert all(symbol["checksums_ok"] > 0 for symbol in counts["symbols"].values())


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_recording_in_order(
    number: signal.Signals, start: Start, tmp_path: Path, wait_until: Any
) -> None:
    file = tmp_path / "feed.ndjson.gz"
    process = start("record", file, "--json")
    wait_until(lambda: process.poll() is not None or (file.exists() and file.stat().st_size > 0), 30, "frames")
    process.send_signal(number)
    code, report, _ = ended(process)
    assert (code, report["ended"], report["bytes"]) == (0, "asked", file.stat().st_size)

    code, counts, _ = ended(start("verify", file, "--json"))
    assert (code, counts["frames"]) == (0, report["frames"])


@pytest.mark.process
def test_a_disk_that_is_nearly_full_ends_a_recording_and_says_so(start: Start, tmp_path: Path) -> None:
    code, report, talk = ended(start("record", tmp_path / "feed", "--json", AETHER__JOURNAL__DISK_RESERVE_MB="1000000"))

    assert (code, report["ended"]) == (1, "disk")
    assert "journal.disk_reserve_mb" in talk


def test_a_plan_takes_names_as_people_write_them() -> None:
    plan = RecordingPlan.of(Path("x"), " book, trade,book", ["xbt/usd", "BTC/USD", "doge/usd"], 10, None)

    assert plan.channels == ("book", "trade")
    assert plan.symbols == ("BTC/USD", "DOGE/USD")


@pytest.mark.parametrize(
    ("channels", "symbol"), [("level3", "BTC/USD"), ("", "BTC/USD"), (",", "BTC/USD"), ("book", "BTCUSD")]
)
def test_a_plan_without_sense_is_refused(channels: str, symbol: str) -> None:
    with pytest.raises(BadConfiguration):
        RecordingPlan.of(Path("x"), channels, [symbol], 10, None)
