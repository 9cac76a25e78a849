"""Settings become the core's own words, and the parts of a world that can be chosen without starting it."""

from __future__ import annotations

import gc
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from aether.app import label_of, set_apart
from aether.core.policy import OrderPolicy, RiskLimits, SizingPolicy, TrendParameters
from aether.domain.errors import BadConfiguration
from aether.domain.spot_gate import GateRefusal, SpotGate, recall
from aether.domain.values import Usd
from aether.journal.codec import decode, encode
from aether.journal.sqlite import open_journal
from aether.kraken.listings import read_listings
from aether.policies import TICK_MS, gate_of, pace_of, policy_of
from aether.runtime.clock import SystemClock
from aether.settings import Settings, load_settings
from aether.sim.recorded import asset_pairs_json
from aether.worlds import MADE_ACCOUNT, Place, place_of, read_hello, sandbox_account, sandbox_config

ROOT = Path(__file__).parents[2]
BTC, ETH = recall("BTC/USD"), recall("ETH/USD")


def shipped(**sections: dict[str, Any]) -> Settings:
    return load_settings(ROOT / "config" / "aether.toml", sections)


@pytest.fixture
def gate() -> SpotGate:
    return gate_of(shipped(), read_listings(asset_pairs_json()))


@pytest.fixture(autouse=True)
def no_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


# --- the gate -------------------------------------------------------------------------------------------------------


def test_the_gate_admits_exactly_what_is_traded_in_any_spelling(gate: SpotGate) -> None:
    assert gate.symbols == (BTC, ETH)
    for spelling in ("BTC/USD", "btc-usd", "XBTUSD", "XBT/USD"):
        assert gate.admit(spelling) == BTC


@pytest.mark.parametrize("spelling", ["xbt/usd", "BTCUSD", "btc_usd"])
def test_a_pair_may_be_listed_in_any_spelling(spelling: str) -> None:
    gate = gate_of(shipped(symbols={"trade": (spelling, "ETH/USD")}), read_listings(asset_pairs_json()))
    assert gate.symbols == (BTC, ETH)


def test_a_pair_that_is_not_on_the_list_is_refused(gate: SpotGate) -> None:
    only_btc = gate_of(shipped(symbols={"trade": ("BTC/USD",)}), read_listings(asset_pairs_json()))
    refused = only_btc.admit("ETH/USD")
    assert isinstance(refused, GateRefusal)
    assert refused.code == "gate_not_allowed"


@pytest.mark.parametrize(
    ("name", "code"), [("BTC/EUR", "gate_"), ("NOSUCH/USD", "gate_unknown_pair"), ("BTC-PERP", "gate_derivative")]
)
def test_a_pair_that_cannot_be_traded_stops_the_start_naming_key_pair_and_code(name: str, code: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        gate_of(shipped(symbols={"trade": ("BTC/USD", name)}), read_listings(asset_pairs_json()))
    assert "symbols.trade" in refused.value.what
    assert name in refused.value.what
    assert code in refused.value.what


@pytest.mark.parametrize("base", ["ETH", "eth"])
def test_an_excluded_base_that_is_listed_to_trade_stops_the_start(base: str) -> None:
    with pytest.raises(BadConfiguration, match="gate_excluded_base"):
        gate_of(shipped(symbols={"excluded_bases": (base,)}), read_listings(asset_pairs_json()))


# --- the policy -----------------------------------------------------------------------------------------------------


def test_every_limit_reaches_the_core_as_it_was_set(gate: SpotGate) -> None:
    settings = shipped()
    risk, told = policy_of(settings, gate).risk, settings.risk.model_dump()
    assert set(told) == {field.name for field in fields(RiskLimits)}
    for name, value in told.items():
        assert getattr(risk, name) == (Usd(value) if isinstance(value, Decimal) else value)


def test_limits_in_dollars_are_dollars_and_all_others_are_whole_numbers(gate: SpotGate) -> None:
    risk = policy_of(shipped(), gate).risk
    for field in fields(RiskLimits):
        assert isinstance(getattr(risk, field.name), Usd if "_usd" in field.name else int)


def test_sizing_and_orders_reach_the_core_as_they_were_set(gate: SpotGate) -> None:
    settings = shipped()
    policy = policy_of(settings, gate)
    for field in fields(SizingPolicy):
        if field.name not in ("regimes", "rebalance_usd_min"):
            assert getattr(policy.sizing, field.name) == getattr(settings.sizing, field.name)
    assert policy.sizing.rebalance_usd_min == Usd(settings.sizing.rebalance_usd_min)
    assert [regime.name for regime in policy.sizing.regimes] == ["calm", "restless", "storm"]
    for field in fields(OrderPolicy):
        assert getattr(policy.orders, field.name) == getattr(settings.orders, field.name)


def test_each_strategy_bears_its_id_and_its_symbols(gate: SpotGate) -> None:
    trends = policy_of(shipped(), gate).trends
    assert [(trend.id, trend.symbols, trend.passive) for trend in trends] == [
        ("trend_btc", (BTC,), False),
        ("trend_eth", (ETH,), True),
    ]
    told = shipped().strategies["trend_btc"]
    for name in {field.name for field in fields(TrendParameters)} - {"id", "symbols", "passive"}:
        assert getattr(trends[0], name) == getattr(told, name)


def test_a_strategy_on_a_pair_that_is_not_traded_stops_the_start() -> None:
    settings = shipped(symbols={"trade": ("BTC/USD",)})
    gate = gate_of(settings, read_listings(asset_pairs_json()))
    with pytest.raises(BadConfiguration) as refused:
        policy_of(settings, gate)
    assert "strategies.trend_eth.symbols" in refused.value.what
    assert "gate_not_allowed" in refused.value.what


def test_a_policy_survives_the_header_of_a_tape(gate: SpotGate) -> None:
    policy = policy_of(shipped(), gate)
    assert decode(type(policy), encode(policy)) == policy


def test_the_pace_is_that_of_the_settings() -> None:
    pace = pace_of(shipped(journal={"disk_reserve_mb": 3}, orders={"stall_ms_max": 900, "stop_s_max": 7}))
    assert (pace.disk_reserve_bytes, pace.stall_ms_max, pace.stop_s_max) == (3_000_000, 900, 7)
    assert pace.tick_ms == TICK_MS


# --- places ---------------------------------------------------------------------------------------------------------


def test_the_place_is_that_of_the_settings_and_nobody_elses_to_read(tmp_path: Path) -> None:
    place = place_of(shipped(world={"state_dir": tmp_path / "a" / "state"}))
    assert place == Place(tmp_path / "a" / "state", tmp_path / "a" / "state")
    assert place.state_dir.stat().st_mode & 0o777 == 0o700
    assert place.socket_path == place.state_dir / "control.sock"
    assert place.journal_path("paper") == place.state_dir / "journal-paper.db"
    assert place.tapes_dir.parent == place.state_dir


def test_the_service_managers_directories_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "lib"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    place = place_of(shipped(world={"state_dir": tmp_path / "other"}))
    assert place == Place(tmp_path / "lib", tmp_path / "run")
    assert place.socket_path.parent == tmp_path / "run"
    assert not (tmp_path / "other").exists()


def test_a_relative_place_is_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of(shipped()).state_dir == tmp_path / "state"


def test_a_place_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfiguration) as refused:
        place_of(shipped(world={"state_dir": tmp_path / "file" / "state"}))
    assert str(tmp_path / "file" / "state") in refused.value.what
    assert "world.state_dir" in refused.value.remedy


# --- the sandbox ----------------------------------------------------------------------------------------------------


def test_the_sandbox_is_made_as_the_settings_say() -> None:
    config = sandbox_config(shipped(sandbox={"port": 9000, "speed": 7}, world={"seed": 5}))
    assert (config.port, config.speed, config.seed) == (9000, 7, 5)
    assert config.balances == {"USD": Decimal(100_000)}


def test_the_start_is_an_hour_of_the_record_in_any_time_zone() -> None:
    def row(start: str) -> int:
        return sandbox_config(shipped(sandbox={"start": start})).start_row

    first = row("2020-10-01T00:00:00Z")
    assert first == 0
    assert row("2020-10-01T01:00:00Z") == 1
    assert row("2020-10-01T01:59:59Z") == 1
    assert row("2020-10-20T02:00:00+02:00") == row("2020-10-20T00:00:00Z") == 19 * 24


@pytest.mark.parametrize("start", ["2020-09-30T23:59:59Z", "2021-10-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_start_outside_the_record_is_refused(start: str) -> None:
    with pytest.raises(BadConfiguration, match=r"sandbox\.start .* is not recorded"):
        sandbox_config(shipped(sandbox={"start": start}))


@pytest.mark.parametrize("start", ["yesterday", "", "2020-13-01T00:00:00Z", "2020-10-20", "2020-10-20T00:00:00"])
def test_a_start_that_is_no_moment_is_refused(start: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        sandbox_config(shipped(sandbox={"start": start}))
    assert "sandbox.start" in refused.value.what
    assert "2020-10-20T00:00:00Z" in refused.value.remedy


HELLO = {
    "rest": "http://127.0.0.1:9000",
    "ws_public": "ws://127.0.0.1:9000/v2",
    "ws_private": "ws://127.0.0.1:9001/v2",
    "api_key": "key",
    "api_secret": "secret",
}


@pytest.fixture
def hello_file(tmp_path: Path) -> Path:
    path = tmp_path / "sandbox.json"
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(HELLO) + b"\n")
    return path


def test_the_first_line_of_a_sandbox_is_read(hello_file: Path) -> None:
    hello_file.write_bytes(orjson.dumps({**HELLO, "more": 1}) + b"\nand what it said later\n")
    assert read_hello(hello_file) == HELLO


def test_keys_of_one_account_share_its_journal_where_the_line_names_the_account(hello_file: Path) -> None:
    assert sandbox_account(HELLO) != sandbox_account({**HELLO, "api_key": "another"})
    hello_file.write_bytes(orjson.dumps({**HELLO, "api_key": "another", "account": "key"}))
    assert sandbox_account(read_hello(hello_file)) == sandbox_account(HELLO)


@pytest.mark.parametrize("host", ["localhost", "[::1]", "127.0.0.1"])
def test_loopback_is_on_this_machine(hello_file: Path, host: str) -> None:
    hello_file.write_bytes(orjson.dumps({**HELLO, "rest": f"http://{host}:1"}))
    assert read_hello(hello_file)["rest"] == f"http://{host}:1"


@pytest.mark.parametrize("name", ["rest", "ws_public", "ws_private"])
@pytest.mark.parametrize(
    "host", ["api.kraken.com", "127.0.0.1.example.com", "localhost@example.com", "10.0.0.1", "0.0.0.0", ""]
)
def test_a_sandbox_elsewhere_is_refused(hello_file: Path, name: str, host: str) -> None:
    hello_file.write_bytes(orjson.dumps({**HELLO, name: f"https://{host}/v2"}))
    with pytest.raises(BadConfiguration) as refused:
        read_hello(hello_file)
    assert f"{name} is not on this machine" in refused.value.what
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"aether: starting\n",
        b"[]",
        b"7",
        orjson.dumps({key: value for key, value in HELLO.items() if key != "api_secret"}),
        orjson.dumps({**HELLO, "rest": "http://[::1"}),
        b"\xff\xfe",
    ],
)
def test_what_no_sandbox_printed_is_refused(hello_file: Path, content: bytes) -> None:
    hello_file.write_bytes(content)
    with pytest.raises(BadConfiguration) as refused:
        read_hello(hello_file)
    assert "sandbox.connect" in refused.value.remedy


def test_a_first_line_that_others_can_read_is_refused(hello_file: Path) -> None:
    hello_file.chmod(0o644)
    with pytest.raises(BadConfiguration, match="mode 0600"):
        read_hello(hello_file)


# --- a run's own label ----------------------------------------------------------------------------------------------


async def test_a_run_labels_itself_with_the_journals_tag_and_the_settings_digest(tmp_path: Path) -> None:
    settings, clock = shipped(world={"seed": 3}), SystemClock()
    path = tmp_path / "journal.db"
    for drawn in ("abcd", "wxyz"):
        async with open_journal(path, account=MADE_ACCOUNT, tag=drawn, created_ns=clock.wall_ns()) as journal:
            label = label_of(settings, MADE_ACCOUNT, journal)
            assert label.tag == "abcd"  # a journal keeps its first
            assert (label.account, label.world, label.seed) == (MADE_ACCOUNT, "sandbox", 3)
            assert label.settings_digest == settings.digest
            assert label.real_money is False
    assert path.stat().st_mode & 0o077 == 0


def test_what_the_start_made_is_no_work_for_the_collector_of_garbage() -> None:
    with set_apart():
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000  # those that it would look through
    assert gc.get_freeze_count() == 0
