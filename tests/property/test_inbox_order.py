"""Whatever comes in whatever order: the inbox keeps the order, and the newest book of each stretch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aether.domain.inputs import BookChanged, DiskGateChanged, FeedLost, Input, Stamped
from aether.domain.spot_gate import recall
from aether.domain.values import UtcNanos
from aether.runtime.inbox import Inbox

SYMBOLS = tuple(recall(f"{coin}/USD") for coin in ("BTC", "ETH", "SOL"))
BOOK = BookChanged(SYMBOLS[0], ((1, 1),), ((2, 1),), 1, 4)


class JumpingClock:
    """Reads out the given times, one for each put."""

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@st.composite
def told(draw: st.DrawFn) -> list[tuple[int, Input | None]]:
    """Times and inputs in the order they come; each input can be told from each other. None: the reader takes."""
    puts: list[tuple[int, Input | None]] = []
    for number in range(draw(st.integers(0, 60))):
        symbol = draw(st.sampled_from(SYMBOLS))
        kinds: list[Input | None] = [
            replace(BOOK, symbol=symbol, bids=((number, 1),)),
            FeedLost(symbol, str(number)),
            DiskGateChanged(is_open=True, free_bytes=number),
            None,
        ]
        puts.append((draw(st.integers(0, 1_000)), draw(st.sampled_from(kinds))))
    return puts


async def through_the_inbox(puts: list[tuple[int, Input | None]]) -> list[Stamped]:
    clock = JumpingClock()
    inbox, taken = Inbox(clock), list[Stamped]()
    for now_ns, put in puts:
        clock.now_ns = now_ns
        if put is not None:
            inbox.put(put)
        elif inbox.live:
            taken += await inbox.take()
    if inbox.live:
        taken += await inbox.take()
    assert inbox.live == 0
    assert inbox.superseded_books == sum(1 for _, put in puts if put is not None) - len(taken)
    return taken


def expected_of(puts: list[tuple[int, Input | None]]) -> list[Input]:
    """All but the books that a later book of their symbol replaced with no loss and no reading between them."""
    kept: list[Input] = []
    waiting: list[Input] = []
    for _, put in puts:
        if put is None:
            kept, waiting = kept + waiting, []
            continue
        if isinstance(put, BookChanged):
            replaced = _replaced_by(put, waiting)
            waiting = [other for other in waiting if other is not replaced]
        waiting.append(put)
    return kept + waiting


def _replaced_by(book: BookChanged, waiting: list[Input]) -> Input | None:
    for other in reversed(waiting):
        if isinstance(other, FeedLost) and other.symbol == book.symbol:
            return None
        if isinstance(other, BookChanged) and other.symbol == book.symbol:
            return other
    return None


@given(told())
def test_only_superseded_books_are_missing_and_nothing_changes_places(puts: list[tuple[int, Input | None]]) -> None:
    taken = asyncio.run(through_the_inbox(puts))
    assert [stamped.input for stamped in taken] == expected_of(puts)


@given(told())
def test_numbers_are_continuous_and_stamps_never_go_back(puts: list[tuple[int, Input | None]]) -> None:
    taken = asyncio.run(through_the_inbox(puts))
    assert [stamped.seq for stamped in taken] == list(range(1, len(taken) + 1))
    assert all(before.at_ns <= after.at_ns for before, after in pairwise(taken))
    assert {stamped.at_ns for stamped in taken} <= {now_ns for now_ns, _ in puts}
