"""What people, and Kraken itself, do to an account beside our trading, each with the ledger rows that Kraken books.

Money comes and goes, coins begin or cease to earn, an app buys at once without an order, and orders are placed by hand.
Source: Kraken docs, Get Ledgers Info (types and subtypes), and its note on the suffixes of earning assets.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from aether.domain.values import MONEY
from aether.sim.exchange import Change, Exchange, ExchangeRefusal, LedgerEntry, NewOrder, Order

EARNS = "F"  # Kraken docs, Get Ledgers Info: `.F` are balances that earn automatically
_INSTANT_FEE_PERCENT = Decimal("1.5")  # what an app takes for a purchase at once; any rate would do
_HUNDRED = Decimal(100)


class ForeignActs:
    """Acts on one account at `now_ns`. Each raises ExchangeRefusal, and does nothing, where funds lack."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        self._exchange = exchange
        self._account = account

    def deposit(self, asset: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Pay in."""
        return self._post([Change("deposit", asset, amount)], now_ns)

    def withdraw(self, asset: str, amount: Decimal, fee: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Pay out `amount`, and `fee` beside it."""
        return self._post([Change("withdrawal", asset, -amount, fee)], now_ns)

    def reward(self, asset: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """What an earning asset has earned."""
        return self._post([Change("earn", asset, amount, subtype="reward")], now_ns)

    def begin_to_earn(self, coin: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Put coins into the wallet that earns: they can no longer be traded."""
        return self._move(coin, f"{coin}.{EARNS}", amount, "allocation", now_ns)

    def cease_to_earn(self, coin: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Take coins back out of the wallet that earns."""
        return self._move(f"{coin}.{EARNS}", coin, amount, "deallocation", now_ns)

    def transfer(self, asset: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Move money to another wallet of the same owner (negative), or from there."""
        subtype = "spottofutures" if amount < 0 else "spotfromfutures"
        return self._post([Change("transfer", asset, amount, subtype=subtype)], now_ns)

    def buy_at_once(self, pair: str, dollars: Decimal, now_ns: int) -> list[LedgerEntry]:
        """An app's purchase at the best ask: money is spent, coins are received, and no order or trade tells of it.

        Also raises ExchangeRefusal where nobody sells.
        """
        rules, asks = self._exchange.pairs[pair], self._exchange.book(pair, 1).asks
        if not asks:
            raise ExchangeRefusal("EService:Unavailable")
        step, lot = Decimal(1).scaleb(-rules.cost_decimals), Decimal(1).scaleb(-rules.qty_decimals)
        fee = MONEY.divide(MONEY.multiply(dollars, _INSTANT_FEE_PERCENT), _HUNDRED).quantize(step, ROUND_DOWN, MONEY)
        coins = MONEY.divide(dollars, asks[0][0]).quantize(lot, ROUND_DOWN, MONEY)
        return self._post([Change("spend", rules.quote, -dollars, fee), Change("receive", rules.base, coins)], now_ns)

    def buy(self, pair: str, qty: Decimal, now_ns: int) -> Order:
        """A person's own market order to buy, which has no client order id. Raises as any order does."""
        return self._trade(NewOrder(pair, "buy", "market", qty, time_in_force="ioc"), now_ns)

    def sell(self, pair: str, qty: Decimal, now_ns: int) -> Order:
        """A person's own market order to sell. Raises as any order does."""
        return self._trade(NewOrder(pair, "sell", "market", qty, time_in_force="ioc"), now_ns)

    def bid(self, pair: str, qty: Decimal, price: Decimal, now_ns: int) -> Order:
        """A person's own order to buy that rests at `price`, or takes. Raises as any order does."""
        return self._trade(NewOrder(pair, "buy", "limit", qty, price), now_ns)

    def offer(self, pair: str, qty: Decimal, price: Decimal, now_ns: int) -> Order:
        """A person's own order to sell that rests at `price`, or takes. Raises as any order does."""
        return self._trade(NewOrder(pair, "sell", "limit", qty, price), now_ns)

    def adjust(self, asset: str, amount: Decimal, now_ns: int) -> list[LedgerEntry]:
        """Kraken's own correction of a balance, such as after a fork."""
        return self._post([Change("adjustment", asset, amount)], now_ns)

    def pay_for_margin(self, fee: Decimal, now_ns: int) -> list[LedgerEntry]:
        """A fee in dollars of a margin position that someone opened on the account, where a spot program must stop."""
        return self._post([Change("rollover", "USD", Decimal(0), fee)], now_ns)

    def shift_unbooked(self, asset: str, amount: Decimal, now_ns: int) -> None:
        """Change a balance without any row: what no exchange should do, and every client must notice."""
        self._exchange.shift_unbooked(self._account, asset, amount, now_ns)

    def _move(self, source: str, target: str, amount: Decimal, subtype: str, now_ns: int) -> list[LedgerEntry]:
        return self._post(
            [Change("earn", source, -amount, subtype=subtype), Change("earn", target, amount, subtype=subtype)], now_ns
        )

    def _post(self, changes: Sequence[Change], now_ns: int) -> list[LedgerEntry]:
        return self._exchange.post(self._account, changes, now_ns)

    def _trade(self, new: NewOrder, now_ns: int) -> Order:
        return self._exchange.add_order(self._account, new, now_ns)
