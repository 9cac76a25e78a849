"""What ships with the made Kraken: recorded hours of its market and rows of its pair list (data/PROVENANCE.md)."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from aether.domain.spot_gate import v2_asset_name, v2_pair_name
from aether.sim.fees import schedule_of
from aether.sim.records import PairRules

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class RecordedHour:
    """One hour as Kraken recorded it: prices in ticks, volume in lots. `open_s` is seconds since 1970 UTC."""

    open_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


def asset_pairs_json() -> bytes:
    """The `AssetPairs` rows that ship, as Kraken gave them."""
    return (files("aether.sim") / "data" / "pairs.json").read_bytes()


@cache
def asset_pair_rows() -> dict[str, dict[str, Any]]:
    """The same rows by key; numbers with a point are Decimal."""
    rows: dict[str, dict[str, Any]] = json.loads(asset_pairs_json(), parse_float=Decimal)
    return rows


def pair_rules() -> list[PairRules]:
    """The pairs that the made Kraken trades."""
    return [rules_of(key, row) for key, row in asset_pair_rows().items()]


@cache
def recorded_hours(rules: PairRules) -> tuple[RecordedHour, ...]:
    """The recorded hours of a pair, oldest first. Raises FileNotFoundError where none ship."""
    packed = (files("aether.sim") / "data" / f"{rules.altname}_60.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    return tuple(_hour(rules, line) for line in lines[1:])


def _hour(rules: PairRules, line: str) -> RecordedHour:
    time, *prices, volume, trades = line.split(",")
    opened, high, low, close = (_whole(price, rules.price_decimals) for price in prices)
    return RecordedHour(int(time), opened, high, low, close, _whole(volume, rules.qty_decimals), int(trades))


def _whole(text: str, decimals: int) -> int:
    scaled = Decimal(text).scaleb(decimals)
    assert scaled == int(scaled), f"{text} has more than {decimals} decimals"
    return int(scaled)


def rules_of(key: str, row: dict[str, Any]) -> PairRules:
    """What a row of `AssetPairs` lays down."""
    base, _, quote = str(row["wsname"]).partition("/")
    return PairRules(
        name=v2_pair_name(row["wsname"]),
        key=key,
        altname=row["altname"],
        wsname=row["wsname"],
        base=v2_asset_name(base),
        base_id=row["base"],
        price_decimals=row["pair_decimals"],
        qty_decimals=row["lot_decimals"],
        cost_decimals=row["cost_decimals"],
        qty_min=Decimal(row["ordermin"]),
        cost_min=Decimal(row["costmin"]),
        status=row["status"],
        quote=quote,
        quote_id=row["quote"],
        fees=schedule_of(row["fees"], row["fees_maker"]),
    )
