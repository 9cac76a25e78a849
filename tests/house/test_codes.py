"""Every code of refusal stands in the one table, and the table has no code that nothing gives.

Why: people and scripts look a code up there; one that is missing, or never comes, wastes the worst minute they have.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from aether.admin.problems import API_CODES
from aether.domain.codes import CODES

HOUSE = Path(__file__).parents[2] / "aether"
TABLES = {HOUSE / "domain" / "codes.py", HOUSE / "admin" / "problems.py"}
ALL_CODES = {**CODES, **API_CODES}
CODE = re.compile(r"(gate|risk|size|venue|halt|authority|api)_[a-z0-9_]+|latched")
# Words of the same look: settings, metrics, log fields, and fields of Kraken's and the sandbox's own messages.
OTHER_WORDS = {
    *("risk_budget_bps", "gate_policy", "gate_refusals_total", "risk_refusals_total", "risk_headroom_ratio"),
    *("venue_ns", "venue_at", "size_percent", "api_key", "api_secret", "api_key_name", "api_version"),
}


def codes_in(source: str) -> set[str]:
    """Texts that look like codes."""
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and CODE.fullmatch(text)} - OTHER_WORDS


@cache
def given() -> frozenset[str]:
    """All codes that stand anywhere but in the tables themselves."""
    return frozenset().union(*(codes_in(path.read_text()) for path in set(HOUSE.rglob("*.py")) - TABLES))


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_code_that_is_given_stands_in_the_table(path: Path) -> None:
    assert codes_in(path.read_text()) <= set(ALL_CODES)


@pytest.mark.parametrize("code", ALL_CODES)
def test_every_code_of_the_table_is_given_somewhere(code: str) -> None:
    assert code in given()


def test_no_code_has_two_meanings() -> None:
    assert not CODES.keys() & API_CODES.keys()


def test_every_code_looks_like_one() -> None:
    assert [code for code in ALL_CODES if not CODE.fullmatch(code)] == []


def test_an_unknown_code_is_found_and_other_words_are_not() -> None:
    assert codes_in("x = 'risk_moon'\ny = 'risk_budget_bps'\nz = 'a risk_moon'") == {"risk_moon"}
