from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.halts import covering_scopes, reasons_against, strategy_scope, symbol_scope
from aether.domain.actors import SYSTEM
from aether.domain.facts import DifferenceEnded, DifferenceFound, HoldBegan, StrategyPaused, TradingHalted


def test_a_strategy_on_a_symbol_is_covered_by_three_scopes(make: Any) -> None:
    assert covering_scopes(make.BTC, "trend") == ("all", "symbol:BTC/USD", "strategy:trend")
    assert (symbol_scope(make.BTC), strategy_scope("trend")) == ("symbol:BTC/USD", "strategy:trend")


@pytest.mark.parametrize("scope", ["all", "symbol:BTC/USD", "strategy:trend"])
def test_a_halt_or_hold_in_a_covering_scope_stops_new_orders(make: Any, book: Any, scope: str) -> None:
    ledger = book.fold(TradingHalted(scope, "halt_operator", "look", SYSTEM), HoldBegan("feed", scope, "lost"))

    assert list(reasons_against(ledger, make.BTC, "trend")) == [
        ("risk_halted", "halted (halt_operator): look"),
        ("risk_held", "on hold (feed): lost"),
    ]


def test_every_reason_of_a_halt_is_told(make: Any, book: Any) -> None:
    ledger = book.fold(
        TradingHalted("all", "halt_operator", "look", SYSTEM), TradingHalted("all", "halt_drawdown", "more", SYSTEM)
    )

    told = [("risk_halted", "halted (halt_operator): look"), ("risk_halted", "halted (halt_drawdown): more")]
    assert list(reasons_against(ledger, make.BTC, "trend")) == told


def test_a_difference_that_is_open_stops_new_orders_everywhere(make: Any, book: Any) -> None:
    ledger = book.fold(DifferenceFound("EUR", Decimal(0), Decimal(5), "why"))
    told = [("risk_difference", "EUR: expected 0, venue has 5")]
    assert list(reasons_against(ledger, make.BTC, "trend")) == told

    book.fold(DifferenceEnded("EUR"))
    assert list(reasons_against(ledger, make.BTC, "trend")) == []


@pytest.mark.parametrize("scope", ["symbol:ETH/USD", "strategy:other"])
def test_other_scopes_stop_nothing_here(make: Any, book: Any, scope: str) -> None:
    ledger = book.fold(TradingHalted(scope, "halt_operator", "look", SYSTEM), HoldBegan("feed", scope, "lost"))

    assert list(reasons_against(ledger, make.BTC, "trend")) == []


def test_a_paused_strategy_is_stopped_everywhere_and_others_are_not(make: Any, book: Any) -> None:
    ledger = book.fold(StrategyPaused("trend", "ValueError: x"))

    told = [("risk_strategy_paused", "strategy paused: ValueError: x")]
    assert list(reasons_against(ledger, make.BTC, "trend")) == told
    assert list(reasons_against(ledger, make.BTC, "other")) == []
