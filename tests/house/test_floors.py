"""Imports only go down. A room may import its own files and lower floors, nothing else.

Why: what decides can then be run without what touches the world, and one venue can be exchanged for another.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "aether"
FLOOR_OF = {
    "domain": 0,
    **dict.fromkeys(("core", "ports"), 1),
    **dict.fromkeys(("kraken", "sim", "journal", "admin", "observe"), 2),
    "runtime": 3,
    "top": 4,
}
# they choose, join and speak to the shell
TOP = {
    *("__init__", "__main__", "app", "cli", "doctor", "policies", "printing", "recording", "settings"),
    *("simulator", "worlds"),
}
FILES = sorted(HOUSE.rglob("*.py"))


def room_of(module: str) -> str:
    """Room of a dotted module name, such as `aether.kraken.wire`."""
    part = module.split(".")[1] if "." in module else "__init__"
    return "top" if part in TOP else part


def module_of(path: Path) -> str:
    """Dotted name of a file."""
    return ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts)


def imports_in(source: str) -> Iterator[str]:
    """All modules that a source imports, wherever in it; of a relative import the dots are kept."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            yield from (f"aether.{alias.name}" for alias in node.names) if name == "aether" else (name,)


def climbs(module: str, source: str) -> list[str]:
    """Imports that go up or sideways."""
    here = room_of(module)
    wrong = []
    for name in imports_in(source):
        if name.startswith("."):
            wrong.append(name)  # an absolute name says where it leads
        elif name.split(".")[0] == "aether":
            there = room_of(name)
            if there != here and FLOOR_OF[there] >= FLOOR_OF[here]:
                wrong.append(name)
    return wrong


def foreigners(source: str) -> list[str]:
    """Imports that are neither ours nor of the standard library."""
    return [name for name in imports_in(source) if name.split(".")[0] not in {"aether", *sys.stdlib_module_names}]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_only_go_down(path: Path) -> None:
    assert climbs(module_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(module_of(path)) in ("domain", "core", "ports")], ids=module_of
)
def test_what_decides_needs_the_standard_library_alone(path: Path) -> None:
    assert foreigners(path.read_text()) == []


def test_every_file_has_a_floor() -> None:
    assert {room_of(module_of(path)) for path in FILES} <= set(FLOOR_OF)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("aether.domain.values", "from aether.core.engine import Engine"),
        ("aether.domain.values", "from aether.ports import Clock"),
        ("aether.core.engine", "from aether.ports import Clock"),
        ("aether.core.engine", "import aether.kraken.wire"),
        ("aether.ports", "from aether.core.ledger import Ledger"),
        ("aether.kraken.wire", "from aether.sim.exchange import Exchange"),
        ("aether.admin.server", "def late():\n    from aether.observe.metrics import Metrics"),
        ("aether.journal.codec", "from aether.runtime.clock import SystemClock"),
        ("aether.runtime.hands", "from aether import settings"),
        ("aether.runtime.hands", "from aether import app"),
        ("aether.core.engine", "from . import ledger"),
    ],
)
def test_a_step_up_or_sideways_is_found(module: str, source: str) -> None:
    assert climbs(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "aether.core.engine",
            "from aether.core.ledger import Ledger\nfrom aether.domain.values import Usd\nimport math",
        ),
        ("aether.kraken.wire", "import msgspec\nfrom aether.ports import Put"),
        (
            "aether.cli",
            "from aether import printing\nfrom aether.app import run_daemon\nfrom aether.journal import audit",
        ),
    ],
)
def test_a_step_down_is_free(module: str, source: str) -> None:
    assert climbs(module, source) == []


def test_a_package_from_outside_is_found() -> None:
    assert foreigners("import orjson\nimport json\nfrom aether.domain import values") == ["orjson"]
