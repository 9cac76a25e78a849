"""The published picture: what pages, metrics and people may see, made of committed state alone.

Money as Decimal with its unit in the name; times in nanoseconds UTC. Frozen: whoever holds one can change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aether.core.divergence import DayDivergence
from aether.core.engine import Engine
from aether.core.halts import ALL
from aether.core.ledger import Ledger
from aether.core.market import SymbolPicture
from aether.core.orders import Order, OrderState
from aether.core.portfolio import USD, Position
from aether.core.valuation import Valuation, cash_free, exposure, value
from aether.domain.facts import LedgerEntryBooked, OrderFilled
from aether.domain.values import MONEY, NANOS_PER_MS, NO_USD, ZERO, Symbol, Usd

RECENT = 100


@dataclass(frozen=True, slots=True)
class BalanceView:
    """So much of an asset on the account; `value_usd` None where it has no price."""

    asset: str
    total: Decimal
    value_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """What a strategy holds of a symbol."""

    strategy: str
    symbol: str
    qty: Decimal
    cost_usd: Decimal
    average_cost_usd: Decimal | None
    value_usd: Decimal | None
    unrealised_usd: Decimal | None
    realised_usd: Decimal
    fees_usd: Decimal


@dataclass(frozen=True, slots=True)
class OrderView:
    """One of our orders."""

    cl_ord_id: str
    order_id: str | None
    intent_id: str
    strategy: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    post_only: bool
    qty: Decimal
    limit_price_usd: Decimal
    filled_qty: Decimal
    average_price_usd: Decimal | None
    state: str
    cancel_asked: bool
    ended: str
    submitted_ns: int
    bound_by: str


@dataclass(frozen=True, slots=True)
class TradeView:
    """A fill; `strategy` None where it was not our order."""

    exec_id: str
    cl_ord_id: str | None
    strategy: str | None
    symbol: str
    side: str
    qty: Decimal
    price_usd: Decimal
    cost_usd: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    liquidity: str
    venue_ns: int


@dataclass(frozen=True, slots=True)
class EntryView:
    """A row of the venue's ledger that is no fill; of a trade, what the ledger says beside its fill (`moved`)."""

    entry_id: str
    refid: str
    kind: str
    subtype: str
    nature: str
    asset: str
    amount: Decimal
    fee: Decimal
    moved: Decimal
    venue_ns: int


@dataclass(frozen=True, slots=True)
class SymbolView:
    """A symbol's market and signal now."""

    symbol: str
    status: str
    is_live: bool
    bid_usd: Decimal | None
    ask_usd: Decimal | None
    last_usd: Decimal | None
    book_at_ns: int
    exposure_usd: Decimal


@dataclass(frozen=True, slots=True)
class SignalView:
    """A strategy's word in force."""

    strategy: str
    symbol: str
    target_bps: int
    edge_bps: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopView:
    """A halt, hold, pause or sale by people; `code` says which, or why."""

    kind: str
    scope: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class RefusalView:
    """An intent that became no order."""

    intent_id: str
    strategy: str
    symbol: str
    side: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit in USD, orders or milliseconds, how much of it is used, and the share (1 = at the limit)."""

    name: str
    limit: Decimal
    used: Decimal
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class View:
    """All of it, as of fact `last_seq`."""

    at_ns: int
    last_seq: int
    run: int
    world: str
    account: str
    real_money: bool
    code_version: str
    settings_digest: str
    is_stopping: bool
    system_status: str
    clock_offset_ms: int
    reconciled_ns: int | None
    dead_man_trigger_ns: int | None
    equity_usd: Decimal | None
    unpriced: tuple[str, ...]
    equity_is_partial: bool
    cash_usd: Decimal
    cash_free_usd: Decimal
    exposure_usd: Decimal
    day_pnl_usd: Decimal | None
    drawdown_ratio: Decimal | None
    balances: tuple[BalanceView, ...]
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    open_orders: int
    unresolved_orders: int
    external_orders: int
    trades: tuple[TradeView, ...]
    entries: tuple[EntryView, ...]
    symbols: tuple[SymbolView, ...]
    signals: tuple[SignalView, ...]
    stops: tuple[StopView, ...]
    refusals: tuple[RefusalView, ...]
    limits: tuple[LimitView, ...]
    differences: tuple[tuple[str, Decimal, Decimal], ...]
    shadow: tuple[DayDivergence, ...] = ()  # laid beside by who runs a shadow: it is no part of the committed state

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why trading may not go on in scope `all`, one sentence each; empty where it may."""
        return tuple(f"{stop.kind} {stop.code}: {stop.why}" for stop in self.stops if stop.scope == ALL)


class Publisher:
    """Makes one picture after another of an engine whose facts are all on disk.

    Of orders that did not change, and of trades, which never do, it shows what it made before, and of all that is past
    where no fact was written since the last picture: most of its time would go to what is old.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shown: dict[str, tuple[Order, OrderView]] = {}
        self._traded: dict[str, TradeView] = {}
        self._past: _Past | None = None

    def publish(self) -> View:
        """The picture as of now."""
        ledger, past = self._engine.ledger, self._past
        if past is None or past.last_seq != ledger.last_seq:
            past = self._past = self._made_of(ledger)
        return _view(self._engine, past)

    def _made_of(self, ledger: Ledger) -> _Past:
        self._shown = _orders(ledger, self._shown)
        recent = list(ledger.fills)[-RECENT:]
        self._traded = {fill.exec_id: self._traded.get(fill.exec_id) or _trade(fill) for fill in recent}
        return _Past(
            last_seq=ledger.last_seq,
            orders=tuple(view for _, view in self._shown.values()),
            trades=tuple(self._traded.values()),
            entries=tuple(_entry(fact) for fact in list(ledger.entries)[-RECENT:]),
            refusals=tuple(
                RefusalView(fact.intent_id, fact.strategy, fact.symbol, fact.side, fact.code, fact.why)
                for fact in list(ledger.recent_refusals)[-RECENT:]
            ),
        )


@dataclass(frozen=True, slots=True)
class _Past:
    """What the facts up to `last_seq` say of the past: no price and no clock changes it."""

    last_seq: int
    orders: tuple[OrderView, ...]
    trades: tuple[TradeView, ...]
    entries: tuple[EntryView, ...]
    refusals: tuple[RefusalView, ...]


def publish(engine: Engine) -> View:
    """One picture of an engine whose facts are all on disk."""
    return Publisher(engine).publish()


def _view(engine: Engine, past: _Past) -> View:
    ledger, market = engine.ledger, engine.market
    valuation = value(ledger, market) if ledger.account_as_of_ns is not None else None
    exposures = {symbol: exposure(ledger, market, symbol) for symbol in market.pictures}
    started = ledger.started
    return View(
        at_ns=engine.now_ns,
        last_seq=ledger.last_seq,
        run=ledger.run,
        world=started.world if started else "",
        account=started.account if started else "",
        real_money=started.real_money if started else False,
        code_version=started.code_version if started else "",
        settings_digest=started.settings_digest if started else "",
        is_stopping=ledger.is_stopping,
        system_status=market.system_status,
        clock_offset_ms=market.clock_offset_ns // NANOS_PER_MS,
        reconciled_ns=engine.reconciled_ns,
        dead_man_trigger_ns=_dead_man_trigger(engine),
        equity_usd=valuation.equity.amount if valuation else None,
        unpriced=valuation.unpriced if valuation else (),
        equity_is_partial=valuation.is_partial if valuation else False,
        cash_usd=ledger.portfolio.balance(USD),
        cash_free_usd=cash_free(ledger).amount,
        exposure_usd=sum(exposures.values(), NO_USD).amount,
        day_pnl_usd=_day_pnl(ledger, valuation),
        drawdown_ratio=_drawdown(ledger, valuation),
        balances=tuple(_balance(engine, asset, total) for asset, total in ledger.portfolio.balances.items()),
        positions=tuple(_position(engine, position) for position in ledger.portfolio.positions.values()),
        orders=past.orders,
        open_orders=sum(1 for order in ledger.unsettled.values() if order.state.value == "open"),
        unresolved_orders=sum(1 for order in ledger.unsettled.values() if order.state.value == "unresolved"),
        external_orders=len(ledger.external_orders),
        trades=past.trades,
        entries=past.entries,
        symbols=tuple(_symbol(engine, picture, exposures[symbol]) for symbol, picture in market.pictures.items()),
        signals=tuple(
            SignalView(signal.strategy, signal.symbol, signal.target_bps, signal.edge_bps, signal.reason)
            for signal in ledger.signals.values()
        ),
        stops=_stops(ledger),
        refusals=past.refusals,
        limits=_limits(engine, valuation, exposures),
        differences=tuple((item.asset, item.expected, item.seen) for item in ledger.differences),
    )


def _dead_man_trigger(engine: Engine) -> int | None:
    """When it fires unless renewed, by our clock; None while it is off."""
    trigger_ns = engine.dead_man_trigger_ns
    is_armed = engine.ledger.dead_man is not None and trigger_ns is not None
    return trigger_ns - engine.market.clock_offset_ns if is_armed and trigger_ns is not None else None


def _day_pnl(ledger: Ledger, valuation: Valuation | None) -> Decimal | None:
    return (valuation.equity - ledger.mark.day_start).amount if valuation and ledger.mark else None


def _drawdown(ledger: Ledger, valuation: Valuation | None) -> Decimal | None:
    if valuation is None or ledger.mark is None or not ledger.mark.peak.amount:
        return None
    drop = max(NO_USD, ledger.mark.peak - valuation.equity)
    return round(MONEY.divide(drop.amount, ledger.mark.peak.amount), 6)


def _balance(engine: Engine, asset: str, total: Decimal) -> BalanceView:
    coin = asset.partition(".")[0]
    mid = engine.market.mid_of_asset(coin)
    worth = total if coin == USD else MONEY.multiply(total, mid.usd_per_coin) if mid else None
    return BalanceView(asset, total, worth)


def _position(engine: Engine, position: Position) -> PositionView:
    picture = engine.market.pictures.get(position.symbol)
    mid = picture.mid if picture else None
    worth = position.value_at(mid) if mid else None
    average = position.average_cost
    return PositionView(
        strategy=position.strategy,
        symbol=position.symbol,
        qty=position.coins,
        cost_usd=position.cost.amount,
        average_cost_usd=round(average.usd_per_coin, 8) if average else None,
        value_usd=worth.amount if worth else None,
        unrealised_usd=(worth - position.cost).amount if worth else None,
        realised_usd=position.realised.amount,
        fees_usd=position.fees.amount,
    )


def _orders(ledger: Ledger, shown: Mapping[str, tuple[Order, OrderView]]) -> dict[str, tuple[Order, OrderView]]:
    views = {}
    for name in (*list(ledger.settled)[-RECENT:], *ledger.unsettled):
        order, before = ledger.orders[name], shown.get(name)
        views[name] = before if before is not None and before[0] is order else (order, _order(order))
    return views


def _order(order: Order) -> OrderView:
    asked, average = order.submitted, order.average_price
    return OrderView(
        cl_ord_id=order.cl_ord_id,
        order_id=order.order_id,
        intent_id=asked.intent_id,
        strategy=asked.strategy,
        symbol=asked.symbol,
        side=asked.side.value,
        order_type=asked.order_type.value,
        time_in_force=asked.time_in_force.value,
        post_only=asked.post_only,
        qty=order.qty.coins,
        limit_price_usd=order.limit_price.usd_per_coin,
        filled_qty=order.filled.coins,
        average_price_usd=round(average.usd_per_coin, 8) if average else None,
        state=(OrderState.DONE if order.state is OrderState.NEVER_LIVED else order.state).value,
        cancel_asked=order.cancel_asked_ns is not None,
        ended=order.ended,
        submitted_ns=order.submitted_ns,
        bound_by=asked.decision.binding,
    )


def _trade(fill: OrderFilled) -> TradeView:
    return TradeView(
        exec_id=fill.exec_id,
        cl_ord_id=fill.cl_ord_id,
        strategy=fill.strategy,
        symbol=fill.symbol or fill.name,
        side=fill.side.value,
        qty=fill.qty.coins,
        price_usd=fill.price.usd_per_coin,
        cost_usd=fill.cost.amount,
        fees=tuple((fee.asset, fee.amount) for fee in fill.fees),
        liquidity=fill.liquidity.value,
        venue_ns=fill.venue_ns,
    )


def _entry(fact: LedgerEntryBooked) -> EntryView:
    return EntryView(
        entry_id=fact.entry_id,
        refid=fact.refid,
        kind=fact.kind,
        subtype=fact.subtype,
        nature=fact.nature.value,
        asset=fact.asset,
        amount=fact.amount,
        fee=fact.fee,
        moved=fact.moved,
        venue_ns=fact.venue_ns,
    )


def _symbol(engine: Engine, picture: SymbolPicture, exposed: Usd) -> SymbolView:
    instrument, bid, ask = engine.ledger.instruments.get(picture.symbol), picture.bid, picture.ask
    return SymbolView(
        symbol=picture.symbol,
        status=instrument.status.value if instrument else "unknown",
        is_live=picture.is_live,
        bid_usd=bid.usd_per_coin if bid else None,
        ask_usd=ask.usd_per_coin if ask else None,
        last_usd=picture.last_trade.usd_per_coin if picture.last_trade else None,
        book_at_ns=picture.book_at_ns,
        exposure_usd=exposed.amount,
    )


def _stops(ledger: Ledger) -> tuple[StopView, ...]:
    halts = [StopView("halt", halt.scope, halt.code, halt.reason) for halt in ledger.halts.values()]
    holds = [StopView("hold", hold.scope, hold.cause, hold.why) for hold in ledger.holds.values()]
    paused = [StopView("pause", f"strategy:{fact.strategy}", "paused", fact.why) for fact in ledger.paused.values()]
    flattening = [
        StopView("flatten", scope, "flattening", began.reason) for scope, (began, _) in ledger.flattening.items()
    ]
    return (*halts, *holds, *paused, *flattening)


def _limits(engine: Engine, valuation: Valuation | None, exposures: dict[Symbol, Usd]) -> tuple[LimitView, ...]:
    if valuation is None or engine.ledger.mark is None:
        return ()
    limits, ledger, equity, mark = engine.policy.risk, engine.ledger, valuation.equity, engine.ledger.mark
    symbol_max, total = equity.bps(limits.exposure_symbol_bps_max), sum(exposures.values(), NO_USD)
    rows = [(f"exposure_symbol {symbol}", symbol_max.amount, used.amount) for symbol, used in exposures.items()]
    rows += [
        ("exposure_total", equity.bps(limits.exposure_total_bps_max).amount, total.amount),
        ("daily_loss", mark.day_start.bps(limits.daily_loss_bps_max).amount, (mark.day_start - equity).amount),
        ("drawdown", mark.peak.bps(limits.drawdown_bps_max).amount, (mark.peak - equity).amount),
        ("orders_per_minute", Decimal(limits.orders_per_minute_max), Decimal(ledger.sent_since(engine.now_ns, 60))),
        ("orders_per_day", Decimal(limits.orders_per_day_max), Decimal(ledger.sent_since(engine.now_ns, 86_400))),
    ]
    return tuple(
        LimitView(name, limit, max(ZERO, used), round(MONEY.divide(max(ZERO, used), limit), 6) if limit else ZERO)
        for name, limit, used in rows
    )


def is_trading(view: View) -> bool:
    """Started, compared, live and not stopped in scope `all`."""
    return view.run > 0 and not view.not_ready and view.reconciled_ns is not None
