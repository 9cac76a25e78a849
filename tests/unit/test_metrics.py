"""Every figure comes from a fact, the view or a timing, and is shown in the format that was asked for."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from aether.core.view import LimitView, OrderView, StopView, SymbolView, View
from aether.domain.entries import Nature
from aether.domain.facts import (
    FACT_CLASSES,
    AnswerLost,
    Decision,
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
from aether.domain.orders import AssetAmount, VenueStatus
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.observe.metrics import Metrics

D = Decimal
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SOLD = OrderView(
    *("old", "O1", "i1", "trend", "BTC/USD", "sell", "limit", "gtc"),
    *(False, D(1), D(1), D(0), None, "open", False, "", 1, "cash"),  # type: ignore[arg-type]
)


def sample(cls: Any, **given: Any) -> Any:
    """A dataclass of ones, empty texts and None, but for what is given."""
    hints = get_type_hints(cls)
    return cls(**{entry.name: given.get(entry.name, sample_of(hints[entry.name])) for entry in fields(cls)})


def sample_of(kind: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) in (UnionType, Union):
        return None if NoneType in get_args(kind) else sample_of(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return ()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if is_dataclass(kind):
        return sample(kind)
    return kind(1) if kind in (int, Decimal) else kind()


class HandClock:
    def __init__(self) -> None:
        self.now_ns = 100 * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(HandClock())


def read(metrics: Metrics) -> dict[str, float]:
    """All samples, as `name{label=value}`."""
    body, _ = metrics.expose("")
    return {
        sample.name.removeprefix("aether_")
        + ("{" + ",".join(f"{key}={value}" for key, value in sample.labels.items()) + "}" if sample.labels else ""): (
            sample.value
        )
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def tell(metrics: Metrics, *facts: Fact, at_s: int = 0) -> None:
    metrics.observe([Numbered(1, 1, UtcNanos(at_s * NANOS_PER_S), 1, fact) for fact in facts])


def test_every_name_has_our_prefix_and_a_help_text(metrics: Metrics) -> None:
    body, _ = metrics.expose("")
    for family in parse_text(body.decode()):
        assert family.name.startswith("aether_")
        assert family.documentation.endswith(".")


@pytest.mark.parametrize("cls", FACT_CLASSES, ids=lambda cls: cls.__name__)
def test_every_fact_is_counted_by_its_kind(metrics: Metrics, cls: type[Fact]) -> None:
    tell(metrics, sample(cls), sample(cls))
    assert read(metrics)[f"facts_total{{kind={cls.__name__}}}"] == 2


def test_the_run_tells_version_mode_and_world(metrics: Metrics) -> None:
    tell(metrics, sample(RunStarted, code_version="1.2", world="paper", real_money=False))
    assert read(metrics)["build_info{version=1.2}"] == 1
    assert read(metrics)["mode_info{mode=sim,world=paper}"] == 1
    tell(metrics, sample(RunStarted, code_version="1.2", world="live", real_money=True))
    assert read(metrics)["mode_info{mode=live,world=live}"] == 1
    assert "mode_info{mode=sim,world=paper}" not in read(metrics)


def test_refusals_and_sizes_are_counted_by_what_bound(metrics: Metrics) -> None:
    tell(metrics, sample(IntentRefused, decision=sample(Decision, binding="spread")))
    tell(metrics, sample(OrderSubmitted, decision=sample(Decision, binding="cash")))
    assert read(metrics)["risk_refusals_total{check=spread}"] == 1
    assert read(metrics)["sizing_bound_total{check=cash}"] == 1


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (sample(OrderRefused, cl_ord_id="a"), "refused"),
        (sample(OrderAbsent, cl_ord_id="a"), "absent"),
        (sample(OrderEnded, cl_ord_id="a", status=VenueStatus.FILLED), "filled"),
        (sample(OrderEnded, cl_ord_id="a", status=VenueStatus.CANCELED), "canceled"),
        (sample(OrderEnded, cl_ord_id="a", status=VenueStatus.EXPIRED), "expired"),
    ],
)
def test_an_order_that_ends_is_counted_once_by_side_kind_and_outcome(metrics: Metrics, end: Fact, outcome: str) -> None:
    tell(metrics, sample(OrderSubmitted, cl_ord_id="a"))
    assert not any(name.startswith("orders_total") for name in read(metrics))
    tell(metrics, end)
    assert read(metrics)[f"orders_total{{outcome={outcome},side=buy,type=limit}}"] == 1


def test_an_order_of_an_earlier_run_is_known_from_the_view(metrics: Metrics) -> None:
    metrics.show(sample(View, orders=(SOLD,)))
    tell(metrics, sample(OrderEnded, cl_ord_id="old", status=VenueStatus.CANCELED))
    assert read(metrics)["orders_total{outcome=canceled,side=sell,type=limit}"] == 1
    assert not any(name.startswith("order_stage_seconds") for name in read(metrics))


@pytest.mark.parametrize("answer", [OrderAccepted, OrderOpened, OrderRefused, AnswerLost])
def test_the_answer_is_timed_from_the_submission(metrics: Metrics, answer: type[Fact]) -> None:
    tell(metrics, sample(OrderSubmitted, cl_ord_id="a"), at_s=10)
    tell(metrics, sample(answer, cl_ord_id="a"), at_s=12)
    assert read(metrics)["order_stage_seconds_sum{stage=answer}"] == 2


def test_an_order_seen_open_before_its_answer_has_one_answer(metrics: Metrics) -> None:
    tell(metrics, sample(OrderSubmitted, cl_ord_id="a"), at_s=10)
    tell(metrics, sample(OrderOpened, cl_ord_id="a"), at_s=11)
    tell(metrics, sample(OrderAccepted, cl_ord_id="a"), at_s=15)
    assert read(metrics)["order_stage_seconds_sum{stage=answer}"] == 1


def test_of_many_fills_the_first_is_timed_and_so_is_the_end(metrics: Metrics) -> None:
    tell(metrics, sample(OrderSubmitted, cl_ord_id="a"), at_s=10)
    for at_s in (13, 15):
        tell(metrics, sample(OrderFilled, cl_ord_id="a"), at_s=at_s)
    tell(metrics, sample(OrderEnded, cl_ord_id="a"), at_s=16)
    tell(metrics, sample(OrderFilled, cl_ord_id="a"), at_s=99)
    figures = read(metrics)
    assert (figures["order_stage_seconds_sum{stage=first_fill}"], figures["order_stage_seconds_sum{stage=end}"]) == (
        3,
        6,
    )
    assert figures["order_stage_seconds_count{stage=first_fill}"] == 1


def test_fills_count_by_liquidity_and_fees_in_dollars_alone(metrics: Metrics) -> None:
    fees = (AssetAmount("USD", D("0.25")), AssetAmount("BTC", D(9)))
    tell(metrics, sample(OrderFilled, fees=fees), sample(OrderFilled, fees=(AssetAmount("USD", D(-1)),)))
    assert read(metrics)["fills_total{liquidity=maker}"] == 2
    assert read(metrics)["fees_usd_total"] == 0.25


def test_a_difference_of_the_account_is_counted(metrics: Metrics) -> None:
    tell(metrics, sample(DifferenceFound))
    assert read(metrics)["reconcile_differences_total"] == 1


def test_rows_of_the_venue_s_ledger_are_counted_by_what_they_are(metrics: Metrics) -> None:
    tell(metrics, sample(LedgerEntryBooked, nature=Nature.INCOME))
    assert read(metrics)["ledger_entries_total{nature=income}"] == 1


def test_a_halt_shows_in_its_scope_and_goes_away_again(metrics: Metrics) -> None:
    halt, hold = StopView("halt", "symbol:BTC/USD", "x", "y"), StopView("hold", "all", "x", "y")
    metrics.show(sample(View, stops=(halt, hold)))
    assert read(metrics)["halted{scope=symbol:BTC/USD}"] == 1
    assert read(metrics)["halted{scope=all}"] == 0
    metrics.show(sample(View))
    assert "halted{scope=symbol:BTC/USD}" not in read(metrics)


def test_the_account_is_shown_as_it_is_and_nan_where_it_is_not_known(metrics: Metrics) -> None:
    metrics.show(sample(View, equity_usd=D("10.5"), cash_usd=D(4), drawdown_ratio=None, open_orders=2))
    figures = read(metrics)
    assert (figures["equity_usd"], figures["cash_usd"], figures["orders_open"]) == (10.5, 4, 2)
    assert math.isnan(figures["drawdown_ratio"])
    assert math.isnan(figures["day_pnl_usd"])


def test_headroom_is_what_is_left_of_a_limit(metrics: Metrics) -> None:
    metrics.show(sample(View, limits=(LimitView("drawdown", D(100), D(25), D("0.25")),)))
    assert read(metrics)["risk_headroom_ratio{limit=drawdown}"] == 0.75


def test_a_book_ages_while_nothing_is_published() -> None:
    clock = HandClock()
    metrics = Metrics(clock)
    seen = sample(SymbolView, symbol="BTC/USD", book_at_ns=98 * NANOS_PER_S, exposure_usd=D(7))
    never = sample(SymbolView, symbol="ETH/USD", book_at_ns=0)
    metrics.show(sample(View, symbols=(seen, never)))
    assert read(metrics)["feed_age_seconds{symbol=BTC/USD}"] == 2
    assert read(metrics)["exposure_usd{symbol=BTC/USD}"] == 7
    assert math.isnan(read(metrics)["feed_age_seconds{symbol=ETH/USD}"])
    clock.now_ns += 3 * NANOS_PER_S
    assert read(metrics)["feed_age_seconds{symbol=BTC/USD}"] == 5


def test_what_the_shell_times_is_shown(metrics: Metrics) -> None:
    metrics.took("step", 0.001)
    metrics.took("commit", 0.002)
    metrics.loop_lag(0.5)
    metrics.inbox_depth(3)
    metrics.journal_bytes(4096)
    metrics.lost(3, 2, 1)
    figures = read(metrics)
    assert figures["step_seconds_sum"] == 0.001
    assert figures["commit_seconds_sum"] == 0.002
    assert figures["loop_lag_seconds_bucket{le=0.25}"] == 0
    assert figures["loop_lag_seconds_bucket{le=1.0}"] == 1
    assert (figures["inbox_depth"], figures["journal_bytes"]) == (3, 4096)
    lost = figures["inbox_superseded_books"], figures["inbox_dropped_trades"], figures["tape_lost_inputs"]
    assert lost == (3, 2, 1)


def test_what_the_venues_room_counts_is_shown(metrics: Metrics) -> None:
    counters = metrics.counters
    counters.feed_message("book")
    counters.checksum_failed("BTC/USD")
    counters.reconnected()
    counters.gate_refused("gate_dotted")
    counters.kraken_request("Balance", 0.2, "")
    counters.kraken_request("Balance", 0.2, "venue_rate_limit")
    counters.kraken_refused("add_order", "venue_funds")
    counters.throttled("rest", "EAPI:Rate limit exceeded")
    counters.show_counter("BTC/USD", iter((4500, 3250)).__next__)
    figures = read(metrics)
    assert figures["feed_messages_total{channel=book}"] == 1
    assert figures["book_checksum_failures_total"] == 1
    assert figures["reconnects_total"] == 1
    assert figures["gate_refusals_total{reason=gate_dotted}"] == 1
    assert figures["kraken_request_seconds_count{endpoint=Balance}"] == 2
    assert figures["kraken_errors_total{code=venue_rate_limit,endpoint=Balance}"] == 1
    assert figures["kraken_errors_total{code=venue_funds,endpoint=add_order}"] == 1
    assert figures["kraken_throttled_total{transport=rest}"] == 1
    assert figures["kraken_throttled_total{transport=ws}"] == 0
    assert figures["kraken_counter{pool=BTC/USD}"] == 4.5
    assert read(metrics)["kraken_counter{pool=BTC/USD}"] == 3.25, "points are asked for at each scrape"


@pytest.mark.parametrize("accept", [OPENMETRICS, "application/openmetrics-text;version=x,*/*;q=0.1"])
def test_open_metrics_is_spoken_where_it_is_asked_for(metrics: Metrics, accept: str) -> None:
    tell(metrics, sample(RunStarted))
    body, media_type = metrics.expose(accept)
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"# EOF\n")
    families: Any = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"aether_facts", "aether_build"}


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain; version=abc", "\x00"])
def test_any_other_wish_gets_the_text_format(metrics: Metrics, accept: str) -> None:
    body, media_type = metrics.expose(accept)
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    assert list(parse_text(body.decode()))


def test_counters_have_no_series_beside_them(metrics: Metrics) -> None:
    metrics.counters.reconnected()
    assert not [name for name in read(metrics) if "_created" in name]


def test_two_sets_of_metrics_share_nothing() -> None:
    first, second = Metrics(HandClock()), Metrics(HandClock())
    first.counters.reconnected()
    assert read(second)["reconnects_total"] == 0


def test_the_divergence_of_the_shadow_is_unknown_until_an_order_was_compared(metrics: Metrics) -> None:
    assert math.isnan(read(metrics)["shadow_divergence_bps"])
    metrics.shadow_divergence(D("-1.25"))
    assert read(metrics)["shadow_divergence_bps"] == -1.25


def test_the_dead_mans_time_runs_down_while_nothing_is_published() -> None:
    clock = HandClock()
    metrics = Metrics(clock)
    assert math.isnan(read(metrics)["deadman_seconds"])

    metrics.show(sample(View, dead_man_trigger_ns=clock.now_ns + 60 * NANOS_PER_S))
    clock.now_ns += 45 * NANOS_PER_S
    assert read(metrics)["deadman_seconds"] == 15
