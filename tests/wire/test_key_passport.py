from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from aether.domain.errors import BadConfiguration, VenueRefused, VenueUnavailable
from aether.domain.values import NANOS_PER_S
from aether.kraken.key_passport import FUNDING, NEEDED, KeyPassport, ask_passport, examine, read_passport
from aether.kraken.key_standing import BAD_NONCES_LAST_S
from aether.kraken.rest import RestClient
from aether.kraken.strict_json import Unreadable

GOOD = KeyPassport("desk", frozenset(NEEDED), ("203.0.113.7",), 0)
DAY_NS = 86_400 * NANOS_PER_S
RECORDED = "kraken-net/rest-get-api-key-info.json"


def test_a_recorded_passport_is_read_and_its_empty_allow_list_is_none(result_of: Callable[[str], bytes]) -> None:
    passport = read_passport(result_of(RECORDED))

    assert (passport.name, passport.ip_allowlist, passport.valid_until_ns) == ("TestKey", (), 0)
    assert passport.missing == ()
    assert passport.dangerous == ("add-funds", "withdraw-funds")


def test_camel_case_names_say_the_same() -> None:
    told = {
        "apiKeyName": "desk",
        "permissions": ["query-funds"],
        "ipAllowlist": ["203.0.113.7"],
        "validUntil": "1790000000",
        "newThing": {"deep": [1]},
    }

    assert read_passport(json.dumps(told).encode()) == KeyPassport(
        "desk", frozenset({"query-funds"}), ("203.0.113.7",), 1_790_000_000 * NANOS_PER_S
    )


@pytest.mark.parametrize(
    "text", [b"{}", b"[]", b'{"permissions":"all"}', b'{"permissions":[1]}', b'{"permissions":null}']
)
def test_without_permissions_there_is_no_passport(text: bytes) -> None:
    with pytest.raises(Unreadable):
        read_passport(text)


def test_an_end_that_cannot_be_read_is_none() -> None:
    assert read_passport(b'{"permissions":[],"valid_until":"never"}').valid_until_ns == 0


def test_a_key_that_trades_alone_passes_without_a_word(clock: Any) -> None:
    assert examine(GOOD, clock) == ()
    assert examine(replace(GOOD, permissions=GOOD.permissions | {"export-data"}), clock) == ()


@pytest.mark.parametrize("permission", [*sorted(FUNDING), "withdraw-everything", "stake-coins", "WITHDRAW_FUNDS"])
def test_a_key_that_can_move_money_is_refused_by_the_permission_s_name(permission: str, clock: Any) -> None:
    with pytest.raises(BadConfiguration, match=permission) as refused:
        examine(replace(GOOD, permissions=GOOD.permissions | {permission}), clock)

    assert "take these permissions away" in refused.value.remedy


@pytest.mark.parametrize("permission", NEEDED)
def test_a_missing_permission_is_named_with_what_it_is_for(permission: str, clock: Any) -> None:
    with pytest.raises(BadConfiguration) as refused:
        examine(replace(GOOD, permissions=GOOD.permissions - {permission}), clock)

    assert f"{permission} ({NEEDED[permission]})" in refused.value.what


def test_no_allow_list_an_end_near_and_strange_permissions_are_warnings(clock: Any) -> None:
    soon_ns = clock.wall_ns() + 3 * DAY_NS + NANOS_PER_S
    passport = replace(
        GOOD, ip_allowlist=(), valid_until_ns=soon_ns, permissions=GOOD.permissions | {"see-the-weather"}
    )

    allow_list, end, strange = examine(passport, clock)

    assert "IP allow-list" in allow_list
    assert "ends in 3 days" in end
    assert "see-the-weather" in strange


def test_a_key_that_has_ended_is_refused_and_one_that_ends_far_off_is_not(clock: Any) -> None:
    with pytest.raises(BadConfiguration, match="has ended"):
        examine(replace(GOOD, valid_until_ns=clock.wall_ns() - 1), clock)

    assert examine(replace(GOOD, valid_until_ns=clock.wall_ns() + 15 * DAY_NS), clock) == ()


async def test_the_passport_is_asked_over_rest(toy: Any, rest: RestClient) -> None:
    toy.answers("GetApiKeyInfo", {"api_key_name": "desk", "permissions": sorted(NEEDED), "ip_allowlist": ["::1"]})

    assert await ask_passport(rest) == replace(GOOD, ip_allowlist=("::1",))


async def test_a_refused_passport_says_what_was_asked(toy: Any, rest: RestClient) -> None:
    toy.answers("GetApiKeyInfo", "EGeneral:Unknown method")

    with pytest.raises(VenueRefused, match="GetApiKeyInfo: EGeneral:Unknown method") as refused:
        await ask_passport(rest)
    assert refused.value.code == "venue_invalid"


async def test_c01_nonces_that_are_refused_for_a_moment_at_the_start_are_a_reason_to_ask_again(
    toy: Any, rest: RestClient
) -> None:
    passport = {"api_key_name": "desk", "permissions": sorted(NEEDED), "ip_allowlist": ["::1"]}
    toy.answers("GetApiKeyInfo", *["EAPI:Invalid nonce"] * 6, passport)

    for _ in range(3):
        with pytest.raises(VenueUnavailable, match="Invalid nonce"):
            await ask_passport(rest)
    assert (await ask_passport(rest)).name == "desk"

    nonces = [int(fields["nonce"]) for _, fields, _ in toy.calls]
    assert all(later - earlier >= NANOS_PER_S for earlier, later in pairwise(nonces))


async def test_c02_c03_nonces_that_stay_refused_at_the_start_are_explained_and_not_tried_for_ever(
    toy: Any, rest: RestClient, clock: Any
) -> None:
    toy.answers("GetApiKeyInfo", "EAPI:Invalid nonce")

    with pytest.raises(VenueUnavailable):
        await ask_passport(rest)
    clock.lapse(BAD_NONCES_LAST_S)
    for _ in range(2):
        with pytest.raises(VenueRefused, match=r"GetApiKeyInfo: .*make a new API key, or stop the program") as refused:
            await ask_passport(rest)
        assert refused.value.code == "venue_auth"
    assert len(toy.calls) == 3


async def test_a_passport_that_cannot_be_read_is_no_permission(toy: Any, rest: RestClient) -> None:
    toy.answers("GetApiKeyInfo", {"permissions": "all"})

    with pytest.raises(VenueRefused, match="GetApiKeyInfo cannot be read"):
        await ask_passport(rest)
