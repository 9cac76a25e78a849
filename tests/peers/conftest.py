"""Other people's clients on the sandbox: a real process of it, and an account for each test, read without any of them.

They run in an environment of their own (`make peers`), where Aether is not installed: it is met over loopback alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).parents[2]
AETHER = ROOT / ".venv" / "bin" / "aether"
CLIENTS = ("ccxt", "kraken", "krakenex", "typed_kraken")
ACCOUNTS = 60
ENDS_WITHIN_S = 30.0


def pytest_configure(config: pytest.Config) -> None:
    # Old habits of other people's code are not ours to mend.
    config.addinivalue_line("filterwarnings", "default")
    missing = [name for name in CLIENTS if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        raise pytest.UsageError(
            f"a proof that skips proves nothing; missing are {', '.join(missing)}: see `make peers`"
        )


@dataclass(frozen=True)
class Sandbox:
    """Where a started sandbox is, a client's key to it, and its account as it stands in its own books."""

    rest: str
    ws_public: str
    ws_private: str
    api_key: str
    api_secret: str
    api_key_2: str
    api_secret_2: str
    faults: str

    def public(self, method: str, **query: str) -> Any:
        return _result_of(urllib.request.Request(f"{self.rest}/0/public/{method}?{urlencode(query)}"))

    def private(self, method: str, **form: str) -> Any:
        """Ask with a second key, whose nonces and limits are not the client's."""
        path, nonce = f"/0/private/{method}", str(time.time_ns())
        body = urlencode({"nonce": nonce} | form)
        message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
        signature = hmac.new(base64.b64decode(self.api_secret_2), message, hashlib.sha512).digest()
        headers = {"API-Key": self.api_key_2, "API-Sign": base64.b64encode(signature).decode()}
        return _result_of(urllib.request.Request(self.rest + path, body.encode(), headers))

    def go_wrong(self, fault: str, **more: Any) -> None:
        """Let a fault happen from now on, by the fault port of a sandbox that was started with `--faults`."""
        body = json.dumps({"fault": fault} | more).encode()
        with urllib.request.urlopen(urllib.request.Request(self.faults + "/faults", body), timeout=10) as answer:
            assert answer.status == 200

    def account(self) -> Account:
        """All of the account, checked: each balance is the sum of its ledger, each trade has its rows there."""
        balances = {asset: Decimal(total) for asset, total in self.private("Balance").items()}
        trades = self.private("TradesHistory", ledgers="true")["trades"]
        ledger = self.private("Ledgers")["ledger"]
        for asset, total in balances.items():
            rows = [row for row in ledger.values() if row["asset"] == asset]
            assert sum(Decimal(row["amount"]) - Decimal(row["fee"]) for row in rows) == total, asset
        for trade_id, trade in trades.items():
            rows = [ledger[ledger_id] for ledger_id in trade["ledgers"]]
            assert len(rows) == 2
            assert {row["refid"] for row in rows} == {trade_id}
            assert sum(Decimal(row["fee"]) for row in rows) == Decimal(trade["fee"])
        return Account(balances, trades, ledger)


@dataclass(frozen=True)
class Account:
    """Balances by Kraken's asset id; trades and ledger rows by their ids, as REST writes them."""

    balances: dict[str, Decimal]
    trades: dict[str, Any]
    ledger: dict[str, Any]

    @property
    def fees(self) -> Decimal:
        return sum((Decimal(trade["fee"]) for trade in self.trades.values()), Decimal(0))


def _result_of(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.loads(response.read())
    assert answer["error"] == [], answer
    return answer["result"]


class Started:
    """A started `aether sandbox`: each test gets an account of its own on it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._talk = folder / f"sandbox-{time.monotonic_ns()}.err"
        counted = ("--accounts", str(ACCOUNTS), "--keys", "2")
        with self._talk.open("w") as err:
            self._process = subprocess.Popen(
                [str(AETHER), "sandbox", "--seed", "1", *counted, *options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert self._process.stdout is not None
        with self._process.stdout as first_line:
            text = first_line.readline()
        assert text, self._talk.read_text()
        self._hello: dict[str, str] = json.loads(text)
        self._accounts = iter(range(1, ACCOUNTS + 1))

    def account(self) -> Sandbox:
        """The sandbox as the holder of its next account sees it."""
        number = next(self._accounts)
        prefix = f"account_{number}_" if number > 1 else ""
        addresses = {name: self._hello[name] for name in ("rest", "ws_public", "ws_private")}
        keys = {name: self._hello[prefix + name] for name in ("api_key", "api_secret", "api_key_2", "api_secret_2")}
        return Sandbox(**addresses, **keys, faults=self._hello.get("faults", ""))

    def stop(self) -> None:
        """It must end in order, having met no error of its own."""
        self._process.terminate()
        assert self._process.wait(ENDS_WITHIN_S) == 0
        assert "Traceback" not in (talk := self._talk.read_text()), talk


@pytest.fixture(scope="module")
def start_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Started]]:
    """Start `aether sandbox` with these options, or take the one that runs with them already."""
    started: dict[tuple[str, ...], Started] = {}

    def start(*options: str) -> Started:
        if options not in started:
            started[options] = Started(tmp_path_factory.mktemp("sandbox"), *options)
        return started[options]

    yield start
    for process in started.values():
        process.stop()


@pytest.fixture
def sandbox(start_sandbox: Callable[..., Started]) -> Sandbox:
    """A calm market: a minute of it passes in a minute."""
    return start_sandbox("--speed", "1").account()


@pytest.fixture
def lively_sandbox(start_sandbox: Callable[..., Started]) -> Sandbox:
    """A market that moves all the time."""
    return start_sandbox("--speed", "600").account()


@pytest.fixture
def failing_sandbox(start_sandbox: Callable[..., Started]) -> Iterator[Sandbox]:
    """A calm market whose faults can be called; all is well again for the next test."""
    sandbox = start_sandbox("--speed", "1", "--faults").account()
    yield sandbox
    sandbox.go_wrong("online")
