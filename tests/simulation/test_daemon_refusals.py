"""What stops a start, and what stops a daemon: bad settings, open secrets, a disk without room. Real processes."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Make = Callable[..., Any]
Wait = Callable[[Callable[[], Any], float, str], Any]


# --- bad settings -----------------------------------------------------------------------------------------------------


def _without(line: str) -> Callable[[str], str]:
    return lambda text: "\n".join(kept for kept in text.splitlines() if not kept.startswith(line))


def _with(before: str, after: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert before in text
        return text.replace(before, after)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with("[risk]", "[risk]\nleverage = 2"), ("risk.leverage", "is no setting", "remove it")),
        (_without("order_usd_max"), ("risk.order_usd_max", "is not set", "USD")),
        (_with("deadline_ms = 5000", 'deadline_ms = "5 s"'), ("orders.deadline_ms", "5 s", "milliseconds")),
        (_with("collar_bps = 150", "collar_bps = 1.5"), ("risk.collar_bps", "1.5", "basis points")),
        (
            _with('trade = ["BTC/USD", "ETH/USD"]', 'trade = ["BTC/USD", "BTC/USDT"]'),
            ("BTC/USDT", "gate_", "symbols.trade", "remove it"),
        ),
        (_with("[risk]", "[risk"), ("not TOML", "mend")),
    ],
    ids=["unknown key", "missing limit", "wrong unit", "no whole number", "no spot pair", "no TOML"],
)
def test_a_bad_setting_stops_the_start_and_is_named_with_its_remedy(
    make_program: Make, shipped_settings: str, change: Callable[[str], str], words: tuple[str, ...]
) -> None:
    program = make_program()
    config = program.directory / "aether.toml"
    config.write_text(change(shipped_settings))

    refused = program.do("run", "--config", str(config))

    assert refused.code == 4
    assert refused.is_plain(*words)
    # A pair is known to be no spot pair only from Kraken's list, which is read after the journal was opened: empty.
    for journal in program.directory.glob("state/journal-*.db"):
        with closing(sqlite3.connect(journal)) as database:
            assert database.execute("SELECT count(*) FROM facts").fetchone() == (0,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RISK__LEVERAGE": "2"}, ("risk.leverage", "is no setting")),
        ({"RISKS__COLLAR_BPS": "2"}, ("AETHER__RISKS__COLLAR_BPS", "sections are")),
        ({"ADMIN__HOST": "0.0.0.0"}, ("admin.host", "127.0.0.1")),
        ({"SANDBOX__START": "2019-01-01T00:00:00Z"}, ("sandbox.start", "2020-10 to 2021-09")),
    ],
    ids=["unknown key", "unknown section", "open address", "unrecorded hour"],
)
def test_a_bad_environment_variable_stops_the_start(
    make_program: Make, settings: Mapping[str, str], words: tuple[str, ...]
) -> None:
    refused = make_program(**settings).do("run")
    assert refused.code == 4
    assert refused.is_plain(*words)


@pytest.mark.parametrize("mode", [0o644, None])
def test_a_key_that_others_can_read_or_that_is_not_there_stops_the_start(make_program: Make, mode: int | None) -> None:
    program = make_program()
    hello = program.directory / "hello.json"
    if mode is not None:
        hello.write_text("{}")
        hello.chmod(mode)
    refused = program.do("run", settings={"SANDBOX__CONNECT": str(hello)})
    assert refused.code == 4
    assert refused.is_plain(str(hello), "sandbox.connect", "0600")


def test_a_command_without_a_daemon_and_a_wrong_command_have_codes_of_their_own(make_program: Make) -> None:
    program = make_program()
    absent = program.do("status", "--json")
    assert (absent.code, absent.out) == (3, "")
    assert absent.is_plain("no daemon listens")
    assert program.do("halt").code == 2
    assert program.do("dance").code == 2


# --- a disk without room --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of twelve megabytes; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", str(place)]
    made = subprocess.run(mount, check=False, capture_output=True)
    if made.returncode:
        pytest.skip("a small file system takes root to mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_on_a_full_disk_nothing_new_is_risked_people_are_heard_and_with_room_it_trades_again_g02(
    make_program: Make, busy: Mapping[str, str], small_disk: Path, wait_until: Wait
) -> None:
    program = make_program(**busy, JOURNAL__DISK_RESERVE_MB="1")
    program.state_dir = small_disk
    program.settings["WORLD__STATE_DIR"] = str(small_disk)
    program.sandbox()
    daemon = program.run()
    program.wait_for("OrderFilled")

    ballast = small_disk / "ballast"
    _fill(ballast)
    held = wait_until(lambda: _disk_holds(program), 20, "the hold is written")
    halted = program.do("halt", "--json", "--reason", "the disk is full")
    assert (halted.code, halted.data["accepted"]) == (0, True)
    assert daemon.stop() == 0
    (end,) = program.facts("RunEnded")
    assert [fact.kind for fact in program.facts("OrderSubmitted", after=held[0].seq)] == []
    assert program.facts("TradingHalted", after=held[0].seq)[-1].seq < end.seq

    # A start lives on the room that was kept; without it nothing can be written, and that ends it in plain words.
    small_disk.joinpath(f"{program.journal.name}.reserve").unlink(missing_ok=True)
    _fill(small_disk / "more")
    daemon = program.start("run")
    assert daemon.ended() == 6
    assert "Traceback" not in daemon.talk
    assert "the disk is full: free space on it, then start again" in daemon.talk.splitlines()[-1]

    ballast.unlink()
    daemon = program.run()
    program.do("resume", "--json", "--reason", "there is room again")
    program.wait_for("OrderFilled", run=2)
    assert daemon.stop() == 0
    verified = program.do("verify", "--json")
    assert (verified.code, verified.data["runs"]) == (0, 2)


def _disk_holds(program: Any) -> list[Any]:
    return [fact for fact in program.facts("HoldBegan") if fact.body["cause"] == "disk"]


def test_a_key_that_can_withdraw_starts_nothing(make_program: Make) -> None:
    program = make_program()
    refused = program.do("run", settings={"SANDBOX__WITHDRAW_KEY": "true"})

    assert refused.code == 4
    assert refused.is_plain("withdraw-funds", "take these permissions away")
