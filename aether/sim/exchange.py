"""The made Kraken itself: accounts, price-time matching, fees, holds, statuses, dead-man timer. No I/O and no clock.

Written from Kraken's documents, never from our own client. Where they leave a choice, it is the stricter one for the
client, and said here:

* Cost is rounded down to `cost_decimals`, so that the parts of an order never cost more than what is held for it; the
  fee is computed per fill and rounded up. An order keeps the rates of its acceptance. Where the account holds less than
  the last unit of a rounded-up fee (0.00001 USD), the fee is what is left: a balance never goes below zero.
* An open buy holds its cost at the limit plus the taker fee, an open sell its coins (Kraken, Exchange Trading Rules).
* Of an order and its own account's resting one that it would trade with, one or both end with "Cannot trade with
  self", as the arriving order says; by default its own rest does (Kraken support, Self trading prevention).
* A waiting order holds as an open one does, a market order at its trigger; one that its account cannot pay when it is
  set off is cancelled. A trigger that the last trade has reached already acts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from aether.domain.values import NANOS_PER_S
from aether.sim.account import Account, WorkingOrder
from aether.sim.admission import check_deadline
from aether.sim.amending import amended, check_amend_status, original
from aether.sim.exchange_views import ExchangeViews
from aether.sim.intake import OPEN_ORDERS_MAX, Intake
from aether.sim.matching import RULES_CHANGED, USER_REQUEST, Matcher, Taking
from aether.sim.pair_market import PairMarket
from aether.sim.records import (
    SYSTEM_STATUSES,
    Amend,
    AmendCause,
    AmendRecord,
    Announcement,
    Book,
    BookSide,
    Change,
    Event,
    ExchangeRefusal,
    LedgerEntry,
    LedgerEvent,
    LevelChanged,
    NewOrder,
    Order,
    OrderEvent,
    OrderSide,
    PairRules,
    PublicTrade,
    StatusEvent,
    Trade,
)
from aether.sim.timetable import Timetable

__all__ = [
    "Amend",
    "AmendRecord",
    "Book",
    "Change",
    "Event",
    "Exchange",
    "ExchangeRefusal",
    "LedgerEntry",
    "LedgerEvent",
    "LevelChanged",
    "NewOrder",
    "Order",
    "OrderEvent",
    "PairRules",
    "PublicTrade",
    "StatusEvent",
    "Trade",
]


_ZERO = Decimal(0)

DELISTED = "Market delisted"  # Kraken's own words for it are not published


class Exchange(ExchangeViews):
    """A spot exchange for USD pairs. Every change is an argument's doing; what happened is read with `drain`.

    `now_ns` is the time of the call (nanoseconds since 1970 UTC). A time before the latest one known counts as the
    latest, so that the exchange's own stamps never go backwards. Timers due by then act first.
    """

    def __init__(self, pairs: Iterable[PairRules], *, seed: int, open_orders_max: int = OPEN_ORDERS_MAX) -> None:
        """`seed` draws the ids of orders, executions and ledger rows; `open_orders_max` is per account and pair."""
        super().__init__(pairs, seed)
        self._matcher = Matcher(self._clearing)
        self._timetable = Timetable()
        self._late: list[WorkingOrder] = []  # their start came while their market was shut
        self._intake = Intake(self._clearing, self._markets, open_orders_max)
        self._dead_men: dict[str, int] = {}
        self.announced: tuple[Announcement, ...] = ()

    # --- accounts -----------------------------------------------------------------------------------------------

    def open_account(self, account: str, balances: Mapping[str, Decimal], now_ns: int) -> None:
        """Open an account with these deposits (v2 asset names). ValueError for an open account or a bad amount."""
        if account in self._accounts:
            raise ValueError(f"account {account!r} is open already")
        for asset, amount in balances.items():
            if not amount.is_finite() or amount < 0:
                raise ValueError(f"a deposit of {amount} {asset}")
        self.advance(now_ns)
        opened = self._accounts[account] = Account(account)
        for asset, amount in balances.items():
            self._clearing.deposit(opened, asset, amount)

    def post(self, account: str, changes: Sequence[Change], now_ns: int) -> list[LedgerEntry]:
        """Book rows beside trading, all of one act: `foreign_acts` has the ones that Kraken knows.

        Raises ExchangeRefusal where less is free than would go, and then nothing happened.
        """
        self.advance(now_ns)
        return self._clearing.book(self._accounts[account], changes)

    def shift_unbooked(self, account: str, asset: str, amount: Decimal, now_ns: int) -> None:
        """Change a balance without any row: what no exchange should do, and every client must notice.

        Raises ExchangeRefusal where less is free than would go.
        """
        self.advance(now_ns)
        self._accounts[account].shift(asset, amount)

    # --- orders -------------------------------------------------------------------------------------------------

    def add_order(self, account: str, new: NewOrder, now_ns: int) -> Order:
        """Check, match and rest an order; its picture after that. Raises ExchangeRefusal, and then nothing happened."""
        self.advance(now_ns)
        market, working = self._intake.admitted(self._accounts[account], new, self._system_status)
        return self._place(market, working)

    def _place(self, market: PairMarket, working: WorkingOrder) -> Order:
        working.order = order = replace(working.order, order_id=self._clearing.new_id("O"))
        self._clearing.accept(market, working)
        if order.expires_ns is not None:
            self._timetable.add(order.expires_ns, "expire", working)
        if order.starts_ns is not None:
            self._timetable.add(order.starts_ns, "start", working)
        else:
            self._matcher.go_live(market, working)
            self._settle(market)
        return working.order

    def check_order(self, account: str, new: NewOrder, now_ns: int) -> Order:
        """The order as it would enter, without an id; nothing happens: Kraken's `validate`. Raises ExchangeRefusal."""
        self.advance(now_ns)
        return self._intake.admitted(self._accounts[account], new, self._system_status)[1].order

    def cancel_order(self, account: str, order_id: str, now_ns: int) -> Order:
        """Cancel an open order. Raises ExchangeRefusal (`EOrder:Unknown order` for one that is not open)."""
        self.advance(now_ns)
        self._refuse_in_maintenance()
        working = self._open(account, order_id)
        if self._markets[working.order.pair].rules.status == "maintenance":
            raise ExchangeRefusal("EService:Unavailable")
        self._end(working, "canceled", USER_REQUEST)
        return working.order

    def cancel_all(self, account: str, now_ns: int) -> int:
        """Cancel the account's open orders, but for those of a pair in maintenance; how many that were.

        Raises ExchangeRefusal in maintenance.
        """
        self.advance(now_ns)
        self._refuse_in_maintenance()
        standing = self._accounts[account].open.values()
        return self._cancel_all(
            [working for working in standing if self._markets[working.order.pair].rules.status != "maintenance"],
            USER_REQUEST,
        )

    def amend_order(self, account: str, amend: Amend, now_ns: int) -> str:
        """Change an open order in place; the id of the change. Raises ExchangeRefusal, and then nothing happened.

        It keeps its place in the queue where it only gets smaller. Below what is filled, the rest is cancelled.
        """
        self.advance(now_ns)
        working = self._open(account, amend.order_id)
        check_amend_status(self._system_status, self._markets[working.order.pair].rules.status, working, amend)
        check_deadline(amend.deadline_ns, self._clearing.now_ns)
        return self._amend(working, amend, "user", USER_REQUEST)

    def restate_order(self, account: str, amend: Amend, reason: str, now_ns: int) -> str:
        """Change an open order as the engine itself may, whoever placed it (Kraken docs, executions: `restated`).

        Returns the id of the change. Raises ExchangeRefusal as `amend_order`, and then nothing happened.
        """
        self.advance(now_ns)
        return self._amend(self._open(account, amend.order_id), amend, "restated", reason)

    def _amend(self, working: WorkingOrder, amend: Amend, amend_type: AmendCause, reason: str) -> str:
        market = self._markets[working.order.pair]
        changed = amended(market, working, amend)
        history = working.owner.amends.setdefault(working.order_id, [])
        if not history:
            history.append(original(working.order))
        if changed.lots_left:
            self._matcher.become(market, working, changed, amend_type, reason)
            self._settle(market)
        else:
            working.order = changed.order
            self._clearing.tell_amended(working, amend_type, reason)
            self._end(working, "canceled", USER_REQUEST)
        return working.owner.amends[working.order_id][-1].amend_id

    def replace_order(self, account: str, order_id: str, new: NewOrder, now_ns: int) -> Order:
        """Cancel an open order and place another for it, which may use the old one's funds: Kraken's `EditOrder`.

        Raises ExchangeRefusal, and then nothing happened. (Kraken docs, Edit Order: not for a stop that was set off,
        nor for an order with a client order id.)
        """
        self.advance(now_ns)
        old, market, working = self._replacement(account, order_id, new)
        self._end(old, "canceled", "Order replaced")
        return self._place(market, working)

    def check_replacement(self, account: str, order_id: str, new: NewOrder, now_ns: int) -> Order:
        """The order that would be placed for another one; nothing happens. Raises ExchangeRefusal."""
        self.advance(now_ns)
        return self._replacement(account, order_id, new)[2].order

    def add_batch(self, account: str, batch: Sequence[NewOrder], now_ns: int) -> list[Order | ExchangeRefusal]:
        """Place several orders, each with its own outcome in order.

        Raises ExchangeRefusal where one of them is wrong in itself; then none is placed. What an order meets in the
        engine, such as missing funds, is its own outcome (Kraken docs, Add Order Batch).
        """
        return self._each_of(batch, lambda new: self.add_order(account, new, now_ns), now_ns)

    def check_batch(self, account: str, batch: Sequence[NewOrder], now_ns: int) -> list[Order | ExchangeRefusal]:
        """What a batch would meet, each of its orders by itself; nothing happens. Raises ExchangeRefusal as a batch."""
        return self._each_of(batch, lambda new: self.check_order(account, new, now_ns), now_ns)

    def set_dead_man(self, account: str, timeout_s: int, now_ns: int) -> int | None:
        """Cancel all of the account's orders after so many seconds, unless called again; 0 switches it off.

        Returns the trigger time in nanoseconds, None when off. (Kraken docs, Cancel All Orders After X: less than a
        day.) Raises ExchangeRefusal.
        """
        self.advance(now_ns)
        assert account in self._accounts, f"no account {account!r}"
        self._refuse_in_maintenance()
        if not 0 <= timeout_s < 86_400:
            raise ExchangeRefusal("EGeneral:Invalid arguments:timeout")
        self._dead_men.pop(account, None)
        if timeout_s == 0:
            return None
        self._dead_men[account] = self._clearing.now_ns + timeout_s * NANOS_PER_S
        return self._dead_men[account]

    # --- market -------------------------------------------------------------------------------------------------

    def set_system_status(self, status: str) -> None:
        """Change what the whole exchange allows (Kraken docs, WebSocket v2 status)."""
        assert status in SYSTEM_STATUSES, f"no system status {status!r}"
        self._system_status = status
        self._clearing.events.append(StatusEvent(None, status))

    def announce_maintenance(self, *windows: Announcement) -> None:
        """Announce these standstills in place of those before (Kraken docs, WebSocket v2 status): advice, no more."""
        self.announced = windows
        self._clearing.events.append(StatusEvent(None, self._system_status))

    def set_pair_status(self, pair: str, status: str) -> None:
        """Change what one pair allows (Kraken docs, WebSocket v2 instrument)."""
        market = self._markets[pair]
        market.rules = replace(market.rules, status=status)
        self._clearing.events.append(StatusEvent(pair, status))

    def delist(self, pair: str, now_ns: int) -> None:
        """Shut a pair to all trading; its open orders end."""
        self.advance(now_ns)
        for owner in self._accounts.values():
            self._cancel_all([order for order in owner.open.values() if order.order.pair == pair], DELISTED)
        self.set_pair_status(pair, "delisted")

    def set_pair_rules(self, rules: PairRules, now_ns: int) -> None:
        """Change one pair's rules, which `rules.name` names, as an exchange may at any time.

        With other digits its book begins anew: the crowd's levels are gone, and an account's order keeps its place
        where its price and the rest of it are on the new grid; otherwise it is cancelled.
        """
        self.advance(now_ns)
        market = self._markets[rules.name]
        if _digits(rules) == _digits(market.rules):
            market.rules = rules
        else:
            self._change_grid(market, rules)
        self._clearing.events.append(StatusEvent(rules.name, rules.status))

    # --- the crowd ----------------------------------------------------------------------------------------------

    def set_level(self, pair: str, side: BookSide, price: Decimal, qty: Decimal, now_ns: int) -> None:
        """Make the crowd's own quantity at this price `qty` (0 takes it away).

        A smaller quantity keeps its place in the queue. Where it would cross, the crowd's own opposite levels give
        way and accounts' orders are taken first; the rest rests. Does nothing while the exchange or the pair does not
        match.
        """
        self.advance(now_ns)
        market = self._markets[pair]
        if not self._is_matching(market):
            return
        ticks, lots = market.on_grid(price, qty)
        taking = Taking("buy" if side == "bid" else "sell", "limit", ticks)
        facing = market.book.facing(taking.side)
        if lots and facing.crosses(ticks):
            market.withdraw_crowd(facing, ticks, also_at_limit=True)
            lots, _ = self._matcher.take(market, taking, lots)
        market.set_crowd(market.book.half(side), ticks, lots)
        self._settle(market)

    def crowd_trade(self, pair: str, side: OrderSide, price: Decimal, qty: Decimal, now_ns: int) -> None:
        """Let the crowd take exactly `qty` at `price` or better. `side` is the taker's.

        The crowd's own better levels give way; then whoever rests there is filled by price and time, the crowd's own
        level at `price` in its place in the queue; what is still missing trades with the crowd at `price`. Does nothing
        while the exchange or the pair does not match.
        """
        self.advance(now_ns)
        market = self._markets[pair]
        if not self._is_matching(market):
            return
        ticks, lots = market.on_grid(price, qty)
        market.withdraw_crowd(market.book.facing(side), ticks, also_at_limit=False)
        missing, _ = self._matcher.take(market, Taking(side, "limit", ticks), lots)
        if missing:
            market.record_trade(side, ticks, missing, "limit", self._clearing.now_ns)
        self._settle(market)

    # --- time ---------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Let time pass: what is due by then happens at its own time, or when maintenance is over.

        Orders begin and expire, and dead man's switches act.
        """
        while self._system_status != "maintenance":
            due_ns = self._next_due_ns()
            if due_ns is None or due_ns > now_ns:
                break
            self._clearing.now_ns = max(self._clearing.now_ns, due_ns)
            self._do_due(due_ns)
        self._clearing.now_ns = max(self._clearing.now_ns, now_ns)
        if self._late:
            self._start_late()

    def drain(self) -> list[Event]:
        """All events since the last call, in the order in which they happened. Whoever runs the exchange calls this."""
        events = self._clearing.events.copy()
        self._clearing.events.clear()
        return events

    # --- inside -------------------------------------------------------------------------------------------------

    def _open(self, account: str, order_id: str) -> WorkingOrder:
        working = self._accounts[account].open.get(order_id)
        if working is None:
            raise ExchangeRefusal("EOrder:Unknown order")
        return working

    def _refuse_in_maintenance(self) -> None:
        if self._system_status == "maintenance":
            raise ExchangeRefusal("EService:Unavailable")

    def _replacement(self, account: str, order_id: str, new: NewOrder) -> tuple[WorkingOrder, PairMarket, WorkingOrder]:
        """The order that would go, its market, and the one that would come. Raises ExchangeRefusal."""
        old = self._open(account, order_id)
        if old.order.cl_ord_id is not None or (old.order.trigger is not None and old.order.trigger.is_triggered):
            raise ExchangeRefusal("EOrder:Invalid order")
        if (new.pair, new.side) != (old.order.pair, old.order.side):
            raise ExchangeRefusal("EGeneral:Invalid arguments:type")
        return old, *self._intake.admitted(old.owner, new, self._system_status, instead_of=old)

    def _each_of(
        self, batch: Sequence[NewOrder], act: Callable[[NewOrder], Order], now_ns: int
    ) -> list[Order | ExchangeRefusal]:
        self.advance(now_ns)
        for new in batch:
            self._intake.check_alone(new, self._system_status)
        outcomes: list[Order | ExchangeRefusal] = []
        for new in batch:
            try:
                outcomes.append(act(new))
            except ExchangeRefusal as refused:
                outcomes.append(refused)
        return outcomes

    def _settle(self, market: PairMarket) -> None:
        """What a change sets off, then what everybody sees of it all."""
        if market.unheard:
            self._matcher.run_triggers(market)
        market.tell_levels(self._clearing.now_ns)

    def _next_due_ns(self) -> int | None:
        dead_man_ns = min(self._dead_men.values(), default=None)
        other_ns = self._timetable.next_ns()
        if dead_man_ns is None or other_ns is None:
            return dead_man_ns if other_ns is None else other_ns
        return min(dead_man_ns, other_ns)

    def _do_due(self, due_ns: int) -> None:
        if self._timetable.next_ns() == due_ns:
            due, working = self._timetable.pop()
            if due == "start":
                self._late.append(working)
                self._start_late()
            else:
                self._end(working, "expired", "")
            return
        account = next(name for name, at_ns in self._dead_men.items() if at_ns == due_ns)
        del self._dead_men[account]
        self._cancel_all(list(self._accounts[account].open.values()), "Cancel all orders after timeout")

    def _start_late(self) -> None:
        """Let scheduled orders begin whose time has come, as far as their markets match."""
        waiting, self._late = self._late, []
        for working in waiting:
            market = self._markets[working.order.pair]
            if not working.order.is_open:
                continue
            if not self._is_matching(market):
                self._late.append(working)
                continue
            self._matcher.go_live(market, working)
            self._settle(market)

    def _cancel_all(self, working_orders: Sequence[WorkingOrder], reason: str) -> int:
        for working in working_orders:
            self._end(working, "canceled", reason)
        return len(working_orders)

    def _end(self, working: WorkingOrder, status: Literal["canceled", "expired"], reason: str) -> None:
        market = self._markets[working.order.pair]
        self._matcher.leave(market, working)
        self._clearing.close(working, status, reason)
        self._settle(market)

    def _change_grid(self, market: PairMarket, rules: PairRules) -> None:
        waiting = [working for owner in self._accounts.values() for working in owner.open.values()]
        for working in waiting:
            if working.is_waiting and working.order.pair == rules.name:
                self._end(working, "canceled", RULES_CHANGED)
        self._matcher.change_grid(market, rules)

    def _is_matching(self, market: PairMarket) -> bool:
        return self._system_status == "online" and market.rules.status in ("online", "limit_only")


def _digits(rules: PairRules) -> tuple[int, int, int]:
    return rules.price_decimals, rules.qty_decimals, rules.cost_decimals
