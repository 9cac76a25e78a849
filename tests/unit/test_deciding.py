from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.strategies.trend import Signal, trend_signal
from aether.domain.effects import SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import IntentRefused, OrderSubmitted, SignalChanged, StrategyPaused
from aether.domain.inputs import (
    ClockMeasured,
    FeesSeen,
    FillReported,
    Halt,
    InstrumentSeen,
    PrivateStreamLive,
    Resume,
    StopAsked,
    SubmitRefused,
    SubmitUnknown,
    TradeSeen,
)
from aether.domain.instruments import PairStatus, Side
from aether.domain.orders import OrderType, TimeInForce, VenueStatus
from aether.domain.values import Bps, Price, Qty, Usd

D = Decimal


def ready(new_desk: Any, make: Any, closes: Any = None, coins: str = "0", **policy: Any) -> Any:
    """A desk that has started, heard a book, and decides at the next tick."""
    desk = new_desk(make.policy(**policy)).start(closes or make.RISING, coins=coins)
    desk.take(make.book())
    return desk


def held(new_desk: Any, make: Any, **policy: Any) -> Any:
    """A desk whose strategy bought and holds; its order is settled."""
    desk = ready(new_desk, make, **policy)
    desk.tick()
    desk.accept()
    desk.fill("T1", str(desk.order.qty))
    desk.report(VenueStatus.FILLED, str(desk.order.qty))
    return desk


def told(desk: Any, make: Any, closes: Any, after_s: float = 10) -> None:
    """New history, a new book, and a tick on them."""
    desk.at_ns += int(after_s * make.S)
    desk.take(make.history(closes, desk.at_ns))
    desk.take(make.book())
    desk.tick()


# --- from target to order -----------------------------------------------------------------------------------------


def test_a_decision_keeps_every_number_it_was_made_of(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.take(FeesSeen(make.BTC, D(26), D(16)))
    desk.tick()
    decision = desk.said(OrderSubmitted)[0].decision

    assert (decision.equity, decision.cash_free, decision.position) == (Usd(D(10_000)), Usd(D(10_000)), Usd(D(0)))
    assert decision.volatility_bps == decision.volatility_used_bps == 3776  # 1 % a minute, in logs
    assert (decision.regime, decision.regime_percent, decision.binding) == ("calm", 100, "wanted")
    assert (decision.quote.bid, decision.quote.ask) == (Price(D("99.9")), Price(D("100.0")))
    assert (decision.costs.fee_bps, decision.costs.edge_bps) == (D(26), D(100))
    assert (decision.costs.spread_bps, decision.costs.slippage_bps) == (D("5.01"), D("0.00"))
    assert decision.wanted < Usd(D(10_000) * 1000 / 3776)
    assert len(decision.allowances) == 17


def test_a_taker_crosses_at_once_and_a_maker_joins_its_side(new_desk: Any, make: Any) -> None:
    orders = []
    for passive in (False, True):
        desk = ready(new_desk, make, trends=(make.trend(passive=passive),))
        desk.tick()
        orders.append(desk.order)

    taker, maker = orders
    assert (taker.limit_price, taker.time_in_force, taker.post_only) == (Price(D(100)), TimeInForce.IOC, False)
    assert (maker.limit_price, maker.time_in_force, maker.post_only) == (Price(D("99.9")), TimeInForce.GTC, True)
    assert {order.order_type for order in orders} == {OrderType.LIMIT}


def test_e12_a_maker_pays_its_own_rate_and_reserves_the_takers(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make, trends=(make.trend(passive=True),))
    desk.take(FeesSeen(make.BTC, D(26), D(16)))
    desk.tick()
    fact = desk.said(OrderSubmitted)[0]

    assert fact.decision.costs.fee_bps == D(16)
    assert fact.reserved == Usd(fact.limit_price.times(fact.qty).amount * D("1.0026")).rounded_up(5)


def test_without_rates_of_the_account_the_fallback_is_the_fee(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.tick()

    assert desk.said(OrderSubmitted)[0].decision.costs.fee_bps == D(40)


def test_a_volatility_floor_keeps_a_quiet_market_from_making_a_large_order(new_desk: Any, make: Any) -> None:
    wanted = []
    for floor in (150, 7552):
        desk = ready(new_desk, make, sizing=make.sizing(volatility_floor_bps=floor))
        desk.tick()
        decision = desk.said(OrderSubmitted)[0].decision
        wanted.append((decision.volatility_used_bps, round(decision.wanted.amount)))

    assert wanted == [(3776, 2648), (7552, 1324)]


def test_a_storm_shrinks_the_size(new_desk: Any, make: Any) -> None:
    calm = [D(100) * D("1.002") ** step for step in range(-40, -4)]
    wild = [calm[-1] * D("1.03") ** step for step in range(1, 6)]
    calm, wild = ([close * 100 / wild[-1] for close in closes] for closes in (calm, wild))  # to where the book is
    desk = ready(new_desk, make, closes=(*calm, *wild))
    desk.tick()
    decision = desk.said(OrderSubmitted)[0].decision

    assert (decision.regime, decision.regime_percent) == ("restless", 60)
    full = ready(new_desk, make, closes=(*calm, *wild), sizing=make.sizing(regimes=make.sizing().regimes[:1]))
    full.tick()
    assert round(decision.wanted.amount / full.said(OrderSubmitted)[0].decision.wanted.amount, 3) == D("0.6")


@pytest.mark.parametrize(("edge_percent", "is_sent"), [(48, True), (47, False)])
def test_the_edge_must_beat_fee_spread_slippage_and_margin(
    new_desk: Any, make: Any, edge_percent: int, *, is_sent: bool
) -> None:
    desk = ready(new_desk, make, trends=(make.trend(edge_percent=edge_percent),))  # costs: 40 + 5.01 + 0 + 2
    desk.tick()

    assert bool(desk.sent(SubmitOrder)) is is_sent
    assert [fact.code for fact in desk.said(IntentRefused)] == ([] if is_sent else ["risk_edge"])


def test_a_position_within_the_band_is_left_alone(new_desk: Any, make: Any) -> None:
    desk = held(new_desk, make)
    for bid, ask in (("100.9", "101.0"), ("97.9", "98.0")):
        desk.take(make.book(bid, ask), after_s=6)
        desk.tick()

    assert len(desk.sent(SubmitOrder)) == 1
    assert desk.said(IntentRefused) == []


def test_a_target_of_nothing_sells_all_and_only_what_the_strategy_holds(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make, coins="5")  # five coins of a person
    desk.tick()
    desk.accept()
    bought = desk.order.qty
    desk.fill("T1", str(bought))
    desk.report(VenueStatus.FILLED, str(bought))
    told(desk, make, make.FALLING)

    assert (desk.order.side, desk.order.qty, desk.order.limit_price) == (Side.SELL, bought, Price(D("99.9")))
    assert desk.ledger.reserved_usd == Usd(D(0))


def test_a_sale_is_not_sent_twice_while_the_first_is_at_work(new_desk: Any, make: Any) -> None:
    desk = held(new_desk, make)
    told(desk, make, make.FALLING)
    told(desk, make, make.FALLING)

    assert [order.side for order in desk.sent(SubmitOrder)] == [Side.BUY, Side.SELL]


def test_dust_is_refused_once_and_not_in_a_loop(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.tick()
    desk.accept()
    desk.fill("T1", "0.0005")
    desk.report(VenueStatus.CANCELED, "0.0005")
    for _ in range(3):
        told(desk, make, make.FALLING)

    assert [fact.code for fact in desk.said(IntentRefused)] == ["size_below_minimum"]
    assert "0.0005 coins short of ordermin 0.001" in desk.said(IntentRefused)[0].why


# --- what stands against it ---------------------------------------------------------------------------------------


def test_a_refusal_is_told_when_it_changes_and_not_at_each_repeat(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.command(Halt("all", "look"))
    for _ in range(5):
        desk.tick()
    desk.take(InstrumentSeen(make.instrument(status=PairStatus.CANCEL_ONLY)))
    desk.command(Resume("all", "fine"))
    desk.take(make.book(), after_s=60)
    for _ in range(5):
        desk.tick()

    assert [fact.code for fact in desk.said(IntentRefused)] == ["risk_halted", "risk_pair_status"]
    assert desk.sent(SubmitOrder) == []


def wavering(desk: Any, make: Any, times: int) -> None:
    """A spread that is now too wide, now tight, while the edge is too small for either."""
    for _ in range(times):
        desk.take(make.book("99", "100.0"), after_s=1)
        desk.take(make.book("99.9", "100.0"), after_s=1)


def test_a_spread_that_wavers_over_its_limit_is_told_once_for_each_code(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make, trends=(make.trend(edge_percent=1),))
    desk.tick()
    wavering(desk, make, 40)

    assert [fact.code for fact in desk.said(IntentRefused)] == ["risk_edge", "risk_spread"]


@pytest.mark.parametrize(("after_s", "is_told"), [(59.999, False), (60, True)])
def test_a_second_refusal_waits_for_its_minute(new_desk: Any, make: Any, after_s: float, *, is_told: bool) -> None:
    desk = ready(new_desk, make, trends=(make.trend(edge_percent=1),))
    desk.tick()
    desk.take(make.book("99", "100.0"), after_s)

    assert (len(desk.said(IntentRefused)) == 2) is is_told


def test_refusals_are_told_anew_after_an_order_and_still_once_a_minute(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.take(make.book("99", "100.0"))
    desk.tick()
    for _ in range(12):  # an order that is refused, and a wide spread, every ten seconds
        desk.take(make.book(), after_s=5)
        desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_post_only", "E"))
        desk.take(make.book("99", "100.0"), after_s=5)

    assert [fact.code for fact in desk.said(IntentRefused)] == ["risk_spread"] * 3
    assert len(desk.sent(SubmitOrder)) == 12


@pytest.mark.parametrize(("after_s", "is_sent"), [(5, True), (5.001, False)])
def test_a_quote_that_goes_stale_is_not_traded_on(new_desk: Any, make: Any, after_s: float, *, is_sent: bool) -> None:
    desk = new_desk(make.policy()).start()
    desk.command(Halt("all", "look"))
    desk.take(make.book())
    desk.tick()
    desk.command(Resume("all", "fine"))
    desk.tick(after_s)

    assert bool(desk.sent(SubmitOrder)) is is_sent


@pytest.mark.parametrize(("trade_age_s", "codes"), [(300, ["risk_collar"]), (300.001, [])])
def test_a_trade_that_is_no_longer_fresh_gives_way_to_the_last_close(
    new_desk: Any, make: Any, trade_age_s: float, codes: list[str]
) -> None:
    desk = ready(new_desk, make)
    desk.take(TradeSeen(make.BTC, Side.BUY, make.price("90"), make.qty("1"), make.T0))
    desk.at_ns += int(trade_age_s * make.S)
    desk.take(make.history(make.RISING, desk.at_ns))
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.look()
    desk.take(make.book())
    desk.tick()

    assert [fact.code for fact in desk.said(IntentRefused)] == codes
    assert bool(desk.sent(SubmitOrder)) is not bool(codes)


def test_b11_the_last_close_is_a_second_reference_of_the_collar_without_a_trade(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.take(make.book("109.9", "110.0"))
    desk.tick()

    (refused,) = desk.said(IntentRefused)
    assert (refused.code, refused.decision.quote.last_trade) == ("risk_collar", None)
    assert refused.why.endswith("from the middle and the last close, at most 150")


def test_b11_the_last_trade_is_a_second_reference_of_the_collar(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.take(TradeSeen(make.BTC, Side.BUY, make.price("90"), make.qty("1"), make.T0))
    desk.tick()

    assert [fact.code for fact in desk.said(IntentRefused)] == ["risk_collar"]


@pytest.mark.parametrize(("after_s", "is_sent"), [(4.999, False), (5, True)])
def test_orders_of_a_strategy_keep_their_distance(new_desk: Any, make: Any, after_s: float, *, is_sent: bool) -> None:
    desk = ready(new_desk, make)
    desk.tick()
    desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_post_only", "E"))
    desk.take(make.book(), after_s)
    desk.tick()

    assert (len(desk.sent(SubmitOrder)) == 2) is is_sent


@pytest.mark.parametrize(("name", "most"), [("orders_per_minute_max", 3), ("orders_per_day_max", 2)])
def test_no_more_orders_are_sent_than_the_rates_allow(new_desk: Any, make: Any, name: str, most: int) -> None:
    desk = ready(new_desk, make, risk=make.limits(order_spacing_s_min=0, **{name: most}))
    desk.tick()
    for _ in range(8):
        if not desk.my_order.is_settled:
            desk.take(SubmitRefused(desk.order.cl_ord_id, "venue_post_only", "E"))
        desk.take(make.book(), after_s=1)

    assert len(desk.sent(SubmitOrder)) == most
    assert desk.said(IntentRefused)[-1].code == "risk_order_rate"


def test_an_account_that_was_not_compared_for_long_stops_orders(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.command(Halt("all", "look"))
    desk.tick()
    desk.command(Resume("all", "fine"))
    desk.take(make.history(make.RISING, desk.at_ns + 181 * make.S), after_s=181)
    desk.take(ClockMeasured(offset_ns=0, error_ns=0))
    desk.take(make.book())
    desk.tick()
    assert desk.said(IntentRefused)[-1].code == "risk_account_stale"

    desk.look()
    desk.tick()
    assert len(desk.sent(SubmitOrder)) == 1


def test_the_second_strategy_sees_what_the_first_one_reserved_in_the_same_step(new_desk: Any, make: Any) -> None:
    trends = (make.trend(), make.trend(id="twin"))
    risk = make.limits(exposure_symbol_bps_max=3000)
    desk = ready(new_desk, make, trends=trends, risk=risk)
    step = desk.tick()

    first, second = step.effects
    cost = first.limit_price.times(first.qty) + second.limit_price.times(second.qty)
    assert cost <= Usd(D(3000))
    facts = desk.said(OrderSubmitted)
    assert [fact.strategy for fact in facts] == ["trend", "twin"]
    assert facts[1].decision.binding == "symbol_exposure"
    assert facts[1].decision.cash_free == facts[0].decision.cash_free - facts[0].reserved


def test_an_unresolved_order_of_one_strategy_stops_the_other_on_that_pair(new_desk: Any, make: Any) -> None:
    trends = (make.trend(), make.trend(id="twin"))
    desk = ready(new_desk, make, trends=trends)
    desk.command(Halt("strategy:twin", "look"))
    desk.tick()
    desk.take(SubmitUnknown(desk.order.cl_ord_id, "timeout"))
    desk.command(Resume("strategy:twin", "fine"))
    desk.take(make.book(), after_s=60)
    desk.tick()

    assert len(desk.sent(SubmitOrder)) == 1
    assert desk.said(IntentRefused)[-1].code == "risk_unresolved"
    assert desk.order.cl_ord_id in desk.said(IntentRefused)[-1].why


def test_nothing_is_decided_before_rules_of_the_pair_are_known(desk: Any, make: Any) -> None:
    desk.begin()
    desk.take(make.history(make.RISING))
    desk.take(PrivateStreamLive(1))
    desk.take(make.account(desk.at_ns, {"USD": "10000"}))
    desk.take(make.book())
    desk.tick()

    assert desk.sent(SubmitOrder) == []


# --- signals ------------------------------------------------------------------------------------------------------


def test_a_signal_is_written_when_its_target_changes(new_desk: Any, make: Any) -> None:
    desk = held(new_desk, make)
    told(desk, make, make.RISING)
    told(desk, make, make.FALLING)

    assert [fact.target_bps for fact in desk.said(SignalChanged)] == [10_000, 0]


def test_a_strategy_is_asked_once_a_bar(new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = trend_signal

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return real(*arguments)

    monkeypatch.setattr("aether.core.deciding.trend_signal", counted)
    desk = ready(new_desk, make)
    for _ in range(5):
        desk.tick(after_s=10)
    assert len(asked) == 1

    desk.tick(after_s=10)
    assert len(asked) == 2


@pytest.mark.parametrize("nonsense", [ZeroDivisionError, KeyError, AttributeError, RecursionError, AssertionError])
def test_a_strategy_that_raises_is_paused_and_the_other_goes_on(
    new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch, nonsense: type[Exception]
) -> None:
    real = trend_signal

    def broken(closes: Any, parameters: Any, now_bps: int) -> Any:
        if parameters.id == "trend":
            raise nonsense(7)
        return real(closes, parameters, now_bps)

    monkeypatch.setattr("aether.core.deciding.trend_signal", broken)
    desk = ready(new_desk, make, trends=(make.trend(), make.trend(id="twin")))
    for _ in range(3):
        desk.tick(after_s=60)
        desk.take(make.book())

    assert desk.said(StrategyPaused) == [StrategyPaused("trend", f"{nonsense.__name__}: 7")]
    assert [fact.strategy for fact in desk.said(OrderSubmitted)] == ["twin"]


def test_a_strategy_that_wants_the_moon_is_paused(new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        return Signal(Bps(10**9), Bps(200), "moon")

    monkeypatch.setattr("aether.core.deciding.trend_signal", broken)
    desk = ready(new_desk, make)
    desk.tick()

    assert [fact.strategy for fact in desk.said(StrategyPaused)] == ["trend"]
    assert desk.said(SignalChanged) == desk.sent(SubmitOrder) == []


def test_a_paused_strategy_is_woken_by_people(new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trend_signal

    def broken(*_: Any) -> Any:
        raise ValueError("nonsense")

    monkeypatch.setattr("aether.core.deciding.trend_signal", broken)
    desk = ready(new_desk, make)
    desk.tick()
    monkeypatch.setattr("aether.core.deciding.trend_signal", real)
    desk.command(Resume("strategy:trend", "mended"))
    told(desk, make, make.RISING)

    assert len(desk.sent(SubmitOrder)) == 1


def test_a_broken_invariant_is_never_taken_for_a_strategys_nonsense(
    new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise InvariantBroken("ours")

    monkeypatch.setattr("aether.core.deciding.trend_signal", broken)
    desk = ready(new_desk, make)

    with pytest.raises(InvariantBroken, match="ours"):
        desk.tick()


def test_fills_of_people_are_no_position_of_the_strategy(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make, closes=make.FALLING)
    desk.take(FillReported(make.execution("T1", None, "3"), "executions"))
    desk.tick()

    assert desk.sent(SubmitOrder) == []
    assert desk.ledger.portfolio.position("trend", make.BTC).qty == Qty(D(0))
    assert replace(desk.ledger.portfolio.position("external", make.BTC)).qty == Qty(D(3))


def test_a_program_that_stops_changes_its_mind_no_more(new_desk: Any, make: Any) -> None:
    desk = ready(new_desk, make)
    desk.take(StopAsked("SIGTERM"))
    desk.tick()

    assert desk.said(SignalChanged) == []
    assert desk.said(IntentRefused) == []
