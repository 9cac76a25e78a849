"""What is said of orders and executions, by us and by the venue."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from aether.domain.instruments import Side
from aether.domain.values import Price, Qty, Symbol, Usd


class OrderType(StrEnum):
    """The kinds that a venue can be asked for. The engine itself sends limit orders alone."""

    LIMIT = "limit"
    MARKET = "market"


class TimeInForce(StrEnum):
    """How long an order waits: until cancelled, or not at all."""

    GTC = "gtc"
    IOC = "ioc"


class VenueStatus(StrEnum):
    """An order's state as the venue tells it (v2 `order_status`, REST `status` mapped onto it)."""

    PENDING = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"  # a word we do not know: the order is asked for anew

    @property
    def is_terminal(self) -> bool:
        """Nothing but late fills can follow."""
        return self in (VenueStatus.FILLED, VenueStatus.CANCELED, VenueStatus.EXPIRED)


class Liquidity(StrEnum):
    """Whether a fill added to the book or took from it."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True)
class OrderReport:
    """One order as the venue sees it. `name` is its own text for the pair; `symbol` is None where it is not ours.

    `cum_qty` in coins is what has been filled so far; None where the message did not say (v2 updates are deltas).
    """

    order_id: str
    cl_ord_id: str | None
    name: str
    symbol: Symbol | None
    side: Side | None
    qty: Qty | None
    limit_price: Price | None
    status: VenueStatus
    cum_qty: Qty | None
    reason: str
    venue_ns: int


@dataclass(frozen=True, slots=True)
class AssetAmount:
    """So much of an asset (v2 name: `BTC`, `USD`). Signed."""

    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill. `exec_id` is the venue's trade id (`T…`), the only key by which fills are counted.

    `cost` and `fees` are what the venue booked, never computed from a rate.
    """

    exec_id: str
    order_id: str
    cl_ord_id: str | None
    name: str
    symbol: Symbol | None
    side: Side
    qty: Qty
    price: Price
    cost: Usd
    fees: tuple[AssetAmount, ...]
    liquidity: Liquidity
    venue_ns: int


@dataclass(frozen=True, slots=True)
class AssetBalance:
    """`total` of an asset as the venue books it, `held` of it for open orders. `BTC.F` is an asset of its own."""

    asset: str
    total: Decimal
    held: Decimal
