"""May this actor give this command now? A rule: pure, replayable, the same for HTTP, socket and shell.

Authority leans to safety: halting, cancelling and selling are open to one person at once; resuming the live account is
not.
"""

from __future__ import annotations

from collections.abc import Collection

from aether.core.halts import strategy_scope
from aether.core.ledger import Ledger
from aether.domain.actors import Actor, Role
from aether.domain.inputs import CancelEverything, Command, Flatten, Halt, Resume

_MAY_STOP = frozenset({Role.ADMIN, Role.DIRECTOR, Role.OPERATOR})


def refusal_of(actor: Actor, command: Command, ledger: Ledger, scopes: Collection[str]) -> tuple[str, str] | None:
    """(code, why) where the command is refused, None where it is allowed. `scopes` are those that can be halted."""
    if actor.role not in _MAY_STOP:
        return "authority_role", f"role {actor.role} may look, not act"
    match command:
        case Halt(scope=scope) | Flatten(scope=scope) if scope not in scopes:
            return "authority_scope", f"unknown scope {scope!r}: it is one of {', '.join(sorted(scopes))}"
        case Flatten() if ledger.is_stopping:
            return "authority_stopping", "the program is stopping"
        case Resume(scope=scope):
            return _resume_refusal(scope, ledger)
        case Halt() | CancelEverything() | Flatten():
            return None


def _resume_refusal(scope: str, ledger: Ledger) -> tuple[str, str] | None:
    if ledger.is_stopping:
        return "authority_stopping", "the program is stopping"
    if scope not in ledger.halted_scopes and scope not in map(strategy_scope, ledger.paused):
        return "authority_not_halted", f"nothing is halted in scope {scope!r}"
    if ledger.started is not None and ledger.started.real_money:
        return "authority_two_directors", "the live account is resumed by two directors, not from here"
    return None
