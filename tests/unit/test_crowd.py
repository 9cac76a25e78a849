"""The crowd: recorded hours come out exactly, the book lives, and the arguments alone decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from aether.sim.crowd import Crowd
from aether.sim.exchange import Event, Exchange, LevelChanged, PublicTrade
from aether.sim.recorded import RecordedHour, pair_rules, recorded_hours

S = 1_000_000_000
START_NS = 1_790_000_040 * S  # a whole minute
RULES = {rules.name: rules for rules in pair_rules()}
HISTORIES = {name: recorded_hours(rules) for name, rules in RULES.items()}


def world(*, speed: int = 60, start_row: int = 100, now_ns: int = START_NS, seed: int = 1) -> tuple[Exchange, Crowd]:
    exchange = Exchange(RULES.values(), seed=seed)
    return exchange, Crowd(exchange, HISTORIES, seed=seed, speed=speed, start_row=start_row, now_ns=now_ns)


def events_until(exchange: Exchange, crowd: Crowd, seconds: int, step_ms: int = 1000) -> list[Event]:
    events = exchange.drain()
    for elapsed_ms in range(step_ms, seconds * 1000 + 1, step_ms):
        crowd.advance(START_NS + elapsed_ms * 1_000_000)
        events += exchange.drain()
    return events


def trades_of(events: list[Event], pair: str) -> Iterator[PublicTrade]:
    return (event for event in events if isinstance(event, PublicTrade) and event.pair == pair)


@pytest.mark.parametrize("pair", RULES)
@pytest.mark.parametrize("speed", [60, 3600])
def test_public_trades_add_up_to_each_recorded_hour(pair: str, speed: int) -> None:
    exchange, crowd = world(speed=speed)
    lap_s = 3600 // speed
    trades = list(trades_of(events_until(exchange, crowd, 30 * lap_s - 1), pair))
    rules = RULES[pair]

    for lap in range(29):
        begin_ns = START_NS + lap * lap_s * S
        inside = [trade for trade in trades if begin_ns <= trade.at_ns < begin_ns + lap_s * S]
        ticks = [int(trade.price.scaleb(rules.price_decimals)) for trade in inside]
        lots = sum(int(trade.qty.scaleb(rules.qty_decimals)) for trade in inside)
        hour = HISTORIES[pair][100 + lap]
        made = RecordedHour(hour.open_s, ticks[0], max(ticks), min(ticks), ticks[-1], lots, hour.trades)
        assert made == hour


@pytest.mark.parametrize("step_ms", [125, 5000])
def test_what_happens_does_not_depend_on_how_time_is_cut(step_ms: int) -> None:
    at_once = events_until(*world(), seconds=100, step_ms=100_000)

    assert events_until(*world(), seconds=100, step_ms=step_ms) == at_once


def test_another_seed_makes_another_book() -> None:
    assert world(seed=1)[0].book("BTC/USD") != world(seed=2)[0].book("BTC/USD")


def test_the_book_is_deep_never_crossed_and_quoted_for_the_next_trade() -> None:
    exchange, crowd = world()
    exchange.drain()
    at_the_quote = trades = 0
    for _ in range(4000):
        quotes = {pair: exchange.book(pair) for pair in RULES}
        for book in quotes.values():
            assert book.bids[0][0] < book.asks[0][0]
            assert min(len(book.bids), len(book.asks)) >= 13
        crowd.advance(crowd.next_due_ns())
        for event in exchange.drain():
            if isinstance(event, PublicTrade):
                book = quotes[event.pair]
                trades += 1
                at_the_quote += event.price == (book.asks if event.side == "buy" else book.bids)[0][0]
    assert trades > 100
    assert at_the_quote / trades > 0.6  # the others share their quotes with a neighbour less than 400 ms away


@pytest.mark.parametrize("speed", [1, 60, 3600])
def test_levels_change_about_once_a_second_at_least_and_not_much_above_twenty_times(speed: int) -> None:
    exchange, crowd = world(speed=speed)
    exchange.drain()

    changes = sum(
        isinstance(event, LevelChanged) and event.pair == "BTC/USD" for event in events_until(exchange, crowd, 120)
    )

    assert 120 / 2 <= changes <= 120 * 26


def test_after_the_last_row_the_first_comes_again() -> None:
    exchange, crowd = world(speed=3600, start_row=8759)
    crowd.advance(START_NS + 1 * S - 1)
    exchange.drain()

    crowd.advance(START_NS + 2 * S - 1)

    trades = list(trades_of(exchange.drain(), "BTC/USD"))
    first = HISTORIES["BTC/USD"][0]
    assert int(trades[0].price.scaleb(1)) == first.open
    assert int(trades[-1].price.scaleb(1)) == first.close


@pytest.mark.parametrize(("speed", "row"), [(0, 0), (3601, 0), (1, -1), (1, 8760)])
def test_impossible_speeds_and_rows_are_refused(speed: int, row: int) -> None:
    with pytest.raises(ValueError, match=r"speed is|start_row is"):
        world(speed=speed, start_row=row)


# --- candles ----------------------------------------------------------------------------------------------------


def test_candles_of_a_lap_are_the_recorded_hours() -> None:
    _, crowd = world(speed=60)

    candles = crowd.candles("BTC/USD", 60, START_NS)

    assert len(candles) == 101  # rows 0 to 99 are past, and row 100 begins now
    for row, candle in enumerate(candles[:-1]):
        hour = HISTORIES["BTC/USD"][row]
        assert candle.open_s == START_NS // S - (100 - row) * 60
        shown = (candle.open, candle.high, candle.low, candle.close)
        assert tuple(int(price.scaleb(1)) for price in shown) == (hour.open, hour.high, hour.low, hour.close)
        assert int(candle.volume.scaleb(8)) == hour.volume
        assert candle.low <= candle.vwap <= candle.high


def test_at_most_720_complete_candles_and_the_running_one_are_served() -> None:
    _, crowd = world(speed=60, start_row=1000)

    candles = crowd.candles("ETH/USD", 60, START_NS + 30 * S)

    assert len(candles) == 721
    assert candles[-1].open_s == START_NS // S
    assert all(later.open_s - earlier.open_s == 60 for earlier, later in pairwise(candles))


def test_longer_candles_join_hours() -> None:
    _, crowd = world(speed=60, start_row=1000)
    now_ns = START_NS + 3600 * S

    short = {candle.open_s: candle for candle in crowd.candles("BTC/USD", 60, now_ns)}
    long = crowd.candles("BTC/USD", 300, now_ns)[-2]

    parts = [short[long.open_s + 60 * minute] for minute in range(5)]
    assert (long.open, long.close) == (parts[0].open, parts[-1].close)
    assert (long.high, long.low) == (max(part.high for part in parts), min(part.low for part in parts))
    assert long.volume == sum(part.volume for part in parts)
    assert long.trades == sum(part.trades for part in parts)


def test_candles_shorter_than_an_hour_follow_the_drawn_trades_and_are_flat_without_any() -> None:
    exchange, crowd = world(speed=60)
    trades = list(trades_of(events_until(exchange, crowd, 120), "BTC/USD"))

    candles = [row for row in crowd.candles("BTC/USD", 1, START_NS + 120 * S) if row.open_s * S >= START_NS]

    for before, candle in pairwise(candles):
        inside = [trade for trade in trades if trade.at_ns // S == candle.open_s]
        assert candle.trades == len(inside)
        assert candle.volume == sum((trade.qty for trade in inside), Decimal(0))
        if inside:
            assert (candle.open, candle.close) == (inside[0].price, inside[-1].price)
        else:
            assert candle.open == candle.high == candle.low == candle.close == before.close
            assert candle.vwap == 0


def test_the_running_candle_shows_only_what_has_happened() -> None:
    exchange, crowd = world(speed=60)
    trades = list(trades_of(events_until(exchange, crowd, 30), "BTC/USD"))

    running = crowd.candles("BTC/USD", 60, START_NS + 30 * S)[-1]

    assert running.close == trades[-1].price
    assert running.volume == sum((trade.qty for trade in trades), Decimal(0))


@pytest.mark.parametrize(("price_digits", "qty_digits"), [(1, 0), (-1, 0), (0, -3), (1, -2)])
def test_the_crowd_goes_on_where_the_digits_of_its_pair_change_e03(price_digits: int, qty_digits: int) -> None:
    exchange, crowd = world(speed=3600)
    events_until(exchange, crowd, 3)
    before = exchange.last_trade_price("BTC/USD")
    old = exchange.pairs["BTC/USD"]
    new = replace(
        old,
        price_decimals=old.price_decimals + price_digits,
        qty_decimals=old.qty_decimals + qty_digits,
    )
    exchange.set_pair_rules(new, START_NS + 3 * S)

    crowd.advance(START_NS + 20 * S)

    trades = list(trades_of(exchange.drain(), "BTC/USD"))
    book = exchange.book("BTC/USD")
    assert len(trades) > 500
    assert before is not None
    assert all(abs(trade.price / before - 1) < Decimal("0.1") for trade in trades)
    assert len(book.bids) >= 15 <= len(book.asks)
    assert book.bids[0][0] < book.asks[0][0]
