"""Whole, verified books: snapshot, updates in message order, cut to depth, CRC32 over the top ten after each message.

Prices and quantities are whole ticks and lots made from the wire's own digits. The checksum's text of a level, which is
its price and quantity without point and leading zeros, is then simply the two integers one after the other.
Source: Kraken docs, WebSocket v2 book channel and its checksum guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

from aether.domain.inputs import BookChanged, Level
from aether.domain.values import MONEY, Symbol
from aether.kraken.book_side import TOP_LEVELS, BookSide
from aether.kraken.book_text import OUTLINE, plain_forms
from aether.kraken.messages import CHECKSUM_MAX, BookMessage, LevelToken
from aether.kraken.strict_json import INT64_MAX, Unreadable, not_negative

_ZERO, _POINT = b"0."
_PLAIN_CHARACTERS_MAX = 18  # as many digits surely fit 64 bits


@dataclass(frozen=True, slots=True)
class BookBroken:
    """This book cannot be believed and was dropped; ask for a new snapshot of this symbol alone."""

    symbol: Symbol
    kind: Literal["checksum", "crossed", "unreadable"]
    why: str


class _Draft:
    """A picture while it is made. Its slots are BookChanged's, so it becomes one by taking its class.

    A frozen dataclass sets each field by way of `object.__setattr__`: that takes three times as long.
    """

    __slots__ = ("asks", "bids", "price_decimals", "qty_decimals", "symbol")

    def __init__(
        self, symbol: Symbol, bids: tuple[Level, ...], asks: tuple[Level, ...], price_decimals: int, qty_decimals: int
    ) -> None:
        self.symbol = symbol
        self.bids = bids
        self.asks = asks
        self.price_decimals = price_decimals
        self.qty_decimals = qty_decimals


class BookSync:
    """Keeps the book of one symbol at one subscribed depth. Deterministic and free of I/O; raises nothing.

    Args:
        price_decimals: digits after the point of a price, as `instrument` tells them (`price_precision`).
        qty_decimals: the same of a quantity (`qty_precision`).
        depth: the subscribed depth; what falls below it is not deleted by messages, so it is cut here.
    """

    __slots__ = (
        "_asks",
        "_asks_checksum",
        "_bids",
        "_bids_text",
        "_checksum",
        "_forms",
        "_is_whole",
        "_picture",
        "price_decimals",
        "qty_decimals",
        "symbol",
    )

    def __init__(self, symbol: Symbol, price_decimals: int, qty_decimals: int, depth: int) -> None:
        self.symbol = symbol
        self.price_decimals = price_decimals
        self.qty_decimals = qty_decimals
        self._forms = plain_forms(price_decimals, qty_decimals)
        self._bids = BookSide(-1, depth)
        self._asks = BookSide(1, depth)
        self._asks_checksum = 0  # kept, for the bids' part goes on from it
        self._bids_text = b""
        self._checksum = 0
        self._picture: BookChanged | None = None
        self._is_whole = False

    @property
    def is_whole(self) -> bool:
        """A snapshot is in, and every message since was verified."""
        return self._is_whole

    def drop(self) -> None:
        """Forget the book: updates are passed over until the next snapshot."""
        self._is_whole = False
        self._bids.clear()
        self._asks.clear()
        self._asks_checksum = self._checksum = 0
        self._bids_text = b""
        self._picture = None

    def apply(self, message: BookMessage) -> BookChanged | BookBroken | None:
        """The verified top of the book after this message, or why it was dropped. None: no snapshot yet."""
        if message.is_snapshot:
            self.drop()
            self._is_whole = True
        elif not self._is_whole:
            return None
        try:
            bids_place = self._put_decoded(self._bids, message.bids)
            asks_place = self._put_decoded(self._asks, message.asks)
        except Unreadable as error:
            return self._broken("unreadable", str(error))
        if message.is_snapshot:
            self._bids.pack()
            self._asks.pack()
        return self._verified(message.checksum, bids_place, asks_place)

    def apply_plain(self, text: bytes) -> BookChanged | BookBroken | None:
        """As `apply`, for what follows HEAD_END in an update of this symbol, read without decoding it.

        None: no snapshot yet, or not the plain form. Nothing was done then, and the reader has to read the frame.
        """
        forms = self._forms
        form = forms.by_outline.get(text.translate(OUTLINE)) or forms.learn(text)
        if form is None or not self._is_whole:
            return None
        cut, bids_end, end = form
        if end != 2:
            return self._apply_levels(cut(text), bids_end)
        # One level, as in most updates: as `_apply_levels`, without its loops.
        price, qty, digits = cut(text)
        if (
            (price[0] == _ZERO and len(price) > 1 and price[1] != _POINT)
            or (qty[0] == _ZERO and len(qty) > 1 and qty[1] != _POINT)
            or (digits[0] == _ZERO and len(digits) > 1)
        ):
            return None
        told = int(digits)
        if told > CHECKSUM_MAX:
            return None
        try:
            if bids_end:
                place = self._bids.put(price.replace(b".", b""), qty.replace(b".", b""))
                return self._verified(told, place, TOP_LEVELS)
            place = self._asks.put(price.replace(b".", b""), qty.replace(b".", b""))
            return self._verified(told, TOP_LEVELS, place)
        except Unreadable as error:
            return self._broken("unreadable", str(error))

    def _apply_levels(self, numbers: tuple[bytes, ...], bids_end: int) -> BookChanged | BookBroken | None:
        for number in numbers:
            if number[0] == _ZERO and len(number) > 1 and number[1] != _POINT:
                return None
        told = int(numbers[-1])
        if told > CHECKSUM_MAX:
            return None
        side, bids_place, place = self._bids, TOP_LEVELS, TOP_LEVELS
        try:
            for at in range(0, len(numbers) - 1, 2):
                if at == bids_end:
                    side, bids_place, place = self._asks, place, TOP_LEVELS
                here = side.put(numbers[at].replace(b".", b""), numbers[at + 1].replace(b".", b""))
                if here < place:  # noqa: PLR1730 - a call of `min` would take as long as all the rest of the turn
                    place = here
        except Unreadable as error:
            return self._broken("unreadable", str(error))
        if side is self._bids:
            return self._verified(told, place, TOP_LEVELS)
        return self._verified(told, bids_place, place)

    def top(self) -> BookChanged:
        """Picture of the best ten levels of each side, best first; the same one until they change."""
        picture = self._picture
        if picture is None:
            bids, asks = tuple(self._bids.top), tuple(self._asks.top)
            draft: Any = _Draft(self.symbol, bids, asks, self.price_decimals, self.qty_decimals)
            draft.__class__ = BookChanged
            picture = self._picture = draft
        return picture

    def _verified(self, told: int, bids_place: int, asks_place: int) -> BookChanged | BookBroken:
        """The book after a message, given the best place that it changed on each side, and the checksum it told."""
        bids, asks = self._bids, self._asks
        if bids.is_too_deep:
            bids.cut()
        if asks.is_too_deep:
            asks.cut()
        if asks_place < TOP_LEVELS:
            self._asks_checksum = crc32(b"".join(asks.top_texts))
        if bids_place < TOP_LEVELS:
            self._bids_text = b"".join(bids.top_texts)
        if bids_place < TOP_LEVELS or asks_place < TOP_LEVELS:
            self._checksum = crc32(self._bids_text, self._asks_checksum)
            self._picture = None
        if self._checksum != told:
            return self._broken("checksum", f"checksum {self._checksum}, Kraken says {told}")
        if not (bids_place and asks_place) and bids.top and asks.top and bids.top[0][0] >= asks.top[0][0]:
            return self._broken("crossed", "best bid is not below best ask")
        return self._picture or self.top()

    def _put_decoded(self, side: BookSide, levels: Sequence[LevelToken]) -> int:
        """The best place that was changed."""
        best = TOP_LEVELS
        for level in levels:
            price = _digits(bytes(level.price), self.price_decimals)
            best = min(best, side.put(price, _digits(bytes(level.qty), self.qty_decimals)))
        return best

    def _broken(self, kind: Literal["checksum", "crossed", "unreadable"], why: str) -> BookBroken:
        self.drop()
        return BookBroken(self.symbol, kind, why)


def _digits(token: bytes, decimals: int) -> bytes:
    """Digits of so many decimals of a number's own text. Raises Unreadable where it has more, or is no such number."""
    point = token.find(b".")
    written = len(token) - point - 1 if point >= 0 else 0
    if written == decimals and len(token) <= _PLAIN_CHARACTERS_MAX:
        digits = token.replace(b".", b"", 1)
        if digits.isdigit():
            return digits
    return b"%d" % _whole_of_other_text(token, decimals)


def _whole_of_other_text(token: bytes, decimals: int) -> int:
    """Steps of 10^-decimals: for long numbers, fewer digits than the pair has, an exponent. Unreadable past 64 bits."""
    steps = not_negative(token, "level").scaleb(decimals, MONEY)
    whole = steps.to_integral_value()
    if steps != whole:
        raise Unreadable(f"level: more than the {decimals} decimals of the pair")
    if whole > INT64_MAX:
        raise Unreadable("level: beyond 64 bits")
    return int(whole)
