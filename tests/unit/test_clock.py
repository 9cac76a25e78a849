"""The system's clock."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from aether.runtime.clock import SystemClock


def test_wall_time_is_nanoseconds_since_1970() -> None:
    before_ns = time.time_ns()
    now_ns = SystemClock().wall_ns()
    assert before_ns <= now_ns <= time.time_ns()


def test_monotonic_time_never_goes_backwards() -> None:
    clock = SystemClock()
    assert all(earlier <= later for earlier, later in pairwise(clock.monotonic_ns() for _ in range(1_000)))


def test_monotonic_time_is_in_nanoseconds_too() -> None:
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    now_ns = SystemClock().monotonic_ns()
    assert before_ns <= now_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_f01_f02_setting_the_machines_clock_moves_no_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before_ns = clock.wall_ns()
    true_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: true_ns + 3_600 * 10**9)
    assert clock.wall_ns() - before_ns < 60 * 10**9
