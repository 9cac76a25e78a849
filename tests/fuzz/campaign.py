"""Runs targets over many seeds, one after another, and says of a failure all that replays it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from tests.fuzz import client, orders, sandbox
from tests.fuzz.tally import Tally, Target

TARGETS: Mapping[str, Target] = {
    "answers": client.answers,
    "frames": client.frames,
    "links": client.links,
    "orders": orders.orders,
    "rest": sandbox.rest,
    "sockets": sandbox.sockets,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A sequence that broke the claim."""

    target: str
    seed: int
    number: int
    offered: tuple[tuple[str, bytes], ...]
    trace: str

    def __str__(self) -> str:
        payloads = "\n".join(f"  {what}: {payload!r}" for what, payload in self.offered)
        replay = f"python -m tests.fuzz {self.target} --seed {self.seed} --only {self.number}"
        return f"{self.trace}\nits payloads, the last one newest:\n{payloads}\nseed {self.seed}, replay: {replay}"


def run_one(target: str, seed: int, number: int, tally: Tally) -> Failure | None:
    """One sequence, drawn from its own chance: the same whatever ran before it."""
    tally.offered.clear()
    try:
        TARGETS[target](Random(f"{seed}:{target}:{number}"), tally)
    except BaseException as error:  # also an exit or a cancellation that escaped a reader: each is a defect with a seed
        if isinstance(error, KeyboardInterrupt):
            raise
        return Failure(target, seed, number, tuple(tally.offered), "".join(traceback.format_exception(error)))
    return None


def run_many(target: str, seed: int, cases: int, tally: Tally) -> Failure | None:
    """Sequences until so many payloads were offered, or the first that fails."""
    number = 0
    while tally.cases < cases:
        failure = run_one(target, seed, number, tally)
        if failure is not None:
            return failure
        number += 1
    return None
