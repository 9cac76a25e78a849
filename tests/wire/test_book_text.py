"""The plain form is read as the reader reads it, or not at all."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from random import Random
from sys import getsizeof

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aether.domain.inputs import BookChanged
from aether.domain.spot_gate import recall
from aether.kraken import book_text
from aether.kraken.book_side import TOP_LEVELS, BookSide
from aether.kraken.book_sync import BookBroken, BookSync
from aether.kraken.book_text import HEAD_END, OUTLINE, PlainForms, update_head
from aether.kraken.messages import BooksRead, Message
from aether.kraken.wire import Reader

SYMBOL = recall("BTC/USD")
CAPTURE = "ws2-book/btcusd-d10-20260719T1754.raw.ndjson"
UPDATE = (
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":64525.0,"qty":0.53807066}],'
    b'"asks":[],"checksum":1,"timestamp":"2026-07-19T17:54:39.753424Z"}]}'
)
LEVEL = b'{"price":64525.0,"qty":0.53807066}'
WOUNDS = (b"0", b"9", b".", b"-", b"e5", b",", b'"', b"\\", b"}", b"{", b"[", b"]", b" ", b"\n", b"\xff", b"\x00", b"x")


class Frames(list[bytes]):
    """Recorded frames, too many to be shown where a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} frames"


@pytest.fixture(scope="session")
def frames(capture: Callable[[str], bytes]) -> Frames:
    return Frames(line for line in capture(CAPTURE).splitlines() if line.startswith(b'{"channel":"book"'))


def plain(book: BookSync, frame: bytes) -> BookChanged | BookBroken | None:
    head, _, text = frame.partition(HEAD_END)
    return book.apply_plain(text) if head == update_head(book.symbol) else None


def decoded(book: BookSync, frame: bytes) -> BookChanged | BookBroken | Message | None:
    message = Reader(recall).read(frame)
    if not isinstance(message, BooksRead):
        return message
    ours = [one for one in message.books if one.symbol == book.symbol]
    return book.apply(ours[0]) if ours else None


def whole_book(frames: Frames) -> BookSync:
    book = BookSync(SYMBOL, 1, 8, 10)
    assert isinstance(decoded(book, frames[0]), BookChanged)
    return book


def test_every_recorded_update_is_plain_and_read_as_if_decoded(frames: Frames) -> None:
    fast, slow = whole_book(frames), whole_book(frames)

    for frame in frames[1:]:
        outcome = plain(fast, frame)
        assert isinstance(outcome, BookChanged)
        assert outcome == decoded(slow, frame)


@given(seed=st.integers(0, 2**48))
@example(seed=0)
def test_a_wounded_update_is_read_as_if_decoded_or_left_to_the_reader(frames: Frames, seed: int) -> None:
    chance = Random(seed)
    fast, slow = whole_book(frames), whole_book(frames)
    for frame in frames[1:40]:
        wounded = wound(frame, chance) if chance.random() < 0.5 else frame
        before = fast.top()
        outcome = plain(fast, wounded)
        if outcome is None:
            assert fast.top() == before
            assert decoded(fast, wounded) == decoded(slow, wounded)
        else:
            assert outcome == decoded(slow, wounded)
        assert fast.is_whole == slow.is_whole
        assert fast.top() == slow.top()
        if not fast.is_whole:
            return


def wound(frame: bytes, chance: Random) -> bytes:
    """Bytes cut out, put in or written over; or a level or a digit said twice."""
    place = chance.randrange(len(frame))
    end = min(len(frame), place + chance.choice((0, 1, 1, 2, 9)))
    match chance.randrange(4):
        case 0:
            return frame[:place] + chance.choice(WOUNDS) + frame[end:]
        case 1:
            return frame[:place] + frame[end:]
        case 2:
            return frame[:place] + frame[place:end] * 2 + frame[end:]
        case _:
            digits = [at for at, byte in enumerate(frame) if 48 <= byte <= 57]
            at = chance.choice(digits)
            return frame[:at] + b"%d" % chance.randrange(10) + frame[at + 1 :]


@pytest.mark.parametrize(
    "frame",
    [
        UPDATE.replace(b'"asks":[]', b'"asks":[],"asks":[]'),
        UPDATE.replace(b'"qty":0.5', b'"qty":1.00000000,"qty":0.5'),
        UPDATE.replace(b'"price"', b'"pr\\u0069ce"'),
        UPDATE.replace(b"64525.0", b"64525"),
        UPDATE.replace(b"64525.0", b"64525.00"),
        UPDATE.replace(b"64525.0", b"064525.0"),
        UPDATE.replace(b"64525.0", b"04525.0"),
        UPDATE.replace(b'qty":0.5', b'qty":00.5'),
        UPDATE.replace(b"64525.0", b"6452.50e1"),
        UPDATE.replace(b"64525.0", b"-64525.0"),
        UPDATE.replace(b"64525.0", b"NaN"),
        UPDATE.replace(b"64525.0", b"9" * 18 + b".0"),
        UPDATE.replace(b'"checksum":1', b'"checksum":01'),
        UPDATE.replace(LEVEL, LEVEL + b"," + LEVEL.replace(b"64525.0", b"04525.0")),
        UPDATE.replace(LEVEL, LEVEL + b"," + LEVEL).replace(b'"checksum":1', b'"checksum":01'),
        UPDATE.replace(LEVEL, LEVEL + b"," + LEVEL).replace(b'"checksum":1', b'"checksum":4294967296'),
        UPDATE.replace(b'"checksum":1', b'"checksum":4294967296'),
        UPDATE.replace(b"Z", b'","x":"'),
        UPDATE.replace(b"Z", b"\xc3\xa9"),
        UPDATE.replace(b":[{", b": [{"),
        UPDATE.replace(b'"update"', b'"snapshot"'),
        UPDATE.replace(b"BTC/USD", b"ETH/USD"),
        UPDATE.replace(LEVEL, LEVEL + b","),
        UPDATE.replace(LEVEL, b",".join([LEVEL] * 2001)),
        UPDATE + b" ",
        UPDATE[:-1],
        b"",
    ],
)
def test_what_is_not_plain_from_the_first_byte_to_the_last_is_left_to_the_reader(frames: Frames, frame: bytes) -> None:
    book = whole_book(frames)
    before = book.top()

    assert plain(book, frame) is None
    assert book.is_whole
    assert book.top() == before


def test_a_plain_update_before_any_snapshot_is_left_to_the_reader() -> None:
    assert plain(BookSync(SYMBOL, 1, 8, 10), UPDATE) is None


@pytest.mark.parametrize("price", [b"0.0", b"64525.0"])
def test_a_plain_update_breaks_the_book_as_a_decoded_one_does(frames: Frames, price: bytes) -> None:
    frame = UPDATE.replace(b"64525.0", price)

    broken = plain(whole_book(frames), frame)

    assert isinstance(broken, BookBroken)
    assert broken == decoded(whole_book(frames), frame)


def test_what_is_not_plain_stays_so_though_its_outline_is_known(frames: Frames) -> None:
    book = whole_book(frames)
    for price in (b"64525.0", b"10000.0"):  # of one outline with b"04525.0"
        learnt = UPDATE.replace(b"64525.0", price)
        assert isinstance(plain(whole_book(frames), learnt), BookBroken)
    before = book.top()

    for digits in (b"04525.0", b"00000.0"):
        assert plain(book, UPDATE.replace(b"64525.0", digits)) is None

    assert book.is_whole
    assert book.top() == before


@pytest.mark.parametrize("decimals", [0, 1, 10, 17])
def test_prices_of_any_number_of_decimals_are_plain(decimals: int) -> None:
    price = b"1" if decimals == 0 else b"0." + b"1".zfill(decimals)
    text = b'{"price":%s,"qty":7}],"asks":[],"checksum":0,"timestamp":"2026-07-19T17:54:39Z"}]}' % price
    forms = PlainForms(decimals, 0)
    form = forms.learn(text)

    assert form is not None
    assert (form[0](text), *form[1:]) == ((price, b"7", b"0"), 2, 2)
    assert forms.by_outline == {text.translate(OUTLINE): form}


def test_a_price_of_more_decimals_than_fit_is_never_plain() -> None:
    assert PlainForms(18, 8).learn(b'],"asks":[],"checksum":0,"timestamp":""}]}') is not None
    price = b"0." + b"1".zfill(18)
    text = b'{"price":%s,"qty":0.00000007}],"asks":[],"checksum":0,"timestamp":""}]}' % price
    assert PlainForms(18, 8).learn(text) is None


def test_outlines_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_text, "_OUTLINES_MAX", 3)
    forms = PlainForms(1, 8)

    for width in range(1, 8):
        assert forms.learn(b'],"asks":[],"checksum":%d,"timestamp":""}]}' % 10**width) is not None
        assert len(forms.by_outline) <= 3


def test_the_outline_of_a_long_update_is_not_kept() -> None:
    level = b'{"price":1.5,"qty":0.00000007}'
    forms = PlainForms(1, 8)

    assert forms.learn(b'%s],"asks":[],"checksum":0,"timestamp":""}]}' % b",".join([level] * 20)) is not None
    assert forms.by_outline == {}


def test_the_tenth_level_enters_whenever_one_of_the_best_ten_leaves() -> None:
    side = BookSide(-1, 25)
    for ticks in range(20, 0, -1):
        side.put(b"%d" % ticks, b"5")

    places = [side.put(*level) for level in ((b"20", b"0"), (b"19", b"0"), (b"9", b"7"), (b"3", b"7"), (b"99", b"0"))]

    assert places == [0, 0, 9, TOP_LEVELS, TOP_LEVELS]
    assert [ticks for ticks, _ in side.top] == list(range(18, 8, -1))
    assert side.top[-1] == (9, 7)
    assert side.top_texts == [b"%d%d" % level for level in side.top]


def test_a_packed_side_holds_the_same_in_no_more_than_it_needs() -> None:
    side = BookSide(1, 1000)
    for ticks in range(1000, 0, -1):
        side.put(b"%d" % ticks, b"5")
    before = list(side._keys), list(side._lots), list(side.top)

    side.pack()

    assert (list(side._keys), list(side._lots), side.top) == before
    assert getsizeof(side._keys) == getsizeof(side._lots) == getsizeof(array("q")) + 8 * 1000
