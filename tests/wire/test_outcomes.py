"""What an answer proves. Whatever is no clear yes and no clear no is unknown."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import AmendOrder, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
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
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty
from aether.kraken.messages import Answer
from aether.kraken.outcomes import (
    Stopped,
    amend_outcome,
    batch_outcomes,
    cancels_answered,
    dead_man_answered,
    stopped_by_answer,
    stopped_by_result,
    submit_outcome,
)
from aether.kraken.refusals import classify
from aether.kraken.strict_json import Unreadable
from aether.kraken.wire import Reader

ORDER = SubmitOrder(
    cl_ord_id="a1",
    symbol=recall("BTC/USD"),
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=False,
    qty=Qty(Decimal(1)),
    limit_price=Price(Decimal(100)),
    deadline_ns=0,
)
BATCH = SubmitBatch((ORDER, replace(ORDER, cl_ord_id="a2")))
AMEND = AmendOrder(ORDER, replace(ORDER, qty=Qty(Decimal(2))), "O1", "trend", 0)
FUNDS = "EOrder:Insufficient funds"


def answer(said: str) -> Answer:
    read = Reader(recall).read(f'{{"method":"x","req_id":1,{said}}}'.encode())
    assert isinstance(read, Answer), read
    return read


def error(text: str) -> str:
    return f'"success":false,"error":"{text}"'


# What proves nothing of an order, whatever the method: by the row of the fault that it shows.
UNCLEAR = [
    pytest.param(error("EService:Unavailable"), id="c09 unavailable"),
    pytest.param(error("EService:Busy"), id="c09 busy"),
    pytest.param(error("EService:Timeout"), id="c09 timeout"),
    pytest.param(error("EGeneral:Internal error"), id="c10 internal error"),
    pytest.param(error("EService:Deadline elapsed"), id="deadline elapsed"),
    pytest.param(f'"success":true,"error":"{FUNDS}"', id="c15 a yes with an error"),
    pytest.param(f'"success":false,"error":"{FUNDS}","result":{{"order_id":"O1"}}', id="c15 an error with a result"),
    pytest.param(error("EOrder"), id="c16 half a text"),
    pytest.param(error("ENew:Thing"), id="c16 a text never seen"),
    pytest.param('"success":false', id="c17 a no without a word"),
    pytest.param('"success":true,"result":"{}"', id="c17 json inside a string"),
    pytest.param('"success":true', id="c17 nothing said"),
]


@pytest.mark.parametrize("said", UNCLEAR)
def test_c09_c10_c15_c16_c17_what_is_not_clear_is_unknown_for_whatever_was_asked(said: str) -> None:
    told = answer(said)
    refusal = classify(told.error)

    assert isinstance(submit_outcome(ORDER, told, refusal), SubmitUnknown)
    assert [type(outcome) for outcome in batch_outcomes(BATCH, told, refusal)] == [SubmitUnknown] * 2
    assert isinstance(amend_outcome(AMEND, told, refusal), AmendUnknown)


def test_a_clear_no_refuses_all_that_was_asked() -> None:
    told = answer(error(FUNDS))
    refusal = classify(told.error)

    assert submit_outcome(ORDER, told, refusal) == SubmitRefused("a1", "venue_funds", FUNDS)
    assert batch_outcomes(BATCH, told, refusal) == (
        SubmitRefused("a1", "venue_funds", FUNDS),
        SubmitRefused("a2", "venue_funds", FUNDS),
    )
    assert amend_outcome(AMEND, told, refusal) == AmendRefused("a1", "venue_funds", FUNDS)


# --- batches ------------------------------------------------------------------------------------------------------

TAKEN = SubmitAccepted("a1", "O1")


@pytest.mark.parametrize("shape", ["[%s]", '{"orders":[%s]}'])
@pytest.mark.parametrize(
    ("rows", "outcomes"),
    [
        ('{"order_id":"O1"},{"order_id":"O2"}', (TAKEN, SubmitAccepted("a2", "O2"))),
        ('{"order_id":"O1","cl_ord_id":"a1"},{"order_id":"O2","cl_ord_id":"a2"}', (TAKEN, SubmitAccepted("a2", "O2"))),
        (f'{{"order_id":"O1"}},{{"error":"{FUNDS}"}}', (TAKEN, SubmitUnknown("a2", FUNDS))),
        (
            f'{{"order_id":"O1"}},{{"order_id":"O2","error":"{FUNDS}","success":false}}',
            (TAKEN, SubmitUnknown("a2", FUNDS)),
        ),
    ],
)
def test_each_row_of_a_batch_speaks_for_its_own_order(rows: str, outcomes: Any, shape: str) -> None:
    told = answer(f'"success":true,"result":{shape % rows}')

    assert batch_outcomes(BATCH, told, classify("")) == outcomes


@pytest.mark.parametrize(
    "rows",
    [
        '{"order_id":"O1"}',
        '{"order_id":"O1"},{"order_id":"O2"},{"order_id":"O3"}',
        '{"order_id":"O1"},{"order_id":"O1"}',
        '{"order_id":"O1","cl_ord_id":"a2"},{"order_id":"O2","cl_ord_id":"a1"}',
        "{},{}",
        "",
    ],
)
def test_rows_that_do_not_fit_the_orders_prove_nothing(rows: str) -> None:
    told = answer(f'"success":true,"result":[{rows}]')

    assert [type(outcome) for outcome in batch_outcomes(BATCH, told, classify(""))] == [SubmitUnknown] * 2


# --- amends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "is_ours"),
    [
        ('{"amend_id":"TA","order_id":"O1"}', True),
        ('{"amend_id":"TA","order_id":"O1","cl_ord_id":"a1"}', True),
        ('{"amend_id":"TA"}', True),
        ('{"amend_id":"TA","order_id":"O9"}', False),
        ('{"amend_id":"TA","cl_ord_id":"a9"}', False),
        ('{"order_id":"O1"}', False),
    ],
)
def test_an_amend_is_done_where_the_answer_names_it_and_no_other_order(result: str, *, is_ours: bool) -> None:
    outcome = amend_outcome(AMEND, answer(f'"success":true,"result":{result}'), classify(""))

    assert outcome == AmendAccepted("a1", "TA") if is_ours else isinstance(outcome, AmendUnknown)


# --- what stops ---------------------------------------------------------------------------------------------------

CANCELS = CancelBatch((CancelOrder("a1", "O1"), CancelOrder("a2", "O2")))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('"success":true,"orders_cancelled":2', ""),
        ('"success":true,"result":{"count":2}', ""),
        ('"success":true,"orders_cancelled":1', "1 were cancelled, of 2"),
        ('"success":true', "how many were cancelled was not told, of 2"),
        (error("EOrder:Unknown order"), "EOrder:Unknown order"),
    ],
)
def test_a_batch_of_cancels_is_done_where_all_are_counted(said: str, text: str) -> None:
    assert cancels_answered(CANCELS, stopped_by_answer(answer(said))) == (
        CancelAnswered("a1", not text, text),
        CancelAnswered("a2", not text, text),
    )


def test_rest_says_the_same_in_its_own_shape() -> None:
    told = stopped_by_result(b'{"currentTime":"2026-09-25T18:00:00Z","triggerTime":"2026-09-25T18:01:00Z"}')

    assert told == Stopped(is_done=True, text="", count=None, trigger_ns=1_790_359_260_000_000_000)
    assert stopped_by_result(b'{"count":4}') == Stopped(is_done=True, text="", count=4)
    with pytest.raises(Unreadable):
        stopped_by_result(b"[]")


@pytest.mark.parametrize(
    ("timeout_s", "stopped", "is_done"),
    [
        (60, Stopped(is_done=True, text="", trigger_ns=7), True),
        (0, Stopped(is_done=True, text=""), True),
        (60, Stopped(is_done=True, text=""), False),
        (0, Stopped(is_done=True, text="", trigger_ns=7), False),
        (60, Stopped(is_done=False, text="no answer"), False),
    ],
)
def test_a_dead_man_s_switch_is_what_was_asked_or_not_done(timeout_s: int, stopped: Stopped, *, is_done: bool) -> None:
    told = dead_man_answered(SetDeadMan(timeout_s), stopped)

    assert told == DeadManAnswered(timeout_s, is_done, stopped.trigger_ns, told.text)
    assert bool(told.text) is not is_done
