from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.domain.inputs import (
    BookChanged,
    FeedLost,
    HistorySeen,
    Input,
    InstrumentSeen,
    SystemStatusSeen,
    TradeSeen,
)
from aether.domain.instruments import Instrument, PairStatus, Side
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty, Symbol, Usd, UtcNanos
from aether.ports import Put
from aether.sim.exchange import Exchange, ExchangeRefusal, NewOrder, Order
from aether.sim.mirror import OLD_TRADE_NS, Mirror, MirroredFeed, mirrored_rules
from aether.sim.world import SimWorld

BTC = recall("BTC/USD")
NOW_NS = 1_790_000_000 * NANOS_PER_S
INSTRUMENT = Instrument(
    symbol=BTC,
    base="BTC",
    tick=Decimal("0.1"),
    lot=Decimal("0.00000001"),
    price_decimals=1,
    qty_decimals=8,
    cost_decimals=5,
    qty_min=Qty(Decimal("0.00005")),
    cost_min=Usd(Decimal("0.5")),
    status=PairStatus.ONLINE,
)
COIN = 10**8  # lots


class StillClock:
    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


class Paper:
    """An exchange with one account, and the mirror that moves it."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.exchange = Exchange([mirrored_rules(INSTRUMENT)], seed=1)
        self.exchange.open_account("paper", {"USD": Decimal(100_000), "BTC": Decimal(1)}, NOW_NS)
        self.mirror = Mirror(self.exchange, self.clock)
        self.mirror.hear(book([(1000, COIN), (999, COIN)], [(1002, COIN), (1003, 2 * COIN)]))

    def order(self, side: str, qty: str, price: str, *, tif: str = "gtc", post_only: bool = False) -> str:
        new = NewOrder(
            pair="BTC/USD",
            side="buy" if side == "buy" else "sell",
            order_type="limit",
            qty=Decimal(qty),
            limit_price=Decimal(price),
            time_in_force="ioc" if tif == "ioc" else "gtc",
            post_only=post_only,
            cl_ord_id=None,
            userref=None,
            deadline_ns=None,
        )
        return self.exchange.add_order("paper", new, self.clock.now_ns).order_id

    def now(self, order_id: str) -> Order:
        order = self.exchange.find_order("paper", order_id=order_id)
        assert order is not None
        return order

    def trade(self, side: Side, price: str, qty: str, *, age_ns: int = 0) -> None:
        self.mirror.hear(TradeSeen(BTC, side, Price(Decimal(price)), Qty(Decimal(qty)), self.clock.now_ns - age_ns))


def book(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> BookChanged:
    return BookChanged(BTC, tuple(bids), tuple(asks), 1, 8)


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_the_exchange_shows_the_book_that_was_heard(paper: Paper) -> None:
    shown = paper.exchange.top("BTC/USD", 10)
    assert shown == (((1000, COIN), (999, COIN)), ((1002, COIN), (1003, 2 * COIN)))


def test_a_new_picture_replaces_the_old_one(paper: Paper) -> None:
    paper.mirror.hear(book([(1005, 5)], [(1006, 7)]))
    assert paper.exchange.top("BTC/USD", 10) == (((1005, 5),), ((1006, 7),))


def test_an_order_that_crosses_takes_the_real_depth_and_no_more(paper: Paper) -> None:
    order = paper.now(paper.order("buy", "1.5", "100.2", tif="ioc"))
    assert (order.cum_qty, order.status) == (Decimal(1), "canceled")


def test_what_was_taken_is_there_again_with_the_next_picture(paper: Paper) -> None:
    paper.order("buy", "1", "100.2", tif="ioc")
    paper.mirror.hear(book([(1000, COIN)], [(1002, COIN)]))
    assert paper.exchange.top("BTC/USD", 1)[1] == ((1002, COIN),)


def test_a_resting_order_is_filled_by_a_real_trade_through_its_price(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.2")
    assert paper.now(resting).cum_qty == Decimal("0.2")


def test_a_trade_away_from_its_price_fills_nothing(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "99.9", post_only=True)
    paper.trade(Side.SELL, "100.0", "0.2")
    assert paper.now(resting).cum_qty == 0


def test_behind_a_standing_quantity_it_waits_its_turn(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.0", post_only=True)
    paper.trade(Side.SELL, "100.0", "1")
    assert paper.now(resting).cum_qty == 0
    paper.clock.now_ns += 1
    paper.trade(Side.SELL, "100.0", "0.5")
    assert paper.now(resting).cum_qty == Decimal("0.5")


def test_a_book_that_crosses_a_resting_order_fills_it(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.mirror.hear(book([(990, COIN)], [(995, COIN)]))
    assert paper.now(resting).status == "filled"
    assert paper.exchange.top("BTC/USD", 1)[0] == ((990, COIN),)


@pytest.mark.parametrize(("age_ns", "filled"), [(OLD_TRADE_NS - 1, "0.2"), (OLD_TRADE_NS, "0")])
def test_trades_of_a_snapshot_fill_nobody_now(paper: Paper, age_ns: int, filled: str) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.2", age_ns=age_ns)
    assert paper.now(resting).cum_qty == Decimal(filled)


def test_a_trade_told_again_after_a_reconnect_fills_once(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.1")
    paper.trade(Side.SELL, "100.1", "0.1")
    paper.mirror.hear(FeedLost(BTC, "disconnected"))
    for _ in range(2):
        paper.trade(Side.SELL, "100.1", "0.1")
    assert paper.now(resting).cum_qty == Decimal("0.2")
    paper.trade(Side.SELL, "100.1", "0.1")  # one more of that moment, which was not heard before
    assert paper.now(resting).cum_qty == Decimal("0.3")


def test_older_trades_told_again_after_a_reconnect_fill_nobody(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.1", age_ns=5)
    paper.trade(Side.SELL, "100.1", "0.1", age_ns=2)
    paper.mirror.hear(FeedLost(BTC, "disconnected"))
    paper.trade(Side.SELL, "100.1", "0.1", age_ns=5)
    paper.trade(Side.SELL, "100.1", "0.1", age_ns=2)
    paper.trade(Side.SELL, "100.1", "0.1", age_ns=1)
    assert paper.now(resting).cum_qty == Decimal("0.3")


def test_every_row_of_a_sweep_counts_although_all_bear_one_time(paper: Paper) -> None:
    upper = paper.order("buy", "0.2", "100.1", post_only=True)
    lower = paper.order("buy", "0.2", "100.0", post_only=True)
    for price, qty in (("100.1", "0.1"), ("100.1", "0.1"), ("100.0", "1"), ("100.0", "0.2")):
        paper.trade(Side.SELL, price, qty)
    assert (paper.now(upper).status, paper.now(lower).status) == ("filled", "filled")


def test_a_trade_of_the_future_is_not_believed_and_blocks_none_after_it(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.2", age_ns=-OLD_TRADE_NS)
    assert paper.now(resting).cum_qty == 0
    paper.trade(Side.SELL, "100.1", "0.2")
    assert paper.now(resting).cum_qty == Decimal("0.2")


def test_without_a_feed_there_is_nobody_to_trade_with(paper: Paper) -> None:
    paper.mirror.hear(FeedLost(BTC, "disconnected"))
    assert paper.exchange.top("BTC/USD", 1) == ((), ())
    assert paper.now(paper.order("buy", "0.5", "100.2", tif="ioc")).cum_qty == 0


@pytest.mark.parametrize("status", ["cancel_only", "maintenance", "something new"])
def test_the_venues_status_stops_the_made_one_too(paper: Paper, status: str) -> None:
    paper.mirror.hear(SystemStatusSeen(status))
    with pytest.raises(ExchangeRefusal):
        paper.order("buy", "0.5", "100.2", tif="ioc")


def test_a_pairs_status_is_repeated(paper: Paper) -> None:
    paper.mirror.hear(InstrumentSeen(replace(INSTRUMENT, status=PairStatus.CANCEL_ONLY)))
    with pytest.raises(ExchangeRefusal, match="cancel_only"):
        paper.order("buy", "0.5", "100.2", tif="ioc")


class Saying:
    """A feed that says these inputs and ends."""

    def __init__(self, *said: Input) -> None:
        self._said = said

    async def run(self, put: Put) -> None:
        for heard in self._said:
            put(heard)

    async def history(self, symbol: Symbol, bar_s: int, count: int) -> HistorySeen:
        raise AssertionError(f"nobody asks for {count} bars of {bar_s} s of {symbol} here")


def through_the_feed(paper: Paper, *said: Input) -> list[tuple[Input, object]]:
    """Say this by way of a MirroredFeed; each input that came out, with the best levels at that time."""
    heard: list[tuple[Input, object]] = []
    feed = MirroredFeed(Saying(*said), paper.mirror, SimWorld(paper.exchange, paper.mirror, paper.clock))
    asyncio.run(feed.run(lambda told: heard.append((told, paper.exchange.top("BTC/USD", 1)))))
    return heard


def test_the_made_exchange_hears_before_the_core_does(paper: Paper) -> None:
    said = book([(1010, 1)], [(1011, 1)])
    assert through_the_feed(paper, said) == [(said, (((1010, 1),), ((1011, 1),)))]


# --- what is off the grid, and what changes it ------------------------------------------------------------------


def seen(price: str, qty: str) -> TradeSeen:
    return TradeSeen(BTC, Side.SELL, Price(Decimal(price)), Qty(Decimal(qty)), NOW_NS)


@pytest.mark.parametrize(
    ("trade", "filled"),
    [
        (seen("100.1", "0.200000019"), "0.20000001"),
        (seen("100.1", "0.000000009"), "0"),
        (seen("100.1", "0"), "0"),
        (seen("100.05", "0.2"), "0"),
        (seen("100.1000000001", "0.2"), "0"),
        (seen("100.1", "1E+30"), "0.5"),
        (seen("1E+30", "1E+30"), "0"),
        (seen("1E-30", "0.2"), "0"),
    ],
)
def test_a_trade_off_the_grid_is_rounded_down_or_skipped_and_never_raises(
    paper: Paper, trade: TradeSeen, filled: str
) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    assert [told for told, _ in through_the_feed(paper, trade)] == [trade]
    assert paper.now(resting).cum_qty == Decimal(filled)


@pytest.mark.parametrize(
    "said",
    [
        BookChanged(BTC, ((10000, 5),), ((10020, 5),), 2, 8),
        BookChanged(BTC, ((1000, 5),), ((1002, 5),), 1, 9),
        BookChanged(BTC, ((0, 5), (-1, 5)), ((1002, 0), (1003, -1)), 1, 8),
        BookChanged(BTC, (), (), 1, 8),
    ],
    ids=["other ticks", "other lots", "no price and no quantity", "empty"],
)
def test_a_book_off_the_grid_is_a_book_of_nobody(paper: Paper, said: BookChanged) -> None:
    assert through_the_feed(paper, said) == [(said, ((), ()))]


def test_a_crossed_book_raises_nothing(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    through_the_feed(paper, book([(1010, 5), (1009, 5)], [(1000, COIN), (1010, 5)]))
    assert paper.now(resting).status == "filled"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_the_public_market_says_the_mirror_goes_on(data: st.DataObject) -> None:
    levels = st.lists(st.tuples(st.integers(-2, 2000), st.integers(-2, 2 * COIN)), max_size=4).map(tuple)
    digits = {"price_decimals": st.integers(0, 3), "qty_decimals": st.integers(5, 9)}
    books = st.builds(BookChanged, symbol=st.just(BTC), bids=levels, asks=levels, **digits)
    amounts = st.sampled_from(["100.1", "100.3", "100", "0.2"]).map(Decimal) | st.decimals("1e-10", 2000, places=10)
    trades = st.builds(
        TradeSeen,
        symbol=st.just(BTC),
        side=st.sampled_from(Side),
        price=amounts.map(Price),
        qty=amounts.map(Qty),
        venue_ns=st.integers(NOW_NS - 3, NOW_NS + 3),
    )
    rules = st.builds(replace, st.just(INSTRUMENT), status=st.sampled_from(PairStatus), **digits)
    said = st.one_of(books, trades, rules.map(InstrumentSeen), st.just(FeedLost(BTC, "disconnected")))
    paper = Paper()
    paper.order("buy", "0.5", "100.1", post_only=True)
    paper.order("sell", "0.01012345", "100.3", post_only=True)

    through_the_feed(paper, *data.draw(st.lists(said, max_size=12)))

    held = {asset: held for asset, (_, held) in paper.exchange.balances("paper").items()}
    if not paper.exchange.open_orders("paper"):
        assert held == {"USD": 0, "BTC": 0}


FINER = replace(INSTRUMENT, tick=Decimal("0.01"), price_decimals=2)
COARSER = replace(INSTRUMENT, tick=Decimal(1), price_decimals=0)


def test_new_digits_of_a_pair_are_taken_over_and_its_book_begins_anew(paper: Paper) -> None:
    said = BookChanged(BTC, ((10000, COIN),), ((10003, COIN),), 2, 8)
    assert through_the_feed(paper, InstrumentSeen(FINER), said) == [
        (InstrumentSeen(FINER), ((), ())),
        (said, (((10000, COIN),), ((10003, COIN),))),
    ]
    assert paper.now(paper.order("buy", "1", "100.03", tif="ioc")).status == "filled"


def test_an_order_on_the_new_grid_stays_with_its_place_and_its_hold(paper: Paper) -> None:
    first = paper.order("buy", "0.5", "100.1", post_only=True)
    second = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.2")
    held = paper.exchange.balances("paper")["USD"]

    paper.mirror.hear(InstrumentSeen(FINER))

    assert paper.exchange.top("BTC/USD", 1)[0] == ((10010, COIN * 8 // 10),)
    assert paper.exchange.balances("paper")["USD"] == held
    paper.trade(Side.SELL, "100.10", "0.4")
    assert paper.now(first).status == "filled"
    assert paper.now(second).cum_qty == Decimal("0.1")


@pytest.mark.parametrize(
    ("rules", "price", "qty", "stays"),
    [
        (COARSER, "100", "0.5", True),
        (COARSER, "100.1", "0.5", False),
        (replace(INSTRUMENT, lot=Decimal("0.01"), qty_decimals=2), "100.1", "0.51", True),
        (replace(INSTRUMENT, lot=Decimal("0.01"), qty_decimals=2), "100.1", "0.501", False),
        (replace(INSTRUMENT, cost_decimals=2), "100.1", "0.5", False),
        (replace(INSTRUMENT, qty_min=Qty(Decimal(1))), "100.1", "0.5", True),
    ],
    ids=["on the tick", "off the tick", "on the lot", "off the lot", "counted otherwise", "below a new minimum"],
)
def test_an_order_off_the_new_grid_is_cancelled_with_a_reason(
    paper: Paper, rules: Instrument, price: str, qty: str, *, stays: bool
) -> None:
    resting = paper.order("buy", qty, price, post_only=True)
    paper.mirror.hear(InstrumentSeen(rules))
    order = paper.now(resting)
    assert (order.status, order.reason) == (("new", "") if stays else ("canceled", "Pair rules changed"))
    assert (paper.exchange.balances("paper")["USD"][1] > 0) == stays


def test_a_new_minimum_holds_from_the_next_order_on(paper: Paper) -> None:
    paper.mirror.hear(InstrumentSeen(replace(INSTRUMENT, qty_min=Qty(Decimal(1)))))
    assert paper.exchange.top("BTC/USD", 1) == (((1000, COIN),), ((1002, COIN),))
    with pytest.raises(ExchangeRefusal, match="minimum"):
        paper.order("buy", "0.5", "100.1")


def test_a_status_that_nobody_knows_opens_nothing_and_lets_cancel(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.mirror.hear(InstrumentSeen(replace(INSTRUMENT, status=PairStatus.UNKNOWN)))
    with pytest.raises(ExchangeRefusal):
        paper.order("buy", "0.5", "100.0")
    assert paper.exchange.cancel_order("paper", resting, NOW_NS).status == "canceled"


def test_timers_are_looked_at_within_a_quarter_of_a_second(paper: Paper) -> None:
    assert paper.mirror.next_due_ns() - NOW_NS == NANOS_PER_S // 4
