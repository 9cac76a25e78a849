"""The sockets in the wall: what floor 2 must offer, and what floor 3 may count on. One conformance suite holds each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from aether.domain.effects import (
    AmendOrder,
    AskAccount,
    CancelBatch,
    CancelOrder,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.facts import Numbered
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    FeesSeen,
    HistorySeen,
    Input,
    Stamped,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.values import Symbol, UtcNanos

Put = Callable[[Input], None]
"""Hands one input to the inbox; never waits. Raises InvariantBroken where a lane that may not lose anything is full."""


class Clock(Protocol):
    """Time, injected. `wall_ns` may jump; `monotonic_ns` never goes backwards."""

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment; for differences only."""
        ...


class MarketFeed(Protocol):
    """The public market. Only admitted symbols and whole, verified books come out."""

    async def run(self, put: Put) -> None:
        """Hear until cancelled: BookChanged, TradeSeen, FeedLost, InstrumentSeen, SystemStatusSeen, ClockMeasured.

        A lost connection is not an error: it is FeedLost for each symbol, and a reconnect with bounded back-off.
        """
        ...

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        """Up to `count` newest complete candles. Raises VenueUnavailable, VenueRefused."""
        ...


class OrderVenue(Protocol):
    """Our account at a venue."""

    async def run(self, put: Put) -> None:
        """Hear of our account until cancelled: PrivateStreamLive/Lost/Malformed, OrderReported, FillReported."""
        ...

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        """Send this order once, never twice. Whatever is no proof comes back as SubmitUnknown; nothing is raised."""
        ...

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        """Ask for a cancel; nothing is raised."""
        ...

    async def amend(self, amend: AmendOrder) -> AmendAccepted | AmendRefused | AmendUnknown:
        """Change an open order in place, once. Whatever is no proof comes back as AmendUnknown; nothing is raised."""
        ...

    async def submit_batch(self, batch: SubmitBatch) -> tuple[SubmitAccepted | SubmitRefused | SubmitUnknown, ...]:
        """Send these orders once, in one request; one outcome each, in their order, as of `submit`."""
        ...

    async def cancel_batch(self, batch: CancelBatch) -> tuple[CancelAnswered, ...]:
        """Ask for several cancels in one request; one answer each, all done or none proven; nothing is raised."""
        ...

    async def cancel_all(self) -> CancelAllAnswered:
        """Ask for a cancel of every order of the account, other people's too; nothing is raised."""
        ...

    async def set_dead_man(self, dead_man: SetDeadMan) -> DeadManAnswered:
        """Set the dead man's switch, or switch it off; nothing is raised."""
        ...

    async def account(self, ask: AskAccount) -> AccountSeen | AccountUnavailable:
        """All views asked for, `closed`, `trades` and `ledgers` back to `ask.since_ns`; nothing is raised."""
        ...

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        """The account's own rates; a symbol that the venue does not tell is left out, and keeps no other waiting.

        Raises VenueUnavailable, also where none is told, VenueRefused.
        """
        ...


class Journal(Protocol):
    """Memory that a power cut cannot undo. One writer."""

    async def append(self, facts: Sequence[Numbered]) -> None:
        """All of these facts in one transaction, on disk when this returns. Raises JournalBroken: send nothing."""
        ...

    def read(self, from_seq: int = 1) -> AsyncIterator[Numbered]:
        """Facts in order, the chain checked on the way. Raises JournalBroken with the first bad row."""
        ...


class Tape(Protocol):
    """Every input, exactly as the engine took it. May lose work; never stops trading."""

    def record(self, inputs: Sequence[Stamped]) -> None:
        """Take these inputs; never waits, never raises."""
        ...


class VenueCounters(Protocol):
    """What the client of a venue counts. Each method is one event; none waits or raises."""

    def feed_message(self, channel: str) -> None:
        """A message of the market feed came."""
        ...

    def checksum_failed(self, symbol: str) -> None:
        """A book did not have the checksum that the venue told."""
        ...

    def reconnected(self) -> None:
        """A connection was lost and is made again."""
        ...

    def kraken_request(self, endpoint: str, seconds: float, code: str) -> None:
        """A REST call ended after so many seconds; `code` is empty where it went well."""
        ...

    def kraken_refused(self, method: str, code: str) -> None:
        """A request on the private socket was answered with an error."""
        ...

    def throttled(self, transport: str, why: str) -> None:
        """The venue says that it is asked too much; `transport` is `rest` or `ws`."""
        ...

    def show_counter(self, pool: str, milli: Callable[[], int]) -> None:
        """From now on `milli` tells thousandths of points on a limit of the venue's: `rest`, or a symbol's orders."""
        ...


class HaltLatch(Protocol):
    """What `hands` reads before every send. Set at once, released only by a committed TradingResumed."""

    def set(self, scope: str) -> None:
        """Nothing more leaves in this scope, from this moment."""
        ...


FactObserver = Callable[[Sequence[Numbered]], None]
"""Told of facts after their commit: log, metrics, whoever waits for an answer. Never waits, never raises."""

Explainer = Callable[[str], Awaitable[tuple[Numbered, ...]]]
"""All facts about an order (either id) or an intent, in order; empty where there are none."""
