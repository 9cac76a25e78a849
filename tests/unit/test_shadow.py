"""The same orders on a made Kraken beside the venue: what is compared, and that nothing of it can touch trading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.divergence import Compared
from aether.domain.facts import (
    CancelRequested,
    Fact,
    Numbered,
    OrderAbsent,
    OrderEnded,
    OrderRefused,
)
from aether.domain.inputs import FeedLost, HistorySeen, Input, InstrumentSeen, Tick, TradeSeen
from aether.domain.instruments import PairStatus, Side
from aether.domain.orders import TimeInForce, VenueStatus
from aether.domain.values import Symbol, UtcNanos
from aether.ports import Put
from aether.sim import shadow as shadow_room
from aether.sim.shadow import WAITING_MAX, OverheardFeed, Shadow
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop

D = Decimal


class Scene:
    """A shadow at work in virtual time, and what it told."""

    def __init__(self, make: Any, clock: VirtualClock) -> None:
        self._make = make
        self._clock = clock
        self._seq = 0
        self.told: list[Compared] = []
        self.ends: list[str] = []
        self.shadow = Shadow([make.instrument()], clock, self.told.append, self.ends.append)

    def facts(self, *facts: Fact) -> None:
        for fact in facts:
            self._seq += 1
            self.shadow.observe([Numbered(self._seq, 1, UtcNanos(self._clock.wall_ns()), 1, fact)])

    def send(self, cl_ord_id: str = "a1", side: Side = Side.BUY, **changes: Any) -> None:
        whole = {"qty": self._make.qty("2"), "time_in_force": TimeInForce.IOC} | changes
        self.facts(self._make.submitted(cl_ord_id, side, **whole))

    def fill(self, qty: str, price: str, cl_ord_id: str = "a1", exec_id: str = "t1") -> None:
        self.facts(self._make.filled(exec_id, cl_ord_id, qty, price))

    def end(self, cum_qty: str | None, cl_ord_id: str = "a1", status: VenueStatus = VenueStatus.FILLED) -> None:
        filled = None if cum_qty is None else self._make.qty(cum_qty)
        self.facts(OrderEnded(cl_ord_id, f"O-{cl_ord_id}", status, "", filled, "executions"))

    async def settled(self) -> None:
        """All that waits is worked off."""
        await asyncio.sleep(0.01)


def play(make: Any, script: Any) -> Scene:
    """Run `script(scene)` beside the shadow's own task."""
    loop = VirtualTimeLoop()

    async def run() -> Scene:
        scene = Scene(make, VirtualClock(loop, start_wall_ns=make.T0))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(scene.shadow.run())
            await script(scene)
            await scene.settled()
            task.cancel()
        return scene

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


@pytest.mark.parametrize(
    ("side", "price", "bps"), [(Side.BUY, "100", "0.00"), (Side.BUY, "100.2", "20.00"), (Side.SELL, "99.8", "10.01")]
)
def test_the_same_order_on_the_same_book_is_compared_by_price(make: Any, side: Side, price: str, bps: str) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book("99.9", "100.0"))
        scene.send(side=side, limit_price=make.price("101" if side is Side.BUY else "99"))
        scene.fill("2", price)
        scene.end("2")

    (order,) = play(make, script).told
    assert order.divergence_bps == D(bps)
    assert order.unmatched_usd == 0


def test_the_book_of_the_decision_is_what_the_made_order_meets(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book("99.9", "100.0"))
        scene.send(limit_price=make.price("102"))
        scene.shadow.overhear(make.book("101.0", "101.5"))
        scene.fill("2", "101.5")
        scene.end("2")

    (order,) = play(make, script).told
    assert order.divergence_bps == D("150.00")


def test_a_resting_order_is_filled_by_the_markets_own_trades(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book("99.8", "100.0"))
        scene.send(limit_price=make.price("99.9"), time_in_force=TimeInForce.GTC, post_only=True)
        scene.shadow.overhear(TradeSeen(make.BTC, Side.SELL, make.price("99.9"), make.qty("0.5"), make.T0))
        await scene.settled()
        scene.facts(CancelRequested("a1", "resting too long"))
        scene.shadow.overhear(TradeSeen(make.BTC, Side.SELL, make.price("99.9"), make.qty("1"), make.T0 + 1))
        scene.end("0", status=VenueStatus.CANCELED)

    (order,) = play(make, script).told
    assert (order.made.coins, order.real.coins, order.divergence_bps) == (D("0.5"), D(0), None)


@pytest.mark.parametrize(
    "end",
    [
        OrderRefused("a1", "venue_funds", "EOrder:Insufficient funds"),
        OrderAbsent("a1", ("open",), UtcNanos(0)),
        OrderEnded("a1", "O-a1", VenueStatus.CANCELED, "", None, "executions"),
    ],
    ids=lambda end: type(end).__name__,
)
def test_an_end_of_any_kind_is_compared_and_takes_the_made_order_along(make: Any, end: Fact) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book("99.8", "100.0"))
        scene.send(limit_price=make.price("99.9"), time_in_force=TimeInForce.GTC)
        scene.facts(end)
        await scene.settled()
        assert not scene.shadow._exchange.open_orders(shadow_room.ACCOUNT)

    (order,) = play(make, script).told
    assert order.real.coins == order.made.coins == 0


def test_a06_a_fill_that_comes_after_the_end_is_waited_for(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book())
        scene.send()
        scene.fill("1", "100", exec_id="t1")
        scene.end("2")
        await scene.settled()
        assert scene.told == []
        scene.fill("1", "100.2", exec_id="t2")

    (order,) = play(make, script).told
    assert (order.real.coins, order.divergence_bps) == (D(2), D("10.00"))


def test_an_order_that_the_made_exchange_refuses_has_no_counterpart(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(InstrumentSeen(make.instrument(status=PairStatus.CANCEL_ONLY)))
        scene.send()
        scene.fill("2", "100")
        scene.end("2")

    (order,) = play(make, script).told
    assert (order.made.coins, order.unmatched_usd) == (D(0), D(200))


def test_orders_and_fills_of_others_have_no_shadow(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.fill("2", "100", cl_ord_id="of-an-earlier-run")
        scene.end("2", cl_ord_id="of-an-earlier-run")
        scene.facts(make.filled("t9", None, "1"))

    scene = play(make, script)
    assert (scene.told, scene.ends) == ([], [])


def test_of_too_many_orders_under_way_the_oldest_is_compared_as_it_stands(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_room, "ORDERS_MAX", 2)

    async def script(scene: Scene) -> None:
        scene.shadow.overhear(make.book())
        for name in ("a1", "a2", "a3"):
            scene.send(name)

    assert [order.cl_ord_id for order in play(make, script).told] == ["a1"]


def test_a_new_exchange_takes_over_when_the_old_one_saw_enough(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_room, "ORDERS_OF_AN_EXCHANGE_MAX", 1)

    async def script(scene: Scene) -> None:
        first = scene.shadow._exchange
        for name in ("a1", "a2"):
            scene.shadow.overhear(make.book())
            scene.send(name)
            scene.fill("2", "100", name)
            scene.end("2", name)
            await scene.settled()
        assert scene.shadow._exchange is not first

    told = play(make, script).told
    assert [order.made.coins for order in told] == [D(2), D(0)]  # the new one has no book yet: nothing is made up


def test_a_failure_ends_the_shadow_alone_and_says_why(make: Any) -> None:
    async def script(scene: Scene) -> None:
        scene.shadow.overhear(replace(make.book(), symbol="no such pair"))
        await scene.settled()
        scene.send()
        scene.shadow.overhear(make.book())

    scene = play(make, script)  # its task runs on: a service that ends would end the daemon
    assert scene.ends == ["KeyError: 'no such pair'"]
    assert scene.told == []


def test_the_market_beyond_the_bound_is_passed_over(make: Any) -> None:
    async def script(scene: Scene) -> None:
        for _ in range(WAITING_MAX + 10):
            scene.shadow.overhear(make.book())
        assert len(scene.shadow._waiting) == WAITING_MAX
        scene.send()  # a fact still finds room
        assert len(scene.shadow._waiting) == WAITING_MAX + 1

    assert play(make, script).ends == []


def test_facts_that_find_no_room_end_the_shadow(make: Any) -> None:
    async def script(scene: Scene) -> None:
        for _ in range(2 * WAITING_MAX + 1):
            scene.facts(CancelRequested("a1", "x"))

    assert play(make, script).ends == [f"{2 * WAITING_MAX} inputs wait"]


class _ListFeed:
    def __init__(self, heard: Sequence[Input]) -> None:
        self._heard = heard

    async def run(self, put: Put) -> None:
        for each in self._heard:
            put(each)

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        return HistorySeen(symbol, bar_s, ())


async def test_the_feed_within_is_heard_first_and_the_shadow_hears_the_market_alone(make: Any) -> None:
    order: list[tuple[str, Input]] = []
    book, lost = make.book(), FeedLost(make.BTC, "gone")

    class Ear(Shadow):
        def overhear(self, heard: Input) -> None:
            order.append(("shadow", heard))
            super().overhear(heard)

    clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=make.T0)
    ear = Ear([make.instrument()], clock, lambda _: None, lambda _: None)
    feed = OverheardFeed(_ListFeed([book, lost, Tick()]), ear)
    await feed.run(lambda heard: order.append(("core", heard)))
    assert order[:4] == [("core", book), ("shadow", book), ("core", lost), ("shadow", lost)]
    assert list(ear._waiting) == [book, lost]
    assert await feed.history(make.BTC, 60, 1) == HistorySeen(make.BTC, 60, ())
