"""What the settings say, in the core's own words."""

from __future__ import annotations

from typing import Any

from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy, TrendParameters
from aether.domain.errors import BadConfiguration
from aether.domain.spot_gate import GatePolicy, GateRefusal, SpotGate
from aether.domain.values import Symbol, Usd
from aether.runtime.supervisor import Pace
from aether.settings import Settings, Trend

TICK_MS = 250


def gate_of(settings: Settings, listings: Any) -> SpotGate:
    """Kraken's list seen through the settings. Raises BadConfiguration for a pair that is not ours."""
    excluded = frozenset(base.upper() for base in settings.symbols.excluded_bases)
    wide = SpotGate(listings, GatePolicy(excluded))
    allowed = frozenset(_admitted(wide, name, "symbols.trade") for name in settings.symbols.trade)
    return SpotGate(listings, GatePolicy(excluded, allowed))


def _admitted(gate: SpotGate, name: str, key: str) -> Symbol:
    symbol = gate.admit(name)
    if isinstance(symbol, GateRefusal):
        raise BadConfiguration(f"{key}: {name} is refused ({symbol.code}): {symbol.why}", "remove it from the list")
    return symbol


def policy_of(settings: Settings, gate: SpotGate) -> Policy:
    """What the core is told, in its own types. Raises BadConfiguration for a strategy's pair that is not traded."""
    sizing = settings.sizing.model_dump(exclude={"regimes", "rebalance_usd_min"})
    orders = settings.orders.model_dump(exclude={"stall_ms_max", "stop_s_max", "account_is_ours"})
    return Policy(
        risk=RiskLimits(**_with_usd(settings.risk.model_dump())),
        sizing=SizingPolicy(
            **sizing,
            rebalance_usd_min=Usd(settings.sizing.rebalance_usd_min),
            regimes=tuple(Regime(**regime.model_dump()) for regime in settings.sizing.regimes),
        ),
        orders=OrderPolicy(**orders),
        trends=tuple(_trend(name, trend, gate) for name, trend in settings.strategies.items()),
    )


def _with_usd(values: dict[str, Any]) -> dict[str, Any]:
    return {key: Usd(value) if "_usd" in key else value for key, value in values.items()}


def _trend(name: str, trend: Trend, gate: SpotGate) -> TrendParameters:
    key = f"strategies.{name}.symbols"
    return TrendParameters(
        id=name,
        symbols=tuple(_admitted(gate, symbol, key) for symbol in trend.symbols),
        bar_s=trend.bar_s,
        fast_bars=trend.fast_bars,
        slow_bars=trend.slow_bars,
        full_score_percent=trend.full_score_percent,
        step_bps=trend.step_bps,
        edge_percent=trend.edge_percent,
        passive=trend.execution == "make",
    )


def pace_of(settings: Settings) -> Pace:
    """How often the program ticks and what it tolerates."""
    return Pace(
        tick_ms=TICK_MS,
        stall_ms_max=settings.orders.stall_ms_max,
        disk_reserve_bytes=settings.journal.disk_reserve_mb * 1_000_000,
        stop_s_max=settings.orders.stop_s_max,
    )
