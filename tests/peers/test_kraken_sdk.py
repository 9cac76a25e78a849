"""python-kraken-sdk over REST: it sends every order type as text, and has an exception for each error."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

spot = pytest.importorskip("kraken.spot")
errors = pytest.importorskip("kraken.exceptions")

TRIES = 50  # orders until the counter, which falls all the time, is over its limit


def clients_of(sandbox: Any, **more: str) -> Any:
    # docs/sandbox.md: python-kraken-sdk
    access = {"key": sandbox.api_key, "secret": sandbox.api_secret, "url": sandbox.rest} | more
    return SimpleNamespace(market=spot.Market(url=sandbox.rest), user=spot.User(**access), trade=spot.Trade(**access))


@pytest.fixture
def kraken(sandbox: Any) -> Any:
    return clients_of(sandbox)


@pytest.fixture
def bid(kraken: Any) -> Decimal:
    return Decimal(kraken.market.get_ticker("XBTUSD")["XXBTZUSD"]["b"][0])


@pytest.fixture
def place(kraken: Any) -> Callable[..., str]:
    """Place an order for a bitcoin's part; its id."""

    def place(ordertype: str, side: str, volume: str = "0.002", **more: Any) -> str:
        answer = kraken.trade.create_order(ordertype=ordertype, side=side, pair="XBTUSD", volume=volume, **more)
        (txid,) = answer["txid"]
        return str(txid)

    return place


def buy_again_and_again(kraken: Any) -> None:
    for _ in range(TRIES):
        kraken.trade.create_order("market", "buy", "XBTUSD", "0.001")


def usd(price: Decimal) -> str:
    return f"{price:.1f}"


def test_the_markets_are_read(kraken: Any) -> None:
    market = kraken.market
    assert market.get_asset_pairs(pair="BTC/USD")["BTC/USD"]["pair_decimals"] == 1
    assert set(market.get_assets(assets="USD")) == {"ZUSD"}
    assert market.get_system_status()["status"] == "online"
    book = market.get_order_book("XBTUSD", count=10)["XXBTZUSD"]
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
    assert len(market.get_ohlc("XBTUSD", interval=1)["XXBTZUSD"]) == 721  # with the running candle
    trades = market.get_recent_trades("XBTUSD")
    assert market.get_recent_trades("XBTUSD", since=trades["last"])["last"] >= trades["last"]
    assert market.get_recent_spreads("XBTUSD")["last"] > 0


def test_money_is_read(kraken: Any, bid: Decimal, place: Callable[..., str]) -> None:
    assert kraken.user.get_balance("USD") == {"currency": "ZUSD", "balance": 100000, "available_balance": 100000}
    place("limit", "buy", "0.01", price=usd(bid * 9 / 10))
    money = kraken.user.get_balance("USD")
    assert money["balance"] == 100000
    assert money["balance"] - money["available_balance"] == pytest.approx(float(bid) * 0.009, rel=0.01)
    assert Decimal(kraken.user.get_trade_balance()["eb"]) == 100000


WAITING: dict[str, dict[str, Any]] = {
    "limit": {"price": "+20%", "oflags": ["post", "fciq"], "cl_ord_id": "by-the-sdk"},
    "limit until a date": {"price": "+20%", "timeinforce": "GTD", "expiretm": "+60"},
    "limit from a date": {"price": "+20%", "starttm": "+60"},
    "iceberg": {"price": "+20%", "displayvol": "0.0005"},
    "stop-loss": {"price": "-10%"},
    "stop-loss-limit": {"price": "-10%", "price2": "-11%"},
    "take-profit": {"price": "+20%", "trigger": "index"},
    "take-profit-limit": {"price": "+20%", "price2": "+19%"},
    "trailing-stop": {"price": "+5%"},
    "trailing-stop-limit": {"price": "+500", "price2": "-10"},
}


@pytest.mark.parametrize("name", WAITING)
def test_an_order_that_waits_is_seen_and_cancelled(kraken: Any, place: Callable[..., str], name: str) -> None:
    place("market", "buy")
    kind = name.split(maxsplit=1)[0]
    txid = place(kind, "sell", **WAITING[name])
    (seen,) = kraken.user.get_open_orders()["open"].items()
    assert seen[0] == txid
    assert (seen[1]["descr"]["ordertype"], seen[1]["vol"], seen[1]["vol_exec"]) == (kind, "0.00200000", "0.00000000")
    assert seen[1].get("cl_ord_id") == WAITING[name].get("cl_ord_id")
    assert kraken.user.get_balance("XBT")["available_balance"] == 0

    assert kraken.trade.cancel_order(txid=txid)["count"] == 1
    assert kraken.user.get_orders_info(txid=txid)[txid]["status"] == "canceled"
    assert kraken.user.get_balance("XBT")["available_balance"] == 0.002


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"price": "+1%"}, "closed"),
        ({"price": "+1%", "timeinforce": "IOC"}, "closed"),
        ({"price": "+1%", "timeinforce": "FOK"}, "closed"),
        ({"price": "-1%", "timeinforce": "IOC"}, "canceled"),
        ({"price": "-1%", "timeinforce": "FOK"}, "canceled"),
    ],
)
def test_an_order_that_takes_is_filled_or_ends(
    kraken: Any, place: Callable[..., str], given: dict[str, str], status: str
) -> None:
    txid = place("limit", "buy", **given)
    order = kraken.user.get_orders_info(txid=txid)[txid]
    assert (order["status"], Decimal(order["vol_exec"])) == (status, Decimal("0.002") if status == "closed" else 0)


def test_a_market_order_may_name_what_it_spends_and_validate_sends_nothing(
    kraken: Any, place: Callable[..., str]
) -> None:
    only_checked = kraken.trade.create_order("market", "buy", "XBTUSD", "0.01", validate=True)
    assert (only_checked["descr"]["order"], "txid" in only_checked) == ("buy 0.01000000 XBTUSD @ market", False)
    txid = place("market", "buy", "500", oflags=["viqc", "fciq"])
    order = kraken.user.get_orders_info(txid=txid)[txid]
    assert Decimal(order["cost"]) == pytest.approx(500, abs=1)
    assert kraken.user.get_open_orders()["open"] == {}


def test_an_amend_keeps_the_order_and_an_edit_makes_another(
    kraken: Any, bid: Decimal, place: Callable[..., str]
) -> None:
    txid = place("limit", "buy", price=usd(bid * 9 / 10))
    kraken.trade.amend_order(txid=txid, order_qty="0.003", limit_price=usd(bid * 8 / 10))
    amends = kraken.user.get_order_amends(order_id=txid)
    assert [amend["amend_type"] for amend in amends["amends"]] == ["original", "user"]
    edited = kraken.trade.edit_order(txid=txid, pair="XBTUSD", volume="0.004", price=usd(bid * 7 / 10))
    assert (edited["originaltxid"], edited["status"]) == (txid, "ok")
    (left,) = kraken.user.get_open_orders()["open"].items()
    assert (left[0], left[1]["vol"]) == (edited["txid"], "0.00400000")


def test_batches(kraken: Any, bid: Decimal, place: Callable[..., str]) -> None:
    orders = [
        {"ordertype": "limit", "type": "buy", "volume": f"0.00{number}", "price": usd(bid * 9 / 10)}
        for number in (1, 2, 3)
    ]
    placed = kraken.trade.create_order_batch(orders=orders, pair="XBTUSD")["orders"]
    assert [order["descr"]["order"].split()[1] for order in placed] == ["0.00100000", "0.00200000", "0.00300000"]
    assert kraken.trade.cancel_order_batch(orders=[order["txid"] for order in placed[:2]])["count"] == 2
    assert set(kraken.user.get_open_orders()["open"]) == {placed[2]["txid"]}
    assert kraken.trade.cancel_all_orders()["count"] == 1


def test_the_dead_mans_switch_is_set_and_cleared(kraken: Any) -> None:
    armed = kraken.trade.cancel_all_orders_after_x(timeout=60)
    assert armed["triggerTime"] > armed["currentTime"]
    kraken.trade.cancel_all_orders_after_x(timeout=0)


def test_fills_fees_history_and_ledger_agree(kraken: Any, sandbox: Any, place: Callable[..., str]) -> None:
    ids = {place("market", "buy", "0.01"), place("market", "sell", "0.004")}
    taker = Decimal(kraken.user.get_trade_volume(pair="XBTUSD")["fees"]["XXBTZUSD"]["fee"]) / 100
    orders = kraken.user.get_orders_info(txid=list(ids), trades=True)
    trades = kraken.user.get_trades_history()["trades"]
    ledger = kraken.user.get_ledgers_info(asset="ZUSD")["ledger"]

    assert {trade["ordertxid"] for trade in trades.values()} == set(orders) == ids
    assert {trade_id for order in orders.values() for trade_id in order["trades"]} == set(trades)
    for trade in trades.values():
        assert Decimal(trade["fee"]) == pytest.approx(Decimal(trade["cost"]) * taker, abs=Decimal("0.0001"))
    assert sum(Decimal(order["fee"]) for order in orders.values()) == sum(Decimal(t["fee"]) for t in trades.values())
    assert {row["refid"] for row in ledger.values() if row["type"] == "trade"} == set(trades)

    account = sandbox.account()
    assert set(account.trades) == set(trades)
    assert set(ledger) <= set(account.ledger)
    usd_left = sum(Decimal(row["amount"]) - Decimal(row["fee"]) for row in ledger.values())
    assert (usd_left, account.balances["XXBT"]) == (account.balances["ZUSD"], Decimal("0.006"))


def test_history_is_read_page_by_page(kraken: Any, place: Callable[..., str]) -> None:
    ids = [place("market", "buy", "0.001") for _ in range(3)]
    newest_first = list(kraken.user.get_closed_orders(closetime="close")["closed"])
    assert newest_first == ids[::-1]
    assert list(kraken.user.get_closed_orders(ofs=1)["closed"]) == ids[1::-1]
    history = kraken.user.get_trades_history()
    trade_ids = list(history["trades"])
    assert history["count"] == len(trade_ids)
    trade = kraken.user.get_trades_info(txid=trade_ids[0])[trade_ids[0]]
    assert trade["ordertxid"] == ids[2]
    row_ids = [row_id for row_id, row in kraken.user.get_ledgers_info()["ledger"].items() if row["type"] == "trade"]
    assert set(kraken.user.get_ledgers(id_=row_ids[:2])) == set(row_ids[:2])


# --- what Kraken refuses, by the client's own exceptions ------------------------------------------------------------


REFUSED = {
    "no funds": (errors.KrakenInsufficientFundsError, {"volume": "1000"}),
    # its class for `EOrder:Order minimum not met` is not what Kraken says today
    "below minimum": (errors.KrakenInvalidArgumentsError, {"volume": "0.00000001"}),
    "bad tick": (errors.KrakenTickSizeInvalidCheckError, {"price": "1000.12"}),
    # it takes `EQuery:Unknown asset pair` for `EQuery:Unknown asset`, which stands first in its table
    "unknown pair": (errors.KrakenUnknownAssetError, {"pair": "NOPEUSD"}),
    "wrong form": (errors.KrakenInvalidArgumentsError, {"ordertype": "guess"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_order_that_kraken_refuses(kraken: Any, bid: Decimal, name: str) -> None:
    exception, wrong = REFUSED[name]
    order = {"ordertype": "limit", "side": "buy", "pair": "XBTUSD", "volume": "0.01", "price": usd(bid * 9 / 10)}
    with pytest.raises(exception):
        kraken.trade.create_order(**order | wrong)


def test_a_post_only_order_that_would_take_ends_at_once(kraken: Any, bid: Decimal, place: Callable[..., str]) -> None:
    txid = place("limit", "buy", price=usd(bid * 2), oflags="post")
    order = kraken.user.get_orders_info(txid=txid)[txid]
    assert (order["status"], order["reason"]) == ("canceled", "Post only order")


def test_an_unknown_order_is_not_cancelled(kraken: Any) -> None:
    with pytest.raises(errors.KrakenUnknownOrderError):
        kraken.trade.cancel_order(txid="OAAAAA-AAAAA-AAAAAA")


def test_a_wrong_signature_key_or_nonce_is_refused(kraken: Any, sandbox: Any) -> None:
    kraken.user.get_account_balance()
    kraken.user.get_nonce = lambda: "1"
    with pytest.raises(errors.KrakenInvalidNonceError):
        kraken.user.get_account_balance()
    with pytest.raises(errors.KrakenInvalidSignatureError):
        clients_of(sandbox, secret="A" * 86 + "==").user.get_account_balance()
    with pytest.raises(errors.KrakenInvalidAPIKeyError):
        clients_of(sandbox, key="A" * 56).user.get_account_balance()


@pytest.mark.parametrize(
    ("fault", "exception"),
    [
        ("rest_rate_limit", errors.KrakenApiLimitExceededError),
        ("cancel_only", errors.KrakenMarketInOnlyCancelModeError),
        ("post_only", errors.KrakenMarketInOnlyPostModeError),
        ("maintenance", errors.KrakenServiceUnavailableError),
        ("deadline_elapsed", errors.KrakenDeadlineElapsedError),
        ("order_rate_limit", errors.KrakenRateLimitExceededError),  # it stays for a while
    ],
)
def test_limits_and_modes_are_its_own_exceptions(failing_sandbox: Any, fault: str, exception: type[Exception]) -> None:
    kraken = clients_of(failing_sandbox)
    failing_sandbox.go_wrong(fault)
    with pytest.raises(exception):
        buy_again_and_again(kraken)
