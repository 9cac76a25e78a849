from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.orders import TRANSITIONS, Event, Order, OrderState
from aether.domain.errors import ImpossibleTransition
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    CancelRequested,
    Fact,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderOpened,
    OrderRefused,
    OrderSurprised,
)
from aether.domain.instruments import Side
from aether.domain.orders import VenueStatus
from aether.domain.values import NO_QTY, NO_USD, Price, Qty, Usd, UtcNanos

D = Decimal
NAME = "aeabcd00010000001"

# The table once more, by hand, so that a slip in the code's own is seen. What is missing is forbidden.
EXPECTED = {
    "in_flight": {
        "accepted": "open",
        "opened": "open",
        "filled": "open",
        "ended": "done",
        "refused": "never_lived",
        "answer_lost": "unresolved",
    },
    "unresolved": {
        "accepted": "open",
        "opened": "open",
        "filled": "open",
        "ended": "done",
        "refused": "never_lived",
        "absent": "never_lived",
    },
    "open": {"accepted": "open", "filled": "open", "ended": "done"},
    "never_lived": {"accepted": "open", "opened": "open", "filled": "open", "ended": "done"},
    "done": {"accepted": "done", "filled": "done", "ended": "done"},
}
REMARKS = ("cancel_asked", "cancel_refused", "amended", "surprised")  # allowed everywhere, moving nothing


def ended(status: VenueStatus, cum_qty: str | None) -> OrderEnded:
    return OrderEnded(NAME, "O-1", status, "", None if cum_qty is None else Qty(D(cum_qty)), "executions")


def amended(qty: str, limit_price: str) -> OrderAmended:
    return OrderAmended(NAME, "O-1", Qty(D(qty)), Price(D(limit_price)), "User requested", "executions")


def fact_of(event: Event, make: Any) -> Fact:
    facts: dict[Event, Fact] = {
        Event.ACCEPTED: OrderAccepted(NAME, "O-1"),
        Event.OPENED: OrderOpened(NAME, "O-1", "executions"),
        Event.FILLED: make.filled("T1", NAME, "1"),
        Event.ENDED: ended(VenueStatus.CANCELED, "0"),
        Event.REFUSED: OrderRefused(NAME, "venue_funds", "EOrder:Insufficient funds"),
        Event.ANSWER_LOST: AnswerLost(NAME, "timeout"),
        Event.ABSENT: OrderAbsent(NAME, ("open",), UtcNanos(make.T0)),
        Event.CANCEL_ASKED: CancelRequested(NAME, "old"),
        Event.CANCEL_REFUSED: CancelRefused(NAME, "unknown order"),
        Event.AMENDED: amended("8", "99"),
        Event.SURPRISED: OrderSurprised(NAME, "?"),
    }
    return facts[event]


def order_in(state: OrderState, make: Any) -> Order:
    way: dict[OrderState, list[Event]] = {
        OrderState.IN_FLIGHT: [],
        OrderState.UNRESOLVED: [Event.ANSWER_LOST],
        OrderState.OPEN: [Event.ACCEPTED],
        OrderState.NEVER_LIVED: [Event.ANSWER_LOST, Event.ABSENT],
        OrderState.DONE: [Event.ENDED],
    }
    order: Order = make.order()
    for event in way[state]:
        order = order.after(fact_of(event, make), make.T0)
    assert order.state is state
    return order


def test_the_table_is_the_one_that_stands_here() -> None:
    told = {
        state.value: {event.value: to.value for event, to in row.items() if event.value not in REMARKS}
        for state, row in TRANSITIONS.items()
    }
    assert told == EXPECTED


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("state", list(OrderState))
def test_each_move_of_the_table_is_taken_and_each_other_raises(make: Any, state: OrderState, event: Event) -> None:
    order = order_in(state, make)
    to = state.value if event.value in REMARKS else EXPECTED[state.value].get(event.value)

    if to is None:
        assert not order.allows(event)
        with pytest.raises(ImpossibleTransition, match=rf"{event.value} while {state.value}.*aeabcd"):
            order.after(fact_of(event, make), make.T0)
    else:
        assert order.after(fact_of(event, make), make.T0).state.value == to


def test_a_new_order_is_in_flight_with_its_whole_size_reserved(make: Any) -> None:
    order = make.order()

    assert (order.state, order.outstanding, order.reserved_usd) == (
        OrderState.IN_FLIGHT,
        Qty(D(10)),
        Usd(D(1004)),
    )
    assert order.average_price is None
    assert not order.is_settled


def test_a_fill_before_the_answer_opens_the_order_and_names_it(make: Any) -> None:
    order = make.order().after(make.filled("T1", NAME, "4"), make.T0)

    assert (order.state, order.order_id, order.filled) == (OrderState.OPEN, f"O-{NAME}", Qty(D(4)))
    assert order.after(OrderAccepted(NAME, f"O-{NAME}"), make.T0) == order


def test_reservation_and_outstanding_shrink_with_each_fill_and_never_below_zero(make: Any) -> None:
    order = make.order()
    seen = []
    for number, coins in enumerate(("4", "6", "3")):  # the last one is more than was asked
        order = order.after(make.filled(f"T{number}", NAME, coins), make.T0)
        seen.append((str(order.outstanding), order.reserved_usd))

    assert seen == [("6", Usd(D("602.4"))), ("0", NO_USD), ("0", NO_USD)]
    assert order.filled == Qty(D(13))
    assert order.is_full


def test_a_third_of_an_order_reserves_exactly_a_third(make: Any) -> None:
    order = make.order(qty=Qty(D(3)), reserved=Usd(D(300))).after(make.filled("T1", NAME, "2"), make.T0)

    assert order.reserved_usd == Usd(D(100))


def test_a_sell_reserves_no_dollars(make: Any) -> None:
    assert make.order(side=Side.SELL).reserved_usd == NO_USD


def test_the_average_price_is_cost_over_coins(make: Any) -> None:
    order = make.order()
    for number, (coins, price) in enumerate((("1", "90"), ("3", "98"))):
        order = order.after(make.filled(f"T{number}", NAME, coins, price), make.T0)

    assert order.average_price == Price(D(96))


def test_an_order_that_ended_before_its_last_trade_was_told_stays_unsettled(make: Any) -> None:
    order = make.order().after(make.filled("T1", NAME, "4"), make.T0)
    order = order.after(ended(VenueStatus.FILLED, None), make.T0)

    assert (order.state, order.is_settled) == (OrderState.DONE, False)
    assert (order.outstanding, order.reserved_usd) == (Qty(D(6)), Usd(D("602.4")))

    order = order.after(make.filled("T2", NAME, "6"), make.T0)
    assert (order.is_settled, order.outstanding) == (True, NO_QTY)


def test_a_cancelled_order_waits_for_the_fills_that_the_venue_counted(make: Any) -> None:
    order = make.order().after(ended(VenueStatus.CANCELED, "2.5"), make.T0)

    assert (order.is_settled, order.outstanding) == (False, Qty(D("2.5")))
    assert order.after(make.filled("T1", NAME, "2.5"), make.T0).is_settled


def test_a_late_fill_after_the_end_counts(make: Any) -> None:
    order = order_in(OrderState.DONE, make).after(make.filled("T9", NAME, "1", "90"), make.T0)

    assert (order.state, order.filled, order.cost) == (OrderState.DONE, Qty(D(1)), Usd(D(90)))
    assert order.is_settled


def test_an_end_without_an_order_id_keeps_the_one_known(make: Any) -> None:
    order = order_in(OrderState.OPEN, make)

    told = OrderEnded(NAME, "", VenueStatus.EXPIRED, "deadline", Qty(D(0)), "closed")
    assert (order.after(told, make.T0).order_id, order.after(told, make.T0).ended) == ("O-1", "expired")


def test_how_an_order_ended_is_kept(make: Any) -> None:
    refused = make.order().after(fact_of(Event.REFUSED, make), make.T0)
    absent = order_in(OrderState.UNRESOLVED, make).after(fact_of(Event.ABSENT, make), make.T0)

    assert (refused.ended, absent.ended) == ("venue_funds", "absent")


def test_each_cancel_asked_for_is_counted_and_its_time_kept(make: Any) -> None:
    order = order_in(OrderState.OPEN, make)
    for at_ns in (make.T0 + 1, make.T0 + 2):
        order = order.after(fact_of(Event.CANCEL_ASKED, make), at_ns)

    assert (order.cancels, order.cancel_asked_ns, order.state) == (2, make.T0 + 2, OrderState.OPEN)


def test_coins_at_no_cost_have_no_average_price(make: Any) -> None:
    dust = make.filled("T1", NAME, "0.00000001", "0.00001", cost=NO_USD)

    assert make.order().after(dust, make.T0).average_price is None


@pytest.mark.parametrize("status", [VenueStatus.CANCELED, VenueStatus.EXPIRED])
def test_an_end_that_does_not_tell_its_total_frees_nothing_until_a_view_tells_it(
    make: Any, status: VenueStatus
) -> None:
    order = make.order().after(make.filled("T1", NAME, "4"), make.T0).after(ended(status, None), make.T0)
    assert (order.is_settled, order.outstanding, order.reserved_usd) == (False, Qty(D(6)), Usd(D("602.4")))

    told = order.after(ended(status, "4"), make.T0)
    assert (told.state, told.is_settled, told.outstanding) == (OrderState.DONE, True, NO_QTY)

    assert order.after(make.filled("T2", NAME, "6"), make.T0).is_settled  # more cannot come


@pytest.mark.parametrize("event", [Event.ACCEPTED, Event.OPENED])
def test_what_never_lived_counts_for_nothing_and_at_its_worst_case_once_it_is_shown(make: Any, event: Event) -> None:
    order = order_in(OrderState.NEVER_LIVED, make)
    assert (order.is_settled, order.outstanding, order.reserved_usd) == (True, NO_QTY, NO_USD)

    alive = order.after(fact_of(event, make), make.T0)
    assert (alive.is_settled, alive.outstanding, alive.reserved_usd) == (False, Qty(D(10)), Usd(D(1004)))
    assert (alive.ended, alive.order_id) == ("", "O-1")


def test_a_cancel_asked_for_before_the_order_has_a_name_waits_for_it(make: Any) -> None:
    asked = make.order().after(CancelRequested(NAME, "out"), make.T0)
    assert (asked.cancels, asked.waits_for_cancel) == (0, False)

    alive = asked.after(OrderAccepted(NAME, "O-1"), make.T0)
    assert alive.waits_for_cancel

    assert not alive.after(CancelRequested(NAME, "out"), make.T0).waits_for_cancel
    assert not make.order().after(OrderAccepted(NAME, "O-1"), make.T0).waits_for_cancel


@pytest.mark.parametrize(
    ("qty", "limit_price", "outstanding", "reserved"),
    [("8", "100", "4", "401.6"), ("14", "100", "10", "1004"), ("10", "50", "6", "301.2"), ("4", "100", "0", "0")],
)
def test_a25_outstanding_and_reservation_follow_the_amended_terms(
    make: Any, qty: str, limit_price: str, outstanding: str, reserved: str
) -> None:
    order = order_in(OrderState.OPEN, make).after(make.filled("T1", NAME, "4", limit_price), make.T0)
    order = order.after(amended(qty, limit_price), make.T0 + 7)

    assert (order.qty, order.limit_price, order.amended_ns) == (Qty(D(qty)), Price(D(limit_price)), make.T0 + 7)
    assert (order.outstanding, order.reserved_usd) == (Qty(D(outstanding)), Usd(D(reserved)))
    assert order.is_full is (outstanding == "0")


def test_a25_the_loosest_terms_are_kept_for_fills_that_are_told_late(make: Any) -> None:
    order = order_in(OrderState.OPEN, make)
    for qty, limit_price in (("14", "101"), ("6", "95")):
        order = order.after(amended(qty, limit_price), make.T0)
    assert (order.qty_most, order.price_worst) == (Qty(D(14)), Price(D(101)))

    sell = make.order(side=Side.SELL).after(amended("6", "90"), make.T0).after(amended("6", "95"), make.T0)
    assert (sell.qty_most, sell.price_worst) == (Qty(D(10)), Price(D(90)))


def test_a25_an_amended_order_is_full_with_its_new_quantity(make: Any) -> None:
    order = order_in(OrderState.OPEN, make).after(amended("4", "100"), make.T0)

    assert order.after(ended(VenueStatus.FILLED, None), make.T0).outstanding == Qty(D(4))
