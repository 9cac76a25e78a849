"""A word to the operator when this machine's clock leaves the venue's: deadlines are corrected by it, and hide it."""

from __future__ import annotations

import structlog

from aether.core.view import View

WARNING_MS = 1_000
NEAR_MS = 800  # back below it the clock counts as near again, so that one at the edge is not told of with every ping


class ClockWatch:
    """Says once that the clock is off by over a second, and once that it is near again.

    That trading is held beyond `orders.clock_offset_ms_max` is the core's matter, and a fact with a line of its own.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger(__name__)
        self._is_off = False

    def show(self, view: View) -> None:
        """The newest picture."""
        off_ms = abs(view.clock_offset_ms)
        if not self._is_off and off_ms > WARNING_MS:
            self._is_off = True
            self._log.warning("lifecycle.clock_off", offset_ms=view.clock_offset_ms)
        elif self._is_off and off_ms < NEAR_MS:
            self._is_off = False
            self._log.info("lifecycle.clock_near", offset_ms=view.clock_offset_ms)
