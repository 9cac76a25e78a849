"""What time alone asks for: marks of equity, loss limits, old orders, the next look at the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aether.core.halts import ALL, covering_scopes
from aether.core.orders import Order, OrderState
from aether.core.reconcile import decidable_ns
from aether.core.valuation import value
from aether.domain.facts import EquityMarked
from aether.domain.orders import TimeInForce
from aether.domain.values import NANOS_PER_S, Usd

if TYPE_CHECKING:
    from aether.core.engine import Engine

PEAK_STEP_BPS = 10  # a new peak is written when it is so much higher: the drawdown is known to within this
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IOC_ANSWER_NS = 5 * NANOS_PER_S
_ASK_LOST_NS = 120 * NANOS_PER_S


def utc_day(at_ns: int) -> str:
    """Day in UTC, `YYYY-MM-DD`."""
    return (_EPOCH + timedelta(seconds=at_ns // NANOS_PER_S)).strftime("%Y-%m-%d")


def mark_equity(engine: Engine) -> None:
    """Write the day's first equity and each new peak, and halt where a loss limit is reached."""
    ledger, day = engine.ledger, utc_day(engine.now_ns)
    valuation = value(ledger, engine.market) if ledger.account_as_of_ns is not None else None
    if valuation is None:
        return
    equity, mark = valuation.equity, ledger.mark
    if mark is None:
        engine.emit(EquityMarked(day, equity, equity, equity))
    elif mark.day != day:
        engine.emit(EquityMarked(day, equity, equity, max(mark.peak, equity)))
    elif equity >= mark.peak + mark.peak.bps(PEAK_STEP_BPS):
        engine.emit(EquityMarked(day, equity, mark.day_start, equity))
    _halt_on_loss(engine, equity)


def _halt_on_loss(engine: Engine, equity: Usd) -> None:
    mark, limits = engine.ledger.mark, engine.policy.risk
    if mark is None:
        return
    loss, drop = mark.day_start - equity, mark.peak - equity
    if loss.amount > 0 and loss >= mark.day_start.bps(limits.daily_loss_bps_max):
        engine.halt(ALL, "halt_daily_loss", f"lost {loss} since 00:00 UTC, limit {limits.daily_loss_bps_max} bps")
    elif drop.amount > 0 and drop >= mark.peak.bps(limits.drawdown_bps_max):
        engine.halt(ALL, "halt_drawdown", f"{drop} below the peak, limit {limits.drawdown_bps_max} bps")


def cancel_in_scope(engine: Engine, scope: str, why: str) -> None:
    """Ask for the cancel of each of our open orders in this scope. Orders of others are never touched."""
    for order in tuple(engine.ledger.unsettled.values()):
        scopes = covering_scopes(order.symbol, order.submitted.strategy)
        if order.state is OrderState.OPEN and order.cancel_asked_ns is None and scope in scopes:
            engine.request_cancel(order.cl_ord_id, why)


def may_rest(engine: Engine, order: Order) -> bool:
    """No halt covers the order, and no stop is to leave the book empty: it may stay."""
    if engine.ledger.is_stopping and engine.policy.orders.cancel_on_stop:
        return False
    scopes = covering_scopes(order.symbol, order.submitted.strategy)
    return not any(scope in engine.ledger.halts for scope in scopes)


def tend_orders(engine: Engine) -> None:
    """Cancel what may rest no longer, repeat cancels that were not shown done, ask after what should have ended."""
    policy, now_ns = engine.policy.orders, engine.now_ns
    for order in tuple(engine.ledger.unsettled.values()):
        if order.state is not OrderState.OPEN or order.is_full:
            continue
        age_ns = now_ns - order.submitted_ns
        if order.cancel_asked_ns is not None:
            if now_ns - order.cancel_asked_ns >= policy.cancel_retry_s * NANOS_PER_S and _may_cancel(engine, order):
                engine.request_cancel(order.cl_ord_id, "the cancel was not shown done")
        elif not may_rest(engine, order):  # it was in flight or unresolved when the halt or the stop came
            if _may_cancel(engine, order):
                engine.request_cancel(order.cl_ord_id, "halted or stopping")
        elif order.submitted.time_in_force is TimeInForce.IOC:
            if age_ns >= _IOC_ANSWER_NS and now_ns >= engine.next_ask_ns and engine.asked_ns is None:
                engine.ask_account(f"{order.cl_ord_id} should have ended at once")
        elif age_ns >= policy.resting_s_max * NANOS_PER_S and _may_cancel(engine, order):
            engine.request_cancel(order.cl_ord_id, f"rested {policy.resting_s_max} s")


def _may_cancel(engine: Engine, order: Order) -> bool:
    """Kraken takes no cancels in maintenance; they are sent when it is back."""
    instrument = engine.ledger.instruments.get(order.symbol)
    return engine.market.system_status != "maintenance" and (instrument is None or instrument.status.may_cancel)


def tend_account(engine: Engine) -> None:
    """Look at the account again when it is time: each minute, or sooner while something is unresolved."""
    if engine.asked_ns is not None and engine.now_ns - engine.asked_ns > _ASK_LOST_NS:
        engine.asked_ns = None
    is_due = engine.now_ns >= engine.next_ask_ns and engine.asked_ns is None
    if is_due and engine.stream_live_ns is not None:
        engine.next_ask_ns = engine.now_ns + account_interval_ns(engine)
        engine.ask_account("it is time")


def account_interval_ns(engine: Engine) -> int:
    """How long the next look may wait."""
    policy, ledger = engine.policy.orders, engine.ledger
    interval_ns = policy.reconcile_s * NANOS_PER_S
    for order in ledger.unsettled.values():
        if order.state is OrderState.UNRESOLVED:
            known_ns = decidable_ns(order, policy, engine.market.clock_error_ns) - engine.market.clock_offset_ns
            interval_ns = min(interval_ns, max(policy.unresolved_retry_s * NANOS_PER_S, known_ns - engine.now_ns))
        elif order.state is OrderState.DONE or order.is_full:
            interval_ns = min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S)
    return min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S) if engine.suspects else interval_ns
