"""Client order ids: what they are made of, and whose an order is that bears one.

An id is `ae`, the journal's tag, the run, two digits that the run alone has, and the number of the order's fact: 18
characters, as many as Kraken takes (Kraken docs, client order identifier). The run is the account's epoch: it grows
with each start. Two programs that start from copies of one journal claim the same epoch, but hardly at the same
nanosecond; the two digits come from it, so that neither can take an order of the other for its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aether.domain.errors import InvariantBroken
from aether.domain.values import NANOS_PER_S

CL_ORD_ID_PREFIX = "ae"
# Ids are kept one by one for longer than any view of the venue reaches back, and after that by their numbers alone.
IDS_KEPT_NS = 2 * 86_400 * NANOS_PER_S
RUNS_KEPT = 1_000
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_TWIN_VALUES = 36**2
# Until the two digits came, an id had none of them and seven of the fact's number.
_MARK = re.compile(r"ae([0-9a-z]{4})([0-9a-z]{4})(?:([0-9a-z]{2})([0-9a-z]{6})|([0-9a-z]{7}))")


def base36(number: int, width: int) -> str:
    """Digits 0-9a-z, padded with zeros. Raises InvariantBroken where the number needs more than `width` digits."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    if len(digits) > width:
        raise InvariantBroken(f"{digits} is longer than {width} base-36 digits")
    return digits.rjust(width, "0")


@dataclass(frozen=True, slots=True)
class Mark:
    """What an id tells of its maker. `twin` is empty in ids from before there was one."""

    tag: str
    run: int
    twin: str
    seq: int


def read_mark(cl_ord_id: str | None) -> Mark | None:
    """The mark in an id of this program, whatever its journal; None for other ids and for none."""
    found = _MARK.fullmatch(cl_ord_id or "")
    if found is None:
        return None
    tag, run, twin, seq, old_seq = found.groups()
    return Mark(tag, int(run, 36), twin or "", int(seq or old_seq, 36))


@dataclass(slots=True)
class OwnIds:
    """Which ids this journal has made. What it holds is bounded, and it forgets no order that a view may still show."""

    tag: str = ""
    runs: dict[int, str] = field(default_factory=dict)  # the twin digits of each run
    kept: dict[str, int] = field(default_factory=dict)  # when each order was submitted, ns
    forgotten_seq: int = 0

    def begin_run(self, run: int, tag: str, at_ns: int) -> None:
        """A run claims its epoch. `at_ns` is its start as the journal has it, so that a replay makes the same ids."""
        self.tag = tag
        self.runs[run] = base36(at_ns % _TWIN_VALUES, 2)
        while len(self.runs) > RUNS_KEPT:
            del self.runs[next(iter(self.runs))]

    def make(self, run: int, seq: int) -> str:
        """The id of the order whose fact has this number. Raises InvariantBroken where a number is too large."""
        return f"{CL_ORD_ID_PREFIX}{self.tag}{base36(run, 4)}{self.runs.get(run, '00')}{base36(seq, 6)}"

    def add(self, cl_ord_id: str, at_ns: int) -> None:
        """An order is submitted. Raises InvariantBroken for an id that was used before."""
        if cl_ord_id in self.kept:
            raise InvariantBroken(f"client order id {cl_ord_id} used twice")
        self.kept[cl_ord_id] = at_ns
        while (oldest := next(iter(self.kept))) and self.kept[oldest] < at_ns - IDS_KEPT_NS:
            del self.kept[oldest]
            mark = read_mark(oldest)
            self.forgotten_seq = max(self.forgotten_seq, mark.seq if mark is not None else 0)

    def made(self, cl_ord_id: str, mark: Mark) -> bool:
        """Whether an id that bears this journal's tag was made by it."""
        if cl_ord_id in self.kept:
            return True
        twin = self.runs.get(mark.run)
        if twin is None:  # a run that was forgotten, or one that never was
            is_ours = bool(self.runs) and mark.run < next(iter(self.runs)) and len(self.runs) == RUNS_KEPT
        else:
            is_ours = mark.twin in ("", twin)
        return is_ours and mark.seq <= self.forgotten_seq
