"""What others do to an account at the made Kraken: the ledger rows of each act, whose balances follow one another."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import pytest

from aether.sim.exchange import Exchange, ExchangeRefusal, LedgerEntry, PairRules
from aether.sim.foreign_acts import ForeignActs

D = Decimal
S = 1_000_000_000
BTC = PairRules("BTC/USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "BTC", "XXBT", 1, 8, 5, D("0.00005"), D("0.5"), "online")
PAIR = BTC.name


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange([BTC], seed=7)
    made.open_account("ann", {"USD": D("10000"), "BTC": D("1")}, 1 * S)
    made.set_level(PAIR, "ask", D("50000.0"), D(5), 1 * S)
    made.set_level(PAIR, "bid", D("49990.0"), D(5), 1 * S)
    made.drain()
    return made


@pytest.fixture
def acts(exchange: Exchange) -> ForeignActs:
    return ForeignActs(exchange, "ann")


Act = Callable[[ForeignActs], list[LedgerEntry]]

ACTS: dict[str, tuple[Act, list[tuple[str, str, str, str, str]]]] = {
    "deposit": (
        lambda acts: acts.deposit("USD", D("250.5"), 2 * S),
        [("deposit", "", "USD", "250.5", "10250.5")],
    ),
    "withdrawal": (
        lambda acts: acts.withdraw("BTC", D("0.4"), D("0.00002"), 2 * S),
        [("withdrawal", "", "BTC", "-0.4", "0.59998")],
    ),
    "reward": (
        lambda acts: acts.reward("BTC", D("0.00001"), 2 * S),
        [("earn", "reward", "BTC", "0.00001", "1.00001")],
    ),
    "begins to earn": (
        lambda acts: acts.begin_to_earn("BTC", D("0.25"), 2 * S),
        [("earn", "allocation", "BTC", "-0.25", "0.75"), ("earn", "allocation", "BTC.F", "0.25", "0.25")],
    ),
    "transfer": (
        lambda acts: acts.transfer("USD", D("-100"), 2 * S),
        [("transfer", "spottofutures", "USD", "-100", "9900")],
    ),
    "instant buy": (
        lambda acts: acts.buy_at_once(PAIR, D("100"), 2 * S),
        [("spend", "", "USD", "-100", "9898.5"), ("receive", "", "BTC", "0.002", "1.002")],
    ),
    "adjustment": (
        lambda acts: acts.adjust("BCH", D("0.1"), 2 * S),
        [("adjustment", "", "BCH", "0.1", "0.1")],
    ),
    "rollover": (
        lambda acts: acts.pay_for_margin(D("0.02"), 2 * S),
        [("rollover", "", "USD", "0", "9999.98")],
    ),
}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_books_its_rows_under_one_reference(exchange: Exchange, acts: ForeignActs, name: str) -> None:
    act, expected = ACTS[name]

    rows = act(acts)

    told = [
        (row.type, row.subtype, row.asset, str(row.amount.normalize()), str(row.balance.normalize())) for row in rows
    ]
    assert told == [
        (kind, subtype, asset, str(D(a).normalize()), str(D(b).normalize())) for kind, subtype, asset, a, b in expected
    ]
    assert len({row.ref_id for row in rows}) == 1
    assert exchange.ledgers("ann")[-len(rows) :] == rows
    assert all(exchange.balances("ann")[row.asset][0] == row.balance for row in rows)


def test_what_is_held_for_an_order_cannot_leave(exchange: Exchange, acts: ForeignActs) -> None:
    acts.offer(PAIR, D("0.9"), D("60000.0"), 2 * S)

    with pytest.raises(ExchangeRefusal, match="EFunding:Insufficient funds"):
        acts.withdraw("BTC", D("0.1"), D("0.00002"), 2 * S)
    with pytest.raises(ExchangeRefusal, match="EFunding:Insufficient funds"):
        acts.begin_to_earn("BTC", D("0.2"), 2 * S)
    assert len(exchange.ledgers("ann")) == 2


def test_coins_that_earn_come_back(exchange: Exchange, acts: ForeignActs) -> None:
    acts.begin_to_earn("BTC", D("0.25"), 2 * S)
    acts.cease_to_earn("BTC", D("0.25"), 3 * S)

    assert {asset: total for asset, (total, _) in exchange.balances("ann").items()} == {
        "USD": D(10000),
        "BTC": D(1),
        "BTC.F": D(0),
    }


def test_a_trade_by_hand_is_a_trade_without_a_client_order_id(exchange: Exchange, acts: ForeignActs) -> None:
    order = acts.buy(PAIR, D("0.01"), 2 * S)

    (trade,) = exchange.trades("ann")
    assert (order.status, trade.cl_ord_id, trade.order_id) == ("filled", None, order.order_id)
    assert [row.type for row in exchange.ledgers("ann")[-2:]] == ["trade", "trade"]


def test_a_balance_that_changes_without_a_row_breaks_the_chain_of_rows(exchange: Exchange, acts: ForeignActs) -> None:
    acts.shift_unbooked("USD", D("-5"), 2 * S)
    acts.deposit("USD", D(1), 3 * S)

    rows = [row for row in exchange.ledgers("ann") if row.asset == "USD"]
    assert [later.balance - (earlier.balance + later.amount - later.fee) for earlier, later in pairwise(rows)] == [
        D(-5)
    ]
    with pytest.raises(ExchangeRefusal, match="EFunding:Insufficient funds"):
        acts.shift_unbooked("USD", D("-10000"), 3 * S)


def test_nobody_sells_so_nothing_is_bought_at_once(exchange: Exchange, acts: ForeignActs) -> None:
    exchange.set_level(PAIR, "ask", D("50000.0"), D(0), 2 * S)

    with pytest.raises(ExchangeRefusal):
        acts.buy_at_once(PAIR, D(100), 2 * S)
