"""Bytes of Kraken's WebSocket v2 to exact messages. Every name passes the gate here; nothing is raised.

Source of the shapes: Kraken docs, WebSocket v2 (channels book, trade, instrument, executions, balances, status) and
captured frames. Unknown fields are passed over; an unknown word of an enumeration becomes UNKNOWN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from msgspec import Raw

from aether.domain.inputs import TradeSeen
from aether.domain.instruments import PairStatus, Side
from aether.domain.orders import AssetAmount, Liquidity, VenueStatus
from aether.domain.values import Price, Qty, Symbol, Usd
from aether.kraken.messages import (
    Answer,
    BalancesRead,
    BookMessage,
    BooksRead,
    ExecutionRecord,
    ExecutionsRead,
    FillRecord,
    Heartbeat,
    Message,
    PairRules,
    PairsRead,
    SystemStatus,
    TradesRead,
    Unspoken,
)
from aether.kraken.shapes import (
    ANSWER_DECODER,
    BOOK_FRAME_DECODER,
    BOOKS_DECODER,
    EXECUTION_DECODER,
    HEAD_DECODER,
    INSTRUMENTS_DECODER,
    NAMED_DECODER,
    PAIR_DECODER,
    RESULT_DECODER,
    ROWS_DECODER,
    STATUSES_DECODER,
    TRADE_DECODER,
    AnswerShape,
    BookShape,
    ExecutionShape,
    HeadShape,
    PairShape,
    ResultShape,
    TradeShape,
    is_there,
)
from aether.kraken.strict_json import (
    DECIMALS_MAX,
    Malformed,
    Unreadable,
    check,
    check_bounds,
    decode,
    exact,
    not_negative,
    positive,
    printable,
    rfc3339_to_nanos,
)

Admit = Callable[[str], Symbol | None]

CHECKSUM_MAX = (1 << 32) - 1
_BOOK_PREFIX = b'{"channel":"book"'
# A book frame of one symbol has 20 quotation marks besides its levels, 24 with a timestamp, and 4 in each level. One
# with exactly so many, and every field there, has no room for a key that stands twice: it needs no second reading.
_QUOTES_PLAIN = 20
_QUOTES_WITH_TIMESTAMP = 24
_QUOTES_OF_LEVEL = 4

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


class Reader:
    """Reads frames of one socket. `counts` tells frames and what became of rows that were dropped.

    Args:
        admit: symbol of a wire name, or None; `SpotGate.wire` in the daemon.

    `counts` keys: `frames`, `malformed` (frames and rows refused), `unspoken` (sound, of a kind we do not speak),
    `unadmitted` (market rows of names that are not ours).
    """

    __slots__ = ("_admit", "counts")

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self.counts: Counter[str] = Counter()

    def read(self, frame: bytes) -> Message:
        """The message in a frame; `Malformed` where there is none that can be believed. Raises nothing."""
        self.counts["frames"] += 1
        what = "book" if frame.startswith(_BOOK_PREFIX) else "frame"
        try:
            if what == "book":
                return self._read_book_fast(frame)
            check(frame)
            head = decode(HEAD_DECODER, frame)
            what = printable(head.channel or head.method or "frame")
            return self._dispatch(head, frame)
        except Unreadable as error:
            self.counts["malformed"] += 1
            return Malformed(what, str(error))

    def _read_book_fast(self, frame: bytes) -> BooksRead:
        check_bounds(frame)
        head = decode(BOOK_FRAME_DECODER, frame)
        books = head.data
        quotes = frame.count(b'"')
        if len(books) != 1 or not _is_lean(books[0], quotes):
            check(frame)
        return self._books(books, head.type)

    def _dispatch(self, head: HeadShape, frame: bytes) -> Message:
        if head.method:
            return _answer(decode(ANSWER_DECODER, frame))
        match head.channel:
            case "heartbeat":
                return Heartbeat()
            case "status":
                return _status(_data(head))
            case "book":
                return self._books(decode(BOOKS_DECODER, _data(head)), head.type)
            case "trade":
                return self._trades(head)
            case "instrument":
                return self._pairs(head)
            case "executions":
                return self._executions(head)
            case "balances":
                decode(ROWS_DECODER, _data(head))
                return BalancesRead(_is_snapshot(head.type), _sequence(head))
            case _:
                self.counts["unspoken"] += 1
                return Unspoken(printable(head.channel or "neither channel nor method"))

    def _books(self, books: list[BookShape], kind: str) -> BooksRead:
        is_snapshot = _is_snapshot(kind)
        read = []
        for book in books:
            if not 0 <= book.checksum <= CHECKSUM_MAX:
                raise Unreadable(f"checksum {book.checksum} is no 32-bit number")
            symbol = self._admit(book.symbol)
            if symbol is None:
                self.counts["unadmitted"] += 1
            else:
                read.append(BookMessage(symbol, is_snapshot, book.bids or (), book.asks or (), book.checksum))
        return BooksRead(tuple(read))

    def _trades(self, head: HeadShape) -> TradesRead:
        trades = []
        for row in decode(ROWS_DECODER, _data(head)):
            try:
                trade = self._trade(decode(TRADE_DECODER, row))
            except Unreadable:
                self.counts["malformed"] += 1
                continue
            if trade is not None:
                trades.append(trade)
        return TradesRead(tuple(trades), _is_snapshot(head.type))

    def _trade(self, row: TradeShape) -> TradeSeen | None:
        symbol = self._admit(row.symbol)
        if symbol is None:
            self.counts["unadmitted"] += 1
            return None
        side = _side(row.side)
        if side is None:
            raise Unreadable(f"side: {printable(row.side)!r}")
        price, qty = Price(positive(row.price, "price")), Qty(positive(row.qty, "qty"))
        return TradeSeen(symbol, side, price, qty, rfc3339_to_nanos(row.timestamp, "timestamp"))

    def _pairs(self, head: HeadShape) -> PairsRead:
        pairs = []
        for row in decode(INSTRUMENTS_DECODER, _data(head)).pairs:
            try:
                symbol = self._admit(decode(NAMED_DECODER, row).symbol)
                if symbol is None:
                    self.counts["unadmitted"] += 1
                else:
                    pairs.append(_pair(symbol, decode(PAIR_DECODER, row)))
            except Unreadable:
                self.counts["malformed"] += 1
        return PairsRead(tuple(pairs), _is_snapshot(head.type))

    def _executions(self, head: HeadShape) -> ExecutionsRead:
        sequence = _sequence(head)
        records, malformed = [], []
        for row in decode(ROWS_DECODER, _data(head)):
            try:
                records.append(self._execution(decode(EXECUTION_DECODER, row)))
            except Unreadable as error:
                self.counts["malformed"] += 1
                malformed.append(Malformed("executions", str(error)))
        return ExecutionsRead(tuple(records), tuple(malformed), _is_snapshot(head.type), sequence)

    def _execution(self, row: ExecutionShape) -> ExecutionRecord:
        if not row.order_id:
            raise Unreadable("order_id is empty")
        is_margin = bool(row.margin or row.margin_borrow or row.position_status)
        return ExecutionRecord(
            order_id=row.order_id,
            cl_ord_id=row.cl_ord_id or None,
            name=row.symbol,
            symbol=self._admit(row.symbol) if row.symbol and not is_margin else None,
            side=_side(row.side),
            status=_order_status(row),
            qty=_qty(row.order_qty, "order_qty"),
            limit_price=_limit_price(row.limit_price),
            cum_qty=_qty(row.cum_qty, "cum_qty"),
            reason=printable(row.reason),
            venue_ns=_time_or_zero(row.timestamp),
            is_margin=is_margin,
            fill=_fill(row) if row.exec_type == "trade" else None,
        )


def _is_lean(book: BookShape, quotes: int) -> bool:
    if book.bids is None or book.asks is None:
        return False
    fixed = _QUOTES_WITH_TIMESTAMP if book.timestamp else _QUOTES_PLAIN
    return quotes == fixed + _QUOTES_OF_LEVEL * (len(book.bids) + len(book.asks))


def _data(head: HeadShape) -> Raw:
    if not is_there(head.data):
        raise Unreadable("data is missing")
    return head.data


def _sequence(head: HeadShape) -> int:
    if head.sequence is None:
        raise Unreadable("sequence is missing")
    return head.sequence


def _is_snapshot(kind: str) -> bool:
    if kind not in ("snapshot", "update"):
        raise Unreadable(f"type: {printable(kind)!r} is neither snapshot nor update")
    return kind == "snapshot"


def _status(data: Raw) -> SystemStatus:
    statuses = decode(STATUSES_DECODER, data)
    if not statuses:
        raise Unreadable("data is empty")
    return SystemStatus(printable(statuses[-1].system))


def _side(word: str) -> Side | None:
    return Side(word) if word in ("buy", "sell") else None


def _pair(symbol: Symbol, row: PairShape) -> PairRules:
    decimals = (row.price_precision, row.qty_precision, row.cost_precision)
    if not all(0 <= count <= DECIMALS_MAX for count in decimals):
        raise Unreadable(f"decimals {decimals} out of bounds")
    try:
        status = PairStatus(row.status)
    except ValueError:
        status = PairStatus.UNKNOWN
    return PairRules(
        symbol=symbol,
        status=status,
        tick=positive(row.price_increment, "price_increment"),
        lot=positive(row.qty_increment, "qty_increment"),
        price_decimals=row.price_precision,
        qty_decimals=row.qty_precision,
        cost_decimals=row.cost_precision,
        qty_min=Qty(not_negative(row.qty_min, "qty_min")),
        cost_min=Usd(not_negative(row.cost_min, "cost_min")),
    )


def _order_status(row: ExecutionShape) -> VenueStatus:
    """Status of the order after this record; UNKNOWN where either word is new, so that the order is asked for."""
    if row.exec_type not in _EXEC_TYPES:
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


def _answer(row: AnswerShape) -> Answer:
    try:
        result = decode(RESULT_DECODER, row.result) if is_there(row.result) else ResultShape()
    except Unreadable:
        result = ResultShape()  # an answer without a readable result proves nothing, and names nothing
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
    )
