"""The system's clock."""

from __future__ import annotations

import time
from itertools import pairwise

from aether.runtime.clock import SystemClock


def test_wall_time_is_nanoseconds_since_1970() -> None:
    before_ns = time.time_ns()
    now_ns = SystemClock().wall_ns()
    assert before_ns <= now_ns <= time.time_ns()


def test_monotonic_time_never_goes_backwards() -> None:
    clock = SystemClock()
    assert all(earlier <= later for earlier, later in pairwise(clock.monotonic_ns() for _ in range(1_000)))


def test_monotonic_time_is_in_nanoseconds_too() -> None:
    before_ns = time.monotonic_ns()
    now_ns = SystemClock().monotonic_ns()
    assert before_ns <= now_ns <= time.monotonic_ns()
