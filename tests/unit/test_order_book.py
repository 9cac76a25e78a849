"""The price-time book by itself: order of prices, order of arrival, and what leaves no trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.sim.order_book import BookHalf, OrderBook


def test_bids_are_best_at_the_highest_price_and_asks_at_the_lowest() -> None:
    book = OrderBook()
    for ticks in (100, 102, 101):
        book.bids.add(f"B{ticks}", ticks, 1)
        book.asks.add(f"A{ticks}", ticks + 10, 1)

    assert [ticks for ticks, _ in book.bids.levels()] == [102, 101, 100]
    assert [ticks for ticks, _ in book.asks.levels()] == [110, 111, 112]
    assert (book.bids.best(), book.asks.best()) == (102, 110)


def test_at_one_price_the_oldest_order_is_in_front() -> None:
    half = BookHalf("ask")
    half.add("first", 100, 5)
    half.add("second", 100, 7)

    assert half.front() == (100, "first", 5)
    half.reduce("first", 100, 5)
    assert half.front() == (100, "second", 7)


def test_an_order_that_shrinks_keeps_its_place() -> None:
    half = BookHalf("bid")
    half.add("first", 100, 5)
    half.add("second", 100, 7)

    half.reduce("first", 100, 4)

    assert half.front() == (100, "first", 1)
    assert half.lots_at(100) == 8


def test_an_emptied_price_is_gone() -> None:
    half = BookHalf("bid")
    half.add("only", 100, 5)

    half.reduce("only", 100, 5)

    assert half.best() is None
    assert len(half) == 0
    assert half.lots_at(100) == 0


@pytest.mark.parametrize(("limit", "crosses"), [(99, False), (100, True), (101, True)])
def test_a_buy_crosses_asks_at_its_limit_and_below(limit: int, *, crosses: bool) -> None:
    half = BookHalf("ask")
    half.add("ask", 100, 1)

    assert half.crosses(limit) is crosses


@pytest.mark.parametrize(("limit", "crosses"), [(99, True), (100, True), (101, False)])
def test_a_sell_crosses_bids_at_its_limit_and_above(limit: int, *, crosses: bool) -> None:
    half = BookHalf("bid")
    half.add("bid", 100, 1)

    assert half.crosses(limit) is crosses


def test_reducing_an_order_below_nothing_is_a_broken_invariant() -> None:
    half = BookHalf("bid")
    half.add("bid", 100, 1)

    with pytest.raises(AssertionError):
        half.reduce("bid", 100, 2)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9), st.booleans())))
def test_orders_come_out_as_a_sorted_list_would_give_them(steps: list[tuple[int, int, bool]]) -> None:
    half = BookHalf("ask")
    model: list[tuple[int, int, int]] = []  # ticks, number of arrival, lots
    for number, (ticks, lots, removes) in enumerate(steps):
        if removes and model:
            gone = model.pop(lots % len(model))
            half.reduce(str(gone[1]), gone[0], gone[2])
        else:
            half.add(str(number), ticks, lots)
            model.append((ticks, number, lots))

    assert list(half.orders()) == [(str(number), ticks, lots) for ticks, number, lots in sorted(model)]
    assert sum(lots for _, lots in half.levels()) == sum(lots for _, _, lots in model)
