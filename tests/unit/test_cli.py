"""The command line without a daemon: what goes where, and the exit code of each outcome."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from aether import cli
from aether.cli import Exit, app, main
from aether.domain.codes import CODES
from aether.domain.errors import InvariantBroken, JournalBroken, OutcomeUnknown, VenueUnavailable
from aether.domain.values import UtcNanos
from aether.journal.codec import encode
from aether.journal.sqlite import open_journal
from aether.journal.tape import TapeHeader, TapeWriter
from aether.settings import Settings, load_settings

CAPTURES = Path(__file__).parents[1] / "wire" / "captures" / "ws2-book"
RECORDING = CAPTURES / "btcusd-d10-20260719T1754.raw.ndjson"
SHIPPED = Path(__file__).parents[2] / "config" / "aether.toml"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Aether = Callable[..., Outcome]


@pytest.fixture
def aether(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Aether:
    """The command as a shell runs it, with its state in a directory of this test."""
    monkeypatch.setenv("AETHER__WORLD__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["aether", *(str(argument) for argument in arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, told.out, told.err)

    return run


@dataclass(frozen=True)
class Run:
    """A recorded run on disk."""

    journal: Path
    tape: Path


@pytest.fixture
def recorded(desk: Any, make: Any, tmp_path: Path) -> Run:
    """The journal and the tape of a run that bought."""
    desk.trade()
    desk.accept()
    journal = tmp_path / "state" / "journal-sandbox-1.db"
    journal.parent.mkdir(mode=0o700)

    async def write() -> None:
        async with open_journal(journal, account="sandbox-1", tag="abcd", created_ns=UtcNanos(make.T0)) as opened:
            await opened.append(desk.facts)

    asyncio.run(write())
    header = TapeHeader(1, "0.1.0", encode(desk.engine.policy).decode(), 1, str(journal), UtcNanos(make.T0))
    with TapeWriter(tmp_path / "tapes", header) as tape:
        tape.record(desk.inputs)
    (directory,) = (tmp_path / "tapes").iterdir()
    return Run(journal, directory)


def edit(journal: Path, seq: int) -> None:
    """Change a row behind the journal's back."""
    with closing(sqlite3.connect(journal)) as database, database:
        (trigger,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'facts_unchanged'").fetchone()
        database.execute("DROP TRIGGER facts_unchanged")
        database.execute("UPDATE facts SET at_ns = at_ns + 1 WHERE seq = ?", (seq,))
        database.execute(trigger)


# --- wrong usage, and help ------------------------------------------------------------------------------------------


def test_help_names_the_verbs() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for verb in ("run", "sandbox", "status", "halt", "why", "verify", "replay", "config", "capture"):
        assert verb in shown.output


@pytest.mark.parametrize(
    "arguments", [["--fast"], ["fly"], ["why"], ["halt"], ["replay"], ["capture", "verify"], ["status", "extra"]]
)
def test_wrong_usage_is_exit_2_and_says_so_on_standard_error(aether: Aether, arguments: list[str]) -> None:
    outcome = aether(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err


# --- why --codes ----------------------------------------------------------------------------------------------------


def test_every_code_of_refusal_is_printed_with_its_meaning(aether: Aether) -> None:
    outcome = aether("why", "--codes", "--json")
    assert outcome.code == Exit.DONE
    assert {row["code"]: row["meaning"] for row in outcome.json} == dict(CODES)
    for_eyes = aether("why", "--codes")
    assert for_eyes.code == Exit.DONE
    assert all(code in for_eyes.out for code in CODES)


# --- settings -------------------------------------------------------------------------------------------------------


def test_good_settings_are_told_with_their_digest(aether: Aether) -> None:
    outcome = aether("config", "check", "--config", SHIPPED, "--json")
    assert outcome.code == Exit.DONE
    assert outcome.json == {"file": str(SHIPPED), "digest": load_settings(SHIPPED).digest}


def test_bad_settings_are_exit_4_with_key_and_remedy_and_no_traceback(aether: Aether, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(SHIPPED.read_text().replace("order_usd_max = 15000", 'order_usd_max = "15k"'))
    for arguments in (["config", "check"], ["config", "show"], ["run"], ["sandbox"], ["status"], ["verify"]):
        outcome = aether(*arguments, "--config", bad)
        assert outcome.code == Exit.BAD_CONFIGURATION
        assert "risk.order_usd_max" in outcome.err
        assert "USD" in outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.out == ""


def test_a_world_that_does_not_exist_is_exit_4(aether: Aether) -> None:
    outcome = aether("run", "--world", "live", "--config", SHIPPED)
    assert outcome.code == Exit.BAD_CONFIGURATION
    assert "world.name" in outcome.err


def test_settings_in_force_are_printed_as_json(aether: Aether, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER__RISK__ORDER_USD_MAX", "0.1")
    outcome = aether("config", "show", "--config", SHIPPED, "--json")
    assert outcome.code == Exit.DONE
    assert outcome.json["risk"]["order_usd_max"] == "0.1"
    page = aether("config", "show", "--config", SHIPPED)
    assert "order usd max" in page.out


def test_the_schema_is_printed_as_json(aether: Aether) -> None:
    outcome = aether("config", "schema")
    assert outcome.code == Exit.DONE
    assert set(outcome.json["properties"]) == set(Settings.model_fields)


# --- no daemon ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["balances"],
        ["positions"],
        ["orders"],
        ["trades"],
        ["limits"],
        ["why", "ae1"],
        ["halt", "--reason", "x"],
        ["resume", "--reason", "x"],
        ["cancel-all", "--reason", "x"],
        ["flatten", "--reason", "x"],
    ],
)
def test_without_a_daemon_each_question_and_command_is_exit_3(aether: Aether, arguments: list[str]) -> None:
    outcome = aether(*arguments, "--config", SHIPPED)
    assert outcome.code == Exit.NOT_RUNNING
    assert "control.sock" in outcome.err
    assert outcome.out == ""


# --- verify ---------------------------------------------------------------------------------------------------------


def test_a_sound_journal_is_exit_0(aether: Aether, recorded: Run, desk: Any) -> None:
    outcome = aether("verify", "--journal", recorded.journal, "--json")
    assert outcome.code == Exit.DONE
    assert outcome.json["ok"] is True
    assert outcome.json["rows"] == len(desk.facts)
    assert outcome.json["journal"] == str(recorded.journal)


def test_the_newest_journal_of_the_state_directory_is_verified_unless_one_is_named(
    aether: Aether, recorded: Run
) -> None:
    outcome = aether("verify", "--config", SHIPPED, "--json")
    assert outcome.code == Exit.DONE
    assert outcome.json["journal"] == str(recorded.journal)


def test_a_journal_is_copied_to_a_new_file_and_never_over_another_one_g13(
    aether: Aether, recorded: Run, tmp_path: Path
) -> None:
    outcome = aether("backup", tmp_path / "copy.db", "--config", SHIPPED, "--json")
    assert outcome.code == Exit.DONE
    verified = aether("verify", "--journal", tmp_path / "copy.db", "--json")
    assert outcome.json["tail_hash"] == verified.json["tail_hash"]
    assert outcome.json["journal"] == str(recorded.journal)

    again = aether("backup", tmp_path / "copy.db", "--config", SHIPPED)
    assert again.code == Exit.BAD_CONFIGURATION
    assert "is there already" in again.err
    assert aether("backup", tmp_path / "x.db", "--journal", tmp_path / "none.db").code == Exit.BAD_CONFIGURATION


def test_an_edited_journal_is_exit_6_at_the_row(aether: Aether, recorded: Run) -> None:
    edit(recorded.journal, 3)
    outcome = aether("verify", "--journal", recorded.journal, "--json")
    assert outcome.code == Exit.CHECK_FAILED
    assert outcome.json["ok"] is False
    assert outcome.json["first_bad_seq"] == 3
    for_eyes = aether("verify", "--journal", recorded.journal)
    assert for_eyes.code == Exit.CHECK_FAILED
    assert "3" in for_eyes.out


def test_a_file_that_is_no_journal_is_exit_6(aether: Aether, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello, this is no database at all\n" * 100)
    assert aether("verify", "--journal", tmp_path / "x.db").code == Exit.CHECK_FAILED


def test_a_journal_that_is_not_there_is_exit_4(aether: Aether, tmp_path: Path) -> None:
    assert aether("verify", "--journal", tmp_path / "none.db").code == Exit.BAD_CONFIGURATION
    outcome = aether("verify", "--config", SHIPPED)
    assert outcome.code == Exit.BAD_CONFIGURATION
    assert "--journal" in outcome.err


# --- replay ---------------------------------------------------------------------------------------------------------


def test_a_tape_that_leads_to_the_same_facts_is_exit_0(aether: Aether, recorded: Run, desk: Any) -> None:
    outcome = aether("replay", recorded.tape, "--json")
    assert outcome.code == Exit.DONE
    assert outcome.json["ok"] is True
    assert (outcome.json["inputs"], outcome.json["facts"]) == (len(desk.inputs), len(desk.facts))


def test_a_tape_that_leads_elsewhere_is_exit_6_at_the_fact(
    aether: Aether, recorded: Run, desk: Any, tmp_path: Path
) -> None:
    other = encode(desk.engine.policy).decode().replace('"5000"', '"600"', 1)
    assert other != encode(desk.engine.policy).decode()
    with TapeWriter(tmp_path / "other", TapeHeader(1, "0.1.0", other, 1, str(recorded.journal), UtcNanos(0))) as tape:
        tape.record(desk.inputs)
    (directory,) = (tmp_path / "other").iterdir()
    outcome = aether("replay", directory, "--json")
    assert outcome.code == Exit.CHECK_FAILED
    assert outcome.json["first_difference"] is not None
    assert outcome.json["recorded"] != outcome.json["replayed"]


def test_a_tape_with_a_hole_cannot_be_replayed_beyond_it(
    aether: Aether, recorded: Run, desk: Any, tmp_path: Path
) -> None:
    header = TapeHeader(1, "0.1.0", encode(desk.engine.policy).decode(), 1, str(recorded.journal), UtcNanos(0))
    with TapeWriter(tmp_path / "holes", header) as tape:
        tape.record([*desk.inputs[:2], *desk.inputs[3:]])
    (directory,) = (tmp_path / "holes").iterdir()
    outcome = aether("replay", directory)
    assert outcome.code == Exit.BAD_CONFIGURATION
    assert "number 3" in outcome.err


def test_an_edited_journal_stops_a_replay_with_exit_6(aether: Aether, recorded: Run) -> None:
    edit(recorded.journal, 2)
    outcome = aether("replay", recorded.tape)
    assert outcome.code == Exit.CHECK_FAILED
    assert "Traceback" not in outcome.err


def test_a_tape_that_is_not_there_is_exit_4(aether: Aether, tmp_path: Path) -> None:
    assert aether("replay", tmp_path).code == Exit.BAD_CONFIGURATION


# --- capture verify -------------------------------------------------------------------------------------------------


def test_a_recorded_book_is_verified_checksum_by_checksum(aether: Aether) -> None:
    outcome = aether("capture", "verify", RECORDING, "--json")
    assert outcome.code == Exit.DONE
    assert (outcome.json["checksums_ok"], outcome.json["checksums_bad"]) == (1254, 0)
    assert outcome.json["symbols"]["BTC/USD"]["checksums_ok"] == 1254
    assert outcome.json["refused"] == 0


def test_a_recording_with_one_changed_digit_is_exit_6(aether: Aether, tmp_path: Path) -> None:
    lines = RECORDING.read_bytes().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if place > 500 and b'"checksum":' in line)
    lines[place] = re.sub(
        rb'("checksum":[0-9]*)([0-9])', lambda found: found[1] + (b"1" if found[2] == b"0" else b"0"), lines[place]
    )
    (tmp_path / "changed.ndjson").write_bytes(b"".join(lines))
    outcome = aether("capture", "verify", tmp_path / "changed.ndjson", "--json")
    assert outcome.code == Exit.CHECK_FAILED
    assert outcome.json["checksums_bad"] > 0
    assert f"line {place + 1}" in outcome.json["problems"][0]


def test_several_recordings_are_told_by_name_and_one_bad_one_is_exit_6(aether: Aether, tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_bytes(b"{\n")
    outcome = aether("capture", "verify", RECORDING, tmp_path / "bad.ndjson", "--json")
    assert outcome.code == Exit.CHECK_FAILED
    assert outcome.json[str(RECORDING)]["checksums_ok"] == 1254
    assert outcome.json[str(tmp_path / "bad.ndjson")]["refused"] == 1


def test_a_recording_that_is_not_there_is_exit_1_with_its_name(aether: Aether, tmp_path: Path) -> None:
    outcome = aether("capture", "verify", tmp_path / "none.ndjson")
    assert outcome.code == Exit.FAILED
    assert outcome.err == f"aether: {tmp_path / 'none.ndjson'}: No such file or directory; name one that is there\n"


def test_what_is_no_gzip_for_all_its_name_is_named(aether: Aether, tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(b"{}\n")
    outcome = aether("capture", "verify", tmp_path / "plain.gz")
    assert outcome.code == Exit.BAD_CONFIGURATION
    assert str(tmp_path / "plain.gz") in outcome.err


@pytest.mark.parametrize("verb", ["record", "verify"])
def test_a_depth_that_kraken_does_not_send_is_wrong_usage(aether: Aether, tmp_path: Path, verb: str) -> None:
    outcome = aether("capture", verb, tmp_path / "feed", "--depth", "7")
    assert outcome.code == 2
    assert "10, 25, 100, 500, 1000" in outcome.err
    assert not (tmp_path / "feed").exists()


# --- exit codes of whatever ends a command --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JournalBroken("row 7", seq=7), Exit.CHECK_FAILED),
        (VenueUnavailable("no route"), Exit.FAILED),
        (OutcomeUnknown("answer lost"), Exit.FAILED),
        (TimeoutError("too long"), Exit.TIMED_OUT),
        (OSError(98, "Address already in use"), Exit.FAILED),
        (OSError(28, "No space left on device"), Exit.FAILED),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [JournalBroken("row 7")])]), Exit.CHECK_FAILED),
    ],
)
def test_an_expected_error_is_one_line_and_its_exit_code(
    aether: Aether, monkeypatch: pytest.MonkeyPatch, error: Exception, code: Exit
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "run_daemon", fails)
    outcome = aether("run", "--config", SHIPPED)
    assert outcome.code == code
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("aether: ")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:  # noqa: FBT001
    defect = InvariantBroken("two fills of one id")

    async def fails(*_: object) -> None:
        raise ExceptionGroup("tasks", [defect]) if wrapped else defect

    monkeypatch.setattr(cli, "run_daemon", fails)
    monkeypatch.setattr(sys, "argv", ["aether", "run", "--config", str(SHIPPED)])
    with pytest.raises(InvariantBroken, match="two fills"):
        main()


def test_an_order_to_stop_in_order_ends_with_exit_0(aether: Aether, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ends(_: Settings, announce: Callable[[str], None]) -> None:
        announce("journal /a/very/long/path" + "/deeper" * 30 + "/journal.db")

    monkeypatch.setattr(cli, "run_daemon", ends)
    outcome = aether("run", "--config", SHIPPED)
    assert outcome.code == Exit.DONE
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1


def test_the_doctor_looks_at_a_sandbox_of_its_own_and_says_what_must_be_mended(
    aether: Aether, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    well = aether("doctor", "--json", "--config", SHIPPED)
    monkeypatch.setenv("AETHER__JOURNAL__DISK_RESERVE_MB", "1000000")
    ill = aether("doctor", "--json", "--config", SHIPPED)

    assert (well.code, well.json["ok"]) == (Exit.DONE, True)
    assert (ill.code, ill.json["ok"]) == (Exit.CHECK_FAILED, False)
    failed = [check for check in ill.json["checks"] if check["grade"] == "fail"]
    assert [(check["check"], check["remedy"]) for check in failed] == [
        ("disk space", "make room: below it nothing new is risked")
    ]
