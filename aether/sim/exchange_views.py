"""What can be looked at in the made Kraken, by its account or by everybody. Looking changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice

from aether.sim.account import Account
from aether.sim.amending import original
from aether.sim.clearing import Clearing
from aether.sim.order_book import CROWD
from aether.sim.pair_market import PairMarket, RulesOf
from aether.sim.records import AmendRecord, Book, BookSide, LedgerEntry, Order, PairRules, PublicTrade, Trade

_ZERO = Decimal(0)


class ExchangeViews:
    """The pictures of an exchange as it is. Methods that name an account raise KeyError for an unknown one."""

    def __init__(self, pairs: Iterable[PairRules], seed: int) -> None:
        self._clearing = Clearing(seed)
        self._markets = {rules.name: PairMarket(rules, self._clearing.events.append) for rules in pairs}
        self._accounts: dict[str, Account] = {}
        self._system_status = "online"

    # --- an account -----------------------------------------------------------------------------------------------

    def balances(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """`{asset: (total, held)}`; free is total - held. All account methods raise KeyError for an unknown account."""
        found = self._accounts[account]
        return {asset: (total, found.held.get(asset, _ZERO)) for asset, total in found.totals.items()}

    def fee_rates(self, account: str, pair: str) -> tuple[Decimal, Decimal]:
        """`(taker_percent, maker_percent)` by this account's USD volume of the last 30 days."""
        return self._markets[pair].rules.fees.rates(self.volume_30d(account))

    def volume_30d(self, account: str) -> Decimal:
        """USD traded by this account in the last 30 days."""
        return self._accounts[account].volume_30d(self._clearing.now_ns)

    def find_order(self, account: str, *, order_id: str | None = None, cl_ord_id: str | None = None) -> Order | None:
        """An order, open or closed; by `cl_ord_id` the open one, else the latest that bore it."""
        owner = self._accounts[account]
        if order_id is not None:
            return owner.find(order_id)
        return owner.find_by_cl_ord_id(cl_ord_id) if cl_ord_id is not None else None

    def open_orders(self, account: str) -> list[Order]:
        """Open orders, oldest first."""
        return [working.order for working in self._accounts[account].open.values()]

    def closed_orders(self, account: str) -> list[Order]:
        """Filled, cancelled and expired orders, newest closing first."""
        return self._accounts[account].closed[::-1]

    def amends(self, account: str, order_id: str) -> list[AmendRecord]:
        """An order's history, oldest first: as it entered, and each change. Empty for an unknown order."""
        owner = self._accounts[account]
        found = owner.find(order_id)
        if found is None:
            return []
        return list(owner.amends.get(order_id, ())) or [original(found)]

    def trades(self, account: str) -> list[Trade]:
        """The account's own trades, oldest first."""
        return list(self._accounts[account].trades)

    def ledgers(self, account: str) -> list[LedgerEntry]:
        """The account's ledger rows, oldest first."""
        return list(self._accounts[account].ledger)

    # --- the market -----------------------------------------------------------------------------------------------

    @property
    def pairs(self) -> Mapping[str, PairRules]:
        """Rules by v2 name; `status` in them is the pair's status now."""
        return RulesOf(self._markets)

    @property
    def system_status(self) -> str:
        """`online`, `post_only`, `cancel_only` or `maintenance`."""
        return self._system_status

    def book(self, pair: str, depth: int = 1000) -> Book:
        """Aggregated levels, best first, at most `depth` on each side. Raises KeyError for an unknown pair."""
        market = self._markets[pair]
        return Book(pair, market.levels(market.book.bids, depth), market.levels(market.book.asks, depth))

    def top(self, pair: str, depth: int) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Bids and asks as `(ticks, lots)`, best first, at most `depth` each. Raises KeyError for an unknown pair."""
        book = self._markets[pair].book
        return tuple(islice(book.bids.levels(), depth)), tuple(islice(book.asks.levels(), depth))

    def book_changes(self, pair: str) -> int:
        """How often the public book was told anew: where it is the same number, it is the same book."""
        return self._markets[pair].book_changes

    def last_trade_price(self, pair: str) -> Decimal | None:
        """Price of the latest public trade, None before the first."""
        market = self._markets[pair]
        return None if market.last_ticks is None else market.price(market.last_ticks)

    def public_trades(self, pair: str) -> list[PublicTrade]:
        """The newest 1000 public trades, oldest first."""
        return list(self._markets[pair].public_trades)

    def crowd_levels(self, pair: str, side: BookSide) -> list[tuple[int, int]]:
        """The crowd's own levels as `(ticks, lots)`, best first."""
        half = self._markets[pair].book.half(side)
        return [(ticks, lots) for order_id, ticks, lots in half.orders() if order_id == CROWD]
