from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration, JournalBroken
from aether.domain.inputs import BookChanged, FeedLost, Stamped, Tick
from aether.domain.spot_gate import recall
from aether.domain.values import UtcNanos
from aether.journal.tape import TapeGap, TapeHeader, TapeLimits, TapeWriter, read_tape
from aether.ports import Tape

BTC = recall("BTC/USD")
HEADER = TapeHeader(
    run=7,
    code_version="0.1.0",
    settings='{"risk":{"nav_percent":"10"}}',
    first_fact_seq=42,
    journal="/var/lib/aether/sandbox.db",
    started_at_ns=UtcNanos(1_700_000_000_000_000_000),
)
RUN = "run-000007-1700000000000000000"
NEVER_S = 3600.0  # longer than any test: nothing is written before a block is full or the tape is closed


def inputs(first: int, last: int) -> list[Stamped]:
    return [Stamped(seq, seq * 10, FeedLost(BTC, f"silence {seq}")) for seq in range(first, last + 1)]


def books(first: int, last: int) -> list[Stamped]:
    """Inputs that hardly compress."""
    chance = random.Random(first)
    heard = []
    for seq in range(first, last + 1):
        levels = tuple((chance.getrandbits(40), chance.getrandbits(40)) for _ in range(25))
        heard.append(Stamped(seq, seq, BookChanged(BTC, levels, (), 1, 8)))
    return heard


def entries(run_directory: Path) -> list[Stamped | TapeGap]:
    return list(read_tape(run_directory)[1])


@contextmanager
def writing(directory: Path, limits: TapeLimits, header: TapeHeader = HEADER) -> Iterator[TapeWriter]:
    with TapeWriter(directory, header, limits) as tape:
        yield tape


def test_inputs_come_back_in_order_under_their_header(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "tapes", HEADER) as tape:
        port: Tape = tape
        port.record(inputs(1, 3))
        port.record([])
        port.record(inputs(4, 10))

    header, heard = read_tape(tmp_path / "tapes" / RUN)
    assert header == HEADER
    assert list(heard) == inputs(1, 10)
    assert tape.lost == 0
    assert tape.trouble == ""


def test_the_list_that_was_recorded_may_be_used_again(tmp_path: Path) -> None:
    batch = inputs(1, 2)
    with writing(tmp_path, TapeLimits(flush_s=NEVER_S)) as tape:
        tape.record(batch)
        batch.clear()

    assert entries(tmp_path / RUN) == inputs(1, 2)


def test_a_tape_without_inputs_is_no_tape(tmp_path: Path) -> None:
    with TapeWriter(tmp_path, HEADER):
        pass

    with pytest.raises(BadConfiguration, match="holds no tape"):
        read_tape(tmp_path / RUN)


def wait_until_handled(tape: TapeWriter, count: int) -> None:
    """Wait for the tape's thread as one waits for any process: by looking, until the test runner loses patience."""
    turn = threading.Event()
    while tape._handled < count:
        turn.wait(0.001)


def test_a_full_block_is_written_at_once(tmp_path: Path) -> None:
    with writing(tmp_path, TapeLimits(flush_inputs=5, flush_s=NEVER_S)) as tape:
        tape.record(inputs(1, 4))
        tape.record(inputs(5, 5))
        wait_until_handled(tape, 5)

        assert entries(tmp_path / RUN) == inputs(1, 5)


def test_a_block_that_is_not_full_is_written_after_its_time(tmp_path: Path) -> None:
    with writing(tmp_path, TapeLimits(flush_s=0.01)) as tape:
        tape.record(inputs(1, 1))
        wait_until_handled(tape, 1)

        assert entries(tmp_path / RUN) == inputs(1, 1)


def test_files_are_private(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "tapes", HEADER) as tape:
        tape.record(inputs(1, 1))

    assert (tmp_path / "tapes" / RUN).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "tapes" / RUN / "000001.tape").stat().st_mode & 0o777 == 0o600


# --- losing work ----------------------------------------------------------------------------------------------------


def test_what_waits_beyond_the_backlog_is_lost_counted_and_marked(tmp_path: Path) -> None:
    tape = TapeWriter(tmp_path, HEADER, TapeLimits(backlog_inputs=10))
    tape.record(inputs(1, 4))
    tape.record(inputs(5, 10))  # full to the brim: nothing is written before the thread starts
    tape.record(inputs(11, 13))
    with tape:
        pass

    assert tape.lost == 3
    assert entries(tmp_path / RUN) == [*inputs(1, 10), TapeGap(11, 3, "13 inputs were waiting for the disk")]


def test_a_gap_in_the_middle_is_marked_where_it_is(tmp_path: Path) -> None:
    tape = TapeWriter(tmp_path, HEADER, TapeLimits(backlog_inputs=10, flush_inputs=4, flush_s=NEVER_S))
    tape.record(inputs(1, 8))
    tape.record(inputs(9, 11))
    tape.record(inputs(12, 13))
    with tape:
        pass

    assert tape.lost == 3
    gap = TapeGap(9, 3, "11 inputs were waiting for the disk")
    assert entries(tmp_path / RUN) == [*inputs(1, 8), gap, *inputs(12, 13)]


def test_an_input_that_cannot_be_written_leaves_a_gap_and_no_more(tmp_path: Path) -> None:
    odd = Stamped(3, 1.5, Tick())  # type: ignore[arg-type]
    with TapeWriter(tmp_path, HEADER) as tape:
        tape.record([*inputs(1, 2), odd, *inputs(4, 5)])

    assert tape.lost == 1
    gap = TapeGap(3, 1, tape.trouble)
    assert entries(tmp_path / RUN) == [*inputs(1, 2), gap, *inputs(4, 5)]
    assert "at_ns: takes int, was float" in tape.trouble


def test_a_directory_that_cannot_be_used_loses_the_tape_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tapes").write_text("a file")
    with TapeWriter(tmp_path / "tapes", HEADER) as tape:
        tape.record(inputs(1, 5))

    assert tape.lost == 5
    assert "cannot be written" in tape.trouble


FILL_THE_DISK = """
import resource, sys, threading
from pathlib import Path
from aether.domain.inputs import FeedLost, Stamped
from aether.domain.spot_gate import recall
from aether.journal.tape import TapeHeader, TapeLimits, TapeWriter

def heard(first, last, why):
    return [Stamped(seq, seq, FeedLost(recall("BTC/USD"), why)) for seq in range(first, last + 1)]

def written(tape, count):
    while tape._handled < count:
        threading.Event().wait(0.001)

with TapeWriter(Path(sys.argv[1]), TapeHeader(7, "v", "{}", 1, "j", 1), TapeLimits(flush_s=0.01)) as tape:
    tape.record(heard(1, 2, "before")); written(tape, 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
    tape.record([Stamped(3, 3, FeedLost(recall("BTC/USD"), "".join(map(chr, range(32, 3000)))))]); written(tape, 3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    tape.record(heard(4, 5, "after")); written(tape, 5)
print(tape.lost, tape.trouble)
"""


@pytest.mark.process
def test_a_full_disk_costs_what_came_while_it_was_full_g02(tmp_path: Path) -> None:
    writer = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert writer.stdout.startswith("1 the tape cannot be written")
    heard = entries(tmp_path / "run-000007-1")
    assert [type(entry) for entry in heard] == [Stamped, Stamped, TapeGap, Stamped, Stamped]
    assert isinstance(heard[2], TapeGap)
    assert (heard[2].first_seq, heard[2].lost) == (3, 1)


# --- segments -------------------------------------------------------------------------------------------------------


SMALL = TapeLimits(flush_inputs=10, flush_s=NEVER_S, segment_bytes_max=4_000)


def test_segments_end_at_their_size_and_read_as_one_tape(tmp_path: Path) -> None:
    with writing(tmp_path, SMALL) as tape:
        for first in range(1, 101, 10):
            tape.record(books(first, first + 9))

    segments = sorted((tmp_path / RUN).iterdir())
    assert len(segments) > 3
    assert [segment.name for segment in segments[:2]] == ["000001.tape", "000002.tape"]
    heard = entries(tmp_path / RUN)
    assert [entry.seq for entry in heard if isinstance(entry, Stamped)] == list(range(1, 101))


def test_the_oldest_segments_go_first_and_the_tape_says_so(tmp_path: Path) -> None:
    limits = TapeLimits(flush_inputs=10, flush_s=NEVER_S, segment_bytes_max=4_000, total_bytes_max=16_000)
    older = TapeHeader(6, "0.1.0", "{}", 1, "j", UtcNanos(1))
    with writing(tmp_path, limits, older) as tape:
        tape.record(books(1, 10))
    assert (tmp_path / "run-000006-1").exists()
    with writing(tmp_path, limits) as tape:
        for first in range(1, 101, 10):
            tape.record(books(first, first + 9))

    assert not (tmp_path / "run-000006-1").exists()
    assert sum(segment.stat().st_size for segment in tmp_path.rglob("*.tape")) <= 16_000 + 4_000
    gap, *rest = entries(tmp_path / RUN)
    assert isinstance(gap, TapeGap)
    assert (gap.first_seq, gap.why) == (1, "no segment holds them")
    assert [entry.seq for entry in rest if isinstance(entry, Stamped)] == list(range(gap.lost + 1, 101))
    assert tape.lost == 0


def test_a_segment_that_was_deleted_from_the_middle_is_a_gap(tmp_path: Path) -> None:
    with writing(tmp_path, SMALL) as tape:
        for first in range(1, 101, 10):
            tape.record(books(first, first + 9))
    sorted((tmp_path / RUN).iterdir())[1].unlink()

    assert [type(entry) for entry in entries(tmp_path / RUN)].count(TapeGap) == 1


# --- after a crash --------------------------------------------------------------------------------------------------


def test_a_tape_cut_anywhere_gives_its_whole_blocks_and_no_error_g04(tmp_path: Path) -> None:
    with writing(tmp_path, TapeLimits(flush_inputs=10, flush_s=NEVER_S)) as tape:
        for first in range(1, 31, 10):
            tape.record(inputs(first, first + 9))
    path = tmp_path / RUN / "000001.tape"
    whole = path.read_bytes()

    counts = []
    for length in range(len(whole), len(whole) - 400, -1):
        os.truncate(path, length)
        heard = entries(tmp_path / RUN)
        assert heard == inputs(1, len(heard))
        counts.append(len(heard))
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {30, 20, 10, 0}


@pytest.mark.parametrize("length", [0, 5, 14, 16, 40])
def test_a_tape_cut_before_its_header_is_whole_is_no_tape(tmp_path: Path, length: int) -> None:
    with TapeWriter(tmp_path, HEADER) as tape:
        tape.record(inputs(1, 5))
    os.truncate(tmp_path / RUN / "000001.tape", length)

    with pytest.raises(BadConfiguration, match="holds no tape"):
        read_tape(tmp_path / RUN)


def test_zeros_after_a_power_cut_are_no_blocks_g05(tmp_path: Path) -> None:
    with TapeWriter(tmp_path, HEADER) as tape:
        tape.record(inputs(1, 5))
    with (tmp_path / RUN / "000001.tape").open("ab") as file:
        file.write(bytes(1000))

    assert entries(tmp_path / RUN) == inputs(1, 5)


def test_a_damaged_block_is_a_gap(tmp_path: Path) -> None:
    with writing(tmp_path, SMALL) as tape:
        tape.record(books(1, 10))
        wait_until_handled(tape, 10)
        tape.record(books(11, 20))
    path = tmp_path / RUN / "000001.tape"
    content = bytearray(path.read_bytes())
    content[1_000] ^= 255
    path.write_bytes(content)

    gap, *rest = entries(tmp_path / RUN)
    assert gap == TapeGap(1, 10, "no segment holds them")
    assert rest == books(11, 20)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "000001.tape").write_bytes(b"aether tape 2\n")

    with pytest.raises(BadConfiguration, match="no tape of format 1"):
        read_tape(tmp_path)


def test_segments_of_two_runs_in_one_directory_are_refused(tmp_path: Path) -> None:
    with TapeWriter(tmp_path, HEADER) as tape:
        tape.record(inputs(1, 5))
    segment = tmp_path / RUN / "000001.tape"
    (tmp_path / RUN / "000002.tape").write_bytes(segment.read_bytes())

    with pytest.raises(JournalBroken, match="input 1 comes after input 5"):
        entries(tmp_path / RUN)
