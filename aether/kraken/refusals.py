"""Kraken's error texts, sorted by what they prove about a request.

The table follows Kraken docs (Spot error messages, 2026-08), Kraken's own Rust SDK (docs/guides/error-handling.md) and
texts seen by other clients. First match wins; a text that no row knows proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from aether.domain.values import NANOS_PER_S

THROTTLED_S_MAX = 15 * 60.0  # no document knows a longer silence than a lockout's


class RefusalClass(StrEnum):
    """What follows from an error text. All but `UNKNOWN` prove that the request was not executed."""

    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    SESSION = "session"  # a new token is needed
    FATAL = "fatal"  # stop and let a person look; repeating leads to a lockout
    UNKNOWN = "unknown"  # it may have been executed


@dataclass(frozen=True, slots=True)
class Refusal:
    """The class of an error text and our stable code for it."""

    kind: RefusalClass
    code: str


_REFUSED, _LIMITED, _SESSION = RefusalClass.REFUSED, RefusalClass.RATE_LIMITED, RefusalClass.SESSION
_FATAL, _UNKNOWN = RefusalClass.FATAL, RefusalClass.UNKNOWN

_PREFIXES: tuple[tuple[str, RefusalClass, str], ...] = (
    ("EAPI:Rate limit exceeded", _LIMITED, "venue_rate_limit"),
    ("EOrder:Rate limit exceeded", _LIMITED, "venue_rate_limit"),
    ("EOrder:Domain rate limit exceeded", _LIMITED, "venue_rate_limit"),
    ("EGeneral:Too many requests", _LIMITED, "venue_rate_limit"),
    ("EService:Throttled", _LIMITED, "venue_rate_limit"),
    ("EAuth:Rate limit exceeded", _LIMITED, "venue_rate_limit"),
    ("EAuth:Too many requests", _LIMITED, "venue_rate_limit"),
    ("EAPI:Invalid token", _SESSION, "venue_session"),
    ("ESession:Invalid session", _SESSION, "venue_session"),
    ("EAPI:Invalid key", _FATAL, "venue_auth"),
    ("EAPI:Invalid signature", _FATAL, "venue_auth"),
    ("EGeneral:Permission denied", _FATAL, "venue_auth"),
    ("EGeneral:Temporary lockout", _FATAL, "venue_auth"),
    ("EAuth:Account", _FATAL, "venue_auth"),
    ("EAuth:Failed", _FATAL, "venue_auth"),
    ("EFunding:", _FATAL, "venue_other"),
    ("ETrade:User Locked", _FATAL, "venue_auth"),
    ("ETrade:Locked", _FATAL, "venue_auth"),
    ("EService:Deadline elapsed", _UNKNOWN, "venue_deadline"),
    ("EService:Unavailable", _UNKNOWN, "venue_other"),
    ("EService:Busy", _UNKNOWN, "venue_other"),
    ("EService:Timeout", _UNKNOWN, "venue_other"),
    ("EGeneral:Internal error", _UNKNOWN, "venue_other"),
    ("EDatabase:Internal error", _UNKNOWN, "venue_other"),
    ("EOrder:Insufficient funds", _REFUSED, "venue_funds"),
    ("EOrder:Order minimum not met", _REFUSED, "venue_minimum"),
    ("EGeneral:Invalid arguments:volume minimum not met", _REFUSED, "venue_minimum"),
    ("EOrder:Cost minimum not met", _REFUSED, "venue_minimum"),
    ("EOrder:Tick size check failed", _REFUSED, "venue_tick"),
    ("EOrder:Invalid price", _REFUSED, "venue_tick"),
    ("EOrder:Post only order", _REFUSED, "venue_post_only"),
    ("EOrder:Orders limit exceeded", _REFUSED, "venue_rate_limit"),
    ("EOrder:Scheduled orders limit exceeded", _REFUSED, "venue_rate_limit"),
    ("EAPI:Invalid nonce", _REFUSED, "venue_auth"),
    ("EGeneral:Invalid arguments", _REFUSED, "venue_invalid"),
    ("EGeneral:Unknown method", _REFUSED, "venue_invalid"),
    ("EAPI:Bad request", _REFUSED, "venue_invalid"),
    ("EAPI:Invalid arguments", _REFUSED, "venue_invalid"),
    ("EAPI:Feature disabled", _REFUSED, "venue_invalid"),
    ("EAccount:", _REFUSED, "venue_auth"),
    ("EBM:", _REFUSED, "venue_other"),
    ("EQuery:", _REFUSED, "venue_invalid"),
    ("ETrade:Invalid request", _REFUSED, "venue_invalid"),
    ("EOrder:", _REFUSED, "venue_other"),
)

# The socket's own gate answers in plain sentences, before any engine sees the request (Kraken docs, WebSocket v2).
_SOCKET_SENTENCES: tuple[tuple[re.Pattern[str], RefusalClass, str], ...] = (
    (re.compile(r"exceeded msg rate"), _LIMITED, "venue_rate_limit"),
    (re.compile(r"token\(s\) not found"), _SESSION, "venue_session"),
    (re.compile(r"(private|public) [\w ]+ are unavailable on this endpoint"), _REFUSED, "venue_invalid"),
    (re.compile(r"currency pair not supported"), _REFUSED, "venue_invalid"),
    (re.compile(r"(subscription name invalid|symbol\(s\) not found|unsupported event)"), _REFUSED, "venue_invalid"),
    (re.compile(r"unsupported field: '.*' for the given msg type"), _REFUSED, "venue_invalid"),
    (re.compile(r"\w+ field must be a "), _REFUSED, "venue_invalid"),
)
_SPACE_AFTER_CATEGORY = re.compile(r"^(e[a-z]+:)\s+")
_MARKET_MODE = re.compile(r"eservice:market in \w+_only mode")
_DUPLICATE = re.compile(r"(cl_ord_id|client order id).*(unique|duplicate|in use|exists)|duplicate")
_THROTTLED_UNTIL = re.compile(r"EService:\s?Throttled:\s?(\d{1,20})")


def classify(text: str) -> Refusal:
    """What an error text proves, and our code for it. Case and a space after a colon do not matter.

    Example:
        `EOrder:Insufficient funds` -> refused, venue_funds; `EService:Deadline elapsed` -> unknown: Kraken's page says
        that the order may have been placed all the same.
    """
    asked = _plain_form(text)
    if _MARKET_MODE.match(asked):
        return Refusal(_REFUSED, "venue_status")
    for prefix, kind, code in _PREFIXES:
        if asked.startswith(prefix.lower()):
            is_duplicate = kind is _REFUSED and _DUPLICATE.search(asked) is not None
            return Refusal(kind, "venue_duplicate" if is_duplicate else code)
    for sentence, kind, code in _SOCKET_SENTENCES:
        if sentence.match(asked):
            return Refusal(kind, code)
    return Refusal(_UNKNOWN, "venue_other")


def is_lockout(text: str) -> bool:
    """Whether the key is locked out for a while: about fifteen minutes, begun anew by every further try."""
    return _plain_form(text).startswith("egeneral:temporary lockout")


def is_bad_nonce(text: str) -> bool:
    """Whether the nonce was not above the last one that Kraken accepted."""
    return _plain_form(text).startswith("eapi:invalid nonce")


def is_about_funding(text: str) -> bool:
    """Whether a refusal is about deposits or withdrawals, and so says nothing of the key."""
    return _plain_form(text).startswith("efunding:")


def throttled_s(text: str, wall_ns: int) -> float:
    """Seconds during which nothing may be sent, where the text names a time; 0 where it names none, or one gone by.

    Never more than `THROTTLED_S_MAX`: a time in another unit, or a clock of ours that is wrong, must not end every
    cancel until somebody looks.
    """
    matched = _THROTTLED_UNTIL.match(text.strip())
    left_s = int(matched[1]) - wall_ns / NANOS_PER_S if matched else 0.0
    return min(max(0.0, left_s), THROTTLED_S_MAX)


def _plain_form(text: str) -> str:
    return _SPACE_AFTER_CATEGORY.sub(r"\1", text.strip().lower())
