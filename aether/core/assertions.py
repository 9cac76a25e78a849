"""The last look before an order is written, and at the books each minute: what must hold, reckoned a second time.

The checks of `risk` and the sizer have said yes when these are asked, by other sums. Where they find anything broken,
either is wrong, so nothing is sent and trading halts until people have looked.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aether.core.halts import ALL, flattens, reasons_against, reasons_against_exit
from aether.core.ledger import Ledger
from aether.core.policy import Policy
from aether.core.portfolio import USD
from aether.core.workbench import Workbench
from aether.domain.facts import OrderSubmitted
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NANOS_PER_S, ZERO

BOOKS_EVERY_NS = 60 * NANOS_PER_S


def allow(bench: Workbench, order: OrderSubmitted) -> bool:
    """Whether the order may be written. Halts everything where it breaks what must hold."""
    why = next(broken_by(bench.ledger, bench.policy, order, bench.now_ns), None)
    if why is not None:
        bench.halt(ALL, "halt_invariant", f"{order.intent_id} was not sent: {why}")
    return why is None


def broken_by(ledger: Ledger, policy: Policy, order: OrderSubmitted, at_ns: int) -> Iterator[str]:
    """All that an order which is about to be written would break. Empty for one that may be sent."""
    yield from _scope(ledger, order)
    yield from _rules(ledger, order)
    yield from _promises(ledger, policy, order)
    limits = policy.risk
    worth = order.limit_price.times(order.qty)
    if worth > limits.order_usd_max:
        yield f"it is worth {worth} USD, at most {limits.order_usd_max}"
    for seconds, most in ((60, limits.orders_per_minute_max), (86_400, limits.orders_per_day_max)):
        if ledger.sent_since(at_ns, seconds) >= most:
            yield f"{most} orders were sent in {seconds} s"
    age_ms = order.decision.quote.age_ms
    if not 0 <= age_ms <= limits.quote_age_ms_max:
        yield f"its quote is {age_ms} ms old, at most {limits.quote_age_ms_max}"


def _scope(ledger: Ledger, order: OrderSubmitted) -> Iterator[str]:
    is_exit = order.is_exit and flattens(ledger, order.symbol, order.strategy)
    against = reasons_against_exit if is_exit else reasons_against
    for _, why in against(ledger, order.symbol, order.strategy):
        yield why
    if ledger.is_stopping or ledger.has_ended:
        yield "the run is stopping"
    if order.cl_ord_id in ledger.own_ids.kept:
        yield f"{order.cl_ord_id} was used before"


def _rules(ledger: Ledger, order: OrderSubmitted) -> Iterator[str]:
    rules, qty, price = ledger.instruments[order.symbol], order.qty.coins, order.limit_price.usd_per_coin
    if not rules.status.may_submit:
        yield f"{order.symbol} is {rules.status}"
    if MONEY.remainder(qty, rules.lot) or MONEY.remainder(price, rules.tick):
        yield f"{qty} at {price} is off lot {rules.lot} or tick {rules.tick}"
    if qty < rules.qty_min.coins or MONEY.multiply(qty, price) < rules.cost_min.amount:
        yield f"{qty} at {price} is below the minimum"


def _promises(ledger: Ledger, policy: Policy, order: OrderSubmitted) -> Iterator[str]:
    if order.side is Side.BUY:
        promised = MONEY.add(ledger.reserved_usd.amount, order.reserved.amount)
        room = MONEY.subtract(ledger.portfolio.balance(USD), policy.risk.cash_floor_usd.amount)
        if order.reserved < order.limit_price.times(order.qty):
            yield f"it reserves {order.reserved} USD, less than it may cost"
    else:
        promised, room = order.qty.coins, ledger.portfolio.balance(order.symbol.removesuffix("/USD"))
        for other in ledger.unsettled.values():
            if other.symbol == order.symbol and other.side is Side.SELL:
                promised = MONEY.add(promised, other.outstanding.coins)
    if promised > room:
        yield f"{promised} would be promised, {room} is there"


def watch(bench: Workbench) -> None:
    """Look at the books each minute. Halts everything where they contradict themselves."""
    if bench.now_ns - bench.asserted_ns < BOOKS_EVERY_NS:
        return
    bench.asserted_ns = bench.now_ns
    if (why := next(broken_books(bench.ledger), None)) is not None:
        bench.halt(ALL, "halt_invariant", why)


def broken_books(ledger: Ledger) -> Iterator[str]:
    """All in which a ledger contradicts itself: an order filled beyond its size, an amount that is none."""
    for order in ledger.unsettled.values():
        if order.filled > max(order.qty, order.qty_most) and not _is_told(ledger, order.symbol):
            yield f"{order.cl_ord_id} filled {order.filled} of {order.qty}"
        if order.reserved_usd.amount < ZERO:
            yield f"{order.cl_ord_id} reserves {order.reserved_usd}"
    for asset, amount in ledger.portfolio.balances.items():
        if type(amount) is not Decimal or not amount.is_finite():
            yield f"{asset} is {amount}"
    for (_, symbol), position in ledger.portfolio.positions.items():
        if not (position.coins.is_finite() and position.cost.amount.is_finite()):
            yield f"the position in {symbol} is {position.coins}"


def _is_told(ledger: Ledger, symbol: str) -> bool:
    """The venue broke its contract, and a halt of its own says so."""
    return (f"symbol:{symbol}", "halt_contract_broken") in ledger.halts
