"""typed-kraken, generated from Kraken's documents and mended by its answers: it refuses any answer of another shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

typed_kraken = pytest.importorskip("typed_kraken")
core = pytest.importorskip("typed_kraken.core.exc")
auth = pytest.importorskip("typed_kraken.core.auth")
http = pytest.importorskip("typed_kraken.core.transport.http")
ws = pytest.importorskip("typed_kraken.core.transport.ws")

BTC = "BTC/USD"
TRIES = 50  # orders until the counter, which falls all the time, is over its limit
WAITS_S = 20.0


def client_of(sandbox: Any, *, secret: str | None = None) -> Any:
    # docs/sandbox.md: typed-kraken
    credentials = auth.Credentials(sandbox.api_key, secret or sandbox.api_secret)
    rest = http.HttpRpcClient(base_url=sandbox.rest, credentials=credentials)
    private = ws.KrakenSocketClient.new(
        sandbox.ws_private, token_cache=auth.TokenCache(), fetch_token=rest.get_ws_token
    )
    public = ws.KrakenSocketClient.new(sandbox.ws_public)
    return typed_kraken.Kraken(spot_client=rest, market_client=public, private_client=private)


@pytest.fixture
async def kraken(sandbox: Any) -> AsyncIterator[Any]:
    async with client_of(sandbox) as client:
        yield client


@pytest.fixture
async def bid(kraken: Any) -> Decimal:
    ticker = await kraken.spot.market_data.ticker("XBTUSD")
    return Decimal(ticker["XXBTZUSD"]["b"][0])


def limit(price: Decimal, **more: str) -> dict[str, str]:
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": f"{price:.1f}"}
    return order | {"oflags": "fciq"} | more


async def order_again_and_again(kraken: Any) -> None:
    for _ in range(TRIES):
        await kraken.spot.trading.add_order(limit(Decimal(1000)))


async def test_every_public_answer_has_the_documented_shape(kraken: Any) -> None:
    market = kraken.spot.market_data
    assert (await market.system_status())["status"] == "online"
    assert (await market.time())["unixtime"]
    assert (await market.assets())["ZUSD"]["altname"] == "USD"
    assert (await market.asset_pairs(pair="XBTUSD"))["XXBTZUSD"]["wsname"] == "XBT/USD"
    assert (await market.ticker("XBTUSD"))["XXBTZUSD"]
    assert (await market.ohlc("XBTUSD"))["last"]
    assert (await market.depth("XBTUSD"))["XXBTZUSD"]
    assert (await market.trades("XBTUSD"))["last"]
    assert (await market.spread("XBTUSD"))["last"]


async def test_every_answer_about_the_account_has_the_documented_shape(kraken: Any, sandbox: Any, bid: Decimal) -> None:
    trading, account = kraken.spot.trading, kraken.spot.account
    (bought,) = (await trading.add_order(limit(bid) | {"ordertype": "market"}))["txid"]
    (resting,) = (await trading.add_order(limit(bid * 9 / 10, cl_ord_id="typed")))["txid"]
    history = await account.trades_history(ledgers=True)
    ledger = (await account.ledgers())["ledger"]
    assert Decimal((await account.balance())["XXBT"]) == Decimal("0.01")
    assert Decimal((await account.balance_ex())["ZUSD"]["hold_trade"]) > 0
    assert (await account.open_orders())["open"][resting]["cl_ord_id"] == "typed"
    assert (await account.query_orders(txid=bought, trades=True))[bought]["trades"] == list(history["trades"])
    assert (await account.trade_volume(pair="XBTUSD"))["fees"]["XXBTZUSD"]
    assert Decimal((await account.trade_balance())["eb"]) > 0
    (trade,) = history["trades"].values()
    assert trade["ordertxid"] == bought
    assert set(trade["ledgers"]) <= set(ledger)
    seen = sandbox.account()
    assert (set(seen.trades), set(seen.ledger)) == (set(history["trades"]), set(ledger))
    assert seen.fees == Decimal(trade["fee"])


async def test_an_order_lives_and_ends_as_it_is_asked_to(kraken: Any, bid: Decimal) -> None:
    trading, account = kraken.spot.trading, kraken.spot.account
    (txid,) = (await trading.add_order(limit(bid * 9 / 10)))["txid"]
    assert (await trading.amend_order(txid=txid, order_qty="0.02"))["amend_id"].startswith("T")
    amends = await account.order_amends(order_id=txid)
    assert [amend["amend_type"] for amend in amends["amends"]] == ["original", "user"]
    edited = await trading.edit_order(txid=txid, pair="XBTUSD", volume="0.03")
    assert edited["originaltxid"] == txid
    assert (await trading.cancel_order(txid=edited["txid"]))["count"] == 1
    assert edited["txid"] in (await account.closed_orders())["closed"]
    assert (await trading.cancel_all_orders_after(timeout=60))["triggerTime"]
    assert (await trading.cancel_all())["count"] == 0


WAITING = {
    "iceberg": {"price": "+20%", "displayvol": "0.001"},
    "stop-loss": {"price": "-10%"},
    "stop-loss-limit": {"price": "-10%", "price2": "-11%"},
    "take-profit": {"price": "+20%"},
    "take-profit-limit": {"price": "+20%", "price2": "+19%"},
    "trailing-stop": {"price": "+5%"},
    "trailing-stop-limit": {"price": "+500", "price2": "-10"},
}


@pytest.mark.parametrize("kind", WAITING)
async def test_orders_that_wait_for_their_price(kraken: Any, bid: Decimal, kind: str) -> None:
    trading = kraken.spot.trading
    await trading.add_order(limit(bid) | {"ordertype": "market"})
    order = limit(bid) | {"type": "sell", "ordertype": kind} | WAITING[kind]
    placed = await trading.add_order(order)
    assert placed["txid"][0].startswith("O")
    assert (await trading.cancel_all())["count"] == 1


async def test_batches(kraken: Any, bid: Decimal) -> None:
    orders = [
        {"ordertype": "limit", "type": "buy", "volume": f"0.00{number}", "price": f"{bid * 9 / 10:.1f}"}
        for number in (1, 2, 3)
    ]
    placed = await kraken.spot.trading.add_order_batch(pair="XBTUSD", orders=orders)
    ids = [row["txid"] for row in placed["orders"]]
    assert (await kraken.spot.trading.cancel_order_batch(orders=ids))["count"] == 3


async def test_every_stream_has_the_documented_shape(kraken: Any) -> None:
    streams = kraken.streams.market_data
    for opened in (
        streams.ticker([BTC]),
        streams.book([BTC], depth=10),
        streams.trade([BTC], snapshot=True),
        streams.ohlc([BTC], interval=1),
        streams.instrument(),
    ):
        async with opened as stream:
            message = await asyncio.wait_for(anext(aiter(stream)), WAITS_S)
            assert message["type"] == "snapshot"
    with pytest.raises(core.ApiError, match="Unsupported field: 'params'"):  # Kraken wants none in a ping
        await streams.ping()


async def test_an_order_over_the_socket_is_seen_on_both_private_streams(kraken: Any, bid: Decimal) -> None:
    async with kraken.streams.private.executions() as executions, kraken.streams.private.balances() as balances:
        order = {"order_type": "market", "side": "buy", "order_qty": 0.01, "symbol": BTC}
        placed = await kraken.trading_ws.add_order(order)
        kinds: list[str] = []
        async with asyncio.timeout(WAITS_S):
            async for message in executions:
                rows = [row for row in message["data"] if row.get("order_id") == placed["order_id"]]
                kinds += [row["exec_type"] for row in rows]
                if "filled" in kinds:
                    break
            async for message in balances:
                if message["type"] == "update":
                    break
    assert kinds == ["pending_new", "new", "trade", "filled"]


async def test_methods_over_the_socket(kraken: Any, bid: Decimal) -> None:
    trading = kraken.trading_ws
    price = float(f"{bid * 9 / 10:.1f}")
    orders = [{"order_type": "limit", "side": "buy", "order_qty": 0.001, "limit_price": price - n} for n in range(3)]
    ids = [row["order_id"] for row in await trading.batch_add(symbol=BTC, orders=orders)]
    assert (await trading.amend_order(order_id=ids[0], order_qty=0.002))["amend_id"].startswith("T")
    assert (await trading.cancel_order(order_id=[ids[0]]))["order_id"] == ids[0]
    assert (await trading.batch_cancel(orders=ids[1:]))["orders_cancelled"] == 2
    assert (await trading.cancel_all_orders_after(timeout=60))["triggerTime"]
    assert (await trading.cancel_all())["count"] == 0


@pytest.mark.parametrize(
    ("exception", "text", "wrong"),
    [
        ("ApiError", "EOrder:Insufficient funds", {"volume": "1000"}),
        ("BadRequest", "volume minimum not met", {"volume": "0.00000001"}),
        ("BadRequest", "EOrder:Tick size check failed", {"price": "1000.12"}),
    ],
)
async def test_an_order_that_kraken_refuses(
    kraken: Any, bid: Decimal, exception: str, text: str, wrong: dict[str, str]
) -> None:
    with pytest.raises(getattr(core, exception), match=text):
        await kraken.spot.trading.add_order(limit(bid * 9 / 10) | wrong)


async def test_an_unknown_order_and_a_wrong_signature_are_refused(kraken: Any, sandbox: Any) -> None:
    with pytest.raises(core.ApiError, match="EOrder:Unknown order"):
        await kraken.spot.trading.cancel_order(txid="OAAAAA-AAAAA-AAAAAA")
    async with client_of(sandbox, secret="A" * 86 + "==") as forger:
        with pytest.raises(core.AuthError, match="EAPI:Invalid signature"):
            await forger.spot.account.balance()


@pytest.mark.parametrize(
    ("fault", "exception", "text"),
    [
        ("rest_rate_limit", "RateLimited", "EAPI:Rate limit exceeded"),
        ("invalid_nonce", "AuthError", "EAPI:Invalid nonce"),
        ("cancel_only", "ApiError", "EService:Market in cancel_only mode"),
        ("order_rate_limit", "RateLimited", "EOrder:Rate limit exceeded"),  # it stays for a while
    ],
)
async def test_limits_and_modes_are_its_own_exceptions(
    failing_sandbox: Any, fault: str, exception: str, text: str
) -> None:
    async with client_of(failing_sandbox) as kraken:
        failing_sandbox.go_wrong(fault)
        with pytest.raises(getattr(core, exception), match=text):
            await order_again_and_again(kraken)
