"""What stands where: probes for anyone on the loopback, the account and its commands on the control socket."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from aether.admin import views
from aether.admin.commands import CommandDesk, CommandUnanswered
from aether.admin.json_body import read_fields
from aether.admin.middleware import REQUEST_ID, Handler
from aether.admin.problems import Problem
from aether.admin.socket_file import operator_of, peer_uid
from aether.core.halts import ALL
from aether.core.orders import OrderState
from aether.core.view import View
from aether.domain.actors import Actor
from aether.domain.inputs import CancelEverything, Command, Flatten, Halt, Resume
from aether.ports import Explainer

COMMAND_WAIT_S = 5.0  # a commit takes milliseconds; a disk that needs longer than this is itself the news

ViewSource = Callable[[], View | None]


class Health(Protocol):
    """What the probes ask. No answer has a figure in it."""

    def is_alive(self) -> bool:
        """The loop turns."""
        ...

    def is_started(self) -> bool:
        """Recovery is behind us."""
        ...

    def is_ready(self) -> bool:
        """The program may trade."""
        ...


class Metrics(Protocol):
    """What a scraper asks."""

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All figures and their media type, for a request's `Accept` header."""
        ...


def probe_routes(health: Health, metrics: Metrics) -> list[web.RouteDef]:
    """`/livez`, `/readyz`, `/startupz` and `/metrics`."""

    async def show_metrics(request: web.Request) -> web.Response:
        body, media_type = metrics.expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": media_type})

    return [
        web.get("/livez", _probe(health.is_alive)),
        web.get("/readyz", _probe(health.is_ready)),
        web.get("/startupz", _probe(health.is_started)),
        web.get("/metrics", show_metrics),
    ]


def control_routes(view: ViewSource, desk: CommandDesk, explain: Explainer) -> list[web.RouteDef]:
    """All of `/v1`: pages of the view, the story of an order, and the commands."""

    async def why(request: web.Request) -> web.Response:
        asked = request.match_info["id"]
        facts = await explain(asked)
        if not facts:
            raise Problem("api_not_found", "no fact of this journal knows such an order or intent")
        return _json(views.story(facts))

    async def halt(request: web.Request) -> web.Response:
        fields = await read_fields(request, ("scope", "reason"))
        return await _give(desk, request, Halt(fields["scope"], fields["reason"]), view)

    async def resume(request: web.Request) -> web.Response:
        fields = await read_fields(request, ("scope", "reason"))
        return await _give(desk, request, Resume(fields["scope"], fields["reason"]), view)

    async def flatten(request: web.Request) -> web.Response:
        fields = await read_fields(request, ("scope", "reason"))
        return await _give(desk, request, Flatten(fields["scope"], fields["reason"]), view)

    async def cancel(request: web.Request) -> web.Response:
        fields = await read_fields(request, ("reason",))
        return await _give(desk, request, CancelEverything(fields["reason"]), view)

    return [
        *(web.get(f"/v1/{name}", _page(view, page)) for name, page in views.PAGES.items()),
        web.get("/v1/orders/{id}/why", why),
        web.post("/v1/halt", halt),
        web.post("/v1/resume", resume),
        web.post("/v1/orders/cancel", cancel),
        web.post("/v1/flatten", flatten),
    ]


@web.middleware
async def admit_operator(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The control socket is for the daemon's own user and root, whatever the modes of its file became."""
    _operator(request)
    return await handler(request)


def _operator(request: web.Request) -> Actor:
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    actor = operator_of(peer_uid(connection)) if connection is not None else None
    if actor is None:
        raise Problem("api_peer", "the kernel names another user at the other end")
    return actor


def _probe(holds: Callable[[], bool]) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        if holds():
            return _json({"status": "ok"})
        return _json({"status": "unavailable"}, HTTPStatus.SERVICE_UNAVAILABLE)

    return probe


def _page(view: ViewSource, page: Callable[[View], dict[str, object]]) -> Handler:
    async def show(_: web.Request) -> web.Response:
        seen = view()
        if seen is None:
            raise Problem("api_starting", "the journal is being read")
        return _json(page(seen))

    return show


async def _give(desk: CommandDesk, request: web.Request, command: Command, view: ViewSource) -> web.Response:
    request_id = request[REQUEST_ID]
    try:
        outcome = await desk.give(_operator(request), command, request_id, COMMAND_WAIT_S)
    except CommandUnanswered as error:
        raise Problem("api_unanswered", str(error)) from None
    if not outcome.accepted:
        raise Problem(outcome.code, outcome.why, field="scope" if outcome.code == "authority_scope" else None)
    body: dict[str, object] = {
        "accepted": True,
        "on_disk": outcome.on_disk,
        "seq": outcome.seq,
        "why": outcome.why,
        "request_id": request_id,
    }
    if isinstance(command, Halt):
        body["latched"] = True
    if not isinstance(command, Resume):
        waiting = _not_ended(view(), ALL if isinstance(command, CancelEverything) else command.scope)
        body["unconfirmed"] = waiting
        if waiting and not outcome.why:
            body["why"] = f"{len(waiting)} orders are not yet confirmed to be gone; see aether orders"
    return _json(body, HTTPStatus.OK if outcome.on_disk else HTTPStatus.ACCEPTED)


def _not_ended(view: View | None, scope: str) -> list[str]:
    """Our orders in a scope that the venue has not shown to have ended: their cancels are under way, or wait for it."""
    return [
        order.cl_ord_id
        for order in (view.orders if view is not None else ())
        if order.state != OrderState.DONE.value
        and scope in (ALL, f"symbol:{order.symbol}", f"strategy:{order.strategy}")
    ]


def _json(body: dict[str, object], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=views.encode(body), content_type="application/json")
