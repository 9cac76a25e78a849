"""Defects of the market's picture, of time, of people's commands and of the process itself."""

from __future__ import annotations

from tests.planted.defect import Change, Defect

_FEED = "kraken/feed.py"
_BOOK = "kraken/book_sync.py"
_UNVERIFIED = Change(
    _BOOK,
    """\
        if self._checksum != told:
            return self._broken("checksum", f"checksum {self._checksum}, Kraken says {told}")
""",
    "",
)

MARKET = (
    Defect(
        "N09",
        "snapshot applied as updates",
        (
            Change(
                _BOOK,
                """\
        self._is_whole = False
        self._bids.clear()
        self._asks.clear()
        self._asks_checksum = self._checksum = 0
        self._bids_text = b""
        self._picture = None
""",
                "        self._is_whole = False\n",
            ),
            Change(
                _FEED,
                "        return BookSync(symbol, *_digits(self._rules[symbol]), self._settings.book_depth)\n",
                """\
        known, digits = self._watches.get(symbol), _digits(self._rules[symbol])
        if known is not None and (known.book.price_decimals, known.book.qty_decimals) == digits:
            return known.book
        return BookSync(symbol, *digits, self._settings.book_depth)
""",
            ),
        ),
        "each subscription begins with a book of its own, which is empty",
        heavy=("stream",),
    ),
    Defect(
        "N14",
        "heartbeat counts as data",
        (
            Change(
                _FEED,
                "        message = self._reader.read(frame)\n        if self._counters is not None:\n",
                """\
        message = self._reader.read(frame)
        for each in self._watches.values():
            each.heard_ns = self._clock.monotonic_ns()
        if self._counters is not None:
""",
            ),
        ),
        heavy=("stream",),
    ),
    Defect("N15", "checksum ignored", (_UNVERIFIED,), heavy=("stream",)),
    Defect(
        "N16",
        "depth not truncated",
        (
            Change(
                _BOOK,
                """\
        if bids.is_too_deep:
            bids.cut()
        if asks.is_too_deep:
            asks.cut()
""",
                "",
            ),
            _UNVERIFIED,
        ),
        "the checksum would drop the book as soon as a level from below the depth came back",
        heavy=("stream",),
    ),
    Defect(
        "N17",
        "nonce from wall clock",
        (
            Change(
                "kraken/signing.py",
                "        nonce = max(self._last + 1, self._clock.wall_ns())\n",
                "        nonce = self._clock.wall_ns()\n",
            ),
        ),
        heavy=(
            "clock",
            "death",
        ),
    ),
    Defect(
        "N18",
        "clock step expires timers",
        (
            Change(
                "core/reconcile.py",
                "        if account.asked_ns + clock_offset_ns > known_ns and reaches_back",
                "        if account.asked_ns > known_ns and reaches_back",
            ),
        ),
        heavy=(
            "calls",
            "clock",
            "death",
        ),
    ),
    Defect(
        "N31",
        "one bad symbol stops all",
        (
            Change(
                _FEED,
                "            self._lose(outcome.symbol, watch, outcome.why)\n",
                '            raise ValueError(f"{outcome.symbol}: {outcome.why}")\n',
            ),
        ),
        heavy=("stream",),
    ),
    Defect(
        "N33",
        "second instance allowed",
        (
            Change(
                "core/fence.py",
                "    mark = read_mark(cl_ord_id)\n",
                """\
    mark = read_mark(cl_ord_id)
    if mark is not None and mark.tag == ledger.tag:
        return None  # ours
""",
            ),
        ),
        "the locks end at a machine's edge, and real processes show them; beyond it the fence alone stands",
        heavy=("others",),
    ),
    Defect(
        "N34",
        "strategy exception kills the loop",
        (
            Change(
                "core/deciding.py",
                "    except (Exception, StrategyOverran) as error:  # noqa: BLE001",
                "    except (ZeroDivisionError, StrategyOverran) as error:  # noqa: BLE001",
            ),
        ),
        heavy=("process",),
    ),
    Defect(
        "N35",
        "tick change after rounding",
        (
            Change(
                "core/sizing.py",
                "    price = view.instrument.limit_price(intent.side, intent.limit_price)\n",
                """\
    steps = _STEPS.setdefault(intent.symbol, view.instrument)  # looked up once
    price = steps.limit_price(intent.side, intent.limit_price)
""",
            ),
            Change(
                "core/sizing.py",
                "    qty = view.instrument.qty_down(qty)\n",
                "    qty = steps.qty_down(qty)\n",
            ),
            Change(
                "core/sizing.py",
                "from aether.domain.instruments import Side\n",
                "from aether.domain.instruments import Instrument, Side\n",
            ),
            Change(
                "core/sizing.py",
                "def _reservation(",
                "_STEPS: dict[str, Instrument] = {}\n\n\ndef _reservation(",
            ),
        ),
        heavy=("market",),
    ),
    Defect(
        "N40",
        "kill switch waits for the exchange",
        (
            Change(
                "core/engine.py",
                """\
                if (scope, "halt_operator") not in self.ledger.halts:
                    self.emit(TradingHalted(scope, "halt_operator", reason, actor))
                self.cancel_in_scope(scope, reason)
""",
                """\
                self.cancel_in_scope(scope, reason)
                self.halts_due.append(TradingHalted(scope, "halt_operator", reason, actor))
""",
            ),
            Change(
                "core/engine.py",
                "        upkeep.tend_orders(self)\n",
                """\
        upkeep.tend_orders(self)
        if self.halts_due and not any(order.cancel_asked_ns for order in self.ledger.unsettled.values()):
            halt = self.halts_due.pop(0)
            if (halt.scope, halt.code) not in self.ledger.halts:
                self.emit(halt)
""",
            ),
            Change(
                "core/engine.py",
                "        super().__init__(policy, ledger, guard)\n",
                "        super().__init__(policy, ledger, guard)\n        self.halts_due: list[TradingHalted] = []\n",
            ),
        ),
        heavy=("people",),
    ),
)
