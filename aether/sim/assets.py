"""What Kraken's `Assets` says of the currencies that this exchange trades."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Asset:
    """One currency: `asset_id` and `altname` are REST's names for it, `name` the one of WebSocket v2.

    `decimals` is the precision of records, `collateral` the share of its value that Kraken lends on.
    """

    asset_id: str
    altname: str
    name: str
    decimals: int
    display_decimals: int
    collateral: Decimal
    margin_rate: Decimal


# Kraken REST `Assets`, as answered on 2026-09-25.
ASSETS = (
    Asset("XXBT", "XBT", "BTC", 10, 5, Decimal("0.99"), Decimal("0.01")),
    Asset("XETH", "ETH", "ETH", 10, 5, Decimal("0.99"), Decimal("0.02")),
    Asset("ZUSD", "USD", "USD", 4, 2, Decimal("1.0"), Decimal("0.036")),
)

BY_NAME = {asset.name: asset for asset in ASSETS}

# A dollar amount on a trade has the five decimals of the pair's cost, one more than `Assets` tells: nothing is rounded
# away, so that the records add up to the balance.
MONEY_DECIMALS = {asset.name: max(asset.decimals, 5) for asset in ASSETS}


def find_asset(text: str) -> Asset | None:
    """The asset that a client calls by id, altname or v2 name; None if there is none."""
    for asset in ASSETS:
        if text.upper() in (asset.asset_id, asset.altname, asset.name):
            return asset
    return None
