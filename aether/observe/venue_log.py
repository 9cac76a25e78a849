"""What goes wrong at the venue, as log lines beside the figures: errors, throttles, and books that do not add up."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from aether.ports import VenueCounters


class VenueLog:
    """VenueCounters that hands each event on to `counters`, and writes a line for one that a person may ask about."""

    def __init__(self, counters: VenueCounters) -> None:
        self._counters = counters
        self._log = structlog.get_logger(__name__)

    def feed_message(self, channel: str) -> None:
        """Counted alone: there are thousands a second."""
        self._counters.feed_message(channel)

    def checksum_failed(self, symbol: str) -> None:
        """Logged as `book.checksum_failed`."""
        self._counters.checksum_failed(symbol)
        self._log.warning("book.checksum_failed", symbol=symbol)

    def reconnected(self) -> None:
        """Counted alone: what a lost link means is told by the holds that it begins."""
        self._counters.reconnected()

    def kraken_request(self, endpoint: str, seconds: float, code: str) -> None:
        """Logged as `kraken.error` where it did not go well."""
        self._counters.kraken_request(endpoint, seconds, code)
        if code:
            self._log.warning("kraken.error", endpoint=endpoint, code=code, seconds=round(seconds, 3), transport="rest")

    def kraken_refused(self, method: str, code: str) -> None:
        """Logged as `kraken.error`."""
        self._counters.kraken_refused(method, code)
        self._log.warning("kraken.error", endpoint=method, code=code, transport="ws")

    def throttled(self, transport: str, why: str) -> None:
        """Logged as `kraken.throttled`."""
        self._counters.throttled(transport, why)
        self._log.warning("kraken.throttled", transport=transport, why=why)

    def show_counter(self, pool: str, milli: Callable[[], int]) -> None:
        """A gauge alone."""
        self._counters.show_counter(pool, milli)
