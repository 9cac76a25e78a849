"""A whole made world: one exchange, one machine with its disk and clocks, one daemon on it, life after life.

The fault mix acts on it by a few verbs: kill it, cut its power, let it stand still, trouble its wire or its disk.
What happens depends on the seed, the plan and the code alone.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from aether.domain.facts import Numbered, OrderFilled, OrderSubmitted
from aether.domain.values import NANOS_PER_S
from aether.journal.codec import encode_fact
from aether.runtime.machine import Machine
from aether.runtime.supervisor import Service
from aether.settings import Settings
from aether.sim.disk import Disk, Fault, Operation, PowerLoss, Stall
from aether.sim.faults import FaultBox
from aether.sim.front import Front
from aether.sim.opening import ACCOUNT, open_desk
from aether.sim.virtual_time import inline_sqlite
from aether.simulator.agenda import Act, Agenda, ExchangeClock, MachineClocks
from aether.simulator.evidence import Evidence, Sent
from aether.simulator.invariants.checker import Checker
from aether.simulator.life import Life, verify_on
from aether.simulator.loop import Killed, WorldLoop
from aether.simulator.wire import ADDRESSES, Wire
from aether.worlds import sandbox_config

START_NS = 1_790_000_000 * NANOS_PER_S

# As the service manager does it (config/systemd/aether.service): started again after 5 s; after five starts within
# five minutes a person has to look, who is there when those are over.
RESTART_NS = 5 * NANOS_PER_S
STARTS_MAX, STARTS_WINDOW_NS = 5, 300 * NANOS_PER_S
REBOOT_NS = 40 * NANOS_PER_S
LAST_STOP_NS = 120 * NANOS_PER_S
_MARKET_NS = NANOS_PER_S
_STOP_MARGIN_NS = 10 * NANOS_PER_S  # to end the tasks and to close the journal, behind whatever the disk still does
_GARBAGE_NS = 300 * NANOS_PER_S

Death = Literal["kill", "power"]
DiskTrouble = Callable[[Operation], Fault | Stall | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a life of the daemon ended: `killed`, or what it raised, or "" after an orderly stop."""

    boot: int
    at_ns: int
    why: str


class World:
    """Made once for a seed; `run` is its whole history.

    `disk_trouble` is asked before each disk operation, `wire.trouble` for each message, `box` strikes at Kraken's end.
    `may_fail` says that the present life was dealt a fault that ends a process: its failure breaks no rule.
    `stops_at_first` ends a run that has broken a property, for whoever wants to know only whether it does.
    """

    def __init__(
        self, seed: int, settings: Settings, *, length_ns: int, quiet_ns: int, judge: Checker | None = None
    ) -> None:
        self.seed = seed
        self.settings = settings
        self.judge = judge or Checker()
        self.agenda = Agenda(START_NS)
        self.clocks = MachineClocks(self.agenda)
        self.box = FaultBox()
        self.disk = Disk()
        self.disk_trouble: DiskTrouble | None = None
        self.life: Life | None = None
        self.may_fail = False
        self.inputs = 0
        self.orders = self.fills = 0
        self.ended: list[Ended] = []
        self.began_observers: list[Callable[[Life], None]] = []
        self.services: list[Callable[[Life], Service]] = []  # tasks that each life has beside its own
        self.end_ns = START_NS + length_ns
        self.quiet_ns = START_NS + quiet_ns
        self.is_over = False
        self.stops_at_first = False
        self._losses = self.random("losses")
        self._latency = self.random("disk")
        self._starts_ns: list[int] = []
        self._dies_at = 0
        self._stop_asked_ns = 0
        self._stop_ns_max = settings.orders.stop_s_max * NANOS_PER_S + _STOP_MARGIN_NS
        self._death: Death = "kill"
        self._struck: Act = lambda: None
        clock = ExchangeClock(self.agenda)
        opened = open_desk(sandbox_config(settings), clock, self.random("keys").randbytes)
        ids = self.random("connections")
        self.front = Front(opened.desk, opened.crowd, clock, box=self.box, new_id=lambda: ids.getrandbits(63))
        self.account = ACCOUNT
        self.evidence = Evidence(opened.desk.exchange, ACCOUNT, now_ns=START_NS)
        opened.desk.listen(lambda *_: self.judge.market_moved(self._look()))
        self.wire = Wire(self.agenda, self.front, self.random("wire"), self)
        self.hello: Mapping[str, str] = {
            **ADDRESSES,
            "api_key": opened.api_keys[0].key,
            "api_secret": opened.api_keys[0].secret,
        }

    def random(self, use: str) -> Random:
        """A stream of chance of its own for each use: one more draw here changes nothing there."""
        return Random(f"{self.seed}:{use}")  # noqa: S311 - a made world, no secret

    @property
    def machine(self) -> Machine | None:
        """The living daemon; None while it is down, or is starting."""
        return self.life.machine if self.life is not None else None

    # --- verbs of the fault mix -----------------------------------------------------------------------------------

    def kill(self, after_turns: int = 0) -> bool:
        """SIGKILL, so many turns of the daemon's loop from now; False where nothing lives."""
        if self.life is not None:
            self.life.loop.kill_after(after_turns)
        return self.life is not None

    def die_at_disk(self, death: Death, after: int, struck: Act = lambda: None) -> None:
        """SIGKILL or a power cut before the disk operation that is so many from now; one dealt before comes no more.

        `struck` is called when it comes: a life may end before that.
        """
        if self.life is not None:
            self._dies_at, self._death, self._struck = self.disk.operations + max(1, after), death, struck

    def stop(self, why: str) -> bool:
        """An orderly stop, as by SIGTERM; False where nothing lives that could be asked."""
        if self.machine is None or self.life is None:
            return False
        self._stop_asked_ns = self._stop_asked_ns or self.agenda.now_ns - self.life.loop.still_ns
        self.life.loop.call_soon(self.machine.supervisor.ask_to_stop, why)
        return True

    # --- history --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the first start to the last stop."""
        self._begin()
        asyncio.set_event_loop(None)  # a connection that is collected asks for one, and would be given a real one
        kept, sys.unraisablehook = sys.unraisablehook, _hush
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # what a killed process left open nobody closes
                while not self.is_over:
                    self._live_once()
                    if not self.is_over:
                        self._wait_for_start()
                self._verify()
        finally:
            gc.enable()
            gc.unfreeze()
            gc.collect()
            sys.unraisablehook = kept

    def _begin(self) -> None:
        self.agenda.every(NANOS_PER_S, self._second)
        self.agenda.every(3600 * NANOS_PER_S, lambda: self.judge.hourly(self._look()))
        self.agenda.every(_GARBAGE_NS, lambda: gc.collect(1))
        self._move_market()
        self.agenda.at(self.quiet_ns, self._spare)
        self.agenda.at(self.end_ns, self._end)

    def _live_once(self) -> None:
        self._starts_ns.append(self.agenda.now_ns)
        self.evidence.boot += 1
        self.disk.hook = self._on_disk
        self._dies_at, self.may_fail = 0, False
        life = self.life = Life(self, self.evidence.boot)
        life.loop.set_exception_handler(lambda *_: None)
        why = "killed"
        self._stop_asked_ns = 0
        with inline_sqlite(self._latency, self._stalled_s):
            try:
                life.loop.run_until_complete(life.live())
                why = ""
            except Killed:
                self.judge.crashed(self._look())
            except Exception as error:  # noqa: BLE001 - whatever ends the program ends this life of it
                why = _told(error)
        if why == "" and self._stop_asked_ns:
            # What a stalled loop and a sleeping machine take is no time in which it could have stopped.
            took_ns = self.agenda.now_ns - life.loop.still_ns - self._stop_asked_ns
            self.judge.stopped(self._look(), took_ns, self._stop_ns_max)
        self.judge.ended()
        self.evidence.machine = self.life = None
        self.ended.append(Ended(life.number, self.agenda.now_ns, why))
        if why not in ("", "killed") and not self.may_fail:
            self.judge.exited(self._look(), why)
        self.wire.end_life()
        self._bury(life)

    def _bury(self, life: Life) -> None:
        """Let go of all that a life held. What its coroutines still do on the way finds nothing that works."""
        lost_power = self.disk.is_dead and self._death == "power"
        self.disk = self.disk.crash(self._losses) if lost_power else self.disk.kill()
        life.loop.close()
        life.machine = life.desk = None
        del life
        gc.collect()
        gc.freeze()  # what is left is the world's: the next burial need not look through it again
        if lost_power:
            self.agenda.reach(self.agenda.now_ns + REBOOT_NS)

    def _verify(self) -> None:
        """Read the whole journal once more, as a person would who audits it."""
        loop = WorldLoop(self.agenda, self.random("verify"))
        with inline_sqlite(self._latency):
            why = loop.run_until_complete(verify_on(self))
        loop.close()
        if why:
            self.judge.broken_chain(self._look(), why)

    def _wait_for_start(self) -> None:
        at_ns = self.agenda.now_ns + RESTART_NS
        if len(self._starts_ns) >= STARTS_MAX:
            window_over_ns = self._starts_ns[-STARTS_MAX] + STARTS_WINDOW_NS
            at_ns = max(at_ns, min(window_over_ns, self.quiet_ns))  # when all is to be well a person has looked
        self.agenda.reach(at_ns)

    def _second(self) -> None:
        evidence = self._look()
        self.judge.after_step(evidence)
        if self.stops_at_first and self.judge.violations:
            self.is_over = True
            self.kill()
        elif self.agenda.now_ns >= self.quiet_ns:
            self.judge.in_tail(evidence)

    def _move_market(self) -> None:
        self.front.live_on()
        self.agenda.after(_MARKET_NS, self._move_market)

    def _spare(self) -> None:
        """Deaths that were dealt and have not come yet come no more: all is to be well now."""
        self._dies_at = 0
        if self.life is not None and not self.disk.is_dead:
            self.life.loop.spare()

    def _end(self) -> None:
        self.is_over = True
        self.judge.hourly(self._look())
        if not self.stop("the run is over"):
            self.kill()
        self.agenda.after(LAST_STOP_NS, self._end_late)

    def _end_late(self) -> None:
        if self.life is not None:
            self.judge.stopped(self._look(), LAST_STOP_NS, self._stop_ns_max)
            self.kill()

    # --- what the world is told -----------------------------------------------------------------------------------

    def began(self, life: Life) -> None:
        """A life has its machine: the fault mix and the people may take hold of it."""
        for observe in self.began_observers:
            observe(life)

    def left(self, transport: str, method: str, fields: Mapping[str, object]) -> None:
        """One private request leaves (`wire.Witness`)."""
        committed = self.evidence.committed
        durable = committed[-1].seq if committed else 0
        self.evidence.sent.append(Sent(self.agenda.now_ns, self.evidence.boot, transport, method, fields, durable))
        self.judge.after_step(self._look())

    def committed(self, facts: Sequence[Numbered]) -> None:
        """These facts are on disk, and the daemon knows it."""
        self.evidence.committed += facts
        for numbered in facts:
            self.orders += isinstance(numbered.fact, OrderSubmitted)
            self.fills += isinstance(numbered.fact, OrderFilled)
            self.wire.note(encode_fact(numbered.fact).body)
        self.judge.after_step(self._look())

    def halt_given(self, scope: str) -> None:
        """A person presses the kill switch, or it has returned: from the next turn of the loop on it must hold."""
        self.judge.halt_given(self._look(), scope)

    def lost(self, why: str) -> None:
        """Something that was acknowledged is not on the disk any more."""
        self.judge.not_kept(self._look(), why)

    def recovered(self) -> None:
        """A life has compared its account with the exchange's for the first time."""
        self.judge.after_recovery(self._look())
        began_ns = self._starts_ns[-1]
        if began_ns >= self.quiet_ns:
            self.judge.started(self._look(), self.agenda.now_ns - began_ns)

    def _look(self) -> Evidence:
        self.evidence.now_ns = self.agenda.now_ns
        return self.evidence

    def _on_disk(self, operation: Operation) -> Fault | Stall | None:
        if self._dies_at and operation.number >= self._dies_at:
            self._dies_at = 0
            self._struck()
            self.kill()
            raise PowerLoss
        return None if self.disk_trouble is None else self.disk_trouble(operation)

    def _stalled_s(self) -> float:
        stalled_ns, self.disk.stalled_ns = self.disk.stalled_ns, 0
        return stalled_ns / NANOS_PER_S


def _told(error: BaseException) -> str:
    """The innermost reasons, in one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _hush(_: object) -> None:
    """A killed process says nothing when its coroutines are taken away."""
