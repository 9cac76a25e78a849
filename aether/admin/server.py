"""The admin server: probes and metrics on a loopback port, everything else on the control socket."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from aether.admin import socket_file
from aether.admin.commands import CommandDesk
from aether.admin.connection import Connections
from aether.admin.middleware import (
    RequestIds,
    answer_every_request,
    refuse_other_hosts,
    refuse_unknown_methods,
    set_headers,
)
from aether.admin.routes import Health, Metrics, ViewSource, admit_operator, control_routes, probe_routes
from aether.domain.errors import BadConfiguration, InvariantBroken
from aether.ports import Clock, Explainer

CONNECTIONS_MAX = 128  # on each listener; far below the descriptors that a unit allows (LimitNOFILE)
PROBE_LIFE_S = 10.0
CONTROL_LIFE_S = 60.0  # a long journal takes a while to be searched for one order
_STOP_WAIT_S = 1.0


class AdminServer:
    """Two listeners with nothing in common but their errors. The port has no address that changes anything."""

    def __init__(
        self,
        view: ViewSource,
        desk: CommandDesk,
        explain: Explainer,
        *,
        health: Health,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._probes = probe_routes(health, metrics)
        self._control = control_routes(view, desk, explain)
        self._request_id = RequestIds(clock)
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._socket: tuple[Path, int] | None = None
        self._broken: InvariantBroken | None = None
        self._breaks = asyncio.Event()
        self.http_port = 0

    async def start(self, http_host: str, http_port: int, socket_path: Path) -> None:
        """Listen on both. With `http_port` 0 the system chooses one; `http_port` of this object tells which.

        Raises BadConfiguration where the address is not a loopback one, or port or socket cannot be had.
        """
        _refuse_open_address(http_host)
        try:
            await self._listen_on_port(http_host, http_port)
            await self._listen_on_socket(socket_path)
        except BadConfiguration:
            await self.stop()
            raise

    async def run(self) -> None:
        """Wait until cancelled. Raises the InvariantBroken that a request met: the process must not outlive it."""
        await self._breaks.wait()
        assert self._broken is not None
        raise self._broken

    async def stop(self) -> None:
        """Take no more requests, give those under way a second, and remove the socket. Safe to repeat."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        if self._socket is not None:
            socket_file.remove(*self._socket)
            self._socket = None

    async def _listen_on_port(self, host: str, port: int) -> None:
        connections = await self._application(self._probes, [refuse_other_hosts(host)], PROBE_LIFE_S)
        try:
            listener = await asyncio.get_running_loop().create_server(connections.accept, host, port)
        except OSError as error:
            raise BadConfiguration(
                f"cannot listen on {host}:{port}: {error.strerror}",
                "stop what uses the port, or set admin.port to a free one",
            ) from error
        self._listeners.append(listener)
        self.http_port = listener.sockets[0].getsockname()[1]

    async def _listen_on_socket(self, path: Path) -> None:
        connections = await self._application(self._control, [admit_operator], CONTROL_LIFE_S)
        listening, inode = socket_file.listen_on(path)
        self._socket = path, inode
        loop = asyncio.get_running_loop()
        self._listeners.append(await loop.create_unix_server(connections.accept, sock=listening))

    async def _application(self, routes: list[web.RouteDef], guards: list[Middleware], life_s: float) -> Connections:
        outermost = answer_every_request(self._request_id, self._break)
        application = web.Application(middlewares=[outermost, refuse_unknown_methods, *guards])
        application.on_response_prepare.append(set_headers)
        application.add_routes(routes)
        runner = web.AppRunner(application, shutdown_timeout=_STOP_WAIT_S)
        await runner.setup()
        self._runners.append(runner)
        assert runner.server is not None
        return Connections(runner.server, self._request_id, connections_max=CONNECTIONS_MAX, life_s=life_s)

    def _break(self, error: InvariantBroken) -> None:
        self._broken = error
        self._breaks.set()


def _refuse_open_address(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise BadConfiguration(
            f"admin.host is {host}, which is no loopback address", "use 127.0.0.1 or ::1: there is no TLS here"
        )
