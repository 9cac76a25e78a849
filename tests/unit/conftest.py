"""Plain values for tests of the core, and a desk: an engine that is told inputs and remembers what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from aether.core.engine import Engine
from aether.core.intents import OrderIntent
from aether.core.ledger import Ledger
from aether.core.orders import Order
from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy, TrendParameters
from aether.core.risk import RiskView
from aether.core.workbench import Step
from aether.domain.actors import Actor, Role
from aether.domain.effects import AskAccount, CancelOrder, Effect, SubmitOrder
from aether.domain.facts import CostEstimate, Decision, Fact, Numbered, OrderFilled, OrderSubmitted, QuoteSeen
from aether.domain.inputs import (
    AccountSeen,
    Bar,
    BookChanged,
    ClockMeasured,
    Command,
    CommandGiven,
    FillReported,
    HistorySeen,
    Input,
    InstrumentSeen,
    OrderReported,
    PrivateStreamLive,
    RunBegan,
    Stamped,
    SubmitAccepted,
    SystemStatusSeen,
    Tick,
)
from aether.domain.instruments import Instrument, PairStatus, Side
from aether.domain.orders import (
    AssetAmount,
    AssetBalance,
    Execution,
    Liquidity,
    OrderReport,
    OrderType,
    TimeInForce,
    VenueStatus,
)
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, NO_USD, Bps, Price, Qty, Symbol, Usd, UtcNanos

D = Decimal
BTC = recall("BTC/USD")
T0 = 1_767_268_800 * NANOS_PER_S  # 2026-01-01T12:00:00Z
ALL_VIEWS = ("balances", "executions", "open", "closed", "trades", "ledgers")
OPERATOR = Actor("uid:1000", Role.OPERATOR)
RISING = tuple(D(100) * D("1.01") ** step for step in range(-39, 1))
FALLING = tuple(D(100) * D("1.01") ** step for step in range(39, -1, -1))

Kind = TypeVar("Kind")


def plain(value: Any) -> dict[str, Any]:
    """Fields of a frozen value by name."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


class Make:
    """Builders with defaults that trade: a pair near 100 USD, limits far away."""

    BTC, T0, S, ALL_VIEWS, OPERATOR, RISING, FALLING = BTC, T0, NANOS_PER_S, ALL_VIEWS, OPERATOR, RISING, FALLING

    @staticmethod
    def usd(amount: str) -> Usd:
        return Usd(D(amount))

    @staticmethod
    def qty(coins: str) -> Qty:
        return Qty(D(coins))

    @staticmethod
    def price(usd: str) -> Price:
        return Price(D(usd))

    @staticmethod
    def instrument(symbol: Symbol = BTC, **changes: Any) -> Instrument:
        whole = Instrument(
            symbol=symbol,
            base=symbol.removesuffix("/USD"),
            tick=D("0.1"),
            lot=D("0.0001"),
            price_decimals=1,
            qty_decimals=4,
            cost_decimals=5,
            qty_min=Qty(D("0.001")),
            cost_min=Usd(D("0.5")),
            status=PairStatus.ONLINE,
        )
        return replace(whole, **changes)

    @staticmethod
    def limits(**changes: Any) -> RiskLimits:
        whole = RiskLimits(
            order_usd_max=Usd(D(5000)),
            order_nav_bps_max=5000,
            cash_bps_max=9000,
            cash_floor_usd=Usd(D(100)),
            exposure_symbol_bps_max=5000,
            exposure_total_bps_max=8000,
            daily_loss_bps_max=500,
            drawdown_bps_max=2000,
            collar_bps=150,
            spread_bps_max=50,
            quote_age_ms_max=5000,
            account_age_s_max=180,
            orders_per_minute_max=20,
            orders_per_day_max=2000,
            order_spacing_s_min=5,
            duplicate_s=0,
            executions_max=1_000,
            executions_window_s=600,
        )
        return replace(whole, **changes)

    @staticmethod
    def sizing(**changes: Any) -> SizingPolicy:
        whole = SizingPolicy(
            risk_budget_bps=1000,
            volatility_floor_bps=150,
            volatility_bars_short=5,
            volatility_bars_long=20,
            regimes=(Regime("calm", 0, 100), Regime("restless", 130, 60), Regime("storm", 200, 25)),
            edge_margin_bps=2,
            fee_fallback_bps=40,
            rebalance_band_bps=1500,
            rebalance_usd_min=Usd(D(50)),
        )
        return replace(whole, **changes)

    @staticmethod
    def order_policy(**changes: Any) -> OrderPolicy:
        whole = OrderPolicy(
            deadline_ms=5000,
            resting_s_max=30,
            cancel_retry_s=5,
            view_lag_s=60,
            clock_error_ms=1000,
            reconcile_s=60,
            unresolved_retry_s=10,
            clock_offset_ms_max=5000,
            cancel_on_stop=True,
        )
        return replace(whole, **changes)

    @staticmethod
    def trend(**changes: Any) -> TrendParameters:
        whole = TrendParameters(
            id="trend",
            symbols=(BTC,),
            bar_s=60,
            fast_bars=2,
            slow_bars=4,
            full_score_percent=50,
            step_bps=2500,
            edge_percent=100,
            passive=False,
        )
        return replace(whole, **changes)

    @classmethod
    def policy(cls, **changes: Any) -> Policy:
        return replace(Policy(cls.limits(), cls.sizing(), cls.order_policy(), (cls.trend(),)), **changes)

    # --- decisions ------------------------------------------------------------------------------------------------

    @staticmethod
    def intent(side: Side = Side.BUY, price: str = "100", qty: str = "10", **changes: Any) -> OrderIntent:
        limit, coins = Price(D(price)), Qty(D(qty))
        whole = OrderIntent("trend", BTC, side, limit, limit.times(coins), coins, Bps(200), passive=False)
        return replace(whole, **changes)

    @classmethod
    def view(cls, **changes: Any) -> RiskView:
        whole = RiskView(
            at_ns=T0,
            limits=cls.limits(),
            sizing=cls.sizing(),
            instrument=cls.instrument(),
            equity=Usd(D(10_000)),
            cash_free=Usd(D(10_000)),
            position=NO_USD,
            exposure_symbol=NO_USD,
            exposure_total=NO_USD,
            day_start=Usd(D(10_000)),
            peak=Usd(D(10_000)),
            holding_free=Qty(D(50)),
            account_as_of_ns=T0 - 10 * NANOS_PER_S,
            quote=QuoteSeen(Price(D("99.9")), Price(D(100)), 100, Price(D(100))),
            last_close=None,
            costs=CostEstimate(D(200), D(40), D(5), D(0), D(2)),
            fee_bps_worst=D(40),
            volatility_bps=Bps(400),
            volatility_used_bps=Bps(400),
            regime="calm",
            regime_percent=100,
            unresolved=None,
            sent_last_minute=0,
            sent_last_day=0,
            last_sent_ns=None,
            against=(),
        )
        return replace(whole, **changes)

    # --- orders ---------------------------------------------------------------------------------------------------

    @classmethod
    def submitted(cls, cl_ord_id: str = "aeabcd00010000001", side: Side = Side.BUY, **changes: Any) -> OrderSubmitted:
        view = cls.view()
        decision = Decision(
            wanted=Usd(D(1000)),
            allowances=(),
            binding="wanted",
            instrument_version=1,
            **{name: value for name, value in plain(view).items() if name in Decision.__slots__},
        )
        whole = OrderSubmitted(
            intent_id="i1-1",
            cl_ord_id=cl_ord_id,
            strategy="trend",
            symbol=BTC,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            post_only=False,
            qty=Qty(D(10)),
            limit_price=Price(D(100)),
            reserved=Usd(D(1004)) if side is Side.BUY else NO_USD,
            deadline_ns=UtcNanos(T0 + 5 * NANOS_PER_S),
            decision=decision,
        )
        return replace(whole, **changes)

    @classmethod
    def order(cls, **changes: Any) -> Order:
        return Order(cls.submitted(**changes), T0)

    @staticmethod
    def execution(exec_id: str, cl_ord_id: str | None, qty: str, price: str = "100", **changes: Any) -> Execution:
        cost = D(qty) * D(price)
        whole = Execution(
            exec_id=exec_id,
            order_id=f"O-{cl_ord_id}" if cl_ord_id else "O-HUMAN",
            cl_ord_id=cl_ord_id,
            name=str(BTC),
            symbol=BTC,
            side=Side.BUY,
            qty=Qty(D(qty)),
            price=Price(D(price)),
            cost=Usd(cost),
            fees=(AssetAmount("USD", cost * D("0.004")),),
            liquidity=Liquidity.TAKER,
            venue_ns=T0 + NANOS_PER_S,
        )
        return replace(whole, **changes)

    @classmethod
    def filled(cls, exec_id: str, cl_ord_id: str | None, qty: str, price: str = "100", **changes: Any) -> OrderFilled:
        told = cls.execution(exec_id, cl_ord_id, qty, price)
        strategy = "trend" if cl_ord_id else None
        whole = OrderFilled(**plain(told), strategy=strategy, source="executions")
        return replace(whole, **changes)

    @staticmethod
    def report(cl_ord_id: str | None, status: VenueStatus, cum_qty: str | None = None, **changes: Any) -> OrderReport:
        order_id = f"O-{cl_ord_id}" if cl_ord_id else "O-HUMAN"
        filled = None if cum_qty is None else Qty(D(cum_qty))
        qty, limit = (None, None) if cl_ord_id else (Qty(D(10)), Price(D(100)))  # of ours: not said, so as submitted
        pair = (str(BTC), BTC, Side.BUY)
        whole = OrderReport(order_id, cl_ord_id, *pair, qty, limit, status, filled, reason="", venue_ns=T0)
        return replace(whole, **changes)

    @staticmethod
    def account(at_ns: int, balances: dict[str, str], **changes: Any) -> AccountSeen:
        totals = tuple(AssetBalance(asset, D(total), D(0)) for asset, total in balances.items())
        whole = AccountSeen(at_ns, at_ns, T0 - 3600 * NANOS_PER_S, ALL_VIEWS, totals, (), (), (), ())
        return replace(whole, **changes)

    # --- the market -----------------------------------------------------------------------------------------------

    @staticmethod
    def book(bid: str = "99.9", ask: str = "100.0", symbol: Symbol = BTC, coins: int = 1000) -> BookChanged:
        """One level a side, prices to one decimal, quantities to four."""
        lots = coins * 10_000
        return BookChanged(symbol, ((int(D(bid) * 10), lots),), ((int(D(ask) * 10), lots),), 1, 4)

    @staticmethod
    def history(closes: Sequence[Decimal], at_ns: int = T0, symbol: Symbol = BTC, bar_s: int = 60) -> HistorySeen:
        """Bars that end with the bar before `at_ns`."""
        first_s = at_ns // NANOS_PER_S // bar_s * bar_s - bar_s * len(closes)
        bars = (Bar(first_s + bar_s * place, x, x, x, x, D(1)) for place, x in enumerate(closes))
        return HistorySeen(symbol, bar_s, tuple(bars))


class Desk:
    """An engine under test: `take` tells it an input, `facts` and `effects` hold all it answered so far."""

    def __init__(self, policy: Policy, ledger: Ledger | None = None, at_ns: int = T0) -> None:
        self.engine = Engine(policy, ledger or Ledger())
        self.at_ns = at_ns
        self.inputs: list[Stamped] = []
        self.facts: list[Numbered] = []
        self.effects: list[Effect] = []

    @property
    def ledger(self) -> Ledger:
        return self.engine.ledger

    def take(self, told: Input, after_s: float = 0) -> Step:
        self.at_ns += int(after_s * NANOS_PER_S)
        stamped = Stamped(len(self.inputs) + 1, self.at_ns, told)
        self.inputs.append(stamped)
        step = self.engine.take(stamped)
        self.facts.extend(step.facts)
        self.effects.extend(step.effects)
        return step

    def begin(self, run: int = 1, **changes: Any) -> Step:
        began = RunBegan(
            run=run,
            tag="abcd",
            account="sandbox-1",
            world="sandbox",
            real_money=False,
            code_version="0.1.0",
            settings_digest="d",
            seed=1,
            crash_loop=False,
        )
        return self.take(replace(began, **changes))

    def start(self, closes: Sequence[Decimal] = RISING, *, usd: str = "10000", coins: str = "0") -> Desk:
        """All that a start hears, but the first book."""
        self.begin()
        self.take(ClockMeasured(offset_ns=0, error_ns=0))
        self.take(SystemStatusSeen("online"))
        self.take(InstrumentSeen(Make.instrument()))
        self.take(Make.history(closes, self.at_ns))
        self.take(PrivateStreamLive(1))
        self.take(Make.account(self.at_ns, {"USD": usd, "BTC": coins}))
        return self

    def trade(self) -> SubmitOrder:
        """Start, hear a book and a tick, which marks equity, and return the order."""
        self.start()
        self.take(Make.book())
        self.tick()
        return self.order

    @property
    def order(self) -> SubmitOrder:
        """The newest order that left."""
        return self.sent(SubmitOrder)[-1]

    def accept(self) -> None:
        self.take(SubmitAccepted(self.order.cl_ord_id, f"O-{self.order.cl_ord_id}"))

    def fill(self, exec_id: str, qty: str, price: str = "100", **changes: Any) -> Step:
        order = self.order
        execution = Make.execution(exec_id, order.cl_ord_id, qty, price, side=order.side)
        return self.take(FillReported(replace(execution, **changes), "executions"))

    def report(self, status: VenueStatus, cum_qty: str | None = None, **changes: Any) -> Step:
        order = self.order
        report = Make.report(order.cl_ord_id, status, cum_qty, side=order.side, qty=order.qty)
        return self.take(OrderReported(replace(report, **changes), "executions"))

    def look(self, after_s: float = 0, **changes: Any) -> Step:
        """The account as the ledger expects it, unless told otherwise."""
        self.at_ns += int(after_s * NANOS_PER_S)
        totals = {asset: str(total) for asset, total in self.ledger.portfolio.balances.items()}
        account = Make.account(self.at_ns, totals, since_ns=self.at_ns - 3600 * NANOS_PER_S)
        return self.take(replace(account, **changes))

    def tick(self, after_s: float = 0) -> Step:
        return self.take(Tick(), after_s)

    def command(self, command: Command, actor: Actor = OPERATOR) -> Step:
        return self.take(CommandGiven(f"r{len(self.inputs)}", actor, command))

    def said(self, kind: type[Kind]) -> list[Kind]:
        return [numbered.fact for numbered in self.facts if isinstance(numbered.fact, kind)]

    def sent(self, kind: type[Kind]) -> list[Kind]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def asks(self) -> list[AskAccount]:
        return self.sent(AskAccount)

    @property
    def cancels(self) -> list[CancelOrder]:
        return self.sent(CancelOrder)

    @property
    def my_order(self) -> Order:
        return self.ledger.orders[self.order.cl_ord_id]


class Book:
    """A ledger under test: `fold` numbers facts itself."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    def fold(self, *facts: Fact, at_ns: int = T0, run: int = 1) -> Ledger:
        for fact in facts:
            self.ledger.fold(Numbered(self.ledger.next_seq, run, UtcNanos(at_ns), 1, fact))
        return self.ledger


def contents(value: Any) -> Any:
    """All that a ledger holds, as comparable plain values."""
    if isinstance(value, Ledger):
        return {name: contents(item) for name, item in vars(value).items()}
    slots = getattr(type(value), "__slots__", ()) if type(value).__name__ == "Portfolio" else ()
    return {name: getattr(value, name) for name in slots} if slots else value


@pytest.fixture
def make() -> type[Make]:
    """Builders of plain values."""
    return Make


@pytest.fixture
def desk() -> Desk:
    """A fresh engine with the default policy."""
    return Desk(Make.policy())


@pytest.fixture
def new_desk() -> type[Desk]:
    """For another policy, or a ledger that has lived."""
    return Desk


@pytest.fixture
def book() -> Book:
    """A fresh ledger."""
    return Book()


@pytest.fixture
def contents_of() -> Any:
    """What a ledger holds, to compare two."""
    return contents
