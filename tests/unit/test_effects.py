"""Which orders can be said at all."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import (
    AmendOrder,
    CancelBatch,
    CancelOrder,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.errors import InvariantBroken
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, PriceType, SelfTrade, TimeInForce, Trigger, TriggerReference
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty

D = Decimal
DEADLINE_NS = 1_790_359_205 * NANOS_PER_S
LIMIT = SubmitOrder(
    cl_ord_id="a1",
    symbol=recall("BTC/USD"),
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=False,
    qty=Qty(D(1)),
    limit_price=Price(D(60_000)),
    deadline_ns=DEADLINE_NS,
)
NO_LIMIT: dict[str, Any] = {"limit_price": None}
AT, BELOW = Trigger(D(59_000)), Trigger(D(-5), PriceType.PCT)
TRAILING = Trigger(D(100), PriceType.QUOTE)
TRAILING_WITH_LIMIT = replace(TRAILING, limit_offset=D(0))
SOUND: list[dict[str, Any]] = [
    {},
    {"post_only": True},
    {"time_in_force": TimeInForce.IOC},
    {"time_in_force": TimeInForce.FOK},
    {"time_in_force": TimeInForce.GTD, "expire_ns": DEADLINE_NS},
    {"self_trade": SelfTrade.CANCEL_BOTH},
    {"order_type": OrderType.MARKET, **NO_LIMIT},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D("0.1"))},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D(1))},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D(1)), "qty": Qty(D(15))},
    {"order_type": OrderType.STOP_LOSS, "trigger": AT, **NO_LIMIT},
    {"order_type": OrderType.TAKE_PROFIT, "trigger": BELOW, **NO_LIMIT},
    {"order_type": OrderType.STOP_LOSS_LIMIT, "trigger": BELOW},
    {"order_type": OrderType.TAKE_PROFIT_LIMIT, "trigger": AT},
    {"order_type": OrderType.TRAILING_STOP, "trigger": TRAILING, **NO_LIMIT},
    {"order_type": OrderType.TRAILING_STOP_LIMIT, "trigger": TRAILING_WITH_LIMIT, **NO_LIMIT},
]
FAULTY: list[dict[str, Any]] = [
    NO_LIMIT,
    {"order_type": OrderType.MARKET},
    {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, **NO_LIMIT},
    {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTD, "expire_ns": DEADLINE_NS, **NO_LIMIT},
    {"order_type": OrderType.MARKET, "post_only": True, **NO_LIMIT},
    {"trigger": AT},
    {"display_qty": Qty(D(1))},
    {"order_type": OrderType.ICEBERG},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D("0.06"))},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D("1.1"))},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D("0.5")), "post_only": True},
    {"order_type": OrderType.ICEBERG, "display_qty": Qty(D("0.5")), "time_in_force": TimeInForce.IOC},
    {"order_type": OrderType.STOP_LOSS, "trigger": AT},
    {"order_type": OrderType.STOP_LOSS, **NO_LIMIT},
    {"order_type": OrderType.STOP_LOSS_LIMIT, "trigger": AT, **NO_LIMIT},
    {"order_type": OrderType.STOP_LOSS_LIMIT, "trigger": TRAILING_WITH_LIMIT},
    {"order_type": OrderType.STOP_LOSS_LIMIT, "trigger": AT, "time_in_force": TimeInForce.FOK},
    {"order_type": OrderType.TRAILING_STOP, "trigger": AT, **NO_LIMIT},
    {"order_type": OrderType.TRAILING_STOP, "trigger": BELOW, **NO_LIMIT},
    {"order_type": OrderType.TRAILING_STOP, "trigger": TRAILING_WITH_LIMIT, **NO_LIMIT},
    {"order_type": OrderType.TRAILING_STOP_LIMIT, "trigger": TRAILING, **NO_LIMIT},
    {"order_type": OrderType.TRAILING_STOP_LIMIT, "trigger": TRAILING_WITH_LIMIT},
    {"time_in_force": TimeInForce.FOK, "post_only": True},
    {"time_in_force": TimeInForce.IOC, "post_only": True},
    {"time_in_force": TimeInForce.GTD},
    {"expire_ns": DEADLINE_NS},
    {"time_in_force": TimeInForce.GTD, "expire_ns": DEADLINE_NS - NANOS_PER_S},
    {"time_in_force": TimeInForce.GTD, "expire_ns": DEADLINE_NS + 1},
]


@pytest.mark.parametrize("changes", SOUND, ids=str)
def test_what_kraken_knows_can_be_said(changes: dict[str, Any]) -> None:
    replace(LIMIT, **changes)


@pytest.mark.parametrize("changes", FAULTY, ids=str)
def test_what_kraken_does_not_know_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(InvariantBroken, match=r"^a1: "):
        replace(LIMIT, **changes)


@pytest.mark.parametrize(
    ("price", "price_type", "offset", "offset_type"),
    [
        ("0", PriceType.STATIC, None, PriceType.QUOTE),
        ("0", PriceType.PCT, None, PriceType.QUOTE),
        ("-1", PriceType.STATIC, None, PriceType.QUOTE),
        ("-100", PriceType.PCT, None, PriceType.QUOTE),
        ("NaN", PriceType.STATIC, None, PriceType.QUOTE),
        ("1", PriceType.QUOTE, "0", PriceType.STATIC),
        ("1", PriceType.QUOTE, "-100", PriceType.PCT),
        ("1", PriceType.QUOTE, "Infinity", PriceType.QUOTE),
    ],
)
def test_a_trigger_without_a_price_cannot_be_made(
    price: str, price_type: PriceType, offset: str | None, offset_type: PriceType
) -> None:
    with pytest.raises(ValueError, match=r"."):
        Trigger(D(price), price_type, limit_offset=None if offset is None else D(offset), limit_offset_type=offset_type)


# --- amends -------------------------------------------------------------------------------------------------------


def amend(after: SubmitOrder, before: SubmitOrder = LIMIT) -> AmendOrder:
    return AmendOrder(before, after, "O1", "trend", DEADLINE_NS)


STOP = replace(LIMIT, order_type=OrderType.STOP_LOSS, trigger=AT, limit_price=None)
ICEBERG = replace(LIMIT, order_type=OrderType.ICEBERG, display_qty=Qty(D(1)))


@pytest.mark.parametrize(
    ("before", "changes", "raises_risk"),
    [
        (LIMIT, {"qty": Qty(D("0.9"))}, False),
        (LIMIT, {"qty": Qty(D("1.1"))}, True),
        (LIMIT, {"limit_price": Price(D(59_999))}, False),
        (LIMIT, {"limit_price": Price(D(60_001))}, True),
        (replace(LIMIT, side=Side.SELL), {"limit_price": Price(D(60_001))}, False),
        (replace(LIMIT, side=Side.SELL), {"limit_price": Price(D(59_999))}, True),
        (LIMIT, {"qty": Qty(D("0.9")), "limit_price": Price(D(60_001))}, True),
        (STOP, {"trigger": Trigger(D(58_000))}, True),
        (STOP, {"trigger": Trigger(D(59_500))}, True),
        (STOP, {"qty": Qty(D("0.5"))}, False),
        (ICEBERG, {"display_qty": Qty(D("0.5"))}, False),
    ],
)
def test_an_amend_knows_whether_it_is_a_new_risk(
    before: SubmitOrder, changes: dict[str, Any], *, raises_risk: bool
) -> None:
    asked = amend(replace(before, **changes), before)

    assert (asked.raises_risk, asked.cl_ord_id, asked.symbol) == (raises_risk, "a1", "BTC/USD")


@pytest.mark.parametrize(
    "after",
    [
        LIMIT,
        replace(LIMIT, side=Side.SELL),
        replace(LIMIT, cl_ord_id="a2"),
        replace(LIMIT, symbol=recall("ETH/USD")),
        replace(LIMIT, post_only=True, limit_price=Price(D(1))),
        replace(LIMIT, deadline_ns=DEADLINE_NS + 1),
        replace(LIMIT, time_in_force=TimeInForce.GTD, expire_ns=DEADLINE_NS),
        STOP,
    ],
)
def test_what_cannot_be_amended_cannot_be_said(after: SubmitOrder) -> None:
    with pytest.raises(InvariantBroken, match="a1: an amend of"):
        amend(after)


def test_a_trigger_keeps_its_reference() -> None:
    with pytest.raises(InvariantBroken, match="reference"):
        amend(replace(STOP, trigger=Trigger(D(1), reference=TriggerReference.INDEX)), STOP)


# --- batches and the dead man's switch ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "is_sound"), [(0, False), (1, False), (2, True), (15, True), (16, False)])
def test_a_batch_is_of_2_to_15_orders(count: int, *, is_sound: bool) -> None:
    orders = tuple(replace(LIMIT, cl_ord_id=f"a{number}") for number in range(count))

    if is_sound:
        assert SubmitBatch(orders).symbol == "BTC/USD"
    else:
        with pytest.raises(InvariantBroken):
            SubmitBatch(orders)


@pytest.mark.parametrize(
    "other",
    [
        LIMIT,
        replace(LIMIT, cl_ord_id="a2", symbol=recall("ETH/USD")),
        replace(LIMIT, cl_ord_id="a2", deadline_ns=DEADLINE_NS + 1),
    ],
)
def test_a_batch_has_one_symbol_one_deadline_and_no_id_twice(other: SubmitOrder) -> None:
    with pytest.raises(InvariantBroken):
        SubmitBatch((LIMIT, other))


@pytest.mark.parametrize(("count", "is_sound"), [(1, False), (2, True), (50, True), (51, False)])
def test_a_batch_is_of_2_to_50_cancels(count: int, *, is_sound: bool) -> None:
    cancels = tuple(CancelOrder(f"a{number}", "") for number in range(count))

    if is_sound:
        CancelBatch(cancels)
    else:
        with pytest.raises(InvariantBroken):
            CancelBatch(cancels)


@pytest.mark.parametrize(("timeout_s", "is_sound"), [(-1, False), (0, True), (86_399, True), (86_400, False)])
def test_a_dead_man_s_switch_is_of_less_than_a_day(timeout_s: int, *, is_sound: bool) -> None:
    if is_sound:
        SetDeadMan(timeout_s)
    else:
        with pytest.raises(InvariantBroken):
            SetDeadMan(timeout_s)
