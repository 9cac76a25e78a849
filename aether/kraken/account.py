"""The account over REST: orders, trades, balances and rates read into the house's words.

REST names a pair by altname (`XBTUSD`) in orders and by key (`XXBTZUSD`) in trades; both pass the gate. What the gate
does not know keeps its name and has no symbol. Source: Kraken docs, Spot REST account data; captured answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from aether.domain.inputs import FeesSeen
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, AssetBalance, Execution, Liquidity, OrderReport
from aether.domain.spot_gate import SpotGate
from aether.domain.values import BPS, Price, Qty, Usd
from aether.kraken.listings import AssetNames
from aether.kraken.order_records import OrderShape, is_margin, read_order, symbol_of
from aether.kraken.shapes import ABSENT, Raw, Whole, is_there
from aether.kraken.strict_json import Unreadable, decode, exact, not_negative, positive, printable, seconds_to_nanos

UNKNOWN_ASSET = "UNKNOWN"
_BPS_PER_PERCENT = BPS / 100


class _TradeShape(msgspec.Struct):
    ordertxid: str
    pair: str
    time: Raw
    type: str
    price: Raw
    cost: Raw
    fee: Raw
    vol: Raw
    maker: bool = False
    leverage: str | None = None
    margin: Raw = ABSENT
    posstatus: str | None = None
    position_status: str | None = None
    cl_ord_id: str | None = None


class _OpenShape(msgspec.Struct):
    open: dict[str, OrderShape]


class _ClosedShape(msgspec.Struct):
    closed: dict[str, OrderShape]
    count: Whole | None = None


class _TradesShape(msgspec.Struct):
    trades: dict[str, _TradeShape]
    count: Whole | None = None


class _BalanceShape(msgspec.Struct):
    balance: Raw
    hold_trade: Raw = ABSENT


class _FeeShape(msgspec.Struct):
    fee: Raw


class _VolumeShape(msgspec.Struct):
    fees: dict[str, _FeeShape] | None = None
    fees_maker: dict[str, _FeeShape] | None = None


class _TokenShape(msgspec.Struct):
    token: str


_OPEN = msgspec.json.Decoder(_OpenShape)
_CLOSED = msgspec.json.Decoder(_ClosedShape)
_ORDERS = msgspec.json.Decoder(dict[str, OrderShape])
_TRADES = msgspec.json.Decoder(_TradesShape)
_BALANCES = msgspec.json.Decoder(dict[str, _BalanceShape])
_VOLUME = msgspec.json.Decoder(_VolumeShape)
_TOKEN = msgspec.json.Decoder(_TokenShape)


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Orders of one answer; `rows` is what the page held and `count` what there is in all, None where not told."""

    orders: tuple[OrderReport, ...]
    rows: int
    count: int | None


@dataclass(frozen=True, slots=True)
class TradesPage:
    """Trades of one answer; `rows` is what the page held and `count` what there is in all, None where not told."""

    trades: tuple[Execution, ...]
    rows: int
    count: int | None


def read_open_orders(result: Raw | bytes, gate: SpotGate) -> tuple[OrderReport, ...]:
    """Orders of an `OpenOrders` result, which has no pages. Raises Unreadable."""
    return _orders(decode(_OPEN, result).open, gate)


def read_closed_orders(result: Raw | bytes, gate: SpotGate) -> OrdersPage:
    """One page of a `ClosedOrders` result. Raises Unreadable."""
    page = decode(_CLOSED, result)
    return OrdersPage(_orders(page.closed, gate), len(page.closed), page.count)


def read_queried_orders(result: Raw | bytes, gate: SpotGate) -> tuple[OrderReport, ...]:
    """Orders of a `QueryOrders` result. Raises Unreadable."""
    orders: dict[str, OrderShape] = decode(_ORDERS, result)
    return _orders(orders, gate)


def read_trades(result: Raw | bytes, gate: SpotGate) -> TradesPage:
    """One page of a `TradesHistory` result; a client order id is there only where Kraken says it. Raises Unreadable."""
    page = decode(_TRADES, result)
    trades = tuple(_execution(exec_id, row, gate) for exec_id, row in page.trades.items())
    return TradesPage(trades, len(page.trades), page.count)


def read_balances(result: Raw | bytes, names: AssetNames) -> tuple[AssetBalance, ...]:
    """Assets of a `BalanceEx` result under their v2 names. Raises Unreadable.

    `total` is `balance` alone: what Kraken would lend (`credit`, less `credit_used`) is not ours to spend. Two ids of
    one name are added up; a suffix (`.F .B .S .M .P .T .HOLD`) makes an asset of its own, which is never free cash.
    """
    balances: dict[str, AssetBalance] = {}
    for asset_id, row in decode(_BALANCES, result).items():
        asset = names.v2(asset_id)
        held = not_negative(row.hold_trade, "hold_trade") if is_there(row.hold_trade) else Decimal(0)
        known = balances.get(asset, AssetBalance(asset, Decimal(0), Decimal(0)))
        balances[asset] = AssetBalance(asset, known.total + exact(row.balance, "balance"), known.held + held)
    return tuple(balances.values())


def read_fees(result: Raw | bytes, gate: SpotGate) -> tuple[FeesSeen, ...]:
    """Rates of a `TradeVolume` result in basis points. Raises Unreadable.

    A pair without a maker schedule pays its taker rate either way (Kraken docs, TradeVolume).
    """
    volume = decode(_VOLUME, result)
    makers = volume.fees_maker or {}
    seen = []
    for name, row in (volume.fees or {}).items():
        symbol = gate.admit(name)
        if isinstance(symbol, str):
            taker = exact(row.fee, "fee") * _BPS_PER_PERCENT
            maker = exact(makers[name].fee, "fee") * _BPS_PER_PERCENT if name in makers else taker
            seen.append(FeesSeen(symbol, taker, maker))
    return tuple(seen)


def read_token(result: Raw | bytes) -> str:
    """The token of a `GetWebSocketsToken` result. Raises Unreadable."""
    token = decode(_TOKEN, result).token
    if not token:
        raise Unreadable("token is empty")
    return token


def _orders(rows: Mapping[str, OrderShape], gate: SpotGate) -> tuple[OrderReport, ...]:
    return tuple(read_order(order_id, row, gate) for order_id, row in rows.items())


def _execution(exec_id: str, row: _TradeShape, gate: SpotGate) -> Execution:
    if row.type not in ("buy", "sell"):
        raise Unreadable(f"type: {printable(row.type)!r} is no side")
    listed = symbol_of(row.pair, gate)
    has_margin = is_margin(row.leverage, row.margin) or bool(row.posstatus or row.position_status)
    return Execution(
        exec_id=exec_id,
        order_id=row.ordertxid,
        cl_ord_id=row.cl_ord_id or None,
        name=row.pair,
        symbol=None if has_margin else listed,
        side=Side(row.type),
        qty=Qty(positive(row.vol, "vol")),
        price=Price(positive(row.price, "price")),
        cost=Usd(not_negative(row.cost, "cost")),
        # A trade record's fee is in the quote asset; of a pair that is not ours we do not know which that is.
        fees=(AssetAmount("USD" if listed is not None else UNKNOWN_ASSET, exact(row.fee, "fee")),),
        liquidity=Liquidity.MAKER if row.maker else Liquidity.TAKER,
        venue_ns=seconds_to_nanos(row.time, "time"),
    )
