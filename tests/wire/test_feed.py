from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest

from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.inputs import BookChanged, ClockMeasured, FeedLost, InstrumentSeen, SystemStatusSeen, TradeSeen
from aether.domain.instruments import PairStatus
from aether.domain.spot_gate import SpotGate, recall
from aether.kraken.connection import Connector
from aether.kraken.feed import FeedSettings, KrakenFeed
from aether.kraken.rate_limit import Pace
from aether.kraken.rest import RestClient

BTC, ETH = recall("BTC/USD"), recall("ETH/USD")
QUICK = FeedSettings(snapshot_s=0.15, book_silence_s=0.6, traded_silence_s=0.05, ask_again_s=0.05, ping_s=0.05)
Background = Callable[[Any], None]


@pytest.fixture
def feed(toy: Any, connector: Connector, rest: RestClient, gate: SpotGate, clock: Any) -> KrakenFeed:
    return KrakenFeed(connector, rest, url=toy.ws_url, gate=gate, symbols=(BTC, ETH), clock=clock, settings=QUICK)


class ToyMarket:
    """Answers subscriptions with acknowledgements and snapshots, and pings with pongs."""

    def __init__(self, toy: Any) -> None:
        self.silent: set[str] = set()
        self.refused: set[str] = set()
        self.acknowledges_trades = True
        self.say = toy.say
        self.heartbeats = True
        toy.on_connect, toy.on_request = self.greet, self.answer

    async def greet(self, say: Any) -> None:
        await say('{"channel":"status","type":"update","data":[{"system":"online"}]}')

    async def answer(self, asked: dict[str, Any], say: Any) -> None:
        if asked["method"] == "ping":
            await say(f'{{"method":"pong","req_id":{asked["req_id"]},"time_in":"2026-09-25T18:00:00Z"}}')
            return
        params = asked["params"]
        if asked["method"] != "subscribe":
            return
        if params["channel"] == "trade" and self.acknowledges_trades:
            for name in params["symbol"]:
                await say(
                    f'{{"method":"subscribe","success":true,"result":{{"channel":"trade","symbol":"{name}"}},'
                    f'"req_id":{asked["req_id"]}}}'
                )
        if params["channel"] != "book":
            return
        for name in params["symbol"]:
            if name in self.refused:
                await say(
                    f'{{"method":"subscribe","success":false,"error":"Currency pair not supported {name}",'
                    f'"symbol":"{name}","req_id":{asked["req_id"]}}}'
                )
            elif name not in self.silent:
                await say(book(name, "snapshot", bids=[(100, 1)], asks=[(101, 1)]))


DECIMALS = {"BTC/USD": 1, "ETH/USD": 2}


def book(
    name: str, kind: str, *, bids: list[Any], asks: list[Any], top: list[Any] | None = None, spoil: int = 0
) -> str:
    decimals = DECIMALS[name]
    levels = [
        ",".join(f'{{"price":{price}.{"0" * decimals},"qty":{qty}.00000000}}' for price, qty in side)
        for side in (bids, asks)
    ]
    whole = top if top is not None else [*asks, *bids]
    text = "".join(f"{price}{'0' * decimals}{qty}00000000" for price, qty in whole)
    checksum = crc32(text.encode()) ^ spoil
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{name}","bids":[{levels[0]}],"asks":[{levels[1]}],'
        f'"checksum":{checksum},"timestamp":"2026-09-25T18:00:00.000000Z"}}]}}'
    )


async def test_books_status_and_clock_come_in_after_the_subscriptions(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    measured = await heard.wait_for(ClockMeasured)

    assert heard.of(SystemStatusSeen) == [SystemStatusSeen("online")]
    assert {changed.symbol for changed in heard.of(BookChanged)} == {BTC, ETH}
    assert heard.of(BookChanged)[0] == BookChanged(BTC, ((1000, 10**8),), ((1010, 10**8),), 1, 8)
    assert abs(measured.offset_ns) < 10**18
    subscribed = [asked["params"]["channel"] for asked in toy.requests if asked["method"] == "subscribe"]
    assert subscribed[:3] == ["instrument", "book", "trade"]
    assert heard.of(FeedLost) == []


async def test_every_verified_update_is_told_and_trades_with_it(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await market.say(book("BTC/USD", "update", bids=[(99, 2)], asks=[], top=[(101, 1), (100, 1), (99, 2)]))
    changed = await heard.wait_for(BookChanged, 3)
    await market.say(
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":101.0,"qty":0.1,'
        '"timestamp":"2026-09-25T18:00:01Z"},{"symbol":"ETH/BTC","side":"buy","price":1.0,"qty":0.1,'
        '"timestamp":"2026-09-25T18:00:01Z"}]}'
    )
    trade = await heard.wait_for(TradeSeen)

    assert changed.bids == ((1000, 10**8), (990, 2 * 10**8))
    assert (trade.symbol, len(heard.of(TradeSeen))) == (BTC, 1)
    assert feed.counts["unadmitted"] == 1


async def test_b03_a_bad_checksum_loses_that_symbol_alone_and_heals_it(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await market.say(book("ETH/USD", "update", bids=[(99, 2)], asks=[], spoil=1))
    lost = await heard.wait_for(FeedLost)
    healed = await heard.wait_for(BookChanged, 3)

    assert lost.symbol == ETH
    assert "checksum" in lost.why
    assert healed.symbol == ETH
    assert len(heard.of(FeedLost)) == 1
    renewals = [asked for asked in toy.requests if asked["method"] == "unsubscribe"]
    assert [asked["params"] for asked in renewals] == [{"channel": "book", "symbol": ["ETH/USD"], "depth": 10}]


class Counted:
    """Counts failed checksums alone."""

    def __init__(self) -> None:
        self.checksums_failed = 0

    def checksum_failed(self, symbol: str) -> None:
        self.checksums_failed += 1

    def feed_message(self, channel: str) -> None: ...

    def reconnected(self) -> None: ...

    def kraken_refused(self, method: str, code: str) -> None: ...

    def throttled(self, transport: str, why: str) -> None: ...

    def show_counter(self, pool: str, milli: Any) -> None: ...

    def kraken_request(self, endpoint: str, seconds: float, code: str) -> None: ...


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"bids": [(99, 2)], "asks": [], "spoil": 1}, 1),
        ({"bids": [(102, 1)], "asks": [], "top": [(101, 1), (102, 1), (100, 1)]}, 0),
        ({"bids": [(0, 1)], "asks": []}, 0),
    ],
)
async def test_b10_a_crossed_or_unreadable_book_is_no_failed_checksum(
    changes: Any, *, count: int, toy: Any, connector: Connector, rest: RestClient, gate: SpotGate, clock: Any,
    heard: Any, background: Background,
) -> None:  # fmt: skip
    counted = Counted()
    feed = KrakenFeed(
        connector, rest, url=toy.ws_url, gate=gate, symbols=(BTC,), clock=clock, settings=QUICK, counters=counted
    )
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged)
    await market.say(book("BTC/USD", "update", **changes))
    await heard.wait_for(FeedLost)

    assert counted.checksums_failed == count


async def test_b03_a_snapshot_that_comes_before_other_books_were_asked_for_is_not_lost(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = itertools.count(1)

    async def take(_: Pace) -> None:
        """Rules, two books and two trades at the start; the seventh is the second book's renewal."""
        if next(takes) == 7:
            await heard.wait_for(BookChanged, 3)

    monkeypatch.setattr("aether.kraken.feed.SYMBOLS_IN_REQUEST", 1)
    monkeypatch.setattr(Pace, "take", take)
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    for name in ("BTC/USD", "ETH/USD"):
        await market.say(book(name, "update", bids=[(99, 2)], asks=[], spoil=1))
    await heard.wait_for(BookChanged, 4)
    await market.say(book("BTC/USD", "update", bids=[(99, 2)], asks=[], top=[(101, 1), (100, 1), (99, 2)]))
    changed = await heard.wait_for(BookChanged, 5)

    assert (changed.symbol, len(changed.bids)) == (BTC, 2), "the book went on from its snapshot"


async def test_b01_a_lost_link_loses_every_symbol_and_the_next_one_heals_them(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await toy.drop()
    await heard.wait_for(FeedLost, 2)
    await heard.wait_for(BookChanged, 4)

    assert {lost.symbol for lost in heard.of(FeedLost)} == {BTC, ETH}
    assert toy.connects == 2


async def test_b09_a_subscription_without_snapshot_is_silent_though_the_link_lives(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    market.silent = {"ETH/USD"}
    background(feed.run(heard.put))
    lost = await heard.wait_for(FeedLost)
    market.silent = set()
    await heard.wait_for(BookChanged, 2)

    assert (lost.symbol, lost.why) == (ETH, "no snapshot came")
    assert toy.connects == 1


async def test_b07_trades_without_book_updates_show_a_book_that_stands_still(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await asyncio.sleep(0.08)
    await market.say(
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":101.0,"qty":0.1,'
        '"timestamp":"2026-09-25T18:00:01Z"}]}'
    )
    lost = await heard.wait_for(FeedLost)

    assert (lost.symbol, lost.why) == (BTC, "trades come, the book stands still")


async def test_b07_a_book_that_falls_silent_is_asked_for_anew(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    ToyMarket(toy)
    background(feed.run(heard.put))
    lost = await heard.wait_for(FeedLost)

    assert lost.why == "the book fell silent"
    await heard.wait_for(BookChanged, 4)


async def test_b04_a_refused_symbol_does_not_take_the_others_along(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    market.refused = {"BTC/USD"}
    background(feed.run(heard.put))
    lost = await heard.wait_for(FeedLost)
    changed = await heard.wait_for(BookChanged)

    assert (lost.symbol, lost.why) == (BTC, "Currency pair not supported BTC/USD")
    assert changed.symbol == ETH


PAIR = (
    '{"channel":"instrument","type":"%s","data":{"assets":[],"pairs":[{"symbol":"%s","status":"%s","qty_precision":8,'
    '"qty_increment":1E-8,"price_precision":%d,"price_increment":0.%s1,"cost_precision":5,"cost_min":0.5,'
    '"qty_min":0.0001}]}}'
)


async def test_e03_rules_are_told_at_the_start_and_at_each_change_and_only_then(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await market.say(PAIR % ("snapshot", "BTC/USD", "online", 1, ""))
    await market.say(PAIR % ("update", "BTC/USD", "online", 1, ""))
    await market.say(PAIR % ("update", "SOL/USD", "online", 2, "0"))
    await market.say(PAIR % ("update", "BTC/USD", "cancel_only", 1, ""))
    await heard.wait_for(InstrumentSeen, 2)

    seen = [told.instrument for told in heard.of(InstrumentSeen)]
    assert [(instrument.symbol, instrument.status) for instrument in seen] == [
        (BTC, PairStatus.ONLINE),
        (BTC, PairStatus.CANCEL_ONLY),
    ]
    assert seen[0].base == "BTC"


async def test_e03_new_digits_of_a_pair_make_a_new_book(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    monkeypatch.setitem(DECIMALS, "ETH/USD", 3)
    await market.say(PAIR % ("update", "ETH/USD", "online", 3, "00"))
    lost = await heard.wait_for(FeedLost)
    await heard.wait_for(BookChanged, 3)

    assert (lost.symbol, lost.why) == (ETH, "the pair's digits changed")
    assert heard.of(BookChanged)[2].price_decimals == 3


async def test_b16_malformed_market_data_is_counted_and_the_reader_lives(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    for nonsense in ("CloudFlare WebSocket proxy restarting", '{"channel":"book"', "[" * 20_000, '{"channel":"book"}'):
        await market.say(nonsense)
    await market.say(book("BTC/USD", "update", bids=[(99, 2)], asks=[], top=[(101, 1), (100, 1), (99, 2)]))
    await heard.wait_for(BookChanged, 3)

    assert feed.counts["malformed"] == 4
    assert heard.of(FeedLost) == []


async def test_history_is_asked_in_minutes_and_leaves_the_running_candle_out(toy: Any, feed: KrakenFeed) -> None:
    rows = [[60 * n, "1.0", "2.0", "0.5", "1.5", "1.2", "3.0", 4] for n in range(5)]
    toy.answers("OHLC", {"XXBTZUSD": rows, "last": 180})

    seen = await feed.history(BTC, 3600, 3)

    assert toy.calls[0][1] == {"pair": "BTC/USD", "interval": "60"}
    assert [bar.open_s for bar in seen.bars] == [60, 120, 180]
    assert (seen.symbol, seen.bar_s) == (BTC, 3600)


async def test_a_candle_s_time_beyond_64_bits_is_refused(toy: Any, feed: KrakenFeed) -> None:
    rows = [[2**63, "1.0", "2.0", "0.5", "1.5", "1.2", "3.0", 4]] * 2
    toy.answers("OHLC", {"XXBTZUSD": rows, "last": 180})

    with pytest.raises(VenueUnavailable, match="OHLC"):
        await feed.history(BTC, 3600, 3)


async def test_history_that_kraken_does_not_have_or_cannot_tell(toy: Any, feed: KrakenFeed) -> None:
    with pytest.raises(VenueRefused, match="venue_invalid"):
        await feed.history(BTC, 90, 3)
    with pytest.raises(VenueRefused, match="venue_invalid"):
        await feed.history(BTC, 120, 3)
    toy.answers("OHLC", {"XXBTZUSD": [[1, "NaN"]]})
    with pytest.raises(VenueUnavailable, match="OHLC"):
        await feed.history(BTC, 60, 3)


def times_asked(toy: Any, channel: str) -> int:
    return sum(asked["method"] == "subscribe" and asked["params"]["channel"] == channel for asked in toy.requests)


async def test_b09_rules_without_a_snapshot_are_asked_for_again_until_they_come(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(FeedLost)  # the books fall silent after six tenths of a second
    assert times_asked(toy, "instrument") > 1
    await market.say(PAIR % ("snapshot", "BTC/USD", "online", 1, ""))
    await heard.wait_for(InstrumentSeen)
    asked = times_asked(toy, "instrument")
    await heard.wait_for(FeedLost, 4)

    assert times_asked(toy, "instrument") == asked


@pytest.mark.parametrize("acknowledges", [True, False], ids=["acknowledged", "silent"])
async def test_b09_trades_that_are_not_acknowledged_are_asked_for_again(
    *, acknowledges: bool, toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    market.acknowledges_trades = acknowledges
    background(feed.run(heard.put))
    await heard.wait_for(FeedLost)
    asked = times_asked(toy, "trade")
    await heard.wait_for(FeedLost, 2 + len(heard.of(FeedLost)))

    assert (times_asked(toy, "trade") == asked) is acknowledges


async def test_b09_a_subscription_that_was_there_already_loses_nothing(
    *, toy: Any, connector: Connector, rest: RestClient, gate: SpotGate, clock: Any, heard: Any, background: Background
) -> None:
    feed = KrakenFeed(connector, rest, url=toy.ws_url, gate=gate, symbols=(BTC, ETH), clock=clock)
    market = ToyMarket(toy)
    market.acknowledges_trades = False
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    for name in ("BTC/USD", "ETH/USD"):
        await market.say(f'{{"method":"subscribe","success":false,"error":"Already subscribed","symbol":"{name}"}}')
    await market.say(book("BTC/USD", "update", bids=[(99, 2)], asks=[], top=[(101, 1), (100, 1), (99, 2)]))
    await heard.wait_for(BookChanged, 3)

    assert heard.of(FeedLost) == []


async def test_b13_after_a_complaint_of_the_edge_nothing_more_is_asked_for_a_while(
    toy: Any, feed: KrakenFeed, heard: Any, background: Background
) -> None:
    market = ToyMarket(toy)
    background(feed.run(heard.put))
    await heard.wait_for(BookChanged, 2)
    await market.say('{"Error":"Exceeded msg rate"}')
    await market.say(book("ETH/USD", "update", bids=[(99, 2)], asks=[], spoil=1))
    await heard.wait_for(FeedLost)
    await heard.wait_for(ClockMeasured, 2 + len(heard.of(ClockMeasured)))  # what was under way has arrived by then
    asked = len([asked for asked in toy.requests if asked["method"] != "ping"])
    await heard.wait_for(ClockMeasured, 2 + len(heard.of(ClockMeasured)))

    assert len([asked for asked in toy.requests if asked["method"] != "ping"]) == asked
    assert len(heard.of(BookChanged)) == 2
