"""What an answer proves of what we asked. A yes and a no must be clear: all between is unknown, and looked for.

An error beside a success or an order's id proves neither. Source: Kraken docs, WebSocket v2 trading methods, error
messages; where documents, clients and live frames differ on an answer's shape, each shape is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from aether.domain.effects import AmendOrder, CancelBatch, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.inputs import (
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAnswered,
    DeadManAnswered,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.kraken.messages import Answer, AnswerRow
from aether.kraken.private_wire import trigger_ns
from aether.kraken.refusals import Refusal, RefusalClass
from aether.kraken.shapes import Raw, Whole
from aether.kraken.strict_json import decode

SubmitOutcome = SubmitAccepted | SubmitRefused | SubmitUnknown


def is_clear_no(answer: Answer, refusal: Refusal) -> bool:
    """Certainly not executed: an error alone, of a text that proves it."""
    return answer.is_no and refusal.kind is not RefusalClass.UNKNOWN


def submit_outcome(order: SubmitOrder, answer: Answer, refusal: Refusal) -> SubmitOutcome:
    """Outcome of one order."""
    if answer.is_yes and answer.order_id and answer.cl_ord_id in ("", order.cl_ord_id):
        return SubmitAccepted(order.cl_ord_id, answer.order_id)
    if is_clear_no(answer, refusal):
        return SubmitRefused(order.cl_ord_id, refusal.code, answer.error)
    return SubmitUnknown(order.cl_ord_id, answer.error or "the answer names no order, or another one")


def batch_outcomes(batch: SubmitBatch, answer: Answer, refusal: Refusal) -> tuple[SubmitOutcome, ...]:
    """Outcomes of a batch's orders, in their order.

    A clear no to the whole batch refuses each of them. A row without an order's id proves nothing, whatever its error:
    how Kraken tells that one order failed in the engine is documented nowhere, so it is looked for.
    """
    if is_clear_no(answer, refusal):
        return tuple(SubmitRefused(order.cl_ord_id, refusal.code, answer.error) for order in batch.orders)
    rows = answer.rows if answer.is_yes and len(answer.rows) == len(batch.orders) else ()
    if len({row.order_id for row in rows if row.order_id}) != sum(1 for row in rows if row.order_id):
        rows = ()  # two orders of one id: the answer is of something else
    if not rows:
        why = answer.error or f"{len(answer.rows)} rows for {len(batch.orders)} orders"
        return tuple(SubmitUnknown(order.cl_ord_id, why) for order in batch.orders)
    return tuple(_row_outcome(order, row) for order, row in zip(batch.orders, rows, strict=True))


def amend_outcome(amend: AmendOrder, answer: Answer, refusal: Refusal) -> AmendAccepted | AmendRefused | AmendUnknown:
    """Outcome of an amend: a yes that names another order, or no amend, proves nothing."""
    is_ours = answer.order_id in ("", amend.order_id) or not amend.order_id
    if answer.is_yes and answer.amend_id and is_ours and answer.cl_ord_id in ("", amend.cl_ord_id):
        return AmendAccepted(amend.cl_ord_id, answer.amend_id)
    if is_clear_no(answer, refusal):
        return AmendRefused(amend.cl_ord_id, refusal.code, answer.error)
    return AmendUnknown(amend.cl_ord_id, answer.error or "the answer names no amend, or another order")


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer to what stops, from either road: done only where it is a clear yes.

    `count` is how many orders were cancelled, `trigger_ns` when the dead man's switch fires; None where not told.
    """

    is_done: bool
    text: str
    count: int | None = None
    trigger_ns: int | None = None


class _StoppedShape(msgspec.Struct):
    count: Whole | None = None
    current_time: str = msgspec.field(default="", name="currentTime")
    trigger_time: str = msgspec.field(default="", name="triggerTime")


_STOPPED = msgspec.json.Decoder(_StoppedShape)


def stopped_by_answer(answer: Answer) -> Stopped:
    """What the socket said."""
    return Stopped(answer.is_yes, answer.error, answer.count, answer.trigger_ns)


def stopped_by_result(result: Raw | bytes) -> Stopped:
    """What REST said, whose result stands alone where there is no error. Raises Unreadable."""
    told: _StoppedShape = decode(_STOPPED, result)
    return Stopped(is_done=True, text="", count=told.count, trigger_ns=trigger_ns(told.current_time, told.trigger_time))


def cancels_answered(batch: CancelBatch, stopped: Stopped) -> tuple[CancelAnswered, ...]:
    """One answer for each cancel. Kraken tells their number alone: fewer than asked says nothing of any one of them."""
    is_done = stopped.is_done and stopped.count == len(batch.cancels)
    told = "how many were cancelled was not told" if stopped.count is None else f"{stopped.count} were cancelled"
    text = "" if is_done else stopped.text or f"{told}, of {len(batch.cancels)}"
    return tuple(CancelAnswered(cancel.cl_ord_id, is_done, text) for cancel in batch.cancels)


def dead_man_answered(dead_man: SetDeadMan, stopped: Stopped) -> DeadManAnswered:
    """A switch that was set must name its time; one that was switched off must name none, or none that lies ahead."""
    told = stopped.trigger_ns is not None
    is_done = stopped.is_done and told is bool(dead_man.timeout_s)
    text = stopped.text or ("" if is_done else "the answer says that it is " + ("armed" if told else "off"))
    return DeadManAnswered(dead_man.timeout_s, is_done, stopped.trigger_ns, text)


def _row_outcome(order: SubmitOrder, row: AnswerRow) -> SubmitOutcome:
    if row.order_id and not row.error and row.cl_ord_id in ("", order.cl_ord_id):
        return SubmitAccepted(order.cl_ord_id, row.order_id)
    return SubmitUnknown(order.cl_ord_id, row.error or "the row names no order, or another one")
