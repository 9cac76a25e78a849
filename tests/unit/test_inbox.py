"""Where every input arrives: order, stamps, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.errors import InvariantBroken
from aether.domain.inputs import BookChanged, FeedLost, Input, Stamped, Tick, TradeSeen
from aether.domain.instruments import Side
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, UtcNanos
from aether.runtime.inbox import BATCH_MAX, DEPTH_MAX, SLOTS_MAX, TRADES_DEPTH_MAX, Inbox

BTC, ETH = recall("BTC/USD"), recall("ETH/USD")
TRADE = TradeSeen(BTC, Side.BUY, Price(Decimal(100)), Qty(Decimal(1)), 0)


class HandClock:
    """A clock that moves by hand, also backwards."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def inbox(clock: HandClock) -> Inbox:
    return Inbox(clock)


@pytest.fixture
def book(make: Any) -> Callable[..., BookChanged]:
    """A book of its own price, to tell one from the other."""

    def build(number: int, symbol: str = "BTC/USD") -> BookChanged:
        changed = make.book(bid=str(100 + number), ask=str(101 + number), symbol=recall(symbol))
        assert isinstance(changed, BookChanged)
        return changed

    return build


def heard(batch: tuple[Stamped, ...]) -> list[Input]:
    return [stamped.input for stamped in batch]


# --- books ----------------------------------------------------------------------------------------------------------


async def test_of_waiting_books_of_a_symbol_only_the_newest_is_taken(inbox: Inbox, book: Any) -> None:
    for number in range(3):
        inbox.put(book(number))
    assert heard(await inbox.take()) == [book(2)]
    assert inbox.superseded_books == 2


async def test_the_newest_book_stands_where_it_came_and_all_else_keeps_its_order(inbox: Inbox, book: Any) -> None:
    for put in (book(0), TRADE, Tick(), book(1), TRADE):
        inbox.put(put)
    assert heard(await inbox.take()) == [TRADE, Tick(), book(1), TRADE]


async def test_books_of_two_symbols_do_not_replace_each_other(inbox: Inbox, book: Any) -> None:
    for put in (book(0), book(0, "ETH/USD"), book(1)):
        inbox.put(put)
    assert heard(await inbox.take()) == [book(0, "ETH/USD"), book(1)]


async def test_a_book_that_was_taken_is_not_superseded(inbox: Inbox, book: Any) -> None:
    inbox.put(book(0))
    await inbox.take()
    inbox.put(book(1))
    assert heard(await inbox.take()) == [book(1)]
    assert inbox.superseded_books == 0
    assert inbox.live == 0


async def test_a_lost_feed_parts_the_books_before_it_from_those_after(inbox: Inbox, book: Any) -> None:
    lost = FeedLost(BTC, "silence")
    for put in (book(0), book(1), lost, book(2), book(3)):
        inbox.put(put)
    assert heard(await inbox.take()) == [book(1), lost, book(3)]


async def test_a_lost_feed_is_no_barrier_for_another_symbol(inbox: Inbox, book: Any) -> None:
    for put in (book(0), FeedLost(ETH, "silence"), book(1)):
        inbox.put(put)
    assert heard(await inbox.take()) == [FeedLost(ETH, "silence"), book(1)]


# --- stamps ---------------------------------------------------------------------------------------------------------


async def test_numbers_count_from_one_without_gaps_though_books_are_superseded(inbox: Inbox, book: Any) -> None:
    for number in range(5):
        inbox.put(book(number))
        inbox.put(Tick())
    first = await inbox.take()
    inbox.put(Tick())
    second = await inbox.take()
    assert [stamped.seq for stamped in first + second] == [1, 2, 3, 4, 5, 6, 7]


async def test_stamps_are_the_clocks_when_it_goes_forward(inbox: Inbox, clock: HandClock) -> None:
    for now_ns in (1_000, 1_000, 1_001):
        clock.now_ns = now_ns
        inbox.put(Tick())
    assert [stamped.at_ns for stamped in await inbox.take()] == [1_000, 1_000, 1_001]


async def test_b15_stamps_stand_still_when_the_clock_goes_back(inbox: Inbox, clock: HandClock) -> None:
    for now_ns in (2_000, 500, 1_999, 2_001):
        clock.now_ns = now_ns
        inbox.put(Tick())
    assert [stamped.at_ns for stamped in await inbox.take()] == [2_000, 2_000, 2_000, 2_001]


async def test_an_input_is_stamped_when_it_comes_not_when_it_is_taken(inbox: Inbox, clock: HandClock) -> None:
    inbox.put(Tick())
    clock.now_ns = 9_000
    assert [stamped.at_ns for stamped in await inbox.take()] == [1_000]


# --- bounds ---------------------------------------------------------------------------------------------------------


async def test_trades_are_dropped_before_anything_about_money_is(inbox: Inbox) -> None:
    for _ in range(TRADES_DEPTH_MAX - 1):
        inbox.put(Tick())
    inbox.put(TRADE)
    assert (inbox.live, inbox.dropped_trades) == (TRADES_DEPTH_MAX, 0)
    inbox.put(TRADE)
    assert (inbox.live, inbox.dropped_trades) == (TRADES_DEPTH_MAX, 1)
    inbox.put(Tick())
    assert inbox.live == TRADES_DEPTH_MAX + 1


async def test_trades_are_taken_again_when_there_is_room(inbox: Inbox) -> None:
    for _ in range(TRADES_DEPTH_MAX):
        inbox.put(Tick())
    await inbox.take()
    inbox.put(TRADE)
    assert inbox.dropped_trades == 0


async def test_a_queue_full_of_what_may_not_be_lost_is_a_broken_invariant(inbox: Inbox) -> None:
    for _ in range(DEPTH_MAX):
        inbox.put(Tick())
    with pytest.raises(InvariantBroken, match=str(DEPTH_MAX)):
        inbox.put(Tick())


async def test_superseded_books_do_not_fill_the_queue(inbox: Inbox, book: Any) -> None:
    one, other = book(0), book(1)
    for _ in range(DEPTH_MAX):
        inbox.put(one)
        inbox.put(other)
    assert inbox.live == 1
    assert heard(await inbox.take()) == [other]


async def test_b12_memory_stays_bounded_while_nobody_reads(inbox: Inbox, book: Any) -> None:
    changed = book(0)
    inbox.put(Tick())
    for _ in range(2 * SLOTS_MAX):
        inbox.put(changed)
        assert len(inbox._slots) <= SLOTS_MAX
    assert heard(await inbox.take()) == [Tick(), changed]


async def test_a_batch_has_a_bound_and_the_rest_comes_next(inbox: Inbox) -> None:
    for _ in range(BATCH_MAX + 1):
        inbox.put(Tick())
    assert len(await inbox.take()) == BATCH_MAX
    assert inbox.live == 1
    rest = await inbox.take()
    assert [stamped.seq for stamped in rest] == [BATCH_MAX + 1]


async def test_taking_waits_until_there_is_something(inbox: Inbox) -> None:
    async with asyncio.TaskGroup() as group:
        taken = group.create_task(inbox.take())
        await asyncio.sleep(0)
        assert not taken.done()
        inbox.put(Tick())
    assert heard(taken.result()) == [Tick()]


async def test_taking_waits_again_once_all_is_taken(inbox: Inbox) -> None:
    inbox.put(Tick())
    await inbox.take()
    async with asyncio.TaskGroup() as group:
        taken = group.create_task(inbox.take())
        await asyncio.sleep(0)
        assert not taken.done()
        inbox.put(TRADE)
    assert heard(taken.result()) == [TRADE]
