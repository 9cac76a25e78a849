"""All that can be heard. Adapters make inputs; the inbox stamps them; from then on the stamp is the time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from aether.domain.actors import Actor
from aether.domain.entries import AccountEntry
from aether.domain.instruments import Instrument, Side
from aether.domain.orders import AssetBalance, Execution, OrderReport
from aether.domain.values import Price, Qty, Symbol

Level: TypeAlias = tuple[int, int]
"""Price in ticks of 10^-price_decimals and quantity in lots of 10^-qty_decimals."""


# --- the market ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BookChanged:
    """A whole, verified picture of the top of a book, best first. The newest one replaces all before it."""

    symbol: Symbol
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    price_decimals: int
    qty_decimals: int


@dataclass(frozen=True, slots=True)
class TradeSeen:
    """A public trade; `side` is the taker's."""

    symbol: Symbol
    side: Side
    price: Price
    qty: Qty
    venue_ns: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle: open time in seconds UTC, prices in USD, volume in coins."""

    open_s: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class HistorySeen:
    """Complete candles of `bar_s` seconds, oldest first, to warm a strategy at start."""

    symbol: Symbol
    bar_s: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class FeedLost:
    """This symbol's book cannot be believed until a new snapshot (disconnect, bad checksum, silence)."""

    symbol: Symbol
    why: str


@dataclass(frozen=True, slots=True)
class InstrumentSeen:
    """The venue's rules of an admitted pair, at start and at each change. The core counts `version` itself."""

    instrument: Instrument


@dataclass(frozen=True, slots=True)
class SystemStatusSeen:
    """What the whole venue allows: `online`, `post_only`, `cancel_only`, `maintenance`, or a word we do not know."""

    status: str


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One announced standstill of the venue, from `start_ns` on in its time; `end_ns` is None where no end is told."""

    start_ns: int
    end_ns: int | None


@dataclass(frozen=True, slots=True)
class MaintenanceAnnounced:
    """All standstills that the venue announces now, in place of those it announced before."""

    windows: tuple[Maintenance, ...]


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """Venue time minus our wall clock, and half the round trip as its error; both in nanoseconds."""

    offset_ns: int
    error_ns: int


# --- our account ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrivateStreamLive:
    """The executions stream has given its snapshot on this connection."""

    connection: int


@dataclass(frozen=True, slots=True)
class PrivateStreamLost:
    """The private stream cannot be believed: disconnect, sequence gap, silence.

    `code` is `venue_auth` where the key is no longer good, so that no new link can come.
    """

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class PrivateMalformed:
    """A private message that could not be read. It is about money: the account is asked for."""

    why: str


@dataclass(frozen=True, slots=True)
class SubmitAccepted:
    """The venue's gate took the order."""

    cl_ord_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class SubmitRefused:
    """The venue certainly did not execute the order. `code` is ours, `text` the venue's or the hands' own reason."""

    cl_ord_id: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class SubmitUnknown:
    """The order may or may not live. It is never sent again; it is looked for."""

    cl_ord_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """`done` is True where the venue took the cancel; otherwise `text` says why, and the order is asked for."""

    cl_ord_id: str
    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class AmendAccepted:
    """The venue took the amend; what the order is now is told by the next report of it."""

    cl_ord_id: str
    amend_id: str


@dataclass(frozen=True, slots=True)
class AmendRefused:
    """The order certainly stays as it was. `code` is ours, `text` the venue's or the hands' own reason."""

    cl_ord_id: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class AmendUnknown:
    """The order may be as it was or as it was asked to be: the larger of the two counts until it is looked at."""

    cl_ord_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelAllAnswered:
    """`done` is True where the venue took it, with the number of orders where it was told."""

    done: bool
    count: int | None
    text: str


@dataclass(frozen=True, slots=True)
class DeadManAnswered:
    """The dead man's switch was set to `timeout_s` (0: switched off), or `done` is False and `text` says why not.

    `trigger_ns` is when it will fire, in the venue's time and whole seconds; None where it is off or was not told.
    """

    timeout_s: int
    done: bool
    trigger_ns: int | None
    text: str


@dataclass(frozen=True, slots=True)
class OrderReported:
    """The venue told an order's state. `source` names the view: executions, open, closed."""

    report: OrderReport
    source: str


@dataclass(frozen=True, slots=True)
class FillReported:
    """The venue told a fill. `source` names the view: executions, snapshot, trades."""

    execution: Execution
    source: str


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """The venue's account, asked between `asked_ns` and `answered_ns` (our wall clock).

    `views` names the views that answered: `balances`, `executions`, `open`, `closed`, `trades`, and `ledgers` where it
    was asked for. An order is absent only if the four in the middle are all there and lack it. `since_ns` (venue time)
    is how far back `closed`, `trades` and `ledgers` reach. Ledger rows stand oldest first.
    """

    asked_ns: int
    answered_ns: int
    since_ns: int
    views: tuple[str, ...]
    balances: tuple[AssetBalance, ...]
    open_orders: tuple[OrderReport, ...]
    closed_orders: tuple[OrderReport, ...]
    fills: tuple[Execution, ...]
    live_cl_ord_ids: tuple[str, ...]
    entries: tuple[AccountEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountUnavailable:
    """The account was asked for and could not be had. `code` is `venue_auth` where the key is no longer good."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class FeesSeen:
    """The account's own rates for a symbol, in basis points (Kraken `TradeVolume`, percent times 100)."""

    symbol: Symbol
    taker_bps: Decimal
    maker_bps: Decimal


# --- people, time, the process ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop sending orders, at once, until people resume. `scope` is `all`, `symbol:BTC/USD` or `strategy:trend`."""

    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """End a halt of this scope."""

    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelEverything:
    """Cancel each of our own open orders."""

    reason: str


@dataclass(frozen=True, slots=True)
class Flatten:
    """Halt this scope, cancel what rests there, and sell what its strategies hold."""

    scope: str
    reason: str


Command: TypeAlias = Halt | Resume | CancelEverything | Flatten


@dataclass(frozen=True, slots=True)
class CommandGiven:
    """A person's command, with the identity that was proven for it."""

    request_id: str
    actor: Actor
    command: Command


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The start path has the journal's lock and has folded it. First input of every run.

    `tag` marks this journal's client order ids; `real_money` is True on the live account only.
    """

    run: int
    tag: str
    account: str
    world: str
    real_money: bool
    code_version: str
    settings_digest: str
    seed: int
    crash_loop: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes. All timers of the core are served by it."""


@dataclass(frozen=True, slots=True)
class LoopStalled:
    """The event loop did not turn for so long: every price is old."""

    stalled_ns: int


@dataclass(frozen=True, slots=True)
class DiskGateChanged:
    """Free space of the journal's disk fell below the reserve, or came back."""

    is_open: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The process was asked to stop: no new risk, cancel or leave resting orders, wait for answers."""

    why: str


@dataclass(frozen=True, slots=True)
class RunEnding:
    """The shell has waited as long as it may. Last input of every orderly run."""

    why: str


Input: TypeAlias = (
    BookChanged
    | TradeSeen
    | HistorySeen
    | FeedLost
    | InstrumentSeen
    | SystemStatusSeen
    | MaintenanceAnnounced
    | ClockMeasured
    | PrivateStreamLive
    | PrivateStreamLost
    | PrivateMalformed
    | SubmitAccepted
    | SubmitRefused
    | SubmitUnknown
    | CancelAnswered
    | AmendAccepted
    | AmendRefused
    | AmendUnknown
    | CancelAllAnswered
    | DeadManAnswered
    | OrderReported
    | FillReported
    | AccountSeen
    | AccountUnavailable
    | FeesSeen
    | CommandGiven
    | RunBegan
    | Tick
    | LoopStalled
    | DiskGateChanged
    | StopAsked
    | RunEnding
)


@dataclass(frozen=True, slots=True)
class Stamped:
    """An input with its number and its time. `seq` counts from 1 in each run; `at_ns` never goes backwards in a run."""

    seq: int
    at_ns: int
    input: Input
