"""Wounds of documents from outside: of their structure, where they are JSON, and of their bytes.

All chance is an injected `Random`. A seed therefore replays a wound exactly, hypothesis (`st.randoms`) shrinks one, and
the same wounds serve every engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

NUMBERS = (
    *(
        b"0",
        b"-0",
        b"-1",
        b"-0.00000001",
        b"1",
        b"0.1",
        b"1e18",
        b"1e-18",
        b"1E+1000000",
        b"1e400",
        b"-1e400",
        b"1e-400",
    ),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"4294967296", b"9" * 39, b"9" * 10_000),
    *(
        b"0." + b"0" * 17 + b"1",
        b"0." + b"0" * 39 + b"1",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b"1.",
        b".5",
        b"+1",
    ),
)
TEXTS = (
    *(b'""', b'"quantum"', b'"NaN"', b'"1e400"', b'"-1"', b'"0"', b'"None"', b'"\\u0000"', b'"\\ud800"', b'"\\u202e"'),
    *(
        b'"\\u001b[31m"',
        b'"line\\nbreak"',
        b'"%s%n{0}"',
        b'"' + b"x" * 5_000 + b'"',
        b'"\x00"',
        b'"\xff\xfe"',
        b'"\\x"',
    ),
    *(b'"PF_XBTUSD"', b'"BTC/USD"', b'"BTC/EUR"', b'"XBT/USD"', b'"\xd9\xa1\xd9\xa2"', b'"\xef\xbb\xbf"', b"'a'"),
    *(
        b'"0001-01-01T00:00:00Z"',
        b'"1969-12-31T23:59:59Z"',
        b'"9999-12-31T23:59:59.999999999Z"',
        b'"2026-02-30T00:00:00Z"',
    ),
    *(
        b'"buy"',
        b'"sell"',
        b'"limit"',
        b'"market"',
        b'"none"',
        b'"5:1"',
        b'"canceled"',
        b'"trade"',
        b'"snapshot"',
        b'"update"',
    ),
)
OTHERS = (
    *(b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b"[null]", b'{"a":1,"a":2}', b'{"":""}', b"", b"undefined"),
    *(b"[" * 20 + b"]" * 20, b'{"a":' * 20 + b"1" + b"}" * 20, b"[" * 20_000 + b"]" * 20_000, b"[" * 300),
)
HOSTILE = NUMBERS + TEXTS + OTHERS


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode("utf-8"), parse_constant=lambda _: 1 / 0)
    except (ValueError, ArithmeticError, RecursionError):
        return False
    return True


# What breaks the document as a whole is refused at its door; the rest comes further, and stands three times in four.
SOUND = tuple(filter(_is_json, HOSTILE))
BROKEN = tuple(each for each in HOSTILE if each not in SOUND)
KEYS = (b'""', b'"a"', b'"method"', b'"channel"', b'"data"', b'"error"', b'"\\u0000"', b'"__class__"', b'"leverage"')
PIECES = (
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x00",
    b"\x1b[31m",
    b"\n",
    b"}",
    b"]",
    b",",
    b'"',
    b"\\",
    b"\xed\xa0\x80",
    b"{}",
    b"//",
)
PAGES = (
    b"",
    b" ",
    b"<html><h1>502 Bad Gateway</h1></html>",
    b"CloudFlare WebSocket proxy restarting",
    b"null",
    b'""',
    b"0",
)


@dataclass(slots=True, eq=False)
class Node:
    """One value of a document. `key` is the JSON text of its name, empty in a list; `token` that of a leaf."""

    key: bytes = b""
    token: bytes = b""
    children: list[Node] = field(default_factory=list)

    @property
    def name(self) -> bytes:
        """The key with its colon, or nothing."""
        return self.key and self.key + b":"


class Document:
    """A sound JSON document, ready to be wounded again and again. Raises ValueError where the bytes are none."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_Members, parse_float=_Number, parse_int=_Number)
        self._root = _node(b"", found)
        self._nodes = list(_all(self._root))

    def wounded(self, chance: Random, wounds: int = 1) -> bytes:
        """The document, compact as Kraken writes it, with so many of its values hurt."""
        hurt = {id(node): self._hurt(chance, node) for node in (chance.choice(self._nodes) for _ in range(wounds))}
        return b",".join(_slots(self._root, hurt))

    def shortened(self, rows: int) -> bytes:
        """The document with only the first so many rows of each list and map of rows; what is no row stays."""
        late = [child for node in self._nodes for child in node.children[rows:] if child.children]
        dropped: dict[int, list[bytes]] = {id(child): [] for child in late}
        return b",".join(_slots(self._root, dropped))

    def _hurt(self, chance: Random, node: Node) -> list[bytes]:
        return chance.choice(_WOUNDS)(chance, node, self._nodes)


class _Members(list[Any]):
    """The pairs of an object, in their order."""


class _Number(str):
    """The text of a number."""

    __slots__ = ()


def _node(key: bytes, value: object) -> Node:
    if isinstance(value, _Members):
        return Node(key, b"{", [_node(json.dumps(name).encode(), inner) for name, inner in value])
    if isinstance(value, list):
        return Node(key, b"[", [_node(b"", inner) for inner in value])
    return Node(key, value.encode() if isinstance(value, _Number) else json.dumps(value).encode())


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _slots(node: Node, hurt: Mapping[int, list[bytes]]) -> list[bytes]:
    """What stands in a node's place: one slot as a rule; none where it was taken away, two where it was doubled."""
    wounds = hurt.get(id(node))
    return [node.name + _value(node, hurt)] if wounds is None else wounds


def _value(node: Node, hurt: Mapping[int, list[bytes]]) -> bytes:
    if node.token not in (b"{", b"["):
        return node.token
    inside = b",".join(slot for child in node.children for slot in _slots(child, hurt))
    return node.token + inside + (b"}" if node.token == b"{" else b"]")


# --- wounds of one value --------------------------------------------------------------------------------------------

_Wound = Callable[[Random, Node, list[Node]], list[bytes]]


def _replaced(chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    return [node.name + chance.choice(SOUND)]


def _spoilt(chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    return [node.name + chance.choice(BROKEN)]


def _renumbered(chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    return [node.name + chance.choice(NUMBERS)]


def _retyped(_chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    """A number as text, a text as whatever it says, a container in a container."""
    token = _value(node, {})
    if node.children:
        return [node.name + b"[" + token + b"]"]
    return [node.name + (token[1:-1] if token[:1] == b'"' else b'"' + token + b'"')]


def _nudged(chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    """One character more, less or other: near enough to the truth to come far."""
    token = _value(node, {})
    at = chance.randrange(len(token) + 1)
    return [
        node.name
        + token[:at]
        + chance.choice((b"", b"0", b"1", b"9", b"-", b".", b"e"))
        + token[at + chance.randrange(2) :]
    ]


def _removed(_chance: Random, _node: Node, _: list[Node]) -> list[bytes]:
    return []


def _doubled(chance: Random, node: Node, _: list[Node]) -> list[bytes]:
    slot = node.name + _value(node, {})
    return [slot, chance.choice((slot, node.name + chance.choice(SOUND)))]


def _renamed(chance: Random, node: Node, nodes: list[Node]) -> list[bytes]:
    key = chance.choice((chance.choice(KEYS), chance.choice(nodes).key or b'"b"'))
    return [(key + b":" if node.key else b"") + _value(node, {})]


def _borrowed(chance: Random, node: Node, nodes: list[Node]) -> list[bytes]:
    return [node.name + _value(chance.choice(nodes), {})]


_WOUNDS: tuple[_Wound, ...] = (
    _replaced,
    _replaced,
    _replaced,
    _spoilt,
    _renumbered,
    _retyped,
    _nudged,
    _nudged,
    _removed,
    _doubled,
    _renamed,
    _borrowed,
)


# --- wounds of bytes ------------------------------------------------------------------------------------------------


def bytes_wounded(chance: Random, text: bytes) -> bytes:
    """The bytes cut, spoilt, doubled, or something else in their place."""
    at = chance.randrange(len(text) + 1)
    match chance.randrange(9):
        case 0:
            return text[:at]
        case 7:
            return b"\xef\xbb\xbf" + text
        case 1:
            return text[:at] + chance.choice(PIECES + HOSTILE) + text[at:]
        case 2:
            return text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
        case 3:
            end = min(len(text), at + chance.randrange(200))
            return text[:end] + text[at:end] + text[end:]
        case 4:
            return text[:at] + text[at + chance.randrange(12) :]
        case 5:
            return text + text
        case 6:
            return json.dumps(text.decode("utf-8", "replace")).encode()
        case _:
            return chance.choice(PAGES)


def wounded(chance: Random, document: Document) -> bytes:
    """A document with one to three wounds; one in ten is left as it was, for the sound ones move the state along."""
    match chance.randrange(10):
        case 0:
            return document.text
        case 1 | 2:
            return bytes_wounded(chance, document.wounded(chance) if chance.randrange(2) else document.text)
        case 3 | 4:
            return document.wounded(chance, 1 + chance.randrange(3))
        case _:
            return document.wounded(chance)
