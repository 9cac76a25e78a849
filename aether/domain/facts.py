"""All that can be true. Facts are about changes of mind and of money; each is written before anything follows.

`VERSION` of a fact class counts the shapes it has had; the journal's codec keeps a reader for each. A field is never
given a second meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, TypeAlias, get_args

from aether.domain.actors import Actor
from aether.domain.entries import Nature
from aether.domain.inputs import Command
from aether.domain.instruments import Instrument, Side
from aether.domain.orders import AssetAmount, AssetBalance, Liquidity, OrderType, TimeInForce, VenueStatus
from aether.domain.values import MONEY, Bps, Price, Qty, Symbol, Usd, UtcNanos

EXIT_MARK = "f"  # of an intent that people gave, all at once: to sell what is held

# --- decisions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that one check lets through, in dollars, and why. Zero is a refusal; `code` is its stable name."""

    check: str
    at_most: Usd
    because: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class QuoteSeen:
    """The quote a decision was made on: best prices, and their ages in milliseconds by our clock."""

    bid: Price
    ask: Price
    age_ms: int
    last_trade: Price | None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What crossing costs, in basis points of the order, and the edge it must beat. Rounded up to whole hundredths."""

    edge_bps: Decimal
    fee_bps: Decimal
    spread_bps: Decimal
    slippage_bps: Decimal
    margin_bps: Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """Every number a size was made of: the record explains itself.

    `wanted` is what the strategy's target asks for with no limit at all; `binding` names the allowance that bound (or
    `wanted`). `volatility_bps` is per day, measured; `volatility_used_bps` is the larger of it and the floor.
    """

    wanted: Usd
    equity: Usd
    cash_free: Usd
    position: Usd
    volatility_bps: Bps
    volatility_used_bps: Bps
    regime: str
    regime_percent: int
    quote: QuoteSeen
    costs: CostEstimate
    allowances: tuple[Allowance, ...]
    binding: str
    instrument_version: int


@dataclass(frozen=True, slots=True)
class SignalChanged:
    """A strategy changed its mind: `target_bps` (0 to 10 000) of its risk budget, expecting to gain `edge_bps`."""

    VERSION: ClassVar[int] = 1
    strategy: str
    symbol: Symbol
    target_bps: Bps
    edge_bps: Bps
    reason: str


@dataclass(frozen=True, slots=True)
class IntentRefused:
    """An intent that became no order. Written when the refusal changes, not at each repeat."""

    VERSION: ClassVar[int] = 1
    intent_id: str
    strategy: str
    symbol: Symbol
    side: Side
    code: str
    why: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    """An intent became an order, sized and reserved. Committed before its first byte leaves.

    `reserved` is its worst case: dollars with fee for a buy; the coins are `qty` for a sell. `intent_id` begins with
    `i` where a strategy wished it, with `f` where people had its holdings sold.
    """

    VERSION: ClassVar[int] = 1
    intent_id: str
    cl_ord_id: str
    strategy: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    qty: Qty
    limit_price: Price
    reserved: Usd
    deadline_ns: UtcNanos
    decision: Decision

    @property
    def is_exit(self) -> bool:
        """People had it sold: it lowers risk, and no halt but a later one stands in its way."""
        return self.intent_id.startswith(EXIT_MARK)


# --- selling what is held, because a person wants it -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FlattenBegan:
    """What the strategies of this scope hold is to be sold. It outlasts restarts, until FlattenEnded."""

    VERSION: ClassVar[int] = 1
    scope: str
    reason: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class HoldingLeft:
    """So many coins of a strategy were not sold, and why: most often they are below the venue's minimum."""

    strategy: str
    symbol: Symbol
    qty: Qty
    why: str


@dataclass(frozen=True, slots=True)
class FlattenEnded:
    """Nothing more is sold; the scope stays halted. `left` is what its strategies still hold."""

    VERSION: ClassVar[int] = 1
    scope: str
    why: str
    left: tuple[HoldingLeft, ...]


# --- the life of an order ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The venue's gate took it; it may rest, fill or end next."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """The venue certainly did not execute it."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """Sent, and no answer that proves anything. Its whole size counts against every limit until evidence comes."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    why: str


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """The venue shows it alive."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    order_id: str
    source: str


@dataclass(frozen=True, slots=True)
class OrderFilled:
    """An execution, counted once by `exec_id`. Without `cl_ord_id` it is EXTERNAL: of no order of ours."""

    VERSION: ClassVar[int] = 1
    exec_id: str
    order_id: str
    cl_ord_id: str | None
    strategy: str | None
    name: str
    symbol: Symbol | None
    side: Side
    qty: Qty
    price: Price
    cost: Usd
    fees: tuple[AssetAmount, ...]
    liquidity: Liquidity
    venue_ns: UtcNanos
    source: str


@dataclass(frozen=True, slots=True)
class OrderEnded:
    """The venue shows it ended; late fills may still come and are booked."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    order_id: str
    status: VenueStatus
    reason: str
    cum_qty: Qty | None
    source: str


@dataclass(frozen=True, slots=True)
class OrderAmended:
    """Its size or limit is not what it was: people or the venue changed it there. `qty` is the new total, with fills.

    Written by what the venue tells, never by what was asked: what may still be executed follows the venue.
    """

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    order_id: str
    qty: Qty
    limit_price: Price
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class OrderAbsent:
    """It never lived: deadline, view lag and clock error are past, and all four views lack it."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    views: tuple[str, ...]
    asked_ns: UtcNanos


@dataclass(frozen=True, slots=True)
class OrderSurprised:
    """The venue said of an order what the table does not expect. It changes nothing; the order is asked for."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    what: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """We want it gone. It counts as exposure until the venue shows it ended."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The venue did not take the cancel (often: it is gone already). The order is asked for."""

    VERSION: ClassVar[int] = 1
    cl_ord_id: str
    text: str


# --- the account ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """The balances that the journal's sums begin with. Fills of others up to `as_of_ns` (venue time) are in them."""

    VERSION: ClassVar[int] = 1
    as_of_ns: UtcNanos
    balances: tuple[AssetBalance, ...]


@dataclass(frozen=True, slots=True)
class ExternalOrderSeen:
    """An order that is not ours lives on the account. It is never touched."""

    VERSION: ClassVar[int] = 1
    order_id: str
    cl_ord_id: str | None
    name: str
    symbol: Symbol | None
    side: Side | None
    qty: Qty | None
    limit_price: Price | None


@dataclass(frozen=True, slots=True)
class ExternalOrderGone:
    """An order that is not ours is no longer open."""

    VERSION: ClassVar[int] = 1
    order_id: str


@dataclass(frozen=True, slots=True)
class LedgerEntryBooked:
    """A row of the venue's ledger, counted once by `entry_id`: a deposit, a withdrawal, a reward, a move of wallets.

    `amount`, `fee`, `balance` and the words are the row's; `moved` is by how much it moves our sum of `asset`. Of a
    trade that is what the ledger says beside its fill, for the fill is booked by itself.
    """

    VERSION: ClassVar[int] = 1
    entry_id: str
    refid: str
    kind: str
    subtype: str
    nature: Nature
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal | None
    moved: Decimal
    venue_ns: UtcNanos


@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """Opening balance plus fills and ledger rows is not what the venue holds. `expected` and `seen` are of `asset`."""

    VERSION: ClassVar[int] = 1
    asset: str
    expected: Decimal
    seen: Decimal
    what: str

    @property
    def amount(self) -> Decimal:
        """What the venue has more than our sums, signed; fills that both book do not change it."""
        return MONEY.subtract(self.seen, self.expected)


@dataclass(frozen=True, slots=True)
class DifferenceEnded:
    """The venue's balance of an asset is what the journal's sums say again, by itself."""

    VERSION: ClassVar[int] = 1
    asset: str


@dataclass(frozen=True, slots=True)
class DifferenceAccepted:
    """A person took a difference for right: the sums move by `amount` of `asset` (signed), and no position does."""

    VERSION: ClassVar[int] = 1
    asset: str
    amount: Decimal
    actor: Actor


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Ledger and account agree; written at start and after each difference or gap, not at each look."""

    VERSION: ClassVar[int] = 1
    balances: tuple[AssetBalance, ...]
    open_orders: int


@dataclass(frozen=True, slots=True)
class InstrumentAdopted:
    """The venue's rules of a symbol in use, as of `instrument.version`."""

    VERSION: ClassVar[int] = 1
    instrument: Instrument


@dataclass(frozen=True, slots=True)
class FeesAdopted:
    """The account's rates for a symbol, in basis points."""

    VERSION: ClassVar[int] = 1
    symbol: Symbol
    taker_bps: Decimal
    maker_bps: Decimal


@dataclass(frozen=True, slots=True)
class EquityMarked:
    """Equity at the start of a UTC day (`YYYY-MM-DD`), or at a new peak: daily loss and drawdown count from these."""

    VERSION: ClassVar[int] = 1
    day: str
    equity: Usd
    day_start: Usd
    peak: Usd


# --- the dead man's switch ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadManArmed:
    """From here on the venue is asked to cancel every order of the account unless asked again within `timeout_s`.

    Written before the first request, not at each renewal: a later run knows that the switch may be armed.
    """

    VERSION: ClassVar[int] = 1
    timeout_s: int


@dataclass(frozen=True, slots=True)
class DeadManFired:
    """The venue cancelled every order of the account, those of others too; it is off until armed anew."""

    VERSION: ClassVar[int] = 1
    why: str


@dataclass(frozen=True, slots=True)
class DeadManDisarmed:
    """The venue said that the switch is off."""

    VERSION: ClassVar[int] = 1
    why: str


# --- holds, halts, commands, runs ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HoldBegan:
    """No new risk in this scope until the cause ends by itself."""

    VERSION: ClassVar[int] = 1
    cause: str
    scope: str
    why: str


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """The cause of a hold is gone."""

    VERSION: ClassVar[int] = 1
    cause: str
    scope: str


@dataclass(frozen=True, slots=True)
class TradingHalted:
    """Nothing is sent in this scope until people resume; it outlasts restarts."""

    VERSION: ClassVar[int] = 1
    scope: str
    code: str
    reason: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class TradingResumed:
    """People ended every halt of this scope."""

    VERSION: ClassVar[int] = 1
    scope: str
    reason: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class CommandAccepted:
    """A person's command passed authority; what it changed are the facts that follow it."""

    VERSION: ClassVar[int] = 1
    request_id: str
    actor: Actor
    command: Command


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A person's command changed nothing, for this reason."""

    VERSION: ClassVar[int] = 1
    request_id: str
    actor: Actor
    command: Command
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class StrategyPaused:
    """A strategy raised or answered nonsense; it sends nothing until the next run or until people resume it."""

    VERSION: ClassVar[int] = 1
    strategy: str
    why: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run of the program on this journal's account. `run` is the epoch: one more than the last."""

    VERSION: ClassVar[int] = 1
    run: int
    tag: str
    account: str
    world: str
    real_money: bool
    code_version: str
    settings_digest: str
    seed: int


@dataclass(frozen=True, slots=True)
class StopBegan:
    """The process was asked to stop; nothing new is sent from here on."""

    VERSION: ClassVar[int] = 1
    why: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last fact of an orderly run. `clean` only if no order was in flight, unresolved or resting."""

    VERSION: ClassVar[int] = 1
    clean: bool
    in_flight: int
    resting: int
    why: str


Fact: TypeAlias = (
    SignalChanged
    | IntentRefused
    | OrderSubmitted
    | FlattenBegan
    | FlattenEnded
    | OrderAccepted
    | OrderRefused
    | AnswerLost
    | OrderOpened
    | OrderFilled
    | OrderEnded
    | OrderAmended
    | OrderAbsent
    | OrderSurprised
    | CancelRequested
    | CancelRefused
    | AccountOpened
    | ExternalOrderSeen
    | ExternalOrderGone
    | LedgerEntryBooked
    | DifferenceFound
    | DifferenceEnded
    | DifferenceAccepted
    | Reconciled
    | InstrumentAdopted
    | FeesAdopted
    | EquityMarked
    | DeadManArmed
    | DeadManFired
    | DeadManDisarmed
    | HoldBegan
    | HoldEnded
    | TradingHalted
    | TradingResumed
    | CommandAccepted
    | CommandRefused
    | StrategyPaused
    | RunStarted
    | StopBegan
    | RunEnded
)

FACT_CLASSES: tuple[type[Fact], ...] = get_args(Fact)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A fact with its place: `seq` counts through the journal's life; input `input_seq` of `run` caused it."""

    seq: int
    run: int
    at_ns: UtcNanos
    input_seq: int
    fact: Fact

    @property
    def actor(self) -> str:
        """Whose act it was, for the audit trail: a person's subject, or `system`."""
        actor = getattr(self.fact, "actor", None)
        return actor.subject if isinstance(actor, Actor) else "system"
