"""One pair's market: its rules, its book in ticks and lots, its public trades, and the way back to decimals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import islice

from aether.domain.values import MONEY
from aether.sim.account import WorkingOrder
from aether.sim.fees import most_of
from aether.sim.order_book import CROWD, BookHalf, OrderBook
from aether.sim.records import BookSide, Event, LevelChanged, OrderSide, PairRules, PublicTrade, TakerKind
from aether.sim.triggers import TriggerBench

PUBLIC_TRADES_KEPT = 1000  # Kraken docs, Get Recent Trades: at most 1000 rows


class PairMarket:
    """Book and public record of one pair. `tell` receives public events in order."""

    __slots__ = (
        *("_before", "_tell", "bench", "book", "book_changes", "last_ticks"),
        *("public_trades", "resting", "rules", "trade_count", "unheard"),
    )

    def __init__(self, rules: PairRules, tell: Callable[[Event], None]) -> None:
        self.rules = rules
        self.book = OrderBook()
        self.resting: dict[str, WorkingOrder] = {}  # accounts' orders in the book
        self.bench = TriggerBench()
        self.unheard: deque[int] = deque()  # prices of trades that the bench has not heard yet
        self.last_ticks: int | None = None
        self.trade_count = 0
        self.book_changes = 0  # how often the public book was told anew
        self.public_trades: deque[PublicTrade] = deque(maxlen=PUBLIC_TRADES_KEPT)
        self._tell = tell
        self._before: dict[tuple[BookSide, int], int] = {}

    def price(self, ticks: int) -> Decimal:
        """Dollars for so many ticks."""
        return Decimal(ticks).scaleb(-self.rules.price_decimals)

    def qty(self, lots: int) -> Decimal:
        """Coins for so many lots."""
        return Decimal(lots).scaleb(-self.rules.qty_decimals)

    def ticks(self, price: Decimal) -> int | None:
        """A price in ticks, None where it is off the tick."""
        return _whole(price, self.rules.price_decimals)

    def lots(self, qty: Decimal) -> int | None:
        """A quantity in lots, None where it is off the lot."""
        return _whole(qty, self.rules.qty_decimals)

    def on_grid(self, price: Decimal, qty: Decimal) -> tuple[int, int]:
        """Price and quantity of the crowd in ticks and lots: whoever speaks for it keeps to the pair's rules."""
        ticks, lots = self.ticks(price), self.lots(qty)
        assert ticks is not None, f"{price} is off the tick of {self.rules.name}"
        assert lots is not None, f"{qty} is off the lot of {self.rules.name}"
        assert ticks > 0 <= lots, f"{price} and {qty}"
        return ticks, lots

    def begin_anew(self, rules: PairRules, at_ns: int) -> None:
        """Take over rules with other digits. The book is empty then: its ticks and lots were the old ones."""
        for half in (self.book.bids, self.book.asks):
            for ticks, _ in half.levels():
                self._touch(half, ticks)
        self.book = OrderBook()
        self.tell_levels(at_ns)
        last = None if self.last_ticks is None else self.price(self.last_ticks)
        self.rules = rules
        self.last_ticks = None if last is None else self.ticks(last)

    def rest(self, half: BookHalf, order_id: str, ticks: int, lots: int) -> None:
        """Put lots into the book, at the end of their price's queue."""
        self._touch(half, ticks)
        half.add(order_id, ticks, lots)

    def reduce(self, half: BookHalf, order_id: str, ticks: int, by_lots: int) -> None:
        """Take lots off a resting order."""
        self._touch(half, ticks)
        half.reduce(order_id, ticks, by_lots)

    def set_crowd(self, half: BookHalf, ticks: int, lots: int) -> None:
        """Make the crowd's own quantity here `lots`; less keeps its place in the queue, more goes to its end."""
        held = half.order_lots(ticks, CROWD)
        if lots == held:
            return
        if lots < held:
            self.reduce(half, CROWD, ticks, held - lots)
            return
        if held:
            self.reduce(half, CROWD, ticks, held)
        self.rest(half, CROWD, ticks, lots)

    def withdraw_crowd(self, half: BookHalf, limit_ticks: int, *, also_at_limit: bool) -> None:
        """Take away the crowd's own levels that an order of the other side at this limit would reach."""
        reached = []
        for ticks, _ in half.levels():
            if half.is_better(limit_ticks, ticks) or (ticks == limit_ticks and not also_at_limit):
                break
            reached.append(ticks)
        for ticks in reached:
            self.set_crowd(half, ticks, 0)

    def record_trade(self, side: OrderSide, ticks: int, lots: int, order_type: TakerKind, at_ns: int) -> PublicTrade:
        """Number a trade and tell everybody. `side` and `order_type` are the taker's."""
        self.trade_count += 1
        self.last_ticks = ticks
        if self.bench:
            self.unheard.append(ticks)
        trade = PublicTrade(
            self.rules.name, side, self.price(ticks), self.qty(lots), order_type, self.trade_count, at_ns
        )
        self.public_trades.append(trade)
        self._tell(trade)
        return trade

    def tell_levels(self, at_ns: int) -> None:
        """Tell each level whose quantity is another than at the last call."""
        if not self._before:
            return
        self.book_changes += 1
        for (side, ticks), before in self._before.items():
            now = self.book.half(side).lots_at(ticks)
            if now != before:
                self._tell(LevelChanged(self.rules.name, side, self.price(ticks), self.qty(now), at_ns))
        self._before = {}

    def levels(self, half: BookHalf, depth: int) -> tuple[tuple[Decimal, Decimal], ...]:
        """Aggregated levels of one side, best first."""
        return tuple((self.price(ticks), self.qty(lots)) for ticks, lots in islice(half.levels(), depth))

    def most_for(self, working: WorkingOrder) -> Decimal:
        """The most that an order can take to buy from the book as it is, hidden parts too, cost and fees rounded up."""
        total, lots, taker_percent = Decimal(0), working.lots_left, working.taker_percent
        for order_id, ticks, shown in self.book.asks.orders():
            if lots == 0 or ticks > working.ticks:
                break
            maker = self.resting.get(order_id)
            if maker and maker.owner is working.owner:
                if working.order.self_trade != "cancel_oldest":
                    break
                continue
            part = min(lots, maker.lots_left if maker else shown)
            lots -= part
            decimals = self.rules.cost_decimals
            total = MONEY.add(total, most_of(self.price(ticks), self.qty(part), taker_percent, decimals))
        return total

    def _touch(self, half: BookHalf, ticks: int) -> None:
        key = (half.side, ticks)
        if key not in self._before:
            self._before[key] = half.lots_at(ticks)


class RulesOf(Mapping[str, PairRules]):
    """The rules of all pairs as they are at each look."""

    def __init__(self, markets: Mapping[str, PairMarket]) -> None:
        self._markets = markets

    def __getitem__(self, name: str) -> PairRules:
        return self._markets[name].rules

    def __contains__(self, name: object) -> bool:
        return name in self._markets

    def __iter__(self) -> Iterator[str]:
        return iter(self._markets)

    def __len__(self) -> int:
        return len(self._markets)


def _whole(value: Decimal, decimals: int) -> int | None:
    scaled = MONEY.scaleb(value, decimals)
    whole = int(scaled)
    return whole if whole == scaled else None
