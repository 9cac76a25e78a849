"""The shadow's comparisons as log lines, and by UTC day for figures and status page: no facts of the account."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import structlog

from aether.core.divergence import Compared, DayDivergence

DAYS_MAX = 31


class ShadowReport:
    """Sums compared orders by day. `show` is given the newest day's divergence in basis points whenever it moves."""

    def __init__(self, show: Callable[[Decimal], None]) -> None:
        self._show = show
        self._days: dict[str, DayDivergence] = {}
        self._log = structlog.get_logger(__name__)

    @property
    def days(self) -> tuple[DayDivergence, ...]:
        """The days of this run on which an order was compared, oldest first, a month at most."""
        return tuple(self._days.values())

    def tell(self, compared: Compared) -> None:
        """One more order is over on both sides."""
        day = self._days.pop(compared.day, DayDivergence(compared.day)).plus(compared)
        self._days[day.day] = day
        if len(self._days) > DAYS_MAX:
            del self._days[next(iter(self._days))]
        self._log.info(
            "shadow.divergence",
            cl_ord_id=compared.cl_ord_id,
            symbol=compared.symbol,
            side=compared.side,
            divergence_bps=compared.divergence_bps,
            unmatched_usd=compared.unmatched_usd,
            day=day.day,
            day_bps=day.divergence_bps,
            day_orders=day.orders,
        )
        if day.divergence_bps is not None:
            self._show(day.divergence_bps)

    def end(self, why: str) -> None:
        """The shadow ended, and nothing else did."""
        self._log.warning("shadow.ended", why=why)
