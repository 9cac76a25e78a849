"""A price-time book in whole ticks and lots: the best price first, at one price the oldest order first.

(Kraken, Exchange Trading Rules: "orders are matched using a price-time priority mechanism".)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from aether.sim.records import BookSide, OrderSide

CROWD = ""
"""The order id under which the crowd's own quantity rests, once per price."""


@dataclass(slots=True)
class PriceLevel:
    """Orders resting at one price in order of arrival: order id -> lots."""

    queue: dict[str, int] = field(default_factory=dict)
    lots: int = 0


class BookHalf:
    """One side of a book. Prices are in ticks, quantities in lots, both positive."""

    __slots__ = ("_keys", "_levels", "_sign", "side")

    def __init__(self, side: BookSide) -> None:
        self.side: BookSide = side
        self._sign = 1 if side == "bid" else -1
        self._keys: list[int] = []  # sign * ticks, rising: the best is the last, where a list is cheapest to change
        self._levels: dict[int, PriceLevel] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def best(self) -> int | None:
        """The best price, None where the side is empty."""
        return self._sign * self._keys[-1] if self._keys else None

    def crosses(self, limit_ticks: int) -> bool:
        """Whether an order of the other side at this limit would trade with this side's best."""
        return bool(self._keys) and self._keys[-1] >= self._sign * limit_ticks

    def is_better(self, ticks: int, other_ticks: int) -> bool:
        """Whether the first price comes before the second on this side."""
        return self._sign * ticks > self._sign * other_ticks

    def lots_at(self, ticks: int) -> int:
        """Quantity at a price over all orders."""
        level = self._levels.get(ticks)
        return level.lots if level else 0

    def order_lots(self, ticks: int, order_id: str) -> int:
        """Quantity of one order at a price; 0 where it does not rest there."""
        level = self._levels.get(ticks)
        return level.queue.get(order_id, 0) if level else 0

    def front(self) -> tuple[int, str, int]:
        """`(ticks, order_id, lots)` of the oldest order at the best price. Raises IndexError for an empty side."""
        ticks = self._sign * self._keys[-1]
        order_id, lots = next(iter(self._levels[ticks].queue.items()))
        return ticks, order_id, lots

    def levels(self) -> Iterator[tuple[int, int]]:
        """`(ticks, lots)`, best first."""
        for key in reversed(self._keys):
            ticks = self._sign * key
            yield ticks, self._levels[ticks].lots

    def orders(self) -> Iterator[tuple[str, int, int]]:
        """`(order_id, ticks, lots)` in price-time order."""
        for key in reversed(self._keys):
            ticks = self._sign * key
            for order_id, lots in self._levels[ticks].queue.items():
                yield order_id, ticks, lots

    def add(self, order_id: str, ticks: int, lots: int) -> None:
        """Rest an order at the end of the queue of its price."""
        assert lots > 0, f"{order_id!r} rests with {lots} lots"
        level = self._levels.get(ticks)
        if level is None:
            level = self._levels[ticks] = PriceLevel()
            insort(self._keys, self._sign * ticks)
        assert order_id not in level.queue, f"{order_id!r} rests twice at {ticks}"
        level.queue[order_id] = lots
        level.lots += lots

    def reduce(self, order_id: str, ticks: int, by_lots: int) -> None:
        """Take lots off an order, which keeps its place; an order without lots is gone."""
        level = self._levels[ticks]
        left = level.queue[order_id] - by_lots
        assert left >= 0 < by_lots, f"{order_id!r} at {ticks} is reduced by {by_lots} to {left}"
        level.lots -= by_lots
        if left:
            level.queue[order_id] = left
            return
        del level.queue[order_id]
        if not level.queue:
            del self._levels[ticks]
            del self._keys[bisect_left(self._keys, self._sign * ticks)]


class OrderBook:
    """Both sides of one pair."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookHalf("bid")
        self.asks = BookHalf("ask")

    def half(self, side: BookSide) -> BookHalf:
        """One side."""
        return self.bids if side == "bid" else self.asks

    def resting(self, side: OrderSide) -> BookHalf:
        """The side on which such an order rests."""
        return self.bids if side == "buy" else self.asks

    def facing(self, side: OrderSide) -> BookHalf:
        """The side against which such an order trades."""
        return self.asks if side == "buy" else self.bids
