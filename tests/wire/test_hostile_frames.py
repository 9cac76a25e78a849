"""Nothing that the sockets can say makes a value that the core cannot take, or that journal and tape cannot write."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aether.domain.spot_gate import SpotGate
from tests.fuzz.links import hear

TRADE = (
    b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade","order_status":"filled",'
    b'"exec_id":"T1","symbol":"BTC/USD","side":"buy","last_qty":0.5,"last_price":100.0,"cost":50.00,"cum_qty":0.5,'
    b'"liquidity_ind":"m","fees":[{"asset":"USD","qty":0.13}],"timestamp":"%s"}],"sequence":1}'
)
PUBLIC_TRADE = (
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":101.0,"qty":0.1,'
    b'"timestamp":"%s"}]}'
)
PONG = b'{"method":"pong","req_id":1,"time_in":"%s"}'
BOOK = (
    b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":1.0,"qty":%s}],"asks":[],'
    b'"checksum":%d}]}'
)


PAIR = (
    b'{"channel":"instrument","type":"update","data":{"pairs":[{"symbol":"BTC/USD","status":"online",%s}],"assets":[]}}'
)
PAIR_FIELDS = {
    b"price_increment": b"0.1",
    b"price_precision": b"1",
    b"qty_increment": b"1E-8",
    b"qty_precision": b"8",
    b"qty_min": b"0.0001",
    b"cost_precision": b"5",
    b"cost_min": b"0.5",
}


@given(seed=st.integers(0, 2**48))
@example(seed=0)
def test_no_mutated_frame_makes_what_the_core_or_the_journal_cannot_take(
    gate: SpotGate, mutated_frame: Callable[[Random], bytes], seed: int
) -> None:
    chance = Random(seed)

    hear(gate, [mutated_frame(chance) for _ in range(20)])


@pytest.mark.parametrize("frame", [TRADE, PUBLIC_TRADE, PONG])
@pytest.mark.parametrize(
    "time",
    [
        b"0001-01-01T00:00:00Z",
        b"1969-12-31T23:59:59.999999999Z",
        b"1970-01-01T00:00:00Z",
        b"2262-04-11T23:47:16.854775807Z",
        b"2262-04-11T23:47:16.854775808Z",
        b"9999-12-31T23:59:59.999999999Z",
    ],
)
def test_no_time_of_kraken_s_is_too_early_or_too_late_to_be_written(frame: bytes, time: bytes, gate: SpotGate) -> None:
    core = hear(gate, [frame % time])

    assert len(core.heard) > 1


@pytest.mark.parametrize("field", sorted(PAIR_FIELDS))
@pytest.mark.parametrize("number", [b"0", b"-1", b"19", b"1e18", b"1E-18", b"9223372036854775808", b"9" * 40])
def test_no_rule_of_a_pair_is_beyond_what_the_core_can_take(field: bytes, number: bytes, gate: SpotGate) -> None:
    rules = b",".join(b'"%s":%s' % (name, number if name == field else sound) for name, sound in PAIR_FIELDS.items())

    hear(gate, [PAIR % rules])


@pytest.mark.parametrize("qty", [b"92233720368.54775807", b"92233720368.54775808", b"9" * 31 + b"." + b"9" * 8])
def test_no_level_of_a_book_is_too_large_to_be_written(qty: bytes, gate: SpotGate) -> None:
    lots = int(qty.replace(b".", b""))

    hear(gate, [BOOK % (qty, crc32(b"10%d" % lots))])
