"""One daemon for one account: whatever shows that another one trades on it is a reason to stop.

Locks end at a machine's edge. Beyond it orders tell: each bears the mark of the journal that made it and the epoch of
its run (see `order_ids`). An order of this journal's mark that is not in it is of a copy, or the journal is older than
the account. One of another journal's mark, that was alive since this run began, is of a daemon with its own memory.
Each of the two sees what the other sends, and stops; one that has sent nothing yet is not seen, and the other goes
on with a journal that lacks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from aether.core.ledger import Ledger
from aether.core.order_ids import read_mark
from aether.domain.inputs import AccountSeen
from aether.domain.orders import Execution, OrderReport


def stranger(
    ledger: Ledger, cl_ord_id: str | None, order_id: str | None, venue_ns: int | None, clock_offset_ns: int
) -> str | None:
    """Why this order is another daemon's, in a sentence; None where it is ours, a person's, or known to be over.

    `venue_ns` is when the venue tells something of it, in its own time, which is ahead of ours by `clock_offset_ns`;
    None means now. What was there when people resumed all trading is known to them.
    """
    mark = read_mark(cl_ord_id)
    if cl_ord_id is None or mark is None:
        return None
    since_ns = ledger.resumed_ns if mark.tag == ledger.tag else max(ledger.resumed_ns, ledger.began_ns)
    if venue_ns is not None and venue_ns - clock_offset_ns <= since_ns:
        return None
    if mark.tag != ledger.tag:
        if venue_ns is None or order_id in ledger.external_orders:
            return None
        return f"{cl_ord_id} bears the mark of another journal: its daemon trades on this account"
    if not ledger.own_ids.made(cl_ord_id, mark):
        return f"{cl_ord_id} bears this journal's mark and is not in it"
    ours = ledger.orders.get(cl_ord_id)
    if ours is not None and None not in (ours.order_id, order_id) and ours.order_id != order_id:
        return f"{cl_ord_id} is {ours.order_id} and {order_id}: this journal asked for one"
    return None


def stranger_of_report(ledger: Ledger, report: OrderReport, clock_offset_ns: int) -> str | None:
    """`stranger` for what was told of an order."""
    return stranger(ledger, report.cl_ord_id, report.order_id, report.venue_ns, clock_offset_ns)


def stranger_of_fill(ledger: Ledger, fill: Execution, clock_offset_ns: int) -> str | None:
    """`stranger` for the order of a fill."""
    return stranger(ledger, fill.cl_ord_id, fill.order_id, fill.venue_ns, clock_offset_ns)


def stranger_in(ledger: Ledger, account: AccountSeen, clock_offset_ns: int) -> str | None:
    """`stranger` for the first one in any view of the account."""
    return next(_strangers(ledger, account, clock_offset_ns), None)


def _strangers(ledger: Ledger, account: AccountSeen, clock_offset_ns: int) -> Iterator[str]:
    for report in (*account.open_orders, *account.closed_orders):
        if why := stranger_of_report(ledger, report, clock_offset_ns):
            yield why
    for fill in account.fills:
        if why := stranger_of_fill(ledger, fill, clock_offset_ns):
            yield why
    for cl_ord_id in account.live_cl_ord_ids:
        if why := stranger(ledger, cl_ord_id, None, None, clock_offset_ns):
            yield why
