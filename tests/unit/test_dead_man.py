"""The dead man's switch: renewed only while all is well, never armed before the account agrees, its firing booked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aether.core.dead_man import MAINTENANCE_LEAD_NS, RETRY_NS
from aether.core.view import publish
from aether.domain.effects import SetDeadMan, SubmitOrder
from aether.domain.facts import DeadManArmed, DeadManDisarmed, DeadManFired
from aether.domain.inputs import (
    ClockMeasured,
    DeadManAnswered,
    DiskGateChanged,
    FeedLost,
    LoopStalled,
    Maintenance,
    MaintenanceAnnounced,
    PrivateStreamLive,
    PrivateStreamLost,
    StopAsked,
    SystemStatusSeen,
)
from aether.domain.orders import VenueStatus

S = 1_000_000_000
FIRED = "Cancel all orders after timeout"


@pytest.fixture
def guarded(new_desk: Any, make: Any) -> Any:
    """A desk whose switch of 60 s is armed and confirmed, with a passive order on the book."""
    orders = make.order_policy(dead_man_s=60, resting_s_max=3600)
    desk = new_desk(make.policy(orders=orders, trends=(make.trend(passive=True),)))
    desk.trade()
    desk.accept()
    confirm(desk)
    return desk


def confirm(desk: Any, *, done: bool = True) -> None:
    timeout_s = desk.sent(SetDeadMan)[-1].timeout_s
    trigger_ns = desk.at_ns + timeout_s * S if done and timeout_s else None
    desk.take(DeadManAnswered(timeout_s, done=done, trigger_ns=trigger_ns, text="" if done else "no answer"))


def asked(desk: Any) -> list[int]:
    return [effect.timeout_s for effect in desk.sent(SetDeadMan)]


def healthy_tick(desk: Any, make: Any, after_s: float) -> None:
    """A tick with a clock, a book and an account as young as they are in a program that is well."""
    desk.at_ns += int(after_s * S)
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.take(make.book())
    desk.look()
    desk.tick()


def test_it_is_left_alone_unless_the_settings_want_it(desk: Any) -> None:
    desk.trade()

    assert asked(desk) == []


def test_a30_its_fact_is_written_once_and_before_the_first_request(guarded: Any, make: Any) -> None:
    for _ in range(4):
        healthy_tick(guarded, make, 20)
        confirm(guarded)

    assert asked(guarded) == [60] * 5
    assert guarded.said(DeadManArmed) == [DeadManArmed(60)]
    armed = next(step for step in guarded.facts if isinstance(step.fact, DeadManArmed))
    assert armed.input_seq <= len(guarded.inputs)


def test_it_is_renewed_at_a_third_of_its_time_and_not_sooner(guarded: Any, make: Any) -> None:
    healthy_tick(guarded, make, 19.9)
    assert len(asked(guarded)) == 1
    healthy_tick(guarded, make, 0.1)
    assert len(asked(guarded)) == 2


def test_n23_it_is_not_armed_before_the_account_agreed_in_this_run(new_desk: Any, make: Any) -> None:
    desk = new_desk(make.policy(orders=make.order_policy(dead_man_s=60)))
    desk.begin()
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.take(SystemStatusSeen("online"))
    desk.take(make.book())
    for _ in range(20):
        desk.tick(after_s=1)
    assert asked(desk) == []

    desk.take(PrivateStreamLive(1))
    desk.tick()
    assert asked(desk) == []
    desk.take(make.account(desk.at_ns, {"USD": "10000"}))
    desk.take(make.book())
    desk.tick()
    assert asked(desk) == [60]


ILLS = {
    "the private stream is lost": PrivateStreamLost("cut"),
    "the disk is full": DiskGateChanged(is_open=False, free_bytes=1),
    "the clock is off": ClockMeasured(offset_ns=6 * S, error_ns=0),
    "the venue is post-only": SystemStatusSeen("post_only"),
    "the loop stood still": LoopStalled(3 * S),
}


@pytest.mark.parametrize("ill", ILLS.values(), ids=ILLS)
def test_a30_it_is_not_renewed_while_something_is_ill(guarded: Any, ill: Any) -> None:
    guarded.at_ns += 20 * S
    guarded.take(ill)
    for _ in range(3):
        guarded.tick(after_s=1)

    assert asked(guarded) == [60]


def test_a30_it_is_not_renewed_while_an_order_rests_in_a_market_that_is_not_heard(guarded: Any, make: Any) -> None:
    guarded.take(FeedLost(make.BTC, "silence"))
    guarded.look(after_s=20)
    guarded.tick()

    assert asked(guarded) == [60]


def test_a30_it_is_not_renewed_with_an_account_that_was_last_compared_too_long_ago(guarded: Any, make: Any) -> None:
    guarded.at_ns += 181 * S
    guarded.take(ClockMeasured(offset_ns=0, error_ns=0))
    guarded.take(make.book())
    guarded.take(DeadManAnswered(60, done=True, trigger_ns=guarded.at_ns + 60 * S, text=""))
    guarded.tick()

    assert asked(guarded) == [60]


def test_a30_when_its_time_is_over_it_fired_and_holds_until_the_account_agrees(guarded: Any, make: Any) -> None:
    guarded.take(PrivateStreamLost("cut"))
    guarded.tick(after_s=60)
    assert guarded.said(DeadManFired) == []
    guarded.tick(after_s=1.5)
    assert [fact.why for fact in guarded.said(DeadManFired)] == ["it was not renewed in time"]
    assert ("dead_man", "all") in guarded.ledger.holds

    guarded.take(PrivateStreamLive(2))
    guarded.take(make.book())
    guarded.tick()
    assert asked(guarded) == [60]
    guarded.look(after_s=0.5)
    assert guarded.ledger.holds == {}
    guarded.take(make.book())
    guarded.tick()
    assert asked(guarded) == [60, 60]
    assert len(guarded.said(DeadManArmed)) == 2


def test_a30_an_order_that_ended_by_it_tells_of_its_firing(guarded: Any) -> None:
    guarded.report(VenueStatus.CANCELED, "0", reason=FIRED)

    assert [FIRED in fact.why for fact in guarded.said(DeadManFired)] == [True]
    assert ("dead_man", "all") in guarded.ledger.holds
    assert guarded.my_order.is_settled


def test_a24_an_end_for_another_reason_is_no_firing(guarded: Any) -> None:
    guarded.report(VenueStatus.CANCELED, "0", reason="User requested")

    assert guarded.said(DeadManFired) == []


def test_nothing_new_is_sent_after_it_fired_until_a_look_from_after_it(guarded: Any, make: Any) -> None:
    guarded.report(VenueStatus.CANCELED, "0", reason=FIRED)
    orders = len(guarded.sent(SubmitOrder))
    account = make.account(guarded.at_ns - S, {"USD": "10000", "BTC": "0"})
    guarded.take(account)  # asked for before it fired
    guarded.take(make.book(), after_s=6)
    assert len(guarded.sent(SubmitOrder)) == orders

    guarded.look()
    guarded.take(make.book())
    guarded.tick()
    assert len(guarded.sent(SubmitOrder)) == orders + 1


def test_a31_it_is_switched_off_before_an_announced_maintenance_and_armed_after_it(guarded: Any, make: Any) -> None:
    start_ns = guarded.at_ns + MAINTENANCE_LEAD_NS + 30 * S
    guarded.take(MaintenanceAnnounced((Maintenance(start_ns, start_ns + 600 * S),)))
    assert asked(guarded) == [60]
    healthy_tick(guarded, make, 31)
    assert asked(guarded) == [60, 0]
    confirm(guarded)
    assert [fact.why for fact in guarded.said(DeadManDisarmed)] == ["the venue announced a maintenance"]
    assert guarded.ledger.dead_man is None

    healthy_tick(guarded, make, 700)
    assert asked(guarded) == [60, 0]
    healthy_tick(guarded, make, 20)
    assert asked(guarded) == [60, 0, 60]


def test_a31_a_maintenance_announced_at_short_notice_switches_it_off_at_once(guarded: Any) -> None:
    step = guarded.take(MaintenanceAnnounced((Maintenance(guarded.at_ns + 30 * S, None),)))

    assert step.effects == (SetDeadMan(0),)


def test_a31_a_switch_that_was_not_taken_is_asked_for_again(guarded: Any, make: Any) -> None:
    guarded.take(MaintenanceAnnounced((Maintenance(guarded.at_ns, None),)))
    confirm(guarded, done=False)
    healthy_tick(guarded, make, RETRY_NS / S)

    assert asked(guarded) == [60, 0, 0]
    assert guarded.ledger.dead_man is not None


@pytest.mark.parametrize(("cancel_on_stop", "off"), [(False, [0]), (True, [])])
def test_at_a_stop_it_is_switched_off_where_orders_may_stay(
    guarded: Any, *, cancel_on_stop: bool, off: list[int]
) -> None:
    policy = guarded.engine.policy
    guarded.engine.policy = replace(policy, orders=replace(policy.orders, cancel_on_stop=cancel_on_stop))
    guarded.take(StopAsked("SIGTERM"))
    for _ in range(4):
        guarded.tick(after_s=1)

    assert asked(guarded)[1:] == off


def test_a_later_run_knows_that_it_may_be_armed(guarded: Any, new_desk: Any, make: Any) -> None:
    later = new_desk(guarded.engine.policy, guarded.ledger, at_ns=guarded.at_ns + 5 * S)
    later.begin(run=2)
    later.tick(after_s=60)
    assert later.said(DeadManFired) == []
    later.tick(after_s=1.5)

    assert len(later.said(DeadManFired)) == 1


def test_a_later_run_whose_settings_do_not_want_it_switches_it_off(guarded: Any, new_desk: Any, make: Any) -> None:
    later = new_desk(make.policy(), guarded.ledger, at_ns=guarded.at_ns + 5 * S)
    later.begin(run=2)
    later.tick()
    assert asked(later) == [0]
    confirm(later)

    assert [fact.why for fact in later.said(DeadManDisarmed)] == ["the settings do not want it"]


def test_an_answer_that_was_lost_is_no_firing_until_the_later_of_both_times_is_over(guarded: Any, make: Any) -> None:
    healthy_tick(guarded, make, 20)
    confirm(guarded, done=False)
    guarded.take(PrivateStreamLost("cut"))
    guarded.tick(after_s=59)
    assert guarded.said(DeadManFired) == []
    guarded.tick(after_s=5)

    assert len(guarded.said(DeadManFired)) == 1


def test_when_it_fires_is_shown(guarded: Any) -> None:
    assert publish(guarded.engine).dead_man_trigger_ns == guarded.at_ns + 60 * S


def test_a31_in_maintenance_it_fires_only_when_the_venue_is_back(guarded: Any, make: Any) -> None:
    guarded.take(SystemStatusSeen("maintenance"))
    for _ in range(4):
        guarded.look(after_s=30)  # what agrees meanwhile is from before it fires
        guarded.tick()
    assert guarded.said(DeadManFired) == []

    guarded.take(SystemStatusSeen("online"))
    guarded.take(make.book())
    guarded.take(ClockMeasured(offset_ns=0, error_ns=0))
    guarded.tick()
    assert len(guarded.said(DeadManFired)) == 1
    assert asked(guarded) == [60]
    guarded.report(VenueStatus.CANCELED, "0", reason=FIRED)
    healthy_tick(guarded, make, 1)
    assert len(guarded.said(DeadManFired)) == 1
    assert asked(guarded) == [60, 60]


def test_a_look_that_may_only_be_behind_keeps_nobody_from_renewing_it(guarded: Any, make: Any) -> None:
    guarded.look(after_s=19, balances=make.account(0, {"USD": "9000", "BTC": "0"}).balances)
    guarded.take(make.book(), after_s=1)
    guarded.take(ClockMeasured(offset_ns=0, error_ns=0))
    guarded.tick()

    assert asked(guarded) == [60, 60]
