"""The command line's end of the control socket, against the real server and against none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aether.admin.control import ControlClient, ControlRefused, ControlTimeout, DaemonNotRunning
from aether.admin.socket_file import listen_on


async def test_pages_and_commands_come_back_decoded(house: Any) -> None:
    client = ControlClient(house.socket_path)

    assert (await client.get("/v1/status"))["run"] == 3
    assert (await client.post("/v1/halt", {"scope": "all", "reason": "x"}))["latched"] is True


async def test_a_refusal_carries_its_code_status_and_field(house: Any) -> None:
    with pytest.raises(ControlRefused) as caught:
        await ControlClient(house.socket_path).post("/v1/halt", {"scope": "all"})

    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "api_missing_field", "reason")


async def test_without_a_socket_no_daemon_is_running(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="no daemon listens"):
        await ControlClient(tmp_path / "control.sock").get("/v1/status")


async def test_a_stale_socket_is_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listener, _ = listen_on(path)
    listener.close()
    with pytest.raises(DaemonNotRunning):
        await ControlClient(path).get("/v1/status")


async def test_a_path_longer_than_any_socket_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning):
        await ControlClient(tmp_path / ("s" * 200)).get("/v1/status")


async def serve(path: Path, answer: bytes) -> asyncio.Server:
    """A listener that gives this answer to everybody."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    listener, _ = listen_on(path)
    return await asyncio.start_unix_server(handle, sock=listener)


async def test_a_daemon_that_does_not_answer_is_a_time_out(tmp_path: Path) -> None:
    listener, _ = listen_on(tmp_path / "control.sock")  # nobody accepts: the kernel alone takes the connection
    with listener, pytest.raises(ControlTimeout, match=r"within 0\.05 s"):
        await ControlClient(tmp_path / "control.sock", timeout_s=0.05).get("/v1/status")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n[]",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_what_is_no_daemon_of_ours_is_told_apart(tmp_path: Path, answer: bytes) -> None:
    async with await serve(tmp_path / "control.sock", answer):
        with pytest.raises(DaemonNotRunning):
            await ControlClient(tmp_path / "control.sock").get("/v1/status")
