"""The command itself: a campaign in worker processes, and one seed once more with its trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aether.domain.errors import BadConfiguration
from aether.simulator.campaign import run_campaign
from aether.simulator.mix import draw_plan
from aether.simulator.report import Campaign, Tally
from aether.simulator.verb import Asked, replay_seed, simulate_seeds
from tests.processes import Program

SECONDS = 120


def test_seeds_in_two_fresh_processes_leave_the_same_traces_as_here(tmp_path: Path) -> None:
    lines: list[str] = []
    answer, is_clean = simulate_seeds(Asked(1, 2, SECONDS, jobs=2, report=tmp_path / "report.jsonl"), lines.append)
    assert is_clean, answer
    assert (answer["seeds"], answer["repeats"], answer["repeats_different"]) == (2, 1, 0)
    assert answer["orders"] > 0
    assert lines[-1].startswith("3 runs done, 0 to go")
    here = Tally(Campaign(1, 1, SECONDS, "1"))
    run_campaign(here, jobs=1)
    kept = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()[1:]]
    assert here.outcomes[1].trace in {outcome["trace"] for outcome in kept if outcome["seed"] == 1}


def test_a_seed_is_run_once_more_with_its_trace(tmp_path: Path) -> None:
    answer, is_clean = replay_seed(1, SECONDS, None, tmp_path / "trace")
    again, _ = replay_seed(1, SECONDS, None, None)
    assert is_clean
    assert answer["trace"] == again["trace"]
    lines = (tmp_path / "trace").read_bytes().splitlines()
    assert len(lines) > 100
    assert [int(line.split(b" ", 1)[0]) for line in lines] == sorted(int(line.split(b" ", 1)[0]) for line in lines)
    assert any(b"add_order" in line for line in lines)


def test_a_plan_of_another_seed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(draw_plan(2, SECONDS).to_json())
    with pytest.raises(BadConfiguration, match="a plan of seed 2, asked was 1"):
        replay_seed(1, SECONDS, path, None)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--seeds", "0"), 2, "--seeds"),
        (("--report", "a", "--resume", "b"), 4, "--resume"),
        (("--resume", "nowhere"), 1, "nowhere"),
        (("--replay", "1", "--plan", "/dev/null"), 4, "plan"),
        (("--replay", "1", "--report", "a"), 4, "--replay"),
        (("--plan", "a"), 4, "--replay"),
        (("--trace", "a"), 4, "--replay"),
        (("--hours", "inf"), 2, "--hours"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, word: str) -> None:
    answer = Program(tmp_path, {}).do("simulate", *arguments)
    assert (answer.code, word in answer.talk) == (code, True), answer.talk
