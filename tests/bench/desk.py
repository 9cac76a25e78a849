"""A core that wants an order at every book: started by hand, with limits far away and time as it is."""

from __future__ import annotations

from decimal import Decimal

from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy, TrendParameters
from aether.domain.inputs import (
    AccountSeen,
    Bar,
    ClockMeasured,
    HistorySeen,
    Input,
    InstrumentSeen,
    RunBegan,
    SystemStatusSeen,
)
from aether.domain.instruments import Instrument, PairStatus
from aether.domain.orders import AssetBalance
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Qty, Symbol, Usd

BTC = recall("BTC/USD")
_FAR = 1_000_000_000


def instrument(symbol: Symbol = BTC) -> Instrument:
    """Rules of a pair as the made streams have it."""
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("/USD"),
        tick=Decimal("0.1"),
        lot=Decimal("0.00000001"),
        price_decimals=1,
        qty_decimals=8,
        cost_decimals=5,
        qty_min=Qty(Decimal("0.0001")),
        cost_min=Usd(Decimal("0.5")),
        status=PairStatus.ONLINE,
    )


def policy() -> Policy:
    """All checks on, none of them near; the strategy is long as soon as it is warm."""
    risk = RiskLimits(
        order_usd_max=Usd(Decimal(5000)),
        order_nav_bps_max=5000,
        cash_bps_max=9000,
        cash_floor_usd=Usd(Decimal(100)),
        exposure_symbol_bps_max=5000,
        exposure_total_bps_max=8000,
        daily_loss_bps_max=5000,
        drawdown_bps_max=5000,
        collar_bps=5000,
        spread_bps_max=500,
        quote_age_ms_max=5000,
        account_age_s_max=_FAR,
        orders_per_minute_max=_FAR,
        orders_per_day_max=_FAR,
        order_spacing_s_min=0,
        duplicate_s=0,
        executions_max=1_000,
        executions_window_s=600,
    )
    sizing = SizingPolicy(1000, 150, 5, 20, (Regime("calm", 0, 100),), 2, 40, 1500, Usd(Decimal(50)))
    orders = OrderPolicy(5000, 30, 5, 60, 1000, _FAR, 10, 5000, cancel_on_stop=False)
    trend = TrendParameters("trend", (BTC,), 60, 2, 4, 50, 2500, 10_000, passive=False)
    return Policy(risk, sizing, orders, (trend,))


def engine() -> Engine:
    """A core that has heard nothing yet."""
    return Engine(policy(), Ledger())


def opening(at_ns: int) -> tuple[Input, ...]:
    """All that a start hears but the private stream, the first book, and the tick that marks equity."""
    closes = [Decimal(64_500) * Decimal("1.002") ** step for step in range(-40, 1)]
    first_s = at_ns // NANOS_PER_S // 60 * 60 - 60 * len(closes)
    bars = tuple(Bar(first_s + 60 * place, x, x, x, x, Decimal(1)) for place, x in enumerate(closes))
    balances = tuple(AssetBalance(asset, Decimal(total), Decimal(0)) for asset, total in (("USD", 10_000), ("BTC", 0)))
    views = ("balances", "executions", "open", "closed", "trades")
    return (
        RunBegan(1, "abcd", "bench-1", "sandbox", False, "0.1.0", "d", 1, crash_loop=False),  # noqa: FBT003
        ClockMeasured(0, 0),
        SystemStatusSeen("online"),
        InstrumentSeen(instrument()),
        HistorySeen(BTC, 60, bars),
        AccountSeen(at_ns, at_ns, at_ns - 3600 * NANOS_PER_S, views, balances, (), (), (), ()),
    )
