"""`aether capture record`: a public feed into a file, until told to stop, or its time is over, or the disk is full."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from aether.domain.errors import BadConfiguration
from aether.domain.spot_gate import recall, v2_pair_name
from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken.capture_record import CHANNELS, FrameFile, Recorder
from aether.kraken.connection import ConnectBudget, Connector
from aether.ports import Clock
from aether.settings import Settings
from aether.worlds import public_market, running

SHOW_S = 0.5


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """What to record, from names as people write them. `seconds` is None where it goes on until it is told to stop."""

    path: Path
    channels: tuple[str, ...]
    symbols: tuple[Symbol, ...]
    depth: int
    seconds: int | None

    @classmethod
    def of(cls, path: Path, channels: str, symbols: Sequence[str], depth: int, seconds: int | None) -> RecordingPlan:
        """Raises BadConfiguration for a channel that is not recorded, or nothing to record."""
        wanted = tuple(dict.fromkeys(name.strip() for name in channels.split(",") if name.strip()))
        strange = [name for name in wanted if name not in CHANNELS]
        if strange or not wanted:
            what = f"no channel {strange[0]!r}" if strange else "no channel named"
            raise BadConfiguration(what, f"channels are {', '.join(CHANNELS)}")
        return cls(path, wanted, tuple(dict.fromkeys(map(_symbol, symbols))), depth, seconds)


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """How a recording stands or ended. `ended` is empty while it goes on, else `asked`, `time` or `disk`."""

    file: str
    address: str
    seconds: int
    frames: int
    bytes: int
    channels: dict[str, int]
    refusals: tuple[str, ...]
    reconnects: int
    ended: str


async def record_capture(
    settings: Settings, plan: RecordingPlan, clock: Clock, show: Callable[[RecordingReport], None]
) -> RecordingReport:
    """Record until SIGINT or SIGTERM, the end of the plan's time, or the disk reserve of the settings.

    Raises BadConfiguration for a file that cannot be made, OSError where the disk takes no more.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        url, services = await stack.enter_async_context(public_market(settings, clock))
        file = FrameFile(plan.path)
        recorder = Recorder(file, clock, symbols=plan.symbols, channels=plan.channels, depth=plan.depth)
        jitter = Random(settings.world.seed)  # noqa: S311 - spreads reconnects, guards nothing
        connector = Connector(clock=clock, random=jitter, budget=ConnectBudget(clock))
        began_ns = clock.monotonic_ns()

        def report(ended: str) -> RecordingReport:
            return RecordingReport(
                file=str(plan.path),
                address=url,
                seconds=(clock.monotonic_ns() - began_ns) // NANOS_PER_S,
                frames=file.frames,
                bytes=file.size_bytes,
                channels=dict(sorted(recorder.channels.items())),
                refusals=tuple(recorder.refusals),
                reconnects=len(recorder.links_lost),
                ended=ended,
            )

        def why_end() -> str:
            if stop.is_set():
                return "asked"
            if shutil.disk_usage(plan.path.parent).free < settings.journal.disk_reserve_mb * 1_000_000:
                return "disk"
            return "time" if plan.seconds is not None and report("").seconds >= plan.seconds else ""

        try:
            async with running((*services, ("recorder", partial(connector.keep_connected, url, recorder)))):
                while not (ended := why_end()):
                    show(report(""))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(SHOW_S):
                            await stop.wait()
        finally:
            file.close()
        return report(ended)


def _symbol(name: str) -> Symbol:
    """WebSocket v2 name of a pair: it knows neither XBT nor XDG. Kraken itself refuses what it does not list."""
    spelled = v2_pair_name(name.strip().upper())
    if not spelled:
        raise BadConfiguration(f"{name!r} is no pair", "write it as BTC/USD")
    return recall(spelled)
