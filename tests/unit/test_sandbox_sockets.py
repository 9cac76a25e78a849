"""One WebSocket v2 session of the sandbox, without a socket: requests go in, frames come out."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim.desk import Desk
from aether.sim.exchange import Exchange
from aether.sim.keys import ApiKey, KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.recorded import pair_rules
from aether.sim.ws_account import AccountHub
from aether.sim.ws_api import HEARTBEAT, Door, Session
from aether.sim.ws_market import MarketHub

D = Decimal

START_S = 1_790_000_000
PAIR = "BTC/USD"


@dataclass
class HandClock:
    now_ns: int = START_S * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@dataclass
class Nobody:
    exchange: Exchange

    def advance(self, now_ns: int) -> None:
        self.exchange.advance(now_ns)


@dataclass
class Wire:
    """One client's session, and the frames it was sent."""

    session: Session
    texts: list[str]
    read: int = 0

    def ask(self, method: str, req_id: int | None = None, **params: Any) -> list[Any]:
        request: dict[str, Any] = {"method": method} | ({"params": params} if params else {})
        return self.say(json.dumps(request | ({} if req_id is None else {"req_id": req_id})))

    def say(self, text: str | bytes) -> list[Any]:
        self.session.hear(text)
        return self.new()

    def new(self) -> list[Any]:
        """Frames since the last look, numbers as decimals."""
        fresh, self.read = self.texts[self.read :], len(self.texts)
        return [json.loads(text, parse_float=D) for text in fresh]


@dataclass
class House:
    """A quiet exchange with one account, and doors to it."""

    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        now_ns = self.clock.now_ns
        self.exchange = Exchange(pair_rules(), seed=1)
        self.exchange.open_account("main", {"USD": D("10000.0000"), "BTC": D(1)}, now_ns)
        for step in range(12):
            self.exchange.set_level(PAIR, "bid", D(59990 - step), D(step + 1), now_ns)
            self.exchange.set_level(PAIR, "ask", D(60010 + step), D(step + 1), now_ns)
        board = MarketBoard(lambda pair, interval_s, now_ns: [], self.exchange.pairs, now_ns)
        drawn = count(1)
        self.key = ApiKey("key", "c2VjcmV0", "main")
        keys = KeyRing(self.key, lambda: f"token-{next(drawn)}")
        self.desk = Desk(self.exchange, Nobody(self.exchange), board, keys, self.clock)
        self.market, self.accounts = MarketHub(self.desk), AccountHub(self.desk)
        self.desk.settle()

    def connect(self, door: Door) -> Wire:
        texts: list[str] = []
        session = Session(self.desk, self.market, self.accounts, door=door, connection_id=2**63 + 1, send=texts.append)
        session.open()
        wire = Wire(session, texts)
        assert wire.new()[0]["channel"] == "status"
        return wire

    def token(self) -> str:
        return self.desk.keys.issue_token(self.key, self.clock.now_ns)

    def sell_to_bids(self, price: str, qty: str) -> None:
        self.exchange.crowd_trade(PAIR, "sell", D(price), D(qty), self.clock.now_ns)
        self.desk.settle()

    def set_level(self, side: Any, price: str, qty: str) -> None:
        self.exchange.set_level(PAIR, side, D(price), D(qty), self.clock.now_ns)
        self.desk.settle()


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def public(house: House) -> Wire:
    return house.connect("public")


@pytest.fixture
def private(house: House) -> Wire:
    return house.connect("private")


def error(frames: list[Any]) -> str:
    (frame,) = frames
    assert frame["success"] is False
    assert {"time_in", "time_out"} <= set(frame)
    assert "result" not in frame
    return str(frame["error"])


# --- admin ----------------------------------------------------------------------------------------------------------


def test_the_status_comes_by_itself_with_its_large_connection_id(house: House) -> None:
    texts: list[str] = []
    Session(house.desk, house.market, house.accounts, door="public", connection_id=2**63 + 1, send=texts.append).open()

    assert json.loads(texts[0]) == {
        "channel": "status",
        "type": "update",
        "data": [
            {
                "version": "2.0.10",
                "system": "online",
                "api_version": "v2",
                "connection_id": 2**63 + 1,
                "upcoming_maintenance": [],
                "emergency": [],
            }
        ],
    }


def test_heartbeats_begin_with_the_first_subscription(public: Wire) -> None:
    public.session.beat()
    assert public.new() == []

    public.ask("subscribe", channel="trade", symbol=[PAIR])
    public.session.beat()
    assert public.texts[-1] == HEARTBEAT


def test_a_ping_has_its_pong(public: Wire) -> None:
    (pong,) = public.ask("ping", req_id=7)
    assert pong == {
        "method": "pong",
        "req_id": 7,
        "time_in": "2026-09-21T14:13:20.000000Z",
        "time_out": "2026-09-21T14:13:20.000000Z",
    }
    assert error(public.ask("ping", req_id=7, more=1)) == "Unsupported field: 'params' for the given msg type: ping"


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"ping"', "null", "[" * 50_000, b"\xff", '{"method":NaN}'])
def test_what_is_no_request_is_malformed(public: Wire, text: str | bytes) -> None:
    assert error(public.say(text)) == "Malformed request"


@pytest.mark.parametrize(
    ("request_text", "text"),
    [
        ('{"method":"move_order","params":{}}', "Unsupported event"),
        ('{"method":7}', "Unsupported event"),
        ("{}", "Unsupported event"),
        ('{"method":"ping","req_id":"7"}', "Req_id field must be a number_integer"),
        ('{"method":"ping","req_id":1.5}', "Req_id field must be a number_integer"),
        ('{"method":"ping","req_id":true}', "Req_id field must be a number_integer"),
        ('{"method":"subscribe","params":[]}', "Params field must be an object"),
        ('{"method":"subscribe","channel":"trade"}', "Unsupported field: 'channel' for the given msg type: subscribe"),
    ],
)
def test_requests_of_another_shape_are_refused_by_name(public: Wire, request_text: str, text: str) -> None:
    assert error(public.say(request_text)) == text


# --- subscriptions --------------------------------------------------------------------------------------------------


def test_each_symbol_has_its_own_acknowledgement_with_the_same_request_id(public: Wire) -> None:
    frames = public.ask("subscribe", 3, channel="trade", symbol=[PAIR, "XBT/USD", "ETH/USD"], snapshot=False)

    assert [frame["req_id"] for frame in frames] == [3, 3, 3]
    assert frames[0]["result"] == {"channel": "trade", "symbol": PAIR, "snapshot": False}
    assert frames[1]["error"] == "Currency pair not supported XBT/USD"
    assert (frames[1]["symbol"], frames[1]["success"]) == ("XBT/USD", False)
    assert frames[2]["success"] is True


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"channel": "nonsense"}, "Subscription name invalid"),
        ({"symbol": [PAIR]}, "Subscription name invalid"),
        ({"channel": "status"}, "Symbol(s) not found"),
        ({"channel": "book"}, "Symbol(s) not found"),
        ({"channel": "book", "symbol": []}, "Symbol(s) not found"),
        ({"channel": "ohlc", "symbol": [""]}, "Currency pair not supported "),
        ({"channel": "book", "symbol": PAIR}, "Symbol field must be an array"),
        ({"channel": "book", "symbol": [7]}, "Symbol field must be an array of strings"),
        ({"channel": "book", "symbol": [PAIR], "depth": 11}, "Subscription depth not supported"),
        ({"channel": "book", "symbol": [PAIR], "depth": "10"}, "Depth field must be a number_integer"),
        ({"channel": "ohlc", "symbol": [PAIR], "interval": 2}, "Subscription ohlc interval not supported"),
        ({"channel": "ticker", "symbol": [PAIR], "event_trigger": "x"}, "EGeneral:Invalid arguments:event_trigger"),
        (
            {"channel": "instrument", "execution_venue": "bitnomial-exchange"},
            "EGeneral:Invalid arguments:execution_venue",
        ),
        ({"channel": "trade", "symbol": [PAIR], "snapshot": 1}, "Snapshot field must be a boolean"),
        ({"channel": "trade", "symbol": [PAIR], "x": 1}, "Unsupported field: 'x' for the given msg type: subscribe"),
        (
            {"channel": "executions", "token": "t"},
            "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",
        ),
    ],
)
def test_public_subscriptions_are_refused_in_krakens_words(public: Wire, params: dict[str, Any], text: str) -> None:
    assert error(public.ask("subscribe", **params)) == text


def test_public_channels_are_not_on_the_private_socket(private: Wire) -> None:
    text = "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"

    assert error(private.ask("subscribe", channel="book", symbol=[PAIR])) == text


def test_trading_is_not_on_the_public_socket(public: Wire) -> None:
    text = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"

    assert error(public.ask("cancel_all", token="t")) == text


def test_subscribing_twice_is_refused_and_unsubscribing_ends_the_frames(house: House, public: Wire) -> None:
    public.ask("subscribe", channel="book", symbol=[PAIR], depth=25)
    assert error(public.ask("subscribe", channel="book", symbol=[PAIR], depth=25)) == "Already subscribed"
    assert error(public.ask("unsubscribe", channel="book", symbol=[PAIR])) == "Subscription Not Found"

    (frame,) = public.ask("unsubscribe", 4, channel="book", symbol=[PAIR], depth=25)
    assert frame["result"] == {"channel": "book", "depth": 25, "symbol": PAIR}
    house.set_level("bid", "59991.0", "1")
    assert public.new() == []


def test_a_closed_session_hears_nothing_more(house: House, public: Wire, private: Wire) -> None:
    public.ask("subscribe", channel="trade", symbol=[PAIR])
    private.ask("subscribe", channel="executions", token=house.token())
    public.session.close()
    private.session.close()
    (public.new(), private.new())
    house.sell_to_bids("59990.0", "0.1")

    assert public.new() == private.new() == []


# --- the book -------------------------------------------------------------------------------------------------------


@dataclass
class Copy:
    """A client's copy of a book, kept by the documents' rules alone. Levels are the texts that were sent."""

    depth: int
    bids: dict[D, tuple[str, str]] = field(default_factory=dict)
    asks: dict[D, tuple[str, str]] = field(default_factory=dict)

    def take(self, text: str) -> None:
        frame = json.loads(text, parse_float=str, parse_int=str)
        (data,) = frame["data"]
        if frame["type"] == "snapshot":
            self.bids, self.asks = {}, {}
        for side, levels in ((self.bids, data["bids"]), (self.asks, data["asks"])):
            for level in levels:
                side.pop(D(level["price"]), None)
                if D(level["qty"]):
                    side[D(level["price"])] = (level["price"], level["qty"])
        self.bids = {price: self.bids[price] for price in sorted(self.bids, reverse=True)[: self.depth]}
        self.asks = {price: self.asks[price] for price in sorted(self.asks)[: self.depth]}
        assert self.checksum() == int(data["checksum"]), f"checksum of {text[:200]}"

    def checksum(self) -> int:
        rows = [*list(self.asks.values())[:10], *list(self.bids.values())[:10]]
        return zlib.crc32("".join(word.replace(".", "").lstrip("0") for row in rows for word in row).encode())

    def levels(self) -> tuple[list[tuple[D, D]], list[tuple[D, D]]]:
        bids, asks = ([(price, D(qty)) for price, (_, qty) in side.items()] for side in (self.bids, self.asks))
        return bids, asks


def test_the_book_snapshot_has_its_depth_best_first_and_all_digits(public: Wire) -> None:
    _, snapshot = public.ask("subscribe", channel="book", symbol=[PAIR], depth=10)

    assert '{"price":59990.0,"qty":1.00000000}' in public.texts[-1]
    (data,) = snapshot["data"]
    assert [level["price"] for level in data["bids"]] == [D(59990 - step) for step in range(10)]
    assert [level["price"] for level in data["asks"]] == [D(60010 + step) for step in range(10)]
    assert data["timestamp"] == "2026-09-21T14:13:20.000000Z"


def test_a_level_pushed_out_of_sight_gets_no_message_and_comes_back_with_one(house: House, public: Wire) -> None:
    public.ask("subscribe", channel="book", symbol=[PAIR], depth=10)
    house.set_level("bid", "59990.5", "1")
    (frame,) = public.new()
    assert frame["data"][0]["bids"] == [{"price": D("59990.5"), "qty": D(1)}]

    house.set_level("bid", "59990.5", "0")
    (frame,) = public.new()
    assert frame["data"][0]["bids"] == [{"price": D("59990.5"), "qty": D(0)}, {"price": D(59981), "qty": D(10)}]


def test_a_change_out_of_sight_sends_nothing(house: House, public: Wire) -> None:
    public.ask("subscribe", channel="book", symbol=[PAIR], depth=10)
    public.new()
    house.set_level("bid", "59979.0", "7")

    assert public.new() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["bid", "ask", "take"]), st.integers(0, 25), st.integers(0, 3)), max_size=25))
def test_every_depth_can_be_rebuilt_from_its_frames(moves: list[tuple[str, int, int]]) -> None:
    house, depths = House(), (10, 25, 1000)
    wires = [house.connect("public") for _ in depths]
    for wire, depth in zip(wires, depths, strict=True):
        wire.ask("subscribe", channel="book", symbol=[PAIR], depth=depth)
    for side, step, qty in moves:
        if side == "take":
            house.exchange.crowd_trade(PAIR, "buy", D(60000 + step), D(qty + 1), house.clock.now_ns)
        else:
            price = D(59999 - step) if side == "bid" else D(60001 + step)
            house.exchange.set_level(PAIR, side, price, D(qty) / 8, house.clock.now_ns)  # type: ignore[arg-type]
        house.desk.settle()
    for wire, depth in zip(wires, depths, strict=True):
        copy = Copy(depth)
        for text in wire.texts:
            if text.startswith('{"channel":"book"'):
                copy.take(text)
        book = house.exchange.book(PAIR, depth)
        assert copy.levels() == (list(book.bids), list(book.asks))


# --- trades, candles, ticker, instruments -----------------------------------------------------------------------------


def test_trades_run_without_gaps_from_snapshot_to_update(house: House, public: Wire) -> None:
    house.sell_to_bids("59990.0", "0.1")
    _, snapshot = public.ask("subscribe", channel="trade", symbol=[PAIR], snapshot=True)
    house.sell_to_bids("59990.0", "0.25")
    (update,) = public.new()

    assert [row["trade_id"] for row in snapshot["data"]] == [1]
    assert update["data"] == [
        {
            "symbol": PAIR,
            "side": "sell",
            "price": D("59990.0"),
            "qty": D("0.25000000"),
            "ord_type": "limit",
            "trade_id": 2,
            "timestamp": "2026-09-21T14:13:20.000000Z",
        }
    ]


def test_trades_have_no_snapshot_unless_asked_for(public: Wire) -> None:
    (acknowledgement,) = public.ask("subscribe", channel="trade", symbol=[PAIR])

    assert acknowledgement["result"]["snapshot"] is False


def test_candles_come_with_trades_only_and_bear_the_end_of_their_interval(house: House, public: Wire) -> None:
    house.sell_to_bids("59990.0", "0.1")
    _, snapshot = public.ask("subscribe", channel="ohlc", symbol=[PAIR], interval=5)
    house.clock.now_ns += NANOS_PER_S
    house.set_level("bid", "59985.5", "1")
    assert public.new() == []

    house.sell_to_bids("59980.0", "0.1")
    (update,) = public.new()
    assert len(snapshot["data"]) == 1
    assert update["data"] == [
        {
            "symbol": PAIR,
            "open": D("59990.0"),
            "high": D("59990.0"),
            "low": D("59980.0"),
            "close": D("59980.0"),
            "trades": 2,
            "volume": D("0.20000000"),
            "vwap": D("59985.0"),
            "interval_begin": "2026-09-21T14:10:00.000000000Z",
            "interval": 5,
            "timestamp": "2026-09-21T14:15:00.000000Z",
        }
    ]


def test_the_ticker_follows_trades_or_best_prices_as_asked(house: House, public: Wire) -> None:
    by_best = house.connect("public")
    public.ask("subscribe", channel="ticker", symbol=[PAIR])
    _, first = by_best.ask("subscribe", channel="ticker", symbol=[PAIR], event_trigger="bbo")
    assert (first["data"][0]["bid"], first["data"][0]["ask_qty"]) == (D(59990), D(1))

    house.set_level("bid", "59995.0", "0.5")
    assert public.new() == []
    (update,) = by_best.new()
    assert (update["data"][0]["bid"], update["data"][0]["bid_qty"]) == (D(59995), D("0.5"))

    house.sell_to_bids("59995.0", "0.1")
    (update,) = public.new()
    assert (update["type"], update["data"][0]["last"], update["data"][0]["trades"]) == ("update", D(59995), 1)


def test_instruments_are_an_object_and_updates_carry_the_changed_pair(house: House, public: Wire) -> None:
    _, snapshot = public.ask("subscribe", channel="instrument")
    assert {asset["id"] for asset in snapshot["data"]["assets"]} == {"BTC", "ETH", "USD"}
    pair = snapshot["data"]["pairs"][0]
    assert (pair["symbol"], pair["status"], pair["qty_min"]) == (PAIR, "online", D("0.00005"))
    assert (pair["price_increment"], pair["qty_increment"], pair["cost_min"]) == (D("0.1"), D("0.00000001"), D("0.5"))

    house.exchange.set_pair_status(PAIR, "cancel_only")
    house.desk.settle()
    (update,) = public.new()
    assert update["type"] == "update"
    assert [(row["symbol"], row["status"]) for row in update["data"]["pairs"]] == [(PAIR, "cancel_only")]


# --- the account ------------------------------------------------------------------------------------------------------


def subscribe(house: House, private: Wire, channel: str, **params: Any) -> str:
    token = house.token()
    assert private.ask("subscribe", channel=channel, token=token, **params)[0]["success"] is True
    return token


def test_private_subscriptions_need_a_good_token(private: Wire) -> None:
    assert error(private.ask("subscribe", channel="executions")) == "Token(s) not found"
    (refused,) = private.ask("subscribe", channel="executions", token="stale")
    assert (refused["error"], refused["status"], refused["channel"]) == (
        "ESession:Invalid session",
        "error",
        "executions",
    )


def test_a_token_grows_old_unless_a_subscription_keeps_it(house: House, private: Wire) -> None:
    kept, unused = subscribe(house, private, "balances"), house.token()
    house.clock.now_ns += 900 * NANOS_PER_S

    assert private.ask("cancel_all", token=kept)[0]["success"] is True
    assert error(private.ask("cancel_all", token=unused)) == "EAPI:Invalid token"
    assert error(house.connect("private").ask("cancel_all", token=kept)) == "EAPI:Invalid token"
    private.ask("unsubscribe", channel="balances", token=kept)
    assert error(private.ask("cancel_all", token=kept)) == "EAPI:Invalid token"


LIMIT_BUY: dict[str, Any] = {
    "order_type": "limit",
    "side": "buy",
    "symbol": PAIR,
    "order_qty": 0.01,
    "limit_price": 59000.5,
}


def test_an_order_rests_fills_in_part_and_is_cancelled_as_deltas(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions", snap_trades=True)
    frames = private.ask("add_order", 5, **LIMIT_BUY, post_only=True, cl_ord_id="mine", token=token)
    (answer,) = [frame for frame in frames if frame.get("method") == "add_order"]
    order_id = answer["result"]["order_id"]
    assert answer["result"] == {"order_id": order_id, "cl_ord_id": "mine"}
    assert (answer["req_id"], answer["success"]) == (5, True)

    pending, new = (frame["data"][0] for frame in frames if frame.get("channel") == "executions")
    assert pending == {
        "order_id": order_id,
        "symbol": PAIR,
        "order_qty": D("0.01"),
        "cum_cost": D(0),
        "time_in_force": "GTC",
        "exec_type": "pending_new",
        "side": "buy",
        "order_type": "limit",
        "order_userref": 0,
        "limit_price_type": "static",
        "limit_price": D("59000.5"),
        "stop_price": D(0),
        "post_only": True,
        "order_status": "pending_new",
        "fee_usd_equiv": D(0),
        "fee_ccy_pref": "fciq",
        "timestamp": "2026-09-21T14:13:20.000000Z",
        "cl_ord_id": "mine",
    }
    assert new == {
        "timestamp": "2026-09-21T14:13:20.000000Z",
        "order_status": "new",
        "exec_type": "new",
        "order_userref": 0,
        "post_only": True,
        "order_id": order_id,
        "cl_ord_id": "mine",
    }

    house.set_level("bid", "59000.5", "0")
    house.exchange.crowd_trade(PAIR, "sell", D("59000.5"), D("0.004"), house.clock.now_ns)
    house.desk.settle()
    (trade,) = (frame["data"][0] for frame in private.new())
    assert (trade["exec_type"], trade["order_status"], trade["symbol"]) == ("trade", "partially_filled", PAIR)
    assert (trade["last_qty"], trade["last_price"], trade["cost"]) == (D("0.004"), D("59000.5"), D("236.002"))
    assert (trade["liquidity_ind"], trade["fees"]) == ("m", [{"asset": "USD", "qty": D("0.59001")}])
    assert (trade["cum_qty"], trade["cum_cost"], trade["avg_price"]) == (D("0.004"), D("236.002"), D("59000.5"))

    frames = private.ask("cancel_order", 6, cl_ord_id=["mine"], token=token)
    (canceled,) = (frame["data"][0] for frame in frames if frame.get("channel") == "executions")
    assert (canceled["exec_type"], canceled["reason"]) == ("canceled", "User requested")
    assert (canceled["cum_qty"], "symbol" in canceled) == (D("0.004"), False)


def test_completion_is_an_event_of_its_own_after_the_last_trade(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions")
    private.new()
    private.ask("add_order", **LIMIT_BUY | {"limit_price": 60020, "order_qty": 1.5e-1}, token=token)
    private.ask("add_order", order_type="market", side="sell", symbol=PAIR, order_qty=0.5, token=token)
    frames = [json.loads(text, parse_float=D) for text in private.texts]
    rows = [frame["data"][0] for frame in frames if frame.get("channel") == "executions" and frame["data"]]
    kinds = [(row["exec_type"], row["order_status"]) for row in rows]

    taken = [("pending_new", "pending_new"), ("new", "new"), ("trade", "partially_filled"), ("filled", "filled")]
    assert kinds == taken * 2
    assert rows[-1]["cum_qty"] == D("0.5")
    assert "symbol" not in rows[-1]


def test_sequences_count_from_one_without_gaps_for_each_channel(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions", snap_trades=True)
    private.ask("subscribe", channel="balances", token=token)
    private.ask("add_order", order_type="market", side="buy", symbol=PAIR, order_qty=0.1, token=token)
    frames = [json.loads(text) for text in private.texts]

    for channel, length in (("executions", 6), ("balances", 3)):
        assert [frame["sequence"] for frame in frames if frame.get("channel") == channel] == list(range(1, length + 1))


def test_a_new_subscription_begins_with_what_is_open_and_was_filled(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions")
    private.ask("add_order", **LIMIT_BUY, order_userref=7, token=token)
    private.ask("add_order", order_type="market", side="buy", symbol=PAIR, order_qty=0.1, token=token)
    again = house.connect("private")
    _, orders, trades = again.ask("subscribe", channel="executions", token=token, snap_orders=True, snap_trades=True)

    assert (orders["type"], orders["sequence"], trades["sequence"]) == ("snapshot", 1, 2)
    (order,) = orders["data"]
    assert (order["exec_type"], order["order_status"], order["limit_price"]) == ("new", "new", D("59000.5"))
    assert (order["cum_qty"], order["order_userref"]) == (D(0), 7)
    (trade,) = trades["data"]
    assert (trade["exec_type"], trade["order_status"], trade["last_qty"]) == ("trade", "filled", D("0.1"))
    assert "cum_qty" not in trade
    assert again.ask("unsubscribe", channel="executions", token=token)[0]["result"] == {"channel": "executions"}


def test_an_empty_account_still_begins_with_a_snapshot(house: House, private: Wire) -> None:
    acknowledged, snapshot = private.ask("subscribe", channel="executions", token=house.token(), ratecounter=True)

    assert acknowledged["result"]["snap_orders"] is True
    assert (snapshot["type"], snapshot["data"], snapshot["sequence"]) == ("snapshot", [], 1)


def test_without_order_status_the_pending_record_is_left_out(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions", order_status=False)
    private.new()
    frames = private.ask("add_order", **LIMIT_BUY, token=token)

    assert [frame["data"][0]["exec_type"] for frame in frames if "data" in frame] == ["new"]


def test_balances_are_totals_and_each_ledger_row_moves_one(house: House, private: Wire) -> None:
    token = subscribe(house, private, "balances")
    snapshot = json.loads(private.texts[-1], parse_float=D)
    totals = {row["asset"]: row["balance"] for row in snapshot["data"]}
    assert totals == {"USD": D(10000), "BTC": D(1)}
    assert snapshot["data"][0]["wallets"] == [{"type": "spot", "id": "main", "balance": D(10000)}]

    private.new()
    frames = private.ask("add_order", order_type="market", side="buy", symbol=PAIR, order_qty=0.1, token=token)
    rows = [frame["data"][0] for frame in frames if frame.get("channel") == "balances"]
    for row in rows:
        totals[row["asset"]] += row["amount"] - row["fee"]
        assert row["balance"] == totals[row["asset"]]
    assert {row["type"] for row in rows} == {"trade"}
    assert len({row["ref_id"] for row in rows}) == 1
    assert totals == {asset: total for asset, (total, _) in house.exchange.balances("main").items()}


# --- trading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"symbol": "XBT/USD"}, "Currency pair not supported XBT/USD"),
        ({"limit_price": "59000.5"}, "Limit_price field must be a number_float"),
        ({"order_qty": "0.01"}, "Order_qty field must be a number_float"),
        ({"order_qty": True}, "Order_qty field must be a number_float"),
        ({"side": 1}, "Side field must be a string"),
        ({"post_only": "yes"}, "Post_only field must be a boolean"),
        ({"order_userref": 1.5}, "Order_userref field must be a number_integer"),
        ({"leverage": 2}, "Unsupported field: 'leverage' for the given msg type: add_order"),
        ({"margin": True}, "EGeneral:Invalid arguments:margin"),
        (
            {"no_mpp": True},
            "EGeneral:Invalid arguments:no_mpp order option is only available when ordertype = market",
        ),
        ({"reduce_only": True}, "EGeneral:Invalid arguments:reduce_only"),
        ({"conditional": {"order_type": "limit"}}, "EGeneral:Invalid arguments:conditional"),
        ({"sender_sub_id": "desk-1"}, "EGeneral:Invalid arguments:sender_sub_id"),
        ({"fee_preference": "both"}, "EGeneral:Invalid arguments:fee_preference"),
        ({"time_in_force": "day"}, "EGeneral:Invalid arguments:time_in_force"),
        ({"time_in_force": "gtd"}, "EGeneral:Invalid arguments:expiretm"),
        ({"expire_time": "soon"}, "EGeneral:Invalid arguments:expire_time"),
        ({"stp_type": "cancel-newest"}, "EGeneral:Invalid arguments:stp_type"),
        ({"order_type": "settle-position"}, "EGeneral:Invalid arguments:order_type"),
        ({"order_type": "iceberg"}, "EGeneral:Invalid arguments:displayvol"),
        ({"order_type": "stop-loss"}, "EGeneral:Invalid arguments:limit_price"),
        ({"order_type": "stop-loss-limit"}, "EGeneral:Invalid arguments:triggers"),
        ({"triggers": {"price": 1}}, "EGeneral:Invalid arguments:triggers"),
        ({"triggers": 5}, "Triggers field must be an object"),
        ({"triggers": {"price": "1"}}, "Price field must be a number_float"),
        ({"triggers": {"cost": 1}}, "Unsupported field: 'cost' for the given msg type: add_order"),
        ({"order_qty": 0}, "EGeneral:Invalid arguments:order_qty"),
        ({"order_qty": 1e300}, "EGeneral:Invalid arguments:order_qty"),
        ({"limit_price": -5}, "EGeneral:Invalid arguments:limit_price"),
        ({"limit_price": 59000.55}, "EOrder:Tick size check failed"),
        ({"order_qty": 1}, "EOrder:Insufficient funds"),
        ({"deadline": "2026-09-21T14:13:19Z"}, "EService:Deadline elapsed"),
        ({"deadline": "2026-09-21T14:13:20.499Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-09-21T14:14:20.001Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2026-W39-1T14:13:25Z"}, "EGeneral:Invalid arguments:deadline"),
        ({"token": "stale"}, "EAPI:Invalid token"),
        ({"token": ""}, "Token(s) not found"),
    ],
)
def test_orders_are_refused_in_krakens_words(house: House, private: Wire, changed: dict[str, Any], text: str) -> None:
    params = {"token": house.token(), **LIMIT_BUY, **changed}

    assert error(private.ask("add_order", 9, **params)) == text
    assert house.exchange.open_orders("main") == []


@pytest.mark.parametrize("deadline", ["2026-09-21T14:13:20.500Z", "2026-09-21T14:14:20Z"])
def test_a_deadline_lies_between_half_a_second_and_a_minute_ahead(house: House, private: Wire, deadline: str) -> None:
    (answer,) = private.ask("add_order", **LIMIT_BUY, deadline=deadline, token=house.token())
    assert answer["success"] is True


def test_a_cancel_knows_an_order_by_every_form_of_its_long_client_id(house: House, private: Wire) -> None:
    token, plain = house.token(), "6d1b345e282140e2ad834ecb18a06876"
    private.ask("add_order", **LIMIT_BUY, cl_ord_id="6D1B345E-2821-40E2-AD83-4ECB18A06876", token=token)
    assert private.ask("cancel_order", cl_ord_id=[plain], token=token)[0]["result"] == {"cl_ord_id": plain}
    assert house.exchange.open_orders("main") == []


def test_an_exact_exponent_is_the_same_number(house: House, private: Wire) -> None:
    request = '{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":1e-2,'
    private.say(request + '"limit_price":5.90005E4,"token":"' + house.token() + '"}}')

    (order,) = house.exchange.open_orders("main")
    assert (order.qty, order.limit_price) == (D("0.01"), D("59000.5"))


def test_validate_places_nothing_and_has_an_empty_order_id(house: House, private: Wire) -> None:
    (answer,) = private.ask("add_order", **LIMIT_BUY, validate=True, cl_ord_id="mine", token=house.token())

    assert answer["result"] == {"order_id": "", "cl_ord_id": "mine"}
    assert house.exchange.open_orders("main") == []


def test_a_cancel_has_one_answer_for_each_order_named(house: House, private: Wire) -> None:
    token = house.token()
    order_id = private.ask("add_order", **LIMIT_BUY, token=token)[0]["result"]["order_id"]
    for _ in range(2):
        private.ask("add_order", **LIMIT_BUY, order_userref=42, token=token)
    frames = private.ask("cancel_order", 8, order_id=[order_id, "OAAAAA-BBBBB-CCCCCC"], token=token)

    assert [frame["req_id"] for frame in frames] == [8, 8]
    assert (frames[0]["success"], frames[0]["result"]) == (True, {"order_id": order_id})
    assert (frames[1]["success"], frames[1]["error"]) == (False, "EOrder:Unknown order")
    assert private.ask("cancel_order", order_userref=[42], token=token)[0]["result"] == {"order_userref": 42}
    assert house.exchange.open_orders("main") == []


@pytest.mark.parametrize("params", [{}, {"order_id": []}, {"order_id": ["a"], "cl_ord_id": ["b"]}, {"order_id": [7]}])
def test_a_cancel_names_orders_in_exactly_one_way(house: House, private: Wire, params: dict[str, Any]) -> None:
    assert error(private.ask("cancel_order", **params, token=house.token())) == "EGeneral:Invalid arguments:order_id"


def test_cancel_all_and_the_dead_mans_switch(house: House, private: Wire) -> None:
    token = subscribe(house, private, "executions")
    private.ask("add_order", **LIMIT_BUY, token=token)
    assert [f["result"] for f in private.ask("cancel_all", token=token) if "result" in f] == [{"count": 1}]

    private.ask("add_order", **LIMIT_BUY, token=token)
    (armed,) = private.ask("cancel_all_orders_after", timeout=5, token=token)
    assert armed["result"] == {"currentTime": "2026-09-21T14:13:20Z", "triggerTime": "2026-09-21T14:13:25Z"}
    house.clock.now_ns += 5 * NANOS_PER_S
    house.desk.settle()
    assert [frame["data"][0]["exec_type"] for frame in private.new()] == ["canceled"]
    assert error(private.ask("cancel_all_orders_after", token=token)) == "EGeneral:Invalid arguments:timeout"


# --- anything at all ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "channel",
        "symbol",
        "depth",
        "interval",
        "snapshot",
        "token",
        "order_type",
        "side",
        "order_qty",
        "limit_price",
        "deadline",
        "cl_ord_id",
        "order_id",
        "timeout",
        "validate",
        "order_userref",
        "post_only",
        "event_trigger",
        "x",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["book", "executions", PAIR, "buy", "limit", "token-1", 10, 0.01]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
METHODS = st.sampled_from(["subscribe", "unsubscribe", "ping", "add_order", "cancel_order", "cancel_all", "x"])


@settings(max_examples=300, deadline=None)
@given(
    door=st.sampled_from(["public", "private"]),
    method=METHODS | VALUES,
    params=st.dictionaries(NAMES, VALUES, max_size=7) | VALUES,
    req_id=VALUES,
)
def test_every_request_has_at_least_one_answer(door: Door, method: Any, params: Any, req_id: Any) -> None:
    house = House()
    house.token()
    wire = house.connect(door)
    wire.say(json.dumps({"method": method, "params": params, "req_id": req_id}))

    assert any("time_out" in text for text in wire.texts)


# --- limits and permissions -----------------------------------------------------------------------------------------


def test_the_trading_counter_is_shown_where_it_is_asked_for(house: House) -> None:
    watching, plain = house.connect("private"), house.connect("private")
    acks = [
        wire.ask("subscribe", channel="executions", token=house.token(), ratecounter=wire is watching)[0]
        for wire in (watching, plain)
    ]
    order: dict[str, Any] = dict(LIMIT_BUY)
    plain.ask("add_order", **order, token=house.token())

    assert [ack["result"]["maxratecount"] for ack in acks] == [180, 180]
    records = [row for frame in watching.new() if "data" in frame for row in frame["data"]]
    assert [row["ratecount"] for row in records] == [1, 1]
    assert not any("ratecount" in row for frame in plain.new() for row in frame.get("data", []))


def test_both_doors_share_the_trading_counter(house: House) -> None:
    wire = house.connect("private")
    house.desk.trading_counters.fill("main", PAIR, house.clock.now_ns)
    order: dict[str, Any] = dict(LIMIT_BUY)

    (answer,) = wire.ask("add_order", **order, token=house.token())

    assert (answer["success"], answer["error"]) == (False, "EOrder:Rate limit exceeded")


def test_a_key_opens_only_what_it_may(house: House) -> None:
    house.key.permissions = ("query-funds", "create-ws-token")
    wire = house.connect("private")

    assert wire.ask("subscribe", channel="balances", token=house.token())[0]["success"]
    refused: list[tuple[str, dict[str, Any]]] = [("subscribe", {"channel": "executions"}), ("cancel_all", {})]
    for method, params in refused:
        (answer,) = wire.ask(method, **params, token=house.token())
        assert (answer["success"], answer["error"]) == (False, "EGeneral:Permission denied")


# --- changes and batches ----------------------------------------------------------------------------------------------


def test_an_amend_is_answered_with_its_id_and_told_as_a_change(house: House, private: Wire) -> None:
    token = house.token()
    private.ask("subscribe", channel="executions", token=token)
    (answer, *_) = private.ask("add_order", token=token, **LIMIT_BUY)
    order_id = answer["result"]["order_id"]
    private.new()

    frames = private.ask("amend_order", 7, token=token, order_id=order_id, order_qty=0.02)

    acknowledged = next(frame for frame in frames if frame.get("method") == "amend_order")
    assert (acknowledged["success"], acknowledged["req_id"]) == (True, 7)
    assert set(acknowledged["result"]) == {"amend_id", "order_id"}
    (row,) = next(frame for frame in frames if frame.get("channel") == "executions")["data"]
    assert {name: row[name] for name in ("exec_type", "order_status", "amended", "reason", "order_qty")} == {
        "exec_type": "amended",
        "order_status": "new",
        "amended": True,
        "reason": "User requested",
        "order_qty": D("0.02"),
    }


def test_a_batch_is_answered_in_its_order_and_its_cancel_without_a_result(house: House, private: Wire) -> None:
    token = house.token()
    row = {name: value for name, value in LIMIT_BUY.items() if name != "symbol"}

    (added,) = private.ask("batch_add", 1, token=token, symbol=PAIR, orders=[row, row | {"order_qty": 1}])
    assert added["success"]
    assert list(added["result"][0]) == ["order_id"]
    assert added["result"][1] == {"error": "EOrder:Insufficient funds"}
    order_id = added["result"][0]["order_id"]
    (cancelled,) = private.ask("batch_cancel", 2, token=token, orders=[order_id, 77])

    assert {name for name in cancelled if not name.startswith("time_")} == {
        "method",
        "orders_cancelled",
        "req_id",
        "success",
    }
    assert cancelled["orders_cancelled"] == 1


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ([], "EGeneral:Invalid arguments:orders"),
        ([1, 2], "Orders field must be an array of objects"),
        ([{"symbol": PAIR}, {}], "Unsupported field: 'symbol' for the given msg type: batch_add"),
        ([{"triggers": 1}, {}], "Triggers field must be an object"),
    ],
)
def test_a_batch_of_another_shape_is_refused(house: House, private: Wire, orders: list[Any], text: str) -> None:
    assert error(private.ask("batch_add", token=house.token(), symbol=PAIR, orders=orders)) == text


def test_level_3_is_sent_to_its_own_host(house: House) -> None:
    for door in ("public", "private"):
        (answer,) = house.connect(door).ask("subscribe", channel="level3", symbol=[PAIR], token=house.token())
        assert "ws-l3.kraken.com" in answer["error"]


def test_all_users_come_without_a_snapshot_and_single_ones_are_refused(house: House) -> None:
    wire = house.connect("private")
    (refused,) = wire.ask("subscribe", channel="executions", token=house.token(), users="me")
    assert refused["error"] == "EGeneral:Invalid arguments:users"

    (ack,) = wire.ask("subscribe", channel="executions", token=house.token(), users="all")
    assert ack["result"]["users"] == "all"


def test_a_connection_is_idle_until_it_speaks_or_subscribes(house: House) -> None:
    wire = house.connect("public")
    house.clock.now_ns += 60 * NANOS_PER_S
    assert wire.session.idle_ns() == 60 * NANOS_PER_S

    wire.ask("ping")
    assert wire.session.idle_ns() == 0
    house.clock.now_ns += 60 * NANOS_PER_S
    wire.ask("subscribe", channel="ticker", symbol=[PAIR])
    house.clock.now_ns += 600 * NANOS_PER_S
    assert wire.session.idle_ns() == 0
