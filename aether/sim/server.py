"""The sandbox: the made Kraken behind Kraken's own REST and WebSocket v2, on loopback, for any Kraken client.

There are two listeners, as Kraken has two hosts: the first has REST and the public WebSocket, the second (one port
further) the private WebSocket, both at Kraken's own paths. Server time is real; `speed` quickens the crowd alone.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from pathlib import Path

from aiohttp import web

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.certificate import Secured, secure
from aether.sim.connections import CLOSE_S_MAX, MESSAGE_BYTES_MAX, Connections
from aether.sim.exchange import Exchange, ExchangeRefusal
from aether.sim.fault_port import FaultPort
from aether.sim.fault_wire import Reply
from aether.sim.faults import FaultBox
from aether.sim.front import Front
from aether.sim.keys import ApiKey
from aether.sim.opening import Opened, SandboxConfig, open_desk
from aether.sim.rest_api import refusal
from aether.sim.ws_api import Door

HOST = "127.0.0.1"

BODY_BYTES_MAX = 256 * 1024


class Sandbox:
    """A running sandbox: `start` opens its doors, `run` keeps its market alive, `stop` closes it."""

    def __init__(
        self,
        opened: Opened,
        clock: Clock,
        *,
        with_faults: bool,
        secured: Secured | None = None,
    ) -> None:
        self._clock = clock
        self._api_keys = opened.api_keys
        self._secured = secured
        box = FaultBox() if with_faults else None
        self._front = Front(opened.desk, opened.crowd, clock, box=box, new_id=lambda: secrets.randbits(64))
        self._connections = Connections(self._front.lines)
        self._runners: dict[str, web.AppRunner] = {}
        self._stopping = asyncio.Event()

    @property
    def exchange(self) -> Exchange:
        """The exchange behind the doors."""
        return self._front.desk.exchange

    @classmethod
    async def start(cls, config: SandboxConfig, clock: Clock) -> Sandbox:
        """Make the exchange, its crowd and its account, and listen. Raises BadConfiguration if that cannot be."""
        opened = open_desk(config, clock, secrets.token_bytes)
        secured = None if config.tls_dir is None else _secured(config.tls_dir, clock)
        sandbox = cls(opened, clock, with_faults=config.with_faults, secured=secured)
        try:
            await sandbox._open("public", config.port)
            await sandbox._open("private", config.port + 1 if config.port else 0)
            if config.with_faults:
                await sandbox._open_fault_port(config.port + 2 if config.port else 0)
        except BadConfiguration:
            await sandbox.stop()
            raise
        return sandbox

    def hello(self) -> dict[str, str]:
        """Where it is, and the keys to it: `api_key` and `api_secret`, `api_key_2`, ..., `account_2_api_key`, ...

        With TLS `ca` is the file of the authority that a client must trust.
        """
        public, private = (self._runners[door].addresses[0][1] for door in ("public", "private"))
        faults = {"faults": f"http://{HOST}:{self._runners['faults'].addresses[0][1]}"} if self._front.box else {}
        secure, trust = ("", {}) if self._secured is None else ("s", {"ca": str(self._secured.ca)})
        addresses = {
            "rest": f"http{secure}://{HOST}:{public}",
            "ws_public": f"ws{secure}://{HOST}:{public}/v2",
            "ws_private": f"ws{secure}://{HOST}:{private}/v2",
        }
        return faults | addresses | _named(self._api_keys) | trust

    async def run(self) -> None:
        """Let the crowd trade as time passes, until `stop`."""
        async with asyncio.TaskGroup() as group:
            market = group.create_task(self._keep_trading(), name="sandbox market")
            await self._stopping.wait()
            market.cancel()

    async def stop(self) -> None:
        """Close every connection and the doors; `run` returns."""
        self._stopping.set()
        await self._connections.close()
        for runner in self._runners.values():
            await runner.cleanup()

    def settle(self) -> None:
        """Let time pass up to now at once: for those who move the clock themselves."""
        self._front.desk.settle()

    async def _keep_trading(self) -> None:
        while True:
            pause_ns = self._front.live_on()
            await asyncio.sleep(pause_ns / NANOS_PER_S)

    # --- doors --------------------------------------------------------------------------------------------------

    async def _open(self, door: Door, port: int) -> None:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/v2", self._socket_handler(door))
        if door == "public":
            app.router.add_route("*", "/0/public/{method}", self._answer_public)
            app.router.add_post("/0/private/{method}", self._answer_private)
        app.router.add_route("*", "/{elsewhere:.*}", _answer_elsewhere)
        await self._listen(door, app, port, None if self._secured is None else self._secured.context)

    async def _listen(self, name: str, app: web.Application, port: int, tls: ssl.SSLContext | None = None) -> None:
        runner = self._runners[name] = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S_MAX)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
        except (OSError, OverflowError) as error:
            raise BadConfiguration(
                f"the sandbox cannot listen on port {port} of {HOST}: {error}",
                "end what uses it, choose another port (this one and the next are used), or 0 for any free ones",
            ) from error

    def _socket_handler(self, door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(timeout=CLOSE_S_MAX, max_msg_size=MESSAGE_BYTES_MAX)
            if not socket.can_prepare(request).ok:
                return await _answer_elsewhere(request)
            if not self._front.takes_connects:
                return web.Response(status=503, text="Service Unavailable")
            await socket.prepare(request)
            await self._connections.serve(request, socket, door)
            return socket

        return handle

    async def _answer_public(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await _body_of(request) if request.method == "POST" else None
        except ExchangeRefusal as refused:
            return _json(refusal(refused.text))
        method = request.match_info["method"]
        return await _reply(request, self._front.public(method, request.query, request.content_type, body))

    async def _answer_private(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await _body_of(request)
        except ExchangeRefusal as refused:
            return _json(refusal(refused.text))
        return await _reply(request, self._front.private(request.path, request.headers, body, request.remote or ""))

    async def _open_fault_port(self, port: int) -> None:
        assert self._front.box is not None, "the port is there for its faults"
        faults = FaultPort(self._front.box, self._clock, self.exchange.pairs, self._front.strike_now)
        await self._listen("faults", faults.application(), port)


async def _body_of(request: web.Request) -> bytes:
    """All of the body. Raises ExchangeRefusal for one too long, not encoded as its headers say, or never finished."""
    try:
        return await request.read()
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError, ConnectionError) as error:
        raise ExchangeRefusal("EAPI:Bad request") from error


async def _answer_elsewhere(_: web.Request) -> web.Response:
    return _json(refusal("EGeneral:Unknown method"))


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


async def _reply(request: web.Request, reply: Reply) -> web.StreamResponse:
    if reply.delay_ms:
        await asyncio.sleep(reply.delay_ms / 1000)
    if reply.is_lost and request.transport is not None:
        request.transport.abort()
    return web.Response(text=reply.text, status=reply.status, content_type=reply.content_type)


def _secured(directory: Path, clock: Clock) -> Secured:
    try:
        return secure(directory, HOST, clock.wall_ns())
    except OSError as error:
        raise BadConfiguration(
            f"no certificate can be made in {directory}: {error}", "name a directory of yours"
        ) from error


def _named(api_keys: Sequence[ApiKey]) -> dict[str, str]:
    """Every key under a name of its own; those of the first account, and the first of each account, bear no number."""
    named: dict[str, str] = {}
    for place, (_, of_account) in enumerate(groupby(api_keys, lambda key: key.account), start=1):
        for number, key in enumerate(of_account, start=1):
            prefix, suffix = f"account_{place}_" if place > 1 else "", f"_{number}" if number > 1 else ""
            named |= {f"{prefix}api_key{suffix}": key.key, f"{prefix}api_secret{suffix}": key.secret}
    return named
