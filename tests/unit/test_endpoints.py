from __future__ import annotations

import re

import pytest

from aether.kraken.endpoints import Endpoint

# Every Spot REST name of Kraken's documents (market data, account, trading, funding, subaccounts, earn, the retired
# staking calls, transparency, OTC and custody), and what its futures API is called by.
PUBLIC = [
    "Time",
    "SystemStatus",
    "Assets",
    "AssetPairs",
    "Ticker",
    "OHLC",
    "Depth",
    "Trades",
    "Spread",
    "GroupedBook",
    "Level3",
    "PreTrade",
    "PostTrade",
    "Staking/Assets",
]
PRIVATE = [
    "Balance",
    "BalanceEx",
    "CreditLines",
    "TradeBalance",
    "OpenOrders",
    "ClosedOrders",
    "QueryOrders",
    "OrderAmends",
    "TradesHistory",
    "QueryTrades",
    "OpenPositions",
    "Ledgers",
    "QueryLedgers",
    "TradeVolume",
    "AddExport",
    "ExportStatus",
    "RetrieveExport",
    "RemoveExport",
    "ExportReport",
    "GetApiKeyInfo",
    "AddOrder",
    "AddOrderBatch",
    "AmendOrder",
    "EditOrder",
    "CancelOrder",
    "CancelOrderBatch",
    "CancelAll",
    "CancelAllOrdersAfter",
    "GetWebSocketsToken",
    "DepositMethods",
    "DepositAddresses",
    "DepositStatus",
    "WithdrawMethods",
    "WithdrawAddresses",
    "WithdrawInfo",
    "Withdraw",
    "WithdrawStatus",
    "WithdrawCancel",
    "WalletTransfer",
    "CreateSubaccount",
    "AccountTransfer",
    "ListSubaccounts",
    "Stake",
    "Unstake",
    "Staking/Assets",
    "Staking/Pending",
    "Staking/Transactions",
    "Earn/Allocate",
    "Earn/Deallocate",
    "Earn/AllocateStatus",
    "Earn/DeallocateStatus",
    "Earn/Strategies",
    "Earn/Allocations",
    "Level3",
    "CreateOtcQuoteRequest",
    "UpdateOtcQuote",
    "GetOtcPairs",
    "GetOtcActiveQuotes",
    "GetOtcHistoricalQuotes",
    "GetOtcExposures",
    "CheckOtcClient",
    "ListCustodyVaults",
    "GetCustodyVault",
    "ListCustodyTasks",
    "TransferRecords",
    "RequestFee",
    "GetUserFees",
    "SettlePosition",
    "ClosePosition",
]
FUTURES = [
    "derivatives/api/v3/sendorder",
    "derivatives/api/v3/openpositions",
    "derivatives/api/v3/transfer",
    "derivatives/api/v3/withdrawal",
    "derivatives/api/v3/initiatetransfer",
    "derivatives/api/v3/leveragepreferences",
]

ALLOWED = {
    "/0/public/Assets",
    "/0/public/AssetPairs",
    "/0/public/OHLC",
    "/0/private/GetApiKeyInfo",
    "/0/private/GetWebSocketsToken",
    "/0/private/BalanceEx",
    "/0/private/OpenOrders",
    "/0/private/ClosedOrders",
    "/0/private/QueryOrders",
    "/0/private/TradesHistory",
    "/0/private/Ledgers",
    "/0/private/TradeVolume",
    "/0/private/CancelOrder",
    "/0/private/CancelOrderBatch",
    "/0/private/CancelAll",
    "/0/private/CancelAllOrdersAfter",
}
EVERY_PATH = sorted(
    {f"/0/public/{name}" for name in PUBLIC} | {f"/0/private/{name}" for name in PRIVATE} | {f"/{n}" for n in FUTURES}
)


@pytest.mark.parametrize("path", EVERY_PATH)
def test_of_all_of_kraken_s_endpoints_only_those_of_the_list_have_a_path(path: str) -> None:
    assert (path in {endpoint.path for endpoint in Endpoint}) == (path in ALLOWED)


def test_the_list_holds_nothing_that_kraken_s_documents_do_not() -> None:
    assert {endpoint.path for endpoint in Endpoint} == ALLOWED
    assert set(EVERY_PATH) >= ALLOWED


@pytest.mark.parametrize(
    "word", ["with", "deposit", "transfer", "earn", "stake", "position", "sub", "export", "futures"]
)
def test_no_path_so_much_as_names_money_leaving_or_margin(word: str) -> None:
    assert not [endpoint.path for endpoint in Endpoint if word in endpoint.path.lower()]


def test_no_order_can_be_placed_or_changed_and_cancels_alone_change_the_account() -> None:
    assert not [endpoint for endpoint in Endpoint if re.search("Add|Edit|Amend", endpoint.path)]
    acts = [endpoint for endpoint in Endpoint if not endpoint.value.may_repeat]
    assert acts == [endpoint for endpoint in Endpoint if "Cancel" in endpoint.path]
    assert {endpoint.value.counter_cost for endpoint in acts} == {0}


def test_public_calls_cost_nothing_and_history_costs_the_most() -> None:
    assert {endpoint.value.counter_cost for endpoint in Endpoint if not endpoint.value.is_private} == {0}
    assert Endpoint.TRADES_HISTORY.value.counter_cost == Endpoint.CLOSED_ORDERS.value.counter_cost == 4
