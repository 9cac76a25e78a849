"""Log lines: one object a line, listed fields alone, and nothing in them that a terminal would obey."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.actors import SYSTEM
from aether.domain.instruments import Side
from aether.domain.values import Price, UtcNanos
from aether.observe.log import FIELDS, TEXT_LENGTH_MAX, Level, Style, UnknownField, inert, shown, start_log


class FixedClock:
    def wall_ns(self) -> UtcNanos:
        return UtcNanos(1_784_483_640_000_000_005)

    def monotonic_ns(self) -> int:
        return 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines_of(
    stream: io.StringIO, *, style: Style = "json", level: Level = "info", strict: bool = True, **event: Any
) -> list[str]:
    log = start_log(FixedClock(), stream, style=style, level=level, strict=strict)
    try:
        structlog.get_logger().warning("order.filled", **event)
    finally:
        log.close()
    return stream.getvalue().splitlines()


def test_a_line_is_one_json_object_with_time_level_and_event_first() -> None:
    (line,) = lines_of(io.StringIO(), symbol="BTC/USD", fact=7, qty=Decimal("1E-8"))
    assert line == (
        '{"timestamp":"2026-07-19T17:54:00.000000005Z","level":"warning","event":"order.filled",'
        '"fact":7,"symbol":"BTC/USD","qty":"0.00000001"}'
    )


def test_a_field_that_is_not_listed_is_dropped_and_in_tests_a_fault() -> None:
    (line,) = lines_of(io.StringIO(), strict=False, api_secret="hunter2", symbol="BTC/USD")
    assert "hunter2" not in line
    assert json.loads(line)["symbol"] == "BTC/USD"
    with pytest.raises(UnknownField, match="api_secret"):
        lines_of(io.StringIO(), strict=True, api_secret="hunter2")


def test_no_listed_field_can_hold_a_secret_by_its_name() -> None:
    assert not [name for name in FIELDS if "secret" in name or "key" in name or "token" in name or "password" in name]
    assert len(set(FIELDS)) == len(FIELDS)


def test_what_is_not_there_is_left_out() -> None:
    (line,) = lines_of(io.StringIO(), strategy=None, why="")
    assert "strategy" not in line
    assert json.loads(line)["why"] == ""


@given(st.text())
def test_no_text_leaves_its_line_or_moves_a_cursor(text: str) -> None:
    safe = inert(text)
    assert len(safe.splitlines()) <= 1
    assert safe.isprintable() or not any(char in safe for char in "\x00\x1b\x7f\x9b\u2028\u202e\ud800")
    safe.encode()


@pytest.mark.parametrize("text", ["\r\nINFO fake", "\x1b[2J", "\u2028", "\u202egnp.exe", "\x9b31m", "\ud800", "\x00"])
@pytest.mark.parametrize("style", ["json", "human"])
def test_injected_text_is_shown_and_not_obeyed(style: Style, text: str) -> None:
    lines = lines_of(io.StringIO(), style=style, reason=text)
    assert len(lines) == 1
    assert text not in lines[0]
    assert "\\u" in lines[0]


def test_long_text_is_cut() -> None:
    assert len(inert("x" * (TEXT_LENGTH_MAX + 1))) == TEXT_LENGTH_MAX + 1
    assert inert("x" * TEXT_LENGTH_MAX) == "x" * TEXT_LENGTH_MAX


def test_values_are_shown_by_what_they_mean() -> None:
    assert shown((Price(Decimal("65000.0")), Side.BUY, SYSTEM, True, 1.5)) == ["65000.0", "buy", "system", True, 1.5]
    assert shown({"a": "secret"}) == "dict"


def test_a_person_at_a_terminal_gets_a_short_coloured_line_and_a_pipe_gets_json() -> None:
    (line,) = lines_of(Terminal(), style="auto", symbol="BTC/USD", why="a b")
    assert "17:54:00.000" in line
    assert "\x1b[33mWARN" in line
    assert 'symbol=BTC/USD why="a b"' in line
    (line,) = lines_of(io.StringIO(), style="auto", symbol="BTC/USD")
    assert json.loads(line)["symbol"] == "BTC/USD"


def test_a_human_line_in_a_file_has_no_colours() -> None:
    assert lines_of(io.StringIO(), style="human", fact=7) == ["17:54:00.000 WARN order.filled fact=7"]


def test_what_is_below_the_level_is_silent() -> None:
    assert lines_of(io.StringIO(), level="error") == []
    assert len(lines_of(io.StringIO(), level="warning")) == 1


def test_libraries_speak_in_the_same_form_and_without_their_values() -> None:
    stream = io.StringIO()
    log = start_log(FixedClock(), stream, style="json", strict=True)
    try:
        int("hunter2")
    except ValueError:
        logging.getLogger("some.library").exception("it broke: %s", "badly")
    finally:
        log.close()
    # Another test's left-overs may speak here too, when the collector of garbage finds them.
    (line,) = (line for line in stream.getvalue().splitlines() if '"some.library"' in line)
    assert "hunter2" not in stream.getvalue()
    assert json.loads(line) == {
        "timestamp": "2026-07-19T17:54:00.000000005Z",
        "level": "error",
        "event": "library.message",
        "error": "ValueError",
        "library": "some.library",
        "text": "it broke: badly",
    }


def test_after_close_the_libraries_are_let_go() -> None:
    before = list(logging.getLogger().handlers)
    lines_of(io.StringIO())
    assert logging.getLogger().handlers == before
