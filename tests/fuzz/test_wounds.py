"""The wounds themselves: what they hurt, what they leave alone, and that a seed gives the same ones again."""

from __future__ import annotations

import json
from random import Random

import pytest

from aether.kraken.endpoints import Endpoint
from tests.fuzz import corpus
from tests.fuzz.wounds import BROKEN, SOUND, Document, wounded

TEXT = b'{"a":[1.50,{"b":"x"}],"c":null,"d":true}'


def test_a_document_without_wounds_keeps_every_digit() -> None:
    assert Document(b'{ "a" : [ 1.50, {"b":"x"} ],\n"c":null,"d":true}').wounded(Random(1), wounds=0) == TEXT


def test_a_seed_gives_the_same_wounds_again() -> None:
    document = Document(TEXT)

    assert [wounded(Random(7), document) for _ in range(3)] == [wounded(Random(7), document)] * 3


def test_each_kind_of_wound_is_met() -> None:
    document, chance = Document(TEXT), Random(1)
    met = {wounded(chance, document) for _ in range(5_000)}

    assert TEXT in met  # left alone
    assert b'{"a":[1.50,{"b":"x"}],"d":true}' in met  # a key taken away
    assert b'{"a":[1.50,{"b":"x"}],"c":null,"c":null,"d":true}' in met  # a key twice
    assert b'{"a":["1.50",{"b":"x"}],"c":null,"d":true}' in met  # a number as text
    assert b'{"a":[NaN,{"b":"x"}],"c":null,"d":true}' in met
    assert any(each.startswith(b"\xef\xbb\xbf") for each in met)
    assert any(each.count(b"[") > 10_000 for each in met)
    assert any(b"\xff" in each for each in met)
    assert TEXT[:10] in met  # cut
    assert TEXT + TEXT in met  # two documents


def test_what_breaks_a_document_is_told_from_what_does_not() -> None:
    assert {b"NaN", b"01", b"'a'", b"[" * 300} <= set(BROKEN)
    assert {b"null", b"9" * 39, b'"quantum"'} <= set(SOUND)


def test_a_long_recording_is_cut_to_rows_that_are_whole() -> None:
    shortened = json.loads(Document(corpus.recorded("assetpairs/AssetPairs-20260112.json.gz")).shortened(2))

    assert len(shortened["result"]) == 2
    assert all({"altname", "quote", "costmin", "status"} <= set(row) for row in shortened["result"].values())


@pytest.mark.parametrize("endpoint", Endpoint)
def test_every_endpoint_has_an_answer_to_be_wounded(endpoint: Endpoint) -> None:
    assert corpus.answers(endpoint.value.name)


@pytest.mark.parametrize("name", corpus.ANSWERS_IN)
def test_no_recorded_answer_is_passed_over(name: str) -> None:
    assert len(corpus.answers(name)) == len(corpus.ANSWERS_IN[name]) + (name in corpus.WRITTEN_ANSWERS)
