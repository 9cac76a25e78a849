"""Candles, day figures and level ages of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.domain.values import NANOS_PER_S
from aether.sim.market_board import CANDLES, DAY_S, INTERVALS_MINUTES, Candle, Figures, HistoryRow, MarketBoard
from aether.sim.records import LevelChanged, PublicTrade

D = Decimal

PAIR = "BTC/USD"
START_S = 1_790_000_000 // DAY_S * DAY_S


def trade(at_s: float, price: str, qty: str, trade_id: int = 1) -> PublicTrade:
    return PublicTrade(PAIR, "buy", D(price), D(qty), "limit", trade_id, int(at_s * NANOS_PER_S))


def quiet_board() -> MarketBoard:
    return MarketBoard(lambda pair, interval_s, now_ns: [], [PAIR], START_S * NANOS_PER_S)


def test_a_market_without_trades_has_no_candles() -> None:
    board = quiet_board()

    assert list(board.candles(PAIR, 1, START_S * NANOS_PER_S)) == []
    assert board.today(PAIR, START_S * NANOS_PER_S) is None
    assert board.last_day(PAIR, START_S * NANOS_PER_S) is None


def test_trades_of_one_interval_make_one_candle() -> None:
    board = quiet_board()
    for at_s, price, qty in ((1, "100", "1"), (20, "90", "2"), (59.9, "95", "1")):
        board.add_trade(trade(START_S + at_s, price, qty))

    (candle,) = board.candles(PAIR, 1, (START_S + 59) * NANOS_PER_S)
    assert candle == Candle(START_S, D(100), D(100), D(90), D(95), D(375), D(4), 3)
    assert candle.vwap == D("93.75")


def test_intervals_without_trades_are_flat_with_a_mean_price_of_zero() -> None:
    board = quiet_board()
    board.add_trade(trade(START_S, "100", "1"))

    _, flat, running = board.candles(PAIR, 1, (START_S + 120) * NANOS_PER_S)
    assert flat == Candle(START_S + 60, D(100), D(100), D(100), D(100), D(0), D(0), 0)
    assert flat.vwap == 0
    assert running.open_s == START_S + 120


def test_the_first_trade_after_a_quiet_time_opens_its_candle() -> None:
    board = quiet_board()
    board.add_trade(trade(START_S, "100", "1"))
    board.candles(PAIR, 1, (START_S + 70) * NANOS_PER_S)
    board.add_trade(trade(START_S + 80, "120", "1"))

    candle = board.candles(PAIR, 1, (START_S + 90) * NANOS_PER_S)[-1]
    assert candle.open == candle.low == 120


def test_history_goes_on_in_its_running_candle() -> None:
    row: HistoryRow = (START_S, D(10), D(12), D(9), D(11), D("10.5"), D(4), 7)
    board = MarketBoard(lambda pair, interval_s, now_ns: [row], [PAIR], START_S * NANOS_PER_S)
    board.add_trade(trade(START_S + 1, "13", "1"))

    (candle,) = board.candles(PAIR, 60, (START_S + 2) * NANOS_PER_S)
    assert candle == Candle(START_S, D(10), D(13), D(9), D(13), D(55), D(5), 8)
    assert candle.vwap == 11


def test_only_the_newest_candles_are_kept_after_a_long_silence() -> None:
    board = quiet_board()
    board.add_trade(trade(START_S, "100", "1"))

    candles = board.candles(PAIR, 1, (START_S + 10 * DAY_S) * NANOS_PER_S)
    assert len(candles) == CANDLES
    assert candles[-1].open_s - candles[0].open_s == (CANDLES - 1) * 60


def test_today_begins_at_midnight_and_the_last_day_24_hours_ago() -> None:
    board = quiet_board()
    board.add_trade(trade(START_S - 3600, "50", "1"))
    board.add_trade(trade(START_S + 10, "60", "2"))
    now_ns = (START_S + 20) * NANOS_PER_S

    assert board.today(PAIR, now_ns) == Figures(D(60), D(60), D(60), D(60), D(2), 1)
    day = board.last_day(PAIR, now_ns)
    assert day is not None
    assert replace(day, vwap=D(0)) == Figures(D(50), D(60), D(50), D(0), D(3), 2)
    assert day.vwap.quantize(D("0.01")) == D("56.67")


def test_a_level_has_the_second_of_its_last_change_until_it_is_gone() -> None:
    board = quiet_board()
    board.change_level(LevelChanged(PAIR, "bid", D(100), D(1), 5 * NANOS_PER_S))
    board.change_level(LevelChanged(PAIR, "bid", D(100), D(2), 9 * NANOS_PER_S))
    assert board.level_s(PAIR, "bid", D("100.0")) == 9

    board.change_level(LevelChanged(PAIR, "bid", D(100), D(0), 10 * NANOS_PER_S))
    with pytest.raises(KeyError):
        board.level_s(PAIR, "bid", D(100))


@given(
    st.lists(st.tuples(st.integers(0, 6 * 3600), st.integers(1, 10**6), st.integers(1, 10**9)), min_size=1, max_size=40)
)
def test_every_interval_counts_every_trade_once(made: list[tuple[int, int, int]]) -> None:
    board = quiet_board()
    for at_s, ticks, lots in sorted(made):
        board.add_trade(trade(START_S + at_s, str(D(ticks).scaleb(-1)), str(D(lots).scaleb(-8))))
    now_ns = (START_S + 6 * 3600) * NANOS_PER_S

    for minutes in INTERVALS_MINUTES:
        candles = board.candles(PAIR, minutes, now_ns)
        assert sum(candle.count for candle in candles) == len(made)
        assert sum(candle.volume for candle in candles) == D(sum(lots for _, _, lots in made)).scaleb(-8)
        assert all(one.open_s + minutes * 60 == two.open_s for one, two in pairwise(candles))
        assert all(candle.low <= min(candle.open, candle.close) <= candle.high for candle in candles)
