"""S15 to S20: fills, balances and positions, added up here and compared with the exchange to the last digit.

S21 (sim and live share nothing) is a matter of files and modes, and has its own tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from aether.core.order_ids import read_mark
from aether.domain.facts import Numbered, OrderFilled
from aether.domain.orders import Liquidity
from aether.domain.values import MONEY, ZERO, Qty
from aether.sim.assets import find_asset
from aether.sim.records import LedgerEntry, Trade
from aether.simulator.evidence import Evidence
from aether.simulator.invariants.reading import Reading

_NO_MONEY = frozenset({str, int, bool, type(None)})
_LIQUIDITY = {"m": Liquidity.MAKER, "t": Liquidity.TAKER}

# --- each fact --------------------------------------------------------------------------------------------------------


def counted_once(_: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S15: Every fill in X that concerns the account is in J exactly once, by exec_id."""
    fact = numbered.fact
    if isinstance(fact, OrderFilled) and fact.exec_id in reading.fills:
        return f"execution {fact.exec_id} is booked twice"
    return None


def happened(evidence: Evidence, reading: Reading, numbered: Numbered) -> str | None:
    """S16: Every fill in J is in X, as it is in X. Nothing is invented."""
    fill = numbered.fact
    if not isinstance(fill, OrderFilled):
        return None
    trades = evidence.exchange.trades(evidence.account)
    truth = next((trade for trade in reversed(trades) if trade.exec_id == fill.exec_id), None)
    if truth is None:
        return f"execution {fill.exec_id} never was at the exchange"
    if (story := reading.orders.get(fill.cl_ord_id or "")) is not None and story.intent.cl_ord_id != truth.cl_ord_id:
        return f"execution {fill.exec_id} is booked on {fill.cl_ord_id}, it is of {truth.cl_ord_id}"
    if fill.cl_ord_id is None and truth.cl_ord_id in reading.orders:
        return f"execution {fill.exec_id} of {truth.cl_ord_id} is booked as somebody else's"
    rules = evidence.exchange.pairs[truth.pair]
    if fill.symbol not in (None, truth.pair) or fill.name not in (rules.name, rules.key, rules.altname, rules.wsname):
        return f"execution {fill.exec_id} is booked on {fill.name}, it is on {truth.pair}"
    booked, real = _as_booked(fill), _as_traded(truth)
    return None if booked == real else f"execution {fill.exec_id} is booked as {booked}, it is {real}"


def _as_booked(fill: OrderFilled) -> tuple[object, ...]:
    fees = sorted((fee.asset, fee.amount) for fee in fill.fees if fee.amount)
    amounts = fill.qty.coins, fill.price.usd_per_coin, fill.cost.amount
    return fill.order_id, fill.side.value, *amounts, fees, fill.liquidity


def _as_traded(trade: Trade) -> tuple[object, ...]:
    fees = [(trade.pair.partition("/")[2], trade.fee)] if trade.fee else []
    amounts = trade.qty, trade.price, trade.cost
    return trade.order_id, trade.side, *amounts, fees, _LIQUIDITY[trade.liquidity]


def exact_and_finite(_: Evidence, __: Reading, numbered: Numbered) -> str | None:
    """S20: No float, NaN, infinity or negative quantity exists in any money field."""
    why = _inexact(numbered.fact)
    return None if why is None else f"fact {numbered.seq}: {type(numbered.fact).__name__}{why}"


def _inexact(value: object) -> str | None:
    """Where in a value, however deep, there is what no amount of money may be; None where nowhere."""
    kind = type(value)
    if kind in _NO_MONEY:
        return None
    if kind is Decimal or kind is float:
        return None if kind is Decimal and value.is_finite() else f" is the {kind.__name__} {value}"  # type: ignore[attr-defined]
    if kind is Qty and value.coins < ZERO:  # type: ignore[attr-defined]
        return f" is negative: {value}"
    parts: Iterable[tuple[object, object]] = ()
    if kind is tuple:
        parts = enumerate(value)  # type: ignore[arg-type]
    elif dataclasses.is_dataclass(kind):
        parts = ((name, getattr(value, name)) for name in kind.__dataclass_fields__)
    for name, part in parts:
        if (why := _inexact(part)) is not None:
            return f".{name}{why}"
    return None


# --- all of it at once ------------------------------------------------------------------------------------------------


def sums_are_the_balances(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S17: For every asset, opening balance + J's entries = balance(X), exactly, in Decimal.

    What X has booked and J has not heard of yet is left out on both sides; L2 bounds how long that may last.
    """
    if reading.opened_ns is None:
        return
    booked, ours_by_name = _booked_by_the_exchange(evidence, reading), _by_name(reading.balances)
    for asset in {**booked, **ours_by_name}:
        ours, theirs = ours_by_name.get(asset, ZERO), booked.get(asset, ZERO)
        if ours != theirs:
            yield f"{asset}: the journal adds up to {ours}, the exchange to {theirs}"


def _by_name(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Amounts by the v2 name of their asset: of one that no pair of ours has, the daemon knows REST's name alone."""
    sums: dict[str, Decimal] = {}
    for asset, amount in amounts.items():
        known = find_asset(asset)
        name = asset if known is None else known.name
        sums[name] = MONEY.add(sums.get(name, ZERO), amount)
    return sums


def _booked_by_the_exchange(evidence: Evidence, reading: Reading) -> dict[str, Decimal]:
    """Balances of X without the entries that J does not have yet."""
    sums = {asset: total for asset, (total, _) in evidence.exchange.balances(evidence.account).items()}
    for entry in unheard(evidence, reading):
        sums[entry.asset] = MONEY.subtract(sums[entry.asset], MONEY.subtract(entry.amount, entry.fee))
    return sums


def unheard(evidence: Evidence, reading: Reading) -> Iterator[LedgerEntry]:
    """Ledger rows of X after the opening that J has not booked: trades by their execution, all else by its own id."""
    for entry in reversed(evidence.exchange.ledgers(evidence.account)):
        if entry.at_ns <= (reading.opened_ns or 0):
            return
        if entry.ref_id not in reading.fills and entry.ledger_id not in reading.entries:
            yield entry


def equity_is_the_exchanges(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S18: Equity from J = equity from X's balances at the same prices; realised + unrealised + flows = its change."""
    machine = evidence.machine
    if machine is None or reading.opened_ns is None or not _is_up_to_date(evidence, reading):
        return
    prices = _prices(evidence)
    ours = _worth(machine.engine.ledger.portfolio.balances, prices)
    theirs = _worth(_booked_by_the_exchange(evidence, reading), prices)
    if ours != theirs:
        yield f"equity is {ours} by the ledger, {theirs} at the exchange"
    profit = ZERO
    for position in machine.engine.ledger.portfolio.positions.values():
        value = MONEY.multiply(position.coins, prices.get(position.symbol.partition("/")[0], ZERO))
        unrealised = MONEY.subtract(value, position.cost.amount)
        profit = MONEY.add(profit, MONEY.add(position.realised.amount, unrealised))
    before = MONEY.add(_worth(reading.opening, prices), _worth(reading.flows, prices))
    if MONEY.add(before, profit) != ours:
        yield f"equity is {ours}: {before} was there or came, and the profit is {profit}"


def _is_up_to_date(evidence: Evidence, reading: Reading) -> bool:
    """The daemon's ledger holds nothing that is not committed yet."""
    return evidence.machine is not None and evidence.machine.engine.ledger.last_seq == reading.last_seq


def _prices(evidence: Evidence) -> dict[str, Decimal]:
    """Dollars for a coin of each asset, any that is the same on both sides: the exchange's last trade."""
    prices = {"USD": Decimal(1)}
    for symbol in evidence.exchange.pairs:
        price = evidence.exchange.last_trade_price(symbol)
        if price is not None:
            prices[symbol.partition("/")[0]] = price
    return prices


def _worth(amounts: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> Decimal:
    total = ZERO
    for asset, amount in amounts.items():
        total = MONEY.add(total, MONEY.multiply(amount, prices.get(asset.partition(".")[0], ZERO)))
    return total


def positions_are_their_fills(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S19: Position of a strategy = sum of its fills; strategies + EXTERNAL = what the fills left of a holding."""
    if not _is_up_to_date(evidence, reading) or evidence.machine is None:
        return
    positions = evidence.machine.engine.ledger.portfolio.positions
    kept = {(strategy, str(symbol)): position.coins for (strategy, symbol), position in positions.items()}
    for strategy, symbol in {**kept, **reading.positions}:
        ours, added_up = kept.get((strategy, symbol), ZERO), reading.positions.get((strategy, symbol), ZERO)
        if ours != added_up:
            yield f"{strategy} holds {ours} of {symbol}, its fills add up to {added_up}"
    yield from _holdings(reading)


def _holdings(reading: Reading) -> Iterator[str]:
    assets = dict.fromkeys(symbol.partition("/")[0] for _, symbol in reading.positions)
    for asset in assets:
        held = [coins for (_, symbol), coins in reading.positions.items() if symbol.partition("/")[0] == asset]
        before = MONEY.add(reading.opening.get(asset, ZERO), reading.flows.get(asset, ZERO))
        moved = MONEY.subtract(reading.balances.get(asset, ZERO), before)
        if moved != sum(held, ZERO):
            yield f"{asset}: positions are {sum(held, ZERO)}, and the balance moved by {moved}"


def sums_are_the_journals(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S30: The money that the daemon counts on is what its journal adds up to, at every step. Cheap."""
    if not _is_up_to_date(evidence, reading) or evidence.machine is None:
        return
    kept = {asset: amount for asset, amount in evidence.machine.engine.ledger.portfolio.balances.items() if amount}
    if kept != {asset: amount for asset, amount in reading.balances.items() if amount}:
        yield f"the ledger has {kept}, the journal adds up to {reading.balances}"


def the_ledger_is_the_journal(evidence: Evidence, reading: Reading) -> Iterator[str]:
    """S30: What the daemon believes is what its journal and the exchange imply: orders, fills and halts."""
    if not _is_up_to_date(evidence, reading) or evidence.machine is None:
        return
    ledger = evidence.machine.engine.ledger
    counted = {exec_id for exec_id, fill in reading.fills.items() if fill.venue_ns > ledger.booked_until_ns}
    if ledger.exec_ids.keys() != counted:
        yield f"executions {sorted(ledger.exec_ids.keys() ^ counted)} are in ledger or journal alone"
    if ledger.halts.keys() != reading.halts.keys():
        yield f"the ledger is halted for {sorted(ledger.halts)}, the journal for {sorted(reading.halts)}"
    marks = {name: mark for name in reading.orders if (mark := read_mark(name)) is not None}
    if missing := [name for name, mark in marks.items() if not ledger.own_ids.made(name, mark)]:
        yield f"the ledger has forgotten that it sent {sorted(missing)}"
    for name, story in reading.unsettled.items():
        order = ledger.unsettled.get(name)
        if order is None or (order.state, order.filled.coins) != (story.state, story.filled):
            yield f"{name} is {story.state} with {story.filled} filled by the journal, the ledger has {order}"


FACT_RULES = (("S15", counted_once), ("S16", happened), ("S20", exact_and_finite))
STEP_RULES = (("S30", sums_are_the_journals),)
WHOLE_RULES = (
    ("S17", sums_are_the_balances),
    ("S18", equity_is_the_exchanges),
    ("S19", positions_are_their_fills),
    ("S30", the_ledger_is_the_journal),
)
