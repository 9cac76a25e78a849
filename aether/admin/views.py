"""The published picture and committed facts as JSON: decimals as text, times RFC 3339 in UTC, keys that stay.

A field `…_ns` is a moment: `submitted_ns` is shown as `submitted_at`, `at_ns` as `at`. A moment of 0 has not come yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, get_args

import orjson

from aether.core.orders import OrderState
from aether.core.view import View, is_trading
from aether.domain.facts import Numbered
from aether.domain.inputs import Command
from aether.domain.values import NANOS_PER_S, Price, Qty, Usd, plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED_BY_CLASS: tuple[type, ...] = get_args(Command)  # halt and resume have the same fields: the name tells them apart
# Rows of the view that are bare tuples: what each place holds.
_ROWS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fees": ("asset", "amount"), "differences": ("asset", "expected", "seen")}
)
_STATUS_FIGURES = (
    *("run", "world", "account", "real_money", "code_version", "settings_digest", "is_stopping", "system_status"),
    *(
        "clock_offset_ms",
        "reconciled_ns",
        "dead_man_trigger_ns",
        "equity_usd",
        "equity_is_partial",
        "unpriced",
        "cash_usd",
        "cash_free_usd",
        "exposure_usd",
    ),
    *("day_pnl_usd", "drawdown_ratio", "open_orders", "unresolved_orders", "external_orders"),
)


def rfc3339(at_ns: int) -> str:
    """Moment with all nine digits: `2026-07-19T17:54:00.123456789Z`."""
    seconds, nanos = divmod(at_ns, NANOS_PER_S)
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{nanos:09d}Z"


def to_plain(value: Any) -> Any:
    """What JSON holds of a value made of frozen dataclasses. Raises TypeError for a float or any other kind."""
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case Decimal():
            return plain(value)
        case Price() | Qty() | Usd():
            return str(value)
        case tuple() | list():
            return [to_plain(item) for item in value]
        case _ if is_dataclass(value):
            return _record(value)
    raise TypeError(f"{type(value).__name__} is not shown to anybody")


def fact_to_plain(numbered: Numbered) -> dict[str, Any]:
    """A fact with its place in the journal; `kind` is the name of its class."""
    return {
        "seq": numbered.seq,
        "run": numbered.run,
        "at": rfc3339(numbered.at_ns),
        "input": numbered.input_seq,
        "kind": type(numbered.fact).__name__,
        "actor": numbered.actor,
        "fact": to_plain(numbered.fact),
    }


def encode(body: Mapping[str, Any]) -> bytes:
    """JSON bytes of what `to_plain` made."""
    return orjson.dumps(body)


def status(view: View) -> dict[str, Any]:
    """The account and the program on one page; of orders those that are not done, of positions those not empty."""
    return {
        **_heading(view),
        "mode": "live" if view.real_money else "sim",
        "is_trading": is_trading(view),
        "not_ready": list(view.not_ready),
        **_shown(view, _STATUS_FIGURES),
        "stops": to_plain(view.stops),
        "positions": to_plain([position for position in view.positions if position.qty]),
        "orders": to_plain([order for order in view.orders if order.state != OrderState.DONE.value]),
        "symbols": to_plain(view.symbols),
        "signals": to_plain(view.signals),
        "shadow": to_plain(view.shadow),
    }


def _page(*names: str) -> Callable[[View], dict[str, Any]]:
    return lambda view: {**_heading(view), **_shown(view, names)}


PAGES: Mapping[str, Callable[[View], dict[str, Any]]] = MappingProxyType(
    {
        "status": status,
        "orders": _page("orders", "open_orders", "unresolved_orders", "external_orders"),
        "positions": _page("positions"),
        "balances": _page(
            *("balances", "equity_usd", "equity_is_partial", "unpriced", "cash_usd", "cash_free_usd", "differences"),
            "entries",
        ),
        "trades": _page("trades"),
        "limits": _page("limits"),
        "refusals": _page("refusals"),
        "symbols": _page("symbols", "signals"),
    }
)
"""What `GET /v1/<name>` shows of the view."""


def story(facts: Sequence[Numbered]) -> dict[str, Any]:
    """All facts about one order, in order."""
    return {"facts": [fact_to_plain(numbered) for numbered in facts]}


def _heading(view: View) -> dict[str, Any]:
    return {"at": _moment(view.at_ns), "seq": view.last_seq}


def _shown(view: View, names: Sequence[str]) -> dict[str, Any]:
    return {_shown_name(name): _field(name, getattr(view, name)) for name in names}


def _record(value: Any) -> dict[str, Any]:
    cls: Any = type(value)
    shown = {_shown_name(name): _field(name, getattr(value, name)) for name in _field_names(cls)}
    return {"kind": cls.__name__, **shown} if cls in _NAMED_BY_CLASS else shown


def _field(name: str, value: Any) -> Any:
    if name.endswith("_ns"):
        return None if value is None else _moment(value)
    if name in _ROWS:
        return [_row(_ROWS[name], item) for item in value]
    return to_plain(value)


def _row(names: tuple[str, ...], item: Any) -> Any:
    return dict(zip(names, map(to_plain, item), strict=True)) if isinstance(item, tuple) else to_plain(item)


def _moment(at_ns: int) -> str | None:
    return rfc3339(at_ns) if at_ns else None


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


@cache
def _shown_name(name: str) -> str:
    """`at_ns` is `at`, `book_at_ns` is `book_at`, `as_of_ns` is `as_of`, `submitted_ns` is `submitted_at`."""
    if not name.endswith("_ns"):
        return name
    stem = name.removesuffix("_ns")
    return stem if stem.split("_")[-1] in ("at", "of") else f"{stem}_at"
