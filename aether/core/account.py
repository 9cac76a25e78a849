"""What is heard of our own orders and account. The venue owns what happened: a fill counts in every state."""

from __future__ import annotations

from aether.core import balances, dead_man, fence, reconcile
from aether.core.halts import ALL, HoldCause, strategy_scope, symbol_scope
from aether.core.orders import Event, Order, OrderState
from aether.core.workbench import Workbench
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    ExternalOrderGone,
    Fact,
    FeesAdopted,
    OrderAbsent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSurprised,
)
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
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
from aether.domain.orders import OrderReport
from aether.domain.values import NANOS_PER_S, NO_QTY

# Any other order on the pair would most likely be refused too: it waits for a look at the account that is no answer to
# this refusal, and twice as long each time. These say something of the one order alone.
_OF_THE_ORDER_ALONE = frozenset({"latched", "venue_deadline", "venue_unreachable", "venue_post_only", "venue_session"})
SUSPENDED_NS = 5 * NANOS_PER_S  # as long as a link may be silent (Kraken docs, reconnection guide)
SURPRISES_KEPT = 1_000


def stream_live(bench: Workbench, _: PrivateStreamLive) -> None:
    """The private stream is live: take the account as it is now."""
    bench.stream_live_ns = bench.now_ns
    bench.asked_ns = None  # an answer under way may be older than the stream
    bench.entries_seen_ns = None
    bench.ask_account("the private stream is live")


def stood_still(bench: Workbench, stalled_ns: int) -> None:
    """After a suspension no stream is believed to have told all: new risk waits for a look that begins now."""
    if stalled_ns >= SUSPENDED_NS and bench.stream_live_ns is not None:
        why = f"nothing was heard for {stalled_ns // NANOS_PER_S} s: the machine stood still"
        bench.hold(HoldCause.PRIVATE_STREAM, ALL, why)
        bench.stream_live_ns = bench.now_ns
        bench.asked_ns = None  # an answer under way is of before
        bench.entries_seen_ns = None
        bench.ask_account(why)


def stream_lost(bench: Workbench, lost: PrivateStreamLost) -> None:
    """Nothing is known of our orders until it is live again."""
    bench.stream_live_ns = None
    bench.hold(HoldCause.PRIVATE_STREAM, ALL, lost.why)
    if lost.code == "venue_auth":
        bench.halt(ALL, "halt_auth", lost.why)


def private_malformed(bench: Workbench, malformed: PrivateMalformed) -> None:
    """It was about money, so the account is asked for."""
    bench.ask_account(f"a private message could not be read: {malformed.why}")


def submit_accepted(bench: Workbench, answer: SubmitAccepted) -> None:
    """The venue's gate took an order."""
    if _own(bench, answer.cl_ord_id).order_id is None:  # else a late or second answer, which adds nothing
        _emit_of_order(bench, answer.cl_ord_id, OrderAccepted(answer.cl_ord_id, answer.order_id))
    else:
        _cancel_unwanted(bench, answer.cl_ord_id)


def _emit_of_order(bench: Workbench, cl_ord_id: str, fact: Fact) -> None:
    """Write what was told of an order. If it was believed never to have lived, our proof was wrong: halt its pair."""
    before = bench.ledger.orders[cl_ord_id]
    if isinstance(fact, OrderSurprised):
        _surprise(bench, fact)
        return
    bench.emit(fact)
    order = bench.ledger.orders[cl_ord_id]
    if isinstance(fact, OrderEnded):
        dead_man.heard_of_end(bench, cl_ord_id, fact.reason)
    if isinstance(fact, OrderEnded) and fact.cum_qty is not None and fact.cum_qty < before.filled:
        why = f"{cl_ord_id} ended with {fact.cum_qty} filled, {before.filled} are booked"
        bench.halt(symbol_scope(order.symbol), "halt_contract_broken", why)
    is_filled = bool(order.filled) or (order.told_cum_qty is not None and order.told_cum_qty != NO_QTY)
    has_lived = order.state is OrderState.OPEN or (order.state is OrderState.DONE and is_filled)
    if before.state is OrderState.NEVER_LIVED and has_lived:
        why = f"{cl_ord_id} was believed {before.ended} and is shown {order.ended or order.state}"
        bench.halt(symbol_scope(order.symbol), "halt_contract_broken", why)
    if isinstance(fact, OrderAccepted | OrderOpened | OrderFilled):
        bench.refused.pop(order.symbol, None)
        bench.release(HoldCause.REFUSED, symbol_scope(order.symbol))
        if not order.is_full:
            _cancel_unwanted(bench, cl_ord_id)


def _surprise(bench: Workbench, fact: OrderSurprised) -> None:
    """Written once for each thing said: the same word comes with every look."""
    if bench.surprises.get(fact.cl_ord_id) != fact.what:
        bench.surprises[fact.cl_ord_id] = fact.what
        if len(bench.surprises) > SURPRISES_KEPT:
            del bench.surprises[next(iter(bench.surprises))]
        bench.emit(fact)


def _cancel_unwanted(bench: Workbench, cl_ord_id: str) -> None:
    """It was in flight or unresolved when a halt, a stop or a person wanted it gone; now it has a name."""
    order = bench.ledger.orders[cl_ord_id]
    is_stopped = order.state is OrderState.OPEN and order.cancel_asked_ns is None and not bench.may_rest(order)
    if order.waits_for_cancel or is_stopped:
        bench.request_cancel(cl_ord_id, "halted, stopping or cancelled while in flight")


def _own(bench: Workbench, cl_ord_id: str) -> Order:
    order = bench.ledger.orders.get(cl_ord_id)
    if order is None:
        raise InvariantBroken(f"an answer for {cl_ord_id}, which was never submitted")
    return order


def submit_refused(bench: Workbench, answer: SubmitRefused) -> None:
    """The venue certainly did not execute an order."""
    order = _own(bench, answer.cl_ord_id)
    is_believed = order.allows(Event.REFUSED)
    if is_believed:
        bench.emit(OrderRefused(answer.cl_ord_id, answer.code, answer.text))
    else:
        _surprise(bench, OrderSurprised(answer.cl_ord_id, f"refused ({answer.text}) while {order.state}"))
    if answer.code == "venue_auth":
        bench.halt(ALL, "halt_auth", answer.text)
    elif is_believed and answer.code not in _OF_THE_ORDER_ALONE:
        _, times = bench.refused.get(order.symbol, (0, 0))
        bench.refused[order.symbol] = bench.now_ns, times + 1
        bench.hold(HoldCause.REFUSED, symbol_scope(order.symbol), answer.text)
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


def change_answered(bench: Workbench, answer: AmendAccepted | AmendRefused | AmendUnknown | CancelAllAnswered) -> None:
    """What was asked of several orders, or of one that lives on: reports tell of a clear yes, all else is looked at."""
    match answer:
        case AmendAccepted() | CancelAllAnswered(done=True):
            pass
        case AmendRefused(cl_ord_id=cl_ord_id, text=text) | AmendUnknown(cl_ord_id=cl_ord_id, why=text):
            bench.ask_account(f"the amend of {cl_ord_id} was not taken: {text}")
        case CancelAllAnswered(text=text):
            bench.ask_account(f"not all orders were cancelled: {text}")


def order_reported(bench: Workbench, reported: OrderReported) -> None:
    """The venue told an order's state."""
    report = reported.report
    if (amended := reconcile.amended_fact(bench.ledger, report, reported.source)) is not None:
        bench.emit(amended)
    stranger = fence.stranger_of_report(bench.ledger, report, bench.market.clock_offset_ns)
    fact = reconcile.order_fact(bench.ledger, report, reported.source)
    order = bench.ledger.order(report.cl_ord_id, report.order_id)
    if order is None:
        _external_order(bench, report)
    elif fact is not None:
        _emit_of_order(bench, order.cl_ord_id, fact)
        _ask_for_the_rest(bench, order.cl_ord_id, fact)
    _fence(bench, stranger)


def _ask_for_the_rest(bench: Workbench, cl_ord_id: str, fact: Fact) -> None:
    if isinstance(fact, OrderSurprised):
        bench.ask_account(f"{cl_ord_id}: {fact.what}")
    if isinstance(fact, OrderEnded) and not bench.ledger.orders[cl_ord_id].is_settled:
        bench.ask_account(f"{cl_ord_id} ended with fills that were not told yet")


def _external_order(bench: Workbench, report: OrderReport) -> None:
    is_known = report.order_id in bench.ledger.external_orders
    if report.status.is_terminal and is_known:
        bench.emit(ExternalOrderGone(report.order_id))
    elif not report.status.is_terminal and not is_known:
        bench.emit(reconcile.external_order(report))


def _fence(bench: Workbench, stranger: str | None) -> None:
    if stranger is not None:
        bench.halt(ALL, "halt_foreign_order", stranger)


def fill_reported(bench: Workbench, reported: FillReported) -> None:
    """The venue told a fill."""
    stranger = fence.stranger_of_fill(bench.ledger, reported.execution, bench.market.clock_offset_ns)
    fill = reconcile.fill_fact(bench.ledger, reported.execution, reported.source)
    if fill is not None:
        _emit_fill(bench, fill)
    _fence(bench, stranger)


def _emit_fill(bench: Workbench, fill: OrderFilled) -> None:
    if fill.cl_ord_id is None:
        bench.emit(fill)
        return
    _emit_of_order(bench, fill.cl_ord_id, fill)
    order = bench.ledger.orders[fill.cl_ord_id]
    if (why := reconcile.breaks_contract(order, fill)) is not None:
        bench.halt(symbol_scope(order.symbol), "halt_contract_broken", why)
    _throttle(bench, order)


def _throttle(bench: Workbench, order: Order) -> None:
    """Halt a strategy whose orders filled too often since people let it go on: only they can say if that is meant."""
    limits, strategy = bench.policy.risk, order.submitted.strategy
    scope, window_ns = strategy_scope(strategy), limits.executions_window_s * NANOS_PER_S
    since_ns = max(bench.now_ns - window_ns, bench.ledger.resumed_ns_of.get(scope, 0))
    asked = (other for other in bench.ledger.asked_since(since_ns) if not other.submitted.is_exit)
    times = sum(1 for other in asked if other.filled and other.submitted.strategy == strategy)
    if times >= limits.executions_max and (scope, "halt_executions") not in bench.ledger.halts:
        bench.halt(scope, "halt_executions", f"{times} orders filled within {limits.executions_window_s} s")


def account_seen(bench: Workbench, account: AccountSeen) -> None:
    """The venue's account: bring the ledger to it, then compare the sums."""
    bench.asked_ns = None
    offset_ns = bench.market.clock_offset_ns
    error_ns = bench.market.clock_error_ns if bench.market.clock_at_ns is not None else None
    if bench.ledger.account_as_of_ns is None and "balances" in account.views:
        bench.emit(reconcile.opening(account, offset_ns))
    stranger, before = fence.stranger_in(bench.ledger, account, offset_ns), dict(bench.ledger.portfolio.balances)
    for fact in reconcile.account_facts(bench.ledger, account, bench.policy.orders, offset_ns, error_ns):
        _emit_corrective(bench, fact)
    _fence(bench, stranger)
    balances.book_entries(bench, account)
    balances.compare(bench, account, before)
    if bench.ask_again:
        bench.next_ask_ns = bench.now_ns


def _emit_corrective(bench: Workbench, fact: Fact) -> None:
    match fact:
        case OrderFilled():
            _emit_fill(bench, fact)
        case OrderOpened() | OrderEnded() | OrderAbsent() | OrderSurprised():
            _emit_of_order(bench, fact.cl_ord_id, fact)
        case _:
            bench.emit(fact)


def account_unavailable(bench: Workbench, heard: AccountUnavailable) -> None:
    """The account could not be had: try again soon."""
    bench.asked_ns = None
    bench.next_ask_ns = bench.now_ns + bench.policy.orders.unresolved_retry_s * NANOS_PER_S
    if heard.code == "venue_auth":
        bench.halt(ALL, "halt_auth", heard.why)


def fees_seen(bench: Workbench, seen: FeesSeen) -> None:
    """The account's own rates."""
    fact = FeesAdopted(seen.symbol, seen.taker_bps, seen.maker_bps)
    if bench.ledger.fees.get(seen.symbol) != fact:
        bench.emit(fact)
