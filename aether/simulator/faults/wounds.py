"""Messages hurt on their way, one wound each, named by the row of the fault model that it shows.

Every wound can be seen: it breaks the document, or a field that a reader must look at. A digit that became another one
is not made here. Links carry checksums of their own, and without them nobody could tell such a number from a true one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random

_NUMBER = re.compile(rb'"(\w+)":(-?[0-9][0-9.]*)(?=[,}\]])')
_AMOUNT = re.compile(
    rb'"(last_qty|last_price|order_qty|cum_qty|limit_price|cost|price|qty|vol|vol_exec)":("?)([0-9.]*[1-9][0-9.]*)'
)
_NEEDED = re.compile(
    rb'"(channel|data|exec_id|exec_type|order_id|order_status|last_qty|last_price|side|asset|balance|ledger_id|'
    rb'symbol|price|qty|checksum|success|result|error|vol|ordertxid|time|amount)":'
    rb'("(?:[^"\\]|\\.)*"|-?[0-9][0-9.]*)(?=[,}])'
)
_FIELD = re.compile(rb'"(\w+)":("(?:[^"\\]|\\.)*"|-?[0-9][0-9.]*)(?=[,}])')
_LIST = re.compile(rb'"(data|error|bids|asks|fees)":\[[^\[\]]*\]')
_TIME = re.compile(rb'"(timestamp|time_in|time_out)":"[^"]*"')
_TEXT = re.compile(rb'"(reason|text|status|system)":"[^"\\]*"')

_HUGE = (b"1e400", b"1E+1000000", b"9" * 10_000, b"-1e400")
_DEPTH = 20_000

Wound = Callable[[bytes, Random], bytes | None]
"""A message with this wound; None where it has no place for one."""


def wounded(message: bytes, random: Random) -> tuple[bytes, str]:
    """The message with one wound, and the row of that wound. The message must be a JSON object."""
    rows = list(WOUNDS)
    random.shuffle(rows)
    for row in rows:
        hurt = random.choice(WOUNDS[row])(message, random)
        if hurt is not None:
            return hurt, row
    raise AssertionError("every message can be cut")


def _cut(message: bytes, random: Random) -> bytes:
    return message[: random.randrange(len(message))]


def _twice(message: bytes, _: Random) -> bytes:
    return message + message


def _marked(message: bytes, _: Random) -> bytes:
    return b"\xef\xbb\xbf" + message


def _flipped(message: bytes, random: Random) -> bytes:
    """The highest bit of one byte, so that it is no UTF-8 any more."""
    at = random.randrange(len(message))
    return message[:at] + bytes([message[at] ^ 0x80]) + message[at + 1 :]


def _not_a_number(message: bytes, random: Random) -> bytes | None:
    return _put(message, _NUMBER, random, (b"NaN", b"Infinity", b"-Infinity"))


def _huge(message: bytes, random: Random) -> bytes | None:
    return _put(message, _NUMBER, random, _HUGE)


def _negative(message: bytes, random: Random) -> bytes | None:
    found = _drawn(_AMOUNT, message, random)
    return None if found is None else _instead(message, found, b'"%b":%b-%b' % (found[1], found[2], found[3]))


def _retyped(message: bytes, random: Random) -> bytes | None:
    return _put(message, _NUMBER, random, (b"true", b"[]", b'{"a":1}', b'"many"'))


def _doubled(message: bytes, random: Random) -> bytes | None:
    found = _drawn(_FIELD, message, random)
    return None if found is None else _instead(message, found, found[0] + b',"%b":0' % found[1])


def _deep(message: bytes, _: Random) -> bytes | None:
    if not message.startswith(b"{") or len(message) < 3:
        return None
    return b'{"deep":' + b"[" * _DEPTH + b"]" * _DEPTH + b"," + message[1:]


def _without(message: bytes, random: Random) -> bytes | None:
    """A field that is needed is null, or has another name."""
    found = _drawn(_NEEDED, message, random)
    if found is None:
        return None
    other = b'"%b":null' % found[1] if random.randrange(2) else b'"lost_%b":%b' % (found[1], found[2])
    return _instead(message, found, other)


def _other_shape(message: bytes, random: Random) -> bytes | None:
    return _put(message, _LIST, random, (b'{"0":{}}', b'"list"', b"17"))


def _timeless(message: bytes, random: Random) -> bytes | None:
    return _put(message, _TIME, random, (b'"yesterday"', b'"2026-02-30T00:00:00"', b'""'))


def _coloured(message: bytes, random: Random) -> bytes | None:
    return _put(message, _TEXT, random, (b'"\\u001b[31mred\\u001b[0m\\nnext"', b'"\\u202eodd"'))


WOUNDS: Mapping[str, tuple[Wound, ...]] = {
    "D01": (_cut, _twice, _marked, _flipped),
    "D02": (_not_a_number,),
    "D03": (_negative,),
    "D04": (_huge,),
    "D05": (_retyped,),
    "D06": (_doubled,),
    "D07": (_deep,),
    "D09": (_without,),
    "D10": (_other_shape,),
    "D11": (_timeless,),
    "D12": (_coloured,),
}
"""By row."""


def _drawn(pattern: re.Pattern[bytes], message: bytes, random: Random) -> re.Match[bytes] | None:
    found = list(pattern.finditer(message))
    return random.choice(found) if found else None


def _put(message: bytes, pattern: re.Pattern[bytes], random: Random, values: tuple[bytes, ...]) -> bytes | None:
    """One of the values in the place of a field's."""
    found = _drawn(pattern, message, random)
    return None if found is None else _instead(message, found, b'"%b":%b' % (found[1], random.choice(values)))


def _instead(message: bytes, found: re.Match[bytes], text: bytes) -> bytes:
    return message[: found.start()] + text + message[found.end() :]
