"""What the market and other people do to an account: each kind of fault, alone with the made Kraken and its crowd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush

import pytest

from aether.core.order_ids import read_mark
from aether.domain.values import NANOS_PER_S
from aether.sim.crowd import Crowd
from aether.sim.exchange import Event, Exchange, NewOrder, Order, OrderEvent, PublicTrade
from aether.sim.recorded import pair_rules, recorded_hours
from aether.simulator.faults.market import MarketFaults
from aether.simulator.faults.others import OthersFaults
from aether.simulator.faults.tally import Acts, Tally, joined
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.plan import Fault

D = Decimal
START_NS = 1_790_000_040 * NANOS_PER_S
SEEDS = range(8)
PAIRS = tuple(rules.name for rules in pair_rules())


@dataclass
class Stage:
    """An exchange whose market goes on, with the faults of others and of the market on it."""

    now_ns: int = START_NS
    waiting: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    cuts: int = 0
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        rules = pair_rules()
        hours = {pair.name: recorded_hours(pair) for pair in rules}
        self.exchange = Exchange(rules, seed=1)
        self.exchange.open_account("main", {"USD": D(10_000), "BTC": D(1), "ETH": D(10)}, START_NS)
        self.crowd = Crowd(self.exchange, hours, seed=1, speed=60, start_row=100, now_ns=START_NS)
        self.market = MarketFaults(self.exchange, self.settle, self)
        self.others = OthersFaults(self.exchange, "main", self, self.tally, settle=self.settle, cut=self.cut)
        self.acts: Acts = joined([self.market.acts(), self.others.acts()])
        self.pass_s(5)

    def after(self, delay_ns: int, act: Callable[[], None]) -> None:
        heappush(self.waiting, (self.now_ns + delay_ns, len(self.waiting), act))

    def settle(self) -> None:
        self.events += self.exchange.drain()

    def cut(self) -> None:
        self.cuts += 1

    def pass_s(self, seconds: int) -> None:
        end_ns = self.now_ns + seconds * NANOS_PER_S
        while self.waiting and self.waiting[0][0] <= end_ns:
            self.now_ns, _, act = heappop(self.waiting)
            self.crowd.advance(self.now_ns)
            act()
        self.now_ns = end_ns
        self.crowd.advance(end_ns)
        self.settle()

    def strike(self, kind: str, draw: int = 1, **parameters: int) -> bool:
        return self.acts[kind](Fault(1, 0, kind, draw, parameters))

    def order_of_ours(self, pair: str = "BTC/USD", qty: str = "0.01", name: str = "a-1") -> Order:
        last = self.exchange.last_trade_price(pair)
        assert last is not None
        new = NewOrder(
            pair,
            "buy",
            "limit",
            D(qty),
            D(int(last * D("0.95"))),
            cl_ord_id=f"{name}-{pair[:3]}" if name == "a-1" else name,
        )
        return self.exchange.add_order("main", new, self.now_ns)

    def ended(self) -> list[str]:
        return [event.order.reason for event in self.events if isinstance(event, OrderEvent) and event.order.closed_ns]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_every_kind_of_these_classes_is_carried_out(stage: Stage) -> None:
    mine = {name for name, kind in KINDS.items() if kind.fault_class in (FaultClass.MARKET, FaultClass.OTHERS)}
    assert set(stage.acts) == mine


# --- the market ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["maintenance", "cancel_only", "post_only"])
def test_a_status_of_the_exchange_ends_by_itself_e01(stage: Stage, status: str) -> None:
    assert stage.strike(status, for_ms=10_000)
    assert stage.exchange.system_status == status

    stage.pass_s(11)

    assert stage.exchange.system_status == "online"


def test_a_status_that_another_one_followed_does_not_end_that_one(stage: Stage) -> None:
    stage.strike("maintenance", for_ms=10_000)
    stage.pass_s(5)
    stage.strike("cancel_only", for_ms=10_000)
    stage.pass_s(6)
    assert stage.exchange.system_status == "cancel_only"
    stage.pass_s(5)
    assert stage.exchange.system_status == "online"


@pytest.mark.parametrize("kind", ["pair_cancel_only", "pair_post_only", "pair_maintenance"])
def test_a_status_of_a_pair_ends_by_itself_e02(stage: Stage, kind: str) -> None:
    stage.strike(kind, for_ms=10_000)
    assert sorted(stage.exchange.pairs[pair].status for pair in PAIRS) == sorted(["online", kind.removeprefix("pair_")])
    stage.pass_s(11)
    assert {stage.exchange.pairs[pair].status for pair in PAIRS} == {"online"}


def test_a_delisting_ends_the_orders_of_its_pair_e06_a24(stage: Stage) -> None:
    for pair in PAIRS:
        stage.order_of_ours(pair)
    stage.strike("delisting", for_ms=3_600_000)
    assert [stage.exchange.pairs[pair].status for pair in PAIRS].count("delisted") == 1
    assert stage.ended() == ["Market delisted"]
    assert len(stage.exchange.open_orders("main")) == 1


def test_all_is_well_again_when_it_is_calm(stage: Stage) -> None:
    stage.strike("delisting", for_ms=3_600_000)
    stage.strike("maintenance", for_ms=3_600_000)
    stage.market.calm()
    assert stage.exchange.system_status == "online"
    assert {stage.exchange.pairs[pair].status for pair in PAIRS} == {"online"}


@pytest.mark.parametrize("draw", SEEDS)
@pytest.mark.parametrize("kind", ["tick_change", "lot_change", "minimum_change"])
def test_rules_change_and_the_market_goes_on_e03(stage: Stage, kind: str, draw: int) -> None:
    before = dict(stage.exchange.pairs)
    assert stage.strike(kind, draw)
    after = dict(stage.exchange.pairs)
    assert sum(before[pair] != after[pair] for pair in PAIRS) == 1

    stage.events.clear()
    stage.pass_s(120)

    assert {event.pair for event in stage.events if isinstance(event, PublicTrade)} == set(PAIRS)
    for pair in PAIRS:
        book = stage.exchange.book(pair, 1)
        assert book.bids[0][0] < book.asks[0][0]


@pytest.mark.parametrize("draw", SEEDS)
def test_a_price_jumps_for_a_while_and_comes_back_b11(stage: Stage, draw: int) -> None:
    before = {pair: stage.exchange.last_trade_price(pair) for pair in PAIRS}
    stage.strike("price_jump", draw, percent=30, for_ms=5_000)
    jumped = [
        pair
        for pair in PAIRS
        if abs((stage.exchange.last_trade_price(pair) or D(0)) / (before[pair] or D(1)) - 1) > D("0.2")
    ]
    assert len(jumped) == 1
    stage.pass_s(120)
    assert abs((stage.exchange.last_trade_price(jumped[0]) or D(0)) / (before[jumped[0]] or D(1)) - 1) < D("0.1")


# --- a person -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", SEEDS)
def test_a_persons_order_is_placed_and_taken_back_a23(stage: Stage, draw: int) -> None:
    assert stage.strike("human_order", draw, for_ms=20_000)
    (order,) = stage.exchange.open_orders("main") or stage.exchange.closed_orders("main")
    assert order.cl_ord_id is None
    stage.pass_s(21)
    assert stage.exchange.open_orders("main") == []


@pytest.mark.parametrize("draw", SEEDS)
def test_a_person_trades_by_hand_e10(stage: Stage, draw: int) -> None:
    assert stage.strike("human_trade", draw)
    assert stage.exchange.trades("main")
    assert all(trade.cl_ord_id is None for trade in stage.exchange.trades("main"))


def test_a_person_cancels_our_order_a24(stage: Stage) -> None:
    stage.strike("human_cancel")
    stage.pass_s(30)
    stage.order_of_ours()
    assert stage.tally.kinds["human_cancel"] == 0
    stage.pass_s(1)
    assert stage.tally.kinds["human_cancel"] == 1
    assert stage.exchange.open_orders("main") == []
    assert stage.ended() == ["User requested"]


@pytest.mark.parametrize("draw", SEEDS)
def test_a_person_amends_our_order_a25(stage: Stage, draw: int) -> None:
    stage.strike("human_amend", draw)
    before = stage.order_of_ours()
    stage.pass_s(1)
    assert stage.tally.kinds["human_amend"] == 1
    (after,) = stage.exchange.open_orders("main")
    assert after.order_id == before.order_id
    assert (after.qty, after.limit_price) != (before.qty, before.limit_price)


def test_the_switch_of_the_account_fires_a30(stage: Stage) -> None:
    stage.strike("dead_man")
    stage.order_of_ours()
    stage.pass_s(2)
    assert stage.tally.kinds["dead_man"] == 1
    assert stage.exchange.open_orders("main") == []
    assert stage.ended() == ["Cancel all orders after timeout"]


@pytest.mark.parametrize("draw", SEEDS)
def test_a_second_daemon_sends_an_order_under_our_mark_and_takes_it_back_h03(stage: Stage, draw: int) -> None:
    assert not stage.strike("twin", draw, for_ms=20_000)
    ours = read_mark(stage.order_of_ours(name="aemade0001zz000001").cl_ord_id)
    assert stage.strike("twin", draw, for_ms=20_000)
    twin = read_mark(stage.exchange.open_orders("main")[1].cl_ord_id)
    assert ours is not None
    assert twin is not None
    assert (twin.tag, twin.run > ours.run) == (ours.tag, True)

    stage.pass_s(21)

    assert len(stage.exchange.open_orders("main")) == 1


def test_more_fills_come_than_a_snapshot_holds_while_nobody_listens_a12(stage: Stage) -> None:
    assert stage.strike("many_fills", fills=60)
    assert stage.cuts == 1
    assert len(stage.exchange.trades("main")) >= 60


# --- money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", SEEDS)
@pytest.mark.parametrize(
    ("kind", "word"),
    [("deposit", "deposit"), ("withdrawal", "withdrawal"), ("reward", "earn"), ("earn_move", "earn")],
)
def test_money_comes_and_goes_with_its_rows_e08_e09(stage: Stage, kind: str, word: str, draw: int) -> None:
    before = len(stage.exchange.ledgers("main"))
    assert stage.strike(kind, draw)
    rows = stage.exchange.ledgers("main")[before:]
    assert {row.type for row in rows} == {word}
    assert len(rows) == (2 if kind == "earn_move" else 1)


def test_coins_come_back_out_of_the_wallet_that_earns(stage: Stage) -> None:
    for draw in range(30):
        stage.strike("earn_move", draw)
    assert {row.subtype for row in stage.exchange.ledgers("main")[3:]} == {"allocation", "deallocation"}


def test_an_asset_that_nobody_trades_here_is_credited_e13(stage: Stage) -> None:
    assert stage.strike("unknown_asset")
    assert set(stage.exchange.balances("main")) - {"USD", "BTC", "ETH"}


def test_what_waits_for_an_order_of_ours_does_not_wait_for_ever(stage: Stage) -> None:
    stage.strike("human_cancel")
    stage.pass_s(121)
    stage.order_of_ours()
    stage.pass_s(5)
    assert stage.tally.kinds["human_cancel"] == 0


def test_what_the_account_cannot_pay_does_not_happen() -> None:
    stage = Stage()
    stage.exchange.open_account("poor", {"USD": D(0)}, stage.now_ns)
    acts = OthersFaults(stage.exchange, "poor", stage, stage.tally, settle=stage.settle, cut=stage.cut).acts()
    for kind in ("human_order", "human_trade", "many_fills", "withdrawal", "reward", "earn_move"):
        parameters = {"for_ms": 1_000, "fills": 60}
        assert not any(acts[kind](Fault(1, 0, kind, draw, parameters)) for draw in SEEDS), kind


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.fault_class is FaultClass.OTHERS])
def test_the_same_draw_does_the_same(kind: str) -> None:
    rows = []
    for _ in range(2):
        stage = Stage()
        stage.order_of_ours()
        stage.strike(kind, 7, for_ms=1_000, fills=60)
        rows.append((stage.exchange.balances("main"), stage.exchange.open_orders("main")))
    assert rows[0] == rows[1]
