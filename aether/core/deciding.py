"""From a market picture to an order or a refusal: signal, intent, checks, sizer, on one screen."""

from __future__ import annotations

from decimal import Decimal

from aether.core import assertions
from aether.core.halts import reasons_against
from aether.core.intents import OrderIntent, is_worth_an_order, target_position, wish
from aether.core.market import SymbolPicture, Volatility
from aether.core.orders import Order
from aether.core.policy import TrendParameters
from aether.core.risk import RiskView
from aether.core.sizing import RefusedIntent, SizedOrder, estimate_costs, size_order
from aether.core.strategies.trend import Signal, trend_signal
from aether.core.valuation import cash_free, exposure, holding_free, value
from aether.core.workbench import Workbench
from aether.domain.effects import SubmitOrder
from aether.domain.errors import InvariantBroken, StrategyOverran
from aether.domain.facts import IntentRefused, OrderSubmitted, QuoteSeen, SignalChanged, StrategyPaused
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S, NO_USD, Bps, Price, Qty, Symbol, Usd, UtcNanos

REFUSAL_EVERY_NS = 60 * NANOS_PER_S
WHY_LENGTH_MAX = 500


def decide(bench: Workbench, picture: SymbolPicture) -> None:
    """Let each strategy on this symbol look again, and act on the difference between its wish and what there is."""
    if bench.ledger.mark is None or bench.ledger.is_stopping:
        return  # equity was not marked yet (by the first tick with prices and balances), or it is too late
    for parameters in bench.policy.trends:
        if picture.symbol in parameters.symbols:
            signal = _signal(bench, picture, parameters)
            if signal is not None:
                _pursue(bench, picture, parameters, signal)


def _signal(bench: Workbench, picture: SymbolPicture, parameters: TrendParameters) -> Signal | None:
    """The strategy's word on complete bars; asked once a bar, and written when it changes."""
    key, candles = (parameters.id, picture.symbol), picture.candles[parameters.bar_s]
    if bench.bars_seen.get(key) == candles.completed or parameters.id in bench.ledger.paused:
        return bench.signals.get(key)
    bench.bars_seen[key] = candles.completed
    before = bench.ledger.signals.get(key)
    try:
        target_now_bps = before.target_bps if before else 0
        signal = _checked(bench.guard(lambda: trend_signal(candles.closes, parameters, target_now_bps)))
    except InvariantBroken:
        raise  # ours, not the strategy's
    except (Exception, StrategyOverran) as error:  # noqa: BLE001 - whatever it raises pauses it alone, the others go on
        bench.emit(StrategyPaused(parameters.id, _told(error)))
        return None
    if signal is None:
        bench.signals.pop(key, None)  # what it wished on bars that are no longer known is no wish now
        return None
    bench.signals[key] = signal
    if before is None or before.target_bps != signal.target_bps:
        bench.emit(SignalChanged(parameters.id, picture.symbol, signal.target_bps, signal.edge_bps, signal.reason))
    return signal


def _checked(answer: object) -> Signal | None:
    if answer is not None and type(answer) is not Signal:
        raise TypeError(f"a strategy answered {type(answer).__name__}, no signal")
    return answer


def _told(error: BaseException) -> str:
    """What an error says, in a form that can be written whatever it is."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the strategy's own class of errors may be as broken as it is
        text = "(cannot say)"
    return f"{type(error).__name__}: {text[:WHY_LENGTH_MAX]}".encode(errors="replace").decode()


def _pursue(bench: Workbench, picture: SymbolPicture, parameters: TrendParameters, signal: Signal) -> None:
    ledger, bid, ask = bench.ledger, picture.bid, picture.ask
    if bid is None or ask is None or ledger.working(parameters.id, picture.symbol) is not None:
        return
    volatility, valuation = _volatility(bench, picture, parameters), value(ledger, bench.market)
    if volatility is None or valuation is None or picture.symbol not in ledger.instruments:
        return
    policy = bench.policy.sizing
    volatility_used_bps = max(volatility.day_bps, policy.volatility_floor_bps)
    regime = policy.regime(volatility.ratio_percent)
    target = target_position(valuation.equity, signal.target_bps, volatility_used_bps, regime.size_percent, policy)
    held = ledger.portfolio.position(parameters.id, picture.symbol).qty
    if not is_worth_an_order(target, bid.times(held), policy):
        return
    intent = wish(
        strategy=parameters.id,
        symbol=picture.symbol,
        target=target,
        held=held,
        bid=bid,
        ask=ask,
        edge_bps=signal.edge_bps,
        passive=parameters.passive,
    )
    if intent is not None:
        against = tuple(reasons_against(ledger, intent.symbol, intent.strategy))
        view = view_of(bench, intent, volatility, equity=valuation.equity, against=against)
        _act(bench, size_order(intent, view))


def _volatility(bench: Workbench, picture: SymbolPicture, parameters: TrendParameters) -> Volatility | None:
    policy = bench.policy.sizing
    return picture.candles[parameters.bar_s].volatility(policy.volatility_bars_short, policy.volatility_bars_long)


def view_of(
    bench: Workbench,
    intent: OrderIntent,
    volatility: Volatility,
    *,
    equity: Usd,
    against: tuple[tuple[str, str], ...],
) -> RiskView:
    """Account and market as a decision on this intent sees them; the market has a price, and equity was marked."""
    ledger, market, policy = bench.ledger, bench.market, bench.policy
    picture = market.pictures[intent.symbol]
    bid, ask, mark = picture.bid, picture.ask, ledger.mark
    assert bid is not None and ask is not None and mark is not None  # noqa: PT018 - just seen
    taker_bps, fee_bps = _fees(bench, intent)
    regime = policy.sizing.regime(volatility.ratio_percent)
    exposures = {symbol: exposure(ledger, market, symbol) for symbol in market.pictures}
    return RiskView(
        at_ns=bench.now_ns,
        limits=policy.risk,
        sizing=policy.sizing,
        instrument=ledger.instruments[intent.symbol],
        equity=equity,
        cash_free=cash_free(ledger),
        position=bid.times(ledger.portfolio.position(intent.strategy, intent.symbol).qty),
        exposure_symbol=exposures[intent.symbol],
        exposure_total=sum(exposures.values(), NO_USD),
        day_start=mark.day_start,
        peak=mark.peak,
        holding_free=holding_free(ledger, intent.strategy, intent.symbol),
        account_as_of_ns=bench.reconciled_ns or 0,
        quote=QuoteSeen(bid, ask, picture.quote_age_ms(bench.now_ns), picture.fresh_trade(bench.now_ns)),
        last_close=picture.last_close,
        costs=estimate_costs(
            edge_bps=intent.edge_bps,
            fee_bps=fee_bps,
            bid=bid,
            ask=ask,
            average=picture.average_price_for(intent.side, min(intent.wanted, policy.risk.order_usd_max)),
            passive=intent.passive,
            margin_bps=policy.sizing.edge_margin_bps,
        ),
        fee_bps_worst=taker_bps,
        volatility_bps=volatility.day_bps,
        volatility_used_bps=Bps(max(volatility.day_bps, policy.sizing.volatility_floor_bps)),
        regime=regime.name,
        regime_percent=regime.size_percent,
        unresolved=_name(ledger.unresolved_on(intent.symbol)),
        sent_last_minute=ledger.sent_since(bench.now_ns, 60),
        sent_last_day=ledger.sent_since(bench.now_ns, 86_400),
        last_sent_ns=ledger.last_sent_ns.get((intent.strategy, intent.symbol)),
        against=against,
        asked_lately=_asked_lately(bench, intent.symbol),
    )


def _asked_lately(bench: Workbench, symbol: Symbol) -> tuple[tuple[Side, Qty, Price], ...]:
    since_ns = bench.now_ns - bench.policy.risk.duplicate_s * NANOS_PER_S
    asked = (order.submitted for order in bench.ledger.asked_since(since_ns + 1))
    return tuple((order.side, order.qty, order.limit_price) for order in asked if order.symbol == symbol)


def _name(order: Order | None) -> str | None:
    return order.cl_ord_id if order is not None else None


def _fees(bench: Workbench, intent: OrderIntent) -> tuple[Decimal, Decimal]:
    """(taker rate, rate of this intent) in basis points."""
    rates, fallback = bench.ledger.fees.get(intent.symbol), Decimal(bench.policy.sizing.fee_fallback_bps)
    if rates is None:
        return fallback, fallback
    return rates.taker_bps, rates.maker_bps if intent.passive else rates.taker_bps


def _act(bench: Workbench, sized: SizedOrder | RefusedIntent) -> None:
    intent_id = f"i{bench.ledger.run}-{bench.ledger.next_seq}"
    if isinstance(sized, RefusedIntent):
        _tell_refusal(bench, intent_id, sized)
    else:
        submit(bench, intent_id, sized)


def submit(bench: Workbench, intent_id: str, sized: SizedOrder) -> None:
    """Write the order that every check let through, and have it sent once that is on disk."""
    ledger, intent = bench.ledger, sized.intent
    order = SubmitOrder(
        cl_ord_id=ledger.next_cl_ord_id(),
        symbol=intent.symbol,
        side=intent.side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC if intent.passive else TimeInForce.IOC,
        post_only=intent.passive,
        qty=sized.qty,
        limit_price=sized.limit_price,
        deadline_ns=bench.now_ns + bench.market.clock_offset_ns + bench.policy.orders.deadline_ms * NANOS_PER_MS,
    )
    submitted = OrderSubmitted(
        intent_id=intent_id,
        cl_ord_id=order.cl_ord_id,
        strategy=intent.strategy,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        qty=order.qty,
        limit_price=sized.limit_price,
        reserved=sized.reserved,
        deadline_ns=UtcNanos(order.deadline_ns),
        decision=sized.decision,
    )
    if assertions.allow(bench, submitted):
        bench.emit(submitted)
        bench.ask(order)


def _tell_refusal(bench: Workbench, intent_id: str, refused: RefusedIntent) -> None:
    """Write a refusal once for each code until the signal changes or an order goes, and at most one a minute.

    A spread that wavers over its limit would otherwise write a fact for each book.
    """
    intent = refused.intent
    key = intent.strategy, intent.symbol, intent.side
    codes = bench.codes_told.setdefault(key, [])
    if key not in bench.ledger.refusals:  # the ledger forgets it with a new signal and with an order
        codes.clear()
    told_ns = bench.refusal_told_ns.get(key)
    is_soon = told_ns is not None and bench.now_ns - told_ns < REFUSAL_EVERY_NS
    if refused.code in codes or is_soon:
        return
    codes.append(refused.code)
    bench.refusal_told_ns[key] = bench.now_ns
    bench.emit(IntentRefused(intent_id, *key, refused.code, refused.why, refused.decision))
