"""The sandbox's open WebSockets on aiohttp: each carries one line of the made Kraken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from aether.sim.lines import BEAT_S, Line, Lines
from aether.sim.ws_api import Door

MESSAGE_BYTES_MAX = 64 * 1024
CLOSE_S_MAX = 1.0  # how long a client may take to say goodbye
UNSENT_FRAMES_MAX = 10_000  # a reader further behind than this is dropped: some seconds of all pairs


class Outbox:
    """Frames that wait for one client (`lines.Outlet`). Putting never waits: whoever lets too many pile up is cut."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._frames: asyncio.Queue[str | int] = asyncio.Queue(UNSENT_FRAMES_MAX)
        self.cut = cut

    def put(self, text: str) -> None:
        """Send this frame as soon as the client takes it."""
        self._put(text)

    def put_close(self, code: int) -> None:
        """Close the socket with this code after all that waits."""
        self._put(code)

    def _put(self, item: str | int) -> None:
        try:
            self._frames.put_nowait(item)
        except asyncio.QueueFull:
            self.cut()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Send frames in order until the connection is lost."""
        try:
            while True:
                item = await self._frames.get()
                if isinstance(item, int):
                    await socket.close(code=item)
                    return
                await socket.send_str(item)
        except ConnectionError:
            return


class Connections:
    """All open sockets."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._sockets: dict[Line, web.WebSocketResponse] = {}

    async def serve(self, request: web.Request, socket: web.WebSocketResponse, door: Door) -> None:
        """Speak with one client until it goes, or is sent away."""
        outbox = Outbox(lambda: _abort(request))
        line = self._lines.open(door, outbox)
        self._sockets[line] = socket
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(outbox.write_to(socket)), group.create_task(_beat(line))]
                async for message in socket:
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        line.hear(message.data)
                for task in tasks:
                    task.cancel()
        finally:
            del self._sockets[line]
            self._lines.close(line)

    async def close(self) -> None:
        """Say goodbye to everybody."""
        for socket in list(self._sockets.values()):
            await socket.close(code=1001)

    def __len__(self) -> int:
        return len(self._sockets)


async def _beat(line: Line) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        line.beat()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
