"""Kraken's two counters: one for REST calls of each key, one for trading of each account and pair. Exact, no clock.

A counter rises with each call and falls steadily. Points are kept in whole parts so fine that every published rate of
decay is a whole number of them in a nanosecond: nothing is ever rounded (Kraken docs, Spot REST rate limits and Spot
trading limits).

Where the documents leave a choice it is the stricter one for the client: a request is refused if it would carry its
counter over the maximum. A refused REST call counts all the same ("going on prolongs it"), up to twice the maximum, so
that a client that falls silent is served again; a refused trading request does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from aether.domain.values import NANOS_PER_S
from aether.sim.records import ExchangeRefusal, Order

TierName: TypeAlias = Literal["starter", "intermediate", "pro"]

POINT = 100 * NANOS_PER_S
"""Parts of one point: a decay of 0.01 points a second is one part a nanosecond."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What a verification level allows. Decays are hundredths of a point a second."""

    name: TierName
    rest_max: int
    rest_decay: int
    trading_max: int
    trading_decay: int
    open_orders_max: int


TIERS: Mapping[TierName, Tier] = {
    "starter": Tier("starter", 15, 33, 60, 100, 60),
    "intermediate": Tier("intermediate", 20, 50, 125, 234, 80),
    "pro": Tier("pro", 20, 100, 180, 375, 225),
}

# Calls that read history cost +2 by Kraken's newest page (2026-08), its command line tool and its OpenAPI file; a
# page of 2026-05 says +4. The list of such calls differs too: here it is the longest one.
_HISTORY_POINTS = 2
_HISTORY = frozenset({"ClosedOrders", "TradesHistory", "QueryTrades", "Ledgers", "QueryLedgers"})

# What the trading counter limits costs nothing here (Kraken docs, Spot REST rate limits).
_TRADING = frozenset(
    (
        *("AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder"),
        *("CancelOrder", "CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"),
    )
)

# Kraken docs, Spot trading limits: what it costs to change an order that is younger than so many seconds.
_AMEND_BY_AGE = ((5, 3), (10, 2), (15, 1))
_EDIT_BY_AGE = ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1))
_CANCEL_BY_AGE = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))

_AMENDED_KEPT = 10_000  # orders whose last amend is remembered; older ones count from their creation


def rest_points(method: str) -> int:
    """What a private REST call costs on the counter of its key."""
    if method in _TRADING:
        return 0
    return _HISTORY_POINTS if method in _HISTORY else 1


def points_by_age(table: Iterable[tuple[int, int]], age_ns: int) -> int:
    """The cost of changing an order of this age."""
    return next((points for seconds, points in table if age_ns < seconds * NANOS_PER_S), 0)


@dataclass(slots=True)
class Counter:
    """One counter that falls by `decay` hundredths of a point a second; levels are in parts of a `POINT`."""

    decay: int
    level: int = 0
    at_ns: int = 0

    def at(self, now_ns: int) -> int:
        """The level by now. A time before the latest one known counts as the latest."""
        if now_ns > self.at_ns:
            self.level = max(0, self.level - (now_ns - self.at_ns) * self.decay)
            self.at_ns = now_ns
        return self.level

    def add(self, parts: int, now_ns: int) -> int:
        """Count so many parts; the new level."""
        self.level = self.at(now_ns) + parts
        return self.level


class RestCounters:
    """The REST counter of each key."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._counters: dict[str, Counter] = {}

    def charge(self, key: str, method: str, now_ns: int) -> None:
        """Count one call. Raises ExchangeRefusal `EAPI:Rate limit exceeded`."""
        parts = rest_points(method) * POINT
        counter = self._counters.setdefault(key, Counter(self._tier.rest_decay))
        if parts and counter.add(parts, now_ns) > self._tier.rest_max * POINT:
            counter.level = min(counter.level, 2 * self._tier.rest_max * POINT)
            raise ExchangeRefusal("EAPI:Rate limit exceeded")

    def fill(self, key: str, now_ns: int) -> None:
        """Carry the counter to its maximum: the next call that costs anything is refused."""
        self._counters[key] = Counter(self._tier.rest_decay, self._tier.rest_max * POINT, now_ns)


class TradingCounters:
    """The trading counter of each account and pair. Both doors count here before the exchange acts.

    Every method raises ExchangeRefusal `EOrder:Rate limit exceeded` where it says so, and then counts nothing. The age
    of an order is that since its creation or its last amend.
    """

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._counters: dict[tuple[str, str], Counter] = {}
        self._amended_ns: dict[str, int] = {}

    def points(self, account: str, pair: str, now_ns: int) -> Decimal:
        """What the counter shows, in points."""
        return Decimal(self._of(account, pair).at(now_ns)) / POINT

    def add(self, account: str, pair: str, now_ns: int, *, count: int = 1) -> None:
        """Orders of one pair come in: +1 for a single one, half a point each for a batch. May be refused."""
        self._charge(account, pair, POINT if count == 1 else count * POINT // 2, now_ns)

    def amend(self, order: Order, now_ns: int) -> None:
        """An order is amended: its fixed point counts even if the exchange refuses the amend. May be refused."""
        self._charge(order.account, order.pair, (1 + self._aged(_AMEND_BY_AGE, order, now_ns)) * POINT, now_ns)
        self._amended_ns.pop(order.order_id, None)
        self._amended_ns[order.order_id] = now_ns
        if len(self._amended_ns) > _AMENDED_KEPT:
            del self._amended_ns[next(iter(self._amended_ns))]

    def edit(self, order: Order, now_ns: int) -> None:
        """An order is replaced by the older `EditOrder`. May be refused."""
        self._charge(order.account, order.pair, (1 + self._aged(_EDIT_BY_AGE, order, now_ns)) * POINT, now_ns)

    def cancel(self, order: Order, now_ns: int) -> None:
        """An order is cancelled. May be refused."""
        self._charge(order.account, order.pair, self._aged(_CANCEL_BY_AGE, order, now_ns) * POINT, now_ns)

    def cancel_batch(self, orders: Iterable[Order], now_ns: int) -> None:
        """Orders are cancelled together: counted, and taken even over the maximum."""
        for order in orders:
            parts = self._aged(_CANCEL_BY_AGE, order, now_ns) * POINT
            self._of(order.account, order.pair).add(parts, now_ns)

    def cancel_all(self, orders: Iterable[Order], now_ns: int) -> None:
        """`CancelAll` and the dead man's switch: +1 on each pair with an open order, and never refused.

        Kraken's page has no row for them; its SDK books one point.
        """
        for account, pair in {(order.account, order.pair): None for order in orders}:
            self._of(account, pair).add(POINT, now_ns)

    def fill(self, account: str, pair: str, now_ns: int) -> None:
        """Carry the counter to its maximum: the next order of this pair is refused."""
        self._counters[account, pair] = Counter(self.tier.trading_decay, self.tier.trading_max * POINT, now_ns)

    def _aged(self, table: Iterable[tuple[int, int]], order: Order, now_ns: int) -> int:
        return points_by_age(table, now_ns - self._amended_ns.get(order.order_id, order.opened_ns))

    def _charge(self, account: str, pair: str, parts: int, now_ns: int) -> None:
        counter = self._of(account, pair)
        if parts and counter.at(now_ns) + parts > self.tier.trading_max * POINT:
            raise ExchangeRefusal("EOrder:Rate limit exceeded")
        counter.add(parts, now_ns)

    def _of(self, account: str, pair: str) -> Counter:
        return self._counters.setdefault((account, pair), Counter(self.tier.trading_decay))
