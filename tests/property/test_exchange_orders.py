"""Whatever mix of requests comes, of every order type, with time passing: money, holds, book and orders' lives hold.

Hostile values are refused by name; nothing but `ExchangeRefusal` ever leaves the exchange or the forms before it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aether.domain.values import MONEY
from aether.sim.clearing import hold_of
from aether.sim.exchange import Amend, Exchange, ExchangeRefusal, NewOrder, Order, OrderEvent, PairRules
from aether.sim.order_form import rest_order, socket_order
from aether.sim.records import (
    KINDS,
    LIFETIMES,
    LIMIT_KINDS,
    PRICE_TYPES,
    SELF_TRADES,
    SYSTEM_STATUSES,
    TRAILING_KINDS,
    TRIGGERED_KINDS,
    BookSide,
    NewTrigger,
    OrderSide,
    PublicTrade,
)

ACCOUNTS = ("ann", "bob")
OPENING = {"USD": Decimal(4_000), "COIN": Decimal(40)}
RULES = PairRules(
    "COIN/USD", "COINUSD", "COINUSD", "COIN/USD", "COIN", "COIN", 1, 3, 2, Decimal("0.005"), Decimal("0.5"), "online"
)
PAIR = RULES.name
MATCHING = ("online", "limit_only")
STORMS = 20 if os.environ.get("TEST_PROFILE") == "ci" else 3
S = 1_000_000_000

# Where an order may go from each exec_type that was told of it (Kraken docs, order lifecycle).
LIVE = frozenset({"trade", "filled", "canceled", "expired", "amended", "status", "iceberg_refill"})
AFTER = {
    "": frozenset({"pending_new"}),
    "pending_new": frozenset({"new", "amended", "canceled", "expired"}),
    **dict.fromkeys(("new", "amended", "status", "iceberg_refill", "trade"), LIVE),
    **dict.fromkeys(("filled", "canceled", "expired"), frozenset[str]()),
}

accounts = st.sampled_from(ACCOUNTS)
sides: st.SearchStrategy[OrderSide] = st.sampled_from(("buy", "sell"))
randoms = st.randoms(use_true_random=False)


def drawn_order(random: Random, now_ns: int) -> NewOrder:
    """Orders of every type; most are sound, some are not."""
    kind, side = random.choice(KINDS), drawn_side(random)
    qty = drawn_qty(random)
    more: dict[str, Any] = {"self_trade": random.choice(SELF_TRADES)}
    if kind in TRIGGERED_KINDS:
        price_type = random.choice(PRICE_TYPES[1:] if kind in TRAILING_KINDS else PRICE_TYPES)
        offset = drawn_offset(random)
        price = abs(offset) if kind in TRAILING_KINDS else offset
        more["trigger"] = NewTrigger(drawn_price(random) if price_type == "static" else price, price_type)
    if kind in LIMIT_KINDS:
        price_type = random.choice(PRICE_TYPES)
        more["limit_price_type"] = price_type
        more["limit_price"] = drawn_price(random) if price_type == "static" else drawn_offset(random)
    if kind == "iceberg":
        more["display_qty"] = (qty / random.randint(1, 16)).quantize(Decimal("0.001"))
    more["time_in_force"] = random.choice((*["gtc"] * 6, *LIFETIMES))
    if more["time_in_force"] == "gtd":
        more["expires_ns"] = now_ns + random.randint(4, 40) * S
    more["post_only"] = random.random() < 0.1
    if random.random() < 0.1:
        more["starts_ns"] = now_ns + random.randint(1, 20) * S
    if kind == "market" and random.random() < 0.5:
        more["cash_qty"], qty = Decimal(random.randint(1, 900)), Decimal(0)
    return NewOrder(PAIR, side, kind, qty, **more)


def drawn_side(random: Random) -> OrderSide:
    return "buy" if random.random() < 0.5 else "sell"


def drawn_price(random: Random) -> Decimal:
    return Decimal(random.randint(970, 1030)).scaleb(-1)


def drawn_qty(random: Random) -> Decimal:
    return Decimal(random.choice((random.randint(5, 2000), random.randint(5, 9000)))).scaleb(-3)


def drawn_offset(random: Random) -> Decimal:
    return Decimal(random.randint(-40, 40)).scaleb(-1)


class Life(RuleBasedStateMachine):
    """Two accounts and the crowd, all order types, and the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange([RULES], seed=3)
        self.now_ns = S
        self.last_type: dict[str, str] = {}
        self.filled: dict[str, Decimal] = {}

    @initialize()
    def open_accounts(self) -> None:
        for account in ACCOUNTS:
            self.exchange.open_account(account, OPENING, self.now_ns)
        for step in range(10):
            self.exchange.set_level(PAIR, "bid", Decimal(990 - step).scaleb(-1), Decimal(2), self.now_ns)
            self.exchange.set_level(PAIR, "ask", Decimal(1010 + step).scaleb(-1), Decimal(2), self.now_ns)
        self.exchange.crowd_trade(PAIR, "buy", Decimal("100.0"), Decimal(1), self.now_ns)

    @rule(account=accounts, random=randoms)
    def add(self, account: str, random: Random) -> None:
        with suppress(ExchangeRefusal):
            self.exchange.add_order(account, drawn_order(random, self.now_ns), self.now_ns)

    @rule(account=accounts, random=randoms)
    def add_batch(self, account: str, random: Random) -> None:
        batch = [drawn_order(random, self.now_ns) for _ in range(random.randint(2, 4))]
        self.exchange.advance(self.now_ns)
        before = self.exchange.balances(account), len(self.exchange.open_orders(account))
        try:
            outcomes = self.exchange.add_batch(account, batch, self.now_ns)
        except ExchangeRefusal:
            assert (self.exchange.balances(account), len(self.exchange.open_orders(account))) == before
        else:
            assert len(outcomes) == len(batch)

    @rule(account=accounts, random=randoms)
    def amend(self, account: str, random: Random) -> None:
        order = self.choose(account, random)
        if order is None:
            return
        before = self.exchange.balances(account)
        has_limit, waits = order.limit_price is not None, order.trigger is not None and not order.trigger.is_triggered
        wild = random.random() < 0.1
        asked = Amend(
            order.order_id,
            drawn_qty(random) if random.random() < 0.5 else None,
            drawn_price(random) if (has_limit or wild) and random.random() < 0.5 else None,
            trigger_price=abs(drawn_offset(random)) if (waits or wild) and random.random() < 0.5 else None,
            trigger_price_type=random.choice(PRICE_TYPES),
            display_qty=drawn_qty(random) / 10 if order.display_qty or wild else None,
            post_only=random.random() < 0.2,
        )
        try:
            self.exchange.amend_order(account, asked, self.now_ns)
        except ExchangeRefusal:
            assert self.exchange.balances(account) == before
            assert self.exchange.find_order(account, order_id=order.order_id) == order

    @rule(account=accounts, random=randoms)
    def edit(self, account: str, random: Random) -> None:
        order = self.choose(account, random)
        if order is None:
            return
        new = drawn_order(random, self.now_ns)
        if random.random() < 0.9:
            new = replace(new, side=order.side)
        try:
            self.exchange.replace_order(account, order.order_id, new, self.now_ns)
        except ExchangeRefusal:
            assert self.exchange.find_order(account, order_id=order.order_id) == order

    @rule(account=accounts, random=randoms)
    def cancel(self, account: str, random: Random) -> None:
        order = self.choose(account, random)
        if order is not None and "maintenance" not in (self.exchange.system_status, self.exchange.pairs[PAIR].status):
            assert self.exchange.cancel_order(account, order.order_id, self.now_ns).closed_ns is not None

    @rule(random=randoms)
    def crowd_trade(self, random: Random) -> None:
        self.exchange.crowd_trade(PAIR, drawn_side(random), drawn_price(random), drawn_qty(random), self.now_ns)

    @rule(random=randoms)
    def set_level(self, random: Random) -> None:
        side: BookSide = "bid" if random.random() < 0.5 else "ask"
        self.exchange.set_level(PAIR, side, drawn_price(random), drawn_qty(random), self.now_ns)

    @rule(seconds=st.integers(1, 15))
    def pass_time(self, seconds: int) -> None:
        self.now_ns += seconds * S
        self.exchange.advance(self.now_ns)

    @rule(account=accounts)
    def set_dead_man(self, account: str) -> None:
        with suppress(ExchangeRefusal):
            self.exchange.set_dead_man(account, 10, self.now_ns)

    @rule(status=st.sampled_from((*SYSTEM_STATUSES, *["online"] * 12)))
    def change_status(self, status: str) -> None:
        self.exchange.set_system_status(status)

    @rule(status=st.sampled_from((*SYSTEM_STATUSES, "limit_only", "reduce_only", *["online"] * 12)))
    def change_pair_status(self, status: str) -> None:
        self.exchange.set_pair_status(PAIR, status)

    def choose(self, account: str, random: Random) -> Order | None:
        self.exchange.advance(self.now_ns)
        orders = self.exchange.open_orders(account)
        return random.choice(orders) if orders else None

    @invariant()
    def balances_are_their_rows_and_never_negative(self) -> None:
        for account in ACCOUNTS:
            sums: dict[str, Decimal] = {}
            for row in self.exchange.ledgers(account):
                sums[row.asset] = sums.get(row.asset, Decimal(0)) + row.amount - row.fee
            balances = self.exchange.balances(account)
            assert {asset: total for asset, (total, _) in balances.items()} == sums
            assert all(0 <= held <= total for total, held in balances.values())

    @invariant()
    def what_is_held_is_the_sum_over_open_orders(self) -> None:
        market = self.exchange._markets[PAIR]
        for owner in self.exchange._accounts.values():
            for asset in OPENING:
                mine = [working for working in owner.open.values() if working.hold_asset == asset]
                total = sum((working.hold for working in mine), Decimal(0))
                assert owner.held.get(asset, Decimal(0)) == total
                assert all(working.hold == hold_of(market, working) for working in mine)

    @invariant()
    def two_sides_of_a_trade_exchange_the_same_money(self) -> None:
        parts: dict[int, list[Any]] = {}
        for account in ACCOUNTS:
            for trade in self.exchange.trades(account):
                parts.setdefault(trade.trade_id, []).append(trade)
        for both in parts.values():
            assert all(part.fee >= 0 for part in both)
            if len(both) == 2:
                first, second = both
                assert (first.qty, first.cost, first.price) == (second.qty, second.cost, second.price)
                assert {first.side, second.side} == {"buy", "sell"}
                assert {first.liquidity, second.liquidity} == {"m", "t"}
                assert first.account != second.account

    @invariant()
    def the_book_is_what_its_orders_show_and_never_crossed(self) -> None:
        book = self.exchange.book(PAIR)
        if book.bids and book.asks:
            assert book.bids[0][0] < book.asks[0][0]
        market = self.exchange._markets[PAIR]
        standing = {id_: lots for half in (market.book.bids, market.book.asks) for id_, _, lots in half.orders() if id_}
        shown = {
            working.order_id: working.shown_lots
            for owner in self.exchange._accounts.values()
            for working in owner.open.values()
            if not working.is_waiting
        }
        assert standing == shown
        assert all(lots > 0 for lots in shown.values())

    @invariant()
    def an_order_only_moves_along_its_life(self) -> None:
        is_open = self.exchange.system_status == "online" and self.exchange.pairs[PAIR].status in MATCHING
        for event in self.exchange.drain():
            assert is_open or not isinstance(event, PublicTrade), f"{event} in a shut market"
            if not isinstance(event, OrderEvent):
                continue
            order_id, order = event.order.order_id, event.order
            assert event.exec_type in AFTER[self.last_type.get(order_id, "")], (self.last_type.get(order_id), event)
            if order.status != "pending_new" or event.exec_type == "pending_new":  # a scheduled order may be amended
                self.last_type[order_id] = event.exec_type
            if event.trade is not None:
                self.filled[order_id] = MONEY.add(self.filled.get(order_id, Decimal(0)), event.trade.qty)
            assert order.cum_qty == self.filled.get(order_id, Decimal(0)) <= order.qty
            assert (order.status == "filled") == (event.exec_type == "filled")
            assert order.is_open == (event.exec_type not in ("filled", "canceled", "expired"))

    def check(self) -> None:
        """Every invariant, for those who do not leave that to hypothesis."""
        self.balances_are_their_rows_and_never_negative()
        self.what_is_held_is_the_sum_over_open_orders()
        self.two_sides_of_a_trade_exchange_the_same_money()
        self.the_book_is_what_its_orders_show_and_never_crossed()
        self.an_order_only_moves_along_its_life()


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=30)


@pytest.mark.parametrize("seed", range(STORMS))
def test_a_long_storm_of_requests_keeps_every_promise(seed: int) -> None:
    """Longer than hypothesis goes: full books, many triggers, orders of every age."""
    random, life = Random(seed), Life()
    life.open_accounts()
    for step in range(1000):
        account = random.choice(ACCOUNTS)
        acts = (life.add, life.add_batch, life.amend, life.edit, life.cancel)
        random.choices(acts, weights=(8, 1, 4, 1, 2))[0](account, random)
        random.choice((life.crowd_trade, life.set_level))(random)
        if step % 5 == 0:
            life.pass_time(random.randint(1, 4))
        if step % 97 in (0, 9):
            life.check()  # what happened till now happened in a market as it was
            life.change_status(random.choice(SYSTEM_STATUSES) if step % 97 == 0 else "online")
        if step % 301 == 300:
            life.set_dead_man(account)
        if step % 10 == 0:
            life.check()
    life.check()


# --- hostile values ---------------------------------------------------------------------------------------------------

decimals = st.decimals() | st.sampled_from([Decimal("1e-400"), Decimal("1e400"), Decimal("-0"), Decimal("sNaN")])
wild = st.none() | decimals
nanos = st.none() | st.integers(-(2**70), 2**70)


@given(
    new=st.builds(
        NewOrder,
        pair=st.just(PAIR) | st.text(max_size=5),
        side=sides,
        order_type=st.sampled_from(KINDS),
        qty=decimals,
        limit_price=wild,
        time_in_force=st.sampled_from(LIFETIMES),
        post_only=st.booleans(),
        cl_ord_id=st.none() | st.text(max_size=40),
        userref=nanos,
        deadline_ns=nanos,
        limit_price_type=st.sampled_from(PRICE_TYPES),
        trigger=st.none() | st.builds(NewTrigger, decimals, st.sampled_from(PRICE_TYPES)),
        display_qty=wild,
        starts_ns=nanos,
        expires_ns=nanos,
        cash_qty=wild,
    ),
    amend=st.builds(
        Amend,
        st.just("O"),
        wild,
        wild,
        st.sampled_from(PRICE_TYPES),
        wild,
        st.sampled_from(PRICE_TYPES),
        wild,
        st.booleans(),
        nanos,
    ),
)
def test_hostile_orders_are_refused_and_nothing_else_happens(new: NewOrder, amend: Amend) -> None:
    life = Life()
    life.open_accounts()
    resting = life.exchange.add_order("ann", NewOrder(PAIR, "buy", "limit", Decimal(1), Decimal(95)), life.now_ns)
    for act in (
        lambda: life.exchange.add_order("ann", new, life.now_ns),
        lambda: life.exchange.amend_order("ann", Amend(resting.order_id, *_terms(amend)), life.now_ns),
    ):
        with suppress(ExchangeRefusal):
            act()
    life.balances_are_their_rows_and_never_negative()
    life.what_is_held_is_the_sum_over_open_orders()


def _terms(amend: Amend) -> tuple[Any, ...]:
    return (
        *(amend.qty, amend.limit_price, amend.limit_price_type, amend.trigger_price, amend.trigger_price_type),
        *(amend.display_qty, amend.post_only, amend.deadline_ns),
    )


REST_FIELDS = (
    *("ordertype", "type", "volume", "price", "price2", "oflags", "timeinforce", "starttm", "expiretm", "deadline"),
    *("displayvol", "trigger", "stptype", "userref", "cl_ord_id", "leverage", "close[ordertype]"),
)
texts = st.text(max_size=12) | st.sampled_from(
    ["buy", "limit", "stop-loss-limit", "trailing-stop", "1", "+5%", "#0.1", "-1", "GTD", "+30", "1e5", "viqc", "0"]
)


@given(form=st.dictionaries(st.sampled_from(REST_FIELDS), texts))
def test_a_hostile_form_is_refused_by_name(form: dict[str, str]) -> None:
    with suppress(ExchangeRefusal):
        rest_order(PAIR, form, S)


SOCKET_FIELDS = (
    *("order_type", "side", "order_qty", "limit_price", "limit_price_type", "time_in_force", "post_only", "deadline"),
    *("triggers", "display_qty", "cash_order_qty", "effective_time", "expire_time", "stp_type", "fee_preference"),
)
values = st.one_of(
    *(texts, decimals, st.booleans(), st.integers(), st.none()),
    st.sampled_from(["gtd", "static", "pct", "2026-09-25T18:00:00Z", "9999-12-31T23:59:59+23:59"]),
)


@given(fields=st.dictionaries(st.sampled_from(SOCKET_FIELDS), values), triggers=st.dictionaries(texts, values))
def test_hostile_fields_are_refused_by_name(fields: dict[str, Any], triggers: dict[str, Any]) -> None:
    asked = {"symbol": PAIR} | fields | ({"triggers": triggers} if "triggers" in fields else {})
    with suppress(ExchangeRefusal):
        socket_order(asked, S)
