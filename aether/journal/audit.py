"""Questions to a journal: is it whole, what do its fills add up to, what happened to an order, who did what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from aether.domain.errors import JournalBroken
from aether.domain.facts import (
    AccountOpened,
    DifferenceAccepted,
    Fact,
    LedgerEntryBooked,
    Numbered,
    OrderFilled,
    Reconciled,
    RunStarted,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance
from aether.domain.values import MONEY, ZERO, plain
from aether.journal.reader import JournalReader
from aether.journal.sqlite import read_only

_ID_FIELDS = ("intent_id", "cl_ord_id", "order_id", "exec_id", "entry_id", "refid")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a look through a whole journal found.

    `rows` and `runs` count what is good, up to the first bad row. `sums` is, for each asset, what the account opened
    with plus all fills, their fees, rows of the venue's ledger and accepted differences, exactly. `tail_hash` stands
    for all rows: kept elsewhere, it proves them later.
    """

    ok: bool
    rows: int
    runs: int
    sums: tuple[AssetAmount, ...]
    tail_hash: str
    first_bad_seq: int | None
    why: str


async def verify(path: Path) -> VerifyReport:
    """Check every row of the journal at `path`: its pages, its chain, that it can be read, that no fill counts twice.

    Wherever the journal says that it agreed with the venue's account, the sums up to there must be that account.
    A daemon may be writing it meanwhile. Raises BadConfiguration where there is no journal at all.
    """
    try:
        async with read_only(path) as journal:
            return await verify_open(journal)
    except JournalBroken as error:
        return _Tally().report(ok=False, first_bad_seq=error.seq, why=str(error))


async def verify_open(journal: JournalReader) -> VerifyReport:
    """As `verify`, for a journal that is open already: its own writer's, or one on a made disk."""
    tally = _Tally()
    try:
        await journal.check_file()
        await _walk(journal, tally)
    except JournalBroken as error:
        return tally.report(ok=False, first_bad_seq=error.seq, why=str(error))
    return tally.report(ok=True, first_bad_seq=None, why="")


def why(facts: Sequence[Numbered], asked: str) -> tuple[Numbered, ...]:
    """The whole story of an order, in order, its decision first.

    `asked` is an intent id, a client order id, the venue's order id or the id of one of its executions. Ids that stand
    in one fact belong together, whichever of them was asked for. Empty where no fact knows it.
    """
    ids = {asked}
    while True:
        story = tuple([numbered for numbered in facts if not ids.isdisjoint(_ids_in(numbered.fact))])
        found = {name for numbered in story for name in _ids_in(numbered.fact)}
        if found <= ids:
            return story
        ids |= found


async def story(journal: JournalReader, asked: str) -> tuple[Numbered, ...]:
    """As `why`, without reading what has nothing to do with it: a journal may be years long."""
    names = {asked}
    while True:
        facts = why(await journal.mentioning(sorted(names)), asked)
        found = {name for numbered in facts for name in _ids_in(numbered.fact)}
        if found <= names:
            return facts
        names |= found


async def _walk(journal: JournalReader, tally: _Tally) -> None:
    # Asked before the walk: a daemon may append while it goes on, and more rows than promised are no fault.
    promised = await journal.last_seq_ever()
    async for numbered in journal.read():
        tally.take(numbered)
    tally.tail_hash = (await journal.hash_of(tally.rows)).hex()
    if tally.rows < promised:
        raise JournalBroken(
            f"row {tally.rows + 1} is missing: the journal ends at {tally.rows}, and {promised} was written",
            seq=tally.rows + 1,
        )


def _ids_in(fact: Fact) -> list[str]:
    ids = (getattr(fact, name, None) for name in _ID_FIELDS)
    return [name for name in ids if name]


@dataclass(slots=True)
class _Tally:
    """What has been added up so far."""

    rows: int = 0
    runs: int = 0
    tail_hash: str = ""
    sums: dict[str, Decimal] = field(default_factory=dict)
    exec_ids: set[str] = field(default_factory=set)
    entry_ids: set[str] = field(default_factory=set)

    def take(self, numbered: Numbered) -> None:
        match numbered.fact:
            case RunStarted():
                self.runs += 1
            case AccountOpened(balances=balances):
                self.sums = {balance.asset: balance.total for balance in balances}
            case DifferenceAccepted(asset=asset, amount=amount):
                self._add(asset, amount)
            case LedgerEntryBooked() as entry:
                self._add_entry(entry, numbered.seq)
            case OrderFilled() as fill:
                self._add_fill(fill, numbered.seq)
            case Reconciled(balances=balances):
                self._compare(balances, numbered.seq)
            case _:
                pass
        self.rows = numbered.seq

    def report(self, *, ok: bool, first_bad_seq: int | None, why: str) -> VerifyReport:
        sums = tuple(AssetAmount(asset, self.sums[asset]) for asset in sorted(self.sums))
        return VerifyReport(ok, self.rows, self.runs, sums, self.tail_hash, first_bad_seq, why)

    def _add_fill(self, fill: OrderFilled, seq: int) -> None:
        """Coins one way, money the other, and fees go. A pair without a known name moves nothing that we could name."""
        if fill.exec_id in self.exec_ids:
            raise JournalBroken(f"row {seq} counts execution {fill.exec_id} a second time", seq=seq)
        self.exec_ids.add(fill.exec_id)
        base, slash, quote = (fill.symbol or fill.name).partition("/")
        if not slash:
            return
        sign = 1 if fill.side is Side.BUY else -1
        self._add(base, sign * fill.qty.coins)
        self._add(quote, -sign * fill.cost.amount)
        for fee in fill.fees:
            self._add(fee.asset, -fee.amount)

    def _add_entry(self, entry: LedgerEntryBooked, seq: int) -> None:
        if entry.entry_id in self.entry_ids:
            raise JournalBroken(f"row {seq} counts ledger row {entry.entry_id} a second time", seq=seq)
        self.entry_ids.add(entry.entry_id)
        self._add(entry.asset, entry.moved)

    def _add(self, asset: str, amount: Decimal) -> None:
        self.sums[asset] = MONEY.add(self.sums.get(asset, ZERO), amount)

    def _compare(self, balances: Sequence[AssetBalance], seq: int) -> None:
        agreed = {balance.asset: balance.total for balance in balances}
        for asset in {**agreed, **self.sums}:
            added_up, booked = self.sums.get(asset, ZERO), agreed.get(asset, ZERO)
            if added_up != booked:
                raise JournalBroken(
                    f"row {seq} agrees with an account of {plain(booked)} {asset}; the rows before it add up to "
                    f"{plain(added_up)}",
                    seq=seq,
                )
