"""Which fault strikes when: armed ones in their order, drawn ones by their seed, each only where it can happen."""

from __future__ import annotations

import pytest

from aether.domain.values import NANOS_PER_MS
from aether.sim.faults import ARMED_MAX, KINDS, RATE_ONE, Fault, FaultBox, due_after

UPDATE = {"channel": "book", "type": "update", "symbol": "BTC/USD"}


def box_with(*faults: Fault) -> FaultBox:
    box = FaultBox()
    for fault in faults:
        box.arm(fault)
    return box


def taken(box: FaultBox, context: dict[str, str], now_ns: int = 0) -> str:
    fault = box.take("frame", context, now_ns)
    return fault.kind.name if fault else ""


def test_a_fault_strikes_as_often_as_it_was_asked_to() -> None:
    box = box_with(Fault(KINDS["checksum_mismatch"], times=2))

    assert [taken(box, UPDATE) for _ in range(3)] == ["checksum_mismatch", "checksum_mismatch", ""]
    assert box.counts == {"checksum_mismatch": 2}
    assert [struck.context for struck in box.struck] == [UPDATE, UPDATE]
    assert box.armed == []


def test_a_fault_strikes_only_where_it_can_and_where_it_was_asked_to() -> None:
    box = box_with(Fault(KINDS["checksum_mismatch"], where={"symbol": "ETH/USD"}))

    assert taken(box, UPDATE) == ""
    assert taken(box, UPDATE | {"symbol": "ETH/USD", "type": "snapshot"}) == ""
    assert box.take("answer", UPDATE | {"symbol": "ETH/USD"}, 0) is None
    assert taken(box, UPDATE | {"symbol": "ETH/USD"}) == "checksum_mismatch"


def test_a_call_that_bears_no_nonce_has_no_wrong_one() -> None:
    box = box_with(Fault(KINDS["invalid_nonce"]))

    assert box.take("call", {"endpoint": "Time"}, 0) is None
    assert box.take("call", {"endpoint": "Balance"}, 0) is not None


def test_a_later_fault_waits_for_its_time() -> None:
    box = box_with(Fault(KINDS["lost_frame"], due_ns=due_after(0, 5)))

    assert taken(box, UPDATE, 5 * NANOS_PER_MS - 1) == ""
    assert taken(box, UPDATE, 5 * NANOS_PER_MS) == "lost_frame"


def test_what_happens_at_once_does_not_wait_for_its_symbol() -> None:
    box = box_with(Fault(KINDS["cancel_only"], where={"symbol": "ETH/USD"}))

    assert box.take("now", {}, 0) is not None


def test_the_same_seed_draws_the_same_faults_and_never_one_that_changes_the_exchange() -> None:
    def drawn(seed: int) -> list[str]:
        box = FaultBox()
        box.draw_by(seed, RATE_ONE // 2)
        return [taken(box, UPDATE) for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) <= {"", "lost_frame", "checksum_mismatch", "double_entry", "unknown_enums", "unknown_fields"}
    box = FaultBox()
    box.draw_by(1, RATE_ONE)
    assert not {fault.kind.name for _ in range(200) if (fault := box.take("now", {}, 0))} & {"maintenance", "online"}


def test_nothing_armed_and_nothing_drawn_is_quiet() -> None:
    box = box_with(Fault(KINDS["lost_frame"]))
    assert not box.is_quiet("frame")
    assert box.is_quiet("call")

    box.draw_by(1, 1)
    box.clear()
    assert box.is_quiet("frame")


def test_only_so_many_can_wait() -> None:
    box = box_with(*(Fault(KINDS["ack_lost"]) for _ in range(ARMED_MAX)))

    with pytest.raises(ValueError, match="at most"):
        box.arm(Fault(KINDS["ack_lost"]))
