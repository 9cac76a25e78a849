"""Rows that are seen by coincidence: in facts of the journal, and in what the judge counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.domain.facts import (
    CancelRefused,
    CancelRequested,
    DifferenceFound,
    Fact,
    Numbered,
    OrderEnded,
    OrderFilled,
    OrderRefused,
)
from aether.domain.instruments import Side
from aether.domain.orders import Liquidity, VenueStatus
from aether.domain.values import Price, Qty, Usd, UtcNanos
from aether.simulator.faults.sightings import sighted

D = Decimal


def fill(cl_ord_id: str | None, source: str = "executions") -> OrderFilled:
    return OrderFilled(
        exec_id="T1",
        order_id="O1",
        cl_ord_id=cl_ord_id,
        strategy=None,
        name="BTC/USD",
        symbol=None,
        side=Side.BUY,
        qty=Qty(D(1)),
        price=Price(D(10)),
        cost=Usd(D(10)),
        fees=(),
        liquidity=Liquidity.TAKER,
        venue_ns=UtcNanos(1),
        source=source,
    )


def ended(cl_ord_id: str) -> OrderEnded:
    return OrderEnded(cl_ord_id, "O1", VenueStatus.CANCELED, "User requested", None, "executions")


def story(*facts: Fact) -> list[Any]:
    return [Numbered(seq, 1, UtcNanos(seq), seq, fact) for seq, fact in enumerate(facts, start=1)]


@pytest.mark.parametrize(
    ("facts", "rows"),
    [
        (story(fill(None)), {"E10": 1}),
        (story(fill("a", source="trades")), {"A20": 1}),
        (story(fill("a"), CancelRequested("a", "late"), ended("a")), {"A16": 1}),
        (story(fill("a"), ended("a")), {}),
        (story(*[CancelRequested("a", "late")] * 3), {"A15": 1}),
        (story(CancelRefused("a", "EOrder:Unknown order")), {"A17": 1}),
        (story(CancelRefused("a", "EService:Busy")), {}),
        (story(OrderRefused("a", "venue_funds", "EOrder:Insufficient funds")), {"A28": 1}),
        (story(OrderRefused("a", "venue_other", "EOrder:?")), {}),
        (story(DifferenceFound("BTC", D(1), D(2), "unexplained")), {"A21": 1}),
    ],
    ids=str,
)
def test_rows_are_seen_in_facts(facts: list[Any], rows: dict[str, int]) -> None:
    assert sighted(facts, {}) == rows


def test_rows_are_seen_in_what_the_judge_counts() -> None:
    seen = {"fill before ack": 3, "unknown resolved to absent": 2, "edge open filled": 9, "recovered": 4}
    assert sighted([], seen) == {"A08": 3, "A03": 2}
