"""Our client's decoders under fire: REST answers, WebSocket frames, and whole links of them.

The claim: no exception leaves a reader but those that its documentation names; what is read can be written and taken by
the core; and the next sound message is read as if nothing had been.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from zlib import crc32

import aiohttp

from aether.domain.effects import AskAccount, CancelBatch, CancelOrder, SetDeadMan
from aether.domain.errors import OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    AccountUnavailable,
    BookChanged,
    CancelAnswered,
    Input,
    PrivateMalformed,
    PrivateStreamLive,
    Stamped,
)
from aether.domain.spot_gate import recall
from aether.journal.codec import decode, encode
from aether.kraken.capture import verify_capture
from aether.kraken.connection import Connector
from aether.kraken.feed import KrakenFeed
from aether.kraken.key_passport import ask_passport
from aether.kraken.listings import load_listings
from aether.kraken.private_stream import PrivateListener
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Malformed, Unreadable, check
from aether.kraken.venue import KrakenVenue
from aether.kraken.wire import Reader
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.fuzz import corpus
from tests.fuzz.links import T0, hear, key_for
from tests.fuzz.tally import Tally
from tests.fuzz.wounds import bytes_wounded, wounded

BASE = "https://kraken.invalid"
BTC = recall("BTC/USD")
REQUESTS_MAX = 500  # of one client's twelve calls
DOCUMENTED = (VenueUnavailable, VenueRefused, OutcomeUnknown)


# --- REST answers ---------------------------------------------------------------------------------------------------


class Edge:
    """In the place of aiohttp's session: what Kraken and the edge before it answer, one in three wounded.

    Now and then it is stuck, and gives each endpoint's first answer for ever.
    """

    def __init__(self, chance: Random, tally: Tally) -> None:
        self._chance = chance
        self._tally = tally
        self._stuck: dict[str, tuple[int, bytes]] | None = None if chance.randrange(4) else {}
        self._asked = 0

    @asynccontextmanager
    async def request(self, _method: str, url: str, **_: object) -> AsyncIterator[Any]:
        name = url.partition("?")[0].rpartition("/")[2]
        self._asked += 1
        assert self._asked <= REQUESTS_MAX, f"{name} is asked without end"
        status, body = self._answer(name) if self._stuck is None else self._stuck.setdefault(name, self._answer(name))
        self._tally.offer(f"answer {name} {status}", body)
        if status == 0:
            raise self._chance.choice((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, TimeoutError))
        yield SimpleNamespace(status=status, content=_Body(body, self._chance))

    def _answer(self, name: str) -> tuple[int, bytes]:
        document = self._chance.choice(corpus.answers(name))
        match self._chance.randrange(24):
            case 0:
                return self._chance.choice((0, 302, 403, 429, 502, 520)), bytes_wounded(self._chance, document.text)
            case 1:
                return 200, _refusal(self._chance, document.text)
            case number if number < 8:
                return 200, wounded(self._chance, document)
            case _:
                return 200, document.text


class _Body:
    """A body that comes in pieces."""

    def __init__(self, body: bytes, chance: Random) -> None:
        self._body = body
        self._step = 1 + chance.randrange(1 << 16)

    async def iter_chunked(self, _bytes: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._step):
            yield self._body[start : start + self._step]


def _refusal(chance: Random, sound: bytes) -> bytes:
    """Errors in Kraken's list: known, unknown, several, or beside a result (FAULTS C15, C16)."""
    known = corpus.error_texts()
    texts = [
        chance.choice((*known, "ENever:Seen before", "", "W", "EAPI:\x1b[31m\n")) for _ in range(chance.randrange(3))
    ]
    result = chance.choice((b"", b',"result":null', b',"result":{}', b',"result":' + sound))
    return b'{"error":' + json.dumps(texts).encode() + result + b"}"


def answers(chance: Random, tally: Tally) -> None:
    """Twelve calls of one client, each with its answers: the whole way from the socket's bytes to the inbox."""
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(_answers(chance, tally, VirtualClock(loop, start_wall_ns=T0)))
    finally:
        loop.close()


async def _answers(chance: Random, tally: Tally, clock: VirtualClock) -> None:
    session: Any = Edge(chance, tally)
    key = key_for(BASE)
    for _ in range(4):  # a fresh client: a key that was once refused is not used again
        calls = _calls(RestClient(session, BASE, clock=clock, limits=Tier.PRO.value, key=key), clock)
        for _ in range(3):
            await _ended(chance.choice(calls)(), tally)


def _calls(rest: RestClient, clock: VirtualClock) -> Sequence[Callable[[], Awaitable[object]]]:
    """Every call whose answer is read; a look at the account twice, for it reads most."""
    gate, nowhere = corpus.gate(), cast("Connector", None)
    venue = KrakenVenue(nowhere, rest, url="", gate=gate, clock=clock, limits=Tier.PRO.value)
    feed = KrakenFeed(nowhere, rest, url="", gate=gate, symbols=(BTC,), clock=clock)
    cancels = (CancelOrder("c1", "O1"), CancelOrder("c2", ""))
    stream = PrivateListener(rest, gate, clock, itertools.count(1), 1.0)
    return (
        lambda: venue.account(AskAccount("why", 0)),
        lambda: venue.account(AskAccount("why", 0)),
        lambda: venue.cancel(cancels[0]),
        lambda: venue.cancel_batch(CancelBatch(cancels)),
        venue.cancel_all,
        lambda: venue.set_dead_man(SetDeadMan(60)),
        lambda: ask_passport(rest),
        lambda: venue.fees((BTC,)),
        lambda: feed.history(BTC, 3600, 10),
        lambda: load_listings(rest),
        stream.prepare,
    )


async def _ended(call: Awaitable[object], tally: Tally) -> None:
    try:
        told = await call
    except DOCUMENTED as error:
        tally.ended(f"{type(error).__name__}: {error}")
        return
    for each in told if isinstance(told, tuple) else (told,):
        if isinstance(each, Input):
            _is_written(each)
    match told:
        case AccountUnavailable(why=why) | CancelAnswered(text=why):
            tally.ended(f"{type(told).__name__}: {why}")
        case _:
            tally.ended(type(told).__name__)


def _is_written(told: Input) -> None:
    stamped = Stamped(1, T0, told)
    assert decode(Stamped, encode(stamped)) == stamped


# --- WebSocket frames -----------------------------------------------------------------------------------------------


def frames(chance: Random, tally: Tally) -> None:
    """Twenty frames to one reader. Whatever it believes is one sound JSON document, by Python's own reader too."""
    reader = Reader(chance.choice((recall, corpus.gate().wire)))
    for _ in range(20):
        frame = tally.offer("frame", corpus.wounded_frame(chance))
        message = reader.read(frame)
        if isinstance(message, Malformed):
            tally.ended(f"Malformed {message.what}: {message.why}")
        else:
            believed(frame)
            tally.ended(type(message).__name__)


def believed(frame: bytes) -> None:
    """Raise where a frame that was read may not be: a reader's quick ways refuse what its slow one does."""
    try:
        check(frame)
    except Unreadable as error:
        raise AssertionError(f"believed, though {error}") from error


# --- links ----------------------------------------------------------------------------------------------------------

SOUND_EXECUTIONS, SOUND_PAIR = corpus.WRITTEN_FRAMES[:2]


def links(chance: Random, tally: Tally) -> None:
    """A link of wounded frames, then sound ones, to the market feed, to the account's stream, and on to a core.

    The wounded ones are checked as a recording, too. The second link tells the pair's rules again, which a wound may
    have changed; the third is subscribed by them.
    """
    hostile = [tally.offer("link", frame) for frame in _link(chance)]
    book = corpus.book_frames()[0].text
    core = hear(corpus.gate(), hostile, [SOUND_PAIR], [book, SOUND_EXECUTIONS])
    verify_capture(hostile, chance.choice((None, corpus.gate())))

    reader = Reader(corpus.gate().wire)
    refused = [frame for frame in hostile if isinstance(reader.read(frame), Malformed)]
    told = [each for each in core.heard if isinstance(each, PrivateMalformed)]
    assert len(told) >= len(refused), f"{len(refused)} frames were refused and {len(told)} told to be"
    assert any(isinstance(each, BookChanged) for each in core.heard[-40:]), "the sound book was not heard"
    assert PrivateStreamLive(3) in core.heard, "the sound snapshot of the third link was not heard"
    for each in core.heard:
        tally.ended(type(each).__name__)


def _link(chance: Random) -> Sequence[bytes]:
    """Frames that follow one another, with wounds between them: of books, of orders, or of everything."""
    count = 5 + chance.randrange(15)
    match chance.randrange(3):
        case 0:
            return [with_checksum(chance, _hurt_once_in(chance, 3, d)) for d in corpus.book_frames()[:count]]
        case 1:
            return [
                _numbered(n, _hurt_once_in(chance, 3, chance.choice(corpus.private_frames()))) for n in range(1, count)
            ]
        case _:
            return [corpus.wounded_frame(chance) for _ in range(count)]


def _hurt_once_in(chance: Random, times: int, document: Any) -> bytes:
    return document.text if chance.randrange(times) else wounded(chance, document)


def _numbered(sequence: int, frame: bytes) -> bytes:
    """The frame with the sequence number that is due, so that what follows a wound is heard."""
    head, mark, _ = frame.rpartition(b'"sequence":')
    return head + mark + b"%d}" % sequence if mark else frame


def with_checksum(chance: Random, frame: bytes) -> bytes:
    """A wounded snapshot with the checksum of its own levels, half the time: what it says then passes that check."""
    if not chance.randrange(2):
        return frame
    try:
        said = json.loads(frame, parse_float=str, parse_int=str)
        (book,) = said["data"]
        levels = [*book["asks"][:10], *book["bids"][:10]]
        digits = "".join(level[name].replace(".", "").lstrip("0") for level in levels for name in ("price", "qty"))
        return frame.replace(str(book["checksum"]).encode(), b"%d" % crc32(digits.encode()))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return frame
