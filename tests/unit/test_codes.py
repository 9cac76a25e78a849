from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from aether.domain.codes import CODES

SOURCES = Path(__file__).parents[2] / "aether"
CODE = re.compile(r"(gate|risk|size|venue|halt|authority)_[a-z_]+")
# Words of the same look that are no codes: names of settings, rooms and fields.
NO_CODES = re.compile(r"risk_budget_bps.*|venue_ns|gate_policy")


def codes_written_in(path: Path) -> set[str]:
    texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and CODE.fullmatch(text) and not NO_CODES.fullmatch(text)}


@pytest.mark.parametrize("room", ["core", "domain"])
def test_every_code_that_the_core_gives_stands_in_the_table(room: str) -> None:
    written = set[str]().union(*(codes_written_in(path) for path in sorted((SOURCES / room).rglob("*.py"))))

    assert written
    assert written <= set(CODES)


def test_every_code_says_what_it_means_in_words() -> None:
    assert all(len(meaning.split()) >= 3 for meaning in CODES.values())


@pytest.mark.parametrize("prefix", ["risk_", "size_", "halt_", "authority_"])
def test_every_code_of_the_core_is_given_somewhere(prefix: str) -> None:
    paths = sorted((SOURCES / "core").rglob("*.py"))
    given = set[str]().union(*(codes_written_in(path) for path in paths))

    assert {code for code in CODES if code.startswith(prefix)} <= given
