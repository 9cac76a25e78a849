"""Kraken's lists of pairs and assets, and candles: what REST tells of the market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import Bar
from aether.domain.spot_gate import PairListing, v2_asset_name
from aether.kraken.endpoints import Endpoint
from aether.kraken.rest import RestClient
from aether.kraken.shapes import ABSENT, Raw, Whole, is_there
from aether.kraken.strict_json import DECIMALS_MAX, Unreadable, decode, not_negative, positive

COST_DECIMALS_BEFORE_2022 = 5  # the 2021 list has no cost_decimals; later ones say 5 for nearly all USD pairs


_Decimals = Annotated[int, msgspec.Meta(ge=0, le=DECIMALS_MAX)]


class _ListingShape(msgspec.Struct):
    altname: str
    base: str
    quote: str
    aclass_base: str
    aclass_quote: str
    pair_decimals: _Decimals
    lot_decimals: _Decimals
    wsname: str = ""
    execution_venue: str = ""
    status: str = ""
    cost_decimals: _Decimals = COST_DECIMALS_BEFORE_2022
    tick_size: Raw = ABSENT
    ordermin: Raw = ABSENT
    costmin: Raw = ABSENT


class _AssetShape(msgspec.Struct):
    altname: str


_CandleShape = tuple[Whole, Raw, Raw, Raw, Raw, Raw, Raw, Whole]

_ROWS = msgspec.json.Decoder(dict[str, Raw])
_LISTING = msgspec.json.Decoder(_ListingShape)
_ASSETS = msgspec.json.Decoder(dict[str, _AssetShape])
_CANDLES = msgspec.json.Decoder(list[_CandleShape])


async def load_listings(rest: RestClient) -> tuple[PairListing, ...]:
    """All of Kraken's pairs, its words unchanged. Raises VenueUnavailable, VenueRefused."""
    result = await rest.call(Endpoint.ASSET_PAIRS)
    try:
        return read_listings(result)
    except Unreadable as error:
        raise VenueUnavailable(f"AssetPairs: {error}") from error


def read_listings(result: Raw | bytes) -> tuple[PairListing, ...]:
    """Pairs of an `AssetPairs` result; raises Unreadable where it is no map of rows.

    Lists of any year are read: `tick_size`, `costmin`, `status` and `wsname` may be missing. A row that makes no sense
    keeps its key alone, which the gate refuses and can show.
    """
    return tuple(_listing(key, row) for key, row in decode(_ROWS, result).items())


def _listing(key: str, row: Raw) -> PairListing:
    try:
        shape = decode(_LISTING, row)
        return PairListing(
            key=key,
            altname=shape.altname,
            wsname=shape.wsname,
            base=shape.base,
            quote=shape.quote,
            aclass_base=shape.aclass_base,
            aclass_quote=shape.aclass_quote,
            execution_venue=shape.execution_venue,
            status=shape.status,
            pair_decimals=shape.pair_decimals,
            lot_decimals=shape.lot_decimals,
            cost_decimals=shape.cost_decimals,
            tick_size=positive(shape.tick_size, "tick_size") if is_there(shape.tick_size) else None,
            ordermin=not_negative(shape.ordermin, "ordermin") if is_there(shape.ordermin) else None,
            costmin=not_negative(shape.costmin, "costmin") if is_there(shape.costmin) else None,
        )
    except Unreadable:
        return PairListing(key, "", "", "", "", "", "", "", "", 0, 0, 0, None, None, None)


@dataclass(frozen=True, slots=True)
class AssetNames:
    """Kraken's asset ids to v2 names, by Kraken's own table: stripping letters would turn `XTZ` into another coin."""

    altname_of: Mapping[str, str]

    def v2(self, asset_id: str) -> str:
        """v2 name of an id: `XXBT` is BTC, `ZUSD` is USD, `XBT.F` is BTC.F, an asset of its own."""
        altname = self.altname_of.get(asset_id)
        if altname is None:
            plain, dot, suffix = asset_id.partition(".")
            altname = self.altname_of.get(plain, plain) + dot + suffix
        plain, dot, suffix = altname.partition(".")
        return v2_asset_name(plain) + dot + suffix


async def load_asset_names(rest: RestClient) -> AssetNames:
    """The table of asset names. Raises VenueUnavailable, VenueRefused."""
    result = await rest.call(Endpoint.ASSETS)
    try:
        return read_asset_names(result)
    except Unreadable as error:
        raise VenueUnavailable(f"Assets: {error}") from error


def read_asset_names(result: Raw | bytes) -> AssetNames:
    """Table of an `Assets` result; raises Unreadable."""
    return AssetNames({asset_id: shape.altname for asset_id, shape in decode(_ASSETS, result).items()})


def read_bars(result: Raw | bytes, count: int) -> tuple[Bar, ...]:
    """The newest `count` complete candles of an `OHLC` result, oldest first; the last row still runs and is dropped.

    The key is the pair under whichever of its names it was asked by, beside `last`. Raises Unreadable.
    """
    rows = [row for key, row in decode(_ROWS, result).items() if key != "last"]
    if len(rows) != 1:
        raise Unreadable(f"{len(rows)} pairs in one answer")
    return tuple(_bar(candle) for candle in decode(_CANDLES, rows[0])[:-1][-count:])


def _bar(candle: _CandleShape) -> Bar:
    opened_s, first, high, low, last, _vwap, volume, _trades = candle
    return Bar(
        open_s=opened_s,
        open=positive(first, "open"),
        high=positive(high, "high"),
        low=positive(low, "low"),
        close=positive(last, "close"),
        volume=not_negative(volume, "volume"),
    )
