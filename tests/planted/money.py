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
                '        bench.ask_account(f"{cl_ord_id} ended with fills that were not told yet")\n',
                """\
        order = bench.ledger.orders[cl_ord_id]
        limit = order.submitted.limit_price
        bench.emit(
            OrderFilled(
                exec_id=f"inferred-{fact.order_id}",
                order_id=fact.order_id,
                cl_ord_id=cl_ord_id,
                strategy=order.submitted.strategy,
                name=order.symbol,
                symbol=order.symbol,
                side=order.side,
                qty=order.outstanding,
                price=limit,
                cost=limit.times(order.outstanding),
                fees=(),
                liquidity=Liquidity.TAKER,
                venue_ns=UtcNanos(bench.now_ns),
                source="inferred",
            )
        )
""",
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
        heavy=("stream",),
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
            try:
                self.execute("COMMIT")
            except sqlite3.OperationalError:
                self.execute("COMMIT")  # the disk may have come back
""",
            ),
        ),
        heavy=(
            "disk",
            "death",
        ),
    ),
)
