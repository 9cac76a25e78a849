"""What kinds of row the venue's ledger has, and what each means for profit and loss."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aether.domain.entries import AccountEntry, Nature, nature_of


@pytest.mark.parametrize(
    ("kind", "subtype", "nature"),
    [
        ("trade", "", Nature.TRADE),
        ("spend", "", Nature.TRADE),
        ("receive", "", Nature.TRADE),
        ("deposit", "", Nature.MOVED),
        ("withdrawal", "", Nature.MOVED),
        ("transfer", "spottostaking", Nature.MOVED),
        ("transfer", "spotfromfutures", Nature.MOVED),
        ("adjustment", "", Nature.MOVED),
        ("earn", "allocation", Nature.MOVED),
        ("earn", "autoallocation", Nature.MOVED),
        ("earn", "reward", Nature.INCOME),
        ("staking", "", Nature.INCOME),
        ("reward", "", Nature.INCOME),
        ("dividend", "", Nature.INCOME),
        ("margin", "", Nature.STRANGE),
        ("rollover", "", Nature.STRANGE),
        ("settled", "", Nature.STRANGE),
        ("credit", "", Nature.STRANGE),
        ("rollover", "reward", Nature.STRANGE),
        ("moonshine", "", Nature.STRANGE),
        ("", "", Nature.STRANGE),
    ],
)
def test_b16_every_kind_has_a_nature_and_an_unknown_one_is_strange(kind: str, subtype: str, nature: Nature) -> None:
    assert nature_of(kind, subtype) is nature


def test_a_balance_moves_by_the_amount_less_the_fee() -> None:
    entry = AccountEntry("L1", "Q1", "withdrawal", "", "BTC", Decimal("-0.4"), Decimal("0.00002"), None, 1)

    assert entry.net == Decimal("-0.40002")
