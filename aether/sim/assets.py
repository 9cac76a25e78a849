"""What Kraken's `Assets` says of the currencies that this exchange trades."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from aether.domain.spot_gate import v2_asset_name
from aether.sim.pair_table import usd_pair_rows
from aether.sim.records import PairRules


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

# What `Assets` says of the others was not recorded: these are the commonest values, and nothing is lent on them.
_DECIMALS, _DISPLAY_DECIMALS = 10, 5

# A dollar amount on a trade has the five decimals of most pairs' cost, one more than `Assets` tells.
_USD_DECIMALS = 5


def _others() -> dict[str, Asset]:
    found = {}
    for row in usd_pair_rows().values():
        altname = str(row["wsname"]).partition("/")[0]
        name = v2_asset_name(altname)
        found[name] = Asset(row["base"], altname, name, _DECIMALS, _DISPLAY_DECIMALS, Decimal(0), Decimal(0))
    return found


BY_NAME = _others() | {asset.name: asset for asset in ASSETS}
_BY_ANY_NAME = {
    text.upper(): asset for asset in BY_NAME.values() for text in (asset.asset_id, asset.altname, asset.name)
}


def assets_of(pairs: Iterable[PairRules]) -> list[Asset]:
    """The assets that these pairs trade, dollars last."""
    return [*(BY_NAME[name] for name in sorted({rules.base for rules in pairs})), BY_NAME["USD"]]


def money_decimals(asset: str, amount: Decimal) -> int:
    """How many decimals a record shows of this amount: all that it has, so that the records add up to the balance."""
    exponent = amount.normalize().as_tuple().exponent
    assert isinstance(exponent, int), f"{amount} {asset} is no amount"
    coin = asset.partition(".")[0]
    known = BY_NAME.get(coin)
    least = _USD_DECIMALS if coin == "USD" else known.decimals if known else _DECIMALS
    return max(least, -exponent)


def asset_id(name: str) -> str:
    """REST's name of an asset. In a wallet it has the altname and the wallet's suffix: `XXBT`, but `XBT.F`.

    One that no pair trades is called the same everywhere.
    """
    coin, dot, wallet = name.partition(".")
    known = BY_NAME.get(coin)
    if known is None:
        return name
    return known.altname + dot + wallet if wallet else known.asset_id


def find_asset(text: str) -> Asset | None:
    """The asset that a client calls by id, altname or v2 name; None if there is none."""
    return _BY_ANY_NAME.get(text.upper())
