"""Our account at Kraken: orders over the private WebSocket, the account's views over REST.

Nothing here repeats an order. What proves nothing is SubmitUnknown, and only a failure before any byte was written is a
refusal of our own. Source: Kraken docs, WebSocket v2 trading and executions; error messages.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aether.domain.effects import AskAccount, CancelOrder, SubmitOrder
from aether.domain.errors import OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.inputs import (
    AccountSeen,
    AccountUnavailable,
    CancelAnswered,
    FeesSeen,
    Input,
    OrderReported,
    SubmitAccepted,
    SubmitRefused,
    SubmitUnknown,
)
from aether.domain.orders import Execution, OrderReport
from aether.domain.spot_gate import SpotGate
from aether.domain.values import NANOS_PER_S, Symbol
from aether.kraken import requests
from aether.kraken.account import (
    OrdersPage,
    TradesPage,
    read_balances,
    read_closed_orders,
    read_fees,
    read_open_orders,
    read_queried_orders,
    read_trades,
)
from aether.kraken.connection import Connector
from aether.kraken.endpoints import Endpoint
from aether.kraken.listings import AssetNames, load_asset_names
from aether.kraken.messages import Answer
from aether.kraken.order_counters import OrderCounters
from aether.kraken.private_stream import PrivateListener, StreamGone
from aether.kraken.rate_limit import TierLimits, limits_of_max
from aether.kraken.refusals import Refusal, RefusalClass
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Unreadable
from aether.ports import Clock, Put

ORDERS_IN_QUERY = 50  # Kraken docs, QueryOrders
ROWS_IN_PAGE = 50  # Kraken docs, ClosedOrders and TradesHistory
CANCEL_WAIT_S = 10.0  # longest that a cancel waits for its points; then Kraken may decide


class KrakenVenue:
    """OrderVenue on Kraken's private WebSocket and REST.

    Args:
        url: address of the private WebSocket, such as `wss://ws-auth.kraken.com/v2`.
        limits: the account's tier.
        answer_s: how long an answer to an order or a cancel is waited for.
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
    ) -> None:
        self._connector = connector
        self._rest = rest
        self._url = url
        self._gate = gate
        self._clock = clock
        self._counters = OrderCounters(limits)
        self._req_ids = itertools.count(1)
        self._stream = PrivateListener(rest, gate, clock, self._req_ids, answer_s)
        self._stream.on_rate_count = self._adopt_count
        self._stream.on_rate_count_max = lambda points: self._counters.set_limits(limits_of_max(points))
        self._names: AssetNames | None = None

    async def run(self, put: Put) -> None:
        """Hear of our account until cancelled (see `ports.OrderVenue`)."""
        self._stream.put = partial(self._pass_on, put)
        await self._connector.keep_connected(self._url, self._stream)

    async def submit(self, order: SubmitOrder) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        """Send this order once. Raises InvariantBroken alone: for an order that must never have been made."""
        req_id = next(self._req_ids)
        frame = requests.add_order(order, self._gate, token=self._stream.token, req_id=req_id)
        if not self._stream.is_open:
            return SubmitRefused(order.cl_ord_id, "venue_unreachable", "the private stream is not connected")
        try:
            self._rest.standing.check()
        except VenueRefused as error:
            return SubmitRefused(order.cl_ord_id, error.code, str(error))
        except VenueUnavailable as error:  # locked out for a time
            return SubmitRefused(order.cl_ord_id, "venue_rate_limit", str(error))
        held_back = self._held_back(order, self._clock.monotonic_ns())
        if held_back is not None:
            return held_back
        try:
            answer = await self._stream.ask(req_id, frame)
        except StreamGone as error:
            return SubmitUnknown(order.cl_ord_id, str(error))
        finally:
            self._counters.answered(order.cl_ord_id, self._clock.monotonic_ns())
        return self._outcome(order, answer)

    async def cancel(self, cancel: CancelOrder) -> CancelAnswered:
        """Ask for a cancel: over the stream where it is open, else over REST, for stopping must always be possible."""
        await self._wait_to_cancel(cancel.cl_ord_id)
        try:
            if not self._stream.is_open:
                return await self._cancel_over_rest(cancel)
            req_id = next(self._req_ids)
            self._rest.standing.check()
            answer = await self._stream.ask(
                req_id, requests.cancel_order(cancel, token=self._stream.token, req_id=req_id)
            )
        except (StreamGone, VenueRefused, VenueUnavailable) as error:
            return CancelAnswered(cancel.cl_ord_id, done=False, text=str(error))
        finally:
            self._counters.answered(cancel.cl_ord_id, self._clock.monotonic_ns())
        self._heed(answer.error)
        return CancelAnswered(cancel.cl_ord_id, done=answer.is_yes, text=answer.error)

    def _adopt_count(self, symbol: Symbol, milli: int) -> None:
        self._counters.adopt(symbol, milli, self._clock.monotonic_ns())

    def _pass_on(self, put: Put, told: Input) -> None:
        """Hand an input on; what ended takes no place among the open orders, and needs no cancel."""
        if isinstance(told, OrderReported) and told.report.status.is_terminal and told.report.cl_ord_id:
            self._counters.ended(told.report.cl_ord_id)
        put(told)

    def _held_back(self, order: SubmitOrder, now_ns: int) -> SubmitRefused | None:
        """Count an order that is about to leave; or a refusal of our own, where Kraken would refuse it or a cancel."""
        wait_ns = self._counters.wait_for_orders_ns(order.symbol, 1, now_ns)
        if wait_ns:
            why = f"our count of the pair leaves room after {wait_ns / NANOS_PER_S:.3f} s at most"
            return SubmitRefused(order.cl_ord_id, "venue_counter", why)
        if self._counters.open_places(order.symbol) < 1:
            return SubmitRefused(order.cl_ord_id, "venue_open_orders", "no further order may rest on the pair")
        self._counters.charge_orders(order.symbol, (order.cl_ord_id,), now_ns)
        return None

    async def _wait_to_cancel(self, cl_ord_id: str) -> None:
        """Count a cancel, and wait until it fits. Points are taken first, so that several wait one behind the other."""
        now_ns = self._clock.monotonic_ns()
        wait_s = self._counters.wait_for_cancel_ns((cl_ord_id,), now_ns) / NANOS_PER_S
        self._counters.charge_cancels((cl_ord_id,), now_ns)
        await asyncio.sleep(min(wait_s, CANCEL_WAIT_S))

    async def account(self, ask: AskAccount) -> AccountSeen | AccountUnavailable:
        """All views of the account (see `inputs.AccountSeen`). The executions view is there while the stream is live.

        Open orders are asked before closed ones, so that one which ends in between is in at least one of them; trades
        come last, so that every fill that the balances hold is among them.
        """
        try:
            return await self._account(ask)
        except (VenueUnavailable, VenueRefused, OutcomeUnknown, Unreadable) as error:
            return AccountUnavailable(str(error), self._rest.standing.fatal_code)

    async def fees(self, symbols: Sequence[Symbol]) -> tuple[FeesSeen, ...]:
        """The account's own rates. Raises VenueUnavailable, VenueRefused."""
        result = await self._rest.call(Endpoint.TRADE_VOLUME, {"pair": ",".join(symbols)})
        try:
            seen = read_fees(result, self._gate)
        except Unreadable as error:
            raise VenueUnavailable(f"TradeVolume: {error}") from error
        missing = set(symbols) - {fees.symbol for fees in seen}
        if missing:
            raise VenueUnavailable(f"TradeVolume told no rate of {', '.join(sorted(missing))}")
        return tuple(fees for fees in seen if fees.symbol in symbols)

    def _outcome(self, order: SubmitOrder, answer: Answer) -> SubmitAccepted | SubmitRefused | SubmitUnknown:
        """A yes and a no must be clear: an error beside a success or an order's id proves neither."""
        if answer.is_yes and answer.order_id and answer.cl_ord_id in ("", order.cl_ord_id):
            self._stream.states.learn(answer.order_id, order.cl_ord_id)
            return SubmitAccepted(order.cl_ord_id, answer.order_id)
        refusal = self._heed(answer.error)
        if not answer.is_no or refusal.kind is RefusalClass.UNKNOWN:
            return SubmitUnknown(order.cl_ord_id, answer.error or "the answer names no order, or another one")
        if refusal.kind is RefusalClass.RATE_LIMITED:
            self._counters.fill(order.symbol, self._clock.monotonic_ns())
        self._counters.ended(order.cl_ord_id)
        return SubmitRefused(order.cl_ord_id, refusal.code, answer.error)

    def _heed(self, error: str) -> Refusal:
        """What an answer's error proves; what it says of token and key is acted upon. No error proves nothing."""
        refusal = self._rest.standing.refused(error)
        if refusal.kind is RefusalClass.SESSION:
            self._stream.renew("the token is no longer good")
        return refusal

    async def _cancel_over_rest(self, cancel: CancelOrder) -> CancelAnswered:
        which = {"txid": cancel.order_id} if cancel.order_id else {"cl_ord_id": cancel.cl_ord_id}
        try:
            await self._rest.call(Endpoint.CANCEL_ORDER, which)
        except (VenueUnavailable, VenueRefused, OutcomeUnknown) as error:
            return CancelAnswered(cancel.cl_ord_id, done=False, text=str(error))
        return CancelAnswered(cancel.cl_ord_id, done=True, text="")

    async def _account(self, ask: AskAccount) -> AccountSeen:
        asked_ns = self._clock.wall_ns()
        is_live = self._stream.is_live
        live = self._stream.states.live_cl_ord_ids if is_live else ()
        if self._names is None:
            self._names = await load_asset_names(self._rest)
        balances = read_balances(await self._rest.call(Endpoint.BALANCES), self._names)
        open_orders = read_open_orders(await self._rest.call(Endpoint.OPEN_ORDERS), self._gate)
        closed_orders = await self._closed_orders(ask.since_ns)
        fills = await self._fills(ask.since_ns, (*open_orders, *closed_orders))
        views = ("balances", "executions", "open", "closed", "trades")
        return AccountSeen(
            asked_ns=asked_ns,
            answered_ns=self._clock.wall_ns(),
            since_ns=ask.since_ns,
            views=views if is_live and self._stream.is_live else tuple(v for v in views if v != "executions"),
            balances=balances,
            open_orders=open_orders,
            closed_orders=closed_orders,
            fills=fills,
            live_cl_ord_ids=live,
        )

    async def _closed_orders(self, since_ns: int) -> tuple[OrderReport, ...]:
        """All pages, newest first. What ends while we page shifts rows to later pages, where they are met twice."""
        found: dict[str, OrderReport] = {}
        offset = 0
        while True:
            fields = {"start": _start(since_ns), "ofs": str(offset), "closetime": "close"}
            page = read_closed_orders(await self._rest.call(Endpoint.CLOSED_ORDERS, fields), self._gate)
            known = len(found)
            found.update({order.order_id: order for order in page.orders})
            offset += page.rows
            if _is_last(page, offset, news=len(found) - known):
                return tuple(found.values())

    async def _fills(self, since_ns: int, orders: Sequence[OrderReport]) -> tuple[Execution, ...]:
        found: dict[str, Execution] = {}
        offset = 0
        while True:
            fields = {"start": _start(since_ns), "ofs": str(offset)}
            page = read_trades(await self._rest.call(Endpoint.TRADES_HISTORY, fields), self._gate)
            known = len(found)
            found.update({trade.exec_id: trade for trade in page.trades})
            offset += page.rows
            if _is_last(page, offset, news=len(found) - known):
                return await self._with_our_ids(tuple(found.values()), orders)

    async def _with_our_ids(self, trades: Sequence[Execution], orders: Sequence[OrderReport]) -> tuple[Execution, ...]:
        """Fill in the client order ids that trade records lack: from the orders seen, else by asking for the order."""
        ids = {order.order_id: order.cl_ord_id for order in orders}
        unknown = dict.fromkeys(trade.order_id for trade in trades if trade.order_id not in ids)
        asked = [order_id for order_id in unknown if self._stream.states.cl_ord_id(order_id) is None]
        for start in range(0, len(asked), ORDERS_IN_QUERY):
            fields = {"txid": ",".join(asked[start : start + ORDERS_IN_QUERY])}
            for order in read_queried_orders(await self._rest.call(Endpoint.QUERY_ORDERS, fields), self._gate):
                ids[order.order_id] = order.cl_ord_id
        return tuple(
            replace(trade, cl_ord_id=trade.cl_ord_id or ids.get(trade.order_id) or self._known(trade.order_id))
            for trade in trades
        )

    def _known(self, order_id: str) -> str | None:
        return self._stream.states.cl_ord_id(order_id)


def _is_last(page: OrdersPage | TradesPage, rows_seen: int, *, news: int) -> bool:
    """Whether no page follows; where Kraken tells no count, a page that is not full is the last.

    Raises Unreadable where one should follow a page of which every row is known: they would come without end.
    """
    is_last = page.rows < ROWS_IN_PAGE if page.count is None else not page.rows or rows_seen >= page.count
    if not is_last and not news:
        raise Unreadable(f"a page of {page.rows} rows with nothing new, and more are said to follow")
    return is_last


def _start(since_ns: int) -> str:
    """Kraken leaves out what happened exactly at `start`: a second earlier, so that nothing of ours is."""
    return str(max(0, since_ns // NANOS_PER_S - 1))
