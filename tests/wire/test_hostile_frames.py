"""Nothing that the sockets can say makes a value that the core cannot take, or that journal and tape cannot write."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
from aether.kraken.venue import KrakenVenue

D = Decimal
T0 = 1_767_268_800 * NANOS_PER_S
LIMITS = RiskLimits(Usd(D(3000)), 5000, 9000, Usd(D(100)), 5000, 8000, 5000, 9000, 500, 500, 60_000, 600, 50, 5000, 0)
SIZING = SizingPolicy(1000, 150, 5, 20, (Regime("calm", 0, 100),), 2, 40, 1500, Usd(D(50)))
ORDERS = OrderPolicy(5000, 30, 5, 60, 1000, 60, 10, 5000, cancel_on_stop=True)
TRADE = (
    b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade","order_status":"filled",'
    b'"exec_id":"T1","symbol":"BTC/USD","side":"buy","last_qty":0.5,"last_price":100.0,"cost":50.00,"cum_qty":0.5,'
    b'"liquidity_ind":"m","fees":[{"asset":"USD","qty":0.13}],"timestamp":"%s"}],"sequence":1}'
)
PUBLIC_TRADE = (
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":101.0,"qty":0.1,'
    b'"timestamp":"%s"}]}'
)
PONG = b'{"method":"pong","req_id":1,"time_in":"%s"}'
BOOK = (
    b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":1.0,"qty":%s}],"asks":[],'
    b'"checksum":%d}]}'
)


PAIR = (
    b'{"channel":"instrument","type":"update","data":{"pairs":[{"symbol":"BTC/USD","status":"online",%s}],"assets":[]}}'
)
PAIR_FIELDS = {
    b"price_increment": b"0.1",
    b"price_precision": b"1",
    b"qty_increment": b"1E-8",
    b"qty_precision": b"8",
    b"qty_min": b"0.0001",
    b"cost_precision": b"5",
    b"cost_min": b"0.5",
}


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


class Frames:
    """In the place of the connector: one link that says these frames, whatever the listener wants."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.frames = frames

    async def keep_connected(self, _url: str, listener: Any) -> None:
        await listener.opened(self.send)
        for frame in self.frames:
            with contextlib.suppress(LinkLost):
                listener.heard(frame)
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


def hear(gate: SpotGate, frames: Sequence[bytes]) -> Core:
    core, wire, rest, clock = Core(), Frames(frames), KeyOnly(), StillClock()
    feed: Any = KrakenFeed
    venue: Any = KrakenVenue
    symbols = (recall("BTC/USD"), recall("ETH/USD"))
    asyncio.run(feed(wire, rest, url="", gate=gate, symbols=symbols, clock=clock).run(core.put))
    asyncio.run(venue(wire, rest, url="", gate=gate, clock=clock, limits=Tier.PRO.value).run(core.put))
    core.put(Tick())
    return core


@given(seed=st.integers(0, 2**48))
@example(seed=0)
def test_no_mutated_frame_makes_what_the_core_or_the_journal_cannot_take(
    gate: SpotGate, mutated_frame: Callable[[Random], bytes], seed: int
) -> None:
    chance = Random(seed)

    hear(gate, [mutated_frame(chance) for _ in range(20)])


@pytest.mark.parametrize("frame", [TRADE, PUBLIC_TRADE, PONG])
@pytest.mark.parametrize(
    "time",
    [
        b"0001-01-01T00:00:00Z",
        b"1969-12-31T23:59:59.999999999Z",
        b"1970-01-01T00:00:00Z",
        b"2262-04-11T23:47:16.854775807Z",
        b"2262-04-11T23:47:16.854775808Z",
        b"9999-12-31T23:59:59.999999999Z",
    ],
)
def test_no_time_of_kraken_s_is_too_early_or_too_late_to_be_written(frame: bytes, time: bytes, gate: SpotGate) -> None:
    core = hear(gate, [frame % time])

    assert len(core.heard) > 1


@pytest.mark.parametrize("field", sorted(PAIR_FIELDS))
@pytest.mark.parametrize("number", [b"0", b"-1", b"19", b"1e18", b"1E-18", b"9223372036854775808", b"9" * 40])
def test_no_rule_of_a_pair_is_beyond_what_the_core_can_take(field: bytes, number: bytes, gate: SpotGate) -> None:
    rules = b",".join(b'"%s":%s' % (name, number if name == field else sound) for name, sound in PAIR_FIELDS.items())

    hear(gate, [PAIR % rules])


@pytest.mark.parametrize("qty", [b"92233720368.54775807", b"92233720368.54775808", b"9" * 31 + b"." + b"9" * 8])
def test_no_level_of_a_book_is_too_large_to_be_written(qty: bytes, gate: SpotGate) -> None:
    lots = int(qty.replace(b".", b""))

    hear(gate, [BOOK % (qty, crc32(b"10%d" % lots))])
