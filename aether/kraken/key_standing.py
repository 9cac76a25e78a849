"""What Kraken last said of our key, shared by REST client and private socket: neither goes on where both must stop.

Source: Kraken docs, Spot error messages and rate limits: trying again with a refused key, or while locked out, leads to
a lockout or prolongs it.
"""

from __future__ import annotations

from aether.domain.errors import VenueRefused
from aether.kraken.rate_limit import Silence
from aether.kraken.refusals import Refusal, RefusalClass, classify, is_about_funding, is_bad_nonce, is_lockout
from aether.ports import Clock

LOCKOUT_S = 15 * 60
BAD_NONCES_MAX = 3
KEY_IS_SHARED = "another program uses this key, or it was used with a larger unit: make a new API key"


class KeyStanding:
    """Whether requests in the key's name may leave. A fatal no lasts until the next start, a lockout for its time."""

    def __init__(self, clock: Clock) -> None:
        self._fatal: VenueRefused | None = None
        self._lockout = Silence(clock)
        self._bad_nonces = 0

    @property
    def fatal_code(self) -> str:
        """Our code of the no that ended the key's use; empty while it is good, or only locked out for a time."""
        return "" if self._fatal is None else self._fatal.code

    def check(self) -> None:
        """Raises VenueRefused where the key is no longer good, VenueUnavailable while it is locked out."""
        if self._fatal is not None:
            raise VenueRefused(self._fatal.code, self._fatal.text)
        self._lockout.check()

    def refused(self, text: str) -> Refusal:
        """Kraken's error text: what it proves. What it says of the key is remembered."""
        refusal = classify(text)
        self._bad_nonces += is_bad_nonce(text)
        if is_lockout(text):
            self._lockout.keep(text, LOCKOUT_S)
        elif refusal.kind is RefusalClass.FATAL and not is_about_funding(text):
            self._fatal = VenueRefused(refusal.code, text)
        elif self._bad_nonces >= BAD_NONCES_MAX:
            self._fatal = VenueRefused("venue_auth", KEY_IS_SHARED)
        return refusal

    def accepted(self) -> None:
        """Kraken answered a signed call, so its nonce was good."""
        self._bad_nonces = 0
