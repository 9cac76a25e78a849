"""Whatever is traded and moved on an account, and however late it is told: opening plus entries is the balance.

The truth is a ledger of a few lines, which rounds dollars as Kraken's does; an engine hears of it by looks and by the
stream. Nothing is booked twice, no difference is found where there is none, and one that nothing explains always halts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aether.core.ledger import Ledger
from aether.domain.entries import AccountEntry
from aether.domain.facts import LedgerEntryBooked, OrderFilled
from aether.domain.inputs import FillReported, PrivateStreamLive, Resume
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance, Execution
from aether.domain.values import NANOS_PER_S, Price, Qty, Usd
from tests.unit.conftest import Desk, Make

D = Decimal
LAG_S_MAX = 60

pauses_s = st.integers(0, 45)
lags_s = st.integers(0, LAG_S_MAX)
amounts = st.integers(1, 9_000_000).map(lambda units: D(units).scaleb(-4))
quantities = st.integers(1, 1_000_000).map(lambda lots: D(lots).scaleb(-8))
prices = st.integers(1, 10_000).map(lambda ticks: D(ticks).scaleb(-2))
rates = st.sampled_from((D("0.0026"), D("0.0016"), D("0")))
views = st.sampled_from((Make.ALL_VIEWS, Make.ALL_VIEWS, tuple(v for v in Make.ALL_VIEWS if v != "ledgers")))
Change = tuple[str, str, Decimal, Decimal]  # kind, asset, amount, fee
NONE = D(0)
WALLETS = {"BTC": "BTC.F", "BTC.F": "BTC"}


class Truth:
    """An account at the venue: totals, and a row for each change of one, with the sum after it."""

    def __init__(self, usd: Decimal) -> None:
        self.totals = {"USD": usd, "BTC": D(0)}
        self.rows: list[AccountEntry] = []
        self.trades: list[Execution] = []

    def post(self, at_ns: int, *changes: Change, refid: str = "") -> None:
        """Rows of one act, rounded as the venue's ledger rounds."""
        refid = refid or f"Q{len(self.rows)}"
        for kind, asset, amount, fee in changes:
            digits = D("0.0001") if asset == "USD" else D("1e-10")
            moved, taken = amount.quantize(digits, ROUND_HALF_EVEN), fee.quantize(digits, ROUND_HALF_EVEN)
            total = self.totals[asset] = self.totals.get(asset, NONE) + moved - taken
            name, subtype = f"L{len(self.rows)}", "allocation" if kind == "earn" else ""
            self.rows.append(AccountEntry(name, refid, kind, subtype, asset, moved, taken, total, at_ns))

    def trade(self, told: Execution, fee_in_coins: Decimal | None) -> None:
        """A trade, whose fee REST tells in dollars, also where it was taken in coins."""
        self.trades.append(told)
        sign = 1 if told.side is Side.BUY else -1
        dollars = told.fees[0].amount if fee_in_coins is None else NONE
        self.post(
            told.venue_ns,
            ("trade", "USD", -sign * told.cost.amount, dollars),
            ("trade", "BTC", sign * told.qty.coins, fee_in_coins or NONE),
            refid=told.exec_id,
        )


class Account(RuleBasedStateMachine):
    """An engine, the account it trades on, and others who use it too."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk(Make.policy())
        self.desk.trade()
        self.desk.accept()
        self.order = self.desk.order
        assert self.order.limit_price is not None
        self.limit = self.order.limit_price.usd_per_coin
        self.truth = Truth(D(10_000))
        self.facts = list(self.desk.facts)
        self.run = 1
        self.is_odd = False

    # --- what happens on the account --------------------------------------------------------------------------------

    @rule(
        pause_s=pauses_s,
        amount=amounts,
        asset=st.sampled_from(("USD", "BTC", "WIF2")),
        kind=st.sampled_from(("deposit", "adjustment", "staking", "receive")),
    )
    def comes(self, pause_s: int, amount: Decimal, asset: str, kind: str) -> None:
        self.truth.post(self.later(pause_s), (kind, asset, amount, NONE))

    @rule(pause_s=pauses_s, percent=st.integers(0, 100), fee=st.sampled_from((D(0), D("0.35"), D("0.00001"))))
    def is_withdrawn(self, pause_s: int, percent: int, fee: Decimal) -> None:
        amount = max(D(0), self.truth.totals["USD"]) * percent / 200
        self.truth.post(self.later(pause_s), ("withdrawal", "USD", -amount, fee))

    @rule(pause_s=pauses_s, source=st.sampled_from(tuple(WALLETS)), percent=st.integers(1, 100))
    def changes_its_wallet(self, pause_s: int, source: str, percent: int) -> None:
        amount = (self.truth.totals.get(source, NONE) * percent / 100).quantize(D("1e-10"))
        moves = ("earn", source, -amount, NONE), ("earn", WALLETS[source], amount, NONE)
        self.truth.post(self.later(pause_s), *moves)

    @rule(pause_s=pauses_s, qty=quantities, price=prices, rate=rates, is_buy=st.booleans(), in_coins=st.booleans())
    def a_person_trades(
        self, pause_s: int, qty: Decimal, price: Decimal, rate: Decimal, *, is_buy: bool, in_coins: bool
    ) -> None:
        told = self.execution(None, qty, price, rate, self.later(pause_s))
        told = replace(told, side=Side.BUY if is_buy else Side.SELL)
        self.truth.trade(told, (qty * rate).quantize(D("1e-10")) if in_coins else None)

    @rule(pause_s=pauses_s, lots=st.integers(1, 100), rate=rates, is_heard=st.booleans())
    def our_order_is_filled(self, pause_s: int, lots: int, rate: Decimal, *, is_heard: bool) -> None:
        told = self.execution(self.order.cl_ord_id, D(lots).scaleb(-8), self.limit, rate, self.later(pause_s))
        self.truth.trade(told, None)
        if is_heard:
            self.take(FillReported(told, "executions"))

    def execution(self, cl_ord_id: str | None, qty: Decimal, price: Decimal, rate: Decimal, at_ns: int) -> Execution:
        """A trade as it is told: cost and fee with five decimals."""
        cost = (qty * price).quantize(D("0.00001"))
        fee = (cost * rate).quantize(D("0.00001"))
        whole = Make.execution(f"T{len(self.truth.trades)}", cl_ord_id, "1")
        return replace(
            whole,
            qty=Qty(qty),
            price=Price(price),
            cost=Usd(cost),
            fees=(AssetAmount("USD", fee),),
            side=self.order.side if cl_ord_id else whole.side,
            venue_ns=at_ns,
        )

    # --- what the engine hears ----------------------------------------------------------------------------------------

    @rule(pause_s=pauses_s, lag_s=lags_s, shown=views, is_turned=st.booleans())
    def looks(self, pause_s: int, lag_s: int, shown: tuple[str, ...], *, is_turned: bool) -> None:
        now_ns = self.later(pause_s)
        latest_ns = now_ns - lag_s * NANOS_PER_S
        fills = [trade for trade in self.truth.trades if trade.venue_ns <= latest_ns]
        rows = [row for row in self.truth.rows if row.venue_ns <= latest_ns] if "ledgers" in shown else []
        totals = tuple(AssetBalance(asset, total, NONE) for asset, total in self.truth.totals.items())
        account = replace(Make.account(now_ns, {}), views=shown, balances=totals, entries=tuple(rows))
        self.take(replace(account, fills=tuple(fills[::-1] if is_turned else fills)))

    @rule(pauses=st.tuples(pauses_s, pauses_s, pauses_s), lag_s=lags_s)
    def looks_thrice(self, pauses: tuple[int, int, int], lag_s: int) -> None:
        for pause_s in pauses:
            self.looks(pause_s, lag_s, Make.ALL_VIEWS, is_turned=False)

    @rule()
    def starts_again(self) -> None:
        ledger = Ledger()
        for numbered in self.facts:
            ledger.fold(numbered)
        self.run += 1
        self.desk = Desk(Make.policy(), ledger, self.desk.at_ns)
        self.facts += self.desk.begin(run=self.run).facts
        self.take(PrivateStreamLive(1))

    @rule(asset=st.sampled_from(("USD", "BTC", "BTC.F")), units=st.integers(1, 10**6), sign=st.sampled_from((1, -1)))
    def something_is_unexplained(self, asset: str, units: int, sign: int) -> None:
        self.all_is_told()
        self.truth.totals[asset] = self.truth.totals.get(asset, NONE) + D(units).scaleb(-10) * sign
        self.is_odd = True
        for _ in range(2):
            self.looks(LAG_S_MAX, 0, Make.ALL_VIEWS, is_turned=False)
        assert ("all", "halt_difference") in self.desk.ledger.halts
        assert [difference.asset for difference in self.desk.ledger.differences] == [asset]
        self.facts += self.desk.command(Resume("all", "it is ours")).facts
        self.is_odd = False

    @rule()
    def all_is_told(self) -> None:
        for _ in range(2):
            self.looks(LAG_S_MAX + 1, 0, Make.ALL_VIEWS, is_turned=False)
        ours = self.desk.ledger.portfolio.balances
        assert {asset: total for asset, total in ours.items() if total} == {
            asset: total for asset, total in self.truth.totals.items() if total
        }
        assert self.desk.engine.suspects == ()

    # --- what holds always --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_found_that_is_not_there(self) -> None:
        if not self.is_odd:
            assert self.desk.ledger.halts == {}

    @invariant()
    def nothing_is_booked_twice(self) -> None:
        assert is_unique(self.said(OrderFilled), "exec_id")
        assert is_unique(self.said(LedgerEntryBooked), "entry_id")

    def teardown(self) -> None:
        self.all_is_told()

    def later(self, pause_s: int) -> int:
        self.desk.at_ns += pause_s * NANOS_PER_S + 1
        return self.desk.at_ns

    def take(self, told: Any) -> None:
        self.facts += self.desk.take(told).facts

    def said(self, kind: type) -> list[Any]:
        return [numbered.fact for numbered in self.facts if isinstance(numbered.fact, kind)]


def is_unique(facts: Iterable[Any], name: str) -> bool:
    names = [getattr(fact, name) for fact in facts]
    return len(names) == len(set(names))


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
