"""Where the wire asks what goes wrong. As it stands nothing does; the fault mix puts its own in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aether.sim.fault_wire import Reply
from aether.sim.ws_api import Door

Rewrite = Callable[[Reply], Reply]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one REST call.

    `refused`: no connection is made, so that no byte leaves. `arrives`: Kraken hears of it. `instead`: it is not
    carried out, and answered so. `rewrite`: what the answer becomes on its way. `answers`: the answer comes back; else
    the connection breaks, or, with `hangs`, stays silent for ever.
    """

    refused: bool = False
    arrives: bool = True
    instead: Reply | None = None
    rewrite: Rewrite | None = None
    answers: bool = True
    hangs: bool = False


WELL = Fate()


class Trouble:
    """What goes wrong on the wire. Each method is asked once for each message; answers must depend on a seed alone."""

    def delay_ns(self) -> int:
        """Beyond the usual time of a message one way, in nanoseconds."""
        return 0

    def refuses(self, door: Door) -> str:  # noqa: ARG002 - for those who make trouble
        """Why a socket cannot be opened now; empty where it can."""
        return ""

    def asked(self, door: Door, frame: bytes) -> bool:  # noqa: ARG002 - as above
        """Whether a frame from the daemon arrives at all."""
        return True

    def told(self, door: Door, frame: bytes) -> Sequence[bytes]:  # noqa: ARG002 - as above
        """What arrives at the daemon instead of a frame: itself, nothing, itself twice, or something else."""
        return (frame,)

    def called(self, endpoint: str, *, is_private: bool) -> Fate:  # noqa: ARG002 - as above
        """What becomes of a REST call."""
        return WELL
