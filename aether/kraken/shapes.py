"""Shapes of Kraken's WebSocket v2 JSON, as msgspec decodes it: numbers stay the bytes that were sent.

A field without a default must be there. Source: Kraken docs, WebSocket v2, and captured frames.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from aether.kraken.strict_json import INT64_MAX

Raw = msgspec.Raw
Whole = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
ABSENT = Raw(b"")  # what is not there; msgspec knows no `Raw | None`


class LevelShape(msgspec.Struct, gc=False):
    """One price level of `book`."""

    price: Raw
    qty: Raw


class BookShape(msgspec.Struct, gc=False):
    """One book of a `book` frame."""

    symbol: str
    checksum: Whole
    bids: list[LevelShape] | None = None
    asks: list[LevelShape] | None = None
    timestamp: str = ""


class BookFrameShape(msgspec.Struct, gc=False):
    """A whole `book` frame, decoded in one pass."""

    channel: str
    type: str
    data: list[BookShape]


class HeadShape(msgspec.Struct, gc=False):
    """What tells the kind of any other frame; `data` stays undecoded. `Error` comes with neither channel nor method."""

    channel: str = ""
    method: str = ""
    type: str = ""
    data: Raw = ABSENT
    sequence: Whole | None = None
    complaint: str = msgspec.field(name="Error", default="")
    ratecount: Raw = ABSENT
    rate_count: Raw = ABSENT
    ratecounter: Raw = ABSENT


class StatusShape(msgspec.Struct):
    """One row of `status`. What is announced is advice, and stays undecoded until it is read by itself."""

    system: str
    upcoming_maintenance: Raw = ABSENT


class MaintenanceShape(msgspec.Struct):
    """One announced window of `upcoming_maintenance` (Kraken docs, WebSocket v2 status)."""

    expected_start_utc: str
    expected_end_utc: str | None = None
    affected_services: list[str] | None = None


class TradeShape(msgspec.Struct):
    """One row of `trade`."""

    symbol: str
    side: str
    price: Raw
    qty: Raw
    timestamp: str


class InstrumentsShape(msgspec.Struct):
    """The object in `instrument`; its assets are not read."""

    pairs: list[Raw] = msgspec.field(default_factory=list)


class NamedShape(msgspec.Struct):
    """Only the name of a pair, so that pairs that are not ours need not be sound."""

    symbol: str


class PairShape(msgspec.Struct):
    """One pair of `instrument`."""

    symbol: str
    price_increment: Raw
    price_precision: Whole
    qty_increment: Raw
    qty_precision: Whole
    qty_min: Raw
    cost_precision: Whole
    cost_min: Raw = Raw(b"0")
    status: str = ""


class FeeShape(msgspec.Struct):
    """One fee of an execution."""

    asset: str
    qty: Raw


class TriggersShape(msgspec.Struct):
    """The trigger of an execution's order."""

    reference: str = ""
    price: Raw = ABSENT
    price_type: str = ""
    actual_price: Raw = ABSENT
    peak_price: Raw = ABSENT
    status: str = ""


class ExecutionShape(msgspec.Struct):
    """One record of `executions`: nearly every field may be missing, for updates are deltas.

    The rate counter's name is documented nowhere: three are listened for.
    """

    order_id: str
    exec_type: str
    order_status: str = ""
    cl_ord_id: str = ""
    symbol: str = ""
    side: str = ""
    order_type: str = ""
    order_qty: Raw = ABSENT
    limit_price: Raw = ABSENT
    limit_price_type: str = ""
    time_in_force: str = ""
    post_only: bool | None = None
    triggers: Raw = ABSENT
    display_qty: Raw = ABSENT
    display_qty_remain: Raw = ABSENT
    expire_time: str = ""
    cum_qty: Raw = ABSENT
    cum_cost: Raw = ABSENT
    avg_price: Raw = ABSENT
    amended: bool = False
    reason: str = ""
    timestamp: str = ""
    exec_id: str = ""
    last_qty: Raw = ABSENT
    last_price: Raw = ABSENT
    cost: Raw = ABSENT
    fees: list[FeeShape] | None = None
    liquidity_ind: str = ""
    margin: bool | None = None
    margin_borrow: bool | None = None
    reduce_only: bool | None = None
    liquidated: bool | None = None
    position_status: str | None = None
    ratecount: Raw = ABSENT
    rate_count: Raw = ABSENT
    ratecounter: Raw = ABSENT


class WalletShape(msgspec.Struct):
    """One wallet of a balance in a snapshot of `balances`."""

    type: str
    id: str
    balance: Raw


class BalanceShape(msgspec.Struct):
    """One row of `balances`: an asset in a snapshot, a ledger entry in an update."""

    asset: str
    balance: Raw
    wallets: list[WalletShape] | None = None
    amount: Raw = ABSENT
    fee: Raw = ABSENT
    ledger_id: str = ""
    ref_id: str = ""
    type: str = ""


class RowShape(msgspec.Struct):
    """One order of the answer to `batch_add`."""

    order_id: str = ""
    cl_ord_id: str = ""
    error: str = ""


class ResultShape(msgspec.Struct):
    """What we read of the result of a request."""

    channel: str = ""
    symbol: str = ""
    depth: Whole | None = None
    order_id: str = ""
    cl_ord_id: str = ""
    amend_id: str = ""
    count: Whole | None = None
    current_time: str = msgspec.field(default="", name="currentTime")
    trigger_time: str = msgspec.field(default="", name="triggerTime")
    maxratecount: Whole | None = None
    orders: list[RowShape] | None = None


class AnswerShape(msgspec.Struct):
    """An answer to a request; a pong says no `success`."""

    method: str
    success: bool | None = None
    req_id: Whole | None = None
    error: str = ""
    channel: str = ""
    symbol: str = ""
    result: Raw = ABSENT
    orders_cancelled: Whole | None = None
    time_in: str = ""


BOOK_FRAME_DECODER = msgspec.json.Decoder(BookFrameShape)
HEAD_DECODER = msgspec.json.Decoder(HeadShape)
BOOKS_DECODER = msgspec.json.Decoder(list[BookShape])
ROWS_DECODER = msgspec.json.Decoder(list[Raw])
STATUSES_DECODER = msgspec.json.Decoder(list[StatusShape])
MAINTENANCE_DECODER = msgspec.json.Decoder(list[MaintenanceShape])
TRADE_DECODER = msgspec.json.Decoder(TradeShape)
INSTRUMENTS_DECODER = msgspec.json.Decoder(InstrumentsShape)
NAMED_DECODER = msgspec.json.Decoder(NamedShape)
PAIR_DECODER = msgspec.json.Decoder(PairShape)
EXECUTION_DECODER = msgspec.json.Decoder(ExecutionShape)
TRIGGERS_DECODER = msgspec.json.Decoder(TriggersShape)
BALANCE_DECODER = msgspec.json.Decoder(BalanceShape)
RESULT_DECODER = msgspec.json.Decoder(ResultShape)
RESULT_ROWS_DECODER = msgspec.json.Decoder(list[RowShape])
ANSWER_DECODER = msgspec.json.Decoder(AnswerShape)


def is_there(token: Raw) -> bool:
    """Whether a field was sent with a value: null says as little as nothing."""
    return bytes(token) not in (b"", b"null")
