"""Signing a private REST request: the body's bytes to the value of `API-Sign`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from aether.kraken.signing import Credentials, form
from tests.bench.timing import Goal, Pass, Row, in_turns

# The key of Kraken's own example (Kraken docs, Spot REST authentication).
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
PATH = "/0/private/AddOrder"
FIELDS = {"ordertype": "limit", "pair": "XBTUSD", "price": "37500", "type": "buy", "volume": "1.25"}


def rows(*, quick: bool) -> Iterator[Row]:
    """Fields to a signed form: krakenex and ccxt write the form within their signing, and so it is counted for all."""
    count = 1000 if quick else 5000
    takes: dict[str, Callable[[], Pass]] = {
        "aether": lambda: _repeat(_aether(), count),
        "krakenex": lambda: _repeat(_krakenex(), count),
        "ccxt": lambda: _repeat(_ccxt(), count),
    }
    ns = in_turns(takes, 3 if quick else 15)
    goals = [Goal("faster than krakenex", ns["krakenex"] / ns["aether"], 3, at_most=False)]
    yield Row("sign a REST request", "µs", {name: time / 1000 for name, time in ns.items()}, goals)


def _repeat(sign: Callable[[int], Any], count: int) -> Pass:
    def run() -> int:
        for nonce in range(1616492376594, 1616492376594 + count):
            sign(nonce)
        return count

    return run


def _aether() -> Callable[[int], Any]:
    credentials = Credentials.from_text("https://127.0.0.1", "key", SECRET)

    def sign(nonce: int) -> str:
        body = form({"nonce": nonce, **FIELDS})
        return credentials.sign(PATH, nonce, body)

    return sign


def _krakenex() -> Callable[[int], Any]:
    api = import_module("krakenex").API("key", SECRET)
    return lambda nonce: api._sign({"nonce": nonce, **FIELDS}, PATH)


def _ccxt() -> Callable[[int], Any]:
    exchange = import_module("ccxt").kraken({"apiKey": "key", "secret": SECRET})
    return lambda _nonce: exchange.sign("AddOrder", ["private"], "POST", dict(FIELDS))
