"""Round every request: ids, hosts, methods, headers, and faults that tell a client nothing."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from aether.admin.middleware import RequestIds
from aether.domain.values import UtcNanos


class FixedClock:
    def wall_ns(self) -> UtcNanos:
        return UtcNanos(255)

    def monotonic_ns(self) -> int:
        return 0


def get(path: str, host: str = "localhost", method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def test_request_ids_are_the_start_and_a_count() -> None:
    ids = RequestIds(FixedClock())

    assert [ids(), ids()] == ["ff-1", "ff-2"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:9", "[::1]", "[::1]:80", "127.0.0.1:8080"])
async def test_our_own_names_are_answered(house: Any, host: str) -> None:
    assert status_of(await house.raw(get("/livez", host))) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil:80", "127.0.0.2", "", "[::2]:1", ":1"]
)
async def test_the_name_of_another_host_is_misdirected(house: Any, host: str) -> None:
    assert status_of(await house.raw(get("/livez", host))) == 421


async def test_an_address_in_absolute_form_is_misdirected(house: Any) -> None:
    assert status_of(await house.raw(get("http://evil.example/livez"))) == 421
    assert status_of(await house.raw(get("http://localhost/livez"))) == 421


async def test_forwarded_headers_change_nothing(house: Any) -> None:
    spoofed = "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1;host=localhost\r\nX-Forwarded-Host: localhost\r\n"
    assert status_of(await house.raw(get("/livez", "evil.example", more=spoofed))) == 421


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND", "POST"])
async def test_a_method_that_an_address_does_not_take_is_refused(house: Any, method: str) -> None:
    answer = await house.raw(get("/livez", method=method))
    assert status_of(answer) == 405
    assert b'"code":"api_method"' in answer


async def test_the_right_method_is_told(house: Any) -> None:
    assert b"\r\nAllow: GET, HEAD\r\n" in await house.raw(get("/livez", method="POST"))


@pytest.mark.parametrize(
    "path", ["/s/../../etc/passwd", "/%2e%2e/etc/passwd", "/..%2flivez", "/%252e", "/livez%00", "//livez", "/\\livez"]
)
async def test_paths_with_tricks_lead_nowhere(house: Any, path: str) -> None:
    assert status_of(await house.raw(get(path))) == 404


@pytest.mark.parametrize(
    "request_bytes",
    [get("/livez"), get("/nothing"), get("/livez", "evil"), b"GARBAGE\r\n\r\n", get("/livez", more="Expect: x\r\n")],
)
async def test_no_answer_tells_what_it_is_made_with(house: Any, request_bytes: bytes) -> None:
    answer = await house.raw(request_bytes)
    assert b"\r\nServer: aether\r\n" in answer
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()


async def test_answers_are_not_kept_and_not_guessed_at(house: Any) -> None:
    answer = await house.raw(get("/livez"))
    assert b"\r\nCache-Control: no-store\r\n" in answer
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_fault_gives_a_number_to_the_client_and_the_place_to_the_log(house: Any) -> None:
    house.explain_fails_with.append(RuntimeError("secret in a message"))
    with capture_logs() as lines:
        async with house.control() as session, session.get("/v1/orders/x/why") as response:
            problem = await response.json()
            text = await response.text()
    assert response.status == 500
    assert problem["code"] == "api_internal"
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert "secret" not in text
    assert "Traceback" not in text
    (line,) = lines
    assert (line["event"], line["request_id"], line["error"]) == ("admin.failed", problem["request_id"], "RuntimeError")
    assert "conftest.py" in line["where"]
    assert "secret" not in str(line)


async def test_the_server_goes_on_after_a_fault(house: Any) -> None:
    house.explain_fails_with.append(RuntimeError("once"))
    async with house.control() as session:
        async with session.get("/v1/orders/x/why") as response:
            assert response.status == 500
        async with session.get("/v1/status") as response:
            assert response.status == 200


async def test_problems_say_what_they_are(house: Any) -> None:
    async with aiohttp.ClientSession(house.url) as session, session.get("/nothing") as response:
        assert response.content_type == "application/problem+json"
        assert set(await response.json()) == {"type", "title", "status", "detail", "code", "request_id"}
