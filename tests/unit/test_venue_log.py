"""What goes wrong at the venue is counted and logged, under the names that scripts are written against."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from aether.observe.log import start_log
from aether.observe.metrics import Metrics
from aether.observe.venue_log import VenueLog
from aether.runtime.clock import SystemClock


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(SystemClock())


def lines_of(metrics: Metrics, act: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    log = start_log(SystemClock(), stream, style="json", strict=True)
    act(VenueLog(metrics.counters))
    log.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{name: value for name, value in line.items() if name != "timestamp"} for line in lines]


def figures(metrics: Metrics) -> str:
    return metrics.expose("")[0].decode()


def test_an_error_of_either_transport_is_a_line_and_a_figure(metrics: Metrics) -> None:
    def act(heard: VenueLog) -> None:
        heard.kraken_request("balances", 0.25, "")
        heard.kraken_request("balances", 0.25, "rate_limit")
        heard.kraken_refused("add_order", "venue_funds")

    error = {"level": "warning", "event": "kraken.error"}
    assert lines_of(metrics, act) == [
        {**error, "code": "rate_limit", "endpoint": "balances", "seconds": 0.25, "transport": "rest"},
        {**error, "code": "venue_funds", "endpoint": "add_order", "transport": "ws"},
    ]
    assert 'aether_kraken_errors_total{code="venue_funds",endpoint="add_order"} 1.0' in figures(metrics)
    assert 'aether_kraken_request_seconds_count{endpoint="balances"} 2.0' in figures(metrics)


def test_a_throttle_is_a_line_and_a_figure(metrics: Metrics) -> None:
    (line,) = lines_of(metrics, lambda heard: heard.throttled("ws", "EOrder:Rate limit exceeded"))

    assert (line["event"], line["transport"], line["why"]) == ("kraken.throttled", "ws", "EOrder:Rate limit exceeded")
    assert 'aether_kraken_throttled_total{transport="ws"} 1.0' in figures(metrics)


def test_a_book_that_does_not_add_up_is_named(metrics: Metrics) -> None:
    (line,) = lines_of(metrics, lambda heard: heard.checksum_failed("BTC/USD"))

    assert (line["event"], line["symbol"]) == ("book.checksum_failed", "BTC/USD")
    assert "aether_book_checksum_failures_total 1.0" in figures(metrics)


def test_what_comes_all_the_time_is_counted_and_not_logged(metrics: Metrics) -> None:
    def act(heard: VenueLog) -> None:
        heard.feed_message("book")
        heard.reconnected()
        heard.show_counter("rest", lambda: 2500)

    assert lines_of(metrics, act) == []
    assert 'aether_kraken_counter{pool="rest"} 2.5' in figures(metrics)
    assert "aether_reconnects_total 1.0" in figures(metrics)
