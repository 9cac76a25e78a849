from __future__ import annotations

from decimal import Decimal

import pytest

from aether.domain.spot_gate import recall
from aether.domain.values import Price
from aether.kraken.messages import CandlesRead, Complaint, TickersRead
from aether.kraken.strict_json import Malformed
from aether.kraken.tickers import S_PER_MIN
from aether.kraken.wire import Reader

BTC = recall("BTC/USD")
TICKER = (
    '{"symbol":"BTC/USD","bid":%s,"bid_qty":0.5,"ask":101.0,"ask_qty":1.0,"last":%s,"volume":3.00000000,"vwap":100.0,'
    '"low":1.0,"high":1.0,"change":-1.0,"change_pct":-0.51}'
)
CANDLE = (
    '{"symbol":"BTC/USD","open":%s,"high":%s,"low":%s,"close":2.0,"trades":0,"volume":0.00000000,"vwap":0.0,'
    '"interval_begin":"2026-09-25T18:00:00.000000000Z","interval":%d,"timestamp":"2026-09-25T18:05:00.000000Z"}'
)


def frame(channel: str, *rows: str) -> bytes:
    return f'{{"channel":"{channel}","type":"update","data":[{",".join(rows)}]}}'.encode()


def test_a_price_that_is_not_there_is_none() -> None:
    read = Reader(recall).read(frame("ticker", TICKER % ("0.0", "0")))

    assert isinstance(read, TickersRead)
    assert (read.tickers[0].bid, read.tickers[0].last) == (None, None)
    assert read.tickers[0].ask == Price(Decimal("101.0"))
    assert read.tickers[0].venue_ns == 0


def test_a_candle_stands_where_its_interval_begins() -> None:
    read = Reader(recall).read(frame("ohlc", CANDLE % ("1.5", "2.5", "1.0", 5)))

    assert isinstance(read, CandlesRead)
    assert (read.candles[0].bar.open_s, read.candles[0].bar_s) == (1_790_359_200, 5 * S_PER_MIN)


@pytest.mark.parametrize(
    ("channel", "row"),
    [
        ("ticker", TICKER % ("-1", "1")),
        ("ticker", TICKER % ('"1"', "1e400")),
        ("ticker", '{"symbol":"BTC/USD"}'),
        ("ohlc", CANDLE % ("1.5", "1.9", "1.0", 5)),
        ("ohlc", CANDLE % ("1.5", "2.5", "1.8", 5)),
        ("ohlc", CANDLE % ("0", "2.5", "1.0", 5)),
        ("ohlc", CANDLE % ("1.5", "2.5", "1.0", 0)),
        ("ohlc", (CANDLE % ("1.5", "2.5", "1.0", 5)).replace("2026-09-25T18:00", "yesterday")),
    ],
)
def test_a_row_that_makes_no_sense_is_counted_and_the_others_are_read(channel: str, row: str) -> None:
    reader = Reader(recall)
    good = TICKER % ("100.0", "100.5") if channel == "ticker" else CANDLE % ("1.5", "2.5", "1.0", 5)
    read = reader.read(frame(channel, row, good))

    assert isinstance(read, TickersRead | CandlesRead)
    assert len(read.tickers if isinstance(read, TickersRead) else read.candles) == 1
    assert reader.counts["malformed"] == 1


@pytest.mark.parametrize("channel", ["ticker", "ohlc"])
def test_a_row_of_another_s_name_is_not_read(channel: str) -> None:
    reader = Reader(lambda _: None)
    reader.read(frame(channel, TICKER % ("1", "1") if channel == "ticker" else CANDLE % ("1.5", "2.5", "1.0", 5)))

    assert (reader.counts["unadmitted"], reader.counts["malformed"]) == (1, 0)


def test_the_edge_s_complaint_is_heard_and_another_text_is_no_complaint() -> None:
    assert Reader(recall).read(b'{"Error":"Exceeded msg rate"}') == Complaint("Exceeded msg rate")
    assert isinstance(Reader(recall).read(b'{"Error":5}'), Malformed)
