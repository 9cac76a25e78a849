"""Each fault as a raw client sees it, asked for over the port of a running sandbox."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim.faults import KINDS
from aether.sim.opening import SandboxConfig
from aether.sim.server import Sandbox

D = Decimal

PAIR = "BTC/USD"
BUY = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "1000"}
SOCKET_BUY = {"order_type": "limit", "side": "buy", "symbol": PAIR, "order_qty": 0.01, "limit_price": 1000}


@dataclass
class HandClock:
    now_ns: int = 1_790_000_000 * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@dataclass
class Wire:
    """A socket, and the numbers of its requests."""

    socket: aiohttp.ClientWebSocketResponse

    async def ask(self, method: str, **params: Any) -> None:
        await self.socket.send_str(json.dumps({"method": method} | ({"params": params} if params else {})))

    async def hear(self, wanted: str) -> Any:
        """The next frame of a channel, or answer of a method; other frames pass by."""
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await self.socket.receive_str(), parse_float=D)
                if wanted in (frame.get("channel"), frame.get("method")):
                    return frame

    async def until_pong(self) -> list[Any]:
        """All frames up to the answer of a ping that is sent now."""
        await self.ask("ping")
        frames: list[Any] = []
        async with asyncio.timeout(10):
            while not frames or frames[-1].get("method") != "pong":
                frames.append(json.loads(await self.socket.receive_str(), parse_float=D))
        return frames[:-1]


@dataclass
class Client:
    """A raw client of the sandbox and of its fault port. The market moves only when the test says so."""

    http: aiohttp.ClientSession
    sandbox: Sandbox
    clock: HandClock
    nonce: int = 0
    hello: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hello = self.sandbox.hello()

    async def fault(self, name: str, **fields: Any) -> None:
        status, answer = await self.port("POST", "/faults", {"fault": name} | fields)
        assert status == 200, answer

    async def port(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with self.http.request(method, self.hello["faults"] + path, data=data) as answer:
            return answer.status, await answer.json()

    async def public(self, path: str) -> Any:
        async with self.http.get(f"{self.hello['rest']}/0/public/{path}") as answer:
            return await answer.json()

    async def call(self, method: str, **form: str) -> tuple[int, str]:
        self.nonce += 1
        path, body = f"/0/private/{method}", urlencode({"nonce": self.nonce, **form})
        digest = hashlib.sha256(f"{self.nonce}{body}".encode()).digest()
        sign = hmac.digest(base64.b64decode(self.hello["api_secret"]), path.encode() + digest, "sha512")
        headers = {
            "API-Key": self.hello["api_key"],
            "API-Sign": base64.b64encode(sign).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self.http.post(self.hello["rest"] + path, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def errors(self, method: str, **form: str) -> list[str]:
        status, text = await self.call(method, **form)
        assert status == 200
        return list(json.loads(text)["error"])

    async def result(self, method: str, **form: str) -> Any:
        answer = json.loads((await self.call(method, **form))[1])
        assert answer["error"] == []
        return answer["result"]

    async def many_balances(self) -> None:
        for _ in range(50):
            assert await self.errors("Balance") == []

    async def open_orders(self) -> int:
        return len((await self.result("OpenOrders"))["open"])

    async def connect(self, door: str = "public") -> Wire:
        return Wire(await self.http.ws_connect(self.hello[f"ws_{door}"]))

    async def private_wire(self, **subscription: Any) -> tuple[Wire, str]:
        """A private socket that hears executions, and its token."""
        wire, token = await self.connect("private"), (await self.result("GetWebSocketsToken"))["token"]
        await wire.ask("subscribe", channel="executions", token=token, **subscription)
        await wire.hear("executions")
        return wire, token

    def move_book(self) -> None:
        book = self.sandbox.exchange.book(PAIR, 1)
        price, qty = book.bids[0]
        self.sandbox.exchange.set_level(PAIR, "bid", price, qty + D("0.00000001"), self.clock.now_ns)
        self.sandbox.settle()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = HandClock()
    config = SandboxConfig({"USD": D(10_000), "BTC": D(1)}, seed=3, with_faults=True)
    sandbox = await Sandbox.start(config, clock)
    async with aiohttp.ClientSession() as http:
        yield Client(http, sandbox, clock)
    await sandbox.stop()


# --- REST -----------------------------------------------------------------------------------------------------------


async def test_an_answer_is_lost_after_the_order_was_placed(client: Client) -> None:
    await client.fault("ack_lost", where={"endpoint": "AddOrder"})

    with pytest.raises(aiohttp.ClientError):
        await client.call("AddOrder", **BUY)
    assert await client.open_orders() == 1


async def test_a_page_of_html_comes_after_the_order_was_placed(client: Client) -> None:
    await client.fault("bad_gateway", where={"symbol": PAIR})
    status, text = await client.call("AddOrder", **BUY)

    assert (status, text[:6]) == (502, "<html>")
    assert await client.open_orders() == 1


@pytest.mark.parametrize(
    ("fault", "text"), [("deadline_elapsed", "EService:Deadline elapsed"), ("unknown_error", "EUniverse:Unheard of")]
)
async def test_an_error_comes_although_the_order_was_placed(client: Client, fault: str, text: str) -> None:
    await client.fault(fault, where={"endpoint": "AddOrder"})

    assert await client.errors("AddOrder", **BUY) == [text]
    assert await client.open_orders() == 1


async def test_an_error_of_ones_own_with_or_without_the_order(client: Client) -> None:
    await client.fault("error", text="EService:Busy", where={"endpoint": "AddOrder"})
    assert await client.errors("AddOrder", **BUY) == ["EService:Busy"]
    assert await client.open_orders() == 1

    await client.fault("error", text="EService:Busy", executed=False, where={"endpoint": "AddOrder"})
    assert await client.errors("AddOrder", **BUY) == ["EService:Busy"]
    assert await client.open_orders() == 1


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("invalid_nonce", "EAPI:Invalid nonce"),
        ("throttled", "EService: Throttled: 1790000010"),
        ("rest_rate_limit", "EAPI:Rate limit exceeded"),
    ],
)
async def test_a_call_is_refused_before_it_is_carried_out(client: Client, fault: str, text: str) -> None:
    await client.fault(fault, where={"endpoint": "AddOrder"}, times=2)

    assert [await client.errors("AddOrder", **BUY) for _ in range(2)] == [[text], [text]]
    assert await client.open_orders() == 0
    assert await client.errors("AddOrder", **BUY) == []


async def test_an_answer_can_be_late(client: Client) -> None:
    await client.fault("delay", delay_ms=1)

    assert await client.errors("Balance") == []


async def test_pairs_can_lack_their_status_and_their_fees(client: Client) -> None:
    await client.fault("no_pair_status")
    await client.fault("empty_fees")

    assert not any("status" in row for row in (await client.public("AssetPairs"))["result"].values())
    assert all(row["fees"] == [] for row in (await client.public("AssetPairs"))["result"].values())
    assert all("status" in row for row in (await client.public("AssetPairs"))["result"].values())


async def test_words_and_fields_that_nobody_knows(client: Client) -> None:
    await client.result("AddOrder", **BUY)
    await client.fault("unknown_enums")
    (order,) = (await client.result("OpenOrders"))["open"].values()
    assert (order["status"], order["descr"]["ordertype"], order["vol"]) == ("surprise", "surprise", "0.01000000")

    await client.fault("unknown_fields")
    (order,) = (await client.result("OpenOrders"))["open"].values()
    assert (order["status"], order["surprise"]["of"], order["descr"]["surprise"]["of"][2]) == (
        "open",
        [1, "two", None],
        None,
    )


# --- WebSocket ------------------------------------------------------------------------------------------------------


async def test_an_ack_is_lost_after_the_order_was_placed(client: Client) -> None:
    wire, token = await client.private_wire()
    await client.fault("ack_lost", where={"method": "add_order"})
    await wire.ask("add_order", **SOCKET_BUY, token=token)

    frames = await wire.until_pong()
    assert [frame["data"][0]["exec_type"] for frame in frames if "data" in frame] == ["pending_new", "new"]
    assert not any("method" in frame for frame in frames)


async def test_an_ack_comes_after_the_execution_records(client: Client) -> None:
    wire, token = await client.private_wire()
    await client.fault("late_ack", where={"method": "add_order", "symbol": PAIR})
    await wire.ask("add_order", **SOCKET_BUY, token=token)

    kinds = [frame.get("channel", frame.get("method")) for frame in await wire.until_pong()]
    assert [kind for kind in kinds if kind != "heartbeat"] == ["executions", "executions", "add_order"]


@pytest.mark.parametrize("executed", [True, False])
async def test_an_ack_can_be_an_error_of_ones_own(client: Client, *, executed: bool) -> None:
    wire, token = await client.private_wire()
    await client.fault("error", text="EGeneral:Internal error", executed=executed, where={"method": "add_order"})
    await wire.ask("add_order", **SOCKET_BUY, token=token)

    answer = await wire.hear("add_order")
    assert (answer["success"], answer["error"]) == (False, "EGeneral:Internal error")
    assert await client.open_orders() == executed


async def test_fills_are_told_again_after_a_reconnect(client: Client) -> None:
    wire, token = await client.private_wire()
    await wire.ask("add_order", order_type="market", side="buy", symbol=PAIR, order_qty=0.0001, token=token)
    fills = [
        row for frame in await wire.until_pong() for row in frame.get("data", []) if row.get("exec_type") == "trade"
    ]
    await wire.socket.close()
    await client.fault("duplicate_executions")

    again, token = await client.private_wire()
    repeated = await again.hear("executions")
    assert (repeated["type"], repeated["sequence"], repeated["data"]) == ("update", 2, fills)
    await again.ask("add_order", **SOCKET_BUY, token=token)
    assert (await again.hear("executions"))["sequence"] == 3


async def test_fills_that_are_told_again_break_no_count_between_two_snapshots(client: Client) -> None:
    wire, token = await client.private_wire()
    await wire.ask("add_order", order_type="market", side="buy", symbol=PAIR, order_qty=0.0001, token=token)
    await client.fault("duplicate_executions", times=2)

    again = await client.connect("private")
    await again.ask("subscribe", channel="executions", snap_orders=True, snap_trades=True, token=token)
    heard = [await again.hear("executions") for _ in range(4)]

    assert [(frame["type"], frame["sequence"]) for frame in heard] == [
        ("snapshot", 1),
        ("update", 2),
        ("snapshot", 3),
        ("update", 4),
    ]


@pytest.mark.parametrize(("fault", "numbers"), [("sequence_gap", [3]), ("repeated_frame", [2, 2, 3])])
async def test_a_private_frame_is_lost_or_comes_twice(client: Client, fault: str, numbers: list[int]) -> None:
    wire, token = await client.private_wire()
    await client.fault(fault)
    await wire.ask("add_order", **SOCKET_BUY, token=token)

    frames = await wire.until_pong()
    assert [frame["sequence"] for frame in frames if frame.get("channel") == "executions"] == numbers


async def book_of(client: Client) -> tuple[Wire, Any]:
    wire = await client.connect()
    await wire.ask("subscribe", channel="book", symbol=[PAIR])
    return wire, await wire.hear("book")


async def test_a_checksum_is_wrong_or_a_frame_is_lost(client: Client) -> None:
    wire, _ = await book_of(client)
    plain, _ = await book_of(client)
    await client.fault("checksum_mismatch", where={"symbol": PAIR})
    client.move_book()
    wrong, right = (await wire.hear("book"))["data"][0], (await plain.hear("book"))["data"][0]
    assert wrong["checksum"] == right["checksum"] ^ 1
    assert wrong["bids"] == right["bids"]

    await client.fault("lost_frame")
    client.move_book()
    assert not any(frame.get("channel") == "book" for frame in await wire.until_pong())


async def test_an_update_names_one_price_twice_and_the_last_one_counts(client: Client) -> None:
    wire, _ = await book_of(client)
    await client.fault("double_entry")
    client.move_book()

    first, second = (await wire.hear("book"))["data"][0]["bids"]
    assert first["price"] == second["price"]
    assert first["qty"] != second["qty"] == client.sandbox.exchange.book(PAIR, 1).bids[0][1]


async def test_a_snapshot_comes_without_its_timestamp(client: Client) -> None:
    await client.fault("no_timestamp")

    assert "timestamp" not in (await book_of(client))[1]["data"][0]
    assert "timestamp" in (await book_of(client))[1]["data"][0]


async def test_a_frame_has_words_that_nobody_knows(client: Client) -> None:
    wire, token = await client.private_wire()
    await client.fault("unknown_enums", where={"channel": "executions"})
    await wire.ask("add_order", **SOCKET_BUY, token=token)

    row = (await wire.hear("executions"))["data"][0]
    assert (row["exec_type"], row["order_status"], row["order_qty"]) == ("surprise", "surprise", D("0.01000000"))
    assert row["side"] == "surprise"


async def test_heartbeats_are_withheld(client: Client) -> None:
    wire, _ = await book_of(client)
    await client.fault("heartbeat_silence")

    await wire.hear("heartbeat")
    _, told = await client.port("GET", "/faults")
    assert [struck["fault"] for struck in told["struck"]] == ["heartbeat_silence"]


async def test_a_socket_is_silent_for_a_while(client: Client) -> None:
    wire, _ = await book_of(client)
    await client.fault("silence", for_ms=5_000)
    client.move_book()
    client.clock.now_ns += 5 * NANOS_PER_S
    client.move_book()

    assert [frame["channel"] for frame in await wire.until_pong() if frame.get("channel") == "book"] == ["book"]


async def test_a_text_that_is_no_json(client: Client) -> None:
    wire = await client.connect()
    await wire.hear("status")
    await client.fault("plain_text")

    async with asyncio.timeout(10):
        assert await wire.socket.receive_str() == "CloudFlare WebSocket proxy restarting"


@pytest.mark.parametrize(("fault", "code"), [("close_1006", 1006), ("close_1008", 1008)])
async def test_a_socket_is_closed_and_the_other_door_is_not(client: Client, fault: str, code: int) -> None:
    wire, other = await client.connect(), await client.connect("private")
    await wire.hear("status")
    await other.hear("status")
    await client.fault(fault, where={"door": "public"})

    async with asyncio.timeout(10):
        while not wire.socket.closed:
            await wire.socket.receive()
    assert wire.socket.close_code == code
    assert await other.until_pong() == []


async def test_a_token_is_stale_and_the_socket_stays_open(client: Client) -> None:
    wire, token = await client.private_wire()
    await client.fault("stale_token")
    await wire.ask("add_order", **SOCKET_BUY, token=token)
    answer = await wire.hear("add_order")
    assert (answer["success"], answer["error"]) == (False, "EAPI:Invalid token")

    await wire.ask("subscribe", channel="balances", token=token)
    assert (await wire.hear("subscribe"))["error"] == "ESession:Invalid session"


# --- the exchange ---------------------------------------------------------------------------------------------------


async def test_the_counter_of_a_pair_is_full(client: Client) -> None:
    await client.fault("order_rate_limit", where={"symbol": PAIR})

    assert await client.errors("AddOrder", **BUY) == ["EOrder:Rate limit exceeded"]
    assert await client.errors("AddOrder", **BUY | {"pair": "ETHUSD", "price": "100"}) == []


async def test_the_exchange_changes_its_status_and_a_pair_its_own(client: Client) -> None:
    wire = await client.connect()
    await wire.hear("status")
    await client.fault("cancel_only")
    assert (await wire.hear("status"))["data"][0]["system"] == "cancel_only"
    assert await client.errors("AddOrder", **BUY) == ["EService:Market in cancel_only mode"]

    await client.fault("online")
    await client.fault("post_only", where={"symbol": PAIR})
    assert await client.errors("AddOrder", **BUY) == ["EService:Market in post_only mode"]
    assert await client.errors("AddOrder", **BUY | {"pair": "ETHUSD", "price": "100"}) == []


async def test_nobody_connects_in_maintenance(client: Client) -> None:
    await client.fault("maintenance")

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.connect()
    assert await client.errors("AddOrder", **BUY) == ["EService:Unavailable"]


# --- the port -------------------------------------------------------------------------------------------------------


async def test_the_port_lists_every_class_and_what_struck(client: Client) -> None:
    await client.fault("ack_lost", where={"method": "add_order"})
    _, told = await client.port("GET", "/faults")

    assert [row["fault"] for row in told["classes"]] == list(KINDS)
    assert all(row["meaning"] for row in told["classes"])
    assert [(row["fault"], row["where"]) for row in told["armed"]] == [("ack_lost", {"method": "add_order"})]
    await client.port("DELETE", "/faults")
    assert (await client.port("GET", "/faults"))[1]["armed"] == []


async def test_a_script_strikes_at_its_times(client: Client) -> None:
    script = [{"fault": "error", "text": f"E{ms}:x", "executed": False, "after_ms": ms} for ms in (0, 1_000)]
    await client.port("POST", "/script", script)

    assert await client.errors("Balance") == ["E0:x"]
    assert await client.errors("Balance") == []
    client.clock.now_ns += NANOS_PER_S
    assert await client.errors("Balance") == ["E1000:x"]


async def test_a_seed_draws_faults_until_it_is_cleared(client: Client) -> None:
    assert await client.port("POST", "/faults/seed", {"seed": 7, "rate": 1}) == (200, {"seed": 7, "rate": 1})
    with pytest.raises((aiohttp.ClientError, AssertionError)):
        await client.many_balances()

    await client.port("DELETE", "/faults")
    client.clock.now_ns += 60 * NANOS_PER_S
    assert await client.errors("Balance") == []


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/faults", b"{", "the body is no JSON"),
        ("/faults", b"x" * 300_000, "the body is too long"),
        ("/faults", [1], "a fault is an object"),
        ("/faults", {"fault": "nothing"}, "there is no fault 'nothing'"),
        ("/faults", {"fault": "legacy_name"}, "legacy_name is how it always is"),
        ("/faults", {"fault": "ack_lost", "text": "x"}, "ack_lost has no field 'text'"),
        ("/faults", {"fault": "error"}, "error needs a text"),
        ("/faults", {"fault": "error", "text": "x", "executed": 1}, "executed is true or false"),
        ("/faults", {"fault": "ack_lost", "times": 0}, "times is 0"),
        ("/faults", {"fault": "ack_lost", "times": True}, "times is True"),
        ("/faults", {"fault": "ack_lost", "where": {"symbol": 1}}, "where is an object of texts"),
        ("/faults", {"fault": "ack_lost", "where": {"colour": "x"}}, "where has no key 'colour'"),
        ("/faults", {"fault": "ack_lost", "where": {"symbol": "XBTUSD"}}, "there is no symbol 'XBTUSD'"),
        ("/faults", {"fault": "reduce_only"}, "only a pair can be reduce_only"),
        ("/faults/seed", {"seed": 1}, "a seed has two fields"),
        ("/faults/seed", {"seed": 1, "rate": 2}, "seed is a whole number, rate is 0 to 1"),
        ("/script", {"fault": "ack_lost"}, "a script is a list"),
        ("/elsewhere", {}, "there is nothing here"),
    ],
)
async def test_what_is_not_understood_is_explained(client: Client, path: str, body: object, error: str) -> None:
    status, answer = await client.port("POST", path, body)

    assert (status, answer["error"]) == (400, error)
    assert answer["remedy"]
