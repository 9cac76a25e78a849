"""Our account at Kraken: orders over the private WebSocket, the account's views over REST.

Nothing here repeats an order or an amend, and neither has a second road. What proves nothing is unknown, and only a
failure before any byte was written is a refusal of our own. What stops goes over REST where the stream is down, mute
or its token stale, for stopping must always be possible.
Source: Kraken docs, WebSocket v2 trading and executions; Spot atomic amends; error messages.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from aether.domain.effects import (
    AmendOrder,
    AskAccount,
    CancelBatch,
    CancelOrder,
    SetDeadMan,
    SubmitBatch,
    SubmitOrder,
)
from aether.domain.errors import OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CancelAllAnswered,
    CancelAnswered,
    DeadManAnswered,
    FeesSeen,
    Input,
    OrderReported,
    PrivateStreamLive,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken import requests
from aether.kraken.account import read_fees
from aether.kraken.account_views import AccountViews
from aether.kraken.connection import Connector
from aether.kraken.endpoints import Endpoint
from aether.kraken.messages import Answer
from aether.kraken.order_counters import OrderCounters
from aether.kraken.order_fields import Json
from aether.kraken.outcomes import (
    Stopped,
    SubmitOutcome,
    amend_outcome,
    batch_outcomes,
    cancels_answered,
    dead_man_answered,
    stopped_by_answer,
    stopped_by_result,
    submit_outcome,
)
from aether.kraken.private_stream import NotWritten, PrivateListener, StreamGone
from aether.kraken.rate_limit import Tier, TierLimits, limits_of_max
from aether.kraken.refusals import Refusal, RefusalClass
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Unreadable
from aether.ports import Clock, Put, VenueCounters

CANCEL_WAIT_S = 10.0  # longest that a cancel waits for its points; then Kraken may decide
# An order whose answer was lost may never have lived, and then nothing ends it in the counters. After five minutes it
# could not arrive any more, views lag by less, and its cancel would cost nothing: if no view has it, it takes no place.
FORGOTTEN_AFTER_NS = 300 * NANOS_PER_S


@dataclass(frozen=True, slots=True)
class _HeldBack:
    """Why a request was not sent: our code and a sentence."""

    code: str
    text: str


class KrakenVenue:
    """OrderVenue on Kraken's private WebSocket and REST.

    Args:
        url: address of the private WebSocket, such as `wss://ws-auth.kraken.com/v2`.
        limits: the account's tier, until Kraken tells it.
        answer_s: how long an answer to an order or a cancel is waited for.
        figures: what metrics and log hear of errors and points.
    """

    def __init__(
        self,
        connector: Connector,
        rest: RestClient,
        *,
        url: str,
        gate: SpotGate,
        clock: Clock,
        limits: TierLimits,
        answer_s: float = 10.0,
        figures: VenueCounters | None = None,
    ) -> None:
        self._connector = connector
        self._rest = rest
        self._url = url
        self._gate = gate
        self._clock = clock
        self._counters = OrderCounters(limits)
        self._figures = figures
        if figures is not None:
            for symbol in gate.symbols:
                figures.show_counter(symbol, partial(self._count_milli, symbol))
        self._req_ids = itertools.count(1)
        self._stream = PrivateListener(rest, gate, clock, self._req_ids, answer_s)
        self._stream.on_rate_count = self._adopt_count
        self._stream.on_rate_count_max = self._learn_tier
        self._views = AccountViews(rest, self._stream, gate, clock)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, put: Put) -> None:
        """Hear of our account until cancelled (see `ports.OrderVenue`)."""
        self._stream.put = partial(self._pass_on, put)
        await self._connector.keep_connected(self._url, self._stream)

    async def submit(self, order: SubmitOrder) -> SubmitOutcome:
        """Send this order once. Raises InvariantBroken alone: for an order that must never have been made."""
        req_id = next(self._req_ids)
        frame = requests.add_order(order, self._gate, token=self._stream.token, req_id=req_id)
        held_back = self._cannot_send() or self._no_room(order.symbol, (order.cl_ord_id,))
        if held_back is not None:
            return SubmitRefused(order.cl_ord_id, held_back.code, held_back.text)
        try:
            answer = await self._stream.ask(req_id, frame, at_once=True)
        except NotWritten as error:
            return self._noted(SubmitRefused(order.cl_ord_id, "venue_unreachable", str(error)))
        except StreamGone as error:
            return SubmitUnknown(order.cl_ord_id, str(error))
        finally:
            self._counters.answered(order.cl_ord_id, self._clock.monotonic_ns())
        return self._noted(submit_outcome(order, answer, self._heed(answer, order.symbol)))

    async def submit_batch(self, batch: SubmitBatch) -> tuple[SubmitOutcome, ...]:
        """Send these orders once, in one request. Raises as submit."""
        ids = tuple(order.cl_ord_id for order in batch.orders)
        req_id = next(self._req_ids)
        frame = requests.batch_add(batch, self._gate, token=self._stream.token, req_id=req_id)
        held_back = self._cannot_send() or self._no_room(batch.symbol, ids)
        if held_back is not None:
            return tuple(SubmitRefused(cl_ord_id, held_back.code, held_back.text) for cl_ord_id in ids)
        try:
            answer = await self._stream.ask(req_id, frame, at_once=True)
        except NotWritten as error:
            refused = (SubmitRefused(cl_ord_id, "venue_unreachable", str(error)) for cl_ord_id in ids)
            return tuple(map(self._noted, refused))
        except StreamGone as error:
            return tuple(SubmitUnknown(cl_ord_id, str(error)) for cl_ord_id in ids)
        finally:
            self._answered(ids)
        return tuple(map(self._noted, batch_outcomes(batch, answer, self._heed(answer, batch.symbol))))

    async def amend(self, amend: AmendOrder) -> AmendAccepted | AmendRefused | AmendUnknown:
        """Change an open order in place. Raises InvariantBroken alone: for an amend that must never have been made.

        One unanswered change of an order at a time: Kraken promises no order among them.
        """
        async with self._turn(amend.cl_ord_id):
            req_id = next(self._req_ids)
            frame = requests.amend_order(amend, self._gate, token=self._stream.token, req_id=req_id)
            held_back = self._cannot_send() or self._no_room_to_amend(amend)
            if held_back is not None:
                return AmendRefused(amend.cl_ord_id, held_back.code, held_back.text)
            try:
                answer = await self._stream.ask(req_id, frame, at_once=True)
            except NotWritten as error:
                return AmendRefused(amend.cl_ord_id, "venue_unreachable", str(error))
            except StreamGone as error:
                return AmendUnknown(amend.cl_ord_id, str(error))
            finally:
                self._answered((amend.cl_ord_id,))
            return amend_outcome(amend, answer, self._heed(answer, amend.symbol))

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        """Ask for a cancel; repeating it does no harm."""
        async with self._turn(cancel.cl_ord_id):
            await self._wait_to_cancel((cancel.cl_ord_id,))
            stopped = await self._stop(
                partial(requests.cancel_order, cancel), Endpoint.CANCEL_ORDER, requests.rest_cancel(cancel)
            )
            self._answered((cancel.cl_ord_id,))
            return CancelAnswered(cancel.cl_ord_id, stopped.is_done, stopped.text)

    async def cancel_batch(self, batch: CancelBatch) -> tuple[CancelAnswered, ...]:
        """Ask for several cancels at once. None waits for an amend under way: either way the order ends."""
        ids = tuple(cancel.cl_ord_id for cancel in batch.cancels)
        await self._wait_to_cancel(ids)
        stopped = await self._stop(
            partial(requests.batch_cancel, batch), Endpoint.CANCEL_ORDERS, requests.rest_cancel_batch(batch)
        )
        self._answered(ids)
        return cancels_answered(batch, stopped)

    async def cancel_all(self) -> CancelAllAnswered:
        """Ask for a cancel of every order of the account."""
        cl_ord_ids = self._counters.charge_cancel_all(self._clock.monotonic_ns())
        stopped = await self._stop(requests.cancel_all, Endpoint.CANCEL_ALL, {})
        self._answered(cl_ord_ids)
        return CancelAllAnswered(stopped.is_done, stopped.count, stopped.text)

    async def set_dead_man(self, dead_man: SetDeadMan) -> DeadManAnswered:
        """Set the dead man's switch, or switch it off. The last one that Kraken hears counts."""
        self._counters.charge_dead_man(self._clock.monotonic_ns())
        stopped = await self._stop(
            partial(requests.cancel_all_orders_after, dead_man),
            Endpoint.CANCEL_ALL_AFTER,
            requests.rest_dead_man(dead_man),
        )
        return dead_man_answered(dead_man, stopped)

    async def account(self, ask: AskAccount) -> AccountSeen | AccountUnavailable:
        """All views of the account (see `inputs.AccountSeen`)."""
        began_ns = self._clock.monotonic_ns()
        try:
            seen = await self._views.look(ask)
        except (VenueUnavailable, VenueRefused, OutcomeUnknown, Unreadable) as error:
            return AccountUnavailable(str(error), self._rest.standing.fatal_code)
        if "executions" in seen.views:
            resting = {*seen.live_cl_ord_ids, *(order.cl_ord_id for order in seen.open_orders if order.cl_ord_id)}
            self._counters.keep_only(resting, began_ns, FORGOTTEN_AFTER_NS)
        return seen

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        """The account's own rates, of those that were told (see `ports.OrderVenue`)."""
        result = await self._rest.call(Endpoint.TRADE_VOLUME, {"pair": ",".join(symbols)})
        try:
            seen = tuple(fees for fees in read_fees(result, self._gate) if fees.symbol in symbols)
        except Unreadable as error:
            raise VenueUnavailable(f"TradeVolume: {error}") from error
        if not seen:
            raise VenueUnavailable(f"TradeVolume told no rate of {', '.join(symbols)}")
        return seen

    # --- what stops ---------------------------------------------------------------------------------------------

    async def _stop(self, write: Callable[..., bytes], endpoint: Endpoint, fields: Mapping[str, Json]) -> Stopped:
        """Ask over the stream; over REST where it is closed, does not answer, or its token is stale.

        REST needs no token, and to stop twice does no harm: a link that beats and answers nothing must not hold it up.
        """
        try:
            if self._stream.is_open:
                self._rest.standing.check()
                req_id = next(self._req_ids)
                with suppress(StreamGone):
                    answer = await self._stream.ask(req_id, write(token=self._stream.token, req_id=req_id))
                    if self._heed(answer).kind is not RefusalClass.SESSION:
                        return stopped_by_answer(answer)
            return stopped_by_result(await self._rest.call(endpoint, fields))
        except (VenueUnavailable, VenueRefused, OutcomeUnknown, Unreadable) as error:
            return Stopped(is_done=False, text=str(error))

    async def _wait_to_cancel(self, cl_ord_ids: Sequence[str]) -> None:
        """Count cancels, and wait until they fit. Points are taken first, so that several wait one behind the other."""
        now_ns = self._clock.monotonic_ns()
        wait_s = self._counters.wait_for_cancel_ns(cl_ord_ids, now_ns) / NANOS_PER_S
        self._counters.charge_cancels(cl_ord_ids, now_ns)
        await asyncio.sleep(min(wait_s, CANCEL_WAIT_S))

    def _turn(self, cl_ord_id: str) -> asyncio.Lock:
        return self._turns.setdefault(cl_ord_id, asyncio.Lock())

    # --- what may leave -----------------------------------------------------------------------------------------

    def _cannot_send(self) -> _HeldBack | None:
        if not self._stream.is_open:
            return _HeldBack("venue_unreachable", "the private stream is not connected")
        try:
            self._rest.standing.check()
        except VenueRefused as error:
            return _HeldBack(error.code, str(error))
        except VenueUnavailable as error:  # locked out for a time
            return _HeldBack("venue_rate_limit", str(error))
        return None

    def _no_room(self, symbol: Symbol, cl_ord_ids: Sequence[str]) -> _HeldBack | None:
        """Count orders that are about to leave; or why Kraken would refuse one of them, or a cancel later."""
        now_ns = self._clock.monotonic_ns()
        wait_ns = self._counters.wait_for_orders_ns(symbol, len(cl_ord_ids), now_ns)
        if wait_ns:
            return _HeldBack("venue_counter", _room_after(wait_ns))
        if self._counters.open_places(symbol) < len(cl_ord_ids):
            return _HeldBack("venue_open_orders", "no further order may rest on the pair")
        self._counters.charge_orders(symbol, cl_ord_ids, now_ns)
        return None

    def _no_room_to_amend(self, amend: AmendOrder) -> _HeldBack | None:
        now_ns = self._clock.monotonic_ns()
        wait_ns = self._counters.wait_for_amend_ns(amend.cl_ord_id, amend.symbol, now_ns)
        if wait_ns:
            return _HeldBack("venue_counter", _room_after(wait_ns))
        self._counters.charge_amend(amend.cl_ord_id, amend.symbol, now_ns)
        return None

    # --- what was heard -----------------------------------------------------------------------------------------

    def _heed(self, answer: Answer, symbol: Symbol | None = None) -> Refusal:
        """What an answer's error proves; what it says of token, key and the pair's limit is acted upon."""
        refusal = self._rest.standing.refused(answer.error)
        if answer.error and self._figures is not None:
            self._figures.kraken_refused(answer.method, refusal.code)
            if refusal.kind is RefusalClass.RATE_LIMITED:
                self._figures.throttled("ws", answer.error)
        if refusal.kind is RefusalClass.SESSION:
            self._stream.renew("the token is no longer good")
        if refusal.kind is RefusalClass.RATE_LIMITED and symbol is not None:
            self._counters.fill(symbol, self._clock.monotonic_ns())
        return refusal

    def _noted(self, outcome: SubmitOutcome) -> SubmitOutcome:
        """Which order of Kraken's is which of ours; and that one which never lived needs no cancel.

        An answer that names another order of ours proves nothing of this one.
        """
        states = self._stream.states
        match outcome:
            case SubmitAccepted(cl_ord_id, order_id) if states.cl_ord_id(order_id) not in (None, cl_ord_id):
                return SubmitUnknown(cl_ord_id, f"the answer names {order_id}, which is {states.cl_ord_id(order_id)}")
            case SubmitAccepted(cl_ord_id, order_id):
                states.learn(order_id, cl_ord_id)
                if states.has_ended(order_id):
                    self._counters.ended(cl_ord_id)
            case SubmitRefused(cl_ord_id):
                self._counters.ended(cl_ord_id)
        return outcome

    def _answered(self, cl_ord_ids: Sequence[str]) -> None:
        now_ns = self._clock.monotonic_ns()
        for cl_ord_id in cl_ord_ids:
            self._counters.answered(cl_ord_id, now_ns)

    def _learn_tier(self, points_max: int) -> None:
        limits = limits_of_max(points_max)
        self._counters.set_limits(limits)
        if limits in [tier.value for tier in Tier]:  # a figure of no known tier says nothing of REST
            self._rest.set_limits(limits)

    def _adopt_count(self, symbol: Symbol, milli: int) -> None:
        self._counters.adopt(symbol, milli, self._clock.monotonic_ns())

    def _count_milli(self, symbol: Symbol) -> int:
        return self._counters.count_milli(symbol, self._clock.monotonic_ns())

    def _pass_on(self, put: Put, told: Input) -> None:
        """Hand an input on; what rests needs room for its cancel, and what ended needs none and takes no place."""
        now_ns = self._clock.monotonic_ns()
        match told:
            case OrderReported(report) if report.cl_ord_id and self._stream.states.has_ended(report.order_id):
                self._counters.ended(report.cl_ord_id)  # a late fill is told as of a living order
            case OrderReported(report) if report.cl_ord_id and report.symbol is not None:
                self._counters.resting(report.symbol, report.cl_ord_id, now_ns)
            case PrivateStreamLive():
                self._counters.keep_only(self._stream.states.live_cl_ord_ids, now_ns)
        put(told)


def _room_after(wait_ns: int) -> str:
    return f"our count of the pair leaves room after {wait_ns / NANOS_PER_S:.3f} s at most"
