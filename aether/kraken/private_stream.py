"""The private WebSocket: a fresh token for each link, executions and balances in sequence, and answers to requests.

Source: Kraken docs, WebSocket v2 executions and balances: each subscription numbers its frames from 1; a gap means that
something about our money was missed, and only a new snapshot and the REST views can tell what.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from aether.domain.errors import VenueUnavailable
from aether.domain.inputs import Input, PrivateMalformed, PrivateStreamLive, PrivateStreamLost
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken import requests
from aether.kraken.account import read_token
from aether.kraken.connection import LinkLost, MaintenancePause, Pinger, Send
from aether.kraken.endpoints import Endpoint
from aether.kraken.executions import OrderStates
from aether.kraken.messages import Answer, BalancesRead, ExecutionsRead, SystemStatus
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Malformed, Unreadable, printable
from aether.kraken.wire import Reader
from aether.ports import Clock, Put

SNAPSHOT_S = 10.0


class StreamGone(Exception):
    """No answer to a request that may have been heard."""


class NotWritten(StreamGone):
    """The stream did not take the request at once, so that not one byte of it left."""


class PrivateListener:
    """Hears of our account on one link after another, and carries requests.

    `token` and `is_open` are of the present link; `is_live` from its executions snapshot on. `states` outlives links.
    `on_rate_count` is told Kraken's own count of a pair's limit, in thousandths of points, and `on_rate_count_max` the
    account's limit in points.
    """

    def __init__(
        self, rest: RestClient, gate: SpotGate, clock: Clock, req_ids: itertools.count[int], answer_s: float
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._req_ids = req_ids
        self._answer_s = answer_s
        self._reader = Reader(gate.wire)
        self._pinger = Pinger(clock, req_ids)
        self._pause = MaintenancePause(clock)
        self._waiting: dict[int, tuple[bytes, asyncio.Future[Answer]]] = {}
        self._sequences: dict[str, int] = {}
        self._send: Send | None = None
        self._opened_ns = 0
        self._connection = 0
        self._renew_why = ""
        self.put: Put = _put_nowhere
        self.on_rate_count: Callable[[Symbol, int], None] = _count_nothing
        self.on_rate_count_max: Callable[[int], None] = _count_nothing
        self.states = OrderStates()
        self.token = ""
        self.is_live = False

    @property
    def is_open(self) -> bool:
        """Whether a request can be written now."""
        return self._send is not None

    def renew(self, why: str) -> None:
        """End this link soon and take a new token: Kraken does not close the socket of a stale one."""
        self._renew_why = why

    async def ask(self, req_id: int, frame: bytes, *, at_once: bool = False) -> Answer:
        """Write a request and wait for its answer. Raises StreamGone, from the first byte on, where none comes.

        With `at_once` the request leaves in this turn of the loop, or NotWritten is raised: what waits until the other
        side reads again could leave after a halt, and no latch would hold it back.
        An answer that bears the request's number and another method's name is none: nothing is proved by it.
        """
        if self._send is None:
            raise StreamGone("the private stream closed")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[req_id] = frame, future
        try:
            async with asyncio.timeout(self._answer_s):
                if at_once:
                    await _in_this_turn(self._send(frame))
                else:
                    await self._send(frame)
                return await future
        except TimeoutError as error:
            raise StreamGone(f"no answer within {self._answer_s} s") from error
        except ConnectionError as error:
            raise StreamGone(f"{type(error).__name__}: {error}") from error
        finally:
            self._waiting.pop(req_id, None)

    async def prepare(self) -> None:
        """A fresh token: one may not be used again after a drop. Raises VenueUnavailable, VenueRefused."""
        await self._pause.wait()
        result = await self._rest.call(Endpoint.WEBSOCKETS_TOKEN)
        try:
            self.token = read_token(result)
        except Unreadable as error:
            raise VenueUnavailable(f"GetWebSocketsToken: {error}") from error

    async def opened(self, send: Send) -> None:
        """Subscribe to executions, with the open orders and the last fills, and to balances."""
        self._sequences.clear()
        self.is_live = False  # also where the last link was cancelled, and so never said to be lost
        self._renew_why = ""
        self._pinger.begin_again()
        self._opened_ns = self._clock.monotonic_ns()
        self._connection += 1
        await send(requests.subscribe_executions(token=self.token, req_id=next(self._req_ids)))
        await send(requests.subscribe_balances(token=self.token, req_id=next(self._req_ids)))
        self._send = send

    def heard(self, frame: bytes) -> None:
        """Turn one frame into inputs, or into the answer that a request waits for. Raises LinkLost."""
        match self._reader.read(frame):
            case ExecutionsRead() as read:
                for told in self.states.take(read):
                    self.put(told)
                self._pass_on_rate_counts(read)
                self._check_sequence("executions", read.sequence, is_snapshot=read.is_snapshot)
                if read.is_snapshot and not self.is_live:
                    self.is_live = True
                    self.put(PrivateStreamLive(self._connection))
            case BalancesRead() as balances:
                # The core takes its balances from REST, which knows what open orders hold. Here an unreadable row or a
                # gap says that it must ask.
                for malformed in balances.malformed:
                    self.put(PrivateMalformed(f"{malformed.what}: {malformed.why}"))
                self._check_sequence("balances", balances.sequence, is_snapshot=balances.is_snapshot)
            case Answer() as answer:
                self._answer(answer)
            case SystemStatus(system):
                self._pause.heard(system)
            case Malformed(what, why):
                self.put(PrivateMalformed(f"{what}: {why}"))
            case _:
                pass  # heartbeats, and what we did not ask for

    async def beat(self, send: Send) -> None:
        """Ping; end the link where its snapshot does not come or its token went stale. Raises LinkLost."""
        if self._renew_why:
            raise LinkLost(self._renew_why)
        age_s = (self._clock.monotonic_ns() - self._opened_ns) / NANOS_PER_S
        if not self.is_live and age_s >= SNAPSHOT_S:
            raise LinkLost(f"no executions snapshot within {SNAPSHOT_S} s")
        frame = self._pinger.ping_if_due()
        if frame is not None:
            await send(frame)

    def lost(self, why: str) -> None:
        """Whoever waits for an answer learns that none will come."""
        self._send = None
        self.is_live = False
        self.states.forget_live()
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError(f"the private stream was lost: {why}"))
        self.put(PrivateStreamLost(why, self._rest.standing.fatal_code))

    def _pass_on_rate_counts(self, read: ExecutionsRead) -> None:
        """Each record's count, or the frame's where all its records are of one pair: no document tells which it is."""
        symbols = [(self.states.symbol(record.order_id), record.rate_count_milli) for record in read.records]
        if read.rate_count_milli is not None and len({symbol for symbol, _ in symbols}) == 1:
            symbols.append((symbols[-1][0], read.rate_count_milli))
        for symbol, milli in symbols:
            if symbol is not None and milli is not None:
                self.on_rate_count(symbol, milli)

    def _check_sequence(self, channel: str, sequence: int, *, is_snapshot: bool) -> None:
        """A first snapshot sets the count, whatever its number: no document promises that it is 1."""
        expected = self._sequences.get(channel, sequence if is_snapshot else 1)
        if sequence != expected:
            raise LinkLost(f"{channel}: frame {sequence} where {expected} was due")
        self._sequences[channel] = sequence + 1

    def _answer(self, answer: Answer) -> None:
        if answer.rate_count_max:
            self.on_rate_count_max(answer.rate_count_max)
        if answer.method == "subscribe" and not answer.is_yes:
            self._rest.standing.refused(answer.error)
            raise LinkLost(f"subscribe refused: {answer.error}")
        waiting = self._waiting.get(answer.req_id) if answer.req_id is not None else None
        if waiting is None or waiting[1].done():
            return
        asked, future = waiting
        if requests.is_of(asked, answer.method):
            future.set_result(answer)
        else:
            future.set_exception(StreamGone(f"the answer is one to {printable(answer.method)}"))


async def _in_this_turn(writing: Awaitable[None]) -> None:
    """A write that has to wait for anything is given up. Raises NotWritten."""
    try:
        async with asyncio.timeout(0):
            await writing
    except TimeoutError as error:
        raise NotWritten("the private stream takes no writes now") from error


def _put_nowhere(_input: Input) -> None:
    """Before `run` nobody hears."""


def _count_nothing(*_count: object) -> None:
    """Until somebody wants to know."""
