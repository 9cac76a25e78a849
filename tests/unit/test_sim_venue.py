"""The made Kraken as the hands and the inbox know it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import AskAccount, CancelOrder, SubmitOrder
from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    CancelAnswered,
    FillReported,
    Input,
    OrderReported,
    PrivateStreamLive,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance, Liquidity, OrderType, TimeInForce, VenueStatus
from aether.domain.spot_gate import GatePolicy, PairListing, SpotGate, recall
from aether.domain.values import Price, Qty
from aether.sim.crowd import Crowd
from aether.sim.exchange import Exchange
from aether.sim.recorded import pair_rules, recorded_hours
from aether.sim.venue import ACCOUNT_VIEWS, SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from aether.sim.world import SimWorld

START_NS = 1_790_000_040 * 10**9
BTC = recall("BTC/USD")
RESTING = SubmitOrder(
    cl_ord_id="a1",
    symbol=BTC,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=False,
    qty=Qty(Decimal("0.01")),
    limit_price=Price(Decimal("1000.0")),
    deadline_ns=START_NS + 3600 * 10**9,
)
TAKING = replace(RESTING, cl_ord_id="a2", limit_price=Price(Decimal("100000.0")), time_in_force=TimeInForce.IOC)


class Bench:
    """A world, a venue on it for account `ann`, and everything heard so far."""

    def __init__(self, clock: VirtualClock, latency_ms: int) -> None:
        rules = pair_rules()
        self.exchange = Exchange(rules, seed=1)
        self.exchange.open_account("ann", {"USD": Decimal(5000), "BTC": Decimal(1)}, START_NS)
        self.exchange.open_account("bob", {"USD": Decimal(5000), "BTC": Decimal(1)}, START_NS)
        histories = {pair.name: recorded_hours(pair) for pair in rules}
        crowd = Crowd(self.exchange, histories, seed=1, speed=60, start_row=500, now_ns=START_NS)
        world = SimWorld(self.exchange, crowd, clock)
        self.venue = SimVenue(world, _gate(), "ann", clock, latency_ms=latency_ms, seed=4)
        self.other = SimVenue(world, _gate(), "bob", clock)
        self.world = world
        self.heard: list[Input] = []


def _gate() -> SpotGate:
    (rules, _) = pair_rules()
    listing = PairListing(
        key=rules.key,
        altname=rules.altname,
        wsname=rules.wsname,
        base=rules.base_id,
        quote=rules.quote_id,
        aclass_base="currency",
        aclass_quote="currency",
        execution_venue="international",
        status=rules.status,
        pair_decimals=rules.price_decimals,
        lot_decimals=rules.qty_decimals,
        cost_decimals=rules.cost_decimals,
        tick_size=Decimal(1).scaleb(-rules.price_decimals),
        ordermin=rules.qty_min,
        costmin=rules.cost_min,
    )
    return SpotGate([listing], GatePolicy(frozenset()))


def at_the_venue(act: Callable[[Bench], Coroutine[Any, Any, None]], latency_ms: int = 0) -> list[Input]:
    """Do this while the world runs and the account is heard; what was heard."""

    async def main(bench: Bench) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bench.world.run()), group.create_task(bench.venue.run(bench.heard.append))]
            await asyncio.sleep(0.01)
            await act(bench)
            for task in tasks:
                task.cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        bench = Bench(VirtualClock(runner.get_loop(), start_wall_ns=START_NS), latency_ms)
        runner.run(main(bench))
    return bench.heard


def statuses(heard: list[Input]) -> list[VenueStatus]:
    return [said.report.status for said in heard if isinstance(said, OrderReported)]


def test_a_resting_order_is_answered_and_reported() -> None:
    async def act(bench: Bench) -> None:
        answer = await bench.venue.submit(RESTING)
        assert isinstance(answer, SubmitAccepted)
        order = bench.exchange.find_order("ann", cl_ord_id="a1")
        assert order is not None
        assert answer == SubmitAccepted("a1", order.order_id)

    heard = at_the_venue(act)

    assert heard[0] == PrivateStreamLive(1)
    assert statuses(heard) == [VenueStatus.PENDING, VenueStatus.NEW]


def test_a_fill_is_reported_once_with_what_the_venue_booked() -> None:
    async def act(bench: Bench) -> None:
        assert isinstance(await bench.venue.submit(TAKING), SubmitAccepted)

    heard = at_the_venue(act)

    (fill,) = [said.execution for said in heard if isinstance(said, FillReported)]
    assert (fill.cl_ord_id, fill.name, fill.symbol, fill.side) == ("a2", "BTC/USD", BTC, Side.BUY)
    assert fill.qty == Qty(Decimal("0.01"))
    assert fill.liquidity is Liquidity.TAKER
    fee = (fill.cost.amount * Decimal("0.004")).quantize(Decimal("0.00001"), "ROUND_UP")
    assert fill.fees == (AssetAmount("USD", fee),)
    assert statuses(heard) == [VenueStatus.PENDING, VenueStatus.NEW, VenueStatus.FILLED]


@pytest.mark.parametrize("latency_ms", [0, 500])
def test_executions_come_before_the_answer(latency_ms: int) -> None:
    async def act(bench: Bench) -> None:
        before = len(bench.heard)
        await bench.venue.submit(TAKING)
        assert any(isinstance(said, FillReported) for said in bench.heard[before:])

    at_the_venue(act, latency_ms)


def test_latency_passes_on_the_clock_and_the_deadline_is_the_venues() -> None:
    async def act(bench: Bench) -> None:
        late = replace(RESTING, deadline_ns=START_NS + 11_000_000)
        answer = await bench.venue.submit(late)
        assert answer == SubmitUnknown("a1", "EService:Deadline elapsed")
        assert bench.exchange.open_orders("ann") == []

    at_the_venue(act, latency_ms=2000)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (replace(RESTING, qty=Qty(Decimal(10))), "venue_funds"),
        (replace(RESTING, qty=Qty(Decimal("0.00001"))), "venue_minimum"),
        (replace(RESTING, qty=Qty(Decimal("0.0004"))), "venue_minimum"),
        (replace(RESTING, limit_price=Price(Decimal("1000.01"))), "venue_tick"),
        (replace(RESTING, symbol=recall("DOGE/USD")), "venue_invalid"),
        (replace(RESTING, cl_ord_id="far too long for an id"), "venue_invalid"),
    ],
)
def test_a_refusal_carries_our_code_and_krakens_text(order: SubmitOrder, code: str) -> None:
    async def act(bench: Bench) -> None:
        answer = await bench.venue.submit(order)
        assert isinstance(answer, SubmitRefused)
        assert answer.code == code
        assert answer.text.startswith("E")

    assert statuses(at_the_venue(act)) == []


def test_a_client_order_id_in_use_is_refused_as_duplicate() -> None:
    async def act(bench: Bench) -> None:
        await bench.venue.submit(RESTING)
        answer = await bench.venue.submit(RESTING)
        assert isinstance(answer, SubmitRefused)
        assert answer.code == "venue_duplicate"

    at_the_venue(act)


def test_a_market_that_takes_no_orders_is_a_refusal_and_one_that_is_away_proves_nothing() -> None:
    async def act(bench: Bench) -> None:
        bench.exchange.set_system_status("cancel_only")
        refused = await bench.venue.submit(RESTING)
        assert isinstance(refused, SubmitRefused)
        assert refused.code == "venue_status"
        bench.exchange.set_system_status("maintenance")
        assert isinstance(await bench.venue.submit(RESTING), SubmitUnknown)
        assert isinstance(await bench.venue.account(AskAccount("test", 0)), AccountUnavailable)
        with pytest.raises(VenueUnavailable):
            await bench.venue.fees([BTC])

    at_the_venue(act)


def test_a_cancel_is_done_once() -> None:
    async def act(bench: Bench) -> None:
        answer = await bench.venue.submit(RESTING)
        assert isinstance(answer, SubmitAccepted)
        cancel = CancelOrder("a1", answer.order_id)
        assert await bench.venue.cancel(cancel) == CancelAnswered("a1", done=True, text="")
        assert await bench.venue.cancel(cancel) == CancelAnswered("a1", done=False, text="EOrder:Unknown order")

    assert statuses(at_the_venue(act)) == [VenueStatus.PENDING, VenueStatus.NEW, VenueStatus.CANCELED]


def test_an_order_whose_answer_was_lost_is_cancelled_by_our_own_id() -> None:
    async def act(bench: Bench) -> None:
        await bench.venue.submit(RESTING)
        assert await bench.venue.cancel(CancelOrder("a1", "")) == CancelAnswered("a1", done=True, text="")
        assert bench.exchange.open_orders("ann") == []
        for cl_ord_id in ("a1", "nobody's"):
            answer = await bench.venue.cancel(CancelOrder(cl_ord_id, ""))
            assert answer == CancelAnswered(cl_ord_id, done=False, text="EOrder:Unknown order")

    at_the_venue(act)


def test_another_accounts_orders_are_not_heard() -> None:
    async def act(bench: Bench) -> None:
        assert isinstance(await bench.other.submit(TAKING), SubmitAccepted)

    assert at_the_venue(act) == [PrivateStreamLive(1)]


def test_the_account_shows_all_views_back_to_the_time_asked_for() -> None:
    async def act(bench: Bench) -> None:
        await bench.venue.submit(TAKING)
        await asyncio.sleep(60)
        await bench.venue.submit(RESTING)
        seen = await bench.venue.account(AskAccount("test", START_NS))
        assert isinstance(seen, AccountSeen)
        assert seen.views == ACCOUNT_VIEWS
        assert [report.cl_ord_id for report in seen.open_orders] == ["a1"]
        assert [report.cl_ord_id for report in seen.closed_orders] == ["a2"]
        assert [fill.cl_ord_id for fill in seen.fills] == ["a2"]
        assert seen.live_cl_ord_ids == ("a1",)
        (fill,) = seen.fills
        usd = Decimal(5000) - fill.cost.amount - fill.fees[0].amount
        assert seen.balances == (
            AssetBalance("USD", usd, Decimal("10.04000")),
            AssetBalance("BTC", Decimal("1.01"), Decimal(0)),
        )
        later = await bench.venue.account(AskAccount("test", fill.venue_ns + 1))
        assert isinstance(later, AccountSeen)
        assert (later.closed_orders, later.fills) == ((), ())

    at_the_venue(act)


def test_fees_are_the_accounts_own_in_basis_points() -> None:
    async def act(bench: Bench) -> None:
        (fees,) = await bench.venue.fees([BTC])
        assert (fees.symbol, fees.taker_bps, fees.maker_bps) == (BTC, Decimal(40), Decimal(25))

    at_the_venue(act)


def test_a_new_connection_tells_the_open_orders_before_it_is_live() -> None:
    async def act(bench: Bench) -> None:
        await bench.venue.submit(RESTING)
        heard: list[Input] = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.venue.run(heard.append))
            await asyncio.sleep(0.01)
            task.cancel()
        assert statuses(heard) == [VenueStatus.NEW]
        assert heard[-1] == PrivateStreamLive(2)

    at_the_venue(act)
