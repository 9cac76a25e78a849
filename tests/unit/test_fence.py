"""H03, S32: whatever shows a second daemon on the account is found in every view, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from aether.core import fence
from aether.core import order_ids as ids_module
from aether.domain.facts import OrderAccepted, RunStarted, TradingHalted, TradingResumed
from aether.domain.orders import VenueStatus
from aether.domain.values import NANOS_PER_S as S

A = "aeabcd00010000002"
OF_A_COPY = "aeabcd00020000009"  # of a run that a copy of our journal claimed
OF_ANOTHER = "aezzzz00020000009"  # of a journal that is not ours


@pytest.fixture
def ledger(make: Any, book: Any) -> Any:
    """Run 1 began at T0 and has sent A."""
    started = RunStarted(1, "abcd", "sandbox-1", "sandbox", False, "0.1.0", "digest", 7)  # noqa: FBT003
    return book.fold(started, make.submitted(A), OrderAccepted(A, f"O-{A}"))


def why(ledger: Any, make: Any, name: str | None, after_s: float = 1, **changes: Any) -> str | None:
    report = make.report(name, VenueStatus.NEW, venue_ns=make.T0 + int(after_s * S), **changes)
    return fence.stranger_of_report(ledger, report, 0)


@pytest.mark.parametrize("view", ["open_orders", "closed_orders", "fills"])
@pytest.mark.parametrize(("name", "is_stranger"), [(OF_A_COPY, True), (OF_ANOTHER, True), (None, False), (A, False)])
def test_h03_a_strangers_order_is_seen_in_every_view(
    ledger: Any, make: Any, view: str, name: str | None, *, is_stranger: bool
) -> None:
    told = {
        "open_orders": make.report(name, VenueStatus.NEW, venue_ns=make.T0 + S),
        "closed_orders": make.report(name, VenueStatus.FILLED, "10", venue_ns=make.T0 + S),
        "fills": make.execution("T1", name, "1"),
    }
    account = make.account(make.T0 + S, {}, **{view: (told[view],)})
    assert (fence.stranger_in(ledger, account, 0) is not None) is is_stranger


def test_h03_an_order_of_a_copy_is_seen_among_the_living_too(ledger: Any, make: Any) -> None:
    def seen(name: str) -> str | None:
        return fence.stranger_in(ledger, make.account(make.T0 + S, {}, live_cl_ord_ids=(name,)), 0)

    assert "not in it" in str(seen(OF_A_COPY))
    assert seen(A) is None
    assert seen("a person's") is None


def test_h03_one_id_on_two_orders_of_the_venue_is_a_twins(ledger: Any, make: Any) -> None:
    assert why(ledger, make, A) is None
    told = why(ledger, make, A, order_id="O-TWIN")
    assert told is not None
    assert "O-TWIN" in told
    assert ledger.order(A, "O-TWIN") is None, "what is told of the twin is not told of ours"


def test_another_journals_order_from_before_this_run_is_what_that_journal_left(ledger: Any, make: Any) -> None:
    assert why(ledger, make, OF_ANOTHER, after_s=-1) is None
    assert why(ledger, make, OF_ANOTHER, after_s=1) is not None


def test_another_journals_order_that_was_known_before_may_still_end(make: Any, desk: Any) -> None:
    desk.start()
    old = make.report(OF_ANOTHER, VenueStatus.NEW, venue_ns=make.T0 - S)
    desk.look(open_orders=(old,))
    assert why(desk.ledger, make, OF_ANOTHER, after_s=60) is None
    assert desk.ledger.halts == {}


def test_an_order_of_a_copy_counts_however_old_it_is(ledger: Any, make: Any) -> None:
    assert why(ledger, make, OF_A_COPY, after_s=-1000) is not None, "the journal is older than the account"


@pytest.mark.parametrize("name", [OF_A_COPY, OF_ANOTHER])
def test_what_was_there_when_people_resumed_is_known_to_them(make: Any, book: Any, ledger: Any, name: str) -> None:
    halted = TradingHalted("all", "halt_foreign_order", "a copy", make.OPERATOR)
    book.fold(halted, TradingResumed("all", "it is stopped", make.OPERATOR), at_ns=make.T0 + 10 * S)
    assert why(ledger, make, name, after_s=9) is None
    assert why(ledger, make, name, after_s=11) is not None


def test_the_venues_time_is_compared_with_ours(make: Any, ledger: Any) -> None:
    report = make.report(OF_ANOTHER, VenueStatus.NEW, venue_ns=make.T0 + S)
    assert fence.stranger_of_report(ledger, report, 0) is not None
    assert fence.stranger_of_report(ledger, report, 2 * S) is None, "by our clock it was placed before the run"


def test_an_order_that_was_let_go_is_still_ours(make: Any, book: Any, ledger: Any) -> None:
    book.fold(make.submitted("aeabcd00010000099"), at_ns=make.T0 + ids_module.IDS_KEPT_NS + 10)
    assert A not in ledger.own_ids.kept
    assert why(ledger, make, A) is None


@pytest.mark.parametrize("name", [OF_A_COPY, OF_ANOTHER])
def test_s32_n33_after_a_stranger_was_seen_nothing_more_is_asked_for(desk: Any, make: Any, name: str) -> None:
    desk.trade()
    desk.look(closed_orders=(make.report(name, VenueStatus.FILLED, "1", venue_ns=desk.at_ns + S),))
    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_foreign_order"]
    assert desk.ledger.halted_scopes == ("all",)
    sent = len(desk.effects)
    for _ in range(10):
        desk.take(make.book(bid="90", ask="90.1"), after_s=5)
        desk.tick()
    assert [effect for effect in desk.effects[sent:] if type(effect).__name__.startswith("Submit")] == []
