"""Problem answers (RFC 9457): every error has a stable code, a request id and, where it helps, a field."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson
from aiohttp import web

from aether.domain.codes import CODES

API_CODES: Mapping[str, str] = MappingProxyType(
    {
        "api_malformed": "the request is not understood; the detail says which part of it",
        "api_unknown_field": "the body has a field that this request does not take",
        "api_missing_field": "the body lacks a field that this request needs",
        "api_value": "a field is understood and its value is not allowed",
        "api_peer": "only the user who runs the daemon, and root, may use the control socket",
        "api_not_found": "there is nothing at this address, or nothing of this name",
        "api_method": "the address exists and does not take this method",
        "api_unanswered_body": "the body of the request did not come in time",
        "api_too_large": "the body is larger than the API takes",
        "api_media_type": "the body must be application/json, in UTF-8 and not compressed",
        "api_host": "the request names another host than this one",
        "api_internal": "a fault in the program; its log names the request id",
        "api_starting": "the daemon is starting and has nothing to show yet; ask again",
        "api_unanswered": "no answer was committed in time; the command may still take effect",
    }
)

STATUS_OF: Mapping[str, int] = MappingProxyType(
    {
        "api_malformed": 400,
        "api_unknown_field": 400,
        "api_missing_field": 400,
        "api_value": 422,
        "api_peer": 403,
        "api_not_found": 404,
        "api_method": 405,
        "api_unanswered_body": 408,
        "api_too_large": 413,
        "api_media_type": 415,
        "api_host": 421,
        "api_internal": 500,
        "api_starting": 503,
        "api_unanswered": 503,
        "authority_role": 403,
        "authority_two_directors": 403,
        "authority_scope": 422,
        "authority_not_halted": 409,
        "authority_stopping": 409,
    }
)


class Problem(Exception):
    """A request that ends in an error answer. `code` is of `STATUS_OF`; `field` names the part of the body, if one."""

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The answer for a problem. It tells what was wrong with the request and nothing about the program."""
    status = STATUS_OF[problem.code]
    body = {
        "type": "about:blank",
        "title": API_CODES.get(problem.code) or CODES[problem.code],
        "status": status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.field is not None:
        body["field"] = problem.field
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
