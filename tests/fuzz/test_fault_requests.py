"""Requests to the fault port under fire: each is a fault, or is told what would be right."""

from __future__ import annotations

import contextlib
import gzip
import json
from random import Random

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.sim.fault_port import NotUnderstood, read_fault
from aether.sim.faults import KINDS
from aether.sim.opening import SandboxConfig
from aether.sim.server import Sandbox
from aether.sim.wire import MalformedText, decode
from tests.fuzz.sandbox import HandClock
from tests.fuzz.wounds import Document, wounded

REQUESTS = tuple(
    Document(
        json.dumps(
            {"fault": name, "times": 2, "after_ms": 5, "where": {"symbol": "BTC/USD"}}
            | {option: {"text": "EService:Busy", "executed": False}.get(option, 5) for option in kind.options}
        ).encode()
    )
    for name, kind in KINDS.items()
)


@given(chance=st.randoms(use_true_random=False))
def test_a_wounded_request_is_a_fault_or_is_not_understood(chance: Random) -> None:
    for _ in range(10):
        with contextlib.suppress(NotUnderstood, MalformedText):
            read_fault(decode(wounded(chance, chance.choice(REQUESTS))), 0, ("BTC/USD",))


@pytest.mark.parametrize(
    ("path", "body", "coding"),
    [
        ("/faults", b"\xff", ""),
        ("/faults", b"[]", ""),
        ("/faults", b'{"fault":', ""),
        ("/faults", b"x" * 300_000, ""),
        ("/faults", b"not packed", "gzip"),
        ("/faults", gzip.compress(bytes(30_000_000)), "gzip"),
        ("/faults/seed", b'{"seed":1e999999999999999999999,"rate":1}', ""),
        ("/faults/seed", b'{"seed":1,"rate":NaN}', ""),
        ("/script", b"{}", ""),
        ("/script", b"[" * 50_000, ""),
        ("/%ff/..", b"", ""),
    ],
)
async def test_the_port_answers_what_it_cannot_read_and_lives_on(path: str, body: bytes, coding: str) -> None:
    sandbox = await Sandbox.start(SandboxConfig({}, speed=1, with_faults=True), HandClock())
    url = sandbox.hello()["faults"]
    headers = {"Content-Encoding": coding} if coding else {}
    async with aiohttp.ClientSession() as http:
        async with http.post(url + path, data=body, headers=headers) as answer:
            assert answer.status == 400
            assert set(await answer.json()) == {"error", "remedy"}
        async with http.get(f"{url}/faults") as answer:
            assert answer.status == 200
    await sandbox.stop()
