from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import cast

import pytest

from aether.core.view import View
from aether.domain.values import UtcNanos
from aether.observe.clock_watch import ClockWatch
from aether.observe.log import start_log


class StillClock:
    """A clock that stands."""

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(0)

    def monotonic_ns(self) -> int:
        return 0


@pytest.mark.parametrize("sign", [1, -1])
def test_f03_a_clock_off_by_over_a_second_is_told_of_once_and_so_is_its_return(sign: int) -> None:
    out = io.StringIO()
    log = start_log(StillClock(), out, style="json", level="info")
    watch = ClockWatch()
    for offset_ms in (0, 1000, 1001, 4000, 990, 1001, 700, 0):
        watch.show(cast("View", SimpleNamespace(clock_offset_ms=sign * offset_ms)))
    log.close()

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["level"], line["event"], line["offset_ms"]) for line in lines] == [
        ("warning", "lifecycle.clock_off", sign * 1001),
        ("info", "lifecycle.clock_near", sign * 700),
    ]
