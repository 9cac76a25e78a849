"""S22 to S24: the daemon's book is the exchange's book, and no decision uses an old one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from aether.domain.facts import Numbered, OrderSubmitted
from aether.domain.inputs import BookChanged
from aether.domain.values import NANOS_PER_S
from aether.simulator.evidence import Evidence
from aether.simulator.invariants.reading import Reading

Levels: TypeAlias = tuple[tuple[int, int], ...]
Sides: TypeAlias = tuple[Levels, Levels]

# As long as a message may be under way: a book that the exchange had before that is none of its present ones.
KEPT_NS = 180 * NANOS_PER_S


def not_too_old(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S23: No decision uses a price older than its limit, by monotonic time."""
    fact, policy = numbered.fact, reading.policy
    if not isinstance(fact, OrderSubmitted) or policy is None:
        return None
    age, most = fact.decision.quote.age_ms, policy.risk.quote_age_ms_max
    return None if 0 <= age <= most else f"{fact.cl_ord_id} was priced from a quote {age} ms old, at most {most}"


@dataclass(slots=True)
class BookWitness:
    """The tops that each book of the exchange had lately, and which picture of the daemon was looked at last."""

    depth: int = 10
    changes: dict[str, int] = field(default_factory=dict)
    kept: dict[str, deque[tuple[int, Sides]]] = field(default_factory=dict)
    had: dict[str, Counter[Sides]] = field(default_factory=dict)
    looked_at: dict[str, BookChanged] = field(default_factory=dict)

    def watch(self, evidence: Evidence) -> None:
        """Keep what the books are now, where they changed since the last look."""
        for pair in evidence.exchange.pairs:
            changes = evidence.exchange.book_changes(pair)
            if self.changes.get(pair) == changes:
                continue
            self.changes[pair] = changes
            top, kept = evidence.exchange.top(pair, self.depth), self.kept.setdefault(pair, deque())
            had = self.had.setdefault(pair, Counter())
            kept.append((evidence.now_ns, top))
            had[top] += 1
            while len(kept) > 1 and kept[1][0] < evidence.now_ns - KEPT_NS:
                _, old = kept.popleft()
                had[old] -= 1

    def look(self, evidence: Evidence) -> Iterator[str]:
        """S22: The book of a LIVE symbol = X's book truncated to depth, as it was at a moment not long ago.

        S24: What was applied out of order, or after a gap without a snapshot, is no book that the exchange ever had.
        """
        if evidence.machine is None:
            return
        for symbol, picture in evidence.machine.engine.market.pictures.items():
            book = picture.book
            if book is None or not picture.is_live or self.looked_at.get(symbol) is book:
                continue
            self.looked_at[symbol] = book
            sides = book.bids[: self.depth], book.asks[: self.depth]
            if not self.had.get(symbol, Counter())[sides]:
                yield f"{symbol}: the daemon's book is none that the exchange had lately: {sides}"


FACT_RULES = (("S23", not_too_old),)
