"""What channel `executions` tells of our orders. Its updates are deltas: what was said before is remembered by order.

Source: Kraken docs, WebSocket v2 executions: symbol, side and prices come only in the snapshot, in `pending_new` and in
`trade` records; money is counted from `trade` records alone, and `filled` repeats totals.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields, replace
from typing import Any

from aether.domain.inputs import FillReported, Input, OrderReported, PrivateMalformed
from aether.domain.instruments import Side
from aether.domain.orders import Execution, OrderReport, OrderTerms, TriggerReport
from aether.domain.values import Price, Qty, Symbol
from aether.kraken.messages import ExecutionRecord, ExecutionsRead

ORDERS_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    cl_ord_id: str | None = None
    name: str = ""
    symbol: Symbol | None = None
    side: Side | None = None
    qty: Qty | None = None
    limit_price: Price | None = None
    terms: OrderTerms | None = None
    is_margin: bool = False  # said once, in the first record: it holds for all that follow
    is_ended: bool = False


class OrderStates:
    """Orders as the stream told them; deterministic, no I/O. Ended ones are remembered too, for late fills."""

    __slots__ = ("_known", "_live")

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._live: dict[str, None] = {}

    @property
    def live_cl_ord_ids(self) -> tuple[str, ...]:
        """Our ids of the orders that this connection's stream showed alive."""
        ids = (self._known.get(order_id, _Known()).cl_ord_id for order_id in self._live)
        return tuple(cl_ord_id for cl_ord_id in ids if cl_ord_id is not None)

    def cl_ord_id(self, order_id: str) -> str | None:
        """Our id of an order, where it was ever told."""
        return self._known.get(order_id, _Known()).cl_ord_id

    def symbol(self, order_id: str) -> Symbol | None:
        """Pair of an order, where it was ever told and is ours."""
        return self._known.get(order_id, _Known()).symbol

    def has_ended(self, order_id: str) -> bool:
        """Whether the stream told this order's end: nothing makes it live again."""
        return self._known.get(order_id, _Known()).is_ended

    def learn(self, order_id: str, cl_ord_id: str) -> None:
        """An answer told which order of Kraken's is which of ours."""
        self._remember(order_id, replace(self._known.get(order_id, _Known()), cl_ord_id=cl_ord_id))

    def forget_live(self) -> None:
        """The connection is gone: what lives is told anew by the next snapshot."""
        self._live.clear()

    def take(self, read: ExecutionsRead) -> list[Input]:
        """Inputs of one frame, in its order: a fill stands before the state that it led to.

        In a snapshot the states come first: they tell what an order was amended to, which its fills are measured by.
        """
        inputs: list[Input] = []
        records = read.records
        if read.is_snapshot:
            records = tuple(sorted(records, key=lambda record: record.fill is not None))
        for record in records:
            inputs += self._take_record(record, is_snapshot=read.is_snapshot)
        inputs += [PrivateMalformed(f"{malformed.what}: {malformed.why}") for malformed in read.malformed]
        return inputs

    def _take_record(self, record: ExecutionRecord, *, is_snapshot: bool) -> list[Input]:
        known = self._merged(record)
        self._remember(record.order_id, known)
        if record.fill is None:
            return [self._report(record, known)]
        execution = _execution(record, known)
        if execution is None:
            return [PrivateMalformed(f"fill {record.fill.exec_id} of {record.order_id} has no side")]
        if is_snapshot:  # fills of the past: their orders' states are told by their own records
            return [FillReported(execution, "snapshot")]
        return [FillReported(execution, "executions"), self._report(record, known)]

    def _merged(self, record: ExecutionRecord) -> _Known:
        before = self._known.get(record.order_id, _Known())
        is_margin = record.is_margin or before.is_margin
        symbol = record.symbol if record.name else before.symbol
        return _Known(
            cl_ord_id=record.cl_ord_id or before.cl_ord_id,
            name=record.name or before.name,
            symbol=None if is_margin else symbol,
            side=record.side or before.side,
            qty=record.qty or before.qty,
            limit_price=record.limit_price or before.limit_price,
            terms=record.terms if before.terms is None else _overlaid(before.terms, record.terms),
            is_margin=is_margin,
            is_ended=record.status.is_terminal or before.is_ended,
        )

    def _report(self, record: ExecutionRecord, known: _Known) -> OrderReported:
        if known.is_ended:
            self._live.pop(record.order_id, None)
        else:
            self._live[record.order_id] = None
        report = OrderReport(
            order_id=record.order_id,
            cl_ord_id=known.cl_ord_id,
            name=known.name,
            symbol=known.symbol,
            side=known.side,
            qty=known.qty,
            limit_price=known.limit_price,
            status=record.status,
            cum_qty=record.cum_qty,
            reason="margin" if known.is_margin else record.reason,
            venue_ns=record.venue_ns,
            terms=known.terms,
        )
        return OrderReported(report, "executions")

    def _remember(self, order_id: str, known: _Known) -> None:
        self._known[order_id] = known
        self._known.move_to_end(order_id)
        while len(self._known) > ORDERS_REMEMBERED:
            oldest, _ = self._known.popitem(last=False)
            self._live.pop(oldest, None)


def _overlaid(before: OrderTerms, told: OrderTerms) -> OrderTerms:
    """What was said before, but for what is said now. What was amended once stays so."""
    trigger = told.trigger
    if trigger is not None and before.trigger is not None:
        trigger = TriggerReport(**_latest(before.trigger, trigger))
    return OrderTerms(
        **_latest(before, replace(told, trigger=trigger, is_amended=told.is_amended or before.is_amended))
    )


def _latest(before: OrderTerms | TriggerReport, told: OrderTerms | TriggerReport) -> dict[str, Any]:
    names = (field.name for field in fields(before))
    return {name: getattr(before if getattr(told, name) is None else told, name) for name in names}


def _execution(record: ExecutionRecord, known: _Known) -> Execution | None:
    if record.fill is None or known.side is None:
        return None
    return Execution(
        exec_id=record.fill.exec_id,
        order_id=record.order_id,
        cl_ord_id=known.cl_ord_id,
        name=known.name,
        symbol=known.symbol,
        side=known.side,
        qty=record.fill.qty,
        price=record.fill.price,
        cost=record.fill.cost,
        fees=record.fill.fees,
        liquidity=record.fill.liquidity,
        venue_ns=record.venue_ns,
    )
