"""Defects of orders: what is sent, what is believed of it, what is booked."""

from __future__ import annotations

from tests.planted.defect import Change, Defect

_VENUE = "kraken/venue.py"
_LOST_ANSWER = """\
        except StreamGone as error:
            return SubmitUnknown(order.cl_ord_id, str(error))
"""

ORDERS = (
    Defect(
        "N01",
        "AddOrder retried on timeout",
        (
            Change(
                _VENUE,
                _LOST_ANSWER,
                """\
        except StreamGone:
            try:
                answer = await self._stream.ask(req_id, frame, at_once=True)
            except (NotWritten, StreamGone) as error:
                return SubmitUnknown(order.cl_ord_id, str(error))
""",
            ),
        ),
    ),
    Defect(
        "N02",
        "resend with the same cl_ord_id after asking open orders",
        (
            Change(
                _VENUE,
                _LOST_ANSWER,
                """\
        except StreamGone as lost:
            try:
                opened = read_open_orders(await self._rest.call(Endpoint.OPEN_ORDERS), self._gate)
                if any(found.cl_ord_id == order.cl_ord_id for found in opened):
                    return SubmitUnknown(order.cl_ord_id, str(lost))
                answer = await self._stream.ask(req_id, frame, at_once=True)
            except (NotWritten, StreamGone, VenueUnavailable, VenueRefused, OutcomeUnknown, Unreadable) as error:
                return SubmitUnknown(order.cl_ord_id, str(error))
""",
            ),
            Change(
                _VENUE,
                "from aether.kraken.account import read_fees\n",
                "from aether.kraken.account import read_fees, read_open_orders\n",
            ),
        ),
    ),
    Defect(
        "N03",
        "timeout -> REJECTED",
        (
            Change(
                _VENUE,
                "            return SubmitUnknown(order.cl_ord_id, str(error))\n",
                '            return SubmitRefused(order.cl_ord_id, "venue_unreachable", str(error))\n',
            ),
        ),
        heavy=("latency",),
    ),
    Defect(
        "N04",
        "not found x 4 -> FAILED",
        (
            Change(
                "core/reconcile.py",
                "        if account.asked_ns + clock_offset_ns > known_ns and reaches_back"
                " and order.cl_ord_id not in shown:\n",
                """\
        if order.cl_ord_id in shown:
            _NOT_FOUND.pop(order.cl_ord_id, None)
            continue
        _NOT_FOUND[order.cl_ord_id] = times = _NOT_FOUND.get(order.cl_ord_id, 0) + 1
        if times >= NOT_FOUND_MAX:
""",
            ),
            Change(
                "core/reconcile.py",
                'ABSENCE_VIEWS = ("executions", "open", "closed", "trades")\n',
                'ABSENCE_VIEWS = ("executions", "open", "closed", "trades")\n'
                "NOT_FOUND_MAX = 4\n_NOT_FOUND: dict[str, int] = {}\n",
            ),
            Change(
                "core/upkeep.py",
                "            interval_ns = min(interval_ns, max(policy.unresolved_retry_s * NANOS_PER_S,"
                " known_ns - bench.now_ns))\n",
                "            interval_ns = min(interval_ns, policy.unresolved_retry_s * NANOS_PER_S)\n",
            ),
        ),
        "the next look waits until absence proves something: a count that is to be reached soon looks sooner",
        heavy=(
            "calls",
            "view_lag",
        ),
    ),
    Defect(
        "N05",
        "network error counted as not found",
        (
            Change(
                "core/account.py",
                '    """The account could not be had: try again soon."""\n    bench.asked_ns = None\n',
                '''\
    """The account could not be had: try again soon."""
    bench.asked_ns = None
    for order in tuple(bench.ledger.unsettled.values()):
        if order.state is OrderState.UNRESOLVED:
            bench.emit(OrderAbsent(order.cl_ord_id, reconcile.ABSENCE_VIEWS, UtcNanos(bench.now_ns)))
''',
            ),
            Change(
                "core/account.py",
                "from aether.domain.values import NANOS_PER_S, NO_QTY\n",
                "from aether.domain.values import NANOS_PER_S, NO_QTY, UtcNanos\n",
            ),
        ),
        heavy=(
            "calls",
            "refusals",
        ),
    ),
    Defect(
        "N06",
        "dedup by (price, qty, time) instead of exec_id",
        (
            Change(
                "core/reconcile.py",
                "    if execution.exec_id in ledger.exec_ids or execution.venue_ns <= ledger.booked_until_ns:\n",
                """\
    seen = {(fill.price, fill.qty, fill.venue_ns) for fill in ledger.fills}
    if (execution.price, execution.qty, execution.venue_ns) in seen:
""",
            ),
            Change(
                "core/ledger.py",
                """\
        if fact.exec_id in self.exec_ids:
            raise InvariantBroken(f"execution {fact.exec_id} counted twice")
""",
                "",
            ),
        ),
        "the ledger's own count by exec_id would stop the process at the second booking",
        heavy=("stream",),
    ),
    Defect(
        "N07",
        "fill for a terminal order dropped",
        (
            Change(
                "core/reconcile.py",
                "    opened_ns = ledger.account_as_of_ns\n",
                """\
    opened_ns = ledger.account_as_of_ns
    if order is not None and order.state is OrderState.DONE:
        return None
""",
            ),
        ),
        heavy=(
            "stream",
            "view_lag",
        ),
    ),
    Defect(
        "N08",
        "cum-minus-last-seen booking",
        (
            Change(
                "kraken/executions.py",
                "        known = self._merged(record)\n",
                """\
        seen = self._known.get(record.order_id, _Known()).cum_qty
        known = self._merged(record)
""",
            ),
            Change(
                "kraken/executions.py",
                "        execution = _execution(record, known)\n        if execution is None:\n",
                """\
        execution = _execution(record, known)
        if execution is not None and record.cum_qty is not None:
            execution = replace(execution, qty=record.cum_qty.less(seen))
        if execution is None:
""",
            ),
            Change(
                "kraken/executions.py",
                "    qty: Qty | None = None\n",
                "    qty: Qty | None = None\n    cum_qty: Qty = NO_QTY\n",
            ),
            Change(
                "kraken/executions.py",
                "            qty=record.qty or before.qty,\n",
                "            qty=record.qty or before.qty,\n            cum_qty=record.cum_qty or before.cum_qty,\n",
            ),
            Change(
                "kraken/executions.py",
                "from aether.domain.values import Price, Qty, Symbol\n",
                "from aether.domain.values import NO_QTY, Price, Qty, Symbol\n",
            ),
        ),
        heavy=("stream",),
    ),
    Defect(
        "N11",
        "send before commit",
        (
            Change(
                "runtime/runner.py",
                "            if facts:\n                await self._commit(facts)\n",
                """\
            for numbered in facts:
                if isinstance(numbered.fact, OrderSubmitted):
                    self._hands.expect(numbered.fact)
            for effect in (effect for step in steps for effect in step.effects):
                self._hands.start(effect)
            if facts:
                await self._commit(facts)
""",
            ),
            Change(
                "runtime/runner.py",
                "            for effect in effects:\n                self._hands.start(effect)\n",
                "",
            ),
        ),
        "the hands send nothing that they were not told to expect, so they are told as early",
    ),
    Defect(
        "N12",
        "commit and send in one cancellable task",
        (
            Change(
                "runtime/runner.py",
                "            if facts:\n                await self._commit(facts)\n",
                """\
            if facts:
                try:
                    async with asyncio.timeout(1.0):
                        await self._commit(facts)
                except TimeoutError:
                    continue  # the disk is slow: the next batch waits behind it
""",
            ),
        ),
        heavy=("disk",),
    ),
    Defect(
        "N21",
        "reservation released at ack",
        (
            Change(
                "core/orders.py",
                "        if self.side is Side.SELL:\n            return NO_USD\n",
                """\
        if self.side is Side.SELL or self.order_id is not None:
            return NO_USD  # the venue holds it from here on
""",
            ),
        ),
    ),
    Defect(
        "N22",
        "double exit",
        (
            Change(
                "core/deciding.py",
                "    if bid is None or ask is None or ledger.working(parameters.id, picture.symbol) is not None:\n",
                """\
    working = ledger.working(parameters.id, picture.symbol)
    if bid is None or ask is None or (working is not None and working.side is Side.BUY):
""",
            ),
            Change(
                "core/valuation.py",
                "    return min(held.less(promised), on_account.less(promised_all))\n",
                "    return min(held, on_account)\n",
            ),
        ),
        "coins that an open sell has promised are no room for another one",
        heavy=("latency",),
    ),
    Defect(
        "N23",
        "dead man's switch re-armed before reconcile",
        (
            Change(
                "core/dead_man.py",
                '''\
def begin(bench: Workbench) -> None:
    """A run begins: what an earlier one armed fires at the latest when its last renewal, sent just now, is over."""
''',
                """\
def begin(bench: Workbench) -> None:
    if bench.policy.orders.dead_man_s:
        _renew(bench)
""",
            ),
        ),
        heavy=("death",),
    ),
    Defect(
        "N24",
        "cancel during maintenance dropped",
        (
            Change(
                "core/upkeep.py",
                "        if order.cancel_asked_ns is not None:\n",
                """\
        if order.cancel_asked_ns is not None and order.cancels:
            continue  # it was sent
        if order.cancel_asked_ns is not None:
""",
            ),
        ),
        heavy=("market", "people"),
    ),
    Defect(
        "N36",
        "external order cancelled",
        (
            Change(
                "core/workbench.py",
                '        """Ask for the cancel of each of our open orders in this scope. Orders of others are never'
                ' touched."""\n',
                """\
        if scope == ALL:
            self.ask(CancelAllOrders())
""",
            ),
            Change(
                "core/workbench.py",
                "from aether.domain.effects import AskAccount, CancelOrder, Effect\n",
                "from aether.domain.effects import AskAccount, CancelAllOrders, CancelOrder, Effect\n",
            ),
        ),
        heavy=("people",),
    ),
)
