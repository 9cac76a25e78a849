"""Order types beyond limit and market: what they show, wait for and do, and how long they live."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.sim.exchange import Exchange, ExchangeRefusal, NewOrder, Order, OrderEvent, PairRules
from aether.sim.records import Kind, NewTrigger, OrderSide, PriceType

D = Decimal
S = 1_000_000_000
DAY = 86_400 * S
BTC = PairRules("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "BTC", "XXBT", 1, 8, 5, D("0.00005"), D("0.5"), "online")
PAIR = BTC.name


@pytest.fixture
def exchange() -> Exchange:
    """The last trade was at 10000.0; nothing rests."""
    made = Exchange([BTC], seed=7)
    made.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
    made.open_account("bob", {"USD": D("10000"), "BTC": D("10")}, 1 * S)
    print_at(made, "10000.0", 1)
    made.drain()
    return made


def print_at(exchange: Exchange, price: str, second: float) -> None:
    """A trade of the crowd's at this price."""
    exchange.crowd_trade(PAIR, "buy", D(price), D("0.001"), int(second * S))


def limit(side: OrderSide, qty: str, price: str, **more: Any) -> NewOrder:
    return NewOrder(PAIR, side, "limit", D(qty), D(price), **more)


def waiting(
    kind: Kind, side: OrderSide, qty: str, price: str, price_type: PriceType = "static", **more: Any
) -> NewOrder:
    if "limit_price" in more:
        more["limit_price"] = D(more["limit_price"])
    return NewOrder(PAIR, side, kind, D(qty), trigger=NewTrigger(D(price), price_type), **more)


def refusal(exchange: Exchange, new: NewOrder, now_ns: int = 2 * S) -> str:
    with pytest.raises(ExchangeRefusal) as caught:
        exchange.add_order("ann", new, now_ns)
    assert exchange.open_orders("ann") == []
    return caught.value.text


def told(exchange: Exchange) -> list[tuple[str, str]]:
    return [(event.exec_type, event.order.status) for event in exchange.drain() if isinstance(event, OrderEvent)]


def now_of(exchange: Exchange, order: Order) -> Order:
    found = exchange.find_order(order.account, order_id=order.order_id)
    assert found is not None
    return found


# --- iceberg ----------------------------------------------------------------------------------------------------------


def iceberg(side: OrderSide, qty: str, price: str, shown: str, **more: Any) -> NewOrder:
    return NewOrder(PAIR, side, "iceberg", D(qty), D(price), display_qty=D(shown), **more)


def test_an_iceberg_shows_a_part_and_refills_behind_the_others(exchange: Exchange) -> None:
    order = exchange.add_order("bob", iceberg("sell", "1.0", "10000.0", "0.2"), 2 * S)
    other = exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 3 * S)
    assert exchange.book(PAIR).asks == ((D("10000.0"), D("0.3")),)
    exchange.drain()

    exchange.add_order("ann", limit("buy", "0.25", "10000.0"), 4 * S)

    fills = [(trade.order_id, trade.qty) for trade in exchange.trades("bob")]
    assert fills == [(order.order_id, D("0.2")), (other.order_id, D("0.05"))]
    assert exchange.book(PAIR).asks == ((D("10000.0"), D("0.25")),)
    kinds = [e.exec_type for e in exchange.drain() if isinstance(e, OrderEvent) and e.order.order_id == order.order_id]
    assert kinds == ["trade", "iceberg_refill"]
    assert now_of(exchange, order).shown_qty == D("0.2")


def test_an_iceberg_is_taken_whole_by_one_large_order_and_its_last_part_is_what_is_left(exchange: Exchange) -> None:
    order = exchange.add_order("bob", iceberg("sell", "0.5", "10000.0", "0.2"), 2 * S)

    exchange.add_order("ann", limit("buy", "0.45", "10000.0"), 3 * S)

    assert [trade.qty for trade in exchange.trades("bob")] == [D("0.2"), D("0.2"), D("0.05")]
    assert exchange.book(PAIR).asks == ((D("10000.0"), D("0.05")),)
    exchange.cancel_order("bob", order.order_id, 4 * S)
    assert exchange.book(PAIR).asks == ()
    assert exchange.balances("bob")["BTC"][1] == 0


def test_an_iceberg_takes_with_all_of_it_before_it_hides(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.3", "10000.0"), 2 * S)

    exchange.add_order("ann", iceberg("buy", "0.5", "10000.0", "0.1"), 3 * S)

    assert exchange.book(PAIR).bids == ((D("10000.0"), D("0.1")),)
    assert exchange.balances("ann")["USD"][1] == D("2008")


@pytest.mark.parametrize(("shown", "is_allowed"), [("0.1", True), ("0.09999999", False), ("1.5", True), ("1.6", False)])
def test_an_iceberg_shows_at_least_a_fifteenth(exchange: Exchange, shown: str, *, is_allowed: bool) -> None:
    new = iceberg("buy", "1.5", "1000.0", shown)
    if is_allowed:
        assert exchange.add_order("ann", new, 2 * S).status == "new"
    else:
        assert refusal(exchange, new) == "EGeneral:Invalid arguments:displayvol"


# --- triggers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "quiet", "loud"),
    [
        ("stop-loss", "sell", "9500.1", "9500.0"),
        ("stop-loss", "buy", "10499.9", "10500.0"),
        ("take-profit", "sell", "10499.9", "10500.0"),
        ("take-profit", "buy", "9500.1", "9500.0"),
    ],
)
def test_a_trigger_acts_when_the_last_trade_reaches_it_from_its_side(
    exchange: Exchange, kind: Kind, side: OrderSide, quiet: str, loud: str
) -> None:
    exchange.set_level(PAIR, "bid", D("9000.0"), D(5), 1 * S)
    exchange.set_level(PAIR, "ask", D("11000.0"), D(5), 1 * S)
    order = exchange.add_order("ann", waiting(kind, side, "0.1", loud), 2 * S)
    assert told(exchange) == [("pending_new", "pending_new"), ("new", "new")]
    print_at(exchange, quiet, 3)
    assert now_of(exchange, order).status == "new"
    assert told(exchange) == []

    print_at(exchange, loud, 4)

    done = now_of(exchange, order)
    assert done.status == "filled"
    assert done.trigger is not None
    assert (done.trigger.last_price, done.trigger.at_ns) == (D(loud), 4 * S)
    assert told(exchange) == [("status", "new"), ("trade", "partially_filled"), ("filled", "filled")]


def test_a_waiting_order_holds_its_funds_and_stands_in_no_book(exchange: Exchange) -> None:
    exchange.add_order("ann", waiting("stop-loss", "sell", "0.4", "9500.0"), 2 * S)
    exchange.add_order("ann", waiting("stop-loss-limit", "buy", "0.1", "10500.0", limit_price="11000.0"), 2 * S)
    exchange.add_order("ann", waiting("stop-loss", "buy", "0.1", "10500.0"), 2 * S)

    book = exchange.book(PAIR)
    assert (book.bids, book.asks) == ((), ())
    assert exchange.balances("ann") == {"USD": (D(10000), D("1104.4") + D("1054.2")), "BTC": (D(1), D("0.4"))}
    assert exchange.cancel_all("ann", 3 * S) == 3
    assert exchange.balances("ann") == {"USD": (D(10000), D(0)), "BTC": (D(1), D(0))}
    print_at(exchange, "9000.0", 4)
    assert exchange.trades("ann") == []


def test_a_triggered_limit_order_rests_at_its_limit(exchange: Exchange) -> None:
    order = exchange.add_order("ann", waiting("stop-loss-limit", "sell", "0.1", "9500.0", limit_price="9600.0"), 2 * S)
    print_at(exchange, "9500.0", 3)

    assert exchange.book(PAIR).asks == ((D("9600.0"), D("0.1")),)
    assert now_of(exchange, order).limit_price == D("9600.0")
    exchange.cancel_order("ann", order.order_id, 4 * S)
    assert exchange.book(PAIR).asks == ()


def test_a_trigger_that_the_last_trade_is_beyond_acts_at_once(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "bid", D("9000.0"), D(5), 1 * S)

    order = exchange.add_order("ann", waiting("stop-loss", "sell", "0.1", "10000.0"), 2 * S)

    assert order.status == "filled"


def test_one_trigger_may_set_off_the_next(exchange: Exchange) -> None:
    for price in ("9500.0", "9400.0", "9300.0"):
        exchange.set_level(PAIR, "bid", D(price), D("0.1"), 1 * S)
    first = exchange.add_order("ann", waiting("stop-loss", "sell", "0.2", "9600.0"), 2 * S)
    second = exchange.add_order("ann", waiting("stop-loss", "sell", "0.1", "9450.0"), 2 * S)
    exchange.set_level(PAIR, "bid", D("9600.0"), D("0.1"), 2 * S)

    exchange.add_order("bob", limit("sell", "0.1", "9600.0"), 3 * S)

    assert [now_of(exchange, order).status for order in (first, second)] == ["filled", "filled"]
    assert [trade.price for trade in exchange.trades("ann")] == [D("9500.0"), D("9400.0"), D("9300.0")]


def test_a_triggered_market_buy_that_its_account_cannot_pay_is_cancelled(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("12000.0"), D(5), 1 * S)
    order = exchange.add_order("ann", waiting("stop-loss", "buy", "0.9", "10500.0"), 2 * S)

    print_at(exchange, "10500.0", 3)

    done = now_of(exchange, order)
    assert (done.status, done.reason) == ("canceled", "Insufficient funds")
    assert exchange.balances("ann")["USD"] == (D(10000), D(0))


@pytest.mark.parametrize(
    ("price", "price_type", "actual"),
    [("-500", "quote", "9500"), ("-2.5", "pct", "9750"), ("-0.0001", "quote", "10000")],
)
def test_an_offset_counts_from_the_last_trade(
    exchange: Exchange, price: str, price_type: PriceType, actual: str
) -> None:
    exchange.set_level(PAIR, "bid", D("9000.0"), D(5), 1 * S)
    order = exchange.add_order("ann", waiting("stop-loss", "sell", "0.1", price, price_type), 2 * S)

    assert order.trigger is not None
    assert (order.trigger.price, order.trigger.actual_price) == (D(price), D(actual))


def test_an_offset_needs_a_trade_to_count_from() -> None:
    exchange = Exchange([BTC], seed=7)
    exchange.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)

    assert refusal(exchange, waiting("stop-loss", "sell", "0.1", "-5", "pct")) == "EOrder:Invalid price"
    assert refusal(exchange, waiting("trailing-stop", "sell", "0.1", "5", "pct")) == "EOrder:Invalid price"
    assert refusal(exchange, limit("sell", "0.1", "5", limit_price_type="pct")) == "EOrder:Invalid price"


# --- trailing stops ---------------------------------------------------------------------------------------------------


def test_a_trailing_sell_follows_the_best_price_up_and_acts_on_the_way_down(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "bid", D("9000.0"), D(5), 1 * S)
    order = exchange.add_order("ann", waiting("trailing-stop", "sell", "0.1", "5", "pct"), 2 * S)
    assert order.trigger is not None
    assert (order.trigger.actual_price, order.trigger.peak_price) == (D("9500"), D("10000"))

    print_at(exchange, "11000.0", 3)
    print_at(exchange, "10500.0", 4)
    moved = now_of(exchange, order).trigger
    assert moved is not None
    assert (moved.actual_price, moved.peak_price, moved.is_triggered) == (D("10450"), D("11000"), False)
    print_at(exchange, "10450.0", 5)

    assert now_of(exchange, order).status == "filled"
    kinds = [kind for kind, _ in told(exchange)]
    assert kinds == ["pending_new", "new", "status", "status", "trade", "filled"]


def test_a_trailing_buy_follows_the_price_down_and_its_hold_follows_too(exchange: Exchange) -> None:
    new = waiting("trailing-stop-limit", "buy", "0.1", "500", "quote", limit_price="100", limit_price_type="quote")
    order = exchange.add_order("ann", new, 2 * S)
    assert (order.limit_price, order.limit_asked) == (D("10600"), D("100"))
    assert exchange.balances("ann")["USD"][1] == D("1064.24")

    print_at(exchange, "9000.0", 3)
    assert exchange.balances("ann")["USD"][1] == D("963.84")
    print_at(exchange, "9500.0", 4)

    assert exchange.book(PAIR).bids == ((D("9600.0"), D("0.1")),)
    assert now_of(exchange, order).limit_price == D("9600")


@pytest.mark.parametrize(("price", "price_type"), [("0", "quote"), ("-5", "pct"), ("100", "pct"), ("NaN", "quote")])
def test_a_trailing_stop_needs_an_offset_that_leads_somewhere(
    exchange: Exchange, price: str, price_type: PriceType
) -> None:
    assert "price" in refusal(exchange, waiting("trailing-stop", "sell", "0.1", price, price_type))


# --- how long ---------------------------------------------------------------------------------------------------------


def test_fill_or_kill_takes_all_or_nothing(exchange: Exchange) -> None:
    exchange.add_order("bob", iceberg("sell", "0.3", "10000.0", "0.1"), 2 * S)

    killed = exchange.add_order("ann", limit("buy", "0.31", "10000.0", time_in_force="fok"), 3 * S)
    filled = exchange.add_order("ann", limit("buy", "0.3", "10000.0", time_in_force="fok"), 4 * S)

    assert (killed.status, killed.cum_qty, killed.reason) == ("canceled", D(0), "Fill or kill")
    assert (filled.status, filled.cum_qty) == ("filled", D("0.3"))


@pytest.mark.parametrize("mode", ["cancel_newest", "cancel_oldest", "cancel_both"])
def test_fill_or_kill_does_not_count_its_own_accounts_orders(exchange: Exchange, mode: str) -> None:
    mine = exchange.add_order("ann", limit("sell", "0.1", "9999.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)

    new = limit("buy", "0.1", "10000.0", time_in_force="fok", self_trade=mode)
    assert exchange.add_order("ann", new, 3 * S).status == ("filled" if mode == "cancel_oldest" else "canceled")
    assert now_of(exchange, mine).is_open == (mode != "cancel_oldest")


def test_an_order_expires_at_its_own_time_with_what_was_filled(exchange: Exchange) -> None:
    new = limit("sell", "0.5", "10100.0", time_in_force="gtd", expires_ns=12 * S)
    order = exchange.add_order("ann", new, 2 * S)
    exchange.add_order("bob", limit("buy", "0.1", "10100.0"), 3 * S)
    exchange.advance(12 * S - 1)
    assert now_of(exchange, order).is_open
    exchange.drain()

    exchange.advance(50 * S)

    done = now_of(exchange, order)
    assert (done.status, done.closed_ns, done.cum_qty) == ("expired", 12 * S, D("0.1"))
    assert told(exchange) == [("expired", "expired")]
    assert exchange.balances("ann")["BTC"] == (D("0.9"), D(0))
    assert exchange.book(PAIR).asks == ()


def test_a_scheduled_order_is_pending_until_it_begins(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0", starts_ns=60 * S), 3 * S)
    assert order.status == "pending_new"
    assert exchange.balances("ann")["USD"][1] == D("1004")
    exchange.drain()

    exchange.advance(60 * S)

    assert now_of(exchange, order).status == "filled"
    assert exchange.trades("ann")[0].at_ns == 60 * S
    assert [kind for kind, _ in told(exchange)][:2] == ["new", "trade"]


def test_a_scheduled_order_waits_for_its_market_to_match(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0", starts_ns=60 * S), 3 * S)
    exchange.set_system_status("cancel_only")
    exchange.advance(70 * S)
    assert now_of(exchange, order).status == "pending_new"
    exchange.set_system_status("online")

    exchange.advance(80 * S)

    assert now_of(exchange, order).status == "new"


def test_a_cancelled_scheduled_order_never_begins(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0", starts_ns=60 * S), 3 * S)
    exchange.cancel_order("ann", order.order_id, 4 * S)

    exchange.advance(100 * S)

    assert exchange.book(PAIR).bids == ()


def test_a_scheduled_market_order_meets_the_book_of_its_time(exchange: Exchange) -> None:
    new = NewOrder(PAIR, "buy", "market", D("0.1"), starts_ns=60 * S)
    order = exchange.add_order("ann", new, 2 * S)
    exchange.set_level(PAIR, "ask", D("12000.0"), D(1), 30 * S)

    exchange.advance(60 * S)

    assert now_of(exchange, order).cum_cost == D("1200")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"time_in_force": "gtd"}, "expiretm"),
        ({"expires_ns": 100 * S}, "expiretm"),
        ({"time_in_force": "gtd", "expires_ns": 7 * S - 1}, "expiretm"),
        ({"time_in_force": "gtd", "expires_ns": 2 * S + 31 * DAY + 1}, "expiretm"),
        ({"time_in_force": "gtd", "starts_ns": 60 * S, "expires_ns": 64 * S}, "expiretm"),
        ({"starts_ns": 2 * S}, "starttm"),
        ({"time_in_force": "fok", "post_only": True}, "post_only"),
    ],
)
def test_times_that_make_no_sense_are_refused(exchange: Exchange, more: dict[str, Any], field: str) -> None:
    assert refusal(exchange, limit("buy", "0.1", "9000.0", **more)) == f"EGeneral:Invalid arguments:{field}"


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (waiting("stop-loss", "sell", "0.1", "9500.0", time_in_force="fok"), "timeinforce"),
        (NewOrder(PAIR, "buy", "market", D("0.1"), time_in_force="gtd", expires_ns=60 * S), "timeinforce"),
        (iceberg("buy", "0.1", "9000.0", "0.1", time_in_force="ioc"), "timeinforce"),
        (waiting("stop-loss", "sell", "0.1", "9500.0", post_only=True), "post_only"),
        (NewOrder(PAIR, "buy", "stop-loss", D("0.1")), "price"),
        (limit("buy", "0.1", "9000.0", trigger=NewTrigger(D(9000))), "price"),
        (limit("buy", "0.1", "9000.0", display_qty=D("0.1")), "displayvol"),
        (limit("buy", "0.1", "9000.0", cash_qty=D("100")), "viqc"),
        (NewOrder(PAIR, "sell", "market", D(0), cash_qty=D("100")), "viqc"),
        (limit("buy", "1e30", "9000.0"), "volume"),
        (limit("buy", "NaN", "9000.0"), "volume"),
        (limit("buy", "0.1", "Infinity"), "price"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(exchange: Exchange, new: NewOrder, field: str) -> None:
    assert refusal(exchange, new) == f"EGeneral:Invalid arguments:{field}"


# --- self trades, money in quote, and how many ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "resting_lives", "arriving", "filled"),
    [
        ("cancel_newest", True, "canceled", "0"),
        ("cancel_oldest", False, "new", "0.1"),
        ("cancel_both", False, "canceled", "0"),
    ],
)
def test_who_ends_when_an_account_meets_itself(
    exchange: Exchange, mode: str, arriving: str, filled: str, *, resting_lives: bool
) -> None:
    mine = exchange.add_order("ann", limit("sell", "0.2", "9999.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)

    order = exchange.add_order("ann", limit("buy", "0.3", "10000.0", self_trade=mode), 3 * S)

    assert now_of(exchange, mine).is_open == resting_lives
    assert order.cum_qty == D(filled)
    assert order.status in (arriving, "partially_filled")
    if not order.is_open:
        assert order.reason == "Cannot trade with self"


def test_a_market_buy_may_name_what_it_spends(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("10000.0"), D("0.05"), 2 * S)
    exchange.set_level(PAIR, "ask", D("10500.0"), D("5"), 2 * S)

    order = exchange.add_order("ann", NewOrder(PAIR, "buy", "market", D(0), cash_qty=D("1000")), 3 * S)

    assert (order.status, order.cash_qty) == ("filled", D("1000"))
    assert order.qty == D("0.05") + D("0.04761904")
    assert D("999.99") < order.cum_cost <= D("1000")


def test_no_account_has_more_open_orders_on_a_pair_than_its_tier_allows() -> None:
    exchange = Exchange([BTC], seed=7, open_orders_max=2)
    exchange.open_account("ann", {"USD": D("10000")}, 1 * S)
    first = exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)

    with pytest.raises(ExchangeRefusal, match="EOrder:Orders limit exceeded"):
        exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.cancel_order("ann", first.order_id, 3 * S)
    assert exchange.add_order("ann", limit("buy", "0.1", "100.0"), 4 * S).status == "new"


@pytest.mark.parametrize("hidden", ["iceberg", "behind its own order"])
def test_a_market_buy_needs_funds_for_what_it_will_meet_and_not_for_what_is_shown(
    exchange: Exchange, hidden: str
) -> None:
    if hidden == "iceberg":
        exchange.add_order("bob", iceberg("sell", "1.5", "10000.0", "0.1"), 2 * S)
    else:
        exchange.add_order("ann", limit("sell", "1.0", "5000.0"), 2 * S)
        exchange.set_level(PAIR, "ask", D("5400.0"), D(3), 2 * S)
    new = NewOrder(PAIR, "buy", "market", D("1.9" if hidden != "iceberg" else "1.2"), self_trade="cancel_oldest")

    with pytest.raises(ExchangeRefusal, match="EOrder:Insufficient funds"):
        exchange.add_order("ann", new, 3 * S)
