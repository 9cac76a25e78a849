from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from aether.core.orders import OrderState
from aether.domain.actors import Actor, Role
from aether.domain.effects import AskAccount, CancelOrder, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AccountOpened,
    AnswerLost,
    CancelRefused,
    CancelRequested,
    CommandAccepted,
    CommandRefused,
    DifferenceFound,
    ExternalOrderGone,
    ExternalOrderSeen,
    FeesAdopted,
    HoldBegan,
    HoldEnded,
    InstrumentAdopted,
    OrderAbsent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    OrderSurprised,
    Reconciled,
    RunEnded,
    StopBegan,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import (
    AccountUnavailable,
    BookChanged,
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    DiskGateChanged,
    FeedLost,
    FeesSeen,
    FillReported,
    Halt,
    InstrumentSeen,
    LoopStalled,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    PrivateStreamLost,
    Resume,
    RunEnding,
    StopAsked,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
    Tick,
    TradeSeen,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance, VenueStatus
from aether.domain.values import Price, Qty, Usd

D = Decimal
S = 1_000_000_000
NEVER_SENT = "aeabcd00010009999"


def kinds(step: Any) -> list[type]:
    return [type(numbered.fact) for numbered in step.facts]


def holds_of(desk: Any) -> set[tuple[str, str]]:
    return set(desk.ledger.holds)


# --- the way of an order ------------------------------------------------------------------------------------------


def test_a_start_leads_to_an_order_only_when_all_is_known(desk: Any, make: Any) -> None:
    assert {cause for cause, _ in holds_of(desk.start())} == {"feed"}
    assert desk.sent(SubmitOrder) == []

    desk.take(make.book())
    assert holds_of(desk) == set()
    step = desk.tick()
    assert kinds(step)[-1] is OrderSubmitted
    assert [type(effect) for effect in step.effects] == [SubmitOrder]


def test_an_order_carries_what_its_fact_says_and_a_deadline_in_the_venues_time(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(ClockMeasured(offset_ns=2 * S, error_ns=0))
    desk.take(make.book())
    desk.tick()

    order, fact = desk.order, desk.said(OrderSubmitted)[-1]
    names = ("cl_ord_id", "symbol", "side", "order_type", "time_in_force", "post_only", "qty", "limit_price")
    assert [getattr(order, name) for name in names] == [getattr(fact, name) for name in names]
    assert order.deadline_ns == fact.deadline_ns == desk.at_ns + 7 * S
    assert (order.side, order.limit_price) == (Side.BUY, Price(D(100)))
    assert len(order.cl_ord_id) == 17


def test_an_order_from_answer_to_fill_to_end_moves_the_money_once(desk: Any) -> None:
    order = desk.trade()
    desk.accept()
    desk.fill("T1", str(order.qty))
    desk.report(VenueStatus.FILLED, str(order.qty))

    assert desk.my_order.is_settled
    assert desk.ledger.portfolio.balance("BTC") == order.qty.coins
    assert desk.ledger.portfolio.balance("USD") == 10_000 - order.qty.coins * 100 * D("1.004")
    assert desk.ledger.reserved_usd == Usd(D(0))


def test_a_strategy_has_one_order_at_work_whatever_the_market_does(desk: Any, make: Any) -> None:
    desk.trade()
    for bid in ("99.8", "99.7", "100.0"):
        desk.take(make.book(bid, "100.1"), after_s=6)
        desk.tick()

    assert len(desk.sent(SubmitOrder)) == 1


def test_facts_are_numbered_without_a_gap_and_name_their_input(desk: Any) -> None:
    desk.trade()

    assert [numbered.seq for numbered in desk.facts] == list(range(1, len(desk.facts) + 1))
    assert {numbered.run for numbered in desk.facts} == {1}
    assert desk.facts[-1].input_seq == len(desk.inputs)


def test_time_never_goes_backwards_in_facts(desk: Any) -> None:
    desk.begin()
    desk.at_ns -= 3600 * S
    desk.take(DiskGateChanged(is_open=False, free_bytes=1))

    assert desk.facts[-1].at_ns == desk.facts[0].at_ns


def test_what_nobody_takes_is_our_bug(desk: Any) -> None:
    with pytest.raises(InvariantBroken, match="nobody takes str"):
        desk.take("hello")


# --- answers that come late, early, twice or never -----------------------------------------------------------------


def test_a_fill_before_the_answer_is_booked_and_the_late_answer_adds_nothing(desk: Any) -> None:
    desk.trade()
    desk.fill("T1", "1")
    assert (desk.my_order.state, desk.my_order.filled) == (OrderState.OPEN, Qty(D(1)))

    facts = len(desk.facts)
    desk.accept()
    assert len(desk.facts) == facts


def test_a_second_answer_adds_nothing(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.accept()

    assert len(desk.said(OrderAccepted)) == 1


def test_a_fill_is_counted_once_whoever_tells_it_and_how_often(desk: Any) -> None:
    order = desk.trade()
    for _ in range(2):
        desk.fill("T1", "1")
    execution = replace(desk.said(OrderFilled)[0])
    desk.look(fills=(_execution_of(execution),))

    assert len(desk.said(OrderFilled)) == 1
    assert desk.my_order.filled == Qty(D(1)) < order.qty


def _execution_of(fill: OrderFilled) -> Any:
    from aether.domain.orders import Execution

    names = Execution.__slots__
    return Execution(**{name: getattr(fill, name) for name in names})


def test_a_late_fill_after_the_end_is_still_our_money(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.report(VenueStatus.CANCELED, "0")
    desk.fill("T1", "1")

    assert desk.ledger.portfolio.balance("BTC") == 1
    assert desk.my_order.state is OrderState.DONE


def test_a_late_open_status_does_not_wake_an_order_that_ended(desk: Any) -> None:
    desk.trade()
    desk.report(VenueStatus.CANCELED, "0")

    assert desk.report(VenueStatus.NEW).facts == ()
    assert desk.my_order.state is OrderState.DONE


def test_an_end_before_its_trades_asks_the_account_and_waits_for_them(desk: Any, make: Any) -> None:
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

    assert kinds(step) == [OrderRefused]
    assert [type(effect) for effect in step.effects] == [AskAccount]
    assert desk.ledger.reserved_usd == Usd(D(0))


def test_a_refusal_of_an_order_that_filled_is_a_surprise_and_changes_nothing(desk: Any) -> None:
    order = desk.trade()
    desk.fill("T1", "1")
    before = desk.my_order
    step = desk.take(SubmitRefused(order.cl_ord_id, "venue_other", "E"))

    assert kinds(step) == [OrderSurprised]
    assert desk.my_order == before


# --- the unresolved -----------------------------------------------------------------------------------------------


def test_a_lost_answer_keeps_the_whole_size_reserved_and_nothing_new_is_sent(desk: Any, make: Any) -> None:
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
    desk.take_order = desk.trade()
    desk.look()
    asked = len(desk.asks)
    desk.take(SubmitUnknown(desk.order.cl_ord_id, "timeout"))
    desk.tick()

    assert len(desk.asks) == asked + 1
    assert desk.asks[-1].since_ns < desk.my_order.submitted_ns


def test_an_unresolved_order_that_never_lived_frees_its_cash_once_and_is_not_sent_again(desk: Any, make: Any) -> None:
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


def test_a_cancel_that_races_a_fill_ends_with_its_fills_booked(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    desk.fill("T1", "1", "99.9")
    desk.report(VenueStatus.CANCELED, "1")
    assert desk.my_order.is_settled
    assert desk.ledger.portfolio.balance("BTC") == 1

    assert desk.take(CancelAnswered(desk.order.cl_ord_id, done=False, text="EOrder:Unknown order")).facts == ()


def test_a_cancel_that_was_not_taken_says_nothing_of_the_order_but_asks(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    step = desk.take(CancelAnswered(desk.order.cl_ord_id, done=False, text="EOrder:Unknown order"))

    assert kinds(step) == [CancelRefused]
    assert [type(effect) for effect in step.effects] == [AskAccount]
    assert desk.my_order.state is OrderState.OPEN
    assert desk.ledger.reserved_usd.amount > 0


def test_a_cancel_that_was_taken_is_not_yet_an_end(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))

    assert desk.take(CancelAnswered(desk.order.cl_ord_id, done=True, text="")).facts == ()
    assert desk.my_order.state is OrderState.OPEN


# --- holds --------------------------------------------------------------------------------------------------------

HOLDS = [
    (FeedLost, ("feed", "symbol:BTC/USD")),
    (SystemStatusSeen, ("system_status", "all")),
    (ClockMeasured, ("clock", "all")),
    (DiskGateChanged, ("disk", "all")),
    (LoopStalled, ("feed", "symbol:BTC/USD")),
    (BookChanged, ("feed", "symbol:BTC/USD")),
]


def causes(make: Any) -> dict[type, tuple[Any, Any]]:
    """Of each cause of a hold: the input that begins it and the one that ends it."""
    return {
        FeedLost: (FeedLost(make.BTC, "checksum"), make.book()),
        SystemStatusSeen: (SystemStatusSeen("post_only"), SystemStatusSeen("online")),
        ClockMeasured: (ClockMeasured(-5001 * S // 1000, 0), ClockMeasured(5 * S, 0)),
        DiskGateChanged: (DiskGateChanged(is_open=False, free_bytes=9), DiskGateChanged(is_open=True, free_bytes=99)),
        LoopStalled: (LoopStalled(3 * S), make.book()),
        BookChanged: (make.book("100", "100"), make.book()),
    }


@pytest.mark.parametrize(("kind", "hold"), HOLDS)
def test_each_cause_holds_orders_back_and_lets_go_by_itself(
    desk: Any, make: Any, kind: type, hold: tuple[str, str]
) -> None:
    begins, ends = causes(make)[kind]
    desk.start()
    desk.take(make.book())
    desk.take(begins)
    desk.take(begins)  # told twice, held once
    desk.tick()
    assert holds_of(desk) == {hold}
    assert desk.sent(SubmitOrder) == []

    desk.take(ends)
    desk.take(make.book())
    desk.tick()
    assert holds_of(desk) == set()
    assert len(desk.sent(SubmitOrder)) == 1
    begun = [fact for fact in desk.said(HoldBegan) if (fact.cause, fact.scope) == hold]
    over = [fact for fact in desk.said(HoldEnded) if (fact.cause, fact.scope) == hold]
    assert len(begun) == len(over) == (2 if hold[0] == "feed" else 1)  # a feed is on hold from the start


def test_a_lost_private_stream_holds_until_it_lives_and_the_account_agrees(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(PrivateStreamLost("sequence gap"))
    desk.look()
    assert ("private_stream", "all") in holds_of(desk)

    desk.take(PrivateStreamLive(2))
    assert ("private_stream", "all") in holds_of(desk)
    desk.look()
    assert ("private_stream", "all") not in holds_of(desk)
    assert len(desk.said(Reconciled)) == 2


def test_a_look_begun_before_the_stream_lived_does_not_end_its_hold(desk: Any) -> None:
    desk.start()
    desk.take(PrivateStreamLost("gap"))
    asked_ns = desk.at_ns
    desk.take(PrivateStreamLive(2), after_s=1)
    desk.look(asked_ns=asked_ns)

    assert ("private_stream", "all") in holds_of(desk)
    desk.look()
    assert ("private_stream", "all") not in holds_of(desk)


@pytest.mark.parametrize("missing", ["executions", "open", "closed", "trades", "balances"])
def test_a_start_needs_every_view_of_the_account(desk: Any, make: Any, missing: str) -> None:
    desk.begin()
    desk.take(PrivateStreamLive(1))
    views = tuple(view for view in make.ALL_VIEWS if view != missing)
    desk.take(make.account(desk.at_ns, {"USD": "10000"}, views=views))
    assert ("starting", "all") in holds_of(desk)

    desk.take(make.account(desk.at_ns, {"USD": "10000"}))
    assert ("starting", "all") not in holds_of(desk)


def test_a_stall_makes_every_price_old(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(make.book())
    desk.take(LoopStalled(3 * S))

    assert not desk.engine.market.pictures[make.BTC].is_live


# --- halts, people ------------------------------------------------------------------------------------------------


def test_a_halt_holds_orders_until_it_is_resumed(desk: Any, make: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))
    desk.take(make.book())
    desk.tick()
    assert desk.sent(SubmitOrder) == []

    step = desk.command(Resume("all", "fine"))
    assert kinds(step) == [CommandAccepted, TradingResumed]
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


def test_a_second_halt_is_accepted_and_changes_nothing(desk: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))

    assert kinds(desk.command(Halt("all", "again"))) == [CommandAccepted]
    assert desk.ledger.halts["all"].reason == "look"


def test_the_live_account_is_not_resumed_by_one_person(desk: Any) -> None:
    desk.begin(real_money=True)
    desk.command(Halt("all", "look"))
    step = desk.command(Resume("all", "fine"))

    assert [fact.code for fact in desk.said(CommandRefused)] == ["authority_two_directors"]
    assert kinds(step) == [CommandRefused]
    assert "all" in desk.ledger.halts


def test_a_viewer_changes_nothing(desk: Any) -> None:
    desk.start()
    step = desk.command(Halt("all", "look"), Actor("ann", Role.VIEWER))

    assert kinds(step) == [CommandRefused]
    assert desk.facts[-1].actor == "ann"
    assert desk.ledger.halts == {}


def test_a_fill_worse_than_asked_is_booked_and_halts_its_pair(desk: Any) -> None:
    desk.trade()
    step = desk.fill("T1", "1", "100.5")

    assert kinds(step)[:2] == [OrderFilled, TradingHalted]
    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_contract_broken"]
    assert list(desk.ledger.halts) == ["symbol:BTC/USD"]
    assert desk.ledger.portfolio.balance("BTC") == 1


# --- others on the account ----------------------------------------------------------------------------------------


def test_an_order_of_others_is_shown_and_never_touched(desk: Any, make: Any) -> None:
    desk.start()
    human = make.report(None, VenueStatus.NEW, "0")
    desk.take(OrderReported(human, "executions"))
    desk.take(OrderReported(human, "executions"))
    assert len(desk.said(ExternalOrderSeen)) == 1

    desk.command(Halt("all", "look"))
    desk.command(CancelEverything("out"))
    desk.tick(after_s=1000)
    assert desk.cancels == []

    desk.take(OrderReported(replace(human, status=VenueStatus.CANCELED), "executions"))
    desk.take(OrderReported(replace(human, status=VenueStatus.CANCELED), "executions"))
    assert len(desk.said(ExternalOrderGone)) == 1


def test_a_fill_of_others_moves_balances_and_no_strategy(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(FillReported(make.execution("T1", None, "1"), "executions"))
    step = desk.look()

    assert desk.said(DifferenceFound) == []
    assert step.effects == ()
    assert desk.ledger.portfolio.balance("BTC") == 1
    assert desk.ledger.portfolio.position("trend", make.BTC).qty == Qty(D(0))


def test_old_fills_in_a_first_snapshot_are_in_the_opening_balance_and_booked_no_second_time(
    desk: Any, make: Any
) -> None:
    desk.begin()
    desk.take(FillReported(make.execution("T1", None, "1", venue_ns=make.T0 - 5 * S), "snapshot"))
    desk.take(PrivateStreamLive(1))
    desk.take(make.account(desk.at_ns, {"USD": "9000", "BTC": "1"}))

    assert desk.said(OrderFilled) == []
    assert [fact.balances[0].total for fact in desk.said(AccountOpened)] == [D(9000)]
    assert desk.ledger.portfolio.positions == {}


@pytest.mark.parametrize("way", ["stream", "look"])
def test_an_order_with_our_mark_that_is_not_ours_halts_all(desk: Any, make: Any, way: str) -> None:
    desk.start()
    report = make.report(NEVER_SENT, VenueStatus.NEW, "0")
    if way == "stream":
        desk.take(OrderReported(report, "executions"))
    else:
        desk.look(open_orders=(report,))

    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_foreign_order"]
    assert list(desk.ledger.halts) == ["all"]
    assert desk.cancels == []


# --- the account --------------------------------------------------------------------------------------------------

MORE = (AssetBalance("USD", D(10_500), D(0)), AssetBalance("BTC", D(0), D(0)))


def test_a_difference_that_stays_longer_than_the_views_lag_halts_and_is_named(desk: Any, make: Any) -> None:
    desk.start()
    desk.look(after_s=60, balances=MORE)
    desk.look(after_s=59, balances=MORE)
    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])

    desk.look(after_s=1, balances=MORE)
    assert [(fact.asset, fact.expected, fact.seen) for fact in desk.said(DifferenceFound)] == [
        ("USD", D(10_000), D(10_500))
    ]
    assert desk.ledger.halts["all"].code == "halt_difference"
    assert "USD: expected 10000, venue has 10500" in desk.ledger.halts["all"].reason


def test_one_look_alone_never_makes_a_difference_even_without_lag(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(orders=make.order_policy(view_lag_s=0))).start()
    desk.look(after_s=60, balances=MORE)
    assert desk.ledger.halts == {}

    desk.look(after_s=1, balances=MORE)
    assert desk.ledger.halts["all"].code == "halt_difference"


def test_a_difference_that_changes_or_goes_away_halts_nothing(desk: Any) -> None:
    desk.start()
    for usd in ("10500", "10501", "10500"):
        desk.look(after_s=70, balances=(AssetBalance("USD", D(usd), D(0)),))
    desk.look(after_s=70)
    desk.look(after_s=70, balances=MORE)

    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])


def test_balances_that_lag_behind_our_own_fill_halt_nothing(desk: Any) -> None:
    desk.trade()
    before = tuple(AssetBalance(asset, total, D(0)) for asset, total in desk.ledger.portfolio.balances.items())
    desk.accept()
    desk.fill("T1", "1")
    for _ in range(5):
        desk.look(after_s=10, balances=before)
    desk.look(after_s=5)

    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])


def test_a_difference_is_looked_at_again_soon(desk: Any) -> None:
    desk.start()
    desk.look(balances=MORE)
    asked = len(desk.asks)
    desk.tick(after_s=9)
    assert len(desk.asks) == asked
    desk.tick(after_s=1)

    assert len(desk.asks) == asked + 1


def test_without_the_trades_a_difference_proves_nothing(desk: Any) -> None:
    desk.start()
    for _ in range(3):
        desk.look(after_s=70, balances=MORE, views=("balances", "open", "executions", "closed"))

    assert desk.ledger.halts == {}


def test_a_difference_that_was_told_is_not_told_again_and_its_end_is(desk: Any) -> None:
    desk.start()
    for _ in range(4):
        desk.look(after_s=70, balances=MORE)
    assert len(desk.said(DifferenceFound)) == 1

    desk.look(after_s=10)
    assert desk.ledger.differences == ()
    assert len(desk.said(Reconciled)) == 2
    assert "all" in desk.ledger.halts  # only people end it


def test_a_halt_for_a_difference_that_still_stands_comes_back_after_a_resume(desk: Any) -> None:
    desk.start()
    for _ in range(2):
        desk.look(after_s=70, balances=MORE)
    desk.command(Resume("all", "fine"))
    assert desk.ledger.halts == {}

    desk.look(after_s=10, balances=MORE)
    assert desk.ledger.halts["all"].code == "halt_difference"


def test_a_look_that_agrees_is_no_news(desk: Any) -> None:
    desk.start()

    assert desk.look(after_s=60).facts == ()


def test_fills_that_only_the_trades_view_shows_are_booked_before_balances_are_compared(desk: Any, make: Any) -> None:
    order = desk.trade()
    desk.accept()
    execution = make.execution("T1", order.cl_ord_id, "1", venue_ns=desk.at_ns)
    balances = (AssetBalance("USD", D(10_000) - D("100.4"), D(0)), AssetBalance("BTC", D(1), D(0)))
    desk.look(after_s=1, fills=(execution,), balances=balances)

    assert [fill.source for fill in desk.said(OrderFilled)] == ["trades"]
    assert desk.engine.suspects == ()


def test_a_private_message_that_cannot_be_read_leads_to_a_look(desk: Any) -> None:
    desk.start()
    step = desk.take(PrivateMalformed("not JSON"))

    assert [type(effect) for effect in step.effects] == [AskAccount]


def test_what_happens_during_a_look_is_looked_for_once_more(desk: Any) -> None:
    desk.start()
    desk.take(PrivateMalformed("not JSON"))
    desk.take(PrivateMalformed("not JSON"), after_s=1)
    asked = len(desk.asks)
    desk.look()
    desk.tick()
    assert len(desk.asks) == asked + 1

    desk.look()
    desk.tick()
    assert len(desk.asks) == asked + 1


def test_an_account_that_could_not_be_had_is_asked_for_again(desk: Any) -> None:
    desk.start()
    desk.take(PrivateMalformed("not JSON"))
    asked = len(desk.asks)
    desk.take(AccountUnavailable("503"))
    desk.tick(after_s=9)
    assert len(desk.asks) == asked
    desk.tick(after_s=1)

    assert len(desk.asks) == asked + 1


def test_rates_and_rules_are_written_when_they_change(desk: Any, make: Any) -> None:
    desk.start()
    for taker in (25, 25, 20):
        desk.take(FeesSeen(make.BTC, D(taker), D(10)))
    for tick in ("0.1", "0.5", "0.5"):
        desk.take(InstrumentSeen(make.instrument(tick=D(tick))))

    assert [fact.taker_bps for fact in desk.said(FeesAdopted)] == [25, 20]
    assert [fact.instrument.version for fact in desk.said(InstrumentAdopted)] == [1, 2]


def test_a_symbol_that_is_not_in_use_is_not_heard(desk: Any, make: Any) -> None:
    from aether.domain.spot_gate import recall

    eth = recall("ETH/USD")
    desk.start()
    told = (
        make.book(symbol=eth),
        FeedLost(eth, "gone"),
        make.history(make.RISING, symbol=eth),
        InstrumentSeen(make.instrument(symbol=eth)),
        TradeSeen(eth, Side.BUY, make.price("1"), make.qty("1"), make.T0),
    )
    assert [desk.take(item).facts for item in told] == [()] * 5


# --- restart and stop ---------------------------------------------------------------------------------------------


def refolded(desk: Any, new_desk: Any, make: Any) -> Any:
    """A new desk on the ledger that another one's facts fold to."""
    from aether.core.ledger import Ledger

    ledger = Ledger()
    for numbered in desk.facts:
        ledger.fold(numbered)
    return new_desk(make.policy(), ledger, desk.at_ns)


def test_a_restart_folds_to_the_same_ledger(desk: Any, new_desk: Any, make: Any, contents_of: Any) -> None:
    desk.trade()
    desk.fill("T1", "1")
    desk.take(PrivateStreamLost("gap"))
    desk.command(Halt("strategy:trend", "look"))

    assert contents_of(refolded(desk, new_desk, make).ledger) == contents_of(desk.ledger)


def test_after_a_crash_what_was_in_flight_is_unresolved_and_looked_for_not_sent(
    desk: Any, new_desk: Any, make: Any
) -> None:
    order = desk.trade()
    again = refolded(desk, new_desk, make)
    again.begin(run=2)
    assert again.ledger.orders[order.cl_ord_id].state is OrderState.UNRESOLVED

    again.take(PrivateStreamLive(1))
    assert again.asks[-1].since_ns < again.ledger.orders[order.cl_ord_id].submitted_ns
    again.take(make.history(make.RISING, again.at_ns))
    again.look()
    again.take(make.book())
    again.tick()
    assert again.sent(SubmitOrder) == []


def test_names_of_two_runs_never_meet(desk: Any, new_desk: Any, make: Any) -> None:
    desk.trade()
    desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_other", "E"))
    again = refolded(desk, new_desk, make)
    again.at_ns += 10 * S
    again.begin(run=2)
    again.take(make.history(make.RISING, again.at_ns))
    again.take(PrivateStreamLive(1))
    again.look()
    again.take(make.book())
    again.tick()

    assert again.order.cl_ord_id != desk.order.cl_ord_id
    assert (again.order.cl_ord_id[6:10], len(again.order.cl_ord_id)) == ("0002", 17)


def test_a_halt_outlasts_a_restart(desk: Any, new_desk: Any, make: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))
    again = refolded(desk, new_desk, make)
    again.begin(run=2)

    assert again.ledger.halts["all"].reason == "look"


def test_a_crash_loop_halts(desk: Any) -> None:
    desk.begin(crash_loop=True)

    assert desk.ledger.halts["all"].code == "halt_crash_loop"


def test_stopping_decides_nothing_new_and_cancels_what_rests(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    step = desk.take(StopAsked("SIGTERM"))
    assert kinds(step) == [StopBegan, HoldBegan, CancelRequested]

    assert desk.take(StopAsked("SIGTERM")).facts == ()
    desk.report(VenueStatus.CANCELED, "0")
    desk.take(make.book(), after_s=60)
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


@pytest.mark.parametrize(("cancel_on_stop", "cancels"), [(True, 1), (False, 0)])
def test_an_order_accepted_while_stopping_is_left_or_cancelled_as_set(
    new_desk: Any, make: Any, *, cancel_on_stop: bool, cancels: int
) -> None:
    policy = make.policy(trends=(make.trend(passive=True),), orders=make.order_policy(cancel_on_stop=cancel_on_stop))
    desk = new_desk(policy)
    desk.trade()
    desk.take(StopAsked("SIGTERM"))
    desk.accept()

    assert len(desk.cancels) == cancels


def test_a_run_ends_clean_only_if_nothing_is_left(desk: Any) -> None:
    order = desk.trade()
    desk.report(VenueStatus.CANCELED, "0")
    desk.take(RunEnding("asked"))

    assert desk.said(RunEnded) == [RunEnded(clean=True, in_flight=0, resting=0, why="asked")]
    with pytest.raises(InvariantBroken, match="after the run had ended"):
        desk.take(Tick())
    assert order.cl_ord_id in desk.ledger.orders


@pytest.mark.parametrize(
    ("way", "in_flight", "resting"),
    [("silent", 1, 0), ("unknown", 1, 0), ("accepted", 0, 1), ("fills missing", 1, 0)],
)
def test_a_run_that_leaves_an_order_is_not_clean(desk: Any, way: str, in_flight: int, resting: int) -> None:
    order = desk.trade()
    if way == "unknown":
        desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    if way == "accepted":
        desk.accept()
    if way == "fills missing":
        desk.report(VenueStatus.FILLED, str(order.qty))
    desk.take(RunEnding("late"))

    assert desk.said(RunEnded) == [RunEnded(clean=False, in_flight=in_flight, resting=resting, why="late")]


def test_an_ended_journal_is_begun_anew_by_a_run(desk: Any, new_desk: Any, make: Any) -> None:
    desk.start()
    desk.take(RunEnding("asked"))
    again = refolded(desk, new_desk, make)
    with pytest.raises(InvariantBroken):
        again.tick()
    again.begin(run=2)

    assert again.ledger.run == 2


# --- determinism --------------------------------------------------------------------------------------------------


def test_the_ambient_decimal_context_changes_no_decision(desk: Any, new_desk: Any, make: Any) -> None:
    desk.trade()
    with localcontext(Context(prec=6)):
        other = new_desk(make.policy())
        for stamped in desk.inputs:
            other.facts.extend(other.engine.take(stamped).facts)

    assert other.facts == desk.facts
    assert desk.said(OrderEnded) == []
