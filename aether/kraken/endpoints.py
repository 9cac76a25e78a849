"""The list of REST endpoints that this program may call. What is not on it cannot be expressed.

There is no funding, withdrawal, earn, margin or futures endpoint here, and none that changes the account but by
cancelling orders: orders are placed over the private socket alone. Names and costs: Kraken docs, Spot REST API and Spot
REST rate limits; where the documents differ on a cost, the higher one stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """How an endpoint is called.

    `counter_cost` is in points of the key's REST counter (public ones have none). `may_repeat` is False where a call
    changes the account: without a proper answer the outcome is unknown. `is_json` is True where a form is refused.
    """

    name: str
    is_private: bool
    counter_cost: int
    may_repeat: bool = True
    is_json: bool = False


class Endpoint(Enum):
    """All that may be called."""

    ASSETS = EndpointRules("Assets", is_private=False, counter_cost=0)
    ASSET_PAIRS = EndpointRules("AssetPairs", is_private=False, counter_cost=0)
    OHLC = EndpointRules("OHLC", is_private=False, counter_cost=0)
    WEBSOCKETS_TOKEN = EndpointRules("GetWebSocketsToken", is_private=True, counter_cost=1)
    API_KEY_INFO = EndpointRules("GetApiKeyInfo", is_private=True, counter_cost=1)
    BALANCES = EndpointRules("BalanceEx", is_private=True, counter_cost=1)
    OPEN_ORDERS = EndpointRules("OpenOrders", is_private=True, counter_cost=2)
    CLOSED_ORDERS = EndpointRules("ClosedOrders", is_private=True, counter_cost=4)
    QUERY_ORDERS = EndpointRules("QueryOrders", is_private=True, counter_cost=1)
    TRADES_HISTORY = EndpointRules("TradesHistory", is_private=True, counter_cost=4)
    LEDGERS = EndpointRules("Ledgers", is_private=True, counter_cost=4)
    TRADE_VOLUME = EndpointRules("TradeVolume", is_private=True, counter_cost=1)
    CANCEL_ORDER = EndpointRules("CancelOrder", is_private=True, counter_cost=0, may_repeat=False)
    CANCEL_ORDERS = EndpointRules("CancelOrderBatch", is_private=True, counter_cost=0, may_repeat=False, is_json=True)
    CANCEL_ALL = EndpointRules("CancelAll", is_private=True, counter_cost=0, may_repeat=False)
    CANCEL_ALL_AFTER = EndpointRules("CancelAllOrdersAfter", is_private=True, counter_cost=0, may_repeat=False)

    @property
    def path(self) -> str:
        """Path below the base address; a private one is part of what is signed."""
        return f"/0/{'private' if self.value.is_private else 'public'}/{self.value.name}"
