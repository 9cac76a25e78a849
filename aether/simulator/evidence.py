"""What the simulator's judges look at: the exchange's truth, all that left the daemon, and what its journal holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aether.domain.facts import Numbered
from aether.runtime.machine import Machine
from aether.sim.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Sent:
    """One private request whose first byte left the daemon.

    `at_ns` is the exchange's time and `boot` the daemon's life, from 1. `transport` is `ws` or `rest`, `method` the v2
    method or the REST endpoint (`add_order`, `AddOrder`), `fields` what it said. `durable_seq` is the last fact that
    was synced to disk at that moment.
    """

    at_ns: int
    boot: int
    transport: str
    method: str
    fields: Mapping[str, object]
    durable_seq: int


@dataclass(slots=True)
class Evidence:
    """One run so far, over all lives of its daemon.

    `committed` are the facts whose commit was acknowledged, in order. `machine` is None while the daemon is down.
    `now_ns` is the exchange's time.
    """

    exchange: Exchange
    account: str
    sent: list[Sent] = field(default_factory=list)
    committed: list[Numbered] = field(default_factory=list)
    machine: Machine | None = None
    boot: int = 0
    now_ns: int = 0
