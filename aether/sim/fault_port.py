"""The fault port: a local HTTP listener that makes Kraken's faults happen now, later, by a script or by a seed.

Requests and answers are JSON; what is not understood is answered 400 with what is wrong and what would be right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from decimal import Decimal
from typing import cast

from aiohttp import web

from aether.ports import Clock
from aether.sim.faults import KINDS, PAIR_STATUSES, RATE_ONE, WHERE_KEYS, Fault, FaultBox, FaultKind, due_after
from aether.sim.records import SYSTEM_STATUSES
from aether.sim.wire import MalformedText, decode, encode, rfc3339

BODY_BYTES_MAX = 256 * 1024
TIMES_MAX = 1_000_000
MS_MAX = 86_400_000

_FIELDS = ("fault", "times", "where", "after_ms")
_BOUNDS = {"times": (1, TIMES_MAX), "after_ms": (0, MS_MAX), "delay_ms": (0, 600_000), "for_ms": (0, MS_MAX)}


class NotUnderstood(Exception):
    """A request to the fault port that cannot be met; `remedy` says what would be right."""

    def __init__(self, error: str, remedy: str) -> None:
        super().__init__(error)
        self.error = error
        self.remedy = remedy


class FaultPort:
    """Handlers of the port. `strike_now` carries out what is due at once."""

    def __init__(self, box: FaultBox, clock: Clock, symbols: Collection[str], strike_now: Callable[[], None]) -> None:
        self._box = box
        self._clock = clock
        self._symbols = symbols
        self._strike_now = strike_now

    def application(self) -> web.Application:
        """The HTTP application of the port."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/faults", self._answering(lambda _: self._told()))
        app.router.add_post("/faults", self._answering(lambda body: self._arm([body])))
        app.router.add_delete("/faults", self._answering(lambda _: self._clear()))
        app.router.add_post("/faults/seed", self._answering(self._seed))
        app.router.add_post("/script", self._answering(self._script))
        app.router.add_route("*", "/{elsewhere:.*}", self._answering(_elsewhere))
        return app

    def _answering(self, handle: Callable[[object], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                body = decode(text) if (text := await request.read()) else None
                return _json(handle(body), 200)
            except MalformedText:
                return _json(
                    {"error": "the body is no JSON", "remedy": 'send {"fault": NAME}, as docs/sandbox.md shows'}, 400
                )
            except web.HTTPRequestEntityTooLarge:
                return _json({"error": "the body is too long", "remedy": f"at most {BODY_BYTES_MAX} bytes"}, 400)
            except (web.RequestPayloadError, ConnectionError):
                return _json({"error": "the body is not what its headers say", "remedy": "send plain JSON"}, 400)
            except NotUnderstood as refused:
                return _json({"error": refused.error, "remedy": refused.remedy}, 400)

        return answer

    def _told(self) -> object:
        box = self._box
        return {
            "classes": [
                {
                    "fault": kind.name,
                    "places": kind.places,
                    "meaning": kind.meaning,
                    "options": kind.options,
                    "always": "always" in kind.places,
                    "struck": box.counts[kind.name],
                }
                for kind in KINDS.values()
            ],
            "armed": [
                {"number": fault.number, "fault": fault.kind.name, "times": fault.times, "where": dict(fault.where)}
                for fault in box.armed
            ],
            "struck": [
                {
                    "fault": struck.name,
                    "at": rfc3339(struck.at_ns),
                    "place": struck.place,
                    "context": dict(struck.context),
                }
                for struck in box.struck
            ],
        }

    def _arm(self, items: list[object]) -> object:
        now_ns = self._clock.wall_ns()
        faults = [read_fault(item, now_ns, self._symbols) for item in items]
        try:
            numbers = [self._box.arm(fault) for fault in faults]
        except ValueError as error:
            raise NotUnderstood(str(error), "clear some with DELETE /faults") from error
        self._strike_now()
        return {"armed": numbers}

    def _script(self, body: object) -> object:
        if not isinstance(body, list):
            raise NotUnderstood("a script is a list", 'send [{"fault": NAME, "after_ms": n}, ...]')
        return self._arm(body)

    def _seed(self, body: object) -> object:
        if not isinstance(body, dict) or set(body) != {"seed", "rate"}:
            raise NotUnderstood("a seed has two fields", 'send {"seed": n, "rate": 0.01}')
        seed, rate = body["seed"], body["rate"]
        if type(seed) is not int or not isinstance(rate, int | Decimal) or not 0 <= rate <= 1:
            raise NotUnderstood("seed is a whole number, rate is 0 to 1", 'send {"seed": n, "rate": 0.01}')
        self._box.draw_by(seed, int(rate * RATE_ONE))
        return {"seed": seed, "rate": rate}

    def _clear(self) -> object:
        self._box.clear()
        return {"armed": []}


def read_fault(item: object, now_ns: int, symbols: Collection[str]) -> Fault:
    """The fault that a request describes. Raises NotUnderstood."""
    if not isinstance(item, dict):
        raise NotUnderstood("a fault is an object", 'send {"fault": NAME}')
    kind = _kind(item.get("fault"))
    unknown = [name for name in item if name not in (*_FIELDS, *kind.options)]
    if unknown:
        known = ", ".join((*_FIELDS, *kind.options))
        raise NotUnderstood(f"{kind.name} has no field {unknown[0]!r}", f"its fields are {known}")
    if kind.name == "error" and not (isinstance(item.get("text"), str) and item["text"]):
        raise NotUnderstood("error needs a text", 'add "text": "EService:Busy", or whatever Kraken shall say')
    executed = item.get("executed", True)
    if not isinstance(executed, bool):
        raise NotUnderstood("executed is true or false", "write it without quotes")
    numbers = {name: _number(item, name) for name in _BOUNDS if name in item}
    fault = Fault(
        kind, where=_where(kind, item.get("where", {}), symbols), executed=executed, text=item.get("text", "")
    )
    fault.times = numbers.get("times", fault.times)
    fault.due_ns = due_after(now_ns, numbers.get("after_ms", 0))
    fault.delay_ms = numbers.get("delay_ms", fault.delay_ms)
    fault.for_ms = numbers.get("for_ms", fault.for_ms)
    return fault


def _kind(name: object) -> FaultKind:
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise NotUnderstood(f"there is no fault {name!r}", f"there are {', '.join(KINDS)}")
    if "always" in kind.places:
        raise NotUnderstood(f"{kind.name} is how it always is", "there is nothing to ask for")
    return kind


def _number(item: dict[str, object], name: str) -> int:
    least, most = _BOUNDS[name]
    value = item[name]
    if type(value) is not int or not least <= value <= most:
        raise NotUnderstood(f"{name} is {value!r}", f"it is a whole number from {least} to {most}")
    return value


def _where(kind: FaultKind, where: object, symbols: Collection[str]) -> dict[str, str]:
    if not isinstance(where, dict) or not all(isinstance(value, str) for value in where.values()):
        raise NotUnderstood("where is an object of texts", 'send "where": {"symbol": "BTC/USD"}')
    unknown = [key for key in where if key not in WHERE_KEYS]
    if unknown:
        raise NotUnderstood(f"where has no key {unknown[0]!r}", f"its keys are {', '.join(WHERE_KEYS)}")
    if "symbol" in where and where["symbol"] not in symbols:
        raise NotUnderstood(f"there is no symbol {where['symbol']!r}", "write it as BTC/USD")
    if kind.name in PAIR_STATUSES and "symbol" not in where and kind.name not in SYSTEM_STATUSES:
        raise NotUnderstood(f"only a pair can be {kind.name}", 'add "where": {"symbol": "BTC/USD"}')
    return cast("dict[str, str]", where)


def _elsewhere(_: object) -> object:
    remedy = "GET, POST or DELETE /faults, POST /faults/seed, POST /script"
    raise NotUnderstood("there is nothing here", remedy)


def _json(answer: object, status: int) -> web.Response:
    return web.Response(text=encode(answer), status=status, content_type="application/json")
