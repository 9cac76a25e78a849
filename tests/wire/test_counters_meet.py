"""Our counters against those of a sandbox on a real socket: the venue stops before it would, and both agree."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

import aiohttp
import pytest

from aether.domain.effects import CancelOrder, SubmitOrder
from aether.domain.inputs import Input, OrderReported, PrivateStreamLive, SubmitAccepted, SubmitRefused
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.spot_gate import GatePolicy, SpotGate, recall
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.listings import load_listings
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.runtime.clock import SystemClock
from aether.sim.desk import Manners
from aether.sim.opening import ACCOUNT, SandboxConfig
from aether.sim.rate_counters import TIERS, TierName
from aether.sim.server import Sandbox

BTC = recall("BTC/USD")
CLOCK = SystemClock()


@dataclass
class Line:
    """A venue that speaks to a sandbox of some tier, and knows nothing of the tier at first."""

    sandbox: Sandbox
    venue: KrakenVenue
    ended: set[str]
    news: asyncio.Event

    async def wait_for_end_of(self, cl_ord_ids: set[str]) -> None:
        async with asyncio.timeout(30):
            while not cl_ord_ids <= self.ended:
                self.news.clear()
                await self.news.wait()

    def difference_milli(self) -> int:
        """Our count above the sandbox's, at one moment."""
        ours = self.venue._counters.count_milli(BTC, CLOCK.monotonic_ns())
        theirs = self.sandbox._front.desk.trading_counters.points(ACCOUNT, BTC, CLOCK.wall_ns())
        return ours - int(theirs * 1000)


async def connected(stack: AsyncExitStack, tier: TierName, directory: Path) -> Line:
    balances = {"USD": Decimal(10**9)}
    config = SandboxConfig(balances=balances, seed=1, speed=1, start_row=200, manners=Manners(tier=TIERS[tier]))
    sandbox = await Sandbox.start(config, CLOCK)
    stack.push_async_callback(sandbox.stop)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    hello = sandbox.hello()
    credentials = Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])
    key = KeyInUse(credentials, NonceKeeper(MarkFile(directory / "nonce"), CLOCK))
    rest = RestClient(session, hello["rest"], clock=CLOCK, limits=Tier.STARTER.value, key=key)
    gate = SpotGate(await load_listings(rest), GatePolicy(frozenset(), frozenset({"BTC/USD"})))
    connector = Connector(clock=CLOCK, random=Random(1), budget=ConnectBudget(CLOCK))
    url = hello["ws_private"]
    venue = KrakenVenue(connector, rest, url=url, gate=gate, clock=CLOCK, limits=Tier.STARTER.value)
    line, live = Line(sandbox, venue, set(), asyncio.Event()), asyncio.Event()

    def put(told: Input) -> None:
        if isinstance(told, PrivateStreamLive):
            live.set()
        elif isinstance(told, OrderReported) and told.report.status.is_terminal:
            line.ended.add(told.report.cl_ord_id or "")
            line.news.set()

    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    for task in (tasks.create_task(venue.run(put)), tasks.create_task(sandbox.run())):
        stack.callback(task.cancel)
    await live.wait()
    return line


def order(number: int) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=f"storm-{number}",
        symbol=BTC,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        post_only=True,
        qty=Qty(Decimal("0.01")),
        limit_price=Price(Decimal(100)),
        deadline_ns=CLOCK.wall_ns() + 30 * NANOS_PER_S,
    )


@pytest.mark.parametrize("tier", ["starter", "pro"])
async def test_c05_the_venue_holds_back_before_the_sandbox_refuses_and_cancels_all_that_rests(
    tier: TierName, tmp_path: Path
) -> None:
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        line = await connected(stack, tier, tmp_path)
        resting: dict[str, str] = {}
        held_back = None
        for number in range(400):
            outcome = await line.venue.submit(order(number))
            if not isinstance(outcome, SubmitAccepted):
                held_back = outcome
                break
            resting[outcome.cl_ord_id] = outcome.order_id

        assert isinstance(held_back, SubmitRefused)
        assert held_back.code == "venue_counter", "ours, not the sandbox's"
        assert len(resting) >= {"starter": 6, "pro": 19}[tier], "the tier was learnt from the sandbox"
        answers = [await line.venue.cancel(CancelOrder(*ids)) for ids in resting.items()]
        assert [answer.text for answer in answers if not answer.done] == []
        await line.wait_for_end_of(set(resting))

        assert abs(line.difference_milli()) <= 1000
