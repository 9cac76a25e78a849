from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from aether.domain.inputs import BookChanged, FeedLost, Input, InstrumentSeen, SystemStatusSeen, TradeSeen
from aether.domain.instruments import Instrument, PairStatus, Side
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty, Usd, UtcNanos
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


def test_the_same_trade_told_again_fills_once(paper: Paper) -> None:
    resting = paper.order("buy", "0.5", "100.1", post_only=True)
    paper.trade(Side.SELL, "100.1", "0.2")
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


async def test_the_made_exchange_hears_before_the_core_does(paper: Paper) -> None:
    heard: list[tuple[Input, object]] = []

    class OneBook:
        history = None

        async def run(self, put: object) -> None:
            assert callable(put)
            put(book([(1010, 1)], [(1011, 1)]))

    feed = MirroredFeed(OneBook(), paper.mirror, SimWorld(paper.exchange, paper.mirror, paper.clock))  # type: ignore[arg-type]
    await feed.run(lambda told: heard.append((told, paper.exchange.top("BTC/USD", 1))))
    assert heard == [(book([(1010, 1)], [(1011, 1)]), (((1010, 1),), ((1011, 1),)))]


def test_timers_are_looked_at_within_a_quarter_of_a_second(paper: Paper) -> None:
    assert paper.mirror.next_due_ns() - NOW_NS == NANOS_PER_S // 4
