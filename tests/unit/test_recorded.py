"""What ships with the made Kraken is whole: two pairs, the same 8,760 hours, every price on its tick."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aether.sim.recorded import HOUR_S, pair_rules, recorded_hours
from aether.sim.records import PairRules

D = Decimal
RULES = {rules.name: rules for rules in pair_rules()}


def test_the_pairs_carry_krakens_names_and_rules() -> None:
    btc = RULES["BTC/USD"]

    assert list(RULES) == ["BTC/USD", "ETH/USD"]
    assert (btc.key, btc.altname, btc.wsname) == ("XXBTZUSD", "XBTUSD", "XBT/USD")
    assert (btc.base, btc.base_id, btc.quote, btc.quote_id) == ("BTC", "XXBT", "USD", "ZUSD")
    assert (btc.price_decimals, btc.qty_decimals, btc.cost_decimals) == (1, 8, 5)
    assert (btc.qty_min, btc.cost_min, btc.status) == (D("0.00005"), D("0.5"), "online")


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_hour_is_possible(rules: PairRules) -> None:
    hours = recorded_hours(rules)

    assert len(hours) == 8760
    for hour in hours:
        assert 0 < hour.low <= min(hour.open, hour.close) <= max(hour.open, hour.close) <= hour.high
        assert hour.volume >= hour.trades > 0


def test_both_pairs_have_the_same_hours_with_eight_left_out() -> None:
    times = [[hour.open_s for hour in recorded_hours(rules)] for rules in RULES.values()]

    assert times[0] == times[1]
    assert times[0][0] == 1_601_510_400  # 2020-10-01T00:00Z
    assert (times[0][-1] - times[0][0]) // HOUR_S + 1 == 8760 + 8


def test_the_first_hour_is_the_one_that_kraken_published() -> None:
    first = recorded_hours(RULES["BTC/USD"])[0]

    assert (first.open, first.high, first.low, first.close) == (107_749, 108_270, 107_749, 107_894)
    assert (first.volume, first.trades) == (19_403_384_100, 687)
