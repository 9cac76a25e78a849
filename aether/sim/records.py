"""What the made Kraken says: rules, orders, trades, ledger rows, events. Frozen pictures; the exchange replaces them.

Money and quantities are exact decimals; times are nanoseconds since 1970 UTC; names are Kraken's v2 names (`BTC/USD`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

OrderSide: TypeAlias = Literal["buy", "sell"]
BookSide: TypeAlias = Literal["bid", "ask"]
Kind: TypeAlias = Literal["limit", "market"]
Lifetime: TypeAlias = Literal["gtc", "ioc"]
OrderStatus: TypeAlias = Literal["pending_new", "new", "partially_filled", "filled", "canceled", "expired"]
ExecType: TypeAlias = Literal["pending_new", "new", "trade", "filled", "canceled", "expired"]

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
    the asset id (`XXBT`). `qty_min` in coins, `cost_min` in dollars.
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


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a client asks for. `limit_price` is None for a market order; `deadline_ns` is in the exchange's time."""

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


@dataclass(frozen=True, slots=True)
class Order:
    """An order as of now; the exchange makes a new picture at each change. `trade_ids` are the exec_ids (`T…`)."""

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

    @property
    def is_open(self) -> bool:
        """It may still fill or be cancelled."""
        return self.closed_ns is None


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

    `ref_id` is the exec_id for a trade. `asset` is the v2 name.
    """

    ledger_id: str
    ref_id: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal
    at_ns: int
    type: Literal["trade", "deposit"]


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
    order_type: Kind
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


Event: TypeAlias = OrderEvent | PublicTrade | LevelChanged | LedgerEvent | StatusEvent
