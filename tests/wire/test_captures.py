"""Every recording of a message that the client speaks is read, and reads as its golden file says."""

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
    "kraken-async-rs/candles_snapshot-candles_snapshot.json",
    "kraken-async-rs/l3_snapshot-l3_snapshot.json",
    "kraken-async-rs/ticker_snapshot-ticker_snapshot.json",
    "live-2026-09/ws2-ticker-update.json",
}
NO_JSON = {"kraken-async-rs/cloudflare_restarting_nonjson.txt"}

ReadRest = Callable[[bytes, SpotGate], object]
REST: dict[str, ReadRest] = {
    "kraken-async-rs/rest-asset_info.json": lambda result, _: [
        read_asset_names(result).v2(asset) for asset in ("XXBT", "ZEUR", "ZUSD", "XXBT.F")
    ],
    "kraken-async-rs/rest-closed_orders.json": read_closed_orders,
    "kraken-async-rs/rest-ohlc_data.json": lambda result, _: read_bars(result, 3),
    "kraken-async-rs/rest-open_orders.json": read_open_orders,
    "kraken-async-rs/rest-trade_volume.json": read_fees,
    "kraken-async-rs/rest-trades_history.json": read_trades,
    "kraken-async-rs/rest-tradable_asset_pairs.json": lambda result, _: read_listings(result),
    "kraken-async-rs/rest-websockets_token.json": lambda result, _: read_token(result),
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


def test_the_golden_folder_holds_nothing_that_no_test_reads() -> None:
    read = {name.replace("/", "--") + ".json" for name in (*FRAMES, *REST)}

    assert {path.name for path in GOLDEN.iterdir()} == read
