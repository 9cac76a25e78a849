"""The sandbox's own certificate: who trusts its authority connects, and who does not, does not."""

from __future__ import annotations

import json
import ssl
import stat
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from aether.domain.errors import BadConfiguration
from aether.domain.values import UtcNanos
from aether.sim.certificate import secure
from aether.sim.opening import SandboxConfig
from aether.sim.server import Sandbox


class RealClock:
    """A handshake looks at the machine's own clock."""

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(time.time_ns())

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def test_the_key_is_for_us_alone_and_the_authoritys_is_kept_nowhere(tmp_path: Path) -> None:
    secured = secure(tmp_path / "tls", "127.0.0.1", time.time_ns())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}

    assert modes == {"sandbox-ca.pem": 0o644, "sandbox-cert.pem": 0o644, "sandbox-key.pem": 0o600}
    assert secured.ca.is_absolute()
    secure(tmp_path / "tls", "127.0.0.1", time.time_ns())


async def test_rest_and_both_sockets_speak_tls_to_whoever_trusts_the_authority(tmp_path: Path) -> None:
    sandbox = await Sandbox.start(SandboxConfig({"USD": Decimal(1)}, tls_dir=tmp_path), RealClock())
    hello = sandbox.hello()
    trusted = ssl.create_default_context(cafile=hello["ca"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as http:
        async with http.get(hello["rest"] + "/0/public/Time") as answer:
            assert (await answer.json())["error"] == []
        for door in ("ws_public", "ws_private"):
            assert hello[door].startswith("wss://")
            async with http.ws_connect(hello[door]) as socket:
                assert json.loads(await socket.receive_str())["channel"] == "status"
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(hello["rest"] + "/0/public/Time")
    await sandbox.stop()


async def test_a_directory_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(BadConfiguration, match="no certificate can be made"):
        await Sandbox.start(SandboxConfig({"USD": Decimal(1)}, tls_dir=tmp_path / "taken"), RealClock())
