"""One WebSocket v2 connection: requests in, frames out. It knows nothing of sockets: `send` takes a frame's text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from aether.sim import market_frames
from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal
from aether.sim.field_text import bad_argument
from aether.sim.keys import ApiKey
from aether.sim.market_board import INTERVALS_MINUTES
from aether.sim.rest_public import VENUE
from aether.sim.wire import MalformedText, decode, encode, rfc3339
from aether.sim.ws_account import AccountHub, Stream
from aether.sim.ws_answers import Answer
from aether.sim.ws_changes import CHANGES
from aether.sim.ws_fields import PRIVATE_CHANNELS, PUBLIC_CHANNELS, TRADING, SocketRefusal, check_fields, texts
from aether.sim.ws_market import BOOK_DEPTHS, MarketHub, Send, Topic
from aether.sim.ws_trading import METHODS as TRADING_METHODS

Door: TypeAlias = Literal["public", "private"]
Fields: TypeAlias = dict[str, object]

_CHANNELS = {**PUBLIC_CHANNELS, **PRIVATE_CHANNELS}

METHODS = {**TRADING_METHODS, **CHANGES}

_REQ_ID_LIMIT = 2**63

HEARTBEAT = '{"channel":"heartbeat"}'

# Kraken's own texts, as captured; the hosts in them are Kraken's.
_PUBLIC_ONLY = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
_PRIVATE_ONLY = "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"

# Kraken has level 3 on a host of its own, which is not made here; the text is by analogy with the two above.
_LEVEL3_ELSEWHERE = "Level3 data is unavailable on this endpoint. Try ws-l3.kraken.com"

# Warnings that Kraken's acknowledgements carry.
_WARNINGS = {
    "instrument": ["tick_size is deprecated, use price_increment"],
    "executions": [
        "cancel_reason is deprecated, use reason",
        "stop_price is deprecated, use triggers.price",
        "trigger is deprecated use triggers.reference",
        "triggered_price is deprecated use triggers.last_price",
    ],
}


class Session:
    """What one connected client has asked for."""

    def __init__(
        self, desk: Desk, market: MarketHub, accounts: AccountHub, *, door: Door, connection_id: int, send: Send
    ) -> None:
        self._desk = desk
        self._market = market
        self._accounts = accounts
        self._door = door
        self._connection_id = connection_id
        self._send = send
        self._beats = False
        self._heard_ns = desk.now_ns()
        self._streams: dict[str, Stream] = {}
        self._tokens: dict[str, ApiKey] = {}  # they stay good while this connection has a private subscription

    def open(self) -> None:
        """The client is connected: tell it the status."""
        self.tell_status()

    def tell_status(self) -> None:
        """Send the status of the exchange."""
        self._send(market_frames.status_frame(self._desk, self._connection_id))

    def beat(self) -> None:
        """A second has passed: a heartbeat, once anything is subscribed."""
        if self._beats:
            self._send(HEARTBEAT)

    def idle_ns(self) -> int:
        """For how long nothing passed in either direction; 0 once anything is subscribed, for then it beats."""
        return 0 if self._beats else self._desk.now_ns() - self._heard_ns

    def forget_tokens(self) -> None:
        """Let the tokens that this connection was opened with be stale; its subscriptions go on."""
        self._tokens.clear()

    def close(self) -> None:
        """The client is gone. Its orders stay: Kraken has no cancel on disconnect here."""
        self._market.leave_all(self._send)
        for stream in self._streams.values():
            self._accounts.leave(stream)
        self._streams.clear()

    def hear(self, text: str | bytes) -> None:
        """Answer one request."""
        self._desk.settle()
        self._heard_ns = self._desk.now_ns()
        time_in = rfc3339(self._desk.now_ns())
        try:
            request = decode(text)
        except MalformedText:
            request = None
        if not isinstance(request, dict):
            self._answer(None, None, time_in, Answer(error="Malformed request"))
            return
        method, req_id = request.get("method"), request.get("req_id")
        try:
            self._carry_out(method, req_id, request, time_in)
        except ExchangeRefusal as refused:
            self._answer(method, req_id, time_in, Answer(error=refused.text))
        except SocketRefusal as refused:
            self._answer(method, req_id, time_in, Answer(error=refused.text), **refused.also)
        self._desk.settle()

    def _carry_out(self, method: object, req_id: object, request: Fields, time_in: str) -> None:
        if "req_id" in request and not _echo(req_id):
            raise SocketRefusal("Req_id field must be a number_integer")
        if not isinstance(method, str) or method not in (*METHODS, "ping", "subscribe", "unsubscribe"):
            raise SocketRefusal("Unsupported event")
        allowed = {"method", "req_id"} if method == "ping" else {"method", "req_id", "params"}
        for name in request:
            if name not in allowed:
                raise SocketRefusal(f"Unsupported field: '{name}' for the given msg type: {method}")
        params = request.get("params", {})
        if not isinstance(params, dict):
            raise SocketRefusal("Params field must be an object")
        if method == "ping":
            self._send(encode({"method": "pong"} | _echo(req_id) | self._times(time_in)))
        elif method in METHODS:
            self._trade(method, req_id, params, time_in)
        else:
            self._subscription(method, req_id, params, time_in)

    # --- trading ------------------------------------------------------------------------------------------------

    def _trade(self, method: str, req_id: object, params: Fields, time_in: str) -> None:
        if self._door == "public":
            raise SocketRefusal(_PUBLIC_ONLY)
        check_fields(params, TRADING[method], method)
        caller = self._caller(params)
        if caller is None:
            raise ExchangeRefusal("EAPI:Invalid token")
        if not caller.may(method):
            raise ExchangeRefusal("EGeneral:Permission denied")
        for answer in METHODS[method](self._desk, caller.account, params):
            self._answer(method, req_id, time_in, answer)

    def _caller(self, params: Fields) -> ApiKey | None:
        token = params.get("token")
        if not isinstance(token, str) or not token:
            raise SocketRefusal("Token(s) not found")
        return self._tokens.get(token) or self._desk.keys.key_of(token, self._desk.now_ns())

    # --- subscriptions ------------------------------------------------------------------------------------------

    def _subscription(self, method: str, req_id: object, params: Fields, time_in: str) -> None:
        channel = params.pop("channel", None)
        if channel in ("status", "heartbeat"):
            raise SocketRefusal("Symbol(s) not found")
        if channel == "level3":
            raise SocketRefusal(_LEVEL3_ELSEWHERE)
        if not isinstance(channel, str) or channel not in _CHANNELS:
            raise SocketRefusal("Subscription name invalid")
        if (channel in PRIVATE_CHANNELS) != (self._door == "private"):
            raise SocketRefusal(_PUBLIC_ONLY if self._door == "public" else _PRIVATE_ONLY)
        check_fields(params, _CHANNELS[channel], method)
        if self._door == "private":
            self._private_subscription(method, req_id, channel, params, time_in)
        else:
            self._public_subscription(method, req_id, channel, params, time_in)

    def _public_subscription(self, method: str, req_id: object, channel: str, params: Fields, time_in: str) -> None:
        option = _option(channel, params)
        symbols = texts(params, "symbol") if channel != "instrument" else [""]
        if not symbols:
            raise SocketRefusal("Symbol(s) not found")
        for symbol in symbols:
            try:
                self._one_symbol(method, req_id, _topic(channel, symbol, option), params, time_in)
            except SocketRefusal as refused:
                self._answer(method, req_id, time_in, Answer(error=refused.text), symbol=symbol)

    def _one_symbol(self, method: str, req_id: object, topic: Topic, params: Fields, time_in: str) -> None:
        if topic.channel != "instrument" and topic.symbol not in self._desk.exchange.pairs:
            raise SocketRefusal(f"Currency pair not supported {topic.symbol}")
        result: Fields = {"channel": topic.channel} | _option(topic.channel, params)
        if topic.symbol:
            result["symbol"] = topic.symbol
        if method == "unsubscribe":
            if not self._market.leave(topic, self._send):
                raise SocketRefusal("Subscription Not Found")
            self._answer(method, req_id, time_in, Answer(result))
            return
        if not self._market.join(topic, self._send):
            raise SocketRefusal("Already subscribed")
        wants_snapshot = bool(params.get("snapshot", topic.channel != "trade"))
        self._acknowledge(method, req_id, time_in, result | {"snapshot": wants_snapshot})
        if wants_snapshot:
            self._send(self._market.snapshot(topic))

    def _private_subscription(self, method: str, req_id: object, channel: str, params: Fields, time_in: str) -> None:
        caller = self._caller(params)
        if caller is None:
            raise SocketRefusal("ESession:Invalid session", channel=channel, status="error")
        if not caller.may(channel):
            raise ExchangeRefusal("EGeneral:Permission denied")
        if method == "unsubscribe":
            self._end_stream(channel)
            self._answer(method, req_id, time_in, Answer({"channel": channel}))
            return
        if channel in self._streams:
            raise SocketRefusal("Already subscribed")
        if params.get("users", "all") != "all":
            raise bad_argument("users")
        self._tokens[str(params["token"])] = caller
        stream = Stream(
            self._send,
            caller.account,
            channel,
            all_transitions=bool(params.get("order_status", True)),
            with_counter=bool(params.get("ratecounter", False)),
        )
        self._streams[channel] = stream
        self._accounts.join(stream)
        if channel == "balances":
            wants_snapshot = bool(params.get("snapshot", True))
            self._acknowledge(method, req_id, time_in, {"channel": channel, "snapshot": wants_snapshot})
            if wants_snapshot:
                self._accounts.snapshot_balances(stream)
        else:
            self._begin_executions(method, req_id, stream, params, time_in)

    def _begin_executions(self, method: str, req_id: object, stream: Stream, params: Fields, time_in: str) -> None:
        # `snapshot` and `snapshot_trades` are the older names of the two (Kraken docs, WebSocket v2 executions).
        orders = bool(params.get("snap_orders", params.get("snapshot", True)))
        trades = bool(params.get("snap_trades", params.get("snapshot_trades", False)))
        result: Fields = {"channel": stream.channel, "snap_orders": orders, "snap_trades": trades, "snapshot": orders}
        result |= {"order_status": stream.all_transitions, "ratecounter": stream.with_counter}
        result["maxratecount"] = self._desk.manners.tier.trading_max
        if "users" in params:
            result["users"] = params["users"]
            orders = trades = False  # Kraken docs, executions: no snapshot of all users
        self._acknowledge(method, req_id, time_in, result)
        self._accounts.snapshot_executions(stream, orders=orders, trades=trades)

    def _end_stream(self, channel: str) -> None:
        stream = self._streams.pop(channel, None)
        if stream is None:
            raise SocketRefusal("Subscription Not Found")
        self._accounts.leave(stream)
        if not self._streams:
            self._tokens.clear()

    # --- answers ------------------------------------------------------------------------------------------------

    def _acknowledge(self, method: str, req_id: object, time_in: str, result: Fields) -> None:
        self._beats = True
        warnings = _WARNINGS.get(str(result["channel"]))
        self._answer(method, req_id, time_in, Answer(result | ({"warnings": warnings} if warnings else {})))

    def _answer(self, method: object, req_id: object, time_in: str, answer: Answer, **also: object) -> None:
        named: Fields = {"method": method} if isinstance(method, str) else {}
        outcome: Fields = {"error": answer.error} if answer.error else dict(answer.also)
        if answer.result is not None:
            outcome["result"] = answer.result
        success = {"success": not answer.error}
        self._send(encode(named | _echo(req_id) | outcome | also | success | self._times(time_in)))

    def _times(self, time_in: str) -> Fields:
        return {"time_in": time_in, "time_out": rfc3339(self._desk.now_ns())}


def _echo(req_id: object) -> Fields:
    is_number = isinstance(req_id, int) and not isinstance(req_id, bool) and 0 <= req_id < _REQ_ID_LIMIT
    return {"req_id": req_id} if is_number else {}


def _option(channel: str, params: Mapping[str, object]) -> Fields:
    """The parameter that a subscription is keyed by beside its symbol, with Kraken's default."""
    if channel == "book":
        depth = params.get("depth", BOOK_DEPTHS[0])
        if depth not in BOOK_DEPTHS:
            raise SocketRefusal("Subscription depth not supported")
        return {"depth": depth}
    if channel == "ohlc":
        interval = params.get("interval", INTERVALS_MINUTES[0])
        if interval not in INTERVALS_MINUTES:
            raise SocketRefusal("Subscription ohlc interval not supported")
        return {"interval": interval}
    if channel == "ticker":
        trigger = params.get("event_trigger", "trades")
        if trigger not in ("trades", "bbo"):
            raise SocketRefusal("EGeneral:Invalid arguments:event_trigger")
        return {"event_trigger": trigger}
    if params.get("execution_venue", VENUE) != VENUE:
        raise SocketRefusal("EGeneral:Invalid arguments:execution_venue")
    return {}


def _topic(channel: str, symbol: str, option: Mapping[str, object]) -> Topic:
    number = option.get("depth", option.get("interval", 0))
    assert isinstance(number, int), f"{channel} by {number}"
    return Topic(channel, symbol, number, str(option.get("event_trigger", "")))
