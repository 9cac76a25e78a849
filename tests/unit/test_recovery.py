"""Starting is recovering: the fold, the number of the run, and starts that come too often."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from aether.domain.actors import SYSTEM
from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import Fact, Numbered, RunEnded, RunStarted, TradingHalted
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.runtime.recovery import CRASH_WINDOW_S, CRASHES_MAX, Recovered, RunLabel, recover

NOW_S = 1_790_000_000
LABEL = RunLabel(
    tag="abcd",
    account="sandbox-1",
    world="sandbox",
    real_money=False,
    code_version="0.1.0",
    settings_digest="digest",
    seed=7,
)


class StoppedClock:
    """It is NOW_S."""

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(NOW_S * NANOS_PER_S)

    def monotonic_ns(self) -> int:
        return 0


class ListJournal:
    """Facts in memory, with a row that cannot be believed where one is wanted. A start must not write to it."""

    def __init__(self, facts: Sequence[Numbered] = (), broken_seq: int | None = None) -> None:
        self.facts = facts
        self.broken_seq = broken_seq

    async def append(self, facts: Sequence[Numbered]) -> None:
        raise AssertionError(f"recovery wrote {facts}")

    async def read(self, from_seq: int = 1) -> AsyncIterator[Numbered]:
        for numbered in self.facts[from_seq - 1 :]:
            if numbered.seq == self.broken_seq:
                raise JournalBroken("the chain is broken", seq=numbered.seq)
            yield numbered


def started(run: int) -> RunStarted:
    return RunStarted(run, "abcd", "sandbox-1", "sandbox", False, "0.1.0", "digest", 7)  # noqa: FBT003


ENDED = RunEnded(clean=True, in_flight=0, resting=0, why="SIGTERM")


def history(*told: tuple[int, Fact]) -> list[Numbered]:
    """Facts, each so many seconds before NOW_S, numbered as their runs go."""
    facts, run = [], 0
    for seq, (ago_s, fact) in enumerate(told, start=1):
        run = fact.run if isinstance(fact, RunStarted) else run
        facts.append(Numbered(seq, run, UtcNanos((NOW_S - ago_s) * NANOS_PER_S), seq, fact))
    return facts


async def recovered(*told: tuple[int, Fact]) -> Recovered:
    return await recover(ListJournal(history(*told)), LABEL, StoppedClock())


async def test_an_empty_journal_begins_run_one_on_an_empty_ledger() -> None:
    found = await recovered()
    assert found.began.run == 1
    assert found.ledger.next_seq == 1
    assert not found.began.crash_loop


async def test_the_label_is_what_the_run_writes_of_itself() -> None:
    began = (await recovered()).began
    told = (began.tag, began.account, began.world, began.real_money, began.code_version)
    assert told == ("abcd", "sandbox-1", "sandbox", False, "0.1.0")
    assert (began.settings_digest, began.seed) == ("digest", 7)


async def test_each_start_is_one_run_further_whether_the_last_ended_or_not() -> None:
    assert (await recovered((900, started(1)), (800, ENDED))).began.run == 2
    assert (await recovered((900, started(1)), (800, ENDED), (700, started(2)))).began.run == 3


async def test_the_ledger_is_the_fold_of_all_facts(make: Any, book: Any, contents_of: Any) -> None:
    order = make.submitted()
    told: list[Fact] = [started(1), TradingHalted("all", "halt_operator", "a look", SYSTEM), order]
    found = await recovered(*((10, fact) for fact in told))
    folded = book.fold(*told, at_ns=(NOW_S - 10) * NANOS_PER_S)
    assert contents_of(found.ledger) == contents_of(folded)
    assert list(found.ledger.unsettled) == [order.cl_ord_id]
    assert found.ledger.halted_scopes == ("all",)


async def test_a_row_that_cannot_be_believed_stops_the_start_at_its_number() -> None:
    journal = ListJournal(history((10, started(1)), (9, ENDED), (8, started(2))), broken_seq=2)
    with pytest.raises(JournalBroken) as broken:
        await recover(journal, LABEL, StoppedClock())
    assert broken.value.seq == 2


async def test_a_number_that_is_missing_is_a_broken_invariant() -> None:
    facts = history((10, started(1)), (9, ENDED), (8, started(2)))
    with pytest.raises(InvariantBroken):
        await recover(ListJournal([facts[0], facts[2]]), LABEL, StoppedClock())


# --- crash loop -----------------------------------------------------------------------------------------------------


def starts(count: int, ago_s: int = 100, first_run: int = 1) -> list[tuple[int, Fact]]:
    return [(ago_s, started(first_run + place)) for place in range(count)]


async def test_one_crash_less_than_the_bound_is_no_loop() -> None:
    assert not (await recovered(*starts(CRASHES_MAX - 1))).began.crash_loop


async def test_h05_as_many_crashes_as_the_bound_in_the_window_are_a_loop() -> None:
    assert (await recovered(*starts(CRASHES_MAX))).began.crash_loop


async def test_the_bound_is_the_settings() -> None:
    journal = ListJournal(history(*starts(CRASHES_MAX)))
    assert not (await recover(journal, LABEL, StoppedClock(), crashes_max=CRASHES_MAX + 1)).began.crash_loop


async def test_h05_an_orderly_end_wipes_the_count() -> None:
    told = [*starts(CRASHES_MAX), (90, ENDED)]
    assert not (await recovered(*told)).began.crash_loop
    assert not (await recovered(*told, *starts(CRASHES_MAX - 1, 80, first_run=6))).began.crash_loop
    assert (await recovered(*told, *starts(CRASHES_MAX, 80, first_run=6))).began.crash_loop


@pytest.mark.parametrize(("ago_s", "is_loop"), [(CRASH_WINDOW_S - 1, True), (CRASH_WINDOW_S, False)])
async def test_starts_before_the_window_do_not_count(ago_s: int, is_loop: bool) -> None:  # noqa: FBT001
    told = [(ago_s, started(1)), *starts(CRASHES_MAX - 1, first_run=2)]
    assert (await recovered(*told)).began.crash_loop is is_loop
