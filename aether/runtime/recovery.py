"""Starting is recovering: first start, restart and crash take this one path. It folds facts and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from aether.core.ledger import Ledger
from aether.domain.facts import RunEnded, RunStarted
from aether.domain.inputs import RunBegan
from aether.domain.values import NANOS_PER_S
from aether.ports import Clock, Journal

CRASHES_MAX = 5
CRASH_WINDOW_S = 300


@dataclass(frozen=True, slots=True)
class RunLabel:
    """What a run writes of itself in its first fact."""

    tag: str
    account: str
    world: str
    real_money: bool
    code_version: str
    settings_digest: str
    seed: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """The ledger as the journal has it, and the first input of the new run."""

    ledger: Ledger
    began: RunBegan


async def recover(journal: Journal, label: RunLabel, clock: Clock, *, crashes_max: int = CRASHES_MAX) -> Recovered:
    """Fold the whole journal, its chain checked on the way. Raises JournalBroken at the first bad row.

    After `crashes_max` runs within CRASH_WINDOW_S that came to no orderly end, the new one begins halted.
    """
    ledger, starts_ns = Ledger(), []
    async for numbered in journal.read():
        ledger.fold(numbered)
        if isinstance(numbered.fact, RunStarted):
            starts_ns.append(numbered.at_ns)
        elif isinstance(numbered.fact, RunEnded):
            starts_ns.clear()  # an orderly end is no crash
    window_ns = clock.wall_ns() - CRASH_WINDOW_S * NANOS_PER_S
    crashes = sum(1 for at_ns in starts_ns if at_ns > window_ns)
    began = RunBegan(
        run=ledger.run + 1,
        tag=label.tag,
        account=label.account,
        world=label.world,
        real_money=label.real_money,
        code_version=label.code_version,
        settings_digest=label.settings_digest,
        seed=label.seed,
        crash_loop=crashes >= crashes_max,
    )
    return Recovered(ledger, began)
