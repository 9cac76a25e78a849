"""The desk: a halt acts before anything else, and every command hears its own fact."""

from __future__ import annotations

import asyncio

import pytest

from aether.admin.commands import CommandDesk, CommandOutcome, CommandUnanswered
from aether.domain.actors import Actor, Role
from aether.domain.errors import InvariantBroken
from aether.domain.facts import CommandAccepted, CommandRefused, Fact, Numbered, StopBegan
from aether.domain.inputs import CancelEverything, Command, CommandGiven, Halt, Input, Resume
from aether.domain.values import UtcNanos

SCOPES = frozenset({"all", "symbol:BTC/USD", "strategy:trend", "strategy:trend_btc"})

OPERATOR = Actor("uid:1000", Role.OPERATOR)
VIEWER = Actor("eve", Role.VIEWER)
HALT = Halt("all", "smoke")
WRITTEN = CommandOutcome(accepted=True, code="", why="", seq=7, on_disk=True)


class Recorder:
    """An inbox and a latch that write into one list, so that their order shows."""

    def __init__(self) -> None:
        self.happened: list[object] = []

    def set(self, scope: str) -> None:
        self.happened.append(scope)

    def put(self, item: Input) -> None:
        self.happened.append(item)


def desk_of(recorder: Recorder) -> CommandDesk:
    return CommandDesk(recorder.put, recorder, SCOPES)


def numbered(fact: Fact, seq: int = 7) -> Numbered:
    return Numbered(seq, 1, UtcNanos(1), 1, fact)


async def given(desk: CommandDesk, command: Command, request_id: str = "r1") -> asyncio.Task[CommandOutcome]:
    """The command on its way, put and waiting."""
    task = asyncio.get_running_loop().create_task(desk.give(OPERATOR, command, request_id, 5))
    await asyncio.sleep(0)
    return task


async def test_a_halt_sets_the_latch_and_then_enters_the_inbox() -> None:
    recorder = Recorder()
    desk = desk_of(recorder)
    task = await given(desk, HALT)
    assert recorder.happened == ["all", CommandGiven("r1", OPERATOR, HALT)]
    desk.observe([numbered(CommandAccepted("r1", OPERATOR, HALT))])
    assert await task == WRITTEN


@pytest.mark.parametrize("command", [Resume("all", "x"), CancelEverything("x")])
async def test_no_other_command_touches_the_latch(command: Command) -> None:
    recorder = Recorder()
    desk = desk_of(recorder)
    task = await given(desk, command)
    desk.observe([numbered(CommandAccepted("r1", OPERATOR, command))])
    assert await task == WRITTEN
    assert recorder.happened == [CommandGiven("r1", OPERATOR, command)]


@pytest.mark.parametrize(("actor", "halt"), [(VIEWER, HALT), (OPERATOR, Halt("symbols", "x"))])
async def test_a_halt_that_will_be_refused_latches_nothing_and_is_still_recorded(actor: Actor, halt: Halt) -> None:
    recorder = Recorder()
    await desk_of(recorder).give(actor, halt, "r1", 0)
    assert recorder.happened == [CommandGiven("r1", actor, halt)]


async def test_a_refusal_comes_back_with_its_code() -> None:
    desk = desk_of(Recorder())
    task = await given(desk, Resume("all", "x"))
    desk.observe(
        [numbered(CommandRefused("r1", OPERATOR, Resume("all", "x"), "authority_not_halted", "nothing is halted"))]
    )
    outcome = await task
    assert (outcome.accepted, outcome.code, outcome.why) == (False, "authority_not_halted", "nothing is halted")
    assert (outcome.seq, outcome.on_disk) == (7, True)


async def test_a_halt_without_an_answer_is_in_force_and_not_on_disk() -> None:
    recorder = Recorder()
    outcome = await desk_of(recorder).give(OPERATOR, HALT, "r1", 0)
    assert (outcome.accepted, outcome.on_disk, outcome.seq) == (True, False, None)
    assert recorder.happened[0] == "all"


async def test_another_command_without_an_answer_is_told_so() -> None:
    with pytest.raises(CommandUnanswered):
        await desk_of(Recorder()).give(OPERATOR, CancelEverything("x"), "r1", 0)


async def test_each_waits_for_its_own_fact() -> None:
    desk = desk_of(Recorder())
    first, second = await given(desk, HALT, "r1"), await given(desk, HALT, "r2")
    desk.observe([numbered(StopBegan("x"), 6), numbered(CommandAccepted("r2", OPERATOR, HALT), 7)])
    assert await second == WRITTEN
    assert not first.done()
    desk.observe([numbered(CommandAccepted("r1", OPERATOR, HALT), 8)])
    assert (await first).seq == 8


async def test_facts_that_nobody_waits_for_or_that_come_twice_change_nothing() -> None:
    desk = desk_of(Recorder())
    task = await given(desk, HALT)
    answer = numbered(CommandAccepted("r1", OPERATOR, HALT))
    desk.observe([numbered(CommandAccepted("r9", OPERATOR, HALT)), answer, answer])
    assert await task == WRITTEN
    desk.observe([answer])


async def test_a_full_inbox_is_our_own_bug_and_the_halt_is_in_force_all_the_same() -> None:
    recorder = Recorder()

    def full(_: Input) -> None:
        raise InvariantBroken("the lane is full")

    with pytest.raises(InvariantBroken):
        await CommandDesk(full, recorder, SCOPES).give(OPERATOR, HALT, "r1", 5)
    assert recorder.happened == ["all"]
