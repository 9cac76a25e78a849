"""Whoever logs never waits: a slow reader costs lines, a vanished one costs nothing more."""

from __future__ import annotations

import io
import threading

from aether.observe.line_writer import LineWriter

WAIT_S = 5.0


class BlockedStream(io.StringIO):
    """A pipe that nobody reads until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.open = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.open.wait(WAIT_S)
        return super().write(text)


class BrokenStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_lines_come_out_in_order() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    for number in range(1_000):
        writer.put(str(number))
    writer.close(WAIT_S)
    assert stream.getvalue().splitlines() == [str(number) for number in range(1_000)]


def test_a_reader_that_stands_still_costs_lines_and_no_time() -> None:
    stream = BlockedStream()
    writer = LineWriter(stream, lines_max=2)
    writer.put("first")
    assert stream.reached.wait(WAIT_S)
    for line in ("second", "third", "lost", "lost"):
        writer.put(line)
    assert writer.lost == 2
    stream.open.set()
    writer.close(WAIT_S)
    assert stream.getvalue().splitlines()[:3] == ["first", "second", "third"]


def test_what_was_lost_is_told_at_the_end() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.lost = 3
    writer.close(WAIT_S)
    assert stream.getvalue() == '{"level":"error","event":"log.lost","lines":3}\n'


def test_a_close_does_not_wait_for_ever() -> None:
    stream = BlockedStream()
    writer = LineWriter(stream, lines_max=1)
    writer.put("first")
    assert stream.reached.wait(WAIT_S)
    writer.put("second")
    writer.close(0.01)
    stream.open.set()


def test_a_reader_that_is_gone_is_survived() -> None:
    writer = LineWriter(BrokenStream())
    writer.put("a")
    writer.put("b")
    writer.close(WAIT_S)
    assert writer.lost >= 2
