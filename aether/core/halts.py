"""What stops new risk, and what it takes to start again.

A hold ends by itself with its cause; a halt lasts, over restarts, until people resume. Scopes are `all`,
`symbol:BTC/USD` and `strategy:ID`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from aether.core.ledger import Ledger
from aether.domain.values import Symbol

ALL = "all"


class HoldCause(StrEnum):
    """Why new risk waits."""

    STARTING = "starting"  # the account was not reconciled in this run yet
    PRIVATE_STREAM = "private_stream"
    FEED = "feed"
    SYSTEM_STATUS = "system_status"
    CLOCK = "clock"
    DISK = "disk"
    STOPPING = "stopping"
    DEAD_MAN = "dead_man"  # the switch fired: the account is looked at first
    REFUSED = "refused"  # for want of funds or rate, which nothing here explains: the account is looked at first


def symbol_scope(symbol: Symbol) -> str:
    """Scope that covers one symbol."""
    return f"symbol:{symbol}"


def strategy_scope(strategy: str) -> str:
    """Scope that covers one strategy."""
    return f"strategy:{strategy}"


def covering_scopes(symbol: Symbol, strategy: str) -> tuple[str, ...]:
    """Scopes whose halt or hold stops this strategy on this symbol."""
    return ALL, symbol_scope(symbol), strategy_scope(strategy)


def may_overlap(scope: str, other: str) -> bool:
    """Some order may stand in both scopes: two symbols, or two strategies, share none."""
    kind, other_kind = scope.partition(":")[0], other.partition(":")[0]
    return ALL in (scope, other) or scope == other or kind != other_kind


def flattens(ledger: Ledger, symbol: Symbol, strategy: str) -> bool:
    """What this strategy holds of this symbol is being sold, because a person wants it."""
    return any(scope in ledger.flattening for scope in covering_scopes(symbol, strategy))


def reasons_against_exit(ledger: Ledger, symbol: Symbol, strategy: str) -> Iterator[tuple[str, str]]:
    """Each difference and hold that stops even a sale that people asked for: what is not known is not sold."""
    for code, why in reasons_against(ledger, symbol, strategy):
        if code in ("risk_difference", "risk_held"):
            yield code, why


def reasons_against(ledger: Ledger, symbol: Symbol, strategy: str) -> Iterator[tuple[str, str]]:
    """Each halt, difference, hold and pause that stops a new order, as (code, why); empty where it may be sent."""
    scopes = covering_scopes(symbol, strategy)
    for halt in ledger.halts_of(*scopes):
        yield "risk_halted", f"halted ({halt.code}): {halt.reason}"
    for found in ledger.differences:
        yield "risk_difference", f"{found.asset}: expected {found.expected}, venue has {found.seen}"
    for hold in ledger.holds.values():
        if hold.scope in scopes:
            yield "risk_held", f"on hold ({hold.cause}): {hold.why}"
    if paused := ledger.paused.get(strategy):
        yield "risk_strategy_paused", f"strategy paused: {paused.why}"
