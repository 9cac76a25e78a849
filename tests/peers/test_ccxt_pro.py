"""ccxt.pro over WebSocket v2: every stream that it reads, orders as it writes them, and its own exceptions.

Its checksum code is off by default and compares floats as text, so it cannot hold where a digit is a trailing zero; its
book is compared with the exchange's own instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

ccxt = pytest.importorskip("ccxt.pro")

BTC = "BTC/USD"
TRIES = 50  # orders until the counter, which falls all the time, is over its limit
WAITS_S = 20.0


def exchange_of(sandbox: Any) -> Any:
    # docs/sandbox.md: ccxt.pro
    sockets = {
        "public": sandbox.ws_public,
        "private": sandbox.ws_private,
        "publicV2": sandbox.ws_public,
        "privateV2": sandbox.ws_private,
    }
    urls = {"api": {"public": sandbox.rest, "private": sandbox.rest, "ws": sockets}}
    keys = {"apiKey": sandbox.api_key, "secret": sandbox.api_secret}
    return ccxt.kraken({"urls": urls, "enableRateLimit": False} | keys)


@pytest.fixture
async def kraken(sandbox: Any) -> AsyncIterator[Any]:
    async with exchange_of(sandbox) as exchange:
        await exchange.load_markets()
        yield exchange


@pytest.fixture
async def bid(kraken: Any) -> float:
    return float((await within(kraken.watch_ticker(BTC)))["bid"])


async def within(waited_for: Any) -> Any:
    return await asyncio.wait_for(waited_for, WAITS_S)


async def seen(watch: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Watch until what comes is what is looked for."""
    async with asyncio.timeout(WAITS_S):
        while True:
            for item in await watch():
                if holds(item):
                    return item


async def buy_again_and_again(kraken: Any) -> None:
    for _ in range(TRIES):
        await within(kraken.create_order_ws(BTC, "market", "buy", 0.001))


async def test_prices_come_by_themselves(lively_sandbox: Any) -> None:
    async with exchange_of(lively_sandbox) as kraken:
        await see_prices(kraken)


async def see_prices(kraken: Any) -> None:
    ticker = await within(kraken.watch_ticker(BTC))
    trades = await within(kraken.watch_trades(BTC, params={"snapshot": True}))
    candles = await within(kraken.watch_ohlcv(BTC, "1m"))
    both = await within(kraken.watch_tickers([BTC, "ETH/USD"]))
    best = await within(kraken.watch_bids_asks([BTC]))
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert trades[0]["side"] in ("buy", "sell")
    assert all(low <= high for _, _, high, low, _, _ in candles)
    assert set(both) <= {BTC, "ETH/USD"}
    assert best[BTC]["bid"] < best[BTC]["ask"]


@pytest.mark.parametrize("depth", [10, 100])
async def test_its_book_is_the_exchanges_book(kraken: Any, bid: float, depth: int) -> None:
    await within(kraken.watch_order_book(BTC, depth))
    # Our own order changes the book: what follows is an update, not the snapshot.
    price = round(bid - 0.1, 1)
    await within(kraken.create_order_ws(BTC, "limit", "buy", 0.01234567, price))

    def mine(side: str) -> Any:
        return [(price, round(qty, 3)) for price, qty, *_ in kraken.orderbooks[BTC][side][:10]]

    async with asyncio.timeout(WAITS_S):
        while True:
            theirs = await kraken.fetch_order_book(BTC, 10)  # three decimals of every quantity
            if all(mine(side) == [(level, qty) for level, qty, _ in theirs[side]] for side in ("bids", "asks")):
                break
            await asyncio.sleep(0.05)


async def test_an_order_is_placed_amended_and_cancelled_over_the_socket(kraken: Any, bid: float) -> None:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(seen(kraken.watch_orders, lambda order: order["amount"] == 0.01))
        placed = await within(kraken.create_order_ws(BTC, "limit", "buy", 0.01, bid * 0.9, {"postOnly": True}))
    heard = watching.result()
    assert (heard["id"], heard["symbol"], heard["side"], heard["amount"]) == (placed["id"], BTC, "buy", 0.01)

    amended = await within(kraken.edit_order_ws(placed["id"], BTC, "limit", "buy", 0.02, bid * 0.8))
    assert (amended["id"], amended["info"]["amend_id"][0]) == (placed["id"], "T")

    async with asyncio.TaskGroup() as group:
        ending = group.create_task(seen(kraken.watch_orders, lambda order: order["status"] == "canceled"))
        await within(kraken.cancel_order_ws(placed["id"]))
    assert ending.result()["id"] == placed["id"]
    order = await kraken.fetch_order(placed["id"])
    assert (order["status"], order["amount"], order["filled"]) == ("canceled", 0.02, 0)


WAITING: dict[str, tuple[str, float | None, dict[str, Any]]] = {
    "post-only": ("limit", 1.2, {"postOnly": True, "clientOrderId": "by-ccxt"}),
    "stop-loss": ("market", None, {"stopLossPrice": 0.9}),
    "stop-loss-limit": ("limit", 0.89, {"stopLossPrice": 0.9}),
    "take-profit": ("market", None, {"takeProfitPrice": 1.2}),
    "take-profit-limit": ("limit", 1.19, {"takeProfitPrice": 1.2}),
    "trailing-stop": ("market", None, {"trailingAmount": 500}),
    "trailing-stop in percent": ("market", None, {"trailingPercent": 5}),
}


@pytest.mark.parametrize("name", WAITING)
async def test_an_order_that_waits_for_its_price(kraken: Any, bid: float, name: str) -> None:
    kind, times_bid, given = WAITING[name]
    params = {key: value * bid if key.endswith("Price") else value for key, value in given.items()}
    await within(kraken.create_order_ws(BTC, "market", "buy", 0.002))
    placed = await within(kraken.create_order_ws(BTC, kind, "sell", 0.002, times_bid and times_bid * bid, params))
    (order,) = await kraken.fetch_open_orders(BTC)
    assert (order["id"], order["amount"], order["side"]) == (placed["id"], 0.002, "sell")
    answer = await within(kraken.cancel_all_orders_ws())
    assert answer["result"]["count"] == 1


@pytest.mark.parametrize(
    ("times_bid", "time_in_force", "status"),
    [(1.01, "IOC", "closed"), (0.99, "IOC", "canceled"), (1.01, "FOK", "closed"), (0.99, "FOK", "canceled")],
)
async def test_an_order_that_takes_or_ends(
    kraken: Any, bid: float, times_bid: float, time_in_force: str, status: str
) -> None:
    params = {"timeInForce": time_in_force}
    placed = await within(kraken.create_order_ws(BTC, "limit", "buy", 0.01, bid * times_bid, params))
    order = await kraken.fetch_order(placed["id"])
    assert (order["status"], order["filled"]) == (status, 0.01 if status == "closed" else 0)


async def test_fills_fees_and_balances_agree(kraken: Any, sandbox: Any) -> None:
    assert (await within(kraken.watch_balance()))["USD"]["total"] == 100_000
    async with asyncio.TaskGroup() as group:
        fill = group.create_task(seen(kraken.watch_my_trades, lambda trade: trade["side"] == "buy"))
        placed = await within(kraken.create_order_ws(BTC, "market", "buy", 0.01))
    trade = fill.result()
    async with asyncio.timeout(WAITS_S):
        while kraken.balance["spot"].get("BTC") is None or kraken.balance["spot"]["USD"]["total"] == 100_000:
            await kraken.watch_balance()
    balance = kraken.balance["spot"]

    assert (trade["order"], trade["takerOrMaker"], trade["fee"]["currency"]) == (placed["id"], "taker", "USD")
    account = sandbox.account()
    assert set(account.trades) == {trade["id"]}
    assert float(account.fees) == trade["fee"]["cost"]
    assert float(account.balances["ZUSD"]) == pytest.approx(balance["USD"]["total"])
    assert balance["BTC"]["total"] == 0.01


# --- what Kraken refuses, by ccxt's own exceptions ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        # ccxt knows these by longer texts than Kraken's
        ("EOrder:Insufficient funds", 1_000),
        ("EGeneral:Invalid arguments:volume minimum not met", 0.00000001),
    ],
)
async def test_an_order_that_kraken_refuses(kraken: Any, bid: float, text: str, amount: float) -> None:
    with pytest.raises(ccxt.ExchangeError, match=text):
        await within(kraken.create_order_ws(BTC, "limit", "buy", amount, bid * 0.9))


async def test_an_unknown_order_is_not_found(kraken: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="EOrder:Unknown order"):
        await within(kraken.cancel_order_ws("OAAAAA-AAAAA-AAAAAA"))


async def test_a_post_only_order_that_would_take_ends_at_once(kraken: Any, bid: float) -> None:
    placed = await within(kraken.create_order_ws(BTC, "limit", "buy", 0.01, bid * 2, {"postOnly": True}))
    order = await kraken.fetch_order(placed["id"])
    assert (order["status"], order["filled"]) == ("canceled", 0)


@pytest.mark.parametrize(
    ("fault", "exception", "text"),
    [
        ("cancel_only", ccxt.NotSupported, "EService:Market in cancel_only mode"),
        ("post_only", ccxt.NotSupported, "EService:Market in post_only mode"),
        ("order_rate_limit", ccxt.RateLimitExceeded, "EOrder:Rate limit exceeded"),  # it stays for a while
    ],
)
async def test_limits_and_modes_are_its_own_exceptions(
    failing_sandbox: Any, fault: str, exception: type[Exception], text: str
) -> None:
    async with exchange_of(failing_sandbox) as kraken:
        await kraken.load_markets()
        await within(kraken.cancel_all_orders_ws())  # connects
        failing_sandbox.go_wrong(fault)
        with pytest.raises(exception, match=text):
            await buy_again_and_again(kraken)
