"""What the operator allows and wants, as the core sees it: exact numbers only, frozen, part of a tape's header."""

from __future__ import annotations

from dataclasses import dataclass

from aether.domain.values import Symbol, Usd


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Upper bounds. Basis points are of equity unless the name says otherwise; every limit is set by the operator."""

    order_usd_max: Usd
    order_nav_bps_max: int
    cash_bps_max: int  # of the free cash above the floor
    cash_floor_usd: Usd
    exposure_symbol_bps_max: int
    exposure_total_bps_max: int
    daily_loss_bps_max: int
    drawdown_bps_max: int
    collar_bps: int
    spread_bps_max: int
    quote_age_ms_max: int
    account_age_s_max: int
    orders_per_minute_max: int
    orders_per_day_max: int
    order_spacing_s_min: int
    duplicate_s: int
    executions_max: int
    executions_window_s: int


@dataclass(frozen=True, slots=True)
class Regime:
    """From this ratio of short to long volatility on (in percent), sizes are this percentage of normal."""

    name: str
    ratio_percent_min: int
    size_percent: int


@dataclass(frozen=True, slots=True)
class SizingPolicy:
    """How a target becomes dollars: a daily risk budget over volatility, scaled by regime, gated by edge over cost."""

    risk_budget_bps: int  # of equity, per day and symbol, at full target
    volatility_floor_bps: int  # per day
    volatility_bars_short: int
    volatility_bars_long: int
    regimes: tuple[Regime, ...]  # ascending ratio_percent_min, the first at 0
    edge_margin_bps: int
    fee_fallback_bps: int  # until the account's own rates are known
    rebalance_band_bps: int  # of the target position: smaller wishes are not worth an order
    rebalance_usd_min: Usd

    def regime(self, ratio_percent: int) -> Regime:
        """The last regime whose threshold the ratio reaches."""
        return [regime for regime in self.regimes if regime.ratio_percent_min <= ratio_percent][-1]


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """How orders are sent and waited for. `dead_man_s` of 0 leaves the dead man's switch alone."""

    deadline_ms: int
    resting_s_max: int
    cancel_retry_s: int
    view_lag_s: int
    clock_error_ms: int
    reconcile_s: int
    unresolved_retry_s: int
    clock_offset_ms_max: int
    cancel_on_stop: bool
    dead_man_s: int = 0


@dataclass(frozen=True, slots=True)
class TrendParameters:
    """Settings of the trend strategy; see `core/strategies/trend.py`."""

    id: str
    symbols: tuple[Symbol, ...]
    bar_s: int
    fast_bars: int
    slow_bars: int
    full_score_percent: int
    step_bps: int
    edge_percent: int
    passive: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the core is told about wishes and limits."""

    risk: RiskLimits
    sizing: SizingPolicy
    orders: OrderPolicy
    trends: tuple[TrendParameters, ...]

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """Symbols in use, each once, in the order of the strategies."""
        return tuple(dict.fromkeys(symbol for trend in self.trends for symbol in trend.symbols))
