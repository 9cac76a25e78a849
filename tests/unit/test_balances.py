"""Looks at the account that bring ledger rows, through the engine: booked, compared, and halted over what is left."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.balances import RECONCILED_EVERY_NS
from aether.core.ledger import Ledger
from aether.core.valuation import cash_free, holding_free, value
from aether.core.view import publish
from aether.domain.entries import AccountEntry
from aether.domain.facts import DifferenceFound, EquityMarked, LedgerEntryBooked, Reconciled, RunStarted
from aether.domain.inputs import ClockMeasured, PrivateStreamLive, Resume
from aether.domain.orders import AssetBalance, VenueStatus
from aether.domain.values import NANOS_PER_S

D = Decimal


def row(desk: Any, entry_id: str, kind: str, amount: str, **changes: Any) -> AccountEntry:
    """A row of dollars, a second before now."""
    whole = AccountEntry(
        entry_id, f"Q{entry_id}", kind, "", "USD", D(amount), D(0), None, desk.at_ns + 60 * NANOS_PER_S
    )
    return replace(whole, **changes)


def of(**totals: str) -> tuple[AssetBalance, ...]:
    return tuple(AssetBalance(asset.replace("_", "."), D(total), D(0)) for asset, total in totals.items())


@pytest.mark.parametrize("kind", ["deposit", "withdrawal", "transfer", "adjustment", "staking", "dividend"])
def test_e08_money_that_comes_or_goes_is_booked_and_halts_nothing(desk: Any, kind: str) -> None:
    desk.start()
    moved = row(desk, "L1", kind, "-250.5" if kind == "withdrawal" else "250.5")
    balances = of(USD=str(D(10_000) + moved.amount), BTC="0")
    for _ in range(3):
        desk.look(after_s=70, balances=balances, entries=(moved,))

    (booked,) = desk.said(LedgerEntryBooked)
    assert (booked.entry_id, booked.kind) == ("L1", kind)
    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])
    assert desk.ledger.portfolio.balance("USD") == D(10_000) + moved.amount


def test_e08_a_row_that_comes_later_than_its_balance_is_waited_for(desk: Any) -> None:
    desk.start()
    moved, balances = row(desk, "L1", "deposit", "500"), of(USD="10500", BTC="0")
    desk.look(after_s=61, balances=balances)
    desk.look(after_s=55, balances=balances)
    desk.look(after_s=10, balances=balances, entries=(moved,))

    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])
    assert desk.engine.suspects == ()


def test_a_balance_that_came_with_a_slow_answer_has_the_whole_lag_from_then_on(desk: Any) -> None:
    desk.start()
    balances = of(USD="10500", BTC="0")
    desk.at_ns += 61 * NANOS_PER_S
    slow = desk.at_ns - 40 * NANOS_PER_S
    desk.look(balances=balances, asked_ns=slow)
    desk.look(after_s=30, balances=balances)
    assert desk.ledger.halts == {}

    desk.look(after_s=35, balances=balances)
    assert list(desk.ledger.halts) == [("all", "halt_difference")]


def test_what_nothing_explains_halts_though_trade_goes_on_and_views_are_of_different_moments(desk: Any) -> None:
    desk.trade()
    desk.accept()
    for number, raced in enumerate(("0", "0.25", "0", "-3", "0", "0.5", "0", "0")):
        desk.fill(f"T{number}", "0.01")
        usd = desk.ledger.portfolio.balance("USD") - 5 + D(raced)
        coins = str(desk.ledger.portfolio.balance("BTC"))
        desk.look(after_s=10, balances=of(USD=str(usd), BTC=coins))

    assert list(desk.ledger.halts) == [("all", "halt_difference")]
    assert [(fact.asset, fact.amount) for fact in desk.said(DifferenceFound)] == [("USD", D(-5))]


def test_the_same_deposit_each_minute_told_a_minute_late_is_no_difference(desk: Any) -> None:
    desk.start()
    rows: list[AccountEntry] = []
    for number in range(6):
        came = row(desk, f"L{number}", "deposit", "100", venue_ns=desk.at_ns + 60 * NANOS_PER_S)
        desk.look(after_s=60, balances=of(USD=str(10_000 + 100 * (number + 1)), BTC="0"), entries=tuple(rows))
        rows.append(came)
    desk.look(after_s=60, balances=of(USD="10600", BTC="0"), entries=tuple(rows))

    assert (desk.ledger.halts, desk.said(DifferenceFound)) == ({}, [])
    assert desk.engine.suspects == ()


def test_without_the_ledger_a_difference_is_not_called_unexplained(desk: Any, make: Any) -> None:
    desk.start()
    views = tuple(view for view in make.ALL_VIEWS if view != "ledgers")
    for _ in range(3):
        desk.look(after_s=70, balances=of(USD="10500", BTC="0"), views=views)
    assert desk.ledger.halts == {}

    desk.look(after_s=70, balances=of(USD="10500", BTC="0"))
    assert list(desk.ledger.halts) == [("all", "halt_difference")]


def test_what_no_row_explains_halts_and_says_what_the_ledger_shows(desk: Any) -> None:
    desk.start()
    rows = (row(desk, "L1", "deposit", "1", balance=D(10_001)), row(desk, "L2", "deposit", "1", balance=D(10_502)))
    for _ in range(3):
        desk.look(after_s=70, balances=of(USD="10502", BTC="0"), entries=rows)

    (difference,) = desk.said(DifferenceFound)
    assert (difference.asset, difference.amount, difference.what) == ("USD", D(500), "a row is missing before L2")
    assert list(desk.ledger.halts) == [("all", "halt_difference")]


@pytest.mark.parametrize("kind", ["margin", "rollover", "settled", "credit", "some new kind"])
def test_e08_a_kind_of_row_that_a_spot_account_never_has_is_booked_and_halts(desk: Any, kind: str) -> None:
    desk.start()
    strange = row(desk, "L1", kind, "-3")
    for _ in range(2):
        desk.look(after_s=70, balances=of(USD="9997", BTC="0"), entries=(strange,))

    assert list(desk.ledger.halts) == [("all", "halt_strange_entry")]
    assert f"L1 is of kind {kind!r} and moved -3 USD" in desk.ledger.halts["all", "halt_strange_entry"].reason
    assert desk.ledger.portfolio.balance("USD") == D(9_997)

    desk.command(Resume("all", "closed it"))
    desk.look(after_s=70, balances=of(USD="9997", BTC="0"), entries=(strange,))
    assert desk.ledger.halts == {}


def test_e09_coins_that_earn_are_equity_and_cannot_be_sold(desk: Any, make: Any) -> None:
    desk.trade()
    desk.accept()
    desk.fill("T1", "1")
    desk.report(VenueStatus.CANCELED, "1")
    before = value(desk.ledger, desk.engine.market)
    moves = (
        row(desk, "L1", "earn", "-0.75", subtype="allocation", asset="BTC"),
        row(desk, "L2", "earn", "0.75", subtype="allocation", asset="BTC.F"),
    )
    usd = desk.ledger.portfolio.balance("USD")
    desk.look(after_s=70, balances=of(USD=str(usd), BTC="0.25", BTC_F="0.75"), entries=moves)

    assert value(desk.ledger, desk.engine.market) == before
    assert holding_free(desk.ledger, "trend", make.BTC) == make.qty("0.25")
    assert desk.ledger.halts == {}
    assert desk.engine.suspects == ()


def test_e10_a_trade_by_hand_is_booked_once_and_the_strategy_s_own_book_stays(desk: Any, make: Any) -> None:
    desk.start()
    execution = make.execution("T9", None, "1")
    rows = (
        row(desk, "L1", "trade", "-100", refid="T9", fee=D("0.4")),
        row(desk, "L2", "trade", "1", refid="T9", asset="BTC"),
    )
    for _ in range(3):
        desk.look(after_s=70, balances=of(USD="9899.6", BTC="1"), fills=(execution,), entries=rows)

    assert desk.said(LedgerEntryBooked) == []
    assert desk.ledger.portfolio.position("external", make.BTC).coins == D(1)
    assert desk.ledger.portfolio.position("trend", make.BTC).coins == D(0)
    assert desk.ledger.halts == {}


def test_e11_a_balance_from_before_a_fill_changes_nothing_that_is_decided_by(desk: Any) -> None:
    desk.trade()
    desk.accept()
    old = tuple(AssetBalance(asset, total, D(0)) for asset, total in desk.ledger.portfolio.balances.items())
    desk.fill("T1", "1")
    free = cash_free(desk.ledger)

    desk.look(after_s=1, balances=old)

    assert cash_free(desk.ledger) == free
    assert desk.ledger.portfolio.balance("BTC") == D(1)
    assert desk.ledger.halts == {}


def test_e13_an_asset_that_nobody_prices_is_listed_and_the_equity_is_partial(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(make.book())
    came = row(desk, "L1", "deposit", "7", asset="WIF2")
    desk.look(after_s=70, balances=of(USD="10000", BTC="0", WIF2="7"), entries=(came,))
    desk.tick()

    view = publish(desk.engine)
    assert (view.unpriced, view.equity_is_partial, view.equity_usd) == (("WIF2",), True, D(10_000))
    assert [(balance.asset, balance.total, balance.value_usd) for balance in view.balances][-1] == ("WIF2", D(7), None)
    assert [(entry.kind, entry.asset, entry.moved) for entry in view.entries] == [("deposit", "WIF2", D(7))]
    assert desk.ledger.halts == {}


def test_a09_an_order_that_is_filled_before_its_trades_are_told_has_them_asked_for(desk: Any, make: Any) -> None:
    desk.trade()
    desk.accept()
    asked = len(desk.asks)
    desk.report(VenueStatus.FILLED, str(desk.order.qty.coins))
    assert len(desk.asks) == asked + 1
    assert not desk.my_order.is_settled

    qty = str(desk.order.qty.coins)
    desk.look(after_s=1, fills=(make.execution("T1", desk.order.cl_ord_id, qty),))
    assert desk.my_order.is_settled
    assert desk.ledger.portfolio.balance("BTC") == desk.order.qty.coins


def test_a12_fills_that_no_snapshot_held_are_all_booked_from_the_look(desk: Any, make: Any) -> None:
    desk.start()
    fills = tuple(make.execution(f"T{n}", None, "0.001") for n in range(120))
    usd = D(10_000) - sum((fill.cost.amount + fill.fees[0].amount for fill in fills), D(0))
    for _ in range(2):
        desk.look(after_s=70, balances=of(USD=str(usd), BTC="0.120"), fills=fills)

    assert len(desk.ledger.exec_ids) == 120
    assert desk.engine.suspects == ()


# --- when the ledger is asked for -----------------------------------------------------------------------------------


def test_the_ledger_is_asked_for_at_start_each_minute_after_a_gap_and_while_balances_differ(desk: Any) -> None:
    desk.start()
    assert [ask.with_ledgers for ask in desk.asks] == [True]

    def asked_after(seconds: float) -> list[bool]:
        before = len(desk.asks)
        desk.tick(after_s=seconds)
        return [ask.with_ledgers for ask in desk.asks[before:]]

    desk.engine.next_ask_ns = 0  # as while an order is unresolved
    assert asked_after(10) == [False]
    desk.look(views=("balances", "executions", "open", "closed", "trades"))
    assert asked_after(60) == [True]
    desk.look()
    desk.engine.next_ask_ns = 0
    assert asked_after(1) == [False]
    desk.look(balances=of(USD="10001", BTC="0"), views=("balances", "executions", "open", "closed", "trades"))
    assert asked_after(10) == [True]
    desk.look()
    desk.take(PrivateStreamLive(2))
    assert desk.asks[-1].with_ledgers


# --- profit and loss --------------------------------------------------------------------------------------------------


def marked(desk: Any, make: Any, day_start: str, peak: str) -> Any:
    """A desk worth 10 000 dollars whose day began and whose peak was at these."""
    desk.start()
    desk.take(make.book())
    desk.tick()
    desk.engine.emit(EquityMarked(desk.ledger.mark.day, make.usd("10000"), make.usd(day_start), make.usd(peak)))
    return desk


def test_a_withdrawal_keeps_the_share_that_was_lost(desk: Any, make: Any) -> None:
    marked(desk, make, "10300", "11000")
    gone = row(desk, "L1", "withdrawal", "-7500")
    desk.look(after_s=70, balances=of(USD="2500", BTC="0"), entries=(gone,))
    desk.take(make.book())
    desk.tick()
    desk.tick()

    mark = desk.ledger.mark
    assert (mark.day_start, mark.peak) == (make.usd("2575"), make.usd("2750"))
    assert desk.ledger.halts == {}


def test_a_reward_is_income_and_moves_no_mark(desk: Any, make: Any) -> None:
    marked(desk, make, "10300", "11000")
    earned = row(desk, "L1", "earn", "20", subtype="reward")
    desk.look(after_s=70, balances=of(USD="10020", BTC="0"), entries=(earned,))

    assert (desk.ledger.mark.day_start, desk.ledger.mark.peak) == (make.usd("10300"), make.usd("11000"))


def test_what_moved_while_no_price_was_known_waits_for_one_over_a_restart(desk: Any, make: Any, new_desk: Any) -> None:
    marked(desk, make, "10000", "10000")
    ledger = Ledger()
    for numbered in desk.facts:
        ledger.fold(numbered)
    ledger.fold(
        replace(
            desk.facts[0],
            seq=ledger.next_seq,
            fact=EquityMarked(desk.ledger.mark.day, make.usd("10000"), make.usd("10300"), make.usd("11000")),
        )
    )
    later = new_desk(desk.engine.policy, ledger, desk.at_ns)
    later.begin(run=2)
    later.take(PrivateStreamLive(1))
    came = (row(later, "L1", "withdrawal", "-5000"), row(later, "L2", "deposit", "1", asset="BTC"))
    later.look(after_s=70, balances=of(USD="5000", BTC="1"), entries=came)
    later.tick()
    assert later.said(EquityMarked) == []

    later.take(make.history(make.RISING, later.at_ns))
    later.take(make.book())
    later.tick()
    later.tick()
    mark = later.ledger.mark
    assert mark.equity == make.usd("5099.95")
    assert (mark.day_start, mark.peak) == (
        make.usd("10300").scaled(D("0.509995")),
        make.usd("11000").scaled(D("0.509995")),
    )
    assert (later.ledger.halts, later.ledger.flows) == ({}, {})


def test_an_agreement_is_written_each_hour_so_that_the_next_run_reads_no_further_back(desk: Any) -> None:
    desk.start()
    written = len(desk.said(Reconciled))
    desk.look(after_s=RECONCILED_EVERY_NS // NANOS_PER_S)

    assert len(desk.said(Reconciled)) == written + 1
    assert len(desk.said(RunStarted)) == 1


@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
def test_f02_a_clock_that_is_wrong_after_a_restart_reads_no_less_of_the_history(
    desk: Any, make: Any, new_desk: Any, ahead_s: int
) -> None:
    """An order that was filled while we were down stays unresolved until a look reaches back to it, by Kraken's."""
    desk.trade()
    ledger = Ledger()
    for numbered in desk.facts:
        ledger.fold(numbered)
    sent_ns, name = desk.at_ns, desk.order.cl_ord_id
    later = new_desk(desk.engine.policy, ledger, desk.at_ns + (600 + ahead_s) * NANOS_PER_S)
    later.begin(run=2)
    later.take(PrivateStreamLive(1))
    unmeasured = later.asks[-1].since_ns
    later.take(ClockMeasured(offset_ns=-ahead_s * NANOS_PER_S, error_ns=0))
    later.engine.asked_ns = None
    later.engine.ask_account("again")

    asks = [unmeasured, later.engine.step().effects[-1].since_ns]
    assert all(since_ns <= sent_ns - 60 * NANOS_PER_S for since_ns in asks)
    assert all(since_ns >= sent_ns - 600 * NANOS_PER_S for since_ns in asks)
    too_short = {"since_ns": sent_ns + 100 * NANOS_PER_S}
    later.look(after_s=1, **too_short)
    assert name in later.ledger.unsettled
    later.look(after_s=1, since_ns=asks[-1])
    assert name not in later.ledger.unsettled
