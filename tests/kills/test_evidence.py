"""The judge of the kills finds what it is there for: each difference between a journal and an account, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.kills.evidence import JournalSide, VenueSide, differences
from tests.processes import KeptFact

S = 10**9
FEE = {"asset": "USD", "amount": "0.4"}
FILL = {
    "exec_id": "T1",
    "cl_ord_id": "ae1",
    "symbol": "BTC/USD",
    "side": "buy",
    "qty": "1",
    "price": "100",
    "cost": "100",
    "fees": [FEE],
}
STORY: list[tuple[str, dict[str, Any]]] = [
    ("AccountOpened", {"as_of_ns": S, "balances": [{"asset": "USD", "total": "1000"}]}),
    ("OrderSubmitted", {"cl_ord_id": "ae1"}),
    ("OrderFilled", FILL),
    ("OrderEnded", {"cl_ord_id": "ae1"}),
    ("OrderSubmitted", {"cl_ord_id": "ae2"}),
    ("OrderAbsent", {"cl_ord_id": "ae2"}),
]
TRADE = {"vol": "1.0", "price": "100", "cost": "100", "fee": "0.4"}
COINS = {"type": "trade", "asset": "XXBT", "amount": "1", "fee": "0", "refid": "T1", "time": 5.0}
MONEY = {**COINS, "asset": "ZUSD", "amount": "-100", "fee": "0.4"}
DEPOSIT = {**MONEY, "type": "deposit", "amount": "1000", "fee": "0", "refid": "D1", "time": 0.5}
VENUE = VenueSide(
    balances={"ZUSD": "899.6", "XXBT": "1"},
    open_orders={},
    closed_orders={"O1": {"cl_ord_id": "ae1", "opentm": 4.5, "vol_exec": "1.0"}},
    trades={"T1": TRADE},
    entries={"L0": DEPOSIT, "L1": COINS, "L2": MONEY},
)


def journal(*told: tuple[str, dict[str, Any]]) -> JournalSide:
    """Facts of one run, each a second after the other; orders under way as their facts leave them."""
    side = JournalSide()
    side.facts = [KeptFact(seq, 1, seq * S, kind, body) for seq, (kind, body) in enumerate(told, start=1)]
    ended = {fact.body["cl_ord_id"] for fact in side.of("OrderEnded", "OrderRefused", "OrderAbsent")}
    side.under_way = {fact.body["cl_ord_id"] for fact in side.of("OrderSubmitted")} - ended
    return side


def test_two_sides_that_tell_the_same_story_do_not_differ() -> None:
    assert differences(journal(*STORY), VENUE) == []


def twice_at_venue(venue: VenueSide) -> VenueSide:
    return replace(venue, closed_orders={**venue.closed_orders, "O2": {**venue.closed_orders["O1"], "vol_exec": "0"}})


def unknown_order(venue: VenueSide) -> VenueSide:
    return replace(venue, closed_orders={**venue.closed_orders, "O2": {**ORDER, "cl_ord_id": "ae9", "vol_exec": "0"}})


ORDER = {"cl_ord_id": "ae1", "opentm": 4.5, "vol_exec": "1.0"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (twice_at_venue, "ae1 is 2 orders at the venue"),
        (unknown_order, "ae9 is at the venue and was never committed"),
        (lambda v: replace(v, closed_orders={"O1": {**ORDER, "opentm": 1.9}}), "ae1 is older at the venue than"),
        (lambda v: replace(v, closed_orders={"O1": {**ORDER, "vol_exec": "2"}}), "ae1 filled 2 at the venue and 1"),
        (lambda v: replace(v, closed_orders={}, open_orders={"O1": ORDER}), "ae1 is still open at the venue"),
        (lambda v: replace(v, trades={}), "T1 was invented"),
        (lambda v: replace(v, trades={**v.trades, "T2": TRADE}), "T2 was lost"),
        (lambda v: replace(v, trades={"T1": {**TRADE, "fee": "0.5"}}), "T1 is"),
        (lambda v: replace(v, balances={"ZUSD": "899.5", "XXBT": "1"}), "the journal's sums say 899.6 USD"),
        (lambda v: replace(v, entries={"L0": DEPOSIT, "L1": COINS}), "the venue's ledger say 1000 USD"),
        (
            lambda v: replace(v, entries={"L1": {**COINS, "refid": "T2"}, "L2": {**MONEY, "refid": "T2"}}),
            "T1 is a trade or a ledger entry",
        ),
    ],
)
def test_what_the_venue_tells_otherwise_is_found(change: Callable[[VenueSide], VenueSide], sentence: str) -> None:
    assert any(found.startswith(sentence) for found in differences(journal(*STORY), change(VENUE)))


@pytest.mark.parametrize(
    ("story", "sentence"),
    [
        ([*STORY, ("OrderSubmitted", {"cl_ord_id": "ae1"}), STORY[3]], "ae1 was committed 2 times"),
        (STORY[:-1], "ae2 is not at the venue, and the journal does not know that"),
        (STORY[:-1], "ae2 has no end in the journal"),
        ([*STORY, ("OrderRefused", {"cl_ord_id": "ae1"})], "ae1 is at the venue and was believed never to have lived"),
        ([*STORY, STORY[2]], "T1 was booked 2 times"),
        ([*STORY[:2], *STORY[3:]], "T1 was lost"),
        ([*STORY, ("OrderFilled", {**FILL, "exec_id": "T7", "cl_ord_id": None})], "1 coins were filled by nobody"),
    ],
)
def test_what_the_journal_tells_otherwise_is_found(story: list[tuple[str, dict[str, Any]]], sentence: str) -> None:
    assert any(found.startswith(sentence) for found in differences(journal(*story), VENUE))
