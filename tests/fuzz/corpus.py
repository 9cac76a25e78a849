"""What is wounded: recorded messages of Kraken's, a few written in their shape, and requests as clients make them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

import msgspec

from aether.domain.spot_gate import GatePolicy, SpotGate
from aether.kraken.listings import read_listings
from tests.fuzz.wounds import Document, wounded

CAPTURES = Path(__file__).parents[1] / "wire" / "captures"
SEED_BYTES_MAX = 8_000  # a longer recording costs time and shows nothing that its first rows do not
ROWS_KEPT = 12

# Messages that no recording has, in the shapes of Kraken's documents (WebSocket v2 executions; REST BalanceEx).
WRITTEN_FRAMES = tuple(
    b"".join(parts)
    for parts in (
        (b'{"channel":"executions","type":"snapshot","data":[],"sequence":1}',),
        (
            b'{"channel":"instrument","type":"update","data":{"assets":[{"id":"BTC","status":"enabled","precision":10}],',
            b'"pairs":[{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,',
            b'"qty_increment":1E-8,"price_precision":1,"price_increment":0.1,"tick_size":0.1,"cost_precision":5,',
            b'"qty_min":0.0001,"cost_min":0.5,"marginable":true,"has_index":true,"margin_initial":0.2}]}}',
        ),
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade","trade_id":7,',
            b'"order_status":"partially_filled","exec_id":"T1","symbol":"BTC/USD","side":"buy","last_qty":0.5,',
            b'"last_price":100.0,"cost":50.00,"cum_qty":0.5,"cum_cost":50.0,"avg_price":100.0,"liquidity_ind":"m",',
            b'"fees":[{"asset":"USD","qty":0.13}],"timestamp":"2026-07-19T17:54:39.614696Z"}],"sequence":2}',
        ),
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"filled","cum_qty":1.0,',
            b'"order_status":"filled","cum_cost":100.0,"timestamp":"2026-07-19T17:54:39.614696Z"}],"sequence":3}',
        ),
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"status",',
            b'"order_status":"new","triggers":{"reference":"last","price":1.0,"price_type":"static",',
            b'"status":"triggered"},"contingent":{"order_type":"limit","limit_price":1.0}}],"sequence":4}',
        ),
        (
            b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"restated",',
            b'"order_status":"new","order_qty":0.5,"reason":"engine"},',
            b'{"order_id":"O2","exec_type":"expired","order_status":"expired"}],"sequence":5}',
        ),
        (
            b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":101.0,"qty":0.1,',
            b'"ord_type":"limit","trade_id":9,"timestamp":"2026-07-19T17:54:39.614696Z"}]}',
        ),
        (b'{"method":"subscribe","req_id":3,"error":"ESession:Invalid session","success":false}',),
        (b'{"method":"batch_cancel","orders_cancelled":2,"req_id":4,"success":true}',),
        (b'{"Error":"Exceeded msg rate"}',),
    )
)
WRITTEN_ANSWERS: Mapping[str, bytes] = {
    "BalanceEx": b'{"error":[],"result":{"XXBT":{"balance":"1.5000000000","hold_trade":"0.2500000000"},'
    b'"XBT.F":{"balance":"2.0"},"ETH2.S":{"balance":"1"},'
    b'"ZUSD":{"balance":"171288.6158","hold_trade":"8249.7600","credit":"0.0","credit_used":"0.0"}}}',
    "TradeVolume": b'{"error":[],"result":{"currency":"ZUSD","volume":"200709.0523","fees":{"XXBTZUSD":{"fee":"0.2200",'
    b'"minfee":"0.0500","maxfee":"0.4000","nextfee":null,"nextvolume":"250000.0000","tiervolume":"100000.0000"}},'
    b'"fees_maker":{"XXBTZUSD":{"fee":"0.1200"}},"inputs":{"domain_spot_volume_30d":"1"}}}',
    "CancelOrderBatch": b'{"error":[],"result":{"count":2}}',
    "CancelAllOrdersAfter": b'{"error":[],"result":{"currentTime":"2026-07-19T17:54:39Z",'
    b'"triggerTime":"2026-07-19T17:55:39Z"}}',
}
ANSWERS_IN: Mapping[str, Sequence[str]] = {
    "Assets": ("kraken-async-rs/rest-asset_info.json", "live-2026-09/rest-Assets-five.json"),
    "AssetPairs": ("kraken-async-rs/rest-tradable_asset_pairs.json", "nautilus/http_asset_pairs.json"),
    "OHLC": ("kraken-async-rs/rest-ohlc_data.json", "live-2026-09/rest-OHLC-hour.json"),
    "GetWebSocketsToken": ("kraken-async-rs/rest-websockets_token.json",),
    "OpenOrders": (
        *("kraken-async-rs/rest-open_orders.json", "xchange/openorders-data.json"),
        "ccxt/openOrders-stop-loss-limit.json",
    ),
    "ClosedOrders": ("kraken-async-rs/rest-closed_orders.json",),
    "QueryOrders": ("xchange/market-ask-order.json", "ccxt/fetchOrder-closed-market.json"),
    "TradesHistory": ("kraken-async-rs/rest-trades_history.json",),
    "Ledgers": ("kraken-async-rs/rest-ledgers_info.json", "xchange/ledgerinfo-data.json"),
    "TradeVolume": ("kraken-async-rs/rest-trade_volume.json",),
    "CancelAll": ("kraken-async-rs/rest-cancel_all_orders.json",),
    "GetApiKeyInfo": ("kraken-net/rest-get-api-key-info.json",),
    "CancelOrder": ("kraken-async-rs/rest-cancel_order.json", "xchange/cancelorder-data.json"),
}


def recorded(name: str) -> bytes:
    """A recording, unpacked."""
    data = (CAPTURES / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


@cache
def gate() -> SpotGate:
    """Kraken's pairs of 2026-01, none excluded."""
    answer = msgspec.json.decode(recorded("assetpairs/AssetPairs-20260112.json.gz"), type=dict[str, msgspec.Raw])
    return SpotGate(read_listings(answer["result"]), GatePolicy(frozenset()))


@cache
def frames() -> tuple[Document, ...]:
    """WebSocket messages of every kind that was recorded, each kind a few times."""
    found = [
        text
        for folder in ("kraken-async-rs", "ws2-executions", "ws2-book", "live-2026-09")
        for path in sorted((CAPTURES / folder).iterdir())
        if not path.name.startswith("rest-") and path.suffix in (".json", ".ndjson")
        for text in (path.read_bytes().splitlines()[:ROWS_KEPT] if path.suffix == ".ndjson" else [path.read_bytes()])
    ]
    return _documents((*found, *WRITTEN_FRAMES))


@cache
def private_frames() -> tuple[Document, ...]:
    """Those that tell of an account, or answer a request."""
    words = (b'"executions"', b'"balances"', b'"method"')
    return tuple(each for each in frames() if any(word in each.text for word in words))


@cache
def book_frames() -> tuple[Document, ...]:
    """The first hundred of an unbroken recording of one book: they follow one another."""
    lines = recorded("ws2-book/btcusd-d10-20260719T1754.raw.ndjson").splitlines()
    return _documents(line for line in lines[:160] if line.startswith(b'{"channel":"book"'))


@cache
def answers(name: str) -> tuple[Document, ...]:
    """Answers of a REST endpoint, by its name at Kraken."""
    found = [recorded(path) for path in ANSWERS_IN.get(name, ())]
    return _documents([*found, WRITTEN_ANSWERS[name]] if name in WRITTEN_ANSWERS else found)


@cache
def error_texts() -> tuple[str, ...]:
    """Every error text that is known, of either door."""
    listed = json.loads(recorded("error-strings.json"))
    return tuple(entry["error"] for part in listed.values() if isinstance(part, list) for entry in part)


def wounded_frame(chance: Random) -> bytes:
    """A wounded message of the sockets; every fourth is private, and every fourth of a book."""
    return wounded(chance, chance.choice(chance.choice((frames(), frames(), private_frames(), book_frames()))))


def _documents(texts: Iterable[bytes]) -> tuple[Document, ...]:
    made = []
    for text in texts:
        try:
            made.append(Document(_shortened(text)))
        except ValueError:
            continue  # plain text among the recordings
    return tuple(made)


def _shortened(text: bytes) -> bytes:
    """A long answer cut to the first rows of each of its lists and maps; the digits of its numbers stay."""
    if len(text) <= SEED_BYTES_MAX:
        return text
    return Document(text).shortened(ROWS_KEPT)
