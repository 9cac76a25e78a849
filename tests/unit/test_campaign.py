"""A campaign runs what is missing, repeats each tenth seed, survives an interrupt, and cuts failing plans down."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration
from aether.simulator import campaign
from aether.simulator.campaign import run_campaign, run_one, shrink_failures
from aether.simulator.invariants.sometimes import EDGES
from aether.simulator.mix import draw_plan
from aether.simulator.outcome import Outcome, Violation
from aether.simulator.plan import Plan
from aether.simulator.report import Campaign, ReportFile, Tally, hours, summary

CAMPAIGN = Campaign(first_seed=1, seeds=12, seconds=3600, version="1")


def _outcome(seed: int, trace: str = "", *violations: Violation) -> Outcome:
    return Outcome(
        seed=seed,
        trace=trace or f"t{seed}",
        simulated_s=3600,
        cpu_s=9,
        events=100,
        facts=50,
        orders=10,
        fills=5,
        boots=2,
        faults={"cut": 2, "kill": 1},
        rows={"B01": 2},
        seen={EDGES[0]: 3, "refused risk_spread": 1, "fill before ack": 4},
        violations=violations,
    )


class _Runs:
    """A run that takes no time, and remembers what it was asked."""

    def __init__(self, *, broken: tuple[int, ...] = (), forked: tuple[int, ...] = ()) -> None:
        self.asked: list[int] = []
        self._broken, self._forked = broken, forked

    def __call__(self, seed: int, seconds: int, plan: Plan | None) -> Outcome:
        self.asked.append(seed)
        violations = (Violation("S1", "sent twice", 5), Violation("S2", "not written", 6))
        trace = f"t{seed}-{self.asked.count(seed)}" if seed in self._forked else ""
        return _outcome(seed, trace, *(violations if seed in self._broken else ()))


def test_each_seed_runs_once_and_each_tenth_twice() -> None:
    tally, runs = Tally(CAMPAIGN), _Runs()
    run_campaign(tally, jobs=1, run=runs)
    assert runs.asked == [*range(1, 13), 1, 11]
    assert (tally.is_clean, tally.missing) == (True, ())


def _in_a_worker(seed: int, _: int, __: Plan | None) -> Outcome:
    return replace(_outcome(seed), trace="", rows={f"worker {os.getpid()}": 1})


def test_more_runs_than_the_first_workers_may_make_all_end_and_repeats_are_made_elsewhere() -> None:
    tally = Tally(replace(CAMPAIGN, seeds=2 * campaign.RUNS_PER_WORKER + 2))
    run_campaign(tally, jobs=2, run=_in_a_worker)
    assert tally.missing == ()
    first, again = ({*chain.from_iterable(o.rows for o in of.values())} for of in (tally.outcomes, tally.repeats))
    assert not first & again
    assert len(first) >= 2


def test_a_trace_that_differs_is_no_clean_end() -> None:
    tally = Tally(CAMPAIGN)
    run_campaign(tally, jobs=1, run=_Runs(forked=(11,)))
    assert tally.forked == (11,)
    assert not tally.is_clean
    assert summary(tally)["repeats_different"] == 1


def test_an_interrupted_campaign_goes_on_where_it_stood(tmp_path: Path) -> None:
    kept = ReportFile(tmp_path / "report.jsonl", CAMPAIGN)
    kept.begin()
    for seed in (1, 2, 3):
        kept.add(_outcome(seed))
    with kept.path.open("ab") as file:
        file.write(b'{"seed":4,"tra')  # the process was killed here
    tally, runs = Tally(CAMPAIGN), _Runs()
    for outcome in ReportFile(kept.path, CAMPAIGN).resume():
        tally.take(outcome)
    run_campaign(tally, jobs=1, kept=kept, run=runs)
    assert runs.asked == [*range(4, 13), 1, 11]
    again = Tally(CAMPAIGN)
    for outcome in ReportFile(kept.path, CAMPAIGN).resume():
        again.take(outcome)
    assert summary(again) == summary(tally)


@pytest.mark.parametrize("other", [replace(CAMPAIGN, seconds=60), replace(CAMPAIGN, version="2")])
def test_a_report_of_another_campaign_is_not_gone_on_with(tmp_path: Path, other: Campaign) -> None:
    ReportFile(tmp_path / "report.jsonl", CAMPAIGN).begin()
    with pytest.raises(BadConfiguration, match="asked was"):
        ReportFile(tmp_path / "report.jsonl", other).resume()


@pytest.mark.parametrize("content", [b"", b"no report\n", b'{"seed":1}\n'])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(BadConfiguration, match="no report"):
        ReportFile(path, CAMPAIGN).resume()


def test_a_report_is_never_written_over(tmp_path: Path) -> None:
    kept = ReportFile(tmp_path / "report.jsonl", CAMPAIGN)
    kept.begin()
    with pytest.raises(FileExistsError):
        kept.begin()


def test_a_failing_seed_is_told_with_its_plan_and_the_command_that_shows_it_again(tmp_path: Path) -> None:
    tally = Tally(CAMPAIGN)
    run_campaign(tally, jobs=1, run=_Runs(broken=(3,)))
    shrink_failures(tally, tmp_path, run=_Runs(broken=(3,)))
    (finding,) = tally.findings
    assert (finding.seed, finding.rules, finding.why) == (3, ("S1", "S2"), "S1: sent twice")
    assert finding.replay == f"aether simulate --replay 3 --hours 1 --plan {tmp_path}/plan-3.json"
    small = Plan.from_json(Path(finding.plan).read_bytes())
    assert small.seed == 3
    assert small.parts == ()
    assert not tally.is_clean


def test_what_needs_a_fault_keeps_it(tmp_path: Path) -> None:
    seed = next(seed for seed in range(1, 100) if len(draw_plan(seed, 3600).faults) > 20)
    needed = draw_plan(seed, 3600).faults[7]

    def run(seed: int, _: int, plan: Plan | None) -> Outcome:
        is_hit = plan is None or needed in plan.faults
        return _outcome(seed, "", *((Violation("S16", "invented", 1),) if is_hit else ()))

    tally = Tally(Campaign(seed, 1, 3600, "1"))
    run_campaign(tally, jobs=1, run=run)
    shrink_failures(tally, tmp_path, run=run)
    assert needed in Plan.from_json(Path(tally.findings[0].plan).read_bytes()).faults


def test_a_defect_of_the_simulator_is_told_with_its_seed_and_is_not_cut_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Outcome:
        raise KeyError("a defect")

    monkeypatch.setattr(campaign, "run_seed", fail)
    outcome = run_one(3, 60)
    assert [violation.rule for violation in outcome.violations] == ["simulator"]
    assert "Traceback" in outcome.violations[0].why
    tally = Tally(CAMPAIGN)
    tally.take(outcome)
    shrink_failures(tally, tmp_path, run=_Runs())
    assert list(tmp_path.iterdir()) == []


def test_the_summary_adds_up() -> None:
    tally = Tally(CAMPAIGN)
    run_campaign(tally, jobs=1, run=_Runs(broken=(3,)))
    told = summary(tally)
    assert (told["seeds"], told["simulated_hours"], told["speed"]) == (12, 12, 400)
    assert (told["orders"], told["fills"], told["lives"], told["violations"]) == (120, 60, 24, 1)
    assert told["faults"] == 36
    assert (told["faults_by_class"]["stream"], told["faults_by_class"]["death"]) == (24, 12)
    assert told["rows"] == {"B01": 24}
    assert told["edges"] == f"1 of {len(EDGES)}"
    assert EDGES[0] not in told["edges_missing"].split(", ")
    assert told["sometimes"]["fill before ack"] == 48
    assert told["refusals"] == {"refused risk_spread": 12}


def test_a_campaign_of_nothing_divides_by_nothing() -> None:
    assert summary(Tally(CAMPAIGN))["speed"] == 0


@pytest.mark.parametrize(("seconds", "text"), [(3600, "1"), (600, "0.166667"), (21_600, "6"), (5400, "1.5")])
def test_hours_are_told_as_the_command_takes_them(seconds: int, text: str) -> None:
    assert hours(seconds) == text
    assert round(float(text) * 3600) == seconds
