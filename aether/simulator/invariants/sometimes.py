"""What must have happened sometimes, or success is empty: edges of the order table, and the meetings that hurt."""

from __future__ import annotations

from collections import Counter

from aether.core.orders import TRANSITIONS, OrderState
from aether.domain.facts import (
    DeadManFired,
    HoldBegan,
    IntentRefused,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    RunStarted,
    TradingHalted,
)
from aether.simulator.evidence import Evidence
from aether.simulator.invariants.reading import EVENT_OF, Reading

SNAPSHOT_FILLS = 50  # Kraken docs, WebSocket v2 executions: a snapshot carries so many trades

EDGES = tuple(f"edge {state.value} {event.value}" for state, moves in TRANSITIONS.items() for event in sorted(moves))

WANTED = (
    *("unknown resolved to filled", "unknown resolved to open", "unknown resolved to absent", "fill before ack"),
    *("crash between commit and send", "crash between send and ack", "crash inside recovery"),
    *("more than 50 fills missed", "dead man's switch fired", "late fill after the end", "recovered"),
)


class Sometimes:
    """Counts what the facts of one run show. Crashes are told by the world, which alone knows where they fell."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._caught_up: tuple[int, int] = (0, 0)  # of this input, so many fills came from the account's history

    def count(self, reading: Reading, numbered: Numbered) -> None:
        """One committed fact, before it is folded."""
        fact, seen = numbered.fact, self.seen
        match fact:
            case IntentRefused(code=code):
                seen[f"refused {code}"] += 1
            case TradingHalted(code=code):
                seen[f"halted {code}"] += 1
            case HoldBegan(cause=cause):
                seen[f"held {cause}"] += 1
            case DeadManFired():
                seen["dead man's switch fired"] += 1
            case RunStarted(run=run):
                seen["recovered"] += run > 1
            case OrderFilled(source=source):
                self._count_history(numbered.input_seq, source)
            case _:
                pass
        if type(fact) in EVENT_OF:
            self._count_move(reading, fact)

    def crashed(self, evidence: Evidence, reading: Reading) -> None:
        """The daemon was killed at this moment: what was under way?"""
        if evidence.machine is None or reading.run == 0:
            self.seen["crash inside recovery"] += 1
            return
        sent = {str(name) for name, count in reading.adds.items() if count}
        for name, story in reading.unsettled.items():
            if story.state is OrderState.IN_FLIGHT:
                self.seen[f"crash between {'send and ack' if name in sent else 'commit and send'}"] += 1

    def _count_move(self, reading: Reading, fact: object) -> None:
        story = reading.orders.get(str(getattr(fact, "cl_ord_id", None)))
        if story is None:
            return
        self.seen[f"edge {story.state.value} {EVENT_OF[type(fact)].value}"] += 1  # type: ignore[index]
        if story.state is OrderState.UNRESOLVED:
            match fact:
                case OrderFilled():
                    self.seen["unknown resolved to filled"] += 1
                case OrderOpened() | OrderAccepted():
                    self.seen["unknown resolved to open"] += 1
                case OrderAbsent() | OrderRefused():
                    self.seen["unknown resolved to absent"] += 1
                case _:
                    pass
        if isinstance(fact, OrderFilled):
            self.seen["fill before ack"] += not story.was_accepted and story.order_id is None
            self.seen["late fill after the end"] += story.state is OrderState.DONE

    def _count_history(self, input_seq: int, source: str) -> None:
        if source != "trades":
            return
        before = self._caught_up[1] if self._caught_up[0] == input_seq else 0
        self._caught_up = input_seq, before + 1
        self.seen["more than 50 fills missed"] += before == SNAPSHOT_FILLS
