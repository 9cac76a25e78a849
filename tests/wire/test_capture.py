from __future__ import annotations

from collections.abc import Callable

import pytest

from aether.domain.spot_gate import SpotGate
from aether.kraken.capture import verify_capture

RAW = "ws2-book/btcusd-d10-20260719T1754.raw.ndjson"


@pytest.mark.parametrize("with_gate", ["with a gate", ""])
def test_the_two_minutes_of_raw_frames_verify_wholly(
    capture: Callable[[str], bytes], gate: SpotGate, with_gate: str
) -> None:
    report = verify_capture(capture(RAW).splitlines(), gate if with_gate else None)

    counts = {"frames": 1376, "decoded": 1376, "unknown": 0, "refused": 0, "checksums_ok": 1254, "checksums_bad": 0}
    of_symbol = counts | {"frames": 1254, "decoded": 1254}
    assert report.as_json() == {**counts, "symbols": {"BTC/USD": of_symbol}, "problems": []}
    assert report.is_sound


@pytest.mark.parametrize(
    ("name", "depth", "good"),
    [
        ("ws2-book/ethbtc-d10-20260826.ndjson", 10, 2),
        ("ws2-book/ethusd-d10-20250506.ndjson", 10, 2),
        ("ws2-book/ws2shape-book1000-20210417.ndjson.gz", 1000, 1842),
    ],
)
def test_other_recordings_verify_at_their_depth(
    capture: Callable[[str], bytes], name: str, depth: int, good: int
) -> None:
    report = verify_capture(capture(name).splitlines(), None, depth)

    assert (report.total.checksums_ok, report.total.checksums_bad) == (good, 0)


def test_the_depth_of_the_acknowledgement_wins_over_the_argument(capture: Callable[[str], bytes]) -> None:
    assert verify_capture(capture(RAW).splitlines(), None, depth=1000).total.checksums_bad == 0


def test_one_changed_digit_is_found_and_the_book_waits_for_its_next_snapshot(capture: Callable[[str], bytes]) -> None:
    lines = capture(RAW).splitlines()
    at = next(i for i, line in enumerate(lines) if b'"update"' in line and b'"book"' in line)
    lines[at] = lines[at].replace(b'"qty":0.00309336', b'"qty":0.00309337')

    report = verify_capture(lines, None)

    assert report.total.checksums_ok == 1
    assert report.total.checksums_bad == 1253
    assert not report.is_sound
    assert report.problems[0].startswith(f"line {at + 1}: BTC/USD: checksum")


def test_what_is_not_spoken_malformed_or_not_admitted_is_told_apart(gate: SpotGate) -> None:
    lines = [
        b'{"channel":"level3","type":"update","data":[]}',
        b"CloudFlare WebSocket proxy restarting",
        b'{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/BTC","bids":[],"asks":[],"checksum":0}]}',
        b'{"channel":"heartbeat"}',
        b"",
    ]

    report = verify_capture(lines, gate)

    assert (report.total.frames, report.total.unknown, report.total.refused, report.total.decoded) == (4, 1, 2, 1)
