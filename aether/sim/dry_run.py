"""Would this order be taken? Tried on a twin of the exchange that nobody sees: Kraken's `validate`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aether.domain.values import MONEY
from aether.sim.exchange import Exchange, ExchangeRefusal, NewOrder
from aether.sim.fees import FeeSchedule, FeeTier


def check_order(exchange: Exchange, account: str, new: NewOrder, now_ns: int) -> None:
    """Raise the ExchangeRefusal that this order would meet; nothing else happens."""
    rules = exchange.pairs.get(new.pair)
    if rules is None:
        raise ExchangeRefusal("EQuery:Unknown asset pair")
    rates = FeeTier(Decimal(0), *exchange.fee_rates(account, new.pair))
    twin = Exchange([replace(rules, status="online")], seed=0, fee_schedule=FeeSchedule((rates,)))
    free = {asset: MONEY.subtract(total, held) for asset, (total, held) in exchange.balances(account).items()}
    twin.open_account(account, free, now_ns)
    book = exchange.book(new.pair)
    for price, qty in book.bids:
        twin.set_level(new.pair, "bid", price, qty, now_ns)
    for price, qty in book.asks:
        twin.set_level(new.pair, "ask", price, qty, now_ns)
    twin.set_system_status(exchange.system_status)
    twin.set_pair_status(new.pair, rules.status)
    twin.add_order(account, new, now_ns)
    _refuse_duplicate(exchange, account, new)


def _refuse_duplicate(exchange: Exchange, account: str, new: NewOrder) -> None:
    bearer = exchange.find_order(account, cl_ord_id=new.cl_ord_id) if new.cl_ord_id is not None else None
    if bearer is not None and bearer.is_open:
        raise ExchangeRefusal("EOrder:cl_ord_id already in use")
