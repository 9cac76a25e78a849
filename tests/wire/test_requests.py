from __future__ import annotations

import dataclasses
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.effects import AmendOrder, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.errors import InvariantBroken
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, PriceType, SelfTrade, TimeInForce, Trigger, TriggerReference
from aether.domain.spot_gate import GatePolicy, PairListing, SpotGate, recall
from aether.domain.values import Price, Qty
from aether.kraken import requests
from aether.kraken.order_fields import rfc3339_ms

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
        b'{"method":"add_order","params":{"order_type":"limit","side":"buy","order_qty":0.0001,'
        b'"fee_preference":"quote","cl_ord_id":"a1-1-42","limit_price":60000,"time_in_force":"gtc","post_only":true,'
        b'"symbol":"BTC/USD","deadline":"2026-09-25T18:00:05.000Z","token":"T"},"req_id":7}'
    )


def test_a_market_order_has_no_price_and_no_time_in_force() -> None:
    order = dataclasses.replace(ORDER, order_type=OrderType.MARKET, limit_price=None, post_only=False, side=Side.SELL)

    assert requests.add_order(order, GATE, token="T", req_id=8) == (
        b'{"method":"add_order","params":{"order_type":"market","side":"sell","order_qty":0.0001,'
        b'"fee_preference":"quote","cl_ord_id":"a1-1-42","symbol":"BTC/USD",'
        b'"deadline":"2026-09-25T18:00:05.000Z","token":"T"},"req_id":8}'
    )


def test_an_immediate_order_that_may_take() -> None:
    order = dataclasses.replace(ORDER, time_in_force=TimeInForce.IOC, post_only=False)

    params = json.loads(requests.add_order(order, GATE, token="T", req_id=1))["params"]

    assert params["time_in_force"] == "ioc"
    assert "post_only" not in params


# --- every type ---------------------------------------------------------------------------------------------------

AT_59_000 = Trigger(Decimal("59000.0"))
TRAILING = Trigger(Decimal("1.5"), PriceType.PCT, TriggerReference.INDEX)


def params(order: SubmitOrder) -> Any:
    sent = json.loads(requests.add_order(order, GATE, token="T", req_id=1))["params"]
    assert sent.pop("symbol") == "BTC/USD"
    assert sent.pop("token") == "T"
    assert sent.pop("fee_preference") == "quote"
    return {name: value for name, value in sent.items() if name not in ("side", "order_qty", "cl_ord_id", "deadline")}


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        (
            {"order_type": OrderType.ICEBERG, "display_qty": Qty(Decimal("0.00001"))},
            {"order_type": "iceberg", "limit_price": 60000, "time_in_force": "gtc", "display_qty": 0.00001},
        ),
        (
            {"order_type": OrderType.STOP_LOSS, "trigger": AT_59_000, "limit_price": None},
            {
                "order_type": "stop-loss",
                "triggers": {"reference": "last", "price": 59000.0, "price_type": "static"},
            },
        ),
        (
            {"order_type": OrderType.TAKE_PROFIT_LIMIT, "trigger": Trigger(Decimal(-150), PriceType.QUOTE)},
            {
                "order_type": "take-profit-limit",
                "limit_price": 60000,
                "time_in_force": "gtc",
                "triggers": {"reference": "last", "price": -150, "price_type": "quote"},
            },
        ),
        (
            {"order_type": OrderType.TRAILING_STOP, "trigger": TRAILING, "limit_price": None},
            {
                "order_type": "trailing-stop",
                "triggers": {"reference": "index", "price": 1.5, "price_type": "pct"},
            },
        ),
        (
            {
                "order_type": OrderType.TRAILING_STOP_LIMIT,
                "trigger": dataclasses.replace(TRAILING, limit_offset=Decimal(0)),
                "limit_price": None,
                "time_in_force": TimeInForce.GTD,
                "expire_ns": 1_790_359_300_000_000_000,
            },
            {
                "order_type": "trailing-stop-limit",
                "triggers": {"reference": "index", "price": 1.5, "price_type": "pct"},
                "limit_price": 0,
                "limit_price_type": "quote",
                "time_in_force": "gtd",
                "expire_time": "2026-09-25T18:01:40Z",
            },
        ),
        (
            {"time_in_force": TimeInForce.FOK, "self_trade": SelfTrade.CANCEL_OLDEST},
            {"order_type": "limit", "limit_price": 60000, "time_in_force": "fok", "stp_type": "cancel_oldest"},
        ),
    ],
)
def test_each_type_says_what_kraken_s_page_asks_of_it(changes: dict[str, Any], sent: dict[str, Any]) -> None:
    assert params(dataclasses.replace(ORDER, post_only=False, **changes)) == sent


def test_a_batch_has_one_symbol_and_one_deadline_for_all_its_rows() -> None:
    other = dataclasses.replace(ORDER, cl_ord_id="a1-1-43", side=Side.SELL)

    sent = json.loads(requests.batch_add(SubmitBatch((ORDER, other)), GATE, token="T", req_id=3))

    assert (sent["method"], sent["req_id"]) == ("batch_add", 3)
    rows = sent["params"].pop("orders")
    assert sent["params"] == {"symbol": "BTC/USD", "deadline": "2026-09-25T18:00:05.000Z", "token": "T"}
    assert [row["cl_ord_id"] for row in rows] == ["a1-1-42", "a1-1-43"]
    assert not set(rows[0]) & {"symbol", "deadline", "token"}


STOP = dataclasses.replace(ORDER, order_type=OrderType.STOP_LOSS, trigger=AT_59_000, limit_price=None, post_only=False)
TRAILS = dataclasses.replace(
    STOP, order_type=OrderType.TRAILING_STOP_LIMIT, trigger=dataclasses.replace(TRAILING, limit_offset=Decimal(1))
)


@pytest.mark.parametrize(
    ("before", "changes", "sent"),
    [
        (ORDER, {"qty": Qty(Decimal("2E-4"))}, {"order_qty": 0.0002}),
        (ORDER, {"limit_price": Price(Decimal("59999.9"))}, {"limit_price": 59999.9, "post_only": True}),
        (
            dataclasses.replace(ORDER, post_only=False),
            {"limit_price": Price(Decimal("59999.9")), "qty": Qty(Decimal("2E-4"))},
            {"order_qty": 0.0002, "limit_price": 59999.9},
        ),
        (
            STOP,
            {"trigger": Trigger(Decimal(-2), PriceType.PCT)},
            {"trigger_price": -2, "trigger_price_type": "pct"},
        ),
        (
            TRAILS,
            {"trigger": dataclasses.replace(TRAILING, limit_offset=Decimal(0), limit_offset_type=PriceType.PCT)},
            {"limit_price": 0, "limit_price_type": "pct"},
        ),
        (
            dataclasses.replace(ORDER, order_type=OrderType.ICEBERG, display_qty=ORDER.qty, post_only=False),
            {"display_qty": Qty(Decimal("5E-5"))},
            {"display_qty": 0.00005},
        ),
    ],
)
def test_an_amend_says_which_order_and_what_differs(
    before: SubmitOrder, changes: dict[str, Any], sent: dict[str, Any]
) -> None:
    after = dataclasses.replace(before, **changes)

    for order_id, which in (("O1", {"order_id": "O1"}), ("", {"cl_ord_id": "a1-1-42"})):
        amend = AmendOrder(before, after, order_id, "trend", ORDER.deadline_ns)
        frame = json.loads(requests.amend_order(amend, GATE, token="T", req_id=4))
        assert frame == {
            "method": "amend_order",
            "params": {**which, **sent, "deadline": "2026-09-25T18:00:05.000Z", "token": "T"},
            "req_id": 4,
        }


def test_what_stops_is_said_in_one_line_each() -> None:
    named = CancelBatch((CancelOrder("a1", "O1"), CancelOrder("a2", "O2")))
    unnamed = CancelBatch((CancelOrder("a1", "O1"), CancelOrder("a2", "")))
    frames = [
        requests.batch_cancel(named, token="T", req_id=1),
        requests.batch_cancel(unnamed, token="T", req_id=2),
        requests.cancel_all(token="T", req_id=3),
        requests.cancel_all_orders_after(SetDeadMan(60), token="T", req_id=4),
    ]

    assert frames == [
        b'{"method":"batch_cancel","params":{"orders":["O1","O2"],"token":"T"},"req_id":1}',
        b'{"method":"batch_cancel","params":{"cl_ord_id":["a1","a2"],"token":"T"},"req_id":2}',
        b'{"method":"cancel_all","params":{"token":"T"},"req_id":3}',
        b'{"method":"cancel_all_orders_after","params":{"timeout":60,"token":"T"},"req_id":4}',
    ]
    assert requests.rest_cancel_batch(named) == {"orders": ["O1", "O2"]}
    assert requests.rest_cancel_batch(unnamed) == {"cl_ord_ids": ["a1", "a2"]}
    assert requests.rest_cancel(CancelOrder("a1", "O1")) == {"txid": "O1"}
    assert requests.rest_cancel(CancelOrder("a1", "")) == {"cl_ord_id": "a1"}
    assert requests.rest_dead_man(SetDeadMan(0)) == {"timeout": "0"}


@given(data=st.data())
def test_no_request_of_ours_can_so_much_as_name_margin(data: st.DataObject, orders: Any) -> None:
    """Every encoder, every type, every field: neither a key nor a value speaks of it."""
    one, other = data.draw(orders()), data.draw(orders())
    other = dataclasses.replace(other, cl_ord_id="another")
    more = dataclasses.replace(one, qty=Qty(one.qty.coins + Decimal("1E-8")), display_qty=one.display_qty and one.qty)
    cancels = CancelBatch((CancelOrder("a1", "O1"), CancelOrder("a2", "")))
    frames = [
        requests.add_order(one, GATE, token="T", req_id=1),
        requests.batch_add(SubmitBatch((one, other)), GATE, token="T", req_id=1),
        requests.amend_order(AmendOrder(one, more, "O1", "s", one.deadline_ns), GATE, token="T", req_id=1),
        requests.cancel_order(CancelOrder("a1", ""), token="T", req_id=1),
        requests.batch_cancel(cancels, token="T", req_id=1),
        requests.cancel_all(token="T", req_id=1),
        requests.cancel_all_orders_after(SetDeadMan(60), token="T", req_id=1),
        json.dumps([requests.rest_cancel_batch(cancels), requests.rest_dead_man(SetDeadMan(1))]).encode(),
    ]

    spoken = {word for frame in frames for word in words_in(json.loads(frame))}

    assert not [word for word in spoken if re.search("leverage|margin|reduce.only|settle|position|borrow", word)]


def words_in(value: Any) -> list[str]:
    """All keys and texts of a JSON value."""
    if isinstance(value, dict):
        return [*value, *(word for entry in value.values() for word in words_in(entry))]
    if isinstance(value, list):
        return [word for entry in value for word in words_in(entry)]
    return [value] if isinstance(value, str) else []


def test_no_order_has_a_field_for_margin() -> None:
    names = {field.name for kind in (SubmitOrder, AmendOrder, Trigger) for field in dataclasses.fields(kind)}

    assert not names & {"leverage", "margin", "reduce_only", "settle_position"}
    assert "settle-position" not in set(OrderType)


@given(data=st.data())
def test_every_encoder_writes_numbers_as_numbers_without_exponent(data: st.DataObject, orders: Any) -> None:
    order = data.draw(orders())

    sent = json.loads(requests.add_order(order, GATE, token="T", req_id=1), parse_float=str, parse_int=Decimal)

    assert Decimal(sent["params"]["order_qty"]) == order.qty.coins
    if order.trigger is not None:
        assert Decimal(sent["params"]["triggers"]["price"]) == order.trigger.price
    assert not [number for number in numbers_in(sent) if "e" in str(number).lower()]


def numbers_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [number for key, entry in value.items() if key != "cl_ord_id" for number in numbers_in(entry)]
    return [] if not isinstance(value, str | Decimal) or not re.fullmatch(r"-?[0-9.eE+-]+", str(value)) else [value]


# --- what must never have been made -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ETH/USD", "XBT/USD", "XBTUSD", "BTC-PERP", "PF_XBTUSD", "BTC/USDT", ""])
def test_a_symbol_that_the_gate_did_not_admit_breaks_the_invariant(name: str) -> None:
    order = dataclasses.replace(ORDER, symbol=recall(name))
    batch = SubmitBatch((order, dataclasses.replace(order, cl_ord_id="a1-1-43")))
    amend = AmendOrder(order, dataclasses.replace(order, qty=Qty(Decimal(1))), "O1", "trend", ORDER.deadline_ns)

    with pytest.raises(InvariantBroken, match="never admitted"):
        requests.add_order(order, GATE, token="T", req_id=1)
    with pytest.raises(InvariantBroken, match="never admitted"):
        requests.batch_add(batch, GATE, token="T", req_id=1)
    with pytest.raises(InvariantBroken, match="never admitted"):
        requests.amend_order(amend, GATE, token="T", req_id=1)


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
    assert rfc3339_ms(at_ns) == text


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
            "params": {
                "channel": "executions",
                "snap_orders": True,
                "snap_trades": True,
                "ratecounter": True,
                "token": "T",
            },
            "req_id": 5,
        },
        {"method": "subscribe", "params": {"channel": "balances", "snapshot": True, "token": "T"}, "req_id": 6},
        {"method": "ping", "req_id": 7},
    ]
