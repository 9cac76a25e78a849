from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.orders import OrderState
from aether.core.view import publish
from aether.domain.effects import AskAccount, CancelOrder, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    CancelRequested,
    CommandAccepted,
    HoldBegan,
    IntentRefused,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSurprised,
    TradingHalted,
)
from aether.domain.inputs import (
    AccountUnavailable,
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    Halt,
    PrivateStreamLost,
    Resume,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
)
from aether.domain.instruments import Side
from aether.domain.orders import VenueStatus
from aether.domain.values import Qty, Usd

D = Decimal
S = 1_000_000_000
NEVER_SENT = "aeabcd00010009999"


def kinds(step: Any) -> list[type]:
    return [type(numbered.fact) for numbered in step.facts]


# --- answers that come late, early, twice or never -----------------------------------------------------------------


def test_a07_a08_a_fill_before_the_answer_is_booked_and_the_late_answer_adds_nothing(desk: Any) -> None:
    desk.trade()
    desk.fill("T1", "1")
    assert (desk.my_order.state, desk.my_order.filled) == (OrderState.OPEN, Qty(D(1)))

    facts = len(desk.facts)
    desk.accept()
    assert len(desk.facts) == facts


def test_a06_a_second_answer_adds_nothing(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.accept()

    assert len(desk.said(OrderAccepted)) == 1


def test_a10_a11_a_fill_is_counted_once_whoever_tells_it_and_how_often(desk: Any, make: Any) -> None:
    order = desk.trade()
    for _ in range(2):
        desk.fill("T1", "1")
    desk.look(fills=(make.execution("T1", order.cl_ord_id, "1"),))

    assert len(desk.said(OrderFilled)) == 1
    assert desk.my_order.filled == Qty(D(1)) < order.qty


def test_a16_a_late_fill_after_the_end_is_still_our_money(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.report(VenueStatus.CANCELED, "0")
    desk.fill("T1", "1")

    assert desk.ledger.portfolio.balance("BTC") == 1
    assert desk.my_order.state is OrderState.DONE


def test_a19_a_late_open_status_does_not_wake_an_order_that_ended(desk: Any) -> None:
    desk.trade()
    desk.report(VenueStatus.CANCELED, "0")

    assert desk.report(VenueStatus.NEW).facts == ()
    assert desk.my_order.state is OrderState.DONE


def test_a09_an_end_before_its_trades_asks_the_account_and_waits_for_them(desk: Any, make: Any) -> None:
    order = desk.trade()
    desk.accept()
    asked = len(desk.asks)
    desk.report(VenueStatus.FILLED, str(order.qty))
    assert len(desk.asks) == asked + 1
    assert desk.ledger.working("trend", make.BTC) is not None

    desk.fill("T1", str(order.qty))
    assert desk.ledger.working("trend", make.BTC) is None


@pytest.mark.parametrize("answer", [SubmitRefused, SubmitUnknown, SubmitAccepted])
def test_an_answer_for_an_order_that_was_never_sent_is_our_bug(desk: Any, answer: type) -> None:
    desk.start()
    texts = ("venue_other", "no") if answer is SubmitRefused else ("why",)

    with pytest.raises(InvariantBroken, match="never submitted"):
        desk.take(answer(NEVER_SENT, *texts))


def test_a_refusal_ends_the_order_frees_its_cash_and_asks_the_account(desk: Any) -> None:
    order = desk.trade()
    step = desk.take(SubmitRefused(order.cl_ord_id, "venue_funds", "EOrder:Insufficient funds"))

    assert kinds(step) == [OrderRefused, HoldBegan]
    assert (publish(desk.engine).orders[-1].state, publish(desk.engine).orders[-1].ended) == ("done", "venue_funds")
    assert [type(effect) for effect in step.effects] == [AskAccount]
    assert desk.ledger.reserved_usd == Usd(D(0))


@pytest.mark.parametrize(
    ("code", "is_held"),
    [("venue_funds", True), ("venue_rate_limit", True), ("venue_tick", True), ("venue_post_only", False)],
)
def test_a28_a_refusal_that_would_repeat_holds_its_pair_until_a_later_look_agrees(
    desk: Any, make: Any, code: str, *, is_held: bool
) -> None:
    order = desk.trade()
    desk.take(SubmitRefused(order.cl_ord_id, code, "E"))
    desk.look(after_s=0.5)  # the answer to the refusal itself explains nothing
    for _ in range(5):
        desk.take(make.book(), after_s=5)
        desk.tick()
    assert len(desk.sent(SubmitOrder)) == 2 - is_held
    if not is_held:
        return

    desk.look(after_s=34.4)
    assert ("refused", "symbol:BTC/USD") in desk.ledger.holds
    desk.look(after_s=0.1)
    assert desk.ledger.holds == {}
    desk.take(make.book())
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 2


def test_refusals_in_a_row_hold_their_pair_twice_as_long_each_time(desk: Any, make: Any) -> None:
    desk.trade()
    for times, wait_s in enumerate((60, 120, 240), start=1):
        assert len(desk.sent(SubmitOrder)) == times
        desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_other", "EOrder:Trading agreement required"))
        desk.look(after_s=wait_s - 1)
        assert ("refused", "symbol:BTC/USD") in desk.ledger.holds
        desk.look(after_s=1)
        assert ("refused", "symbol:BTC/USD") not in desk.ledger.holds
        desk.take(ClockMeasured(offset_ns=0, error_ns=0))
        desk.take(make.book())
        desk.tick()


def test_an_order_that_is_taken_ends_the_row_of_refusals(desk: Any, make: Any) -> None:
    desk.trade()
    desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_other", "E"))
    desk.look(after_s=60)
    desk.take(make.book())
    desk.tick()
    desk.accept()

    assert desk.engine.refused == {}


def test_a_status_nobody_knows_is_written_once_however_often_it_is_told(desk: Any, make: Any) -> None:
    order = desk.trade()
    desk.accept()
    for _ in range(5):
        desk.look(after_s=60, open_orders=(make.report(order.cl_ord_id, VenueStatus.UNKNOWN, reason="haunted"),))

    assert len(desk.said(OrderSurprised)) == 1


def test_an_end_with_less_than_is_booked_ends_the_order_and_halts_its_pair(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.fill("T1", "2")
    desk.report(VenueStatus.CANCELED, "1")

    assert desk.my_order.is_settled
    assert list(desk.ledger.halts) == [("symbol:BTC/USD", "halt_contract_broken")]


def test_a_refused_key_halts_everything(desk: Any) -> None:
    order = desk.trade()
    desk.take(SubmitRefused(order.cl_ord_id, "venue_auth", "EAPI:Invalid key"))

    assert list(desk.ledger.halts) == [("all", "halt_auth")]


def test_an_order_that_ended_without_a_total_stays_reserved_until_the_account_tells_it(desk: Any, make: Any) -> None:
    order = desk.trade()
    desk.accept()
    reserved, asked = desk.ledger.reserved_usd, len(desk.asks)
    desk.report(VenueStatus.CANCELED, None)
    assert (desk.ledger.reserved_usd, len(desk.asks)) == (reserved, asked + 1)

    desk.look(after_s=1, closed_orders=(make.report(order.cl_ord_id, VenueStatus.CANCELED, "0"),))
    assert desk.ledger.reserved_usd == Usd(D(0))
    assert desk.my_order.is_settled


def test_dust_that_cost_nothing_can_be_shown(desk: Any) -> None:
    desk.trade()
    desk.fill("T1", "0.00000001", "0.00001", cost=Usd(D(0)), fees=())

    assert publish(desk.engine).orders[-1].average_price_usd is None


def test_a_refusal_of_an_order_that_filled_is_a_surprise_and_changes_nothing(desk: Any) -> None:
    order = desk.trade()
    desk.fill("T1", "1")
    before = desk.my_order
    step = desk.take(SubmitRefused(order.cl_ord_id, "venue_other", "E"))

    assert kinds(step) == [OrderSurprised]
    assert desk.my_order == before


# --- the unresolved -----------------------------------------------------------------------------------------------


def test_a01_a_lost_answer_keeps_the_whole_size_reserved_and_nothing_new_is_sent(desk: Any, make: Any) -> None:
    order = desk.trade()
    reserved = desk.ledger.reserved_usd
    desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    for _ in range(4):
        desk.take(make.book("99.8", "99.9"), after_s=5)
        desk.tick()

    assert (desk.my_order.state, desk.ledger.reserved_usd) == (OrderState.UNRESOLVED, reserved)
    assert len(desk.sent(SubmitOrder)) == 1
    assert reserved.amount > 0


def test_a_lost_answer_is_asked_after_at_the_next_tick(desk: Any) -> None:
    desk.trade()
    desk.look()
    asked = len(desk.asks)
    desk.take(SubmitUnknown(desk.order.cl_ord_id, "timeout"))
    desk.tick()

    assert len(desk.asks) == asked + 1
    assert desk.asks[-1].since_ns < desk.my_order.submitted_ns


def test_a03_an_unresolved_order_that_never_lived_frees_its_cash_once_and_is_not_sent_again(
    desk: Any, make: Any
) -> None:
    order = desk.trade()
    desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    desk.look(after_s=66)
    assert desk.my_order.state is OrderState.UNRESOLVED

    desk.look(after_s=1)
    desk.look(after_s=10)
    assert [fact.cl_ord_id for fact in desk.said(OrderAbsent)] == [order.cl_ord_id]
    assert desk.ledger.reserved_usd == Usd(D(0))

    desk.take(make.history(make.RISING, desk.at_ns))
    desk.take(make.book())
    desk.tick()
    names = [sent.cl_ord_id for sent in desk.sent(SubmitOrder)]
    assert len(names) == len(set(names)) == 2  # a new decision makes a new order with a new name


def test_a_lost_answer_after_the_fill_changes_nothing(desk: Any) -> None:
    order = desk.trade()
    desk.fill("T1", "1")

    assert desk.take(SubmitUnknown(order.cl_ord_id, "timeout")).facts == ()


@pytest.mark.parametrize("is_halted", [False, True])
def test_an_unresolved_order_found_open_rests_unless_a_halt_came_meanwhile(
    new_desk: Any, make: Any, *, is_halted: bool
) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    order = desk.trade()
    desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    if is_halted:
        desk.command(Halt("all", "look"))
    desk.look(after_s=1, open_orders=(make.report(order.cl_ord_id, VenueStatus.NEW, "0"),))
    desk.tick()

    assert kinds_of_orders(desk) == [AnswerLost, OrderOpened] + ([CancelRequested] if is_halted else [])
    assert len(desk.cancels) == is_halted


def kinds_of_orders(desk: Any) -> list[type]:
    return [
        type(numbered.fact)
        for numbered in desk.facts
        if isinstance(numbered.fact, AnswerLost | OrderOpened | CancelRequested)
    ]


# --- proofs that turn out wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["looked for", "told"])
def test_an_order_believed_absent_that_is_shown_alive_is_cancelled_and_halts_its_pair(
    desk: Any, make: Any, way: str
) -> None:
    order = desk.trade()
    desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    reserved = desk.ledger.reserved_usd
    desk.look(after_s=67)
    assert desk.my_order.ended == "absent"
    assert desk.ledger.reserved_usd == Usd(D(0))

    if way == "told":
        desk.report(VenueStatus.NEW)
    else:
        desk.look(after_s=1, open_orders=(make.report(order.cl_ord_id, VenueStatus.NEW, "0"),))

    assert desk.ledger.reserved_usd == reserved
    assert [cancel.order_id for cancel in desk.cancels] == [f"O-{order.cl_ord_id}"]
    assert [(halt.scope, halt.code) for halt in desk.ledger.halts.values()] == [
        ("symbol:BTC/USD", "halt_contract_broken")
    ]


@pytest.mark.parametrize("way", ["absent", "refused"])
@pytest.mark.parametrize("view", ["stream", "look"])
def test_a_fill_of_an_order_believed_never_to_have_lived_is_booked_and_halts_its_pair(
    desk: Any, make: Any, way: str, view: str
) -> None:
    order = desk.trade()
    if way == "absent":
        desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
        desk.look(after_s=67)
    else:
        desk.take(SubmitRefused(order.cl_ord_id, "venue_other", "E"))
    if view == "stream":
        desk.fill("T1", "1")
    else:
        desk.look(after_s=1, fills=(make.execution("T1", order.cl_ord_id, "1"),))

    assert list(desk.ledger.halts) == [("symbol:BTC/USD", "halt_contract_broken")]
    assert desk.ledger.portfolio.balance("BTC") == 1
    assert desk.my_order.state is OrderState.OPEN
    assert desk.my_order.outstanding.coins == order.qty.coins - 1
    assert len(desk.cancels) == 1


@pytest.mark.parametrize(("total", "halts", "is_settled"), [("0", 0, True), (None, 0, False), ("1", 1, False)])
def test_an_end_of_an_order_believed_refused_halts_if_some_of_it_was_filled(
    desk: Any, total: str | None, halts: int, *, is_settled: bool
) -> None:
    order = desk.trade()
    desk.take(SubmitRefused(order.cl_ord_id, "venue_other", "E"))
    desk.report(VenueStatus.EXPIRED, total)

    assert len(desk.ledger.halts) == halts
    assert desk.my_order.is_settled is is_settled
    assert desk.cancels == []


def test_a_fill_after_the_venues_own_end_halts_nothing(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.report(VenueStatus.CANCELED, "1")
    desk.fill("T1", "1")

    assert desk.ledger.halts == {}


def test_an_order_that_came_back_is_cancelled_again_only_after_a_while(desk: Any) -> None:
    order = desk.trade()
    desk.take(SubmitRefused(order.cl_ord_id, "venue_funds", "EOrder:Insufficient funds"))
    desk.report(VenueStatus.NEW)
    desk.report(VenueStatus.NEW)
    assert len(desk.cancels) == 1

    desk.tick(after_s=60)
    desk.report(VenueStatus.NEW)
    assert len(desk.cancels) == 2


# --- cancels ------------------------------------------------------------------------------------------------------


def resting(new_desk: Any, make: Any, **orders: Any) -> Any:
    """A desk with a passive order on the book."""
    desk = new_desk(make.policy(trends=(make.trend(passive=True),), orders=make.order_policy(**orders)))
    desk.trade()
    desk.accept()
    return desk


def test_halting_cancels_what_rests_and_only_what_rests(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    step = desk.command(Halt("all", "look"))

    assert kinds(step) == [CommandAccepted, TradingHalted, CancelRequested]
    assert step.effects == (CancelOrder(desk.order.cl_ord_id, f"O-{desk.order.cl_ord_id}"),)


@pytest.mark.parametrize(
    ("scope", "cancels"),
    [("symbol:BTC/USD", 1), ("strategy:trend", 1), ("symbol:ETH/USD", 0), ("strategy:other", 0)],
)
def test_a_halt_cancels_within_its_scope(new_desk: Any, make: Any, scope: str, cancels: int) -> None:
    desk = resting(new_desk, make)
    desk.command(Halt(scope, "look"))

    assert len(desk.cancels) == cancels


def test_an_order_accepted_after_the_halt_is_cancelled_at_once(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    desk.trade()
    desk.command(Halt("all", "look"))
    assert desk.cancels == []

    desk.accept()
    assert len(desk.cancels) == 1


def test_an_order_that_ended_is_not_cancelled_when_its_answer_comes_after_a_halt(desk: Any) -> None:
    order = desk.trade()
    desk.fill("T1", str(order.qty))
    desk.report(VenueStatus.FILLED, str(order.qty))
    desk.command(Halt("all", "look"))
    desk.accept()

    assert desk.cancels == []
    assert desk.said(CancelRequested) == []


def test_cancelling_everything_halts_nothing(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    step = desk.command(CancelEverything("out"))

    assert kinds(step) == [CommandAccepted, CancelRequested]
    assert desk.ledger.halts == {}


@pytest.mark.parametrize("way", ["accepted", "told", "looked for"])
def test_cancelling_everything_cancels_what_is_found_later(new_desk: Any, make: Any, way: str) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    order = desk.trade()
    if way == "looked for":
        desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    step = desk.command(CancelEverything("out"))
    assert (kinds(step), step.effects) == ([CommandAccepted, CancelRequested], ())

    if way == "accepted":
        desk.accept()
    elif way == "told":
        desk.report(VenueStatus.NEW)
        desk.accept()
    else:
        desk.look(after_s=1, open_orders=(make.report(order.cl_ord_id, VenueStatus.NEW, "0"),))
    desk.tick()
    assert [cancel.order_id for cancel in desk.cancels] == [f"O-{order.cl_ord_id}"]


def test_an_order_found_by_its_fill_is_cancelled_where_everything_was_to_go(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    desk.trade()
    desk.command(CancelEverything("out"))
    desk.fill("T1", "1", "99.9")

    assert len(desk.cancels) == 1


def test_a16_a_cancel_that_races_a_fill_ends_with_its_fills_booked(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    desk.fill("T1", "1", "99.9")
    desk.report(VenueStatus.CANCELED, "1")
    assert desk.my_order.is_settled
    assert desk.ledger.portfolio.balance("BTC") == 1

    assert desk.take(CancelAnswered(desk.order.cl_ord_id, done=False, text="EOrder:Unknown order")).facts == ()


def test_a17_a_cancel_that_was_not_taken_says_nothing_of_the_order_but_asks(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    step = desk.take(CancelAnswered(desk.order.cl_ord_id, done=False, text="EOrder:Unknown order"))

    assert kinds(step) == [CancelRefused]
    assert [type(effect) for effect in step.effects] == [AskAccount]
    assert desk.my_order.state is OrderState.OPEN
    assert desk.ledger.reserved_usd.amount > 0


def test_a15_a_cancel_that_was_taken_is_not_yet_an_end(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))

    assert desk.take(CancelAnswered(desk.order.cl_ord_id, done=True, text="")).facts == ()
    assert desk.my_order.state is OrderState.OPEN


def test_a_late_answer_does_not_cancel_a_second_time(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    desk.trade()
    desk.report(VenueStatus.NEW)
    desk.command(Halt("all", "look"))
    desk.accept()

    assert len(desk.cancels) == 1


def test_an_order_that_ended_and_waits_for_its_fills_is_not_cancelled(desk: Any) -> None:
    desk.trade()
    desk.report(VenueStatus.FILLED, str(desk.order.qty))
    desk.command(CancelEverything("out"))

    assert desk.cancels == []


def test_the_account_is_read_back_to_before_the_oldest_order_that_is_not_settled(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make, resting_s_max=3600)
    for _ in range(5):
        desk.look(after_s=60)
    desk.tick(after_s=60)

    assert desk.asks[-1].since_ns == desk.my_order.submitted_ns - 120 * 1_000_000_000


# --- amended by people or by the venue ------------------------------------------------------------------------------


def terms_of(desk: Any) -> tuple[str, str]:
    return str(desk.my_order.qty), str(desk.my_order.limit_price)


def test_a25_an_amend_told_by_the_stream_moves_what_is_reserved_before_the_next_order(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    reserved, free = desk.ledger.reserved_usd, publish(desk.engine).cash_free_usd
    half = Qty(desk.order.qty.coins / 2)
    step = desk.report(VenueStatus.NEW, qty=half, limit_price=desk.order.limit_price, reason="User requested")

    assert kinds(step) == [OrderAmended]
    assert desk.ledger.reserved_usd.amount * 2 == reserved.amount
    assert publish(desk.engine).cash_free_usd - free == desk.ledger.reserved_usd.amount
    assert publish(desk.engine).orders[-1].qty == half.coins


def test_a25_an_amend_that_is_told_again_is_no_news(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    for _ in range(2):
        desk.report(VenueStatus.NEW, qty=Qty(D(1)), limit_price=desk.order.limit_price)
        desk.look(after_s=1, open_orders=(make.report(desk.order.cl_ord_id, VenueStatus.NEW, "0", qty=Qty(D(1))),))

    assert len(desk.said(OrderAmended)) == 1


def test_a25_a_fill_at_the_amended_terms_breaks_no_contract_whoever_tells_it_first(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    name, more = desk.order.cl_ord_id, Qty(desk.order.qty.coins + 5)
    closed = make.report(name, VenueStatus.FILLED, str(more), qty=more, limit_price=make.price("101"))
    desk.look(after_s=1, fills=(make.execution("T1", name, str(more), "101"),), closed_orders=(closed,))

    assert kinds_after(desk, OrderAmended) == [OrderAmended, OrderFilled, OrderEnded]
    assert desk.ledger.halts == {}
    assert desk.my_order.is_settled


def test_a25_a_fill_from_before_the_amend_that_is_told_after_it_breaks_no_contract(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.report(VenueStatus.NEW, qty=desk.order.qty, limit_price=make.price("90"))
    desk.fill("T1", "1", str(desk.order.limit_price))

    assert desk.ledger.halts == {}


def test_a29_a_fill_outside_all_terms_that_the_order_ever_had_halts_its_pair(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.report(VenueStatus.NEW, qty=desk.order.qty, limit_price=make.price("101"))
    desk.fill("T1", "1", "101.1")

    assert list(desk.ledger.halts) == [("symbol:BTC/USD", "halt_contract_broken")]
    assert desk.ledger.portfolio.balance("BTC") == 1


@pytest.mark.parametrize(("after_s", "is_believed"), [(59, False), (60, True)])
def test_a25_a_view_that_may_be_behind_takes_no_amend_back(
    new_desk: Any, make: Any, after_s: int, *, is_believed: bool
) -> None:
    desk = resting(new_desk, make, resting_s_max=3600)
    as_it_was = (str(desk.order.qty), str(desk.order.limit_price))
    desk.report(VenueStatus.NEW, qty=Qty(D(1)), limit_price=make.price("90"))
    old = make.report(
        desk.order.cl_ord_id, VenueStatus.NEW, "0", qty=desk.order.qty, limit_price=desk.order.limit_price
    )
    desk.look(after_s=after_s, open_orders=(old,))

    assert terms_of(desk) == (as_it_was if is_believed else ("1", "90"))


def test_a25_the_first_amend_is_believed_from_any_view(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.look(after_s=1, open_orders=(make.report(desk.order.cl_ord_id, VenueStatus.NEW, "0", qty=Qty(D(1))),))

    assert terms_of(desk) == ("1", str(desk.order.limit_price))


def test_a25_an_order_that_is_settled_is_amended_by_nobody(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.report(VenueStatus.CANCELED, "0")

    assert desk.report(VenueStatus.NEW, qty=Qty(D(1))).facts == ()


def kinds_after(desk: Any, first: type) -> list[type]:
    kinds = [type(numbered.fact) for numbered in desk.facts]
    return kinds[kinds.index(first) :]


# --- what repeats itself ------------------------------------------------------------------------------------------


def filled_order(desk: Any, number: int) -> None:
    """The desk's newest order is filled, and its coins are gone again, so that the strategy wishes for more."""
    desk.accept()
    desk.fill(f"T{number}", str(desk.order.qty), fees=())
    desk.report(VenueStatus.FILLED, str(desk.order.qty))


def test_k05_a_strategy_whose_orders_fill_too_often_is_halted_until_people_look(new_desk: Any, make: Any) -> None:
    limits = make.limits(executions_max=2, executions_window_s=600, order_usd_max=Usd(D(60)))
    desk = new_desk(make.policy(risk=limits))
    desk.trade()
    filled_order(desk, 1)
    assert desk.ledger.halts == {}
    desk.take(make.book(), after_s=6)
    filled_order(desk, 2)
    assert list(desk.ledger.halts) == [("strategy:trend", "halt_executions")]
    desk.take(make.book(), after_s=6)
    assert len(desk.sent(SubmitOrder)) == 2

    desk.command(Resume("strategy:trend", "meant"))
    desk.take(make.book(), after_s=6)
    filled_order(desk, 3)
    assert desk.ledger.halts == {}


def test_k05_many_fills_of_one_order_are_one_execution(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(risk=make.limits(executions_max=2, executions_window_s=600)))
    desk.trade()
    for number in range(5):
        desk.fill(f"T{number}", "1")

    assert desk.ledger.halts == {}


def test_k06_a_second_order_like_the_first_waits_for_its_time(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(risk=make.limits(duplicate_s=20)))
    order = desk.trade()
    desk.accept()
    desk.report(VenueStatus.CANCELED, "0")
    for after_s in (6, 13.9):
        desk.take(make.book(), after_s=after_s)
    assert len(desk.sent(SubmitOrder)) == 1
    (refused,) = desk.said(IntentRefused)
    assert (refused.code, refused.decision.binding) == ("risk_duplicate", "no_duplicate")
    assert refused.decision.allowances[-1].check == "no_duplicate"

    desk.take(make.book(), after_s=0.2)
    assert [(sent.side, sent.qty, sent.limit_price) for sent in desk.sent(SubmitOrder)] == [
        (order.side, order.qty, order.limit_price)
    ] * 2


def test_k06_an_order_of_another_price_is_no_twin(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(risk=make.limits(duplicate_s=20)))
    desk.trade()
    desk.accept()
    desk.report(VenueStatus.CANCELED, "0")
    desk.take(make.book("99.8", "99.9"), after_s=6)

    assert len(desk.sent(SubmitOrder)) == 2


# --- what only the venue's word ends -------------------------------------------------------------------------------


def test_a20_no_error_of_the_network_takes_an_order_out_of_sight(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make, resting_s_max=3600)
    reserved = desk.ledger.reserved_usd
    desk.take(PrivateStreamLost("cut"))
    for _ in range(20):
        desk.take(AccountUnavailable("no answer"))
        desk.look(after_s=30, views=("balances", "open"))  # not all of them: what is missing there may stand elsewhere
        desk.tick()
    assert desk.my_order.state is OrderState.OPEN
    assert desk.ledger.reserved_usd == reserved

    desk.report(VenueStatus.CANCELED, "0")
    assert desk.my_order.is_settled


@pytest.mark.parametrize("reason", ["Post only order", "Immediate or cancel", "Delisted", "Maintenance", ""])
def test_a24_an_end_by_the_venue_itself_is_an_end_with_its_reason(new_desk: Any, make: Any, reason: str) -> None:
    desk = resting(new_desk, make)
    desk.report(VenueStatus.CANCELED, "0", reason=reason)

    assert [fact.reason for fact in desk.said(OrderEnded)] == [reason]
    assert desk.my_order.is_settled
    assert desk.cancels == []


def test_a24_what_the_venue_ended_is_replaced_by_nothing_during_a_stop(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(Halt("all", "look"))
    desk.report(VenueStatus.CANCELED, "0", reason="Delisted")
    for _ in range(5):
        desk.take(make.book(), after_s=10)
        desk.tick()

    assert len(desk.sent(SubmitOrder)) == 1


def test_a26_dust_is_kept_and_valued_and_sold_in_no_loop(desk: Any, make: Any) -> None:
    desk.trade()
    desk.accept()
    desk.fill("T1", "0.0009", fees=())
    desk.report(VenueStatus.CANCELED, "0.0009")
    desk.take(make.history(make.FALLING, desk.at_ns))  # the strategy wants out
    for _ in range(30):
        desk.look(after_s=10)
        desk.take(ClockMeasured(offset_ns=0, error_ns=0))
        desk.take(make.book())
        desk.tick()

    assert len(desk.sent(SubmitOrder)) == 1
    assert [fact.code for fact in desk.said(IntentRefused) if fact.side is Side.SELL] == ["size_below_minimum"]
    shown = publish(desk.engine)
    assert [str(position.qty) for position in shown.positions] == ["0.0009"]
    assert shown.equity_usd == D("9999.91") + D("0.0009") * D("99.95")


def test_a29_more_than_was_asked_is_booked_and_halts_its_pair(desk: Any) -> None:
    order = desk.trade()
    desk.accept()
    desk.fill("T1", str(order.qty.coins + 1))

    assert desk.ledger.portfolio.balance("BTC") == order.qty.coins + 1
    assert list(desk.ledger.halts) == [("symbol:BTC/USD", "halt_contract_broken")]


def test_j11_n24_a_halt_in_maintenance_keeps_its_cancels_until_the_venue_takes_them(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make, resting_s_max=3600)
    desk.take(SystemStatusSeen("maintenance"))
    step = desk.command(Halt("all", "out"))
    assert kinds(step) == [CommandAccepted, TradingHalted, CancelRequested]
    desk.take(CancelAnswered(desk.order.cl_ord_id, done=False, text="EService:Unavailable"))
    for _ in range(5):
        desk.tick(after_s=60)
    asked = len(desk.cancels)
    (shown,) = publish(desk.engine).orders
    assert (shown.state, shown.cancel_asked) == ("open", True)

    desk.take(SystemStatusSeen("cancel_only"))
    desk.tick(after_s=60)
    assert len(desk.cancels) == asked + 1
    assert desk.my_order.state is OrderState.OPEN
    desk.report(VenueStatus.CANCELED, "0")
    assert publish(desk.engine).orders[-1].state == "done"
