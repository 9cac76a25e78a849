"""What others do to our account: a person who trades by hand, money that comes and goes, a switch that fires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from random import Random

from aether.core.order_ids import CL_ORD_ID_PREFIX, base36, read_mark
from aether.domain.values import NANOS_PER_MS, rounded_to_step
from aether.sim.assets import BY_NAME
from aether.sim.exchange import Amend, Exchange, ExchangeRefusal, NewOrder, Order, PairRules
from aether.sim.foreign_acts import EARNS, ForeignActs
from aether.simulator.faults.tally import Act, Acts, Later, Tally
from aether.simulator.plan import Fault

SNAPSHOT_FILLS = 50  # Kraken docs, executions: a snapshot holds no more

_HAND_USD = (10, 200)  # what a person's order is worth
_DEPOSIT_USD = (50, 1_000)
_AWAY_BPS = (20, 500)  # how far from the last price a person's order rests
_REWARD_PARTS = 10_000  # of a holding
_MOVED_PERCENT_MAX = 10
_SWITCH_S = 1
_TRIED_NS = 120_000 * NANOS_PER_MS
_TRIED_EVERY_NS = 100 * NANOS_PER_MS
_ONE_CENT = Decimal("0.01")


class OthersFaults:
    """Acts on one account; `settle` lets everybody hear of it, and `cut` ends every private socket.

    An act for which the account has no funds, or no order, does not happen.
    """

    def __init__(
        self,
        exchange: Exchange,
        account: str,
        later: Later,
        tally: Tally,
        *,
        settle: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._account = account
        self._later = later
        self._tally = tally
        self._settle = settle
        self._cut = cut
        self._foreign = ForeignActs(exchange, account)

    def acts(self) -> Acts:
        """By kind."""
        return {
            "human_order": self._where_funds_allow(self._place),
            "human_trade": self._where_funds_allow(self._trade),
            "human_cancel": self._as_soon_as(self._where_funds_allow(self._cancel)),
            "human_amend": self._as_soon_as(self._where_funds_allow(self._amend)),
            "dead_man": self._as_soon_as(self._where_funds_allow(self._fire)),
            "twin": self._where_funds_allow(self._double),
            "many_fills": self._where_funds_allow(self._fill_often),
            "deposit": self._where_funds_allow(self._deposit),
            "withdrawal": self._where_funds_allow(self._withdraw),
            "reward": self._where_funds_allow(self._reward),
            "earn_move": self._where_funds_allow(self._earn),
            "unknown_asset": self._where_funds_allow(self._bring),
        }

    def _where_funds_allow(self, act: Callable[[Fault, Random], bool]) -> Act:
        def carried_out(fault: Fault) -> bool:
            try:
                return act(fault, Random(fault.draw))  # noqa: S311 - made faults, no secret
            except ExchangeRefusal:
                return False
            finally:
                self._settle()

        return carried_out

    def _as_soon_as(self, act: Act) -> Act:
        """Try again and again for a while: orders of ours rest for seconds only. Counted when it happens."""

        def carried_out(fault: Fault) -> bool:
            ends_ns = self._later.now_ns + _TRIED_NS

            def attempt() -> None:
                if self._ours() and act(fault):
                    self._tally.struck(fault.kind)
                elif self._later.now_ns < ends_ns:
                    self._later.after(_TRIED_EVERY_NS, attempt)

            attempt()
            return False

        return carried_out

    # --- orders by hand ---------------------------------------------------------------------------------------------

    def _place(self, fault: Fault, random: Random) -> bool:
        rules, last = self._market(random)
        away = last * random.randint(*_AWAY_BPS) / 10_000
        qty = _qty(rules, last, random)
        total, held = self._exchange.balances(self._account).get(rules.base, (Decimal(0), Decimal(0)))
        if total - held >= qty and random.randrange(2):
            order = self._foreign.offer(rules.name, qty, _price(rules, last + away), self._later.now_ns)
        else:
            order = self._foreign.bid(rules.name, qty, _price(rules, last - away), self._later.now_ns)
        self._later.after(fault.parameters["for_ms"] * NANOS_PER_MS, lambda: self._take_back(order))
        return True

    def _take_back(self, order: Order) -> None:
        with suppress(ExchangeRefusal):  # it may be filled, or the exchange in maintenance
            self._exchange.cancel_order(self._account, order.order_id, self._later.now_ns)
        self._settle()

    def _double(self, fault: Fault, random: Random) -> bool:
        """It has our journal's mark, and an epoch that the journal never had: it began after the copy was made."""
        sent = (*self._ours(), *self._exchange.closed_orders(self._account))
        ours = next((mark for order in sent if (mark := read_mark(order.cl_ord_id))), None)
        if ours is None:
            return False
        rules, last = self._market(random)
        away = last * random.randint(*_AWAY_BPS) / 10_000
        name = f"{CL_ORD_ID_PREFIX}{ours.tag}{base36(ours.run + 1_000, 4)}{base36(random.randrange(36**8), 8)}"
        new = NewOrder(
            rules.name, "buy", "limit", _qty(rules, last, random), _price(rules, last - away), cl_ord_id=name
        )
        order = self._exchange.add_order(self._account, new, self._later.now_ns)
        self._later.after(fault.parameters["for_ms"] * NANOS_PER_MS, lambda: self._take_back(order))
        return True

    def _trade(self, _: Fault, random: Random) -> bool:
        rules, last = self._market(random)
        self._at_once(random.randrange(2) == 0, rules.name, _qty(rules, last, random))
        return True

    def _at_once(self, is_buy: bool, pair: str, qty: Decimal) -> None:  # noqa: FBT001 - the side of one call
        act = self._foreign.buy if is_buy else self._foreign.sell
        act(pair, qty, self._later.now_ns)

    def _fill_often(self, fault: Fault, random: Random) -> bool:
        """The sockets are cut first, so that the next snapshot of executions cannot hold them all."""
        rules, last = self._market(random)
        before = len(self._exchange.trades(self._account))
        self._cut()
        for number in range(fault.parameters["fills"]):
            self._at_once(number % 2 == 0, rules.name, _least(rules, last))
        return len(self._exchange.trades(self._account)) - before > SNAPSHOT_FILLS

    # --- our orders -------------------------------------------------------------------------------------------------

    def _cancel(self, _: Fault, random: Random) -> bool:
        ours = self._ours()
        if ours:
            self._exchange.cancel_order(self._account, random.choice(ours).order_id, self._later.now_ns)
        return bool(ours)

    def _amend(self, _: Fault, random: Random) -> bool:
        """Half the size, twice the size, or a price further from the market."""
        ours = [order for order in self._ours() if order.limit_price is not None]
        if not ours:
            return False
        order = random.choice(ours)
        rules, limit = self._exchange.pairs[order.pair], order.limit_price
        assert limit is not None, "only orders with a limit were chosen"
        lot = Decimal(1).scaleb(-rules.qty_decimals)
        away = -1 if order.side == "buy" else 1
        change = random.choice(
            (
                Amend(order.order_id, qty=rounded_to_step(order.qty / 2, lot, ROUND_UP)),
                Amend(order.order_id, qty=order.qty * 2),
                Amend(order.order_id, limit_price=_price(rules, limit * (1_000 + away) / 1_000)),
            )
        )
        self._exchange.amend_order(self._account, change, self._later.now_ns)
        return True

    def _fire(self, _: Fault, __: Random) -> bool:
        """Another program on the account had armed the switch, and is gone."""
        is_felt = bool(self._exchange.open_orders(self._account))
        if is_felt:
            self._exchange.set_dead_man(self._account, _SWITCH_S, self._later.now_ns)
        return is_felt

    def _ours(self) -> Sequence[Order]:
        return [order for order in self._exchange.open_orders(self._account) if order.cl_ord_id is not None]

    # --- money ------------------------------------------------------------------------------------------------------

    def _deposit(self, _: Fault, random: Random) -> bool:
        if random.randrange(2):
            self._foreign.deposit("USD", Decimal(random.randint(*_DEPOSIT_USD)), self._later.now_ns)
        else:
            rules, last = self._market(random)
            self._foreign.deposit(rules.base, _qty(rules, last, random), self._later.now_ns)
        return True

    def _withdraw(self, _: Fault, random: Random) -> bool:
        asset = random.choice(("USD", *self._coins()))
        amount = self._part_of_free(random, asset)
        if amount:
            fee = min(_ONE_CENT, amount) if asset == "USD" else Decimal(0)
            self._foreign.withdraw(asset, amount, fee, self._later.now_ns)
        return bool(amount)

    def _reward(self, _: Fault, random: Random) -> bool:
        asset = random.choice(self._coins())
        total, _held = self._exchange.balances(self._account).get(asset, (Decimal(0), Decimal(0)))
        amount = _whole(total / _REWARD_PARTS, self._decimals(asset))
        if amount:
            self._foreign.reward(asset, amount, self._later.now_ns)
        return bool(amount)

    def _earn(self, _: Fault, random: Random) -> bool:
        """Into the wallet that earns, or half of what is there back out of it."""
        coin = random.choice(self._coins())
        earning, _held = self._exchange.balances(self._account).get(f"{coin}.{EARNS}", (Decimal(0), Decimal(0)))
        back = _whole(earning / 2, self._decimals(coin))
        if back and random.randrange(2):
            self._foreign.cease_to_earn(coin, back, self._later.now_ns)
            return True
        amount = self._part_of_free(random, coin)
        if amount:
            self._foreign.begin_to_earn(coin, amount, self._later.now_ns)
        return bool(amount)

    def _bring(self, _: Fault, random: Random) -> bool:
        # One that REST and sockets call alike: a name of another form is known from the pairs, and no pair here has it.
        strange = [name for name, asset in BY_NAME.items() if asset.asset_id == name and name not in self._coins()]
        self._foreign.deposit(random.choice(strange), Decimal(random.randint(1, 1_000)), self._later.now_ns)
        return True

    def _part_of_free(self, random: Random, asset: str) -> Decimal:
        total, held = self._exchange.balances(self._account).get(asset, (Decimal(0), Decimal(0)))
        part = (total - held) * random.randint(1, _MOVED_PERCENT_MAX) / 100
        return _whole(part, self._decimals(asset))

    def _market(self, random: Random) -> tuple[PairRules, Decimal]:
        """A pair and its last price. Raises ExchangeRefusal where it has none yet."""
        rules = random.choice(list(self._exchange.pairs.values()))
        last = self._exchange.last_trade_price(rules.name)
        if last is None:
            raise ExchangeRefusal("EService:Unavailable")
        return rules, last

    def _coins(self) -> list[str]:
        return [rules.base for rules in self._exchange.pairs.values()]

    def _decimals(self, asset: str) -> int:
        return 2 if asset == "USD" else BY_NAME[asset].decimals


def _qty(rules: PairRules, last: Decimal, random: Random) -> Decimal:
    """Coins for some dollars, and at least the least order."""
    return max(_whole(random.randint(*_HAND_USD) / last, rules.qty_decimals), _least(rules, last))


def _least(rules: PairRules, last: Decimal) -> Decimal:
    """The least order at about this price, by quantity and by cost."""
    lot = Decimal(1).scaleb(-rules.qty_decimals)
    by_cost = rounded_to_step(rules.cost_min * 2 / last, lot, ROUND_UP)
    return max(rules.qty_min, by_cost)


def _price(rules: PairRules, price: Decimal) -> Decimal:
    tick = Decimal(1).scaleb(-rules.price_decimals)
    return max(rounded_to_step(price, tick, ROUND_DOWN), tick)


def _whole(amount: Decimal, decimals: int) -> Decimal:
    return rounded_to_step(amount, Decimal(1).scaleb(-decimals), ROUND_DOWN)
