"""What a private request on the wire asks for, read anew: nothing here is taken from the client that wrote it.

Source: Kraken docs, WebSocket v2 (add_order, batch_add, amend_order, cancel_order, batch_cancel, cancel_all,
cancel_all_orders_after) and REST (AddOrder, AddOrderBatch, AmendOrder, EditOrder, CancelOrder, CancelAll).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aether.simulator.evidence import Sent

ADDS = frozenset({"add_order", "batch_add", "AddOrder", "AddOrderBatch"})
CANCELS = frozenset({"cancel_order", "batch_cancel", "CancelOrder", "CancelOrderBatch"})
AMENDS = frozenset({"amend_order", "AmendOrder"})
CANCELS_OF_ALL = frozenset({"cancel_all", "CancelAll"})
DEAD_MAN = frozenset({"cancel_all_orders_after", "CancelAllOrdersAfter"})
# They would make an order that no intent asked for: an edit cancels one order and places another.
NEVER_SENT = frozenset({"edit_order", "EditOrder", "Withdraw", "WalletTransfer", "OpenPositions"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One order that a request asks for; None where it does not say. `others` are fields that no order of ours has."""

    cl_ord_id: str | None
    symbol: str | None
    side: str | None
    order_type: str | None
    qty: Decimal | None
    limit_price: Decimal | None
    deadline_ns: int | None
    others: tuple[str, ...]


# A buy on credit, or of what the account does not own: none of these may ever be said.
_LEVERED = ("margin", "leverage", "reduce_only", "conditional", "close")


def orders_asked(sent: Sent) -> Iterator[Asked]:
    """The orders of an add or a batch, in their order; none of any other request."""
    if sent.method not in ADDS:
        return
    said = _said(sent)
    rows = said.get("orders")
    for row in rows if isinstance(rows, list | tuple) else (said,):
        yield _asked({**said, **row})


def ids_named(sent: Sent) -> tuple[str, ...]:
    """Order ids and client order ids that a cancel or an amend names."""
    said = _said(sent)
    names: list[str] = []
    for key in ("order_id", "cl_ord_id", "txid", "orders", "cl_ord_ids"):
        value = said.get(key)
        if isinstance(value, list | tuple):
            names += [str(item.get("txid") if isinstance(item, Mapping) else item) for item in value]
        elif value is not None:
            names.append(str(value))
    return tuple(names)


def timeout_asked(sent: Sent) -> int:
    """Seconds of a dead man's switch; 0 switches it off."""
    return int(str(_said(sent).get("timeout", 0)))


def time_ns(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time in UTC, to the microsecond. Raises ValueError."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * _NS_PER_US


def _said(sent: Sent) -> Mapping[str, Any]:
    said: Any = sent.fields.get("params", sent.fields)
    return said if isinstance(said, Mapping) else {}


def _asked(said: Mapping[str, Any]) -> Asked:
    deadline = said.get("deadline")
    return Asked(
        cl_ord_id=_text(said.get("cl_ord_id")),
        symbol=_text(said.get("symbol", said.get("pair"))),
        side=_text(said.get("side", said.get("type"))),
        order_type=_text(said.get("order_type", said.get("ordertype"))),
        qty=_number(said.get("order_qty", said.get("volume"))),
        limit_price=_number(said.get("limit_price", said.get("price"))),
        deadline_ns=None if deadline is None else time_ns(str(deadline)),
        others=tuple(name for name in _LEVERED if said.get(name)),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
