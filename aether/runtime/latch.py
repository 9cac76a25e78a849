"""The halt's latch: set at once by whoever halts, read before every send, released only by a committed resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from aether.core.halts import covering_scopes
from aether.domain.facts import (
    CommandAccepted,
    FlattenBegan,
    FlattenEnded,
    Numbered,
    OrderSubmitted,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import Halt
from aether.domain.values import Symbol


class Latch:
    """Scopes in which nothing may leave. Memory only: after a restart the halts of the ledger set it again.

    A halt that was given and is not answered yet stops by itself: a resume that stood in the queue before it was meant
    for an earlier halt, and must not open the door in between. What people have sold in a halted scope passes, unless a
    halt was given since.
    """

    def __init__(self, scopes: Iterable[str] = (), flattening: Iterable[str] = ()) -> None:
        self._halted = set(scopes)
        self._flattening = set(flattening)
        self._unanswered: Counter[str] = Counter()

    def set(self, scope: str) -> None:
        """Nothing more leaves in this scope, from this moment."""
        self._unanswered[scope] += 1

    def stops(self, order: OrderSubmitted) -> bool:
        """This order may not be sent."""
        scopes = covering_scopes(order.symbol, order.strategy)
        if order.is_exit and any(scope in self._flattening for scope in scopes):
            return any(self._unanswered[scope] > 0 for scope in scopes)
        return self.covers(order.symbol, order.strategy)

    def covers(self, symbol: Symbol, strategy: str) -> bool:
        """No new risk of this strategy in this symbol may be sent."""
        scopes = covering_scopes(symbol, strategy)
        return any(scope in self._halted or self._unanswered[scope] > 0 for scope in scopes)

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Follow committed halts, resumes and answers."""
        for numbered in facts:
            match numbered.fact:
                case TradingHalted(scope=scope):
                    self._halted.add(scope)
                case TradingResumed(scope=scope):
                    self._halted.discard(scope)
                case FlattenBegan(scope=scope):
                    self._flattening.add(scope)
                case FlattenEnded(scope=scope):
                    self._flattening.discard(scope)
                case CommandAccepted(command=Halt(scope=scope)):  # a halt that would be refused never pressed
                    self._unanswered[scope] = max(0, self._unanswered[scope] - 1)
