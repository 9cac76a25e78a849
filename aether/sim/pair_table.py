"""The rules of all of Kraken's USD pairs, as its `AssetPairs` gave them (data/PROVENANCE.md)."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from aether.domain.spot_gate import v2_pair_name

Row = dict[str, Any]


@cache
def usd_pair_rows() -> dict[str, Row]:
    """Rows of `AssetPairs` by key, all 615 of them; numbers with a point are Decimal."""
    packed = (files("aether.sim") / "data" / "usd_pairs.json.gz").read_bytes()
    table = json.loads(gzip.decompress(packed), parse_float=Decimal)
    rows = {}
    for key, row in table["pairs"].items():
        fees, fees_maker = table["schedules"][row["schedule"]]
        own = {field: value for field, value in row.items() if field != "schedule"}
        rows[key] = own | table["same"] | {"fees": fees, "fees_maker": fees_maker}
    return rows


def chosen_rows(wanted: str) -> dict[str, Row]:
    """The rows that a text asks for: `all`, a number of them, or names in any spelling with commas between.

    A number takes the pairs that Kraken lends most on first, which are the ones most traded. Raises ValueError for a
    name that is not there, or a number that is out of range.
    """
    rows = usd_pair_rows()
    if wanted == "all":
        return dict(rows)
    if wanted.isdigit():
        if not 1 <= int(wanted) <= len(rows):
            raise ValueError(f"1 to {len(rows)} pairs can be made, not {wanted}")
        ranked = sorted(
            rows, key=lambda key: (-max(rows[key]["leverage_buy"], default=0), Decimal(rows[key]["ordermin"]))
        )
        return {key: rows[key] for key in ranked[: int(wanted)]}
    keys = [_key(rows, name.strip()) for name in wanted.split(",") if name.strip()]
    if not keys:
        raise ValueError("no pair is named")
    return {key: rows[key] for key in keys}


def _key(rows: dict[str, Row], name: str) -> str:
    for key, row in rows.items():
        if name in (key, row["altname"], row["wsname"], v2_pair_name(row["wsname"])):
            return key
    raise ValueError(f"{name!r} is no USD pair of Kraken; write it as BTC/USD")
