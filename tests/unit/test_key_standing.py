from __future__ import annotations

import pytest

from aether.domain.errors import VenueRefused, VenueUnavailable
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.kraken.key_standing import (
    BAD_NONCES_IN_WINDOW_MAX,
    BAD_NONCES_LAST_S,
    BAD_NONCES_MAX,
    BAD_NONCES_WINDOW_S,
    KEY_IS_SHARED,
    LOCKOUT_S,
    NONCE_IS_STUCK,
    KeyStanding,
)


class HandClock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def standing(clock: HandClock) -> KeyStanding:
    return KeyStanding(clock)


@pytest.mark.parametrize(
    "text", ["EAPI:Invalid key", "EAuth:Failed", "EGeneral:Permission denied", "ETrade:User Locked", "ETrade:Locked"]
)
def test_c08_a_fatal_no_is_remembered_in_kraken_s_words(text: str, standing: KeyStanding) -> None:
    standing.refused(text)
    standing.accepted()

    with pytest.raises(VenueRefused) as refused:
        standing.check()
    assert (refused.value.code, refused.value.text) == ("venue_auth", text)
    assert standing.fatal_code == "venue_auth"


@pytest.mark.parametrize(
    "text", ["EFunding:Max fee exceeded", "EOrder:Insufficient funds", "EAPI:Rate limit exceeded", "ENew:Thing", ""]
)
def test_what_says_nothing_of_the_key_leaves_it_good(text: str, standing: KeyStanding) -> None:
    standing.refused(text)

    standing.check()
    assert standing.fatal_code == ""


def test_c07_a_lockout_lasts_its_time_and_each_further_one_begins_it_anew(
    clock: HandClock, standing: KeyStanding
) -> None:
    standing.refused("EGeneral:Temporary lockout")
    clock.now_ns += NANOS_PER_S
    standing.refused("EGeneral:Temporary lockout")

    clock.now_ns += LOCKOUT_S * NANOS_PER_S - 1
    with pytest.raises(VenueUnavailable, match="lockout"):
        standing.check()
    assert standing.fatal_code == ""
    clock.now_ns += 1
    standing.check()


def refuse_nonces(clock: HandClock, standing: KeyStanding, *, for_s: int) -> None:
    """The fewest that can end a key, over that time."""
    for _ in range(BAD_NONCES_MAX - 1):
        standing.refused("EAPI:Invalid nonce")
    standing.check()
    clock.now_ns += for_s * NANOS_PER_S
    standing.refused("EAPI:Invalid nonce")


def test_c03_bad_nonces_in_a_row_are_fatal_once_they_last_and_a_good_one_between_begins_anew(
    clock: HandClock, standing: KeyStanding
) -> None:
    standing.refused("EAPI:Invalid nonce")
    standing.accepted()
    clock.now_ns += BAD_NONCES_LAST_S * NANOS_PER_S
    refuse_nonces(clock, standing, for_s=BAD_NONCES_LAST_S - 1)
    standing.check()
    clock.now_ns += NANOS_PER_S
    standing.refused("EAPI:Invalid nonce")

    with pytest.raises(VenueRefused, match=KEY_IS_SHARED):
        standing.check()
    assert standing.fatal_code == "venue_auth"


def test_c01_refused_nonces_of_a_moment_are_no_end_however_many(standing: KeyStanding) -> None:
    for _ in range(2 * BAD_NONCES_IN_WINDOW_MAX):
        standing.refused("EAPI:Invalid nonce")

    standing.check()


def test_a_no_about_something_else_makes_no_refused_nonce_last(clock: HandClock, standing: KeyStanding) -> None:
    refuse_nonces(clock, standing, for_s=0)
    clock.now_ns += BAD_NONCES_LAST_S * NANOS_PER_S
    standing.refused("EOrder:Unknown order")

    standing.check()


def test_a_no_about_something_else_does_not_hide_that_the_key_is_dead(clock: HandClock, standing: KeyStanding) -> None:
    refuse_nonces(clock, standing, for_s=BAD_NONCES_LAST_S)
    standing.refused("EOrder:Unknown order")

    assert standing.fatal_code == "venue_auth"


def test_c02_nonces_that_were_never_good_tell_of_a_larger_unit(clock: HandClock, standing: KeyStanding) -> None:
    refuse_nonces(clock, standing, for_s=BAD_NONCES_LAST_S)

    with pytest.raises(VenueRefused, match=NONCE_IS_STUCK):
        standing.check()


def test_c03_two_programs_that_take_turns_are_found_though_good_nonces_lie_between(
    clock: HandClock, standing: KeyStanding
) -> None:
    for _ in range(BAD_NONCES_IN_WINDOW_MAX):
        standing.check()
        standing.refused("EAPI:Invalid nonce")
        standing.accepted()
        clock.now_ns += NANOS_PER_S * BAD_NONCES_LAST_S

    with pytest.raises(VenueRefused, match=KEY_IS_SHARED):
        standing.check()


def test_bad_nonces_now_and_then_are_no_end(clock: HandClock, standing: KeyStanding) -> None:
    for _ in range(3 * BAD_NONCES_IN_WINDOW_MAX):
        standing.refused("EAPI:Invalid nonce")
        standing.accepted()
        clock.now_ns += BAD_NONCES_WINDOW_S * NANOS_PER_S // (BAD_NONCES_IN_WINDOW_MAX - 1) + 1

    standing.check()


def test_c06_nothing_leaves_before_the_time_that_a_throttle_names(clock: HandClock, standing: KeyStanding) -> None:
    clock.now_ns = 1_790_000_000 * NANOS_PER_S
    standing.refused("EService: Throttled: 1790000007")

    clock.now_ns += 7 * NANOS_PER_S - 1
    with pytest.raises(VenueUnavailable, match="Throttled"):
        standing.check()
    clock.now_ns += 1
    standing.check()
    assert standing.fatal_code == ""
