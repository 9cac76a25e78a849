"""The only maker of `Symbol`: USD quote, class currency, international venue, no dot in the name, on the allow-list.

Admission follows Kraken's own metadata, never the look of a name: `XBTPYUSD` ends in USD and is quoted in PYUSD, while
`JUPUSD` looks like a leveraged token and is a plain coin. What a name looks like is used for one thing only: to tell a
person *why* a name that Kraken does not list was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from aether.domain.instruments import Instrument, PairStatus
from aether.domain.values import Qty, Symbol, Usd

USD_ASSET_IDS = frozenset({"ZUSD", "USD"})
_V2_ASSET_NAMES = MappingProxyType({"XBT": "BTC", "XDG": "DOGE"})
_DERIVATIVE = re.compile(r"^(PF|PI|FI|FF|PV)_|[-_/]?(PERP|SWAP)$|:|[-_]\d{6}$")
_LEVERAGED_TOKEN = re.compile(r"^[A-Z0-9]+\d+[LS]([-_/]?USD)?$")
_MARGIN = re.compile(r"MARGIN|LEVERAGE|[ @]\d+X$")
MARGIN_FIELDS = frozenset({"leverage", "margin", "reduce_only", "reduce-only", "settle-position", "settle_position"})


@dataclass(frozen=True, slots=True)
class PairListing:
    """One row of Kraken's `AssetPairs`, its words unchanged. Empty text or None where the row has no such field."""

    key: str
    altname: str
    wsname: str
    base: str
    quote: str
    aclass_base: str
    aclass_quote: str
    execution_venue: str
    status: str
    pair_decimals: int
    lot_decimals: int
    cost_decimals: int
    tick_size: Decimal | None
    ordermin: Decimal | None
    costmin: Decimal | None


@dataclass(frozen=True, slots=True)
class GateRefusal:
    """Why a name is not ours: a stable code, the name as it came, and a sentence."""

    code: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What we add to Kraken's word: bases never traded, and the names allowed (None: every pair that qualifies)."""

    excluded_bases: frozenset[str]
    allowed: frozenset[str] | None = None


def v2_asset_name(asset: str) -> str:
    """Kraken's v2 spelling of an asset's display name: XBT is BTC, XDG is DOGE, all else stays."""
    return _V2_ASSET_NAMES.get(asset, asset)


def v2_pair_name(wsname: str) -> str:
    """The v2 name of a v1 `wsname` (PROTOCOL 3.1: v2 refuses `XBT/USD`); empty where there is none."""
    base, slash, quote = wsname.partition("/")
    return f"{v2_asset_name(base)}/{v2_asset_name(quote)}" if slash else ""


def refuse_margin(fields: Iterable[str]) -> GateRefusal | None:
    """Refuse a request that names a margin field, whatever its value. None where there is none."""
    for field in fields:
        if field.lower() in MARGIN_FIELDS:
            return GateRefusal("gate_margin", field, "Aether trades spot only; it has no field for leverage or margin")
    return None


class SpotGate:
    """Kraken's pair list seen through our policy. Immutable; a new list makes a new gate."""

    __slots__ = ("_aliases", "_refused", "instruments", "policy")

    def __init__(self, listings: Iterable[PairListing], policy: GatePolicy) -> None:
        self.policy = policy
        instruments: dict[Symbol, Instrument] = {}
        refused: dict[str, GateRefusal] = {}
        aliases: dict[str, str] = {}  # a spelling -> key of the one listing it names, "" where two claim it
        admitted: dict[str, Symbol] = {}
        for listing in listings:
            name = v2_pair_name(listing.wsname)
            refusal = _refuse_listing(listing, name, policy)
            if refusal is None:
                admitted[listing.key] = symbol = Symbol(name)
                instruments[symbol] = _instrument(listing, symbol)
            else:
                refused[listing.key] = refusal
            for alias in _spellings(listing, name):
                aliases[alias] = listing.key if aliases.get(alias, listing.key) == listing.key else ""
        self.instruments: Mapping[Symbol, Instrument] = MappingProxyType(instruments)
        self._refused = refused
        self._aliases: dict[str, Symbol | GateRefusal] = {
            alias: admitted.get(key) or refused.get(key) or _ambiguous(alias) for alias, key in aliases.items()
        }

    def wire(self, name: str) -> Symbol | None:
        """Symbol of a v2 wire name, exactly as spelled; None where it is not ours. One look-up, for the hot path."""
        symbol = Symbol(name)
        return symbol if symbol in self.instruments else None

    def admit(self, name: str) -> Symbol | GateRefusal:
        """Symbol of any spelling people or Kraken's REST use (`btc-usd`, `XBT/USD`, `XXBTZUSD`), or why not."""
        asked = name.strip().upper()
        found = self._aliases.get(asked) or self._aliases.get(asked.replace("-", "/").replace("_", "/"))
        if found is None:
            return _explain_unknown(name, asked)
        return found if isinstance(found, str) else GateRefusal(found.code, name, found.why)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """All admitted symbols, in Kraken's order."""
        return tuple(self.instruments)

    @property
    def refusals(self) -> Mapping[str, GateRefusal]:
        """Why each other listing was refused, by Kraken's key."""
        return MappingProxyType(self._refused)


def recall(name: str) -> Symbol:
    """A symbol that an earlier gate admitted, read back from our own journal or tape."""
    return Symbol(name)


def _refuse_listing(listing: PairListing, name: str, policy: GatePolicy) -> GateRefusal | None:
    key = listing.key
    if "." in key or "." in listing.wsname:
        return GateRefusal("gate_dotted", key, "dark-pool and staked-asset pairs carry a dot and are not ours")
    if (listing.aclass_base, listing.aclass_quote) != ("currency", "currency"):
        return GateRefusal("gate_not_currency", key, f"asset class {listing.aclass_base}/{listing.aclass_quote}")
    if listing.quote not in USD_ASSET_IDS:
        return GateRefusal("gate_quote_not_usd", key, f"quoted in {listing.quote}, not in US dollars")
    if listing.execution_venue not in ("", "international"):
        return GateRefusal("gate_other_venue", key, f"executes on {listing.execution_venue}")
    if not name.endswith("/USD") or listing.tick_size == 0:
        return GateRefusal("gate_incomplete", key, "Kraken's row lacks a v2 name or a tick")
    if name.removesuffix("/USD") in policy.excluded_bases:
        return GateRefusal("gate_excluded_base", key, "the base is on the list of excluded bases (FX, stablecoins)")
    if policy.allowed is not None and name not in policy.allowed:
        return GateRefusal("gate_not_allowed", key, "not on the list of symbols in the settings")
    return None


def _instrument(listing: PairListing, symbol: Symbol) -> Instrument:
    tick = listing.tick_size or Decimal(1).scaleb(-listing.pair_decimals)
    try:
        status = PairStatus(listing.status)
    except ValueError:
        status = PairStatus.UNKNOWN
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("/USD"),
        tick=tick,
        lot=Decimal(1).scaleb(-listing.lot_decimals),
        price_decimals=listing.pair_decimals,
        qty_decimals=listing.lot_decimals,
        cost_decimals=listing.cost_decimals,
        qty_min=Qty(listing.ordermin or Decimal(0)),
        cost_min=Usd(listing.costmin or Decimal(0)),
        status=status,
    )


def _spellings(listing: PairListing, name: str) -> set[str]:
    base, _, quote = name.partition("/")
    spellings = {listing.key, listing.altname, listing.wsname, name, f"{base}{quote}"}
    return {spelling.upper() for spelling in spellings if spelling}


def _ambiguous(alias: str) -> GateRefusal:
    return GateRefusal("gate_ambiguous", alias, "two of Kraken's pairs answer to this spelling; use BASE/USD")


def _explain_unknown(name: str, asked: str) -> GateRefusal:
    if _DERIVATIVE.search(asked):
        return GateRefusal("gate_derivative", name, "futures and perpetuals are not traded here")
    if _MARGIN.search(asked):
        return GateRefusal("gate_margin", name, "margin is not traded here")
    if _LEVERAGED_TOKEN.match(asked):
        return GateRefusal("gate_leveraged_token", name, "leveraged tokens are not traded here")
    if re.search(r"[-_/]", asked) and not asked.endswith("USD"):
        return GateRefusal("gate_quote_not_usd", name, "only pairs quoted in US dollars are traded here")
    return GateRefusal("gate_unknown_pair", name, "Kraken's list has no such pair")
