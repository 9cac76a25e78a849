"""One input -> Step(facts, effects). The whole way of an order starts here, and nothing in it waits.

`take` folds the input into the passing picture, emits facts (each is folded into the ledger at once, so that the next
decision of the same step sees it), and collects the effects that may leave when these facts are on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from aether.core import account, assertions, authority, balances, dead_man, deciding, flatten, upkeep
from aether.core.halts import ALL, HoldCause, symbol_scope
from aether.core.ledger import Ledger
from aether.core.market import STALL_DRAIN_NS
from aether.core.orders import OrderState
from aether.core.policy import Policy
from aether.core.workbench import Guard, Step, Workbench
from aether.domain.errors import InvariantBroken
from aether.domain.facts import (
    AnswerLost,
    CommandAccepted,
    CommandRefused,
    InstrumentAdopted,
    RunEnded,
    RunStarted,
    StopBegan,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    BookChanged,
    CancelAllAnswered,
    CancelAnswered,
    CancelEverything,
    ClockMeasured,
    CommandGiven,
    DeadManAnswered,
    DiskGateChanged,
    FeedLost,
    FeesSeen,
    FillReported,
    Flatten,
    Halt,
    HistorySeen,
    InstrumentSeen,
    LoopStalled,
    MaintenanceAnnounced,
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
from aether.domain.values import NANOS_PER_MS


class Engine(Workbench):
    """The only thing that decides. Same ledger, policy and inputs: same facts, byte for byte."""

    def __init__(self, policy: Policy, ledger: Ledger, guard: Guard | None = None) -> None:
        super().__init__(policy, ledger, guard)
        self._handlers: dict[type, Callable[..., None]] = {
            BookChanged: self._book,
            TradeSeen: self._trade,
            HistorySeen: self._history,
            FeedLost: self._feed_lost,
            InstrumentSeen: self._instrument,
            SystemStatusSeen: self._system_status,
            MaintenanceAnnounced: partial(dead_man.announced, self),
            ClockMeasured: self._clock,
            PrivateStreamLive: partial(account.stream_live, self),
            PrivateStreamLost: partial(account.stream_lost, self),
            PrivateMalformed: partial(account.private_malformed, self),
            SubmitAccepted: partial(account.submit_accepted, self),
            SubmitRefused: partial(account.submit_refused, self),
            SubmitUnknown: partial(account.submit_unknown, self),
            CancelAnswered: partial(account.cancel_answered, self),
            AmendAccepted: partial(account.change_answered, self),
            AmendRefused: partial(account.change_answered, self),
            AmendUnknown: partial(account.change_answered, self),
            CancelAllAnswered: partial(account.change_answered, self),
            DeadManAnswered: partial(dead_man.answered, self),
            OrderReported: partial(account.order_reported, self),
            FillReported: partial(account.fill_reported, self),
            AccountSeen: partial(account.account_seen, self),
            AccountUnavailable: partial(account.account_unavailable, self),
            FeesSeen: partial(account.fees_seen, self),
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
        handler = self._handlers.get(type(stamped.input))
        if handler is None:
            raise InvariantBroken(f"nobody takes {type(stamped.input).__name__}")
        self.begin(stamped)
        handler(stamped.input)
        return self.step()

    # --- the market ---------------------------------------------------------------------------------------------

    def _book(self, book: BookChanged) -> None:
        picture = self.market.pictures.get(book.symbol)
        if picture is None:
            return
        picture.take_book(book, self.now_ns)
        if self.now_ns < picture.stale_until_ns:
            return  # it may have waited in the socket since before the stall
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
            picture.lose(self.now_ns)
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
        self.market.clock_at_ns = self.now_ns
        self.market.clock_offset_ns, self.market.clock_error_ns = measured.offset_ns, measured.error_ns
        off_ms = abs(measured.offset_ns) // NANOS_PER_MS
        if off_ms > self.policy.orders.clock_offset_ms_max:
            self.hold(HoldCause.CLOCK, ALL, f"our clock is {off_ms} ms from the venue's")
        else:
            self.release(HoldCause.CLOCK, ALL)

    def _loop_stalled(self, stalled: LoopStalled) -> None:
        for symbol, picture in self.market.pictures.items():
            picture.lose(self.now_ns - stalled.stalled_ns)
            picture.stale_until_ns = self.now_ns + STALL_DRAIN_NS
            why = f"the event loop stood still for {stalled.stalled_ns // NANOS_PER_MS} ms"
            self.hold(HoldCause.FEED, symbol_scope(symbol), why)
        account.stood_still(self, stalled.stalled_ns)

    # --- people, time, the process --------------------------------------------------------------------------------

    def _command(self, given: CommandGiven) -> None:
        request_id, actor, command = given.request_id, given.actor, given.command
        refused = authority.refusal_of(actor, command, self.ledger, self.scopes)
        if refused is not None:
            self.emit(CommandRefused(request_id, actor, command, *refused))
            return
        self.emit(CommandAccepted(request_id, actor, command))
        match command:
            case Halt(scope=scope, reason=reason):
                if (scope, "halt_operator") not in self.ledger.halts:
                    self.emit(TradingHalted(scope, "halt_operator", reason, actor))
                self.cancel_in_scope(scope, reason)
                flatten.stop(self, scope, f"halted: {reason}")
            case Flatten(scope=scope, reason=reason):
                flatten.begin(self, scope, reason, actor)
            case Resume(scope=scope, reason=reason):
                codes = {halt.code for halt in self.ledger.halts_of(scope)}
                flatten.stop(self, scope, f"resumed: {reason}")
                self.emit(TradingResumed(scope, reason, actor))
                if "halt_difference" in codes:
                    balances.accept_differences(self, actor)
                if codes & upkeep.LOSS_HALTS:
                    upkeep.accept_loss(self)
            case CancelEverything(reason=reason):
                self.cancel_everything(reason)

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
        self.hold(HoldCause.SYSTEM_STATUS, ALL, "the venue's status was not heard yet")
        self.hold(HoldCause.CLOCK, ALL, "our clock was not compared with the venue's yet")
        for symbol in self.market.pictures:
            self.hold(HoldCause.FEED, symbol_scope(symbol), "no book yet")
        for order in tuple(self.ledger.unsettled.values()):
            if order.state is OrderState.IN_FLIGHT:
                self.emit(AnswerLost(order.cl_ord_id, "the last run ended before the answer"))
        dead_man.begin(self)
        if began.crash_loop:
            self.halt(ALL, "halt_crash_loop", "too many starts in a short time; look at the log before resuming")

    def _tick(self, _: Tick) -> None:
        for picture in self.market.pictures.values():
            picture.pass_time(self.now_ns)
        upkeep.doubt_clock(self)
        upkeep.mark_equity(self)
        upkeep.tend_orders(self)
        upkeep.tend_account(self)
        dead_man.tend(self)
        flatten.tend(self)
        assertions.watch(self)
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
                self.cancel_in_scope(ALL, asked.why)
            self.dead_man_next_ns = 0
            dead_man.tend(self)

    def _run_ending(self, ending: RunEnding) -> None:
        resting = sum(1 for order in self.ledger.unsettled.values() if order.state is OrderState.OPEN)
        in_flight = len(self.ledger.unsettled) - resting
        self.emit(RunEnded(not self.ledger.unsettled, in_flight, resting, ending.why))
