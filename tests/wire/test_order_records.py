"""Orders as REST tells them: every type, either end of their lives, and what is not ours."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.orders import (
    OrderReport,
    OrderType,
    PriceType,
    TimeInForce,
    TriggerReference,
    TriggerReport,
    VenueStatus,
)
from aether.domain.spot_gate import SpotGate
from aether.domain.values import Price, Qty, Usd
from aether.kraken.account import read_balances, read_open_orders
from aether.kraken.listings import AssetNames
from aether.kraken.order_records import is_margin
from aether.kraken.shapes import ABSENT, Raw
from aether.kraken.strict_json import Unreadable

D = Decimal
DESCR = {"pair": "XBTUSD", "aclass": "forex", "type": "sell", "leverage": "none", "order": "…", "close": ""}
ROW: dict[str, Any] = {
    "refid": None,
    "userref": 0,
    "status": "open",
    "opentm": 1790000000.1234,
    "starttm": 0,
    "expiretm": 0,
    "vol": "0.10000000",
    "vol_exec": "0.00000000",
    "cost": "0.00000",
    "fee": "0.00000",
    "price": "0.00000",
    "stopprice": "0.00000",
    "limitprice": "0.00000",
    "misc": "",
    "oflags": "fciq",
    "reason": None,
}


@pytest.fixture
def read(gate: SpotGate) -> Any:
    def order(kind: str, asked: str = "0", asked2: str = "0", **changes: Any) -> OrderReport:
        descr = DESCR | {"ordertype": kind, "price": asked, "price2": asked2} | changes.pop("descr", {})
        (report,) = read_open_orders(json.dumps({"open": {"O1": ROW | {"descr": descr} | changes}}).encode(), gate)
        return report

    return order


def trigger(price: str, price_type: PriceType, **said: Any) -> TriggerReport:
    return TriggerReport(
        D(price),
        price_type,
        said.get("reference", TriggerReference.LAST),
        said.get("actual_price"),
        None,
        is_triggered=said.get("is_triggered", False),
    )


UNREADABLE = TriggerReport(None, None, TriggerReference.LAST, None, None, is_triggered=False)
STATIC, QUOTE, PCT = PriceType.STATIC, PriceType.QUOTE, PriceType.PCT


@pytest.mark.parametrize(
    ("kind", "prices", "limit_price", "told"),
    [
        ("market", ("0", "0"), None, None),
        ("limit", ("60000.0", "0"), "60000.0", None),
        ("iceberg", ("60000.0", "0"), "60000.0", None),
        ("stop-loss", ("55.0", "0"), None, trigger("55.0", STATIC)),
        ("stop-loss-limit", ("55.0", "54.0"), "54.0", trigger("55.0", STATIC)),
        ("take-profit", ("-1.5", "0"), None, trigger("-1.5", QUOTE)),
        ("take-profit-limit", ("+5.0000%", "66.0"), "66.0", trigger("5.0000", PCT)),
        ("trailing-stop", ("+50.0000%", "0"), None, trigger("50.0000", PCT)),
        ("trailing-stop-limit", ("+100.0", "+0"), None, trigger("100.0", QUOTE)),
        ("stop-loss-limit", ("#2%", "-1.0"), None, UNREADABLE),
    ],
)
def test_every_type_is_read_from_kraken_s_shorthand(
    kind: str, prices: tuple[str, str], limit_price: str | None, told: TriggerReport | None, read: Any
) -> None:
    report = read(kind, *prices)

    assert report.limit_price == (None if limit_price is None else Price(D(limit_price)))
    assert (report.terms.order_type, report.terms.trigger) == (OrderType(kind), told)
    assert (report.status, report.qty, report.symbol) == (VenueStatus.NEW, Qty(D("0.10000000")), "BTC/USD")


def test_a_trailing_limit_is_told_as_a_distance_and_then_as_the_price_it_became(read: Any) -> None:
    waits = read("trailing-stop-limit", "+100.0", "-0.5000%")
    fired = read("trailing-stop-limit", "+100.0", "-0.5000%", misc="stopped", stopprice="900.0", limitprice="895.5")

    assert (waits.limit_price, waits.terms.limit_offset, waits.terms.limit_offset_type) == (None, D("-0.5000"), PCT)
    assert fired.limit_price == Price(D("895.5"))
    assert fired.terms.trigger == trigger("100.0", QUOTE, actual_price=Price(D("900.0")), is_triggered=True)


@pytest.mark.parametrize("word", ["stopped", "touched"])
def test_a_trigger_that_fired_is_told_by_kraken_s_word_for_it(word: str, read: Any) -> None:
    report = read("take-profit", "70.0", trigger="index", misc=f"partial,{word}")

    assert report.terms.trigger == trigger("70.0", STATIC, reference=TriggerReference.INDEX, is_triggered=True)


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("pending", "0", VenueStatus.PENDING),
        ("open", "0.00000000", VenueStatus.NEW),
        ("open", "0.04", VenueStatus.PARTIALLY_FILLED),
        ("closed", "0.10000000", VenueStatus.FILLED),
        ("canceled", "0.04", VenueStatus.CANCELED),
        ("expired", "0.04", VenueStatus.EXPIRED),
        ("suspended", "0", VenueStatus.UNKNOWN),
    ],
)
def test_a16_an_end_keeps_what_was_filled_before_it(status: str, filled: str, expected: VenueStatus, read: Any) -> None:
    report = read("limit", "60000.0", status=status, vol_exec=filled, reason="User requested")

    assert (report.status, report.cum_qty, report.reason) == (expected, Qty(D(filled)), "User requested")


def test_flags_expiry_and_averages_are_told(read: Any) -> None:
    report = read(
        "limit", "60000.0", oflags="post,fciq", expiretm=1790000600, misc="amended", cost="12.5", price="59999.5"
    )

    assert report.terms.post_only
    assert report.terms.is_amended
    assert (report.terms.time_in_force, report.terms.expire_ns) == (TimeInForce.GTD, 1_790_000_600_000_000_000)
    assert (report.terms.cum_cost, report.terms.avg_price) == (Usd(D("12.5")), Price(D("59999.5")))


def test_volumes_in_dollars_are_no_coins(read: Any) -> None:
    report = read("market", oflags="fciq,viqc", vol="500.0", vol_exec="500.0", status="closed")

    assert (report.qty, report.cum_qty, report.status) == (None, None, VenueStatus.FILLED)


@pytest.mark.parametrize("changes", [{"misc": "liquidated"}, {"margin": True}, {"descr": {"leverage": "2:1"}}])
def test_what_was_of_margin_is_not_ours(changes: dict[str, Any], read: Any) -> None:
    assert read("limit", "60000.0", **changes).symbol is None


@pytest.mark.parametrize(
    "changes",
    [{"vol": "much"}, {"vol_exec": -1}, {"opentm": "noon"}, {"cost": []}, {"price": -1}, {"descr": {"price": "cheap"}}],
)
def test_d03_d09_an_order_without_its_numbers_is_refused(changes: dict[str, Any], read: Any) -> None:
    descr = {"price": "60000.0"} | changes.get("descr", {})
    with pytest.raises(Unreadable):
        read("limit", **{**changes, "descr": descr})


def test_margin_is_told_by_either_field() -> None:
    assert [is_margin(said, ABSENT) for said in ("none", "", "0", None, "2")] == [False] * 4 + [True]
    assert [is_margin(None, Raw(said)) for said in (b"false", b"0", b"true", b"1.5", b'"?"')] == [False] * 2 + [
        True
    ] * 3


def test_credit_and_every_suffix_stay_apart_from_free_cash() -> None:
    """Kraken's free amount counts credit; ours does not, for it is not ours."""
    suffixes = ("F", "B", "S", "M", "P", "T", "HOLD")
    rows: dict[str, dict[str, str]] = {f"USD.{suffix}": {"balance": "7"} for suffix in suffixes}
    rows["ZUSD"] = {"balance": "100.0", "hold_trade": "10.0", "credit": "50.0", "credit_used": "20.0"}

    told = {b.asset: b for b in read_balances(json.dumps(rows).encode(), AssetNames({"ZUSD": "USD"}))}

    assert (told["USD"].total, told["USD"].held) == (D("100.0"), D("10.0"))
    assert set(told) == {"USD", *(f"USD.{suffix}" for suffix in suffixes)}
