"""Frames that do not come through although their socket is open: all of them, all but heartbeats, or one channel's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from aether.domain.values import NANOS_PER_MS
from aether.sim.ws_api import Door
from aether.simulator.faults.tally import Later
from aether.simulator.plan import Fault

_CHANNELS: Mapping[Door, tuple[str, ...]] = {
    "private": ("executions", "balances"),
    "public": ("book", "trade", "instrument"),
}
_LAZY_MS_MAX = 600_000  # a subscription that nobody repeats is not mute for ever


@dataclass(slots=True)
class _Mute:
    """`is_lazy`: it begins with the channel's next snapshot and ends with the one after that."""

    kind: str
    door: Door
    until_ns: int
    channel: str
    is_lazy: bool
    has_begun: bool

    def keeps(self, channel: str, kind: str) -> bool:
        """Whether it keeps back such a frame."""
        if self.kind == "socket_mute":
            return True
        if self.kind == "heartbeats_only":
            return channel != "heartbeat"
        if channel != self.channel:
            return False
        if self.is_lazy and kind == "snapshot":
            if self.has_begun:
                self.until_ns = 0
                return False
            self.has_begun = True
        return self.has_begun


class Mutes:
    """All that are on."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._on: list[_Mute] = []

    def __bool__(self) -> bool:
        return bool(self._on)

    def begin(self, fault: Fault) -> Door:
        """Let it begin; the door it is at."""
        random = Random(fault.draw)  # noqa: S311 - made faults, no secret
        door: Door = random.choice(("private", "public"))
        is_lazy = fault.kind == "no_snapshot"
        channel = random.choice(_CHANNELS[door]) if is_lazy or fault.kind == "channel_mute" else ""
        until_ns = self._later.now_ns + fault.parameters.get("for_ms", _LAZY_MS_MAX) * NANOS_PER_MS
        self._on.append(_Mute(fault.kind, door, until_ns, channel, is_lazy, has_begun=not is_lazy))
        return door

    def keep(self, door: Door, channel: str, kind: str) -> bool:
        """Whether a frame is kept back. `kind` is `snapshot` or `update`."""
        now_ns, is_kept = self._later.now_ns, False
        self._on = [mute for mute in self._on if now_ns < mute.until_ns]
        for mute in self._on:
            if mute.door == door and mute.keeps(channel, kind):
                is_kept = True
        return is_kept

    def calm(self) -> None:
        """End them all."""
        self._on.clear()
