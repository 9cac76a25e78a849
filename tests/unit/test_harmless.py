"""What looks on may fail: it is counted, logged and asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from aether.domain.facts import Numbered
from aether.observe.harmless import harmless, harmless_service


def test_an_observer_that_raises_is_counted_logged_and_asked_again() -> None:
    asked, failures = list[int](), list[str]()

    def blind(facts: Sequence[Numbered]) -> None:
        asked.append(len(facts))
        raise ValueError("no such label")

    observe = harmless("metrics", blind, failures.append)
    with capture_logs() as lines:
        observe(())
        observe(())
    assert asked == [0, 0]
    assert failures == ["metrics", "metrics"]
    assert [(line["event"], line["name"]) for line in lines] == [("lifecycle.observer_failed", "metrics")] * 2


def test_what_ends_the_process_is_not_held_back() -> None:
    def interrupted(_facts: Sequence[Numbered]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmless("log", interrupted, lambda _: None)(())


async def test_a_service_that_fails_is_begun_anew_after_a_pause_until_it_is_cancelled() -> None:
    begun, failures = list[int](), list[str]()

    async def run() -> None:
        begun.append(1)
        raise OSError("no route")

    async def pause() -> None:
        if len(begun) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await harmless_service("shadow", run, failures.append, pause)()
    assert failures == ["shadow"] * 3
