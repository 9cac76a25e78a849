"""What faults do at once to the exchange and its surroundings: statuses, stale tokens, full counters."""

from __future__ import annotations

from aether.sim.desk import Desk
from aether.sim.faults import PAIR_STATUSES, Fault


def strike_desk(desk: Desk, fault: Fault) -> None:
    """Do what this fault does behind the doors; nothing where it concerns the sockets alone."""
    name, symbol = fault.kind.name, fault.where.get("symbol")
    if name == "stale_token":
        desk.keys.forget_tokens()
    elif name == "order_rate_limit":
        for account in desk.keys.accounts:
            for pair in desk.exchange.pairs if symbol is None else (symbol,):
                desk.trading_counters.fill(account, pair, desk.now_ns())
    elif name in PAIR_STATUSES:
        if symbol is None:
            desk.exchange.set_system_status(name)
        else:
            desk.exchange.set_pair_status(symbol, name)
        desk.settle()
