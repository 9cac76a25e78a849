"""The last look before an order is written: each thing that must hold is seen to stop it, and then all trading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aether.core import assertions, risk
from aether.core.assertions import broken_books, broken_by
from aether.core.engine import Engine
from aether.core.ledger import Ledger
from aether.core.portfolio import Position
from aether.domain.facts import Allowance, DifferenceFound, Fact, InstrumentAdopted, OrderSubmitted, TradingHalted
from aether.domain.instruments import PairStatus, Side
from aether.domain.values import Price, Qty, Usd

D = Decimal


@pytest.fixture
def desk(new_desk: Any, make: Any) -> Any:
    """A desk that has just submitted its first order."""
    desk = new_desk(make.policy())
    desk.trade()
    return desk


def _next(desk: Any) -> OrderSubmitted:
    """An order like the one that was sent, under a name of its own."""
    asked = desk.said(OrderSubmitted)[0]
    assert isinstance(asked, OrderSubmitted)
    small = replace(asked, cl_ord_id="ae-next", qty=Qty(D("0.01")), reserved=Usd(D(2)))
    return replace(small, decision=replace(asked.decision, quote=replace(asked.decision.quote, age_ms=0)))


def _why(desk: Any, order: OrderSubmitted) -> list[str]:
    return list(broken_by(desk.ledger, desk.engine.policy, order, desk.engine.now_ns))


def test_an_order_within_all_that_must_hold_may_be_written(desk: Any) -> None:
    assert _why(desk, _next(desk)) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"qty": Qty(D("0.01001"))}, "off lot"),
        ({"limit_price": Price(D("100.05"))}, "off lot"),
        ({"qty": Qty(D("0.0001"))}, "below the minimum"),
        ({"qty": Qty(D(60)), "reserved": Usd(D(6500))}, "at most 5000"),
        ({"reserved": Usd(D(10_000))}, "would be promised"),
        ({"reserved": Usd(D("0.5"))}, "less than it may cost"),
        ({"side": Side.SELL}, "would be promised"),
    ],
)
def test_s5_s7_s8_an_order_that_breaks_a_rule_is_named(desk: Any, changes: dict[str, Any], word: str) -> None:
    assert any(word in why for why in _why(desk, replace(_next(desk), **changes)))


def test_s3_a_name_is_used_once(desk: Any) -> None:
    used = desk.said(OrderSubmitted)[0].cl_ord_id
    assert _why(desk, replace(_next(desk), cl_ord_id=used)) == [f"{used} was used before"]


@pytest.mark.parametrize("age_ms", [-1, 5001])
def test_s23_a_quote_of_another_time_prices_nothing(desk: Any, age_ms: int) -> None:
    order = _next(desk)
    old = replace(order, decision=replace(order.decision, quote=replace(order.decision.quote, age_ms=age_ms)))
    assert any("ms old" in why for why in _why(desk, old))


def test_s12_nothing_is_written_against_a_hold_a_halt_or_a_difference(desk: Any, make: Any) -> None:
    told: tuple[Fact, ...] = (
        TradingHalted("symbol:BTC/USD", "halt_operator", "look", make.OPERATOR),
        DifferenceFound("USD", D(1), D(2), "unexplained"),
        InstrumentAdopted(make.instrument(status=PairStatus.CANCEL_ONLY, version=2)),
    )
    for fact in told:
        desk.engine.emit(fact)
    desk.ledger.is_stopping = True
    found = " ".join(_why(desk, _next(desk)))
    for word in ("halt_operator", "expected 1", "cancel_only", "stopping"):
        assert word in found


def test_s8_no_more_orders_than_allowed(desk: Any) -> None:
    desk.ledger.sent_ns = [desk.engine.now_ns] * 20
    assert any("20 orders" in why for why in _why(desk, _next(desk)))


def test_a_check_that_says_yes_to_everything_sends_nothing_and_halts(
    new_desk: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def yes(intent: Any, _: Any) -> Any:
        return Allowance("yes", intent.wanted, "always")

    monkeypatch.setitem(risk.CHECKS, Side.BUY, (yes,))
    desk = new_desk(make.policy(risk=make.limits(order_usd_max=make.usd("10")))).start()
    desk.take(make.book())
    desk.tick()
    assert desk.said(OrderSubmitted) == []
    (halt,) = desk.said(TradingHalted)
    assert (halt.scope, halt.code) == ("all", "halt_invariant")
    assert "at most 10" in halt.reason


def _overfilled(ledger: Ledger) -> None:
    order = next(iter(ledger.unsettled.values()))
    ledger.unsettled[order.cl_ord_id] = replace(order, filled=order.qty + Qty(D(1)))


def _nan(ledger: Ledger) -> None:
    ledger.portfolio.balances["BTC"] = D("NaN")


def _float(ledger: Ledger) -> None:
    ledger.portfolio.balances["USD"] = 1.5  # type: ignore[assignment]


def _position(ledger: Ledger) -> None:
    (symbol,) = ledger.instruments
    ledger.portfolio.positions["trend", symbol] = Position("trend", symbol, coins=D("Infinity"))


@pytest.mark.parametrize(
    ("damage", "word"), [(_overfilled, "filled"), (_nan, "NaN"), (_float, "1.5"), (_position, "Infinity")]
)
def test_s9_s20_books_that_contradict_themselves_halt(desk: Any, damage: Callable[[Ledger], None], word: str) -> None:
    assert list(broken_books(desk.ledger)) == []
    damage(desk.ledger)
    assert any(word in why for why in broken_books(desk.ledger))
    engine: Engine = desk.engine
    assertions.watch(engine)
    assert ("all", "halt_invariant") not in engine.ledger.halts  # looked at less than a minute ago
    engine.now_ns += assertions.BOOKS_EVERY_NS
    assertions.watch(engine)
    assert ("all", "halt_invariant") in engine.ledger.halts


def test_what_a_venue_filled_beyond_the_size_is_its_own_halt(desk: Any, make: Any) -> None:
    _overfilled(desk.ledger)
    desk.engine.emit(TradingHalted("symbol:BTC/USD", "halt_contract_broken", "overfilled", make.OPERATOR))
    assert list(broken_books(desk.ledger)) == []
