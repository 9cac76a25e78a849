"""A loop that jumps instead of sleeping: hours pass in milliseconds, and a deadlock is an error instead of a hang.

Nothing real may happen on it: no sockets and no threads. An executor's work runs inline, at a later turn.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, TypeVar

from aiosqlite import core

from aether.domain.values import NANOS_PER_S, UtcNanos

T = TypeVar("T")


class EverythingWaits(RuntimeError):
    """No task is ready and no timer is set: a deadlock, or a wait for the real world."""


class JumpingSelector(selectors.SelectSelector):
    """Adds every wait to the elapsed time and returns at once. A child may do more on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing is ever heard: all that happens is that time passes."""
        self.wait(timeout)
        return []

    def wait(self, timeout_s: float | None) -> None:
        """Let so many seconds pass, or without an end where None. Raises EverythingWaits where nothing can end it."""
        if timeout_s is None:
            raise EverythingWaits("no task is ready and no timer is set")
        self.elapsed_s += max(0.0, timeout_s)


class DrawnQueue(deque[Any]):
    """The loop's ready queue, which gives out any of its entries instead of the first."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def popleft(self) -> Any:
        """The next turn of the loop."""
        index = self._random.randrange(len(self)) if len(self) > 1 else 0
        self.rotate(-index)
        drawn = super().popleft()
        self.rotate(index)
        return drawn


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` is how long its tasks have slept. Starts at 0.

    With `order`, the next ready task is drawn from it, which finds what depends on the order of tasks; otherwise first
    come, first served, as on asyncio's own loop.
    """

    def __init__(self, order: Random | DrawnQueue | None = None, jumping: JumpingSelector | None = None) -> None:
        self._jumping = jumping or JumpingSelector()
        super().__init__(self._jumping)
        if order is not None:
            # asyncio keeps its ready callbacks in this deque (Lib/asyncio/base_events.py) and offers no other way in.
            vars(self)["_ready"] = order if isinstance(order, DrawnQueue) else DrawnQueue(order)

    def time(self) -> float:
        """Seconds slept so far."""
        return self._jumping.elapsed_s

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - asyncio's signature; there is no thread to choose
        func: Callable[..., T],
        *args: object,
    ) -> asyncio.Future[T]:
        """Run the function inline, at a later turn of the loop."""
        outcome: asyncio.Future[T] = self.create_future()
        self.call_soon(_settle, outcome, func, args)
        return outcome


def _settle(outcome: asyncio.Future[T], func: Callable[..., T], args: tuple[object, ...]) -> None:
    if outcome.cancelled():
        return
    try:
        outcome.set_result(func(*args))
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever awaits the outcome
        outcome.set_exception(error)


class VirtualClock:
    """The `Clock` port on a virtual loop: both clocks move only as its tasks sleep."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, start_wall_ns: int) -> None:
        self._loop = loop
        self._start_wall_ns = start_wall_ns

    def wall_ns(self) -> UtcNanos:
        """Nanoseconds since 1970 UTC, from the given start."""
        return UtcNanos(self._start_wall_ns + self.monotonic_ns())

    def monotonic_ns(self) -> int:
        """Nanoseconds slept so far."""
        return round(self._loop.time() * NANOS_PER_S)


@contextmanager
def inline_sqlite(latency: Random, stalled_s: Callable[[], float] | None = None) -> Iterator[None]:
    """Make aiosqlite connections opened inside work on the virtual loop, without their threads.

    Statements of a connection still run one by one in their order, each up to 3 ms after it was asked for (drawn from
    `latency`), and also when whoever awaited it is gone, as on a thread. `stalled_s` tells, after each, for how long
    its disk kept it: so long its outcome waits, and every statement behind it.
    """
    kept = vars(core)["SimpleQueue"], vars(core)["Thread"]
    vars(core).update(SimpleQueue=partial(_InlineWork, latency, stalled_s), Thread=_NoThread)
    try:
        yield
    finally:
        vars(core).update(SimpleQueue=kept[0], Thread=kept[1])


class _InlineWork:
    """Stands in for aiosqlite's queue: what is put in is run by the loop."""

    def __init__(self, latency: Random, stalled_s: Callable[[], float] | None) -> None:
        self._latency = latency
        self._stalled_s = stalled_s
        self._free_at = 0.0
        self._waiting: deque[tuple[asyncio.Future[object] | None, Callable[[], object]]] = deque()

    def put_nowait(self, item: tuple[asyncio.Future[object] | None, Callable[[], object]]) -> None:
        self._waiting.append(item)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a connection that is collected after its loop
            self._waiting.popleft()[1]()
        else:
            loop.call_later(self._latency.random() * 0.003, self._run_next, loop)

    def _run_next(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.time() < self._free_at:
            loop.call_at(self._free_at, self._run_next, loop)
            return
        outcome, func = self._waiting.popleft()
        done: asyncio.Future[object] = loop.create_future()
        _settle(done, func, ())
        stalled_s = 0.0 if self._stalled_s is None else self._stalled_s()
        if stalled_s:
            self._free_at = loop.time() + stalled_s
            loop.call_at(self._free_at, _tell, done, outcome)
        else:
            _tell(done, outcome)


def _tell(done: asyncio.Future[object], outcome: asyncio.Future[object] | None) -> None:
    failure = done.exception()
    if outcome is None or outcome.done():
        return
    if failure is None:
        outcome.set_result(done.result())
    else:
        outcome.set_exception(failure)


class _NoThread:
    """Stands in for aiosqlite's thread, which has nothing left to do."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        pass
