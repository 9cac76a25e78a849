"""The sandbox: the made Kraken behind Kraken's own REST and WebSocket v2, on loopback, for any Kraken client.

There are two listeners, as Kraken has two hosts: the first has REST and the public WebSocket, the second (one port
further) the private WebSocket, both at Kraken's own paths. Server time is real; `speed` quickens the crowd alone.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aiohttp import WSMsgType, web

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock
from aether.sim.crowd import Crowd
from aether.sim.desk import Desk
from aether.sim.exchange import Event, Exchange, ExchangeRefusal
from aether.sim.keys import ApiKey, KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.recorded import pair_rules, recorded_hours
from aether.sim.records import LevelChanged, StatusEvent
from aether.sim.rest_api import RestApi, read_form, refusal
from aether.sim.ws_account import AccountHub
from aether.sim.ws_api import Door, Session
from aether.sim.ws_market import MarketHub

HOST = "127.0.0.1"
ACCOUNT = "main"

BODY_BYTES_MAX = 256 * 1024
MESSAGE_BYTES_MAX = 64 * 1024
CLOSE_S_MAX = 1.0  # how long a client may take to say goodbye
UNSENT_FRAMES_MAX = 2_000  # a reader further behind than this is dropped

_PAUSE_S_MAX = 0.25  # timers of the exchange act at most this late
_PAUSE_S_MIN = 0.005


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How to make a sandbox.

    `port` 0 takes any free ports; otherwise `port` and `port` + 1 are used. `speed` is how many recorded hours pass in
    one real hour, 1 to 3600. `start_row` is the recorded hour to begin with; as many lie before it, for candles of the
    past. `balances` are the account's deposits by v2 asset name. Without `api_key` and `api_secret` both are new ones.
    """

    balances: Mapping[str, Decimal]
    port: int = 0
    seed: int = 0
    speed: int = 60
    start_row: int = 4_380
    api_key: str | None = None
    api_secret: str | None = None


class Outbox:
    """Frames that wait for one client. Putting never waits: whoever lets too many pile up is dropped."""

    def __init__(self, drop: Callable[[], None]) -> None:
        self._frames: asyncio.Queue[str] = asyncio.Queue(UNSENT_FRAMES_MAX)
        self._drop = drop

    def put(self, text: str) -> None:
        """Send this frame as soon as the client takes it."""
        try:
            self._frames.put_nowait(text)
        except asyncio.QueueFull:
            self._drop()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Send frames in order until the connection is lost."""
        try:
            while True:
                await socket.send_str(await self._frames.get())
        except ConnectionError:
            return


class Sandbox:
    """A running sandbox: `start` opens its doors, `run` keeps its market alive, `stop` closes it."""

    def __init__(self, desk: Desk, crowd: Crowd, api_key: ApiKey) -> None:
        self._desk = desk
        self._crowd = crowd
        self._api_key = api_key
        self._rest = RestApi(desk)
        self._market = MarketHub(desk)
        self._accounts = AccountHub(desk)
        self._sessions: dict[Session, web.WebSocketResponse] = {}
        self._runners: dict[Door, web.AppRunner] = {}
        self._stopping = asyncio.Event()
        desk.listen(self._tell_status)

    @property
    def exchange(self) -> Exchange:
        """The exchange behind the doors."""
        return self._desk.exchange

    @classmethod
    async def start(cls, config: SandboxConfig, clock: Clock) -> Sandbox:
        """Make the exchange, its crowd and its account, and listen. Raises BadConfiguration if that cannot be."""
        desk, crowd, api_key = _open_desk(config, clock)
        sandbox = cls(desk, crowd, api_key)
        try:
            await sandbox._listen("public", config.port)
            await sandbox._listen("private", config.port + 1 if config.port else 0)
        except BadConfiguration:
            await sandbox.stop()
            raise
        return sandbox

    def hello(self) -> dict[str, str]:
        """Where it is, and the key to it."""
        public, private = (self._runners[door].addresses[0][1] for door in ("public", "private"))
        return {
            "rest": f"http://{HOST}:{public}",
            "ws_public": f"ws://{HOST}:{public}/v2",
            "ws_private": f"ws://{HOST}:{private}/v2",
            "api_key": self._api_key.key,
            "api_secret": self._api_key.secret,
        }

    async def run(self) -> None:
        """Let the crowd trade as time passes, until `stop`."""
        async with asyncio.TaskGroup() as group:
            market = group.create_task(self._keep_trading(), name="sandbox market")
            await self._stopping.wait()
            market.cancel()

    async def stop(self) -> None:
        """Close every connection and the doors; `run` returns."""
        self._stopping.set()
        for socket in list(self._sessions.values()):
            await socket.close(code=1001)
        for runner in self._runners.values():
            await runner.cleanup()

    def settle(self) -> None:
        """Let time pass up to now at once: for those who move the clock themselves."""
        self._desk.settle()

    async def _keep_trading(self) -> None:
        while True:
            self._desk.settle()
            due_s = (self._crowd.next_due_ns() - self._desk.now_ns()) / NANOS_PER_S
            await asyncio.sleep(min(max(due_s, _PAUSE_S_MIN), _PAUSE_S_MAX))

    # --- doors --------------------------------------------------------------------------------------------------

    async def _listen(self, door: Door, port: int) -> None:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/v2", self._socket_handler(door))
        if door == "public":
            app.router.add_route("*", "/0/public/{method}", self._answer_public)
            app.router.add_post("/0/private/{method}", self._answer_private)
        app.router.add_route("*", "/{elsewhere:.*}", _answer_elsewhere)
        runner = self._runners[door] = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S_MAX)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
        except (OSError, OverflowError) as error:
            raise BadConfiguration(
                f"the sandbox cannot listen on port {port} of {HOST}: {error}",
                "end what uses it, choose another port (this one and the next are used), or 0 for any free ones",
            ) from error

    async def _answer_public(self, request: web.Request) -> web.Response:
        try:
            query = dict(request.query)
            if request.method == "POST":
                query |= read_form(request.content_type, await _body_of(request))
            text = self._rest.public(request.match_info["method"], query)
        except ExchangeRefusal as refused:
            text = refusal(refused.text)
        return web.Response(text=text, content_type="application/json")

    async def _answer_private(self, request: web.Request) -> web.Response:
        try:
            text = self._rest.private(request.path, request.headers, await _body_of(request))
        except ExchangeRefusal as refused:
            text = refusal(refused.text)
        return web.Response(text=text, content_type="application/json")

    # --- connections --------------------------------------------------------------------------------------------

    def _socket_handler(self, door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(timeout=CLOSE_S_MAX, max_msg_size=MESSAGE_BYTES_MAX)
            if not socket.can_prepare(request).ok:
                return await _answer_elsewhere(request)
            await socket.prepare(request)
            await self._serve(request, socket, door)
            return socket

        return handle

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse, door: Door) -> None:
        outbox = Outbox(lambda: _abort(request))
        session = Session(
            self._desk, self._market, self._accounts, door=door, connection_id=secrets.randbits(64), send=outbox.put
        )
        self._sessions[session] = socket
        try:
            session.open()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(outbox.write_to(socket)), group.create_task(_beat(session))]
                async for message in socket:
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        session.hear(message.data)
                for task in tasks:
                    task.cancel()
        finally:
            del self._sessions[session]
            session.close()

    def _tell_status(self, events: Sequence[Event], _now_ns: int) -> None:
        if any(isinstance(event, StatusEvent) and event.pair is None for event in events):
            for session in self._sessions:
                session.tell_status()


async def _beat(session: Session) -> None:
    while True:
        await asyncio.sleep(1.0)
        session.beat()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _body_of(request: web.Request) -> bytes:
    """All of the body. Raises ExchangeRefusal for one too long, or not encoded as its headers say."""
    try:
        return await request.read()
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as error:
        raise ExchangeRefusal("EAPI:Bad request") from error


async def _answer_elsewhere(_: web.Request) -> web.Response:
    return web.Response(text=refusal("EGeneral:Unknown method"), content_type="application/json")


def _open_desk(config: SandboxConfig, clock: Clock) -> tuple[Desk, Crowd, ApiKey]:
    now_ns, rules = clock.wall_ns(), pair_rules()
    exchange = Exchange(rules, seed=config.seed)
    histories = {pair.name: recorded_hours(pair) for pair in rules}
    try:
        crowd = Crowd(
            exchange, histories, seed=config.seed, speed=config.speed, start_row=config.start_row, now_ns=now_ns
        )
        exchange.open_account(ACCOUNT, config.balances, now_ns)
        api_key = ApiKey(
            config.api_key or base64.b64encode(secrets.token_bytes(42)).decode(),
            config.api_secret or base64.b64encode(secrets.token_bytes(64)).decode(),
            ACCOUNT,
        )
    except ValueError as error:
        raise BadConfiguration(f"no sandbox can be made: {error}", "correct the setting that it names") from error
    board = MarketBoard(crowd.candles, exchange.pairs, now_ns)
    for event in exchange.drain():
        if isinstance(event, LevelChanged):  # the trades till now are in the candles already
            board.change_level(event)
    return Desk(exchange, crowd, board, KeyRing(api_key, _new_token), clock), crowd, api_key


def _new_token() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
