"""Carries out effects, in order for each order; each outcome goes back to the inbox. Decides and repeats nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from aether.domain.effects import (
    AmendOrder,
    AskAccount,
    CancelAllOrders,
    CancelBatch,
    CancelOrder,
    Effect,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.errors import InvariantBroken
from aether.domain.facts import OrderSubmitted
from aether.domain.inputs import AmendRefused, Input, SubmitRefused
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock, OrderVenue, Put
from aether.runtime.latch import Latch

IN_HAND_MAX = 1_000
ACCOUNT_LANE = "account"
CANCEL_ALL_LANE = "cancel all"
DEAD_MAN_LANE = "dead man"
_LANES_OF_TWO = (ACCOUNT_LANE, CANCEL_ALL_LANE, DEAD_MAN_LANE)  # one under way and one behind it do all there is to do


class Hands:
    """One lane for each order, so that its cancel never overtakes it and one change of it is asked at a time.

    Kraken promises no order among changes that it has not answered yet (Kraken docs, Spot atomic amends). The orders of
    a batch share a lane; cancels of several orders, and of all, have their own and wait for nothing: a cancel that
    overtakes an amend ends the order all the same. Lanes run side by side.
    """

    def __init__(
        self, venue: OrderVenue, latch: Latch, put: Put, clock: Clock, venue_offset_ns: Callable[[], int]
    ) -> None:
        self._venue = venue
        self._latch = latch
        self._put = put
        self._clock = clock
        self._lanes: dict[str, deque[Effect]] = {}
        self._lane_of: dict[str, str] = {}
        self._asked: dict[str, OrderSubmitted] = {}
        self._group: asyncio.TaskGroup | None = None
        self._venue_offset_ns = venue_offset_ns

    @property
    def in_hand(self) -> int:
        """Orders and cancels begun or waiting; not looks at the account, which limits may stretch and no stop needs."""
        return sum(1 for lane in self._lanes.values() for effect in lane if not isinstance(effect, AskAccount))

    async def run(self) -> None:
        """Own the lanes' tasks until cancelled. Effects that were begun before wait until now."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in self._lanes:
                group.create_task(self._work(name), name=f"hands {name}")
            await asyncio.Event().wait()

    def expect(self, order: OrderSubmitted) -> None:
        """Remember what was committed: nothing leaves that was not (orders out are at most intents in)."""
        self._asked[order.cl_ord_id] = order

    def start(self, effect: Effect) -> None:
        """Begin an effect whose facts are on disk. Never waits."""
        name = self._lane_name(effect)
        lane = self._lanes.get(name)
        if lane is not None:
            if name not in _LANES_OF_TWO or len(lane) == 1:
                lane.append(effect)
            elif name == DEAD_MAN_LANE:
                lane[-1] = effect  # the newest wish counts: switched off must stay off
            return
        if len(self._lanes) >= IN_HAND_MAX:
            raise InvariantBroken(f"{len(self._lanes)} effects are in hand")
        self._lanes[name] = deque([effect])
        if self._group is not None:
            self._group.create_task(self._work(name), name=f"hands {name}")

    def _lane_name(self, effect: Effect) -> str:
        match effect:
            case AskAccount():
                return ACCOUNT_LANE
            case CancelAllOrders():
                return CANCEL_ALL_LANE
            case SetDeadMan():
                return DEAD_MAN_LANE
            case CancelBatch(cancels=cancels):
                return f"cancels from {cancels[0].cl_ord_id} on"
            case SubmitBatch(orders=orders):
                self._lane_of |= dict.fromkeys((order.cl_ord_id for order in orders), orders[0].cl_ord_id)
                return orders[0].cl_ord_id
            case _:
                return self._lane_of.get(effect.cl_ord_id, effect.cl_ord_id)

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            while lane:
                await self._carry_out(lane[0])
                lane.popleft()
        finally:
            del self._lanes[name]

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case SubmitOrder():
                await self._submit(effect)
            case SubmitBatch():
                await self._submit_batch(effect)
            case AmendOrder():
                await self._amend(effect)
            case CancelOrder():
                self._put(await self._venue.cancel(effect))
            case CancelBatch():
                self._put_all(await self._venue.cancel_batch(effect))
            case CancelAllOrders():
                self._put(await self._venue.cancel_all())
            case SetDeadMan():
                self._put(await self._venue.set_dead_man(effect))
            case AskAccount():
                self._put(await self._venue.account(effect))

    async def _submit(self, order: SubmitOrder) -> None:
        if self._latch.stops(self._take_asked(order)):
            self._put(SubmitRefused(order.cl_ord_id, "latched", "trading was halted before the order was sent"))
        elif late := self._lateness(order.deadline_ns):
            self._put(SubmitRefused(order.cl_ord_id, "venue_deadline", late))
        else:
            self._put(await self._venue.submit(order))

    async def _submit_batch(self, batch: SubmitBatch) -> None:
        """All of them leave, or none: what is left of a batch is another one, which nobody asked for."""
        asked = [self._take_asked(order) for order in batch.orders]
        late = self._lateness(batch.orders[0].deadline_ns)
        if any(self._latch.stops(order) for order in asked):
            why = "trading was halted, for one of its batch at least, before it was sent"
            self._put_all(SubmitRefused(order.cl_ord_id, "latched", why) for order in batch.orders)
        elif late:
            self._put_all(SubmitRefused(order.cl_ord_id, "venue_deadline", late) for order in batch.orders)
        else:
            self._put_all(await self._venue.submit_batch(batch))
        for order in batch.orders:
            del self._lane_of[order.cl_ord_id]

    async def _amend(self, amend: AmendOrder) -> None:
        """A larger or a worse priced order is a new risk, and is held back as one; a smaller one leaves in any halt."""
        if amend.raises_risk and self._latch.covers(amend.symbol, amend.strategy):
            self._put(AmendRefused(amend.cl_ord_id, "latched", "trading was halted before the amend was sent"))
        elif late := self._lateness(amend.deadline_ns):
            self._put(AmendRefused(amend.cl_ord_id, "venue_deadline", late))
        else:
            self._put(await self._venue.amend(amend))

    def _put_all(self, told: Iterable[Input]) -> None:
        for each in told:
            self._put(each)

    def _take_asked(self, order: SubmitOrder) -> OrderSubmitted:
        asked = self._asked.pop(order.cl_ord_id, None)
        if asked is None:
            # The last count before the wire. An answer here would speak of an order that may live: stop instead.
            raise InvariantBroken(f"no committed fact asks for order {order.cl_ord_id}, or it was sent already")
        return asked

    def _lateness(self, deadline_ns: int) -> str:
        """Why it is too late to send, in the venue's time; empty where it is not."""
        late_ns = self._clock.wall_ns() + self._venue_offset_ns() - deadline_ns
        return f"{late_ns / NANOS_PER_S:.3f} s late, not sent" if late_ns >= 0 else ""
