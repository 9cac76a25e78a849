from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aether.core.market import Market
from aether.core.valuation import Valuation, cash_free, exposure, holding_free, value
from aether.domain.facts import AccountOpened, AnswerLost, ExternalOrderSeen, OrderEnded
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance, VenueStatus
from aether.domain.spot_gate import recall
from aether.domain.values import NO_QTY, Price, Qty, Usd, UtcNanos

D = Decimal
A, B = "aeabcd00010000001", "aeabcd00010000002"


def opened(make: Any, book: Any, **balances: str) -> Any:
    told = tuple(AssetBalance(asset.replace("_", "."), D(total), D(0)) for asset, total in balances.items())
    return book.fold(AccountOpened(UtcNanos(make.T0), told))


def market(make: Any, mid: str | None = "100") -> Market:
    market = Market({make.BTC: (60,)})
    if mid is not None:
        market.pictures[make.BTC].take_book(make.book(str(D(mid) - 1), str(D(mid) + 1)), make.T0)
    return market


def test_equity_is_cash_and_coins_at_the_middle_price(make: Any, book: Any) -> None:
    ledger = opened(make, book, USD="1000", BTC="2")

    assert value(ledger, market(make)) == Valuation(Usd(D(1200)), ())


def test_coins_in_other_wallets_are_equity_but_no_free_cash(make: Any, book: Any) -> None:
    ledger = opened(make, book, USD="1000", USD_F="500", BTC_F="1")

    assert value(ledger, market(make)) == Valuation(Usd(D(1600)), ())
    assert cash_free(ledger) == Usd(D(1000))


def test_an_unknown_asset_counts_as_nothing_and_is_named(make: Any, book: Any) -> None:
    ledger = opened(make, book, USD="1000", EUR="70", XYZ="0")

    assert value(ledger, market(make)) == Valuation(Usd(D(1000)), ("EUR",))


def test_there_is_no_equity_while_a_holding_in_use_has_no_price(make: Any, book: Any) -> None:
    assert value(opened(make, book, USD="1000", BTC="2"), market(make, None)) is None


def test_equity_needs_no_price_of_what_is_not_held(make: Any, book: Any) -> None:
    assert value(opened(make, book, USD="1000", BTC="0"), market(make, None)) == Valuation(Usd(D(1000)), ())


def test_free_cash_is_less_what_our_buys_and_the_buys_of_others_may_cost(make: Any, book: Any) -> None:
    opened(make, book, USD="5000")
    book.fold(make.submitted(A), AnswerLost(A, "timeout"), make.submitted(B, side=Side.SELL))
    human = ExternalOrderSeen("O-H", None, "BTC/USD", make.BTC, Side.BUY, Qty(D(3)), Price(D(90)))
    selling = ExternalOrderSeen("O-I", None, "BTC/USD", make.BTC, Side.SELL, Qty(D(3)), Price(D(90)))

    assert cash_free(book.fold(human, selling)) == Usd(D(5000) - 1004 - 270)


def test_a_fill_moves_cash_from_reserved_to_spent_and_never_counts_twice(make: Any, book: Any) -> None:
    opened(make, book, USD="5000")
    ledger = book.fold(make.submitted(A))
    before = cash_free(ledger)
    book.fold(make.filled("T1", A, "4"))

    assert before == cash_free(ledger) == Usd(D(3996))


@pytest.mark.parametrize(("status", "free"), [(VenueStatus.CANCELED, "4598.4"), (VenueStatus.FILLED, "3996")])
def test_an_end_frees_what_the_venue_did_not_fill(make: Any, book: Any, status: VenueStatus, free: str) -> None:
    opened(make, book, USD="5000")
    book.fold(make.submitted(A), make.filled("T1", A, "4"))
    ledger = book.fold(OrderEnded(A, "O-1", status, "", Qty(D(4)), "executions"))

    assert cash_free(ledger) == make.usd(free)


def test_exposure_counts_holdings_of_all_and_what_buys_may_still_add(make: Any, book: Any) -> None:
    opened(make, book, USD="5000", BTC="2")
    ledger = book.fold(make.submitted(A), make.filled("T1", A, "4"), make.submitted(B, side=Side.SELL))

    assert exposure(ledger, market(make), make.BTC) == Usd(D(200) + D(400) + D(600))


def test_exposure_without_a_price_still_counts_orders(make: Any, book: Any) -> None:
    opened(make, book, USD="5000", BTC="2")

    assert exposure(book.fold(make.submitted(A)), market(make, None), make.BTC) == Usd(D(1000))


def test_coins_promised_by_an_open_sell_are_not_free(make: Any, book: Any) -> None:
    opened(make, book, USD="5000", BTC="0")
    book.fold(make.submitted(A), make.filled("T1", A, "10"))
    assert holding_free(book.ledger, "trend", make.BTC) == Qty(D(10))

    book.fold(make.submitted(B, side=Side.SELL, qty=Qty(D(7))), AnswerLost(B, "timeout"))
    assert holding_free(book.ledger, "trend", make.BTC) == Qty(D(3))

    book.fold(make.filled("T2", B, "2", side=Side.SELL))
    assert holding_free(book.ledger, "trend", make.BTC) == Qty(D(3))


def test_coins_that_others_sold_away_are_not_free(make: Any, book: Any) -> None:
    opened(make, book, USD="5000", BTC="0")
    book.fold(make.submitted(A), make.filled("T1", A, "10"))
    book.fold(make.filled("T2", None, "8", side=Side.SELL))

    assert holding_free(book.ledger, "trend", make.BTC) == Qty(D(2))
    assert holding_free(book.ledger, "other", make.BTC) == NO_QTY


@pytest.mark.parametrize(("symbol", "free"), [("BTC/USD", 2), ("ETH/USD", 10)])
def test_coins_promised_by_an_open_sell_of_others_are_not_free(make: Any, book: Any, symbol: str, free: int) -> None:
    opened(make, book, USD="5000", BTC="0")
    book.fold(make.submitted(A), make.filled("T1", A, "10"))
    selling = ExternalOrderSeen("O-H", None, symbol, recall(symbol), Side.SELL, Qty(D(8)), None)
    buying = ExternalOrderSeen("O-I", None, "BTC/USD", make.BTC, Side.BUY, Qty(D(8)), Price(D(90)))
    unknown = ExternalOrderSeen("O-J", None, "BTC/USD", make.BTC, Side.SELL, None, None)

    assert holding_free(book.fold(selling, buying, unknown), "trend", make.BTC) == Qty(D(free))


def test_two_strategies_do_not_promise_the_same_coins_of_the_account(make: Any, book: Any) -> None:
    opened(make, book, USD="5000", BTC="0")
    book.fold(make.submitted(A), make.filled("T1", A, "10"))
    book.fold(make.filled("T2", None, "10", strategy="twin"))
    book.fold(make.filled("T3", None, "8", side=Side.SELL))
    ledger = book.fold(make.submitted(B, side=Side.SELL, qty=Qty(D(10))))

    assert ledger.portfolio.balance("BTC") == 12
    assert holding_free(ledger, "twin", make.BTC) == Qty(D(2))
