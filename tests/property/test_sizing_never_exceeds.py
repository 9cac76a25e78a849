from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aether.core.intents import OrderIntent
from aether.core.policy import Regime, RiskLimits, SizingPolicy
from aether.core.risk import RiskView
from aether.core.sizing import RefusedIntent, SizedOrder, size_order
from aether.domain.codes import CODES
from aether.domain.facts import CostEstimate, QuoteSeen
from aether.domain.instruments import Instrument, PairStatus, Side
from aether.domain.spot_gate import recall
from aether.domain.values import MONEY, NO_USD, Bps, Price, Qty, Usd

D = Decimal
SYMBOL = recall("BTC/USD")
T0 = 1_767_268_800_000_000_000


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    scale = D(10) ** places  # whole numbers are drawn ten times as fast as decimals
    return st.integers(int(D(least) * scale), int(D(most) * scale)).map(lambda units: D(units).scaleb(-places))


usd = decimals("0", "200000", 6).map(Usd)
bps = st.integers(0, 10_000)

instruments = st.builds(
    Instrument,
    symbol=st.just(SYMBOL),
    base=st.just("BTC"),
    tick=st.sampled_from([D("0.1"), D("0.5"), D("0.00001"), D("0.03")]),
    lot=st.sampled_from([D("0.00000001"), D("0.0001"), D("1"), D("0.3")]),
    price_decimals=st.just(5),
    qty_decimals=st.just(8),
    cost_decimals=st.integers(2, 8),
    qty_min=decimals("0", "2", 3).map(Qty),
    cost_min=decimals("0", "10", 2).map(Usd),
    status=st.just(PairStatus.ONLINE),
)

limits = st.builds(
    RiskLimits,
    order_usd_max=usd,
    order_nav_bps_max=bps,
    cash_bps_max=bps,
    cash_floor_usd=usd,
    exposure_symbol_bps_max=bps,
    exposure_total_bps_max=bps,
    daily_loss_bps_max=st.just(500),
    drawdown_bps_max=st.just(2000),
    collar_bps=st.just(10_000),
    spread_bps_max=st.just(10_000),
    quote_age_ms_max=st.just(5000),
    account_age_s_max=st.just(180),
    orders_per_minute_max=st.just(20),
    orders_per_day_max=st.just(2000),
    order_spacing_s_min=st.just(5),
    duplicate_s=st.just(0),
    executions_max=st.just(100),
    executions_window_s=st.just(600),
)
SIZING = SizingPolicy(50, 150, 5, 20, (Regime("calm", 0, 100),), 2, 40, 1500, NO_USD)


@st.composite
def decisions(draw: st.DrawFn) -> tuple[OrderIntent, RiskView]:
    """An intent at a price that need not be on the tick, and an account in any state."""
    side = draw(st.sampled_from(list(Side)))
    price, qty = Price(draw(decimals("0.5", "90000", 7))), Qty(draw(decimals("0.00000001", "50", 8)))
    intent = OrderIntent("trend", SYMBOL, side, price, price.times(qty), qty, Bps(500), passive=False)
    equity = draw(usd)
    fee_bps = draw(decimals("0", "100", 2))
    view = RiskView(
        at_ns=T0,
        limits=draw(limits),
        sizing=SIZING,
        instrument=draw(instruments),
        equity=equity,
        cash_free=draw(decimals("-1000", "200000", 8).map(Usd)),
        position=NO_USD,
        exposure_symbol=draw(usd),
        exposure_total=draw(usd),
        day_start=equity,
        peak=equity,
        holding_free=Qty(draw(decimals("0", "60", 8))),
        account_as_of_ns=T0,
        quote=QuoteSeen(price, price, 0, price),
        last_close=None,
        costs=CostEstimate(D(500), fee_bps, D(0), D(0), D(0)),
        fee_bps_worst=fee_bps,
        volatility_bps=Bps(400),
        volatility_used_bps=Bps(400),
        regime="calm",
        regime_percent=100,
        unresolved=None,
        sent_last_minute=0,
        sent_last_day=0,
        last_sent_ns=None,
        against=(),
    )
    return intent, view


def generous(view: RiskView) -> RiskView:
    """The same decision with room everywhere, so that orders come out and not refusals alone."""
    much = Usd(D(10**9))
    room = replace(
        view.limits,
        order_usd_max=max(view.limits.order_usd_max, Usd(D(5000))),
        cash_floor_usd=NO_USD,
        cash_bps_max=max(1, view.limits.cash_bps_max),
        order_nav_bps_max=5000,
        exposure_symbol_bps_max=10_000,
        exposure_total_bps_max=10_000,
    )
    instrument = replace(view.instrument, qty_min=Qty(D(0)), cost_min=NO_USD, lot=D("0.00000001"))
    cash = max(view.cash_free, Usd(D(50)))
    return replace(view, limits=room, equity=much, day_start=much, peak=much, instrument=instrument, cash_free=cash)


def assert_within_bounds(intent: OrderIntent, view: RiskView, sized: SizedOrder) -> None:
    cost = sized.limit_price.times(sized.qty)
    assert all(cost <= allowance.at_most for allowance in sized.decision.allowances if intent.side is Side.BUY)
    assert sized.qty <= intent.wanted_qty
    assert sized.qty > Qty(D(0))
    assert not sized.qty.coins % view.instrument.lot
    assert not MONEY.remainder(sized.limit_price.usd_per_coin, view.instrument.tick)
    assert view.instrument.shortfall(sized.qty, sized.limit_price) == (Qty(D(0)), NO_USD)


@given(decision=decisions(), is_generous=st.booleans())
def test_an_order_never_exceeds_any_allowance_nor_leaves_its_grid(
    decision: tuple[OrderIntent, RiskView], *, is_generous: bool
) -> None:
    intent, view = decision
    view = generous(view) if is_generous else view
    sized = size_order(intent, view)

    if isinstance(sized, SizedOrder):
        assert_within_bounds(intent, view, sized)
    else:
        assert sized.code in CODES
        assert sized.why


@given(decisions())
def test_e04_a_buy_with_its_worst_fee_fits_into_the_free_cash_above_the_floor(
    decision: tuple[OrderIntent, RiskView],
) -> None:
    intent, view = replace(decision[0], side=Side.BUY), generous(decision[1])
    sized = size_order(intent, view)

    if isinstance(sized, SizedOrder):
        worst = sized.limit_price.times(sized.qty).scaled(view.fee_factor)
        assert worst <= sized.reserved
        assert sized.reserved <= (view.cash_free - view.limits.cash_floor_usd).bps(view.limits.cash_bps_max)


@given(decisions())
def test_a_sell_never_takes_more_than_is_free_and_its_price_is_never_below_the_wish(
    decision: tuple[OrderIntent, RiskView],
) -> None:
    intent, view = replace(decision[0], side=Side.SELL), generous(decision[1])
    sized = size_order(intent, view)

    if isinstance(sized, SizedOrder):
        assert sized.qty <= view.holding_free
        if sized.decision.binding in {"wanted", "holding_room"}:
            assert sized.qty == view.instrument.qty_down(min(intent.wanted_qty, view.holding_free))
        assert sized.limit_price >= intent.limit_price
        assert sized.reserved == NO_USD


@given(decisions())
def test_the_price_of_a_buy_is_never_above_the_wish_unless_that_is_below_one_tick(
    decision: tuple[OrderIntent, RiskView],
) -> None:
    intent, view = replace(decision[0], side=Side.BUY), generous(decision[1])
    sized = size_order(intent, view)

    if isinstance(sized, SizedOrder):
        assert sized.limit_price <= intent.limit_price


@given(decisions(), decimals("0.0001", "5", 4))
def test_a_refusal_for_size_carries_the_shortfall(decision: tuple[OrderIntent, RiskView], missing: Decimal) -> None:
    intent, view = decision[0], generous(decision[1])
    qty_min = Qty(intent.wanted_qty.coins + missing)
    sized = size_order(intent, replace(view, instrument=replace(view.instrument, qty_min=qty_min)))

    assert isinstance(sized, RefusedIntent)
    has_room = all(allowance.at_most > NO_USD for allowance in sized.decision.allowances)
    assert (f"coins short of ordermin {qty_min}" in sized.why) is has_room
    assert sized.code in CODES


@given(decisions())
def test_less_room_never_makes_a_larger_order(decision: tuple[OrderIntent, RiskView]) -> None:
    intent, view = decision[0], generous(decision[1])
    half = replace(view.limits, order_usd_max=view.limits.order_usd_max.scaled(D("0.5")))
    whole, less = size_order(intent, view), size_order(intent, replace(view, limits=half))

    if isinstance(less, SizedOrder):
        assert isinstance(whole, SizedOrder)
        assert less.qty <= whole.qty
