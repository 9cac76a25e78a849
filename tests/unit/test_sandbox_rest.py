"""The sandbox's REST endpoints, at a desk without a crowd: every price and fill here is made by the test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim.desk import Desk, Manners
from aether.sim.exchange import Exchange, OrderEvent
from aether.sim.keys import ApiKey, KeyRing, api_sign
from aether.sim.market_board import MarketBoard
from aether.sim.rate_counters import TIERS, Tier
from aether.sim.recorded import pair_rules
from aether.sim.rest_api import PRIVATE_METHODS, RestApi
from aether.sim.rest_public import PUBLIC
from aether.sim.rest_records import price_digits

D = Decimal

SECRET = "c2VjcmV0"
START_S = 1_790_000_000


@dataclass
class HandClock:
    """Time stands still until the test moves it."""

    now_ns: int = START_S * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@dataclass
class Nobody:
    """No crowd at all; only the exchange's own timers act."""

    exchange: Exchange

    def advance(self, now_ns: int) -> None:
        self.exchange.advance(now_ns)


@dataclass
class Client:
    """Signs and calls like any Kraken client."""

    rest: RestApi
    desk: Desk
    clock: HandClock
    nonce: int = 0
    texts: list[str] = field(default_factory=list)

    def public(self, method: str, **query: str) -> Any:
        return self._result(self.rest.public(method, query))

    def private(self, method: str, **form: str) -> Any:
        return self._result(self.answer(method, form))

    def refusal(self, method: str, **form: str) -> str:
        answer = json.loads(self.answer(method, form) if method in PRIVATE_METHODS else self.rest.public(method, form))
        assert list(answer) == ["error"], f"{method} was not refused: {answer}"
        (text,) = answer["error"]
        return str(text)

    def answer(self, method: str, form: Mapping[str, str]) -> str:
        self.nonce += 1
        body = urlencode({"nonce": self.nonce, **form}).encode()
        path = f"/0/private/{method}"
        headers = {"API-Key": "key", "API-Sign": api_sign(SECRET, path, str(self.nonce), body)}
        return self.rest.private(path, headers, body)

    def pass_s(self, seconds: float) -> None:
        self.clock.now_ns += int(seconds * NANOS_PER_S)

    def sell_to_bids(self, price: str, qty: str) -> None:
        self.desk.exchange.crowd_trade("BTC/USD", "sell", D(price), D(qty), self.clock.now_ns)
        self.desk.settle()

    def _result(self, text: str) -> Any:
        answer = json.loads(text, parse_float=D)
        assert answer["error"] == [], answer
        return answer["result"]


# So generous that a test of something else never meets a limit.
LENIENT = Manners(Tier("pro", 10**9, 100, 10**9, 375, 10**9))


def make_client(manners: Manners = LENIENT, key: ApiKey | None = None) -> Client:
    clock = HandClock()
    exchange = Exchange(pair_rules(), seed=1)
    exchange.open_account("main", {"USD": D("10000.0000"), "BTC": D(1)}, clock.now_ns)
    exchange.set_level("BTC/USD", "bid", D("59990.0"), D(2), clock.now_ns)
    exchange.set_level("BTC/USD", "ask", D("60010.0"), D("1.5004"), clock.now_ns)
    board = MarketBoard(lambda pair, interval_s, now_ns: [], exchange.pairs, clock.now_ns)
    desk = Desk(
        exchange,
        Nobody(exchange),
        board,
        KeyRing(key or ApiKey("key", SECRET, "main"), lambda: "token"),
        clock,
        manners=manners,
    )
    return Client(RestApi(desk), desk, clock)


@pytest.fixture
def client() -> Client:
    return make_client()


LIMIT_BUY = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "59000.0"}


LONG_FORMS = (
    "6d1b345e-2821-40e2-ad83-4ecb18a06876",
    "6D1B345E-2821-40E2-AD83-4ECB18A06876",
    "6d1b345e282140e2ad834ecb18a06876",
    "6D1B345E282140E2AD834ECB18A06876",
)


@pytest.mark.parametrize(("decimals", "text"), [(1, "0.00003"), (8, "0.00003164")])
def test_no_digit_of_the_price_of_a_cheap_coin_is_lost(decimals: int, text: str) -> None:
    assert price_digits(D("0.00003164"), replace(pair_rules()[0], price_decimals=decimals)) == text


# --- public ---------------------------------------------------------------------------------------------------------


def test_time_is_the_clocks(client: Client) -> None:
    assert client.public("Time") == {"unixtime": START_S, "rfc1123": "Mon, 21 Sep 26 14:13:20 +0000"}


def test_the_status_is_the_exchanges(client: Client) -> None:
    client.desk.exchange.set_system_status("cancel_only")

    assert client.public("SystemStatus")["status"] == "cancel_only"


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "BTC/USD"])
@pytest.mark.parametrize("method", ["AssetPairs", "Ticker", "OHLC", "Depth", "Trades"])
def test_a_pair_answers_to_its_three_names_and_is_keyed_as_kraken_does(client: Client, method: str, name: str) -> None:
    keys = set(client.public(method, pair=name)) - {"last"}

    assert keys == ({"BTC/USD"} if name == "BTC/USD" else {"XXBTZUSD"})


def test_asset_version_1_keys_by_display_names(client: Client) -> None:
    pairs = client.public("AssetPairs", assetVersion="1")

    assert list(pairs) == ["BTC/USD", "ETH/USD"]
    assert (pairs["BTC/USD"]["base"], pairs["BTC/USD"]["quote"]) == ("BTC", "USD")
    assert list(client.public("Assets", assetVersion="1")) == ["BTC", "ETH", "USD"]


@pytest.mark.parametrize("method", ["AssetPairs", "Ticker", "OHLC", "Depth", "Trades"])
@pytest.mark.parametrize("name", ["XBT/USD", "BTCUSD", "PF_XBTUSD", "", "XXBTZUSD,NOPE"])
def test_other_pair_names_are_unknown(client: Client, method: str, name: str) -> None:
    if name or method in ("OHLC", "Depth", "Trades"):
        assert client.refusal(method, pair=name) == "EQuery:Unknown asset pair"


def test_asset_pairs_tell_changed_digits_and_old_records_keep_theirs_e03(client: Client) -> None:
    client.private("AddOrder", **(LIMIT_BUY | {"volume": "0.01234567", "price": "60010.0"}))
    rules = client.desk.exchange.pairs["BTC/USD"]
    changed = replace(rules, price_decimals=2, qty_decimals=5, qty_min=D("0.0002"), cost_min=D("5"))
    client.desk.exchange.set_pair_rules(changed, client.clock.now_ns)

    row = client.public("AssetPairs")["XXBTZUSD"]

    assert (row["pair_decimals"], row["tick_size"], row["lot_decimals"]) == (2, "0.01", 5)
    assert (row["ordermin"], row["costmin"]) == ("0.0002", "5")
    (trade,) = client.private("TradesHistory")["trades"].values()
    assert trade["vol"] == "0.01234567"
    (order,) = client.private("ClosedOrders")["closed"].values()
    assert (order["vol"], order["vol_exec"]) == ("0.01234567", "0.01234567")


def test_asset_pairs_are_the_recorded_rows_with_the_status_of_now(client: Client) -> None:
    client.desk.exchange.set_pair_status("BTC/USD", "post_only")
    row = client.public("AssetPairs")["XXBTZUSD"]

    assert row["status"] == "post_only"
    assert (row["ordermin"], row["costmin"], row["tick_size"]) == ("0.00005", "0.5", "0.1")
    assert set(client.public("AssetPairs", info="fees")["XXBTZUSD"]) == {"fees", "fees_maker", "fee_volume_currency"}


def test_assets_are_found_by_any_name(client: Client) -> None:
    assert client.public("Assets", asset="XBT,ZUSD")["XXBT"]["decimals"] == 10
    assert client.refusal("Assets", asset="XBT,NOPE") == "EQuery:Unknown asset"


def test_depth_shows_price_quantity_and_second_best_first(client: Client) -> None:
    client.pass_s(5)
    client.desk.exchange.set_level("BTC/USD", "bid", D("59990.1"), D("0.0625"), client.clock.now_ns)
    book = client.public("Depth", pair="XBTUSD", count="2")["XXBTZUSD"]

    assert book["bids"] == [["59990.10000", "0.062", START_S + 5], ["59990.00000", "2.000", START_S]]
    assert book["asks"] == [["60010.00000", "1.500", START_S]]


@pytest.mark.parametrize("count", ["0", "501", "x", "-1", "1e3"])
def test_depth_refuses_other_counts(client: Client, count: str) -> None:
    assert client.refusal("Depth", pair="XBTUSD", count=count) == "EGeneral:Invalid arguments:count"


def test_trades_go_on_from_their_last(client: Client) -> None:
    for _ in range(3):
        client.pass_s(1)
        client.sell_to_bids("59990.0", "0.1")
    first = client.public("Trades", pair="XBTUSD", since="1", count="2")
    rest = client.public("Trades", pair="XBTUSD", since=first["last"])

    assert [row[6] for row in first["XXBTZUSD"]] == [1, 2]
    assert rest["XXBTZUSD"] == [["59990.00000", "0.10000000", D(START_S + 3), "s", "l", "", 3]]
    assert client.public("Trades", pair="XBTUSD", since=rest["last"]) == {"XXBTZUSD": [], "last": rest["last"]}
    assert [row[6] for row in client.public("Trades", pair="XBTUSD", count="2")["XXBTZUSD"]] == [2, 3]


def test_trades_of_one_moment_are_never_cut_apart(client: Client) -> None:
    client.pass_s(1)
    for _ in range(3):
        client.sell_to_bids("59990.0", "0.1")

    assert len(client.public("Trades", pair="XBTUSD", since="1", count="1")["XXBTZUSD"]) == 3


def test_ohlc_rows_are_krakens_and_the_last_one_runs(client: Client) -> None:
    client.sell_to_bids("59990.0", "0.1")
    client.pass_s(120)
    answer = client.public("OHLC", pair="XBTUSD", interval="1")

    open_s = START_S // 60 * 60
    price = "59990.0"
    assert answer["XXBTZUSD"] == [
        [open_s, price, price, price, price, price, "0.10000000", 1],
        [open_s + 60, price, price, price, price, "0.0", "0.00000000", 0],
        [open_s + 120, price, price, price, price, "0.0", "0.00000000", 0],
    ]
    assert answer["last"] == open_s + 60
    newer = client.public("OHLC", pair="XBTUSD", interval="1", since=str(answer["last"]))
    assert [row[0] for row in newer["XXBTZUSD"]] == [open_s + 120]


@pytest.mark.parametrize("interval", ["0", "2", "01", "x", "60.0"])
def test_ohlc_refuses_other_intervals(client: Client, interval: str) -> None:
    assert client.refusal("OHLC", pair="XBTUSD", interval=interval) == "EGeneral:Invalid arguments:interval"


def test_the_ticker_tells_the_best_prices_and_the_last_trade(client: Client) -> None:
    client.sell_to_bids("59990.0", "0.5")
    row = client.public("Ticker", pair="XBTUSD")["XXBTZUSD"]

    assert (row["a"], row["b"]) == (["60010.00000", "1", "1.500"], ["59990.00000", "1", "1.500"])
    assert (row["c"], row["v"], row["t"]) == (["59990.00000", "0.50000000"], ["0.50000000"] * 2, [1, 1])
    assert row["o"] == "59990.00000"


@pytest.mark.parametrize("method", ["OpenPositions", "time", "AddOrder", ""])
def test_other_public_methods_are_unknown(client: Client, method: str) -> None:
    assert json.loads(client.rest.public(method, {})) == {"error": ["EGeneral:Unknown method"]}


# --- who calls ------------------------------------------------------------------------------------------------------


def test_a_request_must_be_signed_with_a_rising_nonce(client: Client) -> None:
    path, body = "/0/private/Balance", b"nonce=5"
    good = {"API-Key": "key", "API-Sign": api_sign(SECRET, path, "5", body)}

    def error(headers: Mapping[str, str], content: bytes = body) -> list[str]:
        return list(json.loads(client.rest.private(path, headers, content))["error"])

    assert error({}) == ["EAPI:Invalid key"]
    assert error(good | {"API-Sign": "AAAA"}) == ["EAPI:Invalid signature"]
    assert error(good, b"nonce=5&asset=ZUSD") == ["EAPI:Invalid signature"]
    assert error(good) == []
    assert error(good) == ["EAPI:Invalid nonce"]


def test_json_bodies_are_signed_and_read_alike(client: Client) -> None:
    path = "/0/private/AddOrder"
    body = json.dumps({"nonce": 7, **LIMIT_BUY, "validate": True}).encode()
    headers = {"API-Key": "key", "API-Sign": api_sign(SECRET, path, "7", body)}
    answer = client.rest.private(path, headers | {"Content-Type": "application/json; charset=utf-8"}, body)

    order = "buy 0.01000000 XBTUSD @ limit 59000.0"
    assert json.loads(answer) == {"error": [], "result": {"descr": {"order": order}}}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"nonce":1e999}', b'{"nonce":["x"]}', b"\xff", b"[" * 9999])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", ""])
def test_malformed_bodies_are_refused(client: Client, body: bytes, content_type: str) -> None:
    headers = {"API-Key": "key", "API-Sign": "AAAA", "Content-Type": content_type}
    (text,) = json.loads(client.rest.private("/0/private/Balance", headers, body))["error"]

    assert text in ("EAPI:Bad request", "EAPI:Invalid signature", "EGeneral:Invalid arguments:nonce")


@pytest.mark.parametrize("method", ["OpenPositions", "WithdrawInfo", "DepositMethods", "AddOrders"])
def test_private_methods_that_are_not_there_are_unknown(client: Client, method: str) -> None:
    assert json.loads(client.answer(method, {})) == {"error": ["EGeneral:Unknown method"]}


def test_the_key_can_trade_and_look_but_moves_no_money(client: Client) -> None:
    permissions = client.private("GetApiKeyInfo")["permissions"]

    assert {"query-funds", "modify-trades", "create-ws-token"} <= set(permissions)
    assert not {"withdraw-funds", "add-funds", "earn-funds"} & set(permissions)


def test_a_websocket_token_lasts_fifteen_minutes(client: Client) -> None:
    assert client.private("GetWebSocketsToken") == {"token": "token", "expires": 900}


# --- orders ---------------------------------------------------------------------------------------------------------


def test_an_order_goes_from_open_to_filled_and_its_money_adds_up(client: Client) -> None:
    added = client.private("AddOrder", **LIMIT_BUY, cl_ord_id="mine", oflags="post,fciq")
    (txid,) = added["txid"]
    assert added["descr"] == {"order": "buy 0.01000000 XBTUSD @ limit 59000.0"}
    assert client.private("BalanceEx")["ZUSD"] == {"balance": "10000.00000", "hold_trade": "592.36000"}

    row = client.private("OpenOrders")["open"][txid]
    assert (row["status"], row["vol"], row["vol_exec"], row["cl_ord_id"]) == (
        "open",
        "0.01000000",
        "0.00000000",
        "mine",
    )
    assert (row["oflags"], row["reason"], row["opentm"]) == ("post,fciq", None, D(START_S))
    assert row["descr"] == {
        "pair": "XBTUSD",
        "aclass": "forex",
        "type": "buy",
        "ordertype": "limit",
        "price": "59000.0",
        "price2": "0",
        "leverage": "none",
        "order": "buy 0.01000000 XBTUSD @ limit 59000.0",
        "close": "",
    }

    client.pass_s(2)
    client.sell_to_bids("59000.0", "3")
    assert client.private("OpenOrders") == {"open": {}}
    closed = client.private("ClosedOrders", trades="True")
    assert closed["count"] == 1
    row = closed["closed"][txid]
    assert (row["status"], row["vol_exec"], row["cost"], row["fee"]) == ("closed", "0.01000000", "590.00000", "1.47500")
    assert (row["price"], row["closetm"]) == ("59000.00000", D(START_S + 2))

    trades = client.private("TradesHistory", ledgers="True")
    ((exec_id, trade),) = trades["trades"].items()
    assert row["trades"] == [exec_id]
    assert (trade["ordertxid"], trade["pair"], trade["maker"], trade["leverage"]) == (txid, "XXBTZUSD", True, "0")
    assert client.private("QueryTrades", txid=exec_id)[exec_id] == trade

    rows = client.private("QueryLedgers", id=",".join(trade["ledgers"]))
    moved = {row["asset"]: D(row["amount"]) - D(row["fee"]) for row in rows.values()}
    assert moved == {"ZUSD": D("-591.475"), "XXBT": D("0.01")}
    assert {row["refid"] for row in rows.values()} == {exec_id}
    assert client.private("Balance") == {"ZUSD": "9408.52500", "XXBT": "1.0100000000"}
    assert D(client.private("Balance")["ZUSD"]) == client.desk.exchange.balances("main")["USD"][0]


def test_validate_checks_and_describes_but_places_nothing(client: Client) -> None:
    answer = client.private("AddOrder", **LIMIT_BUY, validate="true")

    assert answer == {"descr": {"order": "buy 0.01000000 XBTUSD @ limit 59000.0"}}
    assert client.private("OpenOrders") == {"open": {}}
    assert not any(isinstance(event, OrderEvent) for event in client.desk.exchange.drain())


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ({"price": "59000.05"}, "EOrder:Tick size check failed"),
        ({"volume": "0.00004"}, "EGeneral:Invalid arguments:volume minimum not met"),
        ({"volume": "1"}, "EOrder:Insufficient funds"),
        ({"volume": "0.01000000001"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": ""}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "1e1"}, "EGeneral:Invalid arguments:volume"),
        ({"price": "+150"}, "EOrder:Invalid price"),
        ({"price": "*150"}, "EGeneral:Invalid arguments:price"),
        ({"price2": "58000.0"}, "EGeneral:Invalid arguments:price2"),
        ({"trigger": "last"}, "EGeneral:Invalid arguments:trigger"),
        ({"displayvol": "0.001"}, "EGeneral:Invalid arguments:displayvol"),
        ({"price": "5%"}, "EGeneral:Invalid arguments:price"),
        ({"price": ""}, "EGeneral:Invalid arguments:price"),
        ({"type": "short"}, "EGeneral:Invalid arguments:type"),
        ({"ordertype": "settle-position"}, "EGeneral:Invalid arguments:ordertype"),
        ({"ordertype": "iceberg"}, "EGeneral:Invalid arguments:displayvol"),
        ({"ordertype": "stop-loss-limit"}, "EGeneral:Invalid arguments:price2"),
        ({"ordertype": "trailing-stop", "price": "59000.0"}, "EGeneral:Invalid arguments:price"),
        ({"ordertype": "trailing-stop", "price": "-5%"}, "EGeneral:Invalid arguments:price"),
        ({"ordertype": "stop-loss", "trigger": "mark"}, "EGeneral:Invalid arguments:trigger"),
        ({"stptype": "cancel_newest"}, "EGeneral:Invalid arguments:stptype"),
        ({"starttm": "1"}, "EGeneral:Invalid arguments:starttm"),
        ({"leverage": "2"}, "EGeneral:Invalid arguments:leverage"),
        ({"reduce_only": "true"}, "EGeneral:Invalid arguments:reduce_only"),
        ({"close[ordertype]": "limit"}, "EGeneral:Invalid arguments:close[ordertype]"),
        ({"expiretm": "+30"}, "EGeneral:Invalid arguments:expiretm"),
        ({"timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
        ({"timeinforce": "GTD", "expiretm": "+4"}, "EGeneral:Invalid arguments:expiretm"),
        ({"timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"oflags": "post,fast"}, "EGeneral:Invalid arguments:oflags"),
        ({"oflags": "fciq,fcib"}, "EGeneral:Invalid arguments:oflags"),
        ({"oflags": "viqc"}, "EGeneral:Invalid arguments:viqc"),
        ({"cl_ord_id": "far too long for an id"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"userref": str(2**31)}, "EGeneral:Invalid arguments:userref"),
        ({"deadline": "tomorrow"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:13:25"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:14:21Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:13:19.999Z"}, "EService:Deadline elapsed"),
        ({"deadline": "2026-09-21T14:13:20Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:13:21.999Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-W39-1T14:13:25Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "20260921T141325Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21 14:13:25Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:13Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:13:25+00:00:00"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-02-30T14:13:25Z"}, "EGeneral:Invalid arguments:deadline"),
    ],
)
@pytest.mark.parametrize("validate", ["false", "true"])
def test_orders_are_refused_in_krakens_words(client: Client, changed: dict[str, str], text: str, validate: str) -> None:
    assert client.refusal("AddOrder", **LIMIT_BUY | changed, validate=validate) == text
    assert client.private("OpenOrders") == {"open": {}}


@pytest.mark.parametrize(
    "changed",
    [
        {"leverage": "none", "reduce_only": "false", "starttm": "0", "expiretm": "0"},
        {"reduce_only": "False", "validate": "False"},  # as Python clients write it
        {"deadline": "2026-09-21T14:14:20Z"},
        {"deadline": "2026-09-21T14:13:22Z"},
        {"deadline": "2026-09-21T16:13:25.123456789+02:00"},
        {"timeinforce": "GTC", "oflags": "fciq", "stptype": "cancel-newest"},
        {"price": "59000", "pair": "BTC/USD"},
    ],
)
def test_words_that_ask_for_nothing_more_are_taken(client: Client, changed: dict[str, str]) -> None:
    assert len(client.private("AddOrder", **LIMIT_BUY | changed)["txid"]) == 1


def test_nothing_private_is_answered_in_maintenance(client: Client) -> None:
    client.desk.exchange.set_system_status("maintenance")

    assert client.refusal("BalanceEx") == "EService:Unavailable"
    assert client.refusal("CancelAllOrdersAfter", timeout="0") == "EService:Unavailable"
    assert client.public("SystemStatus")["status"] == "maintenance"


@pytest.mark.parametrize("status", ["cancel_only", "post_only", "maintenance"])
def test_the_status_decides_for_validate_as_for_the_order_itself(client: Client, status: str) -> None:
    client.desk.exchange.set_system_status(status)

    real = client.refusal("AddOrder", **LIMIT_BUY)
    assert real.startswith("EService:")
    assert client.refusal("AddOrder", **LIMIT_BUY, validate="true") == real


def test_a_query_of_orders_keeps_to_a_reference(client: Client) -> None:
    (mine,) = client.private("AddOrder", **LIMIT_BUY, userref="7")["txid"]
    (other,) = client.private("AddOrder", **LIMIT_BUY)["txid"]

    assert list(client.private("QueryOrders", txid=f"{mine},{other}", userref="7")) == [mine]
    assert client.refusal("QueryOrders", txid=other, userref="7") == "EOrder:Invalid order"


def test_an_open_client_order_id_cannot_be_used_again(client: Client) -> None:
    (txid,) = client.private("AddOrder", **LIMIT_BUY, cl_ord_id="mine")["txid"]
    real = client.refusal("AddOrder", **LIMIT_BUY, cl_ord_id="mine")
    assert client.refusal("AddOrder", **LIMIT_BUY, cl_ord_id="mine", validate="true") == real

    client.private("CancelOrder", txid=txid)
    assert len(client.private("AddOrder", **LIMIT_BUY, cl_ord_id="mine")["txid"]) == 1


def test_the_long_forms_of_a_client_order_id_are_one_number(client: Client) -> None:
    (txid,) = client.private("AddOrder", **LIMIT_BUY, cl_ord_id=LONG_FORMS[0])["txid"]
    for form in LONG_FORMS:
        for validate in ("false", "true"):
            text = client.refusal("AddOrder", **LIMIT_BUY, cl_ord_id=form, validate=validate)
            assert text == "EOrder:cl_ord_id already in use"
        assert list(client.private("OpenOrders", cl_ord_id=form)["open"]) == [txid]
    assert client.private("CancelOrder", cl_ord_id=LONG_FORMS[1]) == {"count": 1}
    assert len(client.private("AddOrder", **LIMIT_BUY, cl_ord_id=LONG_FORMS[2])["txid"]) == 1


@pytest.mark.parametrize("other", ["MINE", "m-ine", "mine0"])
def test_a_short_client_order_id_is_its_very_letters(client: Client, other: str) -> None:
    for cl_ord_id in ("mine", other):
        assert len(client.private("AddOrder", **LIMIT_BUY, cl_ord_id=cl_ord_id)["txid"]) == 1


def test_a_market_order_takes_and_its_rest_never_stays(client: Client) -> None:
    answer = client.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.1")

    assert answer["descr"] == {"order": "buy 0.10000000 XBTUSD @ market"}
    (row,) = client.private("QueryOrders", txid=answer["txid"][0]).values()
    assert (row["status"], row["cost"], row["fee"]) == ("closed", "6001.00000", "24.00400")
    assert (row["descr"]["price"], row["price"]) == ("0", "60010.00000")


def test_orders_are_cancelled_by_txid_client_id_and_userref(client: Client) -> None:
    by_txid = client.private("AddOrder", **LIMIT_BUY)["txid"][0]
    client.private("AddOrder", **LIMIT_BUY, cl_ord_id="mine")
    for _ in range(2):
        client.private("AddOrder", **LIMIT_BUY, userref="42")

    assert client.private("CancelOrder", txid=by_txid) == {"count": 1}
    assert client.private("CancelOrder", cl_ord_id="mine") == {"count": 1}
    assert client.private("CancelOrder", txid="42") == {"count": 2}
    assert {row["reason"] for row in client.private("ClosedOrders")["closed"].values()} == {"User requested"}


def test_what_is_not_open_cannot_be_cancelled(client: Client) -> None:
    gone = client.private("AddOrder", **LIMIT_BUY)["txid"][0]
    client.private("CancelOrder", txid=gone)

    assert client.refusal("CancelOrder", txid=gone) == "EOrder:Unknown order"
    assert client.refusal("CancelOrder", txid="OAAAAA-BBBBB-CCCCCC") == "EOrder:Unknown order"
    assert client.refusal("CancelOrder", txid="7") == "EOrder:Unknown order"
    assert client.refusal("CancelOrder", cl_ord_id="gone") == "EOrder:Unknown order"
    assert client.refusal("CancelOrder") == "EGeneral:Invalid arguments:txid"
    assert client.refusal("QueryOrders", txid="OAAAAA-BBBBB-CCCCCC") == "EOrder:Invalid order"


def test_cancel_all_counts(client: Client) -> None:
    for _ in range(3):
        client.private("AddOrder", **LIMIT_BUY)

    assert client.private("CancelAll") == {"count": 3}
    assert client.private("CancelAll") == {"count": 0}


def test_the_dead_mans_switch_cancels_when_it_is_not_renewed(client: Client) -> None:
    client.private("AddOrder", **LIMIT_BUY)
    armed = client.private("CancelAllOrdersAfter", timeout="60")
    assert armed == {"currentTime": "2026-09-21T14:13:20Z", "triggerTime": "2026-09-21T14:14:20Z"}

    client.pass_s(59)
    assert len(client.private("OpenOrders")["open"]) == 1
    client.pass_s(1)
    assert client.private("OpenOrders") == {"open": {}}


def test_the_dead_mans_switch_can_be_switched_off(client: Client) -> None:
    client.private("AddOrder", **LIMIT_BUY)
    client.private("CancelAllOrdersAfter", timeout="60")
    assert client.private("CancelAllOrdersAfter", timeout="0")["triggerTime"] == "0"

    client.pass_s(3600)
    assert len(client.private("OpenOrders")["open"]) == 1
    assert client.refusal("CancelAllOrdersAfter", timeout="86400") == "EGeneral:Invalid arguments:timeout"
    assert client.refusal("CancelAllOrdersAfter", timeout="x") == "EGeneral:Invalid arguments:timeout"


def test_the_fees_of_pairs_are_empty_unless_wanted(client: Client) -> None:
    row = client.public("AssetPairs")["XXBTZUSD"]
    assert row["fees"] == row["fees_maker"] == []

    row = make_client(replace(LENIENT, with_fees=True)).public("AssetPairs")["XXBTZUSD"]
    assert row["fees"][0] == [0, D("0.4")]
    assert client.public("AssetPairs", aclass_base="tokenized_asset") == {}
    assert client.public("AssetPairs", execution_venue="bitnomial_exchange") == {}
    assert "XXBTZUSD" in client.public("AssetPairs", execution_venue="international")


def test_spreads_are_told_as_they_changed(client: Client) -> None:
    first = client.public("Spread", pair="XBTUSD")
    client.pass_s(5)
    client.desk.exchange.set_level("BTC/USD", "bid", D("59995.0"), D(1), client.clock.now_ns)
    client.desk.settle()

    assert first == {"XXBTZUSD": [[START_S, "59990.00000", "60010.00000"]], "last": START_S}
    later = client.public("Spread", pair="XBTUSD", since=str(START_S + 1))
    assert later == {"XXBTZUSD": [[START_S + 5, "59995.00000", "60010.00000"]], "last": START_S + 5}


# --- limits and permissions -----------------------------------------------------------------------------------------


def test_calls_count_by_tier_and_are_refused_over_the_maximum() -> None:
    client = make_client(Manners(TIERS["starter"]))
    for _ in range(6):
        client.private("Ledgers")
    for _ in range(3):
        client.private("Balance")

    assert client.refusal("Balance") == "EAPI:Rate limit exceeded"
    client.private("AddOrder", **LIMIT_BUY)


def test_orders_count_on_their_pair_even_where_they_are_refused() -> None:
    client = make_client(Manners(TIERS["starter"]))
    for _ in range(60):
        assert client.refusal("AddOrder", **LIMIT_BUY | {"price": "0.01"}) == "EOrder:Tick size check failed"

    assert client.refusal("AddOrder", **LIMIT_BUY) == "EOrder:Rate limit exceeded"
    client.private("AddOrder", **LIMIT_BUY, validate="true")
    client.pass_s(1)
    client.private("AddOrder", **LIMIT_BUY)


def test_cancels_count_by_age_and_cancel_all_counts_one() -> None:
    client = make_client(Manners(TIERS["starter"]))
    placed = [client.private("AddOrder", **LIMIT_BUY)["txid"][0] for _ in range(10)]
    for order_id in placed[:6]:
        client.private("CancelOrder", txid=order_id)

    assert client.refusal("CancelOrder", txid=placed[6]) == "EOrder:Rate limit exceeded"
    assert client.private("CancelAll") == {"count": 4}
    assert client.desk.trading_counters.points("main", "BTC/USD", client.clock.now_ns) == 59


def test_a_key_does_only_what_it_may() -> None:
    client = make_client(key=ApiKey("key", SECRET, "main", permissions=("query-funds", "withdraw-funds")))

    client.private("Balance")
    assert client.private("GetApiKeyInfo")["permissions"] == ["query-funds", "withdraw-funds"]
    for method in ("AddOrder", "CancelAll", "OpenOrders", "Ledgers", "GetWebSocketsToken"):
        assert client.refusal(method) == "EGeneral:Permission denied"


# --- views that lag -------------------------------------------------------------------------------------------------


def test_rest_does_not_show_at_once_what_was_placed_filled_or_ended() -> None:
    client = make_client(replace(LENIENT, view_lag_ns=2 * NANOS_PER_S))
    client.pass_s(10)
    (order_id,) = client.private("AddOrder", **LIMIT_BUY)["txid"]
    (filled_id,) = client.private("AddOrder", **LIMIT_BUY | {"ordertype": "market"})["txid"]
    client.pass_s(1.9)

    assert client.private("OpenOrders")["open"] == client.private("ClosedOrders")["closed"] == {}
    assert client.refusal("QueryOrders", txid=order_id) == "EOrder:Invalid order"
    assert client.private("TradesHistory")["count"] == 0
    assert {row["type"] for row in client.private("Ledgers")["ledger"].values()} == {"deposit"}
    client.pass_s(0.1)
    assert list(client.private("OpenOrders")["open"]) == [order_id]
    assert list(client.private("ClosedOrders")["closed"]) == [filled_id]
    assert client.private("TradesHistory")["count"] == 1

    client.private("CancelOrder", txid=order_id)
    assert client.private("OpenOrders")["open"] == {}
    assert order_id not in client.private("ClosedOrders")["closed"]
    client.pass_s(2)
    assert order_id in client.private("ClosedOrders")["closed"]


# --- history --------------------------------------------------------------------------------------------------------


def test_closed_orders_come_fifty_at_a_time_newest_first(client: Client) -> None:
    placed = []
    for _ in range(60):
        client.pass_s(1)
        placed.append(client.private("AddOrder", **LIMIT_BUY)["txid"][0])
        client.private("CancelOrder", txid=placed[-1])
    first, second = client.private("ClosedOrders"), client.private("ClosedOrders", ofs="50")

    assert first["count"] == second["count"] == 60
    assert list(first["closed"]) == placed[::-1][:50]
    assert list(second["closed"]) == placed[::-1][50:]
    assert "count" not in client.private("ClosedOrders", without_count="1")
    assert client.refusal("ClosedOrders", ofs="-1") == "EGeneral:Invalid arguments:ofs"


def test_start_is_exclusive_and_end_inclusive(client: Client) -> None:
    placed = []
    for _ in range(4):
        client.pass_s(1)
        placed.append(client.private("AddOrder", **LIMIT_BUY)["txid"][0])
        client.private("CancelOrder", txid=placed[-1])

    def found(**bounds: str) -> list[str]:
        return list(client.private("ClosedOrders", **bounds)["closed"])

    assert found(start=str(START_S + 2), end=str(START_S + 3)) == [placed[2]]
    assert found(start=placed[1]) == [placed[3], placed[2]]
    assert found(start=f"{START_S + 3}.999999999", closetime="open") == [placed[3]]
    assert found(end=str(START_S)) == []
    assert client.refusal("ClosedOrders", start="yesterday") == "EGeneral:Invalid arguments:start"
    assert client.refusal("ClosedOrders", closetime="never") == "EGeneral:Invalid arguments:closetime"


def test_open_and_closed_orders_are_found_by_client_id(client: Client) -> None:
    (txid,) = client.private("AddOrder", **LIMIT_BUY, cl_ord_id="mine")["txid"]
    client.private("AddOrder", **LIMIT_BUY, userref="42")
    assert list(client.private("OpenOrders", cl_ord_id="mine")["open"]) == [txid]
    assert len(client.private("OpenOrders", userref="42")["open"]) == 1

    client.private("CancelOrder", txid=txid)
    assert list(client.private("ClosedOrders", cl_ord_id="mine")["closed"]) == [txid]
    assert client.private("ClosedOrders", cl_ord_id="other")["closed"] == {}


def test_trades_and_ledgers_come_in_pages_too(client: Client) -> None:
    for _ in range(55):
        client.pass_s(1)
        client.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.0001")
    trades = client.private("TradesHistory")

    assert (trades["count"], len(trades["trades"])) == (55, 50)
    assert len(client.private("TradesHistory", ofs="50")["trades"]) == 5
    assert len(client.private("TradesHistory", limit="1000")["trades"]) == 55
    assert client.private("TradesHistory", pair="XETHZUSD")["count"] == 0
    assert client.private("TradesHistory", start=str(START_S + 54))["count"] == 1
    assert (client.private("Ledgers")["count"], len(client.private("Ledgers")["ledger"])) == (112, 50)
    assert client.private("Ledgers", asset="XXBT")["count"] == 56
    assert client.private("Ledgers", type="deposit")["count"] == 2


def test_the_ledger_explains_every_balance(client: Client) -> None:
    for side in ("buy", "sell", "buy"):
        client.private("AddOrder", pair="XBTUSD", type=side, ordertype="market", volume="0.01234567")
    sums: dict[str, D] = {}
    for row in client.private("Ledgers")["ledger"].values():
        sums[row["asset"]] = sums.get(row["asset"], D(0)) + D(row["amount"]) - D(row["fee"])

    assert sums == {asset: D(text) for asset, text in client.private("Balance").items()}


@pytest.mark.parametrize("method", ["QueryOrders", "QueryTrades"])
def test_queries_name_at_least_one_id_and_not_too_many(client: Client, method: str) -> None:
    assert client.refusal(method, txid="") == "EGeneral:Invalid arguments:txid"
    assert client.refusal(method, txid=",".join(["OAAAAA-BBBBB-CCCCCC"] * 51)) == "EGeneral:Invalid arguments:txid"


def test_rates_are_percent_strings_and_fall_with_volume(client: Client) -> None:
    without_pair = client.private("TradeVolume")
    assert (without_pair["volume"], without_pair["fees"], without_pair["fees_maker"]) == ("0.0000", None, None)
    assert without_pair["inputs"]["domain_spot_volume_30d"] == "0.0000"
    for _ in range(2):
        client.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.1")
        client.private("AddOrder", pair="XBTUSD", type="sell", ordertype="market", volume="0.1")

    answer = client.private("TradeVolume", pair="XBTUSD,ETH/USD")
    assert set(answer["fees"]) == set(answer["fees_maker"]) == {"XXBTZUSD", "ETH/USD"}
    assert D(answer["volume"]) == client.desk.exchange.volume_30d("main") > 10_000
    assert answer["fees"]["XXBTZUSD"] == {
        "fee": "0.3500",
        "minfee": "0.0500",
        "maxfee": "0.4000",
        "nextfee": "0.2400",
        "tiervolume": "10000.0000",
        "nextvolume": "50000.0000",
    }
    assert answer["fees_maker"]["XXBTZUSD"]["fee"] == "0.2000"


def test_the_trade_balance_values_coins_at_the_last_price(client: Client) -> None:
    client.sell_to_bids("59990.0", "0.1")
    answer = client.private("TradeBalance")

    assert (answer["eb"], answer["tb"]) == ("69990.0000", "69390.1000")
    assert answer["e"] == answer["mf"] == answer["tb"]
    assert client.refusal("TradeBalance", asset="ZEUR") == "EQuery:Unknown asset"


# --- anything at all ------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["XBTUSD", "buy", "limit", "market", "0.01", "59000.0", "true", "1", "-1", "all", "post", "ö"])
FIELDS = st.sampled_from(
    [
        "pair",
        "type",
        "ordertype",
        "volume",
        "price",
        "oflags",
        "timeinforce",
        "userref",
        "cl_ord_id",
        "deadline",
        "validate",
        "txid",
        "id",
        "asset",
        "start",
        "end",
        "ofs",
        "count",
        "since",
        "interval",
        "info",
        "closetime",
        "limit",
        "timeout",
        "trades",
        "aclass",
        "leverage",
    ]
)
VALUES = WORDS | st.text(max_size=30) | st.decimals(allow_nan=True).map(str) | st.integers().map(str)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    method=st.sampled_from([*PUBLIC, *sorted(PRIVATE_METHODS)]),
    form=st.dictionaries(FIELDS, VALUES, max_size=8).filter(
        lambda form: all(c < "\ud800" or c > "\udfff" for c in str(form))
    ),
)
def test_every_request_has_an_answer_of_krakens_shape(method: str, form: dict[str, str]) -> None:
    client = make_client()
    answer = json.loads(client.rest.public(method, form) if method in PUBLIC else client.answer(method, form))

    assert answer["error"] == [] or answer["error"][0].startswith(("EGeneral:", "EQuery:", "EOrder:", "EService:"))
    assert ("result" in answer) == (answer["error"] == [])


@settings(max_examples=200, deadline=None)
@given(
    fields=st.dictionaries(
        st.text(max_size=8) | FIELDS,
        st.recursive(VALUES | st.none() | st.booleans() | st.floats(), st.lists),
        max_size=6,
    )
)
def test_every_json_body_has_an_answer_too(fields: dict[str, Any]) -> None:
    client = make_client()
    body = json.dumps(fields).encode()
    headers = {"API-Key": "key", "API-Sign": "x", "Content-Type": "application/json"}

    assert json.loads(client.rest.private("/0/private/AddOrder", headers, body))["error"]
