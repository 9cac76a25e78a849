"""Whole, verified books: snapshot, updates in message order, cut to depth, CRC32 over the top ten after each message.

Prices and quantities are whole ticks and lots made from the wire's own digits. The checksum's text of a level, which is
its price and quantity without point and leading zeros, is then simply the two integers one after the other.
Source: Kraken docs, WebSocket v2 book channel and its checksum guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from aether.domain.inputs import BookChanged
from aether.domain.values import MONEY, Symbol
from aether.kraken.book_side import BookSide
from aether.kraken.book_text import NOT_DIGITS, plain_update
from aether.kraken.messages import CHECKSUM_MAX, BookMessage, LevelToken
from aether.kraken.strict_json import INT64_MAX, Unreadable, not_negative

_PLAIN_CHARACTERS_MAX = 18  # as many digits surely fit 64 bits


@dataclass(frozen=True, slots=True)
class BookBroken:
    """This book cannot be believed and was dropped; ask for a new snapshot of this symbol alone."""

    symbol: Symbol
    kind: Literal["checksum", "crossed", "unreadable"]
    why: str


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
        "_checksum",
        "_is_whole",
        "_picture",
        "_plain_update",
        "price_decimals",
        "qty_decimals",
        "symbol",
    )

    def __init__(self, symbol: Symbol, price_decimals: int, qty_decimals: int, depth: int) -> None:
        self.symbol = symbol
        self.price_decimals = price_decimals
        self.qty_decimals = qty_decimals
        self._plain_update = plain_update(price_decimals, qty_decimals)
        self._bids = BookSide(-1, depth)
        self._asks = BookSide(1, depth)
        self._asks_checksum = 0  # kept, for the bids' part goes on from it
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
        self._picture = None

    def apply(self, message: BookMessage) -> BookChanged | BookBroken | None:
        """The verified top of the book after this message, or why it was dropped. None: no snapshot yet."""
        if message.is_snapshot:
            self.drop()
            self._is_whole = True
        elif not self._is_whole:
            return None
        try:
            bids, asks = self._digits(message.bids), self._digits(message.asks)
        except Unreadable as error:
            return self._broken("unreadable", str(error))
        return self._take(bids, asks, message.checksum)

    def apply_plain(self, text: bytes) -> BookChanged | BookBroken | None:
        """As `apply`, for what follows HEAD_END in an update of this symbol, read without decoding it.

        None: no snapshot yet, or not the plain form. Nothing was done then, and the reader has to read the frame.
        """
        matched = self._plain_update(text)
        if matched is None or not self._is_whole:
            return None
        bids, asks, told = matched.groups()
        checksum = int(told)
        if checksum > CHECKSUM_MAX:
            return None
        return self._take(bids.translate(None, NOT_DIGITS), asks.translate(None, NOT_DIGITS), checksum)

    def top(self) -> BookChanged:
        """Picture of the best ten levels of each side, best first; the same one until they change."""
        if self._picture is None:
            bids, asks = tuple(self._bids.top), tuple(self._asks.top)
            self._picture = BookChanged(self.symbol, bids, asks, self.price_decimals, self.qty_decimals)
        return self._picture

    def _take(self, bids: bytes, asks: bytes, checksum: int) -> BookChanged | BookBroken:
        best_bids, best_asks, is_changed = self._bids.top, self._asks.top, False
        try:
            if bids and self._bids.take(bids):
                is_changed = True
            if asks and self._asks.take(asks):
                self._asks_checksum = crc32(b"".join(self._asks.top_texts))
                is_changed = True
        except Unreadable as error:
            return self._broken("unreadable", str(error))
        if is_changed:
            self._checksum = crc32(b"".join(self._bids.top_texts), self._asks_checksum)
            self._picture = None
        if self._checksum != checksum:
            return self._broken("checksum", f"checksum {self._checksum}, Kraken says {checksum}")
        if is_changed and best_bids and best_asks and best_bids[0][0] >= best_asks[0][0]:
            return self._broken("crossed", "best bid is not below best ask")
        return self._picture or self.top()

    def _digits(self, levels: Sequence[LevelToken]) -> bytes:
        """Price, quantity, price, quantity of decoded levels, each in its full decimals and without point."""
        digits = []
        for level in levels:
            digits.append(_digits(bytes(level.price), self.price_decimals))
            digits.append(_digits(bytes(level.qty), self.qty_decimals))
        return b",".join(digits)

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
