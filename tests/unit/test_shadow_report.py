from __future__ import annotations

import io
import json
from decimal import Decimal

from aether.core.divergence import Compared, Filled
from aether.domain.instruments import Side
from aether.domain.spot_gate import recall
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.observe.log import start_log
from aether.observe.shadow_report import DAYS_MAX, ShadowReport

D = Decimal
DAY_S = 86_400
T0 = 1_767_268_800 * NANOS_PER_S  # 2026-01-01T12:00:00Z


class StillClock:
    def wall_ns(self) -> UtcNanos:
        return UtcNanos(T0)

    def monotonic_ns(self) -> int:
        return 0


def bought(price: str, *, days: int = 0, made_coins: str = "1") -> Compared:
    at_ns = T0 + days * DAY_S * NANOS_PER_S
    made = Filled(D(made_coins), D(made_coins) * 100)
    return Compared("a1", recall("BTC/USD"), Side.BUY, at_ns, Filled(D(1), D(price)), made)


def test_each_order_is_a_line_with_its_own_divergence_and_its_days() -> None:
    out = io.StringIO()
    log = start_log(StillClock(), out, style="json", strict=True)
    report = ShadowReport(lambda _: None)
    report.tell(bought("101"))
    report.tell(bought("100"))
    report.tell(bought("100", made_coins="0"))
    report.end("RuntimeError: no")
    log.close()

    *orders, end = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {line["event"] for line in orders} == {"shadow.divergence"}
    assert [(line.get("divergence_bps"), line["day_bps"], line["day_orders"]) for line in orders] == [
        ("100.00", "100.00", 1),
        ("0.00", "50.00", 2),
        (None, "50.00", 3),
    ]
    assert orders[2]["unmatched_usd"] == "100"
    assert (end["event"], end["level"], end["why"]) == ("shadow.ended", "warning", "RuntimeError: no")


def test_days_roll_and_the_figure_is_the_newest_days() -> None:
    shown: list[Decimal] = []
    report = ShadowReport(shown.append)
    report.tell(bought("101"))
    report.tell(bought("102", days=1))
    report.tell(bought("103", days=1))
    assert [(day.day, day.orders, day.divergence_bps) for day in report.days] == [
        ("2026-01-01", 1, D("100.00")),
        ("2026-01-02", 2, D("250.00")),
    ]
    assert shown == [D("100.00"), D("200.00"), D("250.00")]


def test_days_are_kept_for_a_month() -> None:
    report = ShadowReport(lambda _: None)
    for day in range(DAYS_MAX + 2):
        report.tell(bought("100", days=day))
    assert len(report.days) == DAYS_MAX
    assert report.days[0].day == "2026-01-03"
