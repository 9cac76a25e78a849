"""Parts to hear frames with: links that say what they are told to, and a core that writes all it takes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.policy import OrderPolicy, Policy, Regime, RiskLimits, SizingPolicy
from aether.domain.inputs import Input, RunBegan, Stamped, Tick
from aether.domain.spot_gate import SpotGate, recall
from aether.domain.values import NANOS_PER_S, Usd, UtcNanos
from aether.journal.codec import decode, encode, encode_fact
from aether.kraken.connection import LinkLost
from aether.kraken.feed import KrakenFeed
from aether.kraken.key_standing import KeyStanding
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse
from aether.kraken.signing import Credentials
from aether.kraken.venue import KrakenVenue

D = Decimal
T0 = 1_767_268_800 * NANOS_PER_S
LIMITS = RiskLimits(
    Usd(D(3000)), 5000, 9000, Usd(D(100)), 5000, 8000, 5000, 9000, 500, 500, 60_000, 600, 50, 5000, 0, 0, 1000, 600
)
SIZING = SizingPolicy(1000, 150, 5, 20, (Regime("calm", 0, 100),), 2, 40, 1500, Usd(D(50)))
ORDERS = OrderPolicy(5000, 30, 5, 60, 1000, 60, 10, 5000, cancel_on_stop=True)


class StillClock:
    """Time that stands, so that no link is silent."""

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(T0)

    def monotonic_ns(self) -> int:
        return 10**12


class KeyOnly:
    """In the place of the REST client: no call is made before the frames are heard."""

    def __init__(self) -> None:
        self.standing = KeyStanding(StillClock())

    def set_limits(self, _limits: object) -> None:
        """There is no counter to set."""


class Nonces:
    """In the place of the keeper of nonces, whose file has tests of its own: fuzzing should not wait for a disk."""

    def __init__(self) -> None:
        self._next = 1

    async def take(self) -> int:
        self._next += 1
        return self._next

    def jump(self, ahead_ns: int = NANOS_PER_S) -> None:
        self._next += ahead_ns


def key_for(base_url: str) -> KeyInUse:
    """A key of that address."""
    nonces: Any = Nonces()
    return KeyInUse(Credentials.from_text(base_url, "key", "c2VjcmV0"), nonces)


class Frames:
    """In the place of the connector: links that say these frames one after another, whatever the listener wants."""

    def __init__(self, *links: Sequence[bytes]) -> None:
        self.links = links
        self.lost = 0

    async def keep_connected(self, _url: str, listener: Any) -> None:
        for frames in self.links:
            await listener.opened(self.send)
            for frame in frames:
                with contextlib.suppress(LinkLost):
                    listener.heard(frame)
                    continue
                self.lost += 1
            with contextlib.suppress(LinkLost):
                await listener.beat(self.send)
            listener.lost("the end")

    async def send(self, _frame: bytes) -> None:
        """Nobody hears."""


class Core:
    """An engine whose every input and fact is written, and every input read back."""

    def __init__(self) -> None:
        self.engine = Engine(Policy(LIMITS, SIZING, ORDERS, ()), Ledger())
        self.numbers = itertools.count(1)
        self.heard: list[Input] = []
        self.put(RunBegan(1, "abcd", "a-1", "sandbox", False, "0.1.0", "d", 1, crash_loop=False))  # noqa: FBT003

    def put(self, told: Input) -> None:
        number = next(self.numbers)
        stamped = Stamped(number, T0 + number * NANOS_PER_S, told)
        assert decode(Stamped, encode(stamped)) == stamped
        for numbered in self.engine.take(stamped).facts:
            encode_fact(numbered.fact)
        self.heard.append(told)


def hear(gate: SpotGate, *links: Sequence[bytes]) -> Core:
    """All that the market feed and the account's stream make of these links, each hearing all of them."""
    core, wire, rest, clock = Core(), Frames(*links), KeyOnly(), StillClock()
    feed: Any = KrakenFeed
    venue: Any = KrakenVenue
    symbols = (recall("BTC/USD"), recall("ETH/USD"))
    asyncio.run(feed(wire, rest, url="", gate=gate, symbols=symbols, clock=clock).run(core.put))
    asyncio.run(venue(wire, rest, url="", gate=gate, clock=clock, limits=Tier.PRO.value).run(core.put))
    core.put(Tick())
    return core
