"""Every fact has its line, under the promised name, with fields that the log lets through."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import structlog

from aether.domain.actors import Actor, Role
from aether.domain.facts import (
    FACT_CLASSES,
    CommandAccepted,
    Decision,
    Fact,
    HoldBegan,
    HoldEnded,
    Numbered,
    OrderEnded,
    OrderFilled,
    OrderSubmitted,
    RunStarted,
    TradingHalted,
)
from aether.domain.inputs import Resume
from aether.domain.orders import AssetAmount, VenueStatus
from aether.domain.values import Qty, Usd, UtcNanos
from aether.observe.fact_log import LINES, FactLog, fields_of
from aether.observe.log import FIELDS, start_log

# What outside scripts are written against.
PROMISED = {
    *("lifecycle.started", "lifecycle.stopping", "lifecycle.ended", "size.decided", "risk.refused", "order.sent"),
    *("order.acked", "order.live", "order.unknown", "order.absent", "order.filled", "order.rejected"),
    "order.amended",
    "deadman.armed",
    "deadman.fired",
    *("recon.clean", "recon.difference", "halt.set", "halt.released", "signal.changed"),
}


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


class FixedClock:
    def wall_ns(self) -> UtcNanos:
        return UtcNanos(0)

    def monotonic_ns(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(*facts: Fact) -> list[dict[str, Any]]:
    stream = io.StringIO()
    log = start_log(FixedClock(), stream, style="json", strict=True)
    FactLog().observe([Numbered(5, 2, UtcNanos(0), 9, fact) for fact in facts])
    log.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_table_covers_all_facts_and_nothing_else() -> None:
    assert set(LINES) == set(FACT_CLASSES)


def test_every_promised_event_is_in_the_table() -> None:
    assert {line.event for lines in LINES.values() for line in lines} >= PROMISED


@pytest.mark.parametrize("cls", FACT_CLASSES, ids=lambda cls: cls.__name__)
def test_every_fact_makes_its_lines_and_tells_where_it_stands(cls: type[Fact]) -> None:
    lines = logged(sample(cls))
    assert len(lines) == len(LINES[cls])
    for line in lines:
        assert (line["run"], line["input"], line["fact"]) == (2, 9, 5)
        assert list(line) == [name for name in FIELDS if name in line]


@pytest.mark.parametrize("cls", FACT_CLASSES, ids=lambda cls: cls.__name__)
def test_every_fact_names_the_order_symbol_or_strategy_it_is_about(cls: type[Fact]) -> None:
    fact = sample(cls)
    about = {name for name in ("symbol", "strategy", "cl_ord_id", "code", "request_id") if hasattr(fact, name)}
    for line in LINES[cls]:
        told = set(fields_of(line, fact))
        assert about - told <= ({"code"} if cls is not TradingHalted else set())


def test_a_submission_tells_its_size_and_then_its_order() -> None:
    decision = sample(Decision, wanted=Usd(Decimal("600.00")), binding="cash")
    decided, sent = logged(sample(OrderSubmitted, cl_ord_id="ae1", qty=Qty(Decimal("0.0060")), decision=decision))
    assert (decided["event"], decided["wanted_usd"], decided["bound_by"]) == ("size.decided", "600.00", "cash")
    assert (sent["event"], sent["cl_ord_id"], sent["qty"]) == ("order.sent", "ae1", "0.0060")


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (VenueStatus.CANCELED, "order.cancelled"),
        (VenueStatus.EXPIRED, "order.expired"),
        (VenueStatus.FILLED, "order.ended"),
    ],
)
def test_an_order_ends_under_the_name_of_its_end(status: VenueStatus, event: str) -> None:
    (line,) = logged(sample(OrderEnded, status=status))
    assert (line["event"], line["status"]) == (event, status.value)


def test_holds_of_a_feed_are_told_as_the_feeds_state() -> None:
    facts: list[Fact] = [
        HoldBegan("feed", "symbol:A/USD", "x"),
        HoldEnded("feed", "symbol:A/USD"),
        HoldBegan("disk", "all", "x"),
    ]
    assert [line["event"] for line in logged(*facts, HoldEnded("disk", "all"))] == [
        "feed.stale",
        "feed.live",
        "hold.began",
        "hold.ended",
    ]


def test_the_mode_is_told_from_the_runs_first_fact_on() -> None:
    started = sample(RunStarted, real_money=True)
    before, run, after = logged(HoldEnded("disk", "all"), started, HoldEnded("disk", "all"))
    assert "mode" not in before
    assert (run["mode"], after["mode"]) == ("live", "live")


def test_a_fill_is_told_with_its_fees_to_the_last_digit() -> None:
    (line,) = logged(sample(OrderFilled, fees=(AssetAmount("USD", Decimal("0.00260")),)))
    assert (line["event"], line["fees"]) == ("order.filled", ["0.00260 USD"])


def test_a_command_is_told_with_its_actor_and_its_kind() -> None:
    (line,) = logged(CommandAccepted("r1", Actor("uid:0", Role.OPERATOR), Resume("all", "x")))
    assert (line["actor"], line["command"], line["request_id"]) == ("uid:0", "Resume", "r1")
