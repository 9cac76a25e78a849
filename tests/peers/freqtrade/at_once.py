"""A strategy for freqtrade that buys at the first candle and sells as soon as it holds anything."""

from __future__ import annotations

from typing import Any, ClassVar

from freqtrade.strategy import IStrategy


class BuysAndSellsAtOnce(IStrategy):  # type: ignore[misc] # freqtrade is no dependency: its classes are unknown here
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    startup_candle_count = 1
    process_only_new_candles = False
    minimal_roi: ClassVar = {"0": -1}  # any gain, and any loss, is reason enough to sell
    stoploss = -0.99

    def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: Any) -> Any:
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe
