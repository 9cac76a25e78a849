from __future__ import annotations

import json
from typing import Any

import pytest

from aether.domain.spot_gate import GatePolicy, GateRefusal, SpotGate
from aether.kraken.listings import read_listings

ROW = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "aclass_base": "currency",
    "aclass_quote": "currency", "status": "online", "pair_decimals": 1, "lot_decimals": 8, "cost_decimals": 5,
    "tick_size": "0.1", "ordermin": "0.0001", "costmin": "0.5",
}  # fmt: skip


def gate_of(row: dict[str, Any]) -> SpotGate:
    return SpotGate(read_listings(json.dumps({"XXBTZUSD": row}).encode()), GatePolicy(frozenset()))


@pytest.mark.parametrize("field", ["pair_decimals", "lot_decimals", "cost_decimals"])
@pytest.mark.parametrize("count", [0, 18])
def test_a_row_with_any_decimals_that_a_pair_can_have_is_admitted(field: str, count: int) -> None:
    assert gate_of({**ROW, field: count}).symbols == ("BTC/USD",)


@pytest.mark.parametrize("field", ["pair_decimals", "lot_decimals", "cost_decimals"])
@pytest.mark.parametrize("count", [-1, 19, 10**9, 2**64, "8", 1.5, None])
def test_a_row_with_senseless_decimals_keeps_its_key_alone_and_is_refused(field: str, count: Any) -> None:
    gate = gate_of({key: value for key, value in {**ROW, field: count}.items() if key != "tick_size"})

    assert gate.symbols == ()
    assert isinstance(gate.refusals["XXBTZUSD"], GateRefusal)
    (listing,) = read_listings(json.dumps({"XXBTZUSD": {**ROW, field: count}}).encode())
    assert (listing.key, listing.altname, listing.pair_decimals) == ("XXBTZUSD", "", 0)
