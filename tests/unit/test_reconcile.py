from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core import reconcile
from aether.core.reconcile import ABSENCE_VIEWS, Mismatch
from aether.domain.facts import (
    AccountOpened,
    AnswerLost,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    OrderAbsent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderSurprised,
    RunStarted,
)
from aether.domain.inputs import AccountSeen
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance, VenueStatus
from aether.domain.values import Price, Qty, UtcNanos

D = Decimal
S = 1_000_000_000
A, B = "aeabcd00010000001", "aeabcd00010000002"
STARTED = RunStarted(1, "abcd", "sandbox-1", "sandbox", False, "0.1.0", "d", 1)  # noqa: FBT003


@pytest.fixture
def opened(make: Any, book: Any) -> Any:
    """A ledger whose sums began at T0."""
    book.fold(STARTED, AccountOpened(UtcNanos(make.T0), (AssetBalance("USD", D(10_000), D(0)),)))
    return book


@pytest.fixture
def lost(make: Any, opened: Any) -> Any:
    """The same with an order whose answer was lost, sent at T0 with a deadline 5 s later."""
    opened.fold(make.submitted(A), AnswerLost(A, "timeout"))
    return opened


def facts_of(make: Any, book: Any, account: AccountSeen, *, offset_ns: int = 0, error_ns: int = 0) -> list[Fact]:
    facts = []
    for fact in reconcile.account_facts(book.ledger, account, make.order_policy(), offset_ns, error_ns):
        book.fold(fact)
        facts.append(fact)
    return facts


# --- fills --------------------------------------------------------------------------------------------------------


def test_a_fill_names_our_order_and_its_strategy_by_either_id(make: Any, lost: Any) -> None:
    by_name = reconcile.fill_fact(lost.ledger, make.execution("T1", A, "1"), "trades")
    lost.fold(OrderOpened(A, "O-1", "open"))
    by_order = reconcile.fill_fact(lost.ledger, make.execution("T1", None, "1", order_id="O-1"), "trades")

    assert by_name is not None
    assert by_order is not None
    assert (by_name.cl_ord_id, by_name.strategy) == (by_order.cl_ord_id, by_order.strategy) == (A, "trend")


def test_a_fill_that_is_booked_is_not_booked_again(make: Any, lost: Any) -> None:
    lost.fold(make.filled("T1", A, "1"))

    assert reconcile.fill_fact(lost.ledger, make.execution("T1", A, "1"), "snapshot") is None


@pytest.mark.parametrize(("venue_s", "is_booked"), [(0, False), (1, True)])
def test_a_fill_of_others_is_booked_if_it_came_after_the_sums_began(
    make: Any, opened: Any, venue_s: int, *, is_booked: bool
) -> None:
    execution = make.execution("T1", None, "1", venue_ns=make.T0 + venue_s)

    assert (reconcile.fill_fact(opened.ledger, execution, "executions") is not None) is is_booked


def test_a_fill_of_others_is_not_booked_before_the_sums_began(make: Any, book: Any) -> None:
    assert reconcile.fill_fact(book.ledger, make.execution("T1", None, "1"), "snapshot") is None


@pytest.mark.parametrize(
    ("side", "price", "changes", "is_broken"),
    [
        (Side.BUY, "100", {}, False),
        (Side.BUY, "99", {}, False),
        (Side.BUY, "100.1", {}, True),
        (Side.SELL, "100", {}, False),
        (Side.SELL, "99.9", {}, True),
        (Side.BUY, "100", {"side": Side.SELL}, True),
        (Side.BUY, "100", {"symbol": None, "name": "ETH/EUR"}, True),
    ],
)
def test_a_fill_worse_than_asked_breaks_the_contract(
    make: Any, side: Side, price: str, changes: dict[str, Any], *, is_broken: bool
) -> None:
    fill = replace(make.filled("T1", A, "1", price, side=side), **changes)
    order = make.order(side=side).after(fill, make.T0)

    assert (reconcile.breaks_contract(order, fill) is not None) is is_broken


@pytest.mark.parametrize(("coins", "is_broken"), [("10", False), ("10.0001", True)])
def test_more_coins_than_asked_break_the_contract(make: Any, coins: str, *, is_broken: bool) -> None:
    fill = make.filled("T1", A, coins)

    assert (reconcile.breaks_contract(make.order().after(fill, make.T0), fill) is not None) is is_broken


# --- reports ------------------------------------------------------------------------------------------------------


def test_a_report_of_a_living_order_opens_it_once(make: Any, lost: Any) -> None:
    report = make.report(A, VenueStatus.NEW)
    fact = reconcile.order_fact(lost.ledger, report, "open")
    assert fact == OrderOpened(A, f"O-{A}", "open")

    lost.fold(fact)
    assert reconcile.order_fact(lost.ledger, report, "open") is None


def test_a19_an_end_is_told_once_and_absorbs_every_later_status(make: Any, lost: Any) -> None:
    report = make.report(A, VenueStatus.CANCELED, "0")
    fact = reconcile.order_fact(lost.ledger, report, "closed")
    assert fact == OrderEnded(A, f"O-{A}", VenueStatus.CANCELED, "", Qty(D(0)), "closed")

    lost.fold(fact)
    for status in (VenueStatus.CANCELED, VenueStatus.NEW, VenueStatus.FILLED, VenueStatus.PARTIALLY_FILLED):
        assert reconcile.order_fact(lost.ledger, make.report(A, status, "0"), "open") is None


def test_an_end_is_an_end_also_with_less_filled_than_is_booked(make: Any, lost: Any) -> None:
    lost.fold(make.filled("T1", A, "2"))

    assert isinstance(reconcile.order_fact(lost.ledger, make.report(A, VenueStatus.CANCELED, "1"), "x"), OrderEnded)
    assert isinstance(reconcile.order_fact(lost.ledger, make.report(A, VenueStatus.CANCELED, "2"), "x"), OrderEnded)


def test_a_status_nobody_knows_is_a_surprise(make: Any, lost: Any) -> None:
    fact = reconcile.order_fact(lost.ledger, make.report(A, VenueStatus.UNKNOWN, reason="haunted"), "executions")

    assert fact == OrderSurprised(A, "unknown status (haunted)")


def test_a_report_of_an_order_of_others_says_nothing_of_ours(make: Any, lost: Any) -> None:
    assert reconcile.order_fact(lost.ledger, make.report(None, VenueStatus.NEW), "open") is None


# --- the unresolved -----------------------------------------------------------------------------------------------


def test_an_unresolved_order_is_found_open(make: Any, lost: Any) -> None:
    account = make.account(make.T0 + S, {}, open_orders=(make.report(A, VenueStatus.NEW, "0"),))

    assert facts_of(make, lost, account) == [OrderOpened(A, f"O-{A}", "open")]
    assert facts_of(make, lost, account) == []


def test_an_unresolved_order_is_found_filled_and_settled(make: Any, lost: Any) -> None:
    account = make.account(
        make.T0 + S,
        {},
        fills=(make.execution("T1", A, "10"),),
        closed_orders=(make.report(A, VenueStatus.FILLED, "10"),),
    )

    assert [type(fact) for fact in facts_of(make, lost, account)] == [OrderFilled, OrderEnded]
    assert lost.ledger.unsettled == {}


def test_an_order_in_both_views_of_one_look_has_ended(make: Any, lost: Any) -> None:
    account = make.account(
        make.T0 + S,
        {},
        open_orders=(make.report(A, VenueStatus.NEW, "0"),),
        closed_orders=(make.report(A, VenueStatus.CANCELED, "0"),),
    )

    assert [type(fact) for fact in facts_of(make, lost, account)] == [OrderEnded]


DECIDABLE_S = 5 + 60 + 1  # deadline, view lag, clock error


@pytest.mark.parametrize(("asked_ns", "is_absent"), [(DECIDABLE_S * S, False), (DECIDABLE_S * S + 1, True)])
def test_absence_counts_only_after_deadline_lag_and_clock_error(
    make: Any, lost: Any, asked_ns: int, *, is_absent: bool
) -> None:
    facts = facts_of(make, lost, make.account(make.T0 + asked_ns, {}))

    assert facts == ([OrderAbsent(A, ABSENCE_VIEWS, UtcNanos(make.T0 + asked_ns))] if is_absent else [])
    assert (A in lost.ledger.unsettled) is not is_absent


@pytest.mark.parametrize(("error_s", "is_absent"), [(0, True), (1, True), (9, True), (10, False)])
def test_a_measured_clock_error_beyond_the_setting_makes_absence_wait_longer(
    make: Any, lost: Any, error_s: int, *, is_absent: bool
) -> None:
    account = make.account(make.T0 + 75 * S, {})

    assert bool(facts_of(make, lost, account, error_ns=error_s * S)) is is_absent


@pytest.mark.parametrize(("offset_s", "is_absent"), [(-1, False), (0, False), (1, True)])
def test_absence_is_timed_by_the_venues_clock(make: Any, lost: Any, offset_s: int, *, is_absent: bool) -> None:
    account = make.account(make.T0 + DECIDABLE_S * S, {})

    assert bool(facts_of(make, lost, account, offset_ns=offset_s * S)) is is_absent


@pytest.mark.parametrize("missing", ABSENCE_VIEWS)
def test_absence_needs_all_four_views(make: Any, lost: Any, missing: str) -> None:
    views = tuple(view for view in make.ALL_VIEWS if view != missing)

    assert facts_of(make, lost, make.account(make.T0 + 100 * S, {}, views=views)) == []


@pytest.mark.parametrize(("since_ns", "is_absent"), [(0, True), (1, False)])
def test_absence_needs_views_that_reach_back_to_the_sending(
    make: Any, lost: Any, since_ns: int, *, is_absent: bool
) -> None:
    account = make.account(make.T0 + 100 * S, {}, since_ns=make.T0 + since_ns)

    assert bool(facts_of(make, lost, account)) is is_absent


def test_an_order_that_any_view_shows_is_not_absent(make: Any, lost: Any) -> None:
    unknown = make.report(A, VenueStatus.UNKNOWN)
    for shown in ({"live_cl_ord_ids": (A,)}, {"open_orders": (unknown,)}, {"closed_orders": (unknown,)}):
        facts = facts_of(make, lost, make.account(make.T0 + 100 * S, {}, **shown))
        assert OrderAbsent not in [type(fact) for fact in facts]


def test_a20_an_order_that_is_known_open_is_never_absent(make: Any, opened: Any) -> None:
    opened.fold(make.submitted(A), OrderAccepted(A, "O-1"), make.submitted(B))

    assert facts_of(make, opened, make.account(make.T0 + 1000 * S, {})) == []


# --- others on the account ----------------------------------------------------------------------------------------


def test_orders_of_others_are_told_when_they_come_and_go(make: Any, opened: Any) -> None:
    human = make.report(None, VenueStatus.NEW)
    seen = make.account(make.T0 + S, {}, open_orders=(human,))

    assert facts_of(make, opened, seen) == [
        ExternalOrderSeen("O-HUMAN", None, "BTC/USD", make.BTC, Side.BUY, Qty(D(10)), Price(D(100)))
    ]
    assert facts_of(make, opened, seen) == []
    assert facts_of(make, opened, make.account(make.T0 + S, {}, views=("balances",))) == []
    assert facts_of(make, opened, make.account(make.T0 + S, {})) == [ExternalOrderGone("O-HUMAN")]


def test_an_end_without_a_total_is_completed_once_by_the_view_that_tells_it(make: Any, lost: Any) -> None:
    def fact(status: VenueStatus, cum_qty: str | None) -> Fact | None:
        told = reconcile.order_fact(lost.ledger, make.report(A, status, cum_qty), "closed")
        if told is not None:
            lost.fold(told)
        return told

    assert isinstance(fact(VenueStatus.CANCELED, None), OrderEnded)
    assert fact(VenueStatus.CANCELED, None) is None
    assert lost.ledger.orders[A].outstanding == Qty(D(10))

    assert isinstance(fact(VenueStatus.CANCELED, "0"), OrderEnded)
    assert lost.ledger.orders[A].is_settled
    assert fact(VenueStatus.CANCELED, "0") is None
    assert fact(VenueStatus.FILLED, None) is None


# --- balances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        ({"USD": "10000"}, []),
        ({"USD": "10000.00", "EUR": "0.0000"}, []),
        ({"USD": "10000.0001"}, [Mismatch("USD", D(10_000), D("10000.0001"))]),
        ({"USD": "10000", "EUR": "5"}, [Mismatch("EUR", D(0), D(5))]),
        ({}, [Mismatch("USD", D(10_000), D(0))]),
    ],
)
def test_a21_each_asset_that_differs_is_named_to_the_last_digit(
    make: Any, opened: Any, balances: dict[str, str], expected: list[Mismatch]
) -> None:
    assert list(reconcile.mismatches(opened.ledger, make.account(make.T0, balances))) == expected


def test_the_sums_begin_when_the_venue_was_asked_in_its_own_time(make: Any) -> None:
    account = make.account(make.T0, {"USD": "1"})

    assert reconcile.opening(account, 5 * S) == AccountOpened(UtcNanos(make.T0 + 5 * S), account.balances)
