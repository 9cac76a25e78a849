"""One input -> Step(facts, effects). The whole way of an order starts here, and nothing in it waits.

`take` folds the input into the passing picture, emits facts (each is folded into the ledger at once, so that the next
decision of the same step sees it), and collects the effects that may leave when these facts are on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aether.core import authority, deciding, reconcile, upkeep
from aether.core.halts import ALL, HoldCause, symbol_scope
from aether.core.ledger import Ledger
from aether.core.market import Market
from aether.core.orders import Event, Order, OrderState
from aether.core.policy import Policy
from aether.core.reconcile import Mismatch
from aether.core.strategies.trend import Signal
from aether.domain.actors import SYSTEM
from aether.domain.effects import AskAccount, CancelOrder, Effect
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    CancelRefused,
    CancelRequested,
    CommandAccepted,
    CommandRefused,
    DifferenceFound,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    FeesAdopted,
    HoldBegan,
    HoldEnded,
    InstrumentAdopted,
    Numbered,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderRefused,
    OrderSurprised,
    Reconciled,
    RunEnded,
    RunStarted,
    StopBegan,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    BookChanged,
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    CommandGiven,
    DiskGateChanged,
    FeedLost,
    FeesSeen,
    FillReported,
    Halt,
    HistorySeen,
    InstrumentSeen,
    LoopStalled,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    PrivateStreamLost,
    Resume,
    RunBegan,
    RunEnding,
    Stamped,
    StopAsked,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
    SystemStatusSeen,
    Tick,
    TradeSeen,
)
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, Symbol, UtcNanos

OVERLAP_NS = 120 * NANOS_PER_S  # how far before the last sure moment the account's history is read again


@dataclass(frozen=True, slots=True)
class Step:
    """What one input led to: facts to write, then effects to carry out."""

    facts: tuple[Numbered, ...]
    effects: tuple[Effect, ...]


class Engine:
    """The only thing that decides. Same ledger, policy and inputs: same facts, byte for byte."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self.policy = policy
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
        self.suspects: tuple[Mismatch, ...] = ()
        self.suspected_ns = 0
        self.reconciled_ns: int | None = None
        self.stream_live_ns: int | None = None
        self.asked_ns: int | None = None
        self.next_ask_ns = 0
        self.ask_again = False
        self._input_seq = 0
        self._facts: list[Numbered] = []
        self._effects: list[Effect] = []
        self._handlers: dict[type, Callable[..., None]] = {
            BookChanged: self._book,
            TradeSeen: self._trade,
            HistorySeen: self._history,
            FeedLost: self._feed_lost,
            InstrumentSeen: self._instrument,
            SystemStatusSeen: self._system_status,
            ClockMeasured: self._clock,
            PrivateStreamLive: self._stream_live,
            PrivateStreamLost: self._stream_lost,
            PrivateMalformed: self._private_malformed,
            SubmitAccepted: self._submit_accepted,
            SubmitRefused: self._submit_refused,
            SubmitUnknown: self._submit_unknown,
            CancelAnswered: self._cancel_answered,
            OrderReported: self._order_reported,
            FillReported: self._fill_reported,
            AccountSeen: self._account,
            AccountUnavailable: self._account_unavailable,
            FeesSeen: self._fees,
            CommandGiven: self._command,
            RunBegan: self._run_began,
            Tick: self._tick,
            LoopStalled: self._loop_stalled,
            DiskGateChanged: self._disk_gate,
            StopAsked: self._stop_asked,
            RunEnding: self._run_ending,
        }

    def take(self, stamped: Stamped) -> Step:
        """Decide on one input. Raises InvariantBroken for an input nobody knows, or after the run has ended."""
        if self.ledger.has_ended and not isinstance(stamped.input, RunBegan):
            raise InvariantBroken("an input came after the run had ended")
        self.now_ns = max(self.now_ns, stamped.at_ns)
        self._input_seq = stamped.seq
        self._facts, self._effects = [], []
        handler = self._handlers.get(type(stamped.input))
        if handler is None:
            raise InvariantBroken(f"nobody takes {type(stamped.input).__name__}")
        handler(stamped.input)
        return Step(tuple(self._facts), tuple(self._effects))

    # --- what rules may do --------------------------------------------------------------------------------------

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

    def hold(self, cause: HoldCause, scope: str, why: str) -> None:
        """Begin a hold, once."""
        if (cause.value, scope) not in self.ledger.holds:
            self.emit(HoldBegan(cause.value, scope, why))

    def release(self, cause: HoldCause, scope: str) -> None:
        """End a hold, if there is one."""
        if (cause.value, scope) in self.ledger.holds:
            self.emit(HoldEnded(cause.value, scope))

    def halt(self, scope: str, code: str, reason: str) -> None:
        """Halt a scope on the program's own account, once; what rests there is cancelled."""
        if scope not in self.ledger.halts:
            self.emit(TradingHalted(scope, code, reason, SYSTEM))
            upkeep.cancel_in_scope(self, scope, reason)

    def request_cancel(self, cl_ord_id: str, why: str) -> None:
        """Cancel an order of ours that the venue has named; safe to repeat."""
        order = self.ledger.orders[cl_ord_id]
        if order.order_id is not None:
            self.emit(CancelRequested(cl_ord_id, why))
            self.ask(CancelOrder(cl_ord_id, order.order_id))

    def ask_account(self, why: str) -> None:
        """Take the venue's account; once more after the look under way, which may have begun too early to show why."""
        if self.asked_ns is None:
            self.asked_ns, self.ask_again = self.now_ns, False
            self.ask(AskAccount(why, self._since_ns()))
        else:
            self.ask_again = True

    def _since_ns(self) -> int:
        certain = self.reconciled_ns or self.ledger.reconciled_ns or self.ledger.account_as_of_ns or self.now_ns
        oldest = min((order.submitted_ns for order in self.ledger.unsettled.values()), default=certain)
        return min(certain, oldest) + self.market.clock_offset_ns - OVERLAP_NS

    # --- the market ---------------------------------------------------------------------------------------------

    def _book(self, book: BookChanged) -> None:
        picture = self.market.pictures.get(book.symbol)
        if picture is None:
            return
        picture.take_book(book, self.now_ns)
        if not picture.is_live:
            self.hold(HoldCause.FEED, symbol_scope(book.symbol), "the book is crossed or a side is empty")
            return
        self.release(HoldCause.FEED, symbol_scope(book.symbol))
        deciding.decide(self, picture)

    def _trade(self, trade: TradeSeen) -> None:
        picture = self.market.pictures.get(trade.symbol)
        if picture is not None:
            picture.take_trade(trade, self.now_ns)

    def _history(self, history: HistorySeen) -> None:
        picture = self.market.pictures.get(history.symbol)
        if picture is not None:
            picture.take_history(history, self.now_ns)

    def _feed_lost(self, lost: FeedLost) -> None:
        picture = self.market.pictures.get(lost.symbol)
        if picture is not None:
            picture.lose()
            self.hold(HoldCause.FEED, symbol_scope(lost.symbol), lost.why)

    def _instrument(self, seen: InstrumentSeen) -> None:
        new, old = seen.instrument, self.ledger.instruments.get(seen.instrument.symbol)
        if new.symbol in self.market.pictures and (old is None or replace(new, version=old.version) != old):
            self.emit(InstrumentAdopted(replace(new, version=1 if old is None else old.version + 1)))

    def _system_status(self, seen: SystemStatusSeen) -> None:
        self.market.system_status = seen.status
        if seen.status == "online":
            self.release(HoldCause.SYSTEM_STATUS, ALL)
        else:
            self.hold(HoldCause.SYSTEM_STATUS, ALL, f"the venue is {seen.status}")

    def _clock(self, measured: ClockMeasured) -> None:
        self.market.clock_offset_ns, self.market.clock_error_ns = measured.offset_ns, measured.error_ns
        off_ms = abs(measured.offset_ns) // NANOS_PER_MS
        if off_ms > self.policy.orders.clock_offset_ms_max:
            self.hold(HoldCause.CLOCK, ALL, f"our clock is {off_ms} ms from the venue's")
        else:
            self.release(HoldCause.CLOCK, ALL)

    def _loop_stalled(self, stalled: LoopStalled) -> None:
        for symbol, picture in self.market.pictures.items():
            picture.lose()
            why = f"the event loop stood still for {stalled.stalled_ns // NANOS_PER_MS} ms"
            self.hold(HoldCause.FEED, symbol_scope(symbol), why)

    # --- our account --------------------------------------------------------------------------------------------

    def _stream_live(self, _: PrivateStreamLive) -> None:
        self.stream_live_ns = self.now_ns
        self.asked_ns = None  # an answer under way may be older than the stream
        self.ask_account("the private stream is live")

    def _stream_lost(self, lost: PrivateStreamLost) -> None:
        self.stream_live_ns = None
        self.hold(HoldCause.PRIVATE_STREAM, ALL, lost.why)

    def _private_malformed(self, malformed: PrivateMalformed) -> None:
        self.ask_account(f"a private message could not be read: {malformed.why}")

    def _submit_accepted(self, answer: SubmitAccepted) -> None:
        if self._own(answer.cl_ord_id).order_id is None:  # else a late or second answer, which adds nothing
            self.emit(OrderAccepted(answer.cl_ord_id, answer.order_id))
        order = self._own(answer.cl_ord_id)
        if order.state is OrderState.OPEN and order.cancel_asked_ns is None and not upkeep.may_rest(self, order):
            self.request_cancel(answer.cl_ord_id, "halted or stopping while in flight")

    def _own(self, cl_ord_id: str) -> Order:
        order = self.ledger.orders.get(cl_ord_id)
        if order is None:
            raise InvariantBroken(f"an answer for {cl_ord_id}, which was never submitted")
        return order

    def _submit_refused(self, answer: SubmitRefused) -> None:
        order = self._own(answer.cl_ord_id)
        if order.allows(Event.REFUSED):
            self.emit(OrderRefused(answer.cl_ord_id, answer.code, answer.text))
        else:
            self.emit(OrderSurprised(answer.cl_ord_id, f"refused ({answer.text}) while {order.state}"))
        self.ask_account(f"{answer.cl_ord_id} was refused: {answer.text}")

    def _submit_unknown(self, answer: SubmitUnknown) -> None:
        if self._own(answer.cl_ord_id).state is OrderState.IN_FLIGHT:
            self.emit(AnswerLost(answer.cl_ord_id, answer.why))
            self.next_ask_ns = self.now_ns

    def _cancel_answered(self, answer: CancelAnswered) -> None:
        if not answer.done and not self._own(answer.cl_ord_id).is_settled:
            self.emit(CancelRefused(answer.cl_ord_id, answer.text))
            self.ask_account(f"the cancel of {answer.cl_ord_id} was not taken: {answer.text}")

    def _order_reported(self, reported: OrderReported) -> None:
        report = reported.report
        fact = reconcile.order_fact(self.ledger, report, reported.source)
        if fact is not None:
            self._emit_order_fact(fact)
        elif self.ledger.order(report.cl_ord_id, report.order_id) is None:
            self._external_order(reported)

    def _emit_order_fact(self, fact: Fact) -> None:
        self.emit(fact)
        if isinstance(fact, OrderSurprised):
            self.ask_account(f"{fact.cl_ord_id}: {fact.what}")
        if isinstance(fact, OrderEnded) and not self.ledger.orders[fact.cl_ord_id].is_settled:
            self.ask_account(f"{fact.cl_ord_id} ended with fills that were not told yet")

    def _external_order(self, reported: OrderReported) -> None:
        report = reported.report
        is_known = report.order_id in self.ledger.external_orders
        if report.status.is_terminal and is_known:
            self.emit(ExternalOrderGone(report.order_id))
        elif not report.status.is_terminal and not is_known:
            order = report.order_id, report.cl_ord_id, report.name, report.side, report.qty, report.limit_price
            self.emit(ExternalOrderSeen(*order))
        if reconcile.is_foreign(self.ledger, report):
            self._foreign(report.cl_ord_id)

    def _foreign(self, cl_ord_id: str | None) -> None:
        self.halt(ALL, "halt_foreign_order", f"{cl_ord_id} bears this journal's mark and is not in it")

    def _fill_reported(self, reported: FillReported) -> None:
        fill = reconcile.fill_fact(self.ledger, reported.execution, reported.source)
        if fill is not None:
            self._emit_fill(fill)

    def _emit_fill(self, fill: OrderFilled) -> None:
        self.emit(fill)
        order = self.ledger.orders.get(fill.cl_ord_id or "")
        if order is not None and (why := reconcile.breaks_contract(order, fill)) is not None:
            self.halt(symbol_scope(order.symbol), "halt_contract_broken", why)

    def _account(self, account: AccountSeen) -> None:
        self.asked_ns = None
        offset_ns, error_ns = self.market.clock_offset_ns, self.market.clock_error_ns
        if self.ledger.account_as_of_ns is None and "balances" in account.views:
            self.emit(reconcile.opening(account, offset_ns))
        fills_before = len(self.ledger.exec_ids)
        for fact in reconcile.account_facts(self.ledger, account, self.policy.orders, offset_ns, error_ns):
            if isinstance(fact, OrderFilled):
                self._emit_fill(fact)
            else:
                self.emit(fact)
        if (foreign := reconcile.foreign_order(self.ledger, account)) is not None:
            self._foreign(foreign)
        self._compare_balances(account, fills_came=len(self.ledger.exec_ids) != fills_before)
        if self.ask_again:
            self.next_ask_ns = self.now_ns

    def _compare_balances(self, account: AccountSeen, *, fills_came: bool) -> None:
        self.next_ask_ns = self.now_ns + self.policy.orders.unresolved_retry_s * NANOS_PER_S
        if "balances" not in account.views or "trades" not in account.views:
            return
        found = reconcile.mismatches(self.ledger, account)
        if not found:
            self._agree(account)
        elif found != self.suspects or fills_came:
            self.suspects, self.suspected_ns = found, account.asked_ns
        elif account.asked_ns - self.suspected_ns >= self.policy.orders.view_lag_s * NANOS_PER_S:
            # Views are of different moments and may lag. What differs in the same way for longer than that is real.
            self._differ(found)

    def _agree(self, account: AccountSeen) -> None:
        self.suspects = ()
        if not all(view in account.views for view in reconcile.ABSENCE_VIEWS):
            return  # balances agree, but what is open or was filled is not all known
        is_news = self.reconciled_ns is None or bool(self.ledger.differences)
        self.reconciled_ns = min(self.now_ns, account.asked_ns)
        self.next_ask_ns = self.now_ns + upkeep.account_interval_ns(self)
        if self.stream_live_ns is not None and account.asked_ns >= self.stream_live_ns:
            is_news = is_news or (HoldCause.PRIVATE_STREAM.value, ALL) in self.ledger.holds
            self.release(HoldCause.PRIVATE_STREAM, ALL)
            self.release(HoldCause.STARTING, ALL)
        if is_news:
            self.emit(Reconciled(account.balances, len(account.open_orders)))

    def _differ(self, found: tuple[Mismatch, ...]) -> None:
        known = {(difference.asset, difference.expected, difference.seen) for difference in self.ledger.differences}
        for mismatch in found:
            if (mismatch.asset, mismatch.expected, mismatch.seen) not in known:
                what = "opening balance plus fills is not what the venue holds"
                self.emit(DifferenceFound(mismatch.asset, mismatch.expected, mismatch.seen, what))
        named = ", ".join(f"{item.asset}: expected {item.expected}, venue has {item.seen}" for item in found)
        self.halt(ALL, "halt_difference", named)

    def _account_unavailable(self, _: AccountUnavailable) -> None:
        self.asked_ns = None
        self.next_ask_ns = self.now_ns + self.policy.orders.unresolved_retry_s * NANOS_PER_S

    def _fees(self, seen: FeesSeen) -> None:
        fact = FeesAdopted(seen.symbol, seen.taker_bps, seen.maker_bps)
        if self.ledger.fees.get(seen.symbol) != fact:
            self.emit(fact)

    # --- people, time, the process --------------------------------------------------------------------------------

    def _command(self, given: CommandGiven) -> None:
        request_id, actor, command = given.request_id, given.actor, given.command
        refused = authority.refusal_of(actor, command, self.ledger)
        if refused is not None:
            self.emit(CommandRefused(request_id, actor, command, *refused))
            return
        self.emit(CommandAccepted(request_id, actor, command))
        match command:
            case Halt(scope=scope, reason=reason):
                if scope not in self.ledger.halts:
                    self.emit(TradingHalted(scope, "halt_operator", reason, actor))
                upkeep.cancel_in_scope(self, scope, reason)
            case Resume(scope=scope, reason=reason):
                self.emit(TradingResumed(scope, reason, actor))
            case CancelEverything(reason=reason):
                upkeep.cancel_in_scope(self, ALL, reason)

    def _run_began(self, began: RunBegan) -> None:
        self.emit(
            RunStarted(
                run=began.run,
                tag=began.tag,
                account=began.account,
                world=began.world,
                real_money=began.real_money,
                code_version=began.code_version,
                settings_digest=began.settings_digest,
                seed=began.seed,
            )
        )
        self.hold(HoldCause.STARTING, ALL, "the account was not compared in this run yet")
        self.hold(HoldCause.PRIVATE_STREAM, ALL, "the private stream is not live yet")
        for symbol in self.market.pictures:
            self.hold(HoldCause.FEED, symbol_scope(symbol), "no book yet")
        for order in tuple(self.ledger.unsettled.values()):
            if order.state is OrderState.IN_FLIGHT:
                self.emit(AnswerLost(order.cl_ord_id, "the last run ended before the answer"))
        if began.crash_loop:
            self.halt(ALL, "halt_crash_loop", "too many starts in a short time; look at the log before resuming")

    def _tick(self, _: Tick) -> None:
        for picture in self.market.pictures.values():
            picture.pass_time(self.now_ns)
        upkeep.mark_equity(self)
        upkeep.tend_orders(self)
        upkeep.tend_account(self)
        for picture in self.market.pictures.values():
            deciding.decide(self, picture)

    def _disk_gate(self, changed: DiskGateChanged) -> None:
        if changed.is_open:
            self.release(HoldCause.DISK, ALL)
        else:
            self.hold(HoldCause.DISK, ALL, f"{changed.free_bytes} bytes are left on the journal's disk")

    def _stop_asked(self, asked: StopAsked) -> None:
        if not self.ledger.is_stopping:
            self.emit(StopBegan(asked.why))
            self.hold(HoldCause.STOPPING, ALL, asked.why)
            if self.policy.orders.cancel_on_stop:
                upkeep.cancel_in_scope(self, ALL, asked.why)

    def _run_ending(self, ending: RunEnding) -> None:
        resting = sum(1 for order in self.ledger.unsettled.values() if order.state is OrderState.OPEN)
        in_flight = len(self.ledger.unsettled) - resting
        self.emit(RunEnded(not self.ledger.unsettled, in_flight, resting, ending.why))
