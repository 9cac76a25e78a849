"""Rows of the venue's ledger against our sums: booked once, tied to fills, and heard where one is missing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core import double_entry
from aether.core.ledger import Ledger
from aether.domain.entries import AccountEntry, Nature
from aether.domain.facts import AccountOpened, LedgerEntryBooked, Numbered, OrderFilled, Reconciled
from aether.domain.inputs import AccountSeen
from aether.domain.orders import AssetAmount, AssetBalance
from aether.domain.values import NANOS_PER_S, UtcNanos

D = Decimal
S = NANOS_PER_S


def row(entry_id: str, kind: str, amount: str, balance: str | None = None, **changes: Any) -> AccountEntry:
    told = None if balance is None else D(balance)
    whole = AccountEntry(entry_id, f"Q{entry_id}", kind, "", "USD", D(amount), D(0), told, 100 * S)
    return replace(whole, **changes)


@pytest.fixture
def ledger() -> Ledger:
    """An account that began with 10 000 dollars at second 50."""
    opened = Ledger()
    fold(opened, AccountOpened(UtcNanos(50 * S), (AssetBalance("USD", D(10_000), D(0)),)))
    return opened


def fold(ledger: Ledger, fact: Any) -> None:
    ledger.fold(Numbered(ledger.next_seq, 1, UtcNanos(60 * S), 1, fact))


def seen(*entries: AccountEntry, **balances: str) -> AccountSeen:
    totals = tuple(AssetBalance(asset, D(total), D(0)) for asset, total in balances.items())
    return AccountSeen(200 * S, 200 * S, 0, ("balances", "trades", "ledgers"), totals, (), (), (), (), entries)


def book(ledger: Ledger, *entries: AccountEntry) -> list[LedgerEntryBooked]:
    """Book what these rows add, as a look does."""
    facts = []
    for fact in double_entry.entry_facts(ledger, seen(*entries)):
        fold(ledger, fact)
        facts.append(fact)
    return facts


def trade(make: Any, ledger: Ledger, cl_ord_id: str | None = None, **changes: Any) -> OrderFilled:
    """A fill of another's order, unless named: one coin for 100 dollars and 0.40 of fee."""
    fill = replace(make.filled("T1", None, "1"), cl_ord_id=None, strategy=None)
    fold(ledger, replace(fill, **changes))
    if cl_ord_id is not None:  # of an order of ours; the ledger here knows none
        ledger.untied["T1"] = replace(fill, cl_ord_id=cl_ord_id, **changes)
    return ledger.untied["T1"]


# --- what is no trade -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "subtype", "amounts", "nature"),
    [
        ("deposit", "", ("500", "0"), Nature.MOVED),
        ("withdrawal", "", ("-200", "1.5"), Nature.MOVED),
        ("transfer", "spottofutures", ("-10", "0"), Nature.MOVED),
        ("earn", "reward", ("0.25", "0.05"), Nature.INCOME),
        ("staking", "", ("0.25", "0"), Nature.INCOME),
        ("spend", "", ("-100", "1.5"), Nature.TRADE),
        ("rollover", "", ("0", "0.02"), Nature.STRANGE),
    ],
)
def test_e08_each_row_is_booked_as_what_it_is(
    ledger: Ledger, kind: str, subtype: str, amounts: tuple[str, str], nature: Nature
) -> None:
    amount, fee = amounts
    (fact,) = book(ledger, row("L1", kind, amount, subtype=subtype, fee=D(fee)))

    assert (fact.kind, fact.nature, fact.moved) == (kind, nature, D(amount) - D(fee))
    assert ledger.portfolio.balance("USD") == D(10_000) + D(amount) - D(fee)


def test_a13_a_row_that_is_seen_again_moves_nothing(ledger: Ledger) -> None:
    deposit = row("L1", "deposit", "500")
    assert len(book(ledger, deposit)) == 1

    assert book(ledger, deposit, row("L2", "deposit", "500")) != []
    assert book(ledger, row("L2", "deposit", "500"), deposit) == []
    assert ledger.portfolio.balance("USD") == D(11_000)


def test_a_row_from_before_the_sums_began_is_in_them(ledger: Ledger) -> None:
    assert book(ledger, row("L1", "deposit", "500", venue_ns=50 * S)) == []
    assert book(Ledger(), row("L1", "deposit", "500")) == []


def test_e09_coins_that_begin_to_earn_are_an_asset_of_their_own_and_no_flow(ledger: Ledger) -> None:
    book(
        ledger,
        row("L1", "earn", "-2", subtype="allocation", asset="BTC"),
        row("L2", "earn", "2", subtype="allocation", asset="BTC.F"),
    )

    assert (ledger.portfolio.balance("BTC"), ledger.portfolio.balance("BTC.F")) == (D(-2), D(2))
    assert ledger.flows == {}


# --- rows of trades ---------------------------------------------------------------------------------------------


def test_rows_that_say_what_the_fill_said_book_nothing(ledger: Ledger, make: Any) -> None:
    trade(make, ledger)

    assert (
        book(
            ledger,
            row("L1", "trade", "-100", refid="T1", fee=D("0.4")),
            row("L2", "trade", "1", refid="T1", asset="BTC"),
        )
        == []
    )


def test_e14_the_digit_that_krakens_ledger_rounds_away_is_booked_once(ledger: Ledger, make: Any) -> None:
    trade(make, ledger, "ours", cost=make.usd("100.00006"), fees=(AssetAmount("USD", D("0.40003")),))
    rows = (
        row("L1", "trade", "-100.0001", refid="T1", fee=D("0.4000")),
        row("L2", "trade", "1", refid="T1", asset="BTC"),
    )

    (fact,) = book(ledger, *rows)

    assert (fact.entry_id, fact.refid, fact.nature, fact.moved) == ("L1", "T1", Nature.TRADE, D("-0.00001"))
    assert ledger.portfolio.balance("USD") == D("9899.5999")
    assert book(ledger, *rows) == []


def test_a27_the_ledger_knows_which_asset_another_s_fee_was_paid_in(ledger: Ledger, make: Any) -> None:
    """REST tells a trade's fee as if it were in dollars; here it was taken from the coins."""
    trade(make, ledger)

    facts = book(
        ledger,
        row("L1", "trade", "-100", refid="T1"),
        row("L2", "trade", "1", refid="T1", asset="BTC", fee=D("0.004")),
    )

    assert [(fact.asset, fact.moved) for fact in facts] == [("USD", D("0.4")), ("BTC", D("-0.004"))]
    assert ledger.portfolio.balances == {"USD": D("9900.0"), "BTC": D("0.996")}


def test_a_trade_of_a_pair_without_our_names_is_what_its_rows_say(ledger: Ledger, make: Any) -> None:
    trade(make, ledger, name="XETHZEUR", symbol=None)

    facts = book(
        ledger,
        row("L1", "trade", "-100", refid="T1", asset="EUR", fee=D("0.4")),
        row("L2", "trade", "1", refid="T1", asset="ETH"),
    )

    assert [(fact.asset, fact.moved) for fact in facts] == [("EUR", D("-100.4")), ("ETH", D(1))]
    assert ledger.portfolio.positions == {}


def test_rows_that_deny_a_fill_of_ours_are_evidence_and_book_nothing(ledger: Ledger, make: Any) -> None:
    trade(make, ledger, "ours")
    account = seen(row("L1", "trade", "-90", refid="T1", fee=D("0.4")), USD="9909.6")

    assert list(double_entry.entry_facts(ledger, account)) == []
    assert double_entry.evidence(ledger, account, "USD") == "L1 moved 10.000 beside trade T1"


def test_rows_of_a_trade_that_agreed_since_are_not_weighed_again(ledger: Ledger, make: Any) -> None:
    trade(make, ledger)
    fold(ledger, Reconciled((), 0))

    assert book(ledger, row("L1", "trade", "-50", refid="T1")) == []


def test_a_trade_that_no_view_told_is_named_and_not_invented(ledger: Ledger) -> None:
    account = seen(row("L1", "trade", "-100", "9900", refid="T7"), USD="9900")

    assert list(double_entry.entry_facts(ledger, account)) == []
    assert double_entry.evidence(ledger, account, "USD") == "L1 is of trade T7, which nobody told"
    assert double_entry.evidence(ledger, account, "BTC") == ""


def test_a_row_that_is_missing_is_noticed_by_the_sums_that_kraken_tells(ledger: Ledger) -> None:
    rows = (
        row("L1", "deposit", "1", "10001"),
        row("L2", "deposit", "5", "5", asset="EUR"),
        row("L3", "deposit", "1", "10007"),
        row("L4", "deposit", "1", None),
        row("L5", "deposit", "1", "1"),
    )

    assert double_entry.evidence(ledger, seen(*rows), "USD") == "a row is missing before L3"
    assert double_entry.evidence(ledger, seen(*rows), "EUR") == ""


# --- where the sums begin -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "rows", "opened_s"),
    [
        ("10000", (), 200),
        ("10001", (("L1", "1", "10001", 190),), 200),
        ("10001", (("L1", "1", "10001", 201),), 201),  # it came between question and answer, or our clock is slow
        ("10001", (("L1", "1", "10001", 201), ("L2", "5", "10006", 202)), 201),
        ("10000", (("L1", "1", "10001", 199),), 199 - 1e-9),  # it came after the answer: our clock is fast
        ("10001", (("L1", "1", "10001", 197), ("L2", "5", "10006", 199)), 199 - 1e-9),
        ("7", (("L1", "1", "10001", 199),), 200),  # these rows never meet the balance
    ],
)
def test_the_sums_begin_where_the_ledger_shows_the_first_balance(
    total: str, rows: tuple[tuple[str, str, str, int], ...], opened_s: float
) -> None:
    entries = [row(name, "deposit", amount, balance, venue_ns=at_s * S) for name, amount, balance, at_s in rows]

    opened_ns = double_entry.opened_ns(seen(*entries, USD=total), 200 * S)

    assert opened_ns == (int(opened_s) * S if opened_s == int(opened_s) else (int(opened_s) + 1) * S - 1)
