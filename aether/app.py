"""The one place that joins the parts: a run of the daemon, the sandbox alone, a replay. It holds no rules."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import orjson

from aether.admin.commands import CommandDesk
from aether.admin.server import AdminServer
from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.policy import Policy
from aether.core.view import View
from aether.core.workbench import Guard
from aether.domain.errors import BadConfiguration
from aether.domain.facts import Numbered, StopBegan
from aether.domain.inputs import Stamped
from aether.journal.audit import story
from aether.journal.codec import decode, encode, encode_fact
from aether.journal.lock import writer_lock
from aether.journal.sqlite import SqliteJournal, open_journal, read_only
from aether.journal.tape import TapeEntry, TapeGap, TapeHeader, TapeLimits, TapeWriter, read_tape
from aether.observe.clock_watch import ClockWatch
from aether.observe.fact_log import FactLog
from aether.observe.harmless import harmless, harmless_service
from aether.observe.health import Health, ServiceManager
from aether.observe.log import start_log
from aether.observe.metrics import Metrics
from aether.observe.shadow_report import ShadowReport
from aether.observe.venue_log import VenueLog
from aether.policies import TICK_MS, pace_of, policy_of
from aether.ports import Clock, Explainer, Journal, Tape
from aether.runtime.clock import SystemClock
from aether.runtime.last_resort import LastResort
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import Recovered, RunLabel, recover
from aether.runtime.replay import Encoded, ReplayReport, replay
from aether.runtime.supervisor import Service
from aether.runtime.thinking_time import ThinkingTime
from aether.settings import Settings
from aether.sim.server import Sandbox
from aether.sim.shadow import OverheardFeed, Shadow
from aether.worlds import Outside, Parts, Place, paper_world, place_of, sandbox_config, sandbox_world

CODE_VERSION = version("aether")
LAST_RESORT_EVERY_S = 5.0
OBSERVERS_PAUSE_S = 10.0
_TAG_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


async def run_daemon(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run the world of the settings until it is stopped. Raises BadConfiguration, JournalBroken and what ended it."""
    clock = SystemClock()
    place = place_of(settings)
    build = {"sandbox": sandbox_world, "paper": paper_world}[settings.world.name]
    with ExitStack() as stack:
        # One daemon for each state directory: a second one leaves no trace in it, not even an empty journal.
        stack.enter_context(writer_lock(place.state_dir / "daemon"))
        log = start_log(clock, sys.stdout, style=settings.log.format, level=settings.log.level)
        stack.callback(log.close)
        metrics = Metrics(clock)
        async with build(settings, place, clock, VenueLog(metrics.counters)) as outside:
            last_resort = stack.enter_context(LastResort(settings.orders.stop_s_max).armed())
            await run_world(
                settings, place, outside, clock=clock, metrics=metrics, announce=announce, last_resort=last_resort
            )


async def run_world(
    settings: Settings,
    place: Place,
    outside: Outside,
    *,
    clock: Clock,
    metrics: Metrics,
    announce: Callable[[str], None],
    last_resort: LastResort,
) -> None:
    """Lock and fold the journal, connect, join the parts and run them until a stop."""
    path = place.journal_path(outside.account)
    async with AsyncExitStack() as stack:
        tag = "".join(secrets.choice(_TAG_DIGITS) for _ in range(4))
        journal = await stack.enter_async_context(
            open_journal(path, account=outside.account, tag=tag, created_ns=clock.wall_ns())
        )
        recovered = await recover(
            journal, label_of(settings, outside.account, journal), clock, crashes_max=settings.world.crashes_max
        )
        parts = await outside.connect()
        for warning in parts.warnings:
            announce(f"warning {warning}")
        for refusal in parts.gate.refusals.values():
            metrics.counters.gate_refused(refusal.code)
        policy = policy_of(settings, parts.gate)
        limits = TapeLimits(total_bytes_max=settings.journal.tape_mb_max * 1_000_000)
        header = _header(policy, recovered, path, clock)
        tape = stack.enter_context(TapeWriter(place.tapes_dir / path.stem, header, limits))
        shadow, report = shadow_of(settings, parts, clock, metrics)
        machine = join(
            settings,
            policy,
            parts if shadow is None else replace(parts, feed=OverheardFeed(parts.feed, shadow)),
            recovered,
            journal=journal,
            tape=tape,
            clock=clock,
            free_bytes=partial(_free_bytes, journal, place.state_dir),
            metrics=metrics,
            guard=stack.enter_context(ThinkingTime()),
        )
        desk = CommandDesk(machine.inbox.put, machine.latch, machine.engine.scopes)
        manager = ServiceManager(os.environ.get("NOTIFY_SOCKET"))
        machine.observers += [desk.observe, partial(_tell_stop, manager)]
        beside = _let_look_on(machine, metrics, shadow)
        health = Health(clock)

        def shown() -> View | None:
            view = machine.runner.view
            return None if view is None else replace(view, shadow=report.days)

        admin = AdminServer(shown, desk, _explainer(path), health=health, metrics=metrics, clock=clock)
        await admin.start(settings.admin.host, settings.admin.port, place.socket_path)
        stack.push_async_callback(admin.stop)
        announce(f"journal {path}")
        announce(f"health  http://{settings.admin.host}:{admin.http_port}/readyz and /metrics")
        announce(f"control {place.socket_path} (try: aether status)")
        machine.supervisor.catch_signals()
        watch = _Watch(machine, metrics, health, manager, tape, path, ClockWatch(), last_resort)
        stack.enter_context(set_apart())
        manager.ready(f"world {settings.world.name}, run {recovered.began.run}")
        await machine.run((*parts.services, ("admin", admin.run), ("watch", watch.run), *beside))


def _header(policy: Policy, recovered: Recovered, journal: Path, clock: Clock) -> TapeHeader:
    return TapeHeader(
        run=recovered.began.run,
        code_version=CODE_VERSION,
        settings=encode(policy).decode(),
        first_fact_seq=recovered.ledger.next_seq,
        journal=str(journal),
        started_at_ns=clock.wall_ns(),
    )


def _let_look_on(machine: Machine, metrics: Metrics, shadow: Shadow | None) -> tuple[Service, ...]:
    """Those who only look on, none of whom can stop what they look at; what of them must run beside the machine."""
    failed = metrics.observer_failed
    machine.observers += [harmless("log", FactLog().observe, failed), harmless("metrics", metrics.observe, failed)]
    if shadow is None:
        return ()
    machine.observers.append(harmless("shadow", shadow.observe, failed))
    return (("shadow", harmless_service("shadow", shadow.run, failed, _a_while)),)


def shadow_of(settings: Settings, parts: Parts, clock: Clock, metrics: Metrics) -> tuple[Shadow | None, ShadowReport]:
    """The shadow of this world's orders and what it reports to; none where the settings or the venue leave no room."""
    report = ShadowReport(metrics.shadow_divergence)
    if not settings.shadow.enabled or parts.is_made:
        return None, report
    return Shadow(parts.gate.instruments.values(), clock, report.tell, report.end), report


def join(
    settings: Settings,
    policy: Policy,
    parts: Parts,
    recovered: Recovered,
    *,
    journal: Journal,
    tape: Tape,
    clock: Clock,
    free_bytes: Callable[[], int],
    metrics: Metrics,
    guard: Guard | None = None,
) -> Machine:
    """The machine of one run, made of the parts of its world and of what its journal held.

    `guard` interrupts a strategy that thinks too long; None lets it think.
    """
    return Machine(
        policy=policy,
        instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
        recovered=recovered,
        journal=journal,
        tape=tape,
        feed=parts.feed,
        venue=parts.venue,
        clock=clock,
        first=parts.restore(recovered.ledger),
        pace=pace_of(settings),
        free_bytes=free_bytes,
        gauges=Gauges(partial(metrics.took, "step"), partial(metrics.took, "commit"), metrics.loop_lag),
        guard=guard,
    )


@contextmanager
def set_apart() -> Iterator[None]:
    """Let the collector of garbage pass over what was made so far, until the block ends.

    Modules, ledger and parts live as long as the run. To look through them takes 45 ms of a processor for the 84 000
    objects of the modules alone; the loop stands still meanwhile, and no order leaves.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _tell_stop(manager: ServiceManager, facts: Sequence[Numbered]) -> None:
    if any(isinstance(numbered.fact, StopBegan) for numbered in facts):
        manager.stopping()


async def _a_while() -> None:
    await asyncio.sleep(OBSERVERS_PAUSE_S)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Tells probes, metrics and the service manager, once a tick, how it goes."""

    machine: Machine
    metrics: Metrics
    health: Health
    manager: ServiceManager
    tape: TapeWriter
    journal_path: Path
    clock: ClockWatch
    last_resort: LastResort

    async def run(self) -> None:
        armed_s = 0.0
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            self.manager.watchdog()
            if self.machine.supervisor.is_stopping:
                self.last_resort.stopping()
            elif (now_s := asyncio.get_running_loop().time()) - armed_s >= LAST_RESORT_EVERY_S:
                armed_s = now_s
                self.last_resort.turned()
            try:
                self._show()
            except Exception:  # noqa: BLE001 - figures and probes are looked at; they must not stop what they show
                self.metrics.observer_failed("watch")

    def _show(self) -> None:
        self.health.show(self.machine.runner.view)
        inbox = self.machine.inbox
        self.metrics.inbox_depth(inbox.live)
        self.metrics.lost(inbox.superseded_books, inbox.dropped_trades, self.tape.lost)
        self.metrics.journal_bytes(_size_bytes(self.journal_path))
        self.metrics.kept(self.machine.sizes())
        if self.machine.runner.view is not None:
            self.metrics.show(self.machine.runner.view)
            self.clock.show(self.machine.runner.view)


def _free_bytes(journal: SqliteJournal, directory: Path) -> int:
    """Room on the journal's disk; none while the journal lives on what was kept for its last facts."""
    free = shutil.disk_usage(directory).free
    return free if journal.has_room(free) else 0


def _size_bytes(journal: Path) -> int:
    """The database with its write-ahead log."""
    files = (journal, journal.with_name(journal.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def label_of(settings: Settings, account: str, journal: SqliteJournal) -> RunLabel:
    """What the run writes of itself."""
    return RunLabel(
        tag=journal.meta.tag,
        account=account,
        world=settings.world.name,
        real_money=False,
        code_version=CODE_VERSION,
        settings_digest=settings.digest,
        seed=settings.world.seed,
    )


def _explainer(path: Path) -> Explainer:
    async def explain(asked: str) -> tuple[Numbered, ...]:
        async with read_only(path) as reader:
            return await story(reader, asked)

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
