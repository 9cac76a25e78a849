"""What befalls the daemon and the machine under it: death, clocks that jump, sleep, a loop that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TypeVar, cast

from aether.core.strategies.trend import FULL_TARGET_BPS, Signal
from aether.domain.errors import StrategyOverran
from aether.domain.values import NANOS_PER_MS, Bps
from aether.simulator.faults.tally import Acts, Tally
from aether.simulator.plan import Fault
from aether.simulator.world import Death, World

Answer = TypeVar("Answer")

WATCHDOG_NS = 30_000 * NANOS_PER_MS  # config/systemd/aether.service: killed when it has not been heard of for so long

_CORRECTED_NS = 120_000 * NANOS_PER_MS

# The tasks whose failure nobody inside expects. Those of sockets are asked for anew when a link fails.
_TASKS = ("engine", "feed", "executions", "hands", "ticker", "fees")


class MadeFailure(Exception):
    """What an injected fault raises inside the daemon: of no kind that anybody there knows."""


class ProcessFaults:
    """Acts on the world's daemon and on its machine's clocks. Where nothing lives, nothing is struck."""

    def __init__(self, world: World, tally: Tally) -> None:
        self._world = world
        self._tally = tally
        self._drifts = 0

    def acts(self) -> Acts:
        """By kind."""
        return {
            "kill": lambda fault: self._world.kill(fault.parameters["after"]),
            "kill_at_disk": lambda fault: self._die(fault, "kill"),
            "power_loss": lambda fault: self._die(fault, "power"),
            "step_forward": lambda fault: self._step(fault.parameters["by_ms"]),
            "step_back": lambda fault: self._step(-fault.parameters["by_ms"]),
            "drift": self._drift,
            "suspend": self._suspend,
            "loop_stall": self._stall,
            "task_dies": self._end_task,
            "strategy_raises": self._spoil_strategy,
            "strategy_nonsense": self._spoil_strategy,
            "strategy_overruns": self._spoil_strategy,
        }

    def _die(self, fault: Fault, death: Death) -> bool:
        """Counted when it comes."""
        self._world.die_at_disk(death, fault.parameters["after"], lambda: self._tally.struck(fault.kind))
        return False

    def calm(self) -> None:
        """The clock runs right again, and the machine's time service has set it right."""
        self._world.clocks.drift(0)
        self._world.clocks.set_by_ns = 0

    def _step(self, by_ms: int) -> bool:
        """The machine's time service sets the clock right after a while."""
        clocks = self._world.clocks
        clocks.set_by_ns += by_ms * NANOS_PER_MS

        def correct() -> None:
            clocks.set_by_ns = 0

        self._world.agenda.after(_CORRECTED_NS, correct)
        return True

    def _drift(self, fault: Fault) -> bool:
        sign = Random(fault.draw).choice((-1, 1))  # noqa: S311 - made faults, no secret
        self._world.clocks.drift(sign * fault.parameters["ppm"])
        self._drifts += 1
        number = self._drifts

        def end() -> None:
            if number == self._drifts:
                self._world.clocks.drift(0)

        self._world.agenda.after(fault.parameters["for_ms"] * NANOS_PER_MS, end)
        return True

    def _suspend(self, fault: Fault) -> bool:
        """It wakes before the quiet time: what is judged there needs a daemon that can act."""
        life = self._world.life
        awake_ns = self._world.quiet_ns - self._world.agenda.now_ns
        if life is None or awake_ns <= 0:
            return False
        life.loop.sleep_through(min(self._span_ns(fault), awake_ns))
        return True

    def _stall(self, fault: Fault) -> bool:
        """One that the service manager would not bear ends as it ends it."""
        life, for_ns = self._world.life, self._span_ns(fault)
        if life is None:
            return False
        life.loop.stand_still(min(for_ns, WATCHDOG_NS))
        if for_ns > WATCHDOG_NS:
            self._world.agenda.after(WATCHDOG_NS, self._world.kill)
        return True

    def _span_ns(self, fault: Fault) -> int:
        """How long it lasts: not into the time when all is to be well."""
        return min(fault.parameters["for_ms"] * NANOS_PER_MS, self._world.quiet_ns - self._world.agenda.now_ns)

    def _end_task(self, fault: Fault) -> bool:
        """Let what a task waits for fail. A daemon without one of its tasks must end: that breaks no rule."""
        life = self._world.life
        if life is None or self._world.machine is None:
            return False
        tasks = sorted(
            (task for task in asyncio.all_tasks(life.loop) if task.get_name() in _TASKS), key=asyncio.Task.get_name
        )
        Random(fault.draw).shuffle(tasks)  # noqa: S311 - made faults, no secret
        for task in tasks:
            waited = _waited_for(task)
            if waited is not None:
                self._world.may_fail = True
                life.loop.call_soon(_fail, waited)
                return True
        return False

    def _spoil_strategy(self, fault: Fault) -> bool:
        """The next word of a strategy is none, or a wild one. Counted when it is asked for."""
        machine = self._world.machine
        if machine is None:
            return False
        engine, random = machine.engine, Random(fault.draw)  # noqa: S311 - made faults, no secret

        guard = engine.guard

        def spoilt(ask: Callable[[], Answer]) -> Answer:  # noqa: ARG001 - the strategy itself is not asked
            engine.guard = guard
            self._tally.struck(fault.kind)
            if fault.kind == "strategy_raises":
                raise MadeFailure("made to fail")
            if fault.kind == "strategy_overruns":
                raise StrategyOverran("made to think for too long")
            return cast("Answer", random.choice(_NONSENSE)())

        engine.guard = spoilt
        return False


_NONSENSE: tuple[Callable[[], object], ...] = (
    lambda: Signal(Bps(FULL_TARGET_BPS), Bps(1_000_000_000), "everything, whatever it costs"),
    lambda: Signal(Bps(0), Bps(0), "\x1b[31mnothing\n"),
    lambda: Signal(Bps(10 * FULL_TARGET_BPS), Bps(-1), "more than there is"),
    lambda: "buy low, sell high",
)


def _waited_for(task: asyncio.Task[object]) -> asyncio.Future[object] | None:
    """What the innermost of the tasks that a task waits for waits for; None where it is about to run."""
    waited = getattr(task, "_fut_waiter", None)  # asyncio's own name for it; there is no other way in
    while isinstance(waited, asyncio.Task):
        waited = getattr(waited, "_fut_waiter", None)
    return waited if isinstance(waited, asyncio.Future) and not waited.done() else None


def _fail(waited: asyncio.Future[object]) -> None:
    if not waited.done():
        waited.set_exception(MadeFailure("made to fail"))
