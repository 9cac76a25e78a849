"""The worlds: who stands outside the wall in each, as the settings say. A builder for each, and no rules."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import aiohttp
import orjson

from aether.core.ledger import Ledger
from aether.domain.errors import BadConfiguration
from aether.domain.inputs import Input, OrderReported
from aether.domain.orders import OrderReport, VenueStatus
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_MS
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.feed import FeedSettings, KrakenFeed
from aether.kraken.key_lock import key_lock
from aether.kraken.key_passport import ask_passport, examine
from aether.kraken.listings import load_listings, read_listings
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import HttpSession, KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, MarkKeeper, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.policies import gate_of
from aether.ports import Clock, MarketFeed, OrderVenue, VenueCounters
from aether.runtime.machine import reached
from aether.runtime.supervisor import Service
from aether.settings import Settings, read_secret_file
from aether.sim.crowd import Crowd
from aether.sim.desk import Manners
from aether.sim.exchange import Exchange
from aether.sim.feed import SimFeed
from aether.sim.mirror import Mirror, MirroredFeed, mirrored_rules
from aether.sim.opening import SandboxConfig
from aether.sim.rate_counters import TIERS
from aether.sim.recorded import asset_pairs_json, pair_rules, recorded_hours
from aether.sim.server import Sandbox
from aether.sim.venue import SimVenue
from aether.sim.world import SimWorld

MADE_ACCOUNT = "made"
PAPER_ACCOUNT = "paper"


@dataclass(frozen=True, slots=True)
class Parts:
    """Who stands outside the wall in one world.

    `restore` is told of the ledger before the run begins. A venue that lives in this process forgot everything when the
    last one ended: it takes the account from there, and answers what became of the orders it forgot. `warnings` are
    for the operator. `is_made` where the venue is a made one in this process: a shadow would be the same once more.
    """

    gate: SpotGate
    feed: MarketFeed
    venue: OrderVenue
    services: tuple[Service, ...]
    restore: Callable[[Ledger], Sequence[Input]] = lambda _: ()
    warnings: tuple[str, ...] = ()
    is_made: bool = False


@dataclass(frozen=True, slots=True)
class Outside:
    """A world before anything was asked of it: its account names the journal, which is locked and folded first."""

    account: str
    connect: Callable[[], Awaitable[Parts]]


@dataclass(frozen=True, slots=True)
class Place:
    """Directories of one daemon."""

    state_dir: Path
    runtime_dir: Path

    @property
    def socket_path(self) -> Path:
        """The control socket."""
        return self.runtime_dir / "control.sock"

    def journal_path(self, account: str) -> Path:
        """The journal of an account."""
        return self.state_dir / f"journal-{account}.db"

    @property
    def tapes_dir(self) -> Path:
        """Recorded inputs."""
        return self.state_dir / "tapes"


def place_of(settings: Settings) -> Place:
    """Where systemd says, else where the settings say; made with mode 0700. Raises BadConfiguration."""
    state = Path(os.environ.get("STATE_DIRECTORY") or settings.world.state_dir).absolute()
    runtime = Path(os.environ.get("RUNTIME_DIRECTORY") or state).absolute()
    for directory in (state, runtime):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadConfiguration(
                f"cannot make {directory}: {error.strerror}", "name a directory of yours in world.state_dir"
            ) from error
    return Place(state, runtime)


def sandbox_config(settings: Settings) -> SandboxConfig:
    """The made Kraken that the settings describe. Raises BadConfiguration for a start outside the recorded hours."""
    hours = recorded_hours(pair_rules()[0])
    try:
        start = datetime.fromisoformat(settings.sandbox.start)
    except ValueError as error:
        raise BadConfiguration(f"sandbox.start: {error}", "write it as 2020-10-20T00:00:00Z") from error
    if start.tzinfo is None:
        raise BadConfiguration("sandbox.start names no time zone", "write it as 2020-10-20T00:00:00Z")
    row = (int(start.timestamp()) - hours[0].open_s) // 3600
    if not 0 <= row < len(hours):
        raise BadConfiguration(f"sandbox.start {settings.sandbox.start} is not recorded", "2020-10 to 2021-09 is")
    return SandboxConfig(
        balances=settings.sandbox.balances,
        port=settings.sandbox.port,
        seed=settings.world.seed,
        speed=settings.sandbox.speed,
        start_row=row,
        manners=Manners(
            tier=TIERS[settings.sandbox.tier],
            view_lag_ns=settings.sandbox.view_lag_ms * NANOS_PER_MS,
            with_fees=settings.sandbox.with_fees,
        ),
        pairs=settings.sandbox.pairs,
        data=settings.sandbox.data,
        tls_dir=(settings.sandbox.tls_dir or settings.world.state_dir / "tls") if settings.sandbox.tls else None,
        with_faults=settings.sandbox.faults,
        may_withdraw=settings.sandbox.withdraw_key,
        accounts=settings.sandbox.accounts,
        keys=settings.sandbox.keys,
    )


@asynccontextmanager
async def sandbox_at(settings: Settings, clock: Clock) -> AsyncIterator[tuple[Mapping[str, str], tuple[Service, ...]]]:
    """First line of the sandbox that the settings name; else of one of our own, and what must run beside it."""
    if settings.sandbox.connect is not None:
        yield read_hello(settings.sandbox.connect), ()
        return
    sandbox = await Sandbox.start(sandbox_config(settings), clock)
    try:
        yield sandbox.hello(), (("sandbox", sandbox.run),)
    finally:
        await sandbox.stop()


def sandbox_account(hello: Mapping[str, str]) -> str:
    """Account of a sandbox's key: a new sandbox is a new account.

    Where one account has several keys, `account` in the line says that they share a journal: the first of its keys.
    """
    named = hello.get("account", hello["api_key"])
    return f"sandbox-{hashlib.sha256(named.encode()).hexdigest()[:12]}"


@asynccontextmanager
async def sandbox_world(
    settings: Settings, place: Place, clock: Clock, counters: VenueCounters | None = None
) -> AsyncIterator[Outside]:
    """Kraken's client over loopback to a sandbox: one of our own, or the one that `sandbox.connect` names."""
    async with AsyncExitStack() as stack:
        hello, services = await stack.enter_async_context(sandbox_at(settings, clock))
        trusted = ssl.create_default_context(cafile=hello.get("ca"))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)))
        account = sandbox_account(hello)

        async def connect() -> Parts:
            stack.enter_context(key_lock(_credentials(hello)))
            mark = MarkFile(place.state_dir / f"nonce-{account}")
            way = Way(hello, session, _connector(settings, clock, counters, trusted), mark)
            return await kraken_parts(settings, way, clock, counters, services)

        yield Outside(account, connect)


@dataclass(frozen=True, slots=True)
class Way:
    """How a made Kraken is reached: addresses and key as its first line has them, what carries calls and sockets.

    `mark` keeps the mark of the key's nonces.
    """

    hello: Mapping[str, str]
    session: HttpSession
    connector: Connector
    mark: MarkKeeper


async def kraken_parts(
    settings: Settings, way: Way, clock: Clock, counters: VenueCounters | None = None, services: Sequence[Service] = ()
) -> Parts:
    """Kraken's client on a way, its key examined and its pairs read. Raises BadConfiguration, VenueRefused."""
    credentials = _credentials(way.hello)
    rest = RestClient(
        way.session,
        way.hello["rest"],
        clock=clock,
        limits=Tier.STARTER.value,  # the least there is, until Kraken tells the account's own
        key=KeyInUse(credentials, NonceKeeper(way.mark, clock)),
        timeout_s=settings.kraken.request_timeout_s,
        counters=counters,
    )
    warnings = examine(await reached(ask_passport, rest), clock)
    gate = gate_of(settings, await reached(load_listings, rest))
    url = way.hello["ws_public"]
    feed = _feed(settings, way.connector, rest, url=url, gate=gate, clock=clock, counters=counters)
    venue = KrakenVenue(
        way.connector,
        rest,
        url=way.hello["ws_private"],
        gate=gate,
        clock=clock,
        limits=Tier.STARTER.value,
        figures=counters,
    )
    # A key that our own sandbox made is known by nobody else: whoever brought a key is told about it.
    return Parts(gate, feed, venue, tuple(services), warnings=warnings if settings.sandbox.connect else ())


def _credentials(hello: Mapping[str, str]) -> Credentials:
    return Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])


@asynccontextmanager
async def paper_world(
    settings: Settings, _: Place, clock: Clock, counters: VenueCounters | None = None
) -> AsyncIterator[Outside]:
    """Kraken's public market, and a made account in this process that trades on a mirror of it. No private client."""
    async with aiohttp.ClientSession() as session:

        async def connect() -> Parts:
            rest = RestClient(
                session,
                settings.kraken.rest_url,
                clock=clock,
                limits=Tier.STARTER.value,
                timeout_s=settings.kraken.request_timeout_s,
                counters=counters,
            )
            gate = gate_of(settings, await reached(load_listings, rest))
            connector, url = _connector(settings, clock, counters), settings.kraken.ws_public_url
            feed = _feed(settings, connector, rest, url=url, gate=gate, clock=clock, counters=counters)
            # Ids of orders and fills are drawn from the seed, and those of an earlier run must not come again.
            exchange = Exchange(map(mirrored_rules, gate.instruments.values()), seed=clock.wall_ns())
            mirror = Mirror(exchange, clock)
            world = SimWorld(exchange, mirror, clock)
            return Parts(
                gate,
                MirroredFeed(feed, mirror, world),
                SimVenue(world, gate, PAPER_ACCOUNT, clock),
                (("world", world.run),),
                restore=lambda ledger: _restore_paper(settings, exchange, clock, ledger),
                is_made=True,
            )

        yield Outside(PAPER_ACCOUNT, connect)


@asynccontextmanager
async def public_market(settings: Settings, clock: Clock) -> AsyncIterator[tuple[str, tuple[Service, ...]]]:
    """Address of the world's public WebSocket, and what must run beside it: our own sandbox where none is named."""
    if settings.world.name == "paper":
        yield settings.kraken.ws_public_url, ()
    else:
        async with sandbox_at(settings, clock) as (hello, services):
            yield hello["ws_public"], services


@asynccontextmanager
async def running(services: Sequence[Service]) -> AsyncIterator[None]:
    """Run services beside the block, and end them with it. The first failure ends both."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_await(run), name=name) for name, run in services]
        yield
        for task in tasks:
            task.cancel()


async def _await(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def _connector(
    settings: Settings, clock: Clock, counters: VenueCounters | None, tls: ssl.SSLContext | None = None
) -> Connector:
    jitter = Random(settings.world.seed)  # noqa: S311 - spreads reconnects, guards nothing
    return Connector(clock=clock, random=jitter, budget=ConnectBudget(clock), counters=counters, tls=tls)


def _feed(
    settings: Settings,
    connector: Connector,
    rest: RestClient,
    *,
    url: str,
    gate: SpotGate,
    clock: Clock,
    counters: VenueCounters | None,
) -> KrakenFeed:
    kraken = settings.kraken
    return KrakenFeed(
        connector,
        rest,
        url=url,
        gate=gate,
        symbols=gate.symbols,
        clock=clock,
        settings=FeedSettings(book_depth=kraken.book_depth, book_silence_s=float(kraken.silence_s_max)),
        counters=counters,
    )


def _restore_paper(settings: Settings, exchange: Exchange, clock: Clock, ledger: Ledger) -> Sequence[Input]:
    balances = settings.paper.balances if ledger.account_as_of_ns is None else ledger.portfolio.balances
    exchange.open_account(PAPER_ACCOUNT, balances, clock.wall_ns())
    return [
        OrderReported(
            OrderReport(
                order_id=order.order_id,
                cl_ord_id=order.cl_ord_id,
                name=order.symbol,
                symbol=order.symbol,
                side=order.side,
                qty=order.qty,
                limit_price=order.limit_price,
                status=VenueStatus.CANCELED,
                cum_qty=order.filled,
                reason="the made venue ended with the last run",
                venue_ns=clock.wall_ns(),
            ),
            "closed",
        )
        for order in ledger.unsettled.values()
        if order.order_id is not None
    ]


@asynccontextmanager
async def made_world(settings: Settings, clock: Clock) -> AsyncIterator[Parts]:
    """Back-test and fault test: exchange, crowd, feed and venue in this process, on the time of `clock` and loop."""
    config, now_ns = sandbox_config(settings), clock.wall_ns()
    exchange = Exchange(pair_rules(), seed=config.seed)
    crowd = Crowd(
        exchange,
        {rules.name: recorded_hours(rules) for rules in pair_rules()},
        seed=config.seed,
        speed=config.speed,
        start_row=config.start_row,
        now_ns=now_ns,
    )
    exchange.open_account(MADE_ACCOUNT, config.balances, now_ns)
    world = SimWorld(exchange, crowd, clock)
    gate = gate_of(settings, read_listings(asset_pairs_json()))
    yield Parts(
        gate=gate,
        feed=SimFeed(world, crowd, gate),
        venue=SimVenue(world, gate, MADE_ACCOUNT, clock),
        services=(("world", world.run),),
        is_made=True,
    )


def read_hello(path: Path) -> dict[str, str]:
    """First line of `aether sandbox`, kept in a file of mode 0600. Raises BadConfiguration, also for other hosts."""
    key = "sandbox.connect"
    try:
        hello = orjson.loads(read_secret_file(path, key).splitlines()[0])
        wanted = {name: str(hello[name]) for name in ("rest", "ws_public", "ws_private", "api_key", "api_secret")}
        wanted |= {name: str(hello[name]) for name in ("ca", "account") if name in hello}
        hosts = {name: urlsplit(wanted[name]).hostname for name in ("rest", "ws_public", "ws_private")}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise BadConfiguration(f"{path} is not what a sandbox printed", f"{key}: keep its first line there") from error
    for name, host in hosts.items():
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise BadConfiguration(f"{path}: {name} is not on this machine", "a sandbox is reached over loopback alone")
    return wanted
