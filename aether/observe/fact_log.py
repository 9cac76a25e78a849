"""Every committed fact as a log line: one table says under which name, how loud, and with which of its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import structlog

from aether.core.halts import HoldCause
from aether.domain.facts import (
    AccountOpened,
    AnswerLost,
    CancelRefused,
    CancelRequested,
    CommandAccepted,
    CommandRefused,
    DeadManArmed,
    DeadManDisarmed,
    DeadManFired,
    DifferenceAccepted,
    DifferenceEnded,
    DifferenceFound,
    EquityMarked,
    ExternalOrderGone,
    ExternalOrderSeen,
    Fact,
    FeesAdopted,
    FlattenBegan,
    FlattenEnded,
    HoldBegan,
    HoldEnded,
    InstrumentAdopted,
    IntentRefused,
    LedgerEntryBooked,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    OrderSurprised,
    Reconciled,
    RunEnded,
    RunStarted,
    SignalChanged,
    StopBegan,
    StrategyPaused,
    TradingHalted,
    TradingResumed,
)
from aether.domain.orders import VenueStatus
from aether.domain.values import plain
from aether.observe.log import Level


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its event, its level, and the fact's attributes it shows, as the key or as `key=path.to.attribute`."""

    event: str
    level: Level
    shows: tuple[str, ...]


def _line(event: str, level: Level, shows: str) -> Line:
    return Line(event, level, tuple(shows.split()))


_ORDER = "intent_id strategy symbol side"
_SIZE = "wanted_usd=decision.wanted equity_usd=decision.equity cash_free_usd=decision.cash_free"
_EXTERNAL = "order_id cl_ord_id name symbol side qty limit_price_usd=limit_price"
_FILL = "price_usd=price cost_usd=cost liquidity exec_id source"
_ENTRY = "entry_id refid kind subtype nature asset"
_RUN = "account world real_money code_version settings_digest seed tag"

LINES: Mapping[type[Fact], tuple[Line, ...]] = MappingProxyType(
    {
        SignalChanged: (_line("signal.changed", "info", "strategy symbol target_bps edge_bps reason"),),
        IntentRefused: (_line("risk.refused", "info", f"{_ORDER} code why bound_by=decision.binding"),),
        OrderSubmitted: (
            _line("size.decided", "info", f"{_ORDER} cl_ord_id qty bound_by=decision.binding {_SIZE}"),
            _line(
                "order.sent",
                "info",
                f"{_ORDER} cl_ord_id qty order_type limit_price_usd=limit_price reserved_usd=reserved",
            ),
        ),
        FlattenBegan: (_line("flatten.began", "warning", "scope reason actor"),),
        FlattenEnded: (_line("flatten.ended", "warning", "scope why"),),
        OrderAccepted: (_line("order.acked", "info", "cl_ord_id order_id"),),
        OrderRefused: (_line("order.rejected", "warning", "cl_ord_id code text"),),
        AnswerLost: (_line("order.unknown", "warning", "cl_ord_id why"),),
        OrderOpened: (_line("order.live", "info", "cl_ord_id order_id source"),),
        OrderFilled: (_line("order.filled", "info", f"strategy symbol name cl_ord_id order_id side qty {_FILL}"),),
        OrderEnded: (_line("order.ended", "info", "cl_ord_id order_id status reason cum_qty source"),),
        OrderAmended: (
            _line("order.amended", "warning", "cl_ord_id order_id qty limit_price_usd=limit_price reason source"),
        ),
        OrderAbsent: (_line("order.absent", "warning", "cl_ord_id views"),),
        OrderSurprised: (_line("order.surprised", "warning", "cl_ord_id what"),),
        CancelRequested: (_line("order.cancel_asked", "info", "cl_ord_id why"),),
        CancelRefused: (_line("order.cancel_refused", "warning", "cl_ord_id text"),),
        AccountOpened: (_line("account.opened", "info", ""),),
        ExternalOrderSeen: (_line("account.external_order", "info", _EXTERNAL),),
        ExternalOrderGone: (_line("account.external_order_gone", "info", "order_id"),),
        LedgerEntryBooked: (_line("recon.entry", "info", f"{_ENTRY} amount fee moved balance"),),
        DifferenceFound: (_line("recon.difference", "error", "asset expected seen what"),),
        DifferenceEnded: (_line("recon.difference_ended", "warning", "asset"),),
        DifferenceAccepted: (_line("recon.difference_accepted", "warning", "asset amount actor"),),
        Reconciled: (_line("recon.clean", "info", "open_orders"),),
        InstrumentAdopted: (_line("instrument.adopted", "info", "symbol=instrument.symbol status=instrument.status"),),
        FeesAdopted: (_line("fees.adopted", "info", "symbol taker_bps maker_bps"),),
        EquityMarked: (_line("equity.marked", "info", "day equity_usd=equity day_start_usd=day_start peak_usd=peak"),),
        DeadManArmed: (_line("deadman.armed", "info", "timeout_s"),),
        DeadManFired: (_line("deadman.fired", "error", "why"),),
        DeadManDisarmed: (_line("deadman.disarmed", "warning", "why"),),
        HoldBegan: (_line("hold.began", "warning", "cause scope why"),),
        HoldEnded: (_line("hold.ended", "info", "cause scope"),),
        TradingHalted: (_line("halt.set", "error", "scope code reason actor"),),
        TradingResumed: (_line("halt.released", "warning", "scope reason actor"),),
        CommandAccepted: (_line("command.accepted", "info", "request_id actor"),),
        CommandRefused: (_line("command.refused", "warning", "request_id actor code why"),),
        StrategyPaused: (_line("strategy.paused", "error", "strategy why"),),
        RunStarted: (_line("lifecycle.started", "info", _RUN),),
        StopBegan: (_line("lifecycle.stopping", "info", "why"),),
        RunEnded: (_line("lifecycle.ended", "info", "clean in_flight resting why"),),
    }
)

_ENDED_EVENTS: Mapping[VenueStatus, str] = MappingProxyType(
    {VenueStatus.CANCELED: "order.cancelled", VenueStatus.EXPIRED: "order.expired"}
)
_LEVELS: Mapping[Level, int] = MappingProxyType({"debug": 10, "info": 20, "warning": 30, "error": 40})


class FactLog:
    """Writes the lines of committed facts. Remembers the mode, which the run's first fact tells."""

    def __init__(self) -> None:
        self._mode: str | None = None
        self._log = structlog.get_logger(__name__)

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Log these facts. A FactObserver: never waits, never raises."""
        for numbered in facts:
            fact = numbered.fact
            if isinstance(fact, RunStarted):
                self._mode = "live" if fact.real_money else "sim"
            for line in LINES[type(fact)]:
                self._log.log(
                    _LEVELS[line.level],
                    _event_of(line, fact),
                    mode=self._mode,
                    run=numbered.run,
                    input=numbered.input_seq,
                    fact=numbered.seq,
                    **fields_of(line, fact),
                )


def fields_of(line: Line, fact: Fact) -> dict[str, Any]:
    """The line's fields, read from the fact."""
    fields = {key: attrgetter(path or key)(fact) for key, _, path in (entry.partition("=") for entry in line.shows)}
    if isinstance(fact, CommandAccepted | CommandRefused):
        fields["command"] = type(fact.command).__name__
    if isinstance(fact, FlattenEnded):
        fields["left"] = [f"{left.qty} {left.symbol} of {left.strategy}: {left.why}" for left in fact.left]
    if isinstance(fact, OrderFilled):
        fields["fees"] = [f"{plain(fee.amount)} {fee.asset}" for fee in fact.fees]
    return fields


def _event_of(line: Line, fact: Fact) -> str:
    match fact:
        case OrderEnded(status=status):
            return _ENDED_EVENTS.get(status, line.event)
        case HoldBegan(cause=HoldCause.FEED):
            return "feed.stale"
        case HoldEnded(cause=HoldCause.FEED):
            return "feed.live"
        case _:
            return line.event
