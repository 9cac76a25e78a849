"""What a rule may see and do while one input is taken: the state of the run, and the few doors to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, TypeVar

from aether.core.halts import ALL, HoldCause, covering_scopes, flattens, strategy_scope, symbol_scope
from aether.core.ledger import Ledger
from aether.core.market import Market
from aether.core.orders import Order, OrderState
from aether.core.policy import Policy
from aether.core.reconcile import Mismatch, sent_ns
from aether.core.strategies.trend import Signal
from aether.domain.actors import SYSTEM
from aether.domain.effects import AskAccount, CancelOrder, Effect
from aether.domain.facts import (
    CancelRequested,
    Fact,
    HoldBegan,
    HoldEnded,
    Numbered,
    RunStarted,
    TradingHalted,
)
from aether.domain.inputs import Stamped
from aether.domain.instruments import Side
from aether.domain.values import NANOS_PER_S, Symbol, Usd, UtcNanos

OVERLAP_NS = 120 * NANOS_PER_S  # how far before the last sure moment the account's history is read again


Answer = TypeVar("Answer")


class Guard(Protocol):
    """Calls a strategy, so that a clock outside the core may interrupt it."""

    def __call__(self, ask: Callable[[], Answer]) -> Answer:
        """What it answers. Raises StrategyOverran, or whatever it raises itself."""
        ...


def _unguarded(ask: Callable[[], Answer]) -> Answer:
    return ask()


@dataclass(frozen=True, slots=True)
class Step:
    """What one input led to: facts to write, then effects to carry out."""

    facts: tuple[Numbered, ...]
    effects: tuple[Effect, ...]


class Workbench:
    """Ledger, market and passing state of one run. A fact made here is folded at once: the next rule sees it."""

    def __init__(self, policy: Policy, ledger: Ledger, guard: Guard | None = None) -> None:
        """`guard` calls a strategy, and raises StrategyOverran where it thinks too long; unguarded where None."""
        self.policy = policy
        self.guard: Guard = guard or _unguarded
        self.ledger = ledger
        bars = {
            symbol: tuple(dict.fromkeys(trend.bar_s for trend in policy.trends if symbol in trend.symbols))
            for symbol in policy.symbols
        }
        self.market = Market(bars)
        self.now_ns = 0
        # Passing state: rebuilt by each run from its inputs.
        self.signals: dict[tuple[str, Symbol], Signal] = {}
        self.bars_seen: dict[tuple[str, Symbol], int] = {}
        self.codes_told: dict[tuple[str, Symbol, Side], list[str]] = {}
        self.refusal_told_ns: dict[tuple[str, Symbol, Side], int] = {}
        self.equity_before: Usd | None = None
        self.refused: dict[Symbol, tuple[int, int]] = {}  # when last, and how often in a row
        self.surprises: dict[str, str] = {}
        self.suspects: tuple[Mismatch, ...] = ()
        self.suspected_ns: dict[tuple[str, Decimal], int] = {}  # when an asset was first seen to differ by so much
        self.entries_seen_ns: int | None = None  # when the venue's ledger was read last
        self.reconciled_ns: int | None = None
        self.stream_live_ns: int | None = None
        self.asked_ns: int | None = None
        self.next_ask_ns = 0
        self.ask_again = False
        self.asserted_ns = 0
        self.dead_man_next_ns = 0  # when to ask for it again, by our clock
        self.dead_man_trigger_ns: int | None = None  # when it fires unless renewed, in the venue's time, at the latest
        self.dead_man_fired_ns: int | None = None
        self._input_seq = 0
        self._facts: list[Numbered] = []
        self._effects: list[Effect] = []

    def begin(self, stamped: Stamped) -> None:
        """Take the time and number of an input; what comes next is its step."""
        self.now_ns = max(self.now_ns, stamped.at_ns)
        self._input_seq = stamped.seq
        self._facts, self._effects = [], []

    def step(self) -> Step:
        """What the input has led to."""
        return Step(tuple(self._facts), tuple(self._effects))

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope that can be halted here."""
        return scopes_of(self.policy)

    def emit(self, fact: Fact) -> None:
        """Make this true: number it, fold it, and have it written."""
        numbered = Numbered(self.ledger.next_seq, self.ledger.run, UtcNanos(self.now_ns), self._input_seq, fact)
        if isinstance(fact, RunStarted):
            numbered = replace(numbered, run=fact.run)
        self.ledger.fold(numbered)
        self._facts.append(numbered)

    def ask(self, effect: Effect) -> None:
        """Have this carried out once the facts of this step are on disk."""
        self._effects.append(effect)

    @property
    def venue_now_ns(self) -> int:
        """Now, in the venue's time as far as we know it."""
        return self.now_ns + self.market.clock_offset_ns

    def hold(self, cause: HoldCause, scope: str, why: str) -> None:
        """Begin a hold, once."""
        if (cause.value, scope) not in self.ledger.holds:
            self.emit(HoldBegan(cause.value, scope, why))

    def release(self, cause: HoldCause, scope: str) -> None:
        """End a hold, if there is one."""
        if (cause.value, scope) in self.ledger.holds:
            self.emit(HoldEnded(cause.value, scope))

    def halt(self, scope: str, code: str, reason: str) -> None:
        """Halt a scope on the program's own account, once for each code; what rests there is cancelled."""
        if (scope, code) not in self.ledger.halts:
            self.emit(TradingHalted(scope, code, reason, SYSTEM))
        self.cancel_in_scope(scope, reason)

    def request_cancel(self, cl_ord_id: str, why: str) -> None:
        """Cancel an order of ours, as soon as the venue has named it; safe to repeat."""
        order = self.ledger.orders[cl_ord_id]
        self.emit(CancelRequested(cl_ord_id, why))
        if order.order_id is not None:
            self.ask(CancelOrder(cl_ord_id, order.order_id))

    def ask_account(self, why: str) -> None:
        """Take the venue's account; once more after the look under way, which may have begun too early to show why."""
        if self.asked_ns is None:
            self.asked_ns, self.ask_again = self.now_ns, False
            self.ask(AskAccount(why, self._since_ns(), self._wants_ledgers()))
        else:
            self.ask_again = True

    def _wants_ledgers(self) -> bool:
        """At start, after each gap, each minute, and while balances differ: a look costs half as much again with it."""
        every_ns = self.policy.orders.reconcile_s * NANOS_PER_S
        return bool(self.suspects) or self.entries_seen_ns is None or self.now_ns - self.entries_seen_ns >= every_ns

    def _since_ns(self) -> int:
        """In the venue's time, and of an earlier run by what the venue told then: our clock may be another one now."""
        if self.reconciled_ns is not None:
            certain = self.reconciled_ns + self.market.clock_offset_ns
        else:
            certain = self.ledger.certain_ns or self.now_ns + self.market.clock_offset_ns
        sent = (sent_ns(order, self.policy.orders) for order in self.ledger.unsettled.values())
        return min((certain, *sent)) - OVERLAP_NS

    def cancel_in_scope(self, scope: str, why: str) -> None:
        """Ask for the cancel of each of our open orders in this scope. Orders of others are never touched."""
        for order in tuple(self.ledger.unsettled.values()):
            scopes = covering_scopes(order.symbol, order.submitted.strategy)
            if order.state is OrderState.OPEN and order.cancel_asked_ns is None and scope in scopes:
                self.request_cancel(order.cl_ord_id, why)

    def cancel_everything(self, why: str) -> None:
        """Ask for the cancel of each order that lives or may live; one not found yet is cancelled when it is."""
        for order in tuple(self.ledger.unsettled.values()):
            if order.state is not OrderState.DONE and order.cancel_asked_ns is None:
                self.request_cancel(order.cl_ord_id, why)

    def may_rest(self, order: Order) -> bool:
        """No halt covers the order, and no stop is to leave the book empty: it may stay. A sale by people is let be."""
        if order.submitted.is_exit and flattens(self.ledger, order.symbol, order.submitted.strategy):
            return True
        if self.ledger.is_stopping and self.policy.orders.cancel_on_stop:
            return False
        scopes = covering_scopes(order.symbol, order.submitted.strategy)
        return not self.ledger.halts_of(*scopes)


def scopes_of(policy: Policy) -> frozenset[str]:
    """`all`, and a scope for each symbol and strategy in use."""
    symbols = (symbol_scope(symbol) for symbol in policy.symbols)
    strategies = (strategy_scope(trend.id) for trend in policy.trends)
    return frozenset((ALL, *symbols, *strategies))
