"""Our encoder, a real server on loopback that was written from Kraken's documents, our decoder: every field holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.effects import AskAccount, SubmitOrder
from aether.domain.inputs import AccountSeen, Input, OrderReported, PrivateStreamLive, SubmitAccepted
from aether.domain.orders import OrderReport, OrderType, PriceType, TimeInForce
from aether.domain.spot_gate import GatePolicy, SpotGate
from aether.domain.values import NANOS_PER_S
from aether.kraken.connection import ConnectBudget, Connector
from aether.kraken.listings import load_listings
from aether.kraken.rate_limit import TierLimits
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.runtime.clock import SystemClock
from aether.sim.desk import Manners
from aether.sim.rate_counters import TIERS
from aether.sim.server import ACCOUNT, Sandbox, SandboxConfig

MANY = 10**6  # limits are the subject of other tests
WIDE = replace(TIERS["pro"], rest_max=MANY, trading_max=MANY)
BALANCES = {"USD": Decimal(10**9), "BTC": Decimal(1000)}


@dataclass
class Line:
    """A venue that speaks to a sandbox; the loop turns while a `run` lasts."""

    runner: asyncio.Runner
    venue: KrakenVenue
    sandbox: Sandbox
    clock: SystemClock
    heard: list[Input] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, told: Input) -> None:
        self.heard.append(told)
        self.news.set()

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.news.clear()
                await self.news.wait()

    def reports(self, order_id: str) -> list[OrderReport]:
        told = [told.report for told in self.heard if isinstance(told, OrderReported)]
        return [report for report in told if report.order_id == order_id]

    def run(self, scene: Coroutine[Any, Any, None]) -> None:
        self.runner.run(scene)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(connected(runner, stack, tmp_path_factory.mktemp("line")))
        runner.run(stack.aclose())


async def connected(runner: asyncio.Runner, stack: AsyncExitStack, directory: Path) -> Line:
    clock = SystemClock()
    config = SandboxConfig(balances=BALANCES, seed=1, speed=1, start_row=200, manners=Manners(tier=WIDE))
    sandbox = await Sandbox.start(config, clock)
    stack.push_async_callback(sandbox.stop)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    hello, limits = sandbox.hello(), TierLimits(MANY, MANY, MANY, MANY, MANY)
    credentials = Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])
    key = KeyInUse(credentials, NonceKeeper(directory / "nonce", clock))
    rest = RestClient(session, hello["rest"], clock=clock, limits=limits, key=key)
    gate = SpotGate(await load_listings(rest), GatePolicy(frozenset(), frozenset({"BTC/USD"})))
    connector = Connector(session, clock=clock, random=Random(1), budget=ConnectBudget(clock))
    venue = KrakenVenue(connector, rest, url=hello["ws_private"], gate=gate, clock=clock, limits=limits)
    line = Line(runner, venue, sandbox, clock)
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    for task in (tasks.create_task(venue.run(line.put)), tasks.create_task(sandbox.run())):
        stack.callback(task.cancel)
    await line.wait_for(lambda: any(isinstance(told, PrivateStreamLive) for told in line.heard))
    return line


@given(data=st.data())
def test_every_field_of_an_order_comes_back_over_the_stream_and_over_rest(
    data: st.DataObject, line: Line, orders: Any
) -> None:
    line.run(there_and_back(line, due(data.draw(orders()), line.clock.wall_ns() + 5 * NANOS_PER_S)))


def due(order: SubmitOrder, deadline_ns: int) -> SubmitOrder:
    """The order with another deadline, and as long a life after it."""
    if order.expire_ns is None:
        return replace(order, deadline_ns=deadline_ns)
    later_s = (order.expire_ns - order.deadline_ns) // NANOS_PER_S + deadline_ns // NANOS_PER_S + 1
    return replace(order, deadline_ns=deadline_ns, expire_ns=later_s * NANOS_PER_S)


async def there_and_back(line: Line, order: SubmitOrder) -> None:
    asked_ns = line.clock.wall_ns() - NANOS_PER_S
    answer = await line.venue.submit(order)
    assert isinstance(answer, SubmitAccepted), answer
    await line.wait_for(lambda: bool(line.reports(answer.order_id)))
    seen = await line.venue.account(AskAccount("round trip", asked_ns))
    assert (await line.venue.cancel_all()).done

    assert_said(order, line.reports(answer.order_id)[0])
    assert_triggers(order, line.reports(answer.order_id)[0])
    assert isinstance(seen, AccountSeen), seen
    (told,) = [told for told in (*seen.open_orders, *seen.closed_orders) if told.order_id == answer.order_id]
    assert_said(order, told)
    assert_triggers(became_a_price(order, told), told)
    kept = line.sandbox.exchange.find_order(ACCOUNT, order_id=answer.order_id)
    assert kept is not None
    assert kept.deadline_ns is not None
    assert kept.deadline_ns // 10**6 == order.deadline_ns // 10**6  # sent to the millisecond
    assert kept.self_trade == order.self_trade.value


def assert_said(order: SubmitOrder, report: OrderReport) -> None:
    """The venue's report is of this very order. REST has no word for what an iceberg shows, GTC, IOC and FOK."""
    terms = report.terms
    assert terms is not None
    assert (report.cl_ord_id, report.symbol, report.side) == (order.cl_ord_id, order.symbol, order.side)
    assert (report.qty, terms.order_type, terms.post_only or False) == (order.qty, order.order_type, order.post_only)
    assert terms.expire_ns == order.expire_ns
    assert terms.display_qty in (None, order.display_qty)
    assert terms.time_in_force in (None, order.time_in_force)
    assert (terms.time_in_force is TimeInForce.GTD) is (order.time_in_force is TimeInForce.GTD)
    if order.order_type is not OrderType.TRAILING_STOP_LIMIT:
        assert report.limit_price == order.limit_price


def assert_triggers(order: SubmitOrder, report: OrderReport) -> None:
    assert report.terms is not None
    asked, told = order.trigger, report.terms.trigger
    if asked is None or told is None:
        assert (asked is None, told is None) == (True, True)
        return
    assert (told.price, told.price_type, told.reference) == (asked.price, asked.price_type, asked.reference)
    if asked.limit_offset is not None and report.limit_price is None:
        offset = (report.terms.limit_offset, report.terms.limit_offset_type)
        assert offset == (asked.limit_offset, asked.limit_offset_type)


def became_a_price(order: SubmitOrder, told: OrderReport) -> SubmitOrder:
    """REST shows a distance from the last trade as the price that it became; trailing distances stay distances."""
    trigger = order.trigger
    if trigger is None or trigger.price_type is PriceType.STATIC or order.order_type.is_trailing:
        return order
    assert told.terms is not None
    assert told.terms.trigger is not None
    assert told.terms.trigger.price is not None
    return replace(order, trigger=replace(trigger, price=told.terms.trigger.price, price_type=PriceType.STATIC))
