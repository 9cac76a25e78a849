"""ccxt over REST: markets, money, every order type that it can write, batches, history, and its own exceptions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

ccxt = pytest.importorskip("ccxt.async_support")

BTC = "BTC/USD"
TRIES = 50  # orders until the counter, which falls all the time, is over its limit


def exchange_of(sandbox: Any, **more: Any) -> Any:
    # docs/sandbox.md: ccxt
    urls = {"api": {"public": sandbox.rest, "private": sandbox.rest}}
    keys = {"apiKey": sandbox.api_key, "secret": sandbox.api_secret}
    return ccxt.kraken({"urls": urls, "enableRateLimit": False} | keys | more)


@pytest.fixture
async def kraken(sandbox: Any) -> AsyncIterator[Any]:
    async with exchange_of(sandbox) as exchange:
        await exchange.load_markets()
        yield exchange


@pytest.fixture
async def bid(kraken: Any) -> float:
    return float((await kraken.fetch_ticker(BTC))["bid"])


async def buy(kraken: Any, amount: float = 0.01) -> str:
    return str((await kraken.create_order(BTC, "market", "buy", amount))["id"])


async def buy_again_and_again(kraken: Any) -> None:
    for _ in range(TRIES):
        await buy(kraken, 0.001)


async def test_the_markets_are_read(kraken: Any, sandbox: Any) -> None:
    pair = sandbox.public("AssetPairs", pair="XBTUSD")["XXBTZUSD"]
    market = kraken.market(BTC)
    assert (market["id"], market["altname"], market["spot"], market["active"]) == ("XXBTZUSD", "XBTUSD", True, True)
    assert market["precision"] == {"amount": 1e-8, "price": 0.1}
    assert market["limits"]["amount"]["min"] == float(pair["ordermin"])
    assert market["limits"]["cost"]["min"] == float(pair["costmin"])
    assert {"BTC", "USD"} <= set(kraken.currencies)
    assert (await kraken.fetch_status())["status"] == "ok"
    assert abs(await kraken.fetch_time() - kraken.milliseconds()) < 60_000


async def test_prices_are_read(kraken: Any) -> None:
    book = await kraken.fetch_order_book(BTC, 20)
    ticker = await kraken.fetch_ticker(BTC)
    candles = await kraken.fetch_ohlcv(BTC, "1m")
    trades = await kraken.fetch_trades(BTC)
    prices = [price for price, *_ in book["bids"]], [price for price, *_ in book["asks"]]
    assert prices == (sorted(prices[0], reverse=True), sorted(prices[1]))
    assert all(10 <= len(side) <= 20 for side in prices)
    assert prices[0][0] < prices[1][0]
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert len(candles) == 721
    assert all(low <= min(opened, closed) <= high for _, opened, high, low, closed, _ in candles)
    assert trades[-1]["price"] == ticker["last"]
    assert await kraken.fetch_tickers([BTC])


async def test_a_coin_that_costs_next_to_nothing_keeps_its_digits(start_sandbox: Callable[..., Any]) -> None:
    sandbox = start_sandbox("--pairs", "SHIB/USD,SOL/USD").account()
    async with exchange_of(sandbox) as kraken:
        await kraken.load_markets()
        ask = (await kraken.fetch_order_book("SHIB/USD"))["asks"][0][0]
        placed = await kraken.create_order("SHIB/USD", "market", "buy", 1_000_000)
        order = await kraken.fetch_order(placed["id"])
        trades = await kraken.fetch_my_trades("SHIB/USD")
    assert 0.98 * ask < order["average"] < 1.2 * ask  # it may take more than one level
    spent = sum(trade["price"] * trade["amount"] for trade in trades)
    assert spent == pytest.approx(order["average"] * order["filled"], rel=0.0001)


async def test_money_is_read(kraken: Any, bid: float) -> None:
    before = await kraken.fetch_balance()
    await kraken.create_order(BTC, "limit", "buy", 0.01, bid * 0.9)
    after = await kraken.fetch_balance()
    assert before["USD"] == {"free": 100_000.0, "used": 0.0, "total": 100_000.0}
    assert after["USD"]["total"] == 100_000.0
    assert after["USD"]["used"] == pytest.approx(bid * 0.009, rel=0.01)


WAITING: dict[str, tuple[str, float | None, dict[str, Any]]] = {
    "limit": ("limit", 1.2, {}),
    "post-only": ("limit", 1.2, {"postOnly": True, "clientOrderId": "by-ccxt"}),
    "good-till-date": ("limit", 1.2, {"timeInForce": "GTD", "expiretm": "+60"}),
    "scheduled": ("limit", 1.2, {"starttm": "+60"}),
    "iceberg": ("iceberg", None, {"displayvol": "0.0005", "price": "+20%"}),
    "stop-loss": ("market", None, {"stopLossPrice": 0.9}),
    "stop-loss-limit": ("limit", 0.89, {"stopLossPrice": 0.9}),
    "take-profit": ("market", None, {"takeProfitPrice": 1.2}),
    "take-profit-limit": ("limit", 1.19, {"takeProfitPrice": 1.2}),
    "trailing-stop": ("market", None, {"trailingAmount": "500"}),
    "trailing-stop in percent": ("market", None, {"trailingPercent": "5"}),
    "trailing-stop-limit": ("limit", None, {"trailingAmount": "500", "trailingLimitAmount": "10"}),
    "trailing-stop-limit in percent": ("limit", None, {"trailingPercent": "5", "trailingLimitPercent": "1"}),
}


@pytest.mark.parametrize("name", WAITING)
async def test_an_order_that_waits_is_seen_and_cancelled(kraken: Any, bid: float, name: str) -> None:
    kind, times_bid, given = WAITING[name]
    params = {key: value * bid if key.endswith("Price") else value for key, value in given.items()}
    await buy(kraken, 0.002)
    placed = await kraken.create_order(BTC, kind, "sell", 0.002, times_bid and times_bid * bid, params)
    (seen,) = await kraken.fetch_open_orders(BTC)
    assert (seen["id"], seen["side"], seen["amount"], seen["filled"]) == (placed["id"], "sell", 0.002, 0)
    assert seen["info"]["descr"]["ordertype"] in (kind, name.split(maxsplit=1)[0])
    assert seen["info"].get("cl_ord_id") == params.get("clientOrderId")
    assert (await kraken.fetch_balance())["BTC"]["free"] == 0

    await kraken.cancel_order(placed["id"])
    ended = await kraken.fetch_order(placed["id"])
    assert (ended["status"], ended["filled"]) == ("canceled", 0)
    assert (await kraken.fetch_balance())["BTC"]["free"] == 0.002


@pytest.mark.parametrize(
    ("times_bid", "params", "status"),
    [
        (None, {}, "closed"),
        (1.01, {}, "closed"),
        (1.01, {"timeInForce": "IOC"}, "closed"),
        (1.01, {"timeInForce": "FOK"}, "closed"),
        (0.99, {"timeInForce": "IOC"}, "canceled"),
        (0.99, {"timeInForce": "FOK"}, "canceled"),
    ],
)
async def test_an_order_that_takes_is_filled_or_ends(
    kraken: Any, bid: float, times_bid: float | None, params: dict[str, Any], status: str
) -> None:
    kind = "limit" if times_bid else "market"
    placed = await kraken.create_order(BTC, kind, "buy", 0.01, times_bid and times_bid * bid, params)
    order = await kraken.fetch_order(placed["id"])
    assert (order["status"], order["filled"]) == (status, 0.01 if status == "closed" else 0)


async def test_a_market_order_may_name_what_it_spends(kraken: Any) -> None:
    placed = await kraken.create_market_buy_order_with_cost(BTC, 500)
    order = await kraken.fetch_order(placed["id"])
    # ccxt multiplies by the price what Kraken counts in USD already: its own `cost` is no help
    assert float(order["info"]["cost"]) == pytest.approx(500, abs=1)
    assert "viqc" in order["info"]["oflags"]


async def test_an_amend_keeps_the_order(kraken: Any, bid: float) -> None:
    placed = await kraken.create_order(BTC, "limit", "buy", 0.01, bid * 0.9)
    amended = await kraken.edit_order(placed["id"], BTC, "limit", "buy", 0.02, bid * 0.8)
    order = await kraken.fetch_order(placed["id"])
    assert amended["info"]["amend_id"].startswith("T")
    assert (order["status"], order["amount"]) == ("open", 0.02)
    assert order["price"] == pytest.approx(bid * 0.8, abs=0.1)


async def test_batches(kraken: Any, bid: float) -> None:
    wanted = [
        {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.001 * number, "price": bid * 0.9}
        for number in (1, 2, 3)
    ]
    placed = await kraken.create_orders(wanted)
    assert [order["amount"] for order in placed] == [0.001, 0.002, 0.003]
    await kraken.cancel_orders([order["id"] for order in placed[:2]])
    assert [order["id"] for order in await kraken.fetch_open_orders()] == [placed[2]["id"]]
    (answer,) = await kraken.cancel_all_orders()
    assert answer["info"]["result"]["count"] == 1
    assert await kraken.fetch_open_orders() == []


async def test_the_dead_mans_switch_is_set_and_cleared(kraken: Any) -> None:
    armed = (await kraken.cancel_all_orders_after(60_000))["result"]
    assert armed["triggerTime"] > armed["currentTime"]
    await kraken.cancel_all_orders_after(0)


async def test_fills_fees_history_and_ledger_agree(kraken: Any, sandbox: Any) -> None:
    ids = {await buy(kraken), str((await kraken.create_order(BTC, "market", "sell", 0.004))["id"])}
    trades = await kraken.fetch_my_trades(BTC)
    orders = await kraken.fetch_closed_orders(BTC)
    ledger = await kraken.fetch_ledger()
    fees = await kraken.fetch_trading_fee(BTC)
    balance = await kraken.fetch_balance()

    assert {trade["order"] for trade in trades} == {order["id"] for order in orders} == ids
    for trade in trades:
        assert trade["takerOrMaker"] == "taker"
        assert trade["fee"]["currency"] == "USD"
        assert trade["fee"]["cost"] == pytest.approx(trade["cost"] * fees["taker"], abs=1e-4)
    rows = [row for row in ledger if row["currency"] == "USD"]
    moved = sum((1 if row["direction"] == "in" else -1) * row["amount"] - row["fee"]["cost"] for row in rows)
    assert balance["USD"]["total"] == pytest.approx(moved, abs=1e-4)
    assert balance["BTC"]["total"] == 0.006

    account = sandbox.account()
    assert set(account.trades) == {trade["id"] for trade in trades}
    assert set(account.ledger) == {row["id"] for row in ledger}
    assert float(account.fees) == pytest.approx(sum(trade["fee"]["cost"] for trade in trades))
    assert account.balances["XXBT"] == Decimal("0.006")


async def test_orders_trades_and_ledger_rows_are_found_by_their_ids(kraken: Any) -> None:
    bought, sold = await buy(kraken), str((await kraken.create_order(BTC, "market", "sell", 0.004))["id"])
    both = await kraken.fetch_orders_by_ids([bought, sold])
    assert {order["id"] for order in both} == {bought, sold}
    (trade,) = await kraken.fetch_order_trades(bought, params={"trades": (await kraken.fetch_order(bought))["trades"]})
    assert (trade["order"], trade["amount"]) == (bought, 0.01)
    (newest, *_) = reversed(await kraken.fetch_ledger("USD"))
    assert (await kraken.fetch_ledger_entry(newest["id"]))["amount"] == newest["amount"]


# --- what Kraken refuses, by ccxt's own exceptions ------------------------------------------------------------------


REFUSED = {
    "no funds": (ccxt.InsufficientFunds, "EOrder:Insufficient funds", 1_000, {}),
    "below minimum": (ccxt.InvalidOrder, "EGeneral:Invalid arguments:volume minimum not met", 0.00000001, {}),
    # ccxt has no exception of its own for this text
    "bad tick": (ccxt.ExchangeError, "EOrder:Tick size check failed", 0.01, {"price": "1000.12"}),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_order_that_kraken_refuses(kraken: Any, bid: float, name: str) -> None:
    exception, text, amount, params = REFUSED[name]
    kraken.markets[BTC]["limits"]["amount"]["min"] = None
    with pytest.raises(exception, match=text):
        await kraken.create_order(BTC, "limit", "buy", amount, bid * 0.9, params)


async def test_a_post_only_order_that_would_take_ends_at_once(kraken: Any, bid: float) -> None:
    placed = await kraken.create_order(BTC, "limit", "buy", 0.01, bid * 2, {"postOnly": True})
    order = await kraken.fetch_order(placed["id"])
    assert (order["status"], order["filled"], order["info"]["reason"]) == ("canceled", 0, "Post only order")


async def test_an_unknown_order_is_not_found(kraken: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="EOrder:Unknown order"):
        await kraken.cancel_order("OAAAAA-AAAAA-AAAAAA")


async def test_a_wrong_signature_key_or_nonce_is_refused(kraken: Any, sandbox: Any) -> None:
    await kraken.fetch_balance()
    async with exchange_of(sandbox, nonce=lambda: 1) as late:
        with pytest.raises(ccxt.InvalidNonce):
            await late.privatePostBalance()
    async with exchange_of(sandbox, secret="A" * 86 + "==") as forger:
        with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):  # nor for this
            await forger.privatePostBalance()
    async with exchange_of(sandbox, apiKey="A" * 56) as stranger:
        with pytest.raises(ccxt.AuthenticationError):
            await stranger.privatePostBalance()


@pytest.mark.parametrize(
    ("fault", "exception", "text"),
    [
        ("rest_rate_limit", ccxt.DDoSProtection, "EAPI:Rate limit exceeded"),
        ("cancel_only", ccxt.OnMaintenance, "EService:Market in cancel_only mode"),
        ("post_only", ccxt.OnMaintenance, "EService:Market in post_only mode"),
        ("maintenance", ccxt.ExchangeNotAvailable, "EService:Unavailable"),
        ("order_rate_limit", ccxt.DDoSProtection, "EOrder:Rate limit exceeded"),  # it stays for a while
    ],
)
async def test_limits_and_modes_are_its_own_exceptions(
    failing_sandbox: Any, fault: str, exception: type[Exception], text: str
) -> None:
    async with exchange_of(failing_sandbox) as kraken:
        await kraken.load_markets()
        failing_sandbox.go_wrong(fault)
        with pytest.raises(exception, match=text):
            await buy_again_and_again(kraken)
