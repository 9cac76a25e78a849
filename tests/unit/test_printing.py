"""Answers for eyes: everything is there, as it is, and nothing in it is read as markup."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from aether import printing


@dataclass(frozen=True, slots=True)
class Leg:
    qty: Decimal
    note: str | None


@dataclass(frozen=True, slots=True)
class Report:
    ok: bool
    total: Decimal
    legs: tuple[Leg, ...]
    by_name: dict[str, Decimal]


@pytest.fixture
def shown() -> Callable[[printing.Show, Any], str]:
    """What a reader sees on a wide terminal."""

    def show(how: printing.Show, answer: Any) -> str:
        page = io.StringIO()
        how(Console(file=page, width=300), answer)
        return page.getvalue()

    return show


# --- plain values ---------------------------------------------------------------------------------------------------


def test_a_report_becomes_plain_values_with_decimals_as_text() -> None:
    report = Report(True, Decimal("1E+3"), (Leg(Decimal("0.10"), None),), {"BTC": Decimal("1.5")})  # noqa: FBT003
    assert printing.plain(report) == {
        "ok": True,
        "total": "1000",
        "legs": [{"qty": "0.10", "note": None}],
        "by_name": {"BTC": "1.5"},
    }


def test_keys_become_text() -> None:
    assert printing.plain({1: [2, ("x",)]}) == {"1": [2, ["x"]]}


# --- tables ---------------------------------------------------------------------------------------------------------

ORDERS = [
    {"cl_ord_id": "ae1", "symbol": "BTC/USD", "state": "open", "post_only": True, "limit_price_usd": "100.10"},
    {"cl_ord_id": "ae2", "symbol": "ETH/USD", "state": "done", "post_only": False, "limit_price_usd": "2.5"},
]


def test_a_list_is_a_table_with_a_line_for_each_record(shown: Any) -> None:
    page = shown(printing.rows, ORDERS)
    for name in ("ae1", "ETH/USD", "100.10", "post only"):
        assert name in page
    assert len(page.splitlines()) == 3


def test_a_record_of_one_list_is_that_list_with_the_columns_that_matter(shown: Any) -> None:
    page = shown(printing.rows, {"orders": ORDERS, "as_of": "2026-01-01T00:00:00Z"})
    assert "ae2" in page
    assert "post only" not in page


@pytest.mark.parametrize("answer", [[], {"orders": []}])
def test_nothing_is_said_in_a_word(shown: Any, answer: Any) -> None:
    assert shown(printing.rows, answer) == "none\n"


def test_a_record_of_no_list_is_shown_field_by_field(shown: Any) -> None:
    page = shown(printing.rows, {"tail_hash": "ab", "why": None, "sums": {"BTC": "1.5"}})
    assert [line.split() for line in page.splitlines()] == [
        ["tail", "hash", "ab"],
        ["why", "-"],
        ["sums", "BTC=1.5"],
    ]


def test_a_field_that_a_row_lacks_is_a_dash(shown: Any) -> None:
    assert shown(printing.rows, [{"a": 1, "b": 2}, {"a": 3}]).splitlines()[2].split() == ["3", "-"]


def test_status_shows_the_account_and_then_each_part_that_is_not_empty(shown: Any) -> None:
    answer = {"equity_usd": "100000.5", "orders": ORDERS, "trades": [], "not_ready": ["hold feed: no book yet"]}
    page = shown(printing.status, answer)
    assert page.index("100000.5") < page.index("ae1")
    assert "trades" not in page


# --- the story of an order ------------------------------------------------------------------------------------------

DECISION = {
    "wanted": "1000",
    "quote": {"bid": "99.9", "ask": "100"},
    "costs": None,
    "binding": "cash_room",
    "allowances": [
        {"check": "order_value", "at_most": "5000", "because": "risk.order_usd_max"},
        {"check": "cash_room", "at_most": "900", "because": "90 % of 1000"},
    ],
}
STORY = {
    "facts": [
        {"seq": 7, "kind": "OrderSubmitted", "at": "12:00:00", "fact": {"cl_ord_id": "ae1", "decision": DECISION}},
        {"seq": 9, "kind": "OrderRefused", "at": "12:00:01", "fact": {"code": "venue_funds"}},
    ]
}


def test_a_story_tells_each_fact_in_order_and_each_check_of_the_decision(shown: Any) -> None:
    page = shown(printing.story, STORY)
    places = [page.index(word) for word in ("OrderSubmitted", "ae1", "99.9", "order_value", "cash_room", "venue_funds")]
    assert "90 % of 1000" in page
    assert places[0] < places[1] < places[2]
    assert places[-1] == max(places)


def test_the_check_that_bound_is_marked(shown: Any) -> None:
    (marked,) = [line for line in shown(printing.story, STORY).splitlines() if "->" in line]
    assert "cash_room" in marked


def test_a_story_does_not_change_what_it_tells(shown: Any) -> None:
    before = repr(STORY)
    shown(printing.story, STORY)
    assert repr(STORY) == before


def test_a_story_may_come_as_a_bare_list(shown: Any) -> None:
    assert shown(printing.story, STORY["facts"]) == shown(printing.story, STORY)


# --- what people and the venue write --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[/red]", "[bold]x", "EOrder:[unknown]", "a [link=http://x]b[/link]"])
def test_text_of_others_is_shown_as_it_is(shown: Any, text: str) -> None:
    assert text in shown(printing.record, {"reason": text})
    assert text in shown(printing.rows, [{"why": text}])
    allowance = {"check": "cash_room", "at_most": "1", "because": text}
    told = {"seq": 1, "kind": "IntentRefused", "fact": {"why": text, "decision": {"allowances": [allowance]}}}
    assert shown(printing.story, [told]).count(text) == 2
