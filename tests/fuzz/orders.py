"""Answers to our orders under fire: a yes is a clear yes, a no is a clear no, and all else is unknown.

The claim is held against the answer's own bytes, read here by Python's reader and Kraken's documents (error messages),
not by the client's tables: an order wrongly called refused may live, and one wrongly called accepted may not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any, NoReturn, cast

import aiohttp

from aether.domain.effects import AmendOrder, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.inputs import (
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    Input,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, Price, Qty
from aether.kraken.connection import Connector, LinkLost, Listener
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import RestClient
from aether.kraken.venue import KrakenVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.fuzz import corpus
from tests.fuzz.links import T0, key_for
from tests.fuzz.tally import Tally
from tests.fuzz.wounds import Document, wounded

BASE = "https://kraken.invalid"
UNSURE = (SubmitUnknown, AmendUnknown, CancelAnswered, CancelAllAnswered, DeadManAnswered)
BTC = recall("BTC/USD")
SNAPSHOT = b'{"channel":"executions","type":"snapshot","data":[],"sequence":1}'

# Kraken's documents, error messages: texts that begin so prove that nothing was executed. No other text does.
CERTAIN = (
    *(
        "eorder:",
        "egeneral:invalid arguments",
        "egeneral:unknown method",
        "egeneral:permission denied",
        "eapi:",
        "eauth:",
    ),
    *(
        "egeneral:temporary lockout",
        "egeneral:too many requests",
        "eaccount:",
        "ebm:",
        "equery:",
        "etrade:",
        "esession:",
    ),
    *("eservice:market in", "eservice:throttled", "efunding:"),
)
# The socket's own gate, before any engine (recorded frames): plain sentences with these words in them.
SENTENCES = ("field must be a", "unsupported field", "currency pair not supported", "token(s) not found", "msg rate")
OTHER_SENTENCES = (
    "unavailable on this endpoint",
    "unsupported event",
    "symbol(s) not found",
    "subscription name invalid",
)


class Answering:
    """In the place of the connector: one link after another that answers requests, wounded more often than not."""

    def __init__(self, chance: Random, tally: Tally) -> None:
        self._chance = chance
        self._tally = tally
        self._listener: Listener | None = None
        self.said: list[bytes] = []

    async def keep_connected(self, _url: str, listener: Listener) -> None:
        self._listener = listener
        await self._open()
        await asyncio.Event().wait()

    async def _open(self) -> None:
        assert self._listener is not None
        await self._listener.opened(self._send)
        self._listener.heard(SNAPSHOT)

    async def _send(self, frame: bytes) -> None:
        asked = json.loads(frame)
        if asked["method"] in ("subscribe", "ping"):
            return
        for _ in range(self._chance.choice((0, 1, 1, 1, 1, 2))):
            answer = _answer(self._chance, asked)
            self.said.append(self._tally.offer(f"answer to {asked['method']}", answer))
            asyncio.get_running_loop().call_soon(self._hear, answer)

    def _hear(self, answer: bytes) -> None:
        assert self._listener is not None
        try:
            self._listener.heard(answer)
        except LinkLost as lost:
            self._listener.lost(str(lost))


def _answer(chance: Random, asked: Any) -> bytes:
    head = {"method": asked["method"], "req_id": asked["req_id"]}
    times = {"time_in": "2026-07-19T17:54:39.614696Z", "time_out": "2026-07-19T17:54:39.614741Z"}
    if chance.randrange(2):
        said = head | _yes(asked["method"], asked["params"]) | times
    else:
        text = chance.choice((*corpus.error_texts(), "ENever:Seen before", "Limit_price field must be a number_float"))
        said = head | {"error": text, "success": False} | times
    document = Document(json.dumps(said).encode())
    return wounded(chance, document) if chance.randrange(4) else document.text


def _yes(method: str, params: Any) -> dict[str, Any]:
    """A yes in Kraken's shape of each method (recorded answers)."""
    match method:
        case "add_order":
            result: Any = {"order_id": "O1", "cl_ord_id": params["cl_ord_id"]}
        case "batch_add":
            rows = enumerate(params["orders"])
            result = [{"order_id": f"O{number}", "cl_ord_id": row["cl_ord_id"]} for number, row in rows]
        case "amend_order":
            result = {"amend_id": "A1", "order_id": "O1"}
        case "batch_cancel":
            return {"orders_cancelled": 2, "success": True}
        case "cancel_all":
            result = {"count": 2}
        case "cancel_all_orders_after":
            result = {"currentTime": "2026-07-19T17:54:39Z", "triggerTime": "2026-07-19T17:55:39Z"}
        case _:
            result = {"order_id": "O1"}
    return {"result": result, "success": True}


class Unreachable:
    """In the place of aiohttp's session: REST, by which cancels go while the link is down, is not there."""

    def request(self, *_: object, **__: object) -> NoReturn:
        raise aiohttp.ServerDisconnectedError


def orders(chance: Random, tally: Tally) -> None:
    """Six requests over one link, each with its answers; what was proved is held against what was said."""
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(_orders(chance, tally, VirtualClock(loop, start_wall_ns=T0)))
    finally:
        loop.close()


async def _orders(chance: Random, tally: Tally, clock: VirtualClock) -> None:
    key = key_for(BASE)
    for _ in range(6):  # a fresh venue each: a key that was once refused sends no more
        wire = Answering(chance, tally)
        session, connector = cast("aiohttp.ClientSession", Unreachable()), cast("Connector", wire)
        rest = RestClient(session, BASE, clock=clock, limits=Tier.PRO.value, key=key)
        venue = KrakenVenue(connector, rest, url="", gate=corpus.gate(), clock=clock, limits=Tier.PRO.value)
        heard: list[Input] = []
        async with asyncio.TaskGroup() as group:
            link = group.create_task(venue.run(heard.append))
            await asyncio.sleep(0)
            outcome = await chance.choice(_requests(venue))()
            link.cancel()
        said = [_read(answer) for answer in wire.said]
        for each in outcome if isinstance(outcome, tuple) else (outcome,):
            _is_proved(each, said)
            tally.ended(type(each).__name__)


def _requests(venue: KrakenVenue) -> Sequence[Callable[[], Awaitable[object]]]:
    one, two = order_of("c1"), order_of("c2")
    amend = AmendOrder(one, replace(one, qty=Qty(Decimal("0.02"))), "O1", "strategy", one.deadline_ns)
    cancels = (CancelOrder("c1", "O1"), CancelOrder("c2", ""))
    return (
        lambda: venue.submit(one),
        lambda: venue.submit_batch(SubmitBatch((one, two))),
        lambda: venue.amend(amend),
        lambda: venue.cancel(cancels[0]),
        lambda: venue.cancel_batch(CancelBatch(cancels)),
        venue.cancel_all,
        lambda: venue.set_dead_man(SetDeadMan(60)),
    )


def _is_proved(outcome: object, said: Sequence[Any]) -> None:
    """Raise where an outcome is surer than every answer was."""
    yes, no = [each for each in said if _is_yes(each)], any(_is_no(each) for each in said)
    match outcome:
        case SubmitAccepted(order_id=order_id):
            assert any(_names(each, "order_id", order_id) for each in yes), (outcome, said)
        case AmendAccepted(amend_id=amend_id):
            assert any(_names(each, "amend_id", amend_id) for each in yes), (outcome, said)
        case SubmitRefused() | AmendRefused():
            assert no, (outcome, said)
        case CancelAnswered(done=True) | CancelAllAnswered(done=True) | DeadManAnswered(done=True):
            assert yes, (outcome, said)
        case _:
            assert isinstance(outcome, UNSURE), outcome


def order_of(cl_ord_id: str) -> SubmitOrder:
    return SubmitOrder(
        cl_ord_id=cl_ord_id,
        symbol=BTC,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        post_only=False,
        qty=Qty(Decimal("0.01")),
        limit_price=Price(Decimal("60000.0")),
        deadline_ns=T0 + 60 * NANOS_PER_S,
    )


def _read(answer: bytes) -> Any:
    """The answer as Python reads it, None where it is no sound object."""
    try:
        said = json.loads(answer.decode("utf-8"), object_pairs_hook=_once, parse_constant=_never, parse_int=str)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _never(constant: str) -> None:
    raise ValueError(constant)


def _is_yes(said: Any) -> bool:
    return said is not None and said.get("success") is True and not said.get("error")


def _names(said: Any, name: str, value: str) -> bool:
    """Whether the result, or a row of it without an error, bears this id."""
    result = said.get("result")
    if isinstance(result, list):
        return any(isinstance(row, dict) and row.get(name) == value != "" and not row.get("error") for row in result)
    return isinstance(result, dict) and result.get(name) == value != ""


def _is_no(said: Any) -> bool:
    if said is None or said.get("success") is True or said.get("result") is not None:
        return False
    text = str(said.get("error", "")).strip().lower().replace(": ", ":")
    return text.startswith(CERTAIN) or any(words in text for words in SENTENCES + OTHER_SENTENCES)
