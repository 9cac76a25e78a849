"""Alive, started, ready; and the words for systemd."""

from __future__ import annotations

import os
import socket
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from aether.core.view import StopView, SymbolView, View
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.observe.health import Health, ServiceManager


def sample(cls: Any, **given: Any) -> Any:
    """A dataclass of ones, empty texts and None, but for what is given."""
    hints = get_type_hints(cls)
    return cls(**{entry.name: given.get(entry.name, sample_of(hints[entry.name])) for entry in fields(cls)})


def sample_of(kind: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) in (UnionType, Union):
        return None if NoneType in get_args(kind) else sample_of(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return ()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if is_dataclass(kind):
        return sample(kind)
    return kind(1) if kind in (int, Decimal) else kind()


LIVE = (sample(SymbolView, is_live=True),)
LOST = (sample(SymbolView, is_live=False),)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


def health_of(**given: Any) -> Health:
    health = Health(HandClock())
    health.show(sample(View, **{"reconciled_ns": 1, "symbols": LIVE, **given}))
    return health


def test_it_is_alive_until_the_last_turn_of_the_loop_is_too_old() -> None:
    clock = HandClock()
    health = Health(clock)
    clock.now_ns = 10 * NANOS_PER_S
    assert health.is_alive()
    clock.now_ns += 1
    assert not health.is_alive()
    health.show(None)
    assert health.is_alive()


def test_it_is_started_with_the_first_picture_of_a_run() -> None:
    assert not Health(HandClock()).is_started()
    assert not health_of(run=0).is_started()
    assert health_of(run=1).is_started()


def test_it_is_ready_when_nothing_is_in_the_way() -> None:
    assert health_of().is_ready()


@pytest.mark.parametrize(
    "given",
    [
        {"run": 0},
        {"reconciled_ns": None},
        {"is_stopping": True},
        {"symbols": LOST},
        {"symbols": ()},
        {"stops": (StopView("halt", "all", "halt_operator", "x"),)},
        {"stops": (StopView("hold", "all", "disk", "x"),)},
    ],
)
def test_it_is_not_ready_while_anything_is_in_the_way(given: dict[str, Any]) -> None:
    assert not health_of(**given).is_ready()


def test_a_halt_of_one_symbol_and_one_lost_book_leave_it_ready() -> None:
    stop = StopView("halt", "symbol:BTC/USD", "halt_operator", "x")
    assert health_of(stops=(stop,), symbols=LOST + LIVE).is_ready()


def test_before_the_first_picture_and_after_a_silence_it_is_not_ready() -> None:
    assert not Health(HandClock()).is_ready()
    clock = HandClock()
    health = Health(clock)
    health.show(sample(View, reconciled_ns=1, symbols=LIVE))
    assert health.is_ready()
    clock.now_ns = 11 * NANOS_PER_S
    assert not health.is_ready()


@pytest.fixture
def listener(tmp_path: Path) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(1)
        manager.bind(str(tmp_path / "notify"))
        yield manager


def test_systemd_hears_each_word(listener: socket.socket) -> None:
    systemd = ServiceManager(listener.getsockname())
    systemd.ready("trading in sandbox")
    systemd.watchdog()
    systemd.status("halted")
    systemd.stopping()
    heard = [listener.recv(4096).decode() for _ in range(4)]
    assert heard == ["READY=1\nSTATUS=trading in sandbox", "WATCHDOG=1", "STATUS=halted", "STOPPING=1"]


def test_a_status_cannot_say_anything_but_a_status(listener: socket.socket) -> None:
    ServiceManager(listener.getsockname()).status("a\nMAINPID=1\r\nWATCHDOG=trigger")
    assert listener.recv(4096) == b"STATUS=a MAINPID=1 WATCHDOG=trigger"


def test_an_abstract_address_is_found() -> None:
    name = f"aether-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(1)
        manager.bind("\0" + name)
        ServiceManager("@" + name).watchdog()
        assert manager.recv(64) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "/" + "x" * 200])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    ServiceManager(address).ready("x")
