"""Rows of the fault model that no fault makes happen by itself: seen in what journal and judge tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from aether.domain.facts import (
    CancelRefused,
    CancelRequested,
    DifferenceFound,
    Numbered,
    OrderEnded,
    OrderFilled,
    OrderRefused,
)

# What the judge counts, and the rows that it shows.
_OF_SEEN: Mapping[str, str] = {
    "fill before ack": "A08",
    "late fill after the end": "A19",
    "unknown resolved to open": "A01",
    "unknown resolved to filled": "A02",
    "unknown resolved to absent": "A03",
    "more than 50 fills missed": "A12",
    "dead man's switch fired": "A30",
    "halted halt_crash_loop": "H05",
}

# Our codes of Kraken's refusals.
_OF_CODE: Mapping[str, str] = {
    "venue_funds": "A28",
    "venue_minimum": "C14",
    "venue_tick": "C14",
    "venue_status": "C13",
    "venue_rate_limit": "C05",
}


def sighted(committed: Sequence[Numbered], seen: Mapping[str, int]) -> Counter[str]:
    """How often each of these rows was seen. `committed` are the facts of a whole run, `seen` the judge's counts."""
    rows: Counter[str] = Counter({row: seen[name] for name, row in _OF_SEEN.items() if seen.get(name)})
    filled: set[str] = set()
    cancelled: Counter[str] = Counter()
    for numbered in committed:
        match numbered.fact:
            case OrderFilled(cl_ord_id=None):
                rows["E10"] += 1
            case OrderFilled(cl_ord_id=str(name), source=source):
                filled.add(name)
                rows["A20"] += source == "trades"
            case CancelRequested(cl_ord_id=name):
                cancelled[name] += 1
                rows["A15"] += cancelled[name] == 2
            case CancelRefused(text=text):
                rows["A17"] += "Unknown order" in text
            case OrderEnded(cl_ord_id=name):
                rows["A16"] += name in filled and name in cancelled
            case OrderRefused(code=code) if code in _OF_CODE:
                rows[_OF_CODE[code]] += 1
            case DifferenceFound():
                rows["A21"] += 1
            case _:
                pass
    return +rows
