from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.upkeep import utc_day
from aether.domain.effects import SubmitOrder
from aether.domain.facts import CancelRequested, EquityMarked, OrderAbsent, OrderSubmitted
from aether.domain.inputs import (
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    Halt,
    InstrumentSeen,
    PrivateStreamLive,
    PrivateStreamLost,
    Resume,
    StopAsked,
    SubmitUnknown,
    SystemStatusSeen,
    TradeSeen,
)
from aether.domain.instruments import PairStatus, Side
from aether.domain.orders import VenueStatus
from aether.domain.values import Usd

D = Decimal
S = 1_000_000_000
HALF_DAY_S = 43_200  # T0 is noon


def holding(new_desk: Any, make: Any, **limits: Any) -> Any:
    """A desk with 10 000 USD and 100 coins at 100: equity 20 000, and no strategy that wants to trade."""
    policy = make.policy(risk=make.limits(**limits))
    desk = new_desk(policy).start(make.FALLING, coins="100")
    priced(desk, make, "100.0")
    return desk


def priced(desk: Any, make: Any, mid: str) -> None:
    """A book that stands for two ticks; a price that is further away than a sound book may be is traded first."""
    desk.take(TradeSeen(make.BTC, Side.BUY, make.price(mid), make.qty("1"), desk.at_ns))
    desk.take(make.book(str(D(mid) - D("0.1")), str(D(mid) + D("0.1"))))
    desk.tick()
    desk.tick()


def resting(new_desk: Any, make: Any, **orders: Any) -> Any:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),), orders=make.order_policy(**orders)))
    desk.trade()
    desk.accept()
    return desk


@pytest.mark.parametrize(
    ("after_s", "day"), [(0, "2026-01-01"), (HALF_DAY_S - 1, "2026-01-01"), (HALF_DAY_S, "2026-01-02")]
)
def test_f05_days_are_of_utc(make: Any, after_s: int, day: str) -> None:
    assert utc_day(make.T0 + after_s * S) == day


# --- equity and loss limits ---------------------------------------------------------------------------------------


def test_equity_is_marked_by_the_first_tick_that_knows_balances_and_prices(desk: Any, make: Any) -> None:
    desk.begin()
    desk.tick()
    desk.take(PrivateStreamLive(1))
    desk.take(make.account(desk.at_ns, {"USD": "10000", "BTC": "100"}))
    desk.tick()
    assert desk.said(EquityMarked) == []

    priced(desk, make, "100.0")
    mark = Usd(D(20_000))
    assert desk.said(EquityMarked) == [EquityMarked("2026-01-01", mark, mark, mark)]


def test_a_new_utc_day_starts_from_its_own_equity_and_keeps_the_peak(new_desk: Any, make: Any) -> None:
    desk = holding(new_desk, make)
    priced(desk, make, "99.0")
    desk.tick(after_s=HALF_DAY_S - 1)
    assert len(desk.said(EquityMarked)) == 1

    desk.tick(after_s=1)
    desk.tick(after_s=1)
    day_start, peak = Usd(D(19_900)), Usd(D(20_000))
    assert desk.said(EquityMarked)[1:] == [EquityMarked("2026-01-02", day_start, day_start, peak)]


@pytest.mark.parametrize(("mid", "is_marked"), [("100.1", False), ("100.2", True)])
def test_a_new_peak_is_written_when_it_is_ten_basis_points_higher(
    new_desk: Any, make: Any, mid: str, *, is_marked: bool
) -> None:
    desk = holding(new_desk, make)
    priced(desk, make, mid)

    assert (len(desk.said(EquityMarked)) == 2) is is_marked
    assert desk.ledger.mark.day_start == Usd(D(20_000))
    assert (desk.ledger.mark.peak > Usd(D(20_000))) is is_marked


@pytest.mark.parametrize(("mid", "codes"), [("90.1", []), ("90.0", ["halt_daily_loss"])])
def test_k07_the_daily_loss_limit_halts_exactly_where_it_is_reached(
    new_desk: Any, make: Any, mid: str, codes: list[str]
) -> None:
    desk = holding(new_desk, make, daily_loss_bps_max=500)
    priced(desk, make, mid)
    desk.tick()

    assert [halt.code for halt in desk.ledger.halts.values()] == codes


@pytest.mark.parametrize(("mid", "codes"), [("80.1", []), ("80.0", ["halt_drawdown"])])
def test_the_drawdown_limit_counts_from_the_peak_over_all_days(
    new_desk: Any, make: Any, mid: str, codes: list[str]
) -> None:
    desk = holding(new_desk, make, daily_loss_bps_max=900, drawdown_bps_max=1000)
    for day_mid in ("95.0", "90.0", "85.0", mid):
        desk.tick(after_s=86_400)
        priced(desk, make, day_mid)
        desk.tick(after_s=1)

    assert [halt.code for halt in desk.ledger.halts.values()] == codes


@pytest.mark.parametrize(
    ("mid", "limit"), [("80.0", {"drawdown_bps_max": 1000}), ("80.0", {"daily_loss_bps_max": 900})]
)
def test_people_who_resume_after_a_loss_limit_have_it_counted_anew(
    new_desk: Any, make: Any, mid: str, limit: dict[str, int]
) -> None:
    desk = holding(new_desk, make, **({"daily_loss_bps_max": 9_000, "drawdown_bps_max": 9_000} | limit))
    priced(desk, make, mid)
    assert desk.ledger.halts

    desk.command(Resume("all", "seen"))
    priced(desk, make, mid)
    assert desk.ledger.halts == {}
    assert (desk.ledger.mark.day_start, desk.ledger.mark.peak) == (Usd(D(18_000)), Usd(D(18_000)))

    priced(desk, make, "50.0")
    assert desk.ledger.halts


@pytest.mark.parametrize(
    ("bid", "ask"), [("1", "100"), ("100", "99.9"), ("49.9", "50.1"), ("99.9", "200"), ("199.9", "200.1")]
)
def test_one_mad_book_moves_neither_equity_nor_peak_nor_halts(new_desk: Any, make: Any, bid: str, ask: str) -> None:
    desk = holding(new_desk, make)
    desk.take(make.book(bid, ask))
    for _ in range(5):
        desk.tick()

    assert desk.ledger.halts == {}
    assert [fact.equity for fact in desk.said(EquityMarked)] == [Usd(D(20_000))]


def test_a_book_of_one_side_leaves_the_limits_in_force(new_desk: Any, make: Any) -> None:
    desk = holding(new_desk, make, daily_loss_bps_max=100)
    desk.take(make.book("96.9", "97.1"))
    desk.take(replace(make.book(), asks=()))
    desk.tick()
    desk.tick()

    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_daily_loss"]


def test_a_loss_of_one_tick_alone_does_not_halt(new_desk: Any, make: Any) -> None:
    desk = holding(new_desk, make, daily_loss_bps_max=100)
    for mid in ("97.0", "100.0", "97.0", "100.0"):
        desk.take(make.book(str(D(mid) - D("0.1")), str(D(mid) + D("0.1"))))
        desk.tick()

    assert desk.ledger.halts == {}


def test_the_peak_is_the_lower_of_two_ticks_in_a_row(new_desk: Any, make: Any) -> None:
    desk = holding(new_desk, make)
    for mid in ("103.0", "102.0", "100.0", "104.0", "100.0"):
        desk.take(make.book(str(D(mid) - D("0.1")), str(D(mid) + D("0.1"))))
        desk.tick()

    assert [fact.peak for fact in desk.said(EquityMarked)] == [Usd(D(20_000)), Usd(D(20_200))]


def test_resuming_after_another_halt_moves_no_mark(new_desk: Any, make: Any) -> None:
    desk = holding(new_desk, make, daily_loss_bps_max=9_000, drawdown_bps_max=9_000)
    desk.command(Halt("all", "look"))
    priced(desk, make, "90.0")
    desk.command(Resume("all", "seen"))

    assert desk.ledger.mark.peak == Usd(D(20_000))


def test_an_empty_account_has_lost_nothing(desk: Any, make: Any) -> None:
    desk.start(usd="0")
    desk.take(make.book())
    desk.tick()

    assert desk.said(EquityMarked)[0].equity == Usd(D(0))
    assert desk.ledger.halts == {}


def test_a_loss_halt_cancels_what_rests(new_desk: Any, make: Any) -> None:
    risk = make.limits(exposure_symbol_bps_max=10_000, exposure_total_bps_max=10_000)
    desk = new_desk(make.policy(trends=(make.trend(passive=True),), risk=risk))
    desk.start(coins="100")
    priced(desk, make, "100.0")
    desk.accept()
    assert len(desk.sent(SubmitOrder)) == 1

    priced(desk, make, "80.0")
    assert [halt.code for halt in desk.ledger.halts.values()] == ["halt_daily_loss"]
    assert len(desk.cancels) == 1


# --- the venue's clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_s", "is_held"), [(120, False), (120.001, True)])
def test_a_clock_that_was_not_measured_for_two_minutes_holds_orders_back(
    desk: Any, after_s: float, *, is_held: bool
) -> None:
    desk.start()
    desk.tick(after_s)
    desk.tick()
    assert (("clock", "all") in desk.ledger.holds) is is_held

    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    assert ("clock", "all") not in desk.ledger.holds


# --- orders that wait ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_s", "cancels"), [(29.999, 0), (30, 1)])
def test_an_order_rests_so_long_and_no_longer(new_desk: Any, make: Any, after_s: float, cancels: int) -> None:
    desk = resting(new_desk, make)
    desk.tick(after_s)

    assert len(desk.cancels) == cancels


def test_a_cancel_is_repeated_until_the_venue_shows_the_end(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    desk.tick(after_s=4.999)
    assert len(desk.cancels) == 1

    desk.tick(after_s=0.001)
    desk.take(CancelAnswered(desk.order.cl_ord_id, done=True, text=""))
    assert len(desk.cancels) == 2
    assert desk.asks[-1].why == f"the cancel of {desk.order.cl_ord_id} was not shown done"
    desk.tick(after_s=9.999)
    assert len(desk.cancels) == 2
    desk.tick(after_s=0.001)
    assert len(desk.cancels) == 3

    desk.report(VenueStatus.CANCELED, "0")
    desk.tick(after_s=60)
    assert len(desk.cancels) == 3
    assert desk.my_order.cancels == len(desk.said(CancelRequested)) == 3


def test_cancels_are_repeated_ever_more_seldom_and_at_least_each_minute(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    began_ns = desk.at_ns
    cancelled_s: list[int] = []
    for _ in range(600):
        if desk.tick(after_s=1) and len(desk.cancels) > 1 + len(cancelled_s):
            cancelled_s.append((desk.at_ns - began_ns) // S)

    assert cancelled_s == [5, 15, 35, *range(75, 601, 60)]


def test_a_cancel_is_waited_for_as_long_as_set_where_that_is_more_than_a_minute(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make, cancel_retry_s=90)
    desk.command(CancelEverything("out"))
    for _ in range(3):
        desk.tick(after_s=89)
        desk.tick(after_s=1)

    assert len(desk.cancels) == 4


def test_what_is_filled_whole_is_not_cancelled_while_its_end_is_awaited(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.fill("T1", str(desk.order.qty), "99.9")
    desk.tick(after_s=100)

    assert desk.cancels == []


@pytest.mark.parametrize("way", ["system", "pair"])
def test_no_cancel_is_sent_in_maintenance_and_it_is_sent_when_that_is_over(new_desk: Any, make: Any, way: str) -> None:
    desk = resting(new_desk, make)
    begins, ends = {
        "system": (SystemStatusSeen("maintenance"), SystemStatusSeen("online")),
        "pair": (
            InstrumentSeen(make.instrument(status=PairStatus.MAINTENANCE)),
            InstrumentSeen(make.instrument()),
        ),
    }[way]
    desk.take(begins)
    desk.tick(after_s=40)
    assert desk.cancels == []

    desk.take(ends)
    desk.tick(after_s=1)
    assert len(desk.cancels) == 1


def test_an_order_that_should_have_ended_at_once_is_looked_for_every_ten_seconds(desk: Any) -> None:
    desk.trade()
    desk.accept()
    desk.look()
    asked = len(desk.asks)
    desk.tick(after_s=9)
    assert len(desk.asks) == asked
    desk.tick(after_s=1)

    assert len(desk.asks) == asked + 1
    assert desk.cancels == []


def test_asking_after_an_order_asks_once_until_there_is_an_answer(desk: Any) -> None:
    desk.trade()
    desk.accept()
    asked = len(desk.asks)
    for _ in range(5):
        desk.tick(after_s=6)
    assert len(desk.asks) <= asked + 1

    desk.look()
    before = len(desk.asks)
    desk.tick()
    assert len(desk.asks) == before


@pytest.mark.parametrize("scope", ["all", "strategy:trend"])
def test_an_order_found_alive_under_a_halt_is_cancelled_at_once_and_once(new_desk: Any, make: Any, scope: str) -> None:
    desk = new_desk(make.policy(trends=(make.trend(passive=True),)))
    desk.trade()
    desk.command(Halt(scope, "look"))
    assert desk.cancels == []

    desk.report(VenueStatus.NEW)  # the stream tells before the answer comes
    assert len(desk.cancels) == 1

    desk.tick()
    desk.tick()
    assert len(desk.cancels) == 1


@pytest.mark.parametrize(("cancel_on_stop", "cancels"), [(True, 1), (False, 0)])
def test_an_order_found_alive_while_stopping_is_cancelled_or_left_as_set(
    new_desk: Any, make: Any, cancels: int, *, cancel_on_stop: bool
) -> None:
    policy = make.policy(trends=(make.trend(passive=True),), orders=make.order_policy(cancel_on_stop=cancel_on_stop))
    desk = new_desk(policy)
    desk.trade()
    desk.take(StopAsked("SIGTERM"))
    desk.report(VenueStatus.NEW)
    desk.tick()

    assert len(desk.cancels) == cancels


# --- looks at the account -----------------------------------------------------------------------------------------


def test_k10_the_account_is_looked_at_each_minute(desk: Any) -> None:
    desk.start()
    desk.tick(after_s=59)
    assert len(desk.asks) == 1

    desk.tick(after_s=1)
    desk.tick(after_s=1)
    assert len(desk.asks) == 2
    assert desk.asks[-1].why == "it is time"


def test_the_account_is_read_back_to_before_the_last_sure_moment(desk: Any) -> None:
    desk.start()
    agreed_ns = desk.at_ns
    desk.tick(after_s=60)

    assert desk.asks[-1].since_ns == agreed_ns - 120 * S


def test_without_the_private_stream_the_account_is_still_looked_at_and_its_end_of_an_order_counts(
    new_desk: Any, make: Any
) -> None:
    desk = resting(new_desk, make)
    order = desk.order
    desk.look()
    desk.take(PrivateStreamLost("gap"))
    desk.tick(after_s=59)
    asked = len(desk.asks)
    desk.tick(after_s=1)
    assert len(desk.asks) == asked + 1

    ended = make.report(order.cl_ord_id, VenueStatus.CANCELED, "0", qty=order.qty)
    desk.look(closed_orders=(ended,), views=("balances", "open", "closed", "trades"))
    assert desk.my_order.is_settled
    assert ("private_stream", "all") in desk.ledger.holds


@pytest.mark.parametrize(("after_s", "asks"), [(120, 2), (121, 3)])
def test_an_ask_without_any_answer_is_given_up(desk: Any, after_s: int, asks: int) -> None:
    desk.start()
    desk.tick(after_s=60)
    desk.tick(after_s=after_s)

    assert len(desk.asks) == asks


def test_an_unresolved_order_is_looked_for_until_its_absence_is_proven(desk: Any) -> None:
    desk.trade()
    desk.look()
    desk.take(SubmitUnknown(desk.order.cl_ord_id, "timeout"))
    looked_s = []
    for second in range(1, 120):
        asked = len(desk.asks)
        desk.tick(after_s=1)
        if len(desk.asks) > asked:
            desk.look()
            looked_s.append(second)

    assert looked_s[:3] == [1, 61, 71]  # at once, then when the minute is over, then when absence can be proven
    assert [fact.asked_ns for fact in desk.said(OrderAbsent)] == [desk.at_ns - (119 - 71) * S]
    assert len(desk.said(OrderSubmitted)) == 1


def test_an_order_that_waits_for_its_trades_is_looked_for_every_ten_seconds(desk: Any) -> None:
    desk.trade()
    desk.report(VenueStatus.FILLED, str(desk.order.qty))
    desk.look()
    asked = len(desk.asks)
    desk.tick(after_s=9)
    assert len(desk.asks) == asked
    desk.tick(after_s=1)

    assert len(desk.asks) == asked + 1


def test_a_cancel_is_not_repeated_in_maintenance(new_desk: Any, make: Any) -> None:
    desk = resting(new_desk, make)
    desk.command(CancelEverything("out"))
    desk.take(SystemStatusSeen("maintenance"))
    desk.tick(after_s=20)
    assert len(desk.cancels) == 1

    desk.take(SystemStatusSeen("online"))
    desk.tick()
    assert len(desk.cancels) == 2
