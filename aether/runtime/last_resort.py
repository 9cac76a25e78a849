"""What ends a process that cannot end itself: a thread that needs neither the loop nor Python to turn.

A loop that hangs in a system call takes no signal and runs no timer; a disk that never answers holds the journal's
thread, and whoever waits for it, for ever. Under systemd its watchdog ends such a daemon too; this one also works
elsewhere, and says first where everything stood.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

LOOP_SILENT_S_MAX = 30  # as WatchdogSec in config/systemd/aether.service
STOP_GRACE_S = 20  # beyond what an orderly stop may take: closing links, the journal, the process


class LastResort:
    """Ends the process with code 1, its stacks on standard error, unless it is told in time that all goes on."""

    def __init__(self, stop_s_max: int) -> None:
        self._stop_s = stop_s_max + STOP_GRACE_S
        self._is_stopping = False

    def turned(self) -> None:
        """The loop turned: it may stand still for LOOP_SILENT_S_MAX from now. After `stopping` this changes nothing."""
        if not self._is_stopping:
            faulthandler.dump_traceback_later(LOOP_SILENT_S_MAX, exit=True)

    def stopping(self) -> None:
        """The stop has begun, and the process ends within its time, whatever hangs."""
        if not self._is_stopping:
            self._is_stopping = True
            faulthandler.dump_traceback_later(self._stop_s, exit=True)

    @contextmanager
    def armed(self) -> Iterator[LastResort]:
        """In force within this block alone, from the first `turned` on: a start may wait long for the venue."""
        try:
            yield self
        finally:
            faulthandler.cancel_dump_traceback_later()
