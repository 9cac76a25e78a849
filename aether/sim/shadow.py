"""The shadow: each order of ours also goes to a made Kraken on a mirror of the same market, and the fills are compared.

It hears what the feed hears and which facts are committed, and works it off in a task of its own, in their order. The
made side answers at once: what the way to the venue costs is part of what is measured. It is never short of money, for
the order passed every check already. Trading knows nothing of the shadow: what is put here never waits and never
raises, and whatever fails ends the shadow alone. Orders of an earlier run have none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from aether.core.divergence import NOTHING, Compared, Filled
from aether.domain.facts import (
    CancelRequested,
    Numbered,
    OrderAbsent,
    OrderEnded,
    OrderFilled,
    OrderRefused,
    OrderSubmitted,
)
from aether.domain.inputs import BookChanged, FeedLost, Input, InstrumentSeen, SystemStatusSeen, TradeSeen
from aether.domain.instruments import Instrument
from aether.ports import Clock, MarketFeed, Put
from aether.sim.exchange import Exchange, ExchangeRefusal, NewOrder
from aether.sim.mirror import Mirror, mirrored_rules

ACCOUNT = "shadow"
WAITING_MAX = 10_000
ORDERS_MAX = 1_000  # under way on one side at least; the oldest is compared as it stands
TURN_MAX = 8  # a book of 25 levels takes 20 us to repeat; between turns the loop is for the others
ORDERS_OF_AN_EXCHANGE_MAX = 5_000  # it keeps all that it ever saw: a new one takes over when nothing is under way
_PURSE = Decimal(10) ** 12

_HEARD = (BookChanged, TradeSeen, FeedLost, InstrumentSeen, SystemStatusSeen)
_FACTS = (OrderSubmitted, CancelRequested, OrderFilled, OrderEnded, OrderRefused, OrderAbsent)


@dataclass(slots=True)
class _Pair:
    """An order on both sides; `made_id` is empty where the made exchange refused it."""

    submitted: OrderSubmitted
    made_id: str
    real: Filled = NOTHING
    is_over: bool = False
    cum_coins: Decimal | None = None  # what the venue says that it filled, where it says so at the end

    @property
    def is_whole(self) -> bool:
        """Ended at the venue, with every fill that it told of booked."""
        return self.is_over and (self.cum_coins is None or self.real.coins >= self.cum_coins)


class Shadow:
    """The made side and the comparison. `tell` is given each compared order, `end` the reason when the shadow ends."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        clock: Clock,
        tell: Callable[[Compared], None],
        end: Callable[[str], None],
    ) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._clock = clock
        self._tell = tell
        self._end = end
        self._waiting: deque[Input | Numbered] = deque()
        self._has_some = asyncio.Event()
        self._is_over = False
        self._pairs: dict[str, _Pair] = {}
        self._status: SystemStatusSeen | None = None
        self._begin()

    def overhear(self, heard: Input) -> None:
        """One input of the market. Beyond the bound it is passed over: the next picture is a whole one again."""
        if isinstance(heard, _HEARD) and len(self._waiting) < WAITING_MAX:
            self._put(heard)

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Committed facts. A FactObserver: never waits, never raises; where they find no room, the shadow ends."""
        for numbered in facts:
            if isinstance(numbered.fact, _FACTS):
                self._put(numbered)

    async def run(self) -> NoReturn:
        """Work until cancelled, also after the shadow's end: a service that returned would end the daemon."""
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 - whatever it is, trading goes on without its shadow
            self._give_up(f"{type(error).__name__}: {error}")
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a future that nobody sets has come")

    def _put(self, item: Input | Numbered) -> None:
        if self._is_over:
            return
        if len(self._waiting) >= 2 * WAITING_MAX:
            self._give_up(f"{len(self._waiting)} inputs wait")
            return
        self._waiting.append(item)
        self._has_some.set()

    def _give_up(self, why: str) -> None:
        self._is_over = True
        self._waiting.clear()
        self._pairs.clear()
        self._end(why)

    async def _work(self) -> None:
        while True:
            await self._has_some.wait()
            for _ in range(min(TURN_MAX, len(self._waiting))):
                self._take(self._waiting.popleft())
            if not self._waiting:
                self._has_some.clear()
            await asyncio.sleep(0)  # the others first: a shadow has time

    def _begin(self) -> None:
        rules = [mirrored_rules(instrument) for instrument in self._instruments.values()]
        now_ns = self._clock.wall_ns()
        self._exchange = Exchange(rules, seed=now_ns)
        self._exchange.open_account(ACCOUNT, dict.fromkeys(("USD", *(rule.base for rule in rules)), _PURSE), now_ns)
        self._mirror = Mirror(self._exchange, self._clock)
        self._orders = 0
        if self._status is not None:
            self._mirror.hear(self._status)

    def _take(self, item: Input | Numbered) -> None:
        if isinstance(item, Numbered):
            self._follow(item)
        else:
            if isinstance(item, InstrumentSeen):
                self._instruments[item.instrument.symbol] = item.instrument
            elif isinstance(item, SystemStatusSeen):
                self._status = item
            self._mirror.hear(item)
        self._exchange.drain()  # fills are asked for at the end, and nobody listens before

    # --- one order on both sides --------------------------------------------------------------------------------

    def _follow(self, numbered: Numbered) -> None:
        fact, at_ns = numbered.fact, numbered.at_ns
        if isinstance(fact, OrderSubmitted):
            self._submitted(fact, at_ns)
            return
        cl_ord_id = getattr(fact, "cl_ord_id", None)
        pair = self._pairs.get(cl_ord_id) if cl_ord_id is not None else None
        if pair is None:
            return
        match fact:
            case CancelRequested():
                self._cancel(pair)
            case OrderFilled():
                pair.real = pair.real.plus(fact.qty.coins, fact.cost.amount)
            case OrderEnded(cum_qty=cum_qty):
                self._close(pair, None if cum_qty is None else cum_qty.coins)
            case OrderRefused() | OrderAbsent():
                self._close(pair, None)
        if pair.is_whole:
            self._compare(pair, at_ns)

    def _submitted(self, fact: OrderSubmitted, at_ns: int) -> None:
        if not self._pairs and self._orders >= ORDERS_OF_AN_EXCHANGE_MAX:
            self._begin()
        if len(self._pairs) >= ORDERS_MAX:
            self._compare(next(iter(self._pairs.values())), at_ns)
        self._orders += 1
        made_id = ""
        with suppress(ExchangeRefusal):  # a no is an outcome: what the venue fills of it has no counterpart
            made_id = self._exchange.add_order(ACCOUNT, _new_order(fact), self._clock.wall_ns()).order_id
        self._pairs[fact.cl_ord_id] = _Pair(fact, made_id)

    def _close(self, pair: _Pair, cum_coins: Decimal | None) -> None:
        pair.is_over, pair.cum_coins = True, cum_coins
        self._cancel(pair)

    def _cancel(self, pair: _Pair) -> None:
        with suppress(ExchangeRefusal):  # it is over there already, or was never taken
            self._exchange.cancel_order(ACCOUNT, pair.made_id, self._clock.wall_ns())

    def _compare(self, pair: _Pair, at_ns: int) -> None:
        sent = pair.submitted
        del self._pairs[sent.cl_ord_id]
        order = self._exchange.find_order(ACCOUNT, order_id=pair.made_id)
        made = NOTHING if order is None else Filled(order.cum_qty, order.cum_cost)
        self._tell(Compared(sent.cl_ord_id, sent.symbol, sent.side, at_ns, pair.real, made))


def _new_order(fact: OrderSubmitted) -> NewOrder:
    """The order without its deadline, which is for a way that the made one does not go."""
    return NewOrder(
        pair=fact.symbol,
        side=fact.side.value,
        order_type=fact.order_type.value,
        qty=fact.qty.coins,
        limit_price=fact.limit_price.usd_per_coin,
        time_in_force=fact.time_in_force.value,
        post_only=fact.post_only,
        cl_ord_id=fact.cl_ord_id,
        deadline_ns=None,
    )


class OverheardFeed:
    """MarketFeed that lets the shadow hear everything, after the one whom it is for."""

    def __init__(self, feed: MarketFeed, shadow: Shadow) -> None:
        self._feed = feed
        self._shadow = shadow
        self.history = feed.history

    async def run(self, put: Put) -> None:
        """As the feed within."""

        def hear(heard: Input) -> None:
            put(heard)
            self._shadow.overhear(heard)

        await self._feed.run(hear)
