"""The venue's balances against our sums: they agree, or a difference that stays halts and is named.

What moved money beside our trades is booked from the venue's ledger, as what it is. Money that people moved is neither
profit nor loss: the marks that losses are counted from move with it. Rewards and dividends are income, and what an
app's purchase costs is a cost, as of any trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from aether.core import dead_man, double_entry, reconcile
from aether.core.halts import ALL, HoldCause, symbol_scope
from aether.core.reconcile import Mismatch
from aether.core.upkeep import account_interval_ns, settle_flows
from aether.core.workbench import Workbench
from aether.domain.actors import Actor
from aether.domain.entries import Nature
from aether.domain.facts import DifferenceAccepted, DifferenceEnded, DifferenceFound, LedgerEntryBooked, Reconciled
from aether.domain.inputs import AccountSeen
from aether.domain.values import NANOS_PER_S, ZERO, plain

RECONCILED_EVERY_NS = 3_600 * NANOS_PER_S  # how far back the next run has to read, at most
_DOUBLINGS_MAX = 6


def book_entries(bench: Workbench, account: AccountSeen) -> None:
    """Book what the venue's ledger shows beside our fills; what has no place on a spot account halts."""
    if "ledgers" not in account.views:
        return
    bench.entries_seen_ns = min(bench.now_ns, account.asked_ns)
    for fact in double_entry.entry_facts(bench.ledger, account):
        bench.emit(fact)
        if fact.nature is Nature.STRANGE:
            bench.halt(ALL, "halt_strange_entry", _said(fact))
    settle_flows(bench)


def _said(fact: LedgerEntryBooked) -> str:
    return f"ledger row {fact.entry_id} is of kind {fact.kind!r} and moved {plain(fact.moved)} {fact.asset}"


def compare(bench: Workbench, account: AccountSeen, before: Mapping[str, Decimal]) -> None:
    """Compare the sums. What differs by the same for longer than views may lag, and no row explains, is real.

    `before` are our sums before this look brought its fills and rows.
    """
    bench.next_ask_ns = bench.now_ns + bench.policy.orders.unresolved_retry_s * NANOS_PER_S
    if "balances" not in account.views or "trades" not in account.views:
        return
    found = reconcile.mismatches(bench.ledger, account)
    lasting = _lasting(bench, account, found, before)
    bench.suspects = found
    if not found:
        _agree(bench, account)
    elif lasting and "ledgers" in account.views:
        _differ(bench, account, found, lasting)


def _lasting(
    bench: Workbench, account: AccountSeen, found: Sequence[Mismatch], before: Mapping[str, Decimal]
) -> tuple[Mismatch, ...]:
    """What differed by the same amount a view's lag ago, and never agreed since.

    In between it may have differed by more, for trade goes on and views are of different moments. Where this look
    brought something of the asset, that may be what was missing, and as much may be missing anew.
    """
    ours, differing = bench.ledger.portfolio, {mismatch.asset for mismatch in found}
    for asset, amount in tuple(bench.suspected_ns):
        if asset not in differing or ours.balance(asset) != before.get(asset, ZERO):
            del bench.suspected_ns[asset, amount]
    known = tuple(mismatch for mismatch in found if (mismatch.asset, mismatch.amount) in bench.suspected_ns)
    for mismatch in found:
        # Balances are of a moment between question and answer: rows of that moment lag behind the answer at most.
        bench.suspected_ns.setdefault((mismatch.asset, mismatch.amount), account.answered_ns)
    lag_ns = bench.policy.orders.view_lag_s * NANOS_PER_S
    return tuple(item for item in known if account.asked_ns - bench.suspected_ns[item.asset, item.amount] >= lag_ns)


def _agree(bench: Workbench, account: AccountSeen) -> None:
    if not all(view in account.views for view in reconcile.ABSENCE_VIEWS):
        return  # balances agree, but what is open or was filled is not all known
    is_news = bench.reconciled_ns is None or bool(bench.ledger.differences)
    bench.reconciled_ns = min(bench.now_ns, account.asked_ns)
    bench.next_ask_ns = bench.now_ns + account_interval_ns(bench)
    if bench.stream_live_ns is not None and account.asked_ns >= bench.stream_live_ns:
        is_news = is_news or (HoldCause.PRIVATE_STREAM.value, ALL) in bench.ledger.holds
        bench.release(HoldCause.PRIVATE_STREAM, ALL)
        bench.release(HoldCause.STARTING, ALL)
    dead_man.agreed(bench, account.asked_ns)
    is_news = is_news or bench.now_ns - (bench.ledger.reconciled_ns or 0) >= RECONCILED_EVERY_NS
    for symbol, (refused_ns, times) in bench.refused.items():
        wait_ns = bench.policy.orders.reconcile_s * NANOS_PER_S << min(times - 1, _DOUBLINGS_MAX)
        if account.asked_ns - refused_ns >= wait_ns:
            bench.release(HoldCause.REFUSED, symbol_scope(symbol))
    if is_news:
        bench.emit(Reconciled(account.balances, len(account.open_orders)))


def _differ(bench: Workbench, account: AccountSeen, found: Sequence[Mismatch], lasting: Sequence[Mismatch]) -> None:
    differing = {mismatch.asset for mismatch in found}
    known = {difference.asset: difference.amount for difference in bench.ledger.differences}
    for mismatch in lasting:
        what = (
            double_entry.evidence(bench.ledger, account, mismatch.asset) or "no row of the venue's ledger explains it"
        )
        difference = DifferenceFound(mismatch.asset, mismatch.expected, mismatch.seen, what)
        if known.pop(mismatch.asset, None) != difference.amount:
            bench.emit(difference)
    for asset in known:
        if asset not in differing:
            bench.emit(DifferenceEnded(asset))
    named = ", ".join(f"{item.asset}: expected {item.expected}, venue has {item.seen}" for item in lasting)
    bench.halt(ALL, "halt_difference", named)


def accept_differences(bench: Workbench, actor: Actor) -> None:
    """A person looked and resumed: what differs is booked, and trading waits for a look that agrees."""
    for difference in bench.ledger.differences:
        bench.emit(DifferenceAccepted(difference.asset, difference.amount, actor))
    settle_flows(bench)
    bench.suspects, bench.reconciled_ns = (), None
    bench.suspected_ns.clear()
    bench.ask_account("a difference was accepted")
