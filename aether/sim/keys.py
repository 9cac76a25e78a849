"""Who calls: API keys with permissions, signatures and nonces on REST, and the tokens that they open sockets with.

Kraken does not say after how many bad calls it locks a caller out, nor whether by key or by address. Here it is by the
text of the key, so that one broken client does not shut out another on the same machine.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal

TOKEN_LIFE_S = 900  # Kraken REST `GetWebSocketsToken`: to be used within 15 minutes
NONCE_LIMIT = 2**64  # an unsigned 64-bit number (Kraken docs, Spot REST authentication)

BAD_KEYS_MAX = 5
BAD_NONCES_MAX = 20
LOCKOUT_NS = 900 * NANOS_PER_S  # Kraken's SDK, guide to errors: about 15 minutes; each further try restarts it
_CALLERS_KEPT = 1_000

# Kraken REST `GetApiKeyInfo`: what a key may be allowed to do.
PERMISSIONS = (
    "query-funds",
    "add-funds",
    "withdraw-funds",
    "earn-funds",
    "query-open-trades",
    "query-closed-trades",
    "modify-trades",
    "close-trades",
    "query-ledger",
    "export-data",
    "create-ws-token",
    "add-withdraw-address",
    "update-withdraw-address",
)

TRADING_PERMISSIONS = (
    "query-funds",
    "query-open-trades",
    "query-closed-trades",
    "modify-trades",
    "close-trades",
    "query-ledger",
    "create-ws-token",
)

_SEEING_ORDERS = ("query-open-trades", "query-closed-trades")
_ENDING_ORDERS = ("modify-trades", "close-trades")

# Kraken docs, each endpoint and channel: any one of these permissions is enough. What is not named needs none.
NEEDED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Balance", "BalanceEx", "TradeBalance", "TradeVolume", "balances"), ("query-funds",)),
    **dict.fromkeys(("OpenOrders", "executions"), ("query-open-trades",)),
    **dict.fromkeys(("ClosedOrders", "TradesHistory", "QueryTrades"), ("query-closed-trades",)),
    **dict.fromkeys(("QueryOrders", "OrderAmends"), _SEEING_ORDERS),
    **dict.fromkeys(("Ledgers", "QueryLedgers"), ("query-ledger",)),
    **dict.fromkeys(("AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder"), ("modify-trades",)),
    **dict.fromkeys(("CancelOrder", "CancelOrderBatch", "CancelAll", "CancelAllOrdersAfter"), _ENDING_ORDERS),
    **dict.fromkeys(("add_order", "batch_add", "amend_order", "edit_order"), ("modify-trades",)),
    **dict.fromkeys(("cancel_order", "batch_cancel", "cancel_all", "cancel_all_orders_after"), _ENDING_ORDERS),
    "GetWebSocketsToken": ("create-ws-token",),
}


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
    """One key of one account, with the highest nonce that it has used.

    `nonce_window` is how far below the highest a nonce may lie, in the client's own unit. `valid_until_s` is seconds
    since 1970 UTC, 0 for ever. An empty `ip_allowlist` allows every address.
    """

    key: str
    secret: str
    account: str
    name: str = "sandbox"
    permissions: tuple[str, ...] = TRADING_PERMISSIONS
    nonce_window: int = 0
    ip_allowlist: tuple[str, ...] = ()
    valid_until_s: int = 0
    nonce_used: int = -1
    _recent: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        try:
            base64.b64decode(self.secret, validate=True)
        except binascii.Error as error:
            raise ValueError("an API secret is base64 text") from error
        unknown = [name for name in self.permissions if name not in PERMISSIONS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no permission: Kraken has {', '.join(PERMISSIONS)}")

    def may(self, act: str) -> bool:
        """Whether it is allowed to call this endpoint, method or channel."""
        needed = NEEDED.get(act)
        return needed is None or any(name in self.permissions for name in needed)

    def use(self, nonce: int) -> bool:
        """Use up a nonce; False for one that is too low or used already."""
        if nonce <= self.nonce_used - self.nonce_window or nonce in self._recent or nonce == self.nonce_used:
            return False
        self.nonce_used = max(self.nonce_used, nonce)
        if self.nonce_window:
            least = self.nonce_used - self.nonce_window
            self._recent = {used for used in self._recent if used > least} | {nonce}
        return True

    def info(self) -> dict[str, object]:
        """The answer of `GetApiKeyInfo`."""
        return {
            "api_key_name": self.name,
            "api_key": self.key,
            "nonce_window": str(self.nonce_window),
            "permissions": list(self.permissions),
            "ip_allowlist": list(self.ip_allowlist),
            "valid_until": str(self.valid_until_s),
        }


@dataclass(slots=True)
class _Standing:
    """How often a caller was wrong since it last was right, and until when it is locked out."""

    bad_keys: int = 0
    bad_nonces: int = 0
    locked_until_ns: int = 0


class KeyRing:
    """Checks callers. `new_token` draws the text of a token; it is injected, so that a test can know it."""

    def __init__(self, keys: ApiKey | Iterable[ApiKey], new_token: Callable[[], str]) -> None:
        """The first key is the one that the sandbox shows."""
        listed = [keys] if isinstance(keys, ApiKey) else list(keys)
        assert listed, "a sandbox has a key"
        self._keys = {key.key: key for key in listed}
        self._new_token = new_token
        self._tokens: dict[str, tuple[ApiKey, int]] = {}
        self._standings: dict[str, _Standing] = {}

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that the keys open."""
        return tuple({key.account: None for key in self._keys.values()})

    def check(
        self, path: str, body: bytes, *, key: str, sign: str, nonce: str, now_ns: int, address: str = ""
    ) -> ApiKey:
        """The key behind a signed request; its nonce is used up.

        Raises ExchangeRefusal: `EGeneral:Temporary lockout`, `EAPI:Invalid key`, `EAPI:Invalid signature`,
        `EAPI:Invalid nonce`, `EGeneral:Permission denied` for another address, tried in this order.
        """
        standing = self._standing(key)
        if now_ns < standing.locked_until_ns:
            standing.locked_until_ns = now_ns + LOCKOUT_NS
            raise ExchangeRefusal("EGeneral:Temporary lockout")
        known = self._keys.get(key)
        if known is None or 0 < known.valid_until_s * NANOS_PER_S <= now_ns:
            self._count_bad_key(standing, now_ns)
            raise ExchangeRefusal("EAPI:Invalid key")
        if not hmac.compare_digest(_bytes_of(sign), api_sign(known.secret, path, nonce, body).encode()):
            self._count_bad_key(standing, now_ns)
            raise ExchangeRefusal("EAPI:Invalid signature")
        if not (_is_nonce(nonce) and known.use(int(nonce))):
            self._count_bad_nonce(standing, now_ns)
            raise ExchangeRefusal("EAPI:Invalid nonce")
        standing.bad_keys = standing.bad_nonces = 0
        if known.ip_allowlist and address not in known.ip_allowlist:
            raise ExchangeRefusal("EGeneral:Permission denied")
        return known

    def issue_token(self, key: ApiKey, now_ns: int) -> str:
        """A new token for WebSocket sessions of this key, good for `TOKEN_LIFE_S`."""
        self._tokens = {token: entry for token, entry in self._tokens.items() if entry[1] > now_ns}
        token = self._new_token()
        self._tokens[token] = (key, now_ns + TOKEN_LIFE_S * NANOS_PER_S)
        return token

    def key_of(self, token: str, now_ns: int) -> ApiKey | None:
        """The key that a token stands for; None if it is unknown or too old."""
        known = self._tokens.get(token)
        return known[0] if known is not None and now_ns < known[1] else None

    def forget_tokens(self) -> None:
        """Let every token be stale from now on."""
        self._tokens.clear()

    def _standing(self, key: str) -> _Standing:
        if key not in self._standings and len(self._standings) >= _CALLERS_KEPT:
            del self._standings[next(iter(self._standings))]
        return self._standings.setdefault(key, _Standing())

    def _count_bad_key(self, standing: _Standing, now_ns: int) -> None:
        standing.bad_keys += 1
        if standing.bad_keys >= BAD_KEYS_MAX:
            standing.bad_keys = 0
            standing.locked_until_ns = now_ns + LOCKOUT_NS

    def _count_bad_nonce(self, standing: _Standing, now_ns: int) -> None:
        standing.bad_nonces += 1
        if standing.bad_nonces >= BAD_NONCES_MAX:
            standing.bad_nonces = 0
            standing.locked_until_ns = now_ns + LOCKOUT_NS


def _bytes_of(header: str) -> bytes:
    """A header's value as it came: what was no UTF-8 stands in the text as lone surrogates."""
    return header.encode("utf-8", "surrogateescape")


def _is_nonce(nonce: str) -> bool:
    return nonce.isascii() and nonce.isdigit() and len(nonce) <= 20 and int(nonce) < NONCE_LIMIT
