from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aether.domain.facts import FACT_CLASSES, Fact
from aether.domain.inputs import Input, Stamped
from aether.domain.instruments import Instrument
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Symbol
from aether.journal.codec import decode, decode_fact, encode, encode_fact

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
POSITIVE = st.decimals(min_value=Decimal("1e-18"), max_value=10**20, places=18)
FIXED: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    Decimal: AMOUNTS,
    Price: st.builds(Price, POSITIVE),
    Qty: st.builds(Qty, POSITIVE | st.just(Decimal("0.00"))),
    Symbol: st.sampled_from(["BTC/USD", "ETH/USD"]).map(recall),
    NoneType: st.none(),
}


@cache
def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """All that an annotation allows, down to the last field."""
    if annotation in FIXED:
        return FIXED[annotation]
    if get_origin(annotation) in (Union, UnionType):
        return st.one_of([values_of(kind) for kind in get_args(annotation)])
    if get_origin(annotation) is tuple:
        items = get_args(annotation)
        if items[-1] is Ellipsis:
            return st.lists(values_of(items[0]), max_size=3).map(tuple)
        return st.tuples(*[values_of(item) for item in items])
    if hasattr(annotation, "__supertype__"):
        return values_of(annotation.__supertype__)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    hints = get_type_hints(annotation)
    fields = {field.name: values_of(hints[field.name]) for field in dataclasses.fields(annotation)}
    if annotation is Instrument:
        fields |= {"tick": POSITIVE, "lot": POSITIVE}
    return st.builds(annotation, **fields)


def has_floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_floats(entry) for entry in value.values())
    return any(has_floats(entry) for entry in value) if isinstance(value, list) else isinstance(value, float)


quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("cls", FACT_CLASSES, ids=lambda cls: cls.__name__)
def test_a_fact_comes_back_as_it_was_from_the_same_bytes(cls: Any) -> None:
    @quick
    @given(values_of(cls))
    def round_trip(fact: Fact) -> None:
        encoded = encode_fact(fact)
        decoded = decode_fact(encoded.kind, encoded.version, encoded.body)

        assert decoded == fact
        assert encode_fact(decoded) == encoded  # the very digits, not only the same number
        assert not has_floats(json.loads(encoded.body))

    round_trip()


@pytest.mark.parametrize("cls", get_args(Input), ids=lambda cls: cls.__name__)
def test_an_input_comes_back_as_it_was_from_the_same_bytes(cls: Any) -> None:
    @quick
    @given(values_of(cls), st.integers(1, 2**40), st.integers(0, 2**62))
    def round_trip(heard: Input, seq: int, at_ns: int) -> None:
        stamped = Stamped(seq, at_ns, heard)
        line = encode(stamped)

        assert decode(Stamped, line) == stamped
        assert encode(decode(Stamped, line)) == line
        assert b"\n" not in line

    round_trip()
