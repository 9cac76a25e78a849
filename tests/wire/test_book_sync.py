from __future__ import annotations

import json
import random
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.inputs import BookChanged
from aether.domain.spot_gate import recall
from aether.kraken.book_sync import BookBroken, BookSync
from aether.kraken.messages import BookMessage, BooksRead
from aether.kraken.wire import Reader

SYMBOL = recall("BTC/USD")
Levels = list[tuple[str, str]]


def frame(kind: str, bids: Levels, asks: Levels, checksum: int) -> bytes:
    sides = [",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in levels) for levels in (bids, asks)]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{checksum},"timestamp":"2026-07-19T17:54:39.753424Z"}}]}}'
    ).encode()


def message(kind: str, bids: Levels, asks: Levels, checksum: int) -> BookMessage:
    read = Reader(recall).read(frame(kind, bids, asks, checksum))
    assert isinstance(read, BooksRead)
    return read.books[0]


def checksum(bids: Levels, asks: Levels) -> int:
    """Written from Kraken's guide, from text: without point and leading zeros, asks before bids, ten of each."""
    text = "".join(
        token.replace(".", "").lstrip("0") for levels in (asks, bids) for level in levels[:10] for token in level
    )
    return crc32(text.encode())


BIDS: Levels = [("64525.0", "0.53807066"), ("64524.2", "0.03095975")]
ASKS: Levels = [("64525.1", "0.01077490"), ("64526.1", "0.00005100")]


def whole_book(depth: int = 10) -> BookSync:
    book = BookSync(SYMBOL, 1, 8, depth)
    assert isinstance(book.apply(message("snapshot", BIDS, ASKS, checksum(BIDS, ASKS))), BookChanged)
    return book


def test_a_snapshot_gives_ticks_and_lots_best_first() -> None:
    changed = whole_book().top()

    assert changed == BookChanged(
        SYMBOL, ((645250, 53807066), (645242, 3095975)), ((645251, 1077490), (645261, 5100)), 1, 8
    )


def test_the_official_worked_example_verifies(capture: Callable[[str], bytes]) -> None:
    example = json.loads(capture("ws2-book/docs-worked-example.json"))
    asks = [(price, qty) for price, qty in example["asks"]]
    bids = [(price, qty) for price, qty in example["bids"]]

    outcome = BookSync(SYMBOL, 1, 8, 10).apply(message("snapshot", bids, asks, 3310070434))

    assert isinstance(outcome, BookChanged)
    assert len(outcome.bids) == len(outcome.asks) == 10


def test_each_of_the_recorded_ladders_verifies(capture: Callable[[str], bytes]) -> None:
    cases = json.loads(capture("ws2-book/btcusd-top10-ladders.json"))["cases"]
    assert len(cases) == 134
    for case in cases:
        bids, asks = [(p, q) for p, q in case["bids"]], [(p, q) for p, q in case["asks"]]
        expected = next(case[key] for key in case if "checksum" in key or "crc" in key)
        outcome = BookSync(SYMBOL, 1, 8, 10).apply(message("snapshot", bids, asks, int(expected)))
        assert isinstance(outcome, BookChanged)


def test_a_wrong_checksum_drops_the_book_and_updates_are_passed_over_until_a_snapshot() -> None:
    book = whole_book()

    broken = book.apply(message("update", [("64525.0", "1.00000000")], [], 1))

    assert isinstance(broken, BookBroken)
    assert broken.symbol == SYMBOL
    assert "checksum" in broken.why
    assert not book.is_whole
    assert book.top().bids == ()
    assert book.apply(message("update", [("64525.0", "1.00000000")], [], 1)) is None
    assert isinstance(book.apply(message("snapshot", BIDS, ASKS, checksum(BIDS, ASKS))), BookChanged)


def test_an_update_before_any_snapshot_is_passed_over() -> None:
    assert BookSync(SYMBOL, 1, 8, 10).apply(message("update", BIDS, ASKS, checksum(BIDS, ASKS))) is None


def test_the_same_price_twice_in_a_message_is_applied_in_order() -> None:
    book = whole_book()
    bids = [("64525.0", "2.00000000"), BIDS[1]]

    outcome = book.apply(
        message("update", [("64525.0", "0.00000000"), ("64525.0", "2.00000000")], [], checksum(bids, ASKS))
    )

    assert isinstance(outcome, BookChanged)
    assert outcome.bids[0] == (645250, 200000000)


def test_taking_away_an_unknown_price_is_no_error() -> None:
    outcome = whole_book().apply(message("update", [("1.0", "0.00000000")], [], checksum(BIDS, ASKS)))

    assert isinstance(outcome, BookChanged)


@pytest.mark.parametrize(("bid", "crosses"), [("64525.0", False), ("64525.1", True), ("64525.2", True)])
def test_b10_a_locked_or_crossed_book_is_dropped_whatever_its_checksum(bid: str, *, crosses: bool) -> None:
    bids = [(bid, "1.00000000")]

    outcome = BookSync(SYMBOL, 1, 8, 10).apply(message("snapshot", bids, ASKS, checksum(bids, ASKS)))

    assert isinstance(outcome, BookBroken) == crosses


def test_b10_an_empty_side_is_a_book() -> None:
    outcome = BookSync(SYMBOL, 1, 8, 10).apply(message("snapshot", [], ASKS, checksum([], ASKS)))

    assert isinstance(outcome, BookChanged)
    assert outcome.bids == ()


@pytest.mark.parametrize(
    ("price", "qty"),
    [("-1.0", "1.00000000"), ("0.0", "1.00000000"), ("1.0", "-1.00000000"), ("1.05", "1.00000000"), ("1e999", "1.0")],
)
def test_a_level_that_is_no_price_or_quantity_drops_the_book(price: str, qty: str) -> None:
    outcome = whole_book().apply(message("update", [(price, qty)], [], checksum(BIDS, ASKS)))

    assert isinstance(outcome, BookBroken)


def test_b06_an_exponent_and_missing_digits_are_numbers_all_the_same() -> None:
    bids = [("64525.0", "0.00000001")]

    outcome = BookSync(SYMBOL, 1, 8, 10).apply(message("snapshot", [("64525", "1E-8")], ASKS, checksum(bids, ASKS)))

    assert isinstance(outcome, BookChanged)
    assert outcome.bids == ((645250, 1),)


def test_b05_a_level_that_fell_below_the_depth_does_not_return() -> None:
    levels = [(f"{100 - place}.0", "1.00000000") for place in range(10)]
    book = BookSync(SYMBOL, 1, 8, 10)
    book.apply(message("snapshot", levels, [], checksum(levels, [])))
    better = [("100.5", "1.00000000"), *levels[:9]]
    book.apply(message("update", [("100.5", "1.00000000")], [], checksum(better, [])))

    outcome = book.apply(message("update", [("100.5", "0.00000000")], [], checksum(levels[:9], [])))

    assert isinstance(outcome, BookChanged)
    assert len(outcome.bids) == 9


@pytest.mark.parametrize(("decimals", "first"), [(6, "0.031348"), (9, "0.000022890"), (0, "64525")])
def test_b06_leading_zeros_and_whole_prices_verify(decimals: int, first: str) -> None:
    bids = [(first, "0.03740000")]

    assert isinstance(
        BookSync(SYMBOL, decimals, 8, 10).apply(message("snapshot", bids, [], checksum(bids, []))), BookChanged
    )


@given(seed=st.integers(0, 2**32), depth=st.sampled_from([10, 25, 100]))
def test_any_run_of_updates_matches_a_plain_book_and_its_checksum(seed: int, depth: int) -> None:
    random_source = random.Random(seed)
    plain_bids: dict[int, int] = {}
    plain_asks: dict[int, int] = {}
    book = BookSync(SYMBOL, 1, 8, depth)
    for step in range(60):
        changes: dict[str, Levels] = {"bids": [], "asks": []}
        for side, plain, low, high in (("bids", plain_bids, 1, 400), ("asks", plain_asks, 401, 800)):
            count = 150 if step == 0 else random_source.randrange(4)
            for _ in range(count):
                ticks, lots = random_source.randrange(low, high), random_source.choice((0, 1, 5100, 123456789))
                plain[ticks] = lots
                changes[side].append((f"{ticks // 10}.{ticks % 10}", f"{lots // 10**8}.{lots % 10**8:08d}"))
        for plain, best_first in ((plain_bids, -1), (plain_asks, 1)):
            kept = sorted((ticks for ticks in plain if plain[ticks]), key=lambda t: t * best_first)[:depth]
            for ticks in [ticks for ticks in plain if ticks not in kept]:
                del plain[ticks]
        top = [
            [(str(ticks), str(plain[ticks])) for ticks in sorted(plain, reverse=is_bid)[:10]]
            for plain, is_bid in ((plain_bids, True), (plain_asks, False))
        ]
        outcome = book.apply(
            message("update" if step else "snapshot", changes["bids"], changes["asks"], checksum(top[0], top[1]))
        )
        assert isinstance(outcome, BookChanged), outcome
        assert outcome.bids == tuple((int(p), int(q)) for p, q in top[0])
        assert outcome.asks == tuple((int(p), int(q)) for p, q in top[1])
