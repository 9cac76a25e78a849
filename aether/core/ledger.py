"""Durable truth, folded from facts: orders, positions, halts, holds, marks. The same facts fold to the same ledger."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from aether.core.order_ids import OwnIds
from aether.core.orders import Order, OrderState
from aether.core.portfolio import Portfolio
from aether.domain.entries import Nature
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AccountOpened,
    AnswerLost,
    CancelRefused,
    CancelRequested,
    DeadManArmed,
    DeadManDisarmed,
    DeadManFired,
    DifferenceAccepted,
    DifferenceEnded,
    DifferenceFound,
    EquityMarked,
    ExternalOrderGone,
    ExternalOrderSeen,
    FeesAdopted,
    FlattenBegan,
    FlattenEnded,
    HoldBegan,
    HoldEnded,
    InstrumentAdopted,
    IntentRefused,
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
    SignalChanged,
    StopBegan,
    StrategyPaused,
    TradingHalted,
    TradingResumed,
)
from aether.domain.instruments import Instrument, Side
from aether.domain.values import MONEY, NANOS_PER_S, NO_USD, ZERO, Symbol, Usd

SETTLED_ORDERS_KEPT = 2_000
DEADLINE_NS_MAX = 60 * NANOS_PER_S  # Kraken docs, add_order: no deadline lies further ahead
_DAY_NS = 86_400 * NANOS_PER_S
# Executions are kept by id for longer than any look at the account reaches back. What is older than that, and was there
# when journal and venue agreed, is booked: a view that tells it once more tells nothing new.
EXECUTIONS_KEPT_NS = 2 * _DAY_NS
_EXECUTIONS_SWEPT_NS = 3_600 * NANOS_PER_S


class Ledger:
    """What a power cut cannot undo. `fold` is the only door; everything else here answers questions."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.started: RunStarted | None = None
        self.is_stopping = False
        self.has_ended = False
        self.account_as_of_ns: int | None = None
        self.reconciled_ns: int | None = None
        self.heard_ns = 0  # newest of the venue's time that any fact on the account tells
        self.certain_ns: int | None = None  # venue time up to which nothing is missing: heard before an agreement
        self.orders: dict[str, Order] = {}
        self.unsettled: dict[str, Order] = {}  # the few that still matter to risk
        self.own_ids = OwnIds()
        self.began_ns = 0  # the present run
        self.resumed_ns_of: dict[str, int] = {}  # by scope
        self.resumed_ns = 0  # people last let all trading go on: they know of what was there
        self.cl_ord_id_of: dict[str, str] = {}
        self.settled: deque[str] = deque()
        self.exec_ids: dict[str, int] = {}  # counted executions, and the venue's time of each
        self.booked_until_ns = 0  # every execution before that is counted, though its id is kept no longer
        self.fills: deque[OrderFilled] = deque(maxlen=500)
        self.untied: dict[
            str, OrderFilled
        ] = {}  # since the account agreed last: the venue's ledger may say more of them
        self.entry_ids: dict[str, int] = {}  # as of executions
        self.entries: deque[LedgerEntryBooked] = deque(maxlen=500)
        self.flows: dict[str, Decimal] = {}  # coins and dollars moved since the last mark, which does not know of them
        self.portfolio = Portfolio()
        self.instruments: dict[Symbol, Instrument] = {}
        self.fees: dict[Symbol, FeesAdopted] = {}
        self.signals: dict[tuple[str, Symbol], SignalChanged] = {}
        self.refusals: dict[tuple[str, Symbol, Side], IntentRefused] = {}
        self.recent_refusals: deque[IntentRefused] = deque(maxlen=200)
        self.halts: dict[tuple[str, str], TradingHalted] = {}  # by scope and code: each reason stands beside the others
        self.holds: dict[tuple[str, str], HoldBegan] = {}
        self.paused: dict[str, StrategyPaused] = {}
        self.flattening: dict[str, tuple[FlattenBegan, int]] = {}  # by scope, with when it began
        self.external_orders: dict[str, ExternalOrderSeen] = {}
        self.differences: tuple[DifferenceFound, ...] = ()
        self.mark: EquityMarked | None = None
        self.dead_man: DeadManArmed | None = None  # outlasts runs: the venue does not forget it either
        self.sent_ns: list[int] = []  # of the last day, ascending also where the clock was set back over a restart
        self.last_sent_ns: dict[tuple[str, Symbol], int] = {}

    # --- questions --------------------------------------------------------------------------------------------

    @property
    def next_seq(self) -> int:
        """Number of the next fact."""
        return self.last_seq + 1

    @property
    def run(self) -> int:
        """The present run; 0 before the first."""
        return self.started.run if self.started else 0

    @property
    def tag(self) -> str:
        """The mark of this journal in its client order ids."""
        return self.started.tag if self.started else ""

    def next_cl_ord_id(self) -> str:
        """Made of run and fact number: the same on every replay, never used twice (see `order_ids`)."""
        return self.own_ids.make(self.run, self.next_seq)

    def halts_of(self, *scopes: str) -> tuple[TradingHalted, ...]:
        """Halts in force in any of these scopes, oldest first."""
        return tuple(halt for halt in self.halts.values() if halt.scope in scopes)

    @property
    def halted_scopes(self) -> tuple[str, ...]:
        """Scopes that are halted, for one reason or several."""
        return tuple(dict.fromkeys(scope for scope, _ in self.halts))

    def order(self, cl_ord_id: str | None, order_id: str | None = None) -> Order | None:
        """An order of ours by either name; None where the venue's name shows that it is another one."""
        name = cl_ord_id if cl_ord_id in self.orders else self.cl_ord_id_of.get(order_id or "")
        order = self.orders.get(name or "")
        is_twin = order is not None and None not in (order.order_id, order_id) and order.order_id != order_id
        return None if is_twin else order

    def working(self, strategy: str, symbol: Symbol) -> Order | None:
        """The unsettled order of a strategy on a symbol, if there is one. Only one that came back makes a second."""
        for order in self.unsettled.values():
            if order.symbol == symbol and order.submitted.strategy == strategy:
                return order
        return None

    def unresolved_on(self, symbol: Symbol) -> Order | None:
        """An order on this symbol whose outcome is unknown."""
        for order in self.unsettled.values():
            if order.symbol == symbol and order.state is OrderState.UNRESOLVED:
                return order
        return None

    def asked_since(self, at_ns: int) -> Iterator[Order]:
        """Orders submitted at that time or later, newest first; those long settled are forgotten."""
        for order in reversed(self.orders.values()):
            if order.submitted_ns < at_ns:
                break
            yield order

    @property
    def reserved_usd(self) -> Usd:
        """Dollars that buys in flight, open or unresolved may still cost."""
        return sum((order.reserved_usd for order in self.unsettled.values()), NO_USD)

    def sent_since(self, at_ns: int, seconds: int) -> int:
        """Orders submitted in the last so many seconds."""
        return bisect_right(self.sent_ns, at_ns) - bisect_right(self.sent_ns, at_ns - seconds * NANOS_PER_S)

    # --- the fold ---------------------------------------------------------------------------------------------

    def fold(self, numbered: Numbered) -> None:
        """Take one fact. Raises InvariantBroken where its number does not follow, ImpossibleTransition as the table."""
        if numbered.seq != self.next_seq:
            raise InvariantBroken(f"fact {numbered.seq} does not follow {self.last_seq}")
        self.last_seq = numbered.seq
        fact, at_ns = numbered.fact, numbered.at_ns
        match fact:
            case OrderSubmitted():
                self._submit(fact, at_ns)
            case OrderFilled():
                self._fill(fact, at_ns)
            case (
                OrderAccepted()
                | OrderOpened()
                | OrderEnded()
                | OrderAmended()
                | OrderRefused()
                | AnswerLost()
                | OrderAbsent()
                | OrderSurprised()
                | CancelRequested()
                | CancelRefused()
            ):
                self._put(self.orders[fact.cl_ord_id].after(fact, at_ns))
            case SignalChanged():
                self.signals[fact.strategy, fact.symbol] = fact
                for side in Side:
                    self.refusals.pop((fact.strategy, fact.symbol, side), None)
            case IntentRefused():
                self.refusals[fact.strategy, fact.symbol, fact.side] = fact
                self.recent_refusals.append(fact)
            case InstrumentAdopted(instrument=instrument):
                self.instruments[instrument.symbol] = instrument
            case FeesAdopted():
                self.fees[fact.symbol] = fact
            case LedgerEntryBooked():
                self._book_entry(fact)
            case EquityMarked():
                self.mark = fact
                self.flows.clear()
            case _:
                self._fold_state(fact, at_ns)

    def _fold_state(self, fact: object, at_ns: int) -> None:
        match fact:
            case AccountOpened():
                self.account_as_of_ns = self.heard_ns = self.certain_ns = fact.as_of_ns
                self.portfolio.open_with(fact.balances)
            case ExternalOrderSeen():
                self.external_orders[fact.order_id] = fact
            case ExternalOrderGone():
                self.external_orders.pop(fact.order_id, None)
            case DifferenceFound() | DifferenceEnded() | DifferenceAccepted():
                self._fold_difference(fact)
            case Reconciled():
                self.differences = ()
                self.untied.clear()
                self.reconciled_ns = at_ns
                self.certain_ns = min(self.heard_ns, at_ns) or None
                # By the venue's time: a clock of ours that runs ahead would have fills of tomorrow taken for booked.
                self._forget_executions((self.certain_ns or 0) - EXECUTIONS_KEPT_NS)
            case RunStarted():
                self.started, self.is_stopping, self.has_ended = fact, False, False
                self.began_ns = at_ns
                self.own_ids.begin_run(fact.run, fact.tag, at_ns)
                self.holds.clear()
                self.paused.clear()
            case StopBegan():
                self.is_stopping = True
            case RunEnded():
                self.has_ended = True
            case _:
                self._fold_stop(fact, at_ns)

    def _fold_stop(self, fact: object, at_ns: int) -> None:
        match fact:
            case HoldBegan():
                self.holds[fact.cause, fact.scope] = fact
            case HoldEnded():
                self.holds.pop((fact.cause, fact.scope), None)
            case TradingHalted():
                self.halts.setdefault((fact.scope, fact.code), fact)
            case TradingResumed():
                self._resume(fact, at_ns)
            case StrategyPaused():
                self.paused[fact.strategy] = fact
            case FlattenBegan():
                self.flattening[fact.scope] = fact, at_ns
            case FlattenEnded():
                self.flattening.pop(fact.scope, None)
            case DeadManArmed() | DeadManFired() | DeadManDisarmed():
                self.dead_man = fact if isinstance(fact, DeadManArmed) else None
            case _:  # commands are told by the facts they cause
                pass

    def _resume(self, fact: TradingResumed, at_ns: int) -> None:
        for halt in self.halts_of(fact.scope):
            del self.halts[halt.scope, halt.code]
        self.paused.pop(fact.scope.removeprefix("strategy:"), None)
        self.resumed_ns_of[fact.scope] = at_ns
        if fact.scope == "all":
            self.resumed_ns = at_ns

    def _fold_difference(self, fact: DifferenceFound | DifferenceEnded | DifferenceAccepted) -> None:
        others = tuple(difference for difference in self.differences if difference.asset != fact.asset)
        self.differences = (*others, fact) if isinstance(fact, DifferenceFound) else others
        if isinstance(fact, DifferenceAccepted):
            self.portfolio.accept(fact)
            self._flow(fact.asset, fact.amount)

    def _book_entry(self, fact: LedgerEntryBooked) -> None:
        if fact.entry_id in self.entry_ids:
            raise InvariantBroken(f"ledger row {fact.entry_id} counted twice")
        self.entry_ids[fact.entry_id] = fact.venue_ns
        self.entries.append(fact)
        self.heard_ns = max(self.heard_ns, fact.venue_ns)
        self.portfolio.book_entry(fact)
        if fact.nature is Nature.MOVED:
            self._flow(fact.asset, fact.moved)

    def _flow(self, asset: str, amount: Decimal) -> None:
        """Coins in a wallet are worth what the coin is: what goes from one to another is no flow."""
        coin = asset.partition(".")[0]
        self.flows[coin] = MONEY.add(self.flows.get(coin, ZERO), amount)
        if not self.flows[coin]:
            del self.flows[coin]

    def _submit(self, fact: OrderSubmitted, at_ns: int) -> None:
        self.own_ids.add(fact.cl_ord_id, at_ns)
        self._put(Order(fact, at_ns))
        self.heard_ns = max(self.heard_ns, fact.deadline_ns - DEADLINE_NS_MAX)  # orders are sent by a compared clock
        self.refusals.pop((fact.strategy, fact.symbol, fact.side), None)
        self.last_sent_ns[fact.strategy, fact.symbol] = at_ns
        insort(self.sent_ns, at_ns)
        del self.sent_ns[: bisect_right(self.sent_ns, at_ns - _DAY_NS)]

    def _fill(self, fact: OrderFilled, at_ns: int) -> None:
        if fact.exec_id in self.exec_ids:
            raise InvariantBroken(f"execution {fact.exec_id} counted twice")
        self.exec_ids[fact.exec_id] = fact.venue_ns
        self.fills.append(fact)
        self.untied[fact.exec_id] = fact
        self.heard_ns = max(self.heard_ns, fact.venue_ns)
        self.portfolio.book(fact)
        if fact.cl_ord_id is not None:
            self._put(self.orders[fact.cl_ord_id].after(fact, at_ns))

    def _forget_executions(self, until_ns: int) -> None:
        """Journal and venue agree, so all that is older is booked: its ids need not be kept to know it."""
        if until_ns - self.booked_until_ns >= _EXECUTIONS_SWEPT_NS:
            self.booked_until_ns = until_ns
            self.exec_ids = {exec_id: at_ns for exec_id, at_ns in self.exec_ids.items() if at_ns > until_ns}
            self.entry_ids = {entry_id: at_ns for entry_id, at_ns in self.entry_ids.items() if at_ns > until_ns}

    def _put(self, order: Order) -> None:
        name = order.cl_ord_id
        was_settled = name in self.orders and self.orders[name].is_settled
        self.orders[name] = order
        if order.order_id:
            self.cl_ord_id_of[order.order_id] = name
        if not order.is_settled:
            self.unsettled[name] = order
            if was_settled:  # it was believed never to have lived, and does
                self.settled.remove(name)
        elif not was_settled:
            self.unsettled.pop(name, None)
            self.settled.append(name)
            if len(self.settled) > SETTLED_ORDERS_KEPT:
                gone = self.orders.pop(self.settled.popleft())
                self.cl_ord_id_of.pop(gone.order_id or "", None)
