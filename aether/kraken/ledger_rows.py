"""Kraken's ledger over REST, read into the house's words. Source: Kraken docs, Get Ledgers Info; captured answers."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from aether.domain.entries import AccountEntry
from aether.kraken.listings import AssetNames
from aether.kraken.shapes import ABSENT, Raw, is_there
from aether.kraken.strict_json import decode, exact, not_negative, printable, seconds_to_nanos


class _EntryShape(msgspec.Struct):
    type: str
    time: Raw
    asset: str
    amount: Raw
    fee: Raw
    refid: str | None = None
    subtype: str | None = None
    balance: Raw = ABSENT


class _LedgersShape(msgspec.Struct):
    ledger: dict[str, _EntryShape]
    count: Raw = ABSENT  # a number, or a text that holds one (both are captured)


_LEDGERS = msgspec.json.Decoder(_LedgersShape)


@dataclass(frozen=True, slots=True)
class LedgersPage:
    """Rows of one answer, newest first; `count` is what there is in all, None where not told."""

    entries: tuple[AccountEntry, ...]
    rows: int
    count: int | None


def read_ledgers(result: Raw | bytes, names: AssetNames) -> LedgersPage:
    """One page of a `Ledgers` result under v2 asset names. Raises Unreadable.

    A kind of row that nobody knows is no error here: its word goes on as it is, for whoever weighs it.
    """
    page = decode(_LEDGERS, result)
    entries = tuple(_entry(entry_id, row, names) for entry_id, row in page.ledger.items())
    count = int(not_negative(page.count, "count")) if is_there(page.count) else None
    return LedgersPage(entries, len(entries), count)


def _entry(entry_id: str, row: _EntryShape, names: AssetNames) -> AccountEntry:
    return AccountEntry(
        entry_id=entry_id,
        refid=row.refid or "",
        kind=printable(row.type),
        subtype=printable(row.subtype or ""),
        asset=names.v2(row.asset),
        amount=exact(row.amount, "amount"),
        fee=exact(row.fee, "fee"),
        balance=exact(row.balance, "balance") if is_there(row.balance) else None,
        venue_ns=seconds_to_nanos(row.time, "time"),
    )
