"""The lines of docs/sandbox.md that point a client at the sandbox do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
ENDS_WITHIN_S = 60.0


def client_in(snippet: str) -> str:
    """The client that a snippet imports."""
    found = re.search(r"(ccxt|kraken import spot|krakenex|typed_kraken)", snippet)
    assert found is not None
    return found.group()


@pytest.mark.parametrize("snippet", SNIPPETS, ids=client_in)
def test_a_client_is_pointed_at_the_sandbox_as_written(sandbox: Any, snippet: str) -> None:
    names = ("rest", "ws_public", "ws_private", "api_key", "api_secret")
    hello = {name: getattr(sandbox, name) for name in names}
    program = f"hello = {hello!r}\n{snippet}"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=ENDS_WITHIN_S, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_every_client_has_its_lines() -> None:
    assert len({client_in(snippet) for snippet in SNIPPETS}) == 4
