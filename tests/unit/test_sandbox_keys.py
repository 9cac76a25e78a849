"""Callers of the sandbox: signatures by Kraken's published vectors, nonces, tokens."""

from __future__ import annotations

from itertools import count

import pytest

from aether.domain.values import NANOS_PER_S
from aether.sim.exchange import ExchangeRefusal
from aether.sim.keys import ApiKey, KeyRing, api_sign

# Kraken docs, Spot REST authentication: the worked example.
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
PATH = "/0/private/AddOrder"
SIGN = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="


@pytest.fixture
def ring() -> KeyRing:
    drawn = count(1)
    return KeyRing(ApiKey("public", SECRET, "main"), lambda: f"token-{next(drawn)}")


def check(ring: KeyRing, nonce: str, *, key: str = "public", sign: str | None = None) -> str:
    body = f"nonce={nonce}".encode()
    good = api_sign(SECRET, PATH, nonce, body)
    return ring.check(PATH, body, key=key, sign=good if sign is None else sign, nonce=nonce)


def refusal(ring: KeyRing, nonce: str, **changed: str) -> str:
    with pytest.raises(ExchangeRefusal) as refused:
        check(ring, nonce, **changed)
    return refused.value.text


def test_the_signature_is_that_of_the_documents_example() -> None:
    assert api_sign(SECRET, PATH, "1616492376594", BODY) == SIGN


def test_a_good_signature_names_the_account(ring: KeyRing) -> None:
    assert ring.check(PATH, BODY, key="public", sign=SIGN, nonce="1616492376594") == "main"


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


def test_a_token_opens_its_account_for_fifteen_minutes(ring: KeyRing) -> None:
    token = ring.issue_token("main", 0)

    assert ring.account_of(token, 900 * NANOS_PER_S - 1) == "main"
    assert ring.account_of(token, 900 * NANOS_PER_S) is None
    assert ring.account_of("another", 0) is None


def test_each_token_is_new_and_the_older_one_stays_good(ring: KeyRing) -> None:
    first, second = ring.issue_token("main", 0), ring.issue_token("main", 1)

    assert first != second
    assert ring.account_of(first, 2) == ring.account_of(second, 2) == "main"


def test_a_secret_that_is_no_base64_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="base64"):
        ApiKey("public", "not base64!", "main")
