"""The one place that chooses parts and joins them: a builder for each world. It holds no rules."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from aether.admin.commands import CommandDesk
from aether.admin.server import AdminServer
from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy, TrendParameters
from aether.domain.errors import BadConfiguration
from aether.domain.facts import Numbered, StopBegan
from aether.domain.inputs import Input, OrderReported, Stamped
from aether.domain.orders import OrderReport, VenueStatus
from aether.domain.spot_gate import GatePolicy, GateRefusal, SpotGate
from aether.domain.values import Symbol, Usd
from aether.journal.audit import why
from aether.journal.codec import decode, encode, encode_fact
from aether.journal.sqlite import SqliteJournal, open_journal, read_only
from aether.journal.tape import TapeEntry, TapeGap, TapeHeader, TapeLimits, TapeWriter, read_tape
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.feed import FeedSettings, KrakenFeed
from aether.kraken.listings import load_listings, read_listings
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.observe.fact_log import FactLog
from aether.observe.health import Health, ServiceManager
from aether.observe.log import start_log
from aether.observe.metrics import Metrics
from aether.ports import Clock, Explainer, MarketFeed, OrderVenue, VenueCounters
from aether.runtime.clock import SystemClock
from aether.runtime.machine import Gauges, Machine, reached
from aether.runtime.recovery import RunLabel, recover
from aether.runtime.replay import Encoded, ReplayReport, replay
from aether.runtime.supervisor import Pace, Service
from aether.settings import Settings, Trend, read_secret_file
from aether.sim.crowd import Crowd
from aether.sim.exchange import Exchange
from aether.sim.feed import SimFeed
from aether.sim.mirror import Mirror, MirroredFeed, mirrored_rules
from aether.sim.recorded import asset_pairs_json, pair_rules, recorded_hours
from aether.sim.server import Sandbox, SandboxConfig
from aether.sim.venue import SimVenue
from aether.sim.world import SimWorld

CODE_VERSION = version("aether")
TICK_MS = 250
MADE_ACCOUNT = "made"
PAPER_ACCOUNT = "paper"
_TAG_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Parts:
    """Who stands outside the wall in one world.

    `restore` is told of the ledger before the run begins. A venue that lives in this process forgot everything when the
    last one ended: it takes the account from there, and answers what became of the orders it forgot.
    """

    account: str
    gate: SpotGate
    feed: MarketFeed
    venue: OrderVenue
    services: tuple[Service, ...]
    restore: Callable[[Ledger], Sequence[Input]] = lambda _: ()


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


# --- settings -> the core's own words -----------------------------------------------------------------------------


def gate_of(settings: Settings, listings: Any) -> SpotGate:
    """Kraken's list seen through the settings. Raises BadConfiguration for a pair that is not ours."""
    excluded = frozenset(base.upper() for base in settings.symbols.excluded_bases)
    wide = SpotGate(listings, GatePolicy(excluded))
    allowed = frozenset(_admitted(wide, name, "symbols.trade") for name in settings.symbols.trade)
    return SpotGate(listings, GatePolicy(excluded, allowed))


def _admitted(gate: SpotGate, name: str, key: str) -> Symbol:
    symbol = gate.admit(name)
    if isinstance(symbol, GateRefusal):
        raise BadConfiguration(f"{key}: {name} is refused ({symbol.code}): {symbol.why}", "remove it from the list")
    return symbol


def policy_of(settings: Settings, gate: SpotGate) -> Policy:
    """What the core is told, in its own types. Raises BadConfiguration for a strategy's pair that is not traded."""
    sizing = settings.sizing.model_dump(exclude={"regimes", "rebalance_usd_min"})
    orders = settings.orders.model_dump(exclude={"stop_s_max"})
    return Policy(
        risk=RiskLimits(**_with_usd(settings.risk.model_dump())),
        sizing=SizingPolicy(
            **sizing,
            rebalance_usd_min=Usd(settings.sizing.rebalance_usd_min),
            regimes=tuple(Regime(**regime.model_dump()) for regime in settings.sizing.regimes),
        ),
        orders=OrderPolicy(**orders),
        trends=tuple(_trend(name, trend, gate) for name, trend in settings.strategies.items()),
    )


def _with_usd(values: dict[str, Any]) -> dict[str, Any]:
    return {key: Usd(value) if "_usd" in key else value for key, value in values.items()}


def _trend(name: str, trend: Trend, gate: SpotGate) -> TrendParameters:
    key = f"strategies.{name}.symbols"
    return TrendParameters(
        id=name,
        symbols=tuple(_admitted(gate, symbol, key) for symbol in trend.symbols),
        bar_s=trend.bar_s,
        fast_bars=trend.fast_bars,
        slow_bars=trend.slow_bars,
        full_score_percent=trend.full_score_percent,
        step_bps=trend.step_bps,
        edge_percent=trend.edge_percent,
        passive=trend.execution == "make",
    )


# --- worlds -------------------------------------------------------------------------------------------------------


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
    )


@asynccontextmanager
async def sandbox_world(
    settings: Settings, place: Place, clock: Clock, counters: VenueCounters | None = None
) -> AsyncIterator[Parts]:
    """Kraken's client over loopback to a sandbox: one of our own, or the one that `sandbox.connect` names."""
    async with AsyncExitStack() as stack:
        services: tuple[Service, ...] = ()
        if settings.sandbox.connect is None:
            sandbox = await Sandbox.start(sandbox_config(settings), clock)
            stack.push_async_callback(sandbox.stop)
            hello, services = sandbox.hello(), (("sandbox", sandbox.run),)
        else:
            hello = read_hello(settings.sandbox.connect)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        credentials = Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])
        account = f"sandbox-{hashlib.sha256(hello['api_key'].encode()).hexdigest()[:12]}"
        rest = RestClient(
            session,
            hello["rest"],
            clock=clock,
            limits=Tier.PRO.value,
            key=KeyInUse(credentials, NonceKeeper(place.state_dir / f"nonce-{account}", clock)),
            timeout_s=settings.kraken.request_timeout_s,
            counters=counters,
        )
        gate = gate_of(settings, await reached(load_listings, rest))
        jitter = Random(settings.world.seed)  # noqa: S311 - spreads reconnects, guards nothing
        connector = Connector(session, clock=clock, random=jitter, budget=ConnectBudget(clock), counters=counters)
        yield Parts(
            account=account,
            gate=gate,
            feed=KrakenFeed(
                connector,
                rest,
                url=hello["ws_public"],
                gate=gate,
                symbols=gate.symbols,
                clock=clock,
                settings=_feed_settings(settings),
                counters=counters,
            ),
            venue=KrakenVenue(connector, rest, url=hello["ws_private"], gate=gate, clock=clock, limits=Tier.PRO.value),
            services=services,
        )


@asynccontextmanager
async def paper_world(
    settings: Settings, _: Place, clock: Clock, counters: VenueCounters | None = None
) -> AsyncIterator[Parts]:
    """Kraken's public market, and a made account in this process that trades on a mirror of it. No private client."""
    async with aiohttp.ClientSession() as session:
        rest = RestClient(
            session,
            settings.kraken.rest_url,
            clock=clock,
            limits=Tier.STARTER.value,
            timeout_s=settings.kraken.request_timeout_s,
            counters=counters,
        )
        gate = gate_of(settings, await reached(load_listings, rest))
        jitter = Random(settings.world.seed)  # noqa: S311 - spreads reconnects, guards nothing
        connector = Connector(session, clock=clock, random=jitter, budget=ConnectBudget(clock), counters=counters)
        # Ids of orders and fills are drawn from the seed, and those of an earlier run must not come again.
        exchange = Exchange(map(mirrored_rules, gate.instruments.values()), seed=clock.wall_ns())
        mirror = Mirror(exchange, clock)
        world = SimWorld(exchange, mirror, clock)
        feed = KrakenFeed(
            connector,
            rest,
            url=settings.kraken.ws_public_url,
            gate=gate,
            symbols=gate.symbols,
            clock=clock,
            settings=_feed_settings(settings),
            counters=counters,
        )
        yield Parts(
            account=PAPER_ACCOUNT,
            gate=gate,
            feed=MirroredFeed(feed, mirror, world),
            venue=SimVenue(world, gate, PAPER_ACCOUNT, clock),
            services=(("world", world.run),),
            restore=lambda ledger: _restore_paper(settings, exchange, clock, ledger),
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
                qty=order.submitted.qty,
                limit_price=order.submitted.limit_price,
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
        account=MADE_ACCOUNT,
        gate=gate,
        feed=SimFeed(world, crowd, gate),
        venue=SimVenue(world, gate, MADE_ACCOUNT, clock),
        services=(("world", world.run),),
    )


def _feed_settings(settings: Settings) -> FeedSettings:
    kraken = settings.kraken
    return FeedSettings(book_depth=kraken.book_depth, book_silence_s=float(kraken.silence_s_max))


def read_hello(path: Path) -> dict[str, str]:
    """First line of `aether sandbox`, kept in a file of mode 0600. Raises BadConfiguration, also for other hosts."""
    key = "sandbox.connect"
    try:
        hello = orjson.loads(read_secret_file(path, key).splitlines()[0])
        wanted = {name: str(hello[name]) for name in ("rest", "ws_public", "ws_private", "api_key", "api_secret")}
        hosts = {name: urlsplit(wanted[name]).hostname for name in ("rest", "ws_public", "ws_private")}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise BadConfiguration(f"{path} is not what a sandbox printed", f"{key}: keep its first line there") from error
    for name, host in hosts.items():
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise BadConfiguration(f"{path}: {name} is not on this machine", "a sandbox is reached over loopback alone")
    return wanted


# --- one run of the daemon ----------------------------------------------------------------------------------------


async def run_daemon(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run the world of the settings until it is stopped. Raises BadConfiguration, JournalBroken and what ended it."""
    clock = SystemClock()
    place = place_of(settings)
    log = start_log(clock, sys.stdout, style=settings.log.format, level=settings.log.level)
    try:
        build = {"sandbox": sandbox_world, "paper": paper_world}[settings.world.name]
        metrics = Metrics(clock)
        async with build(settings, place, clock, metrics.counters) as parts:
            for refusal in parts.gate.refusals.values():
                metrics.counters.gate_refused(refusal.code)
            await run_world(settings, place, parts, clock=clock, metrics=metrics, announce=announce)
    finally:
        log.close()


async def run_world(
    settings: Settings, place: Place, parts: Parts, *, clock: Clock, metrics: Metrics, announce: Callable[[str], None]
) -> None:
    """Recover, join the parts of one world and run them until a stop."""
    policy, path = policy_of(settings, parts.gate), place.journal_path(parts.account)
    async with AsyncExitStack() as stack:
        tag = "".join(secrets.choice(_TAG_DIGITS) for _ in range(4))
        journal = await stack.enter_async_context(
            open_journal(path, account=parts.account, tag=tag, created_ns=clock.wall_ns())
        )
        recovered = await recover(journal, label_of(settings, parts, journal), clock)
        first = parts.restore(recovered.ledger)
        header = TapeHeader(
            run=recovered.began.run,
            code_version=CODE_VERSION,
            settings=encode(policy).decode(),
            first_fact_seq=recovered.ledger.next_seq,
            journal=str(path),
            started_at_ns=clock.wall_ns(),
        )
        limits = TapeLimits(total_bytes_max=settings.journal.tape_mb_max * 1_000_000)
        tape = stack.enter_context(TapeWriter(place.tapes_dir / path.stem, header, limits))
        machine = Machine(
            policy=policy,
            instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
            recovered=recovered,
            journal=journal,
            tape=tape,
            feed=parts.feed,
            venue=parts.venue,
            clock=clock,
            first=first,
            pace=pace_of(settings),
            free_bytes=lambda: shutil.disk_usage(place.state_dir).free,
            gauges=Gauges(partial(metrics.took, "step"), partial(metrics.took, "commit"), metrics.loop_lag),
        )
        desk = CommandDesk(machine.inbox.put, machine.latch, machine.engine.scopes)
        manager = ServiceManager(os.environ.get("NOTIFY_SOCKET"))
        machine.observers += [desk.observe, FactLog().observe, metrics.observe, partial(_tell_stop, manager)]
        health = Health(clock)
        admin = AdminServer(
            lambda: machine.runner.view, desk, _explainer(path), health=health, metrics=metrics, clock=clock
        )
        await admin.start(settings.admin.host, settings.admin.port, place.socket_path)
        stack.push_async_callback(admin.stop)
        announce(f"journal {path}")
        announce(f"health  http://{settings.admin.host}:{admin.http_port}/readyz and /metrics")
        announce(f"control {place.socket_path} (try: aether status)")
        machine.supervisor.catch_signals()
        watch = _Watch(machine, metrics, health, manager, path)
        manager.ready(f"world {settings.world.name}, run {recovered.began.run}")
        await machine.run((*parts.services, ("admin", admin.run), ("watch", watch.run)))


def _tell_stop(manager: ServiceManager, facts: Sequence[Numbered]) -> None:
    if any(isinstance(numbered.fact, StopBegan) for numbered in facts):
        manager.stopping()


@dataclass(frozen=True, slots=True)
class _Watch:
    """Tells probes, metrics and the service manager, once a tick, how it goes."""

    machine: Machine
    metrics: Metrics
    health: Health
    manager: ServiceManager
    journal_path: Path

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            self.health.show(self.machine.runner.view)
            self.metrics.inbox_depth(self.machine.inbox.live)
            self.metrics.journal_bytes(_size_bytes(self.journal_path))
            if self.machine.runner.view is not None:
                self.metrics.show(self.machine.runner.view)
            self.manager.watchdog()


def _size_bytes(journal: Path) -> int:
    """The database with its write-ahead log."""
    files = (journal, journal.with_name(journal.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def pace_of(settings: Settings) -> Pace:
    """How often the program ticks and what it tolerates."""
    return Pace(
        tick_ms=TICK_MS,
        stall_ms_max=settings.orders.stall_ms_max,
        disk_reserve_bytes=settings.journal.disk_reserve_mb * 1_000_000,
        stop_s_max=settings.orders.stop_s_max,
    )


def label_of(settings: Settings, parts: Parts, journal: SqliteJournal) -> RunLabel:
    """What the run writes of itself."""
    return RunLabel(
        tag=journal.meta.tag,
        account=parts.account,
        world=settings.world.name,
        real_money=False,
        code_version=CODE_VERSION,
        settings_digest=settings.digest,
        seed=settings.world.seed,
    )


def _explainer(path: Path) -> Explainer:
    async def explain(asked: str) -> tuple[Numbered, ...]:
        async with read_only(path) as reader:
            return why([numbered async for numbered in reader.read()], asked)

    return explain


# --- other programs -----------------------------------------------------------------------------------------------


async def run_sandbox(settings: Settings, hello_path: Path | None) -> None:
    """Run only the made Kraken until SIGINT or SIGTERM; its first line goes to standard output."""
    sandbox = await Sandbox.start(sandbox_config(settings), SystemClock())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    hello = orjson.dumps(sandbox.hello())
    if hello_path is not None:
        _keep_secret(hello_path, hello + b"\n")
    sys.stdout.write(hello.decode() + "\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        group.create_task(sandbox.run(), name="sandbox")
        await stop.wait()
        await sandbox.stop()


def _keep_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


async def replay_tape(tape: Path, journal: Path | None) -> ReplayReport:
    """Run a tape through the core from the ledger its run began with. Raises BadConfiguration, JournalBroken."""
    header, entries = read_tape(tape)
    path, ledger, recorded = journal or Path(header.journal), Ledger(), []
    async with read_only(path) as reader:
        async for numbered in reader.read():
            if numbered.seq < header.first_fact_seq:
                ledger.fold(numbered)
            elif numbered.run == header.run:
                recorded.append(numbered)
    engine = Engine(decode(Policy, header.settings.encode()), ledger)
    return replay(engine, _whole_tape(entries), recorded, _row)


def _whole_tape(entries: Iterator[TapeEntry]) -> Iterator[Stamped]:
    for entry in entries:
        if isinstance(entry, TapeGap):
            raise BadConfiguration(
                f"the tape lacks {entry.lost} inputs from number {entry.first_seq} on: {entry.why}",
                "a tape with a gap cannot be replayed beyond it; the journal alone is the record",
            )
        yield entry


def _row(numbered: Numbered) -> Encoded:
    row = encode_fact(numbered.fact)
    return numbered.seq, numbered.run, numbered.at_ns, numbered.input_seq, f"{row.kind} {row.version}", row.body
