"""A daemon that trades on a sandbox in another process, killed again and again, and asked at the end what it knows."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import mkdtemp
from typing import Any

import orjson

from tests.kills.evidence import JournalSide, VenueSide, differences
from tests.processes import BUSY, Account, KeptFact, Process, Program, until

# Each start asks the account for all of its views, and Kraken's limit of REST calls belongs to the key. So that kills
# may follow each other without waiting for it, each start takes the next of so many keys of the account.
KEYS = 24
LIVES_LONGEST_S = 180.0  # a start that trades no sooner is a failure, on the busiest machine too
SHARE_AT_START = 0.3  # of the kills fall anywhere between the start of the process and its first order
SHARE_UNANSWERED = 0.3  # meet an order that was carried out and is not answered; the rest fall anywhere later
AFTER_TRADING_S = 1.5
FILLS_AT_THE_END = 3
SETTINGS = {
    **BUSY,
    "SANDBOX__VIEW_LAG_MS": "1000",
    "SANDBOX__KEYS": str(KEYS),
    "SANDBOX__FAULTS": "true",
    # Each start reads the orders of the last minutes, fifty to a page, and pages are what Kraken counts dearest.
    "RISK__ORDER_SPACING_S_MIN": "1",
    "RISK__ORDERS_PER_DAY_MAX": "100000",
    "WORLD__CRASHES_MAX": "1000000",  # the guard against crash loops is shown elsewhere
}

Show = Callable[["KillsReport"], None]


@dataclass
class KillsReport:
    """What a campaign did and found. `moments` counts kills by what they interrupted; times in seconds.

    `start_s` are times from the start of a process to its first order, of those that lived to send one.
    """

    seed: int
    kills: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    start_s: list[float] = field(default_factory=list)
    runs: int = 0
    orders: int = 0
    fills: int = 0
    never_lived: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report with the times summed up."""
        ninth = quantiles(self.start_s, n=10)[-1] if len(self.start_s) > 1 else None
        middle = median(self.start_s) if self.start_s else None
        times = {"median": middle, "p90": ninth and round(ninth, 3), "max": max(self.start_s, default=None)}
        return {**vars(self), "moments": dict(self.moments), "start_s": times}


class Campaign:
    """One account, one journal, many lives. Everything random comes from `seed`, but for the machine's own timing."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._program = Program(directory, SETTINGS)
        self._random = Random(seed)
        self._journal = JournalSide()
        self.report = KillsReport(seed)
        self._account = self._program.sandbox()
        self._hello = orjson.loads((directory / "hello.json").read_bytes())
        self._keys = cycle(range(1, KEYS + 1))

    def kill(self) -> None:
        """One life: a start, and SIGKILL at a drawn moment of it. What recovery found wrong is a violation."""
        starts_s, share = self.report.start_s, self._random.random()
        if SHARE_AT_START <= share < SHARE_AT_START + SHARE_UNANSWERED:
            self._swallow_the_next_answer()
        began_s, daemon = time.monotonic(), self._start()
        if share < SHARE_AT_START and starts_s:
            time.sleep(self._random.random() * median(starts_s))
        else:
            self._wait(daemon, self._has_sent)
            starts_s.append(round(time.monotonic() - began_s, 3))
            time.sleep(self._random.random() * AFTER_TRADING_S)
        daemon.kill()
        self.report.kills += 1
        facts = self._life()
        self.report.moments[self._moment(facts)] += 1
        self._find_wrong(facts)

    def end(self) -> None:
        """A last life that trades, is halted, ends in order, and is held against the venue to the last digit."""
        daemon = self._start()
        self._wait(daemon, partial(self._has_sent, FILLS_AT_THE_END, "OrderFilled"))
        self._program.do("halt", "--json", "--reason", "the books are to be compared")
        until(self._is_quiet, LIVES_LONGEST_S, "nothing is under way")
        if (code := daemon.stop()) != 0:
            self.report.violations.append(f"the last run ended with code {code}: {daemon.talk}")
        self._find_wrong(self._life())
        last = self._journal.facts[-1]
        if last.kind != "RunEnded" or last.body["clean"] is not True:
            self.report.violations.append(f"the last run did not end clean: {last}")
        verified = self._program.do("verify", "--json")
        if verified.code != 0:
            self.report.violations.append(f"the journal does not hold: {verified.out}")
        venue = self._venue_side()
        self.report.violations += differences(self._journal, venue)
        self.report.runs = sum(1 for _ in self._journal.of("RunStarted"))
        self.report.orders = len(venue.closed_orders) + len(venue.open_orders)
        self.report.fills = len(venue.trades)
        self.report.never_lived = len(self._journal.by_order("OrderAbsent", "OrderRefused"))

    # --- a life -----------------------------------------------------------------------------------------------------

    def _start(self) -> Process:
        hello = self._program.directory / "key.json"
        hello.touch(mode=0o600)
        hello.write_bytes(orjson.dumps({**self._of_next_key(), "account": self._hello["api_key"]}))
        self._program.settings["SANDBOX__CONNECT"] = str(hello)
        self._life_from = len(self._journal.facts)
        return self._program.start("run")

    def _of_next_key(self) -> Mapping[str, str]:
        suffix = "" if (number := next(self._keys)) == 1 else f"_{number}"
        named = {name: self._hello[f"{name}{suffix}"] for name in ("api_key", "api_secret")}
        return {**self._hello, **named}

    def _swallow_the_next_answer(self) -> None:
        fault = orjson.dumps({"fault": "ack_lost", "where": {"method": "add_order"}})
        with urllib.request.urlopen(f"{self._hello['faults']}/faults", data=fault, timeout=5) as answer:
            answer.read()

    def _wait(self, daemon: Process, holds: Callable[[], bool]) -> None:
        def look() -> bool:
            if not daemon.is_running:
                raise AssertionError(f"the daemon ended by itself: {daemon.talk}")
            return holds()

        until(look, LIVES_LONGEST_S, "the daemon trades")

    def _read_on(self) -> None:
        self._journal.read_on(next(iter(self._program.state_dir.glob("journal-*.db")), None))

    def _life(self) -> list[KeptFact]:
        """All that this life has written so far."""
        self._read_on()
        return self._journal.facts[self._life_from :]

    def _has_sent(self, count: int = 1, kind: str = "OrderSubmitted") -> bool:
        return sum(1 for fact in self._life() if fact.kind == kind) >= count

    def _is_quiet(self) -> bool:
        self._read_on()
        return not self._journal.under_way

    def _moment(self, facts: list[KeptFact]) -> str:
        """What the kill interrupted, as far as the disk tells."""
        kinds = {fact.kind for fact in facts}
        if "RunStarted" not in kinds:
            return "before the run began"
        if not any(fact.kind == "HoldEnded" and fact.body["cause"] == "starting" for fact in facts):
            return "before the account was compared"
        if self._journal.under_way:
            return "with orders under way"
        return "with nothing under way"

    def _find_wrong(self, facts: list[KeptFact]) -> None:
        for fact in facts:
            is_ours = fact.kind == "TradingHalted" and fact.body["code"] == "halt_operator"
            if fact.kind in ("TradingHalted", "DifferenceFound") and not is_ours:
                self.report.violations.append(f"after {self.report.kills} kills: {fact}")

    # --- the venue ----------------------------------------------------------------------------------------------------

    def _venue_side(self) -> VenueSide:
        return VenueSide(
            balances=self._ask("Balance"),
            open_orders=self._ask("OpenOrders")["open"],
            closed_orders=self._pages("ClosedOrders", "closed"),
            trades=self._pages("TradesHistory", "trades"),
            entries=self._pages("Ledgers", "ledger"),
        )

    def _ask(self, method: str, **fields: str) -> Any:
        return Account(self._of_next_key()).ask(method, **fields)

    def _pages(self, method: str, rows: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            page = self._ask(method, ofs=str(len(found)))
            found |= page[rows]
            if len(found) >= page["count"]:
                return found


@contextmanager
def _campaign(seed: int) -> Iterator[Campaign]:
    """A campaign in a directory of its own, which is kept where something was found."""
    directory = Path(mkdtemp(prefix="aether-kills-"))
    campaign = Campaign(directory, seed)
    try:
        yield campaign
    except AssertionError as error:  # it waited in vain, or found the daemon gone
        campaign.report.violations.append(f"after {campaign.report.kills} kills: {error}")
    finally:
        for process in campaign._program.started:
            if process.is_running:
                process.kill()
        if campaign.report.violations:
            campaign.report.violations.append(f"what was left stands in {directory}")
        else:
            shutil.rmtree(directory)


def run(kills: int, seed: int, within_s: float, show: Show) -> KillsReport:
    """Kill so often, compare, and report. A campaign that takes longer than `within_s` has failed."""
    began_s = time.monotonic()
    with _campaign(seed) as campaign:
        report = campaign.report
        while report.kills < kills and not report.violations:
            campaign.kill()
            report.seconds = round(time.monotonic() - began_s, 1)
            show(report)
            if report.seconds > within_s:
                report.violations.append(f"only {report.kills} kills within {within_s} s")
        if not report.violations:
            campaign.end()
        report.seconds = round(time.monotonic() - began_s, 1)
    return report
