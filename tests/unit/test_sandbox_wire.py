"""Text forms of the sandbox, against Kraken's published examples."""

from __future__ import annotations

import json
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.sim.wire import MalformedText, checksum, decode, digits, encode, epoch, number, rfc1123, rfc3339

# Kraken docs, WebSocket v2 book guide: the worked example, whose checksum is 3310070434.
ASKS = [
    "45285.2",
    "0.00100000",
    "45286.4",
    "1.54571953",
    "45286.6",
    "1.54571109",
    "45289.6",
    "1.54560911",
    "45290.2",
    "0.15890660",
    "45291.8",
    "1.54553491",
    "45294.7",
    "0.04454749",
    "45296.1",
    "0.35380000",
    "45297.5",
    "0.09945542",
    "45299.5",
    "0.18772827",
]
BIDS = [
    "45283.5",
    "0.10000000",
    "45283.4",
    "1.54582015",
    "45282.1",
    "0.10000000",
    "45281.0",
    "0.10000000",
    "45280.3",
    "1.54592586",
    "45279.0",
    "0.07990000",
    "45277.6",
    "0.03310103",
    "45277.5",
    "0.30000000",
    "45277.3",
    "1.54602737",
    "45276.6",
    "0.15445238",
]


def levels(words: list[str]) -> list[tuple[Decimal, Decimal]]:
    numbers = [Decimal(word) for word in words]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_the_checksum_is_that_of_the_documents_worked_example() -> None:
    assert checksum(levels(BIDS), levels(ASKS), 1, 8) == 3310070434


def test_the_checksum_takes_all_digits_of_the_pair_even_if_the_decimals_lack_them() -> None:
    bare = [(price.normalize(), qty.normalize()) for price, qty in levels(BIDS)]

    assert checksum(bare, levels(ASKS), 1, 8) == 3310070434


def test_the_checksum_stops_at_the_tenth_level_of_each_side() -> None:
    deeper = [*levels(BIDS), (Decimal("45276.5"), Decimal(1))]

    assert checksum(deeper, levels(ASKS), 1, 8) == 3310070434


def test_leading_zeros_do_not_count() -> None:
    assert checksum([], [(Decimal("0.00005100"), Decimal("0.00000010"))], 8, 8) == zlib.crc32(b"510010")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_numbers_have_their_digits_and_never_an_exponent(value: Decimal) -> None:
    text = encode([number(value, 8)])[1:-1]

    assert "e" not in text.lower()
    assert Decimal(text) == value
    assert len(text.partition(".")[2]) == 8


def test_tiny_numbers_are_written_out() -> None:
    assert digits(Decimal("1E-8"), 8) == "0.00000001"
    assert digits(Decimal("5E+3"), 1) == "5000.0"
    assert encode({"qty": number(Decimal("0.00005100"), 8)}) == '{"qty":0.00005100}'


def test_times_have_the_digits_that_kraken_writes() -> None:
    at_ns = 1_784_483_679_614_696_123

    assert rfc3339(at_ns) == "2026-07-19T17:54:39.614696Z"
    assert rfc3339(at_ns, 0) == "2026-07-19T17:54:39Z"
    assert rfc3339(at_ns, 9) == "2026-07-19T17:54:39.614696123Z"
    assert encode(epoch(at_ns)) == "1784483679.614696"
    assert rfc1123(1_790_359_200 * 10**9) == "Fri, 25 Sep 26 18:00:00 +0000"


def test_requests_are_read_without_floats() -> None:
    assert decode(b'{"limit_price":64525.10,"req_id":7}') == {"limit_price": Decimal("64525.10"), "req_id": 7}
    assert str(decode("0.10")) == "0.10"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        '{"a":Infinity}',
        '["\\ud800 alone"]',
        "[" * 100_000,
        "9" * 10_000,
        "1e-9999999999999999999",
        b"\xff\xfe",
        "{} {}",
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(MalformedText):
        decode(text)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(), st.lists, max_leaves=5))
def test_what_was_read_can_be_written(value: object) -> None:
    try:
        read = decode(json.dumps(value))
    except MalformedText:
        return
    assert json.loads(encode(read)) == value
