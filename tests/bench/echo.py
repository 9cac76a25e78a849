"""The floor of what crosses loopback: a client that reads nothing and answers each update with the same bytes.

What it takes is the venue's own work, the kernel's, and the waking of two processes. No client can be faster.
"""

from __future__ import annotations

import asyncio

_HANDSHAKE = (
    b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_SUBSCRIBE = b'{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100},"req_id":1}'
_ORDER = (
    b'{"method":"add_order","params":{"order_type":"limit","side":"buy","order_qty":0.07751925,"fee_preference":"quote",'
    b'"cl_ord_id":"aeabcd00010000001","limit_price":64500.1,"time_in_force":"ioc","symbol":"BTC/USD",'
    b'"deadline":"2026-09-21T14:13:25.002Z","token":"T"},"req_id":2}'
)


def _masked(payload: bytes) -> bytes:
    """A client's text frame (RFC 6455, section 5.2). A mask of zeros leaves the payload as it is."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


class _Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.orders = 0
        self._order = _masked(_ORDER)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are of no such class
        assert self._transport is not None
        self._transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if data.startswith(b"HTTP/1.1 101"):
            self._transport.write(_masked(_SUBSCRIBE))
        elif b'"book"' in data:
            self.orders += 1
            self._transport.write(self._order)

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()


async def echo_order(port: int, _orders: int) -> dict[str, float]:
    """An order for each update, unread."""
    _, echo = await asyncio.get_running_loop().create_connection(_Echo, "127.0.0.1", port)
    await echo.ended.wait()
    return {"orders": echo.orders}
