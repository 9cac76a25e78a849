"""What people do to the daemon: halt, cancel, stop it and start it again; and the operator who answers its halts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

from aether.admin.commands import CommandUnanswered
from aether.core.halts import ALL, HoldCause
from aether.domain.actors import Actor, Role
from aether.domain.inputs import CancelEverything, Command, Flatten, Halt, Resume
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.runtime.machine import Machine
from aether.runtime.supervisor import Service
from aether.simulator.faults.tally import Act, Acts
from aether.simulator.life import Life
from aether.simulator.plan import Fault
from aether.simulator.world import World

OPERATOR = Actor("uid:1000", Role.OPERATOR)
_ANSWER_S = 10.0  # as the control socket waits
_LOOKS_NS = 5 * NANOS_PER_S
_PATIENCE_S = (5, 90)  # until the operator has seen why
_TWICE_NS = NANOS_PER_S
_WRONG_TIME_NS = 60 * NANOS_PER_S


class People:
    """The people of one world. `maintain` shuts the exchange for a fault's time."""

    def __init__(self, world: World, maintain: Act) -> None:
        self._world = world
        self._maintain = maintain
        self._random = world.random("people")
        self._requests = 0
        self._queue: asyncio.Queue[Command] | None = None
        self._seen: dict[str, int] = {}  # scopes that are halted, and when the operator will let them go on
        self._wrong_since_ns: int | None = None  # since when the clock has kept the daemon from trading
        world.services.append(self._service)
        world.agenda.every(_LOOKS_NS, self._look)

    def acts(self) -> Acts:
        """By kind."""
        return {
            "people_halt": lambda _: self._give(Halt("all", "a person halts all")),
            "people_halt_symbol": lambda fault: self._halt_one(fault, "symbol:"),
            "people_halt_strategy": lambda fault: self._halt_one(fault, "strategy:"),
            "people_halt_in_maintenance": self._halt_in_maintenance,
            "cancel_all": lambda _: self._give(CancelEverything("a person cancels all")),
            "flatten": lambda _: self._give(Flatten("all", "a person wants everything sold")),
            "restart": lambda _: self._world.stop("a person stops it"),
            "stop_twice": self._stop_twice,
        }

    def _halt_one(self, fault: Fault, start: str) -> bool:
        machine = self._world.machine
        if machine is None:
            return False
        scopes = sorted(scope for scope in machine.engine.scopes if scope.startswith(start))
        return self._give(Halt(Random(fault.draw).choice(scopes), "a person halts it"))  # noqa: S311 - made faults

    def _halt_in_maintenance(self, fault: Fault) -> bool:
        self._maintain(Fault(fault.number, fault.at_ns, "maintenance", fault.draw, fault.parameters))
        self._give(CancelEverything("a person cancels all while the exchange is shut"))
        return self._give(Halt("all", "a person halts all while the exchange is shut"))

    def _stop_twice(self, _: Fault) -> bool:
        self._world.agenda.after(_TWICE_NS, lambda: _ignore(self._world.stop("a person stops it again")))
        return self._world.stop("a person stops it")

    # --- the operator -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Let go on what has been halted for a while, whoever halted it."""
        machine = self._world.machine
        if machine is None:
            return
        ledger, now_ns = machine.engine.ledger, self._world.agenda.now_ns
        halted = [*ledger.halted_scopes, *(f"strategy:{name}" for name in ledger.paused)]
        self._seen = {scope: at_ns for scope, at_ns in self._seen.items() if scope in halted}
        for scope in dict.fromkeys(halted):
            at_ns = self._seen.setdefault(scope, now_ns + self._random.randint(*_PATIENCE_S) * NANOS_PER_S)
            if now_ns >= at_ns:
                self._give(Resume(scope, "the operator has looked"))
                self._seen[scope] = now_ns + 60 * NANOS_PER_S
        self._look_at_the_clock(machine, now_ns)

    def _look_at_the_clock(self, machine: Machine, now_ns: int) -> None:
        """Start the daemon anew where it holds on to a wrong time: it reads the machine's clock at its start alone."""
        engine = machine.engine
        is_far_off = abs(engine.market.clock_offset_ns) > engine.policy.orders.clock_offset_ms_max * NANOS_PER_MS
        if not (is_far_off and (HoldCause.CLOCK, ALL) in engine.ledger.holds):
            self._wrong_since_ns = None
        elif self._wrong_since_ns is None:
            self._wrong_since_ns = now_ns
        elif now_ns - self._wrong_since_ns >= _WRONG_TIME_NS:
            self._wrong_since_ns = None
            self._world.stop("the clock was wrong")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _give(self, command: Command) -> bool:
        life = self._world.life
        if life is None or life.machine is None or self._queue is None:
            return False
        life.loop.call_soon(self._queue.put_nowait, command)
        return True

    def _service(self, life: Life) -> Service:
        """The task in the daemon that takes people's commands, as its HTTP server and its control socket do."""
        queue: asyncio.Queue[Command] = asyncio.Queue()

        async def run() -> None:
            self._queue = queue
            async with asyncio.TaskGroup() as group:
                while True:
                    group.create_task(self._ask(life, await queue.get()))

        return "people", run

    async def _ask(self, life: Life, command: Command) -> None:
        assert life.desk is not None, "a daemon that takes commands has its desk"
        self._requests += 1
        if isinstance(command, Halt):
            self._world.halt_given(command.scope)
        with suppress(CommandUnanswered):  # people see that, and look
            outcome = await life.desk.give(OPERATOR, command, f"person-{self._requests}", _ANSWER_S)
            if isinstance(command, Halt) and outcome.accepted:
                self._world.halt_given(command.scope)


def _ignore(_: object) -> None:
    """A lambda wants a value."""
