"""Defects of money and of the memory that holds it: balances, fees, fills, the disk."""

from __future__ import annotations

from tests.planted.defect import Change, Defect

MONEY = (
    Defect(
        "N10",
        "synchronous=NORMAL",
        (
            Change(
                "journal/sqlite.py",
                '    await rows_of(connection, "PRAGMA synchronous=FULL")\n',
                '    await rows_of(connection, "PRAGMA synchronous=NORMAL")\n',
            ),
        ),
        heavy=("death",),
    ),
    Defect(
        "N13",
        "database locked -> fill lost",
        (
            Change(
                "journal/sqlite.py",
                """\
            await self._connection.executemany(_INSERT, rows)
        except sqlite3.Error as error:
""",
                """\
            await self._connection.executemany(_INSERT, rows)
        except sqlite3.OperationalError:
            self._tail = tail  # locked: somebody else is writing
        except sqlite3.Error as error:
""",
            ),
            Change(
                "journal/sqlite.py",
                "        rows = _chained(facts, self._tail)\n",
                "        tail, rows = self._tail, _chained(facts, self._tail)\n",
            ),
        ),
        heavy=("disk",),
    ),
    Defect(
        "N19",
        "float on one fee path",
        (
            Change(
                "kraken/private_wire.py",
                '        fees=tuple(AssetAmount(fee.asset, exact(fee.qty, "fees.qty")) for fee in row.fees),\n',
                "        fees=tuple(AssetAmount(fee.asset, Decimal(float(bytes(fee.qty)))) for fee in row.fees),\n",
            ),
        ),
    ),
    Defect(
        "N20",
        "`.F` balance as cash",
        (
            Change(
                "kraken/listings.py",
                "        return v2_asset_name(plain) + dot + suffix\n",
                '        return v2_asset_name(plain) + ("" if suffix == "F" else dot + suffix)\n',
            ),
        ),
        heavy=("others",),
    ),
    Defect(
        "N32",
        "orders above 50 fills missed",
        (
            Change(
                "kraken/account_views.py",
                """\
            if _is_last(page, offset, news=len(found) - known):
                return await self._with_our_ids(tuple(found.values()), orders)
""",
                "            return await self._with_our_ids(tuple(found.values()), orders)\n",
            ),
        ),
        heavy=(
            "others",
            "stream",
        ),
    ),
    Defect(
        "N37",
        "fabricated fill to close a gap",
        (
            Change(
                "core/account.py",
                """\
        case OrderOpened() | OrderEnded() | OrderAbsent() | OrderSurprised():
            _emit_of_order(bench, fact.cl_ord_id, fact)
""",
                """\
        case OrderOpened() | OrderEnded() | OrderAbsent() | OrderSurprised():
            _emit_of_order(bench, fact.cl_ord_id, fact)
            if isinstance(fact, OrderEnded) and not bench.ledger.orders[fact.cl_ord_id].is_settled:
                _close_gap(bench, bench.ledger.orders[fact.cl_ord_id])
""",
            ),
            Change(
                "kraken/account_views.py",
                """\
        closed_orders = await self._closed_orders(ask.since_ns)
        fills = await self._fills(ask.since_ns, (*open_orders, *closed_orders))
""",
                """\
        fills = await self._fills(ask.since_ns, open_orders)
        closed_orders = await self._closed_orders(ask.since_ns)
""",
            ),
            Change(
                "core/account.py",
                "def _emit_corrective(",
                """\
def _close_gap(bench: Workbench, order: Order) -> None:
    assert order.order_id is not None
    bench.emit(
        OrderFilled(
            exec_id=f"inferred-{order.order_id}",
            order_id=order.order_id,
            cl_ord_id=order.cl_ord_id,
            strategy=order.submitted.strategy,
            name=order.symbol,
            symbol=order.symbol,
            side=order.side,
            qty=order.outstanding,
            price=order.limit_price,
            cost=order.limit_price.times(order.outstanding),
            fees=(),
            liquidity=Liquidity.TAKER,
            venue_ns=UtcNanos(bench.now_ns),
            source="inferred",
        )
    )


def _emit_corrective(""",
            ),
            Change(
                "core/account.py",
                "from aether.domain.orders import OrderReport\n",
                "from aether.domain.orders import Liquidity, OrderReport\n",
            ),
            Change(
                "core/account.py",
                "from aether.domain.values import NANOS_PER_S, NO_QTY\n",
                "from aether.domain.values import NANOS_PER_S, NO_QTY, UtcNanos\n",
            ),
        ),
        "a look asks for fills after orders, so that it has those of each end that it sees: here it asks before",
        heavy=(
            "latency",
            "stream",
        ),
    ),
    Defect(
        "N38",
        "stale balance after a fill",
        (
            Change(
                "core/balances.py",
                "    found = reconcile.mismatches(bench.ledger, account)\n",
                """\
    bench.ledger.portfolio.open_with(account.balances)  # the venue knows best
    found = reconcile.mismatches(bench.ledger, account)
""",
            ),
        ),
        heavy=("latency", "view_lag"),
    ),
    Defect(
        "N39",
        "fsync error retried",
        (
            Change(
                "journal/sqlite.py",
                '            self.execute("COMMIT")\n',
                """\
            while self.in_transaction:
                with suppress(sqlite3.OperationalError):  # the disk may come back
                    self.execute("COMMIT")
""",
            ),
            Change(
                "journal/sqlite.py",
                "from contextlib import AsyncExitStack, asynccontextmanager\n",
                "from contextlib import AsyncExitStack, asynccontextmanager, suppress\n",
            ),
        ),
        "a second commit alone would fail, for SQLite has undone the transaction by then: the loop takes that for done",
        heavy=(
            "disk",
            "death",
        ),
    ),
)
