"""Calls to Kraken's REST API: only what `Endpoint` lists, only to one address, one signed call at a time.

What an answer proves decides what is raised. A read that got no answer may be asked again (VenueUnavailable); a call
that changes the account and got no proper answer is OutcomeUnknown; a clear no is VenueRefused.
Source: Kraken docs, Spot REST introduction and error messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec

from aether.domain.errors import InvariantBroken, OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.spot_gate import refuse_margin
from aether.domain.values import NANOS_PER_S
from aether.kraken.endpoints import Endpoint
from aether.kraken.key_standing import LOCKOUT_S, KeyStanding
from aether.kraken.order_fields import Json
from aether.kraken.rate_limit import MARGIN, MILLI, Counter, Silence, TierLimits
from aether.kraken.refusals import RefusalClass, classify, is_bad_nonce, is_lockout, throttled_s
from aether.kraken.signing import Credentials, NonceKeeper, form
from aether.kraken.strict_json import Unreadable, check, decode, printable
from aether.ports import Clock, VenueCounters

USER_AGENT = f"aether/{version('aether')}"
BODY_BYTES_MAX = 16 << 20
EDGE_REFUSED_S = 60  # after HTTP 403 or 429 from the edge
# Public calls are limited by address; by how much is not published. Kraken's guide to historical data asks for a second
# between two calls of the dearer kind, and other clients keep to it: so do we, after a first few.
PUBLIC_BURST = 10
_EDGE_REFUSALS = frozenset({403, 429})


class Content(Protocol):
    """Body of an answer, as aiohttp hands it out."""

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """The body in parts of at most `n` bytes. Raises aiohttp.ClientError."""
        ...


class Response(Protocol):
    """An answer's head is here, its body still comes."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def content(self) -> Content:
        """The body."""
        ...


class HttpSession(Protocol):
    """What carries the calls: an aiohttp.ClientSession, unless the whole wire is made."""

    def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        allow_redirects: bool,
    ) -> AbstractAsyncContextManager[Response]:
        """Send a request and wait for its head. Raises aiohttp.ClientError, OSError."""
        ...


class _EnvelopeShape(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"")


_ENVELOPE = msgspec.json.Decoder(_EnvelopeShape)


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """A key with its nonces: one writer for each key."""

    credentials: Credentials
    nonces: NonceKeeper


class _NoAnswer(Exception):
    """No proper answer came. `was_sent` is False only where no byte of the request can have left."""

    code = "unavailable"

    def __init__(self, why: str, *, was_sent: bool, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.was_sent = was_sent
        self.retry_after_s = retry_after_s


class _ToldToWait(VenueUnavailable):
    """Kraken named a limit; `code` says which, for the count of errors."""

    def __init__(self, why: str, code: str, retry_after_s: float) -> None:
        super().__init__(why, retry_after_s=retry_after_s)
        self.code = code


class RestClient:
    """One client for one address. Private calls wait for the counter and for their turn; public ones do not.

    Calls that cost no points are cancels: a rate limit does not withhold them, for stopping must always be possible.
    `standing` is what Kraken last said of the key.

    Args:
        session: carries the connections; its life is the caller's.
        base_url: scheme and host, such as `https://api.kraken.com`.
        limits: the account's tier, for the counter, until Kraken tells it.
        key: for private calls; None leaves the client without any.
        timeout_s: for a whole call.
    """

    def __init__(
        self,
        session: HttpSession,
        base_url: str,
        *,
        clock: Clock,
        limits: TierLimits,
        key: KeyInUse | None = None,
        timeout_s: float = 10.0,
        counters: VenueCounters | None = None,
    ) -> None:
        if key is not None and key.credentials.base_url != base_url:
            raise InvariantBroken(f"a key for {key.credentials.base_url} was given to a client of {base_url}")
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._counter = Counter(limits.rest_max, limits.rest_decay_milli_per_s)
        self._turn = asyncio.Lock()
        self._limit = Silence(clock)
        self._public_counter = Counter(PUBLIC_BURST, MILLI)
        self._public_limit = Silence(clock)
        self._edge = Silence(clock)
        self._counters = counters
        self.standing = KeyStanding(clock)
        if counters is not None and key is not None:
            counters.show_counter("rest", lambda: self._counter.milli(clock.monotonic_ns()))

    def set_limits(self, limits: TierLimits) -> None:
        """Kraken told the account's tier."""
        self._counter.set_limits(limits.rest_max, limits.rest_decay_milli_per_s)

    async def call(self, endpoint: Endpoint, fields: Mapping[str, Json] | None = None) -> msgspec.Raw:
        """Result of a call, as JSON that was checked and not yet read. Lists are for endpoints with JSON bodies alone.

        Raises:
            VenueUnavailable: not reached, kept back, or no proper answer to a call that may be repeated.
            OutcomeUnknown: no proper answer to a call that may not.
            VenueRefused: Kraken's no. A no about the key is remembered: further private calls are refused unsent.
            InvariantBroken: a margin field, or a private call of a client without a key.
        """
        sent = dict(fields or {})
        margin = refuse_margin(sent)
        if margin is not None:
            raise InvariantBroken(f"{endpoint.path}: {margin.name}: {margin.why}")
        try:
            if endpoint.value.is_private:
                return await self._call_privately(endpoint, sent)
            self._edge.check()
            self._public_limit.check()
            await _wait_for(self._public_counter, 1, self._clock.monotonic_ns())
            return await self._exchange(endpoint, f"{endpoint.path}?{urlencode(sent)}" if sent else endpoint.path)
        except _NoAnswer as error:
            raise _what_it_proves(endpoint, error) from error

    async def _call_privately(self, endpoint: Endpoint, fields: Mapping[str, Json]) -> msgspec.Raw:
        """A refused nonce proves that nothing was done: the call is made once more, with a higher one."""
        try:
            return await self._call_in_turn(endpoint, fields)
        except VenueRefused as refusal:
            if not is_bad_nonce(refusal.text):
                raise
        return await self._call_in_turn(endpoint, fields)

    async def _call_in_turn(self, endpoint: Endpoint, fields: Mapping[str, Json]) -> msgspec.Raw:
        """The counter is waited for before the turn is taken: whoever waits for points holds nobody up."""
        self._refuse_while_silent(endpoint)
        await self._wait_for_counter(endpoint.value.counter_cost)
        async with self._turn:
            self._refuse_while_silent(endpoint)  # the calls before this one may have learned of it
            return await self._post(endpoint, fields)

    def _refuse_while_silent(self, endpoint: Endpoint) -> None:
        self.standing.check()
        if endpoint.value.counter_cost:
            self._limit.check()
            self._edge.check()

    async def _post(self, endpoint: Endpoint, fields: Mapping[str, Json]) -> msgspec.Raw:
        if self._key is None:
            raise InvariantBroken(f"{endpoint.path} asked of a client without a key")
        try:
            nonce = await self._key.nonces.take()
        except OSError as error:
            raise _NoAnswer(f"the nonce's mark cannot be written: {error}", was_sent=False) from error
        body, content_type = _written(endpoint, {"nonce": str(nonce), **fields})
        headers = {
            "API-Key": self._key.credentials.api_key,
            "API-Sign": self._key.credentials.sign(endpoint.path, nonce, body),
            "Content-Type": content_type,
        }
        return await self._exchange(endpoint, endpoint.path, body, headers)

    async def _wait_for_counter(self, points: int) -> None:
        """No points, no wait."""
        if points:
            await _wait_for(self._counter, points, self._clock.monotonic_ns())

    async def _exchange(
        self, endpoint: Endpoint, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> msgspec.Raw:
        """The result; what Kraken took for it, and how it ended, is counted."""
        began_ns = self._clock.monotonic_ns()
        try:
            result = self._result(
                endpoint, await self._ask("GET" if body is None else "POST", path, body, headers or {})
            )
        except (_NoAnswer, _ToldToWait, VenueRefused) as error:
            self._count(endpoint, began_ns, error.code)
            raise
        self._count(endpoint, began_ns, "")
        return result

    def _count(self, endpoint: Endpoint, began_ns: int, code: str) -> None:
        if self._counters is not None:
            took_s = (self._clock.monotonic_ns() - began_ns) / NANOS_PER_S
            self._counters.kraken_request(endpoint.name.lower(), took_s, code)

    def _count_throttle(self, why: str) -> None:
        if self._counters is not None:
            self._counters.throttled("rest", why)

    async def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        """Body of an answer with status 200. A redirect is no answer: it could carry the signed request elsewhere."""
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers={"User-Agent": USER_AGENT, **headers},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                if response.status in _EDGE_REFUSALS:
                    why = f"HTTP {response.status}"
                    self._edge.keep(why, EDGE_REFUSED_S)
                    self._count_throttle(why)
                    raise _NoAnswer(why, was_sent=False, retry_after_s=EDGE_REFUSED_S)
                if response.status != 200:
                    raise _NoAnswer(f"HTTP {response.status}", was_sent=True)
                return await _body(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NoAnswer(f"not reached: {error}", was_sent=False) from error
        except (aiohttp.ClientError, OSError) as error:  # a time-out is an OSError too
            raise _NoAnswer(f"{type(error).__name__}: {error}", was_sent=True) from error

    def _result(self, endpoint: Endpoint, body: bytes) -> msgspec.Raw:
        try:
            check(body, bytes_max=BODY_BYTES_MAX)
            envelope = decode(_ENVELOPE, body)
        except Unreadable as error:
            raise _NoAnswer(f"no envelope of Kraken's: {error}", was_sent=True) from error
        errors = [printable(text) for text in envelope.error if not text.startswith("W")]
        result = bytes(envelope.result)
        if not errors and result not in (b"", b"null"):
            if endpoint.value.is_private:
                self.standing.accepted()
            return envelope.result
        if len(errors) != 1 or result not in (b"", b"null", b"{}"):
            raise _NoAnswer(f"an answer that proves nothing: {errors}", was_sent=True)
        raise self._refusal(errors[0], is_private=endpoint.value.is_private)

    def _refusal(self, text: str, *, is_private: bool) -> VenueRefused | _ToldToWait | _NoAnswer:
        refusal = self.standing.refused(text) if is_private else classify(text)
        if self._key is not None and is_bad_nonce(text):
            self._key.nonces.jump()
        match refusal.kind:
            case RefusalClass.UNKNOWN:
                return _NoAnswer(text, was_sent=True)
            case RefusalClass.RATE_LIMITED:
                wait_s = self._rate_limit_wait_s(text, self._counter if is_private else self._public_counter)
                (self._limit if is_private else self._public_limit).keep(text, wait_s)
                self._count_throttle(text)
                return _ToldToWait(text, "rate_limit", wait_s)
            case RefusalClass.FATAL if is_lockout(text):
                return _ToldToWait(text, "lockout", LOCKOUT_S)
            case _:
                return VenueRefused(refusal.code, text)

    def _rate_limit_wait_s(self, text: str, counter: Counter) -> float:
        now_ns = self._clock.monotonic_ns()
        counter.fill(now_ns)
        return max(throttled_s(text, self._clock.wall_ns()), counter.wait_ns(1, now_ns) / NANOS_PER_S)


def _written(endpoint: Endpoint, fields: Mapping[str, Json]) -> tuple[bytes, str]:
    """The bytes that are signed and sent, and what they are."""
    if endpoint.value.is_json:
        return msgspec.json.encode(fields), "application/json"
    return form(fields), "application/x-www-form-urlencoded"


async def _wait_for(counter: Counter, points: int, now_ns: int) -> None:
    """Points are taken first, so that several who wait do so one behind the other."""
    wait_ns = counter.wait_ns(points + MARGIN, now_ns)
    counter.charge(points, now_ns)
    await asyncio.sleep(wait_ns / NANOS_PER_S)


async def _body(response: Response) -> bytes:
    """Whole body, after decompression, up to the cap."""
    chunks, length = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        length += len(chunk)
        if length > BODY_BYTES_MAX:
            raise _NoAnswer(f"more than {BODY_BYTES_MAX} bytes", was_sent=True)
        chunks.append(chunk)
    return b"".join(chunks)


def _what_it_proves(endpoint: Endpoint, error: _NoAnswer) -> VenueUnavailable | OutcomeUnknown:
    why = f"{endpoint.value.name}: {error}"
    if error.was_sent and not endpoint.value.may_repeat:
        return OutcomeUnknown(why)
    return VenueUnavailable(why, retry_after_s=error.retry_after_s)
