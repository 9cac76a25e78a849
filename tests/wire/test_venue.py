from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.effects import (
    AmendOrder,
    AskAccount,
    CancelBatch,
    CancelOrder,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.errors import InvariantBroken, VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    FillReported,
    OrderReported,
    PrivateMalformed,
    PrivateStreamLive,
    PrivateStreamLost,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.instruments import Side
from aether.domain.orders import OrderType, TimeInForce
from aether.domain.spot_gate import SpotGate, recall
from aether.domain.values import Price, Qty
from aether.kraken.connection import Connector
from aether.kraken.key_standing import BAD_NONCES_LAST_S
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import RestClient
from aether.kraken.venue import KrakenVenue
from aether.observe.metrics import Metrics

BTC = recall("BTC/USD")
ORDER = SubmitOrder(
    cl_ord_id="a1-1-42",
    symbol=BTC,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    post_only=False,
    qty=Qty(Decimal("0.01")),
    limit_price=Price(Decimal("60000.0")),
    deadline_ns=1_790_359_205_000_000_000,
)
CANCEL = CancelOrder("a1-1-42", "O1")
Background = Callable[[Any], None]


@pytest.fixture
def metrics(clock: Any) -> Metrics:
    return Metrics(clock)


@pytest.fixture
def venue(
    toy: Any, connector: Connector, rest: RestClient, gate: SpotGate, *, clock: Any, metrics: Metrics
) -> KrakenVenue:
    toy.answers("GetWebSocketsToken", {"token": "T1", "expires": 900}, {"token": "T2", "expires": 900})
    return KrakenVenue(
        connector,
        rest,
        url=toy.ws_url,
        gate=gate,
        clock=clock,
        limits=Tier.PRO.value,
        answer_s=0.15,
        figures=metrics.counters,
    )


class ToyAccount:
    """Gives both snapshots, beats, and answers orders and cancels as the test says."""

    def __init__(self, toy: Any) -> None:
        self.toy = toy
        self.snapshot = ""
        self.order_answer: str | None = '"success":true,"result":{"order_id":"O1","cl_ord_id":"a1-1-42"}'
        self.order_method = "add_order"
        self.cancel_answer: str | None = '"success":true,"result":{"order_id":"O1"}'
        self.on_order: Callable[[], Any] | None = None
        self.answers: dict[str, str | None] = {}
        toy.on_request = self.answer

    async def answer(self, asked: dict[str, Any], say: Any) -> None:
        params, req_id = asked.get("params", {}), asked.get("req_id")
        if asked["method"] == "ping":
            await say(f'{{"method":"pong","req_id":{req_id}}}')
        elif asked["method"] == "subscribe":
            rows = self.snapshot if params["channel"] == "executions" else ""
            await say(f'{{"channel":"{params["channel"]}","type":"snapshot","data":[{rows}],"sequence":1}}')
        elif asked["method"] == "add_order":
            if self.on_order is not None:
                await self.on_order()
            if self.order_answer is not None:
                await say(f'{{"method":"{self.order_method}","req_id":{req_id},{self.order_answer}}}')
        elif asked["method"] in self.answers:
            said = self.answers[asked["method"]]
            if said is not None:
                await say(f'{{"method":"{asked["method"]}","req_id":{req_id},{said}}}')
        elif asked["method"] == "cancel_order" and self.cancel_answer is not None:
            await say(f'{{"method":"cancel_order","req_id":{req_id},{self.cancel_answer}}}')

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(0.03)
            for socket in self.toy.sockets:
                with suppress(ConnectionError):  # a link may end at any moment, and does so at the end of a test
                    await socket.send_str('{"channel":"heartbeat"}')


@pytest.fixture
async def live(toy: Any, venue: KrakenVenue, heard: Any, background: Background) -> ToyAccount:
    account = ToyAccount(toy)
    background(account.beat())
    background(venue.run(heard.put))
    await heard.wait_for(PrivateStreamLive)
    return account


def orders_sent(toy: Any) -> list[dict[str, Any]]:
    return [asked["params"] for asked in toy.requests if asked["method"] == "add_order"]


async def test_b14_the_stream_is_live_after_its_snapshot_and_takes_a_new_token_each_time(
    live: ToyAccount, toy: Any, heard: Any
) -> None:
    await toy.drop()
    await heard.wait_for(PrivateStreamLive, 2)

    assert heard.of(PrivateStreamLive) == [PrivateStreamLive(1), PrivateStreamLive(2)]
    assert len(heard.of(PrivateStreamLost)) == 1
    tokens = [asked["params"]["token"] for asked in toy.requests if asked["method"] == "subscribe"]
    assert tokens == ["T1", "T1", "T2", "T2"]
    channels = [asked["params"]["channel"] for asked in toy.requests if asked["method"] == "subscribe"]
    assert channels == ["executions", "balances"] * 2


async def test_an_accepted_order_is_sent_once_with_the_present_token(
    live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    assert await venue.submit(ORDER) == SubmitAccepted("a1-1-42", "O1")

    (sent,) = orders_sent(toy)
    assert (sent["token"], sent["cl_ord_id"], sent["deadline"]) == ("T1", "a1-1-42", "2026-09-25T18:00:05.000Z")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("EOrder:Insufficient funds", "venue_funds"),
        ("EOrder:Order minimum not met", "venue_minimum"),
        ("EService:Market in cancel_only mode", "venue_status"),
        ("EOrder:Never seen", "venue_other"),
    ],
)
async def test_c13_c14_a_clear_no_is_a_refusal(error: str, code: str, live: ToyAccount, venue: KrakenVenue) -> None:
    live.order_answer = f'"success":false,"error":"{error}"'

    assert await venue.submit(ORDER) == SubmitRefused("a1-1-42", code, error)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        '"success":false,"error":"EService:Deadline elapsed"',
        '"success":false,"error":"EService:Unavailable"',
        '"success":false,"error":"ENew:Thing"',
        '"success":false',
        '"success":true',
        '"success":true,"result":[]',
        '"success":true,"result":{"order_id":"O1","cl_ord_id":"another"}',
        '"success":true,"result":{"order_id":"O1"},"error":"EGeneral:Internal error"',
        '"success":true,"result":{"order_id":"O1"},"error":"EOrder:Insufficient funds"',
        '"success":false,"result":{"order_id":"O1"},"error":"EOrder:Rate limit exceeded"',
        '"success":false,"result":{"order_id":7},"error":"EOrder:Insufficient funds"',
        '"success":true,"error":"EOrder:Insufficient funds"',
        '"result":{"order_id":"O1","cl_ord_id":"a1-1-42"}',
        '"success":true,"success":true,"result":{"order_id":"O1"}',
    ],
)
async def test_a01_a02_a05_whatever_proves_nothing_is_unknown_and_is_never_sent_again(
    answer: str | None, live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    live.order_answer = answer

    outcome = await venue.submit(ORDER)

    assert isinstance(outcome, SubmitUnknown)
    assert outcome.cl_ord_id == "a1-1-42"
    assert len(orders_sent(toy)) == 1


async def test_a01_a_drop_after_the_send_is_unknown_and_the_new_link_does_not_send_it_again(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    live.order_answer = None
    live.on_order = toy.drop

    outcome = await venue.submit(ORDER)
    await heard.wait_for(PrivateStreamLive, 2)

    assert isinstance(outcome, SubmitUnknown)
    assert "lost" in outcome.why
    assert len(orders_sent(toy)) == 1


async def test_c18_an_order_that_never_left_is_refused_by_us(venue: KrakenVenue, toy: Any) -> None:
    outcome = await venue.submit(ORDER)

    assert isinstance(outcome, SubmitRefused)
    assert outcome.code == "venue_unreachable"
    assert toy.requests == []


async def test_a_symbol_outside_the_gate_breaks_the_invariant_even_unconnected(venue: KrakenVenue) -> None:
    with pytest.raises(InvariantBroken):
        await venue.submit(dataclasses.replace(ORDER, symbol=recall("ETH/BTC")))


async def test_a_stale_token_refuses_the_order_and_brings_a_new_link(
    live: ToyAccount, venue: KrakenVenue, heard: Any
) -> None:
    live.order_answer = '"success":false,"error":"EAPI:Invalid token"'

    assert await venue.submit(ORDER) == SubmitRefused("a1-1-42", "venue_session", "EAPI:Invalid token")

    await heard.wait_for(PrivateStreamLive, 2)


async def test_c05_a_rate_limit_told_by_kraken_stops_orders_of_that_pair_before_the_wire(
    live: ToyAccount, venue: KrakenVenue, toy: Any, metrics: Metrics
) -> None:
    live.order_answer = '"success":false,"error":"EOrder:Rate limit exceeded"'
    await venue.submit(ORDER)

    outcome = await venue.submit(dataclasses.replace(ORDER, cl_ord_id="a1-1-43"))

    assert isinstance(outcome, SubmitRefused)
    assert (outcome.code, len(orders_sent(toy))) == ("venue_counter", 1)
    assert "after " in outcome.text
    shown = metrics.expose("")[0].decode()
    assert 'aether_kraken_errors_total{code="venue_rate_limit",endpoint="add_order"} 1.0' in shown
    assert 'aether_kraken_throttled_total{transport="ws"} 1.0' in shown
    (points,) = re.findall(r'aether_kraken_counter\{pool="BTC/USD"\} (.*)', shown)
    assert 170 < float(points) <= 180
    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done=True, text="")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EGeneral:Temporary lockout", "venue_rate_limit"),
        ("EGeneral:Permission denied", "venue_auth"),
        ("ETrade:User Locked", "venue_auth"),
    ],
)
async def test_what_the_socket_says_of_the_key_stops_orders_cancels_and_rest_alike(
    text: str, code: str, live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    live.order_answer = f'"success":false,"error":"{text}"'
    assert await venue.submit(ORDER) == SubmitRefused("a1-1-42", "venue_auth", text)
    before = len(toy.calls)

    again = await venue.submit(dataclasses.replace(ORDER, cl_ord_id="a1-1-43"))
    cancelled = await venue.cancel(CANCEL)

    assert isinstance(again, SubmitRefused)
    assert (again.code, text in again.text, len(orders_sent(toy))) == (code, True, 1)
    assert (cancelled.done, text in cancelled.text) == (False, True)
    assert isinstance(await venue.account(ASK), AccountUnavailable)
    names = [name for name, _, _ in toy.calls[before:]]
    assert set(names) <= {"Assets"}, "public alone"


async def test_what_rest_says_of_the_key_stops_orders_on_the_socket(
    live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    toy.answers("TradeVolume", "EAPI:Invalid key")
    with pytest.raises(VenueRefused):
        await venue.fees([BTC])

    outcome = await venue.submit(ORDER)

    assert isinstance(outcome, SubmitRefused)
    assert (outcome.code, orders_sent(toy)) == ("venue_auth", [])


async def test_a_lockout_told_over_rest_keeps_orders_back_and_is_no_dead_key(
    live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    toy.answers("BalanceEx", "EGeneral:Temporary lockout")
    toy.answers("Assets", {"ZUSD": {"altname": "USD"}})
    unavailable = await venue.account(ASK)

    outcome = await venue.submit(ORDER)

    assert isinstance(unavailable, AccountUnavailable)
    assert unavailable.code == ""
    assert isinstance(outcome, SubmitRefused)
    assert (outcome.code, orders_sent(toy)) == ("venue_rate_limit", [])


async def test_answers_at_the_same_time_find_their_own_requests(live: ToyAccount, venue: KrakenVenue) -> None:
    async def next_id() -> None:
        live.order_answer = f'"success":true,"result":{{"order_id":"O{next(numbers)}"}}'

    numbers = itertools.count()
    live.on_order = next_id
    orders = [dataclasses.replace(ORDER, cl_ord_id=f"a1-1-{number}") for number in range(10)]

    outcomes = await asyncio.gather(*(venue.submit(order) for order in orders), venue.cancel(CANCEL))

    assert outcomes[:-1] == [SubmitAccepted(order.cl_ord_id, f"O{number}") for number, order in enumerate(orders)]


@pytest.mark.parametrize("said", ['"success":true,"result":{"order_id":"O1"}', '"success":false,"error":"EOrder:x"'])
async def test_a05_an_answer_of_another_method_proves_nothing(
    said: str, live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    live.order_method, live.order_answer = "amend_order", said

    outcome = await venue.submit(ORDER)

    assert isinstance(outcome, SubmitUnknown)
    assert "amend_order" in outcome.why
    assert len(orders_sent(toy)) == 1


async def test_an_answer_that_names_another_order_of_ours_proves_nothing(live: ToyAccount, venue: KrakenVenue) -> None:
    live.order_answer = '"success":true,"result":{"order_id":"O1"}'
    assert await venue.submit(ORDER) == SubmitAccepted("a1-1-42", "O1")

    outcome = await venue.submit(dataclasses.replace(ORDER, cl_ord_id="a1-1-43"))

    assert isinstance(outcome, SubmitUnknown)
    assert venue._stream.states.cl_ord_id("O1") == "a1-1-42"


@pytest.mark.parametrize(
    ("answer", "done", "text"),
    [
        ('"success":true,"result":{"order_id":"O1"}', True, ""),
        ('"success":false,"error":"EOrder:Unknown order"', False, "EOrder:Unknown order"),
        ('"success":true,"error":"EOrder:Unknown order"', False, "EOrder:Unknown order"),
        ('"result":{"order_id":"O1"}', False, ""),
    ],
)
async def test_a15_a17_a_cancel_tells_what_kraken_said(
    answer: str | None, *, done: bool, text: str, live: ToyAccount, venue: KrakenVenue
) -> None:
    live.cancel_answer = answer

    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done, text)


async def test_a_cancel_goes_over_rest_while_the_stream_is_down(venue: KrakenVenue, toy: Any) -> None:
    toy.answers("CancelOrder", {"count": 1}, "EOrder:Unknown order")

    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done=True, text="")
    refused = await venue.cancel(CancelOrder("a1-1-43", ""))

    assert (refused.done, "EOrder:Unknown order" in refused.text) == (False, True)
    assert [{key: value for key, value in fields.items() if key != "nonce"} for _, fields, _ in toy.calls] == [
        {"txid": "O1"},
        {"cl_ord_id": "a1-1-43"},
    ]


# --- amends, batches, and what stops ------------------------------------------------------------------------------

AMEND = AmendOrder(ORDER, dataclasses.replace(ORDER, qty=Qty(Decimal("0.02"))), "O1", "trend", ORDER.deadline_ns)
BATCH = SubmitBatch((ORDER, dataclasses.replace(ORDER, cl_ord_id="a1-1-43")))
CANCELS = CancelBatch((CANCEL, CancelOrder("a1-1-43", "O2")))


def sent(toy: Any, method: str) -> list[dict[str, Any]]:
    return [asked["params"] for asked in toy.requests if asked["method"] == method]


async def test_an_amend_is_sent_once_and_its_answer_is_told(live: ToyAccount, venue: KrakenVenue, toy: Any) -> None:
    live.answers["amend_order"] = '"success":true,"result":{"amend_id":"TA","order_id":"O1"}'

    assert await venue.amend(AMEND) == AmendAccepted("a1-1-42", "TA")
    assert [(asked["order_id"], asked["order_qty"]) for asked in sent(toy, "amend_order")] == [("O1", 0.02)]

    live.answers["amend_order"] = '"success":false,"error":"EOrder:Invalid price"'
    assert await venue.amend(AMEND) == AmendRefused("a1-1-42", "venue_tick", "EOrder:Invalid price")


async def test_a15_an_amend_without_an_answer_is_unknown_and_is_not_sent_again(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    live.answers["amend_order"] = None
    assert isinstance(await venue.amend(AMEND), AmendUnknown)

    await toy.drop()
    await heard.wait_for(PrivateStreamLive, 2)
    assert len(sent(toy, "amend_order")) == 1


async def test_changes_of_one_order_are_asked_one_at_a_time(
    toy: Any, heard: Any, background: Background, *, connector: Connector, rest: RestClient, gate: SpotGate, clock: Any
) -> None:
    toy.answers("GetWebSocketsToken", {"token": "T1", "expires": 900})
    venue = KrakenVenue(connector, rest, url=toy.ws_url, gate=gate, clock=clock, limits=Tier.PRO.value)
    account = ToyAccount(toy)
    account.answers = {"amend_order": None}
    background(account.beat())
    background(venue.run(heard.put))
    await heard.wait_for(PrivateStreamLive)

    async with asyncio.TaskGroup() as group:
        group.create_task(venue.amend(AMEND))
        cancelled = group.create_task(venue.cancel(CANCEL))
        account.order_answer = '"success":true,"result":{"order_id":"O2"}'
        await asyncio.sleep(0)
        await venue.submit(BATCH.orders[1])  # sent after them, and answered: what came before it was heard before it
        methods = [asked["method"] for asked in toy.requests if asked["method"] not in ("ping", "subscribe")]
        assert methods == ["amend_order", "add_order"]
        (req_id,) = [asked["req_id"] for asked in toy.requests if asked["method"] == "amend_order"]
        await toy.say(f'{{"method":"amend_order","req_id":{req_id},"success":false,"error":"EOrder:Unknown order"}}')

    assert cancelled.result() == CancelAnswered("a1-1-42", done=True, text="")


async def test_a_batch_is_sent_once_and_each_order_has_its_outcome(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    live.answers["batch_add"] = '"success":true,"result":[{"order_id":"O1"},{"error":"EOrder:Insufficient funds"}]'

    assert await venue.submit_batch(BATCH) == (
        SubmitAccepted("a1-1-42", "O1"),
        SubmitUnknown("a1-1-43", "EOrder:Insufficient funds"),
    )
    assert len(sent(toy, "batch_add")) == 1
    await toy.say(FILL % 2)
    assert (await heard.wait_for(FillReported)).execution.cl_ord_id == "a1-1-42", "its order is known by both ids"


async def test_a01_a_batch_without_an_answer_is_unknown_order_by_order_and_is_not_sent_again(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    live.answers["batch_add"] = None

    outcomes = await venue.submit_batch(BATCH)
    await toy.drop()
    await heard.wait_for(PrivateStreamLive, 2)

    assert [type(outcome) for outcome in outcomes] == [SubmitUnknown] * 2
    assert len(sent(toy, "batch_add")) == 1


async def test_c18_what_raises_risk_never_leaves_without_a_stream(venue: KrakenVenue, toy: Any) -> None:
    outcomes = [await venue.submit(ORDER), await venue.amend(AMEND), *await venue.submit_batch(BATCH)]

    assert {outcome.code for outcome in outcomes if isinstance(outcome, SubmitRefused | AmendRefused)} == {
        "venue_unreachable"
    }
    assert (len(outcomes), toy.calls, toy.requests) == (4, [], [])


async def test_a_batch_that_does_not_fit_the_pair_s_counter_does_not_leave(
    live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    live.answers["batch_add"] = '"success":true,"result":[{"order_id":"O1"},{"order_id":"O2"}]'
    live.order_answer = '"success":true,"result":{"order_id":"O9"}'
    for number in range(19):
        await venue.submit(dataclasses.replace(ORDER, cl_ord_id=f"b{number}"))

    outcomes = await venue.submit_batch(BATCH)

    assert [outcome.code for outcome in outcomes if isinstance(outcome, SubmitRefused)] == ["venue_counter"] * 2
    assert sent(toy, "batch_add") == []


@pytest.mark.parametrize("is_down", [True, False], ids=["over REST while the stream is down", "over the stream"])
async def test_what_stops_has_a_road_whether_or_not_the_stream_is_up(
    is_down: bool,  # noqa: FBT001
    toy: Any,
    venue: KrakenVenue,
    heard: Any,
    background: Background,
) -> None:
    whole = {"currentTime": "2026-09-25T18:00:00Z", "triggerTime": "2026-09-25T18:01:00Z"}
    if is_down:
        toy.answers("CancelOrderBatch", {"count": 2})
        toy.answers("CancelAll", {"count": 4})
        toy.answers("CancelAllOrdersAfter", whole)
    else:
        account = ToyAccount(toy)
        account.answers = {
            "batch_cancel": '"success":true,"orders_cancelled":2',
            "cancel_all": '"success":true,"result":{"count":4}',
            "cancel_all_orders_after": f'"success":true,"result":{json.dumps(whole)}',
        }
        background(account.beat())
        background(venue.run(heard.put))
        await heard.wait_for(PrivateStreamLive)

    assert await venue.cancel_batch(CANCELS) == (
        CancelAnswered("a1-1-42", done=True, text=""),
        CancelAnswered("a1-1-43", done=True, text=""),
    )
    assert await venue.cancel_all() == CancelAllAnswered(done=True, count=4, text="")
    assert await venue.set_dead_man(SetDeadMan(60)) == DeadManAnswered(
        60, done=True, trigger_ns=1_790_359_260_000_000_000, text=""
    )
    names = {name for name, _, _ in toy.calls}
    assert names == ({"CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"} if is_down else {"GetWebSocketsToken"})


async def test_a_stale_token_keeps_nothing_from_stopping(live: ToyAccount, venue: KrakenVenue, toy: Any) -> None:
    stale = '"success":false,"error":"EAPI:Invalid token"'
    live.cancel_answer = stale
    live.answers = dict.fromkeys(("batch_cancel", "cancel_all", "cancel_all_orders_after"), stale)
    toy.answers("CancelOrder", {"count": 1})
    toy.answers("CancelAll", {"count": 1})

    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done=True, text="")
    assert await venue.cancel_all() == CancelAllAnswered(done=True, count=1, text="")


async def test_a15_what_stops_goes_over_rest_where_a_link_that_lives_does_not_answer(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    live.cancel_answer = None
    live.answers = dict.fromkeys(("batch_cancel", "cancel_all", "cancel_all_orders_after"))
    toy.answers("CancelOrder", {"count": 1}, "EOrder:Unknown order")
    toy.answers("CancelAll", {"count": 2})
    toy.answers("CancelOrderBatch", b"<html>")

    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done=True, text="")
    assert await venue.cancel(CANCEL) == CancelAnswered("a1-1-42", done=False, text="venue_other: EOrder:Unknown order")
    assert await venue.cancel_all() == CancelAllAnswered(done=True, count=2, text="")
    assert [told.done for told in await venue.cancel_batch(CANCELS)] == [False, False]
    assert heard.of(PrivateStreamLost) == []


@pytest.mark.parametrize("answer", ['"success":true,"error":"EOrder:Unknown order"', '"result":{"count":2}'])
async def test_a15_what_stops_and_got_no_clear_yes_is_not_done(
    answer: str, live: ToyAccount, venue: KrakenVenue
) -> None:
    live.answers = dict.fromkeys(("batch_cancel", "cancel_all", "cancel_all_orders_after"), answer)

    assert [told.done for told in await venue.cancel_batch(CANCELS)] == [False, False]
    assert not (await venue.cancel_all()).done
    assert not (await venue.set_dead_man(SetDeadMan(60))).done


async def test_c11_a_page_of_the_edge_is_no_answer_to_what_stops_either(venue: KrakenVenue, toy: Any) -> None:
    for name in ("CancelOrder", "CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"):
        toy.answers(name, b"<html>502</html>")

    assert not (await venue.cancel(CANCEL)).done
    assert [told.done for told in await venue.cancel_batch(CANCELS)] == [False, False]
    assert not (await venue.cancel_all()).done
    assert not (await venue.set_dead_man(SetDeadMan(0))).done
    assert len(toy.calls) == 4


FILL = (
    '{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade",'
    '"order_status":"filled","exec_id":"T1","symbol":"BTC/USD","side":"buy","last_qty":0.01,"last_price":60000.0,'
    '"cost":600.0,"cum_qty":0.01,"liquidity_ind":"m","fees":[{"asset":"USD","qty":1.5}]}],"sequence":%d}'
)


async def test_a07_a08_a_fill_before_its_answer_and_one_after_are_both_told(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    async def fill_first() -> None:
        await toy.say(FILL % 2)

    live.on_order = fill_first
    await venue.submit(ORDER)
    await toy.say((FILL % 3).replace("T1", "T2"))
    await heard.wait_for(FillReported, 2)

    assert [told.execution.cl_ord_id for told in heard.of(FillReported)] == [None, "a1-1-42"]
    assert len(heard.of(OrderReported)) == 2


async def test_kraken_s_count_of_a_limit_holds_orders_back(live: ToyAccount, venue: KrakenVenue, toy: Any) -> None:
    await venue.submit(ORDER)
    await toy.say(
        '{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"pending_new","side":"buy",'
        '"symbol":"BTC/USD","ratecount":171}],"sequence":2}'
    )
    outcome: Any = SubmitAccepted("", "")
    for number in range(200):  # until the frame is heard
        outcome = await venue.submit(dataclasses.replace(ORDER, cl_ord_id=f"b{number}"))
        if isinstance(outcome, SubmitRefused):
            break

    assert outcome.code == "venue_counter"
    assert len(orders_sent(toy)) < 20, "171 of 180 points are in use"


async def test_what_rests_by_the_snapshot_takes_its_place_and_what_a_later_one_lacks_gives_it_back(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    places = Tier.PRO.value.open_orders_max
    live.snapshot = (
        '{"order_id":"O9","cl_ord_id":"older","exec_type":"new","order_status":"new","side":"buy","symbol":"BTC/USD",'
        '"order_type":"limit","order_qty":0.1,"limit_price":1.0}'
    )
    await toy.drop()
    await heard.wait_for(PrivateStreamLive, 2)
    assert venue._counters.open_places(BTC) == places - 1
    live.snapshot = ""
    await toy.drop()
    await heard.wait_for(PrivateStreamLive, 3)

    assert venue._counters.open_places(BTC) == places


async def test_a16_a_late_fill_of_an_order_that_ended_takes_no_place_again(
    live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    await venue.submit(ORDER)
    ended = '{"order_id":"O1","cl_ord_id":"a1-1-42","exec_type":"canceled","order_status":"canceled"}'
    late = (
        '{"order_id":"O1","exec_type":"trade","order_status":"partially_filled","symbol":"BTC/USD","side":"buy",'
        '"exec_id":"T1","last_qty":0.001,"last_price":60000.0,"cost":60.0,"fees":[]}'
    )
    await toy.say(f'{{"channel":"executions","type":"update","data":[{ended},{late}],"sequence":2}}')
    await heard.wait_for(FillReported)

    assert venue._counters.open_places(BTC) == Tier.PRO.value.open_orders_max


async def test_a07_an_end_that_came_before_the_answer_and_without_our_id_leaves_no_order_behind(
    live: ToyAccount, venue: KrakenVenue, toy: Any
) -> None:
    async def end_first() -> None:
        await toy.say(
            '{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"canceled",'
            '"order_status":"canceled"}],"sequence":2}'
        )

    live.on_order = end_first
    assert await venue.submit(ORDER) == SubmitAccepted("a1-1-42", "O1")

    assert venue._counters.open_places(BTC) == Tier.PRO.value.open_orders_max


async def test_a_cancel_of_all_that_was_answered_is_no_longer_under_way(live: ToyAccount, venue: KrakenVenue) -> None:
    await venue.submit(ORDER)
    live.answers["cancel_all"] = '"success":false,"error":"EService:Unavailable"'
    for _ in range(3):
        assert not (await venue.cancel_all()).done
    venue._adopt_count(BTC, 1_000)

    assert venue._counters.wait_for_cancel_ns(("a1-1-42",), venue._clock.monotonic_ns()) == 0
    assert venue._counters.count_milli(BTC, venue._clock.monotonic_ns()) <= 1_000


async def test_a03_an_order_that_never_lived_gives_its_place_back_once_no_view_has_it(
    account_answers: Any, live: ToyAccount, venue: KrakenVenue, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.order_answer = None
    assert isinstance(await venue.submit(ORDER), SubmitUnknown)
    await venue.account(ASK)
    assert venue._counters.open_places(BTC) == Tier.PRO.value.open_orders_max - 1, "it may be on its way"

    monkeypatch.setattr("aether.kraken.venue.FORGOTTEN_AFTER_NS", 0)
    async with asyncio.timeout(10):  # a slow machine may lose the stream meanwhile, and has it again
        while True:
            seen = await venue.account(ASK)
            if isinstance(seen, AccountSeen) and "executions" in seen.views:
                break

    assert venue._counters.open_places(BTC) == Tier.PRO.value.open_orders_max


async def test_a_balance_that_cannot_be_read_asks_for_the_account(live: ToyAccount, toy: Any, heard: Any) -> None:
    await toy.say('{"channel":"balances","type":"update","data":[{"asset":"USD"}],"sequence":2}')

    assert "balances" in (await heard.wait_for(PrivateMalformed)).why
    assert heard.of(PrivateStreamLost) == []


@pytest.mark.parametrize("sequence", [1, 3, 99])
async def test_b02_a_gap_or_a_repeat_ends_the_stream_but_loses_no_fill(
    sequence: int, live: ToyAccount, toy: Any, heard: Any
) -> None:
    await toy.say(FILL % sequence)
    lost = await heard.wait_for(PrivateStreamLost)
    await heard.wait_for(PrivateStreamLive, 2)

    assert lost.why == f"executions: frame {sequence} where 2 was due"
    assert len(heard.of(FillReported)) == 1


async def test_balances_count_for_themselves(live: ToyAccount, toy: Any, heard: Any) -> None:
    await toy.say('{"channel":"balances","type":"update","data":[],"sequence":2}')
    await toy.say(FILL % 2)
    await heard.wait_for(FillReported)
    assert heard.of(PrivateStreamLost) == []
    await toy.say('{"channel":"balances","type":"update","data":[],"sequence":4}')

    assert (await heard.wait_for(PrivateStreamLost)).why == "balances: frame 4 where 3 was due"


async def test_a_private_message_that_cannot_be_read_is_told_and_the_reader_lives(
    live: ToyAccount, toy: Any, heard: Any
) -> None:
    await toy.say('{"channel":"executions","type":"update","data":[{"exec_type":"trade"}],"sequence":2}')
    await toy.say('{"channel":"executions","type":')
    await heard.wait_for(PrivateMalformed, 2)
    await toy.say(FILL % 3)

    await heard.wait_for(FillReported)
    assert heard.of(PrivateStreamLost) == []


async def test_a_refused_subscription_ends_the_link(
    toy: Any, venue: KrakenVenue, heard: Any, background: Background
) -> None:
    async def refuse(asked: dict[str, Any], say: Any) -> None:
        await say('{"channel":"executions","error":"ESession:Invalid session","method":"subscribe","success":false}')

    toy.on_request = refuse
    background(venue.run(heard.put))

    lost = await heard.wait_for(PrivateStreamLost)
    assert "ESession:Invalid session" in lost.why
    assert lost.code == ""


async def test_a_subscription_refused_for_the_key_takes_no_second_token(
    toy: Any, venue: KrakenVenue, heard: Any, background: Background
) -> None:
    async def refuse(asked: dict[str, Any], say: Any) -> None:
        await say('{"error":"EGeneral:Permission denied","method":"subscribe","success":false}')

    toy.on_request = refuse
    background(venue.run(heard.put))
    await heard.wait_for(PrivateStreamLost, 2)

    assert [name for name, _, _ in toy.calls] == ["GetWebSocketsToken"]
    assert [lost.code for lost in heard.of(PrivateStreamLost)][:2] == ["venue_auth"] * 2


@pytest.mark.parametrize(("answer", "code"), [("EAPI:Invalid key", "venue_auth"), ("EService:Unavailable", "")])
async def test_a_token_refused_for_the_key_tells_so(
    answer: str, *, code: str, toy: Any, venue: KrakenVenue, heard: Any, background: Background
) -> None:
    toy.answers("GetWebSocketsToken", answer)
    background(venue.run(heard.put))

    lost = await heard.wait_for(PrivateStreamLost)

    assert answer in lost.why
    assert lost.code == code


# --- the account over REST ------------------------------------------------------------------------------------------


def order_row(cl_ord_id: str | None, status: str = "closed", pair: str = "XBTUSD") -> dict[str, Any]:
    descr = {"pair": pair, "type": "buy", "ordertype": "limit", "price": "60000.0", "leverage": "none"}
    return {
        "status": status, "descr": descr, "vol": "1.0", "vol_exec": "0.5", "opentm": 1790000000.5,
        "cl_ord_id": cl_ord_id,
    }  # fmt: skip


def trade_row(order_id: str, pair: str = "XXBTZUSD") -> dict[str, Any]:
    return {
        "ordertxid": order_id, "pair": pair, "time": 1790000001.25, "type": "buy", "price": "60000.0",
        "cost": "600.0", "fee": "1.5", "vol": "0.01", "maker": True, "leverage": "0",
    }  # fmt: skip


@pytest.fixture
def account_answers(toy: Any) -> Any:
    toy.answers("Assets", {"XXBT": {"altname": "XBT"}, "ZUSD": {"altname": "USD"}})
    toy.answers("BalanceEx", {"XXBT": {"balance": "1.5", "hold_trade": "0.5"}, "XBT.F": {"balance": "2"}})
    toy.answers("OpenOrders", {"open": {"O1": order_row("a1-1-1", "open")}})
    toy.answers("ClosedOrders", {"closed": {}, "count": 0})
    toy.answers("TradesHistory", {"trades": {}, "count": 0})
    return toy


ASK = AskAccount("start", 1_790_000_000_000_000_000)


async def test_the_account_names_the_views_that_answered(account_answers: Any, venue: KrakenVenue, clock: Any) -> None:
    before_ns = clock.wall_ns()

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert seen.views == ("balances", "open", "closed", "trades")
    assert [(b.asset, b.total, b.held) for b in seen.balances] == [
        ("BTC", Decimal("1.5"), Decimal("0.5")),
        ("BTC.F", Decimal(2), Decimal(0)),
    ]
    assert [(o.cl_ord_id, o.symbol, o.status) for o in seen.open_orders] == [("a1-1-1", BTC, "partially_filled")]
    assert before_ns <= seen.asked_ns <= seen.answered_ns
    assert seen.since_ns == ASK.since_ns


async def test_the_live_stream_is_a_view_of_its_own(
    account_answers: Any, live: ToyAccount, venue: KrakenVenue, toy: Any, heard: Any
) -> None:
    await toy.say(
        '{"channel":"executions","type":"update","data":[{"order_id":"O1","cl_ord_id":"a1-1-1","symbol":"BTC/USD",'
        '"exec_type":"pending_new","order_status":"pending_new","side":"buy","order_qty":1.0}],"sequence":2}'
    )
    await heard.wait_for(OrderReported)

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert "executions" in seen.views
    assert list(seen.live_cl_ord_ids) == ["a1-1-1"]


async def test_pages_are_turned_until_all_is_seen_and_rows_met_twice_count_once(
    account_answers: Any, venue: KrakenVenue
) -> None:
    toy = account_answers
    toy.answers(
        "ClosedOrders",
        {"closed": {f"O{n}": order_row(None) for n in range(50)}, "count": 52},
        {"closed": {f"O{n}": order_row(None) for n in (49, 50, 51)}, "count": 53},
    )
    toy.answers(
        "TradesHistory",
        {"trades": {f"T{n}": trade_row("O1") for n in range(50)}, "count": 51},
        {"trades": {f"T{n}": trade_row("O1") for n in (49, 50)}, "count": 51},
    )

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert (len(seen.closed_orders), len(seen.fills)) == (52, 51)
    pages = [(name, fields["ofs"], fields["start"]) for name, fields, _ in toy.calls if "ofs" in fields]
    asked_singly = [fields["consolidate_taker"] for name, fields, _ in toy.calls if name == "TradesHistory"]
    assert asked_singly == ["false", "false"], "added up, one id would stand for several fills"
    assert pages == [
        ("ClosedOrders", "0", "1789999999"),
        ("ClosedOrders", "50", "1789999999"),
        ("TradesHistory", "0", "1789999999"),
        ("TradesHistory", "50", "1789999999"),
    ]


def ledger_row(kind: str, amount: str, balance: str, asset: str = "ZUSD", **more: Any) -> dict[str, Any]:
    return {
        "refid": "Q1", "time": 1790000002.5, "type": kind, "subtype": "", "aclass": "currency", "asset": asset,
        "amount": amount, "fee": "0.0000", "balance": balance, **more,
    }  # fmt: skip


async def test_e08_the_ledger_is_read_where_it_is_asked_for_and_oldest_first(
    account_answers: Any, venue: KrakenVenue
) -> None:
    """E09: what earns is an asset of its own, which is no free money."""
    toy = account_answers
    rows = {
        "L3": ledger_row("earn", "0.5", "0.5", "XBT.F", subtype="allocation"),
        "L2": ledger_row("earn", "-0.5", "1.0", "XXBT", subtype="allocation"),
        "L1": ledger_row("deposit", "500.0000", "600.0000", time=1790000001.25),
    }
    toy.answers("Ledgers", {"ledger": rows, "count": 3})

    seen, without = await venue.account(replace(ASK, with_ledgers=True)), await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert isinstance(without, AccountSeen)
    assert (seen.views[-1], without.views[-1], without.entries) == ("ledgers", "trades", ())
    assert [(e.entry_id, e.kind, e.subtype, e.asset, e.net, e.balance) for e in seen.entries] == [
        ("L1", "deposit", "", "USD", Decimal(500), Decimal(600)),
        ("L2", "earn", "allocation", "BTC", Decimal("-0.5"), Decimal(1)),
        ("L3", "earn", "allocation", "BTC.F", Decimal("0.5"), Decimal("0.5")),
    ]
    assert seen.entries[0].venue_ns == 1_790_000_001_250_000_000


async def test_ledger_rows_that_shift_to_a_later_page_are_met_twice_and_none_is_lost(
    account_answers: Any, venue: KrakenVenue
) -> None:
    toy = account_answers
    first = {f"L{n}": ledger_row("deposit", "1.0000", "1.0000") for n in range(60, 10, -1)}
    second = {f"L{n}": ledger_row("deposit", "1.0000", "1.0000") for n in range(11, 0, -1)}
    toy.answers("Ledgers", {"ledger": first, "count": 60}, {"ledger": second, "count": 61})

    seen = await venue.account(replace(ASK, with_ledgers=True))

    assert isinstance(seen, AccountSeen)
    assert [entry.entry_id for entry in seen.entries] == [f"L{n}" for n in range(1, 61)]
    asked = [(fields["ofs"], fields["start"]) for name, fields, _ in toy.calls if name == "Ledgers"]
    assert asked == [("0", "1789999999"), ("50", "1789999999")]


@pytest.mark.parametrize(
    "row",
    [
        ledger_row("deposit", "NaN", "1"),
        ledger_row("deposit", "1", "1e99"),
        ledger_row("deposit", "1", "1", fee=None),
        {"type": "deposit"},
        [],
    ],
)
async def test_a_ledger_row_that_cannot_be_read_ends_the_look(
    row: Any, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers("Ledgers", {"ledger": {"L1": row}, "count": 1})

    assert isinstance(await venue.account(replace(ASK, with_ledgers=True)), AccountUnavailable)


async def test_b16_an_unknown_kind_of_ledger_row_goes_on_as_it_is(account_answers: Any, venue: KrakenVenue) -> None:
    row = ledger_row("moon\x1bdust", "1", "1", refid=None, subtype=None)
    del row["balance"]
    account_answers.answers("Ledgers", {"ledger": {"L1": row}})

    seen = await venue.account(replace(ASK, with_ledgers=True))

    assert isinstance(seen, AccountSeen)
    (entry,) = seen.entries
    assert (entry.kind, entry.refid, entry.subtype, entry.balance) == ("moon\\x1bdust", "", "", None)


async def test_pages_without_a_count_are_turned_until_one_is_not_full(account_answers: Any, venue: KrakenVenue) -> None:
    toy = account_answers
    toy.answers(
        "ClosedOrders", {"closed": {f"O{n}": order_row(None) for n in range(50)}}, {"closed": {"O50": order_row(None)}}
    )
    toy.answers(
        "TradesHistory", {"trades": {f"T{n}": trade_row("O1") for n in range(50)}}, {"trades": {"T50": trade_row("O1")}}
    )

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert (len(seen.closed_orders), len(seen.fills)) == (51, 51)
    assert [fields["ofs"] for _, fields, _ in toy.calls if "ofs" in fields] == ["0", "50", "0", "50"]


@pytest.mark.parametrize(
    ("endpoint", "page"),
    [
        ("ClosedOrders", {"closed": {"O1": order_row(None)}, "count": 10**9}),
        ("TradesHistory", {"trades": {"T1": trade_row("O1")}, "count": 10**9}),
    ],
)
async def test_a_page_that_comes_again_and_again_ends_the_look(
    endpoint: str, page: Any, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers(endpoint, page)

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountUnavailable)
    assert "nothing new" in seen.why
    assert [name for name, _, _ in account_answers.calls].count(endpoint) == 2


async def test_a_trade_learns_its_order_s_id_from_the_orders_or_by_asking(
    account_answers: Any, venue: KrakenVenue
) -> None:
    toy = account_answers
    toy.answers("ClosedOrders", {"closed": {"O2": order_row("a1-1-2")}, "count": 1})
    trades = {"T1": trade_row("O1"), "T2": trade_row("O2"), "T3": trade_row("O3"), "T4": trade_row("O4", "XETHXXBT")}
    toy.answers("TradesHistory", {"trades": trades, "count": 4})
    toy.answers("QueryOrders", {"O3": order_row("a1-1-3"), "O4": order_row(None, pair="ETHXBT")})

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert [(fill.exec_id, fill.cl_ord_id, fill.symbol) for fill in seen.fills] == [
        ("T1", "a1-1-1", BTC),
        ("T2", "a1-1-2", BTC),
        ("T3", "a1-1-3", BTC),
        ("T4", None, None),
    ]
    assert next(fields["txid"] for name, fields, _ in toy.calls if name == "QueryOrders") == "O3,O4"
    assert [fill.fees[0].asset for fill in seen.fills] == ["USD", "USD", "USD", "UNKNOWN"]


async def test_an_order_with_leverage_is_not_ours(account_answers: Any, venue: KrakenVenue) -> None:
    row = order_row(None, "open")
    row["descr"]["leverage"] = "2:1"
    account_answers.answers("OpenOrders", {"open": {"O1": row}})

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert (seen.open_orders[0].name, seen.open_orders[0].symbol) == ("XBTUSD", None)


@pytest.mark.parametrize(("margin", "symbol"), [(False, BTC), (None, BTC), ("0.00000", BTC), (True, None), ("?", None)])
async def test_an_order_that_is_said_to_be_of_margin_is_not_ours(
    margin: Any, symbol: str | None, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers("OpenOrders", {"open": {"O1": {**order_row(None, "open"), "margin": margin}}})

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert seen.open_orders[0].symbol == symbol


@pytest.mark.parametrize(
    ("said", "symbol"),
    [
        ({"margin": "0.00000"}, BTC),
        ({"margin": 0, "posstatus": None}, BTC),
        ({"margin": "120.5"}, None),
        ({"leverage": "2"}, None),
        ({"posstatus": "closed"}, None),
        ({"position_status": "open"}, None),
    ],
)
async def test_a_trade_of_margin_is_not_ours_and_keeps_its_fee_s_asset(
    said: dict[str, Any], symbol: str | None, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers("TradesHistory", {"trades": {"T1": {**trade_row("O1"), **said}}, "count": 1})

    seen = await venue.account(ASK)

    assert isinstance(seen, AccountSeen)
    assert (seen.fills[0].symbol, seen.fills[0].fees[0].asset) == (symbol, "USD")


@pytest.mark.parametrize(("time_s", "is_seen"), [(9_223_372_036, True), (9_223_372_037, False), (1e12, False)])
async def test_a_trade_s_time_beyond_64_bits_makes_the_account_unreadable(
    time_s: float, *, is_seen: bool, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers("TradesHistory", {"trades": {"T1": {**trade_row("O1"), "time": time_s}}, "count": 1})

    assert isinstance(await venue.account(ASK), AccountSeen if is_seen else AccountUnavailable)


@pytest.mark.parametrize("endpoint", ["Assets", "BalanceEx", "OpenOrders", "ClosedOrders", "TradesHistory"])
@pytest.mark.parametrize("answer", ["EService:Unavailable", "EGeneral:Permission denied", [], {"open": 3}])
async def test_a_view_that_cannot_be_had_makes_the_account_unavailable(
    endpoint: str, answer: Any, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers(endpoint, answer)

    assert isinstance(await venue.account(ASK), AccountUnavailable)


@pytest.mark.parametrize(
    ("answer", "code"),
    [("EAPI:Invalid key", "venue_auth"), ("EQuery:Invalid asset", ""), ("EService:Unavailable", "")],
)
async def test_a_look_tells_whether_it_failed_for_the_key(
    answer: str, code: str, account_answers: Any, venue: KrakenVenue
) -> None:
    account_answers.answers("OpenOrders", answer)

    unavailable = await venue.account(ASK)

    assert isinstance(unavailable, AccountUnavailable)
    assert unavailable.code == code


async def test_bad_nonces_are_a_dead_key_once_they_go_on(account_answers: Any, venue: KrakenVenue, clock: Any) -> None:
    account_answers.answers("BalanceEx", "EAPI:Invalid nonce")

    looks = [await venue.account(ASK) for _ in range(2)]
    clock.lapse(BAD_NONCES_LAST_S)
    looks.append(await venue.account(ASK))

    assert [look.code for look in looks if isinstance(look, AccountUnavailable)] == ["", "", "venue_auth"]


async def test_rates_are_told_in_basis_points(toy: Any, venue: KrakenVenue) -> None:
    toy.answers("TradeVolume", {"fees": {"XXBTZUSD": {"fee": "0.4000"}}, "fees_maker": {"XXBTZUSD": {"fee": "0.2500"}}})

    (fees,) = await venue.fees([BTC])

    assert (fees.symbol, fees.taker_bps, fees.maker_bps) == (BTC, Decimal(40), Decimal(25))
    assert toy.calls[0][1]["pair"] == "BTC/USD"


async def test_b04_a_symbol_without_a_rate_keeps_no_other_from_having_its_own(toy: Any, venue: KrakenVenue) -> None:
    toy.answers("TradeVolume", {"fees": {"XXBTZUSD": {"fee": "0.4000"}, "XETHZUSD": {"fee": "0.1"}}})

    assert [fees.symbol for fees in await venue.fees([BTC, recall("SOL/USD")])] == [BTC]


@pytest.mark.parametrize("answer", [{"fees": None, "fees_maker": None}, {"fees": {}}, {"fees": 1}])
async def test_rates_that_are_not_told_are_unavailable(answer: Any, toy: Any, venue: KrakenVenue) -> None:
    toy.answers("TradeVolume", answer)

    with pytest.raises(VenueUnavailable, match="TradeVolume"):
        await venue.fees([BTC])
