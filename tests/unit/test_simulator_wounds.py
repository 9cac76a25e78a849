"""Messages that are hurt on their way: every row has its wound, and what is hurt is told from what is whole."""

from __future__ import annotations

import json
from random import Random

import pytest

from aether.simulator.faults.wounds import WOUNDS, wounded

FILL = (
    b'{"channel":"executions","type":"update","data":[{"order_id":"OA","exec_id":"TA","exec_type":"trade","side":"buy",'
    b'"symbol":"BTC/USD","last_qty":0.00500000,"last_price":10000.0,"cost":50.00000,"order_status":"filled",'
    b'"fees":[{"asset":"USD","qty":0.20000}],"timestamp":"2026-09-21T14:13:20.000000Z","reason":"why"}],"sequence":7}'
)
HEARTBEAT = b'{"channel":"heartbeat"}'


@pytest.mark.parametrize("row", WOUNDS)
def test_each_row_has_its_wound(row: str) -> None:
    for wound in WOUNDS[row]:
        hurt = wound(FILL, Random(1))
        assert hurt is not None
        assert hurt != FILL


def test_every_row_is_drawn_and_every_message_can_be_hurt() -> None:
    random = Random(2)
    assert {wounded(FILL, random)[1] for _ in range(300)} == set(WOUNDS)
    assert {wounded(HEARTBEAT, random)[0] for _ in range(50)} - {HEARTBEAT}


def test_the_same_chance_makes_the_same_wound() -> None:
    assert [wounded(FILL, Random(seed)) for seed in range(50)] == [wounded(FILL, Random(seed)) for seed in range(50)]


@pytest.mark.parametrize("seed", range(400))
def test_no_wound_is_another_true_number(seed: int) -> None:
    """Whoever reads strictly sees each of them: it is no JSON, or a field is gone, doubled, of another kind or sign."""
    hurt, row = wounded(FILL, Random(seed))
    try:
        document = json.loads(hurt.decode(), parse_constant=lambda _: 1 / 0)
    except (ValueError, ArithmeticError, RecursionError):
        return
    if row == "D06":
        assert len(hurt) > len(FILL)
        return
    rows = document.get("data")
    if not isinstance(rows, list):
        return
    for name, true in (("last_qty", 0.005), ("last_price", 10_000.0), ("cost", 50.0)):
        value = rows[0].get(name)
        assert value in (None, true) or not isinstance(value, float) or value < 0 or value > 1e30
