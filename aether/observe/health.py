"""Alive, started, ready: for probes, and for systemd, which restarts a daemon that falls silent."""

from __future__ import annotations

import socket

from aether.core.view import View, is_trading
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock

SILENCE_S_MAX = 10  # a loop that has not turned for so long does not trade; systemd waits three times as long


class Health:
    """What the probes say. The shell calls `show` on every turn of its loop, with a picture or still without one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._view: View | None = None
        self._shown_ns = clock.monotonic_ns()

    def show(self, view: View | None) -> None:
        """The loop turned, and this is its newest picture."""
        self._view = view
        self._shown_ns = self._clock.monotonic_ns()

    def is_alive(self) -> bool:
        """The loop turned within the last ten seconds."""
        return self._clock.monotonic_ns() - self._shown_ns <= SILENCE_S_MAX * NANOS_PER_S

    def is_started(self) -> bool:
        """The journal is folded and this run has begun."""
        return self._view is not None and self._view.run > 0

    def is_ready(self) -> bool:
        """It may trade: alive, reconciled, nothing stops it everywhere, and the book of some symbol is live."""
        view = self._view
        if view is None or view.is_stopping or not self.is_alive():
            return False
        return is_trading(view) and any(symbol.is_live for symbol in view.symbols)


class ServiceManager:
    """Tells systemd how it goes (sd_notify(3)). Without an address every call does nothing; nothing is ever raised.

    `address` is the environment's NOTIFY_SOCKET: a path, or a name that begins with `@` in the abstract name space.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address

    def ready(self, status: str) -> None:
        """The start is over (Type=notify)."""
        self._send(f"READY=1\n{_status(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(_status(status))

    def watchdog(self) -> None:
        """The loop turns; to be called at half of WatchdogSec."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The orderly stop has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0)  # never wait for a manager that does not read
                sender.sendto(message.encode(), address)
        except OSError:
            pass  # trading does not depend on being watched; a lost watchdog message is made good by the next


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())  # a line break would begin another assignment
