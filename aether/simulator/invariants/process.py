"""S25, S30 to S35: people's acts, runs, restarts and bounds. S26 needs the file itself: see the judge's `chain`.

S27 to S29 (approvals, logins, secrets) belong to the rooms of people and are claimed there.
"""

from __future__ import annotations

from collections.abc import Iterator

from aether.core.ledger import SETTLED_ORDERS_KEPT
from aether.core.orders import OrderState
from aether.domain.facts import (
    DifferenceAccepted,
    Numbered,
    RunEnded,
    RunStarted,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import Halt, Resume
from aether.simulator.evidence import Evidence
from aether.simulator.invariants.reading import Reading

INBOX_MAX = 20_000
IN_HAND_MAX = 1_000
UNSETTLED_MAX = 1_000


def people_are_named_first(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S25: Each state change made by a person has an audit row of that person before it, of the same input."""
    fact, given = numbered.fact, reading.command
    match fact:
        case TradingResumed(scope=scope, actor=actor):
            wanted: type | None = Resume
        case TradingHalted(scope=scope, actor=actor, code="halt_operator"):
            wanted = Halt
        case DifferenceAccepted(actor=actor):
            scope, wanted = "", Resume
        case _:
            return None
    if given is None or given[0] != numbered.input_seq or not isinstance(given[1].command, wanted or object):
        return f"fact {numbered.seq} ({type(fact).__name__}) follows no command"
    if given[1].actor != actor or (scope and getattr(given[1].command, "scope", scope) != scope):
        return f"fact {numbered.seq} is of {actor.subject}, the command before it of {given[1].actor.subject}"
    return None


def rows_follow(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S30: Nothing that was acknowledged is lost or rewritten: each fact follows the one before it."""
    if numbered.seq != reading.last_seq + 1:
        return f"fact {numbered.seq} was committed after fact {reading.last_seq}"
    return None


def one_run_at_a_time(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S32: At most one process trades an account: each run is one more than the last, and facts are of the present."""
    fact = numbered.fact
    if isinstance(fact, RunStarted):
        return None if fact.run == reading.run + 1 else f"run {fact.run} began after run {reading.run}"
    return None if numbered.run == reading.run else f"fact {numbered.seq} is of run {numbered.run}, not {reading.run}"


def clean_means_clean(evidence: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S33: Exit codes and markers tell the truth: "clean" only if nothing was in flight."""
    fact = numbered.fact
    if not isinstance(fact, RunEnded) or not fact.clean:
        return None
    if reading.unsettled:
        return f"run {numbered.run} ended clean with {', '.join(reading.unsettled)} unsettled"
    open_orders = evidence.exchange.open_orders(evidence.account)
    ours = [order.order_id for order in open_orders if order.cl_ord_id in reading.orders]
    return f"run {numbered.run} ended clean and {', '.join(ours)} rest at the exchange" if ours else None


def within_bounds(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S35: Memory, queue lengths and caches are below fixed bounds at every simulated hour."""
    if evidence.machine is None:
        return
    ledger = evidence.machine.engine.ledger
    counts = (
        ("inputs wait", evidence.machine.inbox.live, INBOX_MAX),
        ("orders are unsettled", len(ledger.unsettled), UNSETTLED_MAX),
        ("orders are kept", len(ledger.orders) - len(ledger.unsettled), SETTLED_ORDERS_KEPT),
        ("fills are kept", len(ledger.fills), ledger.fills.maxlen or 0),
        ("refusals are kept", len(ledger.recent_refusals), ledger.recent_refusals.maxlen or 0),
    )
    for what, count, most in counts:
        if count > most:
            yield f"{count} {what}, at most {most}"
    idle = [name for name, story in reading.unsettled.items() if story.state is OrderState.IN_FLIGHT]
    if len(idle) > IN_HAND_MAX:
        yield f"{len(idle)} orders are in flight, at most {IN_HAND_MAX}"


FACT_RULES = (
    ("S25", people_are_named_first),
    ("S30", rows_follow),
    ("S32", one_run_at_a_time),
    ("S33", clean_means_clean),
)
WHOLE_RULES = (("S35", within_bounds),)
