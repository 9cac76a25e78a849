"""Markets other than the recorded one: drawn from a seed, or the user's own candles."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.assets import BY_NAME, assets_of, find_asset, money_decimals
from aether.sim.candle_path import draw_path
from aether.sim.crowd import Crowd
from aether.sim.exchange import Exchange, PublicTrade
from aether.sim.market_board import MarketBoard
from aether.sim.markets import own_market, recorded_market, synthetic_market
from aether.sim.own_history import read_hours
from aether.sim.pair_table import chosen_rows, usd_pair_rows
from aether.sim.recorded import asset_pair_rows, pair_rules
from aether.sim.synthetic import HOURS, SyntheticHours

D = Decimal

NOW_NS = 1_790_000_000 * NANOS_PER_S
XBT = pair_rules()[0]


# --- the table of pairs ---------------------------------------------------------------------------------------------


def test_the_table_has_all_usd_pairs_and_agrees_with_the_rows_that_ship_apart() -> None:
    rows = usd_pair_rows()

    assert len(rows) == 615
    assert all(row["quote"] == "ZUSD" for row in rows.values())
    for key, row in asset_pair_rows().items():
        assert rows[key] == row


def test_pairs_are_chosen_by_number_by_any_name_or_all() -> None:
    assert list(chosen_rows("2")) == ["XXBTZUSD", "XETHZUSD"]
    assert list(chosen_rows("SOL/USD, XBTUSD,DOGE/USD")) == ["SOLUSD", "XXBTZUSD", "XDGUSD"]
    assert len(chosen_rows("all")) == 615


@pytest.mark.parametrize("wanted", ["0", "616", "BTC/EUR", ",", "NOPE"])
def test_pairs_that_are_not_there_are_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"pair"):
        chosen_rows(wanted)


def test_every_asset_has_its_names_and_amounts_show_all_their_digits() -> None:
    assert find_asset("XXDG") is find_asset("xdg") is BY_NAME["DOGE"]
    assert find_asset("nothing") is None
    assert [asset.name for asset in assets_of([XBT])] == ["BTC", "USD"]
    assert (money_decimals("USD", D(1)), money_decimals("USD", D("0.12345678"))) == (5, 8)


# --- drawn ----------------------------------------------------------------------------------------------------------


def test_every_pair_of_kraken_has_hours_that_a_path_can_be_drawn_through() -> None:
    market = synthetic_market(7, "all")

    for rules in market.rules:
        hours = market.hours[rules.name]
        for before, hour in zip([None, *hours[:20]], hours[:20], strict=False):
            assert 1 <= hour.low <= min(hour.open, hour.close) <= max(hour.open, hour.close) <= hour.high
            assert before is None or before.close == hour.open
        path = draw_path(hours[0], "seed")
        assert sum(trade.lots for trade in path) == hours[0].volume


def test_the_same_seed_draws_the_same_hours_and_another_seed_others() -> None:
    def drawn(seed: int) -> list[object]:
        return list(SyntheticHours(XBT, seed=seed))

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(drawn(1)) == HOURS


def test_the_hours_are_the_same_in_whatever_order_they_are_looked_at() -> None:
    hours, again = SyntheticHours(XBT, seed=1), SyntheticHours(XBT, seed=1)

    late, last = hours[720], hours[-1]

    assert (again[719:721], again[720], list(again)[-1]) == ((hours[719], late), late, last)
    with pytest.raises(IndexError):
        hours[HOURS]


def test_the_first_price_is_near_what_kraken_thinks_it_is() -> None:
    hours = SyntheticHours(XBT, seed=1)

    assert hours[0].open == 1_000_000  # 100 000.0 dollars


def test_the_candles_of_the_past_go_on_into_the_present() -> None:
    """What was made before the board was first asked, and what the crowd made since, are one story."""
    market = synthetic_market(3, "3")
    exchange = Exchange(market.rules, seed=3)
    crowd = Crowd(exchange, market.hours, seed=3, speed=600, start_row=market.start_row, now_ns=NOW_NS)
    asked, unasked = (MarketBoard(crowd.candles, exchange.pairs, NOW_NS) for _ in range(2))
    pair = market.rules[0].name
    exchange.drain()
    asked.candles(pair, 5, NOW_NS)
    later_ns = NOW_NS + 700 * NANOS_PER_S
    crowd.advance(later_ns)
    for event in exchange.drain():
        if isinstance(event, PublicTrade):
            asked.add_trade(event)
            unasked.add_trade(event)

    for minutes in (1, 5, 60):
        candles = list(asked.candles(pair, minutes, later_ns))
        assert candles == list(unasked.candles(pair, minutes, later_ns))
        assert [candle.open_s % (minutes * 60) for candle in candles] == [0] * len(candles)
        assert all(later.open_s - sooner.open_s == minutes * 60 for sooner, later in pairwise(candles))
    assert sum(candle.count for candle in list(unasked.candles(pair, 5, later_ns))[-3:]) > 0


# --- one's own ------------------------------------------------------------------------------------------------------

LINES = """1609459200,29000.04,29100,28900,29050,1.5,10
1609461000,29050,29200,29050,29150,0.5,5
1609462800,29150,29150,29150,29150,0,0
"""


def test_candles_of_any_length_up_to_an_hour_become_hours(tmp_path: Path) -> None:
    path = tmp_path / "XBTUSD_30.csv"
    path.write_text(LINES)

    first, second = read_hours(path, XBT)
    assert (first.open, first.high, first.low, first.close) == (290_000, 292_000, 289_000, 291_500)
    assert (first.volume, first.trades) == (200_000_000, 15)
    assert (second.open_s, second.open, second.volume) == (1_609_462_800, 291_500, 4)


def test_a_directory_of_files_is_a_market(tmp_path: Path) -> None:
    (tmp_path / "XBTUSD_30.csv").write_text("time,open,high,low,close,volume\n" + "1609459200,1,2,1,2,3\n" * 2)
    (tmp_path / "SOLUSD.csv").write_text("1609459200,1,2,1,2,3\n")
    (tmp_path / "notes.txt").write_text("mine")
    market = own_market(tmp_path)

    assert [rules.name for rules in market.rules] == ["SOL/USD", "BTC/USD"]
    assert market.start_row == 0


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", "holds no candle"),
        ("1609459200,1,2,1\n", "1 is no candle"),
        ("1609459200,1,2,1,2,3\nx,1,2,1,2,3\n", "2 is no candle"),
        ("1609459200,1,2,1,NaN,3\n", "no number"),
        ("1609459200,1,2,1,3,3\n", "between its low and its high"),
        ("1609459200,1,2,1,2,-1\n", "below 0"),
        ("1609459200,1,2,1,2,3\n1609455600,1,2,1,2,3\n", "do not rise"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_line(tmp_path: Path, lines: str, why: str) -> None:
    path = tmp_path / "XBTUSD_60.csv"
    path.write_text(lines)

    with pytest.raises(ValueError, match=why):
        read_hours(path, XBT)


def test_a_directory_without_files_of_candles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file such as"):
        own_market(tmp_path)
    (tmp_path / "NOPE_60.csv").write_text("1609459200,1,2,1,2,3\n")
    with pytest.raises(ValueError, match="no USD pair"):
        own_market(tmp_path)


def test_the_recorded_market_is_what_ships() -> None:
    market = recorded_market(5)

    assert [rules.name for rules in market.rules] == ["BTC/USD", "ETH/USD"]
    assert market.start_row == 5
