"""Selling what the strategies of a scope hold, because a person wants it: in order, inside the collar, and no more.

The scope is halted first, so nothing is bought meanwhile; what rests there is cancelled, and only when no order of a
holding may still execute is the holding sold, with one order at a time. Coins of others, and what is below the venue's
minimum, are left alone and named. A hold or a difference stops these sales as any others.
"""

from __future__ import annotations

from aether.core.deciding import submit, view_of
from aether.core.halts import covering_scopes, may_overlap, reasons_against_exit
from aether.core.intents import OrderIntent
from aether.core.market import SymbolPicture, Volatility, middle_of
from aether.core.portfolio import EXTERNAL, Position
from aether.core.risk import EXIT_CHECKS
from aether.core.sizing import RefusedIntent, size_order
from aether.core.valuation import holding_free, value
from aether.core.workbench import Workbench
from aether.domain.actors import Actor
from aether.domain.facts import EXIT_MARK, FlattenBegan, FlattenEnded, HoldingLeft, TradingHalted
from aether.domain.instruments import Side
from aether.domain.values import MONEY, NANOS_PER_S, NO_QTY, NO_USD, Bps, Price, Qty

FRUITLESS_MAX = 5  # sales in a row that filled nothing: each goes further into the book than the one before
SPACING_NS = 5 * NANOS_PER_S
FLATTEN_NS_MAX = 15 * 60 * NANOS_PER_S  # a hold that lasts longer is for people to look at
_UNMEASURED = Volatility(Bps(0), 100)  # nothing of a sale depends on it


def begin(bench: Workbench, scope: str, reason: str, actor: Actor) -> None:
    """A person wants what this scope holds to be sold. Asked for again while it goes on, it changes nothing."""
    if (scope, "halt_flatten") not in bench.ledger.halts:
        bench.emit(TradingHalted(scope, "halt_flatten", reason, actor))
    if scope not in bench.ledger.flattening:
        bench.emit(FlattenBegan(scope, reason, actor))
    bench.cancel_in_scope(scope, reason)


def stop(bench: Workbench, scope: str, why: str) -> None:
    """A person halted or resumed: nothing more is sold where that scope and this may meet."""
    for flattened in tuple(bench.ledger.flattening):
        if may_overlap(flattened, scope):
            _end(bench, flattened, why)


def tend(bench: Workbench) -> None:
    """Go on with each sale: the next order of each holding, or the end."""
    if bench.ledger.is_stopping or bench.ledger.mark is None:
        return  # a later run goes on
    for scope, (_, began_ns) in tuple(bench.ledger.flattening.items()):
        if bench.now_ns - began_ns > FLATTEN_NS_MAX:
            _end(bench, scope, f"not over after {FLATTEN_NS_MAX // NANOS_PER_S} s")
            continue
        is_over = not _lives(bench, scope)
        for position in _holdings(bench, scope):
            if _given_up(bench, position, began_ns) is None:
                is_over = False
                _sell(bench, position, began_ns)
        if is_over:
            _end(bench, scope, "all that can be sold is sold")


def _lives(bench: Workbench, scope: str) -> bool:
    """Some order of the scope may still execute, as far as we can prove."""
    unsettled = bench.ledger.unsettled.values()
    return any(scope in covering_scopes(order.symbol, order.submitted.strategy) for order in unsettled)


def _holdings(bench: Workbench, scope: str) -> list[Position]:
    positions = bench.ledger.portfolio.positions.values()
    return [
        position
        for position in positions
        if position.strategy != EXTERNAL
        and position.qty
        and scope in covering_scopes(position.symbol, position.strategy)
    ]


def _given_up(bench: Workbench, position: Position, began_ns: int) -> str | None:
    """Why nothing more of a holding is sold; None while something may be."""
    instrument = bench.ledger.instruments.get(position.symbol)
    picture = bench.market.pictures.get(position.symbol)
    if picture is None:
        return "its market is not among ours any more"
    if instrument is not None and picture.bid is not None:
        coins, usd = instrument.shortfall(instrument.qty_down(position.qty), picture.bid)
        if coins or usd.amount:
            return f"dust: below ordermin {instrument.qty_min} or costmin {instrument.cost_min}"
    fruitless = _fruitless(bench, position, began_ns)
    return f"{fruitless} sales in a row filled nothing" if fruitless >= FRUITLESS_MAX else None


def _fruitless(bench: Workbench, position: Position, began_ns: int) -> int:
    """How many of the newest sales of a holding filled nothing; the ledger tells it after a restart too."""
    count = 0
    for order in bench.ledger.asked_since(began_ns):
        asked = order.submitted
        if not asked.is_exit or (asked.strategy, asked.symbol) != (position.strategy, position.symbol):
            continue
        if order.filled:
            break
        count += order.is_settled
    return count


def _sell(bench: Workbench, position: Position, began_ns: int) -> None:
    ledger, strategy, symbol = bench.ledger, position.strategy, position.symbol
    picture = bench.market.pictures[symbol]
    last_ns = ledger.last_sent_ns.get((strategy, symbol), 0)
    is_soon = 0 <= bench.now_ns - last_ns < SPACING_NS
    if ledger.working(strategy, symbol) is not None or is_soon or symbol not in ledger.instruments:
        return
    if not picture.is_live or picture.bid is None or picture.ask is None:
        return
    against = tuple(reasons_against_exit(ledger, symbol, strategy))
    qty = holding_free(ledger, strategy, symbol)
    if against or qty == NO_QTY:
        return
    limit_price = _limit_price(bench, picture, _fruitless(bench, position, began_ns))
    wanted = limit_price.times(qty)
    intent = OrderIntent(strategy, symbol, Side.SELL, limit_price, wanted, qty, Bps(0), passive=False)
    valuation = value(ledger, bench.market)
    equity = valuation.equity if valuation is not None else NO_USD
    view = view_of(bench, intent, _UNMEASURED, equity=equity, against=against)
    sized = size_order(intent, view, EXIT_CHECKS)
    if not isinstance(sized, RefusedIntent):  # else what stands against it now may be gone with the next tick
        submit(bench, f"{EXIT_MARK}{ledger.run}-{ledger.next_seq}", sized)


def _limit_price(bench: Workbench, picture: SymbolPicture, fruitless: int) -> Price:
    """The best bid, and with each fruitless sale a step further down, to the collar's edge at the last one."""
    assert picture.bid is not None and picture.ask is not None  # noqa: PT018 - just seen
    references = [middle_of(picture.bid, picture.ask), picture.fresh_trade(bench.now_ns) or picture.last_close]
    collar_bps = bench.policy.risk.collar_bps
    floor = max(_below(reference, collar_bps) for reference in references if reference is not None)
    steps = FRUITLESS_MAX - 1
    lower = _below(picture.bid, collar_bps * min(fruitless, steps) // steps)
    return max(lower, floor)


def _below(price: Price, bps: int) -> Price:
    return Price(MONEY.divide(MONEY.multiply(price.usd_per_coin, 10_000 - bps), 10_000))


def _end(bench: Workbench, scope: str, why: str) -> None:
    _, began_ns = bench.ledger.flattening[scope]
    left = tuple(
        HoldingLeft(
            position.strategy, position.symbol, Qty(position.coins), _given_up(bench, position, began_ns) or why
        )
        for position in _holdings(bench, scope)
    )
    bench.emit(FlattenEnded(scope, why, left))
    bench.cancel_in_scope(scope, why)
