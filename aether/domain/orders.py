"""What is said of orders and executions, by us and by the venue."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from aether.domain.instruments import Side
from aether.domain.values import Price, Qty, Symbol, Usd, exact


class OrderType(StrEnum):
    """The kinds of a spot order, as Kraken spells them. The engine itself sends limit orders alone.

    Kraken's `settle-position` is of margin and is no word of this program (Kraken docs, Add Order).
    """

    LIMIT = "limit"
    MARKET = "market"
    ICEBERG = "iceberg"
    STOP_LOSS = "stop-loss"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT = "take-profit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"

    @property
    def has_limit_price(self) -> bool:
        """It names the worst price itself; a trailing stop with a limit names a distance from its trigger instead."""
        return self in _WITH_LIMIT_PRICE

    @property
    def has_trigger(self) -> bool:
        """It waits for a price before it reaches the book."""
        return self in _WITH_TRIGGER

    @property
    def is_trailing(self) -> bool:
        """Its trigger follows the market at a distance."""
        return self in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT)


_WHOLE_LOSS_PERCENT = Decimal(-100)
_WITH_LIMIT_PRICE = frozenset(
    {OrderType.LIMIT, OrderType.ICEBERG, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT}
)
_WITH_TRIGGER = frozenset(set(OrderType) - {OrderType.LIMIT, OrderType.MARKET, OrderType.ICEBERG})


class TimeInForce(StrEnum):
    """How long an order waits: until cancelled, not at all, until a date, or whole at once or not at all."""

    GTC = "gtc"
    IOC = "ioc"
    GTD = "gtd"
    FOK = "fok"


class TriggerReference(StrEnum):
    """The price that a trigger watches: Kraken's last trade, or an index of the wider market."""

    LAST = "last"
    INDEX = "index"


class PriceType(StrEnum):
    """What a trigger's or a limit's number means: a price, dollars from a reference, or percent from it."""

    STATIC = "static"
    QUOTE = "quote"
    PCT = "pct"


class SelfTrade(StrEnum):
    """Which of two orders of one account goes when they would trade with each other (Kraken `stp_type`)."""

    CANCEL_NEWEST = "cancel_newest"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_BOTH = "cancel_both"


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a triggered order wakes (Kraken docs, WebSocket v2 add_order, `triggers`).

    `price` is in dollars, or in percent where `price_type` says so; a relative one is signed, a trailing distance is
    positive. `limit_offset` is a trailing stop's limit as a distance from the trigger, which may be zero.

    Raises:
        ValueError: a price that is not positive, a distance of zero or of -100 % or less, or a static limit offset.

    Example:
        `Trigger(Decimal("29000.5"))` wakes at that price; `Trigger(Decimal(-5), PriceType.PCT)` 5 % below the present.
    """

    price: Decimal
    price_type: PriceType = PriceType.STATIC
    reference: TriggerReference = TriggerReference.LAST
    limit_offset: Decimal | None = None
    limit_offset_type: PriceType = PriceType.QUOTE

    def __post_init__(self) -> None:
        if not exact(self.price, "Trigger"):
            raise ValueError("a trigger needs a price or a distance, was 0")
        if self.price_type is PriceType.STATIC and self.price < 0:
            raise ValueError(f"a trigger price must be positive, was {self.price}")
        _refuse_whole_loss(self.price, self.price_type)
        if self.limit_offset_type is PriceType.STATIC:
            raise ValueError("a limit offset is a distance, not a price")
        if self.limit_offset is not None:
            _refuse_whole_loss(exact(self.limit_offset, "limit_offset"), self.limit_offset_type)


def _refuse_whole_loss(distance: Decimal, price_type: PriceType) -> None:
    if price_type is PriceType.PCT and distance <= _WHOLE_LOSS_PERCENT:
        raise ValueError(f"{distance} % leaves no price")


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
class TriggerReport:
    """A trigger as the venue tells it. None is what was not said, and an unknown word too.

    `price` is as it was asked; `actual_price` where it stands now, `peak_price` the best price that a trailing one saw.
    """

    price: Decimal | None
    price_type: PriceType | None
    reference: TriggerReference | None
    actual_price: Price | None
    peak_price: Price | None
    is_triggered: bool | None


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What else the venue tells of an order. None is what was not said, and an unknown word too.

    Quantities in coins, `avg_price` and `cum_cost` of what has been filled so far, in dollars. `expire_ns` is in the
    venue's time. `is_amended` is True where someone changed the order after it was placed: we, or the venue itself.
    """

    order_type: OrderType | None
    time_in_force: TimeInForce | None
    post_only: bool | None
    trigger: TriggerReport | None
    limit_offset: Decimal | None
    limit_offset_type: PriceType | None
    display_qty: Qty | None
    display_qty_remain: Qty | None
    expire_ns: int | None
    avg_price: Price | None
    cum_cost: Usd | None
    is_amended: bool


@dataclass(frozen=True, slots=True)
class OrderReport:
    """One order as the venue sees it. `name` is its own text for the pair; `symbol` is None where it is not ours.

    `cum_qty` in coins is what has been filled so far; None where the message did not say (v2 updates are deltas).
    `terms` is None where the view tells none.
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
    terms: OrderTerms | None = None


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
