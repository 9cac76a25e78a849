"""Answers for eyes: tables and records on a terminal. The JSON beside them is the face for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from aether.domain.values import plain as plain_decimal

Show = Callable[[Console, Any], None]


def plain(value: Any) -> Any:
    """A report as plain JSON values: decimals as text, field names as they are."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def rows(console: Console, answer: Any) -> None:
    """A list of like records as a table; a record that holds one list as that list."""
    listed = next(iter(answer.values())) if isinstance(answer, dict) and len(answer) == 1 else answer
    if not isinstance(listed, list):
        record(console, listed)
        return
    if not listed:
        console.print("none")
        return
    table = Table(box=None, header_style="bold")
    for name in listed[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(_cell(row.get(name)) for name in listed[0]))
    console.print(table)


def record(console: Console, answer: Any) -> None:
    """One record, a line a field."""
    table = Table(box=None, show_header=False)
    for name, value in answer.items():
        table.add_row(name.replace("_", " "), _cell(value))
    console.print(table)


def status(console: Console, answer: dict[str, Any]) -> None:
    """The account at a glance, then its parts."""
    parts = {name: value for name, value in answer.items() if isinstance(value, list) and value}
    record(console, {name: value for name, value in answer.items() if not isinstance(value, list)})
    for name, value in parts.items():
        if isinstance(value[0], dict):
            console.print(f"\n[bold]{name.replace('_', ' ')}[/bold]")
            rows(console, value)


def story(console: Console, answer: Any) -> None:
    """The facts about an order in order; its decision check by check."""
    facts = answer["facts"] if isinstance(answer, dict) else answer
    for numbered in facts:
        body = dict(numbered.get("fact", {}))
        decision = body.pop("decision", None)
        console.print(
            f"\n[bold]{numbered.get('kind', '')}[/bold]  fact {numbered.get('seq')}  {numbered.get('at', '')}"
        )
        record(console, body)
        if decision:
            _decision(console, dict(decision))


def _decision(console: Console, decision: dict[str, Any]) -> None:
    allowances = decision.pop("allowances", [])
    for name in ("quote", "costs"):
        decision[name] = "  ".join(f"{key}={value}" for key, value in (decision.get(name) or {}).items())
    console.print("  [bold]decision[/bold]")
    record(console, decision)
    table = Table(box=None, header_style="bold")
    for name in ("", "check", "at most USD", "because"):
        table.add_column(name, overflow="fold")
    for allowance in allowances:
        mark = "->" if allowance["check"] == decision.get("binding") else ""
        table.add_row(mark, allowance["check"], str(allowance["at_most"]), allowance["because"])
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return "  ".join(f"{key}={_cell(item)}" for key, item in value.items())
    return str(value)
