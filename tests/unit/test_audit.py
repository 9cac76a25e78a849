from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from aether.domain.actors import Actor, Role
from aether.domain.entries import Nature
from aether.domain.errors import BadConfiguration
from aether.domain.facts import (
    AccountOpened,
    DifferenceAccepted,
    Fact,
    HoldEnded,
    LedgerEntryBooked,
    Numbered,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderRefused,
    Reconciled,
    RunStarted,
)
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance, Liquidity, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import Price, Qty, Usd, UtcNanos
from aether.journal.audit import story, verify, why
from aether.journal.sqlite import open_journal, read_only

PERSON = Actor("uid:1000", Role.OPERATOR)


def numbered(facts: Sequence[Fact]) -> list[Numbered]:
    return [Numbered(seq, 1, UtcNanos(seq), seq, fact) for seq, fact in enumerate(facts, 1)]


def fill(
    exec_id: str, side: Side, qty: str, cost: str, *fees: tuple[str, str], name: str = "BTC/USD", order_id: str = "O1"
) -> OrderFilled:
    return OrderFilled(
        exec_id=exec_id,
        order_id=order_id,
        cl_ord_id="c1",
        strategy="trend",
        name=name,
        symbol=recall(name) if name == "BTC/USD" else None,
        side=side,
        qty=Qty(Decimal(qty)),
        price=Price(Decimal(cost) / Decimal(qty)),
        cost=Usd(Decimal(cost)),
        fees=tuple(AssetAmount(asset, Decimal(amount)) for asset, amount in fees),
        liquidity=Liquidity.TAKER,
        venue_ns=UtcNanos(1),
        source="executions",
    )


def balances(**totals: str) -> tuple[AssetBalance, ...]:
    return tuple(AssetBalance(asset, Decimal(total), Decimal(0)) for asset, total in totals.items())


RUN = RunStarted(1, "ab12", "sandbox", "sandbox", real_money=False, code_version="1", settings_digest="d", seed=1)
DAY: list[Fact] = [
    RUN,
    AccountOpened(UtcNanos(0), balances(USD="1000.00", BTC="0")),
    fill("T1", Side.BUY, "0.5", "500.10", ("USD", "1.30")),
    fill("T2", Side.SELL, "0.2", "210", ("USD", "0.55"), ("BTC", "0.001")),
    fill("T3", Side.SELL, "2", "30", ("EUR", "0.05"), name="ETH/EUR"),
    fill("T4", Side.BUY, "7", "7", ("USD", "9"), name="XODDPAIR"),
]
AFTER = {"USD": "708.05", "BTC": "0.299", "ETH": "-2", "EUR": "29.95"}


async def written(path: Path, facts: Sequence[Fact]) -> Path:
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=UtcNanos(1)) as journal:
        await journal.append(numbered(facts))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# --- verify ---------------------------------------------------------------------------------------------------------


async def test_a_whole_journal_is_good_and_its_sums_are_exact(path: Path) -> None:
    report = await verify(await written(path, [*DAY, RUN]))

    assert (report.ok, report.rows, report.runs) == (True, 7, 2)
    assert (report.first_bad_seq, report.why) == (None, "")
    assert {entry.asset: str(entry.amount) for entry in report.sums} == AFTER
    assert [entry.asset for entry in report.sums] == ["BTC", "ETH", "EUR", "USD"]


async def test_an_empty_journal_is_good(path: Path) -> None:
    report = await verify(await written(path, []))

    assert (report.ok, report.rows, report.runs, report.sums) == (True, 0, 0, ())


async def test_the_hash_of_the_tail_stands_for_every_row(path: Path, tmp_path: Path) -> None:
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=UtcNanos(1)) as journal:
        await journal.append(numbered(DAY))
        expected = journal.tail()[1].hex()
        assert (await verify(path)).tail_hash == expected  # also while the journal is being written

    other = await verify(await written(tmp_path / "other.db", [*DAY[:-1], fill("T5", Side.BUY, "1", "1")]))
    assert other.tail_hash != expected


async def test_an_edited_row_is_the_first_bad_one_and_what_stands_before_it_is_told(path: Path) -> None:
    await written(path, DAY)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        ((sql,),) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'facts_unchanged'")
        database.execute("DROP TRIGGER facts_unchanged")
        database.execute("UPDATE facts SET body = CAST(replace(body, '500.10', '400.10') AS BLOB) WHERE seq = 3")
        database.execute(sql)

    report = await verify(path)

    assert (report.ok, report.rows, report.runs, report.first_bad_seq) == (False, 2, 1, 3)
    assert report.why == "row 3 was changed after it was written"


async def test_rows_cut_off_the_end_are_missed(path: Path) -> None:
    await written(path, DAY)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        ((sql,),) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'facts_kept'")
        database.execute("DROP TRIGGER facts_kept")
        database.execute("DELETE FROM facts WHERE seq > 4")
        database.execute(sql)

    report = await verify(path)

    assert (report.ok, report.rows, report.first_bad_seq) == (False, 4, 5)


async def test_a_journal_without_a_trigger_is_not_believed(path: Path) -> None:
    await written(path, DAY)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER facts_kept")

    report = await verify(path)

    assert (report.ok, report.first_bad_seq) == (False, None)
    assert "lacks facts_kept" in report.why


async def test_an_execution_counted_twice_is_found_where_the_index_was_taken_away(path: Path) -> None:
    await written(path, DAY)
    with closing(sqlite3.connect(path)) as database:
        ((sql,),) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'fill_once'")
        database.execute("DROP INDEX fill_once")
        database.execute(sql.replace("UNIQUE ", ""))
    async with open_journal(path, account="sandbox", tag="ab12", created_ns=UtcNanos(1)) as journal:
        await journal.append([Numbered(7, 1, UtcNanos(7), 7, fill("T1", Side.BUY, "0.5", "500.10"))])

    report = await verify(path)

    assert (report.ok, report.first_bad_seq) == (False, 7)
    assert "counts execution T1 a second time" in report.why


async def test_sums_are_compared_wherever_the_account_was_found_to_agree(path: Path, tmp_path: Path) -> None:
    agreed = await verify(await written(path, [*DAY, Reconciled(balances(**AFTER, SOL="0.00"), 0)]))
    off_by_little = {**AFTER, "BTC": "0.29900000001"}
    differing = await verify(await written(tmp_path / "other.db", [*DAY, Reconciled(balances(**off_by_little), 0)]))
    lacking = await verify(await written(tmp_path / "third.db", [*DAY, Reconciled(balances(USD="708.05"), 0)]))

    assert agreed.ok
    assert (differing.ok, differing.first_bad_seq) == (False, 7)
    assert "account of 0.29900000001 BTC; the rows before it add up to 0.299" in differing.why
    assert (lacking.ok, lacking.first_bad_seq) == (False, 7)


async def test_an_accepted_difference_is_part_of_the_sums(path: Path) -> None:
    accepted = DifferenceAccepted("USD", Decimal("-8.05"), PERSON)
    agreed = Reconciled(balances(**{**AFTER, "USD": "700"}), 0)

    assert (await verify(await written(path, [*DAY, accepted, agreed]))).ok


def entry(entry_id: str, moved: str) -> LedgerEntryBooked:
    amounts = (Decimal(moved), Decimal(0), None, Decimal(moved))
    return LedgerEntryBooked(entry_id, "Q1", "deposit", "", Nature.MOVED, "USD", *amounts, UtcNanos(1))


async def test_e14_rows_of_the_venue_s_ledger_are_part_of_the_sums_and_count_once(path: Path, tmp_path: Path) -> None:
    booked, agreed = entry("L1", "91.95"), Reconciled(balances(**{**AFTER, "USD": "800"}), 0)
    twice = await verify(await written(tmp_path / "other.db", [*DAY, booked, booked]))

    assert (await verify(await written(path, [*DAY, booked, agreed]))).ok
    assert (twice.ok, twice.first_bad_seq) == (False, 8)
    assert "counts ledger row L1 a second time" in twice.why


async def test_the_story_of_a_fill_has_what_the_ledger_said_beside_it(path: Path) -> None:
    facts = numbered([fill("T1", Side.BUY, "1", "10"), replace(entry("L1", "0.0001"), refid="T1"), entry("L2", "5")])

    assert why(facts, "T1") == tuple(facts[:2])


async def test_no_journal_at_all_is_a_matter_of_the_command_line(path: Path) -> None:
    with pytest.raises(BadConfiguration):
        await verify(path)


# --- why and find -----------------------------------------------------------------------------------------------------


STORY = numbered(
    [
        OrderAccepted("c1", "O1"),
        OrderAccepted("c2", "O2"),
        fill("T1", Side.BUY, "1", "10"),
        fill("T2", Side.BUY, "1", "10", order_id="O9"),
        OrderRefused("c3", "x", "y"),
        OrderEnded("c1", "O1", VenueStatus.FILLED, "", None, "executions"),
        HoldEnded("stale", "all"),
    ]
)


@pytest.mark.parametrize("asked", ["c1", "O1", "T1", "c2", "c3", "c4", "", "%", "' OR 1=1 --"])
async def test_a_story_from_the_file_is_the_story_of_all_facts(path: Path, asked: str) -> None:
    await written(path, [entry.fact for entry in STORY])
    async with read_only(path) as journal:
        everything = [numbered async for numbered in journal.read()]
        assert await story(journal, asked) == why(everything, asked)


@pytest.mark.parametrize("asked", ["c1", "O1", "T1", "T2", "O9"])
def test_each_id_of_an_order_tells_its_whole_story_in_order(asked: str) -> None:
    assert [entry.seq for entry in why(STORY, asked)] == [1, 3, 4, 6]


@pytest.mark.parametrize(("asked", "seqs"), [("c2", [2]), ("c3", [5]), ("c4", []), ("", [])])
def test_other_orders_have_other_stories(asked: str, seqs: list[int]) -> None:
    assert [entry.seq for entry in why(STORY, asked)] == seqs
