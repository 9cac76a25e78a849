"""What orders do in the market: enter, take, rest, show a part, wait for a price, and leave."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aether.domain.values import ZERO
from aether.sim.account import WorkingOrder
from aether.sim.admission import protection
from aether.sim.clearing import Clearing, check_funds
from aether.sim.order_book import BookHalf
from aether.sim.pair_market import PairMarket
from aether.sim.pricing import offset_ticks, trailing_ticks
from aether.sim.records import AmendCause, ExchangeRefusal, OrderSide, PairRules, TakerKind
from aether.sim.triggers import is_reached, looks_up, pulls

SELF_TRADE = "Cannot trade with self"
USER_REQUEST = "User requested"
RULES_CHANGED = "Pair rules changed"


@dataclass(frozen=True, slots=True)
class Taking:
    """A move against the facing side: up to a limit, for an account's order or, where there is none, for the crowd."""

    side: OrderSide
    order_type: TakerKind
    limit_ticks: int
    working: WorkingOrder | None = None


class Matcher:
    """Matches by price and time."""

    __slots__ = ("_clearing",)

    def __init__(self, clearing: Clearing) -> None:
        self._clearing = clearing

    def go_live(self, market: PairMarket, working: WorkingOrder) -> None:
        """An accepted order begins: it is told new, and then waits for its price or trades."""
        working.is_waiting = False
        if working.order.post_only and market.book.facing(working.order.side).crosses(working.ticks):
            self._clearing.close(working, "canceled", "Post only order")
            return
        working.become("new")
        self._clearing.tell(working, "new")
        if not working.trigger_ticks:
            if working.order.starts_ns is not None:
                self.begin(market, working)
            else:
                self.enter(market, working)
            return
        self._await_price(market, working)

    def enter(self, market: PairMarket, working: WorkingOrder) -> None:
        """Trade as far as the order goes, then rest what is left of it, or cancel it."""
        order = working.order
        if order.time_in_force == "fok" and not _fills_whole(market, working):
            self._clearing.close(working, "canceled", "Fill or kill")
            return
        taking = Taking(order.side, working.executes_as, working.ticks, working)
        left, met_self = self.take(market, taking, working.lots_left)
        if not left:
            return
        if met_self:
            self._clearing.close(working, "canceled", SELF_TRADE)
        elif taking.order_type == "market":
            self._clearing.close(working, "canceled", "Market price protection")
        elif order.time_in_force in ("ioc", "fok"):
            self._clearing.close(working, "canceled", "Immediate or cancel")
        else:
            self.rest(market, working)

    def take(self, market: PairMarket, taking: Taking, lots: int) -> tuple[int, bool]:
        """Trade up to `lots` against the facing side, best price and oldest order first.

        Returns the lots left over, and whether the taker met its own account's order and must end for it (Kraken
        support, Self trading prevention).
        """
        facing = market.book.facing(taking.side)
        while lots and facing.crosses(taking.limit_ticks):
            ticks, maker_id, resting = facing.front()
            maker = market.resting.get(maker_id)
            if maker and taking.working and maker.owner is taking.working.owner:
                mode = taking.working.order.self_trade
                if mode != "cancel_newest":
                    self.leave(market, maker)
                    self._clearing.close(maker, "canceled", SELF_TRADE)
                if mode != "cancel_oldest":
                    return lots, True
                continue
            part = min(lots, resting)
            lots -= part
            market.reduce(facing, maker_id, ticks, part)
            public = market.record_trade(taking.side, ticks, part, taking.order_type, self._clearing.now_ns)
            if maker:
                maker.shown_lots -= part
                self._picture_shown(market, maker)
                self._clearing.fill(market, maker, public, "m")
                if not maker.lots_left:
                    del market.resting[maker_id]
                elif not maker.shown_lots:
                    self._refill(market, facing, maker)
            if taking.working:
                self._clearing.fill(market, taking.working, public, "t")
        return lots, False

    def rest(self, market: PairMarket, working: WorkingOrder) -> None:
        """Stand at the end of the queue of the order's price, an iceberg with a part of it."""
        market.resting[working.order_id] = working
        self._show(market, market.book.resting(working.order.side), working)

    def leave(self, market: PairMarket, working: WorkingOrder) -> None:
        """Take an order out of wherever it stands or waits."""
        if market.resting.pop(working.order_id, None) is not None:
            half = market.book.resting(working.order.side)
            market.reduce(half, working.order_id, working.ticks, working.shown_lots)
            working.shown_lots = 0
        else:
            market.bench.remove(working)

    def become(
        self,
        market: PairMarket,
        working: WorkingOrder,
        changed: WorkingOrder,
        amend_type: AmendCause,
        reason: str,
    ) -> None:
        """Let a resting or waiting order be what an amend made of it; where its price moved, it may trade now."""
        keeps_place = changed.ticks == working.ticks and changed.lots_left <= working.lots_left
        rests = working.order_id in market.resting
        if rests and not keeps_place:
            self.leave(market, working)
        working.order, working.ticks, working.lots_left = changed.order, changed.ticks, changed.lots_left
        working.display_lots, working.trigger_ticks = changed.display_lots, changed.trigger_ticks
        self._clearing.hold_anew(market, working)
        if rests and keeps_place:
            self._show_less(market, working)
        self._clearing.tell_amended(working, amend_type, reason)
        if rests and not keeps_place:
            self.enter(market, working)
        elif working.trigger_ticks and working.is_waiting and working.order.status != "pending_new":
            market.bench.remove(working)
            self._await_price(market, working)

    def run_triggers(self, market: PairMarket) -> None:
        """Let the waiting orders hear the trades since the last call, and those that they cause."""
        while market.unheard:
            ticks = market.unheard.popleft()
            for working in market.bench.touched_by(ticks):
                if not working.is_waiting:
                    continue
                if pulls(working, ticks):
                    self._pull(market, working, ticks)
                elif is_reached(working, ticks):
                    market.bench.remove(working)
                    self._fire(market, working, ticks)

    def change_grid(self, market: PairMarket, rules: PairRules) -> None:
        """Begin the book anew with other digits; orders that are on the new grid keep their place in the queue."""
        halves = (market.book.bids, market.book.asks)
        standing = [market.resting[id_] for half in halves for id_, _, _ in half.orders() if id_ in market.resting]
        left = [(working, market.price(working.ticks), market.qty(working.lots_left)) for working in standing]
        is_counted_alike = rules.cost_decimals == market.rules.cost_decimals
        market.begin_anew(rules, self._clearing.now_ns)
        for working, price, qty in left:
            ticks, lots, shown = market.ticks(price), market.lots(qty), market.lots(working.order.display_qty or ZERO)
            del market.resting[working.order_id]
            if is_counted_alike and ticks is not None and lots is not None and shown is not None:
                working.ticks, working.lots_left, working.display_lots = ticks, lots, shown
                self.rest(market, working)
            else:
                self._clearing.close(working, "canceled", RULES_CHANGED)
        market.tell_levels(self._clearing.now_ns)

    def _await_price(self, market: PairMarket, working: WorkingOrder) -> None:
        working.is_waiting = True
        if market.last_ticks is not None and is_reached(working, market.last_ticks):
            self._fire(market, working, market.last_ticks)
        else:
            market.bench.add(working)

    def _show_less(self, market: PairMarket, working: WorkingOrder) -> None:
        """Take out of the book what the order may no longer show; more is shown with the next part."""
        surplus = working.shown_lots - working.next_shown()
        if surplus > 0:
            market.reduce(market.book.resting(working.order.side), working.order_id, working.ticks, surplus)
            working.shown_lots -= surplus
            self._picture_shown(market, working)

    def _picture_shown(self, market: PairMarket, working: WorkingOrder) -> None:
        if working.display_lots:
            working.order = replace(working.order, shown_qty=market.qty(working.shown_lots))

    def _refill(self, market: PairMarket, facing: BookHalf, maker: WorkingOrder) -> None:
        self._show(market, facing, maker)
        self._clearing.tell(maker, "iceberg_refill")

    def _show(self, market: PairMarket, half: BookHalf, working: WorkingOrder) -> None:
        working.shown_lots = working.next_shown()
        market.rest(half, working.order_id, working.ticks, working.shown_lots)
        self._picture_shown(market, working)

    def _pull(self, market: PairMarket, working: WorkingOrder, ticks: int) -> None:
        """A trailing order follows the best price; what it holds follows its new price."""
        order = working.order
        assert order.trigger is not None, f"{order} trails without a trigger"
        behind = trailing_ticks(market, order.trigger.price, order.trigger.price_type, ticks)
        working.peak_ticks = ticks
        working.trigger_ticks = ticks + behind if looks_up(working) else max(1, ticks - behind)
        self.follow_trigger(market, working)
        market.bench.measure()
        self._clearing.tell(working, "status")

    def follow_trigger(self, market: PairMarket, working: WorkingOrder) -> None:
        """Bring picture, limit and hold of a waiting order in line with its trigger."""
        order = working.order
        assert order.trigger is not None, f"{order} waits for no price"
        peak = market.price(working.peak_ticks) if working.peak_ticks else None
        trigger = replace(order.trigger, actual_price=market.price(working.trigger_ticks), peak_price=peak)
        working.ticks = limit_beside(market, working)
        limit_price = None if order.limit_price is None else market.price(working.ticks)
        working.order = replace(order, trigger=trigger, limit_price=limit_price)
        self._clearing.hold_anew(market, working)

    def _fire(self, market: PairMarket, working: WorkingOrder, ticks: int) -> None:
        """The reference price reached the trigger: the order goes to market with what its account can pay."""
        order = working.order
        assert order.trigger is not None, f"{order} waits for no price"
        trigger = replace(order.trigger, last_price=market.price(ticks), at_ns=self._clearing.now_ns)
        working.order = replace(order, trigger=trigger)
        self._clearing.tell(working, "status")
        self.begin(market, working)

    def begin(self, market: PairMarket, working: WorkingOrder) -> None:
        """A waiting order goes to market. A market order meets the book of now: what it cannot pay is cancelled."""
        working.is_waiting = False
        if working.executes_as == "market":
            working.ticks = protection(market.book.facing(working.order.side))
            try:
                check_funds(market, working)
            except ExchangeRefusal:
                self._clearing.close(working, "canceled", "Insufficient funds")
                return
            self._clearing.hold_anew(market, working)
        self.enter(market, working)


def limit_beside(market: PairMarket, working: WorkingOrder) -> int:
    """The price of a waiting order in ticks: its limit, or without one the trigger that its hold is counted at."""
    order = working.order
    if order.limit_price is None:
        return working.trigger_ticks
    if order.limit_asked is None:
        return working.ticks
    offset = offset_ticks(market, order.limit_asked, order.limit_price_type, working.trigger_ticks)
    return max(1, working.trigger_ticks + offset)


def _reaches(working: WorkingOrder, ticks: int) -> bool:
    return ticks <= working.ticks if working.order.side == "buy" else ticks >= working.ticks


def _fills_whole(market: PairMarket, working: WorkingOrder) -> bool:
    """Whether the book holds all of the order, hidden parts too, before it would meet its own account."""
    wanted = working.lots_left
    for order_id, ticks, lots in market.book.facing(working.order.side).orders():
        if wanted <= 0 or not _reaches(working, ticks):
            break
        maker = market.resting.get(order_id)
        if maker and maker.owner is working.owner:
            if working.order.self_trade != "cancel_oldest":
                break
            continue
        wanted -= maker.lots_left if maker else lots
    return wanted <= 0
