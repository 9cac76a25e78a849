"""One connection of the admin server: one request, one deadline, and a cap on how many there are.

aiohttp waits without end for the rest of a header or a body, and tells its version in the answer to a malformed
request. Here a connection carries one request and is cut at its deadline, whoever is slow; when there are too many, the
oldest goes, so that a flood of idle ones cannot shut out a probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from aiohttp import web

from aether.admin.problems import STATUS_OF, Problem, problem_response

SERVER_NAME = "aether"
HEADER_BYTES_MAX = 8190  # of the request line and of each field: what nginx and aiohttp take
HEADERS_MAX = 64


class Connections:
    """Those open on one listener, oldest first."""

    def __init__(
        self, server: web.Server, request_id: Callable[[], str], *, connections_max: int, life_s: float
    ) -> None:
        self._server = server
        self.request_id = request_id
        self.connections_max = connections_max
        self.life_s = life_s
        self.open: dict[Connection, asyncio.Transport] = {}

    def accept(self) -> Connection:
        """A protocol for the next connection: the factory that asyncio's servers take."""
        return Connection(self._server, self)


class Connection(web.RequestHandler):
    """aiohttp's own handler with a deadline. Every answer closes the connection: the deadline is the request's."""

    __slots__ = ("_connections", "_deadline")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # aiohttp tests it for None; its annotation does not say so
            auto_decompress=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=0,
        )
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the deadline; where there are too many, the oldest connection goes."""
        super().connection_made(transport)
        everyone = self._connections.open
        if len(everyone) >= self._connections.connections_max:
            everyone.pop(next(iter(everyone))).abort()
        everyone[self] = cast("asyncio.Transport", transport)  # uvloop's transports are of no such class
        self._deadline = asyncio.get_running_loop().call_later(self._connections.life_s, everyone[self].abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the deadline."""
        self._connections.open.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,  # noqa: ARG002 # aiohttp's own text would tell its version
        message: str | None = None,  # noqa: ARG002 # the same
    ) -> web.StreamResponse:
        """Answer for what never reached a route: a request that is not HTTP."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun; this connection cannot carry another")
        code = "api_malformed" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_internal"
        problem = Problem(code, "this is not a request of HTTP/1.1" if STATUS_OF[code] == status else "it failed")
        response = problem_response(problem, self._connections.request_id())
        response.headers["Server"] = SERVER_NAME
        response.force_close()
        return response
