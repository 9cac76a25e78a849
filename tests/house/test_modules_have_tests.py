"""Every module has a test of its own name, or one that imports it, or a line below that says which test holds it.

Why: whoever changes a module finds its test, and a module without one is seen at once.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "aether"
TESTS = ROOT / "tests"

# Parts of a room that no test imports by name, under the test of the room's face that runs them.
PARTS_HELD_BY: dict[str, tuple[str, ...]] = {
    "simulation/test_fault_mix.py": tuple(f"simulator/faults/{name}.py" for name in ("disk", "people", "process")),
    "admin/test_connection.py": ("admin/connection.py",),
    # by inputs through the engine: also unit/test_engine_account.py and unit/test_deciding.py, whose fixture builds it
    "simulation/test_made_world.py": ("simulator/life.py",),
    "property/test_engine_determinism.py": ("core/account.py", "core/deciding.py"),
    "unit/test_journal.py": ("journal/lock.py",),
    "wire/test_book_sync.py": ("kraken/shapes.py",),
    "wire/test_venue.py": ("kraken/account_views.py", "kraken/private_stream.py"),
    "unit/test_crowd.py": ("sim/candles.py", "sim/quoting.py", "sim/replay.py"),
    "unit/test_exchange.py": (
        *("sim/account.py", "sim/admission.py", "sim/clearing.py", "sim/exchange_views.py", "sim/pair_market.py"),
    ),
    "unit/test_amending.py": ("sim/amending.py",),
    "unit/test_order_types.py": (
        "sim/intake.py",
        "sim/matching.py",
        "sim/pricing.py",
        "sim/timetable.py",
        "sim/triggers.py",
    ),
    "unit/test_disk.py": ("sim/sqlite_abi.py",),
    "unit/test_fault_port.py": ("sim/fault_acts.py", "sim/fault_port.py", "sim/fault_wire.py"),
    "simulation/test_invariants.py": tuple(
        f"simulator/invariants/{name}.py" for name in ("liveness", "market", "money", "orders", "process", "reading")
    ),
    "unit/test_sandbox_rest.py": (
        *("sim/assets.py", "sim/field_text.py", "sim/order_form.py", "sim/order_text.py"),
        *("sim/rest_private.py", "sim/rest_records.py", "sim/rest_trading.py", "sim/view_lag.py"),
    ),
    "unit/test_sandbox_server.py": ("sim/front.py",),
    "unit/test_sandbox_sockets.py": (
        *(
            "sim/account_frames.py",
            "sim/market_frames.py",
            "sim/ws_fields.py",
            "sim/ws_answers.py",
            "sim/ws_trading.py",
        ),
    ),
}
HELD = [(test, module) for test, parts in PARTS_HELD_BY.items() for module in parts]


def modules() -> list[str]:
    """Files with anything in them but docstring and imports."""
    return [
        str(path.relative_to(HOUSE))
        for path in sorted(HOUSE.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py") and holds_code(path.read_text())
    ]


def holds_code(source: str) -> bool:
    return any(not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) for node in ast.parse(source).body)


def dotted(module: str) -> str:
    return "aether." + module.removesuffix(".py").replace("/", ".")


def imported_in(source: str) -> set[str]:
    """Dotted names of all modules that a source imports, or imports something from."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def imported_by_tests() -> frozenset[str]:
    sources = (path.read_text() for path in TESTS.rglob("*.py") if path.parent.name != "house")
    return frozenset().union(*map(imported_in, sources))


def reached_from(source: str) -> set[str]:
    """All of our modules that a source imports, and those that they import in turn."""
    reached: set[str] = set()
    waiting = imported_in(source)
    while waiting:
        name = waiting.pop()
        path = ROOT / (name.replace(".", "/") + ".py")
        if name.startswith("aether.") and name not in reached and path.is_file():
            reached.add(name)
            waiting |= imported_in(path.read_text())
    return reached


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_test(module: str) -> None:
    assert dotted(module) in imported_by_tests() or module in {part for _, part in HELD}


@pytest.mark.parametrize(("test", "module"), HELD)
def test_a_part_is_reached_from_the_test_that_holds_it(test: str, module: str) -> None:
    assert dotted(module) in reached_from((TESTS / test).read_text())


def test_an_import_in_any_form_counts_and_a_mention_does_not() -> None:
    name = "aether.admin.views"
    assert name in imported_in("from aether.admin.views import status")
    assert name in imported_in("from aether.admin import views")
    assert name in imported_in("def late():\n    import aether.admin.views")
    assert name not in imported_in("from aether.admin.viewsx import status\nx = 'aether.admin.views'")


def test_a_file_of_imports_alone_needs_no_test() -> None:
    assert not holds_code('"""Words."""\nfrom a import b')
    assert holds_code("x = 1")
