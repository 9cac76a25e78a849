"""The one reader of bodies: what is JSON by the letter passes, all else is a problem and never a fault."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aether.admin import json_body
from aether.admin.json_body import BODY_BYTES_MAX, DEPTH_MAX, decode
from aether.admin.problems import Problem

JSON_TYPE = {"Content-Type": "application/json"}
GOOD = b'{"scope":"all","reason":"x"}'

plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@given(plain_json)
def test_json_without_fractions_comes_back_as_it_was(value: object) -> None:
    assume(depth_of([value]) <= DEPTH_MAX)
    assert decode(json.dumps([value]).encode()) == [value]


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_value_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":2}',
        b'{"b":{"a":1,"a":1}}',
        deep(20_000),
        b'{"a":' * 20_000,
        b'{"a":' + b"1" * 5_000 + b"}",
        b'{"a":1e400}',
        b'{"a":0.1}',
        rb'{"a":"\ud800"}',
        rb'{"\udc00":"a"}',
        b'{"a":"\xff"}',
        b'{"a":',
        b"",
        b'{"a":1} {"b":2}',
        '{"a":"b"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a":"b"}',
        b"{'a':1}",
        b'{"a":1,}',
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
def test_what_is_not_json_by_the_letter_is_a_problem(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode(body)
    assert caught.value.code == "api_malformed"


def test_depth_is_taken_up_to_its_limit_and_brackets_in_text_do_not_count() -> None:
    decode(deep(DEPTH_MAX))
    with pytest.raises(Problem):
        decode(deep(DEPTH_MAX + 1))
    assert decode(b'"' + rb"\"[" * 50 + b'"') == '"[' * 50


def test_whole_numbers_are_taken_up_to_18_digits() -> None:
    assert decode(b"9" * 18) == 10**18 - 1
    with pytest.raises(Problem):
        decode(b"9" * 19)


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""],
)
async def test_a_body_of_another_media_type_is_refused(house: Any, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    async with house.control() as session, session.post("/v1/halt", data=GOOD, headers=headers) as response:
        assert response.status == 415
    assert house.engine.latch.scopes == []


async def test_a_media_type_with_its_charset_is_taken(house: Any) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    async with house.control() as session, session.post("/v1/halt", data=GOOD, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip", "zstd"])
async def test_a_compressed_body_is_refused_unread(house: Any, encoding: str) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    headers = {**JSON_TYPE, "Content-Encoding": encoding}
    async with house.control() as session, session.post("/v1/halt", data=bomb, headers=headers) as response:
        assert response.status == 415


async def test_a_body_may_be_as_large_as_the_cap_and_not_a_byte_larger(house: Any) -> None:
    filled = GOOD + b" " * (BODY_BYTES_MAX - len(GOOD))
    async with house.control() as session:
        async with session.post("/v1/halt", data=filled, headers=JSON_TYPE) as response:
            assert response.status == 200
        async with session.post("/v1/halt", data=filled + b" ", headers=JSON_TYPE) as response:
            assert response.status == 413


async def test_chunks_without_end_are_waited_for_so_long_and_no_longer(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_body, "BODY_WAIT_S", 0.05)
    head = b"POST /v1/halt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await house.raw(head + b"1\r\n{\r\n", on_socket=True)
    assert answer.split()[1] == b"408"
