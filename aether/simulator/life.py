"""One life of the daemon in a made world: the one start path, on the world's disk, wire, clock and loop.

What is real: settings, journal with SQLite, recovery, Kraken's client, and the machine with all its tasks. What is left
out: the HTTP server of people and probes (its commands come to the same desk), the log's text, the shadow of orders on
a second made exchange, the tape's files, and signals.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from aether.admin.commands import CommandDesk
from aether.app import join, label_of
from aether.domain.errors import BadConfiguration
from aether.domain.facts import Numbered, Reconciled
from aether.domain.inputs import Stamped
from aether.domain.values import UtcNanos
from aether.journal.audit import verify_open
from aether.journal.sqlite import SqliteJournal, open_database
from aether.kraken.connection import ConnectBudget, Connector
from aether.observe.metrics import Metrics
from aether.policies import policy_of
from aether.runtime.machine import Machine
from aether.runtime.recovery import recover
from aether.sim.disk import Disk
from aether.simulator.agenda import ProcessClock
from aether.simulator.loop import WorldLoop
from aether.simulator.wire import HttpPipe
from aether.worlds import Way, kraken_parts

if TYPE_CHECKING:
    from aether.simulator.world import World

JOURNAL = "journal.db"
MARK = "nonce"
TAG = "made"


@cache
def _tls() -> ssl.SSLContext:
    """Nothing is encrypted here; reading the system's authorities anew for each life would only take time."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Life:
    """One process. `machine` is there once its ledger is recovered and Kraken was reached."""

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.loop = WorldLoop(world.agenda, Random(f"{world.seed}:{number}:order"))  # noqa: S311 - a made world
        self.clock = ProcessClock(world.clocks)
        self.machine: Machine | None = None
        self.desk: CommandDesk | None = None
        self._world = world
        self._has_reconciled = False

    async def live(self) -> None:
        """From start to stop. Raises what ends the real program."""
        world, clock = self._world, self.clock
        uri, pragmas = world.disk.uri(JOURNAL), ("locking_mode=EXCLUSIVE",)
        async with open_database(
            uri, account=world.account, tag=TAG, created_ns=clock.wall_ns(), pragmas=pragmas
        ) as database:
            journal = _WatchedJournal(database, self)
            recovered = await recover(journal, label_of(world.settings, world.account, database), clock)
            await journal.compare(world)
            metrics = Metrics(clock)
            budget = ConnectBudget(clock)
            jitter = Random(f"{world.seed}:{self.number}:jitter")  # noqa: S311 - a made world
            connector = Connector(
                clock=clock, random=jitter, budget=budget, counters=metrics.counters, tls=_tls(), dial=world.wire.dial
            )
            way = Way(world.hello, HttpPipe(world.wire), connector, DiskMark(world.disk))
            parts = await kraken_parts(world.settings, way, clock, metrics.counters)
            policy = policy_of(world.settings, parts.gate)
            machine = join(
                world.settings,
                policy,
                parts,
                recovered,
                journal=journal,
                tape=_Tape(world),
                clock=clock,
                free_bytes=world.disk.free_bytes,
                metrics=metrics,
            )
            self.desk = CommandDesk(machine.inbox.put, machine.latch, machine.engine.scopes)
            machine.observers += [self.desk.observe, metrics.observe]
            self.machine = world.evidence.machine = machine
            world.began(self)
            await machine.run((*parts.services, *(make(self) for make in world.services)))

    def committed(self, facts: Sequence[Numbered]) -> None:
        """These facts are on disk, and the daemon was told so."""
        self._world.committed(facts)
        if not self._has_reconciled and any(isinstance(numbered.fact, Reconciled) for numbered in facts):
            self._has_reconciled = True
            self._world.recovered()


class _WatchedJournal:
    """The journal port on a real journal; tells the world of each commit when the daemon learns of it."""

    def __init__(self, journal: SqliteJournal, life: Life) -> None:
        self._journal = journal
        self._life = life
        self.read = journal.read

    async def append(self, facts: Sequence[Numbered]) -> None:
        await self._journal.append(facts)
        self._life.committed(facts)

    async def compare(self, world: World) -> None:
        """What a life was told is written must be there; what is there beyond that, it died before it learned of."""
        known = world.evidence.committed
        if known and await self._found(known[-1].seq) != known[-1]:
            world.lost(f"fact {known[-1].seq} was acknowledged, and is not what the journal has there")
            while known and await self._found(known[-1].seq) != known[-1]:
                known.pop()
        last = known[-1].seq if known else 0
        late = [numbered async for numbered in self._journal.read(last + 1)] if self._journal.tail()[0] > last else []
        if late:
            self._life.committed(late)

    async def _found(self, seq: int) -> Numbered | None:
        if seq <= self._journal.tail()[0]:
            async for numbered in self._journal.read(seq):
                return numbered
        return None


async def verify_on(world: World) -> str:
    """Why the journal on a world's disk does not verify from its first row on; empty where it does."""
    uri, pragmas = world.disk.uri(JOURNAL), ("locking_mode=EXCLUSIVE",)
    async with open_database(uri, account=world.account, tag=TAG, created_ns=UtcNanos(0), pragmas=pragmas) as journal:
        report = await verify_open(journal)
    return "" if report.ok else report.why


class _Tape:
    """Counts inputs; what a run needs of them is in its plan."""

    def __init__(self, world: World) -> None:
        self._world = world

    def record(self, inputs: Sequence[Stamped]) -> None:
        self._world.inputs += len(inputs)


class DiskMark:
    """The mark of the nonces as a file of the made disk (`signing.MarkKeeper`)."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def read(self) -> int:
        """The mark; 0 where there is none."""
        try:
            text = self._disk.read(MARK)
        except OSError as error:
            raise BadConfiguration(f"the nonce's mark cannot be read: {error}", "look at the disk") from error
        return int(text) if text else 0

    def write(self, mark: int) -> None:
        """Replace it."""
        self._disk.replace(MARK, b"%d" % mark)
