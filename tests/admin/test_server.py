"""Starting and stopping: addresses that are refused, ports and sockets that are taken, and nothing left behind."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from aether.domain.errors import BadConfiguration


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "8.8.8.8", "127.0.0.1.evil"])
async def test_an_address_that_others_can_reach_is_refused(second_house: Any, host: str) -> None:
    with pytest.raises(BadConfiguration, match=r"admin\.host"):
        await second_house.server.start(host, 0, second_house.socket_path)
    assert not second_house.socket_path.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
async def test_a_loopback_address_is_taken(second_house: Any, host: str) -> None:
    await second_house.server.start(host, 0, second_house.socket_path)
    assert second_house.server.http_port > 0
    await second_house.server.stop()


async def test_a_port_in_use_is_named_with_its_remedy(second_house: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadConfiguration, match=rf"127\.0\.0\.1:{port}.*admin\.port"):
            await second_house.server.start("127.0.0.1", port, second_house.socket_path)
    assert not second_house.socket_path.exists()


async def test_a_second_daemon_on_the_same_socket_does_not_start_and_leaves_the_first_alone(
    house: Any, second_house: Any
) -> None:
    with pytest.raises(BadConfiguration, match="another daemon"):
        await second_house.server.start("127.0.0.1", 0, second_house.socket_path)
    async with house.control() as session, session.get("/v1/status") as response:
        assert response.status == 200


async def test_after_the_stop_nothing_listens_and_no_socket_is_left(second_house: Any) -> None:
    await second_house.server.start("127.0.0.1", 0, second_house.socket_path)
    port = second_house.server.http_port
    await second_house.server.stop()
    await second_house.server.stop()
    assert not second_house.socket_path.exists()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_stop_does_not_wait_for_a_command_without_answer(second_house: Any) -> None:
    await second_house.server.start("127.0.0.1", 0, second_house.socket_path)
    second_house.engine.is_silent = True
    body = b'{"reason":"x"}'
    _, writer = await asyncio.open_unix_connection(str(second_house.socket_path))
    head = (
        f"POST /v1/orders/cancel HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await second_house.engine.heard.wait()
    started_s = asyncio.get_running_loop().time()
    await second_house.server.stop()
    assert asyncio.get_running_loop().time() - started_s < 3
    writer.close()
