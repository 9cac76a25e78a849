"""What an order and a trade do to an account: holds, fills with their fees, ledger rows, and the private reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Literal

from aether.domain.values import MONEY
from aether.sim.account import Account, WorkingOrder
from aether.sim.fees import cost_of, fee_of, most_of
from aether.sim.pair_market import PairMarket
from aether.sim.records import (
    AmendCause,
    AmendRecord,
    Change,
    Event,
    ExchangeRefusal,
    ExecType,
    LedgerEntry,
    LedgerEvent,
    OrderEvent,
    PublicTrade,
    Trade,
)

_ZERO = Decimal(0)
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Clearing:
    """Books what happens to accounts at `now_ns`, and keeps the exchange's events in their order."""

    __slots__ = ("_random", "events", "now_ns")

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - ids of a made exchange, no secret
        self.events: list[Event] = []
        self.now_ns = 0

    def new_id(self, kind: Literal["O", "T", "L", "Q"]) -> str:
        """An id as Kraken's look: six, five and six characters, the first of which names the kind."""
        bits = self._random.getrandbits(80)
        text = "".join(_ID_LETTERS[(bits >> shift) & 31] for shift in range(0, 80, 5))
        return f"{kind}{text[:5]}-{text[5:10]}-{text[10:]}"

    def deposit(self, owner: Account, asset: str, amount: Decimal) -> None:
        """Pay into an account."""
        self.book(owner, [Change("deposit", asset, amount)])

    def book(self, owner: Account, changes: Sequence[Change]) -> list[LedgerEntry]:
        """Book what is no trade: a row for each change, all of one act. Raises ExchangeRefusal where funds lack."""
        for change in changes:
            if MONEY.add(owner.free(change.asset), change.amount) < change.fee:
                raise ExchangeRefusal("EFunding:Insufficient funds")
        ref_id = self.new_id("Q")
        return [self._post(owner, ref_id, change) for change in changes]

    def accept(self, market: PairMarket, working: WorkingOrder) -> None:
        """Count an order among the account's open ones, hold its funds, and report it."""
        working.owner.set_hold(working, hold_of(market, working))
        working.owner.admit(working)
        self.tell(working, "pending_new")

    def hold_anew(self, market: PairMarket, working: WorkingOrder) -> None:
        """Hold what the order needs as it is now."""
        working.owner.set_hold(working, hold_of(market, working))

    def fill(
        self, market: PairMarket, working: WorkingOrder, public: PublicTrade, liquidity: Literal["m", "t"]
    ) -> None:
        """Book the account's side of a trade; an order that is complete is closed."""
        owner = working.owner
        lots = market.lots(public.qty)
        assert lots is not None
        working.lots_left -= lots
        self.hold_anew(market, working)
        trade = self._priced(market, working, public, liquidity)
        working.count(trade)
        owner.add_trade(trade)
        self.tell(working, "trade", trade)
        sign = 1 if trade.side == "buy" else -1
        self._post(owner, trade.exec_id, Change("trade", market.rules.quote, -sign * trade.cost, trade.fee))
        self._post(owner, trade.exec_id, Change("trade", market.rules.base, sign * trade.qty))
        if not working.lots_left:
            self.close(working, "filled", "")

    def close(self, working: WorkingOrder, status: Literal["filled", "canceled", "expired"], reason: str) -> None:
        """End an order, free what it held, and report it."""
        working.close(status, reason, self.now_ns)
        working.owner.dismiss(working)
        self.tell(working, status)

    def tell(self, working: WorkingOrder, exec_type: ExecType, trade: Trade | None = None) -> None:
        """Report an order's state to its account."""
        self.events.append(OrderEvent(exec_type, working.order, trade, self.now_ns))

    def tell_amended(self, working: WorkingOrder, amend_type: AmendCause, reason: str) -> None:
        """Report what a client or the engine made of an open order, and keep it in the order's history."""
        picture = replace(working.order, reason=reason)
        exec_type: ExecType = "amended" if amend_type == "user" else "restated"
        self.events.append(OrderEvent(exec_type, picture, None, self.now_ns))
        record = AmendRecord(self.new_id("T"), amend_type, picture, reason, self.now_ns)
        working.owner.amends.setdefault(working.order_id, []).append(record)

    def _priced(
        self, market: PairMarket, working: WorkingOrder, public: PublicTrade, liquidity: Literal["m", "t"]
    ) -> Trade:
        order, rules = working.order, market.rules
        cost = cost_of(public.price, public.qty, rules.cost_decimals)
        percent = working.maker_percent if liquidity == "m" else working.taker_percent
        fee = fee_of(cost, percent, rules.cost_decimals)
        if order.side == "buy":
            fee = min(fee, MONEY.subtract(working.owner.free(rules.quote), cost))
        return Trade(
            trade_id=public.trade_id,
            exec_id=self.new_id("T"),
            order_id=order.order_id,
            account=order.account,
            cl_ord_id=order.cl_ord_id,
            pair=order.pair,
            side=order.side,
            qty=public.qty,
            price=public.price,
            cost=cost,
            fee=fee,
            liquidity=liquidity,
            at_ns=self.now_ns,
            order_type=order.order_type,
        )

    def _post(self, owner: Account, ref_id: str, change: Change) -> LedgerEntry:
        entry = LedgerEntry(
            ledger_id=self.new_id("L"),
            ref_id=ref_id,
            asset=change.asset,
            amount=change.amount,
            fee=change.fee,
            balance=MONEY.subtract(MONEY.add(owner.total(change.asset), change.amount), change.fee),
            at_ns=self.now_ns,
            type=change.type,
            subtype=change.subtype,
        )
        owner.post(entry)
        self.events.append(LedgerEvent(owner.name, entry))
        return entry


def check_funds(market: PairMarket, working: WorkingOrder, spare: Decimal = _ZERO) -> None:
    """Raise ExchangeRefusal where the account has not enough free, held for this order, or `spare` for it as it is."""
    needed = hold_of(market, working)
    if is_market_buy(working) and not working.is_waiting:
        needed = market.most_for(working)
    if needed > MONEY.add(working.owner.free(working.hold_asset), MONEY.add(working.hold, spare)):
        raise ExchangeRefusal("EOrder:Insufficient funds")


def is_market_buy(working: WorkingOrder) -> bool:
    """It buys at whatever the book asks, so no limit tells what it may cost."""
    return working.order.side == "buy" and working.executes_as == "market"


def hold_of(market: PairMarket, working: WorkingOrder) -> Decimal:
    """What the rest of an order holds. A market buy holds nothing once it is live, for it never rests."""
    if working.order.side == "sell":
        return market.qty(working.lots_left)
    if is_market_buy(working) and not working.is_waiting:
        return _ZERO
    price, qty = market.price(working.ticks), market.qty(working.lots_left)
    return most_of(price, qty, working.taker_percent, market.rules.cost_decimals)
