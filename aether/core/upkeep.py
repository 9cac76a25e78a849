"""What time alone asks for: marks of equity, loss limits, old orders, the next look at the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aether.core.halts import ALL, HoldCause
from aether.core.orders import Order, OrderState
from aether.core.reconcile import decidable_ns
from aether.core.valuation import value, worth
from aether.core.workbench import Workbench
from aether.domain.facts import EquityMarked
from aether.domain.orders import TimeInForce
from aether.domain.values import MONEY, NANOS_PER_S, Usd

PEAK_STEP_BPS = 10  # a new peak is written when it is so much higher: the drawdown is known to within this
LOSS_HALTS = frozenset({"halt_daily_loss", "halt_drawdown"})
_MARK_DECIMALS = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CANCEL_RETRY_S_MAX = 60
_CLOCK_FRESH_NS = 120 * NANOS_PER_S  # several of the feed's pings unanswered, or its link lost
_ASK_LOST_NS = 120 * NANOS_PER_S


def utc_day(at_ns: int) -> str:
    """Day in UTC, `YYYY-MM-DD`."""
    return (_EPOCH + timedelta(seconds=at_ns // NANOS_PER_S)).strftime("%Y-%m-%d")


def doubt_clock(bench: Workbench) -> None:
    """Hold new orders back once the venue's clock was not heard for long: their deadlines are in its time."""
    measured_ns = bench.market.clock_at_ns
    if measured_ns is not None and bench.now_ns - measured_ns > _CLOCK_FRESH_NS:
        age_s = _CLOCK_FRESH_NS // NANOS_PER_S
        bench.hold(HoldCause.CLOCK, ALL, f"our clock was not compared with the venue's for {age_s} s")


def mark_equity(bench: Workbench) -> None:
    """Write the day's first equity and each new peak, and halt where a loss limit is reached.

    A peak is the lower of two ticks in a row, and a loss counts where both are beyond its limit: a price that stood for
    one tick alone would be remembered for ever, or stop the trade until people come.
    """
    settle_flows(bench)
    ledger, day = bench.ledger, utc_day(bench.now_ns)
    valuation = value(ledger, bench.market) if ledger.account_as_of_ns is not None else None
    before, bench.equity_before = bench.equity_before, valuation.equity if valuation is not None else None
    if valuation is None:
        return
    equity, mark = valuation.equity, ledger.mark
    lower = equity if before is None else min(before, equity)
    if mark is None:
        bench.emit(EquityMarked(day, equity, equity, equity))
    elif mark.day != day:
        bench.emit(EquityMarked(day, lower, lower, max(mark.peak, lower)))
    elif before is not None and lower >= mark.peak + mark.peak.bps(PEAK_STEP_BPS):
        bench.emit(EquityMarked(day, lower, mark.day_start, lower))
    if before is not None:
        _halt_on_loss(bench, max(before, equity))


def settle_flows(bench: Workbench) -> None:
    """Move the marks with the money that people moved, so that what was lost stays the same share of them.

    While a price is missing the flows wait, over restarts too: they are settled with the first one.
    """
    ledger, mark = bench.ledger, bench.ledger.mark
    if not ledger.flows or mark is None:
        return
    valuation, moved = value(ledger, bench.market), worth(ledger.flows, bench.market)
    if valuation is None or moved is None or not moved.equity.amount:
        return
    before = valuation.equity - moved.equity
    bench.emit(EquityMarked(mark.day, valuation.equity, *_in_proportion(before, valuation.equity, mark)))
    bench.equity_before = None  # of another sum


def _in_proportion(before: Usd, after: Usd, mark: EquityMarked) -> tuple[Usd, Usd]:
    """The day's start and the peak as they would have been with that money there; where all is new, what there is."""
    if before.amount <= 0:
        return after, after
    share = MONEY.divide(after.amount, before.amount)
    day_start, peak = mark.day_start.scaled(share), mark.peak.scaled(share)
    return day_start.rounded_down(_MARK_DECIMALS), peak.rounded_down(_MARK_DECIMALS)


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
    """Cancel what may rest no longer; repeat cancels that were not shown done, and ask after them."""
    policy, now_ns = bench.policy.orders, bench.now_ns
    for order in tuple(bench.ledger.unsettled.values()):
        if order.state is not OrderState.OPEN or order.is_full:
            continue
        age_ns = now_ns - order.submitted_ns
        if order.cancel_asked_ns is not None:
            if now_ns - order.cancel_asked_ns >= _cancel_wait_ns(bench, order) and _may_cancel(bench, order):
                bench.request_cancel(order.cl_ord_id, "the cancel was not shown done")
                bench.ask_account(f"the cancel of {order.cl_ord_id} was not shown done")
        elif not bench.may_rest(order):  # it was in flight or unresolved when the halt or the stop came
            if _may_cancel(bench, order):
                bench.request_cancel(order.cl_ord_id, "halted or stopping")
        elif _is_ioc(order):
            continue  # it ends by itself; the account is asked after it
        elif age_ns >= policy.resting_s_max * NANOS_PER_S and _may_cancel(bench, order):
            bench.request_cancel(order.cl_ord_id, f"rested {policy.resting_s_max} s")


def _is_ioc(order: Order) -> bool:
    return order.submitted.time_in_force is TimeInForce.IOC


def _cancel_wait_ns(bench: Workbench, order: Order) -> int:
    """Twice as long for each repeat: what the venue does not show now it may not show for the whole of an outage."""
    first_s = bench.policy.orders.cancel_retry_s
    return min(first_s * (1 << max(0, order.cancels - 1)), max(first_s, _CANCEL_RETRY_S_MAX)) * NANOS_PER_S


def _may_cancel(bench: Workbench, order: Order) -> bool:
    """Kraken takes no cancels in maintenance; they are sent when it is back."""
    instrument = bench.ledger.instruments.get(order.symbol)
    return bench.market.system_status != "maintenance" and (instrument is None or instrument.status.may_cancel)


def tend_account(bench: Workbench) -> None:
    """Look at the account again when it is time: each minute, or sooner while something is unresolved.

    Above all while the private stream is down, for then there is no other way to hear what became of an order.
    """
    if bench.asked_ns is not None and bench.now_ns - bench.asked_ns > _ASK_LOST_NS:
        bench.asked_ns = None
    if bench.now_ns >= bench.next_ask_ns and bench.asked_ns is None:
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
        elif order.state is OrderState.DONE or order.is_full or (order.state is OrderState.OPEN and _is_ioc(order)):
            interval_ns = min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S)
    return min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S) if bench.suspects else interval_ns
