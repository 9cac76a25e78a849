"""What Kraken's WebSocket v2 can tell us, once read: exact values, names either admitted or kept as opaque text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias

from aether.domain.inputs import Bar, Maintenance, TradeSeen
from aether.domain.instruments import PairStatus, Side
from aether.domain.orders import AssetAmount, Liquidity, OrderTerms, VenueStatus
from aether.domain.values import Price, Qty, Symbol, Usd
from aether.kraken.strict_json import Malformed

CHECKSUM_MAX = (1 << 32) - 1


class LevelToken(Protocol):
    """One level of a book message: price and quantity as the bytes that Kraken wrote."""

    @property
    def price(self) -> bytes:
        """Price text."""
        ...

    @property
    def qty(self) -> bytes:
        """Quantity text; zero takes the level away."""
        ...


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The link lives; nothing else is said."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What the whole venue allows now, in Kraken's own word, and the standstills that it announces for spot."""

    system: str
    announced: tuple[Maintenance, ...] = ()


@dataclass(slots=True)
class BookMessage:
    """Snapshot or update of one admitted book, levels in message order and not yet applied."""

    symbol: Symbol
    is_snapshot: bool
    bids: Sequence[LevelToken]
    asks: Sequence[LevelToken]
    checksum: int


@dataclass(slots=True)
class BooksRead:
    """A frame of channel `book`: one message as a rule, but no document promises it."""

    books: tuple[BookMessage, ...]


@dataclass(frozen=True, slots=True)
class TradesRead:
    """A frame of channel `trade`, oldest first."""

    trades: tuple[TradeSeen, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Ticker:
    """One admitted row of channel `ticker`: prices are None where there is none; `volume` is of 24 hours, in coins."""

    symbol: Symbol
    bid: Price | None
    bid_qty: Qty
    ask: Price | None
    ask_qty: Qty
    last: Price | None
    volume: Qty
    venue_ns: int


@dataclass(frozen=True, slots=True)
class TickersRead:
    """A frame of channel `ticker`."""

    tickers: tuple[Ticker, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Candle:
    """One admitted row of channel `ohlc`, running or complete; `bar_s` is its length in seconds."""

    symbol: Symbol
    bar: Bar
    bar_s: int


@dataclass(frozen=True, slots=True)
class CandlesRead:
    """A frame of channel `ohlc`: all complete candles there are, or the running one after a trade."""

    candles: tuple[Candle, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class PairRules:
    """One admitted pair of channel `instrument`."""

    symbol: Symbol
    status: PairStatus
    tick: Decimal
    lot: Decimal
    price_decimals: int
    qty_decimals: int
    cost_decimals: int
    qty_min: Qty
    cost_min: Usd


@dataclass(frozen=True, slots=True)
class PairsRead:
    """A frame of channel `instrument`; an update holds only what changed."""

    pairs: tuple[PairRules, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class FillRecord:
    """The part of an execution record that is money."""

    exec_id: str
    qty: Qty
    price: Price
    cost: Usd
    fees: tuple[AssetAmount, ...]
    liquidity: Liquidity


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One record of channel `executions`. Updates are deltas: what was not said is None, False or empty.

    `name` is Kraken's text for the pair; `symbol` is None where it is not ours or the record is of margin.
    `venue_ns` is 0 where no readable time was given. `rate_count_milli` is Kraken's own count of the pair's limit after
    this, in thousandths of points.
    """

    order_id: str
    cl_ord_id: str | None
    name: str
    symbol: Symbol | None
    side: Side | None
    status: VenueStatus
    qty: Qty | None
    limit_price: Price | None
    cum_qty: Qty | None
    reason: str
    venue_ns: int
    is_margin: bool
    fill: FillRecord | None
    terms: OrderTerms
    rate_count_milli: int | None


@dataclass(frozen=True, slots=True)
class ExecutionsRead:
    """A frame of channel `executions`; records that could not be read stand beside those that could.

    `rate_count_milli` is the count of a pair's limit where the frame tells it, and not its records.
    """

    records: tuple[ExecutionRecord, ...]
    malformed: tuple[Malformed, ...]
    is_snapshot: bool
    sequence: int
    rate_count_milli: int | None


@dataclass(frozen=True, slots=True)
class BalanceRecord:
    """One row of channel `balances`. `asset` is Kraken's own name: `BTC.F` is an asset of its own, never free cash.

    `total` is not net of open orders. A snapshot tells `in_main`, what lies in the spot wallet (None where no wallet is
    listed); an update is a ledger row of `kind`, whose `ref_id` is a trade's id where it is of a trade, and changed the
    balance by `amount` less `fee`.
    """

    asset: str
    total: Decimal
    in_main: Decimal | None
    amount: Decimal | None
    fee: Decimal | None
    ledger_id: str
    ref_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class BalancesRead:
    """A frame of channel `balances`; rows that could not be read stand beside those that could.

    The account itself is asked over REST, which knows what open orders hold.
    """

    records: tuple[BalanceRecord, ...]
    malformed: tuple[Malformed, ...]
    is_snapshot: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One order of the answer to a batch. Empty is what was not said."""

    order_id: str
    cl_ord_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one of our requests, as it was said. A refusal may lack all but `error`.

    `success` and `time_in_ns` are None where not told; `has_result` is True also where the result could not be read.
    `count` is how many orders were cancelled, `trigger_ns` when the dead man's switch fires (None: off, or not told),
    and `rate_count_max` the account's limit on each pair's counter, in points.
    """

    method: str
    req_id: int | None
    success: bool | None
    error: str
    has_result: bool
    channel: str
    name: str
    depth: int | None
    order_id: str
    cl_ord_id: str
    time_in_ns: int | None
    amend_id: str = ""
    count: int | None = None
    trigger_ns: int | None = None
    rate_count_max: int | None = None
    rows: tuple[AnswerRow, ...] = ()

    @property
    def is_yes(self) -> bool:
        """A clear yes: success, and no error beside it."""
        return self.success is True and not self.error

    @property
    def is_no(self) -> bool:
        """A clear no: an error alone. Beside a success or a result it proves nothing."""
        return bool(self.error) and not self.success and not self.has_result


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the edge says of the whole link, to no request in particular: `{"Error":"Exceeded msg rate"}`."""

    text: str


@dataclass(frozen=True, slots=True)
class Unspoken:
    """A sound message of a kind that we do not speak: counted, and passed over."""

    what: str


Message: TypeAlias = (
    Heartbeat
    | SystemStatus
    | BooksRead
    | TradesRead
    | TickersRead
    | CandlesRead
    | PairsRead
    | ExecutionsRead
    | BalancesRead
    | Answer
    | Complaint
    | Unspoken
    | Malformed
)
