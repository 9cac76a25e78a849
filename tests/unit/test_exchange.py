"""The made Kraken's rules, one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.sim.exchange import (
    Exchange,
    ExchangeRefusal,
    LedgerEvent,
    LevelChanged,
    NewOrder,
    Order,
    OrderEvent,
    PairRules,
    PublicTrade,
    StatusEvent,
)
from aether.sim.records import OrderSide

D = Decimal
S = 1_000_000_000
BTC = PairRules("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "BTC", "XXBT", 1, 8, 5, D("0.00005"), D("0.5"), "online")
PAIR = BTC.name


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange([BTC], seed=7)
    made.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
    made.open_account("bob", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
    made.drain()
    return made


def limit(side: OrderSide, qty: str, price: str, **more: Any) -> NewOrder:
    return NewOrder(PAIR, side, "limit", D(qty), D(price), **more)


def market(side: OrderSide, qty: str) -> NewOrder:
    return NewOrder(PAIR, side, "market", D(qty), time_in_force="ioc")


def refusal(exchange: Exchange, new: NewOrder, now_ns: int = 2 * S) -> str:
    with pytest.raises(ExchangeRefusal) as caught:
        exchange.add_order("ann", new, now_ns)
    assert exchange.drain() == []
    assert exchange.open_orders("ann") == []
    return caught.value.text


def story(exchange: Exchange, order: Order) -> list[tuple[str, str]]:
    return [
        (event.exec_type, event.order.status)
        for event in exchange.drain()
        if isinstance(event, OrderEvent) and event.order.order_id == order.order_id
    ]


# --- one order's life -------------------------------------------------------------------------------------------


def test_a_resting_order_is_reported_pending_then_new_and_holds_its_funds(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0", cl_ord_id="a1"), 2 * S)

    assert story(exchange, order) == [("pending_new", "pending_new"), ("new", "new")]
    assert exchange.balances("ann")["USD"] == (D("10000"), D("1004.00000"))
    assert exchange.open_orders("ann") == [order]
    assert exchange.book(PAIR).bids == ((D("10000.0"), D("0.10000000")),)


def test_a_resting_sell_holds_its_coins(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("sell", "0.4", "10000.0"), 2 * S)

    assert exchange.balances("ann") == {"USD": (D("10000"), D(0)), "BTC": (D("1"), D("0.4"))}


def test_a_complete_fill_is_a_partial_trade_and_then_filled(exchange: Exchange) -> None:
    maker = exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    exchange.drain()

    taker = exchange.add_order("ann", limit("buy", "0.1", "10001.0"), 3 * S)

    assert story(exchange, taker) == [
        ("pending_new", "pending_new"),
        ("new", "new"),
        ("trade", "partially_filled"),
        ("filled", "filled"),
    ]
    assert (taker.status, taker.cum_qty, taker.cum_cost, taker.cum_fee) == ("filled", D("0.1"), D("1000"), D("4"))
    done = exchange.find_order("bob", order_id=maker.order_id)
    assert done is not None
    assert (done.status, done.cum_fee, done.closed_ns) == ("filled", D("2.5"), 3 * S)


def test_both_sides_of_a_trade_book_what_it_changed(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 3 * S)

    assert exchange.balances("ann") == {"USD": (D("8996"), D(0)), "BTC": (D("1.1"), D(0))}
    assert exchange.balances("bob") == {"USD": (D("10997.5"), D(0)), "BTC": (D("0.9"), D(0))}
    (ann,), (bob,) = exchange.trades("ann"), exchange.trades("bob")
    assert (ann.trade_id, ann.liquidity, bob.trade_id, bob.liquidity) == (1, "t", 1, "m")
    assert ann.exec_id != bob.exec_id
    rows = exchange.ledgers("ann")[-2:]
    assert [(row.ref_id, row.asset, row.amount, row.fee) for row in rows] == [
        (ann.exec_id, "USD", D("-1000"), D("4")),
        (ann.exec_id, "BTC", D("0.1"), D(0)),
    ]


def test_the_public_hears_the_trade_and_then_the_level(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.3", "10000.0"), 2 * S)
    exchange.drain()
    exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 3 * S)

    public = [event for event in exchange.drain() if isinstance(event, PublicTrade | LevelChanged)]

    assert public == [
        PublicTrade(PAIR, "buy", D("10000.0"), D("0.1"), "limit", 1, 3 * S),
        LevelChanged(PAIR, "ask", D("10000.0"), D("0.2"), 3 * S),
    ]
    assert exchange.last_trade_price(PAIR) == D("10000.0")


def test_a_taker_gets_the_resting_price_and_what_it_held_above_it_is_free_again(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "9000.0"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.2", "10000.0"), 3 * S)

    total, held = exchange.balances("ann")["USD"]
    assert total == D("10000") - D("900") - D("3.6")
    assert held == D("1004.00000")


def test_better_prices_fill_first_and_older_orders_first_at_one_price(exchange: Exchange) -> None:
    late_but_better = exchange.add_order("bob", limit("sell", "0.1", "9999.0"), 2 * S)
    older = exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 3 * S)
    younger = exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 4 * S)

    exchange.add_order("ann", limit("buy", "0.25", "10000.0"), 5 * S)

    fills = [(trade.order_id, trade.qty) for trade in exchange.trades("bob")]
    assert fills == [
        (late_but_better.order_id, D("0.1")),
        (older.order_id, D("0.1")),
        (younger.order_id, D("0.05")),
    ]


def test_a_cancel_frees_what_was_held_and_says_who_asked(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 2 * S)
    exchange.drain()

    canceled = exchange.cancel_order("ann", order.order_id, 3 * S)

    assert (canceled.status, canceled.reason) == ("canceled", "User requested")
    assert exchange.balances("ann")["USD"] == (D("10000"), D(0))
    assert exchange.book(PAIR).bids == ()
    assert exchange.closed_orders("ann") == [canceled]
    with pytest.raises(ExchangeRefusal, match="EOrder:Unknown order"):
        exchange.cancel_order("ann", order.order_id, 4 * S)


def test_nobody_cancels_another_accounts_order(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 2 * S)

    with pytest.raises(ExchangeRefusal, match="EOrder:Unknown order"):
        exchange.cancel_order("bob", order.order_id, 3 * S)


def test_post_only_that_would_take_is_accepted_and_then_canceled(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    exchange.drain()

    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0", post_only=True), 3 * S)

    assert (order.status, order.reason) == ("canceled", "Post only order")
    assert story(exchange, order) == [("pending_new", "pending_new"), ("canceled", "canceled")]
    assert exchange.balances("ann")["USD"] == (D("10000"), D(0))


def test_post_only_one_tick_away_rests(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)

    assert exchange.add_order("ann", limit("buy", "0.1", "9999.9", post_only=True), 3 * S).status == "new"


def test_the_rest_of_an_ioc_order_is_canceled(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)

    order = exchange.add_order("ann", limit("buy", "0.3", "10000.0", time_in_force="ioc"), 3 * S)

    assert (order.status, order.reason, order.cum_qty) == ("canceled", "Immediate or cancel", D("0.1"))
    assert exchange.open_orders("ann") == []


def test_an_order_that_meets_its_own_account_loses_its_rest(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "9999.0"), 2 * S)
    resting = exchange.add_order("ann", limit("sell", "0.1", "10000.0"), 2 * S)

    order = exchange.add_order("ann", limit("buy", "0.3", "10000.0"), 3 * S)

    assert (order.status, order.reason, order.cum_qty) == ("canceled", "Cannot trade with self", D("0.1"))
    assert exchange.open_orders("ann") == [resting]


# --- market orders ----------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_book(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.1", "10100.0"), 2 * S)

    order = exchange.add_order("ann", market("buy", "0.15"), 3 * S)

    assert (order.status, order.cum_cost) == ("filled", D("1505"))


def test_a_market_order_stops_at_the_price_protection(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "10000.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.1", "11000.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.1", "11000.1"), 2 * S)

    order = exchange.add_order("ann", market("buy", "0.3"), 3 * S)

    assert (order.status, order.reason, order.cum_qty) == ("canceled", "Market price protection", D("0.2"))


def test_a_market_order_without_a_counterpart_is_canceled_unfilled(exchange: Exchange) -> None:
    order = exchange.add_order("ann", market("sell", "0.3"), 3 * S)

    assert (order.status, order.cum_qty) == ("canceled", D(0))
    assert exchange.balances("ann")["BTC"] == (D("1"), D(0))


def test_a_market_buy_needs_funds_for_the_book_it_walks(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("9960.0"), D("0.5"), 2 * S)
    exchange.set_level(PAIR, "ask", D("10000.0"), D("5"), 2 * S)
    exchange.drain()

    assert refusal(exchange, market("buy", "1.0")) == "EOrder:Insufficient funds"
    assert exchange.add_order("ann", market("buy", "0.99"), 3 * S).status == "filled"


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (limit("buy", "0.00004999", "20000.0"), "EGeneral:Invalid arguments:volume minimum not met"),
        (limit("buy", "0.00005", "9999.9"), "EOrder:Cost minimum not met"),
        (limit("buy", "0.1", "10000.01"), "EOrder:Tick size check failed"),
        (limit("buy", "0.1", "0"), "EOrder:Invalid price"),
        (limit("buy", "0.000100001", "10000.0"), "EGeneral:Invalid arguments:volume"),
        (limit("buy", "-1", "10000.0"), "EGeneral:Invalid arguments:volume"),
        (limit("buy", "1", "10000.0"), "EOrder:Insufficient funds"),
        (limit("sell", "1.00000001", "10000.0"), "EOrder:Insufficient funds"),
        (limit("buy", "0.1", "10000.0", deadline_ns=2 * S - 1), "EService:Deadline elapsed"),
        (limit("buy", "0.1", "10000.0", post_only=True, time_in_force="ioc"), "EGeneral:Invalid arguments:post_only"),
        (limit("buy", "0.1", "10000.0", cl_ord_id="x" * 19), "EGeneral:Invalid arguments:cl_ord_id"),
        (NewOrder("DOGE/USD", "buy", "limit", D(1), D(1)), "EQuery:Unknown asset pair"),
        (NewOrder(PAIR, "buy", "limit", D(1)), "EGeneral:Invalid arguments:price"),
        (NewOrder(PAIR, "buy", "market", D(1), D(1)), "EGeneral:Invalid arguments:price"),
    ],
)
def test_a_bad_order_is_refused_with_krakens_text_and_changes_nothing(
    exchange: Exchange, new: NewOrder, text: str
) -> None:
    assert refusal(exchange, new) == text


@pytest.mark.parametrize(
    "new",
    [
        limit("buy", "0.00005", "10000.0"),
        limit("sell", "1", "10000.0"),
        limit("buy", "0.1", "10000.0", deadline_ns=2 * S),
        limit("buy", "0.99601593", "10000.0"),
        limit("buy", "0.1", "10000.0", cl_ord_id="x" * 18),
        limit("buy", "0.1", "10000.0", cl_ord_id="6d1b345e-2821-40e2-ad83-4ecb18a06876"),
    ],
)
def test_an_order_just_inside_the_rules_rests(exchange: Exchange, new: NewOrder) -> None:
    assert exchange.add_order("ann", new, 2 * S).status == "new"


@pytest.mark.parametrize(
    "new",
    [
        limit("buy", "0.1", "10000.0"),
        limit("buy", "0.1", "10001.0", post_only=True),
        limit("buy", "1", "10000.0"),
        limit("buy", "0.1", "10000.05"),
        limit("buy", "0.1", "10000.0", cl_ord_id="taken"),
        market("buy", "0.1"),
        market("buy", "1"),
    ],
)
def test_a_check_says_what_the_order_would_meet_and_leaves_no_trace(new: NewOrder) -> None:
    def outcome(checks: int) -> tuple[list[object], str]:
        made = Exchange([BTC], seed=7)
        made.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
        made.set_level(PAIR, "ask", D("10001.0"), D(3), 1 * S)
        made.add_order("ann", limit("buy", "0.01", "9000.0", cl_ord_id="taken"), 1 * S)
        made.drain()
        texts = set()
        for act in (made.check_order,) * checks + (made.add_order,):
            assert made.drain() == []
            try:
                act("ann", new, 2 * S)
            except ExchangeRefusal as refusal:
                texts.add(refusal.text)
            else:
                texts.add("")
        (text,) = texts
        return [*made.drain(), made.balances("ann"), made.open_orders("ann")], text

    assert outcome(checks=2) == outcome(checks=0)


def test_a_client_order_id_is_unique_among_open_orders_only(exchange: Exchange) -> None:
    first = exchange.add_order("ann", limit("buy", "0.1", "100.0", cl_ord_id="mine"), 2 * S)
    with pytest.raises(ExchangeRefusal, match="cl_ord_id already in use"):
        exchange.add_order("ann", limit("buy", "0.1", "100.0", cl_ord_id="mine"), 2 * S)
    exchange.add_order("bob", limit("buy", "0.1", "100.0", cl_ord_id="mine"), 2 * S)

    exchange.cancel_order("ann", first.order_id, 3 * S)
    second = exchange.add_order("ann", limit("buy", "0.1", "100.0", cl_ord_id="mine"), 4 * S)

    assert exchange.find_order("ann", cl_ord_id="mine") == second
    assert exchange.find_order("ann", cl_ord_id="other") is None


# --- statuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "plain", "post_only"),
    [
        ("online", None, None),
        ("post_only", "EService:Market in post_only mode", None),
        ("cancel_only", "EService:Market in cancel_only mode", "EService:Market in cancel_only mode"),
        ("maintenance", "EService:Unavailable", "EService:Unavailable"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_status_decides_what_may_be_placed(
    exchange: Exchange, status: str, plain: str | None, post_only: str | None, *, whole: bool
) -> None:
    if whole:
        exchange.set_system_status(status)
    else:
        exchange.set_pair_status(PAIR, status)
    assert exchange.drain() == [StatusEvent(None if whole else PAIR, status)]

    for new, text in ((limit("buy", "0.1", "100.0"), plain), (limit("buy", "0.1", "100.0", post_only=True), post_only)):
        if text is None:
            exchange.add_order("bob", new, 2 * S)
            exchange.drain()
        else:
            assert refusal(exchange, new) == text


@pytest.mark.parametrize(("status", "works"), [("post_only", True), ("cancel_only", True), ("maintenance", False)])
def test_only_maintenance_refuses_cancels(exchange: Exchange, status: str, *, works: bool) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_system_status(status)

    if works:
        assert exchange.cancel_order("ann", order.order_id, 3 * S).status == "canceled"
    else:
        with pytest.raises(ExchangeRefusal, match="EService:Unavailable"):
            exchange.cancel_order("ann", order.order_id, 3 * S)
        with pytest.raises(ExchangeRefusal, match="EService:Unavailable"):
            exchange.cancel_all("ann", 3 * S)


def test_orders_of_a_pair_in_maintenance_outlive_a_cancel_of_all(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_pair_status(PAIR, "maintenance")

    assert exchange.cancel_all("ann", 3 * S) == 0
    assert exchange.open_orders("ann") == [order]

    exchange.set_pair_status(PAIR, "cancel_only")
    assert exchange.cancel_all("ann", 4 * S) == 1


def test_a_limit_only_pair_refuses_market_orders(exchange: Exchange) -> None:
    exchange.set_pair_status(PAIR, "limit_only")
    exchange.drain()

    assert refusal(exchange, market("buy", "0.1")) == "EService:Market in limit_only mode"
    assert exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S).status == "new"


@pytest.mark.parametrize("status", ["post_only", "cancel_only", "maintenance"])
def test_nothing_matches_while_the_exchange_is_not_online(exchange: Exchange, status: str) -> None:
    exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_system_status(status)
    exchange.drain()

    exchange.crowd_trade(PAIR, "sell", D("90.0"), D("1"), 3 * S)
    exchange.set_level(PAIR, "ask", D("95.0"), D("1"), 3 * S)

    assert exchange.drain() == []


# --- the dead man's switch ----------------------------------------------------------------------------------------


def test_the_dead_mans_switch_cancels_at_its_own_time_and_then_is_off(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    other = exchange.add_order("bob", limit("buy", "0.1", "100.0"), 2 * S)
    assert exchange.set_dead_man("ann", 60, 3 * S) == 63 * S

    exchange.advance(63 * S - 1)
    assert exchange.open_orders("ann") == [order]
    exchange.advance(90 * S)

    (canceled,) = exchange.closed_orders("ann")
    assert canceled.closed_ns == 63 * S
    assert exchange.open_orders("bob") == [other]
    assert exchange.add_order("ann", limit("buy", "0.1", "100.0"), 200 * S).status == "new"


def test_each_call_replaces_the_timer_and_zero_switches_it_off(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_dead_man("ann", 60, 3 * S)
    assert exchange.set_dead_man("ann", 60, 30 * S) == 90 * S
    exchange.advance(89 * S)
    assert exchange.set_dead_man("ann", 0, 89 * S) is None
    exchange.advance(1000 * S)

    assert len(exchange.open_orders("ann")) == 1


def test_an_armed_timer_waits_for_the_end_of_maintenance(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_dead_man("ann", 60, 3 * S)
    exchange.set_system_status("maintenance")
    exchange.advance(100 * S)
    assert len(exchange.open_orders("ann")) == 1

    exchange.set_system_status("cancel_only")
    exchange.advance(101 * S)

    assert exchange.open_orders("ann") == []


def test_no_timer_is_set_or_switched_off_in_maintenance(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("buy", "0.1", "100.0"), 2 * S)
    exchange.set_dead_man("ann", 60, 3 * S)
    exchange.set_system_status("maintenance")

    with pytest.raises(ExchangeRefusal, match="EService:Unavailable"):
        exchange.set_dead_man("ann", 0, 4 * S)
    exchange.set_system_status("online")
    exchange.advance(64 * S)

    assert exchange.open_orders("ann") == []


@pytest.mark.parametrize("timeout_s", [-1, 86_400])
def test_a_timer_of_a_day_is_refused(exchange: Exchange, timeout_s: int) -> None:
    with pytest.raises(ExchangeRefusal, match="EGeneral:Invalid arguments:timeout"):
        exchange.set_dead_man("ann", timeout_s, 3 * S)


# --- fees -------------------------------------------------------------------------------------------------------


def test_volume_lowers_the_rates_for_thirty_days(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.9", "10000.0"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.9", "10000.0"), 3 * S)
    assert exchange.fee_rates("ann", PAIR) == (D("0.40"), D("0.25"))
    exchange.add_order("bob", limit("buy", "0.1", "10000.0"), 4 * S)
    exchange.add_order("ann", limit("sell", "0.1", "10000.0"), 5 * S)
    assert exchange.fee_rates("ann", PAIR) == (D("0.35"), D("0.20"))

    days = 30 * 86_400 * S
    exchange.advance(3 * S + days - 1)
    assert exchange.volume_30d("ann") == D("10000")
    exchange.advance(3 * S + days)
    assert exchange.volume_30d("ann") == D("1000")
    assert exchange.fee_rates("ann", PAIR) == (D("0.40"), D("0.25"))


def test_fees_rounded_up_at_each_of_many_fills_never_take_more_than_there_is(exchange: Exchange) -> None:
    exchange.open_account("eve", {"USD": D("50.21004")}, 2 * S)  # cost and taker fee of the order, and nothing else
    for _ in range(100):
        exchange.add_order("bob", limit("sell", "0.00005001", "10000.0"), 2 * S)

    order = exchange.add_order("eve", limit("buy", "0.005001", "10000.0"), 3 * S)

    assert order.status == "filled"
    assert exchange.balances("eve") == {"USD": (D(0), D(0)), "BTC": (D("0.005001"), D(0))}
    fees = [trade.fee for trade in exchange.trades("eve")]
    assert set(fees) == {D("0.00200"), D("0.00201")}  # 0.0020004 each, rounded up while there is something left
    assert sum(fees) == D("0.20004")


# --- the crowd's hands --------------------------------------------------------------------------------------------


def test_the_crowds_trade_has_exactly_its_quantity_although_nobody_rests_there(exchange: Exchange) -> None:
    exchange.crowd_trade(PAIR, "buy", D("10000.0"), D("1.5"), 2 * S)

    assert exchange.drain() == [PublicTrade(PAIR, "buy", D("10000.0"), D("1.5"), "limit", 1, 2 * S)]


def test_the_crowds_taker_fills_better_orders_of_accounts_first(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("sell", "0.2", "9990.0"), 2 * S)
    exchange.set_level(PAIR, "ask", D("10000.0"), D("0.5"), 2 * S)
    exchange.drain()

    exchange.crowd_trade(PAIR, "buy", D("10000.0"), D("1.0"), 3 * S)

    trades = [(event.price, event.qty) for event in exchange.drain() if isinstance(event, PublicTrade)]
    assert trades == [(D("9990.0"), D("0.2")), (D("10000.0"), D("0.5")), (D("10000.0"), D("0.3"))]
    assert exchange.trades("ann")[0].liquidity == "m"


def test_an_account_behind_the_crowd_waits_its_turn(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "bid", D("10000.0"), D("0.5"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 3 * S)

    exchange.crowd_trade(PAIR, "sell", D("10000.0"), D("0.4"), 4 * S)
    assert exchange.trades("ann") == []
    exchange.set_level(PAIR, "bid", D("10000.0"), D("0.05"), 5 * S)
    exchange.crowd_trade(PAIR, "sell", D("10000.0"), D("0.1"), 6 * S)

    assert [trade.qty for trade in exchange.trades("ann")] == [D("0.05")]


def test_a_level_that_grows_goes_behind_those_who_wait(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "bid", D("10000.0"), D("0.5"), 2 * S)
    exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 3 * S)
    exchange.set_level(PAIR, "bid", D("10000.0"), D("0.6"), 4 * S)

    exchange.crowd_trade(PAIR, "sell", D("10000.0"), D("0.1"), 5 * S)

    assert [trade.qty for trade in exchange.trades("ann")] == [D("0.1")]


def test_a_crossing_level_takes_accounts_orders_and_moves_the_crowds_own(exchange: Exchange) -> None:
    exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 2 * S)
    exchange.set_level(PAIR, "bid", D("9995.0"), D("1"), 2 * S)
    exchange.set_level(PAIR, "bid", D("9980.0"), D("1"), 2 * S)

    exchange.set_level(PAIR, "ask", D("9990.0"), D("0.3"), 3 * S)

    book = exchange.book(PAIR)
    assert (book.bids, book.asks) == (((D("9980.0"), D("1")),), ((D("9990.0"), D("0.2")),))
    assert exchange.trades("ann")[0].price == D("10000.0")


def test_the_crowds_own_better_levels_give_way_to_its_trade(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("9990.0"), D("1"), 2 * S)
    exchange.drain()

    exchange.crowd_trade(PAIR, "buy", D("10000.0"), D("0.3"), 3 * S)

    assert [event.price for event in exchange.drain() if isinstance(event, PublicTrade)] == [D("10000.0")]


def test_only_the_newest_thousand_public_trades_are_kept(exchange: Exchange) -> None:
    for number in range(1001):
        exchange.crowd_trade(PAIR, "buy", D("10000.0"), D("1"), (2 + number) * S)

    kept = exchange.public_trades(PAIR)
    assert (len(kept), kept[0].trade_id, kept[-1].trade_id) == (1000, 2, 1001)


# --- the rest -----------------------------------------------------------------------------------------------------


def test_a_deposit_is_a_ledger_row_and_an_account_opens_once(exchange: Exchange) -> None:
    exchange.open_account("eve", {"USD": D("5")}, 9 * S)

    (event,) = exchange.drain()
    assert isinstance(event, LedgerEvent)
    assert (event.account, event.entry.type, event.entry.amount, event.entry.balance) == ("eve", "deposit", D(5), D(5))
    with pytest.raises(ValueError, match="open already"):
        exchange.open_account("eve", {}, 9 * S)


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_a_bad_deposit_opens_no_account(exchange: Exchange, amount: str) -> None:
    with pytest.raises(ValueError, match="a deposit of"):
        exchange.open_account("eve", {"USD": D(amount)}, 9 * S)

    assert exchange.drain() == []
    exchange.open_account("eve", {}, 9 * S)


def test_the_same_seed_makes_the_same_ids_in_krakens_form() -> None:
    ids = []
    for seed in (1, 1, 2):
        exchange = Exchange([BTC], seed=seed)
        exchange.open_account("ann", {"USD": D("1000")}, 1 * S)
        ids.append(exchange.add_order("ann", limit("buy", "0.01", "100.0"), 2 * S).order_id)

    assert ids[0] == ids[1] != ids[2]
    assert [len(part) for part in ids[0].split("-")] == [6, 5, 6]
    assert ids[0].startswith("O")


def test_a_stamp_never_goes_backwards(exchange: Exchange) -> None:
    exchange.advance(50 * S)

    assert exchange.add_order("ann", limit("buy", "0.1", "100.0"), 40 * S).opened_ns == 50 * S


# --- delisting --------------------------------------------------------------------------------------------------


def test_a_delisted_pair_ends_its_orders_and_takes_no_others_e06_a24(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "10000.0"), 2 * S)
    exchange.drain()

    exchange.delist(PAIR, 3 * S)

    assert story(exchange, order) == [("canceled", "canceled")]
    found = exchange.find_order("ann", order_id=order.order_id)
    assert found is not None
    assert found.reason == "Market delisted"
    assert exchange.pairs[PAIR].status == "delisted"
    assert refusal(exchange, limit("buy", "0.1", "10000.0"), 4 * S) == "EService:Unavailable"
