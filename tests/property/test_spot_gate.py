"""The gate over Kraken's whole lists, against an oracle that reads the raw JSON and nothing of ours."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.spot_gate import GatePolicy, GateRefusal, SpotGate, refuse_margin
from aether.kraken.listings import read_listings

CAPTURES = Path(__file__).parents[1] / "wire" / "captures"
LISTS = {
    "2026": "assetpairs/AssetPairs-20260112.json.gz",
    "2021": "assetpairs/rest-AssetPairs-20210417.json.gz",
    "tokenised": "nautilus/http_asset_pairs_tokenized.json",
    "tether": "nautilus/http_asset_pairs.json",
}
ADMITTED_COUNT = {"2026": 615, "2021": 59, "tokenised": 0, "tether": 0}
EXCLUDED = frozenset({"EUR", "GBP", "AUD", "USDT", "USDC", "DAI", "PYUSD"})


def raw(year: str) -> bytes:
    data = (CAPTURES / LISTS[year]).read_bytes()
    return gzip.decompress(data) if LISTS[year].endswith(".gz") else data


def rows(year: str) -> dict[str, dict[str, Any]]:
    document = json.loads(raw(year))
    found: dict[str, dict[str, Any]] = document.get("result", document)
    return found


def gate_of(year: str, excluded: frozenset[str] = frozenset()) -> SpotGate:
    document = msgspec.json.decode(raw(year), type=dict[str, msgspec.Raw])
    return SpotGate(read_listings(document.get("result", msgspec.Raw(raw(year)))), GatePolicy(excluded))


def should_pass(key: str, row: dict[str, Any], excluded: frozenset[str]) -> bool:
    """Spot, dollars, Kraken's own venue, a plain coin: written from Kraken's documents."""
    base = {"XBT": "BTC", "XDG": "DOGE"}.get(row.get("wsname", "").split("/")[0], row.get("wsname", "").split("/")[0])
    return (
        row["quote"] == "ZUSD"
        and row["aclass_base"] == row["aclass_quote"] == "currency"
        and row.get("execution_venue", "international") == "international"
        and "." not in key
        and base not in excluded
    )


GATES = {year: gate_of(year) for year in LISTS}


@pytest.mark.parametrize("excluded", [frozenset(), EXCLUDED], ids=["all bases", "without FX and stablecoins"])
@pytest.mark.parametrize("year", LISTS)
def test_e07_exactly_the_right_pairs_of_a_whole_list_pass(year: str, excluded: frozenset[str]) -> None:
    gate = gate_of(year, excluded)
    expected = {key for key, row in rows(year).items() if should_pass(key, row, excluded)}

    assert set(rows(year)) - set(gate.refusals) == expected
    assert len(gate.symbols) == len(expected)
    for key in rows(year):
        assert isinstance(gate.admit(key), GateRefusal) == (key not in expected), key


@pytest.mark.parametrize("year", LISTS)
def test_the_lists_hold_as_many_dollar_pairs_as_were_counted(year: str) -> None:
    assert len(GATES[year].symbols) == ADMITTED_COUNT[year]


@pytest.mark.parametrize("name", ["XBTPYUSD", "ETHPYUSD", "XBTAUSD", "MONAUSD", "XRPRLUSD", "AAPLxUSD", "XXBTZUSD.d"])
@pytest.mark.parametrize("year", LISTS)
def test_names_that_only_look_like_dollars_never_pass(year: str, name: str) -> None:
    assert isinstance(GATES[year].admit(name), GateRefusal)
    assert GATES[year].wire(name) is None


@pytest.mark.parametrize("name", ["JUPUSD", "SYRUPUSD", "USDUCUSD"])
def test_coins_that_look_like_something_else_do_pass(name: str) -> None:
    assert GATES["2026"].admit(name) == f"{name.removesuffix('USD')}/USD"


@pytest.mark.parametrize("spelling", ["btc-usd", "XBT/USD", "BTCUSD", "btc_usd", "XXBTZUSD", "XBTUSD", " BTC/USD "])
@pytest.mark.parametrize("year", ["2026", "2021"])
def test_e05_people_s_spellings_reach_one_symbol(year: str, spelling: str) -> None:
    assert GATES[year].admit(spelling) == "BTC/USD"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("BTC-PERP", "gate_derivative"),
        ("PF_XBTUSD", "gate_derivative"),
        ("PI_XBTUSD", "gate_derivative"),
        ("FI_XBTUSD_260327", "gate_derivative"),
        ("ETH3L", "gate_leveraged_token"),
        ("ETH3S/USD", "gate_leveraged_token"),
        ("BTC/USDT", "gate_quote_not_usd"),
        ("XBTUSDT", "gate_quote_not_usd"),
        ("ETH/BTC", "gate_quote_not_usd"),
        ("XBTPYUSD", "gate_quote_not_usd"),
        ("NOSUCHUSD", "gate_unknown_pair"),
        ("", "gate_unknown_pair"),
    ],
)
def test_a_refused_name_is_told_why(name: str, code: str) -> None:
    refusal = GATES["2026"].admit(name)

    assert isinstance(refusal, GateRefusal)
    assert refusal.code == code


@pytest.mark.parametrize("field", ["leverage", "MARGIN", "reduce_only", "settle-position"])
def test_a_request_with_a_margin_field_is_refused(field: str) -> None:
    refusal = refuse_margin(["symbol", field])

    assert refusal is not None
    assert refusal.code == "gate_margin"


def test_a_tokenised_pair_is_refused_for_its_class() -> None:
    refusal = GATES["tokenised"].admit("AAPLxUSD")

    assert isinstance(refusal, GateRefusal)
    assert refusal.code == "gate_not_currency"


@given(name=st.text(max_size=20))
def test_no_text_makes_a_symbol_that_kraken_does_not_list(name: str) -> None:
    admitted = GATES["2026"].admit(name)

    assert isinstance(admitted, GateRefusal) or admitted in GATES["2026"].instruments


@given(data=st.data())
def test_status_never_changes_admission(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(rows("tether") | rows("tokenised"))))
    word = data.draw(st.sampled_from(["online", "cancel_only", "post_only", "reduce_only", "haunted", ""]))
    row = dict((rows("tether") | rows("tokenised"))[key], status=word, quote="ZUSD", aclass_base="currency")

    gate = SpotGate(read_listings(json.dumps({key: row}).encode()), GatePolicy(frozenset()))

    assert isinstance(gate.admit(key), str) == row["wsname"].endswith("/USD")
