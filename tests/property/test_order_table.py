"""The order table under any sequence of reports, against a model that knows nothing but sets and sums."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aether.core.ledger import Ledger
from aether.core.orders import Event, Order, OrderState
from aether.core.reconcile import amended_fact, fill_fact, order_fact
from aether.domain.facts import (
    AnswerLost,
    CancelRequested,
    CostEstimate,
    Decision,
    Fact,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderRefused,
    OrderSubmitted,
    OrderSurprised,
    QuoteSeen,
)
from aether.domain.instruments import Side
from aether.domain.orders import Execution, Liquidity, OrderReport, OrderType, TimeInForce, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NO_USD, Bps, Price, Qty, Usd, UtcNanos

D = Decimal
SYMBOL = recall("BTC/USD")
NAME, ORDER_ID = "aeabcd00010000001", "O-1"
ASKED, RESERVED = D(10), D(1004)
PRICE = Price(D(100))
LIVING = [VenueStatus.PENDING, VenueStatus.NEW, VenueStatus.PARTIALLY_FILLED, VenueStatus.UNKNOWN]
DECISION = Decision(
    wanted=Usd(D(1000)),
    equity=Usd(D(10_000)),
    cash_free=Usd(D(10_000)),
    position=NO_USD,
    volatility_bps=Bps(400),
    volatility_used_bps=Bps(400),
    regime="calm",
    regime_percent=100,
    quote=QuoteSeen(PRICE, PRICE, 0, None),
    costs=CostEstimate(D(1), D(0), D(0), D(0), D(0)),
    allowances=(),
    binding="wanted",
    instrument_version=1,
)
SUBMITTED = OrderSubmitted(
    intent_id="i1-1",
    cl_ord_id=NAME,
    strategy="trend",
    symbol=SYMBOL,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=False,
    qty=Qty(ASKED),
    limit_price=PRICE,
    reserved=Usd(RESERVED),
    deadline_ns=UtcNanos(5),
    decision=DECISION,
)
REPORT = OrderReport(ORDER_ID, NAME, "BTC/USD", SYMBOL, Side.BUY, Qty(ASKED), PRICE, VenueStatus.NEW, None, "", 0)


class AnyOrderOfNews(RuleBasedStateMachine):
    """Accepts, reports, fills, refusals and doubts of one order, in any order and any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.fills: dict[str, Decimal] = {}
        self.told_total: Decimal | None = None
        self.asked, self.price = ASKED, PRICE
        self.states = [OrderState.IN_FLIGHT]
        self.fold(SUBMITTED)

    @property
    def order(self) -> Order:
        return self.ledger.orders[NAME]

    def fold(self, fact: Fact) -> None:
        self.ledger.fold(Numbered(self.ledger.next_seq, 1, UtcNanos(self.ledger.next_seq), 1, fact))
        self.states.append(self.order.state)

    def fold_if_allowed(self, event: Event, fact: Fact) -> None:
        if self.order.allows(event):
            self.fold(fact)

    @rule(number=st.integers(1, 6), coins=st.sampled_from(["1", "2.5", "4"]), by_name=st.booleans())
    def a_fill_is_told(self, number: int, coins: str, *, by_name: bool) -> None:
        exec_id = f"T{number}"
        told = Execution(
            exec_id=exec_id,
            order_id=ORDER_ID,
            cl_ord_id=NAME if by_name or self.order.order_id is None else None,
            name="BTC/USD",
            symbol=SYMBOL,
            side=Side.BUY,
            qty=Qty(D(coins)),
            price=PRICE,
            cost=PRICE.times(Qty(D(coins))),
            fees=(),
            liquidity=Liquidity.TAKER,
            venue_ns=1,
        )
        fact = fill_fact(self.ledger, told, "executions")
        assert (fact is None) == (exec_id in self.fills)
        if fact is not None:
            self.fold(fact)
            self.fills[exec_id] = D(coins)

    @rule(status=st.sampled_from(LIVING))
    def a_living_order_is_reported(self, status: VenueStatus) -> None:
        before = self.order
        fact = order_fact(self.ledger, replace(REPORT, status=status), "executions")
        if fact is not None:
            self.fold(fact)
        if isinstance(fact, OrderSurprised):
            assert self.order == before

    @rule(
        status=st.sampled_from([status for status in VenueStatus if status.is_terminal]),
        total=st.sampled_from([None, "0", "2.5", "10"]),
    )
    def an_end_is_reported(self, status: VenueStatus, total: str | None) -> None:
        is_told = self.order.state is OrderState.DONE and self.told_total is not None
        cum_qty = None if total is None else Qty(D(total))
        fact = order_fact(self.ledger, replace(REPORT, status=status, cum_qty=cum_qty), "closed")
        if is_told:
            assert fact is None
        if fact is not None:
            self.fold(fact)
        if fact is not None and not isinstance(fact, OrderSurprised):
            self.told_total = None if total is None else D(total)
            if status is VenueStatus.FILLED:
                self.told_total = max(D(total or 0), self.asked)

    @rule(qty=st.sampled_from(["4", "10", "12.5"]), price=st.sampled_from(["99", "100", "101"]))
    def its_terms_are_reported(self, qty: str, price: str) -> None:
        is_settled = self.order.state is OrderState.DONE and self.order.is_settled
        told = replace(REPORT, qty=Qty(D(qty)), limit_price=Price(D(price)))
        fact = amended_fact(self.ledger, told, "executions")
        is_news = (D(qty), Price(D(price))) != (self.asked, self.price)
        assert (fact is not None) == (is_news and not is_settled)
        if isinstance(fact, OrderAmended):
            self.fold(fact)
            self.asked, self.price = D(qty), Price(D(price))

    @rule()
    def it_is_accepted(self) -> None:
        self.fold_if_allowed(Event.ACCEPTED, OrderAccepted(NAME, ORDER_ID))

    @rule()
    def its_answer_is_lost(self) -> None:
        self.fold_if_allowed(Event.ANSWER_LOST, AnswerLost(NAME, "timeout"))

    @rule()
    def it_is_refused(self) -> None:
        self.fold_if_allowed(Event.REFUSED, OrderRefused(NAME, "venue_other", "E"))

    @rule()
    def it_is_absent(self) -> None:
        self.fold_if_allowed(Event.ABSENT, OrderAbsent(NAME, (), UtcNanos(1)))

    @precondition(lambda self: self.order.order_id is not None)
    @rule()
    def its_cancel_is_asked_for(self) -> None:
        self.fold(CancelRequested(NAME, "old"))

    @invariant()
    def every_fill_is_counted_once(self) -> None:
        assert self.order.filled.coins == sum(self.fills.values(), D(0))
        assert self.ledger.portfolio.position("trend", SYMBOL).qty == self.order.filled

    @invariant()
    def what_ended_never_wakes(self) -> None:
        if OrderState.DONE in self.states:
            assert set(self.states[self.states.index(OrderState.DONE) :]) == {OrderState.DONE}

    @invariant()
    def what_is_known_is_never_in_doubt_again(self) -> None:
        for known in (OrderState.OPEN, OrderState.NEVER_LIVED):
            if known in self.states:
                later = set(self.states[self.states.index(known) :])
                assert later <= {known, OrderState.OPEN, OrderState.DONE}

    @invariant()
    def the_worst_case_is_reserved_until_it_is_proven_smaller(self) -> None:
        filled = self.order.filled.coins
        is_told = self.order.state is OrderState.DONE and self.told_total is not None
        may_come = self.told_total if is_told and self.told_total is not None else self.asked
        if self.order.state is OrderState.NEVER_LIVED:
            may_come = filled
        outstanding = max(D(0), may_come - filled)
        assert self.order.outstanding.coins == outstanding
        scale = self.price.usd_per_coin / PRICE.usd_per_coin
        assert self.order.reserved_usd.amount == RESERVED * outstanding * scale / ASKED
        assert self.order.reserved_usd >= NO_USD

    @invariant()
    def it_leaves_tracking_only_with_evidence_and_all_fills_that_it_counted(self) -> None:
        may_come = self.asked if self.told_total is None else self.told_total
        has_all = self.order.state is OrderState.DONE and self.order.filled.coins >= may_come
        is_settled = has_all or self.order.state is OrderState.NEVER_LIVED
        assert (NAME not in self.ledger.unsettled) == is_settled == self.order.is_settled


TestAnyOrderOfNews = AnyOrderOfNews.TestCase
TestAnyOrderOfNews.settings = settings(stateful_step_count=25)
