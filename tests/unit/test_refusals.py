from __future__ import annotations

import json
from pathlib import Path

import pytest

from aether.domain.values import NANOS_PER_S
from aether.kraken.refusals import (
    THROTTLED_S_MAX,
    Refusal,
    RefusalClass,
    classify,
    is_about_funding,
    is_bad_nonce,
    is_lockout,
    throttled_s,
)

LIST = json.loads((Path(__file__).parents[1] / "wire" / "captures" / "error-strings.json").read_text("utf-8"))
OURS = {
    "rejected": RefusalClass.REFUSED,
    "rate_limit": RefusalClass.RATE_LIMITED,
    "auth_refresh": RefusalClass.SESSION,
    "fatal": RefusalClass.FATAL,
    "fatal_wait": RefusalClass.FATAL,
    "unknown_outcome": RefusalClass.UNKNOWN,
}
CODES = {
    "venue_funds",
    "venue_minimum",
    "venue_tick",
    "venue_post_only",
    "venue_status",
    "venue_rate_limit",
    "venue_deadline",
    "venue_duplicate",
    "venue_invalid",
    "venue_auth",
    "venue_session",
    "venue_other",
}


def test_the_list_holds_all_sixty_texts() -> None:
    assert len(LIST["rest_and_ws"]) == 60


@pytest.mark.parametrize("entry", LIST["rest_and_ws"], ids=lambda entry: str(entry["error"]))
def test_each_known_text_has_the_class_of_kraken_s_table(entry: dict[str, str]) -> None:
    refusal = classify(entry["error"])

    assert refusal.kind is OURS[entry["class"]]
    assert refusal.code in CODES


@pytest.mark.parametrize("entry", LIST["ws_plain_text"], ids=lambda entry: str(entry["error"]))
def test_the_sentences_of_the_socket_s_own_gate_are_certain_refusals(entry: dict[str, str]) -> None:
    text = (
        entry["error"].replace("<Field>", "Limit_price").replace("<name>", "leverage").replace("<method>", "add_order")
    )

    assert classify(text).kind is not RefusalClass.UNKNOWN


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EOrder:Insufficient funds", "venue_funds"),
        ("EOrder:Order minimum not met", "venue_minimum"),
        ("EGeneral:Invalid arguments:volume minimum not met", "venue_minimum"),
        ("EOrder:Cost minimum not met", "venue_minimum"),
        ("EOrder:Tick size check failed", "venue_tick"),
        ("EOrder:Invalid price:Invalid price argument", "venue_tick"),
        ("EOrder:Post only order", "venue_post_only"),
        ("EService:Market in cancel_only mode", "venue_status"),
        ("EService: Market in post_only mode", "venue_status"),
        ("EOrder:Rate limit exceeded", "venue_rate_limit"),
        ("EOrder:cl_ord_id must be unique", "venue_duplicate"),
        ("EGeneral:Invalid arguments:volume", "venue_invalid"),
        ("EGeneral:Unknown Method", "venue_invalid"),
        ("EAPI:Invalid nonce", "venue_auth"),
        ("EOrder:Something new", "venue_other"),
    ],
)
def test_a_certain_refusal_carries_our_stable_code(text: str, code: str) -> None:
    refusal = classify(text)

    assert refusal.code == code
    assert refusal.kind in (RefusalClass.REFUSED, RefusalClass.RATE_LIMITED)


@pytest.mark.parametrize("text", ["", "EService:Deadline elapsed", "ENew:Thing", "Something else", "<html>", "\x00"])
def test_a_text_that_proves_nothing_is_unknown(text: str) -> None:
    assert classify(text).kind is RefusalClass.UNKNOWN


def test_deadline_elapsed_is_no_proof_but_keeps_its_code() -> None:
    assert classify("EService:Deadline elapsed") == Refusal(RefusalClass.UNKNOWN, "venue_deadline")


@pytest.mark.parametrize("text", ["EAPI:Invalid token", "ESession:Invalid session", "Token(s) not found"])
def test_a_stale_token_says_nothing_of_the_key(text: str) -> None:
    assert classify(text) == Refusal(RefusalClass.SESSION, "venue_session")


def test_lockout_nonce_and_throttle_are_recognised() -> None:
    assert is_lockout("EGeneral:Temporary lockout")
    assert not is_lockout("EGeneral:Permission denied")
    assert is_lockout("egeneral: temporary lockout")
    assert is_about_funding("EFunding:Max fee exceeded")
    assert not is_about_funding("EAPI:Invalid key")
    assert is_bad_nonce("EAPI:Invalid nonce")
    assert not is_bad_nonce("EAPI:Invalid key")


def test_c06_a_throttle_lasts_until_the_second_that_it_names_and_never_for_ever() -> None:
    now_ns = 1_790_359_170 * NANOS_PER_S

    assert throttled_s("EService: Throttled: 1790359200", now_ns) == 30
    assert throttled_s("EService:Throttled:1790359200", now_ns) == 30
    assert throttled_s("EService: Throttled: soon", now_ns) == 0
    assert throttled_s("EService: Throttled: 1790359000", now_ns) == 0
    assert throttled_s("EService: Throttled: 1790359200000", now_ns) == THROTTLED_S_MAX
    assert throttled_s("EService: Throttled: 99999999999999999999", now_ns) == THROTTLED_S_MAX


@pytest.mark.parametrize("text", ["EGeneral:Internal error:duplicate key", "EDatabase:Internal error:duplicate"])
def test_the_word_duplicate_proves_nothing_where_the_rest_of_the_text_does_not(text: str) -> None:
    assert classify(text).kind is RefusalClass.UNKNOWN
