"""One power cut: the real journal writes orders on a made disk, loses power, and every later life must know them.

A life opens the journal, reads all of it and appends; the last one verifies it, too. Whatever was acknowledged in an
earlier life must be there, in whole groups and in order; of what was under way when the power failed all or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from aether.domain.errors import AetherError
from aether.domain.facts import Fact, Numbered, OrderAccepted, OrderFilled
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, Liquidity
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Usd, UtcNanos
from aether.journal.audit import verify_open
from aether.journal.sqlite import open_database
from aether.sim.disk import Disk, Hook, Operation, PowerLoss
from aether.sim.medium import Loss
from aether.sim.virtual_time import VirtualTimeLoop, inline_sqlite

ORDERS_MAX = 60
POINTS_OF_A_SCRIPT = 40
NAME = "journal.db"
BORN = UtcNanos(1_790_000_000_000_000_000)
Group = tuple[Numbered, ...]


class Lost(Exception):
    """What a life did not find as an earlier one had left it."""


@dataclass(frozen=True, slots=True)
class Script:
    """Groups of facts as they are committed, and how often SQLite moves them from its log into the database."""

    groups: tuple[Group, ...]
    log_bytes_max: int


@cache
def script_of(seed: int) -> Script:
    """Orders, each accepted and filled; how many, in which groups and with how long facts is drawn."""
    random, groups, seq = Random(seed), list[Group](), 0
    for number in range(1, random.choice((5, 15, ORDERS_MAX)) + 1):
        facts: list[Fact] = [OrderAccepted(f"c-{number}", "O" * random.choice((8, 8, 900, 5000)))]
        fills: list[Fact] = [_fill(number, part) for part in range(random.choice((1, 1, 1, 2)))]
        halves: list[list[Fact]] = [[*facts, *fills]] if random.random() < 0.3 else [facts, fills]
        for group in halves:
            groups.append(tuple(Numbered(seq + n, 1, BORN, seq, fact) for n, fact in enumerate(group, 1)))
            seq += len(group)
    return Script(tuple(groups), random.choice((20_000, 100_000, 400_000, 4_000_000)))


def _fill(number: int, part: int) -> OrderFilled:
    return OrderFilled(
        exec_id=f"T-{number}-{part}",
        order_id=f"O-{number}",
        cl_ord_id=f"c-{number}",
        strategy="trend",
        name="BTC/USD",
        symbol=recall("BTC/USD"),
        side=Side.BUY,
        qty=Qty(Decimal("0.5")),
        price=Price(Decimal(100)),
        cost=Usd(Decimal(50)),
        fees=(AssetAmount("USD", Decimal("0.13")),),
        liquidity=Liquidity.TAKER,
        venue_ns=BORN,
        source="executions",
    )


@dataclass(frozen=True, slots=True)
class _Play:
    """What is written, and by which journal: ours, or one that is weakened by a pragma."""

    script: Script
    weakened: str = ""


@dataclass(slots=True)
class _Known:
    """What the world outside was told: so many groups are on disk, and one more perhaps."""

    acknowledged: int = 0
    is_under_way: bool = False


async def _live(disk: Disk, play: _Play, known: _Known, *, appends: int, verifies: bool = False) -> None:
    """One life. Ends when its groups are appended or the power fails; raises Lost."""
    script = play.script
    try:
        disk.make(NAME)
        async with open_database(
            disk.uri(NAME), account="made", tag="test", created_ns=BORN, log_bytes_max=script.log_bytes_max
        ) as journal:
            if play.weakened:
                await journal._connection.execute(f"PRAGMA {play.weakened}")
            found = _groups_in([numbered async for numbered in journal.read()], script)
            if not known.acknowledged <= found <= known.acknowledged + known.is_under_way:
                raise Lost(f"{known.acknowledged} groups were acknowledged, {found} are there")
            known.acknowledged, known.is_under_way = found, False
            for group in script.groups[found : found + appends]:
                known.is_under_way = True
                await journal.append(group)
                known.acknowledged, known.is_under_way = known.acknowledged + 1, False
            if verifies:
                report = await verify_open(journal)
                if not report.ok:
                    raise Lost(f"does not verify: {report.why}")
    except (AetherError, OSError) as error:
        if not disk.is_dead:
            raise Lost(f"the journal failed on a sound disk: {error}") from error


def _groups_in(rows: Sequence[Numbered], script: Script) -> int:
    rest = list(rows)
    for count, group in enumerate(script.groups):
        if not rest:
            return count
        if tuple(rest[: len(group)]) != group:
            raise Lost(f"group {count + 1} is there in part, or is another")
        del rest[: len(group)]
    return len(script.groups)


# --- points ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """The power fails before a disk's n-th change, and takes a pattern of what is unsynced.

    `seed` also draws the script, and whether the power fails again while the next lives recover.
    """

    seed: int
    strict: bool
    change: int
    loss: Loss

    def __str__(self) -> str:
        return f"{self.seed}:{'strict' if self.strict else 'ordered'}:{self.change}:{self.loss.value}"

    @classmethod
    def from_text(cls, text: str) -> Point:
        """The inverse of str()."""
        seed, names, change, loss = text.split(":")
        return cls(int(seed), names == "strict", int(change), Loss(loss))


def drawn(seed: int, number: int) -> list[Point]:
    """The n-th script of a long run, and where its power fails."""
    random = Random(f"{seed} {number}")
    script_seed, strict = random.randrange(1 << 32), random.random() < 0.5
    changes = changes_of(script_seed, strict=strict)
    return [
        Point(script_seed, strict, random.randint(1, changes), random.choice([*Loss]))
        for _ in range(POINTS_OF_A_SCRIPT)
    ]


def changes_of(seed: int, *, strict: bool, weakened: str = "") -> int:
    """How many operations of the whole script change the disk, from making the file to closing it."""
    counted, script = list[Operation](), script_of(seed)

    def count(operation: Operation) -> None:
        counted.extend([operation] if operation.changes else [])

    disk = Disk(strict=strict)
    disk.hook = count
    with lives() as run:
        run(_live(disk, _Play(script, weakened), _Known(), appends=len(script.groups)))
    return len(counted)


@dataclass(slots=True)
class Tally:
    """What was tried, and what was lost."""

    cuts: int = 0
    cuts_in_recovery: int = 0
    lost: list[str] = field(default_factory=list)


def try_points(points: Sequence[Point], tally: Tally, *, weakened: str = "") -> None:
    """Look what is left where the power fails at these points of one script.

    The script runs once: before a change of the disk, what its loss would leave is put aside, and lived on afterwards.
    """
    seed, strict = points[0].seed, points[0].strict
    play, known, disk = _Play(script_of(seed), weakened), _Known(), Disk(strict=strict)
    left: list[tuple[Point, Disk, _Known]] = []
    change = 0

    def hook(operation: Operation) -> None:
        nonlocal change
        change += operation.changes
        here = [point for point in points if operation.changes and point.change == change]
        left.extend((point, disk.picture(Random(str(point)), point.loss), replace(known)) for point in here)

    disk.hook = hook
    with lives() as run:
        run(_live(disk, play, known, appends=len(play.script.groups)))
        for point, found, known_then in left:
            tally.cuts += 1
            try:
                tally.cuts_in_recovery += _recover(run, found, play, known_then, Random(f"again {point}"))
            except Lost as error:
                tally.lost.append(f"{point} {error}")


def _recover(run: Run, disk: Disk, play: _Play, known: _Known, random: Random) -> int:
    """Lives on what was left: up to two that are cut short again, then two whole ones. How many cuts there were."""
    cuts = 0
    for _ in range(random.randrange(3)):
        disk.hook = _cut_at(random.randint(1, 40))
        run(_live(disk, play, known, appends=1))
        cuts += disk.is_dead
        disk = disk.crash(random)
    run(_live(disk, play, known, appends=1))
    run(_live(disk.kill(), play, known, appends=1, verifies=True))
    return cuts


def _cut_at(change: int) -> Hook:
    left = change

    def hook(operation: Operation) -> None:
        nonlocal left
        left -= operation.changes
        if left <= 0:
            raise PowerLoss

    return hook


Run = Callable[[Coroutine[Any, Any, None]], None]


@contextmanager
def lives() -> Iterator[Run]:
    """Runs one life after another in virtual time, SQLite without its thread."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, inline_sqlite(Random(1)):
        yield runner.run


def points_of(seed: int, changes: Iterable[int], *, strict: bool, losses: Sequence[Loss] = tuple(Loss)) -> list[Point]:
    """Each of these changes of a script with each pattern of loss."""
    return [Point(seed, strict, change, loss) for change in changes for loss in losses]
