"""The sandbox: the made Kraken behind Kraken's own REST and WebSocket v2, on loopback, for any Kraken client.

There are two listeners, as Kraken has two hosts: the first has REST and the public WebSocket, the second (one port
further) the private WebSocket, both at Kraken's own paths. Server time is real; `speed` quickens the crowd alone.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from aiohttp import web

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.assets import BY_NAME
from aether.sim.certificate import Secured, secure
from aether.sim.connections import CLOSE_S_MAX, MESSAGE_BYTES_MAX, Connections
from aether.sim.crowd import Crowd
from aether.sim.desk import STANDARD, Desk, Manners
from aether.sim.exchange import Exchange, ExchangeRefusal
from aether.sim.fault_acts import strike_desk
from aether.sim.fault_port import FaultPort
from aether.sim.fault_wire import struck_reply
from aether.sim.faults import Fault, FaultBox
from aether.sim.keys import TRADING_PERMISSIONS, ApiKey, KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.markets import Market, own_market, recorded_market, synthetic_market
from aether.sim.records import LevelChanged
from aether.sim.rest_api import RestApi, read_form, refusal
from aether.sim.rest_public import find_pair
from aether.sim.ws_api import Door

HOST = "127.0.0.1"
ACCOUNT = "main"

BODY_BYTES_MAX = 256 * 1024

_PAUSE_S_MAX = 0.25  # timers of the exchange act at most this late
_PAUSE_S_MIN = 0.005
_ACTS_MAX = 500  # some ten milliseconds


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How to make a sandbox.

    `port` 0 takes any free ports; otherwise `port` and `port` + 1 are used. `speed` is how many recorded hours pass in
    one real hour, 1 to 3600. `start_row` is the recorded hour to begin with; as many lie before it, for candles of the
    past. `balances` are the account's deposits by v2 asset name. Without `api_key` and `api_secret` both are new ones;
    with `may_withdraw` the key can also withdraw, which no trading client should take. `keys` is how many keys each of
    the `accounts` has: a program needs its own, for nonces and REST limits belong to the key. `with_faults` opens the
    fault port, on `port` + 2. With `pairs` (a number of them, `all`, or names) the market is drawn from the seed, with
    `data` it is the user's own files of candles; without both it is the recorded one. With `tls_dir` the doors speak
    TLS alone, with a certificate that is made there; the fault port does not.
    """

    balances: Mapping[str, Decimal]
    port: int = 0
    seed: int = 0
    speed: int = 60
    start_row: int = 4_380
    api_key: str | None = None
    api_secret: str | None = None
    manners: Manners = STANDARD
    may_withdraw: bool = False
    accounts: int = 1
    keys: int = 1
    with_faults: bool = False
    pairs: str = ""
    data: Path | None = None
    tls_dir: Path | None = None


class Sandbox:
    """A running sandbox: `start` opens its doors, `run` keeps its market alive, `stop` closes it."""

    def __init__(
        self,
        desk: Desk,
        crowd: Crowd,
        api_keys: Sequence[ApiKey],
        clock: Clock,
        *,
        with_faults: bool,
        secured: Secured | None = None,
    ) -> None:
        self._clock = clock
        self._desk = desk
        self._crowd = crowd
        self._api_keys = api_keys
        self._secured = secured
        self._rest = RestApi(desk)
        self._box = FaultBox() if with_faults else None
        self._connections = Connections(desk, clock, self._box, lambda: secrets.randbits(64))
        self._runners: dict[str, web.AppRunner] = {}
        self._stopping = asyncio.Event()

    @property
    def exchange(self) -> Exchange:
        """The exchange behind the doors."""
        return self._desk.exchange

    @classmethod
    async def start(cls, config: SandboxConfig, clock: Clock) -> Sandbox:
        """Make the exchange, its crowd and its account, and listen. Raises BadConfiguration if that cannot be."""
        desk, crowd, api_keys = _open_desk(config, clock)
        secured = None if config.tls_dir is None else _secured(config.tls_dir, clock)
        sandbox = cls(desk, crowd, api_keys, clock, with_faults=config.with_faults, secured=secured)
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
        faults = {"faults": f"http://{HOST}:{self._runners['faults'].addresses[0][1]}"} if self._box else {}
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
        self._desk.settle()

    async def _keep_trading(self) -> None:
        while True:
            self._strike_now()
            self._desk.settle()
            due_s = (self._crowd.next_due_ns() - self._desk.now_ns()) / NANOS_PER_S
            await asyncio.sleep(min(max(due_s, _PAUSE_S_MIN), _PAUSE_S_MAX))

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
            if self.exchange.system_status == "maintenance":  # Kraken docs, Reconnection: they fail while it lasts
                return web.Response(status=503, text="Service Unavailable")
            await socket.prepare(request)
            await self._connections.serve(request, socket, door)
            return socket

        return handle

    async def _answer_public(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            query = dict(request.query)
            if request.method == "POST":
                query |= read_form(request.content_type, await _body_of(request))
        except ExchangeRefusal as refused:
            return _json(refusal(refused.text))
        fault = self._fault_of_call(method, query.get("pair"))
        return await self._reply(request, fault, lambda: self._rest.public(method, query))

    async def _answer_private(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await _body_of(request)
        except ExchangeRefusal as refused:
            return _json(refusal(refused.text))
        fault = self._fault_of_call(request.match_info["method"], _pair_in(request.content_type, body))
        return await self._reply(
            request,
            fault,
            lambda: self._rest.private(request.path, request.headers, body, request.remote or ""),
        )

    async def _reply(
        self, request: web.Request, fault: Fault | None, carry_out: Callable[[], str]
    ) -> web.StreamResponse:
        reply = struck_reply(fault, carry_out, self._desk.now_ns())
        if reply.delay_ms:
            await asyncio.sleep(reply.delay_ms / 1000)
        if reply.is_lost and request.transport is not None:
            request.transport.abort()
        return web.Response(text=reply.text, status=reply.status, content_type=reply.content_type)

    # --- faults -------------------------------------------------------------------------------------------------

    async def _open_fault_port(self, port: int) -> None:
        assert self._box is not None, "the port is there for its faults"
        faults = FaultPort(self._box, self._clock, self.exchange.pairs, self._strike_now)
        await self._listen("faults", faults.application(), port)

    def _fault_of_call(self, method: str, pair: str | None) -> Fault | None:
        if self._box is None or self._box.is_quiet("call"):
            return None
        context = {"endpoint": method, "door": "public"}
        if pair is not None:
            try:
                context["symbol"] = find_pair(self._desk, pair).name
            except ExchangeRefusal:
                context["symbol"] = pair
        return self._box.take("call", context, self._clock.wall_ns())

    def _strike_now(self) -> None:
        """Do all faults that are due and wait for nothing else to happen."""
        while self._box is not None and not self._box.is_quiet("now"):
            fault = self._box.take("now", {}, self._clock.wall_ns())
            if fault is None:
                return
            strike_desk(self._desk, fault)
            self._connections.strike(fault)


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


def _pair_in(content_type: str, body: bytes) -> str | None:
    try:
        return read_form(content_type, body).get("pair")
    except ExchangeRefusal:
        return None


def _open_desk(config: SandboxConfig, clock: Clock) -> tuple[Desk, Crowd, Sequence[ApiKey]]:
    now_ns = clock.wall_ns()
    try:
        market = _market(config)
        exchange = Exchange(market.rules, seed=config.seed, open_orders_max=config.manners.tier.open_orders_max)
        crowd = Crowd(
            exchange, market.hours, seed=config.seed, speed=config.speed, start_row=market.start_row, now_ns=now_ns
        )
        api_keys = []
        for number in range(1, config.accounts + 1):
            account = ACCOUNT if number == 1 else f"{ACCOUNT}-{number}"
            exchange.open_account(account, config.balances, now_ns)
            api_keys += [_new_key(config, account) for _ in range(config.keys)]
        first = api_keys[0]
        api_keys[0] = replace(first, key=config.api_key or first.key, secret=config.api_secret or first.secret)
    except ValueError as error:
        raise BadConfiguration(f"no sandbox can be made: {error}", "correct the setting that it names") from error
    board = MarketBoard(crowd.candles, exchange.pairs, now_ns)
    for event in exchange.drain():
        if isinstance(event, LevelChanged):  # the trades till now are in the candles already
            board.change_level(event)
    keys = KeyRing(api_keys, _new_token)
    desk = Desk(exchange, _Paced(crowd), board, keys, clock, manners=config.manners, pair_rows=market.rows)
    return desk, crowd, api_keys


class _Paced:
    """The crowd in slices, so that clients are served even where the machine cannot keep up with the market."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def advance(self, now_ns: int) -> None:
        """Do some of what is due by now."""
        self._crowd.advance_some(now_ns, _ACTS_MAX)


def _new_key(config: SandboxConfig, account: str) -> ApiKey:
    return ApiKey(
        base64.b64encode(secrets.token_bytes(42)).decode(),
        base64.b64encode(secrets.token_bytes(64)).decode(),
        account,
        permissions=(*TRADING_PERMISSIONS, "withdraw-funds") if config.may_withdraw else TRADING_PERMISSIONS,
    )


def _market(config: SandboxConfig) -> Market:
    """Raises ValueError for pairs, files or balances that cannot be."""
    for asset in config.balances:
        if asset not in BY_NAME:
            raise ValueError(f"sandbox.balances has {asset!r}, which no USD pair trades; write BTC, USD")
    if config.data is not None:
        return own_market(config.data)
    return synthetic_market(config.seed, config.pairs) if config.pairs else recorded_market(config.start_row)


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


def _new_token() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
