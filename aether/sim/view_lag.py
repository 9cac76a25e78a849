"""What REST shows a moment late: orders just placed or ended, fills and ledger rows (Kraken's SDK, placing orders).

Sockets are never late. A just placed order is missing from the open ones; a just ended one is gone from the open ones
and not yet among the closed ones; no query finds either. So absence proves nothing until the lag is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from aether.sim.desk import Desk
from aether.sim.exchange import LedgerEntry, Order, Trade

T = TypeVar("T")


def seen_orders(desk: Desk, orders: Iterable[Order]) -> list[Order]:
    """Orders whose latest change of place is old enough to be shown."""
    return _seen(desk, orders, lambda order: order.opened_ns if order.closed_ns is None else order.closed_ns)


def seen_trades(desk: Desk, trades: Iterable[Trade]) -> list[Trade]:
    """Fills that are old enough to be shown."""
    return _seen(desk, trades, lambda trade: trade.at_ns)


def seen_entries(desk: Desk, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Ledger rows that are old enough to be shown."""
    return _seen(desk, entries, lambda entry: entry.at_ns)


def _seen(desk: Desk, rows: Iterable[T], at_ns: Callable[[T], int]) -> list[T]:
    lag_ns = desk.manners.view_lag_ns
    if not lag_ns:
        return list(rows)
    latest_ns = desk.now_ns() - lag_ns
    return [row for row in rows if at_ns(row) <= latest_ns]
