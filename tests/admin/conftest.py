"""A whole admin server on a loopback port and a socket, with an engine's stand-in behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import aiohttp
import pytest

from aether.admin.commands import CommandDesk
from aether.admin.server import AdminServer
from aether.core.authority import refusal_of
from aether.core.ledger import Ledger
from aether.core.view import View
from aether.domain.facts import CommandAccepted, CommandRefused, Fact, Numbered, TradingHalted
from aether.domain.inputs import CommandGiven, Input
from aether.domain.values import NANOS_PER_S, UtcNanos

SCOPES = frozenset({"all", "symbol:BTC/USD", "strategy:trend", "strategy:trend_btc"})

AT_NS = UtcNanos(1_784_483_640 * NANOS_PER_S + 5)


def blank(cls: Any, **given: Any) -> Any:
    """A dataclass of zeros, empty texts and None, but for what is given."""
    hints = get_type_hints(cls)
    return cls(**{entry.name: given.get(entry.name, _zero(hints[entry.name])) for entry in fields(cls)})


def _zero(kind: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) is UnionType:
        return None if NoneType in get_args(kind) else _zero(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return ()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if is_dataclass(kind):
        return blank(kind)
    return kind(0) if issubclass(kind, int | Decimal) else kind()


class FixedClock:
    def wall_ns(self) -> UtcNanos:
        return AT_NS

    def monotonic_ns(self) -> int:
        return 0


class FakeLatch:
    def __init__(self) -> None:
        self.scopes: list[str] = []

    def set(self, scope: str) -> None:
        self.scopes.append(scope)


@dataclass
class FakeEngine:
    """Answers commands by the real rule of authority, one turn of the loop later, unless it is told to be silent."""

    latch: FakeLatch = field(default_factory=FakeLatch)
    ledger: Ledger = field(default_factory=Ledger)
    given: list[CommandGiven] = field(default_factory=list)
    latched_before: list[tuple[str, ...]] = field(default_factory=list)
    fails_with: Exception | None = None
    is_silent: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    desk: CommandDesk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = CommandDesk(self.put, self.latch, SCOPES)

    def put(self, item: Input) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        assert isinstance(item, CommandGiven)
        self.given.append(item)
        self.heard.set()
        self.latched_before.append(tuple(self.latch.scopes))
        if not self.is_silent:
            asyncio.get_running_loop().call_soon(self._answer, item)

    def _answer(self, given: CommandGiven) -> None:
        refused = refusal_of(given.actor, given.command, self.ledger, SCOPES)
        if refused is None:
            self.commit(CommandAccepted(given.request_id, given.actor, given.command))
        else:
            self.commit(CommandRefused(given.request_id, given.actor, given.command, *refused))

    def commit(self, *facts: Fact) -> Sequence[Numbered]:
        numbered = []
        for fact in facts:
            numbered.append(Numbered(self.ledger.next_seq, 1, AT_NS, 1, fact))
            self.ledger.fold(numbered[-1])
        self.desk.observe(numbered)
        return numbered

    def halt(self, scope: str) -> None:
        actor = self.given[-1].actor
        self.commit(TradingHalted(scope, "halt_operator", "test", actor))


@dataclass
class FakeHealth:
    alive: bool = True
    started: bool = True
    ready: bool = True

    def is_alive(self) -> bool:
        return self.alive

    def is_started(self) -> bool:
        return self.started

    def is_ready(self) -> bool:
        return self.ready


class FakeMetrics:
    def expose(self, accept: str) -> tuple[bytes, str]:
        return b"aether_up 1\n", f"text/plain; asked={len(accept)}"


@dataclass
class House:
    """The server under test and what stands behind it."""

    engine: FakeEngine
    server: AdminServer
    socket_path: Path
    health: FakeHealth
    views: list[View]
    stories: dict[str, tuple[Numbered, ...]]
    explain_fails_with: list[Exception]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.http_port}"

    def control(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession("http://aether", connector=aiohttp.UnixConnector(str(self.socket_path)))

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Status and decoded answer of a POST on the control socket."""
        async with self.control() as session, session.post(path, json=body) as response:
            return response.status, await response.json()

    async def raw(self, request: bytes, *, on_socket: bool = False) -> bytes:
        """Everything that comes back for these bytes until the server closes the connection."""
        if on_socket:
            reader, writer = await asyncio.open_unix_connection(str(self.socket_path))
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.http_port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()


def make_house(directory: Path) -> House:
    engine, health, views = FakeEngine(), FakeHealth(), [blank(View, at_ns=AT_NS, run=3)]
    stories: dict[str, tuple[Numbered, ...]] = {}
    explain_fails_with: list[Exception] = []

    async def explain(asked: str) -> tuple[Numbered, ...]:
        if explain_fails_with:
            raise explain_fails_with[0]
        return stories.get(asked, ())

    server = AdminServer(
        lambda: views[-1] if views else None,
        engine.desk,
        explain,
        health=health,
        metrics=FakeMetrics(),
        clock=FixedClock(),
    )
    path = directory / "run" / "control.sock"
    return House(engine, server, path, health, views, stories, explain_fails_with)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    built = make_house(tmp_path)
    await built.server.start("127.0.0.1", 0, built.socket_path)
    yield built
    await built.server.stop()


@pytest.fixture
def second_house(tmp_path: Path) -> House:
    """Another daemon on the same directory, not started."""
    return make_house(tmp_path)


@pytest.fixture
def blank_of() -> Callable[..., Any]:
    """Makes a dataclass of zeros, empty texts and None, but for what is given."""
    return blank
