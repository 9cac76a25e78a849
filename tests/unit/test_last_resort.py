"""A process that stands still is ended from outside its loop: in a process of its own, with its times made short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aether.runtime.last_resort import LOOP_SILENT_S_MAX, STOP_GRACE_S
from aether.settings import default_config_path, load_settings

UNIT = Path(__file__).parents[2] / "config" / "systemd" / "aether.service"
_PROGRAM = """
import time
from aether.runtime import last_resort
last_resort.LOOP_SILENT_S_MAX, last_resort.STOP_GRACE_S = {silent}, {grace}
resort = last_resort.LastResort(stop_s_max=0)
with resort.armed():
    {act}
    {then}
print("went on")
"""


def ended(act: str, then: str = "time.sleep(60)", *, silent: float = 0.2, grace: float = 0.2) -> tuple[int, str, str]:
    code = _PROGRAM.format(silent=silent, grace=grace, act=act, then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_h06_a_loop_that_does_not_turn_ends_the_process_and_says_where_it_stood() -> None:
    code, out, talk = ended("resort.turned()")
    assert (code, out) == (1, "")
    assert "Timeout" in talk
    assert "most recent call first" in talk


@pytest.mark.parametrize("act", ["resort.stopping()", "resort.turned(); resort.stopping(); resort.turned()"])
def test_l6_h01_a_stop_that_hangs_ends_the_process_and_no_turn_of_the_loop_puts_it_off(act: str) -> None:
    code, out, _ = ended(act, silent=600)
    assert (code, out) == (1, "")


@pytest.mark.parametrize("act", ["pass", "resort.turned()", "resort.stopping()"])
def test_a_process_that_ends_in_time_is_left_alone(act: str) -> None:
    assert ended(act, then="pass", silent=600, grace=600) == (0, "went on\n", "")


def test_the_service_manager_waits_as_long_for_a_turn_and_longer_for_a_stop() -> None:
    unit = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#[")
    assert int(unit["WatchdogSec"]) == LOOP_SILENT_S_MAX
    assert int(unit["TimeoutStopSec"]) > load_settings(default_config_path()).orders.stop_s_max + STOP_GRACE_S
    assert int(unit["StartLimitBurst"]) > load_settings(default_config_path()).world.crashes_max + 1, (
        "H05: it is to go on in safe mode, not to be given up before"
    )
