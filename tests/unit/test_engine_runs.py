from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.ledger import Ledger
from aether.core.orders import OrderState
from aether.domain.effects import SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    CancelRequested,
    HoldBegan,
    RunEnded,
    StopBegan,
)
from aether.domain.inputs import (
    ClockMeasured,
    Halt,
    PrivateStreamLive,
    PrivateStreamLost,
    RunEnding,
    StopAsked,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
    Tick,
)
from aether.domain.orders import VenueStatus

D = Decimal
S = 1_000_000_000
NEVER_SENT = "aeabcd00010009999"


def kinds(step: Any) -> list[type]:
    return [type(numbered.fact) for numbered in step.facts]


def resting(new_desk: Any, make: Any, **orders: Any) -> Any:
    """A desk with a passive order on the book."""
    desk = new_desk(make.policy(trends=(make.trend(passive=True),), orders=make.order_policy(**orders)))
    desk.trade()
    desk.accept()
    return desk


# --- restart and stop ---------------------------------------------------------------------------------------------


def refolded(desk: Any, new_desk: Any, make: Any) -> Any:
    """A new desk on the ledger that another one's facts fold to."""
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
    again.take(ClockMeasured(offset_ns=0, error_ns=0))
    again.take(SystemStatusSeen("online"))
    again.take(make.history(make.RISING, again.at_ns))
    again.take(PrivateStreamLive(1))
    again.look()
    again.take(make.book())
    again.tick()

    assert again.order.cl_ord_id != desk.order.cl_ord_id
    assert (again.order.cl_ord_id[6:10], len(again.order.cl_ord_id)) == ("0002", 18)


def test_a_halt_outlasts_a_restart(desk: Any, new_desk: Any, make: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))
    again = refolded(desk, new_desk, make)
    again.begin(run=2)

    assert again.ledger.halts["all", "halt_operator"].reason == "look"


def test_h05_a_crash_loop_halts(desk: Any) -> None:
    desk.begin(crash_loop=True)

    assert list(desk.ledger.halts) == [("all", "halt_crash_loop")]


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
