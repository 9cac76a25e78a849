"""Whole, verified books: snapshot, updates in message order, cut to depth, CRC32 over the top ten after each message.

Prices and quantities are whole ticks and lots made from the wire's own digits. The checksum's text of a level, which is
its price and quantity without point and leading zeros, is then simply the two integers one after the other.
Source: Kraken docs, WebSocket v2 book channel and its checksum guide.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal
from zlib import crc32

from aether.domain.inputs import BookChanged, Level
from aether.domain.values import MONEY, Symbol
from aether.kraken.messages import BookMessage, LevelToken
from aether.kraken.strict_json import INT64_MAX, Unreadable, not_negative

CHECKSUM_LEVELS = 10
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

    __slots__ = ("_asks", "_bids", "_checksum", "_depth", "_is_whole", "price_decimals", "qty_decimals", "symbol")

    def __init__(self, symbol: Symbol, price_decimals: int, qty_decimals: int, depth: int) -> None:
        self.symbol = symbol
        self.price_decimals = price_decimals
        self.qty_decimals = qty_decimals
        self._depth = depth
        self._bids = _BookSide(-1)
        self._asks = _BookSide(1)
        self._checksum = 0
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

    def apply(self, message: BookMessage) -> BookChanged | BookBroken | None:
        """The verified top of the book after this message, or why it was dropped. None: no snapshot yet."""
        if message.is_snapshot:
            self.drop()
            self._is_whole = True
        elif not self._is_whole:
            return None
        try:
            self._set_levels(self._bids, message.bids)
            self._set_levels(self._asks, message.asks)
        except Unreadable as error:
            return self._broken("unreadable", str(error))
        if self._bids.is_top_changed or self._asks.is_top_changed or message.is_snapshot:
            self._checksum = crc32(self._bids.top_digits(), crc32(self._asks.top_digits()))
        if self._checksum != message.checksum:
            return self._broken("checksum", f"checksum {self._checksum}, Kraken says {message.checksum}")
        if self._is_crossed():
            return self._broken("crossed", "best bid is not below best ask")
        return self.top(CHECKSUM_LEVELS)

    def top(self, levels: int) -> BookChanged:
        """Picture of the best `levels` of each side, best first."""
        return BookChanged(
            self.symbol, self._bids.best(levels), self._asks.best(levels), self.price_decimals, self.qty_decimals
        )

    def _set_levels(self, side: _BookSide, levels: Sequence[LevelToken]) -> None:
        for level in levels:
            ticks = _whole(bytes(level.price), self.price_decimals)
            if ticks == 0:
                raise Unreadable("price 0")
            side.set(ticks, _whole(bytes(level.qty), self.qty_decimals))
        side.cut(self._depth)

    def _is_crossed(self) -> bool:
        bids, asks = self._bids.best(1), self._asks.best(1)
        return bool(bids) and bool(asks) and bids[0][0] >= asks[0][0]

    def _broken(self, kind: Literal["checksum", "crossed", "unreadable"], why: str) -> BookBroken:
        self.drop()
        return BookBroken(self.symbol, kind, why)


class _BookSide:
    """Levels of one side, best first: keys are ticks times `sign`, so that both sides ascend."""

    __slots__ = ("_best", "_digits", "_keys", "_lots", "_sign", "is_top_changed")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[int] = []
        self._lots: list[int] = []
        self._best: tuple[Level, ...] = ()
        self._digits = b""
        self.is_top_changed = False

    def clear(self) -> None:
        self._keys.clear()
        self._lots.clear()
        self.is_top_changed = True

    def set(self, ticks: int, lots: int) -> None:
        """Set a level, or take it away where `lots` is 0; taking away an unknown one is no error."""
        key = ticks * self._sign
        keys = self._keys
        place = bisect_left(keys, key)
        is_there = place < len(keys) and keys[place] == key
        if lots == 0:
            if not is_there:
                return
            del keys[place], self._lots[place]
        elif is_there:
            self._lots[place] = lots
        else:
            keys.insert(place, key)
            self._lots.insert(place, lots)
        if place < CHECKSUM_LEVELS:
            self.is_top_changed = True

    def cut(self, depth: int) -> None:
        """Drop what lies below the subscribed depth."""
        if len(self._keys) > depth:
            del self._keys[depth:], self._lots[depth:]

    def best(self, levels: int) -> tuple[Level, ...]:
        """The best levels as ticks and lots; the top ten is kept until it changes."""
        self._refresh()
        return self._best[:levels] if levels <= CHECKSUM_LEVELS else self._copy(levels)

    def top_digits(self) -> bytes:
        """Text of the top ten that the checksum is taken over."""
        self._refresh()
        return self._digits

    def _refresh(self) -> None:
        if self.is_top_changed:
            self._best = self._copy(CHECKSUM_LEVELS)
            self._digits = (b"%d%d" * len(self._best)) % tuple(chain.from_iterable(self._best))
            self.is_top_changed = False

    def _copy(self, levels: int) -> tuple[Level, ...]:
        keys, lots = self._keys[:levels], self._lots[:levels]
        return tuple(zip(keys if self._sign > 0 else [-key for key in keys], lots, strict=True))


def _whole(token: bytes, decimals: int) -> int:
    """Whole steps of 10^-decimals in a number's own text. Raises Unreadable where it does not come out even."""
    point = token.find(b".")
    written = len(token) - point - 1 if point >= 0 else 0
    if written == decimals and len(token) <= _PLAIN_CHARACTERS_MAX:
        digits = token.replace(b".", b"", 1)
        if digits.isdigit():
            return int(digits)
    return _whole_of_other_text(token, decimals)


def _whole_of_other_text(token: bytes, decimals: int) -> int:
    """As `_whole`, for long numbers, fewer digits than the pair has, or an exponent. Beyond 64 bits is unreadable."""
    steps = not_negative(token, "level").scaleb(decimals, MONEY)
    whole = steps.to_integral_value()
    if steps != whole:
        raise Unreadable(f"level: more than the {decimals} decimals of the pair")
    if whole > INT64_MAX:
        raise Unreadable("level: beyond 64 bits")
    return int(whole)
