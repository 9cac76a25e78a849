from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.effects import CancelOrder, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.spot_gate import GatePolicy, PairListing, SpotGate, recall
from aether.domain.values import Price, Qty
from aether.kraken import requests

LISTING = PairListing(
    "XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD", "currency", "currency", "international", "online", 1, 8, 5,
    Decimal("0.1"), Decimal("0.00005"), Decimal("0.5"),
)  # fmt: skip
GATE = SpotGate([LISTING], GatePolicy(frozenset()))
ORDER = SubmitOrder(
    cl_ord_id="a1-1-42",
    symbol=recall("BTC/USD"),
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=True,
    qty=Qty(Decimal("1E-4")),
    limit_price=Price(Decimal(60000)),
    deadline_ns=1_790_359_205_000_999_999,
)


def test_a_limit_order_is_these_very_bytes() -> None:
    assert requests.add_order(ORDER, GATE, token="T", req_id=7) == (
        b'{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":0.0001,'
        b'"fee_preference":"quote","cl_ord_id":"a1-1-42","deadline":"2026-09-25T18:00:05.000Z","token":"T",'
        b'"limit_price":60000,"time_in_force":"gtc","post_only":true},"req_id":7}'
    )


def test_a_market_order_has_no_price_and_no_time_in_force() -> None:
    order = dataclasses.replace(ORDER, order_type=OrderType.MARKET, limit_price=None, post_only=False, side=Side.SELL)

    assert requests.add_order(order, GATE, token="T", req_id=8) == (
        b'{"method":"add_order","params":{"order_type":"market","side":"sell","symbol":"BTC/USD",'
        b'"order_qty":0.0001,"fee_preference":"quote","cl_ord_id":"a1-1-42",'
        b'"deadline":"2026-09-25T18:00:05.000Z","token":"T"},"req_id":8}'
    )


def test_an_immediate_order_that_may_take() -> None:
    order = dataclasses.replace(ORDER, time_in_force=TimeInForce.IOC, post_only=False)

    params = json.loads(requests.add_order(order, GATE, token="T", req_id=1))["params"]

    assert params["time_in_force"] == "ioc"
    assert "post_only" not in params


@pytest.mark.parametrize("word", ["leverage", "margin", "reduce_only", "settle"])
def test_no_order_can_so_much_as_name_margin(word: str) -> None:
    assert word.encode() not in requests.add_order(ORDER, GATE, token="T", req_id=1)
    assert word not in {field.name for field in dataclasses.fields(SubmitOrder)}


@pytest.mark.parametrize("name", ["ETH/USD", "XBT/USD", "XBTUSD", "BTC-PERP", "PF_XBTUSD", "BTC/USDT", ""])
def test_a_symbol_that_the_gate_did_not_admit_breaks_the_invariant(name: str) -> None:
    with pytest.raises(InvariantBroken, match="never admitted"):
        requests.add_order(dataclasses.replace(ORDER, symbol=recall(name)), GATE, token="T", req_id=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"qty": Qty(Decimal("1E-19"))},
        {"qty": Qty(Decimal(0))},
        {"qty": Qty(Decimal("1E+18"))},
        {"limit_price": Price(Decimal("60000.0000000000000000001"))},
    ],
)
def test_an_order_that_must_never_have_been_made_breaks_the_invariant(wrong: dict[str, object]) -> None:
    order = dataclasses.replace(ORDER, **wrong)  # type: ignore[arg-type]

    with pytest.raises(InvariantBroken):
        requests.add_order(order, GATE, token="T", req_id=1)


@given(lots=st.integers(1, 10**15), ticks=st.integers(1, 10**9), decimals=st.integers(0, 18))
def test_any_price_and_quantity_arrive_exactly_and_without_exponent(lots: int, ticks: int, decimals: int) -> None:
    order = dataclasses.replace(
        ORDER, qty=Qty(Decimal(lots).scaleb(-decimals)), limit_price=Price((Decimal(ticks) / 10).normalize())
    )

    frame = requests.add_order(order, GATE, token="T", req_id=1)

    params = json.loads(frame, parse_float=str, parse_int=str)["params"]
    assert Decimal(params["order_qty"]) == order.qty.coins
    assert Decimal(params["limit_price"]) == Decimal(ticks) / 10
    assert "E" not in params["order_qty"] + params["limit_price"]


def test_an_order_on_a_step_that_kraken_made_finer_since_the_start_is_written() -> None:
    order = dataclasses.replace(ORDER, limit_price=Price(Decimal("60000.05")), qty=Qty(Decimal("0.000000001")))

    frame = requests.add_order(order, GATE, token="T", req_id=1)

    assert b'"limit_price":60000.05' in frame
    assert b'"order_qty":0.000000001' in frame


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (999_999, "1970-01-01T00:00:00.000Z"), (1_000_000, "1970-01-01T00:00:00.001Z")],
)
def test_a_deadline_is_cut_to_the_millisecond(at_ns: int, text: str) -> None:
    assert requests.rfc3339_ms(at_ns) == text


def test_a_cancel_names_one_of_the_two_ids_in_an_array() -> None:
    by_theirs = requests.cancel_order(CancelOrder("a1-1-42", "O1"), token="T", req_id=1)
    by_ours = requests.cancel_order(CancelOrder("a1-1-42", ""), token="T", req_id=2)

    assert by_theirs == b'{"method":"cancel_order","params":{"order_id":["O1"],"token":"T"},"req_id":1}'
    assert by_ours == b'{"method":"cancel_order","params":{"cl_ord_id":["a1-1-42"],"token":"T"},"req_id":2}'


def test_subscriptions_are_what_kraken_s_pages_show() -> None:
    symbol = recall("BTC/USD")
    sent = [
        requests.subscribe_book([symbol], 10, req_id=1),
        requests.unsubscribe_book([symbol], 10, req_id=2),
        requests.subscribe_trades([symbol], req_id=3),
        requests.subscribe_instruments(req_id=4),
        requests.subscribe_executions(token="T", req_id=5),
        requests.subscribe_balances(token="T", req_id=6),
        requests.ping(req_id=7),
    ]

    assert [json.loads(frame) for frame in sent] == [
        {
            "method": "subscribe",
            "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10, "snapshot": True},
            "req_id": 1,
        },
        {"method": "unsubscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}, "req_id": 2},
        {
            "method": "subscribe",
            "params": {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False},
            "req_id": 3,
        },
        {"method": "subscribe", "params": {"channel": "instrument", "snapshot": True}, "req_id": 4},
        {
            "method": "subscribe",
            "params": {"channel": "executions", "snap_orders": True, "snap_trades": True, "token": "T"},
            "req_id": 5,
        },
        {"method": "subscribe", "params": {"channel": "balances", "snapshot": True, "token": "T"}, "req_id": 6},
        {"method": "ping", "req_id": 7},
    ]
