"""What is banned where, and why. Each rule is shown a source that breaks it and one that keeps it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "aether"
PATHS = sorted(str(path.relative_to(HOUSE)) for path in HOUSE.rglob("*.py"))


@dataclass
class Source:
    """A file and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True)
class Rule:
    """`find` yields the lines that break it, in files for which `holds_in` is true."""

    name: str
    why: str
    holds_in: Callable[[str], bool]
    find: Callable[[Source], Iterator[int]]


def within(*rooms: str) -> Callable[[str], bool]:
    return lambda path: path.startswith(tuple(f"{room}/" for room in rooms))


def everywhere(_: str) -> bool:
    return True


def modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute, `a.b()` of a call; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return f"{dotted(node.func)}()" if isinstance(node, ast.Call) else ""


def calls(source: Source) -> Iterator[tuple[str, int]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node.lineno


# --- time and chance -------------------------------------------------------------------------------------------

IMPURE = {"time", "random", "uuid", "os", "asyncio", "logging", "secrets", "socket", "threading", "subprocess"}
DRAWN = {"time", "random", "uuid", "secrets"}
NOW = re.compile(r"(.*\.)?((datetime|date)\.(now|utcnow|today)|os\.urandom|get_running_loop\(\)\.time|loop\.time)")

MAY_DRAW = {
    "runtime/clock.py": "the system's clock itself",
    "app.py": "the mark of a new journal, drawn once",
    "sim/server.py": "keys that a sandbox issues, which no seed may give away",
    "sim/virtual_time.py": "the time of a loop on which all time is made",
    "simulator/run.py": "how much of a processor a run took, which it reports",
}


def impure_imports(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if any(name.split(".")[0] in IMPURE for name in modules_of(node)):
            yield node.lineno  # type: ignore[attr-defined]


def time_and_chance(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        seeded = (
            isinstance(node, ast.ImportFrom) and node.module == "random" and [a.name for a in node.names] == ["Random"]
        )
        if not seeded and any(name.split(".")[0] in DRAWN for name in modules_of(node)):
            yield node.lineno  # type: ignore[attr-defined]
    yield from (line for name, line in calls(source) if NOW.fullmatch(name))


def unseeded_random(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "Random" and not node.args:
            yield node.lineno


# --- money -------------------------------------------------------------------------------------------------------

STATISTICS = {("core/market.py", "measure_volatility")}
LOOP_TIME = {"sim/virtual_time.py"}  # asyncio's own signatures: a loop's time is float seconds


def is_float(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id == "float") or (
        isinstance(node, ast.Constant) and isinstance(node.value, float)
    )


def floats_but(tree: ast.AST, allowed: Callable[[ast.AST], bool]) -> Iterator[int]:
    """Lines with a float, outside the subtrees that are allowed."""
    for node in ast.iter_child_nodes(tree):
        if not allowed(node):
            if is_float(node):
                yield node.lineno  # type: ignore[attr-defined]
            yield from floats_but(node, allowed)


def floats_in_the_core(source: Source) -> Iterator[int]:
    def allowed(node: ast.AST) -> bool:
        if isinstance(node, ast.FunctionDef):
            return (source.path, node.name) in STATISTICS
        return in_seconds(node)

    return floats_but(source.tree, allowed)


def floats_at_the_venue(source: Source) -> Iterator[int]:
    """The name `float`; a literal is a time, for money is never written into code there."""
    tree = source.tree
    spans = [
        (node.lineno, node.end_lineno or 0)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.arg) and in_seconds(node)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "float" and not in_spans(node.lineno, spans):
            yield node.lineno


def in_spans(line: int, spans: list[tuple[int, int]]) -> bool:
    return any(first <= line <= last for first, last in spans)


def in_seconds(node: ast.AST) -> bool:
    """A variable, argument or function whose name ends in `_s`: a time-out, not money."""
    match node:
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name.endswith("_s")
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.endswith("_s")
        case ast.arguments():
            named = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            floats = [arg for arg in named if arg.annotation is not None and is_float(arg.annotation)]
            return bool(floats) and all(in_seconds(arg) for arg in floats)
        case _:
            return False


# --- one maker ---------------------------------------------------------------------------------------------------


def made_by(*names: str) -> Callable[[Source], Iterator[int]]:
    return lambda source: (line for name, line in calls(source) if name.rpartition(".")[2] in names)


# --- tasks and errors ----------------------------------------------------------------------------------------------


def orphan_tasks(source: Source) -> Iterator[int]:
    for name, line in calls(source):
        owner, _, method = name.rpartition(".")
        if method == "ensure_future" or (method == "create_task" and "group" not in owner.rpartition(".")[2]):
            yield line


def broad_excepts(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type] if node.type else []
            is_broad = any(dotted(kind) in ("Exception", "BaseException") for kind in kinds)
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if node.type is None or (is_broad and not passes_on and not has_reason(source.lines, node.lineno)):
                yield node.lineno


def has_reason(lines: list[str], line: int) -> bool:
    """A comment in words on this line, or alone on the line above; a bare `noqa` is none."""
    above = lines[line - 2].strip() if line > 1 else ""
    comments = lines[line - 1].partition("#")[2] + (above if above.startswith("#") else "")
    return re.search(r"[a-z]{3}", re.sub(r"noqa(: [A-Z0-9, ]+)?", "", comments)) is not None


# --- orders ----------------------------------------------------------------------------------------------------------

POOLS = {"simulator/campaign.py"}  # what is submitted there is a run of the simulator, to a worker process
RETRIES = re.compile(r"retry|retrying|tenacity|backoff|stamina", re.IGNORECASE)


def repeated_submits(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.For | ast.While | ast.AsyncFor):
            yield from (
                call.lineno
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] == "submit"
            )
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (item.lineno for item in node.decorator_list if RETRIES.search(ast.unparse(item)))
        if any(RETRIES.match(name) for name in modules_of(node)):
            yield node.lineno  # type: ignore[attr-defined]


def submits(source: Source) -> Iterator[int]:
    return (line for name, line in calls(source) if name.endswith(".submit"))


RULES = (
    Rule(
        "the_core_touches_nothing",
        "the same inputs must give the same facts, byte for byte, today and on every replay",
        lambda path: within("domain", "core")(path) or path == "ports.py",
        impure_imports,
    ),
    Rule(
        "time_and_chance_are_injected",
        "a test, a back-test and a replay bring their own clock and seed",
        lambda path: path not in MAY_DRAW,
        time_and_chance,
    ),
    Rule("random_has_a_seed", "a generator without one cannot be replayed", everywhere, unseeded_random),
    Rule(
        "no_float_in_the_core",
        "money is Decimal or int; floats live in a strategy's statistics and leave it as whole basis points",
        lambda path: within("domain", "core")(path) and not path.startswith("core/strategies/"),
        floats_in_the_core,
    ),
    Rule(
        "no_float_between_wire_and_disk",
        "a price that was a float for a moment is another price; seconds of a time-out may be one",
        lambda path: within("kraken", "journal", "sim")(path) and path not in LOOP_TIME,
        floats_at_the_venue,
    ),
    Rule(
        "the_gate_alone_makes_symbols",
        "whoever holds a Symbol can rely on the gate having admitted it",
        lambda path: path != "domain/spot_gate.py",
        made_by("Symbol"),
    ),
    Rule(
        "facts_are_numbered_in_one_place",
        "the number is the fact's place in the journal; the engine gives it and the journal reads it back",
        lambda path: path not in ("core/workbench.py", "journal/codec.py", "journal/reader.py"),
        made_by("Numbered"),
    ),
    Rule("every_task_has_a_parent", "a task that nobody awaits dies unseen", everywhere, orphan_tasks),
    Rule(
        "broad_excepts_have_a_reason",
        "catch, log, go on: the state is wrong and nobody knows since when",
        everywhere,
        broad_excepts,
    ),
    Rule(
        "a_submit_is_never_repeated",
        "an order whose answer was lost may live: it is looked for, not sent again",
        lambda path: path not in POOLS,
        repeated_submits,
    ),
    Rule(
        "one_hand_submits",
        "one place looks at the latch before an order leaves",
        lambda path: path != "runtime/hands.py" and path not in POOLS,
        submits,
    ),
)
RULE_OF = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize("path", PATHS)
def test_no_rule_of_the_house_is_broken(path: str) -> None:
    source = Source(path, (HOUSE / path).read_text())
    broken = [
        f"{path}:{line} {rule.name}: {rule.why}"
        for rule in RULES
        if rule.holds_in(path)
        for line in sorted(set(rule.find(source)))
    ]
    assert broken == []


BREAKS = [
    ("the_core_touches_nothing", "core/engine.py", "import time"),
    ("the_core_touches_nothing", "domain/values.py", "def f():\n    from asyncio import sleep"),
    ("the_core_touches_nothing", "ports.py", "import logging.handlers"),
    ("time_and_chance_are_injected", "kraken/rest.py", "import time"),
    ("time_and_chance_are_injected", "sim/crowd.py", "import random"),
    ("time_and_chance_are_injected", "sim/crowd.py", "from random import Random, randint"),
    ("time_and_chance_are_injected", "admin/server.py", "from uuid import uuid4"),
    ("time_and_chance_are_injected", "admin/views.py", "x = datetime.now(tz=UTC)"),
    ("time_and_chance_are_injected", "admin/views.py", "x = datetime.datetime.utcnow()"),
    ("time_and_chance_are_injected", "kraken/signing.py", "x = os.urandom(8)"),
    ("random_has_a_seed", "app.py", "x = Random()"),
    ("no_float_in_the_core", "core/sizing.py", "x = 0.5"),
    ("no_float_in_the_core", "core/sizing.py", "x = float(y)"),
    ("no_float_in_the_core", "domain/values.py", "def f(price: float) -> None: ..."),
    ("no_float_in_the_core", "core/market.py", "def mid():\n    return 1.0"),
    ("no_float_in_the_core", "domain/values.py", "def f(wait_s: float, price: float) -> None: ..."),
    ("no_float_between_wire_and_disk", "kraken/wire.py", "x = float(price)"),
    ("no_float_between_wire_and_disk", "sim/exchange.py", "def f(qty: float) -> None: ..."),
    ("no_float_between_wire_and_disk", "journal/codec.py", "x = isinstance(y, float)"),
    ("the_gate_alone_makes_symbols", "kraken/wire.py", "x = Symbol('BTC/USD')"),
    ("the_gate_alone_makes_symbols", "kraken/wire.py", "x = values.Symbol('BTC/USD')"),
    ("facts_are_numbered_in_one_place", "runtime/runner.py", "x = Numbered(1, 1, 1, 1, fact)"),
    ("every_task_has_a_parent", "runtime/runner.py", "asyncio.create_task(f())"),
    ("every_task_has_a_parent", "runtime/runner.py", "asyncio.get_running_loop().create_task(f())"),
    ("every_task_has_a_parent", "runtime/runner.py", "asyncio.ensure_future(f())"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept:\n    pass"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept Exception:\n    pass"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    pass"),
    ("a_submit_is_never_repeated", "runtime/hands.py", "for _ in range(3):\n    venue.submit(order)"),
    ("a_submit_is_never_repeated", "runtime/hands.py", "while True:\n    if x:\n        self._venue.submit(order)"),
    ("a_submit_is_never_repeated", "runtime/hands.py", "@retry(times=3)\ndef f(): ..."),
    ("a_submit_is_never_repeated", "kraken/venue.py", "import tenacity"),
    ("one_hand_submits", "admin/routes.py", "venue.submit(order)"),
]
KEEPS = [
    ("the_core_touches_nothing", "core/engine.py", "import math\nfrom datetime import UTC, datetime"),
    ("time_and_chance_are_injected", "sim/crowd.py", "from random import Random\nx = random.randint(1, 2)"),
    ("time_and_chance_are_injected", "runtime/clock.py", "import time"),
    ("random_has_a_seed", "app.py", "x = Random(seed)"),
    ("no_float_in_the_core", "core/sizing.py", "x = 5\ny = Decimal('0.5')"),
    ("no_float_in_the_core", "core/strategies/trend.py", "x = 0.5"),
    ("no_float_in_the_core", "core/market.py", "def measure_volatility():\n    return 1.0"),
    ("no_float_in_the_core", "domain/errors.py", "def f(*, retry_after_s: float = 0.0) -> None: ..."),
    (
        "no_float_between_wire_and_disk",
        "kraken/rest.py",
        "timeout_s: float = 10.0\ndef f(wait_s: float = float(X)): ...",
    ),
    ("no_float_between_wire_and_disk", "kraken/rest.py", "def backoff_s(n: int) -> float:\n    return float(n)"),
    ("the_gate_alone_makes_symbols", "domain/spot_gate.py", "x = Symbol('BTC/USD')"),
    ("the_gate_alone_makes_symbols", "kraken/wire.py", "x: Symbol = gate.wire(name)"),
    ("every_task_has_a_parent", "runtime/runner.py", "group.create_task(f())\nself._group.create_task(f())"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept ValueError:\n    pass"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept BaseException:\n    undo()\n    raise"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\nexcept Exception:  # the last door\n    pass"),
    ("broad_excepts_have_a_reason", "admin/server.py", "try:\n    f()\n# the last door\nexcept Exception:\n    pass"),
    ("a_submit_is_never_repeated", "runtime/hands.py", "venue.submit(order)"),
    ("one_hand_submits", "runtime/hands.py", "venue.submit(order)"),
]


@pytest.mark.parametrize(("name", "path", "text"), BREAKS)
def test_a_breach_is_found(name: str, path: str, text: str) -> None:
    rule = RULE_OF[name]
    assert rule.holds_in(path)
    assert list(rule.find(Source(path, text)))


@pytest.mark.parametrize(("name", "path", "text"), KEEPS)
def test_what_is_allowed_is_let_through(name: str, path: str, text: str) -> None:
    rule = RULE_OF[name]
    assert not rule.holds_in(path) or not list(rule.find(Source(path, text)))


def test_every_rule_is_shown_a_breach() -> None:
    assert {name for name, _, _ in BREAKS} == set(RULE_OF)


@pytest.mark.parametrize("path", [*MAY_DRAW, *LOOP_TIME, *(path for path, _ in STATISTICS)])
def test_every_exception_is_still_there(path: str) -> None:
    assert (HOUSE / path).is_file()
