"""The other end of the control socket: what the command line speaks to a running daemon with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import orjson

from aether.domain.errors import AetherError

_HOST = "http://aether"  # HTTP wants a name; a unix socket has none


class DaemonNotRunning(AetherError):
    """Nobody listens on the control socket, or the daemon ended before it answered."""


class ControlTimeout(AetherError):
    """The daemon listens and did not answer in time. What was asked may still happen."""


class ControlRefused(AetherError):
    """The daemon answered with a problem: its `code` is stable, `status` is the one of HTTP, `field` may be empty."""

    def __init__(self, status: int, code: str, detail: str, field: str = "") -> None:
        super().__init__(f"{code}: {field + ': ' if field else ''}{detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field


class ControlClient:
    """Asks and commands over the control socket. Each call is a connection of its own.

    Raises, from every call: DaemonNotRunning, ControlTimeout, ControlRefused.
    """

    def __init__(self, socket_path: Path, *, timeout_s: float = 15.0) -> None:
        self._path = socket_path
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def get(self, path: str) -> Any:
        """The decoded answer to a GET of `path`, such as `/v1/status`. Quote what a person typed into it."""
        return await self._ask("GET", path, None)

    async def post(self, path: str, fields: dict[str, str]) -> Any:
        """The decoded answer to a POST of these fields."""
        return await self._ask("POST", path, fields)

    async def _ask(self, method: str, path: str, fields: dict[str, str] | None) -> Any:
        try:
            connector = aiohttp.UnixConnector(str(self._path))
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session,
                session.request(method, _HOST + path, json=fields) as response,
            ):
                return _decoded(response.status, await response.read())
        except TimeoutError:
            raise ControlTimeout(f"the daemon on {self._path} did not answer within {self._timeout.total} s") from None
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(error.os_error) from None
        except aiohttp.ClientError:
            raise DaemonNotRunning(f"the daemon on {self._path} ended before it answered") from None

    def _unreachable(self, error: OSError) -> AetherError:
        if isinstance(error, PermissionError):
            return ControlRefused(403, "api_peer", f"{self._path} belongs to another user")
        return DaemonNotRunning(f"no daemon listens on {self._path}; `aether run` starts one")


def _decoded(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
        if status < 400:
            return answer
        refused = ControlRefused(status, answer["code"], answer["detail"], answer.get("field", ""))
    except (ValueError, KeyError, TypeError):
        raise DaemonNotRunning("what listens on the control socket is no daemon of this program") from None
    raise refused
