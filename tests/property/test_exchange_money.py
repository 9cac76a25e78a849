"""Whatever accounts and the crowd do: sums are exact, nothing free is negative, and the book obeys price and time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aether.sim.exchange import (
    Exchange,
    ExchangeRefusal,
    LevelChanged,
    NewOrder,
    OrderEvent,
    PairRules,
    PublicTrade,
)
from aether.sim.order_book import CROWD
from aether.sim.records import BookSide, OrderSide

ACCOUNTS = ("ann", "bob")
OPENING = {"USD": Decimal(3000), "COIN": Decimal(30)}
RULES = PairRules(
    "COIN/USD", "COINUSD", "COINUSD", "COIN/USD", "COIN", "COIN", 1, 3, 2, Decimal("0.005"), Decimal("0.5"), "online"
)
PAIR = RULES.name

accounts = st.sampled_from(ACCOUNTS)
sides: st.SearchStrategy[OrderSide] = st.sampled_from(("buy", "sell"))
book_sides: st.SearchStrategy[BookSide] = st.sampled_from(("bid", "ask"))
prices = st.integers(980, 1020).map(lambda ticks: Decimal(ticks).scaleb(-1))
quantities = st.integers(1, 9000).map(lambda lots: Decimal(lots).scaleb(-3))


@dataclass(slots=True)
class Resting:
    """An order in the naive book: who, side, price, what is left, and when it came."""

    owner: str
    side: OrderSide
    price: Decimal
    left: Decimal
    arrival: int


class NaiveBook:
    """Price-time priority as one would write it on a page: a list, sorted at each use."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []
        self.trades: list[tuple[str, Decimal, Decimal]] = []
        self._arrivals = 0

    def facing(self, side: OrderSide) -> list[Resting]:
        sign = 1 if side == "buy" else -1
        return sorted((o for o in self.orders if o.side != side), key=lambda o: (sign * o.price, o.arrival))

    def take(self, owner: str, side: OrderSide, price: Decimal | None, left: Decimal) -> Decimal:
        for order in self.facing(side):
            beyond = price is not None and (order.price > price if side == "buy" else order.price < price)
            if not left or beyond or (order.owner == owner != CROWD):
                break
            part = min(left, order.left)
            self.trades.append((order.owner, order.price, part))
            order.left -= part
            left -= part
        self.orders = [order for order in self.orders if order.left]
        return left

    def rest(self, owner: str, side: OrderSide, price: Decimal, left: Decimal) -> None:
        self._arrivals += 1
        self.orders.append(Resting(owner, side, price, left, self._arrivals))

    def remove_crowd(self, side: OrderSide, beyond: Decimal, *, at_limit: bool) -> None:
        """The crowd's orders that a taker of this side reaches give way."""

        def reached(order: Resting) -> bool:
            if order.owner != CROWD or order.side == side:
                return False
            better = order.price < beyond if side == "buy" else order.price > beyond
            return better or (at_limit and order.price == beyond)

        self.orders = [order for order in self.orders if not reached(order)]


class Market(RuleBasedStateMachine):
    """Two accounts and the crowd on one pair with coarse rounding, beside a naive model."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange([RULES], seed=3)
        self.naive = NaiveBook()
        self.now_ns = 1
        self.public: list[tuple[Decimal, Decimal]] = []
        self.heard_levels: dict[tuple[str, Decimal], Decimal] = {}
        self.filled: dict[str, Decimal] = {}

    @initialize()
    def open_accounts(self) -> None:
        for account in ACCOUNTS:
            self.exchange.open_account(account, OPENING, self.now_ns)

    def tick(self) -> int:
        self.now_ns += 1_000_000_000
        return self.now_ns

    @rule(
        account=accounts,
        side=sides,
        price=st.none() | prices,
        qty=quantities,
        ioc=st.booleans(),
        post_only=st.booleans(),
    )
    def add(
        self, account: str, side: OrderSide, price: Decimal | None, qty: Decimal, *, ioc: bool, post_only: bool
    ) -> None:
        post_only = post_only and not ioc and price is not None
        new = NewOrder(PAIR, side, "limit" if price else "market", qty, price, "ioc" if ioc else "gtc", post_only)
        before = self.exchange.balances(account)
        try:
            order = self.exchange.add_order(account, new, self.tick())
        except ExchangeRefusal:
            assert self.exchange.balances(account) == before
            return
        if order.reason == "Post only order":
            assert self.naive.facing(side)
            return
        band = self.naive.facing(side)
        limit = price or (band[0].price * (Decimal("1.1") if side == "buy" else Decimal("0.9")) if band else Decimal(1))
        left = self.naive.take(account, side, limit, qty)
        assert order.qty - order.cum_qty == left
        if order.is_open:
            assert price is not None
            self.naive.rest(account, side, price, left)

    @rule(account=accounts, index=st.integers(0, 20))
    def cancel(self, account: str, index: int) -> None:
        orders = self.exchange.open_orders(account)
        if not orders:
            return
        order = orders[index % len(orders)]
        self.exchange.cancel_order(account, order.order_id, self.tick())
        mine = [o for o in self.naive.orders if o.owner == account]
        self.naive.orders.remove(mine[index % len(mine)])

    @rule(account=accounts)
    def cancel_all(self, account: str) -> None:
        mine = [order for order in self.naive.orders if order.owner == account]
        assert self.exchange.cancel_all(account, self.tick()) == len(mine)
        self.naive.orders = [order for order in self.naive.orders if order.owner != account]

    @rule(side=book_sides, price=prices, qty=quantities | st.just(Decimal(0)))
    def set_level(self, side: BookSide, price: Decimal, qty: Decimal) -> None:
        self.exchange.set_level(PAIR, side, price, qty, self.tick())
        taker: OrderSide = "buy" if side == "bid" else "sell"
        if qty:
            self.naive.remove_crowd(taker, price, at_limit=True)
            qty = self.naive.take(CROWD, taker, price, qty)
        held = [o for o in self.naive.orders if (o.owner, o.side, o.price) == (CROWD, taker, price)]
        if held and 0 < qty <= held[0].left:
            held[0].left = qty
            return
        self.naive.orders = [order for order in self.naive.orders if order not in held]
        if qty:
            self.naive.rest(CROWD, taker, price, qty)

    @rule(side=sides, price=prices, qty=quantities)
    def crowd_trade(self, side: OrderSide, price: Decimal, qty: Decimal) -> None:
        trades_before = len(self.naive.trades)
        self.exchange.crowd_trade(PAIR, side, price, qty, self.tick())
        self.naive.remove_crowd(side, price, at_limit=False)
        left = self.naive.take(CROWD, side, price, qty)
        if left:
            self.naive.trades.append((CROWD, price, left))
        assert sum((part for _, _, part in self.naive.trades[trades_before:]), Decimal(0)) == qty

    @invariant()
    def every_balance_is_its_rows(self) -> None:
        for account in ACCOUNTS:
            sums: dict[str, Decimal] = {}
            for row in self.exchange.ledgers(account):
                sums[row.asset] = sums.get(row.asset, Decimal(0)) + row.amount - row.fee
                assert row.balance == sums[row.asset]
            assert {asset: total for asset, (total, _) in self.exchange.balances(account).items()} == sums

    @invariant()
    def nothing_free_is_negative_and_holds_are_those_of_open_orders(self) -> None:
        for account in ACCOUNTS:
            held_by_orders = sum(
                (o.qty - o.cum_qty for o in self.exchange.open_orders(account) if o.side == "sell"), Decimal(0)
            )
            balances = self.exchange.balances(account)
            for total, held in balances.values():
                assert 0 <= held <= total
            assert balances.get("COIN", (0, Decimal(0)))[1] == held_by_orders
            if not any(order.side == "buy" for order in self.exchange.open_orders(account)):
                assert balances.get("USD", (0, Decimal(0)))[1] == 0

    @invariant()
    def the_book_is_the_naive_one_and_never_crossed(self) -> None:
        book = self.exchange.book(PAIR)
        for levels, side in ((book.bids, "buy"), (book.asks, "sell")):
            expected: dict[Decimal, Decimal] = {}
            for order in self.naive.orders:
                if order.side == side:
                    expected[order.price] = expected.get(order.price, Decimal(0)) + order.left
            assert list(levels) == sorted(expected.items(), reverse=side == "buy")
        if book.bids and book.asks:
            assert book.bids[0][0] < book.asks[0][0]

    @invariant()
    def events_tell_the_book_the_trades_and_the_fills(self) -> None:
        for event in self.exchange.drain():
            if isinstance(event, LevelChanged):
                self.heard_levels[event.side, event.price] = event.qty
            elif isinstance(event, PublicTrade):
                self.public.append((event.price, event.qty))
            elif isinstance(event, OrderEvent) and event.trade:
                order_id = event.order.order_id
                self.filled[order_id] = self.filled.get(order_id, Decimal(0)) + event.trade.qty
                assert event.order.cum_qty == self.filled[order_id] <= event.order.qty
                assert event.order.status == "partially_filled"
        assert self.public == [(price, part) for _, price, part in self.naive.trades]
        book = self.exchange.book(PAIR)
        told = {key: qty for key, qty in self.heard_levels.items() if qty}
        assert told == {("bid", p): q for p, q in book.bids} | {("ask", p): q for p, q in book.asks}


TestMarket = Market.TestCase
TestMarket.settings = settings(stateful_step_count=40)
