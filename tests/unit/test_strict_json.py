from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.kraken.strict_json import (
    DEPTH_MAX,
    FRAME_BYTES_MAX,
    Unreadable,
    check,
    exact,
    not_negative,
    positive,
    printable,
    rfc3339_to_nanos,
    seconds_to_nanos,
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b'{"a":1',
        b'{"a":1}{"b":2}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":1}',
        b'{"b":{"a":1,"a":2}}',
        b'{"a":1,"\\u0061":2}',
        b"[" * 20_000 + b"]" * 20_000,
        b"CloudFlare WebSocket proxy restarting",
    ],
)
def test_d01_d02_d06_what_is_not_one_whole_unambiguous_document_is_refused(document: bytes) -> None:
    with pytest.raises(Unreadable):
        check(document)


@pytest.mark.parametrize("document", [b'{"a":[{"b":1},{"b":1}]}', b'"text"', b"null", b'{"a":"[[[[{{{{"}'])
def test_sound_documents_pass(document: bytes) -> None:
    check(document)


def test_d07_depth_is_bounded_on_both_sides() -> None:
    check(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    with pytest.raises(Unreadable, match="nested"):
        check(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1))


def test_brackets_in_text_are_no_depth() -> None:
    check(b'{"a":"' + b"[" * 500 + b'\\""}')


def test_d08_length_is_bounded_on_both_sides() -> None:
    check(b'"' + b"a" * (FRAME_BYTES_MAX - 2) + b'"')
    with pytest.raises(Unreadable, match="bytes"):
        check(b'"' + b"a" * (FRAME_BYTES_MAX - 1) + b'"')


@pytest.mark.parametrize("token", [b"64525.0", b'"64525.0"'])
def test_d05_a_number_keeps_its_digits_whether_sent_as_number_or_as_text(token: bytes) -> None:
    assert str(exact(token, "price")) == "64525.0"


def test_an_exponent_is_taken_within_bounds() -> None:
    assert exact(b"1E-8", "qty") == Decimal("0.00000001")
    assert exact(b"1e18", "qty") == Decimal(10) ** 18
    with pytest.raises(Unreadable, match="exponent"):
        exact(b"1e19", "qty")
    with pytest.raises(Unreadable, match="exponent"):
        exact(b"1E-19", "qty")


def test_d04_forty_characters_are_taken_and_one_more_is_not() -> None:
    assert exact(b"1." + b"1" * 38, "qty") > 1
    with pytest.raises(Unreadable, match="41 characters"):
        exact(b"1." + b"1" * 39, "qty")


@pytest.mark.parametrize(
    "token",
    [b"", b"null", b"true", b"{}", b"[1]", b'""', b'" 1"', b"+1", b"01", b".5", b"1.", b"1e400", b"0x1", b"1_0"],
)
def test_what_is_no_json_number_is_refused_by_name(token: bytes) -> None:
    with pytest.raises(Unreadable, match="price"):
        exact(token, "price")


def test_digits_of_other_scripts_are_no_number() -> None:
    with pytest.raises(Unreadable):
        exact('"١٢"'.encode(), "qty")


def test_d04_a_number_out_of_all_proportion_is_refused() -> None:
    with pytest.raises(Unreadable, match="beyond"):
        exact(b"12345678901234567890", "qty")


def test_signs_are_refused_where_they_make_no_sense() -> None:
    assert not_negative(b"0", "qty") == 0
    for read, token in ((not_negative, b"-0.1"), (positive, b"0"), (positive, b"-1")):
        with pytest.raises(Unreadable, match="qty"):
            read(token, "qty")


@given(st.decimals(min_value=-(10**17), max_value=10**17, places=8))
def test_any_decimal_that_is_written_plainly_comes_back_exactly(number: Decimal) -> None:
    text = format(number, "f")

    assert format(exact(text.encode(), "qty"), "f") == text


def test_times_are_read_to_the_last_digit() -> None:
    assert rfc3339_to_nanos("1970-01-01T00:00:01.000000001Z", "timestamp") == 1_000_000_001
    assert rfc3339_to_nanos("2026-07-19T17:54:39.614696Z", "time_in") == 1_784_483_679_614_696_000
    assert seconds_to_nanos(b"1676384710.121142", "opentm") == 1_676_384_710_121_142_000
    assert seconds_to_nanos(b'"1705260547.4728658"', "opentm") == 1_705_260_547_472_865_800


@pytest.mark.parametrize(
    "text", ["", "2026-07-19T17:54:39", "2026-07-19T17:54:39+02:00", "2026-13-19T17:54:39Z", "2026-07-19 17:54:39Z"]
)
def test_d11_a_time_without_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="timestamp"):
        rfc3339_to_nanos(text, "timestamp")


def test_d12_control_characters_of_a_foreign_text_are_escaped_and_its_length_is_cut() -> None:
    assert printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert len(printable("x" * 1000)) == 201
