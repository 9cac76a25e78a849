"""What the exchange itself does to its clients: statuses, maintenance, delistings, other digits, prices that jump."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from random import Random

from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, rounded_to_step
from aether.sim.exchange import Exchange, PairRules
from aether.simulator.faults.tally import Acts, Later
from aether.simulator.plan import Fault

_JUMP_QTY = 20  # least orders, so that an order in the way is met with something
_JUMP_EVERY_NS = NANOS_PER_S
_TICK_DIGITS = (-1, 0, 1)  # how many digits a price may have more than at first
_LOT_DIGITS = (-2, -1, 0)
_MINIMUM_TIMES = (1, 2, 5)

_SYSTEM: dict[str, str] = {name: name for name in ("maintenance", "cancel_only", "post_only")}
_PAIR = {"pair_cancel_only": "cancel_only", "pair_post_only": "post_only", "pair_maintenance": "maintenance"}


class MarketFaults:
    """Acts on the exchange; `settle` lets everybody hear of it. What is told `for_ms` comes to an end by itself."""

    def __init__(self, exchange: Exchange, settle: Callable[[], None], later: Later) -> None:
        self._exchange = exchange
        self._settle = settle
        self._later = later
        self._first = dict(exchange.pairs)
        self._changes = 0
        self._changed: dict[str, int] = {}  # by pair, or "" for the whole exchange: its latest change of status

    def acts(self) -> Acts:
        """By kind."""
        return {
            **dict.fromkeys((*_SYSTEM, *_PAIR, "delisting"), self._change_status),
            **dict.fromkeys(("tick_change", "lot_change", "minimum_change"), self._change_rules),
            "price_jump": self._jump,
        }

    def calm(self) -> None:
        """Everything trades again. Digits and minimums stay as they are."""
        for scope in list(self._changed):
            self._restore(scope, self._changed[scope])

    # --- statuses -------------------------------------------------------------------------------------------------

    def _change_status(self, fault: Fault) -> bool:
        scope = "" if fault.kind in _SYSTEM else self._pair(fault)
        if fault.kind == "delisting":
            self._exchange.delist(scope, self._later.now_ns)
            self._settle()
        else:
            self._set(scope, _SYSTEM.get(fault.kind) or _PAIR[fault.kind])
        self._changes += 1
        self._changed[scope] = number = self._changes
        self._later.after(fault.parameters["for_ms"] * NANOS_PER_MS, lambda: self._restore(scope, number))
        return True

    def _restore(self, scope: str, number: int) -> None:
        """Back to online, unless another change came since."""
        if self._changed.get(scope) == number:
            del self._changed[scope]
            self._set(scope, "online")

    def _set(self, scope: str, status: str) -> None:
        if scope:
            self._exchange.set_pair_status(scope, status)
        else:
            self._exchange.set_system_status(status)
        self._settle()

    # --- rules ----------------------------------------------------------------------------------------------------

    def _change_rules(self, fault: Fault) -> bool:
        pair = self._pair(fault)
        now, first = self._exchange.pairs[pair], self._first[pair]
        changed = [rules for rules in _variants(fault.kind, now, first) if rules != now]
        self._exchange.set_pair_rules(_random(fault).choice(changed), self._later.now_ns)
        self._settle()
        return True

    # --- prices ---------------------------------------------------------------------------------------------------

    def _jump(self, fault: Fault) -> bool:
        pair, random = self._pair(fault), _random(fault)
        last = self._exchange.last_trade_price(pair)
        if last is None:
            return False
        sign = random.choice((-1, 1))
        there = last * (100 + sign * fault.parameters["percent"]) / 100
        ends_ns = self._later.now_ns + fault.parameters["for_ms"] * NANOS_PER_MS

        def trade() -> None:
            rules = self._exchange.pairs[pair]
            tick, lot = Decimal(1).scaleb(-rules.price_decimals), Decimal(1).scaleb(-rules.qty_decimals)
            price = max(rounded_to_step(there, tick, ROUND_DOWN), tick)
            qty = max(rounded_to_step(rules.qty_min * _JUMP_QTY, lot, ROUND_DOWN), lot)
            self._exchange.crowd_trade(pair, "buy" if sign > 0 else "sell", price, qty, self._later.now_ns)
            self._settle()
            if self._later.now_ns + _JUMP_EVERY_NS < ends_ns:
                self._later.after(_JUMP_EVERY_NS, trade)

        trade()
        return True

    def _pair(self, fault: Fault) -> str:
        return Random(f"{fault.draw}:pair").choice(list(self._exchange.pairs))  # noqa: S311 - made faults, no secret


def _variants(kind: str, now: PairRules, first: PairRules) -> list[PairRules]:
    """What the rules may become; as they were at first is one of them."""
    if kind == "tick_change":
        return [replace(now, price_decimals=max(0, first.price_decimals + digits)) for digits in _TICK_DIGITS]
    if kind == "lot_change":
        least = max(0, -int(now.qty_min.normalize().as_tuple().exponent))  # a least order is still on the lot
        return [replace(now, qty_decimals=max(least, first.qty_decimals + digits)) for digits in _LOT_DIGITS]
    return [
        replace(now, qty_min=first.qty_min * qty, cost_min=first.cost_min * cost)
        for qty in _MINIMUM_TIMES
        for cost in _MINIMUM_TIMES
    ]


def _random(fault: Fault) -> Random:
    return Random(fault.draw)  # noqa: S311 - made faults, no secret
