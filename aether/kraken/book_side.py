"""One side of a book in little memory: whole ticks and lots in two arrays of 64-bit integers, best first."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from aether.domain.inputs import Level
from aether.kraken.strict_json import Unreadable

TOP_LEVELS = 10  # the checksum is taken over so many of each side (Kraken docs, WebSocket v2 book checksum guide)


class BookSide:
    """Keys are ticks times `sign` (-1 bids, 1 asks), so that both sides ascend.

    `top` are the best ten, and `top_texts` what the checksum is taken over: of each, price and quantity without point
    or leading zeros. A change makes one level's text anew, not ten. Both lists live as long as the side.
    """

    __slots__ = ("_depth", "_keys", "_lots", "_sign", "is_too_deep", "top", "top_texts")

    def __init__(self, sign: int, depth: int) -> None:
        self._sign = sign
        self._depth = depth
        self._keys = array("q")
        self._lots = array("q")
        self.is_too_deep = False
        self.top_texts: list[bytes] = []
        self.top: list[Level] = []

    def clear(self) -> None:
        """Forget all levels."""
        self._keys, self._lots = array("q"), array("q")
        self.top_texts.clear()
        self.top.clear()

    def put(self, price: bytes, qty: bytes) -> int:
        """Set one level, without a cut to the depth. Its place, best first; TOP_LEVELS where none of the best changed.

        Args:
            price: its digits in the pair's full decimals, without the point, within 64 bits.
            qty: the same of the quantity. Zero takes the level away; taking away an unknown one is no error.

        Raises Unreadable for a price of zero: then the side is no longer sound.
        """
        ticks, lots = int(price), int(qty)
        if not ticks:
            raise Unreadable("price 0")
        keys, key = self._keys, ticks * self._sign
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            if lots:
                self._lots[place] = lots
                if place < TOP_LEVELS:
                    self.top[place] = ticks, lots
                    self.top_texts[place] = price.lstrip(b"0") + qty.lstrip(b"0")
                    return place
            else:
                del keys[place], self._lots[place]
                if place < TOP_LEVELS:
                    del self.top[place], self.top_texts[place]
                    if len(keys) >= TOP_LEVELS:
                        self._let_in_the_tenth()
                    return place
        elif lots:
            keys.insert(place, key)
            self._lots.insert(place, lots)
            self.is_too_deep = len(keys) > self._depth
            if place < TOP_LEVELS:
                self.top.insert(place, (ticks, lots))
                self.top_texts.insert(place, price.lstrip(b"0") + qty.lstrip(b"0"))
                del self.top[TOP_LEVELS:], self.top_texts[TOP_LEVELS:]
                return place
        return TOP_LEVELS

    def cut(self) -> None:
        """Forget what lies below the depth: to be done once all levels of a message are in."""
        del self._keys[self._depth :], self._lots[self._depth :]
        self.is_too_deep = False

    def pack(self) -> None:
        """Give back what growing took beyond need: after a snapshot, which comes level by level."""
        self._keys, self._lots = array("q", self._keys), array("q", self._lots)

    def _let_in_the_tenth(self) -> None:
        ticks, lots = self._keys[TOP_LEVELS - 1] * self._sign, self._lots[TOP_LEVELS - 1]
        self.top_texts.append(b"%d%d" % (ticks, lots))
        self.top.append((ticks, lots))
