"""The sandbox's endpoints that change or name several orders; what its records and frames say of every order type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.sim import account_frames
from aether.sim.desk import Desk
from aether.sim.exchange import Exchange, ExchangeRefusal, OrderEvent
from aether.sim.keys import ApiKey, KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.recorded import pair_rules
from aether.sim.rest_api import read_form
from aether.sim.rest_changes import CHANGING
from aether.sim.rest_private import READING
from aether.sim.rest_trading import ACTING
from aether.sim.wire import encode
from aether.sim.ws_changes import CHANGES
from aether.sim.ws_trading import METHODS

D = Decimal

START_S = 1_790_000_000
METHODS_OF_REST = READING | ACTING | CHANGING
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "59000.0"}
STOP = {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss-limit", "volume": "0.1"}
STOP |= {"price": "55000.0", "price2": "54000.0"}
PROFIT = STOP | {"ordertype": "take-profit-limit"}
TRAIL = STOP | {"ordertype": "trailing-stop-limit"}


@dataclass
class HandClock:
    now_ns: int = START_S * NANOS_PER_S

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(self.now_ns)

    def monotonic_ns(self) -> int:
        return self.now_ns


@dataclass
class Counter:
    """A client at the desk's counter, known already: calls go straight to the methods."""

    desk: Desk
    clock: HandClock

    def rest(self, method: str, **form: str) -> Any:
        return json.loads(encode(METHODS_OF_REST[method](self.desk, "main", form)), parse_float=D)

    def json(self, method: str, **body: Any) -> Any:
        form = read_form("application/json", json.dumps(body).encode())
        return self.rest(method, **form)

    def refused(self, method: str, **form: str) -> str:
        with pytest.raises(ExchangeRefusal) as caught:
            self.rest(method, **form)
        return caught.value.text

    def socket(self, method: str, **fields: Any) -> Any:
        (answer,) = (METHODS | CHANGES)[method](self.desk, "main", fields)  # type: ignore[operator]
        return answer

    def place(self, **form: str) -> str:
        return str(self.rest("AddOrder", **form)["txid"][0])

    def row(self, order_id: str) -> Any:
        return self.rest("QueryOrders", txid=order_id)[order_id]

    def frames(self) -> list[Any]:
        """Rows of the executions channel since the last look."""
        rules = self.desk.exchange.pairs
        events = [event for event in self.desk.exchange.drain() if isinstance(event, OrderEvent)]
        rows = [account_frames.execution(event, rules[event.order.pair]) for event in events]
        return json.loads(encode(rows), parse_float=D)  # type: ignore[no-any-return]

    def trade(self, price: str) -> None:
        self.desk.exchange.crowd_trade("BTC/USD", "sell", D(price), D("0.001"), self.clock.now_ns)


class Nobody:
    def advance(self, now_ns: int) -> None:
        """Nobody else is there."""


@pytest.fixture
def counter() -> Counter:
    clock = HandClock()
    exchange = Exchange(pair_rules(), seed=1)
    exchange.open_account("main", {"USD": D("10000.0000"), "BTC": D(1)}, clock.now_ns)
    board = MarketBoard(lambda pair, interval_s, now_ns: [], exchange.pairs, clock.now_ns)
    desk = Desk(exchange, Nobody(), board, KeyRing(ApiKey("key", "c2VjcmV0", "main"), lambda: "token"), clock)
    made = Counter(desk, clock)
    made.trade("60000.0")
    exchange.drain()
    return made


# --- records and texts of every type ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "price", "price2"),
    [
        (STOP, "sell 0.10000000 XBTUSD @ stop loss 55000.0 -> limit 54000.0", "55000.0", "54000.0"),
        (STOP | {"ordertype": "stop-loss"}, "sell 0.10000000 XBTUSD @ stop loss 55000.0", "55000.0", "0"),
        (STOP | {"price": "#5%", "price2": "#10%"}, "stop loss 57000.0 -> limit 54000.0", "57000.0", "54000.0"),
        (PROFIT | {"price": "#5%", "price2": "#10%"}, "take profit 63000.0 -> limit 66000.0", "63000.0", "66000.0"),
        (STOP | {"ordertype": "take-profit", "price": "+1000"}, "@ take profit 61000.0", "61000.0", "0"),
        (STOP | {"ordertype": "trailing-stop", "price": "+50%"}, "@ trailing stop +50.0000%", "+50.0000%", "0"),
        (TRAIL | {"price": "+150", "price2": "-10"}, "@ trailing stop +150.0 -> limit -10.0", "+150.0", "-10.0"),
        (LIMIT | {"price": "-1%"}, "@ limit 59400.0", "59400.0", "0"),
        (LIMIT | {"price": "#1%"}, "@ limit 59400.0", "59400.0", "0"),
        (LIMIT | {"ordertype": "iceberg", "displayvol": "0.005"}, "@ limit 59000.0", "59000.0", "0"),
    ],
)  # fmt: skip
def test_an_order_is_described_as_kraken_does(
    counter: Counter, form: dict[str, str], text: str, price: str, price2: str
) -> None:
    form = {name: value for name, value in form.items() if name != "price2" or form["ordertype"].endswith("limit")}
    assert text in counter.rest("AddOrder", **form, validate="true")["descr"]["order"]

    descr = counter.row(counter.place(**form))["descr"]

    assert text in descr["order"]
    assert (descr["price"], descr["price2"], descr["ordertype"]) == (price, price2, form["ordertype"])


def test_a_record_tells_of_its_trigger_once_it_was_set_off(counter: Counter) -> None:
    order_id = counter.place(**STOP, trigger="index")
    row = counter.row(order_id)
    assert (row["stopprice"], row["limitprice"], row["misc"], row["trigger"]) == ("0.00000", "0.00000", "", "index")

    counter.trade("54500.0")

    row = counter.row(order_id)
    assert (row["stopprice"], row["limitprice"], row["misc"]) == ("55000.00000", "54000.00000", "stopped")
    assert row["status"] == "open"


def test_times_flags_and_money_in_quote_stand_in_the_record(counter: Counter) -> None:
    counter.desk.exchange.set_level("BTC/USD", "ask", D("60010.0"), D(1), counter.clock.now_ns)
    timed = counter.row(counter.place(**LIMIT, starttm="+10", expiretm="+100", timeinforce="GTD", oflags="post,fcib"))
    spent = counter.row(
        counter.place(pair="XBTUSD", type="buy", ordertype="market", volume="600.1", oflags="viqc,fciq")
    )

    assert (timed["status"], timed["starttm"], timed["expiretm"]) == ("pending", START_S + 10, START_S + 100)
    assert timed["oflags"] == "post,fcib"
    assert (spent["vol"], spent["vol_exec"], spent["oflags"]) == ("600.10000000", "600.10000000", "fciq,viqc")


def test_the_first_frame_tells_all_of_a_waiting_order_and_the_next_what_moved(counter: Counter) -> None:
    form = {name: text for name, text in STOP.items() if name != "price2"}
    counter.place(**form | {"ordertype": "trailing-stop", "price": "+5%"})
    pending, new = counter.frames()
    assert pending["order_type"] == "trailing-stop"
    assert pending["triggers"] == {
        "reference": "last",
        "price": D("5.0000"),
        "price_type": "pct",
        "actual_price": D("57000.0"),
        "peak_price": D("60000.0"),
        "status": "untriggered",
    }
    assert "symbol" not in new

    counter.trade("61000.0")
    counter.trade("57950.0")

    moved, fired, *_ = counter.frames()
    assert (moved["exec_type"], moved["order_status"]) == ("status", "new")
    assert moved["triggers"]["actual_price"] == D("57950.0")
    assert fired["triggers"]["status"] == "triggered"
    assert (fired["triggers"]["last_price"], fired["triggers"]["peak_price"]) == (D("57950.0"), D("61000.0"))


def test_an_iceberg_tells_what_it_shows_next(counter: Counter) -> None:
    counter.place(**LIMIT | {"ordertype": "iceberg", "volume": "0.1", "displayvol": "0.02"})
    assert counter.frames()[0]["display_qty"] == D("0.02")

    counter.desk.exchange.crowd_trade("BTC/USD", "sell", D("59000.0"), D("0.09"), counter.clock.now_ns)

    refills = [row["display_qty_remain"] for row in counter.frames() if row["exec_type"] == "iceberg_refill"]
    assert refills == [D("0.02"), D("0.02"), D("0.02"), D("0.02")]


# --- amend, edit, history ---------------------------------------------------------------------------------------------


def test_amend_order_keeps_the_id_and_order_amends_tells_of_it(counter: Counter) -> None:
    order_id = counter.place(**LIMIT, cl_ord_id="mine")

    amend_id = counter.rest("AmendOrder", cl_ord_id="mine", order_qty="0.02", limit_price="-2%")["amend_id"]

    row = counter.row(order_id)
    assert (row["vol"], row["descr"]["price"], row["misc"]) == ("0.02000000", "58800.0", "amended")
    history = counter.rest("OrderAmends", order_id=order_id)
    assert history["count"] == 2
    first, second = history["amends"]
    assert (first["amend_type"], first["order_qty"], first["limit_price"]) == ("original", "0.01000000", "59000.0")
    assert second == {
        "amend_id": amend_id,
        "amend_type": "user",
        "order_qty": "0.02000000",
        "remaining_qty": "0.02000000",
        "limit_price": "58800.0",
        "post_only": False,
        "reason": "User requested",
        "timestamp": counter.clock.now_ns,
    }


def test_an_amend_to_what_is_filled_costs_as_a_cancel_too(counter: Counter) -> None:
    order_id = counter.place(**LIMIT | {"volume": "0.02"})
    counter.desk.exchange.crowd_trade("BTC/USD", "sell", D("59000.0"), D("0.01"), counter.clock.now_ns)

    counter.rest("AmendOrder", txid=order_id, order_qty="0.01")

    assert counter.row(order_id)["status"] == "canceled"
    assert counter.desk.trading_counters.points("main", "BTC/USD", counter.clock.now_ns) == 1 + (1 + 3) + 8


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "EGeneral:Invalid arguments:txid"),
        ({"txid": "OAAAAA-AAAAA-AAAAAA", "cl_ord_id": "mine"}, "EGeneral:Invalid arguments:txid"),
        ({"txid": "OAAAAA-AAAAA-AAAAAA", "order_qty": "1"}, "EOrder:Unknown order"),
        ({"cl_ord_id": "mine"}, "EOrder:Unknown order"),
        ({"txid": "OAAAAA-AAAAA-AAAAAA", "limit_price": "#5"}, "EGeneral:Invalid arguments:limit_price"),
        ({"txid": "OAAAAA-AAAAA-AAAAAA", "order_qty": "1e5"}, "EGeneral:Invalid arguments:order_qty"),
    ],
)
def test_an_amend_of_nothing_is_refused(counter: Counter, form: dict[str, str], text: str) -> None:
    assert counter.refused("AmendOrder", **form) == text


def test_an_unknown_order_has_no_history(counter: Counter) -> None:
    assert counter.refused("OrderAmends", order_id="OAAAAA-AAAAA-AAAAAA") == "EOrder:Invalid order"


def test_edit_order_takes_over_what_it_does_not_name(counter: Counter) -> None:
    order_id = counter.place(**STOP, userref="7", timeinforce="GTD", expiretm="+1000")
    assert "txid" not in counter.rest("EditOrder", txid=order_id, pair="XBTUSD", price="56000.0", validate="true")

    answer = counter.rest("EditOrder", txid=order_id, pair="XBTUSD", price="56000.0")

    assert answer["originaltxid"] == order_id
    assert (answer["status"], answer["orders_cancelled"], answer["price"]) == ("ok", 1, "56000.0")
    row = counter.row(answer["txid"])
    assert row["descr"]["order"] == "sell 0.10000000 XBTUSD @ stop loss 56000.0 -> limit 54000.0"
    assert (row["userref"], row["expiretm"]) == (7, START_S + 1000)
    assert counter.row(order_id)["status"] == "canceled"
    assert counter.refused("EditOrder", txid=order_id, pair="XBTUSD", price="1.0") == "EOrder:Unknown order"


def test_an_edit_needs_its_own_pair(counter: Counter) -> None:
    assert counter.refused("EditOrder", txid=counter.place(**LIMIT), pair="ETHUSD") == "EGeneral:Invalid arguments:pair"


def test_edit_order_on_the_socket_takes_over_what_it_does_not_name(counter: Counter) -> None:
    order_id = counter.place(**LIMIT, userref="7", oflags="post")

    answer = counter.socket("edit_order", order_id=order_id, symbol="BTC/USD", limit_price=D("58000.0"))

    assert answer.result["original_order_id"] == order_id
    row = counter.row(answer.result["order_id"])
    assert (row["descr"]["price"], row["oflags"], row["userref"]) == ("58000.0", "post,fciq", 7)


def test_amend_order_on_the_socket_moves_a_trailing_offset(counter: Counter) -> None:
    fields = {"symbol": "BTC/USD", "side": "sell", "order_type": "trailing-stop-limit", "order_qty": D("0.1")}
    fields |= {"limit_price": 10, "triggers": {"price": 5, "price_type": "pct"}, "cl_ord_id": "trail"}
    counter.socket("add_order", **fields)

    answer = counter.socket("amend_order", cl_ord_id="trail", trigger_price=10, trigger_price_type="pct")

    assert set(answer.result) == {"amend_id", "cl_ord_id"}
    (order,) = counter.desk.exchange.open_orders("main")
    assert order.trigger is not None
    assert (order.trigger.actual_price, order.limit_price) == (D("54000"), D("54010"))


# --- batches ----------------------------------------------------------------------------------------------------------


def test_add_order_batch_answers_each_order_in_its_place(counter: Counter) -> None:
    row = {name: text for name, text in LIMIT.items() if name != "pair"}

    answer = counter.json("AddOrderBatch", pair="XBTUSD", orders=[row, row | {"volume": 1}, row | {"cl_ord_id": "c"}])

    first, second, third = answer["orders"]
    assert first["txid"].startswith("O")
    assert first["descr"] == {"order": "buy 0.01000000 XBTUSD @ limit 59000.0"}
    assert second == {"error": "EOrder:Insufficient funds"}
    cancelled = counter.json("CancelOrderBatch", orders=[first["txid"], "OAAAAA-AAAAA-AAAAAA"], cl_ord_ids=["c", "d"])
    assert cancelled == {"count": 2}
    assert counter.row(third["txid"])["status"] == "canceled"


def test_a_checked_batch_has_no_ids(counter: Counter) -> None:
    row = {name: text for name, text in LIMIT.items() if name != "pair"}

    answer = counter.json("AddOrderBatch", pair="XBTUSD", orders=[row, row], validate=True)

    assert answer["orders"] == [{"descr": {"order": "buy 0.01000000 XBTUSD @ limit 59000.0"}}] * 2


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ([], "EGeneral:Invalid arguments:orders"),
        ([{}], "EGeneral:Invalid arguments:orders"),
        ([{}] * 16, "EGeneral:Invalid arguments:orders"),
        ([{}, {}], "EGeneral:Invalid arguments:ordertype"),
        ([5, 6], "EGeneral:Invalid arguments:orders"),
        ([{"close": {}}, {}], "EGeneral:Invalid arguments:close"),
        ([{"volume": 1e300}, {}], "EGeneral:Invalid arguments:volume"),
        ("all", "EGeneral:Invalid arguments:orders"),
        ({"a": 1}, "EGeneral:Invalid arguments:orders"),
    ],
)
def test_a_batch_of_another_shape_is_refused(counter: Counter, orders: Any, text: str) -> None:
    with pytest.raises(ExchangeRefusal) as caught:
        counter.json("AddOrderBatch", pair="XBTUSD", orders=orders)
    assert caught.value.text == text


def test_batches_come_as_json_alone() -> None:
    with pytest.raises(ExchangeRefusal, match="EGeneral:Invalid arguments:orders"):
        read_form("application/x-www-form-urlencoded", b"pair=XBTUSD&orders=%5B%5D")


def test_an_order_of_a_pair_in_maintenance_does_not_keep_the_rest_of_a_batch(counter: Counter) -> None:
    kept, gone = counter.place(**LIMIT), counter.place(**LIMIT | {"pair": "ETHUSD", "price": "590.00"})
    counter.desk.exchange.set_pair_status("BTC/USD", "maintenance")

    assert counter.json("CancelOrderBatch", orders=[kept, gone]) == {"count": 1}
    assert list(counter.rest("OpenOrders")["open"]) == [kept]
    with pytest.raises(ExchangeRefusal, match="EService:Unavailable"):
        counter.json("CancelOrderBatch", orders=[kept])


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_cancels_at_most_fifty(counter: Counter, count: int) -> None:
    with pytest.raises(ExchangeRefusal, match="EGeneral:Invalid arguments:orders"):
        counter.json("CancelOrderBatch", orders=["O"] * count)
