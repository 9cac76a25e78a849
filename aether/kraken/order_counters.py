"""The matching engine's counter of each pair, kept on our side: what an order, an amend or a cancel would cost now.

Source: Kraken docs, Spot trading rate limits (2026-08): one counter for each account and pair, shared by REST and
WebSocket; cancels and amends cost by the age of their order, counted from its creation or its last amend; over the
maximum a request is refused, but for a batch of cancels. Edits are not in the table here, for none is ever sent.

Three decisions keep us off the limit, and cancels possible:

* An age is taken as the youngest that Kraken may see: it begins when the order's (or its amend's) answer came.
* The reserve is what cancelling every open order of the pair would cost this moment, each by its age. New orders, with
  the cancel that each may need, and amends must leave it whole; so all that rests can always be cancelled at once.
* A cancel that still finds no room (somebody else trades on the account) waits for it. A batch of cancels never does,
  for Kraken takes it over the limit. `CancelAll` is no way out: it would end other people's orders too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken.rate_limit import MARGIN, MILLI, Counter, TierLimits

# Points by the order's age in seconds; none from the last row on.
_CANCEL_COST_BELOW_S = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
_AMEND_COST_BELOW_S = ((5, 3), (10, 2), (15, 1))
_ADD = 1
_AMEND = 1
_YOUNGEST = 0


def cancel_cost(age_ns: int) -> int:
    """Points that cancelling an order of this age costs on its pair's counter."""
    return _cost(_CANCEL_COST_BELOW_S, age_ns)


def amend_cost(age_ns: int) -> int:
    """Points that amending an order of this age costs, the fixed one included."""
    return _AMEND + _cost(_AMEND_COST_BELOW_S, age_ns)


def orders_cost_milli(count: int) -> int:
    """Thousandths of points of placing so many orders together: one alone costs one, a batch half of one for each."""
    return _ADD * MILLI if count == 1 else count * MILLI // 2


def _cost(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for below_s, points in table if age_ns < below_s * NANOS_PER_S), 0)


@dataclass(slots=True)
class _OpenOrder:
    """An order that may rest. `since_ns` is the latest moment at which its age can begin: None while that is ahead."""

    symbol: Symbol
    since_ns: int | None
    in_flight_milli: int

    def age_ns(self, now_ns: int) -> int:
        """The youngest age that Kraken may see."""
        return _YOUNGEST if self.since_ns is None else now_ns - self.since_ns


class OrderCounters:
    """Counters of all pairs. Time is given by the caller, in nanoseconds of a clock that never goes back.

    Whoever sends a request charges it first, says `answered` when its answer came or is given up, and `ended` when the
    order can rest no more.
    """

    __slots__ = ("_counters", "_limits", "_orders")

    def __init__(self, limits: TierLimits) -> None:
        self._limits = limits
        self._counters: dict[Symbol, Counter] = {}
        self._orders: dict[str, _OpenOrder] = {}

    def set_limits(self, limits: TierLimits) -> None:
        """Kraken told the account's tier (see `rate_limit.limits_of_max`)."""
        self._limits = limits
        for counter in self._counters.values():
            counter.set_limits(limits.orders_max, limits.orders_decay_milli_per_s)

    def open_places(self, symbol: Symbol) -> int:
        """How many more orders may rest on the pair. Orders of other people on the account are not known here."""
        return self._limits.open_orders_max - sum(1 for order in self._orders.values() if order.symbol == symbol)

    def wait_for_orders_ns(self, symbol: Symbol, count: int, now_ns: int) -> int:
        """Nanoseconds, at most, until `count` orders leave together and every cancel is still paid for; 0 for now."""
        asked = orders_cost_milli(count) + (count * cancel_cost(_YOUNGEST) + MARGIN) * MILLI
        return self._counter(symbol).wait_milli_ns(asked + self._reserve_milli(symbol, now_ns), now_ns)

    def wait_for_amend_ns(self, cl_ord_id: str, symbol: Symbol, now_ns: int) -> int:
        """The same for an amend, which makes the order young again: its own cancel becomes dearer."""
        age_ns = self._age_ns(cl_ord_id, now_ns)
        own = cancel_cost(age_ns) if cl_ord_id in self._orders else 0
        asked = (amend_cost(age_ns) + cancel_cost(_YOUNGEST) - own + MARGIN) * MILLI
        return self._counter(symbol).wait_milli_ns(asked + self._reserve_milli(symbol, now_ns), now_ns)

    def wait_for_cancel_ns(self, cl_ord_ids: Collection[str], now_ns: int) -> int:
        """Nanoseconds until a cancel finds room; a batch of several finds it always (Kraken docs)."""
        if len(cl_ord_ids) != 1:
            return 0
        (cl_ord_id,) = cl_ord_ids
        order = self._orders.get(cl_ord_id)
        if order is None:
            return 0
        return self._counter(order.symbol).wait_ns(cancel_cost(order.age_ns(now_ns)), now_ns)

    def charge_orders(self, symbol: Symbol, cl_ord_ids: Sequence[str], now_ns: int) -> None:
        """Count orders that are being sent together; Kraken counts them even where it refuses them."""
        cost = orders_cost_milli(len(cl_ord_ids))
        self._counter(symbol).charge_milli(cost, now_ns)
        for cl_ord_id in cl_ord_ids:
            self._orders[cl_ord_id] = _OpenOrder(symbol, None, cost // len(cl_ord_ids))

    def charge_amend(self, cl_ord_id: str, symbol: Symbol, now_ns: int) -> None:
        """Count an amend that is being sent; from its answer on the order counts as new."""
        milli = amend_cost(self._age_ns(cl_ord_id, now_ns)) * MILLI
        self._counter(symbol).charge_milli(milli, now_ns)
        order = self._orders.get(cl_ord_id)
        if order is not None:  # one that ended meanwhile must not take a place again
            order.since_ns = None
            order.in_flight_milli += milli

    def charge_cancels(self, cl_ord_ids: Iterable[str], now_ns: int) -> None:
        """Count cancels that are being sent, alone or in a batch; of orders that are not known nothing is."""
        for cl_ord_id in cl_ord_ids:
            order = self._orders.get(cl_ord_id)
            if order is not None:
                milli = cancel_cost(order.age_ns(now_ns)) * MILLI
                order.in_flight_milli += milli
                self._counter(order.symbol).charge_milli(milli, now_ns)

    def charge_cancel_all(self, now_ns: int) -> tuple[str, ...]:
        """Count a cancel of everything, and tell of which orders.

        No document tells its cost: each pair's point, and a cancel for each order.
        """
        cl_ord_ids = tuple(self._orders)
        for counter in self._counters.values():
            counter.charge(1, now_ns)
        self.charge_cancels(cl_ord_ids, now_ns)
        return cl_ord_ids

    def charge_dead_man(self, now_ns: int) -> None:
        """Count one renewal of the dead man's switch: a point (Kraken's SDK); no document says of which pair."""
        for counter in self._counters.values():
            counter.charge(1, now_ns)

    def answered(self, cl_ord_id: str, now_ns: int) -> None:
        """The answer to the last request about an order came, or is given up: nothing of it is under way."""
        order = self._orders.get(cl_ord_id)
        if order is not None:
            order.in_flight_milli = 0
            order.since_ns = now_ns if order.since_ns is None else order.since_ns

    def ended(self, cl_ord_id: str) -> None:
        """The order rests no more: it takes no place, and needs no cancel."""
        self._orders.pop(cl_ord_id, None)

    def resting(self, symbol: Symbol, cl_ord_id: str, now_ns: int) -> None:
        """An order rests that may be of an earlier run: where its age is not known it counts as placed now."""
        self._orders.setdefault(cl_ord_id, _OpenOrder(symbol, now_ns, 0))

    def keep_only(self, cl_ord_ids: Collection[str], now_ns: int, age_ns_min: int = 0) -> None:
        """Kraken told all orders that rest: others of that age ended unheard, but for those whose answer is out."""
        for cl_ord_id in [known for known in self._orders if known not in cl_ord_ids]:
            order = self._orders[cl_ord_id]
            if order.since_ns is not None and order.age_ns(now_ns) >= age_ns_min:
                del self._orders[cl_ord_id]

    def adopt(self, symbol: Symbol, told_milli: int, now_ns: int) -> None:
        """Kraken told its count of a pair, in thousandths of points; our requests under way come on top of it."""
        under_way = sum(order.in_flight_milli for order in self._orders.values() if order.symbol == symbol)
        self._counter(symbol).adopt_milli(told_milli + under_way, now_ns)

    def fill(self, symbol: Symbol, now_ns: int) -> None:
        """Kraken says that this pair's limit is reached."""
        self._counter(symbol).fill(now_ns)

    def count_milli(self, symbol: Symbol, now_ns: int) -> int:
        """Our count of a pair in thousandths of points. Looking makes no counter where nothing was sent."""
        counter = self._counters.get(symbol)
        return 0 if counter is None else counter.milli(now_ns)

    def _reserve_milli(self, symbol: Symbol, now_ns: int) -> int:
        resting = (order for order in self._orders.values() if order.symbol == symbol)
        return MILLI * sum(cancel_cost(order.age_ns(now_ns)) for order in resting)

    def _age_ns(self, cl_ord_id: str, now_ns: int) -> int:
        """Age of an order; one that is not known may have been placed this moment."""
        order = self._orders.get(cl_ord_id)
        return _YOUNGEST if order is None else order.age_ns(now_ns)

    def _counter(self, symbol: Symbol) -> Counter:
        if symbol not in self._counters:
            self._counters[symbol] = Counter(self._limits.orders_max, self._limits.orders_decay_milli_per_s)
        return self._counters[symbol]
