"""May this order enter? Kraken's checks of an order by itself, before funds, each with Kraken's own error text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from aether.domain.values import MONEY, NANOS_PER_S, rounded_to_step
from aether.sim.account import LONG_CL_ORD_ID
from aether.sim.order_book import BookHalf
from aether.sim.pair_market import PairMarket
from aether.sim.pricing import price_ticks, trailing_ticks
from aether.sim.records import LIMIT_KINDS, TRAILING_KINDS, TRIGGERED_KINDS, ExchangeRefusal, NewOrder, NewTrigger

# Kraken's market price protection is always on and its band is not published; a tenth off the best price is ours.
MARKET_PROTECTION = Decimal("0.10")

# Kraken docs, Add Order: how soon an order may expire and how late, and the least that an iceberg shows of itself.
EXPIRY_NS_MIN = 5 * NANOS_PER_S
EXPIRY_NS_MAX = 31 * 86_400 * NANOS_PER_S
DISPLAY_PARTS_MAX = 15

_CL_ORD_ID = re.compile(LONG_CL_ORD_ID + r"|[\x21-\x7e]{1,18}")  # Kraken docs: a long one, or free ASCII
_USERREF_LIMIT = 2**31
_MAGNITUDE_MAX = 20  # decimal places before or behind the point: far beyond any pair, and cheap to compute with


@dataclass(frozen=True, slots=True)
class Admitted:
    """An order in ticks and lots; 0 where a thing does not apply.

    `limit_ticks` of a market order is its protection price, 0 where nobody faces it.
    """

    limit_ticks: int
    lots: int
    display_lots: int = 0
    trigger_ticks: int = 0


def check_status(system_status: str, pair_status: str, new: NewOrder) -> None:
    """Raise ExchangeRefusal where the exchange or the pair does not take such an order now (Kraken docs, Status)."""
    for status in (system_status, pair_status):
        if status in ("maintenance", "delisted", "work_in_progress"):
            raise ExchangeRefusal("EService:Unavailable")
        if status == "post_only" and not new.post_only:
            raise ExchangeRefusal("EService:Market in post_only mode")
        if status == "limit_only" and new.order_type not in ("limit", "iceberg"):
            raise ExchangeRefusal("EService:Market in limit_only mode")
        if status in ("cancel_only", "reduce_only"):
            raise ExchangeRefusal(f"EService:Market in {status} mode")


def admit(market: PairMarket, new: NewOrder, now_ns: int) -> Admitted:
    """The order in ticks and lots. Raises ExchangeRefusal with the first check that it fails."""
    _check_fields(new)
    _check_times(new, now_ns)
    trigger_ticks = _trigger_ticks(market, new.trigger, new) if new.trigger is not None else 0
    facing = market.book.facing(new.side)
    if new.limit_price is not None:
        base = trigger_ticks if new.order_type in TRAILING_KINDS else market.last_ticks
        limit_ticks = price_ticks(market, new.limit_price, new.limit_price_type, base)
    else:
        limit_ticks = trigger_ticks or protection(facing)
    if new.cash_qty is not None:
        lots = _lots_for(market, new.cash_qty, limit_ticks)
    else:
        lots = _lots(market, new.qty, "volume")
    display_lots = check_display(market, new.display_qty, lots) if new.display_qty is not None else 0
    is_priced = new.limit_price is not None or trigger_ticks
    check_minimums(market, market.qty(lots), limit_ticks if is_priced else facing.best() or market.last_ticks)
    return Admitted(limit_ticks, lots, display_lots, trigger_ticks)


def check_amount(value: Decimal, field: str) -> None:
    """Raise ExchangeRefusal for a number that no order could have."""
    if (
        not value.is_finite()
        or abs(value.adjusted()) > _MAGNITUDE_MAX
        or len(value.as_tuple().digits) > 2 * _MAGNITUDE_MAX
    ):
        raise ExchangeRefusal(f"EGeneral:Invalid arguments:{field}")


def check_display(market: PairMarket, display_qty: Decimal, lots: int) -> int:
    """What an iceberg shows, in lots: at least a fifteenth of it and at most all. Raises ExchangeRefusal."""
    display_lots = _lots(market, display_qty, "displayvol")
    if display_lots > lots or display_lots * DISPLAY_PARTS_MAX < lots:
        raise ExchangeRefusal("EGeneral:Invalid arguments:displayvol")
    return display_lots


def check_minimums(market: PairMarket, qty: Decimal, ticks: int | None) -> None:
    """Raise ExchangeRefusal for an order below the pair's minimum in coins, or at this price below that in dollars."""
    if qty < market.rules.qty_min:
        raise ExchangeRefusal("EGeneral:Invalid arguments:volume minimum not met")
    if ticks is not None and MONEY.multiply(market.price(ticks), qty) < market.rules.cost_min:
        raise ExchangeRefusal("EOrder:Cost minimum not met")


def check_deadline(deadline_ns: int | None, now_ns: int) -> None:
    """Raise ExchangeRefusal where the deadline has passed."""
    if deadline_ns is not None and now_ns > deadline_ns:
        raise ExchangeRefusal("EService:Deadline elapsed")


def protection(facing: BookHalf) -> int:
    """The worst price in ticks at which a market order trades now; 0 where nobody faces it."""
    best = facing.best()
    if best is None:
        return 0
    if facing.side == "ask":
        return int(rounded_to_step(best * (1 + MARKET_PROTECTION), Decimal(1), ROUND_FLOOR))
    return max(1, int(rounded_to_step(best * (1 - MARKET_PROTECTION), Decimal(1), ROUND_CEILING)))


def _check_fields(new: NewOrder) -> None:
    for field, value in (
        ("volume", new.qty),
        ("price", new.limit_price),
        ("price", new.trigger.price if new.trigger else None),
        ("displayvol", new.display_qty),
        ("volume", new.cash_qty),
    ):
        if value is not None:
            check_amount(value, field)
    if (new.order_type in LIMIT_KINDS) != (new.limit_price is not None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:price")
    if (new.order_type in TRIGGERED_KINDS) != (new.trigger is not None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:price")
    if (new.order_type == "iceberg") != (new.display_qty is not None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:displayvol")
    if new.cash_qty is not None and (new.order_type, new.side, new.starts_ns) != ("market", "buy", None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:viqc")
    _check_lifetime(new)
    _check_names(new)


def _check_lifetime(new: NewOrder) -> None:
    if new.post_only and (new.order_type not in ("limit", "iceberg") or new.time_in_force in ("ioc", "fok")):
        raise ExchangeRefusal("EGeneral:Invalid arguments:post_only")
    lifetime, kind = new.time_in_force, new.order_type
    # Fill or kill is for plain limit orders; nothing of an immediate order could be hidden; a market order never rests.
    if (lifetime == "fok" and kind != "limit") or (lifetime == "ioc" and kind == "iceberg"):
        raise ExchangeRefusal("EGeneral:Invalid arguments:timeinforce")
    if lifetime == "gtd" and kind == "market":
        raise ExchangeRefusal("EGeneral:Invalid arguments:timeinforce")
    if (lifetime == "gtd") != (new.expires_ns is not None):
        raise ExchangeRefusal("EGeneral:Invalid arguments:expiretm")


def _check_names(new: NewOrder) -> None:
    if new.cl_ord_id is not None:
        if new.userref is not None:
            raise ExchangeRefusal("EGeneral:Invalid arguments:cl_ord_id and userref are exclusive")
        if not _CL_ORD_ID.fullmatch(new.cl_ord_id):
            raise ExchangeRefusal("EGeneral:Invalid arguments:cl_ord_id")
    if new.userref is not None and not -_USERREF_LIMIT <= new.userref < _USERREF_LIMIT:
        raise ExchangeRefusal("EGeneral:Invalid arguments:userref")


def _check_times(new: NewOrder, now_ns: int) -> None:
    check_deadline(new.deadline_ns, now_ns)
    if new.starts_ns is not None:
        # A trailing stop that begins later would trail a price that nobody knows yet: Kraken's way with it is unknown.
        is_ahead = now_ns < new.starts_ns <= now_ns + EXPIRY_NS_MAX
        if not is_ahead or new.order_type in TRAILING_KINDS:
            raise ExchangeRefusal("EGeneral:Invalid arguments:starttm")
    if new.expires_ns is not None:
        begins_ns = new.starts_ns or now_ns
        if not begins_ns + EXPIRY_NS_MIN <= new.expires_ns <= now_ns + EXPIRY_NS_MAX:
            raise ExchangeRefusal("EGeneral:Invalid arguments:expiretm")


def _lots(market: PairMarket, qty: Decimal, field: str) -> int:
    lots = market.lots(qty)
    if lots is None or lots <= 0:
        raise ExchangeRefusal(f"EGeneral:Invalid arguments:{field}")
    return lots


def _lots_for(market: PairMarket, cash: Decimal, limit_ticks: int) -> int:
    """How many lots so much money buys from the book as it is; what the book lacks is counted at the worst price."""
    lots = 0
    for _, ticks, resting in market.book.asks.orders():
        price = market.price(ticks)
        part = min(resting, int(MONEY.scaleb(MONEY.divide(cash, price), market.rules.qty_decimals)))
        if ticks > limit_ticks or part <= 0:
            break
        lots += part
        cash = MONEY.subtract(cash, MONEY.multiply(price, market.qty(part)))
        if part < resting:
            return lots
    if limit_ticks and cash > 0:
        lots += int(MONEY.scaleb(MONEY.divide(cash, market.price(limit_ticks)), market.rules.qty_decimals))
    if lots <= 0:
        raise ExchangeRefusal("EGeneral:Invalid arguments:volume minimum not met")
    return lots


def _trigger_ticks(market: PairMarket, trigger: NewTrigger, new: NewOrder) -> int:
    if new.order_type not in TRAILING_KINDS:
        return price_ticks(market, trigger.price, trigger.price_type, market.last_ticks)
    peak = market.last_ticks
    if peak is None or trigger.price <= 0:
        raise ExchangeRefusal("EOrder:Invalid price")
    if trigger.price_type == "static":
        # Kraken docs, Add Order: a trailing stop's price must be an offset.
        raise ExchangeRefusal("EGeneral:Invalid arguments:price")
    behind = trailing_ticks(market, trigger.price, trigger.price_type, peak)
    ticks = peak + behind if new.side == "buy" else peak - behind
    if ticks <= 0:
        raise ExchangeRefusal("EOrder:Invalid price")
    return ticks
