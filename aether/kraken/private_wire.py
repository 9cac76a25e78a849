"""Private records and answers of WebSocket v2, from their shapes to exact messages.

What is money is read strictly: a record that lacks it is refused as a whole. What only describes an order is read
leniently: a word or number there that makes no sense is as good as not said, and costs no fill.
Source: Kraken docs, WebSocket v2 (executions, balances, trading methods), and captured frames.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import TypeVar

from msgspec import Raw

from aether.domain.instruments import Side
from aether.domain.orders import (
    AssetAmount,
    Liquidity,
    OrderTerms,
    OrderType,
    PriceType,
    TimeInForce,
    TriggerReference,
    TriggerReport,
    VenueStatus,
)
from aether.domain.values import MONEY, Price, Qty, Symbol, Usd
from aether.kraken.messages import Answer, AnswerRow, BalanceRecord, ExecutionRecord, FillRecord
from aether.kraken.shapes import (
    RESULT_DECODER,
    RESULT_ROWS_DECODER,
    TRIGGERS_DECODER,
    AnswerShape,
    BalanceShape,
    ExecutionShape,
    ResultShape,
    TriggersShape,
    is_there,
)
from aether.kraken.strict_json import (
    Unreadable,
    decode,
    exact,
    not_negative,
    positive,
    printable,
    rfc3339_to_nanos,
)

_Word = TypeVar("_Word", bound=StrEnum)
_MILLI = Decimal(1000)

# The ten that the channel's page lists (Kraken docs, WebSocket v2 executions). The life-cycle guide adds `liquidated`.
_EXEC_TYPES = frozenset(
    {
        "pending_new",
        "new",
        "trade",
        "filled",
        "canceled",
        "expired",
        "amended",
        "restated",
        "status",
        "iceberg_refill",
    }
)

_ENDS = frozenset({"filled", "canceled", "expired"})


def read_execution(row: ExecutionShape, admit: Callable[[str], Symbol | None]) -> ExecutionRecord:
    """One record of `executions`. Raises Unreadable where it names no order, or is a fill without its money."""
    if not row.order_id:
        raise Unreadable("order_id is empty")
    is_margin = bool(row.margin or row.margin_borrow or row.position_status or row.reduce_only or row.liquidated)
    is_offset = _word(PriceType, row.limit_price_type) in (PriceType.QUOTE, PriceType.PCT)
    return ExecutionRecord(
        order_id=row.order_id,
        cl_ord_id=row.cl_ord_id or None,
        name=row.symbol,
        symbol=admit(row.symbol) if row.symbol and not is_margin else None,
        side=side_of(row.side),
        status=_order_status(row),
        qty=_qty(row.order_qty, "order_qty"),
        limit_price=None if is_offset else _limit_price(row.limit_price),
        cum_qty=_qty(row.cum_qty, "cum_qty"),
        reason=printable(row.reason),
        venue_ns=_time_or_zero(row.timestamp),
        is_margin=is_margin,
        fill=_fill(row) if row.exec_type == "trade" else None,
        terms=_terms(row, is_offset=is_offset),
        rate_count_milli=rate_count_milli(row.ratecount, row.rate_count, row.ratecounter),
    )


def read_balance(row: BalanceShape) -> BalanceRecord:
    """One row of `balances`. Raises Unreadable where a number of it is none."""
    if not row.asset:
        raise Unreadable("asset is empty")
    main = [exact(w.balance, "wallets.balance") for w in row.wallets or () if (w.type, w.id) == ("spot", "main")]
    return BalanceRecord(
        asset=row.asset,
        total=exact(row.balance, "balance"),
        in_main=sum(main, Decimal(0)) if row.wallets else None,
        amount=exact(row.amount, "amount") if is_there(row.amount) else None,
        fee=exact(row.fee, "fee") if is_there(row.fee) else None,
        ledger_id=row.ledger_id,
        ref_id=row.ref_id,
        kind=printable(row.type),
    )


def read_answer(row: AnswerShape) -> Answer:
    """The answer to one of our requests."""
    result = _result(row.result)
    return Answer(
        method=row.method,
        req_id=row.req_id,
        success=row.success,
        error=printable(row.error),
        has_result=is_there(row.result),
        channel=result.channel or row.channel,
        name=result.symbol or row.symbol,
        depth=result.depth,
        order_id=result.order_id,
        cl_ord_id=result.cl_ord_id,
        time_in_ns=_time_or_zero(row.time_in) or None,
        amend_id=result.amend_id,
        count=result.count if row.orders_cancelled is None else row.orders_cancelled,
        trigger_ns=trigger_ns(result.current_time, result.trigger_time),
        rate_count_max=result.maxratecount,
        rows=tuple(AnswerRow(each.order_id, each.cl_ord_id, printable(each.error)) for each in result.orders or ()),
    )


def _result(token: Raw) -> ResultShape:
    """What a result says. Of a batch it is a list of rows, or an object that holds them: documents and clients differ.

    One that cannot be read proves nothing, and names nothing.
    """
    if not is_there(token):
        return ResultShape()
    try:
        if bytes(token).startswith(b"["):
            return ResultShape(orders=decode(RESULT_ROWS_DECODER, token))
        return decode(RESULT_DECODER, token)
    except Unreadable:
        return ResultShape()


def trigger_ns(current: str, trigger: str) -> int | None:
    """When the dead man's switch fires; None where it is off: told as `0`, as the present time, or not at all."""
    return None if trigger in ("0", current) else _time_or_zero(trigger) or None


def rate_count_milli(*tokens: Raw) -> int | None:
    """Kraken's count of a pair's limit in thousandths of points, rounded up, from whichever name it stands under."""
    told = (_or_none(not_negative, token) for token in tokens)
    count = next((value for value in told if value is not None), None)
    return None if count is None else int(MONEY.multiply(count, _MILLI).to_integral_value(ROUND_CEILING))


def side_of(word: str) -> Side | None:
    """Buy or sell; None for any other word."""
    return Side(word) if word in ("buy", "sell") else None


def _terms(row: ExecutionShape, *, is_offset: bool) -> OrderTerms:
    return OrderTerms(
        order_type=_word(OrderType, row.order_type),
        time_in_force=_word(TimeInForce, row.time_in_force.lower()),
        post_only=row.post_only,
        trigger=_trigger(row.triggers),
        limit_offset=_or_none(exact, row.limit_price) if is_offset else None,
        limit_offset_type=_word(PriceType, row.limit_price_type) if is_offset else None,
        display_qty=_shown(row.display_qty),
        display_qty_remain=_shown(row.display_qty_remain),
        expire_ns=_time_or_zero(row.expire_time) or None,
        avg_price=_price_or_none(row.avg_price),
        cum_cost=_usd_or_none(row.cum_cost),
        is_amended=row.amended,
    )


def _trigger(token: Raw) -> TriggerReport | None:
    if not is_there(token):
        return None
    try:
        told: TriggersShape = decode(TRIGGERS_DECODER, token)
    except Unreadable:
        return None
    return TriggerReport(
        price=_or_none(exact, told.price),
        price_type=_word(PriceType, told.price_type),
        reference=_word(TriggerReference, told.reference),
        actual_price=_price_or_none(told.actual_price),
        peak_price=_price_or_none(told.peak_price),
        is_triggered={"triggered": True, "untriggered": False}.get(told.status),
    )


def _word(words: type[_Word], text: str) -> _Word | None:
    try:
        return words(text)
    except ValueError:
        return None


def _or_none(read: Callable[[Raw, str], Decimal], token: Raw) -> Decimal | None:
    """A number that only describes; None where there is none to be read."""
    try:
        return read(token, "") if is_there(token) else None
    except Unreadable:
        return None


def _price_or_none(token: Raw) -> Price | None:
    price = _or_none(not_negative, token)
    return Price(price) if price else None


def _usd_or_none(token: Raw) -> Usd | None:
    amount = _or_none(not_negative, token)
    return None if amount is None else Usd(amount)


def _shown(token: Raw) -> Qty | None:
    qty = _or_none(not_negative, token)
    return None if qty is None else Qty(qty)


def _order_status(row: ExecutionShape) -> VenueStatus:
    """Status of the order after this record; UNKNOWN where a word is new, so that the order is asked for.

    So it is where an end is told of an order that is said to live on: neither is believed.
    """
    if row.exec_type not in _EXEC_TYPES or (row.exec_type in _ENDS and row.order_status not in ("", row.exec_type)):
        return VenueStatus.UNKNOWN
    try:
        return VenueStatus(row.order_status or row.exec_type)
    except ValueError:
        return VenueStatus.UNKNOWN


def _qty(token: Raw, name: str) -> Qty | None:
    return Qty(not_negative(token, name)) if is_there(token) else None


def _limit_price(token: Raw) -> Price | None:
    price = not_negative(token, "limit_price") if is_there(token) else Decimal(0)
    return Price(price) if price else None  # a market order says 0 or nothing


def _time_or_zero(text: str) -> int:
    """A fill without a readable time is still our money: its time is then 0, and used for nothing."""
    try:
        return rfc3339_to_nanos(text, "timestamp")
    except Unreadable:
        return 0


def _fill(row: ExecutionShape) -> FillRecord:
    money = (row.last_qty, row.last_price, row.cost)
    if not row.exec_id or not all(is_there(token) for token in money) or row.fees is None:
        raise Unreadable("a trade lacks one of exec_id, last_qty, last_price, cost, fees")
    return FillRecord(
        exec_id=row.exec_id,
        qty=Qty(positive(row.last_qty, "last_qty")),
        price=Price(positive(row.last_price, "last_price")),
        cost=Usd(not_negative(row.cost, "cost")),
        fees=tuple(AssetAmount(fee.asset, exact(fee.qty, "fees.qty")) for fee in row.fees),
        liquidity=Liquidity.MAKER if row.liquidity_ind == "m" else Liquidity.TAKER,
    )
