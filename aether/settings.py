"""config/*.toml, then environment, then flags: frozen settings. Unknown keys, missing limits, bad units stop the start.

`config/aether.toml` documents every key with its default, unit and reason; a test compares it with this file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from aether.core.strategies.trend import SLOW_WINDOWS
from aether.domain.errors import BadConfiguration
from aether.runtime.machine import WARM_BARS

ENV_PREFIX = "AETHER__"
DEAD_MAN_S_MIN = 15

Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=20)]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=30)]
BpsOfEquity = Annotated[int, Field(ge=0, le=10_000)]
StrategyId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class _Section(BaseModel):
    """A section of the file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class World(_Section):
    """[world]: which world to run in, and where its memory lives."""

    name: Literal["sandbox", "paper"] = "sandbox"
    """sandbox or paper"""
    state_dir: Path = Path("state")
    """directory of journals, tapes and the control socket"""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """seed of everything drawn by chance (back-off jitter, the made market)"""
    crashes_max: int = Field(default=5, ge=1, le=1_000_000)
    """runs without an orderly end, in five minutes, from which the next one trades only when people resume it"""


class Kraken(_Section):
    """[kraken]: where Kraken is, and how patient we are with it."""

    rest_url: str = "https://api.kraken.com"
    """address of the REST interface"""
    ws_public_url: str = "wss://ws.kraken.com/v2"
    """address of the public WebSocket"""
    book_depth: Literal[10, 25, 100, 500, 1000] = 25
    """levels a side that are subscribed"""
    request_timeout_s: int = Field(default=10, ge=1, le=60)
    """seconds until an answer counts as lost"""
    silence_s_max: int = Field(default=60, ge=5, le=3600)
    """seconds without a message of an acknowledged book until it counts as dead"""


class Symbols(_Section):
    """[symbols]: which pairs are ours."""

    trade: tuple[str, ...] = Field(min_length=1)
    """pairs in any spelling"""
    excluded_bases: tuple[str, ...]
    """bases that are never traded"""


class Risk(_Section):
    """[risk]: every limit, none with a default in code."""

    order_usd_max: Usd
    """USD"""
    order_nav_bps_max: BpsOfEquity
    """basis points of equity"""
    cash_bps_max: BpsOfEquity
    """basis points of free cash above the floor"""
    cash_floor_usd: Usd
    """USD"""
    exposure_symbol_bps_max: BpsOfEquity
    """basis points of equity"""
    exposure_total_bps_max: BpsOfEquity
    """basis points of equity"""
    daily_loss_bps_max: int = Field(ge=1, le=10_000)
    """basis points of the day's first equity"""
    drawdown_bps_max: int = Field(ge=1, le=10_000)
    """basis points of the highest equity"""
    collar_bps: int = Field(ge=1, le=10_000)
    """basis points from the references"""
    spread_bps_max: int = Field(ge=1, le=10_000)
    """basis points"""
    quote_age_ms_max: int = Field(ge=1, le=600_000)
    """milliseconds"""
    account_age_s_max: int = Field(ge=1, le=3_600)
    """seconds"""
    orders_per_minute_max: int = Field(ge=1, le=1_000)
    """orders"""
    orders_per_day_max: int = Field(ge=1, le=100_000)
    """orders"""
    order_spacing_s_min: int = Field(ge=0, le=86_400)
    """seconds"""
    duplicate_s: int = Field(ge=0, le=86_400)
    """seconds"""
    executions_max: int = Field(ge=1, le=100_000)
    """orders"""
    executions_window_s: int = Field(ge=1, le=86_400)
    """seconds"""


class RegimeSetting(_Section):
    """[[sizing.regimes]]: a volatility regime and the size in it."""

    name: str
    """label in records"""
    ratio_percent_min: int = Field(ge=0, le=10_000)
    """percent: short volatility over long volatility from which it holds"""
    size_percent: int = Field(ge=0, le=100)
    """percent of the normal size"""


class Sizing(_Section):
    """[sizing]: how a target becomes dollars."""

    risk_budget_bps: int = Field(ge=1, le=1_000)
    """basis points of equity a day"""
    volatility_floor_bps: int = Field(ge=1, le=10_000)
    """basis points a day"""
    volatility_bars_short: int = Field(ge=2, le=500)
    """bars"""
    volatility_bars_long: int = Field(ge=2, le=900)
    """bars"""
    edge_margin_bps: int = Field(ge=0, le=10_000)
    """basis points"""
    fee_fallback_bps: int = Field(ge=0, le=1_000)
    """basis points"""
    rebalance_band_bps: int = Field(ge=0, le=10_000)
    """basis points of the target position"""
    rebalance_usd_min: Usd
    """USD"""
    regimes: tuple[RegimeSetting, ...] = Field(min_length=1)
    """regimes, ascending"""


class Trend(_Section):
    """[strategies.ID]: one trend follower."""

    kind: Literal["trend"]
    """which strategy"""
    symbols: tuple[str, ...] = Field(min_length=1)
    """pairs, each of symbols.trade"""
    bar_s: Literal[60, 300, 900, 1800, 3600, 14400, 86400]
    """seconds"""
    fast_bars: int = Field(ge=2, le=300)
    """bars"""
    slow_bars: int = Field(ge=3, le=300)
    """bars"""
    full_score_percent: int = Field(ge=1, le=100_000)
    """percent of one standard deviation"""
    step_bps: int = Field(ge=1, le=10_000)
    """basis points of a full target"""
    edge_percent: int = Field(ge=1, le=1_000)
    """percent"""
    execution: Literal["take", "make"]
    """take or make"""


class Orders(_Section):
    """[orders]: how orders are sent and waited for."""

    deadline_ms: int = Field(ge=1_000, le=60_000)
    """milliseconds"""
    resting_s_max: int = Field(ge=1, le=86_400)
    """seconds"""
    cancel_retry_s: int = Field(ge=1, le=600)
    """seconds"""
    view_lag_s: int = Field(ge=1, le=600)
    """seconds"""
    clock_error_ms: int = Field(ge=1, le=60_000)
    """milliseconds"""
    reconcile_s: int = Field(ge=5, le=3_600)
    """seconds"""
    unresolved_retry_s: int = Field(ge=1, le=600)
    """seconds"""
    clock_offset_ms_max: int = Field(ge=1, le=60_000)
    """milliseconds"""
    stall_ms_max: int = Field(ge=50, le=60_000)
    """milliseconds"""
    stop_s_max: int = Field(ge=1, le=50)
    """seconds"""
    cancel_on_stop: bool
    """true or false"""
    account_is_ours: bool = False
    """true or false"""
    dead_man_s: int = Field(default=0, ge=0, le=3_600)
    """seconds, 15 to 3600, or 0"""


class Sandbox(_Section):
    """[sandbox]: the made Kraken."""

    port: int = Field(default=0, ge=0, le=65_533)
    """TCP port on loopback; 0 takes a free one"""
    speed: int = Field(default=60, ge=1, le=3_600)
    """recorded hours for each real hour"""
    start: str = "2020-10-20T00:00:00Z"
    """recorded hour at which the replay begins, RFC 3339"""
    balances: dict[str, Amount] = Field(default_factory=lambda: {"USD": Decimal(100_000)})
    """assets of the made account"""
    pairs: str = ""
    """a number of pairs, all, or names with commas between; empty for the recorded ones"""
    data: Path | None = None
    """directory of files such as XBTUSD_60.csv"""
    tier: Literal["starter", "intermediate", "pro"] = "pro"
    """verification level of the made account"""
    view_lag_ms: int = Field(default=0, ge=0, le=600_000)
    """milliseconds"""
    with_fees: bool = False
    """true or false"""
    tls: bool = False
    """true or false"""
    tls_dir: Path | None = None
    """directory for the certificate"""
    faults: bool = False
    """true or false"""
    withdraw_key: bool = False
    """true or false"""
    accounts: int = Field(default=1, ge=1, le=100)
    """made accounts, each with its own money"""
    keys: int = Field(default=1, ge=1, le=100)
    """keys of each made account, one for each program"""
    connect: Path | None = None
    """file with the first line of a sandbox that runs elsewhere on this machine"""


class Paper(_Section):
    """[paper]: the made account on Kraken's public market."""

    balances: dict[str, Amount] = Field(default_factory=lambda: {"USD": Decimal(100_000)})
    """assets of the made account"""


class Shadow(_Section):
    """[shadow]: the same orders on a made Kraken beside the venue, to see how far the model is from it."""

    enabled: bool = True
    """whether orders have a shadow"""


class Admin(_Section):
    """[admin]: health and metrics over HTTP; commands only over the control socket."""

    host: str = "127.0.0.1"
    """loopback address"""
    port: int = Field(default=8480, ge=0, le=65_535)
    """TCP port; 0 takes a free one"""


class JournalSettings(_Section):
    """[journal]: memory on disk."""

    disk_reserve_mb: int = Field(default=256, ge=1, le=1_000_000)
    """MB that must stay free"""
    tape_mb_max: int = Field(default=512, ge=1, le=1_000_000)
    """MB of recorded inputs that are kept"""


class LogSettings(_Section):
    """[log]: what is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """least level that is written"""
    format: Literal["auto", "json", "human"] = "auto"
    """json, human, or auto"""


class Settings(BaseSettings):
    """All settings of one start."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    world: World = World()
    kraken: Kraken = Kraken()
    symbols: Symbols
    risk: Risk
    sizing: Sizing
    strategies: dict[StrategyId, Trend] = Field(min_length=1)
    orders: Orders
    sandbox: Sandbox = Sandbox()
    paper: Paper = Paper()
    shadow: Shadow = Shadow()
    admin: Admin = Admin()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments alone: `load_settings` lays file, environment and flags over one another."""
        return (init_settings,)

    @property
    def digest(self) -> str:
        """SHA-256 of all values: two starts with the same digest were told the same."""
        return hashlib.sha256(orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).hexdigest()


def load_settings(path: Path, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
    """Read the file, lay environment and flags over it, and check everything.

    Raises BadConfiguration naming the key and what would be right.
    """
    _refuse_unknown_environment()
    try:
        values = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}", "name a readable file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} is not TOML: {error}", "mend the line it names") from error
    try:
        settings = Settings(**_laid_over(_laid_over(values, EnvSettingsSource(Settings)()), overrides or {}))
    except SettingsError as error:
        raise BadConfiguration(f"environment: {error}", "lists and tables are written there as JSON") from error
    except ValidationError as error:
        raise _explained(error) from error
    _cross_check(settings)
    return settings


def default_config_path() -> Path:
    """./config/aether.toml, else /etc/aether/aether.toml, else the file of the source tree."""
    candidates = (
        Path("config/aether.toml"),
        Path("/etc/aether/aether.toml"),
        Path(__file__).parent.parent / "config" / "aether.toml",
    )
    return next((path for path in candidates if path.is_file()), candidates[0])


def read_secret_file(path: Path, key: str) -> str:
    """Text of a secret file that nobody else can read. Raises BadConfiguration naming the setting `key`."""
    remedy = f"{key} must name a regular file of yours with mode 0600"
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
            raise BadConfiguration(f"{path} can be read by others or is no regular file", remedy)
        if status.st_uid not in (os.geteuid(), 0):
            raise BadConfiguration(f"{path} belongs to another user", remedy)
        return path.read_text("utf-8")
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}", remedy) from error


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """What is below, with each value that is set above in its place; tables are merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _refuse_unknown_environment() -> None:
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX):
            section = name[len(ENV_PREFIX) :].partition("__")[0].lower()
            if section not in Settings.model_fields:
                known = ", ".join(Settings.model_fields)
                raise BadConfiguration(f"environment variable {name}: no section {section!r}", f"sections are {known}")


def _explained(error: ValidationError) -> BadConfiguration:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    unit = _unit_of(first["loc"])
    match first["type"]:
        case "missing":
            return BadConfiguration(f"{key} is not set", f"set it in the file: {unit}")
        case "extra_forbidden":
            return BadConfiguration(f"{key} is no setting", "remove it, or see config/aether.toml for its right name")
        case _:
            return BadConfiguration(f"{key}: {first['msg']}, was {first['input']!r}", f"right would be: {unit}")


def _unit_of(loc: tuple[int | str, ...]) -> str:
    model: Any = Settings
    for part in loc:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            # an element of a dictionary or list of sections
            model = Trend if model is Settings or model is dict else model
            continue
        field = fields[part]
        if part == loc[-1] and field.description:
            return str(field.description)
        model = RegimeSetting if part == "regimes" else Trend if part == "strategies" else field.annotation
    return "as config/aether.toml documents it"


def _cross_check(settings: Settings) -> None:
    _check_dead_man(settings.orders)
    if settings.sizing.volatility_bars_short >= settings.sizing.volatility_bars_long:
        raise BadConfiguration("sizing.volatility_bars_short is not below volatility_bars_long", "make it smaller")
    thresholds = [regime.ratio_percent_min for regime in settings.sizing.regimes]
    if thresholds[0] != 0 or thresholds != sorted(set(thresholds)):
        raise BadConfiguration("sizing.regimes must begin at ratio_percent_min 0 and ascend", "order them so")
    for name, strategy in settings.strategies.items():
        if strategy.fast_bars >= strategy.slow_bars:
            raise BadConfiguration(f"strategies.{name}.fast_bars is not below slow_bars", "make it smaller")
    _check_windows(settings)
    if settings.risk.exposure_symbol_bps_max > settings.risk.exposure_total_bps_max:
        raise BadConfiguration(
            "risk.exposure_symbol_bps_max is above risk.exposure_total_bps_max", "one pair cannot have more than all"
        )


def _check_windows(settings: Settings) -> None:
    """A window longer than the history that Kraken serves would keep a strategy silent for days."""
    if settings.sizing.volatility_bars_long >= WARM_BARS:
        raise BadConfiguration("sizing.volatility_bars_long is longer than history", f"at most {WARM_BARS - 1}")
    for name, strategy in settings.strategies.items():
        if strategy.slow_bars * SLOW_WINDOWS > WARM_BARS:
            most = WARM_BARS // SLOW_WINDOWS
            raise BadConfiguration(f"strategies.{name}.slow_bars is longer than history", f"at most {most}")


def _check_dead_man(orders: Orders) -> None:
    if not orders.dead_man_s:
        return
    if orders.dead_man_s < DEAD_MAN_S_MIN:
        raise BadConfiguration(
            f"orders.dead_man_s of {orders.dead_man_s} leaves no time to renew it",
            f"set {DEAD_MAN_S_MIN} at least (Kraken recommends 60), or 0",
        )
    if not orders.account_is_ours:
        raise BadConfiguration(
            "orders.dead_man_s would cancel every order of the account, yours too",
            "set orders.account_is_ours = true if nobody else trades on it, or dead_man_s = 0",
        )
