"""Who calls: the API key, its signature and nonce on REST, and the tokens that it opens WebSocket sessions with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal

TOKEN_LIFE_S = 900  # Kraken REST `GetWebSocketsToken`: to be used within 15 minutes
NONCE_LIMIT = 2**64  # an unsigned 64-bit number (Kraken docs, Spot REST authentication)

PERMISSIONS = (
    "query-funds",
    "query-open-trades",
    "query-closed-trades",
    "modify-trades",
    "close-trades",
    "query-ledger",
    "create-ws-token",
)


def api_sign(secret: str, path: str, nonce: str, body: bytes) -> str:
    """Text of the `API-Sign` header (Kraken docs, Spot REST authentication).

    HMAC-SHA512 under the decoded secret, of the path and the SHA-256 of nonce and body as sent. Raises ValueError if
    the secret is no base64.
    """
    digest = hashlib.sha256(nonce.encode() + body).digest()
    key = base64.b64decode(secret, validate=True)
    return base64.b64encode(hmac.digest(key, path.encode() + digest, "sha512")).decode()


@dataclass(slots=True)
class ApiKey:
    """One key of one account, with the highest nonce that it has used."""

    key: str
    secret: str
    account: str
    nonce_used: int = -1

    def __post_init__(self) -> None:
        try:
            base64.b64decode(self.secret, validate=True)
        except binascii.Error as error:
            raise ValueError("an API secret is base64 text") from error


class KeyRing:
    """Checks callers. `new_token` draws the text of a token; it is injected, so that a test can know it."""

    def __init__(self, api_key: ApiKey, new_token: Callable[[], str]) -> None:
        self._api_key = api_key
        self._new_token = new_token
        self._tokens: dict[str, tuple[str, int]] = {}

    @property
    def public_key(self) -> str:
        """The part of the key that is no secret."""
        return self._api_key.key

    def check(self, path: str, body: bytes, *, key: str, sign: str, nonce: str) -> str:
        """The account behind a signed request; its nonce is used up.

        Raises ExchangeRefusal: `EAPI:Invalid key`, `EAPI:Invalid signature`, `EAPI:Invalid nonce`, tried in this order.
        """
        known = self._api_key
        if not hmac.compare_digest(_bytes_of(key), known.key.encode()):
            raise ExchangeRefusal("EAPI:Invalid key")
        if not hmac.compare_digest(_bytes_of(sign), api_sign(known.secret, path, nonce, body).encode()):
            raise ExchangeRefusal("EAPI:Invalid signature")
        if not _is_nonce(nonce) or int(nonce) <= known.nonce_used:
            raise ExchangeRefusal("EAPI:Invalid nonce")
        known.nonce_used = int(nonce)
        return known.account

    def issue_token(self, account: str, now_ns: int) -> str:
        """A new token for WebSocket sessions of this account, good for `TOKEN_LIFE_S`."""
        self._tokens = {token: entry for token, entry in self._tokens.items() if entry[1] > now_ns}
        token = self._new_token()
        self._tokens[token] = (account, now_ns + TOKEN_LIFE_S * NANOS_PER_S)
        return token

    def account_of(self, token: str, now_ns: int) -> str | None:
        """The account that a token opens; None if it is unknown or too old."""
        account, expires_ns = self._tokens.get(token, ("", now_ns))
        return account if now_ns < expires_ns else None


def _bytes_of(header: str) -> bytes:
    """A header's value as it came: what was no UTF-8 stands in the text as lone surrogates."""
    return header.encode("utf-8", "surrogateescape")


def _is_nonce(nonce: str) -> bool:
    return nonce.isascii() and nonce.isdigit() and len(nonce) <= 20 and int(nonce) < NONCE_LIMIT
