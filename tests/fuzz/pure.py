"""The decoders as functions of bytes alone, for engines that know nothing else. Each raises what breaks the claim."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from aether.domain.spot_gate import recall
from aether.kraken import account
from aether.kraken.key_passport import read_passport
from aether.kraken.ledger_rows import read_ledgers
from aether.kraken.listings import read_asset_names, read_bars, read_listings
from aether.kraken.outcomes import stopped_by_result
from aether.kraken.strict_json import Malformed, Unreadable, check
from aether.kraken.wire import Reader
from aether.sim.keys import api_sign
from aether.sim.ws_api import Door, Session
from tests.fuzz import corpus, requests
from tests.fuzz.client import believed
from tests.fuzz.sandbox import PATIENCE_NS, SECRET, House, errors_of

NAMES = read_asset_names(b'{"XXBT":{"altname":"XBT"},"ZUSD":{"altname":"USD"}}')
_NONCE = re.compile(rb"nonce\"?[:=]\"?([0-9]{1,25})")
HOUSE_LIVES = 500  # requests, so that what one left behind is met by others, and not by all

Read = Callable[[bytes], None]


def frames() -> Read:
    """One frame, by either way of naming symbols."""
    readers = (Reader(recall), Reader(corpus.gate().wire))

    def read(frame: bytes) -> None:
        for reader in readers:
            if not isinstance(reader.read(frame), Malformed):
                believed(frame)

    return read


def results() -> Read:
    """One REST result, by every reader of them: what is not theirs is unreadable to them, and nothing worse."""
    gate = corpus.gate()
    readers: tuple[Callable[[bytes], object], ...] = (
        lambda result: account.read_open_orders(result, gate),
        lambda result: account.read_closed_orders(result, gate),
        lambda result: account.read_queried_orders(result, gate),
        lambda result: account.read_trades(result, gate),
        lambda result: read_ledgers(result, NAMES),
        lambda result: account.read_balances(result, NAMES),
        lambda result: account.read_fees(result, gate),
        account.read_token,
        read_asset_names,
        read_listings,
        lambda result: read_bars(result, 10),
        read_passport,
        stopped_by_result,
    )

    def read(result: bytes) -> None:
        with contextlib.suppress(Unreadable):
            check(result)
            for reader in readers:
                with contextlib.suppress(Unreadable):
                    reader(result)

    return read


def rest() -> Read:
    """One body, JSON where it looks like it and a form elsewhere, to each private endpoint in turn."""
    houses, methods = _houses(), itertools.cycle(requests.PRIVATE)

    def read(body: bytes) -> None:
        house, path = next(houses), f"/0/private/{next(methods)}"
        house.key.nonce_used = -1  # whatever the last one was: an engine that knows no nonces would come no further
        house.clock.now_ns += PATIENCE_NS
        kind = "application/json" if body[:1] in (b"{", b"[") else "application/x-www-form-urlencoded"
        headers = {"API-Key": "key", "API-Sign": api_sign(SECRET, path, _nonce_in(body), body), "Content-Type": kind}
        errors_of(house.rest.private(path, headers, body))
        house.assert_sound()

    return read


def sockets() -> Read:
    """One message to a session of each door."""
    houses = _houses()
    doors: Iterator[Door] = itertools.cycle(("private", "public"))

    def read(message: bytes) -> None:
        house, told = next(houses), list[str]()
        house.clock.now_ns += PATIENCE_NS
        house.keys.issue_token(house.key, house.clock.now_ns)
        hubs = house.market, house.accounts
        session = Session(house.desk, *hubs, door=next(doors), connection_id=1, send=told.append)
        session.hear(message)
        session.close()
        assert told, "no answer"
        house.assert_sound()

    return read


def _houses() -> itertools.chain[House]:
    return itertools.chain.from_iterable(itertools.repeat(House(), HOUSE_LIVES) for _ in itertools.count())


def _nonce_in(body: bytes) -> str:
    """The nonce that a body says, so that it is signed as its client would have."""
    found = _NONCE.search(body)
    return found[1].decode("ascii") if found else "1"


SEEDS: Mapping[str, Callable[[], Sequence[bytes]]] = {
    "frames": lambda: [document.text for document in (*corpus.frames(), *corpus.book_frames()[:10])],
    "results": lambda: [
        bytes(msgspec.json.decode(document.text, type=dict[str, msgspec.Raw])["result"])
        for name in dict.fromkeys((*corpus.ANSWERS_IN, *corpus.WRITTEN_ANSWERS))
        for document in corpus.answers(name)
    ],
    "rest": lambda: [
        text
        for form in itertools.chain.from_iterable(requests.REST.values())
        for text in (msgspec.json.encode({"nonce": "1", **form}), urlencode({"nonce": "1", **form}).encode())
    ],
    "sockets": lambda: [document.text for document in requests.socket_documents()],
}
READERS: Mapping[str, Callable[[], Read]] = {"frames": frames, "results": results, "rest": rest, "sockets": sockets}
