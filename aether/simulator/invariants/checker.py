"""The judge: asks each predicate when it is cheap enough to ask, and keeps what is broken and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from aether.domain.facts import Numbered
from aether.simulator.evidence import Evidence, Sent
from aether.simulator.invariants import liveness, market, money, orders, process
from aether.simulator.invariants.reading import Reading, scopes_over
from aether.simulator.invariants.sometimes import Sometimes
from aether.simulator.invariants.wire_words import orders_asked
from aether.simulator.outcome import Violation

FactRule = Callable[[Evidence, Reading, Numbered], str | None]
SentRule = Callable[[Evidence, Reading, Sent], str | None]
WholeRule = Callable[[Evidence, Reading], Iterator[str]]
TailRule = Callable[[Evidence, Reading, int], Iterator[str]]

FACT_RULES: tuple[tuple[str, FactRule], ...] = (
    *process.FACT_RULES,
    *orders.FACT_RULES,
    *money.FACT_RULES,
    *market.FACT_RULES,
    *liveness.FACT_RULES,
)
SENT_RULES: tuple[tuple[str, SentRule], ...] = orders.SENT_RULES
STEP_RULES: tuple[tuple[str, WholeRule], ...] = money.STEP_RULES
WHOLE_RULES: tuple[tuple[str, WholeRule], ...] = (*orders.WHOLE_RULES, *money.WHOLE_RULES, *process.WHOLE_RULES)
TAIL_RULES: tuple[tuple[str, TailRule], ...] = liveness.TAIL_RULES

# Each needs rooms or modes that are not built, or is no matter of a run.
NOT_CLAIMED = ("S4", "S21", "S27", "S28", "S29")
TOLD_MAX = 10  # of each rule: the first ones tell, what follows is most often their echo


class Checker:
    """Follows one run over all lives of its daemon. `violations` and `seen` may be read at any time."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.reading = Reading()
        self._sometimes = Sometimes()
        self.seen: Counter[str] = self._sometimes.seen
        self._witness = market.BookWitness()
        self._told: dict[str, set[str]] = {}
        self._facts_read = 0
        self._sent_read = 0
        self._well_since_ns: int | None = None
        self._lives: tuple[int, bool] = 0, False
        self._halts_given: list[tuple[int, str]] = []

    def after_step(self, evidence: Evidence) -> None:
        """Judge what has left, what was committed and the books, since the last call. Cheap where that is nothing."""
        machine = evidence.machine
        if machine is not None:
            self.reading.policy = machine.engine.policy
        self._witness.watch(evidence)
        for sent in evidence.sent[self._sent_read :]:
            self._sent_read += 1
            self._read_facts(evidence, sent.durable_seq)
            self._judge_sent(evidence, sent)
        self._read_facts(evidence, None)
        for why in self._witness.look(evidence):
            self._tell("S22", why, evidence)
        for rule, holds in STEP_RULES:
            for why in holds(evidence, self.reading):
                self._tell(rule, why, evidence)
        self._note_latches(evidence)

    def market_moved(self, evidence: Evidence) -> None:
        """Keep what the books of the exchange are now: what the daemon may see of them from here on."""
        self._witness.watch(evidence)

    def hourly(self, evidence: Evidence) -> None:
        """Judge everything at once: sums, equity, positions, bounds."""
        self.after_step(evidence)
        for rule, holds in WHOLE_RULES:
            for why in holds(evidence, self.reading):
                self._tell(rule, why, evidence)

    def after_recovery(self, evidence: Evidence) -> None:
        """A daemon has folded its journal again: it must believe what journal and exchange imply."""
        self.hourly(evidence)

    def in_tail(self, evidence: Evidence) -> None:
        """Nothing goes wrong any more: judge what must be well by now. Counted from the first call or a new life."""
        self.after_step(evidence)
        lives = evidence.boot, evidence.machine is not None
        if self._well_since_ns is None or lives != self._lives:
            self._well_since_ns, self._lives = evidence.now_ns, lives
        for rule, holds in TAIL_RULES:
            for why in holds(evidence, self.reading, evidence.now_ns - self._well_since_ns):
                self._tell(rule, why, evidence)

    def crashed(self, evidence: Evidence) -> None:
        """The daemon is about to be killed here; told before its machine is taken away."""
        self.after_step(evidence)
        self._sometimes.crashed(evidence, self.reading)

    def ended(self) -> None:
        """A life is over, however it ended: its latch, and what was not written yet, as the answer to it said."""
        self.reading.latched = frozenset()
        self._halts_given.clear()

    def halt_given(self, evidence: Evidence, scope: str) -> None:
        """Somebody pressed the kill switch and it has returned: nothing of this scope may leave from here on."""
        self.after_step(evidence)
        self._halts_given.append((evidence.now_ns, scope))

    def stopped(self, evidence: Evidence, took_ns: int, most_ns: int) -> None:
        """L6: Shutdown ends within the stop timeout."""
        if took_ns > most_ns:
            self._tell("L6", f"the stop took {took_ns} ns, at most {most_ns}", evidence)

    def started(self, evidence: Evidence, took_ns: int) -> None:
        """L6: Start to LIVE within 60 s; told where nothing went wrong meanwhile."""
        if took_ns > liveness.STARTS_WITHIN_NS:
            self._tell("L6", f"the start took {took_ns} ns, at most {liveness.STARTS_WITHIN_NS}", evidence)

    def exited(self, evidence: Evidence, why: str) -> None:
        """L7: No fault mix without a fatal fault makes the process exit. Told of an exit that nothing asked for."""
        self._tell("L7", f"the daemon ended by itself: {why}", evidence)

    def broken_chain(self, evidence: Evidence, why: str) -> None:
        """S26: The chain verifies from genesis, and its head is the anchored one. Told by whoever reads the file."""
        self._tell("S26", why, evidence)

    def not_kept(self, evidence: Evidence, why: str) -> None:
        """S30: Recovery ends in the state of a run without the crash. Told where a new life lacks facts."""
        self._tell("S30", why, evidence)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _read_facts(self, evidence: Evidence, durable_seq: int | None) -> None:
        committed = evidence.committed
        while self._facts_read < len(committed):
            numbered = committed[self._facts_read]
            if durable_seq is not None and numbered.seq > durable_seq:
                return
            self._facts_read += 1
            for rule, holds in FACT_RULES:
                if (why := holds(evidence, self.reading, numbered)) is not None:
                    self._tell(rule, why, evidence)
            self._sometimes.count(self.reading, numbered)
            self.reading.take(numbered, evidence.now_ns)

    def _judge_sent(self, evidence: Evidence, sent: Sent) -> None:
        for rule, holds in SENT_RULES:
            if (why := holds(evidence, self.reading, sent)) is not None:
                self._tell(rule, why, evidence)
        for asked in orders_asked(sent):
            name = asked.cl_ord_id or ""
            story = self.reading.orders.get(name)
            self.reading.adds.update([name, *([story.intent.intent_id] if story is not None else [])])

    def _note_latches(self, evidence: Evidence) -> None:
        """Which strategies on which symbols the latch shuts now; and L5: a stop takes effect locally in < 1 s."""
        machine, policy = evidence.machine, self.reading.policy
        if machine is None or policy is None:
            return
        pairs = [(symbol, trend.id) for trend in policy.trends for symbol in trend.symbols]
        self.reading.latched = frozenset(pair for pair in pairs if machine.latch.covers(*pair))
        waiting = []
        for at_ns, scope in self._halts_given:
            ours = [pair for pair in pairs if scope in scopes_over(*pair)]
            if self.reading.latched.issuperset(ours):
                continue
            if evidence.now_ns - at_ns > liveness.STOPS_WITHIN_NS:
                self._tell("L5", f"a halt of {scope} was given at {at_ns} and stops nothing yet", evidence)
            else:
                waiting.append((at_ns, scope))
                self.reading.latched |= frozenset(ours)  # whatever the latch says, it was promised
        self._halts_given = waiting

    def _tell(self, rule: str, why: str, evidence: Evidence) -> None:
        told = self._told.setdefault(rule, set())
        if why not in told and len(told) < TOLD_MAX:
            told.add(why)
            self.violations.append(Violation(rule, why, evidence.now_ns))
