"""Callers of the sandbox: signatures by Kraken's published vectors, nonces, tokens."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal
from aether.sim.keys import BAD_KEYS_MAX, BAD_NONCES_MAX, ApiKey, KeyRing, api_sign

# Kraken docs, Spot REST authentication: the worked example.
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
PATH = "/0/private/AddOrder"
SIGN = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="


@pytest.fixture
def ring() -> KeyRing:
    return ring_of(ApiKey("public", SECRET, "main"))


def ring_of(*keys: ApiKey) -> KeyRing:
    drawn = count(1)
    return KeyRing(keys, lambda: f"token-{next(drawn)}")


def check(
    ring: KeyRing,
    nonce: str,
    *,
    key: str = "public",
    sign: str | None = None,
    body: bytes = b"",
    at_s: int = 0,
    address: str = "",
) -> str:
    body = body or f"nonce={nonce}".encode()
    good = api_sign(SECRET, PATH, nonce, body)
    now_ns = at_s * NANOS_PER_S
    caller = ring.check(
        PATH, body, key=key, sign=good if sign is None else sign, nonce=nonce, now_ns=now_ns, address=address
    )
    return caller.account


def refusal(ring: KeyRing, nonce: str, **changed: Any) -> str:
    with pytest.raises(ExchangeRefusal) as refused:
        check(ring, nonce, **changed)
    return refused.value.text


def test_the_signature_is_that_of_the_documents_example() -> None:
    assert api_sign(SECRET, PATH, "1616492376594", BODY) == SIGN


def test_a_good_signature_names_the_account(ring: KeyRing) -> None:
    assert check(ring, "1616492376594", body=BODY, sign=SIGN) == "main"


def test_an_unknown_key_is_refused_before_the_signature(ring: KeyRing) -> None:
    assert refusal(ring, "1", key="other", sign="nonsense") == "EAPI:Invalid key"
    assert refusal(ring, "1", key="ö", sign="nonsense") == "EAPI:Invalid key"


def test_a_wrong_signature_is_refused_and_uses_up_no_nonce(ring: KeyRing) -> None:
    assert refusal(ring, "5", sign="nonsense") == "EAPI:Invalid signature"
    assert refusal(ring, "5", sign="") == "EAPI:Invalid signature"
    assert check(ring, "5") == "main"


def test_a_nonce_must_rise_strictly(ring: KeyRing) -> None:
    assert check(ring, "100") == "main"
    assert refusal(ring, "100") == "EAPI:Invalid nonce"
    assert refusal(ring, "99") == "EAPI:Invalid nonce"
    assert check(ring, "101") == "main"


@pytest.mark.parametrize("nonce", ["", "-1", "1.5", "abc", str(2**64), "9" * 500, "²"])
def test_what_is_no_unsigned_64_bit_number_is_no_nonce(ring: KeyRing, nonce: str) -> None:
    assert refusal(ring, nonce) == "EAPI:Invalid nonce"


def test_the_largest_nonce_is_taken(ring: KeyRing) -> None:
    assert check(ring, str(2**64 - 1)) == "main"


def test_a_window_takes_lower_nonces_once_each_and_no_further_down() -> None:
    ring = ring_of(ApiKey("public", SECRET, "main", nonce_window=10))

    assert check(ring, "100") == check(ring, "95") == check(ring, "91") == "main"
    assert refusal(ring, "95") == refusal(ring, "100") == refusal(ring, "90") == "EAPI:Invalid nonce"
    assert check(ring, "120") == "main"
    assert refusal(ring, "110") == "EAPI:Invalid nonce"


def test_each_key_has_its_own_account_and_nonce() -> None:
    ring = ring_of(ApiKey("public", SECRET, "main"), ApiKey("second", SECRET, "other"))

    assert check(ring, "100") == "main"
    assert check(ring, "5", key="second") == "other"


def test_a_key_that_is_no_longer_valid_is_an_invalid_one() -> None:
    ring = ring_of(ApiKey("public", SECRET, "main", valid_until_s=100))

    assert check(ring, "1", at_s=99) == "main"
    assert refusal(ring, "2", at_s=100) == "EAPI:Invalid key"


def test_an_allow_list_keeps_other_addresses_out() -> None:
    ring = ring_of(ApiKey("public", SECRET, "main", ip_allowlist=("192.0.2.7",)))

    assert check(ring, "1", address="192.0.2.7") == "main"
    assert refusal(ring, "2", address="127.0.0.1") == "EGeneral:Permission denied"


@pytest.mark.parametrize("wrong", [{"key": "other"}, {"sign": "nonsense"}])
def test_bad_keys_lock_out_and_every_further_try_restarts_the_wait(ring: KeyRing, wrong: dict[str, str]) -> None:
    key = wrong.get("key", "public")
    for _ in range(BAD_KEYS_MAX):
        assert refusal(ring, "1", **wrong) in ("EAPI:Invalid key", "EAPI:Invalid signature")

    assert refusal(ring, "1", key=key) == "EGeneral:Temporary lockout"
    assert refusal(ring, "1", key=key, at_s=899) == "EGeneral:Temporary lockout"
    assert refusal(ring, "1", key=key, at_s=899 + 899) == "EGeneral:Temporary lockout"
    if key == "public":
        assert check(ring, "1", at_s=899 + 899 + 900) == "main"


def test_another_callers_mistakes_lock_nobody_else_out(ring: KeyRing) -> None:
    for _ in range(BAD_KEYS_MAX):
        refusal(ring, "1", key="other")

    assert check(ring, "1") == "main"


def test_many_bad_nonces_lock_out_and_a_good_one_forgives(ring: KeyRing) -> None:
    check(ring, "1")
    for _ in range(BAD_NONCES_MAX - 1):
        refusal(ring, "1")
    check(ring, "2")
    for _ in range(BAD_NONCES_MAX):
        assert refusal(ring, "1") == "EAPI:Invalid nonce"

    assert refusal(ring, "3") == "EGeneral:Temporary lockout"


def test_permissions_are_krakens_and_any_one_that_is_needed_is_enough() -> None:
    reader = ApiKey("public", SECRET, "main", permissions=("query-closed-trades", "close-trades"))

    assert reader.may("QueryOrders")
    assert reader.may("cancel_order")
    assert reader.may("GetApiKeyInfo")
    assert not reader.may("Balance")
    assert not reader.may("AddOrder")
    assert not reader.may("executions")
    with pytest.raises(ValueError, match="is no permission"):
        ApiKey("public", SECRET, "main", permissions=("everything",))


def test_a_key_tells_what_it_is() -> None:
    key = ApiKey(
        "public", SECRET, "main", "bot", ("withdraw-funds",), nonce_window=7, ip_allowlist=("::1",), valid_until_s=9
    )

    assert key.info() == {
        "api_key_name": "bot",
        "api_key": "public",
        "nonce_window": "7",
        "permissions": ["withdraw-funds"],
        "ip_allowlist": ["::1"],
        "valid_until": "9",
    }


def test_a_token_stands_for_its_key_for_fifteen_minutes() -> None:
    key = ApiKey("public", SECRET, "main")
    ring = ring_of(key)
    token = ring.issue_token(key, 0)

    assert ring.key_of(token, 900 * NANOS_PER_S - 1) is key
    assert ring.key_of(token, 900 * NANOS_PER_S) is None
    assert ring.key_of("another", 0) is None


def test_each_token_is_new_and_the_older_one_stays_good_until_all_are_forgotten() -> None:
    key = ApiKey("public", SECRET, "main")
    ring = ring_of(key)
    first, second = ring.issue_token(key, 0), ring.issue_token(key, 1)

    assert first != second
    assert ring.key_of(first, 2) is ring.key_of(second, 2) is key
    ring.forget_tokens()
    assert ring.key_of(first, 2) is ring.key_of(second, 2) is None


def test_a_secret_that_is_no_base64_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="base64"):
        ApiKey("public", "not base64!", "main")
