"""Engines told anything that a venue, a market and people may say, in any order: what must hold whatever they say."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aether.core.engine import Engine
from aether.core.halts import reasons_against
from aether.core.ledger import Ledger
from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy, TrendParameters
from aether.core.portfolio import Portfolio
from aether.core.workbench import Step
from aether.domain.actors import Actor, Role
from aether.domain.effects import CancelOrder, SubmitOrder
from aether.domain.facts import Numbered, OrderAbsent, OrderRefused, OrderSubmitted
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    Bar,
    BookChanged,
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    CommandGiven,
    DiskGateChanged,
    FeedLost,
    FillReported,
    Halt,
    HistorySeen,
    Input,
    InstrumentSeen,
    LoopStalled,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    PrivateStreamLost,
    Resume,
    RunBegan,
    RunEnding,
    Stamped,
    StopAsked,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
    Tick,
)
from aether.domain.instruments import Instrument, PairStatus, Side
from aether.domain.orders import AssetAmount, AssetBalance, Execution, Liquidity, OrderReport, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, NO_USD, Price, Qty, Usd
from aether.journal.codec import encode

D = Decimal
BTC = recall("BTC/USD")
T0 = 1_767_268_800 * NANOS_PER_S
OPERATOR = Actor("uid:1000", Role.OPERATOR)
FLOOR = Usd(D(100))

LIMITS = RiskLimits(
    Usd(D(3000)), 5000, 9000, FLOOR, 5000, 8000, 5000, 9000, 500, 500, 60_000, 600, 50, 5000, 0, 0, 1000, 600
)
SIZING = SizingPolicy(1000, 150, 5, 20, (Regime("calm", 0, 100), Regime("storm", 200, 25)), 2, 40, 1500, Usd(D(50)))
ORDERS = OrderPolicy(5000, 30, 5, 60, 1000, 60, 10, 5000, cancel_on_stop=True)
TRENDS = tuple(TrendParameters(name, (BTC,), 60, 2, 4, 50, 2500, 100, name == "make") for name in ("take", "make"))
POLICY = Policy(LIMITS, SIZING, ORDERS, TRENDS)
BTC_RULES = Instrument(BTC, "BTC", D("0.1"), D("0.0001"), 1, 4, 5, Qty(D("0.001")), Usd(D("0.5")), PairStatus.ONLINE)


class Script:
    """Turns drawn numbers into inputs that fit what the engine has done so far, and keeps them."""

    def __init__(self) -> None:
        self.engine = Engine(POLICY, Ledger())
        self.at_ns = T0
        self.inputs: list[Stamped] = []
        self.steps: list[Step] = []
        self.doubted: set[str] = set()  # believed never to have lived, which the script may disprove

    def tell(self, told: Input) -> Step:
        stamped = Stamped(len(self.inputs) + 1, self.at_ns, told)
        self.inputs.append(stamped)
        step = self.engine.take(stamped)
        self.steps.append(step)
        for fact in (numbered.fact for numbered in step.facts):
            if isinstance(fact, OrderRefused | OrderAbsent):
                self.doubted.add(fact.cl_ord_id)
        return step

    @property
    def facts(self) -> list[Numbered]:
        return [numbered for step in self.steps for numbered in step.facts]

    @property
    def names(self) -> list[str]:
        return list(self.engine.ledger.orders)

    def began(self, run: int) -> RunBegan:
        return RunBegan(run, "abcd", "a-1", "sandbox", False, "0.1.0", "d", 1, crash_loop=False)  # noqa: FBT003

    def start(self) -> None:
        heard = (ClockMeasured(0, 0), SystemStatusSeen("online"), InstrumentSeen(BTC_RULES), self.history(1))
        told = (*heard, PrivateStreamLive(1), self.account(0))
        for item in (self.began(1), *told, self.book(0), Tick()):
            self.tell(item)

    def book(self, number: int) -> BookChanged:
        middle = 1000 + number % 21 - 10
        width = 1 - number // 21 % 3  # now and then locked, now and then crossed
        return BookChanged(BTC, ((middle - width, 10**6),), ((middle, 10**6),), 1, 4)

    def history(self, number: int) -> HistorySeen:
        step = D("1.01") if number % 2 else D("0.99")
        first_s = self.at_ns // NANOS_PER_S // 60 * 60 - 60 * 40
        closes = [D(100) * step ** (place - 39) for place in range(40)]
        return HistorySeen(BTC, 60, tuple(Bar(first_s + 60 * n, x, x, x, x, D(1)) for n, x in enumerate(closes)))

    def account(self, number: int) -> AccountSeen:
        """Mostly what the ledger expects; now and then something else, or not all of it."""
        totals = dict(self.engine.ledger.portfolio.balances) or {"USD": D(10_000), "BTC": D(0)}
        if number % 11 == 10:
            totals["USD"] += 1
        views = ("balances", "executions", "open", "closed", "trades")
        reports = tuple(self.report(number // 4, name) for name in self.names[-2:]) if number % 4 == 1 else ()
        return AccountSeen(
            asked_ns=self.at_ns,
            answered_ns=self.at_ns,
            since_ns=T0 - 10**12,
            views=views[: 5 - (number % 7 == 6)],
            balances=tuple(AssetBalance(asset, total, D(0)) for asset, total in totals.items()),
            open_orders=tuple(report for report in reports if not report.status.is_terminal),
            closed_orders=tuple(report for report in reports if report.status.is_terminal),
            fills=(self.execution(number // 5),) if number % 5 == 1 else (),
            live_cl_ord_ids=(),
        )

    def order_of(self, number: int) -> Any:
        names = self.names[-3:]
        return self.engine.ledger.orders[names[number % len(names)]] if names else None

    def execution(self, number: int) -> Execution:
        """A fill of one of the last orders, inside what was asked but now and then; or of a person's."""
        order = self.order_of(number) if number % 6 else None
        side = order.side if order else Side.BUY
        price = order.submitted.limit_price if order else Price(D(100))
        whole = order.submitted.qty.less(order.filled) if order else Qty(D(1))
        qty = Qty(max(D("0.0001"), (whole.coins / (1 + number % 3)).quantize(D("0.0001"))))
        return Execution(
            exec_id=f"T{number % 40}",
            order_id=f"O-{order.cl_ord_id}" if order else "O-HUMAN",
            cl_ord_id=order.cl_ord_id if order and number % 2 else None,
            name="BTC/USD",
            symbol=BTC,
            side=side,
            qty=qty,
            price=price,
            cost=price.times(qty),
            fees=(AssetAmount("USD", price.times(qty).scaled(D("0.004")).amount),),
            liquidity=Liquidity.TAKER,
            venue_ns=self.at_ns + 1,
        )

    def report(self, number: int, name: str | None = None) -> OrderReport:
        order = self.engine.ledger.orders[name] if name else self.order_of(number)
        status = list(VenueStatus)[number % len(VenueStatus)]
        total = (None, Qty(D(0)), order.filled, order.submitted.qty)[number % 4] if order else None
        name = order.cl_ord_id if order and number % 5 else None
        order_id = f"O-{order.cl_ord_id}" if order else "O-HUMAN"
        return OrderReport(order_id, name, "BTC/USD", BTC, Side.BUY, Qty(D(1)), None, status, total, "", self.at_ns)

    def answer(self, number: int) -> Input:
        order = self.order_of(number)
        if order is None:
            return Tick()
        name = order.cl_ord_id
        answers: tuple[Input, ...] = (
            SubmitAccepted(name, f"O-{name}"),
            SubmitRefused(name, "venue_other", "E"),
            SubmitUnknown(name, "timeout"),
            CancelAnswered(name, done=False, text="EOrder:Unknown order"),
            CancelAnswered(name, done=True, text=""),
        )
        return answers[number % len(answers)]

    def trouble(self, number: int) -> Input:
        troubles: tuple[Input, ...] = (
            FeedLost(BTC, "checksum"),
            PrivateStreamLost("gap"),
            PrivateStreamLive(2),
            PrivateMalformed("not JSON"),
            AccountUnavailable("503"),
            SystemStatusSeen("maintenance"),
            SystemStatusSeen("online"),
            ClockMeasured(6 * NANOS_PER_S, 0),
            ClockMeasured(10**6, 10**6),
            DiskGateChanged(is_open=False, free_bytes=1),
            DiskGateChanged(is_open=True, free_bytes=10**9),
            LoopStalled(3 * NANOS_PER_S),
            InstrumentSeen(BTC_RULES),
        )
        return troubles[number % len(troubles)]

    def person(self, number: int) -> Input:
        scope = ("all", "symbol:BTC/USD", "strategy:take")[number % 3]
        commands = (Halt(scope, "look"), Resume(scope, "fine"), Resume("all", "fine"), CancelEverything("out"))
        return CommandGiven(f"r{number}", OPERATOR, commands[number // 3 % len(commands)])


MOVES: tuple[Callable[[Script, int], Input], ...] = (
    lambda script, number: script.book(number),
    lambda script, number: Tick(),
    lambda script, number: script.history(number),
    lambda script, number: script.answer(number),
    lambda script, number: script.answer(number),
    lambda script, number: FillReported(script.execution(number), "executions"),
    lambda script, number: OrderReported(script.report(number), "executions"),
    lambda script, number: script.account(number),
    lambda script, number: script.account(0),
    lambda script, number: script.trouble(number),
    lambda script, number: script.person(number),
)

scripts = st.lists(
    st.tuples(st.integers(0, len(MOVES) - 1), st.integers(0, 500), st.sampled_from([0, 1, 6, 70])), max_size=120
)
Moves = list[tuple[int, int, int]]


def played(moves: Moves, after_each: Callable[[Script, Step], None] = lambda script, step: None) -> Script:
    script = Script()
    script.start()
    for move, number, after_s in moves:
        script.at_ns += after_s * NANOS_PER_S
        after_each(script, script.tell(MOVES[move](script, number)))
    return script


def contents(ledger: Ledger) -> dict[str, Any]:
    held = dict(vars(ledger))
    portfolio: Portfolio = held.pop("portfolio")
    return {**held, "balances": portfolio.balances, "positions": portfolio.positions}


def assert_safe(script: Script, step: Step) -> None:
    """What must hold of every order that leaves and of the books after every input."""
    ledger = script.engine.ledger
    sent = [effect for effect in step.effects if isinstance(effect, SubmitOrder)]
    written = [numbered.fact for numbered in step.facts if isinstance(numbered.fact, OrderSubmitted)]
    assert [order.cl_ord_id for order in sent] == [fact.cl_ord_id for fact in written]
    for fact in written:
        assert not list(reasons_against(ledger, fact.symbol, fact.strategy))
        assert ledger.unresolved_on(fact.symbol) is None
        assert fact.limit_price.times(fact.qty) <= LIMITS.order_usd_max
        if fact.side is Side.BUY:
            assert fact.decision.cash_free - fact.reserved >= FLOOR
    for effect in step.effects:
        if isinstance(effect, CancelOrder):
            assert ledger.orders[effect.cl_ord_id].order_id == effect.order_id
    for trend in TRENDS:
        orders = [order for order in ledger.unsettled.values() if order.submitted.strategy == trend.id]
        assert len([order for order in orders if order.cl_ord_id not in script.doubted]) <= 1
    assert ledger.reserved_usd >= NO_USD


@given(scripts)
@settings(max_examples=80)
def test_no_order_leaves_that_should_not_whatever_is_told(moves: Moves) -> None:
    script = played(moves, assert_safe)

    names = [effect.cl_ord_id for step in script.steps for effect in step.effects if isinstance(effect, SubmitOrder)]
    intents = [numbered.fact.intent_id for numbered in script.facts if isinstance(numbered.fact, OrderSubmitted)]
    assert len(names) == len(set(names)) == len(set(intents))


@given(scripts)
@settings(max_examples=40)
def test_the_same_inputs_give_the_same_facts_and_stay_untouched(moves: Moves) -> None:
    script = played(moves)
    told = [encode(stamped) for stamped in script.inputs]
    again = Engine(POLICY, Ledger())
    steps = [again.take(stamped) for stamped in script.inputs]

    assert steps == script.steps
    assert [encode(item.fact) for step in steps for item in step.facts] == [encode(item.fact) for item in script.facts]
    assert [encode(stamped) for stamped in script.inputs] == told


@given(scripts)
@settings(max_examples=40)
def test_facts_fold_to_the_ledger_that_deciding_reached(moves: Moves) -> None:
    script = played(moves)
    folded = Ledger()
    for numbered in script.facts:
        folded.fold(numbered)

    assert contents(folded) == contents(script.engine.ledger)


@given(scripts, scripts)
@settings(max_examples=40)
def test_a_crash_at_any_input_sends_nothing_twice_and_leaves_nothing_in_flight(before: Moves, after: Moves) -> None:
    script = played(before)
    sent = {fact.cl_ord_id for fact in (item.fact for item in script.facts) if isinstance(fact, OrderSubmitted)}
    ledger = Ledger()
    for numbered in script.facts:
        ledger.fold(numbered)
    script.engine = Engine(POLICY, ledger)
    script.steps = []
    script.tell(script.began(2))
    assert all(order.state.value != "in_flight" for order in ledger.unsettled.values())

    for move, number, after_s in after:
        script.at_ns += after_s * NANOS_PER_S
        assert_safe(script, script.tell(MOVES[move](script, number)))
    again = {fact.cl_ord_id for fact in (item.fact for item in script.facts) if isinstance(fact, OrderSubmitted)}
    assert not sent & again


@given(scripts)
@settings(max_examples=40)
def test_a_stop_sends_nothing_more_and_its_last_fact_tells_the_truth(moves: Moves) -> None:
    script = played(moves)
    script.tell(StopAsked("SIGTERM"))
    for move, number, _ in moves:
        step = script.tell(MOVES[move](script, number))
        assert not [effect for effect in step.effects if isinstance(effect, SubmitOrder)]
    is_clean = not script.engine.ledger.unsettled
    (ended,) = script.tell(RunEnding("asked")).facts

    assert getattr(ended.fact, "clean", None) is is_clean


def test_the_scripts_reach_what_they_are_to_reach() -> None:
    """A run by hand through the same moves trades, so that the properties above do not hold of nothing."""
    script = played([(3, 0, 1), (5, 1, 0), (6, 3, 0), (7, 0, 70), (2, 0, 6), (0, 3, 0), (1, 0, 0)])

    kinds = {type(numbered.fact).__name__ for numbered in script.facts}
    assert {"OrderSubmitted", "OrderAccepted", "OrderFilled", "SignalChanged", "Reconciled"} <= kinds
