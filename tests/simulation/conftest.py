"""Real processes of the program for a test, killed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.processes import BUSY, SHIPPED, Program, until

MakeProgram = Callable[..., Program]


def _programs(directory: Path) -> Iterator[MakeProgram]:
    made: list[Program] = []

    def make(**settings: str) -> Program:
        place = directory / f"p{len(made)}"
        place.mkdir()
        made.append(Program(place, settings))
        return made[-1]

    yield make
    for process in [process for program in made for process in program.started if process.is_running]:
        process.kill()


@pytest.fixture
def make_program(tmp_path: Path) -> Iterator[MakeProgram]:
    """Makes programs; whatever of them still runs at the end of the test is killed."""
    yield from _programs(tmp_path)


@pytest.fixture(scope="module")
def make_lasting_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProgram]:
    """The same for a program that several tests of a module look at."""
    yield from _programs(tmp_path_factory.mktemp("lasting"))


@pytest.fixture(scope="session")
def busy() -> Mapping[str, str]:
    """Settings under which the daemon trades all the time."""
    return BUSY


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], Any], float, str], Any]:
    return until


@pytest.fixture(scope="session")
def shipped_settings() -> str:
    """The text of the settings as shipped."""
    return Path(SHIPPED).read_text()
