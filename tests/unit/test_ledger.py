from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core import double_entry, reconcile
from aether.core import ledger as ledger_module
from aether.core.ledger import EXECUTIONS_KEPT_NS, Ledger
from aether.core.order_ids import Mark, read_mark
from aether.domain.actors import SYSTEM
from aether.domain.entries import AccountEntry, Nature
from aether.domain.errors import ImpossibleTransition, InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    DifferenceAccepted,
    DifferenceEnded,
    DifferenceFound,
    HoldBegan,
    IntentRefused,
    LedgerEntryBooked,
    Numbered,
    OrderAccepted,
    OrderEnded,
    OrderOpened,
    OrderRefused,
    Reconciled,
    RunEnded,
    RunStarted,
    SignalChanged,
    StopBegan,
    StrategyPaused,
    TradingHalted,
    TradingResumed,
)
from aether.domain.instruments import Side
from aether.domain.orders import VenueStatus
from aether.domain.values import NANOS_PER_S, Bps, Qty, Usd, UtcNanos

D = Decimal
A, B = "aeabcd00010000001", "aeabcd00010000002"


def run_started(run: int = 1) -> RunStarted:
    return RunStarted(run, "abcd", "sandbox-1", "sandbox", False, "0.1.0", "d", 1)  # noqa: FBT003


def test_facts_are_folded_in_their_order_alone(make: Any) -> None:
    ledger = Ledger()
    ledger.fold(Numbered(1, 1, UtcNanos(make.T0), 1, run_started()))

    for seq in (1, 3):
        with pytest.raises(InvariantBroken, match=f"{seq} does not follow 1"):
            ledger.fold(Numbered(seq, 1, UtcNanos(make.T0), 1, run_started()))


def test_a_client_order_id_is_made_of_tag_run_and_the_number_of_the_fact(book: Any) -> None:
    ledger = book.fold(run_started(run=36 * 36))
    mark = read_mark(ledger.next_cl_ord_id())
    assert mark == Mark("abcd", 36 * 36, ledger.own_ids.runs[36 * 36], 2)


def test_a_client_order_id_is_never_used_twice(make: Any, book: Any) -> None:
    book.fold(make.submitted(A))

    with pytest.raises(InvariantBroken, match="used twice"):
        book.fold(make.submitted(A))


def test_an_execution_is_counted_once(make: Any, book: Any) -> None:
    book.fold(make.submitted(A), make.filled("T1", A, "1"))

    with pytest.raises(InvariantBroken, match="counted twice"):
        book.fold(make.filled("T1", A, "1"))


def test_folding_a_move_outside_the_table_raises_with_the_story_of_the_order(make: Any, book: Any) -> None:
    book.fold(make.submitted(A), OrderAccepted(A, "O-1"))

    with pytest.raises(ImpossibleTransition, match=f"{A}: answer_lost while open"):
        book.fold(AnswerLost(A, "timeout"))


def test_an_order_is_found_by_either_name(make: Any, book: Any) -> None:
    ledger = book.fold(make.submitted(A), OrderAccepted(A, "O-1"))

    assert ledger.order(A) is ledger.order(None, "O-1") is ledger.order("somebody", "O-1") is ledger.orders[A]
    assert ledger.order(None, None) is None
    assert ledger.order("somebody", "O-2") is None


def test_an_order_works_until_it_is_settled(make: Any, book: Any) -> None:
    ledger = book.fold(make.submitted(A), OrderAccepted(A, "O-1"))
    assert ledger.working("trend", make.BTC) is ledger.orders[A]
    assert ledger.working("other", make.BTC) is None

    book.fold(OrderEnded(A, "O-1", VenueStatus.FILLED, "", None, "executions"))
    assert ledger.working("trend", make.BTC) is not None

    book.fold(make.filled("T1", A, "10"))
    assert ledger.working("trend", make.BTC) is None
    assert list(ledger.settled) == [A]


def test_a_late_fill_of_a_settled_order_moves_the_portfolio_and_settles_it_but_once(make: Any, book: Any) -> None:
    ledger = book.fold(make.submitted(A), OrderEnded(A, "O-1", VenueStatus.CANCELED, "", Qty(D(0)), "executions"))
    book.fold(make.filled("T1", A, "1"))

    assert ledger.portfolio.position("trend", make.BTC).qty == Qty(D(1))
    assert (list(ledger.settled), ledger.unsettled) == ([A], {})


def test_old_settled_orders_are_let_go_with_both_names(make: Any, book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SETTLED_ORDERS_KEPT", 1)
    for name in (A, B):
        book.fold(
            make.submitted(name), OrderEnded(name, f"O-{name}", VenueStatus.CANCELED, "", Qty(D(0)), "executions")
        )

    assert list(book.ledger.orders) == [B]
    assert book.ledger.order(None, f"O-{A}") is None
    assert book.ledger.order(None, f"O-{B}") is not None
    assert set(book.ledger.own_ids.kept) == {A, B}
    with pytest.raises(InvariantBroken, match="used twice"):
        book.fold(make.submitted(A))


def test_an_order_that_was_believed_never_to_have_lived_and_does_is_tracked_again(make: Any, book: Any) -> None:
    ledger = book.fold(make.submitted(A), OrderRefused(A, "venue_funds", "EOrder:Insufficient funds"))
    assert (list(ledger.settled), ledger.unsettled) == ([A], {})

    book.fold(OrderOpened(A, "O-1", "open"))
    assert (list(ledger.settled), list(ledger.unsettled)) == ([], [A])
    assert ledger.reserved_usd == Usd(D(1004))

    book.fold(OrderEnded(A, "O-1", VenueStatus.CANCELED, "", Qty(D(0)), "executions"))
    assert (list(ledger.settled), ledger.unsettled) == ([A], {})


def test_reservations_of_all_buys_add_up(make: Any, book: Any) -> None:
    ledger = book.fold(make.submitted(A), make.submitted(B), AnswerLost(B, "timeout"), make.filled("T1", A, "5"))

    assert ledger.reserved_usd == Usd(D(502) + D(1004))
    assert ledger.unresolved_on(make.BTC) is ledger.orders[B]


def test_orders_sent_are_counted_in_a_window_that_moves(make: Any, book: Any) -> None:
    book.fold(make.submitted(A), at_ns=make.T0)
    ledger = book.fold(make.submitted(B), at_ns=make.T0 + 30 * make.S)

    assert ledger.sent_since(make.T0 + 60 * make.S - 1, 60) == 2
    assert ledger.sent_since(make.T0 + 60 * make.S, 60) == 1
    assert ledger.last_sent_ns["trend", make.BTC] == make.T0 + 30 * make.S


def test_orders_sent_more_than_a_day_ago_are_forgotten(make: Any, book: Any) -> None:
    book.fold(make.submitted(A), at_ns=make.T0)
    ledger = book.fold(make.submitted(B), at_ns=make.T0 + 86_400 * make.S)

    assert list(ledger.sent_ns) == [make.T0 + 86_400 * make.S]


def test_a_refusal_in_force_ends_with_an_order_or_a_change_of_mind(make: Any, book: Any) -> None:
    decision = make.submitted().decision
    refusal = IntentRefused("i1", "trend", make.BTC, Side.BUY, "risk_edge", "no", decision)
    ledger = book.fold(refusal)
    assert ledger.refusals == {("trend", make.BTC, Side.BUY): refusal}

    book.fold(make.submitted(A))
    assert ledger.refusals == {}

    book.fold(refusal, SignalChanged("trend", make.BTC, Bps(0), Bps(0), "over"))
    assert ledger.refusals == {}
    assert list(ledger.recent_refusals) == [refusal, refusal]


def test_each_reason_of_a_halt_stands_beside_the_others_until_its_scope_is_resumed(book: Any) -> None:
    first = TradingHalted("all", "halt_operator", "look", SYSTEM)
    second = TradingHalted("all", "halt_drawdown", "more", SYSTEM)
    other = TradingHalted("symbol:BTC/USD", "halt_contract_broken", "worse", SYSTEM)
    ledger = book.fold(first, second, TradingHalted("all", "halt_operator", "again", SYSTEM), other)
    assert ledger.halts_of("all") == (first, second)
    assert ledger.halts_of("all", "symbol:BTC/USD") == (first, second, other)
    assert ledger.halted_scopes == ("all", "symbol:BTC/USD")

    book.fold(TradingResumed("all", "fine", SYSTEM))
    assert tuple(ledger.halts.values()) == (other,)
    assert ledger.halted_scopes == ("symbol:BTC/USD",)


def test_a_new_run_keeps_halts_and_drops_holds_pauses_and_the_stop(book: Any) -> None:
    halt = TradingHalted("all", "halt_operator", "look", SYSTEM)
    ledger = book.fold(
        run_started(),
        halt,
        HoldBegan("feed", "symbol:BTC/USD", "lost"),
        StrategyPaused("trend", "raised"),
        StopBegan("asked"),
        RunEnded(clean=True, in_flight=0, resting=0, why="asked"),
    )
    assert (ledger.is_stopping, ledger.has_ended) == (True, True)

    book.fold(run_started(2))
    assert (ledger.run, ledger.is_stopping, ledger.has_ended) == (2, False, False)
    assert (ledger.halts, ledger.holds, ledger.paused) == ({("all", "halt_operator"): halt}, {}, {})


def test_differences_stand_until_ledger_and_account_agree(book: Any, make: Any) -> None:
    difference = DifferenceFound("BTC", D(1), D(2), "why")
    ledger = book.fold(difference)
    assert ledger.differences == (difference,)

    book.fold(Reconciled((), 0), at_ns=make.T0 + 5)
    assert (ledger.differences, ledger.reconciled_ns) == ((), make.T0 + 5)


def test_a_row_of_the_venue_s_ledger_moves_a_balance_once_and_no_position(book: Any) -> None:
    amounts = (D("-2"), D("0.5"), None, D("-2.5"))
    gone = LedgerEntryBooked("L1", "Q1", "withdrawal", "", Nature.MOVED, "BTC", *amounts, UtcNanos(1))
    ledger = book.fold(gone)
    assert (ledger.portfolio.balances, ledger.portfolio.positions) == ({"BTC": D("-2.5")}, {})
    assert ledger.flows == {"BTC": D("-2.5")}

    with pytest.raises(InvariantBroken, match="L1 counted twice"):
        book.fold(gone)


def test_a_difference_is_kept_once_for_each_asset_and_ends_by_itself_or_by_a_person(book: Any) -> None:
    first, later = DifferenceFound("USD", D(1), D(2), "why"), DifferenceFound("USD", D(1), D(3), "why")
    coins = DifferenceFound("BTC", D(2), D("1.5"), "why")
    ledger = book.fold(first, coins, later)
    assert ledger.differences == (coins, later)
    assert [difference.amount for difference in ledger.differences] == [D("-0.5"), D(2)]

    book.fold(DifferenceEnded("USD"))
    assert ledger.differences == (coins,)
    assert ledger.portfolio.balances == {}

    book.fold(DifferenceAccepted("BTC", D("-0.5"), SYSTEM))
    assert ledger.differences == ()
    assert ledger.portfolio.balances == {"BTC": D("-0.5")}
    assert ledger.portfolio.positions == {}


# --- what is let go -------------------------------------------------------------------------------------------------


def test_s35_executions_that_journal_and_venue_agreed_on_long_ago_are_let_go(make: Any, book: Any) -> None:
    late_ns = make.T0 + EXECUTIONS_KEPT_NS + 7_200 * NANOS_PER_S
    book.fold(run_started(), make.filled("T1", None, "1"), make.filled("T2", None, "1", venue_ns=late_ns))
    book.fold(Reconciled((), 0), at_ns=late_ns)
    assert list(book.ledger.exec_ids) == ["T2"]


def test_a10_an_execution_that_was_let_go_is_not_booked_again(make: Any, book: Any) -> None:
    late_ns = make.T0 + EXECUTIONS_KEPT_NS + 7_200 * NANOS_PER_S
    book.fold(run_started(), make.filled("T1", None, "1"), make.filled("T2", None, "1", venue_ns=late_ns))
    book.fold(Reconciled((), 0), at_ns=late_ns)
    assert reconcile.fill_fact(book.ledger, make.execution("T1", None, "1"), "snapshot") is None
    book.ledger.account_as_of_ns = make.T0
    later = make.execution("T3", None, "1", venue_ns=late_ns)
    assert reconcile.fill_fact(book.ledger, later, "snapshot") is not None


def test_f02_a_clock_that_runs_days_ahead_lets_nothing_go_that_the_venue_may_still_tell(make: Any, book: Any) -> None:
    book.fold(run_started(), make.submitted(A), make.filled("T1", A, "1"))
    book.fold(Reconciled((), 0), at_ns=make.T0 + 3 * EXECUTIONS_KEPT_NS)

    assert list(book.ledger.exec_ids) == ["T1"]
    late = make.execution("T2", A, "1", venue_ns=make.T0 + 60 * NANOS_PER_S)
    assert reconcile.fill_fact(book.ledger, late, "executions") is not None


def test_s35_rows_of_the_venues_ledger_are_let_go_and_not_booked_again(make: Any, book: Any) -> None:
    late_ns = make.T0 + EXECUTIONS_KEPT_NS + 7_200 * NANOS_PER_S
    row = AccountEntry("L1", "D1", "deposit", "", "USD", D(100), D(0), D(100), make.T0 + 1)
    account = make.account(late_ns, {}, entries=(row,))
    book.ledger.account_as_of_ns = make.T0
    (booked,) = double_entry.entry_facts(book.ledger, account)
    heard = make.filled("T2", None, "1", venue_ns=late_ns)
    book.fold(run_started(), booked, heard)
    assert list(book.ledger.entry_ids) == ["L1"]
    book.fold(Reconciled((), 0), at_ns=late_ns)
    assert book.ledger.entry_ids == {}
    assert list(double_entry.entry_facts(book.ledger, account)) == []


def test_executions_are_kept_until_journal_and_venue_agree(make: Any, book: Any) -> None:
    book.fold(run_started(), make.filled("T1", None, "1"))
    book.fold(make.filled("T2", None, "1"), at_ns=make.T0 + 2 * EXECUTIONS_KEPT_NS)
    assert list(book.ledger.exec_ids) == ["T1", "T2"]
    assert book.ledger.booked_until_ns == 0
