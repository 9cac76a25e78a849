"""What the made Kraken says: rules, orders, trades, ledger rows, events. Frozen pictures; the exchange replaces them.

Money and quantities are exact decimals; times are nanoseconds since 1970 UTC; names are Kraken's v2 names (`BTC/USD`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from aether.sim.fees import KRAKEN_FEES, FeeSchedule

OrderSide: TypeAlias = Literal["buy", "sell"]
BookSide: TypeAlias = Literal["bid", "ask"]
TakerKind: TypeAlias = Literal["limit", "market"]
Kind: TypeAlias = Literal[
    "limit",
    "market",
    "iceberg",
    "stop-loss",
    "stop-loss-limit",
    "take-profit",
    "take-profit-limit",
    "trailing-stop",
    "trailing-stop-limit",
]
Lifetime: TypeAlias = Literal["gtc", "ioc", "gtd", "fok"]
SelfTrade: TypeAlias = Literal["cancel_newest", "cancel_oldest", "cancel_both"]
PriceType: TypeAlias = Literal["static", "quote", "pct"]
Reference: TypeAlias = Literal["last", "index"]
OrderStatus: TypeAlias = Literal["pending_new", "new", "partially_filled", "filled", "canceled", "expired"]
AmendCause: TypeAlias = Literal["user", "restated"]
AmendType: TypeAlias = Literal["original"] | AmendCause
ExecType: TypeAlias = Literal[
    "pending_new",
    "new",
    "trade",
    "filled",
    "canceled",
    "expired",
    "amended",
    "restated",
    "status",
    "iceberg_refill",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
LIFETIMES: tuple[Lifetime, ...] = get_args(Lifetime)
SELF_TRADES: tuple[SelfTrade, ...] = get_args(SelfTrade)
PRICE_TYPES: tuple[PriceType, ...] = get_args(PriceType)

# Types that wait for a price, types that carry a limit, and types whose trigger follows the market.
TRIGGERED_KINDS = frozenset(kind for kind in KINDS if kind.startswith(("stop", "take", "trailing")))
LIMIT_KINDS = frozenset(kind for kind in KINDS if kind == "iceberg" or kind.endswith("limit"))
TRAILING_KINDS = frozenset(kind for kind in KINDS if kind.startswith("trailing"))

SYSTEM_STATUSES = ("online", "post_only", "cancel_only", "maintenance")


class ExchangeRefusal(Exception):
    """The request changed nothing. `text` is Kraken's own error text (Kraken docs, Spot Error Messages)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class PairRules:
    """One pair as Kraken's `AssetPairs` describes it.

    `name` is the v2 name (`BTC/USD`), `key` the canonical id (`XXBTZUSD`), `base` the v2 asset name (`BTC`), `base_id`
    the asset id (`XXBT`). `qty_min` in coins, `cost_min` in dollars. `fees` are the rates by an account's volume.
    """

    name: str
    key: str
    altname: str
    wsname: str
    base: str
    base_id: str
    price_decimals: int
    qty_decimals: int
    cost_decimals: int
    qty_min: Decimal
    cost_min: Decimal
    status: str
    quote: str = "USD"
    quote_id: str = "ZUSD"
    fees: FeeSchedule = KRAKEN_FEES


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """When a waiting order is to act. A `price` that is not static is an offset in dollars (quote) or percent (pct).

    It is counted from the last trade, of a trailing order from the best price since (Kraken docs, Add Order). There is
    no index feed here, so `index` falls back to the last trade, as Kraken's does.
    """

    price: Decimal
    price_type: PriceType = "static"
    reference: Reference = "last"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a client asks for. `limit_price` is None for a type without a limit; all times are in the exchange's time.

    A `limit_price` that is not static is an offset: of a trailing order from its trigger, of any other from the last
    trade. `display_qty` is what an iceberg shows. `cash_qty` is what a market buy may spend, before fees; its `qty` is
    then 0. `fee_in_base` is a wish that is kept and not granted: fees are paid in quote (Kraken docs, executions).
    """

    pair: str
    side: OrderSide
    order_type: Kind
    qty: Decimal
    limit_price: Decimal | None = None
    time_in_force: Lifetime = "gtc"
    post_only: bool = False
    cl_ord_id: str | None = None
    userref: int | None = None
    deadline_ns: int | None = None
    limit_price_type: PriceType = "static"
    trigger: NewTrigger | None = None
    display_qty: Decimal | None = None
    starts_ns: int | None = None
    expires_ns: int | None = None
    self_trade: SelfTrade = "cancel_newest"
    cash_qty: Decimal | None = None
    fee_in_base: bool = False


@dataclass(frozen=True, slots=True)
class Amend:
    """What a client wants changed of an open order; None leaves a thing as it is. `qty` is the new total."""

    order_id: str
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    limit_price_type: PriceType = "static"
    trigger_price: Decimal | None = None
    trigger_price_type: PriceType = "static"
    display_qty: Decimal | None = None
    post_only: bool = False
    deadline_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A waiting order's trigger as of now.

    `price` is as asked, `actual_price` the one in force, `peak_price` the best price that a trailing order has seen;
    `last_price` and `at_ns` tell what set it off and when.
    """

    price: Decimal
    price_type: PriceType
    reference: Reference
    actual_price: Decimal
    peak_price: Decimal | None = None
    last_price: Decimal | None = None
    at_ns: int | None = None

    @property
    def is_triggered(self) -> bool:
        """The order has left its waiting place."""
        return self.at_ns is not None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as of now; the exchange makes a new picture at each change. `trade_ids` are the exec_ids (`T…`).

    `limit_price` is always a price, `limit_asked` the offset that it came from, if any. `shown_qty` is what an iceberg
    has in the book.
    """

    order_id: str
    account: str
    pair: str
    side: OrderSide
    order_type: Kind
    qty: Decimal
    limit_price: Decimal | None
    time_in_force: Lifetime
    post_only: bool
    cl_ord_id: str | None
    userref: int | None
    deadline_ns: int | None
    status: OrderStatus
    opened_ns: int
    cum_qty: Decimal = Decimal(0)
    cum_cost: Decimal = Decimal(0)
    cum_fee: Decimal = Decimal(0)
    closed_ns: int | None = None
    reason: str = ""
    trade_ids: tuple[str, ...] = ()
    limit_asked: Decimal | None = None
    limit_price_type: PriceType = "static"
    trigger: Trigger | None = None
    display_qty: Decimal | None = None
    shown_qty: Decimal | None = None
    starts_ns: int | None = None
    expires_ns: int | None = None
    self_trade: SelfTrade = "cancel_newest"
    cash_qty: Decimal | None = None
    fee_in_base: bool = False
    is_amended: bool = False

    @property
    def is_open(self) -> bool:
        """It may still fill or be cancelled."""
        return self.closed_ns is None


@dataclass(frozen=True, slots=True)
class AmendRecord:
    """One row of an order's history: what it was from `at_ns` on, and why (Kraken docs, Order Amends)."""

    amend_id: str
    amend_type: AmendType
    order: Order
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Trade:
    """One side of one trade, as its account sees it.

    `trade_id` counts from 1 per pair without gaps, shared by both sides; `exec_id` (`T…`) is this side's own. `cost`
    and `fee` are in quote, exactly as booked. `liquidity` is `m` for the maker, `t` for the taker.
    """

    trade_id: int
    exec_id: str
    order_id: str
    account: str
    cl_ord_id: str | None
    pair: str
    side: OrderSide
    qty: Decimal
    price: Decimal
    cost: Decimal
    fee: Decimal
    liquidity: Literal["m", "t"]
    at_ns: int
    order_type: Kind


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One change of one balance: it moves by `amount` - `fee` and is `balance` afterwards.

    `ref_id` is the exec_id for a trade; rows of one act bear the same. `asset` is the v2 name, with a wallet's suffix
    (`BTC.F`) an asset of its own. `type` and `subtype` are Kraken's words.
    """

    ledger_id: str
    ref_id: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal
    at_ns: int
    type: str
    subtype: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is to be booked beside trading: `asset` moves by `amount` - `fee`. `type` as of `LedgerEntry`."""

    type: str
    asset: str
    amount: Decimal
    fee: Decimal = Decimal(0)
    subtype: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """Aggregated levels `(price, qty)` of a pair, best first."""

    pair: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A private execution report. `order` is its picture right after; `trade` is there for `trade` alone.

    As on Kraken the `trade` that completes an order still says `partially_filled`: completion is its own `filled`
    event (Kraken docs, WebSocket v2 executions).
    """

    exec_type: ExecType
    order: Order
    trade: Trade | None
    at_ns: int


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade as everybody sees it; `side` and `order_type` are the taker's."""

    pair: str
    side: OrderSide
    price: Decimal
    qty: Decimal
    order_type: TakerKind
    trade_id: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class LevelChanged:
    """A level of the public book now holds `qty` in all; 0 means that it is gone."""

    pair: str
    side: BookSide
    price: Decimal
    qty: Decimal
    at_ns: int


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """A private balance report."""

    account: str
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """The status of one pair, or of the whole exchange where `pair` is None."""

    pair: str | None
    status: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """A standstill of the whole exchange that it announces; `end_ns` is None where it does not say."""

    start_ns: int
    end_ns: int | None


Event: TypeAlias = OrderEvent | PublicTrade | LevelChanged | LedgerEvent | StatusEvent
