from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core import account as account_module
from aether.core.view import publish
from aether.domain.effects import AskAccount, SubmitOrder
from aether.domain.facts import (
    AccountOpened,
    DifferenceAccepted,
    DifferenceEnded,
    DifferenceFound,
    EquityMarked,
    ExternalOrderGone,
    ExternalOrderSeen,
    FeesAdopted,
    InstrumentAdopted,
    OrderFilled,
    Reconciled,
    TradingResumed,
)
from aether.domain.inputs import (
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelEverything,
    ClockMeasured,
    FeedLost,
    FeesSeen,
    FillReported,
    Halt,
    InstrumentSeen,
    LoopStalled,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    Resume,
    TradeSeen,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import Qty, Usd

D = Decimal
S = 1_000_000_000
NEVER_SENT = "aeabcd00010009999"


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


@pytest.mark.parametrize("what", ["open", "closed", "fill"])
@pytest.mark.parametrize("way", ["stream", "look"])
def test_what_bears_our_mark_and_is_not_ours_halts_all(desk: Any, make: Any, way: str, what: str) -> None:
    desk.start()
    told: dict[str, tuple[Any, str]] = {
        "open": (make.report(NEVER_SENT, VenueStatus.NEW, "0"), "open_orders"),
        "closed": (make.report(NEVER_SENT, VenueStatus.FILLED, "1"), "closed_orders"),
        "fill": (make.execution("T1", NEVER_SENT, "1"), "fills"),
    }
    item, view = told[what]
    if way == "look":
        desk.look(**{view: (item,)})
    elif what == "fill":
        desk.take(FillReported(item, "executions"))
    else:
        desk.take(OrderReported(item, "executions"))

    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_foreign_order"]
    assert desk.ledger.halted_scopes == ("all",)
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
    assert list(desk.ledger.halts) == [("all", "halt_difference")]
    assert "USD: expected 10000, venue has 10500" in desk.ledger.halts["all", "halt_difference"].reason


def test_one_look_alone_never_makes_a_difference_even_without_lag(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(orders=make.order_policy(view_lag_s=0))).start()
    desk.look(after_s=60, balances=MORE)
    assert desk.ledger.halts == {}

    desk.look(after_s=1, balances=MORE)
    assert list(desk.ledger.halts) == [("all", "halt_difference")]


def test_a_difference_that_changes_or_goes_away_halts_nothing(desk: Any) -> None:
    desk.start()
    for usd in ("10500", "10501", "10502"):
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
    assert desk.ledger.halted_scopes == ("all",)  # only people end it


def differing(desk: Any) -> Any:
    """A desk that is halted over 500 dollars more than its sums."""
    desk.start()
    for _ in range(2):
        desk.look(after_s=70, balances=MORE)
    return desk


def test_resuming_books_the_difference_and_the_next_look_agrees(desk: Any, make: Any) -> None:
    differing(desk)
    step = desk.command(Resume("all", "our deposit"))
    assert desk.said(DifferenceAccepted) == [DifferenceAccepted("USD", D(500), make.OPERATOR)]
    assert (desk.ledger.halts, desk.ledger.differences) == ({}, ())
    assert desk.ledger.portfolio.balances == {"USD": D(10_500), "BTC": D(0)}
    assert [type(effect) for effect in step.effects] == [AskAccount]

    reconciled = len(desk.said(Reconciled))
    desk.look(after_s=1, balances=MORE)
    desk.look(after_s=70, balances=MORE)
    assert len(desk.said(Reconciled)) == reconciled + 1
    assert desk.ledger.halts == {}


def test_nothing_is_sent_between_the_resume_and_the_look_that_agrees(desk: Any, make: Any) -> None:
    differing(desk).command(Resume("all", "our deposit"))
    desk.take(ClockMeasured(0, 0))
    desk.take(make.history(make.RISING, desk.at_ns))
    desk.take(make.book())
    desk.tick()
    desk.tick()
    assert desk.sent(SubmitOrder) == []

    desk.look(balances=MORE)
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


def test_resuming_another_scope_books_nothing(desk: Any) -> None:
    differing(desk).command(Halt("symbol:BTC/USD", "look"))
    desk.command(Resume("symbol:BTC/USD", "fine"))

    assert desk.said(DifferenceAccepted) == []
    assert len(desk.ledger.differences) == 1


def test_money_that_people_moved_is_neither_profit_nor_loss(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(make.book())
    desk.tick()
    less = (AssetBalance("USD", D(4000), D(0)), AssetBalance("BTC", D(0), D(0)))
    for _ in range(3):
        desk.look(after_s=70, balances=less)
    desk.command(Resume("all", "our withdrawal"))
    desk.tick()
    desk.tick()

    mark = desk.ledger.mark
    assert (mark.equity, mark.day_start, mark.peak) == (make.usd("4000"), make.usd("4000"), make.usd("4000"))
    assert desk.ledger.halts == {}


def test_a_difference_that_changes_is_told_anew_and_booked_as_it_is_last(desk: Any, make: Any) -> None:
    differing(desk)
    odd = (AssetBalance("USD", D(10_000), D(0)), AssetBalance("BTC", D(2), D(0)))
    for _ in range(2):
        desk.look(after_s=70, balances=odd)
    assert [fact.asset for fact in desk.said(DifferenceEnded)] == ["USD"]

    desk.command(Resume("all", "coins came in"))
    assert desk.said(DifferenceAccepted) == [DifferenceAccepted("BTC", D(2), make.OPERATOR)]


def test_a_second_reason_for_a_halt_is_told_and_both_end_together(desk: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))
    for _ in range(2):
        desk.look(after_s=70, balances=MORE)
    assert list(desk.ledger.halts) == [("all", "halt_operator"), ("all", "halt_difference")]
    assert [stop.code for stop in publish(desk.engine).stops if stop.kind == "halt"] == [
        "halt_operator",
        "halt_difference",
    ]

    desk.command(Resume("all", "fine"))
    assert desk.ledger.halts == {}
    assert len(desk.said(TradingResumed)) == 1


@pytest.mark.parametrize("withdrawn", ["8500", "-10000"])
def test_a_share_that_was_lost_stays_that_share_when_money_is_moved(desk: Any, make: Any, withdrawn: str) -> None:
    desk.start()
    desk.take(make.book())
    desk.tick()
    mark = EquityMarked(desk.ledger.mark.day, Usd(D(10_000)), Usd(D(10_300)), Usd(D(11_000)))
    desk.engine.emit(mark)
    left = D(10_000) - D(withdrawn)
    for _ in range(2):
        desk.look(after_s=70, balances=(AssetBalance("USD", left, D(0)),))
    desk.command(Resume("all", "our own transfer"))

    share = left / 10_000
    assert desk.ledger.mark.day_start == Usd(D(10_300) * share)
    assert desk.ledger.mark.peak == Usd(D(11_000) * share)


def test_a_look_that_agrees_is_no_news(desk: Any) -> None:
    desk.start()

    assert desk.look(after_s=60).facts == ()


def test_once_an_hour_an_agreement_is_written_so_that_the_next_run_reads_no_further_back(desk: Any) -> None:
    desk.start()
    before = len(desk.said(Reconciled))
    for _ in range(120):
        desk.look(after_s=60)

    assert len(desk.said(Reconciled)) == before + 2


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


def test_a_new_stream_asks_anew_though_a_look_is_under_way(desk: Any) -> None:
    desk.start()
    desk.take(PrivateMalformed("not JSON"))
    step = desk.take(PrivateStreamLive(2))

    assert [type(effect) for effect in step.effects] == [AskAccount]


def test_the_account_is_as_old_as_the_question_and_not_as_the_answer(desk: Any) -> None:
    desk.start()
    desk.look(after_s=30, asked_ns=desk.at_ns + 5 * S)

    assert desk.engine.reconciled_ns == desk.at_ns - 25 * S


def test_a_fill_that_comes_with_a_difference_gives_its_assets_time_to_explain_themselves(desk: Any, make: Any) -> None:
    desk.start()
    before = (AssetBalance("USD", D(10_005), D(0)),)
    after_fill = (AssetBalance("USD", D("9904.6"), D(0)), AssetBalance("BTC", D(1), D(0)))
    desk.look(after_s=70, balances=before)
    desk.look(after_s=70, balances=after_fill, fills=(make.execution("T1", None, "1"),))
    assert desk.ledger.halts == {}

    desk.look(after_s=70, balances=after_fill)
    assert desk.ledger.halts["all", "halt_difference"].reason == "USD: expected 9899.600, venue has 9904.6"


# --- what was asked of several orders, or of one that lives on ------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "is_looked_at"),
    [
        (AmendAccepted("a1", "TA"), False),
        (AmendRefused("a1", "venue_other", "EOrder:Unknown order"), True),
        (AmendUnknown("a1", "no answer"), True),
        (CancelAllAnswered(done=True, count=3, text=""), False),
        (CancelAllAnswered(done=False, count=None, text="no answer"), True),
    ],
)
def test_what_is_no_clear_yes_is_looked_at(desk: Any, answer: Any, *, is_looked_at: bool) -> None:
    desk.start()
    asked = len(desk.asks)

    desk.take(answer)

    assert len(desk.asks) == asked + is_looked_at


# --- a machine that was suspended -----------------------------------------------------------------------------------


def test_f04_after_a_suspension_nothing_is_sent_before_a_look_that_began_after_it(desk: Any, make: Any) -> None:
    desk.trade()
    desk.fill("T1", "10")
    desk.report(VenueStatus.FILLED, "10")
    asked, sent = len(desk.asks), len(desk.sent(SubmitOrder))
    desk.take(LoopStalled(3_600 * S), after_s=3_600)
    assert ("private_stream", "all") in desk.ledger.holds
    assert len(desk.asks) == asked + 1
    for _ in range(5):
        desk.take(ClockMeasured(offset_ns=0, error_ns=0))
        desk.take(make.history(make.FALLING, desk.at_ns))
        desk.take(make.book(), after_s=2)
        desk.tick()
    assert len(desk.sent(SubmitOrder)) == sent

    desk.look()
    assert ("private_stream", "all") not in desk.ledger.holds


def test_f04_an_answer_that_was_asked_for_before_the_suspension_ends_no_hold(desk: Any, make: Any) -> None:
    desk.start()
    before_ns = desk.at_ns
    desk.take(LoopStalled(60 * S), after_s=60)
    desk.look(asked_ns=before_ns)
    assert ("private_stream", "all") in desk.ledger.holds


def test_h06_a_stall_of_seconds_makes_prices_old_and_the_account_no_stranger(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(make.book())
    desk.take(LoopStalled(3 * S))
    assert ("feed", "symbol:BTC/USD") in desk.ledger.holds
    assert ("private_stream", "all") not in desk.ledger.holds


def test_s35_of_surprises_the_newest_are_remembered(desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "SURPRISES_KEPT", 1)
    desk.trade()
    desk.engine.surprises["an older order"] = "an older word"
    desk.report(VenueStatus.UNKNOWN)
    assert list(desk.engine.surprises) == [desk.order.cl_ord_id]
