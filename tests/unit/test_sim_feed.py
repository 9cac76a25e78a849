"""The made market as the engine hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from aether.domain.errors import VenueRefused
from aether.domain.inputs import BookChanged, ClockMeasured, Input, InstrumentSeen, SystemStatusSeen, TradeSeen
from aether.domain.instruments import PairStatus
from aether.domain.spot_gate import GatePolicy, PairListing, SpotGate, recall
from aether.sim.crowd import Crowd
from aether.sim.exchange import Exchange
from aether.sim.feed import SimFeed
from aether.sim.recorded import pair_rules, recorded_hours
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from aether.sim.world import SimWorld

START_NS = 1_790_000_040 * 10**9
BTC = recall("BTC/USD")


def gate() -> SpotGate:
    """A gate that admits BTC/USD alone, although the exchange trades ETH/USD, too."""
    listings = [
        PairListing(
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
        for rules in pair_rules()
    ]
    return SpotGate(listings, GatePolicy(frozenset(), frozenset({"BTC/USD"})))


def hear(seconds: float, act: Callable[[SimWorld], None] = lambda _: None) -> list[Input]:
    """Everything the feed says in so many seconds; half-way `act` is done to the world."""
    heard: list[Input] = []

    async def main(world: SimWorld, clock: VirtualClock) -> None:
        feed = SimFeed(world, crowd_of(world), gate())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(world.run()), group.create_task(feed.run(heard.append))]
            await asyncio.sleep(seconds / 2)
            act(world)
            await asyncio.sleep(seconds / 2)
            for task in tasks:
                task.cancel()

    in_world(main)
    return heard


def crowd_of(world: SimWorld) -> Crowd:
    assert isinstance(world.crowd, Crowd)
    return world.crowd


def in_world(main: Callable[[SimWorld, VirtualClock], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clock = VirtualClock(runner.get_loop(), start_wall_ns=START_NS)
        rules = pair_rules()
        exchange = Exchange(rules, seed=1)
        histories = {pair.name: recorded_hours(pair) for pair in rules}
        crowd = Crowd(exchange, histories, seed=1, speed=60, start_row=500, now_ns=START_NS)
        runner.run(main(SimWorld(exchange, crowd, clock), clock))


def test_the_present_is_told_first_and_of_admitted_pairs_alone() -> None:
    heard = hear(0.002)

    assert [type(said) for said in heard[:4]] == [ClockMeasured, SystemStatusSeen, InstrumentSeen, BookChanged]
    assert {said.symbol for said in heard if isinstance(said, BookChanged)} == {BTC}


def test_a_minute_of_market_is_whole_books_and_trades() -> None:
    heard = hear(60)

    books = [said for said in heard if isinstance(said, BookChanged)]
    trades = [said for said in heard if isinstance(said, TradeSeen)]
    assert len(books) > 30
    assert len(trades) >= 55
    for book in books:
        assert len(book.bids) == len(book.asks) == 10
        assert book.bids[0][0] < book.asks[0][0]
        assert all(better[0] > worse[0] for better, worse in pairwise(book.bids))
        assert all(better[0] < worse[0] for better, worse in pairwise(book.asks))
        assert (book.price_decimals, book.qty_decimals) == (1, 8)
    assert all(earlier.venue_ns <= later.venue_ns for earlier, later in pairwise(trades))


def test_the_clock_is_measured_again_and_again() -> None:
    assert [said for said in hear(60) if isinstance(said, ClockMeasured)] == [ClockMeasured(0, 0)] * 4


def test_the_same_world_says_the_same_twice() -> None:
    assert hear(10) == hear(10)


def test_statuses_are_told_when_they_change() -> None:
    def act(world: SimWorld) -> None:
        world.exchange.set_pair_status("BTC/USD", "cancel_only")
        world.exchange.set_pair_status("ETH/USD", "cancel_only")
        world.exchange.set_system_status("maintenance")

    heard = hear(4, act)

    seen = [said for said in heard if isinstance(said, InstrumentSeen | SystemStatusSeen)][2:]
    assert [said.status if isinstance(said, SystemStatusSeen) else said.instrument.status for said in seen] == [
        PairStatus.CANCEL_ONLY,
        "maintenance",
    ]


def test_history_is_the_newest_complete_candles() -> None:
    async def main(world: SimWorld, clock: VirtualClock) -> None:
        feed = SimFeed(world, crowd_of(world), gate())
        await asyncio.sleep(90)
        history = await feed.history(BTC, 60, 50)
        assert len(history.bars) == 50
        assert history.bars[-1].open_s == START_NS // 10**9
        assert all(later.open_s - earlier.open_s == 60 for earlier, later in pairwise(history.bars))
        assert len((await feed.history(BTC, 60, 5000)).bars) == 501
        with pytest.raises(VenueRefused):
            await feed.history(recall("DOGE/USD"), 60, 50)

    in_world(main)
