"""May this order enter? Kraken's checks of an order by itself, before funds, each with Kraken's own error text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from aether.domain.values import MONEY, rounded_to_step
from aether.sim.account import LONG_CL_ORD_ID
from aether.sim.order_book import BookHalf
from aether.sim.pair_market import PairMarket
from aether.sim.records import ExchangeRefusal, NewOrder

# Kraken's market price protection is always on and its band is not published; a tenth off the best price is ours.
MARKET_PROTECTION = Decimal("0.10")

_CL_ORD_ID = re.compile(LONG_CL_ORD_ID + r"|[\x21-\x7e]{1,18}")  # Kraken docs: a long one, or free ASCII
_USERREF_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Admitted:
    """An order in ticks and lots. `limit_ticks` of a market order is its protection price; 0 where nobody faces it."""

    limit_ticks: int
    lots: int


def check_status(system_status: str, pair_status: str, new: NewOrder) -> None:
    """Raise ExchangeRefusal where the exchange or the pair does not take such an order now (Kraken docs, Status)."""
    for status in (system_status, pair_status):
        if status in ("maintenance", "delisted", "work_in_progress"):
            raise ExchangeRefusal("EService:Unavailable")
        if status == "post_only" and not new.post_only:
            raise ExchangeRefusal("EService:Market in post_only mode")
        if status == "limit_only" and new.order_type != "limit":
            raise ExchangeRefusal("EService:Market in limit_only mode")
        if status in ("cancel_only", "reduce_only"):
            raise ExchangeRefusal(f"EService:Market in {status} mode")


def admit(market: PairMarket, new: NewOrder, now_ns: int) -> Admitted:
    """The order in ticks and lots. Raises ExchangeRefusal with the first check that it fails."""
    _check_fields(new)
    if new.deadline_ns is not None and now_ns > new.deadline_ns:
        raise ExchangeRefusal("EService:Deadline elapsed")
    lots = market.lots(new.qty)
    if lots is None or lots <= 0:
        raise ExchangeRefusal("EGeneral:Invalid arguments:volume")
    facing = market.book.facing(new.side)
    limit_ticks = _protection(facing) if new.limit_price is None else _on_tick(market, new.limit_price)
    _check_minimums(market, new, limit_ticks if new.limit_price is not None else facing.best() or market.last_ticks)
    return Admitted(limit_ticks, lots)


def _check_fields(new: NewOrder) -> None:
    if (new.order_type == "limit") != (new.limit_price is not None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:price")
    if new.post_only and (new.order_type == "market" or new.time_in_force == "ioc"):
        raise ExchangeRefusal("EGeneral:Invalid arguments:post_only")
    if new.cl_ord_id is not None:
        if new.userref is not None:
            raise ExchangeRefusal("EGeneral:Invalid arguments:cl_ord_id and userref are exclusive")
        if not _CL_ORD_ID.fullmatch(new.cl_ord_id):
            raise ExchangeRefusal("EGeneral:Invalid arguments:cl_ord_id")
    if new.userref is not None and not -_USERREF_LIMIT <= new.userref < _USERREF_LIMIT:
        raise ExchangeRefusal("EGeneral:Invalid arguments:userref")


def _on_tick(market: PairMarket, price: Decimal) -> int:
    if price <= 0:
        raise ExchangeRefusal("EOrder:Invalid price")
    ticks = market.ticks(price)
    if ticks is None:
        raise ExchangeRefusal("EOrder:Tick size check failed")
    return ticks


def _protection(facing: BookHalf) -> int:
    best = facing.best()
    if best is None:
        return 0
    if facing.side == "ask":
        return int(rounded_to_step(best * (1 + MARKET_PROTECTION), Decimal(1), ROUND_FLOOR))
    return max(1, int(rounded_to_step(best * (1 - MARKET_PROTECTION), Decimal(1), ROUND_CEILING)))


def _check_minimums(market: PairMarket, new: NewOrder, ticks: int | None) -> None:
    if new.qty < market.rules.qty_min:
        raise ExchangeRefusal("EGeneral:Invalid arguments:volume minimum not met")
    if ticks is not None and MONEY.multiply(market.price(ticks), new.qty) < market.rules.cost_min:
        raise ExchangeRefusal("EOrder:Cost minimum not met")
