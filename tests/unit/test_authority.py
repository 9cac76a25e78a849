from __future__ import annotations

from typing import Any

import pytest

from aether.core.authority import refusal_of
from aether.core.ledger import Ledger
from aether.domain.actors import SYSTEM, Actor, Role
from aether.domain.codes import CODES
from aether.domain.facts import RunStarted, StopBegan, StrategyPaused, TradingHalted
from aether.domain.inputs import CancelEverything, Command, Halt, Resume

COMMANDS = [Halt("all", "look"), Resume("all", "fine"), CancelEverything("out")]
SCOPES = frozenset({"all", "symbol:BTC/USD", "strategy:trend"})
STOPPERS = [Role.ADMIN, Role.DIRECTOR, Role.OPERATOR]


def ledger_of(book: Any, *, real_money: bool = False) -> Ledger:
    started = RunStarted(1, "abcd", "a-1", "world", real_money, "0.1.0", "d", 1)
    ledger: Ledger = book.fold(started, TradingHalted("all", "halt_operator", "look", SYSTEM))
    return ledger


def code_of(actor: Actor, command: Command, ledger: Ledger) -> str | None:
    refused = refusal_of(actor, command, ledger, SCOPES)
    assert refused is None or refused[0] in CODES
    return refused[0] if refused else None


@pytest.mark.parametrize("scope", ["symbol:btc-usd", "strategy:typo", "symbol:", "BTC/USD", ""])
def test_a_halt_of_nothing_that_is_traded_here_is_refused_and_names_what_is(book: Any, scope: str) -> None:
    refused = refusal_of(Actor("x", Role.OPERATOR), Halt(scope, "look"), ledger_of(book), SCOPES)

    assert refused is not None
    assert refused[0] == "authority_scope"
    assert "symbol:BTC/USD" in refused[1]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("role", list(Role))
def test_those_who_may_stop_may_also_resume_what_is_no_real_money(book: Any, role: Role, command: Command) -> None:
    expected = None if role in STOPPERS else "authority_role"

    assert code_of(Actor("x", role), command, ledger_of(book)) == expected


@pytest.mark.parametrize("role", STOPPERS)
def test_nobody_resumes_the_live_account_alone_but_anybody_stops_it(book: Any, role: Role) -> None:
    ledger, actor = ledger_of(book, real_money=True), Actor("x", role)

    assert code_of(actor, Resume("all", "fine"), ledger) == "authority_two_directors"
    assert code_of(actor, Halt("all", "look"), ledger) is None
    assert code_of(actor, CancelEverything("out"), ledger) is None


@pytest.mark.parametrize("scope", ["", "everything", "symbol:"])
def test_a_halt_needs_a_scope(make: Any, book: Any, scope: str) -> None:
    assert code_of(make.OPERATOR, Halt(scope, "look"), ledger_of(book)) == "authority_scope"


@pytest.mark.parametrize("scope", ["symbol:BTC/USD", "strategy:trend", "nonsense"])
def test_only_what_is_halted_is_resumed(make: Any, book: Any, scope: str) -> None:
    assert code_of(make.OPERATOR, Resume(scope, "fine"), ledger_of(book)) == "authority_not_halted"


def test_a_paused_strategy_is_resumed_by_its_scope_and_not_by_its_bare_name(make: Any, book: Any) -> None:
    ledger = ledger_of(book)
    book.fold(StrategyPaused("trend", "raised"))

    assert code_of(make.OPERATOR, Resume("strategy:trend", "fine"), ledger) is None
    assert code_of(make.OPERATOR, Resume("trend", "fine"), ledger) == "authority_not_halted"


def test_nothing_is_resumed_while_stopping_but_all_may_still_be_stopped(make: Any, book: Any) -> None:
    ledger = ledger_of(book)
    book.fold(StopBegan("asked"))

    assert code_of(make.OPERATOR, Resume("all", "fine"), ledger) == "authority_stopping"
    assert code_of(make.OPERATOR, Halt("symbol:BTC/USD", "look"), ledger) is None
