from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest

from aether.core.view import BalanceView, LimitView, Publisher, StopView, View, is_trading, publish
from aether.domain.inputs import FeedLost, FillReported, Halt, OrderReported, SubmitUnknown
from aether.domain.orders import AssetBalance, VenueStatus

D = Decimal


def traded(desk: Any) -> View:
    """Bought 10 of what was ordered, at 100 with 0.4 % of fee; the rest was cancelled; the middle is 99.95."""
    desk.trade()
    desk.accept()
    desk.fill("T1", "10")
    desk.report(VenueStatus.CANCELED, "10")
    return publish(desk.engine)


def test_a_fresh_engine_shows_an_empty_picture(desk: Any) -> None:
    view = publish(desk.engine)

    assert (view.run, view.equity_usd, view.day_pnl_usd, view.drawdown_ratio) == (0, None, None, None)
    assert (view.orders, view.positions, view.limits) == ((), (), ())
    assert not is_trading(view)


def test_a_started_engine_says_why_it_does_not_trade_yet(desk: Any) -> None:
    desk.begin()
    view = publish(desk.engine)

    assert view.not_ready == (
        "hold starting: the account was not compared in this run yet",
        "hold private_stream: the private stream is not live yet",
        "hold system_status: the venue's status was not heard yet",
        "hold clock: our clock was not compared with the venue's yet",
    )
    assert not is_trading(view)


def test_money_in_the_picture_adds_up(desk: Any, make: Any) -> None:
    view = traded(desk)

    assert view.cash_usd == view.cash_free_usd == D("8996.0")
    assert view.equity_usd == D("8996.0") + 10 * D("99.95")
    assert view.exposure_usd == D("999.5")
    assert view.day_pnl_usd == view.equity_usd - 10_000
    assert view.drawdown_ratio == round(-view.day_pnl_usd / 10_000, 6)
    assert view.balances == (BalanceView("USD", D("8996.0"), D("8996.0")), BalanceView("BTC", D(10), D("999.50")))


def test_a_position_shows_cost_with_fees_and_profit_at_the_middle(desk: Any) -> None:
    (position,) = traded(desk).positions

    assert (position.qty, position.cost_usd, position.fees_usd) == (D(10), D("1004.0"), D("4.0"))
    assert (position.average_cost_usd, position.unrealised_usd) == (D("100.4"), D("-4.5"))
    assert position.realised_usd == 0


def test_an_order_and_its_trade_are_shown(desk: Any) -> None:
    view = traded(desk)
    (order,), (trade,) = view.orders, view.trades

    assert (order.state, order.ended, order.filled_qty, order.average_price_usd) == ("done", "canceled", D(10), D(100))
    assert (order.cl_ord_id, order.bound_by, order.side) == (trade.cl_ord_id, "wanted", "buy")
    assert (trade.exec_id, trade.fees, trade.liquidity) == ("T1", (("USD", D("4.000")),), "taker")
    assert (view.open_orders, view.unresolved_orders) == (0, 0)


def test_open_unresolved_and_external_orders_are_counted(desk: Any, make: Any) -> None:
    order = desk.trade()
    desk.take(SubmitUnknown(order.cl_ord_id, "timeout"))
    desk.take(OrderReported(make.report(None, VenueStatus.NEW), "executions"))
    view = publish(desk.engine)
    assert (view.open_orders, view.unresolved_orders, view.external_orders) == (0, 1, 1)

    desk.report(VenueStatus.NEW)
    view = publish(desk.engine)
    assert (view.open_orders, view.unresolved_orders) == (1, 0)


def test_limits_show_how_much_of_them_is_used(desk: Any) -> None:
    limits = {limit.name: limit for limit in traded(desk).limits}

    assert limits["orders_per_minute"] == LimitView("orders_per_minute", D(20), D(1), D("0.050000"))
    assert limits["daily_loss"].limit == D(500)
    assert limits["daily_loss"].used == D("4.5")
    assert limits["exposure_total"].used == limits["exposure_symbol BTC/USD"].used == D("999.5")
    assert all(limit.ratio >= 0 for limit in limits.values())


def test_what_stops_trading_is_shown_by_kind_and_scope(desk: Any, make: Any) -> None:
    desk.trade()
    assert is_trading(publish(desk.engine))

    desk.command(Halt("strategy:trend", "look"))
    desk.take(FeedLost(make.BTC, "checksum"))
    view = publish(desk.engine)
    assert view.stops == (
        StopView("halt", "strategy:trend", "halt_operator", "look"),
        StopView("hold", "symbol:BTC/USD", "feed", "checksum"),
    )
    assert is_trading(view)  # the rest goes on

    desk.command(Halt("all", "look"))
    assert not is_trading(publish(desk.engine))


def test_a_market_that_was_lost_is_shown_as_not_live_with_its_last_price(desk: Any, make: Any) -> None:
    desk.trade()
    desk.take(FeedLost(make.BTC, "checksum"))
    (symbol,) = publish(desk.engine).symbols

    assert (symbol.status, symbol.is_live, symbol.bid_usd, symbol.ask_usd) == ("online", False, D("99.9"), D("100.0"))


def test_refusals_signals_and_differences_are_shown(desk: Any, make: Any) -> None:
    desk.start()
    desk.command(Halt("all", "look"))
    desk.take(make.book())
    desk.tick()
    for _ in range(2):
        desk.look(after_s=70, balances=(AssetBalance("USD", D(9999), D(0)),))
    view = publish(desk.engine)

    assert [(refusal.code, refusal.side) for refusal in view.refusals] == [("risk_halted", "buy")]
    assert [(signal.strategy, signal.target_bps) for signal in view.signals] == [("trend", 10_000)]
    assert view.differences == (("USD", D(10_000), D(9999)),)


def test_a_fill_of_others_is_shown_without_a_strategy(desk: Any, make: Any) -> None:
    desk.start()
    desk.take(FillReported(make.execution("T1", None, "1"), "executions"))
    view = publish(desk.engine)

    assert [(trade.cl_ord_id, trade.strategy) for trade in view.trades] == [(None, None)]
    assert [position.strategy for position in view.positions] == ["external"]


def test_the_picture_cannot_be_changed_and_changes_nothing(desk: Any, make: Any, contents_of: Any) -> None:
    desk.trade()
    before = repr(contents_of(desk.ledger))
    view = publish(desk.engine)

    with pytest.raises(FrozenInstanceError):
        view.run = 9  # type: ignore[misc]
    assert repr(contents_of(desk.ledger)) == before
    assert publish(desk.engine) == view


def test_a_publisher_shows_each_change_of_an_order_and_makes_anew_only_what_changed(desk: Any, make: Any) -> None:
    publisher = Publisher(desk.engine)
    desk.trade()
    first = publisher.publish()
    same = publisher.publish()
    desk.accept()
    accepted = publisher.publish()

    assert same.orders[0] is first.orders[0]
    assert accepted == publish(desk.engine)
    assert (first.orders[0].state, accepted.orders[0].state) == ("in_flight", "open")
