"""The life of an order as one table. Code, tests and the diagram in the docs read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from aether.domain.errors import ImpossibleTransition
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    CancelRequested,
    Fact,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    OrderSurprised,
)
from aether.domain.instruments import Side
from aether.domain.orders import VenueStatus
from aether.domain.values import MONEY, NO_QTY, NO_USD, Price, Qty, Symbol, Usd


class OrderState(StrEnum):
    """Where an order stands by the evidence we have."""

    IN_FLIGHT = "in_flight"  # committed, perhaps sent, not answered
    UNRESOLVED = "unresolved"  # sent, the answer lost: counts at its worst case until evidence comes
    OPEN = "open"
    NEVER_LIVED = "never_lived"  # refused, or absent from every view: it counts for nothing until the venue shows it
    DONE = "done"


class Event(StrEnum):
    """What can happen to an order."""

    ACCEPTED = "accepted"
    OPENED = "opened"
    FILLED = "filled"
    ENDED = "ended"
    REFUSED = "refused"
    ANSWER_LOST = "answer_lost"
    ABSENT = "absent"
    CANCEL_ASKED = "cancel_asked"
    CANCEL_REFUSED = "cancel_refused"
    AMENDED = "amended"
    SURPRISED = "surprised"


_STAYS = {Event.CANCEL_ASKED, Event.CANCEL_REFUSED, Event.AMENDED, Event.SURPRISED}


def _row(state: OrderState, moves: dict[Event, OrderState]) -> Mapping[Event, OrderState]:
    return MappingProxyType({**dict.fromkeys(sorted(_STAYS), state), **moves})


# Answers and executions come over two connections and may cross. A late fill is still our money.
TRANSITIONS: Mapping[OrderState, Mapping[Event, OrderState]] = MappingProxyType(
    {
        OrderState.IN_FLIGHT: _row(
            OrderState.IN_FLIGHT,
            {
                Event.ACCEPTED: OrderState.OPEN,
                Event.OPENED: OrderState.OPEN,
                Event.FILLED: OrderState.OPEN,
                Event.ENDED: OrderState.DONE,
                Event.REFUSED: OrderState.NEVER_LIVED,
                Event.ANSWER_LOST: OrderState.UNRESOLVED,
            },
        ),
        OrderState.UNRESOLVED: _row(
            OrderState.UNRESOLVED,
            {
                Event.ACCEPTED: OrderState.OPEN,
                Event.OPENED: OrderState.OPEN,
                Event.FILLED: OrderState.OPEN,
                Event.ENDED: OrderState.DONE,
                Event.REFUSED: OrderState.NEVER_LIVED,
                Event.ABSENT: OrderState.NEVER_LIVED,
            },
        ),
        OrderState.OPEN: _row(
            OrderState.OPEN,
            {Event.ACCEPTED: OrderState.OPEN, Event.FILLED: OrderState.OPEN, Event.ENDED: OrderState.DONE},
        ),
        # Our proof was wrong: the order lives, and counts at its worst case again.
        OrderState.NEVER_LIVED: _row(
            OrderState.NEVER_LIVED,
            {
                Event.ACCEPTED: OrderState.OPEN,
                Event.OPENED: OrderState.OPEN,
                Event.FILLED: OrderState.OPEN,
                Event.ENDED: OrderState.DONE,
            },
        ),
        # An end that did not say how much was filled is told once more by the view that knows.
        OrderState.DONE: _row(
            OrderState.DONE,
            {Event.ACCEPTED: OrderState.DONE, Event.FILLED: OrderState.DONE, Event.ENDED: OrderState.DONE},
        ),
    }
)

_EVENT_OF: Mapping[type[Fact], Event] = MappingProxyType(
    {
        OrderAccepted: Event.ACCEPTED,
        OrderOpened: Event.OPENED,
        OrderFilled: Event.FILLED,
        OrderEnded: Event.ENDED,
        OrderRefused: Event.REFUSED,
        AnswerLost: Event.ANSWER_LOST,
        OrderAbsent: Event.ABSENT,
        CancelRequested: Event.CANCEL_ASKED,
        CancelRefused: Event.CANCEL_REFUSED,
        OrderAmended: Event.AMENDED,
        OrderSurprised: Event.SURPRISED,
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """One of our orders, folded from its facts.

    `told_cum_qty` is the total that its end told, None before that and where the end did not say. `cancels` counts the
    requests that could be sent; one asked for before the venue has named the order is sent when it has. `amended` are
    the terms that the venue told last, None while they are as submitted; `qty_most` and `price_worst` are the loosest
    that it ever had, for a fill may be told after the amend that it came before.
    """

    submitted: OrderSubmitted
    submitted_ns: int
    state: OrderState = OrderState.IN_FLIGHT
    order_id: str | None = None
    filled: Qty = NO_QTY
    cost: Usd = NO_USD
    told_cum_qty: Qty | None = None
    ended: str = ""
    cancel_asked_ns: int | None = None
    cancels: int = 0
    amended: OrderAmended | None = None
    amended_ns: int | None = None
    qty_most: Qty = NO_QTY
    price_worst: Price | None = None

    @property
    def cl_ord_id(self) -> str:
        """Our own name for it."""
        return self.submitted.cl_ord_id

    @property
    def symbol(self) -> Symbol:
        """What it trades."""
        return self.submitted.symbol

    @property
    def side(self) -> Side:
        """Buy or sell."""
        return self.submitted.side

    @property
    def qty(self) -> Qty:
        """Coins that it is for, filled part included, as the venue has it."""
        return self.submitted.qty if self.amended is None else self.amended.qty

    @property
    def limit_price(self) -> Price:
        """Its worst price, as the venue has it."""
        return self.submitted.limit_price if self.amended is None else self.amended.limit_price

    @property
    def is_settled(self) -> bool:
        """Never lived, or ended with every fill booked that the venue counted."""
        return self.state is OrderState.NEVER_LIVED or (self.state is OrderState.DONE and not self.outstanding)

    @property
    def is_full(self) -> bool:
        """Every coin of it is filled; only its end is still to be told."""
        return self.filled >= self.qty

    @property
    def outstanding(self) -> Qty:
        """Coins that may still be executed, as far as we can prove: the worst case."""
        if self.state is OrderState.NEVER_LIVED:
            return NO_QTY
        if self.state is OrderState.DONE and self.told_cum_qty is not None:
            return self.told_cum_qty.less(self.filled)
        return self.qty.less(self.filled)

    @property
    def reserved_usd(self) -> Usd:
        """Dollars, fee included, that the outstanding part of a buy may still cost."""
        if self.side is Side.SELL:
            return NO_USD
        asked = self.submitted
        whole = asked.reserved.scaled(self.outstanding.coins)  # divided last, so that no digit is lost before
        if self.amended is None:
            return Usd(MONEY.divide(whole.amount, asked.qty.coins))
        # A worse limit reserves more, with its fee; `reserved` was rounded up, and so stays this.
        return Usd(
            MONEY.divide(self.limit_price.times(Qty(whole.amount)).amount, asked.limit_price.times(asked.qty).amount)
        )

    @property
    def average_price(self) -> Price | None:
        """Cost over coins of what has been filled; None where the venue booked dust at no cost at all."""
        return Price(MONEY.divide(self.cost.amount, self.filled.coins)) if self.cost.amount > 0 else None

    @property
    def waits_for_cancel(self) -> bool:
        """Its cancel was asked for before the venue had named it, and can be sent now."""
        return self.state is OrderState.OPEN and self.cancel_asked_ns is not None and self.cancels == 0

    def allows(self, event: Event) -> bool:
        """The table has this move from the present state."""
        return event in TRANSITIONS[self.state]

    def after(self, fact: Fact, at_ns: int) -> Order:
        """This order with a fact of its own folded in. Raises ImpossibleTransition for a move outside the table."""
        event = _EVENT_OF[type(fact)]
        if not self.allows(event):
            raise ImpossibleTransition(f"{self.cl_ord_id}: {event} while {self.state}; {self}")
        moved = replace(self, state=TRANSITIONS[self.state][event])
        match fact:
            case OrderAccepted(order_id=order_id) | OrderOpened(order_id=order_id):
                return replace(moved, order_id=order_id, ended=_ended_in(moved))
            case OrderFilled(order_id=order_id, qty=qty, cost=cost):
                booked = replace(moved, order_id=order_id, ended=_ended_in(moved))
                return replace(booked, filled=self.filled + qty, cost=self.cost + cost)
            case OrderEnded():
                # A fill that the told total counts and we lack is still to come.
                told = fact.cum_qty
                if fact.status is VenueStatus.FILLED:
                    told = max(told or NO_QTY, self.qty)
                return replace(
                    moved, order_id=fact.order_id or self.order_id, told_cum_qty=told, ended=fact.status.value
                )
            case OrderRefused(code=code):
                return replace(moved, ended=code)
            case OrderAbsent():
                return replace(moved, ended="absent")
            case OrderAmended():
                return self._amended(fact, at_ns)
            case CancelRequested():
                return replace(moved, cancel_asked_ns=at_ns, cancels=self.cancels + (self.order_id is not None))
            case _:
                return moved

    def _amended(self, fact: OrderAmended, at_ns: int) -> Order:
        prices = (self.price_worst or self.limit_price, self.limit_price, fact.limit_price)
        return replace(
            self,
            order_id=fact.order_id,
            amended=fact,
            amended_ns=at_ns,
            qty_most=max(self.qty_most, self.qty, fact.qty),
            price_worst=max(prices) if self.side is Side.BUY else min(prices),
        )


def _ended_in(order: Order) -> str:
    return "" if order.state is OrderState.OPEN else order.ended
