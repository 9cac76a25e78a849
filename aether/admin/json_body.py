"""The one reader of request bodies: strict JSON objects of text fields, or a problem that says what is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from aiohttp import web

from aether.admin.problems import Problem

BODY_BYTES_MAX = 64 * 1024
BODY_WAIT_S = 5
DEPTH_MAX = 8
INTEGER_DIGITS_MAX = 18  # what a signed 64-bit integer holds in any case
TEXT_LENGTH_MAX = 500

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


async def read_fields(request: web.Request, names: Sequence[str]) -> dict[str, str]:
    """The body's fields: exactly `names`, each a text of 1 to 500 characters without control characters.

    Raises Problem: 400 for what is not understood, 408, 413 and 415 as HTTP has them, 422 for a text not allowed.
    """
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Problem("api_malformed", "the body must be a JSON object")
    for name in body:
        if name not in names:
            raise Problem("api_unknown_field", f"this request takes {', '.join(names)}", field=name[:TEXT_LENGTH_MAX])
    for name in names:
        if name not in body:
            raise Problem("api_missing_field", f"this request needs {', '.join(names)}", field=name)
    return {name: _text(name, body[name]) for name in names}


async def read_json(request: web.Request) -> Any:
    """The body, decoded. Raises Problem for another media type, more than 64 kB, and anything but exact JSON.

    aiohttp's own `request.json()` takes NaN, double keys and any media type, and lets a deep body raise RecursionError.
    """
    if request.content_type != "application/json":
        raise Problem("api_media_type", "Content-Type must be application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem("api_media_type", "the body must not be compressed")
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            body = await _read_capped(request)
    except TimeoutError:
        raise Problem("api_unanswered_body", f"the body did not come within {BODY_WAIT_S} s") from None
    return decode(body)


def decode(body: bytes) -> Any:
    """JSON by the letter of RFC 8259, in UTF-8, at most 8 levels deep. Raises Problem for all else.

    Numbers must be whole: decimals travel as text, so that no float ever stands for money.
    """
    try:
        text = body.decode("utf-8")
        _check_depth(text)
        decoded = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_refuse, parse_int=_integer
        )
        json.dumps(decoded, ensure_ascii=False).encode("utf-8")  # fails where an escape made half a surrogate pair
    except UnicodeError:
        raise Problem("api_malformed", "the body must be valid UTF-8") from None
    except ValueError as error:
        raise Problem("api_malformed", f"the body is no JSON that this API takes: {error}") from None
    return decoded


async def _read_capped(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Problem("api_too_large", f"the body must not exceed {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _check_depth(text: str) -> None:
    depth = 0
    for char in _STRING.sub("", text):
        if char in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"more than {DEPTH_MAX} levels")
        elif char in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise ValueError("a key stands twice")
    return decoded


def _refuse(token: str) -> NoReturn:
    raise ValueError(f"{token[:20]} is no whole number; decimals are sent as text")


def _integer(token: str) -> int:
    if len(token.lstrip("-")) > INTEGER_DIGITS_MAX:
        raise ValueError(f"a number of more than {INTEGER_DIGITS_MAX} digits")
    return int(token)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Problem("api_malformed", "must be text", field=name)
    text = value.strip()
    if not 1 <= len(text) <= TEXT_LENGTH_MAX:
        raise Problem("api_value", f"must have 1 to {TEXT_LENGTH_MAX} characters", field=name)
    if _CONTROL.search(text):
        raise Problem("api_value", "must not have control characters", field=name)
    return text
