"""A killed daemon's journal held against what the venue says: every row of one has its match in the other."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from tests.processes import KeptFact

ASSETS = {"ZUSD": "USD", "XXBT": "BTC", "XETH": "ETH"}  # Kraken's older names, as its REST interface tells them
NANOS_PER_S = 10**9

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class VenueSide:
    """The account as REST tells it, to the last page: balances by asset, orders, trades and ledger entries by id."""

    balances: Mapping[str, str]
    open_orders: Rows
    closed_orders: Rows
    trades: Rows
    entries: Rows


class JournalSide:
    """Facts of a journal file, read on from where the last look ended."""

    def __init__(self) -> None:
        self.facts: list[KeptFact] = []
        self.under_way: set[str] = set()

    @property
    def last_seq(self) -> int:
        """The last row that was read; 0 before the first."""
        return self.facts[-1].seq if self.facts else 0

    def read_on(self, path: Path | None) -> list[KeptFact]:
        """What was written since the last look; nothing while the file is not made."""
        if path is None:
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            try:
                rows = database.execute(
                    "SELECT seq, run, at_ns, kind, body FROM facts WHERE seq > ? ORDER BY seq", [self.last_seq]
                ).fetchall()
            except sqlite3.OperationalError:  # it is being made
                return []
        new = [KeptFact(seq, run, at_ns, kind, orjson.loads(body)) for seq, run, at_ns, kind, body in rows]
        for fact in new:
            if fact.kind == "OrderSubmitted":
                self.under_way.add(fact.body["cl_ord_id"])
            elif fact.kind in ("OrderEnded", "OrderRefused", "OrderAbsent"):
                self.under_way.discard(fact.body["cl_ord_id"])
        self.facts += new
        return new

    def of(self, *kinds: str) -> Iterator[KeptFact]:
        """Facts of these kinds, in order."""
        return (fact for fact in self.facts if fact.kind in kinds)

    def by_order(self, *kinds: str) -> dict[str, KeptFact]:
        """The last fact of these kinds of each client order id."""
        return {fact.body["cl_ord_id"]: fact for fact in self.of(*kinds)}


def differences(journal: JournalSide, venue: VenueSide) -> list[str]:
    """Whatever one side knows and the other does not, one sentence each. Empty where the two tell the same story."""
    checks: tuple[Callable[[JournalSide, VenueSide], Iterable[str]], ...] = (
        _orders_sent_once,
        _orders_known,
        _orders_filled_alike,
        _fills,
        _balances,
        _entries,
    )
    return [sentence for check in checks for sentence in check(journal, venue)]


def _orders_sent_once(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    submitted = Counter(fact.body["cl_ord_id"] for fact in journal.of("OrderSubmitted"))
    at_venue = Counter(order["cl_ord_id"] for order in _orders(venue).values())
    for name, count in submitted.items():
        if count > 1:
            yield f"{name} was committed {count} times"
    for name, count in at_venue.items():
        if count > 1:
            yield f"{name} is {count} orders at the venue"


def _orders_known(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    submitted, orders = journal.by_order("OrderSubmitted"), _orders(venue)
    at_venue = {order["cl_ord_id"]: order for order in orders.values()}
    never_lived = journal.by_order("OrderAbsent", "OrderRefused")
    for name, order in at_venue.items():
        if name not in submitted:
            yield f"{name} is at the venue and was never committed"
        # The venue tells its time as a float of seconds, which is a microsecond coarse.
        elif Decimal(str(order["opentm"])) * NANOS_PER_S < submitted[name].at_ns - 1000:
            yield f"{name} is older at the venue than its fact"
        if name in never_lived:
            yield f"{name} is at the venue and was believed never to have lived"
    for name in submitted.keys() - at_venue.keys() - never_lived.keys():
        yield f"{name} is not at the venue, and the journal does not know that"
    for order in venue.open_orders.values():
        yield f"{order['cl_ord_id']} is still open at the venue"
    for name in sorted(journal.under_way):
        yield f"{name} has no end in the journal"


def _orders_filled_alike(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    filled: dict[str | None, Decimal] = defaultdict(Decimal)
    for fact in journal.of("OrderFilled"):
        filled[fact.body["cl_ord_id"]] += Decimal(fact.body["qty"])
    for order in _orders(venue).values():
        name, at_venue = order["cl_ord_id"], Decimal(order["vol_exec"])
        if filled[name] != at_venue:
            yield f"{name} filled {at_venue} at the venue and {filled[name]} in the journal"
    if filled[None]:
        yield f"{filled[None]} coins were filled by nobody"


def _fills(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    booked = Counter(fact.body["exec_id"] for fact in journal.of("OrderFilled"))
    for exec_id, count in booked.items():
        if count > 1:
            yield f"{exec_id} was booked {count} times"
        if exec_id not in venue.trades:
            yield f"{exec_id} was invented"
    for exec_id in venue.trades.keys() - booked.keys():
        yield f"{exec_id} was lost"
    for fact in journal.of("OrderFilled"):
        trade = venue.trades.get(fact.body["exec_id"])
        fees = sum(Decimal(fee["amount"]) for fee in fact.body["fees"])
        told = (Decimal(fact.body["qty"]), Decimal(fact.body["price"]), Decimal(fact.body["cost"]), fees)
        if trade and told != tuple(Decimal(trade[name]) for name in ("vol", "price", "cost", "fee")):
            yield f"{fact.body['exec_id']} is {trade} at the venue and {fact.body} in the journal"


def _balances(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    """Opening balances and fills of the journal, summed here anew, against what the venue holds."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for balance in next((fact.body["balances"] for fact in journal.of("AccountOpened")), ()):
        sums[balance["asset"]] += Decimal(balance["total"])
    for fact in journal.of("OrderFilled"):
        sign = 1 if fact.body["side"] == "buy" else -1
        sums[fact.body["symbol"].removesuffix("/USD")] += sign * Decimal(fact.body["qty"])
        sums["USD"] -= sign * Decimal(fact.body["cost"])
        for fee in fact.body["fees"]:
            sums[fee["asset"]] -= Decimal(fee["amount"])
    yield from _unequal("the journal's sums", sums, venue)


def _entries(journal: JournalSide, venue: VenueSide) -> Iterator[str]:
    """The venue's own ledger: opening balance and its entries are the balance, and each trade has its entries."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for balance in next((fact.body["balances"] for fact in journal.of("AccountOpened")), ()):
        sums[balance["asset"]] += Decimal(balance["total"])
    opened_ns = next((fact.body["as_of_ns"] for fact in journal.of("AccountOpened")), 0)
    for entry in venue.entries.values():
        if Decimal(str(entry["time"])) * NANOS_PER_S > opened_ns:
            sums[_v2(entry["asset"])] += Decimal(entry["amount"]) - Decimal(entry["fee"])
    yield from _unequal("the venue's ledger", sums, venue)
    told = {entry["refid"] for entry in venue.entries.values() if entry["type"] == "trade"}
    for exec_id in told ^ venue.trades.keys():
        yield f"{exec_id} is a trade or a ledger entry, and not both"


def _unequal(what: str, sums: Mapping[str, Decimal], venue: VenueSide) -> Iterator[str]:
    held = {_v2(asset): Decimal(total) for asset, total in venue.balances.items()}
    for asset in sorted(sums.keys() | held.keys()):
        if sums.get(asset, Decimal(0)) != held.get(asset, Decimal(0)):
            yield f"{what} say {sums.get(asset, 0)} {asset}, the venue holds {held.get(asset, 0)}"


def _orders(venue: VenueSide) -> dict[str, Mapping[str, Any]]:
    return {**venue.closed_orders, **venue.open_orders}


def _v2(asset: str) -> str:
    return ASSETS.get(asset, asset)
