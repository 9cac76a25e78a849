"""Bytes of Kraken's WebSocket v2 to exact messages. Every name passes the gate here; nothing is raised.

Source of the shapes: Kraken docs, WebSocket v2 (channels book, trade, instrument, executions, balances, status) and
captured frames. Unknown fields are passed over; an unknown word of an enumeration becomes UNKNOWN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw

from aether.domain.inputs import Maintenance, TradeSeen
from aether.domain.instruments import PairStatus
from aether.domain.values import Price, Qty, Symbol, Usd
from aether.kraken.messages import (
    CHECKSUM_MAX,
    BalancesRead,
    BookMessage,
    BooksRead,
    CandlesRead,
    Complaint,
    ExecutionsRead,
    Heartbeat,
    Message,
    PairRules,
    PairsRead,
    SystemStatus,
    TickersRead,
    TradesRead,
    Unspoken,
)
from aether.kraken.private_wire import rate_count_milli, read_answer, read_balance, read_execution, side_of
from aether.kraken.shapes import (
    ANSWER_DECODER,
    BALANCE_DECODER,
    BOOK_FRAME_DECODER,
    BOOKS_DECODER,
    EXECUTION_DECODER,
    HEAD_DECODER,
    INSTRUMENTS_DECODER,
    MAINTENANCE_DECODER,
    NAMED_DECODER,
    PAIR_DECODER,
    ROWS_DECODER,
    STATUSES_DECODER,
    TRADE_DECODER,
    BookShape,
    HeadShape,
    MaintenanceShape,
    PairShape,
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
    not_negative,
    positive,
    printable,
    rfc3339_to_nanos,
)
from aether.kraken.tickers import read_candle, read_ticker

Admit = Callable[[str], Symbol | None]
Row = TypeVar("Row")

_BOOK_PREFIX = b'{"channel":"book"'
# A book frame of one symbol has 20 quotation marks besides its levels, 24 with a timestamp, and 4 in each level. One
# with exactly so many, and every field there, has no room for a key that stands twice: it needs no second reading.
_QUOTES_PLAIN = 20
_QUOTES_WITH_TIMESTAMP = 24
_QUOTES_OF_LEVEL = 4


class Reader:
    """Reads frames of one socket. `counts` tells frames and what became of rows that were dropped.

    Args:
        admit: symbol of a wire name, or None; `SpotGate.wire` in the daemon.

    `counts` keys: `frames`, `malformed` (frames and rows refused), `unspoken` (sound, of a kind we do not speak),
    `unadmitted` (market rows of names that are not ours).
    """

    __slots__ = ("_admit", "_counts", "frames")

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._counts: Counter[str] = Counter()
        self.frames = 0  # whoever reads a frame in the reader's place counts it here

    @property
    def counts(self) -> Counter[str]:
        """Frames and what became of them, up to now."""
        return Counter({"frames": self.frames, **self._counts})

    def read(self, frame: bytes) -> Message:
        """The message in a frame; `Malformed` where there is none that can be believed. Raises nothing."""
        self.frames += 1
        what = "book" if frame.startswith(_BOOK_PREFIX) else "frame"
        try:
            if what == "book":
                return self._read_book_fast(frame)
            check(frame)
            head = decode(HEAD_DECODER, frame)
            what = printable(head.channel or head.method or "frame")
            return self._dispatch(head, frame)
        except Unreadable as error:
            self._counts["malformed"] += 1
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
            return read_answer(decode(ANSWER_DECODER, frame))
        match head.channel:
            case "heartbeat":
                return Heartbeat()
            case "status":
                return _status(_data(head))
            case "book":
                return self._books(decode(BOOKS_DECODER, _data(head)), head.type)
            case "trade":
                return TradesRead(self._rows(head, _trade), _is_snapshot(head.type))
            case "ticker":
                return TickersRead(self._rows(head, read_ticker), _is_snapshot(head.type))
            case "ohlc":
                return CandlesRead(self._rows(head, read_candle), _is_snapshot(head.type))
            case "instrument":
                return self._pairs(head)
            case "executions":
                return self._executions(head)
            case "balances":
                return self._balances(head)
            case "" if head.complaint:
                return Complaint(printable(head.complaint))
            case _:
                self._counts["unspoken"] += 1
                return Unspoken(printable(head.channel or "neither channel nor method"))

    def _books(self, books: list[BookShape], kind: str) -> BooksRead:
        is_snapshot = _is_snapshot(kind)
        read = []
        for book in books:
            if not 0 <= book.checksum <= CHECKSUM_MAX:
                raise Unreadable(f"checksum {book.checksum} is no 32-bit number")
            symbol = self._admit(book.symbol)
            if symbol is None:
                self._counts["unadmitted"] += 1
            else:
                read.append(BookMessage(symbol, is_snapshot, book.bids or (), book.asks or (), book.checksum))
        return BooksRead(tuple(read))

    def _rows(self, head: HeadShape, read: Callable[[Raw, Admit], Row | None]) -> tuple[Row, ...]:
        """Rows of market data, each for itself: one that is malformed or not ours is counted and dropped."""
        rows = []
        for raw in decode(ROWS_DECODER, _data(head)):
            try:
                row = read(raw, self._admit)
            except Unreadable:
                self._counts["malformed"] += 1
                continue
            if row is None:
                self._counts["unadmitted"] += 1
            else:
                rows.append(row)
        return tuple(rows)

    def _pairs(self, head: HeadShape) -> PairsRead:
        pairs = []
        for row in decode(INSTRUMENTS_DECODER, _data(head)).pairs:
            try:
                symbol = self._admit(decode(NAMED_DECODER, row).symbol)
                if symbol is None:
                    self._counts["unadmitted"] += 1
                else:
                    pairs.append(_pair(symbol, decode(PAIR_DECODER, row)))
            except Unreadable:
                self._counts["malformed"] += 1
        return PairsRead(tuple(pairs), _is_snapshot(head.type))

    def _executions(self, head: HeadShape) -> ExecutionsRead:
        sequence = _sequence(head)
        records, malformed = [], []
        for row in decode(ROWS_DECODER, _data(head)):
            try:
                records.append(read_execution(decode(EXECUTION_DECODER, row), self._admit))
            except Unreadable as error:
                self._counts["malformed"] += 1
                malformed.append(Malformed("executions", str(error)))
        count = rate_count_milli(head.ratecount, head.rate_count, head.ratecounter)
        return ExecutionsRead(tuple(records), tuple(malformed), _is_snapshot(head.type), sequence, count)

    def _balances(self, head: HeadShape) -> BalancesRead:
        sequence = _sequence(head)
        records, malformed = [], []
        for row in decode(ROWS_DECODER, _data(head)):
            try:
                records.append(read_balance(decode(BALANCE_DECODER, row)))
            except Unreadable as error:
                self._counts["malformed"] += 1
                malformed.append(Malformed("balances", str(error)))
        return BalancesRead(tuple(records), tuple(malformed), _is_snapshot(head.type), sequence)


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
    return SystemStatus(printable(statuses[-1].system), _announced(statuses[-1].upcoming_maintenance))


def _announced(token: Raw) -> tuple[Maintenance, ...]:
    """Advice alone, so what cannot be read is none: the status itself tells when nothing works any more."""
    if not is_there(token):
        return ()
    try:
        rows = decode(MAINTENANCE_DECODER, token)
        return tuple(_window(row) for row in rows if _concerns_spot(row.affected_services))
    except Unreadable:
        return ()


def _window(row: MaintenanceShape) -> Maintenance:
    end = row.expected_end_utc
    start_ns = rfc3339_to_nanos(row.expected_start_utc, "expected_start_utc")
    return Maintenance(start_ns, rfc3339_to_nanos(end, "expected_end_utc") if end else None)


def _concerns_spot(services: list[str] | None) -> bool:
    """Nothing said, and a word that is none of the futures', may well be ours."""
    return not services or any(not service.startswith("futures_") for service in services)


def _trade(raw: Raw, admit: Admit) -> TradeSeen | None:
    row: TradeShape = decode(TRADE_DECODER, raw)
    symbol = admit(row.symbol)
    if symbol is None:
        return None
    side = side_of(row.side)
    if side is None:
        raise Unreadable(f"side: {printable(row.side)!r}")
    price, qty = Price(positive(row.price, "price")), Qty(positive(row.qty, "qty"))
    return TradeSeen(symbol, side, price, qty, rfc3339_to_nanos(row.timestamp, "timestamp"))


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
