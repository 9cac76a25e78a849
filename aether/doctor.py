"""`aether doctor`: looks at what a run leans on, before one does: files, disk, clock, addresses, certificates, key.

Each finding is ok, warn, fail or skip (could not be looked at here), with what to do about it. In the sandbox world
nothing outside this machine is asked.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import ssl
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from aether.domain.errors import BadConfiguration, VenueRefused, VenueUnavailable
from aether.domain.inputs import ClockMeasured
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.kraken.connection import Pinger
from aether.kraken.key_lock import KeyTaken, key_lock
from aether.kraken.key_passport import ask_passport, examine
from aether.kraken.messages import Answer, SystemStatus
from aether.kraken.rate_limit import Tier
from aether.kraken.rest import KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.wire import Reader
from aether.ports import Clock
from aether.settings import Settings
from aether.worlds import Place, place_of, running, sandbox_account, sandbox_at

Grade = Literal["ok", "warn", "fail", "skip"]

REACH_S = 5.0
CERTIFICATE_WARNING_DAYS = 14
CLOCK_WARNING_MS = 1_000  # from there on deadlines need the correction that they get
FSYNC_WARNING_MS = 20  # an order waits for one commit: at twenty the disk is slower than the way to Kraken
FSYNC_TRIES = 20
FSYNC_BYTES = 4096
NOBODY_HALTS_BPS = 10_000
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    grade: Grade
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What to look at. `addresses` by what they serve; `hello` is a sandbox's first line where the world has a key."""

    settings: Settings
    config_path: Path
    place: Place
    addresses: Mapping[str, str]
    hello: Mapping[str, str] | None
    clock: Clock


async def examine_all(settings: Settings, config_path: Path, clock: Clock) -> tuple[Finding, ...]:
    """Look at the world of the settings; the sandbox world's own sandbox runs meanwhile."""
    place = place_of(settings)
    if settings.world.name == "paper":
        addresses = {"rest": settings.kraken.rest_url, "public socket": settings.kraken.ws_public_url}
        return await diagnose(Patient(settings, config_path, place, addresses, None, clock))
    async with sandbox_at(settings, clock) as (hello, services), running(services):
        addresses = {"rest": hello["rest"], "public socket": hello["ws_public"], "private socket": hello["ws_private"]}
        return await diagnose(Patient(settings, config_path, place, addresses, hello, clock))


async def diagnose(patient: Patient) -> tuple[Finding, ...]:
    """All findings, in a fixed order. Raises nothing for what it finds."""
    findings = [*_programs(), *_limits(patient.settings), *_files(patient), *await _disk(patient)]
    reachable = True
    for name, address in patient.addresses.items():
        finding = await _address(name, address, patient.clock)
        reachable = reachable and finding.grade != "fail"
        findings.append(finding)
    if reachable:
        async with aiohttp.ClientSession() as session:
            findings += [found async for found in _asked(patient, session)]
    else:
        findings.append(Finding("clock", "skip", "cannot be compared with Kraken's while offline", "mend the network"))
        findings.append(Finding("key", "skip", "cannot be looked at while offline", "mend the network"))
    return tuple(findings)


def _programs() -> Iterator[Finding]:
    yield Finding(
        "python", "ok", f"{platform.python_version()}, uvloop {version('uvloop')}, aether {version('aether')}"
    )


def _limits(settings: Settings) -> Iterator[Finding]:
    risk = settings.risk
    what = (
        f"orders to {risk.order_usd_max} USD, all positions to {risk.exposure_total_bps_max / 100} % of equity, "
        f"halts at {risk.daily_loss_bps_max / 100} % a day and {risk.drawdown_bps_max / 100} % from the peak"
    )
    never = [name for name in ("daily_loss_bps_max", "drawdown_bps_max") if getattr(risk, name) >= NOBODY_HALTS_BPS]
    if never:
        yield Finding("limits", "warn", what, f"risk.{never[0]} never halts: set less than {NOBODY_HALTS_BPS}")
    else:
        yield Finding("limits", "ok", what)


def _files(patient: Patient) -> Iterator[Finding]:
    yield _file("settings file", patient.config_path, others_may=stat.S_IRGRP | stat.S_IROTH | stat.S_IXOTH)
    yield _file("state directory", patient.place.state_dir, others_may=0)
    connect = patient.settings.sandbox.connect
    if patient.settings.world.name == "sandbox" and connect is not None:
        yield _file("sandbox.connect", connect, others_may=0)


def _file(check: str, path: Path, *, others_may: int) -> Finding:
    try:
        status = path.stat()
    except OSError as error:
        return Finding(check, "fail", f"{path}: {error.strerror}", "name one that is there")
    mode, others = stat.S_IMODE(status.st_mode), stat.S_IMODE(status.st_mode) & 0o077
    what = f"{path}, mode {mode:04o}"
    if status.st_uid not in (os.geteuid(), 0):
        return Finding(check, "fail", f"{path} belongs to user {status.st_uid}", f"chown it to user {os.geteuid()}")
    if others & (stat.S_IWGRP | stat.S_IWOTH):
        return Finding(check, "fail", f"{what}: others can write it", f"chmod go-w {path}")
    if others & ~others_may:
        return Finding(check, "warn", f"{what}: others can look into it", f"chmod go-rwx {path}")
    return Finding(check, "ok", what)


async def _disk(patient: Patient) -> Iterator[Finding]:
    directory = patient.place.state_dir
    free, reserve = shutil.disk_usage(directory).free, patient.settings.journal.disk_reserve_mb * 1_000_000
    what = f"{free // 1_000_000} MB free, {reserve // 1_000_000} MB must be (journal.disk_reserve_mb)"
    space = Finding("disk space", "ok", what)
    if free < reserve:
        space = Finding("disk space", "fail", what, "make room: below it nothing new is risked")
    elif free < 2 * reserve:
        space = Finding("disk space", "warn", what, "make room soon")
    return iter((space, await asyncio.to_thread(_fsync, directory, patient.clock)))


def _fsync(directory: Path, clock: Clock) -> Finding:
    """Time of durable writes, as the journal makes one before each order."""
    times_ns = []
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            for _ in range(FSYNC_TRIES):
                began_ns = clock.monotonic_ns()
                file.write(bytes(FSYNC_BYTES))
                file.flush()
                os.fsync(file.fileno())
                times_ns.append(clock.monotonic_ns() - began_ns)
    except OSError as error:
        return Finding("disk sync", "fail", f"{directory} takes no write: {error.strerror}", "make it writable")
    median_ms, worst_ms = sorted(times_ns)[FSYNC_TRIES // 2] / NANOS_PER_MS, max(times_ns) / NANOS_PER_MS
    what = f"{median_ms:.2f} ms for a durable write, {worst_ms:.2f} ms at worst of {FSYNC_TRIES}"
    if median_ms >= FSYNC_WARNING_MS:
        return Finding("disk sync", "warn", what, "each order waits for one: use a faster disk for world.state_dir")
    return Finding("disk sync", "ok", what)


async def _address(check: str, address: str, clock: Clock) -> Finding:
    """Whether an address answers: its name, its port, and its certificate where there is one."""
    parts = urlsplit(address)
    has_tls = parts.scheme in ("https", "wss")
    try:
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or _PORTS[parts.scheme],
                ssl=ssl.create_default_context() if has_tls else None,
            )
    except (socket.gaierror, UnicodeError) as error:  # the latter for what can be no name at all
        return Finding(check, "fail", f"{address}: the name is not known ({error})", "check DNS and network")
    except ssl.SSLError as error:
        return Finding(check, "fail", f"{address}: {error.reason}", "check who answers there, and this machine's clock")
    except OSError as error:  # a timeout is one
        return Finding(check, "fail", f"{address}: {error.strerror or 'no answer'}", "check network and firewall")
    certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
    writer.close()
    if not has_tls:
        return Finding(check, "ok", f"{address} answers, without TLS")
    return _certificate(check, address, str(certificate.get("notAfter", "")), clock)


def _certificate(check: str, address: str, not_after: str, clock: Clock) -> Finding:
    """`not_after` as Python tells it: `Sep  1 12:00:00 2027 GMT`."""
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    days = int(ends.timestamp() - clock.wall_ns() // NANOS_PER_S) // 86_400
    what = f"{address} answers, its certificate is good for {days} days"
    if days < CERTIFICATE_WARNING_DAYS:
        return Finding(check, "warn", what, "whoever serves there must renew it")
    return Finding(check, "ok", what)


async def _asked(patient: Patient, session: aiohttp.ClientSession) -> AsyncIterator[Finding]:
    """What only the other side can tell: its clock, its status, and what the key may do."""
    try:
        async with asyncio.timeout(REACH_S):
            offset, system = await _ping(session, patient.addresses["public socket"], patient.clock)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        yield Finding("clock", "fail", f"no pong came: {type(error).__name__}", "check kraken.ws_public_url")
    else:
        yield _clock(offset, patient.settings.orders.clock_offset_ms_max)
        is_online = system == "online"
        remedy = "" if is_online else "wait: the system's status holds new orders back"
        yield Finding("system", "ok" if is_online else "warn", f"status {system or 'not told'}", remedy)
    yield await _key(patient, session)


async def _ping(session: aiohttp.ClientSession, url: str, clock: Clock) -> tuple[ClockMeasured, str]:
    """Kraken's time against ours, and the status that every link begins with."""
    pinger, reader, system = Pinger(clock, count(1)), Reader(recall), ""
    async with session.ws_connect(url) as link:
        await link.send_str((pinger.ping_if_due() or b"").decode())
        async for heard in link:
            message = reader.read(str(heard.data).encode())
            if isinstance(message, SystemStatus):
                system = message.system
            measured = pinger.measure(message) if isinstance(message, Answer) else None
            if measured is not None:
                return measured, system
    raise ConnectionResetError("the link was closed")


def _clock(measured: ClockMeasured, offset_ms_max: int) -> Finding:
    off_ms, error_ms = abs(measured.offset_ns) / NANOS_PER_MS, measured.error_ns / NANOS_PER_MS
    what = f"{off_ms:.0f} ms from Kraken's, give or take {error_ms:.0f} ms"
    if off_ms > offset_ms_max:
        return Finding("clock", "fail", what, f"set the clock (NTP): over {offset_ms_max} ms nothing is traded")
    if off_ms > CLOCK_WARNING_MS:
        return Finding("clock", "warn", what, "set the clock (NTP); deadlines are corrected by it")
    return Finding("clock", "ok", what)


async def _key(patient: Patient, session: aiohttp.ClientSession) -> Finding:
    hello, clock = patient.hello, patient.clock
    if hello is None:
        return Finding("key", "skip", "this world has no key", "")
    credentials = Credentials.from_text(hello["rest"], hello["api_key"], hello["api_secret"])
    try:
        with key_lock(credentials):
            nonces = NonceKeeper(MarkFile(patient.place.state_dir / f"nonce-{sandbox_account(hello)}"), clock)
            key = KeyInUse(credentials, nonces)
            rest = RestClient(
                session, hello["rest"], clock=clock, limits=Tier.STARTER.value, key=key, timeout_s=REACH_S
            )
            passport = await ask_passport(rest)
            warnings = examine(passport, clock)
    except KeyTaken as error:
        # Whoever has the key looked at its passport when it started: a second signer would only disturb it.
        return Finding("key", "skip", error.what, "its passport was looked at when that process started")
    except BadConfiguration as error:
        return Finding("key", "fail", error.what, error.remedy)
    except (VenueRefused, VenueUnavailable) as error:
        return Finding("key", "fail", str(error), "check the key in Kraken's key settings")
    if patient.settings.sandbox.connect is None:
        warnings = ()  # our own sandbox made the key, and nobody else knows it
    what = f"{passport.name}: {', '.join(sorted(passport.permissions))}"
    return Finding("key", "warn" if warnings else "ok", what, "; ".join(warnings))
