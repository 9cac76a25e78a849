"""What a scraper sees: counts from committed facts, gauges from the published view, timings from the shell.

Names follow Prometheus: prefix `aether_`, base units, `_total` on counters. Labels are bounded: symbols are those of
the settings, scopes those that people halt; an id is never a label. Figures are floats here, which no money follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from aether.core.halts import ALL
from aether.core.orders import OrderState
from aether.core.portfolio import USD
from aether.core.view import View
from aether.domain.facts import (
    AnswerLost,
    DifferenceFound,
    Fact,
    IntentRefused,
    LedgerEntryBooked,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    RunStarted,
)
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock

disable_created_metrics()  # type: ignore[no-untyped-call] # they would stand beside each counter, and nobody asks for them

_LOOP_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
_NETWORK_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0)

# The stage that a fact ends, counted from the order's submission; the first such fact counts. An order may be seen
# open before its answer comes, which is then no fact of its own.
_STAGE_OF: Mapping[type[Fact], str] = MappingProxyType(
    {
        OrderAccepted: "answer",
        OrderOpened: "answer",
        OrderRefused: "answer",
        AnswerLost: "answer",
        OrderFilled: "first_fill",
        OrderEnded: "end",
        OrderAbsent: "end",
    }
)


class Counters:
    """What the rooms at the venue count. Each method is one event; none waits or raises."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, namespace="aether", registry=registry)
        self._feed_messages = counter("feed_messages_total", "Messages of the market feed.", ("channel",))
        self._feed_counters: dict[str, Counter] = {}
        self._checksum_failures = counter("book_checksum_failures_total", "Books dropped as broken.")
        self._reconnects = counter("reconnects_total", "Connections to the venue made anew.")
        self._gate_refusals = counter("gate_refusals_total", "Names that the spot gate refused.", ("reason",))
        self._errors = counter("kraken_errors_total", "Requests that ended in an error.", ("endpoint", "code"))
        self._throttled = counter("kraken_throttled_total", "Times that the venue was asked too much.", ("transport",))
        for transport in ("rest", "ws"):
            self._throttled.labels(transport)  # an alert needs a nought before the first one
        self._points = Gauge(
            "kraken_counter",
            "Our count of points on a limit of the venue's: rest, or the orders of a symbol.",
            ("pool",),
            namespace="aether",
            registry=registry,
        )
        self._requests = Histogram(
            "kraken_request_seconds",
            "REST calls, from question to answer.",
            ("endpoint",),
            namespace="aether",
            registry=registry,
            buckets=_NETWORK_BUCKETS_S,
        )

    def feed_message(self, channel: str) -> None:
        """A message of the feed came. Its counter is looked up once: that would take four times the counting."""
        counter = self._feed_counters.get(channel)
        if counter is None:
            counter = self._feed_counters[channel] = self._feed_messages.labels(channel)
        counter.inc()

    def checksum_failed(self, _symbol: str) -> None:
        """A book did not have the checksum that the venue told."""
        self._checksum_failures.inc()

    def reconnected(self) -> None:
        """A connection was lost and is made again."""
        self._reconnects.inc()

    def gate_refused(self, reason: str) -> None:
        """A name was refused; `reason` is the gate's code."""
        self._gate_refusals.labels(reason).inc()

    def kraken_request(self, endpoint: str, seconds: float, code: str) -> None:
        """A REST call ended after so many seconds; `code` is empty where it went well."""
        self._requests.labels(endpoint).observe(seconds)
        if code:
            self._errors.labels(endpoint, code).inc()

    def kraken_refused(self, method: str, code: str) -> None:
        """A request on the private socket was answered with an error."""
        self._errors.labels(method, code).inc()

    def throttled(self, transport: str, _why: str) -> None:
        """The venue says that it is asked too much."""
        self._throttled.labels(transport).inc()

    def show_counter(self, pool: str, milli: Callable[[], int]) -> None:
        """Thousandths of points are asked for at each scrape, for they decay also while nothing is sent."""
        self._points.labels(pool).set_function(lambda: milli() / 1000)


class Metrics:
    """All figures of one process. `counters` is given to the rooms at the venue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self.counters = Counters(self._registry)
        self._make_shell_figures()
        self._make_fact_figures()
        self._make_view_figures()
        self._book_at_ns: dict[str, int] = {}
        self._dead_man_at_ns: int | None = None
        # Orders not ended yet: when they were sent (None where an earlier run did), side and kind.
        self._orders: dict[str, tuple[int | None, str, str]] = {}
        self._stages_over: dict[str, set[str]] = {}

    def _make_shell_figures(self) -> None:
        gauge = partial(Gauge, namespace="aether", registry=self._registry)
        timing = partial(Histogram, namespace="aether", registry=self._registry, buckets=_LOOP_BUCKETS_S)
        self._loop_lag = timing("loop_lag_seconds", "How late the event loop wakes.")
        self._durations = {
            "step": timing("step_seconds", "One input through the engine."),
            "commit": timing("commit_seconds", "One transaction of the journal, to the disk."),
        }
        self._inbox_depth = gauge("inbox_depth", "Inputs that wait for the engine.")
        self._journal_bytes = gauge("journal_bytes", "Size of the journal's files.")

        self._superseded_books = gauge("inbox_superseded_books", "Books that gave way to newer ones, in this run.")
        self._dropped_trades = gauge("inbox_dropped_trades", "Public trades that found the inbox full, in this run.")
        self._kept = gauge("kept_items", "Items of a kind that are kept in memory.", ["kind"])
        self._tape_lost = gauge("tape_lost_inputs", "Inputs that are on no tape, in this run.")

    def _make_fact_figures(self) -> None:
        counter = partial(Counter, namespace="aether", registry=self._registry)
        self._observers_failed = counter("observer_failures_total", "Failures of what looks on, by name.", ["observer"])
        info = partial(Info, namespace="aether", registry=self._registry)
        self._build = info("build", "Version of the code that runs.")
        self._mode = info("mode", "Whether money is real, and in which world the program runs.")
        self._facts = counter("facts_total", "Facts committed.", ("kind",))
        self._risk_refusals = counter("risk_refusals_total", "Intents refused, by what bound.", ("check",))
        self._sizing_bound = counter("sizing_bound_total", "Orders sized, by what bound.", ("check",))
        self._ended = counter("orders_total", "Orders ended.", ("side", "type", "outcome"))
        self._fills = counter("fills_total", "Executions booked.", ("liquidity",))
        self._fees = counter("fees_usd_total", "Fees booked in dollars.")
        self._entries = counter("ledger_entries_total", "Rows of the venue's ledger booked beside fills.", ("nature",))
        self._differences = counter("reconcile_differences_total", "Balances that the journal did not explain.")
        self._stages = Histogram(
            "order_stage_seconds",
            "From an order's submission to its answer, first fill and end.",
            ("stage",),
            namespace="aether",
            registry=self._registry,
            buckets=_STAGE_BUCKETS_S,
        )

    def _make_view_figures(self) -> None:
        gauge = partial(Gauge, namespace="aether", registry=self._registry)
        self._halted = gauge("halted", "1 where a halt is in force.", ("scope",))
        self._feed_age = gauge("feed_age_seconds", "Age of the newest book.", ("symbol",))
        self._headroom = gauge("risk_headroom_ratio", "What is left of a limit: 1 unused, 0 reached.", ("limit",))
        self._open = gauge("orders_open", "Our orders that rest at the venue.")
        self._unresolved = gauge("orders_unresolved", "Our orders whose outcome is unknown.")
        self._equity = gauge("equity_usd", "Worth of all balances; NaN while a price is missing.")
        self._cash = gauge("cash_usd", "Dollars on the account.")
        self._exposure = gauge("exposure_usd", "Coins held and what open buys may add.", ("symbol",))
        self._drawdown = gauge("drawdown_ratio", "Drop of equity from its peak; NaN while unknown.")
        self._dead_man = gauge("deadman_seconds", "Until the dead man's switch fires; NaN while it is off.")
        self._day_pnl = gauge("day_pnl_usd", "Change of equity since 00:00 UTC; NaN while unknown.")
        self._shadow = gauge("shadow_divergence_bps", "How much worse than a made Kraken's our fills were, newest day.")
        self._shadow.set(math.nan)  # until an order was compared

    # --- what the shell times ---------------------------------------------------------------------------------

    def took(self, what: str, seconds: float) -> None:
        """One `step` (an input through the engine) or one `commit` (a transaction to the disk) took so long."""
        self._durations[what].observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """The loop woke so much later than asked."""
        self._loop_lag.observe(seconds)

    def inbox_depth(self, inputs: int) -> None:
        """So many inputs wait."""
        self._inbox_depth.set(inputs)

    def journal_bytes(self, size_bytes: int) -> None:
        """The journal's files are so large."""
        self._journal_bytes.set(size_bytes)

    def kept(self, sizes: Mapping[str, int]) -> None:
        """How many of each kind the program keeps in memory: flat after a while, or something leaks."""
        for what, count in sizes.items():
            self._kept.labels(what).set(count)

    def observer_failed(self, name: str) -> None:
        """One that looks on raised; trading went on."""
        self._observers_failed.labels(name).inc()

    def lost(self, superseded_books: int, dropped_trades: int, taped: int) -> None:
        """So many books gave way to newer ones, trades were dropped, and inputs are on no tape, in this run."""
        self._superseded_books.set(superseded_books)
        self._dropped_trades.set(dropped_trades)
        self._tape_lost.set(taped)

    def shadow_divergence(self, bps: Decimal) -> None:
        """Fills of the newest day were so many basis points worse than on a made Kraken; below zero, better."""
        self._shadow.set(float(bps))

    # --- what is committed ------------------------------------------------------------------------------------

    def observe(self, facts: Sequence[Numbered]) -> None:
        """Count committed facts. A FactObserver: never waits, never raises."""
        for numbered in facts:
            self._facts.labels(type(numbered.fact).__name__).inc()
            self._count(numbered.fact, numbered.at_ns)

    def show(self, view: View) -> None:
        """Take the gauges from the newest published view."""
        self._halted.clear()
        self._halted.labels(ALL).set(0)
        for stop in view.stops:
            if stop.kind == "halt":
                self._halted.labels(stop.scope).set(1)
        self._open.set(view.open_orders)
        self._unresolved.set(view.unresolved_orders)
        self._cash.set(float(view.cash_usd))
        self._equity.set(_figure(view.equity_usd))
        self._drawdown.set(_figure(view.drawdown_ratio))
        self._day_pnl.set(_figure(view.day_pnl_usd))
        self._dead_man_at_ns = view.dead_man_trigger_ns
        for symbol in view.symbols:
            self._exposure.labels(symbol.symbol).set(float(symbol.exposure_usd))
            self._book_at_ns[symbol.symbol] = symbol.book_at_ns
        for limit in view.limits:
            self._headroom.labels(limit.name).set(1 - float(limit.ratio))
        for order in view.orders:
            if order.state != OrderState.DONE.value:  # of an earlier run, or known already
                self._orders.setdefault(order.cl_ord_id, (None, order.side, order.order_type))

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All figures and their media type: OpenMetrics where `accept` asks for it, else Prometheus' text format."""
        self._age_feeds()
        if "application/openmetrics-text" in accept:
            return _open_metrics(self._registry), openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _age_feeds(self) -> None:
        # Reckoned at each scrape: the age must grow also while nothing is published.
        now_ns = self._clock.wall_ns()
        for symbol, at_ns in self._book_at_ns.items():
            self._feed_age.labels(symbol).set((now_ns - at_ns) / NANOS_PER_S if at_ns else math.nan)
        fires_ns = self._dead_man_at_ns
        self._dead_man.set(math.nan if fires_ns is None else (fires_ns - now_ns) / NANOS_PER_S)

    def _count(self, fact: Fact, at_ns: int) -> None:
        self._time_stage(fact, at_ns)
        match fact:
            case RunStarted():
                self._build.info({"version": fact.code_version})
                self._mode.info({"mode": "live" if fact.real_money else "sim", "world": fact.world})
            case IntentRefused():
                self._risk_refusals.labels(fact.decision.binding).inc()
            case OrderSubmitted():
                self._sizing_bound.labels(fact.decision.binding).inc()
            case OrderFilled():
                self._fills.labels(fact.liquidity.value).inc()
                # A rebate would be a negative fee, and a counter cannot go back.
                self._fees.inc(max(0.0, float(sum(fee.amount for fee in fact.fees if fee.asset == USD))))
            case OrderRefused():
                self._end(fact.cl_ord_id, "refused")
            case OrderAbsent():
                self._end(fact.cl_ord_id, "absent")
            case OrderEnded():
                self._end(fact.cl_ord_id, fact.status.value)
            case LedgerEntryBooked():
                self._entries.labels(fact.nature.value).inc()
            case DifferenceFound():
                self._differences.inc()
            case _:
                pass

    def _time_stage(self, fact: Fact, at_ns: int) -> None:
        if isinstance(fact, OrderSubmitted):
            self._orders[fact.cl_ord_id] = at_ns, fact.side.value, fact.order_type.value
            self._stages_over[fact.cl_ord_id] = set()
            return
        stage, cl_ord_id = _STAGE_OF.get(type(fact)), getattr(fact, "cl_ord_id", None) or ""
        sent_ns = self._orders.get(cl_ord_id, (None, "", ""))[0]
        if stage is not None and sent_ns is not None and stage not in self._stages_over[cl_ord_id]:
            self._stages_over[cl_ord_id].add(stage)
            self._stages.labels(stage).observe((at_ns - sent_ns) / NANOS_PER_S)

    def _end(self, cl_ord_id: str, outcome: str) -> None:
        _, side, order_type = self._orders.pop(cl_ord_id, (None, "unknown", "unknown"))
        self._stages_over.pop(cl_ord_id, None)
        self._ended.labels(side, order_type, outcome).inc()


_open_metrics: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest  # it has no annotations of its own


def _figure(value: Decimal | None) -> float:
    return math.nan if value is None else float(value)
