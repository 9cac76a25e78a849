"""One account at the made Kraken: balances, holds, ledger, trades and orders. Sums are exact at every moment."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, replace
from decimal import Decimal

from aether.domain.values import MONEY
from aether.sim.fees import VOLUME_WINDOW_NS
from aether.sim.records import (
    LIMIT_KINDS,
    AmendRecord,
    ExchangeRefusal,
    LedgerEntry,
    Order,
    OrderStatus,
    TakerKind,
    Trade,
)

_ZERO = Decimal(0)

# Kraken docs, Client order identifiers: UUID with dashes, or 32 hexadecimal digits.
LONG_CL_ORD_ID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"


def cl_ord_id_key(text: str) -> str:
    """What a client order id is known by. A UUID, with dashes or without and in either case, is one 128-bit number.

    Shorter ids are free text, and stay as they are (Kraken docs, Client order identifiers).
    """
    return text.replace("-", "").lower() if re.fullmatch(LONG_CL_ORD_ID, text) else text


@dataclass(slots=True)
class WorkingOrder:
    """An order that the exchange works on: its picture, what is left in lots, what is held for it, and its rates.

    `ticks` is its limit; of a market order its protection price, or while it waits the price that its hold is counted
    at. `shown_lots` of it stand in the book; an iceberg shows at most `display_lots`, any other order all. While
    `is_waiting`, for its time or for its `trigger_ticks`, it stands in no book.
    """

    owner: Account
    order: Order
    ticks: int
    lots_left: int
    taker_percent: Decimal
    maker_percent: Decimal
    hold_asset: str
    hold: Decimal = _ZERO
    display_lots: int = 0
    shown_lots: int = 0
    trigger_ticks: int = 0
    peak_ticks: int = 0
    is_waiting: bool = False

    @property
    def order_id(self) -> str:
        """Kraken's id of the order."""
        return self.order.order_id

    @property
    def executes_as(self) -> TakerKind:
        """How it trades once it is live."""
        return "limit" if self.order.order_type in LIMIT_KINDS else "market"

    def become(self, status: OrderStatus) -> Order:
        """Take another status; the new picture."""
        self.order = replace(self.order, status=status)
        return self.order

    def next_shown(self) -> int:
        """How many lots it may stand with in the book."""
        return min(self.display_lots, self.lots_left) if self.display_lots else self.lots_left

    def count(self, trade: Trade) -> Order:
        """Add one fill to the totals; the new picture."""
        order = self.order
        self.order = replace(
            order,
            status="partially_filled",
            cum_qty=MONEY.add(order.cum_qty, trade.qty),
            cum_cost=MONEY.add(order.cum_cost, trade.cost),
            cum_fee=MONEY.add(order.cum_fee, trade.fee),
            trade_ids=(*order.trade_ids, trade.exec_id),
        )
        return self.order

    def close(self, status: OrderStatus, reason: str, at_ns: int) -> Order:
        """End the order; its last picture."""
        self.order = replace(self.order, status=status, reason=reason, closed_ns=at_ns)
        return self.order


class Account:
    """Money and orders of one client."""

    __slots__ = (
        "_by_cl_ord_id",
        "_volume",
        "_volume_parts",
        "amends",
        "closed",
        "held",
        "ledger",
        "name",
        "open",
        "open_in_pair",
        "orders",
        "totals",
        "trades",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.totals: dict[str, Decimal] = {}
        self.held: dict[str, Decimal] = {}
        self.open: dict[str, WorkingOrder] = {}
        self.open_in_pair: Counter[str] = Counter()
        self.orders: dict[str, Order] = {}  # closed ones only, by order id
        self.amends: dict[str, list[AmendRecord]] = {}  # of orders that were changed, by order id
        self.closed: list[Order] = []
        self.trades: list[Trade] = []
        self.ledger: list[LedgerEntry] = []
        self._by_cl_ord_id: dict[str, str] = {}
        self._volume = _ZERO
        self._volume_parts: deque[tuple[int, Decimal]] = deque()

    def total(self, asset: str) -> Decimal:
        """All of an asset."""
        return self.totals.get(asset, _ZERO)

    def free(self, asset: str) -> Decimal:
        """What is not held for open orders."""
        return MONEY.subtract(self.total(asset), self.held.get(asset, _ZERO))

    def post(self, entry: LedgerEntry) -> None:
        """Take over a ledger row that was made for the present balance."""
        expected = MONEY.subtract(MONEY.add(self.total(entry.asset), entry.amount), entry.fee)
        assert entry.balance == expected >= 0, f"{self.name}: {entry} after {self.total(entry.asset)}"
        self.totals[entry.asset] = entry.balance
        self.ledger.append(entry)

    def shift(self, asset: str, amount: Decimal) -> None:
        """Change a balance behind the ledger's back. Raises ExchangeRefusal where less is free than would go."""
        if MONEY.add(self.free(asset), amount) < 0:
            raise ExchangeRefusal("EFunding:Insufficient funds")
        self.totals[asset] = MONEY.add(self.total(asset), amount)

    def set_hold(self, working: WorkingOrder, amount: Decimal) -> None:
        """Hold so much for an order instead of what was held."""
        asset = working.hold_asset
        change = MONEY.subtract(amount, working.hold)
        self.held[asset] = MONEY.add(self.held.get(asset, _ZERO), change)
        working.hold = amount

    def admit(self, working: WorkingOrder) -> None:
        """Count an order among the open ones."""
        self.open[working.order_id] = working
        self.open_in_pair[working.order.pair] += 1
        if working.order.cl_ord_id is not None:
            self._by_cl_ord_id[cl_ord_id_key(working.order.cl_ord_id)] = working.order_id

    def dismiss(self, working: WorkingOrder) -> None:
        """Count a closed order among the closed ones and free what it held."""
        self.set_hold(working, _ZERO)
        del self.open[working.order_id]
        self.open_in_pair[working.order.pair] -= 1
        self.orders[working.order_id] = working.order
        self.closed.append(working.order)

    def find(self, order_id: str) -> Order | None:
        """An order by Kraken's id."""
        working = self.open.get(order_id)
        return working.order if working else self.orders.get(order_id)

    def find_by_cl_ord_id(self, cl_ord_id: str) -> Order | None:
        """The order that bore this id last; an open one keeps others from bearing it."""
        order_id = self._by_cl_ord_id.get(cl_ord_id_key(cl_ord_id))
        return self.find(order_id) if order_id else None

    def add_trade(self, trade: Trade) -> None:
        """Keep a trade and count its dollars as volume."""
        self.trades.append(trade)
        self._volume_parts.append((trade.at_ns, trade.cost))
        self._volume = MONEY.add(self._volume, trade.cost)

    def volume_30d(self, now_ns: int) -> Decimal:
        """Dollars traded in the last 30 days."""
        while self._volume_parts and self._volume_parts[0][0] <= now_ns - VOLUME_WINDOW_NS:
            self._volume = MONEY.subtract(self._volume, self._volume_parts.popleft()[1])
        return self._volume
