"""Facts and inputs to bytes and back: canonical JSON, the same bytes for the same value in any process.

Compiled once for each class from its annotations. Decimals are text with their digits kept, so no float ever stands
between memory and disk; fields stand in the order of their declaration; of a union the class name is written too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import attrgetter
from types import MappingProxyType, NoneType, UnionType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import FACT_CLASSES, Fact
from aether.domain.inputs import Level
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Symbol, Usd, plain

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NEWER = "run the version of the program that last wrote this journal, or a newer one"
_DECIMAL_ORDER_MAX = 100  # powers of ten; plain text of 1E+999999999 would fill a gigabyte

_FACT_CLASS_OF: Mapping[str, type[Fact]] = MappingProxyType({cls.__name__: cls for cls in FACT_CLASSES})

OLDER_READERS: Mapping[tuple[str, int], Callable[[Any], Fact]] = MappingProxyType({})
"""Readers of past shapes, by kind and version: decoded JSON to today's fact. Every shape so far is the first."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class EncodedFact:
    """A fact as the journal keeps it: the name of its class, the version of its shape, and canonical JSON."""

    kind: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    """How values of one annotation become JSON, and JSON such values. Both raise TypeError or ValueError.

    Values of exactly the type `passes` are JSON already: `write` would give them back.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    passes: type | None = None


def encode_fact(fact: Fact) -> EncodedFact:
    """Canonical form of a fact. Raises InvariantBroken for a value that its annotation does not allow (a float)."""
    return EncodedFact(type(fact).__name__, fact.VERSION, encode(fact))


def decode_fact(kind: str, version: int, body: bytes) -> Fact:
    """The fact that was encoded. Raises JournalBroken for a kind, version or field that this program does not know."""
    cls = _FACT_CLASS_OF.get(kind)
    if cls is None:
        raise JournalBroken(f"no fact is called {kind} in this program; {_NEWER}")
    if version == cls.VERSION:
        return decode(cls, body)
    reader = OLDER_READERS.get((kind, version))
    if reader is None:
        raise JournalBroken(f"{kind} has version {version}, this program knows {cls.VERSION}; {_NEWER}")
    return reader(orjson.loads(body))


def encode(value: object) -> bytes:
    """Canonical JSON of a frozen dataclass (`Stamped`, a fact, a header). Raises InvariantBroken as encode_fact."""
    cls: Any = type(value)
    try:
        return orjson.dumps(_shape_of(cls).write(value))
    except (TypeError, ValueError) as error:
        raise InvariantBroken(f"{cls.__name__} cannot be written: {error}") from error


def decode(cls: type[Value], body: bytes) -> Value:
    """The value of class `cls` that was encoded. Raises JournalBroken for anything but its exact shape."""
    annotation: Any = cls
    try:
        decoded: Value = _shape_of(annotation).read(orjson.loads(body))
    except (TypeError, ValueError) as error:
        raise JournalBroken(f"{cls.__name__} cannot be read: {error}") from error
    return decoded


def _checked(kind: type) -> _Shape:
    """JSON's own kinds pass as they are, and nothing passes for another: True is no int, 1.0 is none either."""

    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"takes {kind.__name__}, was {type(value).__name__}")
        return value

    return _Shape(check, check, kind)


def _write_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"takes str, was {type(value).__name__}")
    return value


def _write_decimal(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"takes Decimal, was {type(value).__name__}")
    if not value.is_finite() or abs(value.adjusted()) > _DECIMAL_ORDER_MAX:
        raise ValueError(f"{value} is no amount")
    return plain(value)


def _read_decimal(value: Any) -> Decimal:
    if type(value) is not str or _PLAIN_DECIMAL.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no plain decimal")
    return Decimal(value)


def _write_levels(value: Any) -> Any:
    # The bulk of a tape. One loop with two checks instead of a call for each number keeps a book below 10 µs.
    for price, qty in value:
        if type(price) is not int or type(qty) is not int:
            raise TypeError(f"levels are whole ticks and lots, was ({price!r}, {qty!r})")
    return value


def _read_levels(value: Any) -> Any:
    return _write_levels(tuple([(price, qty) for price, qty in _sequence(value, list)]))


_TEXT = _Shape(_write_text, _checked(str).read, str)
_DECIMAL = _Shape(_write_decimal, _read_decimal)


def _amount_shape(cls: type) -> _Shape:
    """Price, Qty and Usd are written as the one decimal they hold."""
    (field,) = dataclasses.fields(cls)
    amount_of = attrgetter(field.name)

    def write(value: Any) -> str:
        if type(value) is not cls:
            raise TypeError(f"takes {cls.__name__}, was {type(value).__name__}")
        amount = amount_of(value)  # finite: its class has seen to it
        if -_DECIMAL_ORDER_MAX <= amount.adjusted() <= _DECIMAL_ORDER_MAX:
            return f"{amount:f}"
        return _write_decimal(amount)

    return _Shape(write, lambda value: cls(_read_decimal(value)))


def _enum_shape(cls: type[Enum]) -> _Shape:
    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise TypeError(f"takes {cls.__name__}, was {type(value).__name__}")
        return value.value

    return _Shape(write, cls)


def _tuple_shape(items: tuple[Any, ...]) -> _Shape:
    """`tuple[X, ...]`: any number of one kind. `tuple[X, Y]`: exactly these."""
    if len(items) == 2 and items[1] is Ellipsis:
        item = _shape_of(items[0])
        return _Shape(
            lambda value: [item.write(entry) for entry in _sequence(value, tuple)],
            lambda value: tuple([item.read(entry) for entry in _sequence(value, list)]),
        )
    shapes = [_shape_of(entry) for entry in items]
    return _Shape(
        lambda value: [shape.write(entry) for shape, entry in zip(shapes, _sequence(value, tuple), strict=True)],
        lambda value: tuple(
            [shape.read(entry) for shape, entry in zip(shapes, _sequence(value, list), strict=True)],
        ),
    )


def _sequence(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"takes {kind.__name__}, was {type(value).__name__}")
    return value


def _union_shape(kinds: tuple[Any, ...]) -> _Shape:
    """`X | None`, or a union of dataclasses, which is written as `{"ClassName": {…}}`."""
    present = tuple(kind for kind in kinds if kind is not NoneType)
    shape = _shape_of(present[0]) if len(present) == 1 else _tagged_shape(present)
    if present == kinds:
        return shape
    return _Shape(
        lambda value: None if value is None else shape.write(value),
        lambda value: None if value is None else shape.read(value),
    )


def _tagged_shape(classes: tuple[Any, ...]) -> _Shape:
    shapes = {cls.__name__: _shape_of(cls) for cls in classes}

    def write(value: Any) -> Any:
        name = type(value).__name__
        if name not in shapes:
            raise TypeError(f"takes one of {', '.join(shapes)}, was {name}")
        return {name: shapes[name].write(value)}

    def read(value: Any) -> Any:
        if type(value) is not dict or len(value) != 1:
            raise TypeError(f"takes one named value, was {value!r:.80}")
        ((name, content),) = value.items()
        if name not in shapes:
            raise ValueError(f"nothing here is called {name}")
        return shapes[name].read(content)

    return _Shape(write, read)


def _record_shape(cls: type) -> _Shape:
    """A dataclass: its fields by name, each of them and no other. Errors tell the way to the field."""
    hints = get_type_hints(cls)
    shapes = {field.name: _shape_of(hints[field.name]) for field in dataclasses.fields(cls)}
    writers = [(name, shape.passes, shape.write) for name, shape in shapes.items()]
    readers = [(name, shape.read) for name, shape in shapes.items()]

    def write(value: Any) -> Any:
        if type(value) is not cls:
            raise TypeError(f"takes {cls.__name__}, was {type(value).__name__}")
        fields = {}
        name = ""
        try:
            for name, passes, write_field in writers:
                content = getattr(value, name)
                fields[name] = content if type(content) is passes else write_field(content)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        return fields

    def read(value: Any) -> Any:
        if type(value) is not dict or value.keys() != shapes.keys():
            raise ValueError(f"fields of {cls.__name__} are {list(shapes)}, was {value!r:.200}")
        fields = []
        name = ""
        try:
            for name, read_field in readers:
                fields.append(read_field(value[name]))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        return cls(*fields)

    return _Shape(write, read)


_FIXED_SHAPES: Mapping[Any, _Shape] = MappingProxyType(
    {
        int: _checked(int),
        bool: _checked(bool),
        str: _TEXT,
        Decimal: _DECIMAL,
        Symbol: _Shape(_write_text, lambda value: recall(_TEXT.read(value))),
        Price: _amount_shape(Price),
        Qty: _amount_shape(Qty),
        Usd: _amount_shape(Usd),
        tuple[Level, ...]: _Shape(_write_levels, _read_levels),
    },
)


@cache
def _shape_of(annotation: Any) -> _Shape:
    fixed = _FIXED_SHAPES.get(annotation)
    if fixed is not None:
        return fixed
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _union_shape(get_args(annotation))
    if origin is tuple:
        return _tuple_shape(get_args(annotation))
    if isinstance(annotation, NewType):
        return _shape_of(annotation.__supertype__)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum_shape(annotation)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _record_shape(annotation)
    raise TypeError(f"nothing of type {annotation} may be written")
