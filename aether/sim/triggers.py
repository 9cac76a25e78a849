"""Orders that wait for a price: which way each one looks, what a trade does to it, and when it is to act."""

from __future__ import annotations

from aether.sim.account import WorkingOrder
from aether.sim.records import TRAILING_KINDS


class TriggerBench:
    """The waiting orders of one pair, in order of arrival. Prices are in ticks."""

    __slots__ = ("_high", "_low", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str, WorkingOrder] = {}
        self._low: int | None = None  # nobody minds a trade between these two, so most trades cost two comparisons
        self._high: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, working: WorkingOrder) -> None:
        """Let an order wait here."""
        self._waiting[working.order_id] = working
        self.measure()

    def remove(self, working: WorkingOrder) -> None:
        """An order waits no longer; nothing happens where it did not wait."""
        if self._waiting.pop(working.order_id, None) is not None:
            self.measure()

    def touched_by(self, ticks: int) -> list[WorkingOrder]:
        """Orders that a trade at this price sets off or pulls along."""
        if (self._low is None or ticks > self._low) and (self._high is None or ticks < self._high):
            return []
        return [working for working in self._waiting.values() if is_reached(working, ticks) or pulls(working, ticks)]

    def measure(self) -> None:
        """Find anew between which prices nobody is touched."""
        lows: list[int] = []
        highs: list[int] = []
        for working in self._waiting.values():
            ahead, behind = (highs, lows) if looks_up(working) else (lows, highs)
            ahead.append(working.trigger_ticks)
            if working.order.order_type in TRAILING_KINDS:
                behind.append(working.peak_ticks - 1 if looks_up(working) else working.peak_ticks + 1)
        self._low, self._high = max(lows, default=None), min(highs, default=None)


def looks_up(working: WorkingOrder) -> bool:
    """Whether it acts when the price rises to its trigger, or else when it falls to it.

    A stop acts in the unfavourable direction, a take-profit in the favourable one, a trailing stop as a stop does
    (Kraken docs, WebSocket v2 add_order).
    """
    is_profit = working.order.order_type.startswith("take-profit")
    return (working.order.side == "buy") != is_profit


def is_reached(working: WorkingOrder, ticks: int) -> bool:
    """Whether a trade at this price sets it off."""
    return ticks >= working.trigger_ticks if looks_up(working) else ticks <= working.trigger_ticks


def pulls(working: WorkingOrder, ticks: int) -> bool:
    """Whether a trade at this price is the best that a trailing order has seen."""
    if working.order.order_type not in TRAILING_KINDS:
        return False
    return ticks < working.peak_ticks if looks_up(working) else ticks > working.peak_ticks
