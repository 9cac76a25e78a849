"""The plain form of a `book` update: text of which every byte is foreseen, and which need not be decoded to be read.

Kraken writes an update always alike: the same keys in the same order, and numbers with exactly the digits of the pair.
What matches that form from the first byte to the last has no room for a key that stands twice, an escape, an exponent
or a byte that is no ASCII, so it needs no further check. All else goes to the reader, which decodes and checks it.
Source of the form: captured frames of 2025 and 2026.

An expression decides what is plain. As texts of the same widths differ in nothing but their digits, it is asked once
for each outline, which is the text with every digit made 0; after that a look-up answers, and a prepared `Struct` cuts
the numbers out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import TypeAlias

from aether.domain.values import Symbol

HEAD_END = b'","bids":['
OUTLINE = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
"""Translation of a text to its outline."""

_PLAIN_DIGITS_MAX = 18  # as many digits surely fit 64 bits
_LEVELS_MAX = 2_000  # of one side in one message: twice the deepest subscription there is
_OUTLINES_MAX = 1_024  # about half a megabyte; updates of one or two levels have some hundred
_OUTLINE_BYTES_MAX = 256  # up to five levels: of longer ones hardly two are alike
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?")

Form: TypeAlias = tuple[Callable[[bytes], tuple[bytes, ...]], int, int]
"""What cuts the numbers out of a text of one outline, how many of them are of bids, and how many of both sides.

They are price and quantity of each level, bids first, and the checksum last, each as written.
"""


def update_head(symbol: Symbol) -> bytes:
    """How a plain update of this symbol begins, up to HEAD_END."""
    return b'{"channel":"book","type":"update","data":[{"symbol":"%s' % symbol.encode()


class PlainForms:
    """Forms of the updates of all pairs with so many decimals: of what follows HEAD_END.

    `by_outline` holds those met so far, at most _OUTLINES_MAX. One thing it does not tell: a whole number that begins
    with a needless 0 has the outline of a sound one, so whoever reads the pieces has to refuse it.
    """

    __slots__ = ("_match", "by_outline")

    def __init__(self, price_decimals: int, qty_decimals: int) -> None:
        self._match = _matcher(price_decimals, qty_decimals)
        self.by_outline: dict[bytes, Form] = {}

    def learn(self, text: bytes) -> Form | None:
        """The form of a text whose outline was not met before; None where it is not plain."""
        matched = self._match(text)
        if matched is None:
            return None
        bids, asks = matched[1].count(b"}"), matched[2].count(b"}")
        form = (_cutter(text, matched.end(3)), 2 * bids, 2 * (bids + asks))
        if len(text) <= _OUTLINE_BYTES_MAX:
            if len(self.by_outline) >= _OUTLINES_MAX:
                self.by_outline.clear()
            self.by_outline[text.translate(OUTLINE)] = form
        return form


@cache
def plain_forms(price_decimals: int, qty_decimals: int) -> PlainForms:
    """The same forms for all books with so many decimals."""
    return PlainForms(price_decimals, qty_decimals)


def _matcher(price_decimals: int, qty_decimals: int) -> Callable[[bytes], re.Match[bytes] | None]:
    """Of a whole plain text; its groups are bids, asks and checksum, as written."""
    level = rb'\{"price":%s,"qty":%s\}' % (_number(price_decimals), _number(qty_decimals))
    side = rb"((?:%s(?:,%s){0,%d}+)?+)" % (level, level, _LEVELS_MAX - 1)
    tail = rb'"checksum":(0|[1-9][0-9]{0,9}+),"timestamp":"[-0-9T:.Z]{0,40}+"\}\]\}'
    return re.compile(rb'%s\],"asks":\[%s\],%s' % (side, side, tail)).fullmatch


def _number(decimals: int) -> bytes:
    """A JSON number with exactly so many decimals and, with them, at most 18 digits; nothing where that cannot be."""
    if decimals >= _PLAIN_DIGITS_MAX:
        return rb"(?!)"
    whole = rb"(?:0|[1-9][0-9]{0,%d}+)" % (_PLAIN_DIGITS_MAX - 1 - decimals)
    return whole if decimals == 0 else rb"%s\.[0-9]{%d}" % (whole, decimals)


def _cutter(text: bytes, checksum_end: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Cuts the numbers out of texts with this one's outline."""
    cuts, at = "", 0
    for number in _NUMBER.finditer(text, 0, checksum_end):
        begin, end = number.span()
        cuts += f"{begin - at}x{end - begin}s"
        at = end
    return Struct(f"{cuts}{len(text) - at}x").unpack
