"""The program as its users meet it: real processes on the real clock, killed, starved, misled and started again."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.process

Make = Callable[..., Any]
Wait = Callable[[Callable[[], Any], float, str], Any]


def probe(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# --- one orderly run ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderlyRun:
    """What was seen of a run from its start to Ctrl-C, with the settings as shipped."""

    program: Any
    first_fill_s: float
    trades: Any
    status: Any
    probes: Mapping[str, tuple[int, str]]
    intruder: Any
    status_after_intruder: Any
    exit_code: int
    talk: str
    log: str


@pytest.fixture(scope="module")
def orderly(make_lasting_program: Make, wait_until: Wait) -> OrderlyRun:
    program = make_lasting_program()
    began_s = time.monotonic()
    daemon = program.run()
    program.wait_for("OrderFilled")
    trades = program.do("trades", "--json")
    first_fill_s = time.monotonic() - began_s
    address = daemon.announced("health").partition("/readyz")[0]
    wait_until(lambda: probe(address, "/readyz")[0] == 200, 10, "the daemon is ready")
    probes = {path: probe(address, path) for path in ("/livez", "/readyz", "/startupz", "/metrics", "/v1/status")}
    status = program.do("status", "--json")
    intruder = program.do("run")
    status_after = program.do("status", "--json")
    exit_code = daemon.stop()
    return OrderlyRun(
        program=program,
        first_fill_s=first_fill_s,
        trades=trades,
        status=status,
        probes=probes,
        intruder=intruder,
        status_after_intruder=status_after,
        exit_code=exit_code,
        talk=daemon.talk,
        log=daemon.out,
    )


def test_the_first_fill_comes_within_a_minute_of_the_start(orderly: OrderlyRun) -> None:
    assert orderly.trades.code == 0
    (first, *_) = orderly.trades.data["trades"]
    assert first["exec_id"].startswith("T")
    assert Decimal(first["qty"]) > 0
    assert first["fees"][0]["asset"] == "USD"
    assert orderly.first_fill_s < 60


def test_status_tells_equity_positions_and_orders(orderly: OrderlyRun) -> None:
    status = orderly.status.data
    assert Decimal(status["equity_usd"]) > 90_000
    assert [Decimal(position["qty"]) > 0 for position in status["positions"]]
    assert isinstance(status["orders"], list)
    assert status["is_trading"] is True
    assert (status["mode"], status["world"]) == ("sim", "sandbox")


def test_the_probes_and_metrics_answer_on_the_port_and_commands_do_not(orderly: OrderlyRun) -> None:
    codes = {path: code for path, (code, _) in orderly.probes.items()}
    assert codes == {"/livez": 200, "/readyz": 200, "/startupz": 200, "/metrics": 200, "/v1/status": 404}
    metrics = orderly.probes["/metrics"][1]
    assert "aether_build_info" in metrics
    assert "aether_fills_total" in metrics
    pools = set(re.findall(r'aether_kraken_counter\{pool="([^"]+)"\}', metrics))
    assert pools == {"rest", "BTC/USD", "ETH/USD"}


def test_a_second_daemon_in_the_same_state_directory_is_refused_and_the_first_goes_on(orderly: OrderlyRun) -> None:
    assert orderly.intruder.code == 4
    assert orderly.intruder.is_plain("in use by pid", "stop that process")
    assert orderly.status_after_intruder.code == 0
    assert orderly.status_after_intruder.data["account"] == orderly.status.data["account"]


def test_ctrl_c_leaves_a_clean_journal(orderly: OrderlyRun) -> None:
    assert orderly.exit_code == 0
    assert "Traceback" not in orderly.talk
    path = orderly.talk.split("aether: journal ")[1].splitlines()[0]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        kind, body = database.execute("SELECT kind, body FROM facts ORDER BY seq DESC LIMIT 1").fetchone()
    assert kind == "RunEnded"
    assert json.loads(body)["clean"] is True
    verified = orderly.program.do("verify", "--journal", path, "--json")
    assert (verified.code, verified.data["ok"], verified.data["runs"]) == (0, True, 1)


def test_every_line_of_the_log_is_one_json_object(orderly: OrderlyRun) -> None:
    lines = [json.loads(line) for line in orderly.log.splitlines()]
    assert lines[0]["event"] == "lifecycle.started"
    assert any(line["event"] == "order.filled" for line in lines)


def test_the_tape_replays_to_the_same_facts_under_any_hash_seed(orderly: OrderlyRun) -> None:
    name = orderly.talk.split("aether: journal ")[1].splitlines()[0].removesuffix(".db")
    (tape,) = orderly.program.state_dir.glob(f"tapes/{Path(name).name}/run-*")
    answers = [orderly.program.do("replay", str(tape), "--json", PYTHONHASHSEED=seed) for seed in ("0", "12345")]
    assert [answer.code for answer in answers] == [0, 0]
    assert answers[0].out == answers[1].out
    report = answers[0].data
    assert report["ok"] is True
    assert report["facts"] > 15
    assert report["journal_facts_beyond"] == 0


# --- killed in mid-trade --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Killed:
    """A journal of runs that were killed one after another, and what the venue knows of the account."""

    program: Any
    in_flight_at_kills: list[int]
    balances: Any
    exit_code: int
    verified: Any
    venue_balances: Mapping[str, Mapping[str, str]]
    venue_open: Mapping[str, Any]
    venue_closed: Mapping[str, Any]
    venue_trades: Mapping[str, Any]
    talk: str


@pytest.fixture(scope="module")
def killed(make_lasting_program: Make, busy: Mapping[str, str], wait_until: Wait) -> Killed:
    """Four times SIGKILL at a drawn moment while orders are under way, then a run that is stopped in order.

    Each run has had an order of its own filled before it ends, so that it is known to have traded.
    """
    program, random = make_lasting_program(**busy), Random(20)
    account, in_flight = program.sandbox(), []
    for run in range(1, 5):
        daemon = program.run()
        program.wait_for("OrderSubmitted", run=run, count=random.randint(2, 20))
        wait_until(partial(_own_fills, program, run), 20, "an order of this run is filled")
        time.sleep(random.random() * 0.1)
        wait_until(partial(_frozen_in_flight, program, daemon), 20, "it stands still with an order under way")
        daemon.kill()
        in_flight.append(len(_under_way(program)))
    daemon = program.run()
    program.wait_for("OrderFilled", run=5, count=5)
    wait_until(partial(_own_fills, program, 5), 20, "an order of this run is filled")
    program.do("halt", "--json", "--reason", "the balances are to be compared")
    wait_until(lambda: not _under_way(program), 20, "nothing is under way")
    balances = program.do("balances", "--json")
    return Killed(
        program=program,
        in_flight_at_kills=in_flight,
        balances=balances,
        exit_code=daemon.stop(),
        verified=program.do("verify", "--json"),
        venue_balances=account.ask("BalanceEx"),
        venue_open=account.ask("OpenOrders")["open"],
        venue_closed=account.pages("ClosedOrders", "closed"),
        venue_trades=account.pages("TradesHistory", "trades"),
        talk="".join(process.talk for process in program.started),
    )


def _under_way(program: Any) -> set[str]:
    """Client order ids that were sent, or are about to be, and have no end yet."""
    facts = program.facts()
    begun = {fact.body["cl_ord_id"] for fact in facts if fact.kind == "OrderSubmitted"}
    ended = {fact.body["cl_ord_id"] for fact in facts if fact.kind in ("OrderEnded", "OrderRefused", "OrderAbsent")}
    return begun - ended


def _frozen_in_flight(program: Any, daemon: Any) -> bool:
    """The daemon was stopped where it stood with an order under way; else it goes on.

    An order that was under way when one looked may have ended by the time a signal arrives.
    """
    daemon.freeze()
    if _under_way(program):
        return True
    daemon.thaw()
    return False


def _own_fills(program: Any, run: int) -> set[str]:
    """Client order ids that a run sent itself and saw filled, wholly or in part."""
    sent = {fact.body["cl_ord_id"] for fact in program.facts("OrderSubmitted", run=run)}
    return sent & {fact.body["cl_ord_id"] for fact in program.facts("OrderFilled", run=run)}


def _resting(program: Any) -> set[str]:
    """Client order ids that were shown open by the venue and have no end yet."""
    return _under_way(program) & {fact.body["cl_ord_id"] for fact in program.facts("OrderOpened")}


def test_a22_h04_h09_each_kill_met_orders_under_way_and_each_start_reconciles_and_trades_on(killed: Killed) -> None:
    assert all(killed.in_flight_at_kills)
    for run in range(1, 6):
        facts = killed.program.facts(run=run)
        kinds = [fact.kind for fact in facts]
        assert kinds[0] == "RunStarted"
        assert kinds.index("Reconciled") < kinds.index("OrderSubmitted")
        assert _own_fills(killed.program, run)
        assert not {"DifferenceFound", "TradingHalted"} & {fact.kind for fact in facts if not _is_ours(fact)}
    assert len({fact.body["account"] for fact in killed.program.facts("RunStarted")}) == 1


def _is_ours(fact: Any) -> bool:
    return bool(fact.kind == "TradingHalted" and fact.body["code"] == "halt_operator")


def test_no_client_order_id_is_sent_twice_and_every_order_of_the_venue_was_committed_first(killed: Killed) -> None:
    submitted = Counter(fact.body["cl_ord_id"] for fact in killed.program.facts("OrderSubmitted"))
    at_venue = Counter(order["cl_ord_id"] for order in killed.venue_closed.values())
    assert set(submitted.values()) == {1}
    assert set(at_venue.values()) == {1}
    assert set(at_venue) <= set(submitted)
    assert killed.venue_open == {}


def test_what_the_venue_never_had_is_known_to_be_absent_or_refused(killed: Killed) -> None:
    at_venue = {order["cl_ord_id"] for order in killed.venue_closed.values()}
    never = {fact.body["cl_ord_id"] for fact in killed.program.facts("OrderSubmitted")} - at_venue
    told = {fact.body["cl_ord_id"] for kind in ("OrderAbsent", "OrderRefused") for fact in killed.program.facts(kind)}
    assert told == never


def test_every_trade_of_the_venue_is_booked_once_with_its_cost_and_fee(killed: Killed) -> None:
    booked = killed.program.facts("OrderFilled")
    assert len(booked) == len(killed.venue_trades)
    for fact in booked:
        trade, (fee,) = killed.venue_trades[fact.body["exec_id"]], fact.body["fees"]
        assert Decimal(fact.body["cost"]) == Decimal(trade["cost"])
        assert (fee["asset"], Decimal(fee["amount"])) == ("USD", Decimal(trade["fee"]))


def test_balances_are_the_venues_to_the_last_digit_and_the_journal_proves_them(killed: Killed) -> None:
    venue = {_v2(asset): Decimal(row["balance"]) for asset, row in killed.venue_balances.items()}
    told = {row["asset"]: Decimal(row["total"]) for row in killed.balances.data["balances"]}
    sums = {row["asset"]: Decimal(row["amount"]) for row in killed.verified.data["sums"]}
    assert told == venue
    assert sums == venue
    assert killed.verified.code == 0
    assert killed.verified.data["runs"] == 5


def _v2(asset_id: str) -> str:
    return {"ZUSD": "USD", "XXBT": "BTC", "XETH": "ETH"}[asset_id]


def test_the_last_run_ends_clean_and_no_start_was_a_traceback(killed: Killed) -> None:
    assert killed.exit_code == 0
    last = killed.program.facts()[-1]
    assert (last.kind, last.run, last.body["clean"]) == ("RunEnded", 5, True)
    assert "Traceback" not in killed.talk


def test_every_tape_that_was_left_replays_as_far_as_it_goes(killed: Killed) -> None:
    tapes = sorted(killed.program.state_dir.glob("tapes/*/run-*"))
    assert tapes[-1].name.startswith("run-000005-")
    for tape in tapes:
        report = killed.program.do("replay", str(tape), "--json")
        assert (report.code, report.data["ok"]) == (0, True)


# --- an edited journal ----------------------------------------------------------------------------------------------


@pytest.fixture
def forged(killed: Killed, make_program: Make) -> tuple[Any, int]:
    """The killed daemon's memory with one fill made larger by a careful hand, and the number of that row."""
    program = make_program(**killed.program.settings | {"WORLD__STATE_DIR": ""})
    program.settings["WORLD__STATE_DIR"] = str(program.state_dir)
    shutil.copytree(killed.program.state_dir, program.state_dir)
    with closing(sqlite3.connect(program.journal)) as database:
        (trigger,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'facts_unchanged'").fetchone()
        (seq, body) = database.execute("SELECT seq, body FROM facts WHERE kind = 'OrderFilled' LIMIT 1").fetchone()
        richer = orjson.dumps(json.loads(body) | {"cost": "0.01"})
        database.execute("DROP TRIGGER facts_unchanged")
        database.execute("UPDATE facts SET body = ? WHERE seq = ?", (richer, seq))
        database.execute(trigger)
        database.commit()
    return program, seq


def test_an_edited_journal_is_found_at_its_row_and_no_daemon_trades_on_it(forged: tuple[Any, int]) -> None:
    program, seq = forged

    verified = program.do("verify", "--json")
    assert verified.code == 6
    assert (verified.data["ok"], verified.data["first_bad_seq"], verified.data["rows"]) == (False, seq, seq - 1)
    assert f"row {seq} was changed" in verified.data["why"]

    refused = program.do("run")
    assert refused.code == 6
    assert refused.is_plain(f"row {seq} was changed")
    assert not program.facts("RunStarted", run=6)


# --- two daemons, and people's hands ----------------------------------------------------------------------------------


@pytest.fixture
def trading(make_program: Make, busy: Mapping[str, str]) -> tuple[Any, Any, Any]:
    """A busy daemon on a sandbox of its own: program, daemon, the sandbox's account."""
    program = make_program(**busy)
    account = program.sandbox()
    daemon = program.run()
    program.wait_for("OrderFilled", count=3)
    return program, daemon, account


def test_a_second_daemon_is_refused_journal_key_and_port_and_the_first_goes_on(
    trading: tuple[Any, Any, Any], make_program: Make
) -> None:
    program, daemon, account = trading
    second = program.do("run")
    assert second.code == 4
    assert second.is_plain(f"in use by pid {daemon.pid}", "stop that process")

    port = daemon.announced("health").partition("/readyz")[0].rpartition(":")[2]
    elsewhere = make_program(**program.settings | {"ADMIN__PORT": port})
    elsewhere.settings["WORLD__STATE_DIR"] = str(elsewhere.state_dir)
    same_key = elsewhere.do("run")
    assert same_key.code == 4
    assert same_key.is_plain(f"API key {account.key[:6]}… is in use by pid {daemon.pid}", "its own API key")
    del elsewhere.settings["SANDBOX__CONNECT"]
    taken = elsewhere.do("run")
    assert taken.code == 4
    assert taken.is_plain(f"127.0.0.1:{port}", "admin.port")

    seen = program.facts()[-1].seq
    program.wait_for("OrderFilled", after=seen)
    began_s = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began_s < 5, "a stop waits for orders, not for looks at the account"


def _stopped_for_the_other(program: Any) -> int:
    """Number of the fact with which a daemon stopped for another one on its account; 0 while it has not."""
    halts = [fact.seq for fact in program.facts("TradingHalted") if fact.body["code"] == "halt_foreign_order"]
    return halts[0] if halts else 0


def test_h03_s32_of_two_daemons_with_keys_and_journals_of_their_own_one_at_most_trades_on(
    make_program: Make, busy: Mapping[str, str], wait_until: Wait
) -> None:
    first, second = make_program(**busy, SANDBOX__KEYS="2"), make_program(**busy)
    first.sandbox()
    hello = second.directory / "hello.json"
    hello.touch(mode=0o600)
    told = json.loads((first.directory / "hello.json").read_bytes())
    hello.write_bytes(orjson.dumps(told | {name: told[f"{name}_2"] for name in ("api_key", "api_secret")}))
    second.settings["SANDBOX__CONNECT"] = str(hello)
    first.run()
    first.wait_for("OrderFilled")
    second.run()
    both = (first, second)
    wait_until(lambda: any(map(_stopped_for_the_other, both)), 60, "one of them stops for the other")
    for program in both:
        if seq := _stopped_for_the_other(program):
            assert program.started[-1].stop() == 0
            assert not program.facts("OrderSubmitted", after=seq)


def test_h05_after_too_many_crashes_it_follows_and_trades_only_when_people_resume(
    make_program: Make, busy: Mapping[str, str], wait_until: Wait
) -> None:
    program = make_program(**busy, WORLD__CRASHES_MAX="1")
    program.sandbox()
    program.run()
    program.wait_for("OrderSubmitted")
    program.started[-1].kill()

    program.run()
    program.wait_for("Reconciled", run=2)
    wait_until(lambda: not _under_way(program), 30, "what the crash left is known and cancelled")
    assert [fact.body["code"] for fact in program.facts("TradingHalted", run=2)] == ["halt_crash_loop"]
    assert not program.facts("OrderSubmitted", run=2)
    program.do("resume", "--json", "--reason", "the log was read")
    program.wait_for("OrderSubmitted", run=2)
    assert program.started[-1].stop() == 0

    program.run()
    program.wait_for("OrderSubmitted", run=3)
    assert not program.facts("TradingHalted", run=3), "an orderly end wipes the count"
    assert program.started[-1].stop() == 0


def _untouched_at(program: Any, seq: int) -> set[str]:
    """Client order ids that were open at this fact, and that nobody had asked to cancel yet."""
    before = [fact for fact in program.facts() if fact.seq < seq]
    opened = {fact.body["cl_ord_id"] for fact in before if fact.kind == "OrderOpened"}
    return opened - {fact.body["cl_ord_id"] for fact in before if fact.kind in ("OrderEnded", "CancelRequested")}


def test_h14_a_halt_cancels_what_rests_and_sends_nothing_more(
    make_program: Make, busy: Mapping[str, str], wait_until: Wait
) -> None:
    """Large passive orders rest for a while; one that was filled before the halt came proves nothing, so: again."""
    large = {"RISK__ORDER_USD_MAX": "150000", "STRATEGIES__TREND_BTC__EXECUTION": "make"}
    program = make_program(**{**busy, **large})
    account, daemon = program.sandbox(), program.run()
    for _ in range(10):
        wait_until(lambda: _resting(program), 20, "an order rests")
        halted = program.do("halt", "--json", "--reason", "a test")
        assert (halted.code, halted.data["accepted"], halted.data["latched"]) == (0, True, True)
        *_, halt = program.wait_for("TradingHalted")
        if rested := _untouched_at(program, halt.seq):
            break
        program.do("resume", "--json", "--reason", "nothing rested")
    else:
        pytest.fail("ten halts met no resting order")

    assert (halt.body["scope"], halt.body["reason"]) == ("all", "a test")
    wait_until(lambda: not _under_way(program), 20, "nothing is under way")
    assert rested <= {fact.body["cl_ord_id"] for fact in program.facts("CancelRequested", after=halt.seq)}
    time.sleep(2)  # in which a daemon that trades would send more
    assert not program.facts("OrderSubmitted", after=halt.seq)
    assert daemon.stop() == 0
    opened = [float(order["opentm"]) for order in account.pages("ClosedOrders", "closed").values()]
    assert max(opened) <= halt.at_ns / 1e9
    assert account.ask("OpenOrders")["open"] == {}


def test_a_halt_outlasts_a_restart_and_ends_by_resume(trading: tuple[Any, Any, Any]) -> None:
    program, daemon, _ = trading
    program.do("halt", "--json", "--reason", "a test")
    daemon.stop()
    daemon = program.run()
    program.wait_for("Reconciled", run=2)
    time.sleep(1)
    stops = program.do("status", "--json").data["stops"]
    assert [(stop["code"], stop["why"]) for stop in stops if stop["kind"] == "halt"] == [("halt_operator", "a test")]
    assert not program.facts("OrderSubmitted", run=2)

    resumed = program.do("resume", "--json", "--reason", "the test is over")
    assert (resumed.code, resumed.data["accepted"]) == (0, True)
    program.wait_for("OrderFilled", run=2)
    assert daemon.stop() == 0
