"""Whatever accounts and the crowd do: sums are exact, nothing free is negative, and the book obeys price and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from aether.sim.records import SELF_TRADES, Amend, BookSide, OrderSide, SelfTrade

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
self_trades: st.SearchStrategy[SelfTrade] = st.sampled_from(SELF_TRADES)
quantities = st.integers(1, 9000).map(lambda lots: Decimal(lots).scaleb(-3))


@st.composite
def new_orders(draw: st.DrawFn) -> NewOrder:
    """Orders of every kind that trades at once or rests."""
    side, qty, mode = draw(sides), draw(quantities), draw(self_trades)
    price = draw(st.none() | prices)
    if price is None:
        return NewOrder(PAIR, side, "market", qty, self_trade=mode)
    manner = draw(st.sampled_from(("gtc", "ioc", "fok", "post_only", "iceberg")))
    if manner == "iceberg":
        shown = max(Decimal("0.001"), (qty / 4).quantize(Decimal("0.001")))
        return NewOrder(PAIR, side, "iceberg", qty, price, display_qty=shown, self_trade=mode)
    if manner == "post_only":
        return NewOrder(PAIR, side, "limit", qty, price, post_only=True, self_trade=mode)
    return NewOrder(PAIR, side, "limit", qty, price, manner, self_trade=mode)  # type: ignore[arg-type]


@dataclass(slots=True)
class Resting:
    """An order in the naive book: who, side, price, what is left and what of it is shown, and when that came."""

    owner: str
    side: OrderSide
    price: Decimal
    left: Decimal
    arrival: int
    order_id: str = ""
    display: Decimal | None = None
    shown: Decimal = Decimal(0)

    def show(self, arrival: int) -> None:
        self.shown = self.left if self.display is None else min(self.display, self.left)
        self.arrival = arrival


class NaiveBook:
    """Price-time priority as one would write it on a page: a list, sorted at each use."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []
        self.trades: list[tuple[str, Decimal, Decimal]] = []
        self._arrivals = 0

    def facing(self, side: OrderSide) -> list[Resting]:
        sign = 1 if side == "buy" else -1
        return sorted((o for o in self.orders if o.side != side), key=lambda o: (sign * o.price, o.arrival))

    def take(self, owner: str, side: OrderSide, price: Decimal, left: Decimal, mode: SelfTrade) -> tuple[Decimal, bool]:
        """What is left over, and whether the taker must end for it met its own account."""
        while left and (facing := self.facing(side)):
            order = facing[0]
            if order.price > price if side == "buy" else order.price < price:
                break
            if order.owner == owner != CROWD:
                if mode != "cancel_newest":
                    self.orders.remove(order)
                if mode != "cancel_oldest":
                    return left, True
                continue
            part = min(left, order.shown)
            self.trades.append((order.owner, order.price, part))
            order.left -= part
            order.shown -= part
            left -= part
            if not order.left:
                self.orders.remove(order)
            elif not order.shown:
                order.show(self.next_arrival())
        return left, False

    def could_take(self, owner: str, side: OrderSide, price: Decimal, left: Decimal, mode: SelfTrade) -> bool:
        """Whether so much could be taken whole: tried on a copy."""
        trial = NaiveBook()
        trial.orders = [replace(order) for order in self.orders]
        trial._arrivals = self._arrivals
        rest, _ = trial.take(owner, side, price, left, mode)
        return not rest

    def next_arrival(self) -> int:
        self._arrivals += 1
        return self._arrivals

    def rest(self, resting: Resting) -> None:
        resting.show(self.next_arrival())
        self.orders.append(resting)

    def find(self, order_id: str) -> Resting:
        (found,) = [order for order in self.orders if order.order_id == order_id]
        return found

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

    @rule(account=accounts, new=new_orders())
    def add(self, account: str, new: NewOrder) -> None:
        side, price, qty, mode = new.side, new.limit_price, new.qty, new.self_trade
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
        if new.time_in_force == "fok" and not self.naive.could_take(account, side, limit, qty, mode):
            assert order.reason == "Fill or kill"
            assert not order.cum_qty
            return
        left, met_self = self.naive.take(account, side, limit, qty, mode)
        assert order.qty - order.cum_qty == left
        assert (order.reason == "Cannot trade with self") == (met_self and left > 0)
        if order.is_open:
            assert price is not None
            self.naive.rest(Resting(account, side, price, left, 0, order.order_id, new.display_qty))

    @rule(account=accounts, index=st.integers(0, 20), price=st.none() | prices, qty=st.none() | quantities)
    def amend(self, account: str, index: int, price: Decimal | None, qty: Decimal | None) -> None:
        orders = self.exchange.open_orders(account)
        if not orders:
            return
        order = orders[index % len(orders)]
        before = self.exchange.balances(account)
        try:
            self.exchange.amend_order(account, Amend(order.order_id, qty, price), self.tick())
        except ExchangeRefusal:
            assert self.exchange.balances(account) == before
            return
        mine = self.naive.find(order.order_id)
        left = mine.left if qty is None else max(Decimal(0), qty - order.cum_qty)
        if left <= mine.left and price in (None, mine.price):
            mine.left, mine.shown = left, min(mine.shown, left)
            if not left:
                self.naive.orders.remove(mine)
            return
        self.naive.orders.remove(mine)
        limit = mine.price if price is None else price
        if not left:
            return
        left, met_self = self.naive.take(account, order.side, limit, left, order.self_trade)
        if left and not met_self:
            self.naive.rest(Resting(account, order.side, limit, left, 0, order.order_id, order.display_qty))

    @rule(account=accounts, index=st.integers(0, 20))
    def cancel(self, account: str, index: int) -> None:
        orders = self.exchange.open_orders(account)
        if not orders:
            return
        order = orders[index % len(orders)]
        self.exchange.cancel_order(account, order.order_id, self.tick())
        self.naive.orders.remove(self.naive.find(order.order_id))

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
            qty, _ = self.naive.take(CROWD, taker, price, qty, "cancel_newest")
        held = [o for o in self.naive.orders if (o.owner, o.side, o.price) == (CROWD, taker, price)]
        if held and 0 < qty <= held[0].left:
            held[0].left = held[0].shown = qty
            return
        self.naive.orders = [order for order in self.naive.orders if order not in held]
        if qty:
            self.naive.rest(Resting(CROWD, taker, price, qty, 0))

    @rule(side=sides, price=prices, qty=quantities)
    def crowd_trade(self, side: OrderSide, price: Decimal, qty: Decimal) -> None:
        trades_before = len(self.naive.trades)
        self.exchange.crowd_trade(PAIR, side, price, qty, self.tick())
        self.naive.remove_crowd(side, price, at_limit=False)
        left, _ = self.naive.take(CROWD, side, price, qty, "cancel_newest")
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
                    expected[order.price] = expected.get(order.price, Decimal(0)) + order.shown
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
