"""Real processes of the program: started, watched through their journal, killed and started again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parents[1]
SHIPPED = str(ROOT / "config" / "aether.toml")
ENDS_WITHIN_S = 60.0

# A small order at a time, and every change of the market worth one: there is nearly always something under way.
BUSY = {
    "SANDBOX__BALANCES": '{"USD": "1000000"}',
    "SANDBOX__SPEED": "300",
    "SANDBOX__START": "2021-02-08T00:00:00Z",
    "RISK__ORDER_USD_MAX": "60",
    "RISK__ORDER_SPACING_S_MIN": "0",
    "RISK__ORDERS_PER_MINUTE_MAX": "1000",
    "RISK__DAILY_LOSS_BPS_MAX": "10000",
    "RISK__DRAWDOWN_BPS_MAX": "10000",
    "SIZING__RISK_BUDGET_BPS": "1000",
    "SIZING__REBALANCE_BAND_BPS": "0",
    "SIZING__REBALANCE_USD_MIN": "20",
    "SIZING__EDGE_MARGIN_BPS": "0",
    "STRATEGIES__TREND_BTC__EDGE_PERCENT": "1000",
    "STRATEGIES__TREND_ETH__EDGE_PERCENT": "1000",
    "ORDERS__RESTING_S_MAX": "6",
    "ORDERS__VIEW_LAG_S": "1",
    "ORDERS__DEADLINE_MS": "1000",
    "ORDERS__UNRESOLVED_RETRY_S": "1",
    "ORDERS__RECONCILE_S": "30",
}


# After this long Kraken's counter of REST calls has room for several more (Kraken docs: it falls by one a second).
COUNTER_FALLS_S = 8


def until(holds: Callable[[], Any], within_s: float, what: str) -> Any:
    """Look again and again until something true is seen, and return it; fail when the time is over."""
    deadline = time.monotonic() + within_s
    while not (seen := holds()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)
    return seen


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    talk: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    def is_plain(self, *words: str) -> bool:
        """One line that names all of these words, and no traceback."""
        assert "Traceback" not in self.talk
        assert len(self.talk.strip().splitlines()) == 1, self.talk
        for word in words:
            assert word in self.talk, self.talk
        return True


@dataclass(frozen=True)
class KeptFact:
    """One row of a journal."""

    seq: int
    run: int
    at_ns: int
    kind: str
    body: dict[str, Any]


class Process:
    """A started program that writes its output to files."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, talk: Path) -> None:
        self._process = process
        self._out = out
        self._talk = talk

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def talk(self) -> str:
        return self._talk.read_text()

    def announced(self, word: str) -> str:
        """The line of its talk that begins so, without that word; waited for."""

        def look() -> str:
            assert self.is_running, self.talk
            lines = self.talk.splitlines()[: self.talk.count("\n")]
            return next((line for line in lines if line.startswith(f"aether: {word} ")), "")

        return str(until(look, ENDS_WITHIN_S, f"{word} announced")).removeprefix(f"aether: {word} ").strip()

    def ended(self) -> int:
        """Its exit code; waited for."""
        return self._process.wait(ENDS_WITHIN_S)

    def stop(self) -> int:
        """As Ctrl-C does; its exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.ended()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it where it stands, so that what its journal holds is all that it has done."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Account:
    """A sandbox's account, asked over REST by a signer that has nothing to do with the program's own."""

    def __init__(self, hello: Mapping[str, str]) -> None:
        self._hello = hello
        self.key = hello["api_key"]

    def ask(self, method: str, **fields: str) -> Any:
        path = f"/0/private/{method}"
        # Days ahead of the daemon's own nonces (nanoseconds; each start after a crash leaves out a minute of them) it
        # would lock the daemon out: so only after its end.
        nonce = str(time.time_ns() + 10**15)
        body = urlencode({"nonce": nonce, **fields}).encode()
        digest = hashlib.sha256(nonce.encode() + body).digest()
        sign = hmac.digest(base64.b64decode(self._hello["api_secret"]), path.encode() + digest, "sha512")
        headers = {"API-Key": self._hello["api_key"], "API-Sign": base64.b64encode(sign).decode()}
        request = urllib.request.Request(self._hello["rest"] + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=5) as response:
            answer = json.load(response)
        if answer["error"] == ["EAPI:Rate limit exceeded"]:
            time.sleep(COUNTER_FALLS_S)
            return self.ask(method, **fields)
        assert not answer["error"], answer
        return answer["result"]

    def pages(self, method: str, rows: str) -> dict[str, Any]:
        """All rows of an endpoint that answers in pages."""
        found: dict[str, Any] = {}
        while True:
            page = self.ask(method, ofs=str(len(found)))
            found |= page[rows]
            if len(found) >= page["count"]:
                return found


class Program:
    """`aether` with the settings of one test: its own state directory, any free port."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.settings = {"WORLD__STATE_DIR": str(self.state_dir), "ADMIN__PORT": "0", **settings}
        self.started: list[Process] = []

    def environment(self, settings: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
        ours = ("AETHER__", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "PYTHONHASHSEED")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        told = {f"AETHER__{name}": value for name, value in {**self.settings, **settings}.items()}
        return {**kept, **told, **other}

    def do(self, *arguments: str, settings: Mapping[str, str] | None = None, **other: str) -> Answer:
        """Run a command to its end; `other` are further environment variables."""
        done = subprocess.run(
            self._command(arguments),
            env=self.environment(settings or {}, other),
            capture_output=True,
            timeout=ENDS_WITHIN_S,
            check=False,
            cwd=self.directory,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str) -> Process:
        """Start a command that lasts."""
        number = len(self.started)
        out, talk = self.directory / f"out-{number}", self.directory / f"talk-{number}"
        with out.open("wb") as out_file, talk.open("wb") as talk_file:
            process = subprocess.Popen(
                self._command(arguments),
                env=self.environment({}, {}),
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=talk_file,
                cwd=self.directory,
            )
        self.started.append(Process(process, out, talk))
        return self.started[-1]

    def run(self) -> Process:
        """Start the daemon and wait until it says where it is."""
        daemon = self.start("run")
        daemon.announced("control")
        return daemon

    def sandbox(self) -> Account:
        """Start a sandbox of its own, and let the daemon use it."""
        hello = self.directory / "hello.json"
        sandbox = self.start("sandbox", "--hello", str(hello))
        until(lambda: sandbox.out.endswith("\n") or not sandbox.is_running, ENDS_WITHIN_S, "the sandbox says hello")
        self.settings["SANDBOX__CONNECT"] = str(hello)
        return Account(json.loads(hello.read_text()))

    @property
    def journal(self) -> Path:
        (path,) = self.state_dir.glob("journal-*.db")
        return path

    def facts(self, kind: str | None = None, *, run: int | None = None, after: int = 0) -> list[KeptFact]:
        """What the journal holds by now; nothing while there is none."""
        if not self.state_dir.is_dir() or not list(self.state_dir.glob("journal-*.db")):
            return []
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as database:
            try:
                rows = database.execute("SELECT seq, run, at_ns, kind, body FROM facts WHERE seq > ?", [after])
                kept = [KeptFact(seq, in_run, at_ns, name, json.loads(body)) for seq, in_run, at_ns, name, body in rows]
            except sqlite3.OperationalError:  # not made yet, or being made
                return []
        return [fact for fact in kept if kind in (None, fact.kind) and run in (None, fact.run)]

    def wait_for(self, kind: str, *, run: int | None = None, after: int = 0, count: int = 1) -> list[KeptFact]:
        """So many facts of a kind, waited for."""

        def look() -> list[KeptFact]:
            found = self.facts(kind, run=run, after=after)
            assert len(found) >= count or self.started[-1].is_running, self.started[-1].talk
            return found if len(found) >= count else []

        found: list[KeptFact] = until(look, ENDS_WITHIN_S, f"{count} {kind} of run {run} after fact {after}")
        return found

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        config = () if "--config" in arguments or arguments[0] in ("replay", "simulate") else ("--config", SHIPPED)
        return [sys.executable, "-m", "aether", *arguments, *config]
