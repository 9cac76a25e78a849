"""From what a client asks for to an order that the exchange works on: every check, the account's too, and its rates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aether.sim.account import Account, WorkingOrder
from aether.sim.admission import Admitted, admit, check_status
from aether.sim.clearing import Clearing, check_funds
from aether.sim.pair_market import PairMarket
from aether.sim.records import LIMIT_KINDS, TRAILING_KINDS, ExchangeRefusal, NewOrder, Order, Trigger

# Kraken docs, Spot Trading Limits: open orders per pair of an account on the highest tier (60 and 80 on the others).
OPEN_ORDERS_MAX = 225

_ZERO = Decimal(0)


class Intake:
    """Lets orders in. It changes nothing: what it returns is not yet the account's."""

    __slots__ = ("_clearing", "_markets", "_open_orders_max")

    def __init__(self, clearing: Clearing, markets: Mapping[str, PairMarket], open_orders_max: int) -> None:
        self._clearing = clearing
        self._markets = markets
        self._open_orders_max = open_orders_max

    def check_alone(self, new: NewOrder, system_status: str) -> tuple[PairMarket, Admitted]:
        """The order after every check that asks of no account. Raises ExchangeRefusal."""
        market = self._markets.get(new.pair)
        if market is None:
            raise ExchangeRefusal("EQuery:Unknown asset pair")
        check_status(system_status, market.rules.status, new)
        return market, admit(market, new, self._clearing.now_ns)

    def admitted(
        self, owner: Account, new: NewOrder, system_status: str, *, instead_of: WorkingOrder | None = None
    ) -> tuple[PairMarket, WorkingOrder]:
        """The order after every check, still without an id; it may count on what the one that it replaces holds.

        Raises ExchangeRefusal.
        """
        market, admitted = self.check_alone(new, system_status)
        _refuse_duplicate(owner, new)
        if instead_of is None and owner.open_in_pair[new.pair] >= self._open_orders_max:
            raise ExchangeRefusal("EOrder:Orders limit exceeded")
        working = self._working(owner, market, new, admitted)
        spare = instead_of.hold if instead_of is not None and instead_of.hold_asset == working.hold_asset else _ZERO
        check_funds(market, working, spare)
        return market, working

    def _working(self, owner: Account, market: PairMarket, new: NewOrder, admitted: Admitted) -> WorkingOrder:
        has_limit = new.order_type in LIMIT_KINDS
        is_trailing = new.order_type in TRAILING_KINDS
        peak_ticks = market.last_ticks if is_trailing and market.last_ticks is not None else 0
        order = Order(
            order_id="",
            account=owner.name,
            pair=new.pair,
            side=new.side,
            order_type=new.order_type,
            qty=market.qty(admitted.lots),
            limit_price=market.price(admitted.limit_ticks) if has_limit else None,
            time_in_force=new.time_in_force,
            post_only=new.post_only,
            cl_ord_id=new.cl_ord_id,
            userref=new.userref,
            deadline_ns=new.deadline_ns,
            status="pending_new",
            opened_ns=self._clearing.now_ns,
            limit_asked=new.limit_price if is_trailing and new.limit_price_type != "static" else None,
            limit_price_type=new.limit_price_type,
            trigger=_trigger(market, new, admitted.trigger_ticks, peak_ticks),
            display_qty=new.display_qty,
            starts_ns=new.starts_ns,
            expires_ns=new.expires_ns,
            self_trade=new.self_trade,
            cash_qty=new.cash_qty,
            fee_in_base=new.fee_in_base,
        )
        taker_percent, maker_percent = market.rules.fees.rates(owner.volume_30d(self._clearing.now_ns))
        asset = market.rules.quote if new.side == "buy" else market.rules.base
        working = WorkingOrder(owner, order, admitted.limit_ticks, admitted.lots, taker_percent, maker_percent, asset)
        working.display_lots, working.trigger_ticks = admitted.display_lots, admitted.trigger_ticks
        working.peak_ticks = peak_ticks
        working.is_waiting = bool(admitted.trigger_ticks) or new.starts_ns is not None
        return working


def _refuse_duplicate(owner: Account, new: NewOrder) -> None:
    bearer = owner.find_by_cl_ord_id(new.cl_ord_id) if new.cl_ord_id is not None else None
    if bearer is not None and bearer.is_open:
        raise ExchangeRefusal("EOrder:cl_ord_id already in use")


def _trigger(market: PairMarket, new: NewOrder, ticks: int, peak_ticks: int) -> Trigger | None:
    asked = new.trigger
    if asked is None:
        return None
    peak = market.price(peak_ticks) if peak_ticks else None
    return Trigger(asked.price, asked.price_type, asked.reference, market.price(ticks), peak)
