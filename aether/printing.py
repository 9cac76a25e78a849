"""Answers for eyes: tables and records on a terminal. The JSON beside them is the face for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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


# What fits a terminal; --json has every field.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "orders": (
            "cl_ord_id",
            "strategy",
            "symbol",
            "side",
            "qty",
            "limit_price_usd",
            "filled_qty",
            "state",
            "cancel_asked",
            "ended",
            "bound_by",
        ),
        "trades": ("venue_at", "strategy", "symbol", "side", "qty", "price_usd", "cost_usd", "liquidity"),
        "entries": ("venue_at", "kind", "subtype", "nature", "asset", "moved", "entry_id"),
        "positions": (
            "strategy",
            "symbol",
            "qty",
            "average_cost_usd",
            "value_usd",
            "unrealised_usd",
            "realised_usd",
            "fees_usd",
        ),
        "refusals": ("intent_id", "strategy", "symbol", "side", "code", "why"),
    }
)


def rows(console: Console, answer: Any) -> None:
    """A list of like records as a table; of a record that holds one list that list, with its chosen columns."""
    chosen: tuple[str, ...] = ()
    if isinstance(answer, dict):
        lists = [name for name, value in answer.items() if isinstance(value, list)]
        if len(lists) == 1:
            chosen, answer = COLUMNS.get(lists[0], ()), answer[lists[0]]
    if not isinstance(answer, list):
        record(console, answer)
    elif not answer:
        console.print("none")
    else:
        _table(console, answer, chosen or tuple(answer[0]))


def _table(console: Console, listed: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    console.print(table)


def record(console: Console, answer: Any) -> None:
    """One record, a line a field."""
    table = Table(box=None, show_header=False)
    for name, value in answer.items():
        table.add_row(name.replace("_", " "), Text(_cell(value)))
    console.print(table)


def sections(console: Console, answer: dict[str, Any]) -> None:
    """Settings as the file has them: a heading for each section, a line a key."""
    for name, section in answer.items():
        console.print(f"\n[bold]{name}[/bold]")
        record(console, section)


def status(console: Console, answer: dict[str, Any]) -> None:
    """The account at a glance, then its parts."""
    parts = {name: value for name, value in answer.items() if isinstance(value, list) and value}
    record(console, {name: value for name, value in answer.items() if not isinstance(value, list)})
    for name, value in parts.items():
        if isinstance(value[0], dict):
            console.print(f"\n[bold]{name.replace('_', ' ')}[/bold]")
            rows(console, {name: value})


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
        table.add_row(mark, allowance["check"], str(allowance["at_most"]), Text(allowance["because"]))
    console.print(table)


def _cell(value: Any) -> str:
    """Text of a value. It may come from people or the venue: it is shown as it is, never read as markup."""
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return "  ".join(f"{key}={_cell(item)}" for key, item in value.items())
    return str(value)
