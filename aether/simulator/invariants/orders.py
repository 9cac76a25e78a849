"""S1 to S14: what may leave the daemon, and what may be believed of an order.

Each predicate takes the evidence, the reading of all before, and the request or fact in question; it answers why the
property does not hold, or None. S4 (where a private request may go) is a matter of settings and has its own tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from aether.core.orders import TRANSITIONS, OrderState
from aether.domain.facts import (
    ExternalOrderSeen,
    Numbered,
    OrderAbsent,
    OrderEnded,
    OrderFilled,
    OrderRefused,
    OrderSubmitted,
    TradingHalted,
    TradingResumed,
)
from aether.domain.instruments import Instrument, Side
from aether.domain.orders import VenueStatus
from aether.domain.values import MONEY, NANOS_PER_MS, NANOS_PER_S, ZERO
from aether.sim.records import Order
from aether.simulator.evidence import Evidence, Sent
from aether.simulator.invariants.reading import EVENT_OF, OrderStory, Reading, scopes_over
from aether.simulator.invariants.wire_words import (
    AMENDS,
    CANCELS,
    CANCELS_OF_ALL,
    DEAD_MAN,
    NEVER_SENT,
    Asked,
    ids_named,
    orders_asked,
    timeout_asked,
)

DEADLINE_NS_MAX = 60 * NANOS_PER_S
_ROUNDING = Decimal("1e-30")  # of shares of a reservation, which both sides divide
_FOUR_VIEWS = {"executions", "open", "closed", "trades"}

# --- what left the daemon ---------------------------------------------------------------------------------------------


def sent_once(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S1: For each intent, the number of AddOrder requests in W is at most 1."""
    named = [asked.cl_ord_id or "" for asked in orders_asked(sent)]
    for name in named:
        if reading.adds[name] or named.count(name) > 1:
            return f"{name} was sent more than once"
        story = reading.orders.get(name)
        if story is not None and reading.adds[story.intent.intent_id]:
            return f"intent {story.intent.intent_id} was sent a second time, as {name}"
    return None


def written_first(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S2: Every AddOrder in W has an intent row in J that was durable before its first byte left."""
    for asked in orders_asked(sent):
        story = reading.orders.get(asked.cl_ord_id or "")
        if story is None:
            return f"{asked.cl_ord_id} left and no committed fact asks for it"
        if story.seq > sent.durable_seq:
            return f"{asked.cl_ord_id} left when only fact {sent.durable_seq} was durable, its own is {story.seq}"
    return None


def named_and_limited_in_time(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S3: Every AddOrder in W carries cl_ord_id and a deadline <= now + 60 s in exchange time."""
    for asked in orders_asked(sent):
        if not asked.cl_ord_id:
            return "an order left without a client order id"
        if asked.deadline_ns is None:
            return f"{asked.cl_ord_id} left without a deadline"
        if asked.deadline_ns > sent.at_ns + DEADLINE_NS_MAX:
            return f"{asked.cl_ord_id} has a deadline {asked.deadline_ns - sent.at_ns} ns away"
        story = reading.orders.get(asked.cl_ord_id)
        if story is not None and asked.deadline_ns > story.intent.deadline_ns:
            return f"{asked.cl_ord_id} has a later deadline than its intent"
    return None


def spot_and_by_the_rules(evidence: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S5: Every AddOrder in W is spot, quoted in USD, in the tradable set, without leverage.

    Its pair's status allowed it, and its sizes are on lot, tick and minimum, as of the instrument version named in the
    intent.
    """
    if sent.method in NEVER_SENT:
        return f"{sent.method} was sent"
    for asked in orders_asked(sent):
        symbol = asked.symbol or ""
        if not symbol.endswith("/USD") or symbol not in evidence.exchange.pairs:
            return f"{asked.cl_ord_id} is for {symbol}"
        if asked.others:
            return f"{asked.cl_ord_id} says {', '.join(asked.others)}"
        story = reading.orders.get(asked.cl_ord_id or "")
        rules = reading.instruments.get((symbol, story.intent.decision.instrument_version)) if story else None
        if story is not None and rules is None:
            return f"{asked.cl_ord_id} names an instrument version that was never adopted"
        if rules is not None and (why := _off_the_rules(asked, rules)):
            return f"{asked.cl_ord_id}: {why}"
    return None


def _off_the_rules(asked: Asked, rules: Instrument) -> str | None:
    qty, price = asked.qty, asked.limit_price
    if not rules.status.may_submit:
        return f"the pair was {rules.status}"
    if qty is None or price is None:
        return "it has no quantity or no limit"
    if MONEY.remainder(qty, rules.lot) or MONEY.remainder(price, rules.tick):
        return f"{qty} at {price} is off lot {rules.lot} or tick {rules.tick}"
    if qty < rules.qty_min.coins or MONEY.multiply(qty, price) < rules.cost_min.amount:
        return f"{qty} at {price} is below the minimum"
    return None


def as_approved(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S6: Orders in W are intents approved by the pre-trade gate, by pair, side and size."""
    for asked in orders_asked(sent):
        story = reading.orders.get(asked.cl_ord_id or "")
        if story is None:
            return f"{asked.cl_ord_id} was never approved"
        intent = story.intent
        wanted = (str(intent.symbol), intent.side.value, intent.qty.coins, intent.limit_price.usd_per_coin)
        if (asked.symbol, asked.side, asked.qty, asked.limit_price) != wanted:
            return f"{asked.cl_ord_id} left as {asked}, approved was {wanted}"
    return None


def not_while_halted(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S12: No AddOrder leaves while stopped: while a halt of its scope is durable."""
    for asked in orders_asked(sent):
        story = reading.orders.get(asked.cl_ord_id or "")
        strategy = story.intent.strategy if story else ""
        if story is not None and reading.is_sold_by_people(story.intent):
            continue
        for scope, code in reading.halts:
            if scope in scopes_over(asked.symbol or "", strategy):
                return f"{asked.cl_ord_id} left while {scope} was halted ({code})"
    return None


def not_armed_before_the_account_is_known(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S12: While reconciling after a start, no AddOrder leaves, nor is the dead man's switch armed."""
    if sent.method in DEAD_MAN and timeout_asked(sent) and ("starting", "all") in reading.holds:
        return "the dead man's switch was armed before the account was compared in this run"
    return None


def only_ours_are_touched(evidence: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S13: An order that is not ours is never cancelled or amended.

    The dead man's switch may cancel it: armed only where the account is ours alone, and never before the account was
    compared in this run.
    """
    if sent.method in CANCELS_OF_ALL:
        return f"{sent.method} cancels the orders of others too"
    if sent.method in DEAD_MAN and timeout_asked(sent):
        if reading.policy is not None and not reading.policy.orders.dead_man_s:
            return f"{sent.method} arms a switch that the settings leave alone"
        if ("starting", "all") in reading.holds:
            return f"{sent.method} arms the switch before the account was compared"
    if sent.method not in CANCELS | AMENDS:
        return None
    for name in ids_named(sent):
        order = evidence.exchange.find_order(evidence.account, order_id=name)
        ours = name if order is None else order.cl_ord_id
        if ours not in reading.orders:
            return f"{sent.method} names {name}, which is not ours"
    return None


def not_after_the_kill_switch(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S14: After the kill switch returns, no AddOrder byte leaves, whatever is queued."""
    for asked in orders_asked(sent):
        story = reading.orders.get(asked.cl_ord_id or "")
        if story is None or reading.is_sold_by_people(story.intent):
            continue
        if (str(story.intent.symbol), story.intent.strategy) in reading.latched:
            return f"{asked.cl_ord_id} left behind the latch"
    return None


def of_the_present_epoch(_: Evidence, reading: Reading, sent: Sent) -> str | None:
    """S32: A stale epoch's intents are never sent."""
    for asked in orders_asked(sent):
        story = reading.orders.get(asked.cl_ord_id or "")
        if story is not None and story.run != reading.run:
            return f"{asked.cl_ord_id} is of run {story.run}, the present one is {reading.run}"
    return None


# --- what the journal says --------------------------------------------------------------------------------------------


def a_name_is_new(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S3: cl_ord_id is never reused, over the whole life of the database."""
    fact = numbered.fact
    if isinstance(fact, OrderSubmitted) and fact.cl_ord_id in reading.orders:
        return f"{fact.cl_ord_id} was used before, by fact {reading.orders[fact.cl_ord_id].seq}"
    return None


def promises_are_covered(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S7: Reserved cash is at most balance(USD) - floor, reserved base at most the holding; UNKNOWN counts at worst."""
    fact = numbered.fact
    if not isinstance(fact, OrderSubmitted) or reading.policy is None:
        return None
    if fact.side is Side.SELL:
        base = fact.symbol.partition("/")[0]
        promised = MONEY.add(reading.promised(fact.symbol, Side.SELL), fact.qty.coins)
        has = reading.balances.get(base, ZERO)
        return f"{promised} {base} are promised, {has} there" if promised > has else None
    reserved = MONEY.add(reading.reserved_usd, fact.reserved.amount)
    room = MONEY.subtract(reading.balances.get("USD", ZERO), reading.policy.risk.cash_floor_usd.amount)
    if fact.reserved.amount < fact.limit_price.times(fact.qty).amount:
        return f"{fact.cl_ord_id} reserves {fact.reserved}, less than it may cost"
    return f"{reserved} USD are reserved, {room} there above the floor" if reserved > room else None


def nothing_is_free_twice(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S7: What an order counts on is promised to no other: its cash, and its coins among those of its strategy."""
    fact = numbered.fact
    if not isinstance(fact, OrderSubmitted):
        return None
    free = MONEY.subtract(reading.balances.get("USD", ZERO), reading.reserved_usd)
    if MONEY.subtract(fact.decision.cash_free.amount, free) > _ROUNDING:
        return f"{fact.cl_ord_id} was decided on {fact.decision.cash_free} USD of free cash, {free} are free"
    if fact.side is Side.BUY:
        return None
    holds = reading.positions.get((fact.strategy, str(fact.symbol)), ZERO)
    promised = MONEY.add(reading.promised(fact.symbol, Side.SELL, fact.strategy), fact.qty.coins)
    return f"{promised} {fact.symbol} of {fact.strategy} are promised, it holds {holds}" if promised > holds else None


def never_stopped_by_itself(_: Evidence, __: Reading, numbered: Numbered) -> str | None:
    """S7: What the daemon itself asserts before each order, and of its books each minute, never had to stop it."""
    fact = numbered.fact
    return fact.reason if isinstance(fact, TradingHalted) and fact.code == "halt_invariant" else None


def within_the_limits(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S8: Exposure, order value, message rate, daily loss: never above the limit in force when the intent was written.

    Exposure is that of the order's own symbol, which its own quote prices.
    """
    fact, policy = numbered.fact, reading.policy
    if not isinstance(fact, OrderSubmitted) or policy is None:
        return None
    limits, worth = policy.risk, fact.limit_price.times(fact.qty).amount
    if worth > limits.order_usd_max.amount:
        return f"{fact.cl_ord_id} is worth {worth}, at most {limits.order_usd_max}"
    for seconds, most in ((60, limits.orders_per_minute_max), (86_400, limits.orders_per_day_max)):
        if (count := reading.submitted_since(numbered.at_ns, seconds) + 1) > most:
            return f"{count} orders in {seconds} s, at most {most}"
    if fact.side is Side.SELL:
        return None
    return _over_a_share(fact, reading, worth)


def _over_a_share(fact: OrderSubmitted, reading: Reading, worth: Decimal) -> str | None:
    assert reading.policy is not None
    limits, equity, mark = reading.policy.risk, fact.decision.equity, reading.mark
    if worth > equity.bps(limits.order_nav_bps_max).amount:
        return f"{fact.cl_ord_id} is worth {worth}, too large a share of {equity}"
    quote = fact.decision.quote
    middle = MONEY.divide(MONEY.add(quote.bid.usd_per_coin, quote.ask.usd_per_coin), 2)
    held = MONEY.multiply(max(ZERO, reading.balances.get(fact.symbol.partition("/")[0], ZERO)), middle)
    for story in reading.unsettled.values():
        if story.intent.symbol == fact.symbol and story.intent.side is Side.BUY:
            held = MONEY.add(held, MONEY.multiply(story.outstanding, story.limit_usd))
    most = equity.bps(limits.exposure_symbol_bps_max).amount
    if MONEY.add(held, worth) > most:
        return f"{fact.cl_ord_id} takes {fact.symbol} to {MONEY.add(held, worth)} USD, at most {most}"
    if mark is not None and mark.day_start - equity >= mark.day_start.bps(limits.daily_loss_bps_max):
        return f"{fact.cl_ord_id} was bought when the day had lost {mark.day_start - equity}"
    return None


def a_second_daemon_stops_this_one(evidence: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S32: At most one process trades an account: whoever has heard of another's order stops until people resume."""
    if not isinstance(numbered.fact, OrderSubmitted):
        return None
    mark = numbered.fact.cl_ord_id[: len("ae") + 4]  # the program's, and the journal's tag
    for seen in reading.external.values():
        name = seen.cl_ord_id or ""
        if not name.startswith(mark) or name in reading.orders:
            continue
        if _is_unanswered(seen, evidence.committed[: numbered.seq - 1]):
            return f"{numbered.fact.cl_ord_id} was submitted although {name} shows that another daemon trades here"
    return None


def _is_unanswered(seen: ExternalOrderSeen, facts: Sequence[Numbered]) -> bool:
    """No halt for another daemon stood when this was seen, and none has come since."""
    is_halted = is_unanswered = False
    for numbered in facts:
        match numbered.fact:
            case TradingHalted(code="halt_foreign_order"):
                is_halted, is_unanswered = True, False
            case TradingResumed(scope="all"):
                is_halted = False
            case fact if fact == seen:
                is_unanswered = not is_halted
    return is_unanswered


def along_the_table(evidence: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S9: Order status moves only along the table's edges; cum_qty never decreases and never exceeds order_qty."""
    fact = numbered.fact
    if type(fact) not in EVENT_OF or (isinstance(fact, OrderFilled) and fact.cl_ord_id is None):
        return None
    name = str(getattr(fact, "cl_ord_id", None))
    story = reading.orders.get(name)
    if story is None:
        return f"{type(fact).__name__} of {name}, which was never submitted"
    event = EVENT_OF[type(fact)]
    if event not in TRANSITIONS[story.state]:
        return f"{name}: {event} while {story.state}"
    if isinstance(fact, OrderFilled) and (filled := MONEY.add(story.filled, fact.qty.coins)) > max(
        story.qty, story.qty_most
    ):
        # Somebody may have made the order larger, and its fill be heard before that is: true, and the daemon halts.
        truth = evidence.exchange.find_order(evidence.account, cl_ord_id=name)
        if truth is None or filled > truth.qty:
            return f"{name}: filled {filled} of {story.qty}"
    if isinstance(fact, OrderEnded) and fact.cum_qty is not None and fact.cum_qty.coins < story.filled:
        return f"{name}: ended with {fact.cum_qty}, {story.filled} are booked"
    return None


def an_end_is_true(evidence: Evidence, _: Reading, numbered: Numbered) -> str | None:
    """S10: No order leaves tracking without exchange evidence of a terminal state, or proven absence."""
    fact = numbered.fact
    if not isinstance(fact, OrderEnded | OrderRefused | OrderAbsent):
        return None
    truth = evidence.exchange.find_order(evidence.account, cl_ord_id=fact.cl_ord_id)
    if not isinstance(fact, OrderEnded):
        return f"{fact.cl_ord_id} lives as {truth.order_id}" if truth is not None else None
    if truth is None:
        return f"{fact.cl_ord_id} ended ({fact.status}) and never was at the exchange"
    return f"{fact.cl_ord_id} ended ({fact.status}) and is {truth.status}" if truth.is_open else None


def absence_is_proven(evidence: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S11: UNKNOWN -> NOT_PLACED only when now > deadline + view lag + clock error and all four views lack it."""
    fact = numbered.fact
    if not isinstance(fact, OrderAbsent) or reading.policy is None:
        return None
    story, policy = reading.orders.get(fact.cl_ord_id), reading.policy.orders
    if not set(fact.views) >= _FOUR_VIEWS:
        return f"{fact.cl_ord_id} is absent from {', '.join(fact.views)} alone"
    if story is None or story.state is not OrderState.UNRESOLVED:
        return f"{fact.cl_ord_id} is absent and was not unresolved"
    known_ns = story.intent.deadline_ns + policy.view_lag_s * NANOS_PER_S + policy.clock_error_ms * NANOS_PER_MS
    return (
        f"{fact.cl_ord_id} is absent {known_ns - evidence.now_ns} ns too early" if evidence.now_ns <= known_ns else None
    )


def not_while_held(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S12: No order is decided while anything holds its scope back.

    Stopped, reconciling, book STALE, INVALID or CROSSED, executions stream not live, clock error too large, disk gate
    closed, DRIFT open.
    """
    fact = numbered.fact
    if not isinstance(fact, OrderSubmitted):
        return None
    if against := reading.against(fact):
        return f"{fact.cl_ord_id} was submitted against {', '.join(against)}"
    quote = fact.decision.quote
    if quote.bid >= quote.ask:
        return f"{fact.cl_ord_id} was priced from a crossed book, {quote.bid} to {quote.ask}"
    return None


# --- all orders at once -----------------------------------------------------------------------------------------------


def what_never_lived_does_not_live(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S10: An order believed never to have lived is at the exchange in no form, however much later one looks."""
    for name, story in reading.orders.items():
        if story.state is OrderState.NEVER_LIVED:
            truth = evidence.exchange.find_order(evidence.account, cl_ord_id=name)
            if truth is not None:
                yield f"{name} never lived by the journal and is {truth.status} at the exchange"


def every_order_was_meant(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S6: An order at the exchange that bears a name of ours is in the journal, as it was approved."""
    for order in (*evidence.exchange.open_orders(evidence.account), *evidence.exchange.closed_orders(evidence.account)):
        story = reading.orders.get(order.cl_ord_id or "")
        if story is not None and (why := _differs(order, story)):
            yield why


def _differs(order: Order, story: OrderStory) -> str | None:
    if order.is_amended:
        return None  # by people, or by an amend whose own fact says to what
    if (order.pair, order.side, order.qty) != (story.intent.symbol, story.intent.side.value, story.qty):
        return f"{order.cl_ord_id} is {order.side} {order.qty} {order.pair} at the exchange, meant was {story.intent}"
    is_filled = story.state is OrderState.DONE and story.told is not None and order.status == VenueStatus.FILLED.value
    return (
        f"{order.cl_ord_id} is filled and told as {story.told}" if is_filled and story.told != order.cum_qty else None
    )


SENT_RULES = (
    ("S1", sent_once),
    ("S2", written_first),
    ("S3", named_and_limited_in_time),
    ("S5", spot_and_by_the_rules),
    ("S6", as_approved),
    ("S12", not_while_halted),
    ("S12", not_armed_before_the_account_is_known),
    ("S13", only_ours_are_touched),
    ("S14", not_after_the_kill_switch),
    ("S32", of_the_present_epoch),
)
FACT_RULES = (
    ("S3", a_name_is_new),
    ("S7", promises_are_covered),
    ("S7", nothing_is_free_twice),
    ("S7", never_stopped_by_itself),
    ("S8", within_the_limits),
    ("S9", along_the_table),
    ("S10", an_end_is_true),
    ("S11", absence_is_proven),
    ("S12", not_while_held),
    ("S32", a_second_daemon_stops_this_one),
)
WHOLE_RULES = (("S6", every_order_was_meant), ("S10", what_never_lived_does_not_live))
