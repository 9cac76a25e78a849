"""`python -m aether` is `aether`."""

from __future__ import annotations

import runpy
import sys

import orjson
import pytest

from aether.domain.codes import CODES


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["aether", "why", "--codes", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("aether", run_name="__main__")
    assert ended.value.code == 0
    assert {row["code"] for row in orjson.loads(capsys.readouterr().out)} == set(CODES)
