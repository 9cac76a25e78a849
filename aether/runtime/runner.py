"""The only loop that changes state: take a batch, decide, write, publish, and only then let effects out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aether.core.engine import Engine
from aether.core.view import Publisher, View
from aether.core.workbench import Step
from aether.domain.errors import InvariantBroken
from aether.domain.facts import Numbered, OrderSubmitted, RunEnded
from aether.domain.inputs import Stamped, Tick
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock, FactObserver, Journal, Tape
from aether.runtime.hands import Hands
from aether.runtime.inbox import Inbox
from aether.runtime.latch import Latch


class Runner:
    """Joins inbox, engine, journal, tape and hands.

    After the commit the latch and the hands learn of it, then effects begin, and then observers are told, in order.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        engine: Engine,
        journal: Journal,
        tape: Tape,
        hands: Hands,
        latch: Latch,
        observers: Sequence[FactObserver],
        clock: Clock,
        step_took: Callable[[float], None],
        commit_took: Callable[[float], None],
    ) -> None:
        self._inbox = inbox
        self._engine = engine
        self._journal = journal
        self._tape = tape
        self._hands = hands
        self._latch = latch
        self._observers = observers
        self._clock = clock
        self._step_took = step_took
        self._commit_took = commit_took
        self._publisher = Publisher(engine)
        self.view: View | None = None

    async def run(self) -> None:
        """Run until RunEnded is written. Raises JournalBroken and InvariantBroken: then the process ends."""
        while True:
            batch = await self._inbox.take()
            try:
                steps = self._decide(batch)
            except InvariantBroken:
                self._tape.record(batch)  # among them the input that one would most want to see
                raise
            facts = [fact for step in steps for fact in step.facts]
            if facts:
                await self._commit(facts)
            # After the commit, so that the tape never knows of more than the journal.
            self._tape.record(batch[: len(steps)])
            effects = [effect for step in steps for effect in step.effects]
            for effect in effects:
                self._hands.start(effect)
            if effects:
                # The hands take their turn first: an order need wait neither for log nor for pages. Nothing is decided
                # meanwhile, so that what is published is committed.
                await asyncio.sleep(0)
            if facts:
                for observe in self._observers:
                    observe(facts)
            if facts or any(isinstance(stamped.input, Tick) for stamped in batch):
                self.view = self._publisher.publish()
            if facts and isinstance(facts[-1].fact, RunEnded):
                return

    def _decide(self, batch: tuple[Stamped, ...]) -> list[Step]:
        # No await from here to the last step: nothing can slip between a check and its booking.
        steps = []
        for stamped in batch:
            began_ns = self._clock.monotonic_ns()
            steps.append(self._engine.take(stamped))
            self._step_took((self._clock.monotonic_ns() - began_ns) / NANOS_PER_S)
            if self._engine.ledger.has_ended:
                break  # what came behind RunEnding belongs to the next run, which asks the venue for it
        return steps

    async def _commit(self, facts: list[Numbered]) -> None:
        began_ns = self._clock.monotonic_ns()
        await self._journal.append(facts)
        self._commit_took((self._clock.monotonic_ns() - began_ns) / NANOS_PER_S)
        self._latch.observe(facts)
        for numbered in facts:
            if isinstance(numbered.fact, OrderSubmitted):
                self._hands.expect(numbered.fact)
