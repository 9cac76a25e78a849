"""Errors, sorted by what the caller should do. Refusals of the market are values, not exceptions.

AetherError
 ├── VenueUnavailable   not reached: ask again later
 ├── OutcomeUnknown     sent, answer lost: never repeat, ask by client order id
 ├── VenueRefused       Kraken said no: asking again changes nothing
 ├── BadConfiguration   the operator must change a setting or a file
 └── JournalBroken      memory cannot be believed or written: stop, and let a person look
InvariantBroken         our bug: nobody catches it, the process stops and starts again from the journal
StrategyOverran         a strategy thinks too long: it alone is paused
"""

from __future__ import annotations


class AetherError(Exception):
    """Whatever a caller of this program is expected to handle."""


class VenueUnavailable(AetherError):
    """Not reached, and certainly not executed. Safe to ask again after `retry_after_s`."""

    def __init__(self, why: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(AetherError):
    """Sent, answer lost. Never repeat; ask by the client order id, where there is one."""

    def __init__(self, why: str, *, cl_ord_id: str | None = None) -> None:
        super().__init__(why)
        self.cl_ord_id = cl_ord_id


class VenueRefused(AetherError):
    """Kraken said no. `code` is ours and stable, `text` is Kraken's own."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class BadConfiguration(AetherError):
    """The program cannot start as it was told to. `remedy` says what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


class InvariantBroken(AssertionError):
    """Our bug. Nobody catches it; the process stops and starts again from the journal."""


class StrategyOverran(BaseException):
    """A strategy used more of the processor than it may have.

    No `Exception`: it comes in the midst of the strategy's own code, which must not take it for one of its own errors.
    """


class JournalBroken(AetherError):
    """The journal cannot be believed or written. `seq` is the first bad row, where one is known."""

    def __init__(self, why: str, *, seq: int | None = None) -> None:
        super().__init__(why)
        self.seq = seq


class ImpossibleTransition(InvariantBroken):
    """Our own facts fold to a move that the order table forbids. Carries the whole story of the order."""
