"""Each row of the fault model names tests in docs/reliability.md that are there and bear its number, or says why not.

Why: a table of claims that nobody checks is a table of wishes after the next renaming.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
LAST_OF = {"A": 32, "B": 16, "C": 19, "D": 12, "E": 14, "F": 5, "G": 14, "H": 14, "K": 10}
ROWS = [f"{letter}{number:02d}" for letter, last in LAST_OF.items() for number in range(1, last + 1)]
SHOWN = {
    row: re.findall(r"`(tests/\S+?)::(\w+)`", told)
    for row, told in re.findall(r"^\| (\w\d\d) \| (.*) \|$", PAGE, re.MULTILINE)
}
NAMED = [(row, path, name) for row, tests in SHOWN.items() for path, name in tests]


@cache
def sources_in(path: str) -> dict[str, str]:
    """Source of each test of a file, by its name."""
    source = (ROOT / path).read_text(encoding="utf-8")
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {node.name: _with_decorators(source, node) for node in functions}


def _with_decorators(source: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def test_the_page_has_every_row_once() -> None:
    told = re.findall(r"^\| (\w\d\d) \|", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(ROWS)


@pytest.mark.parametrize(("row", "path", "name"), NAMED)
def test_a_row_names_a_test_that_is_there_and_bears_its_number(row: str, path: str, name: str) -> None:
    test = sources_in(path).get(name)
    assert test is not None
    assert re.search(rf"(?<![a-z0-9]){row}(?![0-9])", test.replace("_", " "), re.IGNORECASE)


def test_a_row_without_a_test_says_why() -> None:
    assert {row for row, tests in SHOWN.items() if not tests} == {"H11"}
