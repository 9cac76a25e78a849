"""What every OrderVenue promises of its account views and its stream (see `ports.OrderVenue`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aether.domain.effects import AskAccount, CancelOrder
from aether.domain.inputs import (
    AccountSeen,
    FeesSeen,
    FillReported,
    OrderReported,
    PrivateStreamLive,
    SubmitAccepted,
)
from aether.domain.orders import AssetBalance, Liquidity, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Qty
from aether.sim.exchange import NewOrder
from aether.sim.foreign_acts import ForeignActs

BTC = recall("BTC/USD")

Play = Callable[..., None]


def booked(stage: Any) -> dict[str, AssetBalance]:
    """The exchange's own books."""
    return {
        asset: AssetBalance(asset, total, held)
        for asset, (total, held) in stage.exchange.balances(stage.account).items()
    }


async def trade_some(stage: Any) -> None:
    """One order filled, one cancelled, one resting."""
    await stage.live()
    assert isinstance(await stage.venue.submit(stage.taking()), SubmitAccepted)
    gone = await stage.venue.submit(stage.resting("gone"))
    assert isinstance(gone, SubmitAccepted)
    assert (await stage.venue.cancel(CancelOrder("gone", gone.order_id))).done
    assert isinstance(await stage.venue.submit(stage.resting()), SubmitAccepted)
    await stage.until(lambda: VenueStatus.NEW in stage.statuses("rests"), "the order rests")
    await stage.until(lambda: stage.has_ended("takes") and stage.has_ended("gone"), "the others ended")


def test_the_account_has_all_five_views_and_exact_balances(play: Play) -> None:
    async def scene(stage: Any) -> None:
        began_ns = stage.clock.wall_ns()
        await trade_some(stage)
        seen = await stage.venue.account(AskAccount("test", began_ns))
        assert isinstance(seen, AccountSeen)
        assert set(seen.views) == {"balances", "executions", "open", "closed", "trades"}
        assert {balance.asset: balance for balance in seen.balances} == booked(stage)
        assert seen.since_ns == began_ns
        assert began_ns <= seen.asked_ns <= seen.answered_ns <= stage.clock.wall_ns()

        assert [(order.cl_ord_id, order.status) for order in seen.open_orders] == [("rests", VenueStatus.NEW)]
        ended = {order.cl_ord_id: order for order in seen.closed_orders}
        assert {name: order.status for name, order in ended.items()} == {
            "takes": VenueStatus.FILLED,
            "gone": VenueStatus.CANCELED,
        }
        assert ended["takes"].cum_qty == Qty(Decimal("0.01"))
        assert seen.live_cl_ord_ids == ("rests",)
        told = {fill.execution.exec_id: fill.execution for fill in stage.of(FillReported)}
        assert {fill.exec_id for fill in seen.fills} == set(told)
        for fill in seen.fills:
            twin = told[fill.exec_id]
            assert (fill.cl_ord_id, fill.order_id, fill.symbol) == ("takes", twin.order_id, BTC)
            assert (fill.qty, fill.price, fill.cost, fill.fees) == (twin.qty, twin.price, twin.cost, twin.fees)
            assert (fill.side, fill.liquidity) == (twin.side, twin.liquidity)

    play(scene, hearing=("venue",))


def test_closed_orders_and_trades_reach_back_to_the_time_asked_for(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await trade_some(stage)
        filled_ns = stage.exchange.trades(stage.account)[0].at_ns
        at_the_fill = await stage.venue.account(AskAccount("test", filled_ns))
        assert isinstance(at_the_fill, AccountSeen)
        assert {fill.cl_ord_id for fill in at_the_fill.fills} == {"takes"}
        assert "takes" in {order.cl_ord_id for order in at_the_fill.closed_orders}

        later = await stage.venue.account(AskAccount("test", stage.clock.wall_ns() + 10 * NANOS_PER_S))
        assert isinstance(later, AccountSeen)
        assert (later.closed_orders, later.fills) == ((), ())
        assert [order.cl_ord_id for order in later.open_orders] == ["rests"]
        assert {balance.asset: balance for balance in later.balances} == booked(stage)

    play(scene, hearing=("venue",))


def test_e08_e09_e10_the_ledger_tells_what_people_did_and_ties_trades_to_their_fills(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        began_ns = stage.clock.wall_ns()
        assert isinstance(await stage.venue.submit(stage.taking()), SubmitAccepted)
        await stage.until(lambda: stage.has_ended("takes"), "it is filled")
        others = ForeignActs(stage.exchange, stage.account)
        others.deposit("USD", Decimal("12.5"), stage.clock.wall_ns())
        others.begin_to_earn("BTC", Decimal("0.005"), stage.clock.wall_ns())
        others.reward("BTC.F", Decimal("0.00000001"), stage.clock.wall_ns())
        others.buy(BTC, Decimal("0.02"), stage.clock.wall_ns())
        stage.settle()

        seen = await stage.venue.account(AskAccount("test", began_ns, with_ledgers=True))
        assert isinstance(seen, AccountSeen)
        assert set(seen.views) == {"balances", "executions", "open", "closed", "trades", "ledgers"}
        rows = [entry for entry in seen.entries if entry.venue_ns >= began_ns]  # REST may reach back to the opening too
        assert {entry.refid for entry in rows if entry.kind == "trade"} == {fill.exec_id for fill in seen.fills}
        told = [(entry.kind, entry.subtype, entry.asset) for entry in rows if entry.kind != "trade"]
        assert told == [
            ("deposit", "", "USD"),
            ("earn", "allocation", "BTC"),
            ("earn", "allocation", "BTC.F"),
            ("earn", "reward", "BTC.F"),
        ]
        last = {entry.asset: entry.balance for entry in seen.entries}
        assert last == {balance.asset: balance.total for balance in seen.balances}
        assert {balance.asset: balance for balance in seen.balances} == booked(stage)

    play(scene, hearing=("venue",))


def test_many_orders_and_fills_are_all_seen(play: Play) -> None:
    """More than one page of Kraken's, which holds 50."""

    async def scene(stage: Any) -> None:
        await stage.live()
        began_ns, price = stage.clock.wall_ns(), stage.far_above().usd_per_coin
        for number in range(60):
            order = NewOrder(
                pair=BTC,
                side="buy",
                order_type="limit",
                qty=Decimal("0.0002"),
                limit_price=price,
                time_in_force="ioc",
                cl_ord_id=f"many-{number}",
            )
            stage.exchange.add_order(stage.account, order, stage.clock.wall_ns())
        stage.settle()
        seen = await stage.venue.account(AskAccount("test", began_ns, with_ledgers=True))
        assert isinstance(seen, AccountSeen)
        trades = [entry for entry in seen.entries if entry.kind == "trade"]  # REST may reach back to the opening too
        assert len(trades) == len({entry.entry_id for entry in trades}) == 2 * len(seen.fills)
        expected = {f"many-{number}" for number in range(60)}
        assert {order.cl_ord_id for order in seen.closed_orders} == expected
        assert {fill.cl_ord_id for fill in seen.fills} == expected
        assert (
            len(seen.fills) == len({fill.exec_id for fill in seen.fills}) == len(stage.exchange.trades(stage.account))
        )

    play(scene, hearing=("venue",))


def test_orders_of_others_on_the_account_are_told_with_their_own_id(play: Play) -> None:
    async def scene(stage: Any) -> None:
        await stage.live()
        order = NewOrder(
            pair="ETH/USD", side="buy", order_type="limit", qty=Decimal("0.1"), limit_price=Decimal("10.00")
        )
        placed = stage.exchange.add_order(stage.account, order, stage.clock.wall_ns())
        stage.settle()
        told = await stage.wait_for(OrderReported)
        assert (told.report.order_id, told.report.symbol) == (placed.order_id, None)
        assert told.report.name == "ETH/USD"
        seen = await stage.venue.account(AskAccount("test", 0))
        assert isinstance(seen, AccountSeen)
        (external,) = seen.open_orders
        assert (external.order_id, external.cl_ord_id, external.symbol) == (placed.order_id, None, None)

    play(scene, hearing=("venue",))


def test_fees_are_the_accounts_own_rates_in_basis_points(play: Play) -> None:
    async def scene(stage: Any) -> None:
        taker_percent, maker_percent = stage.exchange.fee_rates(stage.account, BTC)
        (fees,) = await stage.venue.fees([BTC])
        assert fees == FeesSeen(BTC, taker_percent * 100, maker_percent * 100)
        assert fees.taker_bps > fees.maker_bps > 1

    play(scene, hearing=())


# --- hearing ----------------------------------------------------------------------------------------------------------


def test_a_cancel_ends_the_run_and_the_next_one_tells_what_is_open_before_it_is_live(play: Play) -> None:
    async def scene(stage: Any) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stage.venue.run(stage.heard.append))
            await stage.live()
            assert isinstance(await stage.venue.submit(stage.resting()), SubmitAccepted)
            await stage.until(lambda: stage.statuses("rests"), "the order is told")
            task.cancel()
        assert task.cancelled()
        stage.heard.clear()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stage.venue.run(stage.heard.append))
            await stage.live()
            task.cancel()
        first_live = next(index for index, told in enumerate(stage.heard) if isinstance(told, PrivateStreamLive))
        before = [told.report.cl_ord_id for told in stage.heard[:first_live] if isinstance(told, OrderReported)]
        assert before == ["rests"]

    play(scene, hearing=())


def test_a_fill_that_came_while_nobody_heard_is_found_in_the_account(play: Play) -> None:
    async def scene(stage: Any) -> None:
        began_ns = stage.clock.wall_ns()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stage.venue.run(stage.heard.append))
            await stage.live()
            assert isinstance(await stage.venue.submit(stage.resting()), SubmitAccepted)
            task.cancel()
        price = stage.far_below().usd_per_coin
        stage.exchange.crowd_trade(BTC, "sell", price - 10, Decimal(50), stage.clock.wall_ns())
        stage.settle()
        assert stage.exchange.open_orders(stage.account) == []
        seen = await stage.venue.account(AskAccount("test", began_ns))
        assert isinstance(seen, AccountSeen)
        assert [order.cl_ord_id for order in seen.closed_orders] == ["rests"]
        assert {fill.cl_ord_id for fill in seen.fills} == {"rests"}
        assert {fill.liquidity for fill in seen.fills} == {Liquidity.MAKER}

    play(scene, hearing=())
