"""How much one socket may say."""

from __future__ import annotations

from aether.domain.values import NANOS_PER_S
from aether.sim.lines import MESSAGES_MAX, MESSAGES_PER_S, Throttle


def test_a_socket_that_says_too_much_is_told_so_and_heard_again_later() -> None:
    throttle = Throttle()

    assert all(throttle.lets_pass(0) for _ in range(MESSAGES_MAX))
    assert not throttle.lets_pass(0)
    passed = [throttle.lets_pass(NANOS_PER_S) for _ in range(MESSAGES_PER_S + 1)]
    assert passed == [True] * MESSAGES_PER_S + [False]
