from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.risk import CHECKS
from aether.core.sizing import RefusedIntent, SizedOrder, estimate_costs, size_order
from aether.domain.facts import QuoteSeen
from aether.domain.instruments import Side
from aether.domain.values import NO_USD, Bps, Qty, Usd

D = Decimal


def test_what_no_check_binds_is_ordered_as_wanted(make: Any) -> None:
    sized = size_order(make.intent(qty="10"), make.view())

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.limit_price, sized.decision.binding) == (Qty(D(10)), make.price("100"), "wanted")
    assert sized.reserved == Usd(D(1004))


def test_the_smallest_allowance_binds_and_all_are_kept(make: Any) -> None:
    view = make.view(limits=make.limits(order_usd_max=Usd(D(333))), exposure_symbol=Usd(D(4600)))
    sized = size_order(make.intent(qty="10"), view)

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.decision.binding) == (Qty(D("3.33")), "order_value")
    assert [item.check for item in sized.decision.allowances] == [check.__name__ for check in CHECKS[Side.BUY]]
    rooms = {item.check: item.at_most for item in sized.decision.allowances}
    assert rooms["symbol_exposure"] == Usd(D(400))


def test_the_example_of_the_docstring_holds(make: Any) -> None:
    view = make.view(
        cash_free=Usd(D(700)),
        limits=make.limits(cash_bps_max=10_000),
        fee_bps_worst=D(0),
        equity=Usd(D(2000)),
        instrument=make.instrument(cost_decimals=10),
        quote=QuoteSeen(make.price("99999.9"), make.price("100000"), 0, make.price("100000")),
        day_start=Usd(D(2000)),
        peak=Usd(D(2000)),
    )
    sized = size_order(make.intent(price="100000", qty="1"), view)

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.decision.binding) == (Qty(D("0.0060")), "cash_room")
    assert sized.reserved == Usd(D(600))


def test_quantity_goes_down_to_the_lot_and_the_price_of_a_buy_to_the_tick(make: Any) -> None:
    sized = size_order(make.intent(price="100.07", qty="1.00019"), make.view())

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.limit_price) == (Qty(D("1.0001")), make.price("100"))


def test_the_price_of_a_sell_goes_up_to_the_tick(make: Any) -> None:
    sized = size_order(make.intent(Side.SELL, price="100.01", qty="1"), make.view())

    assert isinstance(sized, SizedOrder)
    assert sized.limit_price == make.price("100.1")
    assert sized.reserved == NO_USD


def test_the_reservation_of_a_buy_is_rounded_up(make: Any) -> None:
    sized = size_order(make.intent(price="100.1", qty="0.0123"), make.view(fee_bps_worst=D("26.7")))

    assert isinstance(sized, SizedOrder)
    exact = D("100.1") * D("0.0123") * D("1.00267")
    assert exact <= sized.reserved.amount < exact + D("0.00001")


def test_a_closed_gate_refuses_with_its_own_code_and_reason(make: Any) -> None:
    refused = size_order(make.intent(), make.view(against=(("risk_halted", "halted (x): y"),)))

    assert isinstance(refused, RefusedIntent)
    assert (refused.code, refused.why, refused.decision.binding) == ("risk_halted", "halted (x): y", "may_trade")


def test_the_first_of_two_closed_gates_is_named(make: Any) -> None:
    refused = size_order(make.intent(), make.view(unresolved="a", against=(("risk_held", "x"),)))

    assert isinstance(refused, RefusedIntent)
    assert refused.code == "risk_held"


def test_a_wish_below_the_minimum_is_refused_with_its_shortfall(make: Any) -> None:
    instrument = make.instrument(qty_min=Qty(D("0.01")))
    refused = size_order(make.intent(qty="0.009"), make.view(instrument=instrument))

    assert isinstance(refused, RefusedIntent)
    assert refused.code == "size_below_minimum"
    assert refused.why == "0.001 coins short of ordermin 0.01; bound by wanted: no check bound"


def test_a_wish_cut_below_the_minimum_names_what_cut_it(make: Any) -> None:
    view = make.view(instrument=make.instrument(cost_min=Usd(D(5))), exposure_symbol=Usd(D(4996)))
    refused = size_order(make.intent(), view)

    assert isinstance(refused, RefusedIntent)
    assert refused.code == "risk_symbol_exposure"
    assert refused.why.startswith("1.00 USD short of costmin 5")
    assert "4996 of 5000 in use" in refused.why


def test_exactly_the_minimum_is_an_order(make: Any) -> None:
    instrument = make.instrument(qty_min=Qty(D("0.05")), cost_min=Usd(D(5)))

    assert isinstance(size_order(make.intent(qty="0.05"), make.view(instrument=instrument)), SizedOrder)
    assert isinstance(size_order(make.intent(qty="0.0499"), make.view(instrument=instrument)), RefusedIntent)


def test_less_than_one_lot_is_refused_even_without_minimums(make: Any) -> None:
    instrument = make.instrument(qty_min=Qty(D(0)), cost_min=NO_USD)
    refused = size_order(make.intent(qty="0.00009"), make.view(instrument=instrument))

    assert isinstance(refused, RefusedIntent)
    assert refused.code == "size_below_minimum"


def test_a_sell_takes_what_is_free_and_no_coin_more(make: Any) -> None:
    sized = size_order(make.intent(Side.SELL, qty="10"), make.view(holding_free=Qty(D("0.3"))))

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.decision.binding) == (Qty(D("0.3")), "holding_room")


def test_a_holding_sells_whole_at_a_price_that_does_not_divide(make: Any) -> None:
    quote = QuoteSeen(make.price("33.3"), make.price("33.4"), 0, make.price("33.4"))
    view = make.view(holding_free=Qty(D("0.7")), quote=quote)
    sized = size_order(make.intent(Side.SELL, price="33.3", qty="5"), view)

    assert isinstance(sized, SizedOrder)
    assert sized.qty == Qty(D("0.7"))


@pytest.mark.parametrize("wanted", ["0.12345678", "0.12345679"])
def test_a_full_exit_leaves_no_lot_however_small_a_coin_costs(make: Any, wanted: str) -> None:
    quote = QuoteSeen(make.price("0.0000113"), make.price("0.0000114"), 0, make.price("0.0000113"))
    fine = make.instrument(lot=D("0.00000001"), tick=D("0.0000001"), qty_min=Qty(D(0)), cost_min=NO_USD)
    limits = make.limits(spread_bps_max=1000, collar_bps=1000)
    view = make.view(holding_free=make.qty("0.12345678"), quote=quote, instrument=fine, limits=limits)
    sized = size_order(make.intent(Side.SELL, price="0.0000113", qty=wanted), view)

    assert isinstance(sized, SizedOrder)
    assert sized.qty == make.qty("0.12345678")


@pytest.mark.parametrize(("passive", "spread", "slippage"), [(False, "10.00", "20.00"), (True, "0.00", "0.00")])
def test_crossing_costs_half_the_spread_and_the_depth_beyond_the_touch(
    make: Any, *, passive: bool, spread: str, slippage: str
) -> None:
    costs = estimate_costs(
        edge_bps=Bps(90),
        fee_bps=D("25"),
        bid=make.price("1000"),
        ask=make.price("1002"),
        average=make.price("1004.004"),
        passive=passive,
        margin_bps=3,
    )
    assert (str(costs.spread_bps), str(costs.slippage_bps)) == (spread, slippage)
    assert (costs.edge_bps, costs.fee_bps, costs.margin_bps) == (D(90), D(25), D(3))


def test_slippage_of_a_sell_counts_from_the_bid_and_rounds_up(make: Any) -> None:
    costs = estimate_costs(
        edge_bps=Bps(0),
        fee_bps=D(0),
        bid=make.price("3"),
        ask=make.price("3.01"),
        average=make.price("2.999"),
        passive=False,
        margin_bps=0,
    )
    assert costs.slippage_bps == D("3.34")
    assert costs.spread_bps == D("16.67")


def test_without_depth_there_is_no_slippage_to_estimate(make: Any) -> None:
    costs = estimate_costs(
        edge_bps=Bps(0),
        fee_bps=D(0),
        bid=make.price("3"),
        ask=make.price("3.01"),
        average=None,
        passive=False,
        margin_bps=0,
    )
    assert costs.slippage_bps == 0


def test_a_price_that_rounds_down_never_buys_more_coins_than_were_wanted(make: Any) -> None:
    view = make.view(limits=make.limits(order_usd_max=Usd(D("100.08"))))
    sized = size_order(make.intent(price="100.09", qty="1"), view)

    assert isinstance(sized, SizedOrder)
    assert (sized.qty, sized.decision.binding) == (Qty(D(1)), "order_value")
