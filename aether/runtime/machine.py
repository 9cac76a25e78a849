"""One run of the program, whatever world it is in: inbox, engine, journal, tape, hands and their tasks, joined."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from aether.core.engine import Engine
from aether.core.orders import OrderState
from aether.core.policy import Policy
from aether.core.workbench import Guard
from aether.domain.errors import AetherError, VenueRefused, VenueUnavailable
from aether.domain.inputs import BookChanged, FeedLost, FeesSeen, Input, InstrumentSeen, LoopStalled
from aether.domain.instruments import Instrument
from aether.domain.values import Symbol
from aether.ports import Clock, FactObserver, Journal, MarketFeed, OrderVenue, Tape
from aether.runtime.hands import Hands
from aether.runtime.inbox import Inbox
from aether.runtime.latch import Latch
from aether.runtime.recovery import Recovered
from aether.runtime.runner import Runner
from aether.runtime.supervisor import Pace, Service, Supervisor, Ticker

WARM_BARS = 700  # Kraken serves 720 candles at once
FEES_EVERY_S = 86_400
FEES_RETRY_S = 60
REACH_BACKOFF_S_MAX = 30.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where the machine tells how it fares, in seconds: each step, each commit, each lag of the loop."""

    step_took: Callable[[float], None]
    commit_took: Callable[[float], None]
    loop_lag: Callable[[float], None]


class Machine:
    """Runs one recovered ledger against one feed and one venue until it is asked to stop, or fails.

    `first` are inputs that the venue has to say before anything is heard. `cold_why` names the symbols whose candles
    the venue refused, and its reason.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        instruments: Sequence[Instrument],
        recovered: Recovered,
        journal: Journal,
        tape: Tape,
        feed: MarketFeed,
        venue: OrderVenue,
        clock: Clock,
        pace: Pace,
        free_bytes: Callable[[], int],
        gauges: Gauges,
        first: Sequence[Input] = (),
        guard: Guard | None = None,
    ) -> None:
        self._policy = policy
        self._instruments = tuple(instruments)
        self._recovered = recovered
        self._first = tuple(first)
        self._feed = feed
        self._venue = venue
        self._cold = set(policy.symbols)  # their candles are asked for with their next book
        self._warming: set[Symbol] = set()
        self.cold_why: dict[Symbol, str] = {}
        self.inbox = Inbox(clock)
        self.latch = Latch(recovered.ledger.halted_scopes, recovered.ledger.flattening)
        self.engine = Engine(policy, recovered.ledger, guard)
        self._hands = Hands(venue, self.latch, self.inbox.put, clock, lambda: self.engine.market.clock_offset_ns)
        self.observers: list[FactObserver] = []
        self.runner = Runner(
            inbox=self.inbox,
            engine=self.engine,
            journal=journal,
            tape=tape,
            hands=self._hands,
            latch=self.latch,
            observers=self.observers,
            clock=clock,
            step_took=gauges.step_took,
            commit_took=gauges.commit_took,
        )
        self.supervisor = Supervisor(self.inbox.put, pace, self._is_quiet)
        self._ticker = Ticker(self._put_of_ticker, clock, pace, free_bytes, gauges.loop_lag)

    async def run(self, services: Sequence[Service] = ()) -> None:
        """From RunBegan to RunEnded. Raises, in a group, what ended it otherwise."""
        for input_ in (self._recovered.began, *self._first):
            self.inbox.put(input_)
        ours: tuple[Service, ...] = (
            ("feed", self._listen),
            ("executions", lambda: self._venue.run(self.inbox.put)),
            ("hands", self._hands.run),
            ("ticker", self._ticker.run),
            ("fees", self._read_fees),
        )
        await self.supervisor.run(self.runner.run, (*ours, *services))

    def sizes(self) -> dict[str, int]:
        """How many of everything that is kept while the run lasts, by name. Each is bounded, whatever is heard."""
        bench, ledger = self.engine, self.engine.ledger
        return {
            "inputs": self.inbox.live,
            "effects": self._hands.in_hand,
            "orders": len(ledger.orders),
            "orders_unsettled": len(ledger.unsettled),
            "own_ids": len(ledger.own_ids.kept),
            "executions": len(ledger.exec_ids),
            "entries": len(ledger.entry_ids),
            "fills": len(ledger.fills),
            "refusals": len(ledger.recent_refusals),
            "external_orders": len(ledger.external_orders),
            "sent": len(ledger.sent_ns),
            "surprises": len(bench.surprises),
        }

    def _is_quiet(self) -> bool:
        """Stopping has begun, every answer is in, and only orders that may stay are left.

        What waits in the inbox is taken before the RunEnding that follows, so it needs no waiting for: a market that
        never rests would keep the stop waiting.
        """
        ledger, keeps = self.engine.ledger, not self._policy.orders.cancel_on_stop
        waiting = [order for order in ledger.unsettled.values() if not (keeps and order.state is OrderState.OPEN)]
        return ledger.is_stopping and not waiting and not self._hands.in_hand

    def _put_of_ticker(self, told: Input) -> None:
        """A loop that stood still heard no trades: the running candles miss them."""
        self.inbox.put(told)
        if isinstance(told, LoopStalled):
            self._cold.update(self._policy.symbols)

    async def _listen(self) -> None:
        """The rules, then the live market; candles for each symbol beside it, and anew whenever its feed was lost.

        A symbol whose candles cannot be had stays cold, and keeps no other waiting.
        """
        for instrument in self._instruments:
            self.inbox.put(InstrumentSeen(instrument))
        async with asyncio.TaskGroup() as group:

            def hear(heard: Input) -> None:
                self.inbox.put(heard)
                if isinstance(heard, FeedLost):
                    self._cold.add(heard.symbol)
                elif (
                    isinstance(heard, BookChanged) and heard.symbol in self._cold and heard.symbol not in self._warming
                ):
                    self._cold.discard(heard.symbol)
                    self._warming.add(heard.symbol)
                    group.create_task(self._warm(heard.symbol), name=f"candles {heard.symbol}")

            await self._feed.run(hear)

    async def _warm(self, symbol: Symbol) -> None:
        """Ask for a symbol's candles. Refused ones are asked for anew after the next loss or stall alone."""
        try:
            for bar_s in dict.fromkeys(trend.bar_s for trend in self._policy.trends if symbol in trend.symbols):
                self.inbox.put(await reached(self._feed.history, symbol, bar_s, WARM_BARS))
            self.cold_why.pop(symbol, None)
        except VenueRefused as error:
            self.cold_why[symbol] = str(error)
        finally:
            self._warming.discard(symbol)

    async def _read_fees(self) -> None:
        while True:
            told: tuple[FeesSeen, ...] = ()
            with suppress(AetherError):  # the last known rates, or the settings' fallback, stay in force
                told = await self._venue.fees(self._policy.symbols)
            for seen in told:
                self.inbox.put(seen)
            await asyncio.sleep(FEES_EVERY_S if len(told) == len(self._policy.symbols) else FEES_RETRY_S)


async def reached(ask: Callable[..., Awaitable[Answer]], *arguments: object) -> Answer:
    """Ask until the venue is reached, with growing pauses. Raises VenueRefused."""
    backoff_s = 0.5
    while True:
        try:
            return await ask(*arguments)
        except VenueUnavailable as error:
            await asyncio.sleep(max(backoff_s, error.retry_after_s))
            backoff_s = min(2 * backoff_s, REACH_BACKOFF_S_MAX)
