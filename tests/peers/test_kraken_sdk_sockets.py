"""python-kraken-sdk over WebSocket v2: its book with its own check of every update, both private feeds, all methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

spot = pytest.importorskip("kraken.spot")

BTC = "BTC/USD"
WAITS_S = 20.0


def without_path(address: str) -> str:
    """The client adds `/v2` to its addresses by itself."""
    return address.removesuffix("/v2")


def is_of(channel: str, message: dict[str, Any]) -> bool:
    return message.get("channel") == channel


class Heard:
    """A connected client and all that it has heard."""

    def __init__(self, sandbox: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        # docs/sandbox.md: python-kraken-sdk, WebSocket
        self.client = spot.SpotWSClient(
            key=sandbox.api_key,
            secret=sandbox.api_secret,
            callback=self._take,
            rest_url=sandbox.rest,
            ws_url=without_path(sandbox.ws_public),
            auth_ws_url=without_path(sandbox.ws_private),
        )
        self._more = asyncio.Event()
        self._asked = 0

    async def _take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._more.set()

    async def first(self, holds: Callable[[dict[str, Any]], Any], start: int = 0) -> dict[str, Any]:
        """The first message, from the one with this number on, that is looked for."""
        async with asyncio.timeout(WAITS_S):
            while True:
                for message in self.messages[start:]:
                    if holds(message):
                        return message
                self._more.clear()
                await self._more.wait()

    async def record(self, holds: Callable[[dict[str, Any]], Any], channel: str = "executions") -> dict[str, Any]:
        """The first record of a channel that is looked for."""

        def found(message: dict[str, Any]) -> Any:
            return next((row for row in message.get("data", ()) if holds(row)), None)

        def holds_one(message: dict[str, Any]) -> bool:
            return message.get("channel") == channel and found(message) is not None

        record: dict[str, Any] = found(await self.first(holds_one))
        return record

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request; its answer."""
        self._asked += 1
        number = self._asked
        await self.client.send_message({"method": method, "params": params, "req_id": number})
        return await self.first(lambda message: message.get("req_id") == number)

    async def do(self, method: str, **params: Any) -> Any:
        """The same, of a request that must succeed: its result."""
        answer = await self.ask(method, **params)
        assert answer["success"], answer
        return answer.get("result")


@pytest.fixture
async def kraken(sandbox: Any) -> AsyncIterator[Heard]:
    heard = Heard(sandbox)
    async with heard.client:
        # Closing waits for a frame of each connection: let heartbeats come.
        await heard.client.subscribe(params={"channel": "executions", "snap_trades": True})
        await heard.client.subscribe(params={"channel": "ticker", "symbol": [BTC]})
        yield heard


@pytest.fixture
async def bid(kraken: Heard) -> float:
    return float((await kraken.record(lambda _: True, "ticker"))["bid"])


async def test_each_public_channel_begins_with_a_snapshot(kraken: Heard) -> None:
    for channel in ("book", "trade", "ohlc", "instrument"):
        symbols = {} if channel == "instrument" else {"symbol": [BTC]}
        await kraken.client.subscribe(params={"channel": channel, "snapshot": True, **symbols})
    for channel in ("ticker", "book", "trade", "ohlc", "instrument"):
        frame = await kraken.first(partial(is_of, channel))
        assert frame["type"] == "snapshot"
    assert len(kraken.client.active_public_subscriptions) == 5


@pytest.mark.parametrize("depth", [10, 100])
async def test_its_book_holds_its_own_check_at_every_update(
    lively_sandbox: Any, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    # docs/sandbox.md: python-kraken-sdk, book: it takes no address, so its classes are told
    monkeypatch.setattr(spot.SpotWSClient, "WS_URL", without_path(lively_sandbox.ws_public))
    monkeypatch.setattr(spot.Market, "URL", lively_sandbox.rest)
    updates: list[dict[str, Any]] = []
    enough = asyncio.Event()

    def take(pair: str, message: dict[str, Any]) -> None:
        updates.append(message)
        assert "error" not in message
        if len(updates) > 60:
            enough.set()

    async with spot.SpotOrderBookClient(depth=depth, callback=take) as client:
        await client.add_book(pairs=[BTC])
        await asyncio.wait_for(enough.wait(), WAITS_S)
        book = client.get(BTC)
    assert book["valid"]
    assert all(10 <= len(book[side]) <= depth for side in ("bid", "ask"))
    assert not client.exception_occur


async def test_an_order_lives_and_ends_as_it_is_asked_to(kraken: Heard, bid: float) -> None:
    order = {"order_type": "limit", "side": "buy", "symbol": BTC, "order_qty": 0.01, "limit_price": round(bid * 0.9, 1)}
    placed = await kraken.do("add_order", **order, post_only=True, cl_ord_id="by-the-sdk")
    assert placed["cl_ord_id"] == "by-the-sdk"
    order_id = placed["order_id"]
    begun = await kraken.record(lambda row: row["exec_type"] == "pending_new")
    assert (begun["order_id"], begun["symbol"], begun["order_qty"]) == (order_id, BTC, 0.01)
    assert (await kraken.record(lambda row: row["exec_type"] == "new"))["order_status"] == "new"

    amended = await kraken.do("amend_order", order_id=order_id, order_qty=0.02)
    assert amended["amend_id"].startswith("T")
    assert (await kraken.record(lambda row: row["exec_type"] == "amended"))["order_qty"] == 0.02

    assert (await kraken.do("cancel_order", order_id=[order_id]))["order_id"] == order_id
    ended = await kraken.record(lambda row: row["exec_type"] == "canceled")
    assert (ended["order_id"], ended["cum_qty"], ended["reason"]) == (order_id, 0, "User requested")


WAITING: dict[str, dict[str, Any]] = {
    "iceberg": {"limit_price": 1.2, "display_qty": 0.0005},
    "stop-loss": {"triggers": {"reference": "last", "price": -10, "price_type": "pct"}},
    "stop-loss-limit": {
        "triggers": {"reference": "last", "price": -10, "price_type": "pct"},
        "limit_price": -11,
        "limit_price_type": "pct",
    },
    "take-profit": {"triggers": {"reference": "index", "price": 1.2}},
    "take-profit-limit": {"triggers": {"price": 1.2}, "limit_price": 1.19},
    "trailing-stop": {"triggers": {"reference": "last", "price": 5, "price_type": "pct"}},
    "trailing-stop-limit": {
        "triggers": {"reference": "last", "price": 500, "price_type": "quote"},
        "limit_price": -10,
        "limit_price_type": "quote",
    },
}


def priced(fields: Any, bid: float) -> Any:
    """Fields whose prices between one and two are parts of the best bid."""
    if isinstance(fields, dict):
        return {name: priced(value, bid) for name, value in fields.items()}
    return round(fields * bid, 1) if isinstance(fields, float) and 1 < fields < 2 else fields


@pytest.mark.parametrize("kind", WAITING)
async def test_an_order_that_waits_for_its_price(kraken: Heard, bid: float, kind: str) -> None:
    await kraken.do("add_order", order_type="market", side="buy", symbol=BTC, order_qty=0.002)
    order = {"order_type": kind, "side": "sell", "symbol": BTC, "order_qty": 0.002} | priced(WAITING[kind], bid)
    placed = await kraken.do("add_order", **order)
    begun = await kraken.record(lambda row: row["order_id"] == placed["order_id"] and row["exec_type"] == "pending_new")
    assert (begun["order_type"], begun["order_qty"]) == (kind, 0.002)
    assert ("triggers" in begun) is ("triggers" in order)
    assert (await kraken.do("cancel_all"))["count"] == 1


async def test_a_fill_comes_with_its_fee_and_its_money(kraken: Heard, sandbox: Any, bid: float) -> None:
    await kraken.client.subscribe(params={"channel": "balances"})
    await kraken.do("add_order", order_type="market", side="buy", symbol=BTC, order_qty=0.01)
    trade = await kraken.record(lambda row: row["exec_type"] == "trade")
    filled = await kraken.record(lambda row: row["exec_type"] == "filled")
    usd = await kraken.record(lambda row: row.get("ref_id") == trade["exec_id"] and row["asset"] == "USD", "balances")
    btc = await kraken.record(lambda row: row.get("ref_id") == trade["exec_id"] and row["asset"] == "BTC", "balances")
    (fee,) = trade["fees"]
    assert (trade["liquidity_ind"], fee["asset"], filled["cum_qty"]) == ("t", "USD", 0.01)
    assert (usd["amount"], usd["fee"], btc["amount"]) == (pytest.approx(-trade["cost"]), fee["qty"], 0.01)

    account = sandbox.account()
    assert set(account.trades) == {trade["exec_id"]}
    assert float(account.fees) == fee["qty"]
    assert float(account.balances["ZUSD"]) == pytest.approx(usd["balance"])


async def test_batches_and_the_dead_mans_switch(kraken: Heard, bid: float) -> None:
    orders = [
        {"order_type": "limit", "side": "buy", "order_qty": 0.001, "limit_price": round(bid * 0.9 - number, 1)}
        for number in range(3)
    ]
    placed = await kraken.do("batch_add", symbol=BTC, orders=orders)
    ids = [row["order_id"] for row in placed]
    assert len(set(ids)) == 3
    assert (await kraken.ask("batch_cancel", orders=ids[:2]))["orders_cancelled"] == 2
    armed = await kraken.do("cancel_all_orders_after", timeout=60)
    assert armed["triggerTime"] > armed["currentTime"]
    await kraken.do("cancel_all_orders_after", timeout=0)
    edited = await kraken.do("edit_order", order_id=ids[2], symbol=BTC, order_qty=0.002)
    assert edited["original_order_id"] == ids[2]
    assert (await kraken.do("cancel_all"))["count"] == 1


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        ("EOrder:Insufficient funds", {"order_qty": 1_000}),
        ("EOrder:Unknown order", None),
        ("Currency pair not supported", {"symbol": "XBT/USD"}),
    ],
)
async def test_kraken_refuses_with_its_own_words(
    kraken: Heard, bid: float, error: str, wrong: dict[str, Any] | None
) -> None:
    order = {"order_type": "limit", "side": "buy", "symbol": BTC, "order_qty": 0.01, "limit_price": round(bid * 0.9, 1)}
    if wrong is None:
        answer = await kraken.ask("cancel_order", order_id=["OAAAAA-AAAAA-AAAAAA"])
    else:
        answer = await kraken.ask("add_order", **order | wrong)
    assert (answer["success"], error in answer["error"]) == (False, True), answer
