"""What Kraken last said of our key, shared by REST client and private socket: neither goes on where both must stop.

Source: Kraken docs, Spot error messages and rate limits: trying again with a refused key, or while locked out, leads to
a lockout or prolongs it.
"""

from __future__ import annotations

from collections import deque

from aether.domain.errors import VenueRefused
from aether.domain.values import NANOS_PER_S
from aether.kraken.rate_limit import Silence
from aether.kraken.refusals import (
    Refusal,
    RefusalClass,
    classify,
    is_about_funding,
    is_bad_nonce,
    is_lockout,
    throttled_s,
)
from aether.ports import Clock

LOCKOUT_S = 15 * 60
BAD_NONCES_MAX = 3  # in a row, and
BAD_NONCES_LAST_S = 10  # for so long: refusals of a moment, as of calls that overtook each other, end by themselves
BAD_NONCES_WINDOW_S = 10 * 60
BAD_NONCES_IN_WINDOW_MAX = 6  # with good ones between them: two programs that take turns
KEY_IS_SHARED = (
    "another program uses this API key, and its nonces refuse ours: stop that program, or make a key for each"
)
NONCE_IS_STUCK = (
    "this API key was used before with larger nonces than ours, in another unit, and Kraken never goes back: "
    "make a new API key, or stop the program that uses this one now"
)


class KeyStanding:
    """Whether requests in the key's name may leave. A fatal no lasts until the next start, a lockout for its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fatal: VenueRefused | None = None
        self._lockout = Silence(clock)
        self._throttle = Silence(clock)
        self._was_accepted = False
        self._bad_in_a_row = 0
        self._bad_since_ns = 0
        self._turns_ns: deque[int] = deque(maxlen=BAD_NONCES_IN_WINDOW_MAX)

    @property
    def fatal_code(self) -> str:
        """Our code of the no that ended the key's use; empty while it is good, or only locked out for a time."""
        return "" if self._fatal is None else self._fatal.code

    def check(self) -> None:
        """Raises VenueRefused where the key is no longer good, VenueUnavailable while it is locked out or throttled."""
        if self._fatal is not None:
            raise VenueRefused(self._fatal.code, self._fatal.text)
        self._lockout.check()
        self._throttle.check()

    def refused(self, text: str) -> Refusal:
        """Kraken's error text: what it proves. What it says of the key is remembered."""
        refusal = classify(text)
        if is_lockout(text):
            self._lockout.keep(text, LOCKOUT_S)
        elif refusal.kind is RefusalClass.FATAL and not is_about_funding(text):
            self._fatal = VenueRefused(refusal.code, text)
        elif is_bad_nonce(text):
            self._refused_nonce(self._clock.monotonic_ns())
        wait_s = throttled_s(text, self._clock.wall_ns())
        if wait_s:
            self._throttle.keep(text, wait_s)
        return refusal

    def accepted(self) -> None:
        """Kraken answered a signed call, so its nonce was good."""
        self._was_accepted = True
        self._bad_in_a_row = 0

    def _refused_nonce(self, now_ns: int) -> None:
        if not self._bad_in_a_row:
            self._bad_since_ns = now_ns
            self._turns_ns.append(now_ns)
        self._bad_in_a_row += 1
        has_lasted = now_ns - self._bad_since_ns >= BAD_NONCES_LAST_S * NANOS_PER_S
        if (self._bad_in_a_row >= BAD_NONCES_MAX and has_lasted) or self._is_taking_turns():
            self._fatal = VenueRefused("venue_auth", KEY_IS_SHARED if self._was_accepted else NONCE_IS_STUCK)

    def _is_taking_turns(self) -> bool:
        """Our calls leave one by one with rising nonces: who keeps refusing them but another program's?"""
        is_full = len(self._turns_ns) == BAD_NONCES_IN_WINDOW_MAX
        return is_full and self._turns_ns[-1] - self._turns_ns[0] <= BAD_NONCES_WINDOW_S * NANOS_PER_S
