"""The plain form of a `book` update: text of which every byte is foreseen, and which need not be decoded to be read.

Kraken writes an update always alike: the same keys in the same order, and numbers with exactly the digits of the pair.
What matches that form from the first byte to the last has no room for a key that stands twice, an escape, an exponent
or a byte that is no ASCII, so it needs no further check. All else goes to the reader, which decodes and checks it.
Source of the form: captured frames of 2025 and 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from aether.domain.values import Symbol

HEAD_END = b'","bids":['
_PLAIN_DIGITS_MAX = 18  # as many digits surely fit 64 bits
_LEVELS_MAX = 2_000  # of one side in one message: twice the deepest subscription there is
NOT_DIGITS = b'{"price":.qty}'  # all that a matched side holds besides digits and commas


def update_head(symbol: Symbol) -> bytes:
    """How a plain update of this symbol begins, up to HEAD_END."""
    return b'{"channel":"book","type":"update","data":[{"symbol":"%s' % symbol.encode()


@cache
def plain_update(price_decimals: int, qty_decimals: int) -> Callable[[bytes], re.Match[bytes] | None]:
    """Matcher of what follows HEAD_END in a plain update; its groups are bids, asks and checksum, as written."""
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
