"""What a fuzzing run counts, and what it must be able to say of the case that failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeAlias

_OF_THE_CASE = re.compile(r"'.*'|\".*\"|[0-9]+(\.[0-9]+)?|\\x[0-9a-f]{2}", re.DOTALL)
_LABEL_CHARACTERS = 60
_PAYLOADS_KEPT = 40


class Tally:
    """Payloads offered to a decoder, and how they ended. `offered` keeps the newest, for the report of a failure."""

    def __init__(self) -> None:
        self.cases = 0
        self.outcomes: Counter[str] = Counter()
        self.offered: list[tuple[str, bytes]] = []

    def offer(self, what: str, payload: bytes) -> bytes:
        """Count a payload that is about to be read, and hand it back."""
        self.cases += 1
        self.offered.append((what, payload))
        del self.offered[:-_PAYLOADS_KEPT]
        return payload

    def ended(self, outcome: str) -> None:
        """Count how a payload ended; what belongs to the case alone, its names and numbers, is left out."""
        self.outcomes[_OF_THE_CASE.sub("_", outcome)[:_LABEL_CHARACTERS]] += 1


Target: TypeAlias = Callable[[Random, Tally], None]
"""One sequence of payloads, drawn from the chance alone. Raises whatever breaks the claim."""
