"""Slow, broken and crowding clients: each is cut or answered, and the probe goes on answering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aether.admin import server

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def hasty(second_house: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server that takes 8 connections for a fifth of a second."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 8)
    monkeypatch.setattr(server, "PROBE_LIFE_S", 0.2)
    await second_house.server.start("127.0.0.1", 0, second_house.socket_path)
    yield second_house
    await second_house.server.stop()


async def connect(house: Any, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.http_port)
    writer.write(first)
    return reader, writer


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: loc",
        b"POST /livez HTTP/1.1\r\nHost: evil\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
async def test_whoever_does_not_finish_is_cut_at_the_deadline(hasty: Any, beginning: bytes) -> None:
    started_s = asyncio.get_running_loop().time()
    reader, writer = await connect(hasty, beginning)
    await read_to_end(reader)
    assert asyncio.get_running_loop().time() - started_s < 2
    writer.close()


async def test_many_idle_connections_do_not_shut_out_a_probe(hasty: Any) -> None:
    idle = [await connect(hasty, b"GET /li") for _ in range(20)]
    assert (await hasty.raw(LIVEZ)).startswith(b"HTTP/1.1 200")
    for reader, writer in idle[:12]:
        assert await read_to_end(reader) == b""
        writer.close()
    for _, writer in idle[12:]:
        writer.close()


async def test_a_connection_carries_one_request(house: Any) -> None:
    answer = await house.raw(LIVEZ + LIVEZ)
    assert answer.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\nab",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(200)) + b"\r\n",
    ],
    ids=lambda request_bytes: request_bytes[:60].decode("latin-1"),
)
async def test_what_is_not_http_gets_a_problem_and_is_closed(house: Any, request_bytes: bytes) -> None:
    answer = await house.raw(request_bytes)
    assert answer.split()[1] == b"400"
    assert b'"code":"api_malformed"' in answer
    assert (await house.raw(LIVEZ)).startswith(b"HTTP/1.1 200")
