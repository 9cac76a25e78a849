"""Checks a recording of raw WebSocket v2 frames with the very code that the daemon hears the market with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aether.domain.spot_gate import SpotGate, recall
from aether.domain.values import Symbol
from aether.kraken.book_sync import BookBroken, BookSync
from aether.kraken.messages import (
    Answer,
    BookMessage,
    BooksRead,
    CandlesRead,
    ExecutionsRead,
    PairsRead,
    TickersRead,
    TradesRead,
    Unspoken,
)
from aether.kraken.strict_json import Malformed
from aether.kraken.wire import Reader

DEPTH_OF_KRAKEN = 10


@dataclass(slots=True)
class CaptureCounts:
    """What became of the frames of a recording, or of one symbol's rows in it.

    Each frame is decoded, unknown (sound, of a kind that the daemon does not speak) or refused (malformed, or of no
    name that the gate admits). A frame that names symbols counts once for each of them.
    """

    frames: int = 0
    decoded: int = 0
    unknown: int = 0
    refused: int = 0
    checksums_ok: int = 0
    checksums_bad: int = 0

    def as_json(self) -> dict[str, int]:
        """The six counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class CaptureReport:
    """Counts of a whole recording and of each symbol in it; `problems` names the first few lines that were refused."""

    total: CaptureCounts = field(default_factory=CaptureCounts)
    symbols: dict[Symbol, CaptureCounts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The report as `aether capture verify --json` prints it."""
        by_symbol = {str(symbol): counts.as_json() for symbol, counts in self.symbols.items()}
        return {**self.total.as_json(), "symbols": by_symbol, "problems": self.problems}

    @property
    def is_sound(self) -> bool:
        """Every frame was read, and every book verified."""
        return self.total.refused == 0 and self.total.checksums_bad == 0


def verify_capture(lines: Iterable[bytes], gate: SpotGate | None, depth: int = DEPTH_OF_KRAKEN) -> CaptureReport:
    """Decode a recording, one frame a line, and verify each book message's checksum. Raises nothing.

    Args:
        lines: the frames as they came, text or not.
        gate: admits names and tells each pair's digits; without one every name is taken, and the digits of a pair are
            those that its own snapshot is written with (Kraken always writes a pair's full digits).
        depth: subscribed depth of the books, where the recording has no acknowledgement that tells it.

    Returns:
        Counts in total and for each symbol. A book whose checksum failed is bad once and then waits for its next
        snapshot, as in the daemon; messages passed over meanwhile count as bad, for nothing verified them.
    """
    verifier = _Verifier(gate, depth)
    for number, line in enumerate(lines, start=1):
        frame = line.strip()
        if frame:
            verifier.take(number, frame)
    return verifier.report


_PROBLEMS_SHOWN = 20


class _Verifier:
    def __init__(self, gate: SpotGate | None, depth: int) -> None:
        self._instruments = gate.instruments if gate is not None else {}
        self._reader = Reader(gate.wire if gate is not None else recall)
        self._depth_of: dict[Symbol, int] = {}
        self._depth = depth
        self._books: dict[Symbol, BookSync] = {}
        self.report = CaptureReport()

    def take(self, number: int, frame: bytes) -> None:
        total = self.report.total
        total.frames += 1
        dropped_before = self._dropped()
        message = self._reader.read(frame)
        match message:
            case Malformed(what, why):
                total.refused += 1
                self._problem(f"line {number}: {what}: {why}")
                return
            case Unspoken():
                total.unknown += 1
                return
            case BooksRead(books):
                for book in books:
                    self._verify(number, book)
            case TradesRead(rows) | TickersRead(rows) | CandlesRead(rows):
                for symbol in dict.fromkeys(row.symbol for row in rows):
                    self._seen(symbol)
            case PairsRead(pairs):
                for pair in pairs:
                    self._seen(pair.symbol)
            case ExecutionsRead(records):
                for symbol in dict.fromkeys(record.symbol for record in records if record.symbol is not None):
                    self._seen(symbol)
            case Answer(channel="book", success=True, name=name, depth=depth) if depth is not None:
                self._depth_of[recall(name)] = depth
            case _:
                pass  # heartbeats, statuses, balances and other answers name no symbol
        if self._dropped() > dropped_before:
            total.refused += 1
            self._problem(f"line {number}: holds rows that are malformed or of names that are not admitted")
        else:
            total.decoded += 1

    def _verify(self, number: int, message: BookMessage) -> None:
        counts = self._seen(message.symbol)
        book = self._book(message)
        outcome = None if book is None else book.apply(message)
        if outcome is None or isinstance(outcome, BookBroken):
            counts.checksums_bad += 1
            self.report.total.checksums_bad += 1
            why = outcome.why if outcome is not None else "no verified snapshot before it"
            self._problem(f"line {number}: {message.symbol}: {why}")
        else:
            counts.checksums_ok += 1
            self.report.total.checksums_ok += 1

    def _book(self, message: BookMessage) -> BookSync | None:
        symbol = message.symbol
        if message.is_snapshot:
            instrument = self._instruments.get(symbol)
            digits = (instrument.price_decimals, instrument.qty_decimals) if instrument else _written_digits(message)
            self._books[symbol] = BookSync(symbol, *digits, self._depth_of.get(symbol, self._depth))
        return self._books.get(symbol)

    def _seen(self, symbol: Symbol) -> CaptureCounts:
        counts = self.report.symbols.setdefault(symbol, CaptureCounts())
        counts.frames += 1
        counts.decoded += 1
        return counts

    def _dropped(self) -> int:
        return self._reader.counts["malformed"] + self._reader.counts["unadmitted"]

    def _problem(self, text: str) -> None:
        if len(self.report.problems) < _PROBLEMS_SHOWN:
            self.report.problems.append(text)


def _written_digits(snapshot: BookMessage) -> tuple[int, int]:
    """Most decimals that a snapshot writes prices and quantities with."""
    levels = (*snapshot.bids, *snapshot.asks)
    prices = max((_decimals(bytes(level.price)) for level in levels), default=0)
    return prices, max((_decimals(bytes(level.qty)) for level in levels), default=0)


def _decimals(token: bytes) -> int:
    return len(token.partition(b".")[2])
