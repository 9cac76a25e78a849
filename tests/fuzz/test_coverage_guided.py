"""What atheris is given to run; it runs itself in `make ci` and `make fuzz`."""

from __future__ import annotations

import importlib.util

import pytest

from tests.fuzz import coverage_guided, pure


@pytest.mark.parametrize("target", coverage_guided.TARGETS)
def test_every_seed_of_a_target_is_read_and_so_is_nonsense(target: str) -> None:
    read = pure.READERS[target]()

    for seed in (*pure.SEEDS[target](), b"", b"\xff", b"[" * 4096, b"nonce=1", b'{"nonce":"' + b"9" * 25 + b'"}'):
        read(seed)


def test_where_atheris_is_not_installed_nothing_runs_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr("sys.argv", ["coverage_guided"])

    assert coverage_guided.main() == 0
    assert "skipped" in capsys.readouterr().out
