"""Carries out effects, in order for each order; each outcome goes back to the inbox. Decides and repeats nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aether.domain.effects import AskAccount, CancelOrder, Effect, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.facts import OrderSubmitted
from aether.domain.inputs import SubmitRefused
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock, OrderVenue, Put
from aether.runtime.latch import Latch

IN_HAND_MAX = 1_000
ACCOUNT_LANE = "account"


class Hands:
    """One lane for each order, so that its cancel never overtakes it; lanes run side by side."""

    def __init__(
        self, venue: OrderVenue, latch: Latch, put: Put, clock: Clock, venue_offset_ns: Callable[[], int]
    ) -> None:
        self._venue = venue
        self._latch = latch
        self._put = put
        self._clock = clock
        self._lanes: dict[str, deque[Effect]] = {}
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
        name = ACCOUNT_LANE if isinstance(effect, AskAccount) else effect.cl_ord_id
        lane = self._lanes.get(name)
        if lane is not None:
            if name != ACCOUNT_LANE or len(lane) == 1:  # one look under way and one behind it show all there is
                lane.append(effect)
            return
        if len(self._lanes) >= IN_HAND_MAX:
            raise InvariantBroken(f"{len(self._lanes)} effects are in hand")
        self._lanes[name] = deque([effect])
        if self._group is not None:
            self._group.create_task(self._work(name), name=f"hands {name}")

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
            case CancelOrder():
                self._put(await self._venue.cancel(effect))
            case AskAccount():
                self._put(await self._venue.account(effect))

    async def _submit(self, order: SubmitOrder) -> None:
        asked = self._asked.pop(order.cl_ord_id, None)
        if asked is None:
            # The last count before the wire. An answer here would speak of an order that may live: stop instead.
            raise InvariantBroken(f"no committed fact asks for order {order.cl_ord_id}, or it was sent already")
        if self._latch.stops(asked):
            self._put(SubmitRefused(order.cl_ord_id, "latched", "trading was halted before the order was sent"))
        elif self._clock.wall_ns() + self._venue_offset_ns() >= order.deadline_ns:
            late_s = (self._clock.wall_ns() + self._venue_offset_ns() - order.deadline_ns) / NANOS_PER_S
            self._put(SubmitRefused(order.cl_ord_id, "venue_deadline", f"{late_s:.3f} s late, not sent"))
        else:
            self._put(await self._venue.submit(order))
