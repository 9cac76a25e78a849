"""The faults of Kraken's answers and payloads, C15 to C19 and D01 to D12: one test or more for each.

Each goes the whole way: over REST through the client that holds the key, over the socket through the account's stream.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from aether.domain.effects import AskAccount
from aether.domain.errors import OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    FillReported,
    Input,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.kraken.connection import LinkLost
from aether.kraken.endpoints import Endpoint
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import BODY_BYTES_MAX, RestClient
from aether.kraken.venue import KrakenVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.fuzz import corpus
from tests.fuzz.links import T0, key_for
from tests.fuzz.orders import BASE, order_of

D = Decimal
SNAPSHOT = b'{"channel":"executions","type":"snapshot","data":[],"sequence":1}'
DOCUMENTED = (VenueUnavailable, VenueRefused, OutcomeUnknown)
FRAME = b'{"channel":"executions","type":"update","data":[%s],"sequence":2}'
FILL = (
    b'{"order_id":"O1","exec_type":"trade","order_status":"filled","exec_id":"T1","symbol":"BTC/USD","side":"buy",'
    b'"last_qty":0.5,"last_price":100.0,"cost":50.00,"fees":[{"asset":"USD","qty":0.13}],'
    b'"timestamp":"2026-07-19T17:54:39.614696Z"}'
)


class Says:
    """A link that gives the snapshot, then these frames, and this answer to each order (REQ is its number)."""

    def __init__(self, frames: Sequence[bytes] = (), answer: bytes | None = None) -> None:
        self.frames = frames
        self.answer = answer
        self.lost: list[str] = []

    async def keep_connected(self, _url: str, listener: Any) -> None:
        async def send(frame: bytes) -> None:
            asked = json.loads(frame)
            if asked["method"] == "add_order" and self.answer is not None:
                listener.heard(self.answer.replace(b"REQ", b"%d" % asked["req_id"]))

        await listener.opened(send)
        for frame in (SNAPSHOT, *self.frames):
            try:
                listener.heard(frame)
            except LinkLost as lost:
                self.lost.append(str(lost))
        await asyncio.Event().wait()


class Answers:
    """In the place of aiohttp's session: one answer for each endpoint, or the failure to get one."""

    def __init__(self, answers: dict[str, bytes | Exception]) -> None:
        self.answers = answers

    @asynccontextmanager
    async def request(self, _method: str, url: str, **_: object) -> AsyncIterator[Any]:
        answer = self.answers[url.partition("?")[0].rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        yield SimpleNamespace(status=200, content=SimpleNamespace(iter_chunked=lambda _: _pieces(answer)))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


@asynccontextmanager
async def a_venue(says: Says, answers: Answers) -> AsyncIterator[tuple[KrakenVenue, RestClient, list[Input]]]:
    clock = VirtualClock(asyncio.get_running_loop(), start_wall_ns=T0)
    connector: Any = says
    session: Any = answers
    rest = RestClient(session, BASE, clock=clock, limits=Tier.PRO.value, key=key_for(BASE))
    venue = KrakenVenue(connector, rest, url="", gate=corpus.gate(), clock=clock, limits=Tier.PRO.value)
    heard: list[Input] = []
    async with asyncio.TaskGroup() as group:
        link = group.create_task(venue.run(heard.append))
        await asyncio.sleep(0)
        yield venue, rest, heard
        link.cancel()


def on_virtual_time(story: Any) -> Any:
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


def submitted(answer: bytes | None) -> tuple[object, list[Input]]:
    """What an order's answer proves, and what was told meanwhile."""

    async def story() -> tuple[object, list[Input]]:
        async with a_venue(Says(answer=answer), Answers({})) as (venue, _, heard):
            return await venue.submit(order_of("c1")), heard

    told: tuple[object, list[Input]] = on_virtual_time(story())
    return told


def heard_from(*frames: bytes) -> list[Input]:
    """All that these frames tell after the snapshot, and a sound fill after them: the reader lives."""

    async def story() -> list[Input]:
        async with a_venue(Says((*frames, FRAME % FILL)), Answers({})) as (_, _, heard):
            return heard

    told: list[Input] = on_virtual_time(story())
    assert PrivateStreamLive(1) in told
    assert [each.execution.exec_id for each in told if isinstance(each, FillReported)][-1:] == ["T1"]
    return told


def called(endpoint: Endpoint, answer: bytes | Exception) -> Exception | None:
    """How a call with this answer ends: an error of the documented ones, or None for a yes."""

    async def story() -> Exception | None:
        async with a_venue(Says(), Answers({endpoint.value.name: answer})) as (_, rest, _):
            try:
                await rest.call(endpoint)
            except DOCUMENTED as error:
                return error
            return None

    ended: Exception | None = on_virtual_time(story())
    return ended


def looked(**answers: bytes) -> AccountSeen | AccountUnavailable:
    """A look at the account, whose answers are sound but for these."""
    sound: dict[str, bytes | Exception] = {
        "Assets": b'{"error":[],"result":{"XXBT":{"altname":"XBT"},"ZUSD":{"altname":"USD"}}}',
        "BalanceEx": b'{"error":[],"result":{}}',
        "OpenOrders": b'{"error":[],"result":{"open":{}}}',
        "ClosedOrders": b'{"error":[],"result":{"closed":{},"count":0}}',
        "TradesHistory": b'{"error":[],"result":{"trades":{},"count":0}}',
    }

    async def story() -> AccountSeen | AccountUnavailable:
        async with a_venue(Says(), Answers({**sound, **answers})) as (venue, _, _):
            return await venue.account(AskAccount("why", 0))

    seen: AccountSeen | AccountUnavailable = on_virtual_time(story())
    return seen


YES = b'{"method":"add_order","req_id":REQ,"result":{"order_id":"O1","cl_ord_id":"c1"},"success":true}'


def proves_nothing(answer: bytes, rest_body: bytes) -> None:
    """An order's outcome is unknown, a cancel's too, and a read may be asked again."""
    assert isinstance(submitted(answer)[0], SubmitUnknown)
    assert isinstance(called(Endpoint.CANCEL_ORDER, rest_body), OutcomeUnknown)
    assert isinstance(called(Endpoint.OPEN_ORDERS, rest_body), VenueUnavailable)


def test_a_sound_answer_is_a_yes_and_a_clear_no_a_no() -> None:
    assert submitted(YES)[0] == SubmitAccepted("c1", "O1")
    assert called(Endpoint.CANCEL_ORDER, b'{"error":[],"result":{"count":1}}') is None
    no = b'{"method":"add_order","req_id":REQ,"error":"EOrder:Insufficient funds","success":false}'
    assert isinstance(submitted(no)[0], SubmitRefused)


# --- C: what an answer proves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b'"error":"EOrder:Insufficient funds","success":true', b'"error":["EOrder:Unknown order","EService:Busy"]'),
        (
            b'"error":"EOrder:Insufficient funds","success":false,"result":{"order_id":"O1"}',
            b'"error":["EOrder:Unknown order"],"result":{"count":1}',
        ),
        (b'"error":"EOrder:Insufficient funds","result":{"order_id":"O1"},"success":true', b'"error":[],"result":null'),
        (b'"success":false', b'"error":[]'),
        (b'"success":true,"result":{}', b'"error":["EOrder:Unknown order"],"result":[]'),
    ],
)
def test_c15_a_mixture_of_yes_and_no_proves_nothing(answer: bytes, body: bytes) -> None:
    proves_nothing(b'{"method":"add_order","req_id":REQ,' + answer + b"}", b"{" + body + b"}")


@pytest.mark.parametrize("text", ["ENever:Seen before", "EService:New fault", "no colon", "", "E", "\u202e"])
def test_c16_a_text_never_seen_before_proves_nothing(text: str) -> None:
    said = json.dumps(text).encode()

    proves_nothing(
        b'{"method":"add_order","req_id":REQ,"success":false,"error":' + said + b"}", b'{"error":[' + said + b"]}"
    )


@pytest.mark.parametrize("body", [b"", b" ", b"null", b'"{}"', json.dumps(YES.decode()).encode(), b"0", b"[]"])
def test_c17_an_empty_answer_or_json_in_a_string_proves_nothing(body: bytes) -> None:
    proves_nothing(body, body)


def refused_connection() -> Exception:
    return aiohttp.ClientConnectorError(SimpleNamespace(host="a", port=1, ssl=True), OSError(111, "refused"))  # type: ignore[arg-type]


def test_c18_only_what_never_left_is_certainly_not_done() -> None:
    assert isinstance(called(Endpoint.CANCEL_ORDER, refused_connection()), VenueUnavailable)
    for failure in (
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError(),
        TimeoutError(),
        ConnectionResetError(),
    ):
        assert isinstance(called(Endpoint.CANCEL_ORDER, failure), OutcomeUnknown), failure
    assert isinstance(submitted(None)[0], SubmitUnknown)  # written, and never answered


@given(answer=st.binary(max_size=60) | st.sampled_from(corpus.error_texts()).map(str.encode))
@example(b'{"error":[],"result":{}}')
def test_c19_no_answer_whatsoever_ends_the_process(answer: bytes) -> None:
    called(Endpoint.CANCEL_ORDER, answer)
    looked(OpenOrders=answer)
    outcome, _ = submitted(answer)
    heard_from(answer)

    assert isinstance(outcome, SubmitUnknown)


# --- D: payloads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text + text,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text[:-1] + b"\xff}",
    ],
    ids=["cut", "two documents", "a mark", "no utf-8"],
)
def test_d01_what_is_not_one_whole_document_is_refused_as_a_whole(spoil: Any) -> None:
    assert isinstance(submitted(spoil(YES))[0], SubmitUnknown)
    assert isinstance(called(Endpoint.OPEN_ORDERS, spoil(b'{"error":[],"result":{}}')), VenueUnavailable)
    assert any(isinstance(told, PrivateMalformed) for told in heard_from(spoil(FRAME % FILL)))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"Infinity"', b'"sNaN"'])
def test_d02_no_number_that_is_not_finite_comes_past_the_boundary(number: bytes) -> None:
    frame = FRAME % FILL.replace(b'"last_qty":0.5', b'"last_qty":' + number)

    assert [type(told) for told in heard_from(frame)][1:2] == [PrivateMalformed]
    assert isinstance(looked(BalanceEx=b'{"error":[],"result":{"ZUSD":{"balance":%s}}}' % number), AccountUnavailable)


@pytest.mark.parametrize("name", [b"last_qty", b"last_price"])
@pytest.mark.parametrize("number", [b"0", b"-0.5", b"-0"])
def test_d03_a_sign_that_makes_no_sense_is_refused_by_the_field_s_name(name: bytes, number: bytes) -> None:
    sound = {b"last_qty": b"0.5", b"last_price": b"100.0"}[name]
    heard = heard_from(FRAME % FILL.replace(b'"%s":%s' % (name, sound), b'"%s":%s' % (name, number)))

    (told,) = [each for each in heard if isinstance(each, PrivateMalformed)]
    assert name.decode() in told.why


def test_d03_a_negative_balance_is_told_as_it_is() -> None:
    seen = looked(BalanceEx=b'{"error":[],"result":{"ZUSD":{"balance":"-0.0001"}}}')

    assert isinstance(seen, AccountSeen)
    assert seen.balances[0].total == D("-0.0001")


@pytest.mark.parametrize(
    "number", [b"1e400", b"1E+1000000", b"9" * 10_000, b"1e19", b"1e-19", b"0." + b"0" * 39 + b"1"]
)
def test_d04_a_number_out_of_bounds_is_refused_before_any_arithmetic(number: bytes) -> None:
    frame = FRAME % FILL.replace(b'"cost":50.00', b'"cost":' + number)

    assert any(isinstance(told, PrivateMalformed) and "cost" in told.why for told in heard_from(frame))
    assert isinstance(looked(BalanceEx=b'{"error":[],"result":{"ZUSD":{"balance":%s}}}' % number), AccountUnavailable)


@pytest.mark.parametrize("token", [b"1.50", b'"1.50"'])
def test_d05_a_number_is_its_own_digits_whether_sent_as_number_or_as_text(token: bytes) -> None:
    seen = looked(BalanceEx=b'{"error":[],"result":{"ZUSD":{"balance":%s}}}' % token)
    heard = heard_from(FRAME % FILL.replace(b"0.5", token))

    assert isinstance(seen, AccountSeen)
    assert str(seen.balances[0].total) == "1.50"
    assert next(str(told.execution.qty.coins) for told in heard if isinstance(told, FillReported)) == "1.50"


def test_d06_a_key_that_stands_twice_is_refused() -> None:
    assert isinstance(submitted(YES.replace(b'"success"', b'"success":true,"success"'))[0], SubmitUnknown)
    assert isinstance(called(Endpoint.OPEN_ORDERS, b'{"error":[],"error":[],"result":{}}'), VenueUnavailable)
    assert any(
        isinstance(told, PrivateMalformed)
        for told in heard_from(FRAME % FILL.replace(b'"side"', b'"side":"sell","side"'))
    )


@pytest.mark.parametrize("deep", [b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
def test_d07_a_nest_of_twenty_thousand_is_malformed(deep: bytes) -> None:
    proves_nothing(YES[:-1] + b',"more":' + deep + b"}", b'{"error":[],"result":' + deep + b"}")
    assert any(isinstance(told, PrivateMalformed) for told in heard_from(deep))


async def test_d08_a_bomb_is_given_up_at_the_cap_whatever_it_was_packed_in(toy: Any, rest: RestClient) -> None:
    packed = gzip.compress(b'{"error":[],"result":"' + b" " * (3 * BODY_BYTES_MAX) + b'"}')
    toy.answers("Assets", web.Response(body=packed, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(VenueUnavailable, match="bytes"):
        await rest.call(Endpoint.ASSETS)


def test_d08_a_frame_beyond_a_megabyte_is_not_read() -> None:
    heard = heard_from(FRAME % FILL.replace(b'"T1"', b'"' + b"x" * (1 << 20) + b'"'))

    assert any(isinstance(told, PrivateMalformed) and "bytes" in told.why for told in heard)


@pytest.mark.parametrize("missing", ["order_id", "exec_type", "exec_id", "last_qty", "last_price", "cost", "fees"])
@pytest.mark.parametrize("is_null", [True, False])
def test_d09_a_required_field_that_lacks_is_refused_by_its_name(missing: str, *, is_null: bool) -> None:
    row = json.loads(FILL, parse_float=str)
    row = {name: value for name, value in row.items() if name != missing} | ({missing: None} if is_null else {})

    (told, *_) = [each for each in heard_from(FRAME % json.dumps(row).encode()) if isinstance(each, PrivateMalformed)]
    assert missing in told.why


@pytest.mark.parametrize("other", [b"[]", b"{}", b'"x"', b"1", b"null", b"true"])
def test_d10_a_whole_object_of_another_type_is_malformed(other: bytes) -> None:
    frames = [FRAME % other, b'{"channel":"executions","type":"update","data":%s,"sequence":2}' % other, other]

    for frame in frames:
        assert any(isinstance(told, PrivateMalformed) for told in heard_from(frame)) or other in (b"{}", b"[]")
    for name in ("BalanceEx", "OpenOrders", "ClosedOrders", "TradesHistory", "Assets"):
        seen = looked(**{name: b'{"error":[],"result":%s}' % other})
        assert isinstance(seen, AccountUnavailable) or (other == b"{}" and name in ("BalanceEx", "Assets"))


@pytest.mark.parametrize("time", [b"", b"2026-07-19T17:54:39", b"yesterday", b"2026-02-30T00:00:00Z", b"9" * 30])
def test_d11_a_fill_without_a_readable_time_is_still_our_money_and_flagged(time: bytes) -> None:
    heard = heard_from(FRAME % FILL.replace(b"2026-07-19T17:54:39.614696Z", time))

    assert next(told.execution.venue_ns for told in heard if isinstance(told, FillReported)) == 0


HOSTILE_TEXT = "EOrder:\u001b[31m\nline\u202e\u0000"


def test_d12_control_characters_of_any_text_are_escaped_where_they_are_told() -> None:
    text = json.dumps(HOSTILE_TEXT).encode()
    refused, _ = submitted(b'{"method":"add_order","req_id":REQ,"success":false,"error":' + text + b"}")
    row = b'{"order_id":"O1","exec_type":"canceled","order_status":"canceled","reason":' + text + b"}"
    reports = [told.report for told in heard_from(FRAME % row) if isinstance(told, OrderReported)]
    malformed = [
        told for told in heard_from(FRAME % (b'{"order_id":' + text + b"}")) if isinstance(told, PrivateMalformed)
    ]
    error = called(Endpoint.OPEN_ORDERS, b'{"error":[' + text + b"]}")

    assert isinstance(refused, SubmitRefused)
    for shown in (refused.text, reports[0].reason, malformed[0].why, str(error)):
        assert shown.isprintable(), shown
