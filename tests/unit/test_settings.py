"""What may be said in the settings, who wins, and each refusal with the key and what would be right."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aether.domain.errors import BadConfiguration
from aether.settings import ENV_PREFIX, Risk, Settings, default_config_path, load_settings, read_secret_file

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "aether.toml"


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


class ConfigFile:
    """The shipped file, changed line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = SHIPPED.read_text("utf-8")

    def set(self, key: str, value: str) -> ConfigFile:
        """The first line of this key says something else."""
        return self._replace(key, f"{key} = {value}\n")

    def drop(self, key: str) -> ConfigFile:
        """The first line of this key is gone."""
        return self._replace(key, "")

    def _replace(self, key: str, line: str) -> ConfigFile:
        lines = self.text.splitlines(keepends=True)
        (place, *_) = [place for place, old in enumerate(lines) if old.startswith(f"{key} = ")]
        self.text = "".join([*lines[:place], line, *lines[place + 1 :]])
        return self

    def load(self, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
        self.path.write_text(self.text, "utf-8")
        return load_settings(self.path, overrides)

    def refused(self, what: str) -> BadConfiguration:
        """Loading it is refused with this text."""
        with pytest.raises(BadConfiguration) as refused:
            self.load()
        assert what in refused.value.what
        return refused.value


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    return ConfigFile(tmp_path / "aether.toml")


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_shipped_file_runs_the_sandbox() -> None:
    settings = load_settings(SHIPPED)
    assert settings.world.name == "sandbox"
    assert settings.symbols.trade == ("BTC/USD", "ETH/USD")
    assert settings.risk.order_usd_max == Decimal(15_000)


def test_decimals_are_exact(config: ConfigFile) -> None:
    settings = config.set("order_usd_max", "0.1").set("cash_floor_usd", "12345678901.123456").load()
    assert (settings.risk.order_usd_max, settings.risk.cash_floor_usd) == (
        Decimal("0.1"),
        Decimal("12345678901.123456"),
    )


def test_what_is_not_set_has_the_documented_default(config: ConfigFile) -> None:
    settings = config.drop("port").drop("seed").drop("tape_mb_max").load()
    assert (settings.sandbox.port, settings.world.seed, settings.journal.tape_mb_max) == (0, 1, 512)


@pytest.mark.parametrize("key", list(Risk.model_fields))
def test_no_limit_has_a_default(config: ConfigFile, key: str) -> None:
    refused = config.drop(key).refused(f"risk.{key} is not set")
    assert str(Risk.model_fields[key].description) in refused.remedy


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("risk_budget_bps", "sizing.risk_budget_bps"),
        ("size_percent", "sizing.regimes.0.size_percent"),
        ("bar_s", "strategies.trend_btc.bar_s"),
        ("cancel_on_stop", "orders.cancel_on_stop"),
        ("trade", "symbols.trade"),
    ],
)
def test_what_must_be_set_is_named_where_it_is_missing(config: ConfigFile, key: str, named: str) -> None:
    config.drop(key).refused(f"{named} is not set")


def test_a_missing_section_is_named(config: ConfigFile) -> None:
    config.path.write_text("[world]\nseed = 1\n")
    with pytest.raises(BadConfiguration, match="is not set"):
        load_settings(config.path)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("order_usd_maximum = 5", "risk.order_usd_maximum is no setting"),
        ("[risky]\nx = 1", "risky is no setting"),
        ("[strategies.trend_btc.more]\nx = 1", "strategies.trend_btc.more is no setting"),
    ],
)
def test_h13_an_unknown_key_is_refused_wherever_it_stands(config: ConfigFile, line: str, named: str) -> None:
    head, mark, tail = config.text.partition("[risk]\n")
    config.text = head + mark + line + "\n" + tail if "=" in line.splitlines()[0] else config.text + "\n" + line + "\n"
    config.refused(named)


@pytest.mark.parametrize(
    ("key", "value", "unit"),
    [
        ("order_usd_max", '"15k"', "USD"),
        ("order_usd_max", "-1", "USD"),
        ("order_usd_max", "nan", "USD"),
        ("order_usd_max", "inf", "USD"),
        ("order_nav_bps_max", "10001", "basis points of equity"),
        ("order_nav_bps_max", "0.5", "basis points of equity"),
        ("quote_age_ms_max", '"5s"', "milliseconds"),
        ("daily_loss_bps_max", "0", "basis points of the day's first equity"),
        ("size_percent", "101", "percent of the normal size"),
        ("slow_bars", "301", "bars"),
        ("bar_s", "61", "seconds"),
        ("stop_s_max", "51", "seconds"),
        ("cancel_on_stop", '"perhaps"', "true or false"),
        ("book_depth", "26", "levels a side that are subscribed"),
        ("execution", '"now"', "take or make"),
        ("name", '"live"', "sandbox or paper"),
        ("port", "65536", "TCP port on loopback; 0 takes a free one"),
        ("seed", "-1", "seed of everything drawn by chance (back-off jitter, the made market)"),
    ],
)
def test_a_value_out_of_bounds_or_of_another_unit_is_refused_with_its_unit(
    config: ConfigFile, key: str, value: str, unit: str
) -> None:
    refused = config.set(key, value).refused(f".{key}: ")
    assert unit in refused.remedy


@pytest.mark.parametrize("balances", ['{ USD = "-1" }', '{ USD = "NaN" }', '{ USD = "much" }', "100000"])
def test_a_made_account_holds_amounts_that_exist(config: ConfigFile, balances: str) -> None:
    config.set("balances", balances).refused("sandbox.balances")


def test_nothing_to_trade_is_refused(config: ConfigFile) -> None:
    config.set("trade", "[]").refused("symbols.trade")


def test_a_strategy_has_a_name_that_fits_into_records(config: ConfigFile) -> None:
    config.text = config.text.replace("[strategies.trend_btc]", '[strategies."Trend BTC"]')
    config.refused("strategies.Trend BTC")


def test_a_strategy_of_an_unknown_kind_is_refused(config: ConfigFile) -> None:
    config.set("kind", '"magic"').refused("strategies.trend_btc.kind")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as refused:
        load_settings(tmp_path / "none.toml")
    assert "none.toml" in refused.value.what
    assert "--config" in refused.value.remedy


@pytest.mark.parametrize("content", [b"[world\n", b"[world]\nname = \xff\n", b"seed = 1\nseed = 2\n"])
def test_a_file_that_is_not_toml_is_named(config: ConfigFile, content: bytes) -> None:
    config.path.write_bytes(content)
    with pytest.raises(BadConfiguration, match="is not TOML"):
        load_settings(config.path)


# --- values that must fit together ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("short", "is_good"), [("119", True), ("120", False), ("121", False)])
def test_the_short_volatility_window_is_below_the_long(config: ConfigFile, short: str, *, is_good: bool) -> None:
    config.set("volatility_bars_short", short)
    if is_good:
        config.load()
    else:
        config.refused("sizing.volatility_bars_short is not below")


@pytest.mark.parametrize(("fast", "is_good"), [("47", True), ("48", False), ("49", False)])
def test_the_fast_average_is_below_the_slow(config: ConfigFile, fast: str, *, is_good: bool) -> None:
    config.set("fast_bars", fast)
    if is_good:
        config.load()
    else:
        config.refused("strategies.trend_btc.fast_bars is not below slow_bars")


@pytest.mark.parametrize("thresholds", [(1, 130, 200), (0, 130, 130), (0, 200, 130), (0, 0, 130)])
def test_regimes_begin_at_zero_and_ascend(config: ConfigFile, thresholds: tuple[int, ...]) -> None:
    for old, new in zip((0, 130, 200), thresholds, strict=True):
        config.text = config.text.replace(f"ratio_percent_min = {old}\n", f"ratio_percent_min = was{old}is {new}\n", 1)
    for old in (0, 130, 200):
        config.text = config.text.replace(f"was{old}is ", "")
    config.refused("sizing.regimes")


@pytest.mark.parametrize(("total", "is_good"), [("4000", True), ("3999", False)])
def test_one_pair_has_no_more_room_than_all(config: ConfigFile, total: str, *, is_good: bool) -> None:
    config.set("exposure_total_bps_max", total)
    if is_good:
        config.load()
    else:
        config.refused("risk.exposure_symbol_bps_max is above")


# --- environment and flags ------------------------------------------------------------------------------------------


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER__RISK__ORDER_USD_MAX", "0.3")
    monkeypatch.setenv("AETHER__STRATEGIES__TREND_BTC__FAST_BARS", "7")
    monkeypatch.setenv("AETHER__SYMBOLS__TRADE", '["BTC/USD"]')
    settings = load_settings(SHIPPED)
    assert settings.risk.order_usd_max == Decimal("0.3")
    assert settings.strategies["trend_btc"].fast_bars == 7
    assert settings.strategies["trend_btc"].slow_bars == 48
    assert settings.symbols.trade == ("BTC/USD",)


def test_environment_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("aether__world__seed", "9")
    assert load_settings(SHIPPED).world.seed == 9


def test_flags_win_over_environment_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER__WORLD__NAME", "paper")
    monkeypatch.setenv("AETHER__WORLD__SEED", "7")
    settings = load_settings(SHIPPED, {"world": {"name": "sandbox"}})
    assert (settings.world.name, settings.world.seed) == ("sandbox", 7)


def test_a_flag_is_checked_as_any_value() -> None:
    with pytest.raises(BadConfiguration, match=r"sandbox\.speed"):
        load_settings(SHIPPED, {"sandbox": {"speed": 0}})
    with pytest.raises(BadConfiguration, match=r"sandbox\.sped is no setting"):
        load_settings(SHIPPED, {"sandbox": {"sped": 1}})


def test_flags_leave_what_they_do_not_name() -> None:
    settings = load_settings(SHIPPED, {"sandbox": {"speed": 12}, "strategies": {"trend_btc": {"bar_s": 300}}})
    assert settings.sandbox.balances == {"USD": Decimal(100_000)}
    assert [trend.bar_s for trend in settings.strategies.values()] == [300, 60]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("AETHER__RISKS__ORDER_USD_MAX", "AETHER__RISKS__ORDER_USD_MAX"),
        ("AETHER__", "AETHER__"),
        ("AETHER__RISK__ORDER_USD_MOST", "risk.order_usd_most is no setting"),
    ],
)
def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, named: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(BadConfiguration) as refused:
        load_settings(SHIPPED)
    assert named in refused.value.what


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHERIC__RISK__ORDER_USD_MAX", "1")
    monkeypatch.setenv("AETHER_HOME", "/nowhere")
    assert load_settings(SHIPPED).risk.order_usd_max == Decimal(15_000)


@pytest.mark.parametrize("name", ["AETHER__SYMBOLS", "AETHER__SYMBOLS__TRADE"])
def test_a_list_in_the_environment_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "BTC/USD")
    with pytest.raises(BadConfiguration) as refused:
        load_settings(SHIPPED)
    assert "symbols" in refused.value.what
    assert "JSON" in refused.value.remedy


def test_a_bad_value_in_the_environment_is_refused_as_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AETHER__RISK__QUOTE_AGE_MS_MAX", "5s")
    with pytest.raises(BadConfiguration, match=r"risk\.quote_age_ms_max.*milliseconds"):
        load_settings(SHIPPED)


# --- what settings are ----------------------------------------------------------------------------------------------


def test_settings_are_frozen() -> None:
    settings = load_settings(SHIPPED)
    with pytest.raises(ValidationError):
        settings.risk.order_usd_max = Decimal(1)


def test_the_digest_is_of_the_values_not_of_where_they_came_from(
    config: ConfigFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_settings(SHIPPED).digest
    assert config.drop("seed").load().digest == shipped
    assert config.set("speed", "61").load().digest != shipped
    monkeypatch.setenv("AETHER__SANDBOX__SPEED", "60")
    assert config.load().digest == shipped


@pytest.mark.parametrize(
    ("key", "value"), [("order_usd_max", "15001"), ("cancel_on_stop", "false"), ("state_dir", '"elsewhere"')]
)
def test_the_digest_changes_with_each_value(config: ConfigFile, key: str, value: str) -> None:
    assert config.set(key, value).load().digest != load_settings(SHIPPED).digest


def test_the_digest_does_not_hang_on_the_order_of_keys(config: ConfigFile) -> None:
    one = config.set("balances", "{ USD = 1, BTC = 2 }").load().digest
    assert config.set("balances", "{ BTC = 2, USD = 1 }").load().digest == one


@pytest.mark.process
@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_digest_is_the_same_in_every_process(hash_seed: str) -> None:
    program = (
        "from pathlib import Path; from aether.settings import load_settings; "
        f"print(load_settings(Path({str(SHIPPED)!r})).digest)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": hash_seed, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.strip() == load_settings(SHIPPED).digest


def test_the_file_of_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_config_path() != Path("config/aether.toml")
    assert default_config_path().is_file()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "aether.toml").write_text("")
    assert default_config_path() == Path("config/aether.toml")


# --- secret files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("the key\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_secret_that_only_its_owner_can_read_is_read(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    assert read_secret_file(secret, "sandbox.connect") == "the key\n"


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644])
def test_a_secret_that_others_can_touch_is_refused(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    with pytest.raises(BadConfiguration) as refused:
        read_secret_file(secret, "sandbox.connect")
    assert str(secret) in refused.value.what
    assert "sandbox.connect" in refused.value.remedy
    assert "0600" in refused.value.remedy


def test_a_secret_behind_a_link_is_refused(secret: Path) -> None:
    link = secret.with_name("link")
    link.symlink_to(secret)
    with pytest.raises(BadConfiguration, match="no regular file"):
        read_secret_file(link, "sandbox.connect")


def test_a_directory_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="no regular file"):
        read_secret_file(tmp_path, "sandbox.connect")


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="none: No such file"):
        read_secret_file(tmp_path / "none", "sandbox.connect")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secret_of_another_user_is_refused(secret: Path) -> None:
    os.chown(secret, 12_345, -1)
    with pytest.raises(BadConfiguration, match="another user"):
        read_secret_file(secret, "sandbox.connect")


def test_a30_the_dead_mans_switch_needs_an_account_of_our_own(config: ConfigFile) -> None:
    config.set("dead_man_s", "60").refused("every order of the account")

    config.set("account_is_ours", "true")
    assert config.load().orders.dead_man_s == 60
    config.set("dead_man_s", "14").refused("no time to renew it")
