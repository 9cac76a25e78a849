"""Round every request: its id, the host it names, errors as problems, and the headers of every answer."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPMethod, HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from aether.admin.connection import SERVER_NAME
from aether.admin.problems import Problem, problem_response
from aether.domain.errors import InvariantBroken
from aether.ports import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_METHODS = frozenset({HTTPMethod.GET.value, HTTPMethod.HEAD.value, HTTPMethod.POST.value})

_log = structlog.get_logger(__name__)


class RequestIds:
    """Names of requests: the start of the server and a count. Never the client's word, for they enter the journal."""

    def __init__(self, clock: Clock) -> None:
        self._start = f"{clock.wall_ns():x}"
        self._count = itertools.count(1)

    def __call__(self) -> str:
        """The next name."""
        return f"{self._start}-{next(self._count)}"


def answer_every_request(request_id: Callable[[], str], broken: Callable[[InvariantBroken], None]) -> Middleware:
    """Outermost: whatever happens inside becomes one answer that names the request.

    `broken` is told of our own bugs: they must end the process, which an answer of 500 alone would not.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = request_id()
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 # the last door before the client: each kind gets its answer
            response = _answer_to(error, request)
            if isinstance(error, InvariantBroken):
                broken(error)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        return response

    return middleware


async def set_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer, for aiohttp's signal `on_response_prepare`: also those that no middleware sees."""
    response.headers.update(
        {"Server": SERVER_NAME, "Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )
    response.force_close()  # a connection carries one request; aiohttp has written its own Connection header by now


@web.middleware
async def refuse_unknown_methods(request: web.Request, handler: Handler) -> web.StreamResponse:
    """TRACE, CONNECT, OPTIONS and made-up verbs exist on no address."""
    if request.method not in _METHODS:
        raise Problem("api_method", "this API takes GET and POST")
    return await handler(request)


def refuse_other_hosts(http_host: str) -> Middleware:
    """A page of another site may point its own name at our address (DNS rebinding): only our own names are answered."""
    names = LOOPBACK_HOSTS | {http_host, f"[{http_host}]"}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        name, colon, port = request.headers.get("Host", "").lower().rpartition(":")
        host = name if colon and port.isdigit() else request.headers.get("Host", "").lower()
        if host not in names or not request.raw_path.startswith("/"):  # `GET http://other/ HTTP/1.1` names one, too
            raise Problem("api_host", "this server answers for its loopback address alone")
        return await handler(request)

    return middleware


def _answer_to(error: Exception, request: web.Request) -> web.Response:
    if isinstance(error, web.HTTPMethodNotAllowed):
        response = problem_response(
            Problem("api_method", f"this address takes {', '.join(sorted(error.allowed_methods))}"), request[REQUEST_ID]
        )
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    if isinstance(error, web.HTTPException) and error.status == HTTPStatus.NOT_FOUND:
        error = Problem("api_not_found", "there is nothing at this address")
    if not isinstance(error, Problem):
        _log.error("admin.failed", request_id=request[REQUEST_ID], error=type(error).__name__, where=_where(error))
        error = Problem("api_internal", "the log names this request")
    return problem_response(error, request[REQUEST_ID])


def _where(error: Exception) -> str:
    """File and line that raised it. The message stays out of the log: nobody has checked what is in it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno} {frame.name}"
