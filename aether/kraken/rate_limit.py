"""Kraken's counters, kept on our side so that their limits are not met on the other.

Source: Kraken docs, Spot REST rate limits (2026-08) and Spot trading rate limits. Both counters grow with each call and
decay with time; over the maximum, calls are refused and going on prolongs it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import Enum

from aether.domain.errors import VenueUnavailable
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock

MILLI = 1000  # points are counted in thousandths, so that decay is exact
# Points that are left unused: calls may arrive closer together than they left, and Kraken's count cannot decay below
# nothing meanwhile. One point bears delays that differ by a quarter of a second at the highest tier, more at others.
MARGIN = 1
SUBSCRIPTIONS_PER_S = 20
COMPLAINT_S = 10


@dataclass(frozen=True, slots=True)
class TierLimits:
    """Limits of an account tier: maxima in points, decays in thousandths of a point each second.

    `open_orders_max` is how many orders may rest on one pair.
    """

    rest_max: int
    rest_decay_milli_per_s: int
    orders_max: int
    orders_decay_milli_per_s: int
    open_orders_max: int


class Tier(Enum):
    """Verification tier of the account, which sets both counters."""

    STARTER = TierLimits(15, 330, 60, 1000, 60)
    INTERMEDIATE = TierLimits(20, 500, 125, 2340, 80)
    PRO = TierLimits(20, 1000, 180, 3750, 225)


def limits_of_max(orders_max: int) -> TierLimits:
    """Limits of the tier that an executions subscription tells as `maxratecount`: 60, 125 or 180.

    Another figure is believed as a maximum, with the rest of the highest tier that it reaches: never more than is sure.
    """
    reached = [tier.value for tier in Tier if tier.value.orders_max <= orders_max]
    return replace(max(reached, key=_orders_max, default=Tier.STARTER.value), orders_max=orders_max)


def _orders_max(limits: TierLimits) -> int:
    return limits.orders_max


class Counter:
    """One decaying counter. Time is given by the caller, in nanoseconds of a clock that never goes back."""

    __slots__ = ("_at_ns", "_decay_milli_per_s", "_max_scaled", "_scaled")

    def __init__(self, points_max: int, decay_milli_per_s: int) -> None:
        self._scaled = 0  # thousandths of points times nanoseconds: whole numbers, nothing is rounded away
        self._at_ns = 0
        self.set_limits(points_max, decay_milli_per_s)

    def set_limits(self, points_max: int, decay_milli_per_s: int) -> None:
        """Count against other limits from now on; what was counted stays."""
        self._max_scaled = points_max * MILLI * NANOS_PER_S
        self._decay_milli_per_s = decay_milli_per_s

    def wait_ns(self, points: int, now_ns: int) -> int:
        """Nanoseconds until `points` more fit; 0 where they fit now."""
        return self.wait_milli_ns(points * MILLI, now_ns)

    def wait_milli_ns(self, milli: int, now_ns: int) -> int:
        """The same for thousandths of points."""
        self._decay(now_ns)
        excess = self._scaled + milli * NANOS_PER_S - self._max_scaled
        return max(0, -(-excess // self._decay_milli_per_s))

    def charge(self, points: int, now_ns: int) -> None:
        """Count a call that is being made."""
        self.charge_milli(points * MILLI, now_ns)

    def charge_milli(self, milli: int, now_ns: int) -> None:
        """The same for thousandths of points."""
        self._decay(now_ns)
        self._scaled += milli * NANOS_PER_S

    def fill(self, now_ns: int) -> None:
        """Kraken says that the limit is reached: believe it over our own count."""
        self._decay(now_ns)
        self._scaled = max(self._scaled, self._max_scaled)

    def adopt_milli(self, milli: int, now_ns: int) -> None:
        """Kraken told its own count, in thousandths of points: it stands in place of ours."""
        self._at_ns = max(self._at_ns, now_ns)
        self._scaled = max(0, milli) * NANOS_PER_S

    def milli(self, now_ns: int) -> int:
        """The count in thousandths of points, rounded up."""
        self._decay(now_ns)
        return -(-self._scaled // NANOS_PER_S)

    def _decay(self, now_ns: int) -> None:
        elapsed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(self._at_ns, now_ns)
        self._scaled = max(0, self._scaled - elapsed_ns * self._decay_milli_per_s)


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


class Pace:
    """Lets requests of one link leave at most so many a second, and none for a while after a complaint.

    Source: the limit of messages on a socket is dynamic and not published; nautilus_trader keeps to 20 subscriptions a
    second (Kraken's own answer to more is `Exceeded msg rate`).
    """

    def __init__(self, clock: Clock, per_s: int = SUBSCRIPTIONS_PER_S) -> None:
        self._clock = clock
        self._counter = Counter(per_s, per_s * MILLI)
        self._held_until_ns = 0

    @property
    def is_free(self) -> bool:
        """Whether one more may leave without waiting."""
        now_ns = self._clock.monotonic_ns()
        return now_ns >= self._held_until_ns and not self._counter.wait_ns(1, now_ns)

    async def take(self) -> None:
        """Wait until one more may leave, and count it."""
        now_ns = self._clock.monotonic_ns()
        wait_ns = max(self._counter.wait_ns(1, now_ns), self._held_until_ns - now_ns)
        self._counter.charge(1, now_ns)
        await asyncio.sleep(wait_ns / NANOS_PER_S)

    def complained(self) -> None:
        """Kraken says that it was too much: nothing more for `COMPLAINT_S`, then one by one."""
        now_ns = self._clock.monotonic_ns()
        self._held_until_ns = now_ns + COMPLAINT_S * NANOS_PER_S
        self._counter.fill(self._held_until_ns)
