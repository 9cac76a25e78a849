"""Trouble on the wire, without a wire: what becomes of calls and frames while a plan's rates and windows hold."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.sim.fault_wire import Reply
from aether.sim.faults import FaultBox
from aether.sim.ws_api import Door
from aether.simulator.faults.mutes import Mutes
from aether.simulator.faults.tally import Tally
from aether.simulator.faults.windows import Windows
from aether.simulator.faults.wire import WireFaults, crossed
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.plan import ONE, Fault, Plan, Rate
from aether.simulator.trouble import WELL, Fate

START_NS = 1_790_000_000 * NANOS_PER_S
BEAT = b'{"channel":"heartbeat"}'
FILL = b'{"channel":"executions","type":"update","data":[{"exec_id":"T","last_qty":1.0}],"sequence":7}'
SNAPSHOT = b'{"channel":"executions","type":"snapshot","data":[],"sequence":1}'
ANSWER = b'{"method":"add_order","req_id":4,"result":{"order_id":"O"},"success":true}'
REQUEST = b'{"method":"add_order","params":{"side":"buy"},"req_id":4}'
SOUND = Reply('{"error":[],"result":{"a":1}}')


@dataclass
class HandTime:
    """Time stands still until the test moves it."""

    now_ns: int = START_NS
    cuts: list[Door | None] = field(default_factory=list)

    def after(self, delay_ns: int, act: Callable[[], None]) -> None:
        raise AssertionError("nothing on the wire waits for a time")

    def cut(self, door: Door | None) -> int:
        self.cuts.append(door)
        return 1


def faults_of(*rates: Rate) -> tuple[WireFaults, HandTime, Tally, FaultBox]:
    time, tally, box = HandTime(), Tally(), FaultBox()
    plan = Plan(1, 3_600 * NANOS_PER_S, 3_000 * NANOS_PER_S, rates=rates)
    return WireFaults(plan, box, time, tally, time.cut), time, tally, box


def strike(faults: WireFaults, kind: str, draw: int = 1, **parameters: int) -> bool:
    return faults.acts()[kind](Fault(1, 0, kind, draw, parameters))


def answer(fate: Fate) -> str:
    if fate.instead is not None:
        return fate.instead.text
    return fate.rewrite(SOUND).text if fate.rewrite else SOUND.text


WINDOWS = tuple(name for name, kind in KINDS.items() if kind.fault_class is FaultClass.REFUSALS)


def test_every_kind_of_these_classes_is_carried_out() -> None:
    acts = set(faults_of()[0].acts())
    assert acts == {
        name for name, kind in KINDS.items() if kind.fault_class in (FaultClass.STREAM, FaultClass.REFUSALS)
    }


def test_without_a_plan_all_is_well() -> None:
    faults, *_ = faults_of()
    assert faults.called("AddOrder", is_private=True) is WELL
    assert faults.told("private", FILL) == (FILL,)
    assert faults.asked("private", REQUEST)
    assert faults.refuses("public") == ""
    assert faults.delay_ns() == 0


# --- rates --------------------------------------------------------------------------------------------------------


def test_private_requests_are_lost_a03() -> None:
    faults, _, tally, _ = faults_of(Rate("request_lost", ONE, 1))
    assert not faults.asked("private", REQUEST)
    assert not faults.called("OpenOrders", is_private=True).arrives
    assert faults.called("Time", is_private=False) == WELL
    assert faults.asked("private", b'{"method":"ping","req_id":1}')
    assert faults.asked("public", REQUEST)
    assert tally.rows["A03"] == 2


def test_answers_to_private_requests_are_lost_a01() -> None:
    faults, _, tally, _ = faults_of(Rate("response_lost", ONE, 1))
    assert faults.told("private", ANSWER) == ()
    assert faults.told("private", FILL) == (FILL,)
    assert not faults.called("AddOrder", is_private=True).answers
    assert tally.rows["A01"] == 2


def test_answers_come_twice_a06() -> None:
    faults, _, tally, _ = faults_of(Rate("response_doubled", ONE, 1))
    assert faults.told("private", ANSWER) == (ANSWER, ANSWER)
    assert tally.rows["A06"] == 1


def test_a_rate_strikes_as_often_as_it_says() -> None:
    faults, *_ = faults_of(Rate("request_lost", 150_000, 5))
    lost = sum(not faults.asked("private", REQUEST) for _ in range(4_000))
    assert 520 < lost < 680


def test_a_slow_message_is_late_within_its_bound() -> None:
    faults, *_ = faults_of(Rate("slow", ONE, 1, {"upto_ms": 2_000}))
    delays = [faults.delay_ns() for _ in range(200)]
    assert min(delays) >= 100 * NANOS_PER_MS
    assert max(delays) <= 2_000 * NANOS_PER_MS


def test_hurt_messages_are_counted_by_the_row_of_their_wound() -> None:
    faults, _, tally, _ = faults_of(Rate("malformed", ONE, 1))
    hurt = [faults.told("private", FILL)[0] for _ in range(200)]
    assert FILL not in hurt
    assert {"D01", "D02", "D06", "D07", "D09"} <= set(tally.rows)
    rewrite = faults.called("Balance", is_private=True).rewrite
    assert rewrite is not None
    assert rewrite(SOUND) != SOUND


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in WINDOWS if kind != "order_rate_limit"])
def test_a_window_strikes_calls_until_it_closes(kind: str) -> None:
    faults, time, tally, _ = faults_of()
    assert not strike(faults, kind, for_ms=1_000, per_million=ONE)
    fate = faults.called("AddOrder", is_private=True)
    assert fate.refused or answer(fate) != SOUND.text
    assert tally.kinds[kind] == 1
    time.now_ns += 1_001 * NANOS_PER_MS
    assert faults.called("AddOrder", is_private=True) is WELL


def test_a_window_strikes_its_share_of_calls() -> None:
    faults, *_ = faults_of()
    strike(faults, "unavailable", for_ms=1_000, per_million=200_000)
    struck = sum(faults.called("Balance", is_private=True) is not WELL for _ in range(2_000))
    assert 330 < struck < 470


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("unavailable", "EService:Unavailable"),
        ("throttled", f"EService: Throttled: {1_790_000_010}"),
        ("lockout", "EGeneral:Temporary lockout"),
    ],
)
def test_errors_bear_krakens_words(kind: str, text: str) -> None:
    faults, *_ = faults_of()
    strike(faults, kind, for_ms=1_000, per_million=ONE)
    assert json.loads(answer(faults.called("AddOrder", is_private=True)))["error"] == [text]


def test_what_may_live_is_carried_out_as_often_as_not_c09() -> None:
    faults, *_ = faults_of()
    strike(faults, "busy", for_ms=1_000, per_million=ONE)
    fates = Counter(faults.called("AddOrder", is_private=True).instead is None for _ in range(200))
    assert 60 < fates[True] < 140


@pytest.mark.parametrize("kind", ["rate_limited", "lockout", "throttled", "invalid_nonce", "captcha", "too_many"])
def test_what_is_certainly_refused_is_never_carried_out(kind: str) -> None:
    faults, *_ = faults_of()
    strike(faults, kind, for_ms=1_000, per_million=ONE)
    assert all(faults.called("AddOrder", is_private=True).instead is not None for _ in range(50))


def test_funds_lack_for_orders_alone_a28() -> None:
    faults, *_ = faults_of()
    strike(faults, "insufficient_funds", for_ms=1_000, per_million=ONE)
    assert faults.called("Balance", is_private=True) is WELL
    assert "Insufficient funds" in answer(faults.called("AddOrder", is_private=True))


def test_a_request_on_a_socket_is_refused_at_krakens_end() -> None:
    faults, _, tally, box = faults_of()
    strike(faults, "rate_limited", for_ms=1_000, per_million=ONE)
    assert faults.asked("private", REQUEST)
    (fault,) = box.armed
    assert (fault.kind.name, fault.text, fault.executed) == ("error", "EAPI:Rate limit exceeded", False)
    assert fault.where == {"method": "add_order", "door": "private"}
    assert tally.rows["C04"] == 1


def test_no_link_can_be_made_while_connections_are_refused_c18() -> None:
    faults, *_ = faults_of()
    strike(faults, "connect_refused", for_ms=1_000, per_million=200_000)
    assert faults.refuses("private") == "connection refused"
    assert faults.called("Time", is_private=False).refused


def test_errors_are_mixed_with_a_result_c15() -> None:
    faults, *_ = faults_of()
    strike(faults, "mixed_errors", for_ms=1_000, per_million=ONE)
    told = json.loads(answer(faults.called("AddOrder", is_private=True)))
    assert len(told["error"]) == 2
    assert told["result"] == {"a": 1}


def test_an_answer_is_a_text_within_a_text_c17() -> None:
    faults, *_ = faults_of()
    strike(faults, "text_in_text", for_ms=1_000, per_million=ONE)
    assert json.loads(answer(faults.called("AddOrder", is_private=True))) == SOUND.text


def test_windows_close_when_it_is_calm() -> None:
    windows = Windows(HandTime(), Tally())
    windows.acts()["lockout"](Fault(1, 0, "lockout", 1, {"for_ms": 10_000, "per_million": 1}))
    assert windows.fate_of_call("AddOrder", is_private=True) is not None
    windows.calm()
    assert windows.fate_of_call("AddOrder", is_private=True) is None


# --- sockets ------------------------------------------------------------------------------------------------------


def both(faults: WireFaults, frame: bytes) -> set[Door]:
    doors: tuple[Door, ...] = ("private", "public")
    return {door for door in doors if faults.told(door, frame)}


def test_a_mute_socket_says_nothing_for_a_while_b08() -> None:
    faults, time, *_ = faults_of()
    assert strike(faults, "socket_mute", for_ms=5_000)
    assert len(both(faults, BEAT)) == 1
    assert both(faults, BEAT) == both(faults, FILL)
    time.now_ns += 5_001 * NANOS_PER_MS
    assert len(both(faults, BEAT)) == 2


def test_a_socket_sends_heartbeats_and_nothing_else_b07() -> None:
    faults, *_ = faults_of()
    strike(faults, "heartbeats_only", for_ms=5_000)
    assert len(both(faults, BEAT)) == 2
    assert len(both(faults, FILL)) == 1


def test_one_channel_is_silent_while_others_speak_a14() -> None:
    time = HandTime()
    mutes = Mutes(time)
    draw = next(
        draw
        for draw in range(100)
        if (fresh := Mutes(time)).begin(Fault(1, 0, "channel_mute", draw, {"for_ms": 5_000})) == "private"
        and fresh.keep("private", "executions", "update")
    )
    mutes.begin(Fault(1, 0, "channel_mute", draw, {"for_ms": 5_000}))
    assert not mutes.keep("private", "balances", "update")
    assert not mutes.keep("private", "heartbeat", "")
    time.now_ns += 5_001 * NANOS_PER_MS
    assert not mutes.keep("private", "executions", "update")
    assert not mutes


def test_a_snapshot_never_comes_until_it_is_asked_for_anew_b09() -> None:
    time = HandTime()
    draw = next(
        draw
        for draw in range(100)
        if (fresh := Mutes(time)).begin(Fault(1, 0, "no_snapshot", draw)) == "private"
        and fresh.keep("private", "executions", "snapshot")
    )
    mutes = Mutes(time)
    mutes.begin(Fault(1, 0, "no_snapshot", draw))
    frames = ("update", "snapshot", "update", "snapshot", "update")
    assert [mutes.keep("private", "executions", kind) for kind in frames] == [False, True, True, False, False]


def test_what_strikes_at_krakens_end_is_counted_when_it_strikes() -> None:
    faults, time, tally, box = faults_of()
    assert not strike(faults, "sequence_gap")
    assert tally.kinds == {}
    assert box.take("frame", {"channel": "executions", "type": "update"}, time.now_ns) is not None
    faults.count()
    faults.count()
    assert tally.rows == {"B02": 1}


def test_sockets_are_cut_b01() -> None:
    faults, time, *_ = faults_of()
    assert strike(faults, "cut")
    assert len(time.cuts) == 1


def test_a_whole_book_is_told_with_its_sides_exchanged_b10() -> None:
    book = (
        b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":10.1,"qty":1.00},'
        b'{"price":10.0,"qty":2.00}],"asks":[{"price":10.2,"qty":3.00}],"checksum":5,"timestamp":"T"}]}'
    )
    faults, time, tally, _ = faults_of()
    strike(faults, "crossed_book")
    assert time.cuts == ["public"]
    assert faults.told("public", FILL) == (FILL,)
    (frame,) = faults.told("public", book)
    assert faults.told("public", book) == (book,)
    (row,) = json.loads(frame)["data"]
    assert [level["price"] for level in row["bids"]] == [10.2]
    assert [level["price"] for level in row["asks"]] == [10.0, 10.1]
    assert row["checksum"] == zlib.crc32(b"100200" + b"101100" + b"102300")
    assert tally.rows["B10"] == 1
    assert crossed(BEAT) == BEAT


def test_it_is_calm_at_the_end() -> None:
    faults, _, _, box = faults_of(Rate("malformed", ONE, 1), Rate("request_lost", ONE, 1))
    for kind in ("socket_mute", "sequence_gap", "lockout", "crossed_book"):
        strike(faults, kind, for_ms=600_000, per_million=ONE)
    faults.calm()
    assert box.armed == []
    assert faults.told("private", FILL) == (FILL,)
    assert faults.told("public", FILL) == (FILL,)
    assert faults.asked("private", REQUEST)
    assert faults.called("AddOrder", is_private=True) is WELL
