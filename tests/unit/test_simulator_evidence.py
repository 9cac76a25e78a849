"""What the judges are handed: one request on the wire is a value, the run around it grows."""

from __future__ import annotations

import pickle

import pytest

from aether.sim.exchange import Exchange
from aether.simulator.evidence import Evidence, Sent
from aether.simulator.outcome import Outcome, Violation

SENT = Sent(at_ns=5, boot=1, transport="ws", method="add_order", fields={"cl_ord_id": "ae1"}, durable_seq=7)


def test_a_run_begins_with_nothing_sent_and_nothing_written() -> None:
    evidence = Evidence(Exchange([], seed=1), "made")
    evidence.sent.append(SENT)
    assert evidence.committed == []
    assert evidence.machine is None
    assert Evidence(Exchange([], seed=1), "made").sent == []


@pytest.mark.parametrize("violations", [(), (Violation("S1", "sent twice", 5),)])
def test_an_outcome_survives_the_way_between_processes(violations: tuple[Violation, ...]) -> None:
    outcome = Outcome(1, "ab", 3600.0, 1.5, 10, 9, 3, 2, 1, {"wire": 1}, {"A01": 1}, {"edge": 1}, violations)
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert outcome.is_clean is not bool(violations)
