"""What one seed does: the fault mix. Each class is off, rare or heavy, so that runs differ in kind, not in luck alone.

How often a class strikes stands in two tables, rare and heavy; times between faults are exponential. The last ten
minutes of a run are quiet: what is to be well again has time to show that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Literal, TypeAlias

from aether.domain.values import NANOS_PER_S
from aether.simulator.kinds import KINDS, FaultClass
from aether.simulator.plan import Fault, Parameters, Plan, Rate, in_order

Level: TypeAlias = Literal["off", "rare", "heavy"]

Ranges: TypeAlias = Mapping[str, tuple[int, int]]
"""Least and most of each parameter of a kind."""

QUIET_S = 600
DAY_S = 86_400

_SHARES: Mapping[Level, int] = {"off": 4, "rare": 4, "heavy": 2}  # of ten


@dataclass(frozen=True, slots=True)
class _Source:
    """Kinds that strike in turn, drawn by weight: so many faults a day of them all when rare, and when heavy."""

    kinds: Mapping[str, int]
    rare_per_day: int
    heavy_per_day: int

    @classmethod
    def of(cls, kinds: str, *, rare_per_day: int, heavy_per_day: int) -> _Source:
        """`kinds` names each with its weight: `cut:4 closed_1008:1`."""
        weights = {name: int(weight) for name, _, weight in (word.partition(":") for word in kinds.split())}
        return cls(weights, rare_per_day, heavy_per_day)

    @property
    def fault_class(self) -> FaultClass:
        """What its kinds belong to: all of them to the same."""
        return KINDS[next(iter(self.kinds))].fault_class

    def per_day(self, level: Level) -> int:
        """How many faults a day it makes at this level."""
        return {"off": 0, "rare": self.rare_per_day, "heavy": self.heavy_per_day}[level]


_SOURCES = (
    # Each of the four things that befall a socket comes by itself, as often as the others: one an hour, or thirty.
    _Source.of("cut:4 closed_1008:1 stale_token:1", rare_per_day=24, heavy_per_day=720),
    _Source.of("socket_mute:2 heartbeats_only:2 channel_mute:3 no_snapshot:1", rare_per_day=24, heavy_per_day=720),
    _Source.of(
        "sequence_gap:4 repeated_frame:2 repeated_fills:1 late_ack:4 unknown_enums:1 unknown_fields:1 plain_text:1",
        rare_per_day=24,
        heavy_per_day=720,
    ),
    _Source.of("bad_checksum:3 lost_book_frame:2 double_entry:1 crossed_book:2", rare_per_day=24, heavy_per_day=720),
    # Windows: a heavy one strikes a part of the calls for minutes, twenty times an hour, for calls are few.
    _Source.of(
        "bad_gateway:3 unavailable:2 busy:2 deadline_elapsed:3 internal_error:2 throttled:1 rate_limited:2 "
        "order_rate_limit:2 lockout:1 invalid_nonce:2 captcha:1 too_many:1 mixed_errors:1 unknown_error:2 "
        "empty_body:1 text_in_text:1 connect_refused:2 insufficient_funds:1",
        rare_per_day=24,
        heavy_per_day=480,
    ),
    _Source.of(
        "maintenance:1 cancel_only:1 post_only:1 pair_cancel_only:1 pair_post_only:1 pair_maintenance:1 delisting:1 "
        "tick_change:1 lot_change:1 minimum_change:1 price_jump:2",
        rare_per_day=1,
        heavy_per_day=144,
    ),
    _Source.of(
        "human_order:3 human_trade:3 human_cancel:2 human_amend:2 dead_man:1 twin:1 many_fills:1 deposit:2 "
        "withdrawal:2 reward:1 earn_move:2 unknown_asset:1",
        rare_per_day=24,
        heavy_per_day=1_440,
    ),
    _Source.of("kill:2 kill_at_disk:1 power_loss:2", rare_per_day=24, heavy_per_day=1_440),
    _Source.of("step_forward:2 step_back:2 suspend:2 drift:1", rare_per_day=1, heavy_per_day=96),
    _Source.of("disk_full:2 low_space:1 io_error:2 failed_fsync:2 disk_stall:1", rare_per_day=1, heavy_per_day=96),
    _Source.of(
        "loop_stall:4 task_dies:2 strategy_raises:1 strategy_nonsense:2 strategy_overruns:1",
        rare_per_day=24,
        heavy_per_day=720,
    ),
    _Source.of(
        "people_halt:3 people_halt_symbol:2 people_halt_strategy:2 people_halt_in_maintenance:1 "
        "cancel_all:2 flatten:1 restart:2 stop_twice:1",
        rare_per_day=24,
        heavy_per_day=1_440,
    ),
)

# Kinds that strike single messages: chances in a million when rare and when heavy.
_RATES: Mapping[str, tuple[int, int]] = {
    "request_lost": (1_000, 150_000),
    "response_lost": (1_000, 150_000),
    "response_doubled": (1_000, 150_000),
    "slow": (10_000, 30_000),
    "view_lag": (1_000_000, 1_000_000),
    "malformed": (100, 20_000),
}

# Least and most of each parameter; drawn so that small ones are as likely as great ones.
_RANGES: tuple[tuple[str, Ranges], ...] = (
    ("socket_mute heartbeats_only channel_mute", {"for_ms": (2_000, 300_000)}),
    ("maintenance cancel_only post_only pair_cancel_only pair_post_only", {"for_ms": (5_000, 600_000)}),
    ("pair_maintenance disk_full low_space", {"for_ms": (5_000, 600_000)}),
    ("delisting", {"for_ms": (300_000, 3_600_000)}),
    ("price_jump", {"percent": (3, 60), "for_ms": (500, 60_000)}),
    ("human_order twin", {"for_ms": (1_000, 300_000)}),
    ("many_fills", {"fills": (60, 120)}),
    ("kill", {"after": (1, 400)}),
    ("kill_at_disk power_loss", {"after": (1, 60)}),
    ("step_forward step_back", {"by_ms": (500, 3_600_000)}),
    ("suspend", {"for_ms": (1_000, 3_600_000)}),
    ("drift", {"ppm": (100, 500), "for_ms": (60_000, 3_600_000)}),
    ("disk_stall", {"by_ms": (20, 3_000), "for_ms": (1_000, 60_000)}),
    ("loop_stall", {"for_ms": (500, 60_000)}),
    ("people_halt_in_maintenance", {"for_ms": (5_000, 120_000)}),
)
_RANGES_OF: Mapping[str, Ranges] = {name: ranges for names, ranges in _RANGES for name in names.split()}
_WINDOWS: Mapping[Level, Ranges] = {
    "rare": {"for_ms": (200, 5_000), "per_million": (500_000, 1_000_000)},
    "heavy": {"for_ms": (30_000, 300_000), "per_million": (200_000, 200_000)},
}
_TAIL_MS: Mapping[Level, int] = {"rare": 2_000, "heavy": 60_000}


def draw_plan(seed: int, seconds: int, levels: Mapping[FaultClass, Level] | None = None) -> Plan:
    """What this seed does in so many seconds: the same on every machine, whatever else is drawn.

    `levels` None draws how much there is of each class too.
    """
    quiet_s = max(0, seconds - QUIET_S)
    levels = levels or draw_levels(seed)
    found = [fault for source in _SOURCES for fault in _struck(source, levels, seed, quiet_s)]
    faults = tuple(
        Fault(number, fault.at_ns, fault.kind, fault.draw, fault.parameters)
        for number, fault in enumerate(in_order(found), start=1)
    )
    return Plan(
        seed=seed,
        length_ns=seconds * NANOS_PER_S,
        quiet_ns=quiet_s * NANOS_PER_S,
        faults=faults,
        rates=tuple(_rates(levels, seed)),
    )


def draw_levels(seed: int) -> Mapping[FaultClass, Level]:
    """How much of each class there is under this seed."""
    random = _random(seed, "levels")
    choices: list[Level] = list(_SHARES)
    return {fault_class: random.choices(choices, list(_SHARES.values()))[0] for fault_class in FaultClass}


def _struck(source: _Source, levels: Mapping[FaultClass, Level], seed: int, until_s: int) -> Iterator[Fault]:
    """The faults of one source, their numbers still within it."""
    names = list(source.kinds)
    level = levels[source.fault_class]
    random = _random(seed, names[0])
    per_day = source.per_day(level)
    at_s, number = 0.0, 0
    while per_day:
        at_s += random.expovariate(per_day / DAY_S)
        if at_s >= until_s:
            return
        number += 1
        name = random.choices(names, list(source.kinds.values()))[0]
        yield Fault(number, int(at_s * NANOS_PER_S), name, random.getrandbits(48), _parameters(random, name, level))


def _parameters(random: Random, name: str, level: Level) -> Parameters:
    is_window = KINDS[name].fault_class is FaultClass.REFUSALS
    ranges = _WINDOWS[level] if is_window else _RANGES_OF.get(name, {})
    return {unit: _between(random, least, most) for unit, (least, most) in ranges.items()}


def _between(random: Random, least: int, most: int) -> int:
    """A number whose size is evenly likely: as many between 1 and 10 as between 10 and 100."""
    return round(exp(random.uniform(log(least), log(most))))


def _rates(levels: Mapping[FaultClass, Level], seed: int) -> Iterator[Rate]:
    for name, (rare, heavy) in _RATES.items():
        level = levels[KINDS[name].fault_class]
        random = _random(seed, name)
        if level != "off":
            has_tail = name in ("slow", "view_lag")
            parameters = {"upto_ms": _between(random, 100, _TAIL_MS[level])} if has_tail else {}
            yield Rate(name, rare if level == "rare" else heavy, random.getrandbits(48), parameters)


def _random(seed: int, use: str) -> Random:
    return Random(f"{seed}:mix:{use}")  # noqa: S311 - made faults, no secret
