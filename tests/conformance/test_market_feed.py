"""What every MarketFeed promises (see `ports.MarketFeed`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from aether.domain.errors import VenueRefused
from aether.domain.inputs import (
    BookChanged,
    ClockMeasured,
    FeedLost,
    InstrumentSeen,
    Maintenance,
    MaintenanceAnnounced,
    SystemStatusSeen,
    TradeSeen,
)
from aether.domain.instruments import PairStatus, Side
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.sim.records import Announcement

BTC = recall("BTC/USD")
QUICK = 3600

Play = Callable[..., None]


def assert_whole(book: BookChanged) -> None:
    """Ten levels a side at least, best first, no level empty, not crossed."""
    assert min(len(book.bids), len(book.asks)) >= 10
    assert all(better > worse for (better, _), (worse, _) in pairwise(book.bids))
    assert all(better < worse for (better, _), (worse, _) in pairwise(book.asks))
    assert all(lots > 0 for _, lots in (*book.bids, *book.asks))
    assert book.bids[0][0] < book.asks[0][0]
    assert (book.price_decimals, book.qty_decimals) == (1, 8)


def test_the_first_book_is_whole_and_the_exchanges_own(play: Play) -> None:
    async def scene(stage: Any) -> None:
        book = await stage.wait_for(BookChanged)
        assert_whole(book)
        bids, asks = stage.exchange.top(BTC, 10)
        # The market may have moved once since the book was told; most of its levels have not.
        assert len(set(book.bids) & set(bids)) >= 5
        assert len(set(book.asks) & set(asks)) >= 5

    play(scene)


def test_only_admitted_symbols_are_heard_and_every_book_is_whole(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.wait_for(BookChanged, count=15)
        await stage.wait_for(TradeSeen, count=5)
        for book in stage.of(BookChanged):
            assert_whole(book)
        assert {told.symbol for told in stage.of(BookChanged, TradeSeen, FeedLost)} == {BTC}
        assert {told.instrument.symbol for told in stage.of(InstrumentSeen)} == {BTC}
        assert stage.exchange.public_trades("ETH/USD")
        assert not stage.of(FeedLost)

    play(scene, speed=QUICK)


def test_rules_status_and_clock_are_told_at_the_start(play: Play) -> None:
    async def scene(stage: Any) -> None:
        rules = (await stage.wait_for(InstrumentSeen)).instrument
        assert (rules.symbol, rules.base, rules.tick, rules.lot) == (BTC, "BTC", Decimal("0.1"), Decimal("0.00000001"))
        assert rules.status is PairStatus.ONLINE
        assert rules.qty_min.coins == stage.exchange.pairs[BTC].qty_min
        assert rules.cost_min.amount == stage.exchange.pairs[BTC].cost_min
        assert (await stage.wait_for(SystemStatusSeen)).status == "online"
        measured = await stage.wait_for(ClockMeasured)
        assert abs(measured.offset_ns) <= measured.error_ns + NANOS_PER_S // 10
        assert 0 <= measured.error_ns < NANOS_PER_S

    play(scene)


def test_trades_are_told_as_they_were_made_with_the_takers_side(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.wait_for(TradeSeen, count=60)
        made = {
            (trade.side, trade.price, trade.qty, trade.at_ns // 1000) for trade in stage.exchange.public_trades(BTC)
        }
        told = [
            (seen.side.value, seen.price.usd_per_coin, seen.qty.coins, seen.venue_ns // 1000)
            for seen in stage.of(TradeSeen)
        ]
        assert set(told) <= made
        assert {side for side, *_ in told} == {"buy", "sell"}
        assert [at_ns for *_, at_ns in told] == sorted(at_ns for *_, at_ns in told)

    play(scene, speed=QUICK)


def test_a_trade_that_we_cause_is_told_once(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.wait_for(BookChanged)
        (_, ((ask_ticks, _), *_)) = stage.exchange.top(BTC, 1)
        price, qty = Decimal(ask_ticks) / 10, Decimal("0.00012345")
        stage.exchange.crowd_trade(BTC, "buy", price, qty, stage.clock.wall_ns())
        stage.settle()

        def seen() -> list[Any]:
            return [told for told in stage.of(TradeSeen) if told.qty == Qty(qty)]

        await stage.until(seen, "our trade")
        await asyncio.sleep(0.2)
        ((told),) = seen()
        assert (told.side, told.price) == (Side.BUY, Price(price))

    play(scene)


def test_a_changed_status_is_told(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.wait_for(InstrumentSeen)
        await stage.wait_for(SystemStatusSeen)
        stage.exchange.set_pair_status(BTC, "cancel_only")
        stage.exchange.set_pair_status("ETH/USD", "cancel_only")
        stage.exchange.set_system_status("post_only")
        stage.settle()
        changed = await stage.wait_for(InstrumentSeen, count=2)
        assert (changed.instrument.symbol, changed.instrument.status) == (BTC, PairStatus.CANCEL_ONLY)
        assert (await stage.wait_for(SystemStatusSeen, count=2)).status == "post_only"

    play(scene)


def test_a31_an_announced_maintenance_is_told_and_taken_back(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.wait_for(SystemStatusSeen)
        start_ns = stage.clock.wall_ns() // NANOS_PER_S * NANOS_PER_S + 600 * NANOS_PER_S
        stage.exchange.announce_maintenance(Announcement(start_ns, start_ns + 60 * NANOS_PER_S))
        stage.settle()
        told = await stage.wait_for(MaintenanceAnnounced)
        assert told.windows == (Maintenance(start_ns, start_ns + 60 * NANOS_PER_S),)

        stage.exchange.announce_maintenance()
        stage.settle()
        assert (await stage.wait_for(MaintenanceAnnounced, count=2)).windows == ()

    play(scene)


@pytest.mark.parametrize("bar_s", [60, 3600])
def test_history_is_complete_candles_oldest_first_and_no_more_than_asked(play: Play, bar_s: int) -> None:
    async def scene(stage: Any) -> None:
        history = await stage.feed.history(BTC, bar_s, 50)
        assert (history.symbol, history.bar_s, len(history.bars)) == (BTC, bar_s, 50)
        assert all(later.open_s - earlier.open_s == bar_s for earlier, later in pairwise(history.bars))
        newest_end_s = history.bars[-1].open_s + bar_s
        assert newest_end_s <= stage.clock.wall_ns() // NANOS_PER_S < newest_end_s + bar_s
        for bar in history.bars:
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.volume >= 0
        (newest,) = (await stage.feed.history(BTC, bar_s, 1)).bars
        assert newest == history.bars[-1]

    play(scene, hearing=())


def test_history_of_a_pair_that_is_not_there_is_refused(play: Play) -> None:
    async def scene(stage: Any) -> None:
        with pytest.raises(VenueRefused) as refused:
            await stage.feed.history(recall("DOGE/USD"), 60, 10)
        assert refused.value.code == "venue_invalid"

    play(scene, hearing=())


def test_a_cancel_ends_the_run_and_nothing_is_heard_after_it(play: Play) -> None:
    async def scene(stage: Any) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stage.feed.run(stage.heard.append))
            await stage.wait_for(BookChanged)
            task.cancel()
        assert task.cancelled()
        count = len(stage.heard)
        before = stage.exchange.top(BTC, 10)
        await stage.until(lambda: stage.exchange.top(BTC, 10) != before, "the market moves")
        assert len(stage.heard) == count

    play(scene, speed=QUICK, hearing=())


def test_the_feed_can_run_again_and_begins_with_a_whole_book(play: Play) -> None:
    async def scene(stage: Any) -> None:
        for _ in range(2):
            stage.heard.clear()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(stage.feed.run(stage.heard.append))
                assert_whole(await stage.wait_for(BookChanged))
                task.cancel()

    play(scene, hearing=())


def test_a_lost_connection_is_told_for_each_symbol_and_raises_nothing(play_on_kraken: Play) -> None:
    """The made market in this process has no connection that could be lost."""

    async def scene(stage: Any) -> None:
        await stage.wait_for(BookChanged)
        await stage.go_away()
        lost = await stage.wait_for(FeedLost)
        assert lost.symbol == BTC
        assert lost.why
        last_book = max(index for index, told in enumerate(stage.heard) if isinstance(told, BookChanged))
        assert stage.heard.index(lost) > last_book

    play_on_kraken(scene, speed=QUICK, hearing=("feed",))
