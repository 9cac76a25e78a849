"""Everything that one seed does to a world, drawn before the world begins: a plain value that can be stored and cut.

Two forms of trouble: a `Fault` strikes once, at its moment; a `Rate` strikes messages by chance, for as long as it
holds. A shrinker drops classes, rates and faults and shortens the run; what is left draws as it did before, for every
fault and every rate carries the seed of its own choices.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from aether.domain.errors import BadConfiguration
from aether.domain.values import NANOS_PER_S
from aether.simulator.kinds import KINDS, FaultClass, Kind

Parameters: TypeAlias = Mapping[str, int]
"""What a kind further needs: milliseconds, percents, counts; named with their units."""

ONE = 1_000_000
"""A rate of one: chances are told in millionths."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong once.

    `number` tells it apart within its plan, `at_ns` is the time since the run began, and `draw` seeds the choices that
    can only be made when it strikes (which order, which symbol).
    """

    number: int
    at_ns: int
    kind: str
    draw: int
    parameters: Parameters = field(default_factory=dict)

    @property
    def of(self) -> Kind:
        """Its kind: the class it belongs to, and the rows of the fault model that it shows."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Rate:
    """One thing that goes wrong with so many messages in a million; `draw` seeds which ones."""

    kind: str
    per_million: int
    draw: int
    parameters: Parameters = field(default_factory=dict)

    @property
    def of(self) -> Kind:
        """Its kind: the class it belongs to, and the rows of the fault model that it shows."""
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run: its seed, its length, when everything is to be well again, and what goes wrong until then.

    Faults are in order of time and lie before `quiet_ns`; rates hold until then.
    """

    seed: int
    length_ns: int
    quiet_ns: int
    faults: tuple[Fault, ...] = ()
    rates: tuple[Rate, ...] = ()

    @property
    def parts(self) -> tuple[Fault | Rate, ...]:
        """All that goes wrong."""
        return (*self.faults, *self.rates)

    def rates_of(self, kind: str) -> tuple[Rate, ...]:
        """The rates of one kind: at most one as drawn, none where it was dropped."""
        return tuple(rate for rate in self.rates if rate.kind == kind)

    def classes(self) -> frozenset[FaultClass]:
        """The classes that have anything in it."""
        return frozenset(part.of.fault_class for part in self.parts)

    def without(self, fault_class: FaultClass) -> Plan:
        """The same, but nothing of this class."""
        return self._keeping(lambda kind: kind.fault_class is not fault_class)

    def without_kind(self, name: str) -> Plan:
        """The same, but nothing of this kind."""
        return self._keeping(lambda kind: kind.name != name)

    def with_faults(self, numbers: Collection[int]) -> Plan:
        """The same, but of the faults only these: how a list of faults is cut in halves."""
        return replace(self, faults=tuple(fault for fault in self.faults if fault.number in numbers))

    def shortened(self, length_ns: int) -> Plan:
        """The same, ended earlier; the quiet time at its end stays as long, and what no longer fits is gone."""
        quiet_ns = max(0, length_ns - (self.length_ns - self.quiet_ns))
        kept = tuple(fault for fault in self.faults if fault.at_ns < quiet_ns)
        return replace(self, length_ns=length_ns, quiet_ns=quiet_ns, faults=kept)

    def to_json(self) -> str:
        """One line of JSON, the same for the same plan."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """A plan that was stored. Raises BadConfiguration for a text that is none, or names a kind that is none."""
        try:
            plan = msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadConfiguration(
                f"this is no plan of faults: {error}", "give the file that a report names"
            ) from error
        unknown = sorted({part.kind for part in plan.parts} - set(KINDS))
        if unknown:
            raise BadConfiguration(
                f"the plan has faults of kinds that are not known: {', '.join(unknown)}",
                "replay it with the version that made it",
            )
        return plan

    def _keeping(self, wanted: Callable[[Kind], bool]) -> Plan:
        return replace(
            self,
            faults=tuple(fault for fault in self.faults if wanted(fault.of)),
            rates=tuple(rate for rate in self.rates if wanted(rate.of)),
        )


def quiet_plan(seed: int, seconds: int) -> Plan:
    """A run in which nothing goes wrong."""
    return Plan(seed=seed, length_ns=seconds * NANOS_PER_S, quiet_ns=0)


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Faults by time, and by number where two have the same."""
    return tuple(sorted(faults, key=lambda fault: (fault.at_ns, fault.number)))
