"""A pair's recorded hours laid onto the exchange's time: which hour runs when, and the trades drawn inside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from aether.sim.candle_path import HOUR_NS, PathTrade, draw_path
from aether.sim.recorded import RecordedHour
from aether.sim.records import PairRules

SPEED_MAX = 3600
_PATHS_KEPT = 64


class Replay:
    """Recorded hours at `speed` times their pace. Lap 0 is row `start_row` and runs at `now_ns`.

    Laps begin at whole multiples of their length since 1970. Negative laps are the past, back to the first row; after
    the last row the first one comes again.
    """

    def __init__(
        self, rules: PairRules, hours: Sequence[RecordedHour], *, seed: int, speed: int, start_row: int, now_ns: int
    ) -> None:
        """Raises ValueError for a speed outside 1 to 3600, or for a start outside the hours."""
        if not 1 <= speed <= SPEED_MAX:
            raise ValueError(f"speed is 1 to {SPEED_MAX}, was {speed}")
        if not 0 <= start_row < len(hours):
            raise ValueError(f"start_row is 0 to {len(hours) - 1}, was {start_row}")
        self.rules = rules
        self.lap_ns = HOUR_NS // speed
        self._hours = hours
        self._speed = speed
        self._start_row = start_row
        self._start_ns = now_ns - now_ns % self.lap_ns
        self._seed = f"{seed}:{rules.name}"
        self._path = lru_cache(maxsize=_PATHS_KEPT)(self._draw)

    def begins_ns(self, lap: int) -> int:
        """When a lap begins on the exchange's clock."""
        return self._start_ns + lap * self.lap_ns

    def hour(self, lap: int) -> RecordedHour:
        """The recorded hour of a lap."""
        return self._hours[(self._start_row + lap) % len(self._hours)]

    def laps_between(self, from_ns: int, to_ns: int) -> range:
        """Laps of which some part lies between two times, the past before the first row left out."""
        first = max(-self._start_row, (from_ns - self._start_ns) // self.lap_ns)
        return range(first, (to_ns - self._start_ns) // self.lap_ns + 1)

    def trades(self, lap: int) -> list[tuple[int, PathTrade]]:
        """The trades drawn for a lap with their times on the exchange's clock, in order."""
        begin_ns = self.begins_ns(lap)
        path = self._path((self._start_row + lap) % len(self._hours))
        return [(begin_ns + min(trade.offset_ns // self._speed, self.lap_ns - 1), trade) for trade in path]

    def _draw(self, row: int) -> tuple[PathTrade, ...]:
        return draw_path(self._hours[row], f"{self._seed}:{row}")
