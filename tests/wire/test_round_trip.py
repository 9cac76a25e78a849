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
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.domain.effects import AmendOrder, SubmitBatch, SubmitOrder
from aether.domain.inputs import AmendAccepted, Input, OrderReported, PrivateStreamLive, SubmitAccepted
from aether.domain.instruments import Side
from aether.domain.orders import OrderReport, OrderType, PriceType, SelfTrade, TimeInForce
from aether.domain.spot_gate import GatePolicy, SpotGate
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.kraken.account import read_closed_orders, read_open_orders
from aether.kraken.connection import ConnectBudget, Connector, LinkTimes
from aether.kraken.endpoints import Endpoint
from aether.kraken.listings import load_listings
from aether.kraken.rate_limit import TierLimits
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.venue import KrakenVenue
from aether.runtime.clock import SystemClock
from aether.sim.desk import Manners
from aether.sim.opening import ACCOUNT, SandboxConfig
from aether.sim.rate_counters import TIERS
from aether.sim.server import Sandbox

MANY = 10**6  # limits are the subject of other tests
WIDE = replace(TIERS["pro"], rest_max=MANY, trading_max=MANY)
A_FEW = settings(max_examples=60)  # each is a few round trips of a real server
BALANCES = {"USD": Decimal(10**9), "BTC": Decimal(1000)}


@dataclass
class Line:
    """A venue that speaks to a sandbox; the loop turns while a `run` lasts."""

    runner: asyncio.Runner
    venue: KrakenVenue
    sandbox: Sandbox
    clock: SystemClock
    rest: RestClient
    gate: SpotGate
    is_live: bool = False
    heard: dict[str, list[OrderReport]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, told: Input) -> None:
        self.is_live |= isinstance(told, PrivateStreamLive)
        if isinstance(told, OrderReported):
            self.heard.setdefault(told.report.order_id, []).append(told.report)
        self.news.set()

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.news.clear()
                await self.news.wait()

    def reports(self, order_id: str) -> list[OrderReport]:
        return self.heard.get(order_id, [])

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
    key = KeyInUse(credentials, NonceKeeper(MarkFile(directory / "nonce"), clock))
    rest = RestClient(session, hello["rest"], clock=clock, limits=limits, key=key)
    gate = SpotGate(await load_listings(rest), GatePolicy(frozenset(), frozenset({"BTC/USD"})))
    # The loop stands still between two examples, which is no silence of the link.
    times = LinkTimes(silence_s=3_600)
    connector = Connector(clock=clock, random=Random(1), budget=ConnectBudget(clock), times=times)
    venue = KrakenVenue(connector, rest, url=hello["ws_private"], gate=gate, clock=clock, limits=limits)
    # The venue takes its tier from Kraken, and waits for its counter: looks go by a client that does not.
    looks = RestClient(session, hello["rest"], clock=clock, limits=limits, key=key)
    line = Line(runner, venue, sandbox, clock, looks, gate)
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    for task in (tasks.create_task(venue.run(line.put)), tasks.create_task(sandbox.run())):
        stack.callback(task.cancel)
    await line.wait_for(lambda: line.is_live)
    return line


@A_FEW
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
    answer = await line.venue.submit(order)
    assert isinstance(answer, SubmitAccepted), answer
    await line.wait_for(lambda: bool(line.reports(answer.order_id)))
    opened = read_open_orders(await line.rest.call(Endpoint.OPEN_ORDERS), line.gate)
    closed = read_closed_orders(await line.rest.call(Endpoint.CLOSED_ORDERS), line.gate).orders
    assert (await line.venue.cancel_all()).done

    assert_said(order, line.reports(answer.order_id)[0])
    assert_triggers(order, line.reports(answer.order_id)[0])
    told = next(told for told in (*opened, *closed) if told.order_id == answer.order_id)
    assert_said(order, told)
    assert_triggers(became_a_price(order, told), told)
    kept = line.sandbox.exchange.find_order(ACCOUNT, order_id=answer.order_id)
    assert kept is not None
    assert kept.deadline_ns is not None
    assert kept.deadline_ns // 10**6 == order.deadline_ns // 10**6  # sent to the millisecond
    assert kept.self_trade == order.self_trade.value


@A_FEW
@given(data=st.data())
def test_every_field_of_an_amend_comes_back(data: st.DataObject, line: Line, orders: Any) -> None:
    order = due(resting(data.draw(orders())), line.clock.wall_ns() + 5 * NANOS_PER_S)
    line.run(amended_and_back(line, order, data.draw(st.sampled_from(changes_of(order)))))


def resting(order: SubmitOrder) -> SubmitOrder:
    """The order at prices where it waits: a buy of 2000 dollars, or a sell that wakes at 2000 dollars or far off."""
    changes: dict[str, Any] = {"post_only": False, "self_trade": SelfTrade.CANCEL_NEWEST}
    if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        changes["time_in_force"] = TimeInForce.GTC
    if order.order_type is OrderType.MARKET:
        changes["order_type"] = OrderType.LIMIT
    if order.limit_price is not None or order.order_type is OrderType.MARKET:
        changes["limit_price"] = Price(Decimal(2000))
    if order.trigger is None:
        return replace(order, side=Side.BUY, **changes)
    if order.order_type.is_trailing:
        asked = replace(order.trigger, price=Decimal(10), price_type=PriceType.PCT)
    else:
        is_stop = order.order_type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
        asked = replace(order.trigger, price=Decimal(2000 if is_stop else 10**6), price_type=PriceType.STATIC)
    return replace(order, side=Side.SELL, trigger=asked, **changes)


def changes_of(order: SubmitOrder) -> list[dict[str, Any]]:
    """Everything that an amend may change of it, and some of it together."""
    less = Qty(order.qty.coins - Decimal("0.0001"))
    more = Qty(order.qty.coins + Decimal("0.0001"))
    if order.display_qty is not None:
        return [{"display_qty": order.qty}] if order.display_qty != order.qty else [{"qty": more}]
    changes: list[dict[str, Any]] = [{"qty": more}, {"qty": less}]
    if order.limit_price is not None:
        changes += [{"limit_price": Price(Decimal("1999.9"))}, {"limit_price": Price(Decimal(2100)), "qty": less}]
    trigger = order.trigger
    if trigger is None:
        return changes
    further = trigger.price + 1
    changes += [{"trigger": replace(trigger, price=further)}, {"trigger": replace(trigger, price=further), "qty": less}]
    if trigger.limit_offset is not None:
        changes.append({"trigger": replace(trigger, limit_offset=trigger.limit_offset + 1)})
        changes.append({"trigger": replace(trigger, limit_offset=Decimal(1), limit_offset_type=PriceType.PCT)})
    return [change for change in changes if any(getattr(order, name) != value for name, value in change.items())]


async def amended_and_back(line: Line, order: SubmitOrder, change: dict[str, Any]) -> None:
    assert (await line.venue.cancel_all()).done  # what an example that failed left behind
    answer = await line.venue.submit(order)
    assert isinstance(answer, SubmitAccepted), answer
    after = replace(order, **change)
    amend = AmendOrder(order, after, answer.order_id, "trend", order.deadline_ns)
    accepted = await line.venue.amend(amend)
    assert isinstance(accepted, AmendAccepted), (accepted, order, change)
    await line.wait_for(lambda: any(was_amended(report) for report in line.reports(answer.order_id)))
    told = next(report for report in line.reports(answer.order_id) if was_amended(report))
    assert (await line.venue.cancel_all()).done

    assert_said(after, told)
    assert_triggers(after, told)
    assert told.terms is not None
    assert told.terms.display_qty == after.display_qty


def was_amended(report: OrderReport) -> bool:
    return report.terms is not None and report.terms.is_amended


@A_FEW
@given(data=st.data())
def test_each_order_of_a_batch_comes_back(data: st.DataObject, line: Line, orders: Any) -> None:
    drawn = data.draw(st.lists(orders(), min_size=2, max_size=15))
    deadline_ns = line.clock.wall_ns() + 5 * NANOS_PER_S
    asked = (replace(due(order, deadline_ns), cl_ord_id=f"b{place}") for place, order in enumerate(drawn))
    line.run(batched_and_back(line, SubmitBatch(tuple(asked))))


async def batched_and_back(line: Line, batch: SubmitBatch) -> None:
    outcomes = await line.venue.submit_batch(batch)
    assert [type(outcome) for outcome in outcomes] == [SubmitAccepted] * len(batch.orders), outcomes
    ids = [outcome.order_id for outcome in outcomes if isinstance(outcome, SubmitAccepted)]
    await line.wait_for(lambda: all(line.reports(order_id) for order_id in ids))
    assert (await line.venue.cancel_all()).done
    for order, order_id in zip(batch.orders, ids, strict=True):
        assert_said(order, line.reports(order_id)[0])
        assert_triggers(order, line.reports(order_id)[0])


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
