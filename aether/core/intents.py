"""Signal minus what is held or in flight: an intent, or nothing. Unchanged wishes are silent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aether.core.policy import SizingPolicy
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NO_QTY, NO_USD, Bps, Price, Qty, Symbol, Usd

FINEST_LOT = Decimal("1e-10")  # finer than any lot of Kraken's (at most 8 decimals)


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """A wish: so many coins at this price or better. `wanted` is its notional with no limit at all."""

    strategy: str
    symbol: Symbol
    side: Side
    limit_price: Price
    wanted: Usd
    wanted_qty: Qty
    edge_bps: Bps
    passive: bool


def target_position(
    equity: Usd, target_bps: int, volatility_used_bps: int, regime_percent: int, policy: SizingPolicy
) -> Usd:
    """Dollars of position that spend the daily risk budget at this volatility, scaled by target and regime.

    Example:
        Equity 100 000, budget 50 bps a day, volatility 400 bps a day, target 10 000, regime 100 % -> 12 500.
    """
    if target_bps <= 0 or equity.amount <= 0:
        return NO_USD
    share = Decimal(policy.risk_budget_bps * target_bps * regime_percent)
    return Usd(MONEY.divide(equity.scaled(share).amount, Decimal(volatility_used_bps * 1_000_000)))


def is_worth_an_order(target: Usd, position: Usd, policy: SizingPolicy) -> bool:
    """The distance to the target passes the rebalancing band; leaving a market is always worth it."""
    distance = (target - position).amount.copy_abs()
    if not target.amount:
        return position.amount > 0
    return distance >= max(policy.rebalance_usd_min.amount, target.bps(policy.rebalance_band_bps).amount)


def wish(
    *, strategy: str, symbol: Symbol, target: Usd, held: Qty, bid: Price, ask: Price, edge_bps: Bps, passive: bool
) -> OrderIntent | None:
    """The intent that leads from what is held to the target, at the touch; None where it needs nothing.

    A passive intent joins its own side of the book, the other crosses it.
    """
    position = bid.times(held)
    side = Side.BUY if target > position else Side.SELL
    limit_price = (bid if side is Side.BUY else ask) if passive else (ask if side is Side.BUY else bid)
    if side is Side.BUY:
        wanted_qty = limit_price.coins_for(target - position)
    else:
        wanted_qty = held if not target.amount else min(held, limit_price.coins_for(position - target))
    wanted_qty = wanted_qty.rounded_down(FINEST_LOT)  # a record of sixty digits would explain nothing
    if wanted_qty == NO_QTY:
        return None
    return OrderIntent(
        strategy, symbol, side, limit_price, limit_price.times(wanted_qty), wanted_qty, edge_bps, passive
    )
