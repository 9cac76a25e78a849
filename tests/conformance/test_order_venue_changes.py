"""What every OrderVenue promises of amends, batches, every order type, and of what stops (see `ports.OrderVenue`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import AmendOrder, AskAccount, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.inputs import (
    AccountSeen,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    OrderReported,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, PriceType, SelfTrade, TimeInForce, Trigger, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.sim.records import Amend

D = Decimal
Play = Callable[..., None]


async def placed(stage: Any, order: SubmitOrder) -> str:
    """Place an order that is to be accepted, and hear of it; its id."""
    answer = await stage.venue.submit(order)
    assert isinstance(answer, SubmitAccepted), answer
    await stage.until(lambda: stage.statuses(order.cl_ord_id), f"a report of {order.cl_ord_id}")
    return answer.order_id


def amend(stage: Any, order: SubmitOrder, order_id: str, **changes: Any) -> AmendOrder:
    return AmendOrder(order, replace(order, **changes), order_id, "trend", stage.clock.wall_ns() + 5 * NANOS_PER_S)


def latest(stage: Any, cl_ord_id: str) -> Any:
    return [told.report for told in stage.of(OrderReported) if told.report.cl_ord_id == cl_ord_id][-1]


# --- changed from elsewhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["people", "the engine"])
def test_a25_terms_that_others_changed_are_told_as_they_are_now(play: Play, by: str) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        order_id = await placed(stage, order)
        change, now_ns = Amend(order_id, qty=D("0.004")), stage.clock.wall_ns()
        if by == "people":
            stage.exchange.amend_order(stage.account, change, now_ns)
        else:
            stage.exchange.restate_order(stage.account, change, "Order restated", now_ns)
        stage.settle()

        await stage.until(lambda: latest(stage, "rests").qty == Qty(D("0.004")), "the new terms")
        assert latest(stage, "rests").limit_price == order.limit_price
        seen = await stage.venue.account(AskAccount("the terms", 0))
        assert [(report.order_id, report.qty) for report in seen.open_orders] == [(order_id, Qty(D("0.004")))]

    play(scene, hearing=("venue",))


# --- amends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_named", [True, False], ids=["by the venue's id", "by ours"])
def test_an_amend_changes_the_order_in_place_and_is_told(play: Play, is_named: bool) -> None:  # noqa: FBT001
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        order_id = await placed(stage, order)
        changes = {"qty": Qty(D("0.02")), "limit_price": Price(order.limit_price.usd_per_coin - 1)}

        answer = await stage.venue.amend(amend(stage, order, order_id if is_named else "", **changes))

        assert isinstance(answer, AmendAccepted), answer
        assert (answer.cl_ord_id, bool(answer.amend_id)) == ("rests", True)
        await stage.until(lambda: latest(stage, "rests").qty == changes["qty"], "the amended order")
        report = latest(stage, "rests")
        assert (report.order_id, report.limit_price, report.status) == (
            order_id,
            changes["limit_price"],
            VenueStatus.NEW,
        )
        assert report.terms.is_amended
        (opened,) = stage.exchange.open_orders(stage.account)
        assert (opened.order_id, opened.qty) == (order_id, D("0.02"))

    play(scene, hearing=("venue",))


def test_an_amend_of_a_post_only_order_never_takes(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        order_id = await placed(stage, order)

        answer = await stage.venue.amend(amend(stage, order, order_id, limit_price=stage.far_above()))

        assert isinstance(answer, AmendRefused), answer
        assert stage.exchange.trades(stage.account) == []

    play(scene, hearing=("venue",))


def test_a_smaller_amend_is_taken_and_one_that_cannot_be_paid_is_not(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        order_id = await placed(stage, order)

        refused = await stage.venue.amend(amend(stage, order, order_id, qty=Qty(D(5))))
        assert isinstance(refused, AmendRefused), refused
        assert (refused.code, refused.text) == ("venue_funds", "EOrder:Insufficient funds")
        smaller = await stage.venue.amend(amend(stage, order, order_id, qty=Qty(D("0.005"))))
        assert isinstance(smaller, AmendAccepted)

    play(scene, hearing=("venue",))


def test_a17_an_amend_of_an_order_that_is_gone_changes_nothing(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        asked = amend(stage, order, "OAAAAA-BBBBB-CCCCCC", qty=Qty(D("0.02")))

        answer = await stage.venue.amend(asked)

        assert isinstance(answer, AmendRefused), answer
        assert answer.text == "EOrder:Unknown order"
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_an_amend_past_its_deadline_is_never_called_accepted(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        order_id = await placed(stage, order)
        late = replace(
            amend(stage, order, order_id, qty=Qty(D("0.02"))), deadline_ns=stage.clock.wall_ns() - NANOS_PER_S
        )

        assert isinstance(await stage.venue.amend(late), AmendRefused | AmendUnknown)
        (opened,) = stage.exchange.open_orders(stage.account)
        assert opened.qty == order.qty.coins

    play(scene, hearing=("venue",))


# --- every type ---------------------------------------------------------------------------------------------------


def orders_of_every_type(stage: Any) -> list[SubmitOrder]:
    """One of each that waits or rests without being filled."""
    low, high = stage.far_below(), stage.far_above()
    rests: SubmitOrder = stage.resting("limit", post_only=False)
    at_low, at_high = Trigger(low.usd_per_coin), Trigger(high.usd_per_coin)
    trails = Trigger(D(10), PriceType.PCT)
    expires_ns = (rests.deadline_ns // NANOS_PER_S + 60) * NANOS_PER_S

    def sells(cl_ord_id: str, kind: OrderType, trigger: Trigger, limit_price: Price | None = None) -> SubmitOrder:
        return replace(
            rests, cl_ord_id=cl_ord_id, side=Side.SELL, order_type=kind, trigger=trigger, limit_price=limit_price
        )

    return [
        replace(rests, cl_ord_id="gtd", time_in_force=TimeInForce.GTD, expire_ns=expires_ns),
        replace(rests, cl_ord_id="stp", self_trade=SelfTrade.CANCEL_BOTH),
        replace(rests, cl_ord_id="iceberg", order_type=OrderType.ICEBERG, display_qty=Qty(D("0.002"))),
        sells("stop", OrderType.STOP_LOSS, at_low),
        sells("stop2", OrderType.STOP_LOSS_LIMIT, at_low, low),
        sells("take", OrderType.TAKE_PROFIT, at_high),
        sells("take2", OrderType.TAKE_PROFIT_LIMIT, at_high, high),
        sells("trail", OrderType.TRAILING_STOP, trails),
        sells("trail2", OrderType.TRAILING_STOP_LIMIT, replace(trails, limit_offset=D(-5))),
    ]


def test_every_type_of_order_is_taken_reported_alike_and_seen_in_the_account(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        since_ns = stage.clock.wall_ns() - NANOS_PER_S
        orders = orders_of_every_type(stage)
        for order in orders:
            await placed(stage, order)

        for order in orders:
            report = latest(stage, order.cl_ord_id)
            assert (report.side, report.qty, report.limit_price) == (order.side, order.qty, order.limit_price)
            terms = report.terms
            assert (terms.order_type, terms.time_in_force) == (order.order_type, order.time_in_force)
            assert (terms.expire_ns, terms.display_qty) == (order.expire_ns, order.display_qty)
            if order.trigger is not None:
                told = (terms.trigger.price, terms.trigger.price_type, terms.trigger.is_triggered)
                assert told == (order.trigger.price, order.trigger.price_type, False)
                assert terms.limit_offset == order.trigger.limit_offset
        seen = await stage.venue.account(AskAccount("a look", since_ns))
        assert isinstance(seen, AccountSeen), seen
        found: dict[Any, Any] = {report.cl_ord_id: report for report in seen.open_orders}
        for order in orders:
            report = found[order.cl_ord_id]
            assert (report.terms.order_type, report.limit_price) == (order.order_type, order.limit_price)
        assert await stage.venue.cancel_all() == CancelAllAnswered(done=True, count=len(orders), text="")
        await stage.until(lambda: all(stage.has_ended(order.cl_ord_id) for order in orders), "all ends")

    play(scene, hearing=("venue",))


def test_an_order_of_all_or_nothing_that_gets_nothing_ends_without_a_fill(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting("whole", post_only=False, time_in_force=TimeInForce.FOK)
        answer = await stage.venue.submit(order)
        if isinstance(answer, SubmitAccepted):
            await stage.until(lambda: stage.has_ended("whole"), "the order's end")
            assert stage.statuses("whole")[-1] is VenueStatus.CANCELED
        else:
            assert isinstance(answer, SubmitRefused)
        assert stage.exchange.trades(stage.account) == []

    play(scene, hearing=("venue",))


# --- batches ------------------------------------------------------------------------------------------------------


def batch(stage: Any, *names: str, **changes: Any) -> SubmitBatch:
    first = stage.resting(names[0])
    rest = [replace(first, cl_ord_id=name, **changes) for name in names[1:]]
    return SubmitBatch((first, *rest))


def test_a_batch_places_each_of_its_orders_once_and_is_cancelled_together(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answers = await stage.venue.submit_batch(batch(stage, "b1", "b2", "b3"))
        assert [(type(answer), answer.cl_ord_id) for answer in answers] == [
            (SubmitAccepted, "b1"),
            (SubmitAccepted, "b2"),
            (SubmitAccepted, "b3"),
        ]
        opened = {order.order_id: order.cl_ord_id for order in stage.exchange.open_orders(stage.account)}
        assert opened == {answer.order_id: answer.cl_ord_id for answer in answers}

        cancels = CancelBatch(tuple(CancelOrder(answer.cl_ord_id, answer.order_id) for answer in answers))
        assert await stage.venue.cancel_batch(cancels) == tuple(
            CancelAnswered(name, done=True, text="") for name in ("b1", "b2", "b3")
        )
        await stage.until(lambda: all(stage.has_ended(name) for name in ("b1", "b2", "b3")), "all ends")
        assert stage.exchange.open_orders(stage.account) == []
        again = await stage.venue.cancel_batch(cancels)
        assert [answer.done for answer in again] == [False] * 3

    play(scene, hearing=("venue",))


def test_a_row_that_the_engine_refuses_is_no_proof_and_the_others_stand(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answers = await stage.venue.submit_batch(batch(stage, "b1", "dear", qty=Qty(D(50))))

        assert isinstance(answers[0], SubmitAccepted), answers
        assert isinstance(answers[1], SubmitUnknown), answers
        (opened,) = stage.exchange.open_orders(stage.account)
        assert opened.cl_ord_id == "b1"

    play(scene, hearing=("venue",))


def test_a_fault_in_one_order_s_fields_refuses_the_whole_batch(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        answers = await stage.venue.submit_batch(batch(stage, "b1", "odd", limit_price=Price(D("100.001"))))

        assert [type(answer) for answer in answers] == [SubmitRefused] * 2, answers
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_a_batch_of_a_symbol_that_was_never_admitted_reaches_nobody(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        orders = tuple(replace(order, symbol=recall("ETH/USD")) for order in batch(stage, "b1", "b2").orders)
        try:
            answers = await stage.venue.submit_batch(SubmitBatch(orders))
        except InvariantBroken:
            pass
        else:
            assert [type(answer) for answer in answers] == [SubmitRefused] * 2
        stage.reaches_nobody()

    play(scene, hearing=("venue",))


def test_of_a_batch_of_cancels_that_does_not_find_all_none_is_called_done(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order_id = await placed(stage, stage.resting())
        cancels = CancelBatch((CancelOrder("rests", order_id), CancelOrder("gone", "OAAAAA-BBBBB-CCCCCC")))

        answers = await stage.venue.cancel_batch(cancels)

        assert [answer.done for answer in answers] == [False, False]
        assert all(answer.text for answer in answers)

    play(scene, hearing=("venue",))


# --- the dead man's switch ----------------------------------------------------------------------------------------


def test_a_dead_man_s_switch_names_its_time_and_one_that_is_off_names_none(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        await placed(stage, order)
        now_ns = stage.clock.wall_ns()

        armed = await stage.venue.set_dead_man(SetDeadMan(60))
        assert (armed.timeout_s, armed.done, armed.text) == (60, True, "")
        assert 58 * NANOS_PER_S < armed.trigger_ns - now_ns <= 63 * NANOS_PER_S
        off = await stage.venue.set_dead_man(SetDeadMan(0))
        assert off == DeadManAnswered(0, done=True, trigger_ns=None, text="")
        assert len(stage.exchange.open_orders(stage.account)) == 1

    play(scene, hearing=("venue",))


def test_a24_a30_a_switch_that_is_not_renewed_cancels_every_order_of_the_account(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        await placed(stage, stage.resting("one"))
        await placed(stage, stage.resting("other"))
        assert (await stage.venue.set_dead_man(SetDeadMan(1))).done
        fires_ns = stage.clock.wall_ns() + NANOS_PER_S

        await stage.until(lambda: stage.clock.wall_ns() > fires_ns, "the switch fires")
        stage.settle()
        await stage.until(lambda: stage.has_ended("one") and stage.has_ended("other"), "both end")

        assert {stage.statuses(name)[-1] for name in ("one", "other")} == {VenueStatus.CANCELED}
        assert stage.exchange.open_orders(stage.account) == []

    play(scene, hearing=("venue",))


def test_a_venue_that_cannot_be_reached_stops_nothing_and_says_so(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = stage.resting()
        two = batch(stage, "b1", "b2")
        change = amend(stage, order, "OAAAAA-BBBBB-CCCCCC", qty=Qty(D("0.02")))
        await stage.go_away()

        assert isinstance(await stage.venue.amend(change), AmendRefused | AmendUnknown)
        assert {type(answer) for answer in await stage.venue.submit_batch(two)} <= {SubmitRefused, SubmitUnknown}
        gone = CancelBatch((CancelOrder("b1", "O1"), CancelOrder("b2", "O2")))
        assert [answer.done for answer in await stage.venue.cancel_batch(gone)] == [False, False]
        assert not (await stage.venue.cancel_all()).done
        assert not (await stage.venue.set_dead_man(SetDeadMan(60))).done
        stage.reaches_nobody()

    play(scene, hearing=("venue",))
