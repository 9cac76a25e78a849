"""Who acts: people by role, the machine's operator through the control socket, and the program itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an actor may do. Viewer, admin and director nest; `operator` is whoever holds the machine."""

    VIEWER = "viewer"
    ADMIN = "admin"
    DIRECTOR = "director"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """An identity that was proven before the command entered: `subject` is `uid:1000` for the control socket."""

    subject: str
    role: Role


SYSTEM = Actor("system", Role.SYSTEM)
