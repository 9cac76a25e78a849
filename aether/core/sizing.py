"""The smallest allowance, rounded down to lot and tick, or a refusal that says what bound and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from aether.core.intents import OrderIntent
from aether.core.risk import CHECKS, Check, RiskView
from aether.domain.facts import Allowance, CostEstimate, Decision
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NO_QTY, NO_USD, Bps, Price, Qty, Usd

WANTED = "wanted"
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class SizedOrder:
    """An intent that every check let through: quantity on the lot, price on the tick, and its worst case reserved."""

    intent: OrderIntent
    qty: Qty
    limit_price: Price
    reserved: Usd
    decision: Decision


@dataclass(frozen=True, slots=True)
class RefusedIntent:
    """An intent that became no order. `code` is from `domain/codes.py`."""

    intent: OrderIntent
    code: str
    why: str
    decision: Decision


def size_order(
    intent: OrderIntent, view: RiskView, checks: tuple[Check, ...] | None = None
) -> SizedOrder | RefusedIntent:
    """Turn a wish into the largest order that every check allows.

    Rounding never lets risk grow: the price of a buy rounds down and of a sell up to the tick, the quantity down to the
    lot, the reservation up to the cent's last decimal. Never raises for a market condition. `checks` are those of its
    side unless named.

    Returns:
        The order, or a refusal naming the check that bound; both carry every allowance and number.

    Example:
        600 USD of cash, 1000 of room, price 100 000, lot 0.0001 -> 0.0060 coins, bound by cash_room.
    """
    allowances = tuple(check(intent, view) for check in checks or CHECKS[intent.side])
    binding = min(allowances, key=lambda allowance: allowance.at_most.amount)
    price = view.instrument.limit_price(intent.side, intent.limit_price)
    if binding.check == "holding_room" and intent.wanted_qty > view.holding_free:
        qty = view.holding_free  # coins, not dollars and back: the division could lose a lot
    elif binding.at_most < intent.wanted:
        qty = min(price.coins_for(binding.at_most), intent.wanted_qty)
    else:
        binding, qty = Allowance(WANTED, intent.wanted, "no check bound"), intent.wanted_qty
    qty = view.instrument.qty_down(qty)
    decision = _decision(intent, view, allowances, binding.check)
    if binding.at_most == NO_USD:
        return RefusedIntent(intent, binding.code, binding.because, decision)
    shortfall = _shortfall_text(qty, price, view)
    if shortfall:
        code = "size_below_minimum" if binding.check == WANTED else binding.code
        return RefusedIntent(intent, code, f"{shortfall}; bound by {binding.check}: {binding.because}", decision)
    if (intent.side, qty, price) in view.asked_lately:
        because = f"{intent.side} of {qty} at {price} was asked for less than {view.limits.duplicate_s} s ago"
        twin = Allowance("no_duplicate", NO_USD, because, "risk_duplicate")
        decision = _decision(intent, view, (*allowances, twin), twin.check)
        return RefusedIntent(intent, twin.code, because, decision)
    return SizedOrder(intent, qty, price, _reservation(intent.side, qty, price, view), decision)


def _reservation(side: Side, qty: Qty, price: Price, view: RiskView) -> Usd:
    if side is Side.SELL:
        return NO_USD
    return price.times(qty).scaled(view.fee_factor).rounded_up(view.instrument.cost_decimals)


def _shortfall_text(qty: Qty, price: Price, view: RiskView) -> str:
    coins, usd = view.instrument.shortfall(qty, price)
    missing = []
    if coins:
        missing.append(f"{coins} coins short of ordermin {view.instrument.qty_min}")
    if usd.amount or qty == NO_QTY:
        missing.append(f"{usd} USD short of costmin {view.instrument.cost_min}")
    return "; ".join(missing)


def _decision(intent: OrderIntent, view: RiskView, allowances: tuple[Allowance, ...], binding: str) -> Decision:
    return Decision(
        wanted=intent.wanted,
        equity=view.equity,
        cash_free=view.cash_free,
        position=view.position,
        volatility_bps=view.volatility_bps,
        volatility_used_bps=view.volatility_used_bps,
        regime=view.regime,
        regime_percent=view.regime_percent,
        quote=view.quote,
        costs=view.costs,
        allowances=allowances,
        binding=binding,
        instrument_version=view.instrument.version,
    )


def estimate_costs(
    *, edge_bps: Bps, fee_bps: Decimal, bid: Price, ask: Price, average: Price | None, passive: bool, margin_bps: int
) -> CostEstimate:
    """What an order costs beside its price, in basis points of its notional, each rounded up to a hundredth.

    Half the spread is paid by whoever crosses; slippage is what the visible depth adds to the touch. A passive order
    pays neither.
    """
    spread = Decimal(0) if passive else MONEY.divide(ask.bps_from(bid), Decimal(2))
    slippage = Decimal(0)
    if average is not None and not passive:
        touch = ask if average >= ask else bid
        slippage = average.bps_from(touch).copy_abs()
    return CostEstimate(
        edge_bps=Decimal(edge_bps),
        fee_bps=fee_bps,
        spread_bps=spread.quantize(_HUNDREDTH, ROUND_UP, MONEY),
        slippage_bps=slippage.quantize(_HUNDREDTH, ROUND_UP, MONEY),
        margin_bps=Decimal(margin_bps),
    )
