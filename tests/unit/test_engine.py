from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from aether.domain.actors import Actor, Role
from aether.domain.effects import SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    CommandAccepted,
    CommandRefused,
    HoldBegan,
    HoldEnded,
    OrderEnded,
    OrderFilled,
    OrderSubmitted,
    Reconciled,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import (
    BookChanged,
    ClockMeasured,
    DiskGateChanged,
    FeedLost,
    Halt,
    InstrumentSeen,
    LoopStalled,
    PrivateStreamLive,
    PrivateStreamLost,
    Resume,
    SystemStatusSeen,
)
from aether.domain.instruments import Side
from aether.domain.orders import VenueStatus
from aether.domain.values import Price, Usd

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


def test_f03_an_order_carries_what_its_fact_says_and_a_deadline_in_the_venues_time(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(ClockMeasured(offset_ns=2 * S, error_ns=0))
    desk.take(make.book())
    desk.tick()

    order, fact = desk.order, desk.said(OrderSubmitted)[-1]
    names = ("cl_ord_id", "symbol", "side", "order_type", "time_in_force", "post_only", "qty", "limit_price")
    assert [getattr(order, name) for name in names] == [getattr(fact, name) for name in names]
    assert order.deadline_ns == fact.deadline_ns == desk.at_ns + 7 * S
    assert (order.side, order.limit_price) == (Side.BUY, Price(D(100)))
    assert len(order.cl_ord_id) == 18


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
    desk.take(make.book(), after_s=1)  # from then on no book waited since before a stall
    desk.tick()
    assert holds_of(desk) == set()
    assert len(desk.sent(SubmitOrder)) == 1
    begun = [fact for fact in desk.said(HoldBegan) if (fact.cause, fact.scope) == hold]
    over = [fact for fact in desk.said(HoldEnded) if (fact.cause, fact.scope) == hold]
    assert len(begun) == len(over) == (1 if hold[0] == "disk" else 2)  # the others are on hold from the start


@pytest.mark.parametrize(
    ("unheard", "hold"), [(ClockMeasured, ("clock", "all")), (SystemStatusSeen, ("system_status", "all"))]
)
def test_no_order_leaves_before_clock_and_status_were_heard(
    desk: Any, make: Any, unheard: type, hold: tuple[str, str]
) -> None:
    desk.begin()
    said = ClockMeasured(offset_ns=0, error_ns=0), SystemStatusSeen("online")
    for told in (InstrumentSeen(make.instrument()), make.history(make.RISING), PrivateStreamLive(1), *said):
        if not isinstance(told, unheard):
            desk.take(told)
    desk.take(make.account(desk.at_ns, {"USD": "10000", "BTC": "0"}))
    desk.take(make.book())
    desk.tick()
    assert holds_of(desk) == {hold}
    assert desk.sent(SubmitOrder) == []

    for told in said:
        desk.take(told)
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


@pytest.mark.parametrize(("after_s", "is_held"), [(0, True), (0.999, True), (1, False)])
def test_a_book_that_may_have_waited_since_before_a_stall_ends_no_hold(
    desk: Any, make: Any, after_s: float, *, is_held: bool
) -> None:
    desk.start()
    desk.take(make.book())
    desk.take(LoopStalled(3 * S))
    desk.take(make.book("99.8", "99.9"), after_s)
    desk.tick()

    assert (("feed", "symbol:BTC/USD") in holds_of(desk)) is is_held
    assert (desk.sent(SubmitOrder) == []) is is_held
    assert desk.engine.market.pictures[make.BTC].bid == Price(D("99.8"))


def outage(desk: Any, make: Any, seconds: int) -> None:
    """The feed is lost for so long, with ticks, and comes back."""
    desk.start()
    desk.take(FeedLost(make.BTC, "disconnected"))
    for _ in range(seconds // 10):
        desk.tick(after_s=10)
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.look()
    desk.take(make.book())


@pytest.mark.parametrize(("seconds", "is_sent"), [(120, True), (130, False)])
def test_an_outage_of_more_than_two_bars_is_no_calm_market(
    desk: Any, make: Any, seconds: int, *, is_sent: bool
) -> None:
    outage(desk, make, seconds)
    desk.tick()
    desk.tick()

    assert bool(desk.sent(SubmitOrder)) is is_sent


def test_after_an_outage_history_warms_the_strategy_again(desk: Any, make: Any) -> None:
    outage(desk, make, 600)
    desk.tick()
    assert desk.sent(SubmitOrder) == []

    desk.take(make.history(make.RISING, desk.at_ns))
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


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
    assert desk.ledger.halts["all", "halt_operator"].reason == "look"


def test_the_live_account_is_not_resumed_by_one_person(desk: Any) -> None:
    desk.begin(real_money=True)
    desk.command(Halt("all", "look"))
    step = desk.command(Resume("all", "fine"))

    assert [fact.code for fact in desk.said(CommandRefused)] == ["authority_two_directors"]
    assert kinds(step) == [CommandRefused]
    assert desk.ledger.halted_scopes == ("all",)


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
    assert desk.ledger.halted_scopes == ("symbol:BTC/USD",)
    assert desk.ledger.portfolio.balance("BTC") == 1


# --- determinism --------------------------------------------------------------------------------------------------


def test_the_ambient_decimal_context_changes_no_decision(desk: Any, new_desk: Any, make: Any) -> None:
    desk.trade()
    with localcontext(Context(prec=6)):
        other = new_desk(make.policy())
        for stamped in desk.inputs:
            other.facts.extend(other.engine.take(stamped).facts)

    assert other.facts == desk.facts
    assert desk.said(OrderEnded) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_f03_over_five_seconds_from_the_venue_nothing_is_sent_until_the_clock_is_near(
    sign: int, desk: Any, make: Any
) -> None:
    desk.start()
    desk.take(ClockMeasured(offset_ns=sign * (5 * S + S // 1000), error_ns=0))
    desk.take(make.book())
    desk.tick()
    assert desk.sent(SubmitOrder) == []
    assert ("clock", "all") in holds_of(desk)

    desk.take(ClockMeasured(offset_ns=sign * 5 * S, error_ns=0))
    desk.tick()
    assert holds_of(desk) == set()
    assert len(desk.sent(SubmitOrder)) == 1
