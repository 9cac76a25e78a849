from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.actors import SYSTEM, Actor, Role
from aether.domain.errors import InvariantBroken, JournalBroken
from aether.domain.facts import (
    Allowance,
    CommandAccepted,
    CostEstimate,
    Decision,
    EquityMarked,
    FeesAdopted,
    IntentRefused,
    OrderAccepted,
    QuoteSeen,
    TradingHalted,
)
from aether.domain.inputs import BookChanged, Halt, Stamped, Tick
from aether.domain.instruments import Side
from aether.domain.spot_gate import recall
from aether.domain.values import Bps, Price, Usd
from aether.journal.codec import decode, decode_fact, encode, encode_fact

BTC = recall("BTC/USD")
BOOK = BookChanged(BTC, ((1059442, 10), (1059441, 25)), ((1059443, 7),), 1, 8)


def refusal() -> IntentRefused:
    cost = CostEstimate(Decimal("12.50"), Decimal(26), Decimal("0.1"), Decimal(1), Decimal(0))
    quote = QuoteSeen(Price(Decimal("105944.20")), Price(Decimal("105944.3")), 12, None)
    allowances = (
        Allowance("cash_room", Usd(Decimal("600.00")), "600.00 free"),
        Allowance("fresh", Usd(Decimal("1E+3")), "ok"),
    )
    decision = Decision(
        wanted=Usd(Decimal(1)),
        equity=Usd(Decimal("2.0")),
        cash_free=Usd(Decimal("3.00")),
        position=Usd(Decimal("-0.5")),
        volatility_bps=Bps(150),
        volatility_used_bps=Bps(200),
        regime="calm",
        regime_percent=100,
        quote=quote,
        costs=cost,
        allowances=allowances,
        binding="cash_room",
        instrument_version=3,
    )
    return IntentRefused("7-trend", "trend", BTC, Side.BUY, "risk_cash", "too little", decision)


def test_a_fact_is_one_line_of_json_in_the_order_of_its_fields_with_decimals_as_text() -> None:
    encoded = encode_fact(FeesAdopted(BTC, Decimal("26.0"), Decimal("1E-8")))

    assert encoded.kind == "FeesAdopted"
    assert encoded.version == FeesAdopted.VERSION
    assert encoded.body == b'{"symbol":"BTC/USD","taker_bps":"26.0","maker_bps":"0.00000001"}'


def test_nested_facts_keep_every_digit_and_read_back_equal() -> None:
    encoded = encode_fact(refusal())
    body = json.loads(encoded.body)

    assert body["decision"]["quote"] == {"bid": "105944.20", "ask": "105944.3", "age_ms": 12, "last_trade": None}
    assert body["decision"]["allowances"][1]["at_most"] == "1000"
    assert decode_fact(encoded.kind, encoded.version, encoded.body) == refusal()


def test_a_command_is_written_under_the_name_of_its_class() -> None:
    encoded = encode_fact(CommandAccepted("r1", Actor("uid:0", Role.OPERATOR), Halt("all", "drill")))

    assert json.loads(encoded.body)["command"] == {"Halt": {"scope": "all", "reason": "drill"}}


def test_a_stamped_input_is_written_under_the_name_of_its_class() -> None:
    assert encode(Stamped(3, 17, Tick())) == b'{"seq":3,"at_ns":17,"input":{"Tick":{}}}'
    assert decode(Stamped, encode(Stamped(4, 18, BOOK))) == Stamped(4, 18, BOOK)


@pytest.mark.parametrize(
    ("fact", "field"),
    [
        (FeesAdopted(BTC, 26.0, Decimal(1)), "taker_bps: takes Decimal, was float"),  # type: ignore[arg-type]
        (FeesAdopted(BTC, Decimal("NaN"), Decimal(1)), "taker_bps: NaN is no amount"),
        (FeesAdopted(BTC, Decimal("Infinity"), Decimal(1)), "taker_bps: Infinity is no amount"),
        (FeesAdopted(BTC, Decimal(1), Decimal("1E+101")), "maker_bps"),
        (FeesAdopted(BTC, Decimal(1), Decimal("0E-999999999")), "maker_bps"),
        (OrderAccepted("a", 7), "order_id: takes str, was int"),  # type: ignore[arg-type]
        (OrderAccepted("a", "\ud800"), "surrogates"),
        (EquityMarked("d", Decimal(1), Usd(Decimal(1)), Usd(Decimal(1))), "equity: takes Usd, was Decimal"),  # type: ignore[arg-type]
        (TradingHalted("all", "c", "r", "root"), "actor: takes Actor, was str"),  # type: ignore[arg-type]
        (CommandAccepted("r", SYSTEM, BOOK), "command: takes one of Halt"),  # type: ignore[arg-type]
    ],
)
def test_what_an_annotation_does_not_allow_is_never_written(fact: Any, field: str) -> None:
    with pytest.raises(InvariantBroken, match=field):
        encode_fact(fact)


@pytest.mark.parametrize(
    "stamped",
    [
        Stamped(1, 1.5, Tick()),  # type: ignore[arg-type]
        Stamped(True, 1, Tick()),  # noqa: FBT003
        Stamped(2**64, 1, Tick()),
        Stamped(1, 1, BookChanged(BTC, ((1.0, 2),), (), 1, 8)),  # type: ignore[arg-type]
        Stamped(1, 1, BookChanged(BTC, ((1, True),), (), 1, 8)),
        Stamped(1, 1, BookChanged(BTC, ((1, 2, 3),), (), 1, 8)),  # type: ignore[arg-type]
    ],
)
def test_floats_truths_and_odd_levels_are_no_numbers(stamped: Stamped) -> None:
    with pytest.raises(InvariantBroken):
        encode(stamped)


def test_the_largest_and_smallest_orders_of_magnitude_are_written() -> None:
    body = encode_fact(FeesAdopted(BTC, Decimal("1E+100"), Decimal("1E-100"))).body

    assert decode_fact("FeesAdopted", 1, body) == FeesAdopted(BTC, Decimal("1E+100"), Decimal("1E-100"))


GOOD = '{"symbol":"BTC/USD","taker_bps":"26","maker_bps":"1"}'


def test_the_shape_that_the_refusals_below_depart_from_is_read() -> None:
    assert decode_fact("FeesAdopted", 1, GOOD.encode()) == FeesAdopted(BTC, Decimal(26), Decimal(1))


@pytest.mark.parametrize(
    "body",
    [
        GOOD[:-1] + ',"extra":1}',
        '{"symbol":"BTC/USD","taker_bps":"26"}',
        GOOD.replace('"26"', "26"),
        GOOD.replace('"26"', "26.0"),
        GOOD.replace('"26"', '"2_6"'),
        GOOD.replace('"26"', '"2e6"'),
        GOOD.replace('"26"', '"NaN"'),
        GOOD.replace('"26"', '" 26"'),
        GOOD.replace('"26"', '"26\\n"'),
        GOOD.replace('"26"', '"\u0662"'),
        GOOD.replace('"26"', "null"),
        GOOD.replace('"BTC/USD"', "7"),
        "[]",
        "{",
        "",
    ],
)
def test_anything_but_the_exact_shape_is_refused(body: str) -> None:
    with pytest.raises(JournalBroken, match="FeesAdopted cannot be read"):
        decode_fact("FeesAdopted", 1, body.encode())


def test_values_that_the_domain_refuses_are_refused_on_reading_too() -> None:
    body = encode_fact(refusal()).body.replace(b'"105944.20"', b'"-1"')

    with pytest.raises(JournalBroken, match="bid: Price must be positive"):
        decode_fact("IntentRefused", 1, body)


def test_unknown_kinds_and_newer_versions_are_refused_with_the_remedy_h12() -> None:
    remedy = "run the version of the program that last wrote this journal, or a newer one"
    with pytest.raises(JournalBroken, match=f"no fact is called OrderVanished in this program; {remedy}"):
        decode_fact("OrderVanished", 1, b"{}")
    with pytest.raises(JournalBroken, match=f"FeesAdopted has version 2, this program knows 1; {remedy}"):
        decode_fact("FeesAdopted", 2, GOOD.encode())


def test_unknown_words_in_unions_and_enumerations_are_refused() -> None:
    with pytest.raises(JournalBroken, match="nothing here is called Nap"):
        decode(Stamped, b'{"seq":1,"at_ns":1,"input":{"Nap":{}}}')
    with pytest.raises(JournalBroken, match="one named value"):
        decode(Stamped, b'{"seq":1,"at_ns":1,"input":{"Tick":{},"Halt":{}}}')
    with pytest.raises(JournalBroken, match="side"):
        decode_fact("IntentRefused", 1, encode_fact(refusal()).body.replace(b'"buy"', b'"hold"'))


@pytest.mark.parametrize("levels", ["[[1]]", "[[1,2,3]]", "[[1.0,2]]", '["ab"]', "[null]", "{}", "[[true,1]]"])
def test_levels_that_are_no_pairs_of_whole_numbers_are_refused(levels: str) -> None:
    line = encode(Stamped(1, 1, BOOK)).replace(b"[[1059443,7]]", levels.encode())

    with pytest.raises(JournalBroken, match="asks"):
        decode(Stamped, line)


def test_a_class_with_a_field_of_no_known_kind_has_no_form() -> None:
    @dataclass(frozen=True, slots=True)
    class Weighed:
        grams: float

    with pytest.raises(InvariantBroken, match="float"):
        encode(Weighed(1.0))


PRINT_FACT = """
from decimal import Decimal as D
from aether.domain.actors import Actor, Role
from aether.domain.facts import CommandAccepted, FeesAdopted
from aether.domain.inputs import Halt
from aether.domain.spot_gate import recall
from aether.journal.codec import encode_fact
print(encode_fact(CommandAccepted("r1", Actor("uid:0", Role.OPERATOR), Halt("all", "drill"))))
print(encode_fact(FeesAdopted(recall("BTC/USD"), D("26.0"), D("1E-8"))))
print({"a", "b", "c", "d"})
"""


@pytest.mark.process
def test_bytes_are_the_same_in_processes_that_hash_differently() -> None:
    def bytes_under(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", PRINT_FACT], env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()

    one, other = bytes_under("1"), bytes_under("2")

    assert one[:2] == other[:2]
    assert one[2] != other[2]  # or the two processes would prove nothing
