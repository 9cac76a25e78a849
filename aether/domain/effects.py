"""All that can be asked of the world. Nothing here leaves before the fact beside it is on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TypeAlias

from aether.domain.errors import InvariantBroken
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, PriceType, SelfTrade, TimeInForce, Trigger
from aether.domain.values import MONEY, NANOS_PER_S, Price, Qty, Symbol

# Kraken docs: Add Order (an iceberg shows at least a fifteenth), batch_add, batch_cancel, cancel_all_orders_after.
DISPLAY_PARTS_MAX = 15
BATCH_ORDERS = range(2, 16)
BATCH_CANCELS = range(2, 51)
DEAD_MAN_S = range(86_400)


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Place this order once. `deadline_ns` is in the venue's time; it must refuse the order when it comes later.

    `limit_price` is there where the type has one, `trigger` where the type waits for a price; `display_qty` in coins is
    what an iceberg shows, and `expire_ns` (venue time, whole seconds) when a GTD order ends.

    Raises:
        InvariantBroken: a combination that Kraken knows not (Kraken docs, Add Order): such an order must never be made.
    """

    cl_ord_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    qty: Qty
    limit_price: Price | None
    deadline_ns: int
    trigger: Trigger | None = None
    display_qty: Qty | None = None
    expire_ns: int | None = None
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST

    def __post_init__(self) -> None:
        fault = _price_fault(self) or _lifetime_fault(self) or _display_fault(self)
        if fault:
            raise InvariantBroken(f"{self.cl_ord_id}: {fault}")


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel this order; safe to repeat."""

    cl_ord_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """Change an open order in place: from `before`, as the venue has it now, to `after`; it keeps both its ids.

    Its place in the queue is kept where the quantity falls or only the shown part or the trigger moves (Kraken docs,
    Spot atomic amends). `after.qty` is the new total, filled part included. `deadline_ns` is the amend's own.

    Raises:
        InvariantBroken: nothing differs, or something that cannot be amended does.
    """

    before: SubmitOrder
    after: SubmitOrder
    order_id: str
    strategy: str
    deadline_ns: int

    def __post_init__(self) -> None:
        changed = {f.name for f in fields(SubmitOrder) if getattr(self.before, f.name) != getattr(self.after, f.name)}
        if not changed or changed - _AMENDABLE:
            raise InvariantBroken(f"{self.cl_ord_id}: an amend of {sorted(changed) or 'nothing'}")
        old, new = self.before.trigger, self.after.trigger
        if old is not None and new is not None and old.reference is not new.reference:
            raise InvariantBroken(f"{self.cl_ord_id}: a trigger's reference cannot be amended")

    @property
    def cl_ord_id(self) -> str:
        """Our id of the order."""
        return self.before.cl_ord_id

    @property
    def symbol(self) -> Symbol:
        """The order's pair."""
        return self.before.symbol

    @property
    def raises_risk(self) -> bool:
        """More coins, a worse limit, or a trigger that fires at another price: as much a new risk as a new order."""
        old, new = self.before, self.after
        if new.qty > old.qty or new.trigger != old.trigger:
            return True
        if old.limit_price is None or new.limit_price is None:
            return False
        return new.limit_price > old.limit_price if new.side is Side.BUY else new.limit_price < old.limit_price


@dataclass(frozen=True, slots=True)
class SubmitBatch:
    """Place 2 to 15 orders of one symbol in one request, each of them once; they share one deadline.

    Raises:
        InvariantBroken: another number of orders, two symbols, two deadlines, or one id twice.
    """

    orders: tuple[SubmitOrder, ...]

    def __post_init__(self) -> None:
        ids = {order.cl_ord_id for order in self.orders}
        shared = {(order.symbol, order.deadline_ns) for order in self.orders}
        if len(self.orders) not in BATCH_ORDERS or len(ids) != len(self.orders) or len(shared) != 1:
            raise InvariantBroken(
                f"a batch of {len(self.orders)} orders, {len(ids)} ids, {len(shared)} symbols or times"
            )

    @property
    def symbol(self) -> Symbol:
        """The pair of all of them."""
        return self.orders[0].symbol


@dataclass(frozen=True, slots=True)
class CancelBatch:
    """Cancel 2 to 50 orders in one request; safe to repeat. Raises InvariantBroken for another number of them."""

    cancels: tuple[CancelOrder, ...]

    def __post_init__(self) -> None:
        if len(self.cancels) not in BATCH_CANCELS:
            raise InvariantBroken(f"a batch of {len(self.cancels)} cancels")


@dataclass(frozen=True, slots=True)
class CancelAllOrders:
    """Cancel every open order of the account, those that people placed beside us too; safe to repeat."""


@dataclass(frozen=True, slots=True)
class SetDeadMan:
    """Let the venue cancel every order of the account unless this is asked again within `timeout_s`; 0 ends that.

    Raises:
        InvariantBroken: a time that Kraken would not take (a day or more).
    """

    timeout_s: int

    def __post_init__(self) -> None:
        if self.timeout_s not in DEAD_MAN_S:
            raise InvariantBroken(f"a dead man's switch of {self.timeout_s} s")


@dataclass(frozen=True, slots=True)
class AskAccount:
    """Take the venue's account: balances, open orders, and what happened to orders since `since_ns` (venue time).

    `with_ledgers` asks for the rows of the venue's ledger since then too, which costs more of its patience.
    """

    why: str
    since_ns: int
    with_ledgers: bool = False


Effect: TypeAlias = (
    SubmitOrder | CancelOrder | AmendOrder | SubmitBatch | CancelBatch | CancelAllOrders | SetDeadMan | AskAccount
)

_AMENDABLE = frozenset({"qty", "limit_price", "trigger", "display_qty"})


def _price_fault(order: SubmitOrder) -> str:
    kind, trigger = order.order_type, order.trigger
    if kind.has_limit_price is not (order.limit_price is not None):
        return f"a {kind} order with limit price {order.limit_price}"
    if kind.has_trigger is not (trigger is not None):
        return f"a {kind} order with trigger {trigger}"
    if trigger is None:
        return ""
    if (kind is OrderType.TRAILING_STOP_LIMIT) is not (trigger.limit_offset is not None):
        return f"a {kind} order with limit offset {trigger.limit_offset}"
    if kind.is_trailing and (trigger.price_type is PriceType.STATIC or trigger.price < 0):
        return f"a {kind} order trails at a positive distance, not {trigger.price} {trigger.price_type}"
    return ""


def _lifetime_fault(order: SubmitOrder) -> str:
    """FOK is documented for limit orders alone, and an order that never rests has no business being an iceberg."""
    kind, lives = order.order_type, order.time_in_force
    if lives in (TimeInForce.IOC, TimeInForce.FOK) and (kind is not OrderType.LIMIT or order.post_only):
        return f"a {kind} order cannot be {lives}" if kind is not OrderType.LIMIT else f"post-only cannot be {lives}"
    if kind is OrderType.MARKET and lives is not TimeInForce.GTC:
        return f"a market order has no time in force, was {lives}"
    if order.post_only and kind is not OrderType.LIMIT:
        return f"a {kind} order cannot be post-only"
    if (lives is TimeInForce.GTD) is not (order.expire_ns is not None):
        return f"a {lives} order with expiry {order.expire_ns}"
    if order.expire_ns is not None and (order.expire_ns % NANOS_PER_S or order.expire_ns < order.deadline_ns):
        return f"expiry {order.expire_ns} is no whole second from the deadline on"
    return ""


def _display_fault(order: SubmitOrder) -> str:
    shown = order.display_qty
    if (order.order_type is OrderType.ICEBERG) is not (shown is not None):
        return f"a {order.order_type} order that shows {shown}"
    if shown is not None and not order.qty.coins <= MONEY.multiply(shown.coins, Decimal(DISPLAY_PARTS_MAX)):
        return f"an iceberg of {order.qty} shows only {shown}"
    if shown is not None and shown > order.qty:
        return f"an iceberg of {order.qty} shows {shown}"
    return ""
