"""Executions, balances and answers: strict where it is money, lenient where it only describes."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.instruments import Side
from aether.domain.orders import (
    OrderTerms,
    OrderType,
    PriceType,
    TimeInForce,
    TriggerReference,
    TriggerReport,
    VenueStatus,
)
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Usd
from aether.kraken.messages import Answer, AnswerRow, BalancesRead, ExecutionRecord, ExecutionsRead
from aether.kraken.private_wire import rate_count_milli, side_of
from aether.kraken.shapes import ABSENT, Raw
from aether.kraken.wire import Reader

D = Decimal


def frame(channel: str, *rows: str, also: str = "") -> bytes:
    return f'{{"channel":"{channel}","type":"update","data":[{",".join(rows)}],"sequence":7{also}}}'.encode()


def record(fields: str) -> ExecutionRecord:
    read = Reader(recall).read(frame("executions", f'{{"order_id":"O1",{fields}}}'))
    assert isinstance(read, ExecutionsRead)
    assert read.malformed == ()
    return read.records[0]


def answer(fields: str) -> Answer:
    read = Reader(recall).read(f'{{"method":"x","req_id":1,{fields}}}'.encode())
    assert isinstance(read, Answer), read
    return read


NOTHING_SAID: dict[str, Any] = {field.name: None for field in dataclasses.fields(OrderTerms)}


def terms(**said: Any) -> OrderTerms:
    return OrderTerms(**{**NOTHING_SAID, "is_amended": False, **said})


# --- executions ---------------------------------------------------------------------------------------------------


def test_a_trigger_is_told_with_all_that_it_watches() -> None:
    told = record(
        '"exec_type":"status","order_status":"new","order_type":"trailing-stop-limit","side":"sell","order_qty":1.0,'
        '"limit_price":-5.0,"limit_price_type":"quote","time_in_force":"GTD","expire_time":"2026-09-26T00:00:00Z",'
        '"triggers":{"reference":"index","price":2.0,"price_type":"pct","actual_price":98.0,"peak_price":100.0,'
        '"last_price":97.9,"status":"triggered","timestamp":"2026-09-25T18:00:00Z"}'
    )

    assert (told.status, told.limit_price, told.side) == (VenueStatus.NEW, None, Side.SELL)
    assert told.terms == terms(
        order_type=OrderType.TRAILING_STOP_LIMIT,
        time_in_force=TimeInForce.GTD,
        trigger=TriggerReport(
            D("2.0"), PriceType.PCT, TriggerReference.INDEX, Price(D("98.0")), Price(D("100.0")), is_triggered=True
        ),
        limit_offset=D("-5.0"),
        limit_offset_type=PriceType.QUOTE,
        expire_ns=1_790_380_800_000_000_000,
    )


def test_an_iceberg_tells_what_it_shows_and_a_fill_what_is_done_so_far() -> None:
    told = record(
        '"exec_type":"iceberg_refill","order_status":"partially_filled","order_type":"iceberg","display_qty":0.5,'
        '"display_qty_remain":0.25,"cum_qty":1.5,"cum_cost":150.0,"avg_price":100.0,"limit_price":101.0,"post_only":false'
    )

    assert (told.status, told.cum_qty) == (VenueStatus.PARTIALLY_FILLED, Qty(D("1.5")))
    assert told.terms == terms(
        order_type=OrderType.ICEBERG,
        post_only=False,
        display_qty=Qty(D("0.5")),
        display_qty_remain=Qty(D("0.25")),
        avg_price=Price(D("100.0")),
        cum_cost=Usd(D("150.0")),
    )


@pytest.mark.parametrize(
    ("exec_type", "order_status", "status"),
    [
        ("pending_new", "pending_new", VenueStatus.PENDING),
        ("new", "new", VenueStatus.NEW),
        ("amended", "partially_filled", VenueStatus.PARTIALLY_FILLED),
        ("restated", "new", VenueStatus.NEW),
        ("status", "new", VenueStatus.NEW),
        ("canceled", "canceled", VenueStatus.CANCELED),
        ("expired", "expired", VenueStatus.EXPIRED),
        ("liquidated", "canceled", VenueStatus.UNKNOWN),
        ("canceled", "new", VenueStatus.UNKNOWN),
        ("filled", "partially_filled", VenueStatus.UNKNOWN),
        ("expired", "", VenueStatus.EXPIRED),
        ("rewarded", "new", VenueStatus.UNKNOWN),
        ("status", "suspended", VenueStatus.UNKNOWN),
    ],
)
def test_b16_a_word_nobody_knows_makes_the_order_unknown_and_breaks_nothing(
    exec_type: str, order_status: str, status: VenueStatus
) -> None:
    assert record(f'"exec_type":"{exec_type}","order_status":"{order_status}"').status is status


@pytest.mark.parametrize(
    "said",
    [
        '"order_type":"settle-position"',
        '"order_type":"pegged"',
        '"time_in_force":"DAY"',
        '"triggers":[]',
        '"triggers":{"reference":7}',
        '"triggers":null',
        '"display_qty":"many"',
        '"display_qty":-1',
        '"avg_price":0',
        '"cum_cost":{}',
        '"expire_time":"tomorrow"',
        '"ratecount":"full"',
        '"limit_price_type":"guess"',
    ],
)
def test_what_only_describes_and_cannot_be_read_is_as_good_as_not_said(said: str) -> None:
    told = record(f'"exec_type":"new","order_status":"new",{said}')

    assert (told.terms, told.rate_count_milli) == (terms(), None)


@pytest.mark.parametrize("flag", ['"reduce_only":true', '"liquidated":true', '"margin":true', '"margin_borrow":true'])
def test_what_speaks_of_margin_is_not_ours(flag: str) -> None:
    told = record(f'"exec_type":"pending_new","symbol":"BTC/USD",{flag}')

    assert (told.symbol, told.is_margin) == (None, True)


def test_amended_is_said_once_and_the_new_size_stands_beside_it() -> None:
    told = record('"exec_type":"amended","order_status":"new","amended":true,"order_qty":5.1,"limit_price":0.96')

    assert (told.qty, told.limit_price, told.terms.is_amended) == (Qty(D("5.1")), Price(D("0.96")), True)


# --- Kraken's own count of a pair's limit -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ratecount", "rate_count", "ratecounter"])
def test_the_rate_counter_is_heard_under_any_of_its_names_on_a_record_or_on_the_frame(name: str) -> None:
    on_record = Reader(recall).read(frame("executions", f'{{"order_id":"O1","exec_type":"new","{name}":26.6}}'))
    on_frame = Reader(recall).read(frame("executions", also=f',"{name}":7'))

    assert isinstance(on_record, ExecutionsRead)
    assert isinstance(on_frame, ExecutionsRead)
    assert (on_record.records[0].rate_count_milli, on_record.rate_count_milli) == (26_600, None)
    assert on_frame.rate_count_milli == 7_000


def test_a_count_is_rounded_up_and_nonsense_is_no_count() -> None:
    assert rate_count_milli(ABSENT, Raw(b"0.0001")) == 1
    assert rate_count_milli(Raw(b"-1"), ABSENT) is None
    assert rate_count_milli(Raw(b"-1"), Raw(b"2")) == 2_000


def test_the_ack_tells_the_limit() -> None:
    assert answer('"success":true,"result":{"channel":"executions","maxratecount":125}').rate_count_max == 125


def test_a_side_is_one_of_two_words() -> None:
    assert [side_of(word) for word in ("buy", "sell", "short", "")] == [Side.BUY, Side.SELL, None, None]


# --- balances -----------------------------------------------------------------------------------------------------


def test_balances_are_read_with_their_wallets_and_ledger_rows() -> None:
    snapshot = (
        '{"asset":"USD","asset_class":"currency","balance":160.2405,"wallets":['
        '{"type":"spot","id":"main","balance":1.34},{"type":"earn","id":"flexible","balance":158.9005}]}'
    )
    kept_apart = '{"asset":"BTC.F","balance":2.0,"wallets":[]}'
    row = (
        '{"asset":"USD","balance":118.0677,"amount":-19.9743,"fee":0.0499,'
        '"ledger_id":"L1","ref_id":"T1","type":"trade"}'
    )

    read = Reader(recall).read(frame("balances", snapshot, kept_apart, row))

    assert isinstance(read, BalancesRead)
    assert (read.malformed, read.sequence) == ((), 7)
    assert [(told.asset, told.total, told.in_main, told.amount, told.fee) for told in read.records] == [
        ("USD", D("160.2405"), D("1.34"), None, None),
        ("BTC.F", D("2.0"), None, None, None),
        ("USD", D("118.0677"), None, D("-19.9743"), D("0.0499")),
    ]
    assert (read.records[2].ledger_id, read.records[2].ref_id, read.records[2].kind) == ("L1", "T1", "trade")


@pytest.mark.parametrize(
    "row",
    [
        '{"asset":"USD"}',
        '{"balance":1}',
        '{"asset":"","balance":1}',
        '{"asset":"USD","balance":"much"}',
        '{"asset":"USD","balance":1,"amount":1e400}',
        '{"asset":"USD","balance":1,"wallets":[{"type":"spot","id":"main"}]}',
        "7",
    ],
)
def test_a_balance_that_cannot_be_read_stands_beside_those_that_can(row: str) -> None:
    read = Reader(recall).read(frame("balances", row, '{"asset":"BTC","balance":1}'))

    assert isinstance(read, BalancesRead)
    assert ([told.asset for told in read.records], len(read.malformed)) == (["BTC"], 1)


# --- answers ------------------------------------------------------------------------------------------------------

ROWS = (AnswerRow("O1", "a1", ""), AnswerRow("", "", "EOrder:Insufficient funds"))
ROWS_JSON = '[{"order_id":"O1","cl_ord_id":"a1"},{"error":"EOrder:Insufficient funds","success":false}]'


@pytest.mark.parametrize("result", [ROWS_JSON, f'{{"orders":{ROWS_JSON}}}'])
def test_rows_of_a_batch_are_read_from_either_shape(result: str) -> None:
    assert answer(f'"success":true,"result":{result}').rows == ROWS


@pytest.mark.parametrize("result", ["[7]", '[{"order_id":7}]', '{"orders":7}', "7", "null"])
def test_rows_that_cannot_be_read_are_no_rows(result: str) -> None:
    read = answer(f'"success":true,"result":{result}')

    assert (read.rows, read.order_id, read.has_result) == ((), "", result != "null")


@pytest.mark.parametrize("said", ['"orders_cancelled":2', '"result":{"count":2}'])
def test_cancelled_orders_are_counted_from_either_place(said: str) -> None:
    assert answer(f'"success":true,{said}').count == 2


@pytest.mark.parametrize(
    ("current", "trigger", "fires_ns"),
    [
        ("2026-09-25T18:00:00Z", "2026-09-25T18:01:00Z", 1_790_359_260_000_000_000),
        ("2026-09-25T18:00:00Z", "2026-09-25T18:00:00Z", None),
        ("2026-09-25T18:00:00Z", "0", None),
        ("2026-09-25T18:00:00Z", "", None),
        ("", "soon", None),
    ],
)
def test_the_dead_man_s_time_is_told_or_it_is_off(current: str, trigger: str, fires_ns: int | None) -> None:
    read = answer(f'"success":true,"result":{{"currentTime":"{current}","triggerTime":"{trigger}"}}')

    assert read.trigger_ns == fires_ns
