"""Kraken's REST: path, headers and body in, JSON text out. Every refusal is HTTP 200 with an `error` list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from aether.sim.desk import Desk
from aether.sim.exchange import ExchangeRefusal
from aether.sim.field_text import bad_argument, json_text
from aether.sim.keys import TOKEN_LIFE_S, ApiKey
from aether.sim.rest_changes import CHANGING
from aether.sim.rest_private import READING
from aether.sim.rest_public import PUBLIC
from aether.sim.rest_trading import ACTING
from aether.sim.wire import MalformedText, decode, encode

FIELDS_MAX = 200
_PRIVATE = READING | ACTING | CHANGING
_ABOUT_THE_KEY: dict[str, Callable[[Desk, ApiKey], object]] = {
    "GetApiKeyInfo": lambda _, caller: caller.info(),
    "GetWebSocketsToken": lambda desk, caller: {
        "token": desk.keys.issue_token(caller, desk.now_ns()),
        "expires": TOKEN_LIFE_S,
    },
}
PRIVATE_METHODS = frozenset((*_PRIVATE, *_ABOUT_THE_KEY))

# Fields that are JSON lists, which no form has; their text goes to the method as it is.
_LISTS = frozenset({"orders", "cl_ord_ids"})


class RestApi:
    """Answers requests at one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def public(self, method: str, query: Mapping[str, str]) -> str:
        """Answer `GET /0/public/METHOD`."""
        handler = PUBLIC.get(method)
        if handler is None:
            return refusal("EGeneral:Unknown method")
        self._desk.settle()
        try:
            return _answer(handler(self._desk, query))
        except ExchangeRefusal as refused:
            return refusal(refused.text)

    def private(self, path: str, headers: Mapping[str, str], body: bytes, address: str = "") -> str:
        """Answer `POST path`, `/0/private/METHOD`, if key, signature and nonce are good and the key may do this.

        `address` is the caller's, for keys that list where they may be used from.
        """
        desk, method = self._desk, path.rpartition("/")[2]
        desk.settle()
        try:
            form = read_form(headers.get("Content-Type", ""), body)
            key, sign = headers.get("API-Key", ""), headers.get("API-Sign", "")
            nonce, now_ns = form.get("nonce", ""), desk.now_ns()
            caller = desk.keys.check(path, body, key=key, sign=sign, nonce=nonce, now_ns=now_ns, address=address)
            return _answer(self._carry_out(method, caller, form))
        except ExchangeRefusal as refused:
            return refusal(refused.text)
        finally:
            desk.settle()

    def _carry_out(self, method: str, caller: ApiKey, form: Mapping[str, str]) -> object:
        desk = self._desk
        handler = _PRIVATE.get(method)
        if handler is None and method not in _ABOUT_THE_KEY:
            raise ExchangeRefusal("EGeneral:Unknown method")
        if not caller.may(method):
            raise ExchangeRefusal("EGeneral:Permission denied")
        if desk.exchange.system_status == "maintenance":  # Kraken docs, Status: nothing works
            raise ExchangeRefusal("EService:Unavailable")
        desk.rest_counters.charge(caller.key, method, desk.now_ns())
        if handler is not None:
            return handler(desk, caller.account, form)
        return _ABOUT_THE_KEY[method](desk, caller)


def refusal(text: str) -> str:
    """Kraken's envelope of a refused request."""
    return encode({"error": [text]})


def _answer(result: object) -> str:
    return encode({"error": [], "result": result})


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Fields of a body, form or JSON, as text. Raises ExchangeRefusal for what is neither."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return _json_form(body)
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise ExchangeRefusal("EAPI:Bad request") from error
    form = dict(pairs)
    for name in _LISTS & form.keys():
        raise bad_argument(name)
    return form


def _json_form(body: bytes) -> dict[str, str]:
    try:
        fields = decode(body)
    except MalformedText as error:
        raise ExchangeRefusal("EAPI:Bad request") from error
    if not isinstance(fields, dict):
        raise ExchangeRefusal("EAPI:Bad request")
    return {name: _field_text(name, value) for name, value in fields.items() if value is not None}


def _field_text(name: str, value: object) -> str:
    """A JSON value as the form would have it; the lists that some methods take as their own text."""
    if name in _LISTS:
        if not isinstance(value, list):
            raise bad_argument(name)
        return encode(value)
    return json_text(value, name)
