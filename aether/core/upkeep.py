"""What time alone asks for: marks of equity, loss limits, old orders, the next look at the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aether.core.halts import ALL
from aether.core.orders import Order, OrderState
from aether.core.reconcile import decidable_ns
from aether.core.valuation import value
from aether.core.workbench import Workbench
from aether.domain.facts import EquityMarked
from aether.domain.orders import TimeInForce
from aether.domain.values import NANOS_PER_S, Usd

PEAK_STEP_BPS = 10  # a new peak is written when it is so much higher: the drawdown is known to within this
LOSS_HALTS = frozenset({"halt_daily_loss", "halt_drawdown"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IOC_ANSWER_NS = 5 * NANOS_PER_S
_ASK_LOST_NS = 120 * NANOS_PER_S


def utc_day(at_ns: int) -> str:
    """Day in UTC, `YYYY-MM-DD`."""
    return (_EPOCH + timedelta(seconds=at_ns // NANOS_PER_S)).strftime("%Y-%m-%d")


def mark_equity(bench: Workbench) -> None:
    """Write the day's first equity and each new peak, and halt where a loss limit is reached."""
    ledger, day = bench.ledger, utc_day(bench.now_ns)
    valuation = value(ledger, bench.market) if ledger.account_as_of_ns is not None else None
    if valuation is None:
        return
    equity, mark = valuation.equity, ledger.mark
    if mark is None:
        bench.emit(EquityMarked(day, equity, equity, equity))
    elif mark.day != day:
        bench.emit(EquityMarked(day, equity, equity, max(mark.peak, equity)))
    elif equity >= mark.peak + mark.peak.bps(PEAK_STEP_BPS):
        bench.emit(EquityMarked(day, equity, mark.day_start, equity))
    _halt_on_loss(bench, equity)


def accept_loss(bench: Workbench) -> None:
    """People resumed after a loss limit: it is counted anew from here, or the next tick would halt again."""
    valuation = value(bench.ledger, bench.market)
    if valuation is not None:
        equity = valuation.equity
        bench.emit(EquityMarked(utc_day(bench.now_ns), equity, equity, equity))


def _halt_on_loss(bench: Workbench, equity: Usd) -> None:
    mark, limits = bench.ledger.mark, bench.policy.risk
    if mark is None:
        return
    loss, drop = mark.day_start - equity, mark.peak - equity
    if loss.amount > 0 and loss >= mark.day_start.bps(limits.daily_loss_bps_max):
        bench.halt(ALL, "halt_daily_loss", f"lost {loss} since 00:00 UTC, limit {limits.daily_loss_bps_max} bps")
    elif drop.amount > 0 and drop >= mark.peak.bps(limits.drawdown_bps_max):
        bench.halt(ALL, "halt_drawdown", f"{drop} below the peak, limit {limits.drawdown_bps_max} bps")


def tend_orders(bench: Workbench) -> None:
    """Cancel what may rest no longer, repeat cancels that were not shown done, ask after what should have ended."""
    policy, now_ns = bench.policy.orders, bench.now_ns
    for order in tuple(bench.ledger.unsettled.values()):
        if order.state is not OrderState.OPEN or order.is_full:
            continue
        age_ns = now_ns - order.submitted_ns
        if order.cancel_asked_ns is not None:
            if now_ns - order.cancel_asked_ns >= policy.cancel_retry_s * NANOS_PER_S and _may_cancel(bench, order):
                bench.request_cancel(order.cl_ord_id, "the cancel was not shown done")
        elif not bench.may_rest(order):  # it was in flight or unresolved when the halt or the stop came
            if _may_cancel(bench, order):
                bench.request_cancel(order.cl_ord_id, "halted or stopping")
        elif order.submitted.time_in_force is TimeInForce.IOC:
            if age_ns >= _IOC_ANSWER_NS and now_ns >= bench.next_ask_ns and bench.asked_ns is None:
                bench.ask_account(f"{order.cl_ord_id} should have ended at once")
        elif age_ns >= policy.resting_s_max * NANOS_PER_S and _may_cancel(bench, order):
            bench.request_cancel(order.cl_ord_id, f"rested {policy.resting_s_max} s")


def _may_cancel(bench: Workbench, order: Order) -> bool:
    """Kraken takes no cancels in maintenance; they are sent when it is back."""
    instrument = bench.ledger.instruments.get(order.symbol)
    return bench.market.system_status != "maintenance" and (instrument is None or instrument.status.may_cancel)


def tend_account(bench: Workbench) -> None:
    """Look at the account again when it is time: each minute, or sooner while something is unresolved."""
    if bench.asked_ns is not None and bench.now_ns - bench.asked_ns > _ASK_LOST_NS:
        bench.asked_ns = None
    is_due = bench.now_ns >= bench.next_ask_ns and bench.asked_ns is None
    if is_due and bench.stream_live_ns is not None:
        bench.next_ask_ns = bench.now_ns + account_interval_ns(bench)
        bench.ask_account("it is time")


def account_interval_ns(bench: Workbench) -> int:
    """How long the next look may wait."""
    policy, ledger = bench.policy.orders, bench.ledger
    interval_ns = policy.reconcile_s * NANOS_PER_S
    for order in ledger.unsettled.values():
        if order.state is OrderState.UNRESOLVED:
            known_ns = decidable_ns(order, policy, bench.market.clock_error_ns) - bench.market.clock_offset_ns
            interval_ns = min(interval_ns, max(policy.unresolved_retry_s * NANOS_PER_S, known_ns - bench.now_ns))
        elif order.state is OrderState.DONE or order.is_full:
            interval_ns = min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S)
    return min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S) if bench.suspects else interval_ns
