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

    __slots__ = ("_depth", "_keys", "_lots", "_sign", "top", "top_texts")

    def __init__(self, sign: int, depth: int) -> None:
        self._sign = sign
        self._depth = depth
        self._keys = array("q")
        self._lots = array("q")
        self.top_texts: list[bytes] = []
        self.top: list[Level] = []

    def clear(self) -> None:
        """Forget all levels."""
        self._keys, self._lots = array("q"), array("q")
        self.top_texts.clear()
        self.top.clear()

    def take(self, digits: bytes) -> bool:
        """Set levels in message order, then cut to the depth. True where one of the best ten changed.

        Args:
            digits: price, quantity, price, quantity, commas between them, each in its pair's full decimals and without
                its point, within 64 bits. Quantity zero takes a level away; taking away an unknown one is no error.

        Raises Unreadable for a price of zero: then the side is no longer sound.
        """
        keys, all_lots, texts, top, sign = self._keys, self._lots, self.top_texts, self.top, self._sign
        is_top_changed = False
        tokens = iter(digits.split(b","))
        for price in tokens:  # one flat loop: a call for each level would cost as much as the level
            qty = next(tokens)
            ticks, lots = int(price), int(qty)
            if not ticks:
                raise Unreadable("price 0")
            key = ticks * sign
            place = bisect_left(keys, key)
            is_there = place < len(keys) and keys[place] == key
            if lots and is_there:
                all_lots[place] = lots
                if place < TOP_LEVELS:
                    texts[place] = price.lstrip(b"0") + qty.lstrip(b"0")
                    top[place] = ticks, lots
            elif lots:
                keys.insert(place, key)
                all_lots.insert(place, lots)
                if place < TOP_LEVELS:
                    texts.insert(place, price.lstrip(b"0") + qty.lstrip(b"0"))
                    top.insert(place, (ticks, lots))
                    del texts[TOP_LEVELS:], top[TOP_LEVELS:]
            elif is_there:
                del keys[place], all_lots[place]
                if place < TOP_LEVELS:
                    del texts[place], top[place]
                    if len(keys) >= TOP_LEVELS:
                        self._let_in_the_tenth()
            else:
                continue
            if place < TOP_LEVELS:
                is_top_changed = True
        if len(keys) > self._depth:
            del keys[self._depth :], all_lots[self._depth :]
        return is_top_changed

    def _let_in_the_tenth(self) -> None:
        ticks, lots = self._keys[TOP_LEVELS - 1] * self._sign, self._lots[TOP_LEVELS - 1]
        self.top_texts.append(b"%d%d" % (ticks, lots))
        self.top.append((ticks, lots))
