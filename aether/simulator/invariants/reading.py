"""The journal and the wire as the judges read them: own sums, own states, folded beside the program's own ledger."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from types import MappingProxyType

from aether.core.orders import TRANSITIONS, Event, OrderState
from aether.core.policy import Policy
from aether.domain.facts import (
    AccountOpened,
    AnswerLost,
    CancelRefused,
    CancelRequested,
    CommandAccepted,
    DifferenceAccepted,
    DifferenceEnded,
    DifferenceFound,
    EquityMarked,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    FlattenBegan,
    FlattenEnded,
    HoldBegan,
    HoldEnded,
    InstrumentAdopted,
    LedgerEntryBooked,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    OrderSurprised,
    Reconciled,
    RunEnded,
    RunStarted,
    StopBegan,
    StrategyPaused,
    TradingHalted,
    TradingResumed,
)
from aether.domain.instruments import Instrument, Side
from aether.domain.orders import VenueStatus
from aether.domain.values import MONEY, NANOS_PER_S, ZERO

EVENT_OF: Mapping[type[Fact], Event] = MappingProxyType(
    {
        OrderAccepted: Event.ACCEPTED,
        OrderOpened: Event.OPENED,
        OrderFilled: Event.FILLED,
        OrderEnded: Event.ENDED,
        OrderRefused: Event.REFUSED,
        AnswerLost: Event.ANSWER_LOST,
        OrderAbsent: Event.ABSENT,
        CancelRequested: Event.CANCEL_ASKED,
        CancelRefused: Event.CANCEL_REFUSED,
        OrderAmended: Event.AMENDED,
        OrderSurprised: Event.SURPRISED,
    }
)


@dataclass(slots=True)
class OrderStory:
    """One order as its facts tell it: `filled` and `told` in coins, the latter what its end said; `qty_most` ever.

    `at_ns` is the journal's time of the intent, `cancel_ns` the exchange's time at which its cancel was first asked.
    """

    intent: OrderSubmitted
    seq: int
    run: int
    at_ns: int
    state: OrderState = OrderState.IN_FLIGHT
    order_id: str | None = None
    filled: Decimal = ZERO
    told: Decimal | None = None
    cancel_ns: int | None = None
    was_unresolved: bool = False
    was_accepted: bool = False
    amended: OrderAmended | None = None
    qty_most: Decimal = ZERO

    @property
    def qty(self) -> Decimal:
        """Coins that it is for, as the exchange was last told to have it."""
        return self.intent.qty.coins if self.amended is None else self.amended.qty.coins

    @property
    def limit_usd(self) -> Decimal:
        """Its limit, as the exchange was last told to have it."""
        return (self.intent if self.amended is None else self.amended).limit_price.usd_per_coin

    @property
    def outstanding(self) -> Decimal:
        """Coins that may still be executed, at worst."""
        if self.state is OrderState.NEVER_LIVED:
            return ZERO
        whole = self.told if self.state is OrderState.DONE and self.told is not None else self.qty
        return max(ZERO, MONEY.subtract(whole, self.filled))

    @property
    def reserved_usd(self) -> Decimal:
        """Dollars that the outstanding part of a buy may still cost, fee included."""
        asked = self.intent
        if asked.side is Side.SELL:
            return ZERO
        promised = MONEY.multiply(MONEY.multiply(asked.reserved.amount, self.outstanding), self.limit_usd)
        return MONEY.divide(promised, asked.limit_price.times(asked.qty).amount)


@dataclass(slots=True)
class Reading:
    """All that the facts committed so far, and the requests sent so far, say together.

    `policy` is the one in force; None until the first daemon was seen. `flows` is what moved on the account and was no
    trade, by asset, and `entries` the exchange's ids of it.
    `command` is the last one taken, with its input's number. Money in the asset's own unit.
    """

    policy: Policy | None = None
    last_seq: int = 0
    run: int = 0
    stopping: bool = False
    orders: dict[str, OrderStory] = field(default_factory=dict)
    unsettled: dict[str, OrderStory] = field(default_factory=dict)
    fills: dict[str, OrderFilled] = field(default_factory=dict)
    opening: dict[str, Decimal] = field(default_factory=dict)
    opened_ns: int | None = None
    balances: dict[str, Decimal] = field(default_factory=dict)
    flows: dict[str, Decimal] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    instruments: dict[tuple[str, int], Instrument] = field(default_factory=dict)
    external: dict[str, ExternalOrderSeen] = field(default_factory=dict)
    halts: dict[tuple[str, str], TradingHalted] = field(default_factory=dict)
    holds: dict[tuple[str, str], HoldBegan] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    flattening: set[str] = field(default_factory=set)
    differences: dict[str, DifferenceFound] = field(default_factory=dict)
    mark: EquityMarked | None = None
    submitted_ns: list[int] = field(default_factory=list)
    adds: Counter[str] = field(default_factory=Counter)
    latched: frozenset[tuple[str, str]] = frozenset()
    command: tuple[int, CommandAccepted] | None = None

    # --- questions --------------------------------------------------------------------------------------------------

    @property
    def reserved_usd(self) -> Decimal:
        """Dollars of every buy that may still fill."""
        return _sum(story.reserved_usd for story in self.unsettled.values())

    def promised(self, symbol: str, side: Side, strategy: str | None = None) -> Decimal:
        """Coins of every order of this side that may still fill; of all strategies unless one is named."""
        return _sum(
            story.outstanding
            for story in self.unsettled.values()
            if story.intent.symbol == symbol and story.intent.side is side and strategy in (None, story.intent.strategy)
        )

    def submitted_since(self, at_ns: int, seconds: int) -> int:
        """Intents of the last so many seconds, by the journal's own times."""
        return bisect_right(self.submitted_ns, at_ns) - bisect_right(self.submitted_ns, at_ns - seconds * NANOS_PER_S)

    def is_sold_by_people(self, intent: OrderSubmitted) -> bool:
        """It lowers risk because a person asked for that, and no halt has been given since: that ends the sale."""
        scopes = scopes_over(str(intent.symbol), intent.strategy)
        return intent.is_exit and intent.side is Side.SELL and any(scope in self.flattening for scope in scopes)

    def against(self, intent: OrderSubmitted) -> list[str]:
        """All that forbids this order, by the facts."""
        scopes = scopes_over(str(intent.symbol), intent.strategy)
        found: list[str] = []
        if not self.is_sold_by_people(intent):
            found += [f"halt {code} of {scope}" for scope, code in self.halts if scope in scopes]
            found += ["strategy paused"] if intent.strategy in self.paused else []
        found += [f"hold {cause} of {scope}" for cause, scope in self.holds if scope in scopes]
        found += [f"difference of {asset}" for asset in self.differences]
        return found + (["stopping"] if self.stopping else [])

    # --- folding ----------------------------------------------------------------------------------------------------

    def take(self, numbered: Numbered, now_ns: int) -> None:
        """Fold one committed fact, seen at this time of the exchange.

        A move that the table lacks leaves the state as it was: S9 has told it.
        """
        self.last_seq = numbered.seq
        fact, at_ns = numbered.fact, numbered.at_ns
        match fact:
            case OrderSubmitted():
                story = OrderStory(fact, numbered.seq, numbered.run, at_ns)
                self.orders[fact.cl_ord_id] = self.unsettled[fact.cl_ord_id] = story
                insort(self.submitted_ns, at_ns)
            case OrderFilled():
                self._fill(fact)
            case InstrumentAdopted(instrument=instrument):
                self.instruments[instrument.symbol, instrument.version] = instrument
            case EquityMarked():
                self.mark = fact
            case _:
                self._take_account(fact)
                self._take_run(fact, numbered.input_seq)
        if type(fact) in EVENT_OF:
            self._move(fact, now_ns)

    def _move(self, fact: Fact, now_ns: int) -> None:
        story = self.orders.get(getattr(fact, "cl_ord_id", None) or "")
        if story is None:
            return
        event = EVENT_OF[type(fact)]
        story.state = TRANSITIONS[story.state].get(event, story.state)
        story.order_id = getattr(fact, "order_id", None) or story.order_id
        story.was_unresolved = story.was_unresolved or isinstance(fact, AnswerLost)
        story.was_accepted = story.was_accepted or isinstance(fact, OrderAccepted)
        if isinstance(fact, OrderAmended):
            story.amended, story.qty_most = fact, max(story.qty_most, story.qty, fact.qty.coins)
        if isinstance(fact, CancelRequested):
            story.cancel_ns = story.cancel_ns or now_ns
        if isinstance(fact, OrderEnded):
            told = None if fact.cum_qty is None else fact.cum_qty.coins
            story.told = max(told or ZERO, story.qty) if fact.status is VenueStatus.FILLED else told
        if story.outstanding or story.state not in (OrderState.DONE, OrderState.NEVER_LIVED):
            self.unsettled[story.intent.cl_ord_id] = story
        else:
            self.unsettled.pop(story.intent.cl_ord_id, None)

    def _end_sales(self, scope: str) -> None:
        """What people do where a sale of theirs goes on ends it, whether or not the daemon says so."""
        self.flattening -= {sold for sold in self.flattening if _may_meet(sold, scope)}

    def _fill(self, fill: OrderFilled) -> None:
        if fill.exec_id in self.fills:
            return
        self.fills[fill.exec_id] = fill
        story = self.orders.get(fill.cl_ord_id or "")
        if story is not None:
            story.filled = MONEY.add(story.filled, fill.qty.coins)
        moved = moved_by(fill)
        for asset, amount in moved.items():
            _add(self.balances, asset, amount)
        if fill.symbol is not None:
            key = fill.strategy or "external", str(fill.symbol)
            self.positions[key] = MONEY.add(self.positions.get(key, ZERO), moved[fill.symbol.partition("/")[0]])

    def _take_account(self, fact: Fact) -> None:
        match fact:
            case AccountOpened(balances=balances, as_of_ns=as_of_ns):
                self.opening = {balance.asset: balance.total for balance in balances}
                self.balances, self.opened_ns = dict(self.opening), as_of_ns
            case DifferenceAccepted(asset=asset, amount=amount):
                _add(self.balances, asset, amount)
                _add(self.flows, asset, amount)
                self.differences.pop(asset, None)
            case LedgerEntryBooked(entry_id=entry_id, asset=asset, moved=moved):
                self.entries.add(entry_id)
                _add(self.balances, asset, moved)
                _add(self.flows, asset, moved)
            case DifferenceFound(asset=asset):
                self.differences[asset] = fact
            case DifferenceEnded(asset=asset):
                self.differences.pop(asset, None)
            case Reconciled():
                self.differences.clear()
            case ExternalOrderSeen(order_id=order_id):
                self.external[order_id] = fact
            case ExternalOrderGone(order_id=order_id):
                self.external.pop(order_id, None)
            case _:
                pass

    def _take_run(self, fact: Fact, input_seq: int) -> None:
        match fact:
            case RunStarted(run=run):
                self.run, self.stopping = run, False
                self.holds.clear()
                self.paused.clear()
            case StopBegan() | RunEnded():
                self.stopping = True
            case HoldBegan(cause=cause, scope=scope):
                self.holds[cause, scope] = fact
            case HoldEnded(cause=cause, scope=scope):
                self.holds.pop((cause, scope), None)
            case TradingHalted(scope=scope, code=code):
                self.halts[scope, code] = fact
                if code == "halt_operator":
                    self._end_sales(scope)
            case TradingResumed(scope=scope):
                self._end_sales(scope)
                self.halts = {key: halt for key, halt in self.halts.items() if key[0] != scope}
                self.paused.discard(scope.removeprefix("strategy:"))
            case FlattenBegan(scope=scope):
                self.flattening.add(scope)
            case FlattenEnded(scope=scope):
                self.flattening.discard(scope)
            case StrategyPaused(strategy=strategy):
                self.paused.add(strategy)
            case CommandAccepted():
                self.command = input_seq, fact
            case _:
                pass


def _may_meet(one: str, other: str) -> bool:
    """Whether an order may be in both scopes: in two of one sort only where they are the same."""
    return "all" in (one, other) or one == other or one.partition(":")[0] != other.partition(":")[0]


def scopes_over(symbol: str, strategy: str) -> tuple[str, str, str]:
    """Scopes whose halt or hold stops this strategy on this symbol."""
    return "all", f"symbol:{symbol}", f"strategy:{strategy}"


def moved_by(fill: OrderFilled) -> dict[str, Decimal]:
    """What a fill moves on the account, by asset: coins one way, money the other, and each fee out."""
    base, slash, quote = (fill.symbol or fill.name).partition("/")
    if not slash:
        return {}  # a pair without a known name moves nothing that could be named
    sign = Decimal(1 if fill.side is Side.BUY else -1)
    moved = {base: MONEY.multiply(sign, fill.qty.coins), quote: MONEY.multiply(-sign, fill.cost.amount)}
    for fee in fill.fees:
        _add(moved, fee.asset, fee.amount.copy_negate())
    return moved


def _add(sums: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    sums[asset] = MONEY.add(sums.get(asset, ZERO), amount)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return reduce(MONEY.add, amounts, ZERO)
