"""The shape of a WebSocket v2 trading method: what was asked goes in, its answers come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aether.sim.desk import Desk

Fields: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """A method's answer: what was done, or Kraken's text of why not; `also` stands beside it, outside the result."""

    result: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    error: str = ""
    also: Mapping[str, object] = field(default_factory=dict)


Method: TypeAlias = Callable[[Desk, str, Fields], list[Answer]]
