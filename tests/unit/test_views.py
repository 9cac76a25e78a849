"""JSON of the view and of facts: digits kept, moments readable, nothing left out."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.admin import views
from aether.admin.views import PAGES, fact_to_plain, rfc3339, status, story, to_plain
from aether.core.view import OrderView, PositionView, StopView, TradeView, View
from aether.domain.actors import Actor, Role
from aether.domain.facts import FACT_CLASSES, CommandAccepted, Fact, Numbered, OrderFilled
from aether.domain.inputs import Halt, Resume
from aether.domain.instruments import Side
from aether.domain.orders import AssetAmount, Liquidity
from aether.domain.values import Price, Qty, Usd, UtcNanos

AT_NS = 1_784_483_640_000_000_005
AT = "2026-07-19T17:54:00.000000005Z"
D = Decimal

order = OrderView(
    cl_ord_id="ae1",
    order_id=None,
    intent_id="i1-1",
    strategy="trend",
    symbol="BTC/USD",
    side="buy",
    order_type="limit",
    time_in_force="ioc",
    post_only=False,
    qty=D("0.00010000"),
    limit_price_usd=D("65000.0"),
    filled_qty=D(0),
    average_price_usd=None,
    state="open",
    cancel_asked=False,
    ended="",
    submitted_ns=AT_NS,
    bound_by="cash",
)
position = PositionView("trend", "BTC/USD", D("1E-8"), D(1), None, None, None, D(0), D(0))
trade = TradeView("T1", None, None, "BTC/USD", "buy", D(1), D(2), D(2), (("USD", D("0.0026")),), "taker", AT_NS)


def sample(cls: Any, **given: Any) -> Any:
    """A dataclass of ones, empty texts and None, but for what is given."""
    hints = get_type_hints(cls)
    return cls(**{entry.name: given.get(entry.name, sample_of(hints[entry.name])) for entry in fields(cls)})


def sample_of(kind: Any) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) in (UnionType, Union):
        return None if NoneType in get_args(kind) else sample_of(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return ()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if is_dataclass(kind):
        return sample(kind)
    return kind(1) if kind in (int, Decimal) else kind()


def view(**given: Any) -> View:
    shown: View = sample(
        View,
        **{
            "at_ns": AT_NS,
            "reconciled_ns": None,
            "equity_usd": D("10000.10"),
            "positions": (position, PositionView("trend", "ETH/USD", D(0), D(0), None, None, None, D(5), D(0))),
            "orders": (order,),
            "trades": (trade,),
            "differences": (("BTC", D(1), D(2)),),
            **given,
        },
    )
    return shown


def test_decimals_are_text_with_their_digits_and_never_an_exponent() -> None:
    assert to_plain((D("1E-8"), D("1.50"), D("1E+3"), Usd(D("-0.10")), Qty(D(0)), Price(D("65000.0")))) == [
        "0.00000001",
        "1.50",
        "1000",
        "-0.10",
        "0",
        "65000.0",
    ]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**20), max_value=10**20))
def test_a_decimal_is_read_back_exactly(value: Decimal) -> None:
    assert Decimal(to_plain(value)).as_tuple() == value.as_tuple()


@pytest.mark.parametrize("value", [1.5, {"a": 1}, b"x", {1}, object(), Decimal])
def test_what_has_no_place_in_the_picture_is_a_fault(value: object) -> None:
    with pytest.raises(TypeError):
        to_plain(value)


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (AT_NS, AT), (951_782_400 * 10**9 - 1, "2000-02-28T23:59:59.999999999Z")],
)
def test_moments_are_rfc_3339_in_utc_with_nine_digits(at_ns: int, text: str) -> None:
    assert rfc3339(at_ns) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("at_ns", "at"),
        ("submitted_ns", "submitted_at"),
        ("book_at_ns", "book_at"),
        ("as_of_ns", "as_of"),
        ("venue_ns", "venue_at"),
        ("qty", "qty"),
    ],
)
def test_a_moment_is_named_for_what_happened_at_it(name: str, shown: str) -> None:
    assert views._shown_name(name) == shown


def test_an_order_is_shown_with_every_field() -> None:
    (shown,) = PAGES["orders"](view())["orders"]
    assert shown["submitted_at"] == AT
    assert shown["qty"] == "0.00010000"
    assert shown["order_id"] is None
    assert len(shown) == len(OrderView.__slots__)


def test_status_shows_what_is_held_and_what_still_works() -> None:
    done = OrderView(**{**{name: getattr(order, name) for name in OrderView.__slots__}, "state": "done"})
    shown = status(view(orders=(done, order)))
    assert [row["state"] for row in shown["orders"]] == ["open"]
    assert [row["symbol"] for row in shown["positions"]] == ["BTC/USD"]
    assert (shown["equity_usd"], shown["day_pnl_usd"], shown["mode"], shown["is_trading"]) == (
        "10000.10",
        None,
        "sim",
        False,
    )


def test_status_tells_why_nothing_is_traded() -> None:
    stop = StopView("halt", "all", "halt_operator", "smoke")
    assert status(view(stops=(stop,)))["not_ready"] == ["halt halt_operator: smoke"]
    ready = status(view(reconciled_ns=AT_NS, real_money=True))
    assert (ready["is_trading"], ready["mode"], ready["reconciled_at"]) == (True, "live", AT)


def test_fees_and_differences_have_names_for_their_places() -> None:
    assert PAGES["trades"](view())["trades"][0]["fees"] == [{"asset": "USD", "amount": "0.0026"}]
    assert PAGES["balances"](view())["differences"] == [{"asset": "BTC", "expected": "1", "seen": "2"}]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_json_with_keys_that_do_not_depend_on_the_content(name: str) -> None:
    full, bare = PAGES[name](view()), PAGES[name](view(orders=(), trades=(), positions=(), equity_usd=None))
    assert list(full) == list(bare)
    assert orjson.loads(views.encode(full)) == full


def numbered(fact: Fact) -> Numbered:
    return Numbered(4, 2, UtcNanos(AT_NS), 3, fact)


def test_a_fact_is_shown_with_its_place_and_its_actor() -> None:
    shown = fact_to_plain(numbered(CommandAccepted("r1", Actor("uid:0", Role.OPERATOR), Halt("all", "x"))))
    assert (shown["seq"], shown["run"], shown["at"], shown["input"]) == (4, 2, AT, 3)
    assert (shown["kind"], shown["actor"]) == ("CommandAccepted", "uid:0")
    assert shown["fact"]["actor"] == {"subject": "uid:0", "role": "operator"}
    assert shown["fact"]["command"] == {"kind": "Halt", "scope": "all", "reason": "x"}


def test_halt_and_resume_can_be_told_apart() -> None:
    assert to_plain(Halt("all", "x")) != to_plain(Resume("all", "x"))


def test_fees_of_a_fact_look_like_fees_of_the_view() -> None:
    fill = OrderFilled(
        exec_id="T1",
        order_id="O1",
        cl_ord_id=None,
        strategy=None,
        name="BTC/USD",
        symbol=None,
        side=Side.BUY,
        qty=Qty(D(1)),
        price=Price(D(2)),
        cost=Usd(D(2)),
        fees=(AssetAmount("USD", D("0.0026")),),
        liquidity=Liquidity.TAKER,
        venue_ns=UtcNanos(AT_NS),
        source="executions",
    )
    shown = story([numbered(fill)])["facts"][0]["fact"]
    assert shown["fees"] == PAGES["trades"](view())["trades"][0]["fees"]
    assert shown["venue_at"] == AT
    assert shown["side"] == "buy"


@pytest.mark.parametrize("cls", FACT_CLASSES, ids=lambda cls: cls.__name__)
def test_every_kind_of_fact_becomes_json_with_all_of_its_fields(cls: type[Fact]) -> None:
    shown = orjson.loads(views.encode(fact_to_plain(numbered(sample(cls)))))
    assert shown["kind"] == cls.__name__
    assert len(shown["fact"]) == len(fields(cls))
