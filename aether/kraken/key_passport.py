"""What a key may do, asked before it is used: one that can move money out is refused, one that can do too little named.

Source: Kraken docs, `GetApiKeyInfo` (no permission needed) and API key permissions; a client's recorded example. The
names of the fields are seen both as `api_key_name` and as `apiKeyName`: both are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from aether.domain.errors import BadConfiguration, VenueRefused, VenueUnavailable
from aether.domain.values import NANOS_PER_S
from aether.kraken.endpoints import Endpoint
from aether.kraken.refusals import is_bad_nonce
from aether.kraken.rest import RestClient
from aether.kraken.shapes import ABSENT, Raw, is_there
from aether.kraken.strict_json import Unreadable, decode, printable, seconds_to_nanos
from aether.ports import Clock

EXPIRY_WARNING_DAYS = 14
_DAY_NS = 86_400 * NANOS_PER_S

NEEDED: Mapping[str, str] = MappingProxyType(
    {
        "query-funds": "balances and fee rates",
        "query-open-trades": "open orders, and the executions stream",
        "query-closed-trades": "orders that ended, and trades: what became of an order whose answer was lost",
        "query-ledger": "the ledger: deposits, withdrawals and rewards, so that each change of a balance is explained",
        "modify-trades": "placing and amending orders",
        "close-trades": "cancelling orders",
        "create-ws-token": "the private stream, over which orders go",
    }
)
"""What each permission that we cannot do without is for."""

FUNDING = frozenset({"add-funds", "withdraw-funds", "earn-funds", "add-withdraw-address", "update-withdraw-address"})
"""Permissions that move money, or prepare to; a daemon's key never needs one."""

_HARMLESS = frozenset({"export-data"})
_MONEY_WORDS = ("fund", "withdraw", "deposit", "transfer", "earn", "stake")


@dataclass(frozen=True, slots=True)
class KeyPassport:
    """A key as Kraken describes it. `valid_until_ns` is 0 where it does not end; addresses are as they were written."""

    name: str
    permissions: frozenset[str]
    ip_allowlist: tuple[str, ...]
    valid_until_ns: int

    @property
    def missing(self) -> tuple[str, ...]:
        """Permissions that the key lacks, each with what it is needed for."""
        return tuple(f"{name} ({purpose})" for name, purpose in NEEDED.items() if name not in self.permissions)

    @property
    def dangerous(self) -> tuple[str, ...]:
        """Permissions that move money, and unknown ones that read as if they did: doubt is on the safe side."""
        unknown = (name for name in self._unknown if any(word in name.lower() for word in _MONEY_WORDS))
        return (*sorted(self.permissions & FUNDING), *unknown)

    def warnings(self, now_ns: int) -> Iterator[str]:
        """What should be mended and does not stop a start, with the remedy."""
        if not self.ip_allowlist:
            yield "the API key may be used from any address: give it an IP allow-list in Kraken's key settings"
        if self.valid_until_ns and self.valid_until_ns - now_ns < EXPIRY_WARNING_DAYS * _DAY_NS:
            days = max(0, self.valid_until_ns - now_ns) // _DAY_NS
            yield f"the API key ends in {days} days: make a new one, or prolong it in Kraken's key settings"
        strange = [name for name in self._unknown if name not in self.dangerous]
        if strange:
            yield f"the API key has permissions not known here ({', '.join(strange)}): take away what is not needed"

    @property
    def _unknown(self) -> tuple[str, ...]:
        return tuple(sorted(self.permissions - NEEDED.keys() - FUNDING - _HARMLESS))


async def ask_passport(rest: RestClient) -> KeyPassport:
    """The passport of the client's key. Raises VenueRefused, also for one that cannot be read, and VenueUnavailable.

    A refused nonce is a reason to ask again, with a higher one, until the key's standing says that none will do.
    """
    try:
        result = await _answer(rest)
    except VenueRefused as refusal:
        raise VenueRefused(refusal.code, f"GetApiKeyInfo: {refusal.text}") from refusal
    try:
        return read_passport(result)
    except Unreadable as error:
        raise VenueRefused("venue_invalid", f"GetApiKeyInfo cannot be read: {error}") from error


async def _answer(rest: RestClient) -> Raw:
    try:
        return await rest.call(Endpoint.API_KEY_INFO)
    except VenueRefused as refusal:
        rest.standing.check()
        if is_bad_nonce(refusal.text):
            raise VenueUnavailable(f"GetApiKeyInfo: {refusal.text}") from refusal
        raise


def examine(passport: KeyPassport, clock: Clock) -> tuple[str, ...]:
    """Warnings about a key that is good to trade with.

    Raises BadConfiguration for a key that can move money, that lacks a permission, or that has ended.
    """
    if passport.dangerous:
        raise BadConfiguration(
            f"the API key {passport.name!r} can move money: {', '.join(passport.dangerous)}",
            "take these permissions away in Kraken's key settings, or make a key without them",
        )
    if passport.missing:
        raise BadConfiguration(
            f"the API key {passport.name!r} lacks permissions: {', '.join(passport.missing)}",
            "grant them in Kraken's key settings",
        )
    if 0 < passport.valid_until_ns <= clock.wall_ns():
        raise BadConfiguration(f"the API key {passport.name!r} has ended", "make a new one in Kraken's key settings")
    return tuple(passport.warnings(clock.wall_ns()))


class _SnakeShape(msgspec.Struct):
    permissions: list[str]
    api_key_name: str = ""
    ip_allowlist: list[str] | None = None
    valid_until: Raw = ABSENT


class _CamelShape(msgspec.Struct, rename="camel"):
    permissions: list[str]
    api_key_name: str = ""
    ip_allowlist: list[str] | None = None
    valid_until: Raw = ABSENT


_SNAKE = msgspec.json.Decoder(_SnakeShape)
_CAMEL = msgspec.json.Decoder(_CamelShape)


def read_passport(result: Raw | bytes) -> KeyPassport:
    """Passport of a `GetApiKeyInfo` result, with its field names in either writing. Raises Unreadable.

    Example:
        An allow-list that is not used is told as `[""]`, a key without an end as `"valid_until":"0"`.
    """
    snake: _SnakeShape = decode(_SNAKE, result)
    camel: _CamelShape = decode(_CAMEL, result)
    return KeyPassport(
        name=printable(snake.api_key_name or camel.api_key_name),
        permissions=frozenset(map(printable, snake.permissions)),
        ip_allowlist=tuple(address for address in snake.ip_allowlist or camel.ip_allowlist or () if address.strip()),
        valid_until_ns=_until_ns(snake.valid_until if is_there(snake.valid_until) else camel.valid_until),
    )


def _until_ns(token: Raw) -> int:
    """An end that cannot be read stops no start: Kraken itself refuses a key that has ended."""
    try:
        return seconds_to_nanos(token, "valid_until") if is_there(token) else 0
    except Unreadable:
        return 0
