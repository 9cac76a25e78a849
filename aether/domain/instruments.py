"""What a pair allows: tick, lot, minimums and status. Rounding always goes to the safe side."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from aether.domain.values import Price, Qty, Symbol, Usd, rounded_to_step


class Side(StrEnum):
    """Direction of an order or a fill, as Kraken spells it."""

    BUY = "buy"
    SELL = "sell"


class PairStatus(StrEnum):
    """What Kraken lets anyone do with a pair now (PROTOCOL of v2 `instrument`, REST `AssetPairs`)."""

    ONLINE = "online"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    LIMIT_ONLY = "limit_only"
    REDUCE_ONLY = "reduce_only"
    DELISTED = "delisted"
    MAINTENANCE = "maintenance"
    WORK_IN_PROGRESS = "work_in_progress"
    UNKNOWN = "unknown"  # missing, or a word we do not know: nothing new may be opened

    @property
    def may_submit(self) -> bool:
        """A new order of any kind that we send may be placed."""
        return self is PairStatus.ONLINE

    @property
    def may_cancel(self) -> bool:
        """Only maintenance refuses cancels (PROTOCOL 9)."""
        return self is not PairStatus.MAINTENANCE


@dataclass(frozen=True, slots=True)
class Instrument:
    """One admitted pair's rules, as of `version` (counted up at each change that Kraken tells).

    `tick` is the price step in USD, `lot` the quantity step in coins; `qty_min` in coins and `cost_min` in USD are the
    smallest order (Kraken `ordermin`, `costmin`). `cost_decimals` is the precision of cost and fee.
    """

    symbol: Symbol
    base: str
    tick: Decimal
    lot: Decimal
    price_decimals: int
    qty_decimals: int
    cost_decimals: int
    qty_min: Qty
    cost_min: Usd
    status: PairStatus
    version: int = 1

    def __post_init__(self) -> None:
        if self.tick <= 0 or self.lot <= 0:
            raise ValueError(f"{self.symbol}: tick {self.tick} and lot {self.lot} must be positive")

    def limit_price(self, side: Side, price: Price) -> Price:
        """On the tick, never worse for us: a buy rounds down, a sell rounds up."""
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        on_tick = rounded_to_step(price.usd_per_coin, self.tick, rounding)
        return Price(max(on_tick, self.tick))

    def qty_down(self, qty: Qty) -> Qty:
        """On the lot, never more."""
        return qty.rounded_down(self.lot)

    def shortfall(self, qty: Qty, price: Price) -> tuple[Qty, Usd]:
        """How many coins and dollars an order misses Kraken's minimums by; two zeros when it meets both."""
        return self.qty_min.less(qty), Usd(max(Decimal(0), (self.cost_min - price.times(qty)).amount))
