"""The dead man's switch: the venue cancels every order of the account unless it is asked again in time.

It is renewed only while everything that an order depends on is healthy, so that a program that stands still, cannot
write, or no longer knows its account leaves nothing on the book. What does not turn at all renews nothing by itself.
Source: Kraken docs, Cancel All Orders After: it is of the account, not of a connection; after it fired it stays off; in
an announced maintenance it is to be off, for the venue would fire it when it comes back.
"""

from __future__ import annotations

from aether.core.halts import ALL, HoldCause
from aether.core.workbench import Workbench
from aether.domain.effects import SetDeadMan
from aether.domain.facts import DeadManArmed, DeadManDisarmed, DeadManFired
from aether.domain.inputs import DeadManAnswered, MaintenanceAnnounced
from aether.domain.values import NANOS_PER_S

RETRY_NS = 5 * NANOS_PER_S
MAINTENANCE_LEAD_NS = 120 * NANOS_PER_S  # off so long before the announced start, which nobody keeps to the second
MAINTENANCE_NS_MAX = 6 * 3_600 * NANOS_PER_S  # without an announced end; longer, and the status tells of it anyway
_RENEWALS = 3  # in each time of the switch: two may be lost

# No document tells the reason that an order cancelled by the switch bears (the made venue has its own); what is taken
# for it wrongly costs a look at the account.
_FIRING_WORDS = ("timeout", "cancel_all_orders_after", "dead man")


def begin(bench: Workbench) -> None:
    """A run begins: what an earlier one armed fires at the latest when its last renewal, sent just now, is over."""
    if bench.ledger.dead_man is not None:
        bench.dead_man_trigger_ns = bench.now_ns + bench.ledger.dead_man.timeout_s * NANOS_PER_S


def tend(bench: Workbench) -> None:
    """Renew it, switch it off, or notice that it must have fired."""
    trigger_ns = bench.dead_man_trigger_ns
    is_over = trigger_ns is not None and bench.venue_now_ns > trigger_ns + _doubt(bench)
    if bench.ledger.dead_man is not None and is_over and bench.market.system_status != "maintenance":
        _fire(bench, "it was not renewed in time")  # in maintenance it has not yet: it does when the venue is back
    if bench.now_ns < bench.dead_man_next_ns:
        return
    if _must_be_off(bench):
        if bench.ledger.dead_man is not None:
            bench.dead_man_next_ns = bench.now_ns + RETRY_NS
            bench.ask(SetDeadMan(0))
    elif _is_healthy(bench):
        _renew(bench)


def announced(bench: Workbench, told: MaintenanceAnnounced) -> None:
    """The venue tells when it will stand still: the switch is off by then."""
    bench.market.maintenance = told.windows
    if _must_be_off(bench):
        bench.dead_man_next_ns = 0
        tend(bench)


def answered(bench: Workbench, answer: DeadManAnswered) -> None:
    """The venue set it, switched it off, or did not say so: then it may be either, and is asked for again soon."""
    if answer.done and not answer.timeout_s:
        bench.dead_man_trigger_ns = None
        if bench.ledger.dead_man is not None:
            bench.emit(DeadManDisarmed(_why_off(bench) or "it was asked for"))
    elif answer.done:
        bench.dead_man_trigger_ns = answer.trigger_ns or _latest_trigger_ns(bench, answer.timeout_s)
    else:
        bench.dead_man_next_ns = min(bench.dead_man_next_ns, bench.now_ns + RETRY_NS)
        if answer.timeout_s:  # lost on the way there or on the way back: the later of both times counts
            bench.dead_man_trigger_ns = _latest_trigger_ns(bench, answer.timeout_s)


def heard_of_end(bench: Workbench, cl_ord_id: str, reason: str) -> None:
    """An order of ours ended at the venue: by the switch, where the reason says so and nobody had asked for it."""
    is_ours_to_tell = bench.ledger.dead_man is not None and bench.ledger.orders[cl_ord_id].cancel_asked_ns is None
    if is_ours_to_tell and any(word in reason.lower() for word in _FIRING_WORDS):
        _fire(bench, f"{cl_ord_id}: {reason}")


def agreed(bench: Workbench, asked_ns: int) -> None:
    """The account was compared, as of `asked_ns`, and agrees: after a firing it may be armed anew."""
    if bench.dead_man_fired_ns is not None and asked_ns >= bench.dead_man_fired_ns:
        bench.dead_man_fired_ns = None
        bench.release(HoldCause.DEAD_MAN, ALL)


def _renew(bench: Workbench) -> None:
    timeout_s = bench.policy.orders.dead_man_s
    if bench.ledger.dead_man is None or bench.ledger.dead_man.timeout_s != timeout_s:
        bench.emit(DeadManArmed(timeout_s))
    if bench.dead_man_trigger_ns is None:
        bench.dead_man_trigger_ns = _latest_trigger_ns(bench, timeout_s)
    bench.dead_man_next_ns = bench.now_ns + timeout_s * NANOS_PER_S // _RENEWALS
    bench.ask(SetDeadMan(timeout_s))


def _fire(bench: Workbench, why: str) -> None:
    bench.emit(DeadManFired(why))
    bench.dead_man_trigger_ns, bench.dead_man_fired_ns = None, bench.now_ns
    bench.hold(HoldCause.DEAD_MAN, ALL, f"the dead man's switch fired: {why}")
    bench.ask_account("the dead man's switch fired")


def _latest_trigger_ns(bench: Workbench, timeout_s: int) -> int:
    return bench.venue_now_ns + timeout_s * NANOS_PER_S + _doubt(bench)


def _doubt(bench: Workbench) -> int:
    """How far the venue's time may be from what we take for it; the switch's own is told in whole seconds."""
    return bench.market.clock_error_ns + NANOS_PER_S


def _must_be_off(bench: Workbench) -> bool:
    return bool(_why_off(bench))


def _why_off(bench: Workbench) -> str:
    policy, now_ns = bench.policy.orders, bench.venue_now_ns
    if not policy.dead_man_s:
        return "the settings do not want it"
    if bench.ledger.is_stopping and not policy.cancel_on_stop:
        return "the program stops, and its orders are to stay"
    for window in bench.market.maintenance:
        end_ns = window.end_ns if window.end_ns is not None else window.start_ns + MAINTENANCE_NS_MAX
        if window.start_ns - MAINTENANCE_LEAD_NS <= now_ns <= end_ns:
            return "the venue announced a maintenance"
    return ""


def _is_healthy(bench: Workbench) -> bool:
    """Loop and journal are, or nothing would be decided here. The rest stands in holds, and in the last look.

    A balance that one look shows otherwise is no illness yet: views are of different moments, above all in busy ones.
    """
    ledger = bench.ledger
    if any(hold.scope == ALL for hold in ledger.holds.values()) or ledger.differences:
        return False
    reconciled_ns, age_ns_max = bench.reconciled_ns, bench.policy.risk.account_age_s_max * NANOS_PER_S
    if reconciled_ns is None or bench.now_ns - reconciled_ns > age_ns_max:
        return False
    silent = [symbol for symbol, picture in bench.market.pictures.items() if not picture.is_live]
    is_blind = any(order.symbol in silent for order in ledger.unsettled.values())
    return not is_blind and len(silent) < len(bench.market.pictures)
