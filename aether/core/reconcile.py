"""Ledger against the venue's account: corrective facts, and what stays unexplained. Nothing is ever invented.

The venue owns what happened, the journal owns what was meant: a fill is booked because the venue shows it with its
execution id; an order is believed absent only when all four views lack it and it can no longer arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from aether.core.double_entry import opened_ns
from aether.core.ledger import Ledger
from aether.core.orders import Event, Order, OrderState
from aether.core.policy import OrderPolicy
from aether.domain.facts import (
    AccountOpened,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    OrderAbsent,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderSurprised,
)
from aether.domain.inputs import AccountSeen
from aether.domain.instruments import Side
from aether.domain.orders import Execution, OrderReport, VenueStatus
from aether.domain.values import MONEY, NANOS_PER_MS, NANOS_PER_S, UtcNanos

ABSENCE_VIEWS = ("executions", "open", "closed", "trades")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An asset whose venue balance is not what the journal's sums say."""

    asset: str
    expected: Decimal
    seen: Decimal

    @property
    def amount(self) -> Decimal:
        """What the venue has more than our sums, signed; fills that both book do not change it."""
        return MONEY.subtract(self.seen, self.expected)


def opening(account: AccountSeen, clock_offset_ns: int) -> AccountOpened:
    """The balances that the sums begin with, as of when the venue was first asked, or as its ledger knows better."""
    return AccountOpened(UtcNanos(opened_ns(account, account.asked_ns + clock_offset_ns)), account.balances)


def fill_fact(ledger: Ledger, execution: Execution, source: str) -> OrderFilled | None:
    """The fact of an execution, or None where it is booked already or belongs to the time before the sums began."""
    if execution.exec_id in ledger.exec_ids or execution.venue_ns <= ledger.booked_until_ns:
        return None
    order = ledger.order(execution.cl_ord_id, execution.order_id)
    opened_ns = ledger.account_as_of_ns
    if order is None and (opened_ns is None or execution.venue_ns <= opened_ns):
        return None
    return OrderFilled(
        exec_id=execution.exec_id,
        order_id=execution.order_id,
        cl_ord_id=order.cl_ord_id if order else None,
        strategy=order.submitted.strategy if order else None,
        name=execution.name,
        symbol=execution.symbol,
        side=execution.side,
        qty=execution.qty,
        price=execution.price,
        cost=execution.cost,
        fees=execution.fees,
        liquidity=execution.liquidity,
        venue_ns=UtcNanos(execution.venue_ns),
        source=source,
    )


def breaks_contract(order: Order, fill: OrderFilled) -> str | None:
    """Why a fill is outside what was asked: a worse price, more coins, another pair or side; None if inside.

    What was amended counts with the loosest terms that it ever had: the fill may be of before or after.
    """
    asked, limit, qty = order.submitted, order.price_worst or order.limit_price, max(order.qty, order.qty_most)
    if fill.symbol != asked.symbol or fill.side is not asked.side:
        return f"{fill.exec_id} is a {fill.side} of {fill.name}, asked was a {asked.side} of {asked.symbol}"
    worse = fill.price > limit if asked.side is Side.BUY else fill.price < limit
    if worse:
        return f"{fill.exec_id} at {fill.price} is worse than the limit {limit}"
    if order.filled > qty:
        return f"{order.cl_ord_id} filled {order.filled} of {qty}"
    return None


def order_fact(ledger: Ledger, report: OrderReport, source: str) -> Fact | None:
    """What a report of one of our orders adds to what we know; None for nothing, or for an order not ours."""
    order = ledger.order(report.cl_ord_id, report.order_id)
    if order is None:
        return None
    name = order.cl_ord_id
    if report.status.is_terminal:
        return _ended_fact(order, report, source)
    if report.status is VenueStatus.UNKNOWN:
        return None if order.is_settled else OrderSurprised(name, f"unknown status ({report.reason})")
    if order.allows(Event.OPENED):
        return OrderOpened(name, report.order_id, source)
    return None  # known open, or ended and told late: an end absorbs every status


def amended_fact(ledger: Ledger, report: OrderReport, source: str) -> OrderAmended | None:
    """The terms that a report tells of one of our orders, where they are not those we know; None for no news."""
    order = ledger.order(report.cl_ord_id, report.order_id)
    if order is None or (order.state is OrderState.DONE and order.is_settled):
        return None
    qty, limit_price = report.qty or order.qty, report.limit_price or order.limit_price
    if (qty, limit_price) == (order.qty, order.limit_price):
        return None
    return OrderAmended(order.cl_ord_id, report.order_id, qty, limit_price, report.reason, source)


def _amends(ledger: Ledger, account: AccountSeen, view_lag_s: int) -> Iterator[OrderAmended]:
    """A view may be behind by the lag, so it may show terms that an order had before; but none from before its first.

    The stream tells of amends at once. What a view shows otherwise counts once it can be no older than the last change.
    """
    for source, reports in (("closed", account.closed_orders), ("open", account.open_orders)):
        for report in reports:
            order = ledger.order(report.cl_ord_id, report.order_id)
            changed_ns = order.amended_ns if order is not None else None
            if changed_ns is not None and account.asked_ns - changed_ns < view_lag_s * NANOS_PER_S:
                continue
            if (fact := amended_fact(ledger, report, source)) is not None:
                yield fact


def _ended_fact(order: Order, report: OrderReport, source: str) -> Fact | None:
    told = report.cum_qty
    tells_total = told is not None or report.status is VenueStatus.FILLED
    if order.state is OrderState.DONE and (order.told_cum_qty is not None or not tells_total):
        return None
    return OrderEnded(order.cl_ord_id, report.order_id, report.status, report.reason, told, source)


def account_facts(
    ledger: Ledger, account: AccountSeen, policy: OrderPolicy, clock_offset_ns: int, clock_error_ns: int | None
) -> Iterator[Fact]:
    """Facts that bring the ledger to the account, fills before states, and before them what the orders were amended to.

    Each must be folded before the next is asked for. `clock_error_ns` is None while our clock was not compared with the
    venue's: no order is absent by such a clock.
    """
    yield from _amends(ledger, account, policy.view_lag_s)
    for execution in account.fills:
        if (fill := fill_fact(ledger, execution, "trades")) is not None:
            yield fill
    yield from _order_facts(ledger, account)
    if clock_error_ns is not None:
        yield from _absences(ledger, account, policy, clock_offset_ns, clock_error_ns)
    yield from _external_facts(ledger, account)


def _order_facts(ledger: Ledger, account: AccountSeen) -> Iterator[Fact]:
    for source, reports in (("closed", account.closed_orders), ("open", account.open_orders)):
        for report in reports:
            if (fact := order_fact(ledger, report, source)) is not None:
                yield fact


def _absences(
    ledger: Ledger, account: AccountSeen, policy: OrderPolicy, clock_offset_ns: int, clock_error_ns: int
) -> Iterator[Fact]:
    if not all(view in account.views for view in ABSENCE_VIEWS):
        return
    for order in tuple(ledger.unsettled.values()):
        if order.state is not OrderState.UNRESOLVED:
            continue
        known_ns = decidable_ns(order, policy, clock_error_ns)
        shown = {report.cl_ord_id for report in (*account.open_orders, *account.closed_orders)}
        shown.update(fill.cl_ord_id for fill in account.fills)
        shown.update(account.live_cl_ord_ids)
        reaches_back = account.since_ns <= sent_ns(order, policy)
        if account.asked_ns + clock_offset_ns > known_ns and reaches_back and order.cl_ord_id not in shown:
            yield OrderAbsent(order.cl_ord_id, ABSENCE_VIEWS, UtcNanos(account.asked_ns))


def sent_ns(order: Order, policy: OrderPolicy) -> int:
    """Venue time at which an order was sent, by its deadline: our clock may have been set since.

    Under other settings than it was sent with it is off by less than the minute that Kraken allows for a deadline.
    """
    return order.submitted.deadline_ns - policy.deadline_ms * NANOS_PER_MS


def decidable_ns(order: Order, policy: OrderPolicy, clock_error_ns: int) -> int:
    """Venue time from which absence proves that the order never lived: deadline, view lag, clock error."""
    error_ns = max(policy.clock_error_ms * NANOS_PER_MS, clock_error_ns)
    return order.submitted.deadline_ns + policy.view_lag_s * NANOS_PER_S + error_ns


def _external_facts(ledger: Ledger, account: AccountSeen) -> Iterator[Fact]:
    if "open" not in account.views:
        return
    seen = {}
    for report in account.open_orders:
        if ledger.order(report.cl_ord_id, report.order_id) is None:
            seen[report.order_id] = report
    for order_id, report in seen.items():
        if order_id not in ledger.external_orders:
            yield external_order(report)
    for order_id in tuple(ledger.external_orders):
        if order_id not in seen:
            yield ExternalOrderGone(order_id)


def external_order(report: OrderReport) -> ExternalOrderSeen:
    """The fact of a living order that is not ours."""
    return ExternalOrderSeen(
        order_id=report.order_id,
        cl_ord_id=report.cl_ord_id,
        name=report.name,
        symbol=report.symbol,
        side=report.side,
        qty=report.qty,
        limit_price=report.limit_price,
    )


def mismatches(ledger: Ledger, account: AccountSeen) -> tuple[Mismatch, ...]:
    """Assets whose balances differ, in the venue's order and then ours."""
    seen = {balance.asset: balance.total for balance in account.balances}
    assets = dict.fromkeys((*seen, *ledger.portfolio.balances))
    return tuple(
        Mismatch(asset, ledger.portfolio.balance(asset), seen.get(asset, Decimal(0)))
        for asset in assets
        if ledger.portfolio.balance(asset) != seen.get(asset, Decimal(0))
    )
