"""A venue of few words on loopback: it says made frames as fast as they are taken, or one at a time, and stops a watch.

It is no Kraken: it answers just enough for a client to listen and to send orders. Public and private sockets and REST
share one port. It speaks raw WebSocket frames, so that its own work is small beside the client's.

Run as a program it prints its port, serves one client, and prints what it measured as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

from tests.bench.stream import made

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEPTH = 100
UPDATES = 4000
PAIRS = ("BTC/USD", *(f"C{number}/USD" for number in range(1, 615)))  # as many USD pairs as Kraken had in 2026-01
PAIRS_DEPTH = 10
PACE = 20


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Venue:
    """Serves until `done` is set."""

    def __init__(self, *, orders: int = 0, repeats: int = 1, paced_s: int = 0) -> None:
        self.done = asyncio.Event()
        self.orders = orders
        self.repeats = repeats
        self.paced_s = paced_s
        self.waited_ns: list[int] = []
        stream = made(DEPTH, UPDATES)
        self._frames = [text_frame(frame) for frame in (stream.snapshot, *stream.updates)]
        self._market: asyncio.StreamWriter | None = None
        self._next = 0
        self._told_ns = 0
        self._answered = 0
        self._is_counting = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):  # the run is over
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"Upgrade: websocket" in head or b"upgrade: websocket" in head.lower():
                    await self._socket(head, reader, writer)
                    return
                await self._rest(head, reader, writer)

    async def _rest(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        await reader.readexactly(int(told.get(b"content-length", b"0")))
        result = b'{"token":"T","expires":900}'
        if b"AddOrder" in head:
            self._ordered()
            result = b'{"descr":{"order":"buy 1.25000000 XBTUSD @ limit 64500.0"},"txid":["OAAAAA-BBBBB-CCCCCC"]}'
        body = b'{"error":[],"result":%b}' % result
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )
        if b"AddOrder" in head:
            await self._say_next()

    async def _socket(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key.strip() + _GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        while True:
            await self._heard(await _payload(reader), writer)

    async def _heard(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        if not frame.startswith(b"{"):
            return
        told = json.loads(frame)
        match told.get("method"), told.get("params", {}).get("channel"):
            case "subscribe", "book":
                if self._market is None:
                    self._market = writer
                    await self._begin(writer)
            case "subscribe", "executions" | "balances" as channel:
                writer.write(
                    text_frame(b'{"channel":"%b","type":"snapshot","data":[],"sequence":1}' % channel.encode())
                )
            case "add_order", _:
                self._ordered()
                await self._answer(told, writer)
                await self._say_next()

    async def _blast(self, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.repeats):
            for start in range(0, len(self._frames), 200):
                writer.write(b"".join(self._frames[start : start + 200]))
                await writer.drain()
        writer.close()
        self.done.set()

    async def _pace(self, writer: asyncio.StreamWriter) -> None:
        """PACE updates a second for each of all pairs, spread evenly, ten milliseconds at a time."""
        streams = [made(PAIRS_DEPTH, self.paced_s * PACE, symbol=name) for name in PAIRS]
        writer.write(b"".join(text_frame(stream.snapshot) for stream in streams))
        frames = [text_frame(frame) for rounds in zip(*(s.updates for s in streams), strict=True) for frame in rounds]
        size = len(PAIRS) * PACE // 100
        await asyncio.sleep(1.0)
        begin_s = asyncio.get_running_loop().time()
        for turn, start in enumerate(range(0, len(frames), size)):
            await asyncio.sleep(begin_s + turn / 100 - asyncio.get_running_loop().time())
            writer.write(b"".join(frames[start : start + size]))
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        self.done.set()

    async def _begin(self, writer: asyncio.StreamWriter) -> None:
        if self.paced_s:
            await self._pace(writer)
        elif self.orders:
            await self._begin_orders(writer)
        else:
            await self._blast(writer)

    async def _begin_orders(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._frames[0])
        await asyncio.sleep(1.0)  # the client gets ready, and may send orders that are not counted
        self._is_counting = True
        await self._say_next()

    async def _say_next(self) -> None:
        """The next update, after a pause in which the client comes to rest, as it does in a market that breathes."""
        if not self._is_counting:
            return
        if len(self.waited_ns) >= self.orders:
            self.done.set()
            return
        await asyncio.sleep(0.002)
        assert self._market is not None
        self._next += 1
        frame = self._frames[self._next]
        self._told_ns = time.perf_counter_ns()
        self._market.write(frame)

    def _ordered(self) -> None:
        if self._is_counting:
            self.waited_ns.append(time.perf_counter_ns() - self._told_ns)

    async def _answer(self, told: dict[str, object], writer: asyncio.StreamWriter) -> None:
        """Accepted, and at once expired: the next book finds nothing at work."""
        params = told["params"]
        assert isinstance(params, dict)
        self._answered += 1
        name, order_id = params.get("cl_ord_id", ""), f"OAAAAA-BBBBB-{self._answered:06d}"
        result = {"order_id": order_id, "cl_ord_id": name}
        accepted = {"method": "add_order", "req_id": told.get("req_id"), "result": result, "success": True}
        ended = {
            "order_id": order_id,
            "cl_ord_id": name,
            "exec_type": "expired",
            "order_status": "expired",
            "symbol": params["symbol"],
            "side": params["side"],
            "order_qty": params["order_qty"],
            "cum_qty": 0,
            "timestamp": "2026-08-16T00:00:00.000000Z",
        }
        executions = {"channel": "executions", "type": "update", "data": [ended], "sequence": self._answered + 1}
        writer.write(b"".join(text_frame(json.dumps(said).encode()) for said in (accepted, executions)))


async def _payload(reader: asyncio.StreamReader) -> bytes:
    """Payload of a client's frame, unmasked."""
    first = await reader.readexactly(2)
    size = first[1] & 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(size)
    whole = mask * (size // 4 + 1)
    return (int.from_bytes(masked, "big") ^ int.from_bytes(whole[:size], "big")).to_bytes(size, "big")


async def _main(told: argparse.Namespace) -> None:
    venue = Venue(orders=told.orders, repeats=told.repeats, paced_s=told.paced)
    async with await asyncio.start_server(venue.serve, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await venue.done.wait()
        print(json.dumps(percentiles(venue.waited_ns)), flush=True)
        await asyncio.sleep(0.2)


def percentiles(waits_ns: Iterable[int]) -> dict[str, float]:
    """Microseconds at the middle and at the worst hundredth; the first tenth warms up and is left out."""
    waits = list(waits_ns)
    waits = sorted(waits[len(waits) // 10 :])
    return {f"p{share}": waits[len(waits) * share // 100] / 1000 for share in (1, 10, 50, 99)} if waits else {}


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--orders", type=int, default=0)
    asked.add_argument("--repeats", type=int, default=1)
    asked.add_argument("--paced", type=int, default=0)
    asked.add_argument("--cpu", type=int, default=0)
    options = asked.parse_args()
    os.sched_setaffinity(0, {options.cpu})
    sys.exit(asyncio.run(_main(options)))
