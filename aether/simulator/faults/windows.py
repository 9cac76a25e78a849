"""Times in which some of the calls go wrong in one way: Kraken's errors, pages of its edge, answers that are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from aether.domain.values import NANOS_PER_MS, NANOS_PER_S
from aether.sim.fault_wire import HTML_502, UNHEARD_OF, Reply
from aether.sim.wire import encode
from aether.simulator.faults.tally import Acts, Later, Tally
from aether.simulator.plan import ONE, Fault
from aether.simulator.trouble import Fate

ORDER_CALLS = frozenset({"add_order", "batch_add", "amend_order", "AddOrder", "AddOrderBatch", "AmendOrder"})
CALLS = ORDER_CALLS | {"cancel_order", "batch_cancel", "cancel_all", "cancel_all_orders_after"}

# Errors after which an order may live: as often as not, the call is carried out all the same.
_DOUBTFUL = {
    "unavailable": "EService:Unavailable",
    "busy": "EService:Busy",
    "deadline_elapsed": "EService:Deadline elapsed",
    "internal_error": "EGeneral:Internal error",
    "unknown_error": UNHEARD_OF,
}
_CERTAIN = {
    "rate_limited": "EAPI:Rate limit exceeded",
    "lockout": "EGeneral:Temporary lockout",
    "invalid_nonce": "EAPI:Invalid nonce",
    "insufficient_funds": "EOrder:Insufficient funds",
    "throttled": "EService: Throttled: ",
}
_PRIVATE_ALONE = ("lockout", "invalid_nonce", "insufficient_funds", "rate_limited", "throttled")
_THROTTLED_S = 10
_PAGES: Mapping[str, tuple[Reply, ...]] = {
    "bad_gateway": tuple(Reply(HTML_502, status, "text/html") for status in (502, 504, 520, 525)),
    "captcha": (Reply("<html><title>Just a moment...</title></html>", 403, "text/html"),),
    "too_many": (Reply("<html><h1>Too Many Requests</h1></html>", 429, "text/html"),),
}
_NEVER_REACHED = ("captcha", "too_many")  # the edge answers, Kraken hears nothing
_SPOILT: Mapping[str, Callable[[Reply], Reply]] = {
    "mixed_errors": lambda reply: replace(reply, text=_mixed(reply.text)),
    "empty_body": lambda reply: replace(reply, text=""),
    "text_in_text": lambda reply: replace(reply, text=encode(reply.text)),
}
_NO_CONNECT = "connect_refused"
_WHOLE = ("lockout", _NO_CONNECT)  # nothing comes through while they last


@dataclass(slots=True)
class _Window:
    kind: str
    until_ns: int
    per_million: int
    random: Random


class Windows:
    """All windows that are open. Each call that one strikes is counted."""

    def __init__(self, later: Later, tally: Tally) -> None:
        self._later = later
        self._tally = tally
        self._open: list[_Window] = []

    def acts(self) -> Acts:
        """By kind. None counts as struck when it opens."""
        return dict.fromkeys((*_DOUBTFUL, *_CERTAIN, *_PAGES, *_SPOILT, _NO_CONNECT), self._begin)

    def calm(self) -> None:
        """Close them all."""
        self._open.clear()

    def refuses_connect(self) -> bool:
        """Whether no link can be made now."""
        return self._struck((_NO_CONNECT,)) is not None

    def fate_of_call(self, endpoint: str, *, is_private: bool) -> Fate | None:
        """What becomes of a REST call; None where no window strikes it."""
        if self.refuses_connect():
            return Fate(refused=True)
        window = self._struck([kind for kind in _OF_CALLS if is_private or kind not in _PRIVATE_ALONE], endpoint)
        if window is None:
            return None
        if window.kind in _SPOILT:
            return Fate(rewrite=_SPOILT[window.kind])
        if window.kind in _PAGES:
            reply = window.random.choice(_PAGES[window.kind])
        else:
            reply = Reply(encode({"error": [self._text(window.kind)]}))
        is_heard = window.kind in (*_DOUBTFUL, *_PAGES) and window.kind not in _NEVER_REACHED
        if is_heard and window.random.randrange(2):
            return Fate(rewrite=lambda _: reply)
        return Fate(instead=reply)

    def error_of_request(self, method: str) -> tuple[str, bool] | None:
        """The error of a request on a socket, and whether it is carried out all the same; None where all is well."""
        window = self._struck((*_DOUBTFUL, *_CERTAIN), method) if method in CALLS else None
        if window is None:
            return None
        return self._text(window.kind), window.kind in _DOUBTFUL and window.random.randrange(2) == 0

    def _begin(self, fault: Fault) -> bool:
        until_ns = self._later.now_ns + fault.parameters["for_ms"] * NANOS_PER_MS
        share = ONE if fault.kind in _WHOLE else fault.parameters["per_million"]
        random = Random(fault.draw)  # noqa: S311 - made faults, no secret
        self._open.append(_Window(fault.kind, until_ns, share, random))
        return False

    def _struck(self, kinds: Sequence[str], method: str = "") -> _Window | None:
        if not self._open:
            return None
        now_ns = self._later.now_ns
        self._open = [window for window in self._open if now_ns < window.until_ns]
        for window in self._open:
            is_meant = window.kind in kinds and (window.kind != "insufficient_funds" or method in ORDER_CALLS)
            if is_meant and window.random.randrange(ONE) < window.per_million:
                self._tally.struck(window.kind)
                return window
        return None

    def _text(self, kind: str) -> str:
        text = _DOUBTFUL.get(kind) or _CERTAIN[kind]
        return text + str(self._later.now_ns // NANOS_PER_S + _THROTTLED_S) if kind == "throttled" else text


_OF_CALLS = (*_DOUBTFUL, *_CERTAIN, *_PAGES, *_SPOILT)


def _mixed(text: str) -> str:
    """Several errors, one of them unknown, beside whatever the result is."""
    errors = '{"error":["EOrder:Invalid price","EUniverse:Unheard of"],'
    start = '{"error":[],'
    return errors + text.removeprefix(start) if text.startswith(start) else errors + '"result":null}'
