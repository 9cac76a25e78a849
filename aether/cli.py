"""The command line. Standard output is data, standard error is talk; every verb that prints data takes --json.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon not running, 4 bad configuration, 5 timed out, 6 check failed.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote

import orjson
import typer
import uvloop
from rich.console import Console

from aether import printing
from aether.admin.control import ControlClient, ControlTimeout, DaemonNotRunning
from aether.app import replay_tape, run_daemon, run_sandbox
from aether.doctor import examine_all
from aether.domain.codes import CODES
from aether.domain.errors import AetherError, BadConfiguration, JournalBroken
from aether.journal.audit import verify as verify_journal
from aether.journal.backup import back_up
from aether.kraken.capture import verify_capture
from aether.kraken.capture_record import CHANNELS, DEPTHS, read_frames
from aether.recording import RecordingPlan, RecordingReport, record_capture
from aether.runtime.clock import SystemClock
from aether.settings import Settings, default_config_path, load_settings
from aether.simulator.verb import Asked, replay_seed, simulate_seeds
from aether.worlds import place_of

T = TypeVar("T")
PIPE_WIDTH = 160  # columns of a table that goes to a file
_REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOENT: "name one that is there",
        errno.EISDIR: "name a file",
        errno.ENOTDIR: "name a file in a directory",
        errno.EACCES: "look at its owner and mode",
        errno.EPERM: "look at its owner and mode",
        errno.EROFS: "name a place that can be written",
        errno.ENOSPC: "make room on that disk",
        errno.EDQUOT: "make room in that quota",
        errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    }
)


class Exit(IntEnum):
    """What a shell script can tell apart."""

    DONE = 0
    FAILED = 1
    NOT_RUNNING = 3
    BAD_CONFIGURATION = 4
    TIMED_OUT = 5
    CHECK_FAILED = 6


app = typer.Typer(
    name="aether",
    help="Trades Kraken spot USD pairs, and brings its own Kraken to do it on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="Look at the settings.", no_args_is_help=True)
capture_app = typer.Typer(help="Recorded frames of Kraken's feeds.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(capture_app, name="capture")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="settings file [./config/aether.toml, /etc/aether/aether.toml]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
ReasonOption = Annotated[str, typer.Option("--reason", help="kept in the journal")]
ScopeOption = Annotated[str, typer.Option("--scope", help="all, symbol:BTC/USD or strategy:ID")]


def _known_depth(depth: int | None) -> int | None:
    if depth not in (None, *DEPTHS):
        raise typer.BadParameter(f"one of {', '.join(map(str, DEPTHS))}, was {depth}")
    return depth


talk = Console(stderr=True, highlight=False, soft_wrap=True)  # a path that is broken over lines cannot be copied


def main() -> None:
    """Entry point of the `aether` command."""
    try:
        app()
    except BaseExceptionGroup as group:
        _fail_with(_first_leaf(group))
    except (AetherError, OSError) as error:
        _fail_with(error)


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """A defect before an expected error: what nobody foresaw must not hide behind what somebody did."""
    expected, defects = group.split((AetherError, OSError))
    leaf: BaseException = defects or expected or group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


def _fail_with(error: BaseException) -> NoReturn:
    match error:
        case DaemonNotRunning():
            code = Exit.NOT_RUNNING
        case BadConfiguration():
            code = Exit.BAD_CONFIGURATION
        case JournalBroken():
            code = Exit.CHECK_FAILED
        case ControlTimeout() | TimeoutError():
            code = Exit.TIMED_OUT
        case AetherError() | OSError():
            code = Exit.FAILED
        case _:
            raise error  # a defect: the traceback is what one needs
    talk.print(f"aether: {_said(error)}", markup=False)
    raise SystemExit(code)


def _said(error: BaseException) -> str:
    """An error of ours says what to do; the operating system's says what and where, and the remedy is ours."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    remedy = _REMEDIES.get(error.errno)
    return f"{what}; {remedy}" if remedy else what


def _settings(config: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Settings:
    return load_settings(config or default_config_path(), overrides)


def _await(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


# --- running --------------------------------------------------------------------------------------------------------


@app.command()
def run(
    config: ConfigOption = None,
    world: Annotated[str | None, typer.Option(help="sandbox or paper; live is reached by the switch alone")] = None,
) -> None:
    """Start the daemon. Ctrl-C or SIGTERM stops it in order."""
    overrides = {"world": {"name": world}} if world else None
    _await(run_daemon(_settings(config, overrides), lambda line: talk.print(f"aether: {line}", markup=False)))


@app.command()
def sandbox(
    config: ConfigOption = None,
    *,
    port: Annotated[
        int | None, typer.Option(help="TCP port; the next two serve the private socket and the faults")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the made market")] = None,
    speed: Annotated[int | None, typer.Option(help="recorded hours in a real hour")] = None,
    pairs: Annotated[str | None, typer.Option(help="made pairs: how many, all, or names with commas between")] = None,
    data: Annotated[Path | None, typer.Option(help="directory of your own candles, such as XBTUSD_60.csv")] = None,
    tier: Annotated[str | None, typer.Option(help="starter, intermediate or pro")] = None,
    view_lag_ms: Annotated[int | None, typer.Option(help="how long REST does not show what just happened")] = None,
    with_fees: Annotated[bool | None, typer.Option("--with-fees", help="name fees in AssetPairs")] = None,
    tls: Annotated[bool | None, typer.Option("--tls", help="https and wss, with a certificate made for it")] = None,
    faults: Annotated[bool | None, typer.Option("--faults", help="open the fault port")] = None,
    withdraw_key: Annotated[bool | None, typer.Option("--withdraw-key", help="let the key withdraw")] = None,
    accounts: Annotated[int | None, typer.Option(help="accounts, each with its own money and keys")] = None,
    keys: Annotated[int | None, typer.Option(help="keys of each account, one for each program")] = None,
    hello: Annotated[Path | None, typer.Option(help="also keep the first line in this file, mode 0600")] = None,
) -> None:
    """Run only the made Kraken, for any client. The first line on standard output is JSON: addresses and key."""
    given: dict[str, Any] = {
        "port": port,
        "speed": speed,
        "pairs": pairs,
        "data": data,
        "tier": tier,
        "view_lag_ms": view_lag_ms,
        "with_fees": with_fees,
        "tls": tls,
        "faults": faults,
        "withdraw_key": withdraw_key,
        "accounts": accounts,
        "keys": keys,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    overrides: dict[str, dict[str, Any]] = {"sandbox": changes, "world": {} if seed is None else {"seed": seed}}
    _await(run_sandbox(_settings(config, overrides), hello))


# --- looking and acting, over the control socket --------------------------------------------------------------------


def _ask(config: Path | None, path: str, *, as_json: bool, show: printing.Show) -> None:
    answer = _await(ControlClient(place_of(_settings(config)).socket_path).get(path))
    _print(answer, as_json=as_json, show=show)


def _print(answer: Any, *, as_json: bool, show: printing.Show) -> None:
    if as_json:
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        show(Console(width=None if sys.stdout.isatty() else PIPE_WIDTH), answer)


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Equity, positions, orders, and what stops trading."""
    _ask(config, "/v1/status", as_json=as_json, show=printing.status)


@app.command()
def balances(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What is on the account, and what moved it beside trading."""
    _ask(config, "/v1/balances", as_json=as_json, show=printing.status)


@app.command()
def positions(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What each strategy holds."""
    _ask(config, "/v1/positions", as_json=as_json, show=printing.rows)


@app.command()
def orders(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Open and recent orders."""
    _ask(config, "/v1/orders", as_json=as_json, show=printing.rows)


@app.command()
def trades(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Recent fills."""
    _ask(config, "/v1/trades", as_json=as_json, show=printing.rows)


@app.command()
def limits(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Each limit and how much of it is in use."""
    _ask(config, "/v1/limits", as_json=as_json, show=printing.rows)


@app.command()
def why(
    order_or_intent: Annotated[str | None, typer.Argument(help="order id, client order id or intent id")] = None,
    codes: Annotated[bool, typer.Option("--codes", help="print every code of refusal with its meaning")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Each check, each number, the one that bound, and all that followed."""
    if codes:
        _print([{"code": code, "meaning": text} for code, text in CODES.items()], as_json=as_json, show=printing.rows)
    elif order_or_intent is None:
        raise typer.BadParameter("name an order or an intent, or ask for --codes")
    else:
        _ask(config, f"/v1/orders/{quote(order_or_intent, safe='')}/why", as_json=as_json, show=printing.story)


def _act(config: Path | None, path: str, body: dict[str, str], *, as_json: bool) -> None:
    answer = _await(ControlClient(place_of(_settings(config)).socket_path).post(path, body))
    _print(answer, as_json=as_json, show=printing.record)


@app.command()
def halt(
    reason: ReasonOption, scope: ScopeOption = "all", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Stop sending orders at once and cancel what rests, until resumed."""
    _act(config, "/v1/halt", {"scope": scope, "reason": reason}, as_json=as_json)


@app.command()
def resume(
    reason: ReasonOption, scope: ScopeOption = "all", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """End a halt on a sandbox or paper account."""
    _act(config, "/v1/resume", {"scope": scope, "reason": reason}, as_json=as_json)


@app.command()
def flatten(
    reason: ReasonOption, scope: ScopeOption = "all", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Halt, cancel what rests, and sell what the strategies hold; what stays is told in the log and in status."""
    _act(config, "/v1/flatten", {"scope": scope, "reason": reason}, as_json=as_json)


@app.command(name="cancel-all")
def cancel_all(reason: ReasonOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Cancel each of our own open orders."""
    _act(config, "/v1/orders/cancel", {"reason": reason}, as_json=as_json)


# --- proof ----------------------------------------------------------------------------------------------------------


@app.command()
def verify(
    journal: Annotated[Path | None, typer.Option(help="the newest journal of the state directory unless named")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the journal: its chain, its fold, its sums. Exit 6 and the first bad row if anything is wrong."""
    path = journal or _newest_journal(_settings(config))
    report = _await(verify_journal(path))
    _print({"journal": str(path), **printing.plain(report)}, as_json=as_json, show=printing.record)
    raise SystemExit(Exit.DONE if report.ok else Exit.CHECK_FAILED)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="a file that is not there yet")],
    journal: Annotated[Path | None, typer.Option(help="the newest journal of the state directory unless named")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the journal to a new file, while a daemon writes it. The copy is verified, and whole in its one file."""
    path = journal or _newest_journal(_settings(config))
    report = _await(back_up(path, target))
    _print({"journal": str(path), "copy": str(target), **printing.plain(report)}, as_json=as_json, show=printing.record)


def _newest_journal(settings: Settings) -> Path:
    found = sorted(place_of(settings).state_dir.glob("journal-*.db"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BadConfiguration("there is no journal yet", "name one with --journal")
    return found[-1]


@app.command()
def doctor(
    world: Annotated[str | None, typer.Option(help="sandbox or paper; that of the settings unless named")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at files, disk, clock, addresses, certificates and key before a run does. Exit 6 if one must be mended."""
    path = config or default_config_path()
    settings = load_settings(path, {"world": {"name": world}} if world else None)
    findings = _await(examine_all(settings, path, SystemClock()))
    is_well = all(finding.grade != "fail" for finding in findings)
    _print({"ok": is_well, "checks": printing.plain(findings)}, as_json=as_json, show=printing.rows)
    raise SystemExit(Exit.DONE if is_well else Exit.CHECK_FAILED)


@app.command()
def replay(
    tape: Annotated[Path, typer.Argument(help="directory of a run's tape")],
    journal: Annotated[Path | None, typer.Option(help="the journal that the tape names unless given")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run recorded inputs through the same core and compare the facts, byte for byte. Exit 6 if they differ."""
    report = _await(replay_tape(tape, journal))
    _print(printing.plain(report), as_json=as_json, show=printing.record)
    raise SystemExit(Exit.DONE if report.ok else Exit.CHECK_FAILED)


@app.command()
def simulate(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="how many worlds")] = 10,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="number of the first")] = 1,
    hours: Annotated[float, typer.Option(min=0.05, max=24, help="simulated time of each")] = 1.0,
    jobs: Annotated[int | None, typer.Option(min=1, help="worker processes; one a core unless named")] = None,
    report: Annotated[Path | None, typer.Option(help="new file that keeps each outcome, one JSON a line")] = None,
    resume: Annotated[Path | None, typer.Option(help="go on with the campaign of such a file")] = None,
    replay_of: Annotated[int | None, typer.Option("--replay", help="run this one seed alone")] = None,
    plan: Annotated[Path | None, typer.Option(help="what goes wrong in it, from a file; drawn unless named")] = None,
    trace: Annotated[Path | None, typer.Option(help="new file for all that it does, a line each")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole daemon in made worlds in which everything goes wrong, and judge each. Exit 6 if anything breaks."""
    asked = Asked(first_seed, seeds, round(hours * 3600), jobs, report, resume)
    if replay_of is None and (plan or trace):
        raise BadConfiguration("--plan and --trace are of one seed", "name it with --replay")
    if replay_of is not None and (report or resume):
        raise BadConfiguration("--report and --resume are of a campaign", "leave out --replay")
    if replay_of is not None:
        answer, is_clean = replay_seed(replay_of, asked.seconds, plan, trace)
    else:
        with _counting() as show:
            answer, is_clean = simulate_seeds(asked, show)
    _print(answer, as_json=as_json, show=printing.status)
    raise SystemExit(Exit.DONE if is_clean else Exit.CHECK_FAILED)


@contextmanager
def _counting() -> Iterator[Callable[[str], None]]:
    """Shows how a campaign goes on a terminal, and nothing in a pipe."""
    if not talk.is_terminal:
        yield lambda _: None
        return
    with talk.status("the first worlds begin") as line:
        yield line.update


@capture_app.command(name="record")
def capture_record(
    file: Annotated[Path, typer.Argument(help="new file, one frame a line; compressed where it ends in .gz")],
    *,
    channels: Annotated[str, typer.Option(help=f"of {', '.join(CHANNELS)}")] = "book,trade,instrument",
    symbols: Annotated[str | None, typer.Option(help="pairs, as BTC/USD,ETH/USD; symbols.trade unless named")] = None,
    depth: Annotated[
        int | None, typer.Option(callback=_known_depth, help="of books; kraken.book_depth unless named")
    ] = None,
    seconds: Annotated[int | None, typer.Option(min=1, help="how long; until Ctrl-C unless named")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record a public feed exactly as it comes, from the address of the settings. Ctrl-C ends the file in order."""
    settings = _settings(config)
    named = settings.symbols.trade if symbols is None else symbols.split(",")
    plan = RecordingPlan.of(file, channels, named, depth or settings.kraken.book_depth, seconds)
    with _progress() as show:
        report = _await(record_capture(settings, plan, SystemClock(), show))
    _print(printing.plain(report), as_json=as_json, show=printing.record)
    if report.ended == "disk":
        talk.print("aether: the disk reserve is reached (journal.disk_reserve_mb); the file is whole", markup=False)
        raise SystemExit(Exit.FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[RecordingReport], None]]:
    """Shows how a recording goes on a terminal, and nothing in a pipe."""
    if not talk.is_terminal:
        yield lambda _: None
        return
    with talk.status("connecting") as line:
        yield lambda report: line.update(
            f"{report.seconds} s  {report.frames} frames  {report.bytes / 1e6:.1f} MB  {report.reconnects} reconnects"
        )


@capture_app.command(name="verify")
def capture_verify(
    files: Annotated[list[Path], typer.Argument(help="recordings, one frame a line, compressed or not")],
    depth: Annotated[
        int, typer.Option(callback=_known_depth, help="subscribed depth, where the recording does not tell it")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """Decode recorded frames and check each book, through the code that the daemon uses. Exit 6 if one fails."""
    reports = {}
    for file in files:
        reports[str(file)] = verify_capture(read_frames(file), None, depth)
    answers = {name: report.as_json() for name, report in reports.items()}
    _print(answers if len(answers) > 1 else next(iter(answers.values())), as_json=as_json, show=printing.record)
    raise SystemExit(Exit.DONE if all(report.is_sound for report in reports.values()) else Exit.CHECK_FAILED)


# --- settings -------------------------------------------------------------------------------------------------------


@config_app.command(name="check")
def config_check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the settings as a start would. Exit 4 and the key if something is wrong."""
    path = config or default_config_path()
    answer = {"file": str(path), "digest": load_settings(path).digest}
    _print(answer, as_json=as_json, show=printing.record)


@config_app.command(name="show")
def config_show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the settings in force. They hold no secrets, only where secrets lie."""
    _print(_settings(config).model_dump(mode="json"), as_json=as_json, show=printing.sections)


@config_app.command(name="schema")
def config_schema() -> None:
    """Print the JSON schema of the settings file."""
    typer.echo(orjson.dumps(Settings.model_json_schema(), option=orjson.OPT_INDENT_2).decode())
