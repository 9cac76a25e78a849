from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core.market import BARS_KEPT, Candles, Market, SymbolPicture, Volatility, measure_volatility
from aether.domain.inputs import BookChanged, TradeSeen
from aether.domain.instruments import Side
from aether.domain.values import Bps, Price

D = Decimal
S = 1_000_000_000


def picture(make: Any) -> SymbolPicture:
    return SymbolPicture(make.BTC, (60,))


def trade(make: Any, price: str) -> TradeSeen:
    return TradeSeen(make.BTC, Side.BUY, make.price(price), make.qty("1"), make.T0)


def test_bars_close_with_time_and_a_bar_without_trades_repeats_the_one_before(make: Any) -> None:
    candles = Candles(60)
    candles.trade(D(10), make.T0)
    candles.trade(D(11), make.T0 + 60 * S - 1)
    assert list(candles.closes) == []

    candles.trade(D(12), make.T0 + 60 * S)
    assert list(candles.closes) == [D(11)]

    candles.pass_time(make.T0 + 240 * S)
    assert list(candles.closes) == [D(11), D(12), D(12), D(12)]
    assert candles.completed == 4


def test_bars_begin_on_whole_multiples_of_their_length(make: Any) -> None:
    candles = Candles(60)
    candles.trade(D(10), make.T0 + 59 * S)
    candles.pass_time(make.T0 + 60 * S)

    assert list(candles.closes) == [D(10)]


def test_time_without_any_price_makes_no_bar(make: Any) -> None:
    candles = Candles(60)
    candles.pass_time(make.T0 + 10**6 * S)

    assert (list(candles.closes), candles.completed) == ([], 0)


def test_a_long_silence_keeps_memory_bounded_and_the_count_true(make: Any) -> None:
    candles = Candles(60)
    candles.trade(D(10), make.T0)
    candles.pass_time(make.T0 + 60 * S * 5000)

    assert len(candles.closes) == BARS_KEPT
    assert candles.completed == 5000


def test_history_warms_the_candles_of_its_length_alone_and_is_carried_to_now(make: Any) -> None:
    seen = picture(make)
    seen.take_history(make.history((D(1), D(2)), make.T0), make.T0 + 61 * S)
    seen.take_history(make.history((D(7), D(8)), make.T0, bar_s=300), make.T0)

    assert list(seen.candles[60].closes) == [D(1), D(2), D(2)]
    assert list(seen.candles) == [60]


def test_new_history_replaces_the_old_and_is_news(make: Any) -> None:
    seen = picture(make)
    seen.take_history(make.history((D(1), D(2)), make.T0), make.T0)
    before = seen.candles[60].completed
    seen.take_history(make.history((D(5),), make.T0), make.T0)

    assert list(seen.candles[60].closes) == [D(5)]
    assert seen.candles[60].completed > before


@pytest.mark.parametrize(
    ("bid", "ask", "is_live"), [("99.9", "100", True), ("100", "100", False), ("100.1", "100", False)]
)
def test_a_crossed_or_locked_book_is_no_quote(make: Any, bid: str, ask: str, *, is_live: bool) -> None:
    seen = picture(make)
    seen.take_book(make.book(bid, ask), make.T0)

    assert seen.is_live is is_live


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_book_with_an_empty_side_is_no_quote_and_has_no_middle(make: Any, side: str) -> None:
    seen = picture(make)
    seen.take_book(replace(make.book(), **{side: ()}), make.T0)

    assert (seen.is_live, seen.mid) == (False, None)


def test_a_lost_feed_keeps_the_last_price_for_valuation(make: Any) -> None:
    seen = picture(make)
    seen.take_book(make.book("99", "101"), make.T0)
    seen.lose(make.T0)

    assert (seen.is_live, seen.mid) == (False, Price(D(100)))


def test_a_quote_ages_by_our_clock(make: Any) -> None:
    seen = picture(make)
    seen.take_book(make.book(), make.T0)

    assert seen.quote_age_ms(make.T0 + 1_999_999) == 1
    assert seen.quote_age_ms(make.T0 + 2_000_000) == 2


def deep(make: Any) -> SymbolPicture:
    """Asks: 1 coin at 100, 2 at 110; bids: 1 at 90, 1 at 80."""
    seen = picture(make)
    seen.take_book(BookChanged(make.BTC, ((900, 10), (800, 10)), ((1000, 10), (1100, 20)), 1, 1), make.T0)
    return seen


@pytest.mark.parametrize(
    ("side", "spend", "average"),
    [
        (Side.BUY, "100", "100"),
        (Side.BUY, "210", "105"),
        (Side.BUY, "430", "107.5"),  # four coins: what is not visible costs the worst visible price
        (Side.SELL, "170", "85"),
        (Side.SELL, "90", "90"),
    ],
)
def test_crossing_the_book_costs_the_average_of_its_levels(make: Any, side: Side, spend: str, average: str) -> None:
    told = deep(make).average_price_for(side, make.usd(spend))

    assert told is not None
    assert round(told.usd_per_coin, 20) == D(average)


def test_there_is_no_average_price_of_nothing(make: Any) -> None:
    assert deep(make).average_price_for(Side.BUY, make.usd("0")) is None
    assert picture(make).average_price_for(Side.BUY, make.usd("1")) is None


def test_an_asset_is_priced_where_its_market_is_heard(make: Any) -> None:
    market = Market({make.BTC: (60,)})
    assert (market.is_in_use("BTC"), market.is_in_use("EUR")) == (True, False)
    assert market.mid_of_asset("BTC") is None

    market.pictures[make.BTC].take_book(make.book("99", "101"), make.T0)
    assert market.mid_of_asset("BTC") == Price(D(100))
    assert market.mid_of_asset("EUR") is None


def test_volatility_is_scaled_to_a_day_and_compared_over_two_windows() -> None:
    calm_then_wild = [D(100), D("100.1"), D(100), D("100.1"), D(100), D(101), D(100)]
    measured = measure_volatility(calm_then_wild, 86_400, 2, 6)

    assert measured is not None
    assert measured.day_bps == 58  # root of (4 x 10 bps squared + 2 x 99.5 bps squared) / 6
    assert measured.ratio_percent == 171


@pytest.mark.parametrize(("count", "is_enough"), [(6, False), (7, True)])
def test_volatility_needs_one_close_more_than_its_long_window(count: int, *, is_enough: bool) -> None:
    assert (measure_volatility([D(100)] * count, 60, 2, 6) is not None) is is_enough


def test_a_flat_market_has_no_volatility_and_an_ordinary_ratio() -> None:
    assert measure_volatility([D(100)] * 7, 60, 2, 6) == Volatility(Bps(0), 100)


def test_a_trade_moves_last_price_and_candle(make: Any) -> None:
    seen = picture(make)
    seen.take_trade(trade(make, "101"), make.T0)
    seen.pass_time(make.T0 + 60 * S)

    assert (seen.last_trade, seen.trade_at_ns, list(seen.candles[60].closes)) == (Price(D(101)), make.T0, [D(101)])


# --- what a position is worth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "is_sound"),
    [
        ("100.0", "105.0", True),  # exactly 500 bps wide
        ("100.0", "105.1", False),
        ("1.0", "100.0", False),
        ("100.0", "100.0", False),
        ("100.1", "100.0", False),
    ],
)
def test_positions_are_valued_at_the_middle_of_the_last_sound_book(
    make: Any, bid: str, ask: str, *, is_sound: bool
) -> None:
    seen = picture(make)
    seen.take_book(make.book("89.9", "90.1"), make.T0)
    seen.take_book(make.book(bid, ask), make.T0)

    assert seen.mid == Price((D(bid) + D(ask)) / 2 if is_sound else D(90))


@pytest.mark.parametrize(
    ("mid", "age_s", "is_sound"),
    [("105.0", 0, True), ("95.0", 300, True), ("105.1", 0, False), ("94.9", 300, False), ("50.0", 300.001, True)],
)
def test_a_sound_middle_is_near_what_was_just_paid(make: Any, mid: str, age_s: float, *, is_sound: bool) -> None:
    seen = picture(make)
    seen.take_book(make.book("99.9", "100.1"), make.T0)
    seen.take_trade(trade(make, "100"), make.T0)
    seen.take_book(make.book(str(D(mid) - D("0.1")), str(D(mid) + D("0.1"))), make.T0 + int(age_s * S))

    assert seen.mid == Price(D(mid) if is_sound else D(100))


def test_a_picture_that_never_had_a_sound_book_has_no_worth(make: Any) -> None:
    seen = picture(make)
    seen.take_book(make.book("1", "100"), make.T0)

    assert (seen.is_live, seen.mid) == (True, None)


@pytest.mark.parametrize(("age_s", "is_fresh"), [(300, True), (300.001, False)])
def test_a_trade_is_a_reference_while_it_is_fresh(make: Any, age_s: float, *, is_fresh: bool) -> None:
    seen = picture(make)
    seen.take_trade(trade(make, "100"), make.T0)

    assert (seen.fresh_trade(make.T0 + int(age_s * S)) is not None) is is_fresh


def test_the_last_close_is_of_the_shortest_candles(make: Any) -> None:
    seen = SymbolPicture(make.BTC, (300, 60))
    assert seen.last_close is None
    seen.take_history(make.history((D(1), D(2)), make.T0), make.T0)
    seen.take_history(make.history((D(7), D(8)), make.T0, bar_s=300), make.T0)

    assert seen.last_close == Price(D(2))


# --- what was not heard ---------------------------------------------------------------------------------------------


def warm(make: Any) -> SymbolPicture:
    seen = picture(make)
    seen.take_history(make.history((D(1), D(2)), make.T0), make.T0)
    seen.take_book(make.book(), make.T0)
    return seen


@pytest.mark.parametrize(("gap_s", "closes"), [(120, [D(1), D(2), D(2), D(2)]), (120.001, [])])
def test_a_gap_of_more_than_two_bars_leaves_the_candles_cold(make: Any, gap_s: float, closes: list[Decimal]) -> None:
    seen = warm(make)
    before = seen.candles[60].completed
    seen.lose(make.T0)
    seen.take_book(make.book(), make.T0 + int(gap_s * S))

    assert list(seen.candles[60].closes) == closes
    assert seen.candles[60].completed > before
    assert seen.candles[60].volatility(1, 1) == (measure_volatility(closes, 60, 1, 1) if closes else None)


def test_cold_candles_are_told_once_and_begin_anew_with_the_next_trade(make: Any) -> None:
    seen = warm(make)
    seen.lose(make.T0)
    for second in range(121, 600, 10):
        seen.pass_time(make.T0 + second * S)
    assert seen.candles[60].completed == 3

    seen.take_book(make.book(), make.T0 + 600 * S)
    seen.take_trade(trade(make, "5"), make.T0 + 600 * S)
    seen.pass_time(make.T0 + 720 * S)
    assert list(seen.candles[60].closes) == [D(5), D(5)]


def test_silence_without_a_lost_feed_is_a_quiet_market(make: Any) -> None:
    seen = warm(make)
    seen.pass_time(make.T0 + 600 * S)

    assert list(seen.candles[60].closes) == [D(1), *[D(2)] * 11]


def test_trades_that_are_heard_while_the_book_is_lost_keep_the_candles_warm(make: Any) -> None:
    seen = warm(make)
    seen.lose(make.T0)
    for minute in range(1, 5):
        seen.take_trade(trade(make, str(minute)), make.T0 + minute * 60 * S)
    seen.take_book(make.book(), make.T0 + 300 * S)

    assert list(seen.candles[60].closes) == [D(1), D(2), D(2), D(1), D(2), D(3), D(4)]


@pytest.mark.parametrize("is_first", [True, False])
def test_history_warms_the_candles_before_or_after_the_book_is_back(make: Any, *, is_first: bool) -> None:
    seen = warm(make)
    seen.lose(make.T0)
    back_ns = make.T0 + 600 * S
    seen.pass_time(back_ns)
    history = make.history((D(3), D(4)), back_ns)
    if is_first:
        seen.take_history(history, back_ns)
        seen.take_book(make.book(), back_ns + S)
    else:
        seen.take_book(make.book(), back_ns)
        seen.take_history(history, back_ns + S)
    seen.pass_time(back_ns + 60 * S)

    assert list(seen.candles[60].closes) == [D(3), D(4), D(4)]
