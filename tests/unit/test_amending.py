"""Amends in place, the older edit, and batches, in the engine."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.sim.exchange import Amend, Exchange, ExchangeRefusal, NewOrder, Order, OrderEvent, PairRules
from aether.sim.records import NewTrigger, OrderSide

D = Decimal
S = 1_000_000_000
BTC = PairRules("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "BTC", "XXBT", 1, 8, 5, D("0.00005"), D("0.5"), "online")
PAIR = BTC.name


@pytest.fixture
def exchange() -> Exchange:
    """The last trade was at 10000.0; nothing rests."""
    made = Exchange([BTC], seed=7)
    made.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
    made.open_account("bob", {"USD": D("10000"), "BTC": D("10")}, 1 * S)
    made.crowd_trade(PAIR, "buy", D("10000.0"), D("0.001"), 1 * S)
    made.drain()
    return made


def limit(side: OrderSide, qty: str, price: str, **more: Any) -> NewOrder:
    return NewOrder(PAIR, side, "limit", D(qty), D(price), **more)


def amend(order: Order, **changes: Any) -> Amend:
    decimals = {
        name: D(value) if isinstance(value, str) else value for name, value in changes.items() if "type" not in name
    }
    return Amend(order.order_id, **{**changes, **decimals})


def now_of(exchange: Exchange, order: Order) -> Order:
    found = exchange.find_order(order.account, order_id=order.order_id)
    assert found is not None
    return found


def queue(exchange: Exchange, qty: str = "10") -> list[str]:
    """Who is filled, in order, when the crowd sells so much at 9000.0; the bids are taken away by it."""
    before = len(exchange.trades("ann")), len(exchange.trades("bob"))
    exchange.crowd_trade(PAIR, "sell", D("9000.0"), D(qty), 50 * S)
    trades = exchange.trades("ann")[before[0] :] + exchange.trades("bob")[before[1] :]
    return [trade.account for trade in sorted(trades, key=lambda trade: trade.trade_id)]


# --- what an amend changes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        ({"qty": "0.05"}, True),
        ({"qty": "0.2"}, False),
        ({"limit_price": "9100.0"}, True),
        ({"limit_price": "9000.0"}, False),
        ({"limit_price": "9000.0", "qty": "0.05"}, False),
    ],
)
def test_only_a_smaller_order_keeps_its_place(exchange: Exchange, changes: dict[str, str], *, keeps: bool) -> None:
    """A better price loses the place as well, but it is first at its new one."""
    order = exchange.add_order("ann", limit("buy", "0.1", "9050.0"), 2 * S)
    exchange.add_order("bob", limit("buy", "0.1", "9050.0"), 3 * S)

    exchange.amend_order("ann", amend(order, **changes), 4 * S)

    assert queue(exchange) == (["ann", "bob"] if keeps else ["bob", "ann"])


def test_an_amend_keeps_the_order_and_moves_its_hold(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0", cl_ord_id="mine"), 2 * S)
    exchange.drain()

    amend_id = exchange.amend_order("ann", amend(order, qty="0.2", limit_price="9500.0"), 3 * S)

    changed = now_of(exchange, order)
    assert (changed.qty, changed.limit_price, changed.is_amended, changed.cl_ord_id) == (
        D("0.2"),
        D(9500),
        True,
        "mine",
    )
    assert exchange.balances("ann")["USD"][1] == D("1907.6")
    assert exchange.book(PAIR).bids == ((D("9500.0"), D("0.2")),)
    assert amend_id.startswith("T")
    (event,) = [event for event in exchange.drain() if isinstance(event, OrderEvent)]
    assert (event.exec_type, event.order.status, event.order.reason) == ("amended", "new", "User requested")


def test_an_amend_may_take_and_its_fills_stand(exchange: Exchange) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "9500.0"), 2 * S)
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)

    exchange.amend_order("ann", amend(order, limit_price="9500.0"), 3 * S)

    assert now_of(exchange, order).status == "filled"
    assert exchange.balances("ann")["USD"] == (D("10000") - D("953.8"), D(0))


@pytest.mark.parametrize("qty", ["0.04", "0.03", "0.00005"])
def test_an_amend_to_no_more_than_is_filled_cancels_the_rest(exchange: Exchange, qty: str) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9500.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.04", "9500.0"), 2 * S)

    exchange.amend_order("ann", amend(order, qty=qty), 3 * S)

    done = now_of(exchange, order)
    assert (done.status, done.qty, done.cum_qty, done.reason) == ("canceled", D("0.04"), D("0.04"), "User requested")
    assert exchange.balances("ann")["USD"][1] == 0
    assert exchange.book(PAIR).bids == ()


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_an_amend_that_is_to_be_posted_is_refused_where_it_would_take(
    exchange: Exchange, *, first: bool, second: bool
) -> None:
    exchange.add_order("bob", limit("sell", "0.1", "9500.0"), 2 * S)
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0", post_only=first), 2 * S)

    with pytest.raises(ExchangeRefusal, match="EOrder:Post only order"):
        exchange.amend_order("ann", amend(order, limit_price="9500.0", post_only=second), 3 * S)

    assert now_of(exchange, order) == order


def test_an_iceberg_shows_more_with_its_next_part_and_less_at_once(exchange: Exchange) -> None:
    new = NewOrder(PAIR, "sell", "iceberg", D("1.0"), D("11000.0"), display_qty=D("0.2"))
    order = exchange.add_order("bob", new, 2 * S)
    exchange.amend_order("bob", amend(order, display_qty="0.3"), 3 * S)
    assert exchange.book(PAIR).asks == ((D("11000.0"), D("0.2")),)
    exchange.add_order("ann", limit("buy", "0.2", "11000.0"), 4 * S)
    assert exchange.book(PAIR).asks == ((D("11000.0"), D("0.3")),)

    exchange.amend_order("bob", amend(order, display_qty="0.1"), 5 * S)

    assert exchange.book(PAIR).asks == ((D("11000.0"), D("0.1")),)
    assert now_of(exchange, order).shown_qty == D("0.1")


def test_a_waiting_orders_trigger_moves_with_its_hold_and_may_act_at_once(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("9990.0"), D(1), 2 * S)
    order = exchange.add_order("ann", NewOrder(PAIR, "buy", "stop-loss", D("0.1"), trigger=NewTrigger(D(12000))), 2 * S)
    exchange.amend_order("ann", amend(order, trigger_price="11000.0"), 3 * S)
    assert exchange.balances("ann")["USD"][1] == D("1104.4")

    exchange.amend_order("ann", amend(order, trigger_price="-1", trigger_price_type="quote"), 4 * S)

    assert now_of(exchange, order).status == "filled"


def test_a_trailing_offset_moves_beside_the_same_peak(exchange: Exchange) -> None:
    trigger = NewTrigger(D(5), "pct")
    order = exchange.add_order("ann", NewOrder(PAIR, "sell", "trailing-stop", D("0.1"), trigger=trigger), 2 * S)
    exchange.crowd_trade(PAIR, "buy", D("11000.0"), D("0.001"), 3 * S)

    exchange.amend_order("ann", amend(order, trigger_price="10", trigger_price_type="pct"), 4 * S)

    moved = now_of(exchange, order).trigger
    assert moved is not None
    assert (moved.price, moved.peak_price, moved.actual_price) == (D(10), D(11000), D(9900))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "EGeneral:Invalid arguments:no change requested"),
        ({"qty": "0.1", "limit_price": "9000.0"}, "EGeneral:Invalid arguments:no change requested"),
        ({"limit_price": "9000.05"}, "EOrder:Tick size check failed"),
        ({"limit_price": "0"}, "EOrder:Invalid price"),
        ({"limit_price": "NaN"}, "EGeneral:Invalid arguments:limit_price"),
        ({"qty": "1E+40"}, "EGeneral:Invalid arguments:order_qty"),
        ({"qty": "-1"}, "EGeneral:Invalid arguments:order_qty"),
        ({"qty": "0.00004"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"qty": "2"}, "EOrder:Insufficient funds"),
        ({"trigger_price": "9000.0"}, "EGeneral:Invalid arguments:trigger_price"),
        ({"display_qty": "0.1"}, "EGeneral:Invalid arguments:display_qty"),
        ({"qty": "0.2", "deadline_ns": 2 * S}, "EService:Deadline elapsed"),
    ],
)
def test_a_refused_amend_changes_nothing(exchange: Exchange, changes: dict[str, Any], text: str) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)
    exchange.drain()

    with pytest.raises(ExchangeRefusal) as caught:
        exchange.amend_order("ann", amend(order, **changes), 3 * S)

    assert caught.value.text == text
    assert exchange.drain() == []
    assert now_of(exchange, order) == order
    assert exchange.amends("ann", order.order_id)[1:] == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("maintenance", "EService:Unavailable"),
        ("cancel_only", "EService:Market in cancel_only mode"),
        ("post_only", "EService:Market in post_only mode"),
        ("reduce_only", "EService:Market in reduce_only mode"),
    ],
)
def test_a_shut_market_takes_no_amend(exchange: Exchange, status: str, text: str) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)
    exchange.set_pair_status(PAIR, status)

    with pytest.raises(ExchangeRefusal, match=text):
        exchange.amend_order("ann", amend(order, qty="0.05"), 3 * S)


def test_an_amend_cannot_set_off_an_order_in_a_shut_market(exchange: Exchange) -> None:
    exchange.set_level(PAIR, "ask", D("9990.0"), D(1), 2 * S)
    order = exchange.add_order("ann", NewOrder(PAIR, "buy", "stop-loss", D("0.1"), trigger=NewTrigger(D(12000))), 2 * S)
    exchange.set_pair_status(PAIR, "post_only")

    with pytest.raises(ExchangeRefusal, match="EService:Market in post_only mode"):
        exchange.amend_order("ann", amend(order, trigger_price="9000.0", post_only=True), 3 * S)

    assert exchange.trades("ann") == []


def test_an_iceberg_that_grows_shows_enough_of_itself(exchange: Exchange) -> None:
    new = NewOrder(PAIR, "sell", "iceberg", D("1.0"), D("11000.0"), display_qty=D("0.1"))
    order = exchange.add_order("bob", new, 2 * S)

    with pytest.raises(ExchangeRefusal, match="EGeneral:Invalid arguments:displayvol"):
        exchange.amend_order("bob", amend(order, qty="2.0"), 3 * S)
    exchange.amend_order("bob", amend(order, qty="2.0", display_qty="0.2"), 3 * S)

    assert exchange.book(PAIR).asks == ((D("11000.0"), D("0.2")),)


def test_an_order_filled_in_smaller_lots_than_there_are_now_is_amended_as_far_as_it_goes(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.201", "9000.0"), 2 * S)
    exchange.add_order("bob", limit("sell", "0.001", "9000.0"), 3 * S)
    exchange.set_pair_rules(replace(BTC, qty_decimals=2), 4 * S)

    with pytest.raises(ExchangeRefusal, match="EGeneral:Invalid arguments:order_qty"):
        exchange.amend_order("ann", amend(order, qty="0.1"), 5 * S)
    exchange.amend_order("ann", amend(order, limit_price="9001.0"), 5 * S)

    assert exchange.book(PAIR).bids == ((D("9001.0"), D("0.20")),)


def test_nobody_amends_what_is_gone_or_anothers(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)
    with pytest.raises(ExchangeRefusal, match="EOrder:Unknown order"):
        exchange.amend_order("bob", amend(order, qty="0.05"), 3 * S)
    exchange.cancel_order("ann", order.order_id, 4 * S)
    with pytest.raises(ExchangeRefusal, match="EOrder:Unknown order"):
        exchange.amend_order("ann", amend(order, qty="0.05"), 5 * S)


def test_the_history_begins_with_the_order_as_it_entered(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)
    (only,) = exchange.amends("ann", order.order_id)
    assert (only.amend_type, only.order, only.at_ns) == ("original", order, 2 * S)

    amend_id = exchange.amend_order("ann", amend(order, qty="0.05"), 3 * S)

    first, second = exchange.amends("ann", order.order_id)
    assert first == only
    assert (second.amend_type, second.amend_id, second.order.qty, second.at_ns) == ("user", amend_id, D("0.05"), 3 * S)
    assert exchange.amends("bob", order.order_id) == []


def test_a25_what_the_engine_restates_is_told_as_that_and_stands_in_the_history(exchange: Exchange) -> None:
    order = exchange.add_order("ann", limit("buy", "0.1", "9000.0"), 2 * S)
    exchange.drain()

    exchange.restate_order("ann", amend(order, qty="0.05"), "Order restated", 3 * S)

    told = [event for event in exchange.drain() if isinstance(event, OrderEvent)]
    assert [(event.exec_type, event.order.qty, event.order.reason) for event in told] == [
        ("restated", D("0.05"), "Order restated")
    ]
    assert [record.amend_type for record in exchange.amends("ann", order.order_id)] == ["original", "restated"]


# --- the older edit ---------------------------------------------------------------------------------------------------


def test_an_edit_is_another_order_that_may_use_the_old_ones_funds(exchange: Exchange) -> None:
    old = exchange.add_order("ann", limit("buy", "1", "9900.0"), 2 * S)

    new = exchange.replace_order("ann", old.order_id, limit("buy", "1", "9901.0"), 3 * S)

    assert new.order_id != old.order_id
    assert (now_of(exchange, old).status, now_of(exchange, old).reason) == ("canceled", "Order replaced")
    assert exchange.book(PAIR).bids == ((D("9901.0"), D(1)),)


def test_a_refused_edit_leaves_the_old_order(exchange: Exchange) -> None:
    old = exchange.add_order("ann", limit("buy", "1", "9900.0"), 2 * S)
    named = exchange.add_order("bob", limit("buy", "1", "9900.0", cl_ord_id="mine"), 2 * S)

    for edit in (exchange.replace_order, exchange.check_replacement):
        with pytest.raises(ExchangeRefusal, match="EOrder:Insufficient funds"):
            edit("ann", old.order_id, limit("buy", "1", "9990.0"), 3 * S)
        with pytest.raises(ExchangeRefusal, match="EOrder:Invalid order"):
            edit("bob", named.order_id, limit("buy", "1", "9901.0"), 3 * S)

    assert exchange.open_orders("ann") == [old]


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_places_what_the_engine_takes(exchange: Exchange) -> None:
    batch = [limit("buy", "0.5", "9000.0"), limit("buy", "1", "9000.0"), limit("buy", "0.5", "9000.0")]

    first, second, third = exchange.add_batch("ann", batch, 2 * S)

    assert isinstance(first, Order)
    assert isinstance(third, Order)
    assert isinstance(second, ExchangeRefusal)
    assert second.text == "EOrder:Insufficient funds"
    assert exchange.open_orders("ann") == [first, third]


def test_one_order_that_is_wrong_in_itself_refuses_its_whole_batch(exchange: Exchange) -> None:
    batch = [limit("buy", "0.5", "9000.0"), limit("buy", "0.5", "9000.01")]

    with pytest.raises(ExchangeRefusal, match="EOrder:Tick size check failed"):
        exchange.add_batch("ann", batch, 2 * S)

    assert exchange.open_orders("ann") == []


def test_a_checked_batch_leaves_no_trace(exchange: Exchange) -> None:
    batch = [limit("buy", "0.5", "9000.0"), limit("buy", "2", "9000.0")]

    first, second = exchange.check_batch("ann", batch, 2 * S)

    assert isinstance(first, Order)
    assert isinstance(second, ExchangeRefusal)
    assert exchange.drain() == []
    assert exchange.open_orders("ann") == []
