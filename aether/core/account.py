"""What is heard of our own orders and account. The venue owns what happened: a fill counts in every state."""

from __future__ import annotations

from aether.core import reconcile
from aether.core.halts import ALL, HoldCause, symbol_scope
from aether.core.orders import Event, Order, OrderState
from aether.core.reconcile import Mismatch
from aether.core.upkeep import account_interval_ns
from aether.core.workbench import Workbench
from aether.domain.effects import CancelOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    CancelRequested,
    DifferenceFound,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    FeesAdopted,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderRefused,
    OrderSurprised,
    Reconciled,
)
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    CancelAnswered,
    FeesSeen,
    FillReported,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    PrivateStreamLost,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.orders import OrderReport, VenueStatus
from aether.domain.values import NANOS_PER_S

_ENDS_OF_THE_VENUE = frozenset(status.value for status in VenueStatus if status.is_terminal)


def stream_live(bench: Workbench, _: PrivateStreamLive) -> None:
    """The private stream is live: take the account as it is now."""
    bench.stream_live_ns = bench.now_ns
    bench.asked_ns = None  # an answer under way may be older than the stream
    bench.ask_account("the private stream is live")


def stream_lost(bench: Workbench, lost: PrivateStreamLost) -> None:
    """Nothing is known of our orders until it is live again."""
    bench.stream_live_ns = None
    bench.hold(HoldCause.PRIVATE_STREAM, ALL, lost.why)


def private_malformed(bench: Workbench, malformed: PrivateMalformed) -> None:
    """It was about money, so the account is asked for."""
    bench.ask_account(f"a private message could not be read: {malformed.why}")


def submit_accepted(bench: Workbench, answer: SubmitAccepted) -> None:
    """The venue's gate took an order."""
    if _own(bench, answer.cl_ord_id).order_id is None:  # else a late or second answer, which adds nothing
        bench.emit(OrderAccepted(answer.cl_ord_id, answer.order_id))
    order = _own(bench, answer.cl_ord_id)
    if order.state is OrderState.OPEN and order.cancel_asked_ns is None and not bench.may_rest(order):
        bench.request_cancel(answer.cl_ord_id, "halted or stopping while in flight")


def _own(bench: Workbench, cl_ord_id: str) -> Order:
    order = bench.ledger.orders.get(cl_ord_id)
    if order is None:
        raise InvariantBroken(f"an answer for {cl_ord_id}, which was never submitted")
    return order


def submit_refused(bench: Workbench, answer: SubmitRefused) -> None:
    """The venue certainly did not execute an order."""
    order = _own(bench, answer.cl_ord_id)
    if order.allows(Event.REFUSED):
        bench.emit(OrderRefused(answer.cl_ord_id, answer.code, answer.text))
    else:
        bench.emit(OrderSurprised(answer.cl_ord_id, f"refused ({answer.text}) while {order.state}"))
    bench.ask_account(f"{answer.cl_ord_id} was refused: {answer.text}")


def submit_unknown(bench: Workbench, answer: SubmitUnknown) -> None:
    """The answer was lost: the order counts at its worst case and is looked for."""
    if _own(bench, answer.cl_ord_id).state is OrderState.IN_FLIGHT:
        bench.emit(AnswerLost(answer.cl_ord_id, answer.why))
        bench.next_ask_ns = bench.now_ns


def cancel_answered(bench: Workbench, answer: CancelAnswered) -> None:
    """A cancel was taken, or not."""
    if not answer.done and not _own(bench, answer.cl_ord_id).is_settled:
        bench.emit(CancelRefused(answer.cl_ord_id, answer.text))
        bench.ask_account(f"the cancel of {answer.cl_ord_id} was not taken: {answer.text}")


def order_reported(bench: Workbench, reported: OrderReported) -> None:
    """The venue told an order's state."""
    report = reported.report
    fact = reconcile.order_fact(bench.ledger, report, reported.source)
    if fact is not None:
        _emit_order_fact(bench, fact)
    elif bench.ledger.order(report.cl_ord_id, report.order_id) is None:
        _external_order(bench, reported)
    else:
        _end_what_came_back(bench, report)


def _emit_order_fact(bench: Workbench, fact: Fact) -> None:
    bench.emit(fact)
    if isinstance(fact, OrderSurprised):
        bench.ask_account(f"{fact.cl_ord_id}: {fact.what}")
    if isinstance(fact, OrderEnded) and not bench.ledger.orders[fact.cl_ord_id].is_settled:
        bench.ask_account(f"{fact.cl_ord_id} ended with fills that were not told yet")


def _end_what_came_back(bench: Workbench, report: OrderReport) -> None:
    """An order believed refused or absent is shown alive: our proof was wrong. Cancel it, and halt its pair."""
    order = bench.ledger.order(report.cl_ord_id, report.order_id)
    if order is None or order.state is not OrderState.DONE or report.status.is_terminal:
        return
    if order.ended in _ENDS_OF_THE_VENUE:  # it did end; this view is only late
        return
    retry_ns = bench.policy.orders.cancel_retry_s * NANOS_PER_S
    if order.cancel_asked_ns is not None and bench.now_ns - order.cancel_asked_ns < retry_ns:
        return
    why = f"{order.cl_ord_id} was believed {order.ended} and is shown {report.status}"
    bench.emit(OrderSurprised(order.cl_ord_id, why))
    bench.halt(symbol_scope(order.symbol), "halt_contract_broken", why)
    bench.emit(CancelRequested(order.cl_ord_id, why))
    bench.ask(CancelOrder(order.cl_ord_id, report.order_id))


def _external_order(bench: Workbench, reported: OrderReported) -> None:
    report = reported.report
    is_known = report.order_id in bench.ledger.external_orders
    if report.status.is_terminal and is_known:
        bench.emit(ExternalOrderGone(report.order_id))
    elif not report.status.is_terminal and not is_known:
        order = report.order_id, report.cl_ord_id, report.name, report.side, report.qty, report.limit_price
        bench.emit(ExternalOrderSeen(*order))
    if reconcile.is_foreign(bench.ledger, report):
        _foreign(bench, report.cl_ord_id)


def _foreign(bench: Workbench, cl_ord_id: str | None) -> None:
    bench.halt(ALL, "halt_foreign_order", f"{cl_ord_id} bears this journal's mark and is not in it")


def fill_reported(bench: Workbench, reported: FillReported) -> None:
    """The venue told a fill."""
    fill = reconcile.fill_fact(bench.ledger, reported.execution, reported.source)
    if fill is not None:
        _emit_fill(bench, fill)


def _emit_fill(bench: Workbench, fill: OrderFilled) -> None:
    bench.emit(fill)
    order = bench.ledger.orders.get(fill.cl_ord_id or "")
    if order is not None and (why := reconcile.breaks_contract(order, fill)) is not None:
        bench.halt(symbol_scope(order.symbol), "halt_contract_broken", why)


def account_seen(bench: Workbench, account: AccountSeen) -> None:
    """The venue's account: bring the ledger to it, then compare the sums."""
    bench.asked_ns = None
    offset_ns, error_ns = bench.market.clock_offset_ns, bench.market.clock_error_ns
    if bench.ledger.account_as_of_ns is None and "balances" in account.views:
        bench.emit(reconcile.opening(account, offset_ns))
    fills_before = len(bench.ledger.exec_ids)
    for fact in reconcile.account_facts(bench.ledger, account, bench.policy.orders, offset_ns, error_ns):
        if isinstance(fact, OrderFilled):
            _emit_fill(bench, fact)
        else:
            bench.emit(fact)
    for report in account.open_orders:
        _end_what_came_back(bench, report)
    if (foreign := reconcile.foreign_order(bench.ledger, account)) is not None:
        _foreign(bench, foreign)
    _compare_balances(bench, account, fills_came=len(bench.ledger.exec_ids) != fills_before)
    if bench.ask_again:
        bench.next_ask_ns = bench.now_ns


def _compare_balances(bench: Workbench, account: AccountSeen, *, fills_came: bool) -> None:
    bench.next_ask_ns = bench.now_ns + bench.policy.orders.unresolved_retry_s * NANOS_PER_S
    if "balances" not in account.views or "trades" not in account.views:
        return
    found = reconcile.mismatches(bench.ledger, account)
    if not found:
        _agree(bench, account)
    elif found != bench.suspects or fills_came:
        bench.suspects, bench.suspected_ns = found, account.asked_ns
    elif account.asked_ns - bench.suspected_ns >= bench.policy.orders.view_lag_s * NANOS_PER_S:
        # Views are of different moments and may lag. What differs in the same way for longer than that is real.
        _differ(bench, found)


def _agree(bench: Workbench, account: AccountSeen) -> None:
    bench.suspects = ()
    if not all(view in account.views for view in reconcile.ABSENCE_VIEWS):
        return  # balances agree, but what is open or was filled is not all known
    is_news = bench.reconciled_ns is None or bool(bench.ledger.differences)
    bench.reconciled_ns = min(bench.now_ns, account.asked_ns)
    bench.next_ask_ns = bench.now_ns + account_interval_ns(bench)
    if bench.stream_live_ns is not None and account.asked_ns >= bench.stream_live_ns:
        is_news = is_news or (HoldCause.PRIVATE_STREAM.value, ALL) in bench.ledger.holds
        bench.release(HoldCause.PRIVATE_STREAM, ALL)
        bench.release(HoldCause.STARTING, ALL)
    if is_news:
        bench.emit(Reconciled(account.balances, len(account.open_orders)))


def _differ(bench: Workbench, found: tuple[Mismatch, ...]) -> None:
    known = {(difference.asset, difference.expected, difference.seen) for difference in bench.ledger.differences}
    for mismatch in found:
        if (mismatch.asset, mismatch.expected, mismatch.seen) not in known:
            what = "opening balance plus fills is not what the venue holds"
            bench.emit(DifferenceFound(mismatch.asset, mismatch.expected, mismatch.seen, what))
    named = ", ".join(f"{item.asset}: expected {item.expected}, venue has {item.seen}" for item in found)
    bench.halt(ALL, "halt_difference", named)


def account_unavailable(bench: Workbench, _: AccountUnavailable) -> None:
    """The account could not be had: try again soon."""
    bench.asked_ns = None
    bench.next_ask_ns = bench.now_ns + bench.policy.orders.unresolved_retry_s * NANOS_PER_S


def fees_seen(bench: Workbench, seen: FeesSeen) -> None:
    """The account's own rates."""
    fact = FeesAdopted(seen.symbol, seen.taker_bps, seen.maker_bps)
    if bench.ledger.fees.get(seen.symbol) != fact:
        bench.emit(fact)
