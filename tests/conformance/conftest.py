"""One stage for each implementation of a port: the same scenes are played on all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from aether.domain.effects import SubmitOrder
from aether.domain.inputs import Input, OrderReported, PrivateStreamLive
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce, VenueStatus
from aether.domain.spot_gate import GatePolicy, SpotGate, recall
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.feed import KrakenFeed
from aether.kraken.listings import load_listings, read_listings
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.ports import Clock, MarketFeed, OrderVenue
from aether.runtime.clock import SystemClock
from aether.sim.crowd import Crowd
from aether.sim.exchange import Exchange
from aether.sim.feed import SimFeed
from aether.sim.opening import ACCOUNT, SandboxConfig
from aether.sim.recorded import asset_pairs_json, pair_rules, recorded_hours
from aether.sim.server import Sandbox
from aether.sim.venue import SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from aether.sim.world import SimWorld

BTC = recall("BTC/USD")
START_NS = 1_790_000_040 * 10**9
BALANCES = {"USD": Decimal(5000), "BTC": Decimal(1)}
# The exchange trades ETH/USD, too: what the gate does not admit must not be heard.
POLICY = GatePolicy(frozenset(), frozenset({"BTC/USD"}))
START_ROW = 200


@dataclass
class Stage:
    """An implementation, the exchange behind it, and all that was heard so far.

    `settle` lets time pass at the exchange up to now; after `go_away` it cannot be reached.
    """

    feed: MarketFeed
    venue: OrderVenue
    exchange: Exchange
    account: str
    clock: Clock
    settle: Callable[[], object]
    go_away: Callable[[], Awaitable[None]]
    heard: list[Input] = field(default_factory=list)

    def of(self, *kinds: type) -> list[Any]:
        return [told for told in self.heard if isinstance(told, kinds)]

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something true is seen; fail after five seconds."""
        async with asyncio.timeout(5):
            while not (seen := holds()):  # noqa: ASYNC110 - any state of either side, on either clock
                await asyncio.sleep(0.01)
        assert seen, what
        return seen

    async def wait_for(self, kind: type, count: int = 1) -> Any:
        """The newest of so many inputs of a kind."""
        await self.until(lambda: len(self.of(kind)) >= count, f"{count} {kind.__name__}")
        return self.of(kind)[count - 1]

    def far_below(self) -> Price:
        """A price at which nobody sells."""
        ((bid_ticks, _), *_), _ = self.exchange.top(BTC, 1)
        return Price(Decimal(bid_ticks // 2) / 10)

    def far_above(self) -> Price:
        """A price at which a buy crosses the spread, whatever the market does meanwhile."""
        _, ((ask_ticks, _), *_) = self.exchange.top(BTC, 1)
        return Price(Decimal(ask_ticks * 11 // 10) / 10)

    def resting(self, cl_ord_id: str = "rests", **changes: Any) -> SubmitOrder:
        """A post-only buy that nobody will fill."""
        order = SubmitOrder(
            cl_ord_id=cl_ord_id,
            symbol=BTC,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            post_only=True,
            qty=Qty(Decimal("0.01")),
            limit_price=self.far_below(),
            deadline_ns=self.clock.wall_ns() + 5 * NANOS_PER_S,
        )
        return replace(order, **changes)

    def taking(self, cl_ord_id: str = "takes", **changes: Any) -> SubmitOrder:
        """A buy that is filled at once."""
        order = self.resting(cl_ord_id, post_only=False, time_in_force=TimeInForce.IOC, limit_price=self.far_above())
        return replace(order, **changes)

    def statuses(self, cl_ord_id: str) -> list[VenueStatus]:
        return [told.report.status for told in self.of(OrderReported) if told.report.cl_ord_id == cl_ord_id]

    def has_ended(self, cl_ord_id: str) -> bool:
        return any(status.is_terminal for status in self.statuses(cl_ord_id))

    def reaches_nobody(self) -> None:
        """No order of ours ever got into the exchange."""
        assert self.exchange.open_orders(self.account) == []
        assert self.exchange.closed_orders(self.account) == []
        assert self.exchange.trades(self.account) == []

    async def live(self) -> None:
        await self.wait_for(PrivateStreamLive)


Scene = Callable[[Stage], Coroutine[Any, Any, None]]
Play = Callable[..., None]


class SimTheatre:
    """Plays on the exchange in this process, in virtual time."""

    def play(self, scene: Scene, *, speed: int = 1, hearing: tuple[str, ...] = ("feed", "venue")) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            clock = VirtualClock(runner.get_loop(), start_wall_ns=START_NS)
            exchange = Exchange(pair_rules(), seed=1)
            exchange.open_account(ACCOUNT, BALANCES, START_NS)
            histories = {pair.name: recorded_hours(pair) for pair in pair_rules()}
            crowd = Crowd(exchange, histories, seed=1, speed=speed, start_row=START_ROW, now_ns=START_NS)
            world, gate = SimWorld(exchange, crowd, clock), SpotGate(read_listings(asset_pairs_json()), POLICY)

            def settle() -> None:
                world.catch_up()
                world.publish()

            async def go_away() -> None:
                exchange.set_system_status("maintenance")

            stage = Stage(
                feed=SimFeed(world, crowd, gate),
                venue=SimVenue(world, gate, ACCOUNT, clock),
                exchange=exchange,
                account=ACCOUNT,
                clock=clock,
                settle=settle,
                go_away=go_away,
            )
            runner.run(_act(stage, scene, hearing, world.run))


class KrakenTheatre:
    """Plays over loopback: the client that speaks to Kraken, and a sandbox that speaks as Kraken does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def play(self, scene: Scene, *, speed: int = 1, hearing: tuple[str, ...] = ("feed", "venue")) -> None:
        asyncio.run(self._play(scene, speed, hearing))

    async def _play(self, scene: Scene, speed: int, hearing: tuple[str, ...]) -> None:
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            config = SandboxConfig(balances=BALANCES, seed=1, speed=speed, start_row=START_ROW)
            sandbox = await Sandbox.start(config, clock)
            stack.push_async_callback(sandbox.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            stage = await self._stage(sandbox, session, clock)
            await _act(stage, scene, hearing, sandbox.run)

    async def _stage(self, sandbox: Sandbox, session: aiohttp.ClientSession, clock: Clock) -> Stage:
        hello, limits = sandbox.hello(), Tier.PRO.value
        credentials = Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])
        key = KeyInUse(credentials, NonceKeeper(MarkFile(self._directory / "nonce"), clock))
        rest = RestClient(session, hello["rest"], clock=clock, limits=limits, key=key, timeout_s=3)
        gate = SpotGate(await load_listings(rest), POLICY)
        connector = Connector(clock=clock, random=Random(1), budget=ConnectBudget(clock))
        return Stage(
            feed=KrakenFeed(connector, rest, url=hello["ws_public"], gate=gate, symbols=gate.symbols, clock=clock),
            venue=KrakenVenue(connector, rest, url=hello["ws_private"], gate=gate, clock=clock, limits=limits),
            exchange=sandbox.exchange,
            account=ACCOUNT,
            clock=clock,
            settle=sandbox.settle,
            go_away=sandbox.stop,
        )


async def _act(stage: Stage, scene: Scene, hearing: tuple[str, ...], world: Callable[[], Awaitable[None]]) -> None:
    """Let the world run and both ports hear while the scene is played."""

    async def keep_world() -> None:
        await world()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keep_world())]
            if "feed" in hearing:
                tasks.append(group.create_task(stage.feed.run(stage.heard.append)))
            if "venue" in hearing:
                tasks.append(group.create_task(stage.venue.run(stage.heard.append)))
            await scene(stage)
            for task in tasks:
                task.cancel()
    except* AssertionError as broken:
        raise broken.exceptions[0] from None  # what the scene found, without the tasks around it


@pytest.fixture
def play_on_kraken(tmp_path: Path) -> Play:
    """Plays a scene on the client of Kraken alone."""
    return KrakenTheatre(tmp_path).play


@pytest.fixture(params=["kraken", "sim"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Plays a scene on each implementation in turn."""
    return KrakenTheatre(tmp_path).play if request.param == "kraken" else SimTheatre().play
