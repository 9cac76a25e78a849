"""Selling what strategies hold, because a person wants it: in order, once, inside the collar, and named where not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.flatten import FLATTEN_NS_MAX, FRUITLESS_MAX
from aether.core.halts import may_overlap
from aether.core.view import publish
from aether.domain.actors import Actor, Role
from aether.domain.effects import SubmitOrder
from aether.domain.facts import (
    CommandRefused,
    FlattenBegan,
    FlattenEnded,
    OrderSubmitted,
    TradingHalted,
)
from aether.domain.inputs import (
    ClockMeasured,
    Flatten,
    Halt,
    PrivateStreamLost,
    Resume,
    StopAsked,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import TimeInForce, VenueStatus
from aether.domain.values import Qty

D = Decimal
S = 1_000_000_000


@pytest.fixture
def holder(desk: Any) -> Any:
    """A desk whose strategy bought ten coins and is done."""
    order = desk.trade()
    desk.accept()
    desk.fill("T1", str(order.qty), fees=())
    desk.report(VenueStatus.FILLED, str(order.qty))
    return desk


def exits(desk: Any) -> list[Any]:
    return [fact for fact in desk.said(OrderSubmitted) if fact.is_exit]


def go_on(desk: Any, make: Any, after_s: float = 6, bid: str = "99.9", ask: str = "100.0") -> None:
    """A tick in a market that is heard and an account that agrees."""
    desk.at_ns += int(after_s * S)
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.look()
    desk.take(make.book(bid, ask))
    desk.tick()


def ends(desk: Any, status: VenueStatus, filled: str) -> None:
    desk.accept()
    if D(filled):
        desk.fill(f"T{len(desk.facts)}", filled, str(desk.order.limit_price), fees=())
    desk.report(status, filled)


def test_it_halts_its_scope_first_and_then_sells_all_that_is_held(holder: Any, make: Any) -> None:
    held = holder.ledger.portfolio.position("trend", make.BTC).qty
    holder.command(Flatten("all", "out"))
    assert [halt.code for halt in holder.said(TradingHalted)] == ["halt_flatten"]
    go_on(holder, make)

    (order,) = exits(holder)
    assert (order.side, order.qty, order.time_in_force) == (Side.SELL, held, TimeInForce.IOC)
    assert order.limit_price == make.price("99.9")
    ends(holder, VenueStatus.FILLED, str(held))
    go_on(holder, make)
    assert holder.said(FlattenEnded) == [FlattenEnded("all", "all that can be sold is sold", ())]
    assert list(holder.ledger.halts) == [("all", "halt_flatten")]
    assert holder.ledger.flattening == {}


def test_it_works_while_halted_and_sells_nothing_else(holder: Any, make: Any) -> None:
    holder.command(Halt("all", "look"))
    holder.command(Flatten("all", "out"))
    go_on(holder, make)

    assert len(exits(holder)) == 1
    assert holder.cancels == []


def test_a18_one_sale_at_a_time_and_none_while_the_last_may_still_execute(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    go_on(holder, make)
    holder.take(SubmitUnknown(holder.order.cl_ord_id, "timeout"))
    for _ in range(5):
        go_on(holder, make)

    assert len(exits(holder)) == 1


def test_what_rests_is_cancelled_and_waited_for(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    desk.trade()
    desk.accept()
    desk.fill("T1", "1", "99.9", fees=())
    desk.command(Flatten("strategy:trend", "out"))
    assert len(desk.cancels) == 1
    go_on(desk, make)
    assert exits(desk) == []

    desk.report(VenueStatus.CANCELED, "1")
    go_on(desk, make)
    assert [order.qty for order in exits(desk)] == [Qty(D(1))]


def test_a26_dust_is_left_and_named(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy())
    order = desk.trade()
    desk.accept()
    desk.fill("T1", "0.0009", fees=())
    desk.report(VenueStatus.CANCELED, "0.0009")
    desk.command(Flatten("all", "out"))
    for _ in range(3):
        go_on(desk, make)

    assert exits(desk) == []
    ((left),) = desk.said(FlattenEnded)[0].left
    assert (left.strategy, left.symbol, left.qty) == ("trend", order.symbol, Qty(D("0.0009")))
    assert left.why.startswith("dust")


def test_coins_of_others_are_never_sold(desk: Any, make: Any) -> None:
    desk.start(coins="5")
    desk.take(make.book())
    desk.tick()
    desk.report(VenueStatus.CANCELED, "0")
    desk.command(Flatten("all", "out"))
    go_on(desk, make)

    assert exits(desk) == []
    assert desk.said(FlattenEnded)[0].left == ()


def test_each_sale_that_fills_nothing_goes_further_down_and_the_last_to_the_collar(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    for _ in range(FRUITLESS_MAX):
        go_on(holder, make)
        ends(holder, VenueStatus.CANCELED, "0")
    go_on(holder, make)

    prices = [order.limit_price.usd_per_coin for order in exits(holder)]
    assert len(prices) == FRUITLESS_MAX
    assert prices == sorted(set(prices), reverse=True)
    assert prices[-1] >= D("99.95") * D("0.985")
    (left,) = holder.said(FlattenEnded)[0].left
    assert left.why == "5 sales in a row filled nothing"


def test_a_sale_that_filled_some_begins_anew_at_the_touch(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    for filled in ("0", "2", "0"):
        go_on(holder, make)
        ends(holder, VenueStatus.CANCELED, filled)
    go_on(holder, make)

    touch, lower = exits(holder)[0].limit_price, exits(holder)[1].limit_price
    assert [order.limit_price for order in exits(holder)] == [touch, lower, touch, lower]


def test_no_sale_is_larger_than_an_order_may_be(holder: Any, make: Any) -> None:
    most = holder.engine.policy.risk.order_usd_max
    position = holder.ledger.portfolio.position("trend", make.BTC)
    many = [make.filled(f"X{n}", None, "100", strategy="trend") for n in range(2)]
    for fact in many:
        holder.engine.emit(fact)
    holder.command(Flatten("all", "out"))
    go_on(holder, make)

    (order,) = exits(holder)
    assert order.qty < position.qty + Qty(D(200))
    assert order.limit_price.times(order.qty) <= most


@pytest.mark.parametrize("ill", ["the stream is lost", "the account differs"])
def test_a_hold_or_a_difference_stops_it_and_when_it_is_gone_it_goes_on(holder: Any, make: Any, ill: str) -> None:
    holder.command(Flatten("all", "out"))
    if ill == "the stream is lost":
        holder.take(PrivateStreamLost("cut"))
        holder.take(make.book(), after_s=6)
        holder.tick()
    else:
        for after_s in (1, 61):
            holder.look(after_s=after_s, balances=make.account(0, {"USD": "1", "BTC": "0"}).balances)
        holder.take(make.book())
        holder.tick()
    assert exits(holder) == []

    if ill == "the account differs":
        go_on(holder, make)
        assert len(exits(holder)) == 1


def test_k08_a_halt_given_since_ends_it_and_cancels_its_sale(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    go_on(holder, make)
    holder.accept()
    holder.command(Halt("symbol:BTC/USD", "no"))

    assert [fact.why for fact in holder.said(FlattenEnded)] == ["halted: no"]
    assert [cancel.cl_ord_id for cancel in holder.cancels] == [holder.order.cl_ord_id]
    ends(holder, VenueStatus.CANCELED, "0")
    go_on(holder, make)
    assert len(exits(holder)) == 1


def test_resuming_ends_it(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    holder.command(Resume("all", "go on"))

    assert [fact.why for fact in holder.said(FlattenEnded)] == ["resumed: go on"]
    assert holder.ledger.halts == {}


def test_asked_for_twice_it_begins_once(holder: Any) -> None:
    for _ in range(2):
        holder.command(Flatten("all", "out"))

    assert len(holder.said(FlattenBegan)) == 1


def test_a_later_run_goes_on_with_it(holder: Any, new_desk: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    holder.take(StopAsked("SIGTERM"))
    holder.tick(after_s=6)
    assert exits(holder) == []

    later = new_desk(holder.engine.policy, holder.ledger, at_ns=holder.at_ns + 5 * S)
    later.start(usd=str(holder.ledger.portfolio.balance("USD")), coins=str(holder.ledger.portfolio.balance("BTC")))
    go_on(later, make)
    assert len(exits(later)) == 1


def test_what_cannot_go_on_ends_and_says_so(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    holder.take(PrivateStreamLost("cut"))
    holder.tick(after_s=FLATTEN_NS_MAX / S + 1)

    (ended,) = holder.said(FlattenEnded)
    assert ended.why == ended.left[0].why == "not over after 900 s"
    assert ended.left[0].qty == holder.ledger.portfolio.position("trend", make.BTC).qty


def test_a_sale_refused_for_want_of_coins_waits_for_a_look_and_is_bounded(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    for _ in range(60):
        go_on(holder, make, after_s=10)
        if not holder.my_order.is_settled:
            holder.take(SubmitRefused(holder.order.cl_ord_id, "venue_funds", "EOrder:Insufficient funds"))

    assert 1 <= len(exits(holder)) <= FRUITLESS_MAX


@pytest.mark.parametrize(("scope", "code"), [("symbol:DOGE/USD", "authority_scope"), ("all", "authority_role")])
def test_who_may_not_and_what_is_no_scope_is_refused(holder: Any, scope: str, code: str) -> None:
    role = Role.VIEWER if code == "authority_role" else Role.OPERATOR
    holder.command(Flatten(scope, "out"), actor=Actor("uid:1", role))

    assert [fact.code for fact in holder.said(CommandRefused)] == [code]
    assert holder.ledger.flattening == {}


def test_it_is_shown_while_it_goes_on(holder: Any) -> None:
    holder.command(Flatten("symbol:BTC/USD", "out"))

    stops = {(stop.kind, stop.scope, stop.code) for stop in publish(holder.engine).stops}
    assert ("flatten", "symbol:BTC/USD", "flattening") in stops


def test_every_sale_is_sent_with_an_effect_of_its_own(holder: Any, make: Any) -> None:
    holder.command(Flatten("all", "out"))
    go_on(holder, make)

    assert [sent.cl_ord_id for sent in holder.sent(SubmitOrder)][-1] == exits(holder)[-1].cl_ord_id


@pytest.mark.parametrize(
    ("scope", "other", "expected"),
    [
        ("all", "symbol:BTC/USD", True),
        ("symbol:BTC/USD", "strategy:trend", True),
        ("symbol:BTC/USD", "symbol:BTC/USD", True),
        ("symbol:BTC/USD", "symbol:ETH/USD", False),
        ("strategy:a", "strategy:b", False),
    ],
)
def test_scopes_overlap_where_an_order_may_stand_in_both(scope: str, other: str, *, expected: bool) -> None:
    assert may_overlap(scope, other) is may_overlap(other, scope) is expected
