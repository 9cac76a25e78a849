"""Kraken's counters, kept on our side so that their limits are not met on the other.

Source: Kraken docs, Spot REST rate limits (2026-08) and Spot trading rate limits. Both counters grow with each call and
decay with time; over the maximum, calls are refused and going on prolongs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aether.domain.errors import VenueUnavailable
from aether.domain.values import NANOS_PER_S, Symbol
from aether.ports import Clock

_MILLI = 1000  # points are counted in thousandths, so that decay is exact
_CANCEL_RESERVE_PERCENT = 25
# Cost of a cancel by the order's age in seconds, in points: below 5 s it costs 8.
_CANCEL_COST_BELOW_S = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))


@dataclass(frozen=True, slots=True)
class TierLimits:
    """Limits of an account tier: maxima in points, decays in thousandths of a point each second."""

    rest_max: int
    rest_decay_milli_per_s: int
    orders_max: int
    orders_decay_milli_per_s: int


class Tier(Enum):
    """Verification tier of the account, which sets both counters."""

    STARTER = TierLimits(15, 330, 60, 1000)
    INTERMEDIATE = TierLimits(20, 500, 125, 2340)
    PRO = TierLimits(20, 1000, 180, 3750)


class Counter:
    """One decaying counter. Time is given by the caller, in nanoseconds of a clock that never goes back."""

    __slots__ = ("_at_ns", "_decay_milli_per_s", "_max_scaled", "_scaled")

    def __init__(self, points_max: int, decay_milli_per_s: int) -> None:
        self._max_scaled = points_max * _MILLI * NANOS_PER_S
        self._decay_milli_per_s = decay_milli_per_s
        self._scaled = 0  # thousandths of points times nanoseconds: whole numbers, nothing is rounded away
        self._at_ns = 0

    def wait_ns(self, points: int, now_ns: int) -> int:
        """Nanoseconds until `points` more fit; 0 where they fit now."""
        self._decay(now_ns)
        excess = self._scaled + points * _MILLI * NANOS_PER_S - self._max_scaled
        return max(0, -(-excess // self._decay_milli_per_s))

    def charge(self, points: int, now_ns: int) -> None:
        """Count a call that is being made."""
        self._decay(now_ns)
        self._scaled += points * _MILLI * NANOS_PER_S

    def fill(self, now_ns: int) -> None:
        """Kraken says that the limit is reached: believe it over our own count."""
        self._decay(now_ns)
        self._scaled = max(self._scaled, self._max_scaled)

    def _decay(self, now_ns: int) -> None:
        elapsed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(self._at_ns, now_ns)
        self._scaled = max(0, self._scaled - elapsed_ns * self._decay_milli_per_s)


class OrderCounters:
    """The matching engine's counter of each pair. A quarter of it is kept for cancels: new orders cannot eat it."""

    __slots__ = ("_counters", "_limits", "_placed_ns")

    def __init__(self, limits: TierLimits) -> None:
        self._limits = limits
        self._counters: dict[Symbol, Counter] = {}
        self._placed_ns: dict[str, tuple[Symbol, int]] = {}

    def has_room_for_order(self, symbol: Symbol, now_ns: int) -> bool:
        """Whether one more order leaves the reserve for cancels untouched."""
        reserve = self._limits.orders_max * _CANCEL_RESERVE_PERCENT // 100
        return self._counter(symbol).wait_ns(1 + reserve, now_ns) == 0

    def charge_order(self, symbol: Symbol, cl_ord_id: str, now_ns: int) -> None:
        """Count an order that is being sent; Kraken counts it even where it refuses it."""
        self._forget_old(now_ns)
        self._counter(symbol).charge(1, now_ns)
        self._placed_ns[cl_ord_id] = (symbol, now_ns)

    def charge_cancel(self, cl_ord_id: str, now_ns: int) -> None:
        """Count a cancel by the age of its order; orders older than five minutes, and earlier runs', cost nothing."""
        symbol, placed_ns = self._placed_ns.pop(cl_ord_id, (None, 0))
        if symbol is not None:
            self._counter(symbol).charge(cancel_cost(now_ns - placed_ns), now_ns)

    def fill(self, symbol: Symbol, now_ns: int) -> None:
        """Kraken says that this pair's limit is reached."""
        self._counter(symbol).fill(now_ns)

    def _counter(self, symbol: Symbol) -> Counter:
        if symbol not in self._counters:
            self._counters[symbol] = Counter(self._limits.orders_max, self._limits.orders_decay_milli_per_s)
        return self._counters[symbol]

    def _forget_old(self, now_ns: int) -> None:
        """Orders are kept in the order of placing, so the old ones stand first."""
        free_after_ns = _CANCEL_COST_BELOW_S[-1][0] * NANOS_PER_S
        for cl_ord_id, (_, placed_ns) in list(self._placed_ns.items()):
            if now_ns - placed_ns < free_after_ns:
                return
            del self._placed_ns[cl_ord_id]


class Silence:
    """A time during which calls are refused unsent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_ns = 0
        self._why = ""

    def keep(self, why: str, wait_s: float) -> None:
        """Keep silent so long from now on; an earlier, longer silence stays."""
        self._until_ns = max(self._until_ns, self._clock.monotonic_ns() + int(wait_s * NANOS_PER_S))
        self._why = why

    def check(self) -> None:
        """Raises VenueUnavailable until the silence is over."""
        left_ns = self._until_ns - self._clock.monotonic_ns()
        if left_ns > 0:
            raise VenueUnavailable(f"keeping silent: {self._why}", retry_after_s=left_ns / NANOS_PER_S)


def cancel_cost(age_ns: int) -> int:
    """Points that cancelling an order of this age costs on its pair's counter."""
    for below_s, points in _CANCEL_COST_BELOW_S:
        if age_ns < below_s * NANOS_PER_S:
            return points
    return 0
