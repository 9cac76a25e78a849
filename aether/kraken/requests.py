"""Our requests to WebSocket v2 as bytes, and to REST as fields where the stream is down and stopping must be possible.

Orders and amends have one road, the socket: no REST form of them is here. Source: Kraken docs, WebSocket v2 (add_order,
amend_order, cancel_order, batch_add, batch_cancel, cancel_all, cancel_all_orders_after, subscribe, ping).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from aether.domain.effects import AmendOrder, CancelBatch, CancelOrder, SetDeadMan, SubmitBatch, SubmitOrder
from aether.domain.spot_gate import SpotGate
from aether.domain.values import Symbol
from aether.kraken.order_fields import Json, amend_fields, order_fields, refuse_unadmitted, rfc3339_ms


def add_order(order: SubmitOrder, gate: SpotGate, *, token: str, req_id: int) -> bytes:
    """Bytes of an order.

    Raises:
        InvariantBroken: the symbol is not admitted, or a number is out of bounds (see `order_fields`).
    """
    refuse_unadmitted(order.symbol, gate, order.cl_ord_id)
    fields = order_fields(order)
    fields |= {"symbol": order.symbol, "deadline": rfc3339_ms(order.deadline_ns), "token": token}
    return _request("add_order", fields, req_id)


def batch_add(batch: SubmitBatch, gate: SpotGate, *, token: str, req_id: int) -> bytes:
    """Bytes of several orders of one pair, which share symbol and deadline. Raises as add_order."""
    first = batch.orders[0]
    refuse_unadmitted(batch.symbol, gate, first.cl_ord_id)
    fields: dict[str, Json] = {
        "symbol": batch.symbol,
        "orders": [order_fields(order) for order in batch.orders],
        "deadline": rfc3339_ms(first.deadline_ns),
        "token": token,
    }
    return _request("batch_add", fields, req_id)


def amend_order(amend: AmendOrder, gate: SpotGate, *, token: str, req_id: int) -> bytes:
    """Bytes of an amend: which order, and what differs. Raises as add_order."""
    refuse_unadmitted(amend.symbol, gate, amend.cl_ord_id)
    fields = amend_fields(amend)
    fields |= {"deadline": rfc3339_ms(amend.deadline_ns), "token": token}
    return _request("amend_order", fields, req_id)


def cancel_order(cancel: CancelOrder, *, token: str, req_id: int) -> bytes:
    """Bytes of a cancel, by Kraken's order id where it is known, else by ours; exactly one of the two may be sent."""
    which: dict[str, Json] = {"order_id": [cancel.order_id]} if cancel.order_id else {"cl_ord_id": [cancel.cl_ord_id]}
    return _request("cancel_order", {**which, "token": token}, req_id)


def batch_cancel(batch: CancelBatch, *, token: str, req_id: int) -> bytes:
    """Bytes of several cancels: by Kraken's ids where all are known, else by ours."""
    ids = [cancel.order_id for cancel in batch.cancels]
    which: dict[str, Json] = {"orders": ids} if all(ids) else {"cl_ord_id": [c.cl_ord_id for c in batch.cancels]}
    return _request("batch_cancel", {**which, "token": token}, req_id)


def cancel_all(*, token: str, req_id: int) -> bytes:
    """Bytes of a cancel of every order of the account."""
    return _request("cancel_all", {"token": token}, req_id)


def cancel_all_orders_after(dead_man: SetDeadMan, *, token: str, req_id: int) -> bytes:
    """Bytes that set the dead man's switch, or with a time of 0 switch it off."""
    return _request("cancel_all_orders_after", {"timeout": dead_man.timeout_s, "token": token}, req_id)


def rest_cancel(cancel: CancelOrder) -> dict[str, str]:
    """Fields of REST `CancelOrder`."""
    return {"txid": cancel.order_id} if cancel.order_id else {"cl_ord_id": cancel.cl_ord_id}


def rest_cancel_batch(batch: CancelBatch) -> dict[str, Json]:
    """Fields of REST `CancelOrderBatch`, whose body is JSON (Kraken docs: a form is refused)."""
    ids = [cancel.order_id for cancel in batch.cancels]
    return {"orders": ids} if all(ids) else {"cl_ord_ids": [cancel.cl_ord_id for cancel in batch.cancels]}


def rest_dead_man(dead_man: SetDeadMan) -> dict[str, str]:
    """Fields of REST `CancelAllOrdersAfter`."""
    return {"timeout": str(dead_man.timeout_s)}


def subscribe_book(symbols: Sequence[Symbol], depth: int, *, req_id: int) -> bytes:
    """Ask for the books of these symbols; one answer and one snapshot each."""
    fields: dict[str, Json] = {"channel": "book", "symbol": list(symbols), "depth": depth, "snapshot": True}
    return _request("subscribe", fields, req_id)


def unsubscribe_book(symbols: Sequence[Symbol], depth: int, *, req_id: int) -> bytes:
    """End book subscriptions; they are keyed by symbol and depth, so the depth must be repeated."""
    fields: dict[str, Json] = {"channel": "book", "symbol": list(symbols), "depth": depth}
    return _request("unsubscribe", fields, req_id)


def subscribe_trades(symbols: Sequence[Symbol], *, req_id: int) -> bytes:
    """Ask for the public trades of these symbols from now on."""
    return _request("subscribe", {"channel": "trade", "symbol": list(symbols), "snapshot": False}, req_id)


def subscribe_ticker(symbols: Sequence[Symbol], *, req_id: int) -> bytes:
    """Ask for the tickers of these symbols at every change of their best prices, not at trades alone."""
    fields: dict[str, Json] = {"channel": "ticker", "symbol": list(symbols), "event_trigger": "bbo", "snapshot": True}
    return _request("subscribe", fields, req_id)


def subscribe_candles(symbols: Sequence[Symbol], bar_min: int, *, req_id: int) -> bytes:
    """Ask for the candles of these symbols, `bar_min` minutes long: those there are, and each change of the last."""
    fields: dict[str, Json] = {"channel": "ohlc", "symbol": list(symbols), "interval": bar_min, "snapshot": True}
    return _request("subscribe", fields, req_id)


def subscribe_instruments(*, req_id: int) -> bytes:
    """Ask for the rules of all pairs, and for their changes."""
    return _request("subscribe", {"channel": "instrument", "snapshot": True}, req_id)


def subscribe_executions(*, token: str, req_id: int) -> bytes:
    """Ask for our open orders, the last fifty fills, all that follows, and Kraken's own count of our pairs' limits."""
    fields: dict[str, Json] = {
        "channel": "executions",
        "snap_orders": True,
        "snap_trades": True,
        "ratecounter": True,
        "token": token,
    }
    return _request("subscribe", fields, req_id)


def subscribe_balances(*, token: str, req_id: int) -> bytes:
    """Ask for our balances and their changes."""
    return _request("subscribe", {"channel": "balances", "snapshot": True, "token": token}, req_id)


def ping(*, req_id: int) -> bytes:
    """Ask for a pong, which tells when Kraken heard us. A ping with parameters would be refused."""
    return msgspec.json.encode({"method": "ping", "req_id": req_id})


def is_of(frame: bytes, method: str) -> bool:
    """Whether one of these requests is of this method; the name stands first in each."""
    return frame.startswith(b'{"method":%b,' % msgspec.json.encode(method))


def _request(method: str, fields: Mapping[str, Json], req_id: int) -> bytes:
    return msgspec.json.encode({"method": method, "params": fields, "req_id": req_id})
