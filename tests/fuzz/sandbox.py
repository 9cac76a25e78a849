"""The sandbox's decoders under fire: REST bodies, queries and headers, and WebSocket requests, at a quiet desk.

The claim: every request has an answer of Kraken's shape; a refused one changes nothing; the next good one is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlencode

import msgspec

from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim.desk import Desk
from aether.sim.exchange import Exchange
from aether.sim.keys import NONCE_LIMIT, ApiKey, KeyRing, api_sign
from aether.sim.market_board import MarketBoard
from aether.sim.recorded import pair_rules
from aether.sim.records import OrderSide
from aether.sim.rest_api import RestApi
from aether.sim.ws_account import AccountHub
from aether.sim.ws_api import Door, Session
from aether.sim.ws_market import MarketHub
from tests.fuzz import requests
from tests.fuzz.tally import Tally
from tests.fuzz.wounds import HOSTILE, Document, bytes_wounded, wounded

D = Decimal
PATIENCE = ("EAPI:Rate limit exceeded", "EGeneral:Temporary lockout")  # what a client can only wait for
PATIENCE_NS = 1_000 * NANOS_PER_S
PAIR = "BTC/USD"
SECRET = "c2VjcmV0"
ACCOUNT = "main"
MOVES: tuple[tuple[Decimal, OrderSide], ...] = ((D(58000), "sell"), (D(62000), "buy"))  # of the market, far both ways
CONTENT_TYPES = (
    *("application/x-www-form-urlencoded", "application/json", "application/json; charset=utf-16", "", "text/plain"),
    *(
        "APPLICATION/JSON",
        "multipart/form-data",
        "application/json\udcff",
        ";",
        "application/x-www-form-urlencoded; x=\x00",
    ),
)


class HandClock:
    """Time that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_790_000_000 * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


class Nobody:
    """No crowd: only the exchange's own timers act."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def advance(self, now_ns: int) -> None:
        self._exchange.advance(now_ns)


class House:
    """A quiet exchange with one account, a book, and its doors."""

    def __init__(self) -> None:
        self.clock = HandClock()
        now_ns = self.clock.now_ns
        self.exchange = Exchange(pair_rules(), seed=1)
        self.exchange.open_account(ACCOUNT, {"USD": D("10000.0000"), "BTC": D(1)}, now_ns)
        for step in range(12):
            self.exchange.set_level(PAIR, "bid", D(59990 - step), D(step + 1), now_ns)
            self.exchange.set_level(PAIR, "ask", D(60010 + step), D(step + 1), now_ns)
        board = MarketBoard(lambda _pair, _interval_s, _now_ns: [], self.exchange.pairs, now_ns)
        self.key = ApiKey("key", SECRET, ACCOUNT)
        self.keys = KeyRing(self.key, lambda: requests.TOKEN)
        self.desk = Desk(self.exchange, Nobody(self.exchange), board, self.keys, self.clock)
        self.rest = RestApi(self.desk)
        self.market, self.accounts = MarketHub(self.desk), AccountHub(self.desk)
        self.desk.settle()

    def state(self) -> object:
        """All that a refused request may not change."""
        orders = [(order.order_id, order.qty, order.cum_qty) for order in self.exchange.open_orders(ACCOUNT)]
        return self.exchange.balances(ACCOUNT), orders

    def live(self, chance: Random) -> None:
        """Now and then the market moves, so that orders fill and timers run out."""
        if not chance.randrange(6):
            self.clock.now_ns += chance.choice((0, 1, 5, 61)) * NANOS_PER_S
            price, side = chance.choice(MOVES)
            self.exchange.crowd_trade(PAIR, side, price, D(chance.randrange(1, 9)), self.clock.now_ns)
            self.desk.settle()

    def assert_sound(self) -> None:
        """No balance below zero, and no more held than there is."""
        for asset, (total, held) in self.exchange.balances(ACCOUNT).items():
            assert D(0) <= held <= total, f"{asset}: {held} of {total} held"


# --- REST -----------------------------------------------------------------------------------------------------------


def rest(chance: Random, tally: Tally) -> None:
    """Fifteen requests to one desk, and a good one after them."""
    house = House()
    for _ in range(15):
        house.live(chance)
        before = house.state()
        if chance.randrange(3):
            nonce, change = str(house.key.nonce_used + 1), partial(_known_orders, house, chance)
            method, headers, body = private_request(chance, nonce, key="key", secret=SECRET, change=change)
            tally.offer(f"POST /0/private/{method} {headers}", body)
            answer = house.rest.private(f"/0/private/{method}", headers, body)
        else:
            method, query = public_request(chance)
            tally.offer(f"GET /0/public/{method}", repr(query).encode())
            answer = house.rest.public(method, query)
        errors = errors_of(answer)
        assert not errors or house.state() == before, f"refused with {errors}, yet it changed the account"
        house.assert_sound()
        tally.ended(f"{errors[0] if errors else 'served'}")
        if errors and errors[0] in PATIENCE:
            house.clock.now_ns += PATIENCE_NS
    house.clock.now_ns += PATIENCE_NS
    _is_still_served(house)


def errors_of(answer: str) -> list[str]:
    """The error list of an answer of Kraken's shape: an error or a result, never both or neither."""
    said: Any = msgspec.json.decode(answer)
    errors: list[Any] = said["error"]
    assert all(isinstance(text, str) and text[:1] in ("E", "W") for text in errors), errors
    assert ("result" in said) == (not errors), said
    return errors


def public_request(chance: Random) -> tuple[str, dict[str, str]]:
    """A public method's name and its query."""
    method = chance.choice(requests.PUBLIC)
    query = {name: _text(chance, value) for name, value in chance.choice(requests.REST[method]).items()}
    return (method if chance.randrange(8) else chance.choice((*requests.PUBLIC, "Nothing", ""))), query


def private_request(
    chance: Random, nonce: str, *, key: str, secret: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[str, dict[str, str], bytes]:
    """A private method's name, headers and body: signed as a rule, so that it comes as far as its fields do."""
    method, form = chance.choice(requests.PRIVATE_FORMS)
    fields = change(dict(form))
    content_type = chance.choice(CONTENT_TYPES[:2] if chance.randrange(8) else CONTENT_TYPES)
    if "json" in content_type.lower():
        body = wounded(chance, Document(json.dumps({"nonce": nonce, **fields}).encode()))
    else:
        texts = {name: _text(chance, value) for name, value in fields.items()}
        body = urlencode({"nonce": nonce, **texts}, errors="surrogatepass").encode()
        body = body if chance.randrange(8) else bytes_wounded(chance, body)
    path = f"/0/private/{method}"
    headers = {"API-Key": key, "API-Sign": api_sign(secret, path, nonce, body), "Content-Type": content_type}
    if not chance.randrange(10):
        headers[chance.choice(tuple(headers))] = chance.choice(("", "\udcff", "x" * 300, "é", "\x00"))
    return method, headers, body


def _known_orders(house: House, chance: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, naming an order that there is where they name one."""
    known = [order.order_id for order in house.exchange.open_orders(ACCOUNT)]
    name = chance.choice(known) if known else "O1"
    return {field: name if value == "O1" else value for field, value in fields.items()}


def _text(chance: Random, value: object) -> str:
    """A field's text: as it was, or something hostile, or near it."""
    sound = value if isinstance(value, str) else json.dumps(value)
    match chance.randrange(8):
        case 0:
            return chance.choice(HOSTILE)[:400].strip(b'"').decode("utf-8", "replace")
        case 1:
            return bytes_wounded(chance, sound.encode())[:400].decode("utf-8", "replace")
        case _:
            return sound


def _is_still_served(house: House) -> None:
    """A good request after all that was bad. A nonce at the end of its range is used up, as Kraken's would be."""
    assert errors_of(house.rest.public("Time", {})) == []
    nonce = str(house.key.nonce_used + 1)
    if int(nonce) < NONCE_LIMIT:
        body = urlencode({"nonce": nonce}).encode()
        headers = {"API-Key": "key", "API-Sign": api_sign(SECRET, "/0/private/BalanceEx", nonce, body)}
        assert errors_of(house.rest.private("/0/private/BalanceEx", headers, body)) == []


# --- WebSocket ------------------------------------------------------------------------------------------------------


def sockets(chance: Random, tally: Tally) -> None:
    """Twenty requests on one connection, either door, and a good one after them."""
    house, texts = House(), list[str]()
    house.keys.issue_token(house.key, house.clock.now_ns)
    door: Door = chance.choice(("public", "private"))
    session = Session(house.desk, house.market, house.accounts, door=door, connection_id=2**63 + 1, send=texts.append)
    session.open()
    for _ in range(20):
        house.live(chance)
        request = tally.offer(f"{door} socket", _socket_request(chance, house))
        before, heard = house.state(), len(texts)
        session.hear(_as_sent(chance, request))
        answers = [frame for text in texts[heard:] if "time_out" in (frame := _frame(text))]
        assert answers, "no answer"
        is_refused = not any(frame.get("success", True) for frame in answers)
        assert not is_refused or house.state() == before, f"refused with {answers}, yet it changed the account"
        house.assert_sound()
        for frame in answers:
            tally.ended(str(frame.get("error", f"served {frame.get('method')}")))
    session.hear(b'{"method":"ping","req_id":99}')
    assert _frame(texts[-1])["method"] == "pong"
    session.close()


def _socket_request(chance: Random, house: House) -> bytes:
    request = wounded(chance, chance.choice(requests.socket_documents()))
    known = [order.order_id for order in house.exchange.open_orders(ACCOUNT)]
    return request.replace(b'"O1"', b'"%s"' % chance.choice(known).encode()) if known else request


def _as_sent(chance: Random, request: bytes) -> str | bytes:
    """As a binary message, or as a text message, which is always sound UTF-8: aiohttp closes on any other."""
    if not chance.randrange(3):
        return request
    try:
        return request.decode("utf-8")
    except UnicodeDecodeError:
        return request


def _frame(text: str) -> dict[str, Any]:
    frame: dict[str, Any] = msgspec.json.decode(text)
    return frame
