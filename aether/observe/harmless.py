"""Looking on must not stop trading: what an observer raises is logged, counted, and goes no further.

It is asked again for the next facts: one that it could not bear is no reason to be blind from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from aether.domain.facts import Numbered
from aether.ports import FactObserver

Failed = Callable[[str], None]
"""Counts one failure of the observer of this name."""


def harmless(name: str, observe: FactObserver, failed: Failed) -> FactObserver:
    """The same observer, without its exceptions."""

    def observed(facts: Sequence[Numbered]) -> None:
        try:
            observe(facts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the looking on
            _tell(name, error, failed)

    return observed


def harmless_service(
    name: str, run: Callable[[], Awaitable[None]], failed: Failed, pause: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    """The same service, begun anew after a pause where it ended or raised."""

    async def lasting() -> None:
        while True:
            try:
                await run()
            except Exception as error:  # noqa: BLE001 - as above
                _tell(name, error, failed)
            await pause()

    return lasting


def _tell(name: str, error: Exception, failed: Failed) -> None:
    failed(name)
    structlog.get_logger(__name__).error("lifecycle.observer_failed", name=name, error=repr(error))
