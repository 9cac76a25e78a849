"""krakenex: it signs, sends forms, and hands on what comes: errors, too, are Kraken's own text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

krakenex = pytest.importorskip("krakenex")


TRIES = 50  # orders until the counter, which falls all the time, is over its limit


class Client:
    """krakenex as its users hold it: one key, numbers as decimals, an answer that is a result or a list of errors."""

    def __init__(self, sandbox: Any) -> None:
        self.api = krakenex.API(key=sandbox.api_key, secret=sandbox.api_secret).json_options(parse_float=Decimal)
        self.api.uri = sandbox.rest
        self._last_ms = 0

    def public(self, method: str, **data: Any) -> Any:
        return self._result(self.api.query_public(method, data))

    def private(self, method: str, **data: Any) -> Any:
        return self._result(self.try_private(method, **data))

    def errors(self, method: str, **data: Any) -> Any:
        return self.try_private(method, **data)["error"]

    def try_private(self, method: str, **data: Any) -> Any:
        while int(1000 * time.time()) <= self._last_ms:  # its nonce is the millisecond: no two requests in one
            pass
        answer = self.api.query_private(method, data)
        self._last_ms = int(1000 * time.time())
        return answer

    def _result(self, answer: Any) -> Any:
        assert answer["error"] == []
        return answer["result"]


@contextmanager
def client_of(sandbox: Any) -> Iterator[Client]:
    client = Client(sandbox)
    try:
        yield client
    finally:
        client.api.close()


@pytest.fixture
def client(sandbox: Any) -> Iterator[Client]:
    with client_of(sandbox) as client:
        yield client


@pytest.fixture
def bid(client: Client) -> Decimal:
    """The best bid for a bitcoin, in USD."""
    return Decimal(client.public("Ticker", pair="XBTUSD")["XXBTZUSD"]["b"][0])


def limit(price: Decimal, **more: str) -> dict[str, str]:
    return {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "volume": "0.001",
        "price": f"{price:.1f}",
        "oflags": "fciq",
    } | more


def test_the_market_is_read(client: Client) -> None:
    pair = client.public("AssetPairs", pair="XBTUSD")["XXBTZUSD"]
    book = client.public("Depth", pair="XBTUSD", count=10)["XXBTZUSD"]
    candles = client.public("OHLC", pair="XBTUSD", interval=1)
    trades = client.public("Trades", pair="XBTUSD")
    assert (pair["wsname"], pair["pair_decimals"], pair["lot_decimals"]) == ("XBT/USD", 1, 8)
    assert client.public("Assets")["ZUSD"]["altname"] == "USD"
    assert client.public("SystemStatus")["status"] == "online"
    assert abs(client.public("Time")["unixtime"] - time.time()) < 60
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
    assert len(candles["XXBTZUSD"]) == 721  # with the running one
    assert isinstance(trades["last"], str)
    assert client.public("Spread", pair="XBTUSD")["last"] > 0


def test_an_order_lives_and_ends_as_it_is_asked_to(client: Client, bid: Decimal) -> None:
    placed = client.private("AddOrder", **limit(bid * 9 / 10, cl_ord_id="by-krakenex"))
    (txid,) = placed["txid"]
    assert placed["descr"]["order"].startswith("buy 0.00100000 XBTUSD @ limit")
    assert client.private("OpenOrders")["open"][txid]["cl_ord_id"] == "by-krakenex"
    assert Decimal(client.private("BalanceEx")["ZUSD"]["hold_trade"]) > 0

    assert client.private("AmendOrder", txid=txid, order_qty="0.002")["amend_id"].startswith("T")
    assert client.private("OpenOrders")["open"][txid]["vol"] == "0.00200000"

    assert client.private("CancelOrder", cl_ord_id="by-krakenex")["count"] == 1
    assert client.private("QueryOrders", txid=txid)[txid]["status"] == "canceled"
    assert Decimal(client.private("BalanceEx")["ZUSD"]["hold_trade"]) == 0


@pytest.mark.parametrize(
    "order",
    [
        {"ordertype": "stop-loss", "price": "-10%"},
        {"ordertype": "stop-loss-limit", "price": "-10%", "price2": "-11%"},
        {"ordertype": "take-profit", "price": "#20%"},
        {"ordertype": "take-profit-limit", "price": "+20%", "price2": "+19%"},
        {"ordertype": "trailing-stop", "price": "+500"},
        {"ordertype": "trailing-stop-limit", "price": "+500", "price2": "-10"},
        {"ordertype": "iceberg", "price": "+20%", "displayvol": "0.0005"},
        {"ordertype": "limit", "price": "+20%", "timeinforce": "GTD", "expiretm": "+60"},
        {"ordertype": "limit", "price": "+20%", "starttm": "+60"},
    ],
    ids=lambda order: order["ordertype"],
)
def test_orders_that_wait_for_their_price(client: Client, order: dict[str, str]) -> None:
    client.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.003", oflags="fciq")
    (txid,) = client.private("AddOrder", **{"pair": "XBTUSD", "type": "sell", "volume": "0.003"} | order)["txid"]
    waiting = client.private("OpenOrders")["open"][txid]
    assert waiting["status"] == ("pending" if "starttm" in order else "open")
    assert waiting["descr"]["ordertype"] == order["ordertype"]
    assert client.private("CancelAll")["count"] == 1


def test_fills_fees_history_and_ledger_agree(client: Client, sandbox: Any) -> None:
    for side in ("buy", "sell"):
        client.private("AddOrder", pair="XBTUSD", type=side, ordertype="market", volume="0.01", oflags="fciq")
    orders = client.private("ClosedOrders", trades="true")["closed"]
    trades = client.private("TradesHistory")["trades"]
    ledger = client.private("Ledgers")["ledger"]
    balance = client.private("Balance")
    taker = Decimal(client.private("TradeVolume", pair="XBTUSD")["fees"]["XXBTZUSD"]["fee"]) / 100

    assert {trade_id for order in orders.values() for trade_id in order["trades"]} == set(trades)
    assert sum(Decimal(order["fee"]) for order in orders.values()) == sum(Decimal(t["fee"]) for t in trades.values())
    for trade in trades.values():
        assert Decimal(trade["fee"]) == pytest.approx(Decimal(trade["cost"]) * taker, abs=Decimal("0.0001"))
    usd = sum(Decimal(row["amount"]) - Decimal(row["fee"]) for row in ledger.values() if row["asset"] == "ZUSD")
    assert usd == Decimal(balance["ZUSD"])
    account = sandbox.account()
    assert (set(account.trades), set(account.ledger)) == (set(trades), set(ledger))


def test_batches_need_json_and_forms_of_them_are_refused(client: Client) -> None:
    assert client.errors("CancelOrderBatch", orders="OAAAAA-AAAAA-AAAAAA")[0].startswith("EGeneral:Invalid arguments")
    assert client.errors("AddOrderBatch", pair="XBTUSD", orders="[]")[0].startswith("EGeneral:Invalid arguments")


def test_the_dead_mans_switch_is_set_and_cleared(client: Client) -> None:
    assert client.private("CancelAllOrdersAfter", timeout=60)["triggerTime"].endswith("Z")
    client.private("CancelAllOrdersAfter", timeout=0)


@pytest.mark.parametrize(
    ("error", "order"),
    [
        ("EOrder:Insufficient funds", {"volume": "1000"}),
        ("EGeneral:Invalid arguments:volume minimum not met", {"volume": "0.00000001"}),
        ("EOrder:Tick size check failed", {"price": "1000.12"}),
        ("EQuery:Unknown asset pair", {"pair": "NOPEUSD"}),
        ("EGeneral:Invalid arguments:ordertype", {"ordertype": "guess"}),
    ],
)
def test_an_order_that_kraken_refuses_is_refused_with_its_words(
    client: Client, bid: Decimal, error: str, order: dict[str, str]
) -> None:
    assert client.errors("AddOrder", **limit(bid * 9 / 10) | order) == [error]


def test_a_post_only_order_that_would_take_ends_at_once(client: Client, bid: Decimal) -> None:
    (txid,) = client.private("AddOrder", **limit(bid * 2) | {"oflags": "post,fciq"})["txid"]
    order = client.private("QueryOrders", txid=txid)[txid]
    assert (order["status"], order["reason"], order["vol_exec"]) == ("canceled", "Post only order", "0.00000000")


def test_an_unknown_order_is_not_cancelled(client: Client) -> None:
    assert client.errors("CancelOrder", txid="OAAAAA-AAAAA-AAAAAA") == ["EOrder:Unknown order"]


def test_a_wrong_secret_key_or_nonce_is_refused(client: Client) -> None:
    good = client.api.key, client.api.secret
    client.private("Balance")
    client.api._nonce = lambda: 1
    assert client.errors("Balance") == ["EAPI:Invalid nonce"]
    del client.api._nonce
    client.api.secret = good[1][::-1].strip("=") + "=="
    assert client.errors("Balance") == ["EAPI:Invalid signature"]
    client.api.key = good[0][::-1]
    assert client.errors("Balance") == ["EAPI:Invalid key"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rest_rate_limit", "EAPI:Rate limit exceeded"),
        ("cancel_only", "EService:Market in cancel_only mode"),
        ("order_rate_limit", "EOrder:Rate limit exceeded"),  # it stays for a while
    ],
)
def test_limits_and_modes_are_told_in_krakens_words(failing_sandbox: Any, fault: str, error: str) -> None:
    with client_of(failing_sandbox) as client:
        failing_sandbox.go_wrong(fault)
        order = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.001"}
        said = (client.errors("AddOrder", **order) for _ in range(TRIES))
        assert next(errors for errors in said if errors) == [error]
