from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aether.domain.inputs import Maintenance
from aether.domain.instruments import PairStatus
from aether.domain.orders import VenueStatus
from aether.domain.spot_gate import SpotGate, recall
from aether.kraken.book_sync import BookSync
from aether.kraken.messages import Answer, BooksRead, ExecutionsRead, PairsRead, SystemStatus, TradesRead, Unspoken
from aether.kraken.strict_json import Malformed
from aether.kraken.wire import Reader

BOOK = (
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1.0,"qty":2.0}],"asks":[],'
    b'"checksum":7,"timestamp":"2026-07-19T17:54:39.753424Z"}]}'
)
TRADE = (
    b'{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade","order_status":"filled",'
    b'"exec_id":"T1","symbol":"BTC/USD","side":"buy","last_qty":0.5,"last_price":100.0,"cost":50.00,"cum_qty":0.5,'
    b'"liquidity_ind":"m","fees":[{"asset":"USD","qty":0.13}],"timestamp":"2026-07-19T17:54:39.753424Z"}],"sequence":4}'
)


@given(seed=st.integers(0, 2**48))
@example(seed=0)
def test_no_bytes_whatever_make_the_reader_raise(mutated_frame: Callable[[Random], bytes], seed: int) -> None:
    chance = Random(seed)
    reader = Reader(recall)
    book = BookSync(recall("BTC/USD"), 1, 8, 10)
    for _ in range(20):
        message = reader.read(mutated_frame(chance))
        if isinstance(message, BooksRead):
            for each in message.books:
                book.apply(each)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_malformed_or_not_spoken(frame: bytes) -> None:
    assert isinstance(Reader(recall).read(frame), Malformed | Unspoken)


@pytest.mark.parametrize(
    "changed",
    [
        BOOK.replace(b'"price":1.0', b'"price":1.0,"price":2.0'),
        BOOK.replace(b'"checksum":7', b'"checksum":7,"checksum":8'),
        BOOK.replace(b'"asks":[],', b'"checksum":8,'),  # as many quotation marks as a sound frame has
        BOOK.replace(b'"type":"update"', b'"type":"news"'),
        BOOK.replace(b'"checksum":7', b'"checksum":-1'),
        BOOK.replace(b'"checksum":7', b'"checksum":4294967296'),
        BOOK.replace(b'"checksum":7', b'"checksum":"7"'),
        BOOK.replace(b'"symbol":"BTC/USD",', b""),
        BOOK.replace(b"[{", b"{").replace(b"}]", b"}"),
        BOOK + BOOK,
        BOOK[:-1],
        b"\xef\xbb\xbf" + BOOK,
        BOOK + b" " * (1 << 20),
    ],
)
def test_a_book_frame_with_any_doubt_is_refused_as_a_whole(changed: bytes) -> None:
    reader = Reader(recall)

    assert isinstance(reader.read(changed), Malformed)
    assert reader.counts["malformed"] == 1


@pytest.mark.parametrize(
    "changed",
    [
        BOOK,
        BOOK.replace(b'"asks":[],', b""),
        BOOK.replace(b',"timestamp":"2026-07-19T17:54:39.753424Z"', b""),
        BOOK.replace(b'"checksum":7', b'"checksum":7,"new_field":{"price":[1,"x"]}'),
        BOOK.replace(b'"channel":"book",', b"")
        .replace(b"]}", b'],"channel":"book"}')
        .replace(b'[],"channel":"book"', b"[]"),
        BOOK.replace(b":", b" : "),
    ],
)
def test_unknown_fields_other_orders_and_spaces_are_no_trouble(changed: bytes) -> None:
    message = Reader(recall).read(changed.replace(b"17 : 54 : 39", b"17:54:39"))

    assert isinstance(message, BooksRead), message
    assert [bytes(level.price) for level in message.books[0].bids] == [b"1.0"]


def test_market_data_that_is_not_ours_is_counted_and_dropped(gate: SpotGate) -> None:
    reader = Reader(gate.wire)

    for name in (b"ETH/BTC", b"XBT/USD", b"btc/usd", b"BTC/USDT", b"PF_XBTUSD"):
        assert reader.read(BOOK.replace(b"BTC/USD", name)) == BooksRead(())

    assert reader.counts["unadmitted"] == 5
    message = reader.read(BOOK)
    assert isinstance(message, BooksRead)
    assert message.books[0].symbol == "BTC/USD"


def test_private_messages_are_never_dropped_for_their_name(gate: SpotGate) -> None:
    reader = Reader(gate.wire)

    message = reader.read(TRADE.replace(b"BTC/USD", b"ETH/BTC"))

    assert isinstance(message, ExecutionsRead)
    assert (message.records[0].name, message.records[0].symbol) == ("ETH/BTC", None)
    assert message.records[0].fill is not None


def test_a_fill_of_margin_is_kept_and_is_not_ours(gate: SpotGate) -> None:
    message = Reader(gate.wire).read(TRADE.replace(b'"side":"buy"', b'"side":"buy","margin":true'))

    assert isinstance(message, ExecutionsRead)
    assert (message.records[0].symbol, message.records[0].is_margin) == (None, True)


@pytest.mark.parametrize(
    ("field", "is_margin"),
    [
        (b'"margin":false', False),
        (b'"margin":null', False),
        (b'"margin_borrow":false,"position_status":null', False),
        (b'"margin":true', True),
        (b'"margin_borrow":true', True),
        (b'"margin":false,"position_status":"opened"', True),
    ],
)
def test_any_word_of_margin_makes_a_record_one_of_margin(field: bytes, *, is_margin: bool) -> None:
    message = Reader(recall).read(TRADE.replace(b'"side":"buy"', b'"side":"buy",' + field))

    assert isinstance(message, ExecutionsRead)
    (record,) = message.records
    assert (record.is_margin, record.symbol is None) == (is_margin, is_margin)


@pytest.mark.parametrize("missing", [b'"exec_id":"T1",', b'"last_qty":0.5,', b'"last_price":100.0,', b'"cost":50.00,'])
def test_a_fill_that_lacks_money_is_malformed_and_says_so(missing: bytes) -> None:
    message = Reader(recall).read(TRADE.replace(missing, b""))

    assert isinstance(message, ExecutionsRead)
    assert message.records == ()
    assert len(message.malformed) == 1
    assert message.sequence == 4


@pytest.mark.parametrize(
    "bad", [b'"last_qty":0', b'"last_qty":-0.5', b'"last_qty":1e400', b'"last_qty":null', b'"last_qty":{}']
)
def test_a_fill_of_no_sensible_quantity_is_malformed(bad: bytes) -> None:
    message = Reader(recall).read(TRADE.replace(b'"last_qty":0.5', bad))

    assert isinstance(message, ExecutionsRead)
    assert (message.records, len(message.malformed)) == ((), 1)


def test_a_bad_record_does_not_take_the_good_ones_of_its_frame_along() -> None:
    good = TRADE[TRADE.index(b"[{") + 1 : TRADE.rindex(b"]")]
    frame = TRADE.replace(good, b'{"exec_type":"trade"},' + good + b',17,{"order_id":"","exec_type":"new"}')

    message = Reader(recall).read(frame)

    assert isinstance(message, ExecutionsRead)
    assert (len(message.records), len(message.malformed)) == (1, 3)


@pytest.mark.parametrize(
    ("exec_type", "order_status", "status"),
    [
        ("new", "new", VenueStatus.NEW),
        ("trade", "partially_filled", VenueStatus.PARTIALLY_FILLED),
        ("canceled", "", VenueStatus.CANCELED),
        ("restated", "new", VenueStatus.NEW),
        ("restated", "", VenueStatus.UNKNOWN),
        ("liquidated", "filled", VenueStatus.UNKNOWN),
        ("new", "suspended", VenueStatus.UNKNOWN),
    ],
)
def test_an_unknown_word_of_an_order_becomes_unknown(exec_type: str, order_status: str, status: VenueStatus) -> None:
    frame = TRADE.replace(b'"trade"', f'"{exec_type}"'.encode()).replace(b'"filled"', f'"{order_status}"'.encode())

    message = Reader(recall).read(frame)

    assert isinstance(message, ExecutionsRead)
    assert message.records[0].status is status


@pytest.mark.parametrize(
    "time",
    [
        *(b"", b"yesterday", b"2026-07-19T17:54:39"),
        *(b"0001-01-01T00:00:00Z", b"1969-12-31T23:59:59.999999999Z"),
        *(b"2262-04-11T23:47:16.854775808Z", b"9999-12-31T23:59:59Z"),
    ],
)
def test_a_fill_without_a_readable_time_is_still_a_fill(time: bytes) -> None:
    message = Reader(recall).read(TRADE.replace(b"2026-07-19T17:54:39.753424Z", time))

    assert isinstance(message, ExecutionsRead)
    assert message.records[0].venue_ns == 0


def test_the_last_nanosecond_of_64_bits_is_a_time() -> None:
    message = Reader(recall).read(TRADE.replace(b"2026-07-19T17:54:39.753424Z", b"2262-04-11T23:47:16.854775807Z"))

    assert isinstance(message, ExecutionsRead)
    assert message.records[0].venue_ns == 2**63 - 1


@pytest.mark.parametrize("sequence", [b"-1", b"9223372036854775808", b"1" * 60])
def test_a_sequence_beyond_64_bits_is_malformed(sequence: bytes) -> None:
    assert isinstance(Reader(recall).read(TRADE.replace(b'"sequence":4', b'"sequence":' + sequence)), Malformed)


@pytest.mark.parametrize("frame", [TRADE.replace(b',"sequence":4', b""), TRADE.replace(b'"data":', b'"dada":')])
def test_a_private_frame_without_sequence_or_data_is_malformed(frame: bytes) -> None:
    assert isinstance(Reader(recall).read(frame), Malformed)


def test_a_bad_trade_or_pair_is_dropped_alone() -> None:
    reader = Reader(recall)
    trade = b'{"symbol":"BTC/USD","side":"%s","price":%s,"qty":1.0,"timestamp":"2026-07-19T17:54:39Z"}'
    rows = b",".join([trade % (b"buy", b"1.0"), trade % (b"hold", b"1.0"), trade % (b"sell", b"0"), b"[]"])

    message = reader.read(b'{"channel":"trade","type":"update","data":[' + rows + b"]}")

    assert isinstance(message, TradesRead)
    assert len(message.trades) == 1
    assert reader.counts["malformed"] == 3


PAIR = (
    b'{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[{"symbol":"BTC/USD","status":"%s",'
    b'"qty_precision":8,"qty_increment":1E-8,"price_precision":1,"price_increment":0.1,"cost_precision":5,'
    b'"cost_min":0.5,"qty_min":0.0001%s}]}}'
)


@pytest.mark.parametrize(("word", "status"), [(b"online", PairStatus.ONLINE), (b"haunted", PairStatus.UNKNOWN)])
def test_a_pair_s_unknown_status_is_unknown_and_its_exponent_a_number(word: bytes, status: PairStatus) -> None:
    message = Reader(recall).read(PAIR % (word, b""))

    assert isinstance(message, PairsRead)
    assert message.pairs[0].status is status
    assert format(message.pairs[0].lot, "f") == "0.00000001"


@pytest.mark.parametrize("extra", [b',"price_precision":99', b',"cost_min":-1'])
def test_a_pair_stated_twice_or_senseless_is_refused(extra: bytes) -> None:
    reader = Reader(recall)
    frame = (PAIR % (b"online", extra)).replace(b'"price_precision":1,', b"").replace(b'"cost_min":0.5,', b"")

    assert reader.read(frame) == PairsRead((), is_snapshot=False)
    assert reader.counts["malformed"] == 1


def test_a_status_word_that_is_new_is_passed_on() -> None:
    frame = (
        b'{"channel":"status","type":"update","data":[{"system":"limit_only","connection_id":18446744073709551615}]}'
    )

    assert Reader(recall).read(frame) == SystemStatus("limit_only")


ANNOUNCED = '[{"system":"online","upcoming_maintenance":%s}]'
START, END = "2026-10-01T08:00:00Z", "2026-10-01T09:30:00.5Z"
START_NS, END_NS = 1_790_841_600 * 10**9, 1_790_847_000_500_000_000


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("[]", ()),
        (f'[{{"event_id":7,"expected_start_utc":"{START}","phase":"x"}}]', (Maintenance(START_NS, None),)),
        (f'[{{"expected_start_utc":"{START}","expected_end_utc":"{END}"}}]', (Maintenance(START_NS, END_NS),)),
        (f'[{{"expected_start_utc":"{START}","affected_services":["futures_ws"]}}]', ()),
        (
            f'[{{"expected_start_utc":"{START}","affected_services":["futures_ws","spot_trading"]}}]',
            (Maintenance(START_NS, None),),
        ),
        ('[{"expected_start_utc":"soon"}]', ()),
        ('[{"phase":"announced"}]', ()),
        ('"nothing"', ()),
    ],
)
def test_a31_announced_standstills_are_read_and_what_cannot_be_read_is_none(
    said: str, heard: tuple[Maintenance, ...]
) -> None:
    frame = f'{{"channel":"status","type":"update","data":{ANNOUNCED % said}}}'.encode()

    assert Reader(recall).read(frame) == SystemStatus("online", heard)


@pytest.mark.parametrize(
    ("said", "is_yes", "is_no"),
    [
        (b'"success":true', True, False),
        (b'"success":true,"result":{"order_id":"O1"}', True, False),
        (b'"success":false,"error":"EOrder:Something"', False, True),
        (b'"error":"EOrder:Something","result":null', False, True),
        (b'"success":true,"error":"EOrder:Something"', False, False),
        (b'"success":false,"error":"EOrder:Something","result":{"order_id":"O1"}', False, False),
        (b'"success":false,"error":"EOrder:Something","result":{"order_id":7}', False, False),
        (b'"success":false', False, False),
        (b'"result":{"order_id":"O1"}', False, False),
    ],
)
def test_only_a_clear_answer_is_a_yes_or_a_no(said: bytes, *, is_yes: bool, is_no: bool) -> None:
    answer = Reader(recall).read(b'{"method":"add_order","req_id":3,' + said + b"}")

    assert isinstance(answer, Answer)
    assert (answer.is_yes, answer.is_no) == (is_yes, is_no)


@pytest.mark.parametrize("frame", [b'{"error":"Exceeded msg rate"}', b"{}", b'{"channel":"level3","data":[]}'])
def test_sound_frames_of_other_kinds_are_counted(frame: bytes) -> None:
    reader = Reader(recall)

    assert isinstance(reader.read(frame), Unspoken)
    assert reader.counts["unspoken"] == 1


def test_the_whole_raw_recording_has_nothing_that_is_not_read(capture: Callable[[str], bytes]) -> None:
    reader = Reader(recall)
    for frame in capture("ws2-book/btcusd-d10-20260719T1754.raw.ndjson").splitlines():
        reader.read(frame)

    assert dict(reader.counts) == {"frames": 1376}
