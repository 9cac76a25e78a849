"""What every OrderVenue promises (see `ports.OrderVenue`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import AskAccount, CancelOrder
from aether.domain.errors import InvariantBroken, VenueUnavailable
from aether.domain.inputs import (
    AccountUnavailable,
    CancelAnswered,
    FillReported,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, Liquidity, TimeInForce, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty

BTC = recall("BTC/USD")

Play = Callable[..., None]


def test_a_marketable_order_is_accepted_filled_once_and_ended_with_what_the_venue_booked(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answer = await stage.venue.submit(stage.taking())
        assert isinstance(answer, SubmitAccepted)
        await stage.until(lambda: stage.has_ended("takes"), "the order's end")
        await asyncio.sleep(0.1)

        assert stage.statuses("takes")[-1] is VenueStatus.FILLED
        fills = [told.execution for told in stage.of(FillReported)]
        trades = {trade.exec_id: trade for trade in stage.exchange.trades(stage.account)}
        assert len(fills) == len(trades) >= 1
        assert {fill.exec_id for fill in fills} == set(trades)
        for fill in fills:
            trade = trades[fill.exec_id]
            assert (fill.order_id, fill.cl_ord_id, fill.symbol) == (answer.order_id, "takes", BTC)
            assert (fill.side, fill.liquidity) == (Side.BUY, Liquidity.TAKER)
            assert (fill.qty.coins, fill.price.usd_per_coin) == (trade.qty, trade.price)
            assert fill.cost.amount == trade.cost
            assert fill.fees == (AssetAmount("USD", trade.fee),)
            assert fill.fees[0].amount > 0
        assert sum(fill.qty.coins for fill in fills) == Decimal("0.01")

    play(scene, hearing=("venue",))


def test_what_an_ioc_order_does_not_get_at_once_is_cancelled(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting("nothing", post_only=False, time_in_force=TimeInForce.IOC)
        assert isinstance(await stage.venue.submit(order), SubmitAccepted)
        await stage.until(lambda: stage.has_ended("nothing"), "the order's end")
        assert stage.statuses("nothing")[-1] is VenueStatus.CANCELED
        assert not stage.of(FillReported)

    play(scene, hearing=("venue",))


def test_a_post_only_order_rests_and_a_cancel_ends_it_once(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        price = stage.far_below()
        answer = await stage.venue.submit(stage.resting(limit_price=price))
        assert isinstance(answer, SubmitAccepted)
        await stage.until(lambda: VenueStatus.NEW in stage.statuses("rests"), "the order rests")
        (opened,) = stage.exchange.open_orders(stage.account)
        assert (opened.order_id, opened.cl_ord_id) == (answer.order_id, "rests")
        assert (opened.qty, opened.limit_price) == (Decimal("0.01"), price.usd_per_coin)
        assert opened.post_only

        cancel = CancelOrder("rests", answer.order_id)
        assert await stage.venue.cancel(cancel) == CancelAnswered("rests", done=True, text="")
        await stage.until(lambda: stage.has_ended("rests"), "the order's end")
        assert stage.statuses("rests")[-1] is VenueStatus.CANCELED
        assert stage.exchange.open_orders(stage.account) == []

        again = await stage.venue.cancel(cancel)
        assert (again.cl_ord_id, again.done) == ("rests", False)
        assert again.text == "EOrder:Unknown order"

    play(scene, hearing=("venue",))


def test_a_cancel_of_an_order_that_never_was_is_answered_not_done(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answer = await stage.venue.cancel(CancelOrder("never", "OAAAAA-BBBBB-CCCCCC"))
        assert (answer.cl_ord_id, answer.done) == ("never", False)
        assert answer.text

    play(scene, hearing=("venue",))


def test_a_post_only_order_that_would_take_is_never_filled(play: Play) -> None:
    """Kraken takes it and cancels it at once; a refusal would be as good."""

    async def scene(stage: Any) -> None:
        await stage.live()
        answer = await stage.venue.submit(stage.resting("crosses", limit_price=stage.far_above()))
        if isinstance(answer, SubmitAccepted):
            await stage.until(lambda: stage.has_ended("crosses"), "the order's end")
            assert stage.statuses("crosses")[-1] is VenueStatus.CANCELED
        else:
            assert isinstance(answer, SubmitRefused)
            assert answer.code == "venue_post_only"
        assert stage.exchange.trades(stage.account) == []
        assert not stage.of(FillReported)

    play(scene, hearing=("venue",))


@pytest.mark.parametrize(
    ("qty", "code"),
    [("0.5", "venue_funds"), ("0.00001", "venue_minimum"), ("0.00000001", "venue_minimum")],
    ids=["more than the account holds", "below the smallest quantity", "one lot"],
)
def test_a_refusal_carries_our_code_and_krakens_text(play: Play, qty: str, code: str) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answer = await stage.venue.submit(stage.taking(qty=Qty(Decimal(qty))))
        assert isinstance(answer, SubmitRefused)
        assert (answer.cl_ord_id, answer.code) == ("takes", code)
        assert answer.text.startswith("E")
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_the_smallest_order_is_taken_and_one_below_the_smallest_cost_is_not(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        qty_min = stage.exchange.pairs[BTC].qty_min
        assert isinstance(await stage.venue.submit(stage.taking("least", qty=Qty(qty_min))), SubmitAccepted)
        cheap = stage.resting("cheap", qty=Qty(qty_min), limit_price=Price(Decimal("0.1")))
        answer = await stage.venue.submit(cheap)
        assert isinstance(answer, SubmitRefused)
        assert answer.code == "venue_minimum"

    play(scene, hearing=("venue",))


def test_a_client_order_id_in_use_is_refused_as_a_duplicate(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        assert isinstance(await stage.venue.submit(stage.resting()), SubmitAccepted)
        answer = await stage.venue.submit(stage.resting())
        assert isinstance(answer, SubmitRefused)
        assert answer.code == "venue_duplicate"
        assert len(stage.exchange.open_orders(stage.account)) == 1

    play(scene, hearing=("venue",))


@pytest.mark.parametrize("late_ms", [1, 1_000, 3_600_000])
def test_an_order_past_its_deadline_is_never_filled_and_never_called_accepted(play: Play, late_ms: int) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        deadline_ns = stage.clock.wall_ns() - late_ms * 1_000_000
        answer = await stage.venue.submit(stage.taking(deadline_ns=deadline_ns))
        assert isinstance(answer, SubmitRefused | SubmitUnknown)
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_a_deadline_leaves_a_resting_order_alone(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        soon = stage.clock.wall_ns() + NANOS_PER_S
        assert isinstance(await stage.venue.submit(stage.resting(deadline_ns=soon)), SubmitAccepted)
        await stage.until(lambda: stage.clock.wall_ns() > soon + NANOS_PER_S // 4, "the deadline is past")
        stage.settle()
        assert len(stage.exchange.open_orders(stage.account)) == 1

    play(scene, hearing=("venue",))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": recall("ETH/USD")},
        {"symbol": recall("DOGE/USD")},
        {"limit_price": Price(Decimal("1000.01"))},
        {"qty": Qty(Decimal("0.010000001"))},
    ],
    ids=["not admitted", "unknown", "off the tick", "off the lot"],
)
def test_an_order_that_must_never_have_been_made_reaches_nobody(play: Play, changes: dict[str, Any]) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        try:
            answer = await stage.venue.submit(stage.resting(**changes))
        except InvariantBroken:
            pass
        else:
            assert isinstance(answer, SubmitRefused)
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_a_status_that_takes_no_orders_is_a_refusal_and_maintenance_proves_nothing(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        stage.exchange.set_system_status("cancel_only")
        refused = await stage.venue.submit(stage.resting())
        assert isinstance(refused, SubmitRefused)
        assert refused.code == "venue_status"
        stage.exchange.set_system_status("maintenance")
        assert isinstance(await stage.venue.submit(stage.resting()), SubmitUnknown)
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_a_venue_that_cannot_be_reached_answers_so_and_is_sent_nothing(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        await stage.go_away()
        answer = await stage.venue.submit(order)
        assert isinstance(answer, SubmitUnknown) or answer.code == "venue_unreachable"
        assert not (await stage.venue.cancel(CancelOrder("rests", "OAAAAA-BBBBB-CCCCCC"))).done
        assert isinstance(await stage.venue.account(AskAccount("test", 0)), AccountUnavailable)
        with pytest.raises(VenueUnavailable):
            await stage.venue.fees([BTC])
        stage.reaches_nobody()

    play(scene, hearing=("venue",))
