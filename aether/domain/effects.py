"""All that can be asked of the world. Nothing here leaves before the fact beside it is on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.values import Price, Qty, Symbol


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Place this order once. `deadline_ns` is in the venue's time; it must refuse the order when it comes later."""

    cl_ord_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    qty: Qty
    limit_price: Price | None
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel this order; safe to repeat."""

    cl_ord_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class AskAccount:
    """Take the venue's account: balances, open orders, and what happened to orders since `since_ns` (venue time)."""

    why: str
    since_ns: int


Effect: TypeAlias = SubmitOrder | CancelOrder | AskAccount
