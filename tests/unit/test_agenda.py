"""Time outside the daemon: one order of acts, and clocks that people set and that drift."""

from __future__ import annotations

from aether.simulator.agenda import Agenda, ExchangeClock, MachineClocks, ProcessClock


def test_acts_happen_at_their_times_in_one_order() -> None:
    agenda, done = Agenda(100), list[tuple[int, str]]()

    def note(name: str) -> None:
        done.append((agenda.now_ns, name))

    agenda.at(300, lambda: note("third"))
    agenda.at(200, lambda: note("first"))
    agenda.at(200, lambda: note("second"))
    agenda.at(50, lambda: note("late at once"))
    agenda.reach(250)
    assert done == [(100, "late at once"), (200, "first"), (200, "second")]
    assert (agenda.now_ns, agenda.next_ns()) == (250, 300)


def test_what_an_act_puts_down_happens_on_the_way() -> None:
    agenda, done = Agenda(0), list[int]()
    agenda.every(10, lambda: done.append(agenda.now_ns))
    agenda.reach(35)
    assert done == [10, 20, 30]


def test_time_never_goes_back() -> None:
    agenda = Agenda(10)
    agenda.reach(5)
    assert agenda.now_ns == 10
    assert ExchangeClock(agenda).wall_ns() == ExchangeClock(agenda).monotonic_ns() == 10


def test_a_clock_that_is_set_is_noticed_by_the_next_process_alone() -> None:
    """F01: the daemon reads the wall clock once; a step meanwhile moves none of its deadlines."""
    agenda = Agenda(1_000)
    machine = MachineClocks(agenda)
    before = ProcessClock(machine)
    machine.set_by_ns += 500
    assert (before.wall_ns(), ProcessClock(machine).wall_ns()) == (1_000, 1_500)


def test_a_clock_drifts_from_the_moment_on_and_keeps_what_it_drifted() -> None:
    """F03."""
    agenda = Agenda(0)
    machine = MachineClocks(agenda)
    clock = ProcessClock(machine)
    machine.drift(500)
    agenda.reach(2_000_000)
    machine.drift(0)
    agenda.reach(4_000_000)
    assert clock.monotonic_ns() == 4_001_000
