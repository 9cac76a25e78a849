"""Kraken's fee schedule and the two roundings of money."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aether.sim.fees import KRAKEN_FEES, cost_of, fee_of, most_of, schedule_of
from aether.sim.recorded import asset_pair_rows

D = Decimal


@pytest.mark.parametrize(
    ("volume", "taker", "maker"),
    [("0", "0.40", "0.25"), ("9999.99", "0.40", "0.25"), ("10000", "0.35", "0.20"), ("500000000", "0.05", "0.00")],
)
def test_a_tier_begins_at_its_volume_and_not_below(volume: str, taker: str, maker: str) -> None:
    assert KRAKEN_FEES.rates(D(volume)) == (D(taker), D(maker))


def test_the_schedule_is_the_one_in_krakens_pair_list() -> None:
    for row in asset_pair_rows().values():
        assert [(tier.volume_usd, tier.taker_percent) for tier in KRAKEN_FEES.tiers] == [tuple(x) for x in row["fees"]]
        assert [(tier.volume_usd, tier.maker_percent) for tier in KRAKEN_FEES.tiers] == [
            tuple(x) for x in row["fees_maker"]
        ]


def test_a_pair_of_the_other_group_pays_its_makers() -> None:
    schedule = schedule_of([[0, D("0.4")], [10_000_000, D("0.1")]], [[0, D("0.23")], [10_000_000, D("-0.02")]])

    assert schedule.rates(D(0)) == (D("0.4"), D("0.23"))
    assert schedule.rates(D(10_000_000)) == (D("0.1"), D("-0.02"))
    assert fee_of(D("1.00001"), D("-0.02"), 5) == D("-0.00020")


def test_sides_with_other_tiers_and_empty_arrays() -> None:
    schedule = schedule_of([[0, D("0.01")], [100_000_000, D("0.001")]], [[0, 0]])

    assert schedule.rates(D(100_000_000)) == (D("0.001"), D(0))
    assert schedule_of([], []) is KRAKEN_FEES


def test_cost_is_rounded_down_and_fee_up() -> None:
    assert cost_of(D("10.1"), D("0.0000019"), 5) == D("0.00001")
    assert fee_of(D("0.00001"), D("0.40"), 5) == D("0.00001")
    assert fee_of(D("100"), D("0.40"), 5) == D("0.40000")


def test_the_most_that_a_buy_takes_covers_cost_and_fee_rounded_up() -> None:
    assert most_of(D("10.1"), D("0.0000019"), D("0.40"), 5) == D("0.00003")
