"""Every recording has a reader, and reads as its golden file says, or is refused for a reason that is stated here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether.domain.spot_gate import SpotGate, recall
from aether.kraken.account import (
    read_balances,
    read_closed_orders,
    read_fees,
    read_open_orders,
    read_queried_orders,
    read_token,
    read_trades,
)
from aether.kraken.endpoints import Endpoint
from aether.kraken.ledger_rows import read_ledgers
from aether.kraken.listings import AssetNames, read_asset_names, read_bars, read_listings
from aether.kraken.messages import ExecutionsRead, Unspoken
from aether.kraken.strict_json import Malformed
from aether.kraken.wire import Reader

GOLDEN = Path(__file__).parent / "golden"
CAPTURES = Path(__file__).parent / "captures"
NAMES = AssetNames({"XXBT": "XBT", "ZUSD": "USD", "XETH": "ETH", "XXDG": "XDG"})

FRAMES = sorted(
    str(path.relative_to(CAPTURES))
    for pattern in ("kraken-async-rs/[!r]*", "live-2026-09/ws2-*", "ws2-executions/*", "ws2-book/eth*")
    for path in CAPTURES.glob(pattern)
)
NOT_SPOKEN = {
    "kraken-async-rs/l3_snapshot-l3_snapshot.json",
}
NO_JSON = {"kraken-async-rs/cloudflare_restarting_nonjson.txt"}

ReadRest = Callable[[bytes, SpotGate], object]
REST: dict[str, ReadRest] = {
    "kraken-async-rs/rest-asset_info.json": lambda result, _: [
        read_asset_names(result).v2(asset) for asset in ("XXBT", "ZEUR", "ZUSD", "XXBT.F")
    ],
    "kraken-async-rs/rest-closed_orders.json": read_closed_orders,
    "kraken-async-rs/rest-ledgers_info.json": lambda result, _: read_ledgers(result, NAMES),
    "xchange/ledgerinfo-data.json": lambda result, _: read_ledgers(result, NAMES),
    "kraken-async-rs/rest-ohlc_data.json": lambda result, _: read_bars(result, 3),
    "kraken-async-rs/rest-open_orders.json": read_open_orders,
    "kraken-async-rs/rest-trade_volume.json": read_fees,
    "kraken-async-rs/rest-trades_history.json": read_trades,
    "kraken-async-rs/rest-tradable_asset_pairs.json": lambda result, _: read_listings(result),
    "kraken-async-rs/rest-websockets_token.json": lambda result, _: read_token(result),
    "xchange/krakenWebsocketToken-data.json": lambda result, _: read_token(result),
    "xchange/market-ask-order.json": read_queried_orders,
    "xchange/openorders-data.json": read_open_orders,
    "xchange/ohlc-data.json.gz": lambda result, _: read_bars(result, 3),
    "xchange/tradevolume-data-2.json.gz": read_fees,
    "ccxt/fetchOrder-closed-market.json": read_queried_orders,
    "ccxt/fetchOrder-open-postonly.json": read_queried_orders,
    "ccxt/openOrders-stop-loss-limit.json": read_open_orders,
    "nautilus/http_asset_pairs.json": lambda result, _: read_listings(result),
    "nautilus/http_asset_pairs_tokenized.json": lambda result, _: read_listings(result),
    "nautilus/http_ohlc.json.gz": lambda result, _: read_bars(result, 3),
    "live-2026-09/rest-Assets-five.json": lambda result, _: [
        read_asset_names(result).v2(asset) for asset in ("XXBT", "XXDG", "XETH", "ZUSD", "SOL")
    ],
    "live-2026-09/rest-OHLC-hour.json": lambda result, _: read_bars(result, 720),
}


# Recorded answers without a reader: the endpoint that gave them, and why we do not call it. One that becomes an
# `Endpoint` needs a reader, and the test below says so.
NOT_CALLED: dict[str, tuple[str, str]] = {
    "ccxt/addOrder-market.json": ("AddOrder", "orders are placed over the private socket alone"),
    "kraken-async-rs/rest-add_order.json": ("AddOrder", "orders are placed over the private socket alone"),
    "xchange/order-data.json": ("AddOrder", "orders are placed over the private socket alone"),
    "kraken-async-rs/rest-amend_order.json": ("AmendOrder", "orders are amended over the private socket alone"),
    "kraken-async-rs/rest-account_balance.json": ("Balance", "not net of what orders hold: BalanceEx is"),
    "kraken-async-rs/rest-trade_balance.json": ("TradeBalance", "sums for margin, at prices of Kraken's choice"),
    "kraken-async-rs/rest-open_positions.json": ("OpenPositions", "margin: no position is ever ours"),
    "kraken-async-rs/rest-query_trades_info.json": ("QueryTrades", "TradesHistory tells all of our trades"),
    "kraken-async-rs/rest-recent_spreads.json": ("Spread", "the book says it, verified"),
    "xchange/spreads-data.json": ("Spread", "the book says it, verified"),
    "kraken-async-rs/rest-ticker_information.json": ("Ticker", "the book and the trades say it"),
    "kraken-async-rs/rest-server_time.json": ("Time", "pongs tell Kraken's time, and how surely"),
    "nautilus/http_server_time.json": ("Time", "pongs tell Kraken's time, and how surely"),
    "nautilus/http_system_status.json": ("SystemStatus", "channel `status` tells each change at once"),
    "live-2026-09/rest-Trades.json": ("Trades", "channel `trade` tells them as they are made"),
    "nautilus/http_trades.json.gz": ("Trades", "channel `trade` tells them as they are made"),
    "xchange/trades-data.json": ("Trades", "channel `trade` tells them as they are made"),
}
# Answers of calls whose result says nothing that counts: that there is one is the answer (test_rest reads them all).
NO_RESULT_IS_READ: dict[str, str] = {
    "kraken-async-rs/rest-cancel_order.json": "CancelOrder",
    "xchange/cancelorder-data.json": "CancelOrder",
    "kraken-async-rs/rest-cancel_all_orders.json": "CancelAll",
}
OTHER_PROTOCOL = {"cryptofeed/ws1-trade-20210417.txt": "WebSocket v1: arrays, by pair names that v2 refuses"}
# Recordings that a test of their own reads.
READ_ELSEWHERE: dict[str, str] = {
    "assetpairs/AssetPairs-20260112.json.gz": "wire/test_captures.py",
    "assetpairs/rest-AssetPairs-20210417.json.gz": "wire/test_captures.py",
    "error-strings.json": "unit/test_refusals.py",
    "kraken-net/rest-get-api-key-info.json": "wire/test_key_passport.py",
    "signing-vectors.json": "unit/test_signing.py",
    "ws2-book/btcusd-d10-20260719T1754.raw.ndjson": "wire/test_capture.py",
    "ws2-book/ws2shape-book1000-20210417.ndjson.gz": "wire/test_capture.py",
    "ws2-book/btcusd-top10-ladders.json": "wire/test_book_sync.py",
    "ws2-book/docs-worked-example.json": "wire/test_book_sync.py",
}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / (name.replace("/", "--") + ".json")).read_text("utf-8"))


@pytest.mark.parametrize("name", FRAMES)
def test_a_recorded_frame_reads_as_its_golden_file_says(
    name: str, capture: Callable[[str], bytes], plain: Callable[[object], Any]
) -> None:
    reader = Reader(recall)

    messages = [reader.read(frame) for frame in capture(name).splitlines() if frame.strip()]

    assert [isinstance(message, Malformed) for message in messages] == [name in NO_JSON] * len(messages)
    assert [isinstance(message, Unspoken) for message in messages] == [name in NOT_SPOKEN] * len(messages)
    assert not any(message.malformed for message in messages if isinstance(message, ExecutionsRead))
    assert plain(messages) == golden(name)


@pytest.mark.parametrize("name", sorted(REST))
def test_a_recorded_answer_reads_as_its_golden_file_says(
    name: str, result_of: Callable[[str], bytes], gate: SpotGate, plain: Callable[[object], Any]
) -> None:
    assert plain(REST[name](result_of(name), gate)) == golden(name)


def test_all_rows_of_a_recorded_answer_are_read(result_of: Callable[[str], bytes]) -> None:
    assert len(read_listings(result_of("assetpairs/AssetPairs-20260112.json.gz"))) == 1434
    assert all(listing.quote for listing in read_listings(result_of("assetpairs/AssetPairs-20260112.json.gz")))
    assert all(listing.quote for listing in read_listings(result_of("assetpairs/rest-AssetPairs-20210417.json.gz")))


def test_balances_keep_staked_assets_apart() -> None:
    result = b'{"XXBT":{"balance":"1.5","hold_trade":"0.25"},"XBT.F":{"balance":"2"},"ZUSD":{"balance":"-0.0001"}}'

    balances = read_balances(result, NAMES)

    assert [(b.asset, str(b.total), str(b.held)) for b in balances] == [
        ("BTC", "1.5", "0.25"),
        ("BTC.F", "2", "0"),
        ("USD", "-0.0001", "0"),
    ]


CALLED = {endpoint.value.name for endpoint in Endpoint}


@pytest.mark.parametrize("name", sorted(NOT_CALLED))
def test_an_answer_without_a_reader_is_of_an_endpoint_that_cannot_be_called(name: str) -> None:
    endpoint, why = NOT_CALLED[name]

    assert endpoint not in CALLED, f"{endpoint} is called now: {why!r} no longer holds, it needs a reader"


def test_an_answer_whose_result_is_not_read_is_of_a_call_that_we_make() -> None:
    assert set(NO_RESULT_IS_READ.values()) <= CALLED


@pytest.mark.parametrize("name", sorted(OTHER_PROTOCOL))
def test_every_frame_of_another_protocol_is_refused(name: str, capture: Callable[[str], bytes]) -> None:
    reader = Reader(recall)
    frames = [line.partition(b": ")[2] for line in capture(name).splitlines() if line[:1].isdigit()]

    assert len(frames) > 10
    assert all(isinstance(reader.read(frame), Malformed | Unspoken) for frame in frames)


def test_every_recording_has_a_reader_or_a_stated_reason() -> None:
    tables = (FRAMES, REST, NOT_CALLED, NO_RESULT_IS_READ, OTHER_PROTOCOL, READ_ELSEWHERE)
    stated = [name for table in tables for name in table]
    files = [path for path in CAPTURES.rglob("*") if path.is_file() and path.name != "PROVENANCE.md"]

    assert sorted(stated) == sorted(str(path.relative_to(CAPTURES)) for path in files)


@pytest.mark.parametrize("name", sorted(READ_ELSEWHERE))
def test_a_recording_that_is_read_elsewhere_is_named_there(name: str) -> None:
    assert name in (Path(__file__).parents[1] / READ_ELSEWHERE[name]).read_text("utf-8")


def test_the_golden_folder_holds_nothing_that_no_test_reads() -> None:
    read = {name.replace("/", "--") + ".json" for name in (*FRAMES, *REST)}

    assert {path.name for path in GOLDEN.iterdir()} == read
