"""What the account is worth at present prices, and how much of it may be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aether.core.ledger import Ledger
from aether.core.market import Market
from aether.core.portfolio import USD
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NO_QTY, NO_USD, ZERO, Qty, Symbol, Usd


@dataclass(frozen=True, slots=True)
class Valuation:
    """Equity in USD at the middle of each book. `unpriced` assets count as nothing and are named."""

    equity: Usd
    unpriced: tuple[str, ...]

    @property
    def is_partial(self) -> bool:
        """Something is held whose price nobody tells: the account is worth more than this."""
        return bool(self.unpriced)


def value(ledger: Ledger, market: Market) -> Valuation | None:
    """Worth of all balances; None while a symbol in use that we hold has no price yet."""
    return worth(ledger.portfolio.balances, market)


def worth(amounts: Mapping[str, Decimal], market: Market) -> Valuation | None:
    """Worth of amounts by asset; None while one of a symbol in use has no price yet.

    Wallet suffixes (`BTC.F`) are worth what the coin is worth; they are equity, not free cash.
    """
    total, unpriced = ZERO, []
    for asset, amount in amounts.items():
        if not amount:
            continue
        coin = asset.partition(".")[0]
        mid = market.mid_of_asset(coin)
        if coin == USD:
            total = MONEY.add(total, amount)
        elif mid is not None:
            total = MONEY.add(total, MONEY.multiply(amount, mid.usd_per_coin))
        elif market.is_in_use(coin):
            return None
        else:
            unpriced.append(asset)
    return Valuation(Usd(total), tuple(unpriced))


def cash_free(ledger: Ledger) -> Usd:
    """Dollars that nothing has promised: plain USD less our reservations and the open buys of others on the account."""
    free = MONEY.subtract(ledger.portfolio.balance(USD), ledger.reserved_usd.amount)
    for order in ledger.external_orders.values():
        if order.side is Side.BUY and order.qty is not None and order.limit_price is not None:
            free = MONEY.subtract(free, order.limit_price.times(order.qty).amount)
    return Usd(free)


def holding_free(ledger: Ledger, strategy: str, symbol: Symbol) -> Qty:
    """Coins of a strategy that no open sell has promised, ours or of others, and never more than the account has."""
    held = ledger.portfolio.position(strategy, symbol).qty
    if not held:
        return NO_QTY
    promised, promised_all = NO_QTY, NO_QTY
    for order in ledger.unsettled.values():
        if order.symbol == symbol and order.side is Side.SELL:
            promised_all += order.outstanding
            if order.submitted.strategy == strategy:
                promised += order.outstanding
    for external in ledger.external_orders.values():
        if external.symbol == symbol and external.side is Side.SELL and external.qty is not None:
            promised_all += external.qty
    on_account = Qty(max(ZERO, ledger.portfolio.balance(symbol.removesuffix("/USD"))))
    return min(held.less(promised), on_account.less(promised_all))


def exposure(ledger: Ledger, market: Market, symbol: Symbol) -> Usd:
    """All coins of a symbol on the account at the middle price, with what our buys may still add at their limits."""
    mid = market.mid_of_asset(symbol.removesuffix("/USD"))
    coins = Qty(max(ZERO, ledger.portfolio.balance(symbol.removesuffix("/USD"))))
    held = mid.times(coins) if mid is not None else NO_USD
    for order in ledger.unsettled.values():
        if order.symbol == symbol and order.side is Side.BUY:
            held += order.limit_price.times(order.outstanding)
    return held
