from __future__ import annotations

from decimal import Decimal

import pytest

from aether.domain.inputs import FillReported, OrderReported, PrivateMalformed
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty
from aether.kraken import executions
from aether.kraken.executions import OrderStates
from aether.kraken.messages import ExecutionsRead
from aether.kraken.wire import Reader

FULL = (
    '"order_id":"O1","cl_ord_id":"a1-1-42","symbol":"BTC/USD","side":"buy","order_qty":1.0,"limit_price":100.0,'
    '"exec_type":"pending_new","order_status":"pending_new"'
)
FILL = '"exec_id":"T1","last_qty":0.5,"last_price":99.0,"cost":49.5,"fees":[{"asset":"USD","qty":0.1}]'


def read(*records: str, kind: str = "update") -> ExecutionsRead:
    rows = ",".join(f"{{{record}}}" for record in records)
    frame = f'{{"channel":"executions","type":"{kind}","data":[{rows}],"sequence":1}}'
    message = Reader(recall).read(frame.encode())
    assert isinstance(message, ExecutionsRead), message
    return message


def test_a_delta_is_filled_up_with_what_was_said_before() -> None:
    states = OrderStates()
    states.take(read(FULL))

    (told,) = states.take(read('"order_id":"O1","exec_type":"new","order_status":"new"'))

    assert isinstance(told, OrderReported)
    report = told.report
    assert (report.cl_ord_id, report.name, report.symbol) == ("a1-1-42", "BTC/USD", "BTC/USD")
    assert (report.side, report.qty, report.limit_price) == (Side.BUY, Qty(Decimal(1)), Price(Decimal(100)))
    assert (report.status, report.cum_qty, told.source) == (VenueStatus.NEW, None, "executions")


def test_a25_an_amend_or_a_restatement_changes_what_was_said_and_keeps_the_rest() -> None:
    states = OrderStates()
    trigger = '"triggers":{"reference":"last","price":90.0,"price_type":"static","status":"untriggered"}'
    states.take(read(FULL + ',"order_type":"stop-loss-limit","time_in_force":"GTC",' + trigger))

    (amended,) = states.take(
        read('"order_id":"O1","exec_type":"amended","order_status":"new","order_qty":0.5,"amended":true')
    )
    (restated,) = states.take(
        read('"order_id":"O1","exec_type":"restated","order_status":"new","limit_price":99.0,"reason":"dust"')
    )
    (woken,) = states.take(
        read('"order_id":"O1","exec_type":"status","order_status":"new","triggers":{"status":"triggered"}')
    )

    assert all(isinstance(told, OrderReported) for told in (amended, restated, woken))
    reports = [told.report for told in (amended, restated, woken) if isinstance(told, OrderReported)]
    assert [(report.qty, report.limit_price) for report in reports] == [
        (Qty(Decimal("0.5")), Price(Decimal(100))),
        (Qty(Decimal("0.5")), Price(Decimal(99))),
        (Qty(Decimal("0.5")), Price(Decimal(99))),
    ]
    assert [report.terms.order_type for report in reports if report.terms] == [OrderType.STOP_LOSS_LIMIT] * 3
    assert [report.terms.is_amended for report in reports if report.terms] == [True] * 3
    triggers = [report.terms.trigger for report in reports if report.terms]
    assert [told and (told.price, told.is_triggered) for told in triggers] == [
        (Decimal("90.0"), False),
        (Decimal("90.0"), False),
        (Decimal("90.0"), True),
    ]


def test_a10_a11_a_fill_told_twice_and_in_a_snapshot_keeps_one_id() -> None:
    """Fills are counted by it further in: what matters here is that it is the same each time."""
    states = OrderStates()
    trade = f'"order_id":"O1","exec_type":"trade","order_status":"filled","symbol":"BTC/USD","side":"buy",{FILL}'

    told = [*states.take(read(trade)), *states.take(read(trade)), *states.take(read(trade, kind="snapshot"))]

    fills = [each for each in told if isinstance(each, FillReported)]
    assert [each.execution.exec_id for each in fills] == ["T1"] * 3
    assert [each.source for each in fills] == ["executions", "executions", "snapshot"]


def test_a_trade_is_a_fill_and_then_the_order_s_state() -> None:
    states = OrderStates()
    states.take(read(FULL))

    fill, state = states.take(
        read(f'"order_id":"O1","exec_type":"trade","order_status":"partially_filled","cum_qty":0.5,{FILL}')
    )

    assert isinstance(fill, FillReported)
    assert (fill.execution.exec_id, fill.execution.cl_ord_id, fill.source) == ("T1", "a1-1-42", "executions")
    assert fill.execution.side is Side.BUY
    assert isinstance(state, OrderReported)
    assert (state.report.status, state.report.cum_qty) == (VenueStatus.PARTIALLY_FILLED, Qty(Decimal("0.5")))


def test_filled_repeats_totals_and_is_no_fill() -> None:
    states = OrderStates()
    states.take(read(FULL))

    told = states.take(read('"order_id":"O1","exec_type":"filled","order_status":"filled","cum_qty":1.0'))

    assert [type(each) for each in told] == [OrderReported]


def test_a_fill_of_a_snapshot_says_that_it_is_of_the_past_and_makes_no_order_live() -> None:
    states = OrderStates()

    told = states.take(
        read(
            f'"order_id":"O9","symbol":"BTC/USD","side":"sell","exec_type":"trade","order_status":"new",{FILL}',
            kind="snapshot",
        )
    )

    assert [(type(each), each.source) for each in told if isinstance(each, FillReported)] == [
        (FillReported, "snapshot")
    ]
    assert len(told) == 1
    assert not states.live_cl_ord_ids


def test_a_delta_of_an_order_never_heard_of_is_reported_without_a_name() -> None:
    (told,) = OrderStates().take(read('"order_id":"O7","exec_type":"canceled","order_status":"canceled"'))

    assert isinstance(told, OrderReported)
    assert (told.report.name, told.report.symbol, told.report.cl_ord_id) == ("", None, None)


def test_a_fill_without_a_side_that_nobody_knows_is_malformed() -> None:
    (told,) = OrderStates().take(
        read(f'"order_id":"O7","symbol":"BTC/USD","exec_type":"trade","order_status":"filled",{FILL}')
    )

    assert isinstance(told, PrivateMalformed)


def test_a16_a_late_fill_of_a_cancelled_order_still_knows_whose_it_is() -> None:
    states = OrderStates()
    states.take(read(FULL))
    states.take(read('"order_id":"O1","exec_type":"canceled","order_status":"canceled"'))

    fill = states.take(read(f'"order_id":"O1","exec_type":"trade","order_status":"canceled",{FILL}'))[0]

    assert isinstance(fill, FillReported)
    assert fill.execution.cl_ord_id == "a1-1-42"


def test_live_orders_are_those_that_this_connection_showed_and_that_did_not_end() -> None:
    states = OrderStates()
    states.take(read(FULL, FULL.replace("O1", "O2").replace("42", "43")))
    assert list(states.live_cl_ord_ids) == ["a1-1-42", "a1-1-43"]

    states.take(read('"order_id":"O1","exec_type":"expired","order_status":"expired"'))
    assert list(states.live_cl_ord_ids) == ["a1-1-43"]

    states.forget_live()
    assert not states.live_cl_ord_ids
    assert states.cl_ord_id("O2") == "a1-1-43"


def test_a06_a07_an_answer_after_the_fill_teaches_which_order_is_which() -> None:
    states = OrderStates()
    states.learn("O1", "a1-1-42")

    fill = states.take(
        read(f'"order_id":"O1","symbol":"BTC/USD","side":"buy","exec_type":"trade","order_status":"filled",{FILL}')
    )[0]

    assert isinstance(fill, FillReported)
    assert fill.execution.cl_ord_id == "a1-1-42"


def test_records_that_could_not_be_read_are_told_as_malformed() -> None:
    told = OrderStates().take(read('"exec_type":"new"', FULL))

    assert [type(each) for each in told] == [OrderReported, PrivateMalformed]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "ORDERS_REMEMBERED", 3)
    states = OrderStates()
    for number in range(5):
        states.take(read(FULL.replace("O1", f"O{number}").replace("42", str(number))))

    assert [states.cl_ord_id(f"O{number}") for number in range(5)] == [None, None, "a1-1-2", "a1-1-3", "a1-1-4"]
    assert len(states.live_cl_ord_ids) == 3


def test_margin_that_was_said_once_holds_for_every_later_record_of_the_order() -> None:
    states = OrderStates()
    states.take(read(FULL + ',"margin":true'))

    fill, state = states.take(
        read(f'"order_id":"O1","symbol":"BTC/USD","exec_type":"trade","order_status":"partially_filled",{FILL}')
    )

    assert isinstance(fill, FillReported)
    assert isinstance(state, OrderReported)
    assert (fill.execution.name, fill.execution.symbol) == ("BTC/USD", None)
    assert (state.report.symbol, state.report.reason) == (None, "margin")


@pytest.mark.parametrize("end", ["filled", "canceled", "expired"])
def test_a_late_trade_does_not_bring_an_ended_order_back_to_life(end: str) -> None:
    states = OrderStates()
    states.take(read(FULL))
    states.take(read(f'"order_id":"O1","exec_type":"{end}","order_status":"{end}"'))

    told = states.take(read(f'"order_id":"O1","exec_type":"trade","order_status":"partially_filled",{FILL}'))

    assert isinstance(told[0], FillReported)
    assert not states.live_cl_ord_ids
