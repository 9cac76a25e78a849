"""Frames to measure with: what was recorded of Kraken, and a made stream of `book` with valid checksums.

The made stream is heavy-tailed, as markets are: most changes fall near the touch, a few far away, and quantities spread
over many orders of magnitude. A level that enters the window because another left is told in the same message; one
that falls out is not told (PROTOCOL 5.4).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from random import Random
from zlib import crc32

RECORDED = Path(__file__).parents[1] / "wire/captures/ws2-book/btcusd-d10-20260719T1754.raw.ndjson"
Levels = list[tuple[int, int]]


@dataclass(frozen=True)
class Stream:
    """One snapshot and its updates, and what a reader must know beforehand."""

    name: str
    symbol: str
    depth: int
    price_decimals: int
    qty_decimals: int
    snapshot: bytes
    updates: tuple[bytes, ...]


def recorded() -> Stream:
    """1254 frames of BTC/USD at depth 10, of 2026-07-19."""
    frames = [line for line in RECORDED.read_bytes().splitlines() if line.startswith(b'{"channel":"book"')]
    return Stream("recorded", "BTC/USD", 10, 1, 8, frames[0], tuple(frames[1:]))


def made(depth: int, updates: int, *, symbol: str = "BTC/USD", seed: int = 1) -> Stream:
    """A stream drawn from a seed: prices of one decimal, quantities of eight."""
    market = _Market(depth, Random(f"{seed} {symbol} {depth}"))
    snapshot = market.frame("snapshot", symbol, market.window(0), market.window(1))
    return Stream("made", symbol, depth, 1, 8, snapshot, tuple(market.update(symbol) for _ in range(updates)))


class _Market:
    """Two ladders, deeper than what is told of them; side 0 are bids, best first, and side 1 are asks."""

    def __init__(self, depth: int, chance: Random) -> None:
        self._depth = depth
        self._chance = chance
        self._keys = [self._ladder(-644_999), self._ladder(645_001)]
        self._lots = [{key: self._some_lots() for key in keys} for keys in self._keys]
        self._at_us = 0

    def _ladder(self, first: int) -> list[int]:
        keys = [first]
        for _ in range(self._depth + 300):
            keys.append(keys[-1] + 1 + int(self._chance.expovariate(0.4)))
        return keys

    def _some_lots(self) -> int:
        return max(1, int(self._chance.lognormvariate(17.5, 2.0)))

    def _place(self) -> int:
        while True:
            place = int(3.5 * (self._chance.paretovariate(0.9) - 1))
            if place < self._depth:
                return place

    def window(self, side: int, levels: int | None = None) -> Levels:
        return [(abs(key), self._lots[side][key]) for key in self._keys[side][: levels or self._depth]]

    def update(self, symbol: str) -> bytes:
        side, drawn = self._chance.randrange(2), self._chance.random()
        told: Levels = []
        if drawn < 0.52:
            told += self._resize(side, self._place())
        elif drawn < 0.74:
            told += self._remove(side, self._place()) + self._add(side, self._place())
        elif drawn < 0.87:
            told += self._add(side, self._place())
        else:
            told += self._remove(side, self._place())
        return self.frame("update", symbol, *((told, []) if side == 0 else ([], told)))

    def _resize(self, side: int, place: int) -> Levels:
        key = self._keys[side][place]
        self._lots[side][key] = self._some_lots()
        return [(abs(key), self._lots[side][key])]

    def _remove(self, side: int, place: int) -> Levels:
        keys = self._keys[side]
        gone = keys.pop(place)
        del self._lots[side][gone]
        keys.append(keys[-1] + 1 + int(self._chance.expovariate(0.05)))
        self._lots[side][keys[-1]] = self._some_lots()
        entered = keys[self._depth - 1]
        return [(abs(gone), 0), (abs(entered), self._lots[side][entered])]

    def _add(self, side: int, place: int) -> Levels:
        """A level between two, or a better best one; where there is no room between them, another quantity."""
        keys = self._keys[side]
        below = keys[place - 1] if place else -self._keys[1 - side][0]
        if keys[place] - below < 2:
            return self._resize(side, place)
        key = self._chance.randrange(below + 1, keys[place])
        keys.insert(bisect_left(keys, key), key)
        self._lots[side][key] = self._some_lots()
        self._lots[side].pop(keys.pop())
        return [(abs(key), self._lots[side][key])]

    def frame(self, kind: str, symbol: str, bids: Levels, asks: Levels) -> bytes:
        digits = "".join(f"{ticks}{lots}" for side in (1, 0) for ticks, lots in self.window(side, 10))
        self._at_us += 1373
        seconds, us = divmod(self._at_us, 1_000_000)
        at = f"2026-08-16T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{us:06d}Z"
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{_told(bids)}],'
            f'"asks":[{_told(asks)}],"checksum":{crc32(digits.encode())},"timestamp":"{at}"}}]}}'
        ).encode()


def _told(levels: Levels) -> str:
    return ",".join(
        f'{{"price":{ticks // 10}.{ticks % 10},"qty":{lots // 10**8}.{lots % 10**8:08d}}}' for ticks, lots in levels
    )
