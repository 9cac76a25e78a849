from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from aether.core import risk
from aether.core.intents import OrderIntent
from aether.core.risk import CHECKS, RiskView
from aether.domain.codes import CODES
from aether.domain.facts import Allowance, CostEstimate, QuoteSeen
from aether.domain.instruments import PairStatus, Side
from aether.domain.values import NO_QTY, NO_USD, Price, Qty, Usd

D = Decimal
S = 1_000_000_000
Check = Callable[[OrderIntent, RiskView], Allowance]


def quote(bid: str = "99.9", ask: str = "100", age_ms: int = 0, last: str | None = "100") -> QuoteSeen:
    return QuoteSeen(Price(D(bid)), Price(D(ask)), age_ms, Price(D(last)) if last else None)


def costs(edge: str) -> CostEstimate:
    return CostEstimate(D(edge), D("25.5"), D(5), D("0.5"), D(2))


# Each gate with a view that just passes and one that just does not.
GATES: list[tuple[Check, str, Callable[[Any], dict[str, Any]], Callable[[Any], dict[str, Any]]]] = [
    (
        risk.may_trade,
        "risk_held",
        lambda make: {"against": ()},
        lambda make: {"against": (("risk_held", "on hold"), ("risk_halted", "halted"))},
    ),
    (
        risk.pair_status,
        "risk_pair_status",
        lambda make: {"instrument": make.instrument(status=PairStatus.ONLINE)},
        lambda make: {"instrument": make.instrument(status=PairStatus.LIMIT_ONLY)},
    ),
    (
        risk.fresh_quote,
        "risk_quote_stale",
        lambda make: {"quote": quote(age_ms=5000)},
        lambda make: {"quote": quote(age_ms=5001)},
    ),
    (
        risk.tight_spread,
        "risk_spread",
        lambda make: {"quote": quote("100", "100.5")},
        lambda make: {"quote": quote("100", "100.51")},
    ),
    (
        risk.price_collar,
        "risk_collar",
        lambda make: {"quote": quote("99.99", "100.01"), "limits": make.limits(collar_bps=0)},
        lambda make: {"quote": quote("99.99", "100.02"), "limits": make.limits(collar_bps=0)},
    ),
    (
        risk.price_collar,
        "risk_collar",
        lambda make: {"quote": quote("99.99", "100.01", last="99"), "limits": make.limits(collar_bps=102)},
        lambda make: {"quote": quote("99.99", "100.01", last="99"), "limits": make.limits(collar_bps=101)},
    ),
    (
        risk.price_collar,
        "risk_collar",
        lambda make: {"quote": quote(last=None), "last_close": make.price("99"), "limits": make.limits(collar_bps=102)},
        lambda make: {"quote": quote(last=None), "last_close": make.price("99"), "limits": make.limits(collar_bps=101)},
    ),
    (
        risk.price_collar,
        "risk_collar",
        lambda make: {"quote": quote(last=None), "last_close": make.price("100")},
        lambda make: {"quote": quote(last=None), "last_close": None},
    ),
    (
        risk.account_fresh,
        "risk_account_stale",
        lambda make: {"account_as_of_ns": make.T0 - 181 * S + 1},
        lambda make: {"account_as_of_ns": make.T0 - 181 * S},
    ),
    (
        risk.nothing_unresolved,
        "risk_unresolved",
        lambda make: {"unresolved": None},
        lambda make: {"unresolved": "aeabcd00010000001"},
    ),
    (
        risk.order_rate,
        "risk_order_rate",
        lambda make: {"sent_last_minute": 19, "sent_last_day": 1999},
        lambda make: {"sent_last_minute": 20, "sent_last_day": 20},
    ),
    (
        risk.order_rate,
        "risk_order_rate",
        lambda make: {"sent_last_day": 1999},
        lambda make: {"sent_last_day": 2000},
    ),
    (
        risk.order_spacing,
        "risk_order_spacing",
        lambda make: {"last_sent_ns": make.T0 - 5 * S},
        lambda make: {"last_sent_ns": make.T0 - 5 * S + 1},
    ),
    # A stamp of the future is of a clock that was set back over a restart: waiting for it could take days.
    (
        risk.order_spacing,
        "risk_order_spacing",
        lambda make: {"last_sent_ns": make.T0 + S},
        lambda make: {"last_sent_ns": make.T0},
    ),
    (
        risk.daily_loss,
        "risk_daily_loss",
        lambda make: {"equity": Usd(D("9500.01"))},
        lambda make: {"equity": Usd(D(9500))},
    ),
    (
        risk.drawdown,
        "risk_drawdown",
        lambda make: {"peak": Usd(D(12_500)), "equity": Usd(D("10000.01"))},
        lambda make: {"peak": Usd(D(12_500)), "equity": Usd(D(10_000))},
    ),
    (risk.edge_over_cost, "risk_edge", lambda make: {"costs": costs("33.01")}, lambda make: {"costs": costs("33")}),
]


@pytest.mark.parametrize(("check", "code", "good", "bad"), GATES)
def test_k02_k04_k06_each_gate_lets_all_through_or_nothing_on_either_side_of_its_boundary(
    make: Any, check: Check, code: str, good: Any, bad: Any
) -> None:
    intent = make.intent()

    passed, stopped = check(intent, make.view(**good(make))), check(intent, make.view(**bad(make)))
    assert (passed.at_most, passed.code) == (intent.wanted, "")
    assert (stopped.at_most, stopped.code) == (NO_USD, code)
    assert code in CODES
    assert passed.check == stopped.check == check.__name__
    assert stopped.because


def test_the_collar_says_which_references_it_used(make: Any) -> None:
    told = [
        risk.price_collar(make.intent(), make.view(quote=quote(last=last), last_close=close)).because
        for last, close in (("100", make.price("90")), (None, make.price("100")), (None, None))
    ]

    assert told == [
        "limit price is 5.00 bps from the middle and the last trade, at most 150",
        "limit price is 5.00 bps from the middle and the last close, at most 150",
        "no fresh trade and no close beside the middle of the book",
    ]


def test_the_reason_of_a_stale_quote_has_its_numbers(make: Any) -> None:
    allowance = risk.fresh_quote(make.intent(), make.view(quote=quote(age_ms=9000)))

    assert allowance == Allowance("fresh_quote", NO_USD, "quote is 9000 ms old, at most 5000", "risk_quote_stale")


@pytest.mark.parametrize(
    ("check", "changes", "at_most"),
    [
        (risk.order_value, {}, "5000"),
        (risk.nav_share, {"equity": Usd(D(3000))}, "1500"),
        (risk.nav_share, {"equity": Usd(D(-3000))}, "0"),
        (risk.symbol_exposure, {"exposure_symbol": Usd(D(1200))}, "3800"),
        (risk.symbol_exposure, {"exposure_symbol": Usd(D(6000))}, "0"),
        (risk.total_exposure, {"exposure_total": Usd(D(7999))}, "1"),
        (risk.total_exposure, {"exposure_total": Usd(D(8001))}, "0"),
        (risk.holding_room, {"holding_free": Qty(D("1.5"))}, "150"),
        (risk.holding_room, {"holding_free": NO_QTY}, "0"),
        (risk.cash_room, {"cash_free": Usd(D(100))}, "0"),
        (risk.cash_room, {"cash_free": Usd(D(-50))}, "0"),
    ],
)
def test_k01_k03_each_room_is_what_its_limit_leaves_and_never_negative(
    make: Any, check: Check, changes: dict[str, Any], at_most: str
) -> None:
    allowance = check(make.intent(), make.view(**changes))

    assert allowance.at_most == make.usd(at_most)
    assert allowance.code in CODES


def test_cash_room_takes_floor_share_and_worst_fee_out(make: Any) -> None:
    view = make.view(cash_free=Usd(D(1104)), limits=make.limits(cash_bps_max=10_000), fee_bps_worst=D(40))

    assert risk.cash_room(make.intent(), view).at_most == Usd(D(1000))


def test_cash_room_leaves_no_hair_for_the_rounding_of_the_reservation(make: Any) -> None:
    limits = make.limits(cash_bps_max=10_000, cash_floor_usd=NO_USD)
    view = make.view(cash_free=Usd(D("10.000009")), limits=limits, fee_bps_worst=D(0))

    assert risk.cash_room(make.intent(), view).at_most == Usd(D(10))


def test_a_sell_is_never_stopped_by_loss_limits_exposure_cash_or_edge() -> None:
    names = {side: {check.__name__ for check in checks} for side, checks in CHECKS.items()}

    buys_only = {"nav_share", "cash_room", "symbol_exposure", "total_exposure", "daily_loss", "drawdown"}
    assert names[Side.BUY] - names[Side.SELL] == buys_only | {"edge_over_cost"}
    assert names[Side.SELL] - names[Side.BUY] == {"holding_room"}


def test_each_check_of_the_file_is_in_the_tuples() -> None:
    used = {check for checks in CHECKS.values() for check in checks}
    written = {
        item
        for name, item in vars(risk).items()
        if callable(item) and getattr(item, "__module__", "") == risk.__name__ and name[0].islower()
    }
    assert written == used


def test_an_account_that_was_never_compared_is_stale(make: Any) -> None:
    assert risk.account_fresh(make.intent(), make.view(account_as_of_ns=0)).at_most == NO_USD
