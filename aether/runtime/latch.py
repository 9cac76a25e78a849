"""The halt's latch: set at once by whoever halts, read before every send, released only by a committed resume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aether.core.halts import covering_scopes
from aether.domain.facts import Numbered, OrderSubmitted, TradingHalted, TradingResumed


class Latch:
    """Scopes in which nothing may leave. Memory only: after a restart the halts of the ledger set it again."""

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        self._scopes = set(scopes)

    def set(self, scope: str) -> None:
        """Nothing more leaves in this scope, from this moment."""
        self._scopes.add(scope)

    def stops(self, order: OrderSubmitted) -> bool:
        """This order may not be sent."""
        return any(scope in self._scopes for scope in covering_scopes(order.symbol, order.strategy))

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Follow committed halts and resumes."""
        for numbered in facts:
            match numbered.fact:
                case TradingHalted(scope=scope):
                    self._scopes.add(scope)
                case TradingResumed(scope=scope):
                    self._scopes.discard(scope)
