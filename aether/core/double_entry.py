"""Opening plus entries is the balance: what the venue's ledger adds to our sums, and what it says where they differ.

Pure, and nothing is invented: a row is booked once, by its id, as what it says. Rows of trades are tied to the fills by
the execution's id. Kraken books dollars with four decimals where its trades have five (captured rows and `Assets`), so
that a fill alone misses the balance by less than a hundredth of a cent: what its rows say beside it is booked too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from itertools import pairwise

from aether.core.ledger import Ledger
from aether.core.portfolio import USD, moves_of
from aether.domain.entries import AccountEntry, nature_of
from aether.domain.facts import LedgerEntryBooked
from aether.domain.inputs import AccountSeen
from aether.domain.values import MONEY, ZERO, UtcNanos, plain

TRADE = "trade"

# The last digit of the ledger: Kraken's `Assets` has four decimals of a dollar, and of a coin no fewer than its lots
# have. Amount and fee are each rounded, so that a row is less than two of them apart from its fill.
_LAST_DIGIT: Mapping[str, Decimal] = {USD: Decimal("0.0001")}
_LAST_DIGIT_OF_COINS = Decimal("0.00000001")


def entry_facts(ledger: Ledger, account: AccountSeen) -> Iterator[LedgerEntryBooked]:
    """Rows that move our sums and are not booked yet. Each must be folded before the next is asked for."""
    for rows in _rows_of_trades(account.entries).values():
        if not any(row.entry_id in ledger.entry_ids for row in rows):
            moved = _beside_the_fill(ledger, rows)
            if moved and _may_correct(ledger, rows[0], moved):
                yield _booked(rows[0], moved)
    opened_ns = ledger.account_as_of_ns
    for entry in account.entries:
        is_news = entry.kind != TRADE and entry.entry_id not in ledger.entry_ids
        if is_news and opened_ns is not None and entry.venue_ns > max(opened_ns, ledger.booked_until_ns):
            yield _booked(entry, entry.net)


def _booked(entry: AccountEntry, moved: Decimal) -> LedgerEntryBooked:
    return LedgerEntryBooked(
        entry_id=entry.entry_id,
        refid=entry.refid,
        kind=entry.kind,
        subtype=entry.subtype,
        nature=nature_of(entry.kind, entry.subtype),
        asset=entry.asset,
        amount=entry.amount,
        fee=entry.fee,
        balance=entry.balance,
        moved=moved,
        venue_ns=UtcNanos(entry.venue_ns),
    )


def _rows_of_trades(entries: Sequence[AccountEntry]) -> dict[tuple[str, str], list[AccountEntry]]:
    """By execution and asset: one row each on Kraken, and if they were several their sum would count."""
    found: dict[tuple[str, str], list[AccountEntry]] = {}
    for entry in entries:
        if entry.kind == TRADE:
            found.setdefault((entry.refid, entry.asset), []).append(entry)
    return found


def _beside_the_fill(ledger: Ledger, rows: Sequence[AccountEntry]) -> Decimal:
    """What the rows of a trade moved their asset more than its fill did; 0 where it is not known, or agreed before."""
    fill = ledger.untied.get(rows[0].refid)
    if fill is None:
        return ZERO
    moved = reduce(MONEY.add, (row.net for row in rows), ZERO)
    return MONEY.subtract(moved, moves_of(fill).get(rows[0].asset, ZERO))


def _may_correct(ledger: Ledger, row: AccountEntry, moved: Decimal) -> bool:
    """The ledger's word stands for trades of other people, and within its own rounding for ours."""
    last_digit = _LAST_DIGIT.get(row.asset, _LAST_DIGIT_OF_COINS)
    return ledger.untied[row.refid].cl_ord_id is None or abs(moved) < last_digit * 2


def opened_ns(account: AccountSeen, guess_ns: int) -> int:
    """Venue time that the balances of a first look are of: what happened later comes on top of them.

    `guess_ns` is when they were asked for, by our clock. Rows that stand in a balance already, or follow it, know
    better: each tells the sum after it.
    """
    totals = {balance.asset: balance.total for balance in account.balances}
    inside, outside = [0], [guess_ns + 1]
    for asset in dict.fromkeys(entry.asset for entry in account.entries):
        rows = [entry for entry in account.entries if entry.asset == asset]
        count = _count_inside(rows, totals.get(asset, ZERO))
        if count is not None:
            inside += [row.venue_ns for row in rows[:count]]
            outside += [row.venue_ns for row in rows[count:]]
    return max(*inside, min(guess_ns, min(outside) - 1))


def _count_inside(rows: Sequence[AccountEntry], total: Decimal) -> int | None:
    """How many of an asset's rows, oldest first, stand in its balance; None where they do not meet it at all."""
    for count in range(len(rows), 0, -1):
        if rows[count - 1].balance == total:
            return count
    return 0 if rows[0].balance == MONEY.add(total, rows[0].net) else None


def evidence(ledger: Ledger, account: AccountSeen, asset: str) -> str:
    """What the ledger's rows of an asset say where its balance is not explained; empty where they say nothing."""
    rows = [entry for entry in account.entries if entry.asset == asset]
    return "; ".join(
        [
            *(f"{row.entry_id} is of trade {row.refid}, which nobody told" for row in rows if _is_untold(ledger, row)),
            *_disagreements(ledger, rows),
            *(f"a row is missing before {row.entry_id}" for row in _after_gaps(rows)),
        ]
    )


def _is_untold(ledger: Ledger, row: AccountEntry) -> bool:
    return row.kind == TRADE and row.refid not in ledger.exec_ids and row.venue_ns > (ledger.account_as_of_ns or 0)


def _disagreements(ledger: Ledger, rows: Sequence[AccountEntry]) -> Iterator[str]:
    for of_one in _rows_of_trades(rows).values():
        moved = _beside_the_fill(ledger, of_one)
        if moved and not _may_correct(ledger, of_one[0], moved):
            yield f"{of_one[0].entry_id} moved {plain(moved)} beside trade {of_one[0].refid}"


def _after_gaps(rows: Sequence[AccountEntry]) -> Iterator[AccountEntry]:
    """Rows whose balance does not follow from the one before."""
    for before, row in pairwise(rows):
        if before.balance is None or row.balance is None:
            continue
        if MONEY.add(before.balance, row.net) != row.balance:
            yield row
