"""How long a strategy may think: a timer of the processor interrupts it, and nothing waits for it.

The timer counts what the process uses, not the clock on the wall: a strategy that loops is found, and a busy machine
pauses nobody. One that sleeps uses nothing and is the stall watchdog's to find, and one call into C is ended only when
it returns to Python.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self, TypeVar

from aether.domain.errors import StrategyOverran

THINKING_S_MAX = 0.5  # five hundred times what a step should take

Answer = TypeVar("Answer")


class ThinkingTime:
    """The core's guard of strategies, for as long as its context is open. Only the main thread may open it."""

    def __init__(self, seconds: float = THINKING_S_MAX) -> None:
        self._seconds = seconds
        self._is_thinking = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGPROF, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before if self._before is not None else signal.SIG_DFL)

    def __call__(self, ask: Callable[[], Answer]) -> Answer:
        """What it answers. Raises StrategyOverran where its time is over, or whatever it raises itself."""
        self._is_thinking = True
        # It rings again and again: one that swallows the first ring does not get away.
        signal.setitimer(signal.ITIMER_PROF, self._seconds, self._seconds)
        try:
            try:
                return ask()
            finally:
                self._end()
        except StrategyOverran:
            self._end()  # that ring may have come in the midst of the first one, and the next would strike anybody
            raise

    def _end(self) -> None:
        self._is_thinking = False  # a ring that is late finds nobody thinking
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_thinking:
            raise StrategyOverran(f"no answer after {self._seconds} s of the processor")
