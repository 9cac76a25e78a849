"""L1 to L4: what must be well again so long after the last fault.

Times are since everything outside was well and the present life of the daemon began; while it is down, since it died.

L5 to L7 (a stop acts at once, starts and stops are short, no exit without a cause) are told to the judge as they come.
"""

from __future__ import annotations

from collections.abc import Iterator

from aether.core.orders import OrderState
from aether.domain.facts import Numbered, TradingHalted
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, ZERO
from aether.simulator.evidence import Evidence
from aether.simulator.invariants.money import unheard
from aether.simulator.invariants.reading import Reading

LIVE_WITHIN_NS = 30 * NANOS_PER_S
AGREES_WITHIN_NS = 90 * NANOS_PER_S
TRADES_WITHIN_NS = 120 * NANOS_PER_S
# Of a service that has died five times in five minutes the manager waits for a person, who is there after these.
STARTS_AGAIN_WITHIN_NS = 360 * NANOS_PER_S
CANCELS_END_WITHIN_NS = 60 * NANOS_PER_S
STOPS_WITHIN_NS = NANOS_PER_S
STARTS_WITHIN_NS = 60 * NANOS_PER_S
# Causes of a hold that tell why a book is not live; what is wrong with the account or the disk does not.
_OF_THE_FEED = frozenset({"feed", "starting", "system_status", "stopping"})


def is_live_or_says_why(evidence: Evidence, reading: Reading, well_ns: int) -> Iterator[str]:
    """L1: Within 30 s all subscriptions are LIVE or the reason is shown."""
    if evidence.machine is None or well_ns < LIVE_WITHIN_NS:
        return
    for symbol, picture in evidence.machine.engine.market.pictures.items():
        shown = [cause for cause, scope in reading.holds if scope in ("all", f"symbol:{symbol}")]
        if not picture.is_live and not _OF_THE_FEED.intersection(shown):
            yield f"{symbol} is not live {well_ns // NANOS_PER_S} s after the last fault, and nothing says why"


def agrees_with_the_exchange(evidence: Evidence, reading: Reading, well_ns: int) -> Iterator[str]:
    """L2: Within 90 s + deadline no order is UNKNOWN, J agrees with X, reservations equal open orders."""
    policy = reading.policy
    if policy is None or well_ns < AGREES_WITHIN_NS + policy.orders.deadline_ms * NANOS_PER_MS:
        return
    young_ns = evidence.now_ns - AGREES_WITHIN_NS
    for name, story in reading.unsettled.items():
        if story.state is OrderState.UNRESOLVED and story.intent.deadline_ns < young_ns:
            yield f"{name} is still unresolved"
    for entry in unheard(evidence, reading):
        if entry.at_ns < young_ns:
            yield f"{entry.type} {entry.ref_id} of {entry.amount} {entry.asset} is not in the journal"
    yield from _open_orders(evidence, reading, young_ns)


def _open_orders(evidence: Evidence, reading: Reading, young_ns: int) -> Iterator[str]:
    theirs = {order.cl_ord_id: order for order in evidence.exchange.open_orders(evidence.account)}
    for name, order in theirs.items():
        if name in reading.orders and reading.orders[name].outstanding == ZERO and order.opened_ns < young_ns:
            yield f"{name} rests at the exchange and counts for nothing"
    for name, story in reading.unsettled.items():
        if story.state is OrderState.OPEN and name not in theirs and story.intent.deadline_ns < young_ns:
            closed = evidence.exchange.find_order(evidence.account, cl_ord_id=name)
            if closed is None or (closed.closed_ns or 0) < young_ns:
                yield f"{name} counts as open and is not"


def trades_again(evidence: Evidence, reading: Reading, well_ns: int) -> Iterator[str]:
    """L3: Within 120 s trading resumes without a human, unless a rule demands one; then exactly one alert says so."""
    if evidence.machine is None:
        if well_ns > STARTS_AGAIN_WITHIN_NS:
            yield "the daemon is down"
        return
    if well_ns < TRADES_WITHIN_NS or reading.stopping:
        return
    halted = {scope for scope, _ in reading.halts}  # until a person has looked, and told so once: see `alerts_once`
    for cause, scope in reading.holds:
        # A want of funds ends with the look that explains it.
        if cause != "refused" and not halted.intersection(("all", scope)):
            yield f"{scope} is still on hold ({cause}: {reading.holds[cause, scope].why})"


def cancels_end(evidence: Evidence, reading: Reading, well_ns: int) -> Iterator[str]:
    """L4: Every cancel intent ends within 60 s of the exchange accepting cancels."""
    if well_ns < CANCELS_END_WITHIN_NS:
        return
    for name, story in reading.unsettled.items():
        if story.cancel_ns is None or story.state is not OrderState.OPEN:
            continue
        truth = evidence.exchange.find_order(evidence.account, cl_ord_id=name)
        if truth is not None and truth.is_open and evidence.now_ns - story.cancel_ns > CANCELS_END_WITHIN_NS:
            yield f"{name} was to be cancelled {(evidence.now_ns - story.cancel_ns) // NANOS_PER_S} s ago and rests"


def alerts_once(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """L3: Where a rule demands a human, exactly one alert says so."""
    fact = numbered.fact
    if isinstance(fact, TradingHalted) and (fact.scope, fact.code) in reading.halts:
        return f"{fact.scope} was halted for {fact.code} twice"
    return None


FACT_RULES = (("L3", alerts_once),)
TAIL_RULES = (
    ("L1", is_live_or_says_why),
    ("L2", agrees_with_the_exchange),
    ("L3", trades_again),
    ("L4", cancels_end),
)
