"""Checks: an intent and a view of the account give an Allowance, "at most this, because ...".

Each check is a pure function in a tuple; to add one is to add a function and an entry. A check that only says yes or no
lets all of what is wanted through, or nothing. No check knows another, and the smallest answer wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce

from aether.core.intents import OrderIntent
from aether.core.market import middle_of
from aether.core.policy import RiskLimits, SizingPolicy
from aether.domain.facts import Allowance, CostEstimate, QuoteSeen
from aether.domain.instruments import Instrument, Side
from aether.domain.values import MONEY, NANOS_PER_S, NO_USD, ZERO, Bps, Price, Qty, Usd


@dataclass(frozen=True, slots=True)
class RiskView:
    """Account and market as one decision sees them. Money in USD, ages by our own clock.

    `exposure_*` hold positions and what buys in flight, open or unresolved may still add. `holding_free` are the
    strategy's coins that no open sell has promised. `quote.last_trade` is there only while it is fresh. `asked_lately`
    are side, size and price of the orders on this pair that no second one may be like.
    """

    at_ns: int
    limits: RiskLimits
    sizing: SizingPolicy
    instrument: Instrument
    equity: Usd
    cash_free: Usd
    position: Usd
    exposure_symbol: Usd
    exposure_total: Usd
    day_start: Usd
    peak: Usd
    holding_free: Qty
    account_as_of_ns: int
    quote: QuoteSeen
    last_close: Price | None
    costs: CostEstimate
    fee_bps_worst: Decimal
    volatility_bps: Bps
    volatility_used_bps: Bps
    regime: str
    regime_percent: int
    unresolved: str | None
    sent_last_minute: int
    sent_last_day: int
    last_sent_ns: int | None
    against: tuple[tuple[str, str], ...]
    asked_lately: tuple[tuple[Side, Qty, Price], ...] = ()

    @property
    def fee_factor(self) -> Decimal:
        """One plus the worst fee rate: a buy costs at most its notional times this."""
        return MONEY.add(Decimal(1), MONEY.divide(self.fee_bps_worst, Decimal(10_000)))


ROOM_DECIMALS = 8  # rounded towards zero, so never more than the limit

Check = Callable[[OrderIntent, RiskView], Allowance]


def _gate(check: str, intent: OrderIntent, code: str, *, passes: bool, because: str) -> Allowance:
    return Allowance(check, intent.wanted if passes else NO_USD, because, "" if passes else code)


def _room(check: str, code: str, room: Usd, because: str) -> Allowance:
    return Allowance(check, room.rounded_down(ROOM_DECIMALS) if room.amount > ZERO else NO_USD, because, code)


def may_trade(intent: OrderIntent, view: RiskView) -> Allowance:
    """No halt, hold or pause covers this strategy on this symbol."""
    if not view.against:
        return _gate("may_trade", intent, "", passes=True, because="no halt, hold or pause")
    code, why = view.against[0]
    return _gate("may_trade", intent, code, passes=False, because=why)


def pair_status(intent: OrderIntent, view: RiskView) -> Allowance:
    """Kraken lets a new order into this pair now."""
    status = view.instrument.status
    return _gate("pair_status", intent, "risk_pair_status", passes=status.may_submit, because=f"status is {status}")


def fresh_quote(intent: OrderIntent, view: RiskView) -> Allowance:
    """The quote is young enough to price from."""
    age, most = view.quote.age_ms, view.limits.quote_age_ms_max
    return _gate(
        "fresh_quote", intent, "risk_quote_stale", passes=age <= most, because=f"quote is {age} ms old, at most {most}"
    )


def tight_spread(intent: OrderIntent, view: RiskView) -> Allowance:
    """The market is not too wide to trade in."""
    spread = view.quote.ask.bps_from(view.quote.bid)
    most = view.limits.spread_bps_max
    because = f"spread is {spread:.2f} bps, at most {most}"
    return _gate("tight_spread", intent, "risk_spread", passes=spread <= most, because=because)


def price_collar(intent: OrderIntent, view: RiskView) -> Allowance:
    """The limit price is near two references: the middle of the book, and a fresh trade or else the last close."""
    quote, collar = view.quote, view.limits.collar_bps
    second, name = (quote.last_trade, "last trade") if quote.last_trade is not None else (view.last_close, "last close")
    if second is None:
        because = "no fresh trade and no close beside the middle of the book"
        return _gate("price_collar", intent, "risk_collar", passes=False, because=because)
    references = middle_of(quote.bid, quote.ask), second
    furthest = max(intent.limit_price.bps_from(reference).copy_abs() for reference in references)
    because = f"limit price is {furthest:.2f} bps from the middle and the {name}, at most {collar}"
    return _gate("price_collar", intent, "risk_collar", passes=furthest <= collar, because=because)


def account_fresh(intent: OrderIntent, view: RiskView) -> Allowance:
    """The venue's own account agreed with ours not long ago."""
    age_s, most = (view.at_ns - view.account_as_of_ns) // NANOS_PER_S, view.limits.account_age_s_max
    because = f"account reconciled {age_s} s ago, at most {most}"
    return _gate("account_fresh", intent, "risk_account_stale", passes=age_s <= most, because=because)


def nothing_unresolved(intent: OrderIntent, view: RiskView) -> Allowance:
    """No order on this pair has an unknown outcome."""
    unresolved = view.unresolved
    because = "no unresolved order" if unresolved is None else f"order {unresolved} is unresolved"
    return _gate("nothing_unresolved", intent, "risk_unresolved", passes=unresolved is None, because=because)


def order_rate(intent: OrderIntent, view: RiskView) -> Allowance:
    """Not too many orders in a minute or a day."""
    limits = view.limits
    passes = view.sent_last_minute < limits.orders_per_minute_max and view.sent_last_day < limits.orders_per_day_max
    because = (
        f"{view.sent_last_minute} of {limits.orders_per_minute_max} orders this minute, "
        f"{view.sent_last_day} of {limits.orders_per_day_max} in 24 h"
    )
    return _gate("order_rate", intent, "risk_order_rate", passes=passes, because=because)


def order_spacing(intent: OrderIntent, view: RiskView) -> Allowance:
    """The same strategy does not repeat itself on the same pair at once."""
    least = view.limits.order_spacing_s_min
    if view.last_sent_ns is None:
        return _gate("order_spacing", intent, "", passes=True, because="no order before")
    age_s = (view.at_ns - view.last_sent_ns) // NANOS_PER_S  # negative where the clock was set back over a restart
    because = f"last order {age_s} s ago, at least {least}"
    return _gate("order_spacing", intent, "risk_order_spacing", passes=age_s >= least or age_s < 0, because=because)


def order_value(_: OrderIntent, view: RiskView) -> Allowance:
    """One order's notional."""
    most = view.limits.order_usd_max
    return _room("order_value", "risk_order_value", most, f"at most {most} an order")


def nav_share(_: OrderIntent, view: RiskView) -> Allowance:
    """One order's share of equity."""
    bps = view.limits.order_nav_bps_max
    return _room("nav_share", "risk_nav_share", view.equity.bps(bps), f"{bps} bps of equity {view.equity}")


def cash_room(_: OrderIntent, view: RiskView) -> Allowance:
    """Free cash above the floor, net of every reservation, with the fee taken out."""
    limits = view.limits
    share = (view.cash_free - limits.cash_floor_usd).bps(limits.cash_bps_max)
    spendable = share.rounded_down(view.instrument.cost_decimals)  # the reservation is rounded up to these decimals
    room = Usd(MONEY.divide(spendable.amount, view.fee_factor))
    because = (
        f"{limits.cash_bps_max} bps of free cash {view.cash_free} above the floor {limits.cash_floor_usd}, "
        f"fee {view.fee_bps_worst} bps taken out"
    )
    return _room("cash_room", "risk_cash", room, because)


def symbol_exposure(_: OrderIntent, view: RiskView) -> Allowance:
    """The position in one pair, with what is on its way."""
    most = view.equity.bps(view.limits.exposure_symbol_bps_max)
    because = f"{view.exposure_symbol} of {most} in use"
    return _room("symbol_exposure", "risk_symbol_exposure", most - view.exposure_symbol, because)


def total_exposure(_: OrderIntent, view: RiskView) -> Allowance:
    """All positions together, with what is on its way."""
    most = view.equity.bps(view.limits.exposure_total_bps_max)
    because = f"{view.exposure_total} of {most} in use"
    return _room("total_exposure", "risk_total_exposure", most - view.exposure_total, because)


def daily_loss(intent: OrderIntent, view: RiskView) -> Allowance:
    """What was lost since 00:00 UTC."""
    loss, most = view.day_start - view.equity, view.day_start.bps(view.limits.daily_loss_bps_max)
    because = f"lost {max(NO_USD, loss)} today, at most {most}"
    return _gate("daily_loss", intent, "risk_daily_loss", passes=loss < most, because=because)


def drawdown(intent: OrderIntent, view: RiskView) -> Allowance:
    """What was lost since the highest equity."""
    drop, most = view.peak - view.equity, view.peak.bps(view.limits.drawdown_bps_max)
    because = f"{max(NO_USD, drop)} below the peak, at most {most}"
    return _gate("drawdown", intent, "risk_drawdown", passes=drop < most, because=because)


def edge_over_cost(intent: OrderIntent, view: RiskView) -> Allowance:
    """The expected edge pays fee, spread, slippage and margin."""
    costs = view.costs
    parts = (costs.fee_bps, costs.spread_bps, costs.slippage_bps, costs.margin_bps)
    total = reduce(MONEY.add, parts)
    because = (
        f"edge {costs.edge_bps} bps against {total} (fee {costs.fee_bps}, spread {costs.spread_bps}, "
        f"slippage {costs.slippage_bps}, margin {costs.margin_bps})"
    )
    return _gate("edge_over_cost", intent, "risk_edge", passes=costs.edge_bps > total, because=because)


def holding_room(intent: OrderIntent, view: RiskView) -> Allowance:
    """Only what the strategy holds and has not promised can be sold."""
    free, because = view.holding_free, f"{view.holding_free} coins free to sell"
    if intent.wanted_qty <= free:
        return _gate("holding_room", intent, "", passes=True, because=because)
    # Not rounded: the sizer takes these coins as they are, so that a full exit leaves nothing.
    return Allowance("holding_room", intent.limit_price.times(free), because, "risk_holding")


_ALWAYS: tuple[Check, ...] = (
    may_trade,
    pair_status,
    fresh_quote,
    tight_spread,
    price_collar,
    account_fresh,
    nothing_unresolved,
    order_rate,
    order_spacing,
    order_value,
)

# A sell only ever lowers risk here (there are no shorts), so loss limits and the edge never stand in its way.
# What people want sold is sold in a wide market too, but never outside the collar.
EXIT_CHECKS: tuple[Check, ...] = (*(check for check in _ALWAYS if check is not tight_spread), holding_room)

CHECKS: dict[Side, tuple[Check, ...]] = {
    Side.BUY: (
        *_ALWAYS,
        nav_share,
        cash_room,
        symbol_exposure,
        total_exposure,
        daily_loss,
        drawdown,
        edge_over_cost,
    ),
    Side.SELL: (*_ALWAYS, holding_room),
}
