"""A person's command on its way: into the inbox, and back as the fact that accepted or refused it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aether.core.authority import refusal_of
from aether.core.ledger import Ledger
from aether.domain.actors import Actor
from aether.domain.errors import AetherError
from aether.domain.facts import CommandAccepted, CommandRefused, Numbered
from aether.domain.inputs import Command, CommandGiven, Halt
from aether.ports import HaltLatch, Put


class CommandUnanswered(AetherError):
    """No fact answered the command in time. It may still take effect: look before giving it again."""


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What became of a command. `seq` is the fact that says so; `on_disk` is False only for a halt not yet written.

    `code` and `why` are empty where the command was accepted and written.
    """

    accepted: bool
    code: str
    why: str
    seq: int | None
    on_disk: bool


class CommandDesk:
    """Puts commands into the inbox and waits for their facts; `observe` is told of every committed fact.

    `scopes` are those that can be halted.
    """

    def __init__(self, put: Put, latch: HaltLatch, scopes: Collection[str]) -> None:
        self._put = put
        self._latch = latch
        self._scopes = scopes
        self._waiting: dict[str, asyncio.Future[CommandOutcome]] = {}

    async def give(self, actor: Actor, command: Command, request_id: str, timeout_s: float) -> CommandOutcome:
        """Give one command and wait up to `timeout_s` seconds for its fact.

        A halt acts before it is written: its latch is set at once, and an answer that is late says so by `on_disk`.

        Raises:
            CommandUnanswered: no fact came in time, for any command but a halt.
            InvariantBroken: the inbox's lane for commands is full.
        """
        if isinstance(command, Halt):
            self._latch_at_once(actor, command)
        answer: asyncio.Future[CommandOutcome] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            self._put(CommandGiven(request_id, actor, command))
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            if isinstance(command, Halt):
                return CommandOutcome(
                    accepted=True, code="", why="halted now; not on disk yet", seq=None, on_disk=False
                )
            raise CommandUnanswered(f"no answer within {timeout_s} s") from None
        finally:
            del self._waiting[request_id]

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Wake whoever waits for one of these facts. A FactObserver: never waits, never raises."""
        for numbered in facts:
            fact = numbered.fact
            if isinstance(fact, CommandAccepted):
                outcome = CommandOutcome(accepted=True, code="", why="", seq=numbered.seq, on_disk=True)
            elif isinstance(fact, CommandRefused):
                outcome = CommandOutcome(accepted=False, code=fact.code, why=fact.why, seq=numbered.seq, on_disk=True)
            else:
                continue
            answer = self._waiting.get(fact.request_id)
            if answer is not None and not answer.done():
                answer.set_result(outcome)

    def _latch_at_once(self, actor: Actor, halt: Halt) -> None:
        # Whether a halt is allowed depends on who asks and on its scope, not on what the ledger holds. One that the
        # engine would refuse must not latch: no TradingResumed would ever release it.
        if refusal_of(actor, halt, Ledger(), self._scopes) is None:
            self._latch.set(halt.scope)
