"""Each planted defect fits the present source: its text stands there once, and what it makes of it is Python."""

from __future__ import annotations

import ast

import pytest

from tests.planted.defect import Change
from tests.planted.table import DEFECTS, OF_PEOPLE


def test_all_forty_are_named_once() -> None:
    assert sorted((*DEFECTS, *OF_PEOPLE)) == [f"N{number:02}" for number in range(1, 41)]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_fits_the_source(name: str) -> None:
    for file, source in DEFECTS[name].sources().items():
        compile(source, file, "exec")
        assert ast.dump(ast.parse(source))


@pytest.mark.parametrize("count", [0, 2])
def test_a_text_that_does_not_stand_there_once_is_told(count: int) -> None:
    with pytest.raises(ValueError, match=f"found {count} times, not once"):
        Change("x.py", "a = 1\n", "a = 2\n").made_in("a = 1\n" * count)
