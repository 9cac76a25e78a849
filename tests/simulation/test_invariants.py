"""Each numbered property holds on a run that went well, and is told as broken where the evidence is broken in its way.

A predicate that cannot fail proves nothing: one real hour of the made world is recorded once, and every test below
breaks one thing of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from aether.app import label_of
from aether.core.orders import Event
from aether.domain.actors import Actor, Role
from aether.domain.effects import SubmitOrder
from aether.domain.facts import (
    EXIT_MARK,
    AccountOpened,
    AnswerLost,
    CancelRequested,
    CommandAccepted,
    DifferenceFound,
    EquityMarked,
    ExternalOrderSeen,
    Fact,
    FlattenBegan,
    HoldBegan,
    HoldEnded,
    Numbered,
    OrderAbsent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderOpened,
    OrderRefused,
    OrderSubmitted,
    RunEnded,
    RunStarted,
    StopBegan,
    TradingHalted,
    TradingResumed,
)
from aether.domain.inputs import Halt
from aether.domain.instruments import Side
from aether.domain.orders import AssetBalance
from aether.domain.values import NANOS_PER_S, Price, Qty, Usd, UtcNanos
from aether.journal.sqlite import open_database
from aether.kraken.requests import add_order
from aether.policies import pace_of, policy_of
from aether.runtime.latch import Latch
from aether.runtime.machine import Gauges, Machine
from aether.runtime.recovery import recover
from aether.settings import Settings, default_config_path, load_settings
from aether.sim.exchange import Event as Happened
from aether.sim.records import NewOrder
from aether.sim.venue import SimVenue
from aether.sim.virtual_time import VirtualClock, VirtualTimeLoop, inline_sqlite
from aether.simulator.evidence import Evidence, Sent
from aether.simulator.invariants.checker import (
    FACT_RULES,
    NOT_CLAIMED,
    SENT_RULES,
    STEP_RULES,
    TAIL_RULES,
    WHOLE_RULES,
    Checker,
)
from aether.simulator.invariants.reading import EVENT_OF
from aether.simulator.invariants.sometimes import EDGES
from aether.simulator.invariants.wire_words import ids_named, orders_asked, time_ns, timeout_asked
from aether.worlds import MADE_ACCOUNT, made_world

START_NS = 1_790_000_000_000_000_000
RUN_S = 60
D = Decimal
PERSON = Actor("uid:1000", Role.OPERATOR)

# A small order at a time, and every change of the market worth one.
BUSY: dict[str, dict[str, Any]] = {
    "sandbox": {"balances": {"USD": "1000000"}, "speed": 300, "start": "2021-02-08T00:00:00Z"},
    "risk": {
        "order_usd_max": 60,
        "order_spacing_s_min": 0,
        "orders_per_minute_max": 500,
        "duplicate_s": 0,
        "executions_max": 100_000,
        "daily_loss_bps_max": 5_000,
        "drawdown_bps_max": 10_000,
    },
    "sizing": {"risk_budget_bps": 1000, "rebalance_band_bps": 0, "rebalance_usd_min": 20, "edge_margin_bps": 0},
    "orders": {"resting_s_max": 6},
}


@dataclass(frozen=True)
class _Run:
    """One recorded run: its evidence at the end, and what the judge said while it went on."""

    evidence: Evidence
    checker: Checker


def _settings() -> Settings:
    shipped = load_settings(default_config_path())
    trends = {name: {**trend.model_dump(), "edge_percent": 1000} for name, trend in shipped.strategies.items()}
    return load_settings(default_config_path(), {**BUSY, "strategies": trends})


async def _trade(settings: Settings, clock: VirtualClock, path: Path) -> _Run:
    checker = Checker()
    async with made_world(settings, clock) as parts:
        policy, venue = policy_of(settings, parts.gate), parts.venue
        assert isinstance(venue, SimVenue)
        evidence = Evidence(venue._world.exchange, MADE_ACCOUNT, boot=1)
        uri = f"file:{path}?mode=rwc"
        async with open_database(uri, account=MADE_ACCOUNT, tag="test", created_ns=clock.wall_ns()) as journal:
            machine = Machine(
                policy=policy,
                instruments=[parts.gate.instruments[symbol] for symbol in policy.symbols],
                recovered=await recover(journal, label_of(settings, MADE_ACCOUNT, journal), clock),
                journal=journal,
                tape=_NoTape(),
                feed=parts.feed,
                venue=venue,
                clock=clock,
                pace=replace(pace_of(settings), tick_ms=1000),
                free_bytes=lambda: 10**12,
                gauges=Gauges(lambda _: None, lambda _: None, lambda _: None),
            )
            evidence.machine = machine

            def judge(_: Sequence[Happened]) -> None:
                evidence.now_ns = clock.wall_ns()
                checker.after_step(evidence)

            def observe(facts: Sequence[Numbered]) -> None:
                evidence.committed.extend(facts)
                evidence.now_ns = clock.wall_ns()
                evidence.sent += [_sent(n, parts.gate, clock) for n in facts if isinstance(n.fact, OrderSubmitted)]

            venue._world.listen(judge)
            machine.observers.append(observe)
            asyncio.get_running_loop().call_later(RUN_S, machine.supervisor.ask_to_stop, "the time is over")
            await machine.run(parts.services)
            judge(())
            return _Run(evidence, checker)


def _sent(numbered: Numbered, gate: Any, clock: VirtualClock) -> Sent:
    fact = numbered.fact
    assert isinstance(fact, OrderSubmitted)
    order = SubmitOrder(
        cl_ord_id=fact.cl_ord_id,
        symbol=fact.symbol,
        side=fact.side,
        order_type=fact.order_type,
        time_in_force=fact.time_in_force,
        post_only=fact.post_only,
        qty=fact.qty,
        limit_price=fact.limit_price,
        deadline_ns=fact.deadline_ns,
    )
    said = msgspec.json.decode(add_order(order, gate, token="t", req_id=1), strict=False)
    return Sent(clock.wall_ns(), 1, "ws", "add_order", said["params"], numbered.seq)


class _NoTape:
    def record(self, inputs: object) -> None:
        pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> _Run:
    loop = VirtualTimeLoop()
    clock = VirtualClock(loop, start_wall_ns=START_NS)
    path = tmp_path_factory.mktemp("invariants") / "journal-made.db"
    with asyncio.Runner(loop_factory=lambda: loop) as runner, inline_sqlite(Random(1)):
        return runner.run(_trade(_settings(), clock, path))


def _copy(evidence: Evidence) -> Evidence:
    return replace(evidence, sent=list(evidence.sent), committed=list(evidence.committed))


def _rules(evidence: Evidence) -> set[str]:
    """Rules that a judge, who sees it all at once, finds broken."""
    checker = Checker()
    checker.hourly(evidence)
    return {violation.rule for violation in checker.violations}


def test_a_run_that_went_well_breaks_nothing(run: _Run) -> None:
    assert run.checker.violations == []
    run.checker.hourly(run.evidence)
    assert run.checker.violations == []
    assert _rules(_copy(run.evidence)) == set()
    assert len(run.evidence.sent) > 50
    assert run.checker.seen["edge in_flight opened"] > 0


def test_the_tail_of_a_run_that_went_well_is_well(run: _Run) -> None:
    checker, evidence = Checker(), _copy(run.evidence)
    for seconds in (0, 40, 130, 600):
        checker.in_tail(replace(evidence, now_ns=evidence.now_ns + seconds * NANOS_PER_S))
    assert checker.violations == []


# --- one thing broken at a time ---------------------------------------------------------------------------------------

Break = Callable[[Evidence], None]


def _first(evidence: Evidence, kind: type[Fact], holds: Callable[[Any], bool] = lambda _: True) -> int:
    """Where the first committed fact of a kind stands."""
    facts = enumerate(evidence.committed)
    return next(index for index, numbered in facts if isinstance(numbered.fact, kind) and holds(numbered.fact))


def _bought(fact: OrderSubmitted) -> bool:
    return fact.side is Side.BUY


def _submitted(evidence: Evidence, index: int = -1) -> OrderSubmitted:
    fact = evidence.committed[_first(evidence, OrderSubmitted) if index < 0 else index].fact
    assert isinstance(fact, OrderSubmitted)
    return fact


def _changing(kind: type[Fact], holds: Callable[[Any], bool] = lambda _: True, **changes: Any) -> Break:
    """The first fact of a kind says something else."""

    def act(evidence: Evidence) -> None:
        index = _first(evidence, kind, holds)
        numbered = evidence.committed[index]
        evidence.committed[index] = replace(numbered, fact=replace(numbered.fact, **changes))

    return act


def _deciding(**changes: Any) -> Break:
    """The first buy was decided on other numbers."""

    def act(evidence: Evidence) -> None:
        index = _first(evidence, OrderSubmitted, _bought)
        decision = replace(_submitted(evidence, index).decision, **changes)
        _changing(OrderSubmitted, _bought, decision=decision)(evidence)

    return act


def _quoting(**changes: Any) -> Break:
    def act(evidence: Evidence) -> None:
        index = _first(evidence, OrderSubmitted, _bought)
        quote = _submitted(evidence, index).decision.quote
        _deciding(quote=replace(quote, **{name: change(quote) for name, change in changes.items()}))(evidence)

    return act


def _insert(evidence: Evidence, index: int, *facts: Fact) -> None:
    """Further facts before one of the journal; all after them are numbered anew."""
    at = evidence.committed[min(index, len(evidence.committed) - 1)]
    made = [replace(at, seq=at.seq + place, fact=fact) for place, fact in enumerate(facts)]
    later = [replace(numbered, seq=numbered.seq + len(facts)) for numbered in evidence.committed[index:]]
    evidence.committed[index:] = [*made, *later]
    evidence.sent[:] = [
        replace(sent, durable_seq=sent.durable_seq + len(facts) * (sent.durable_seq >= at.seq))
        for sent in evidence.sent
    ]


def _before_an_order(*facts: Fact) -> Break:
    return lambda evidence: _insert(evidence, _first(evidence, OrderSubmitted), *facts)


def _after(kind: type[Fact], make: Callable[[Any], Fact]) -> Break:
    def act(evidence: Evidence) -> None:
        index = _first(evidence, kind)
        _insert(evidence, index + 1, make(evidence.committed[index].fact))

    return act


def _losing(kind: type[Fact]) -> Break:
    def act(evidence: Evidence) -> None:
        del evidence.committed[_first(evidence, kind)]

    return act


def _saying(method: str = "add_order", **changes: Any) -> Break:
    """The first request said something else; None leaves a field out."""

    def act(evidence: Evidence) -> None:
        said = {name: value for name, value in {**evidence.sent[0].fields, **changes}.items() if value is not None}
        evidence.sent[0] = replace(evidence.sent[0], method=method, fields=said)

    return act


def _asking(method: str, **fields: Any) -> Break:
    """One more request at the end."""
    return lambda evidence: evidence.sent.append(replace(evidence.sent[-1], method=method, fields=fields))


def _sent_again(evidence: Evidence) -> None:
    evidence.sent.append(evidence.sent[0])


def _twice_for_one_intent(evidence: Evidence) -> None:
    first = _submitted(evidence)
    _changing(OrderSubmitted, lambda fact: fact.cl_ord_id != first.cl_ord_id, intent_id=first.intent_id)(evidence)


def _sent_too_early(evidence: Evidence) -> None:
    evidence.sent[0] = replace(evidence.sent[0], durable_seq=1)


def _armed_while_starting(evidence: Evidence) -> None:
    _before_an_order(HoldBegan("starting", "all", "made up"))(evidence)
    armed = replace(evidence.sent[0], method="cancel_all_orders_after", fields={"timeout": 60})
    evidence.sent.insert(0, armed)


def _twin_seen(evidence: Evidence) -> None:
    name = f"{_submitted(evidence).cl_ord_id[:6]}zzzzzzzzzzzz"
    _before_an_order(ExternalOrderSeen("O-TWIN", name, "BTC/USD", None, Side.BUY, Qty(D(1)), Price(D(1))))(evidence)


def _twin_seen_while_halted_for_one(evidence: Evidence) -> None:
    name = f"{_submitted(evidence).cl_ord_id[:6]}zzzzzzzzzzzz"
    seen = ExternalOrderSeen("O-TWIN", name, "BTC/USD", None, Side.BUY, Qty(D(1)), Price(D(1)))
    halted = replace(HALTED, code="halt_foreign_order")
    _before_an_order(halted, seen, TradingResumed("all", "made up", HALTED.actor))(evidence)


def _selling_of_another(evidence: Evidence) -> None:
    """A part of the coins that the first fill brought, so that the account has them."""
    bought = _first(evidence, OrderFilled)
    fill = evidence.committed[bought].fact
    assert isinstance(fill, OrderFilled)
    assert fill.symbol is not None
    part = Qty(fill.qty.coins / 2)
    sale = replace(_submitted(evidence), symbol=fill.symbol, side=Side.SELL, qty=part, strategy="other")
    _insert(evidence, bought + 1, replace(sale, cl_ord_id="ae-another"))


def _many_at_once(evidence: Evidence) -> None:
    index = _first(evidence, OrderSubmitted)
    fact = _submitted(evidence)
    _insert(evidence, index, *(replace(fact, cl_ord_id=f"ae{number}") for number in range(501)))


def _of_another_run(evidence: Evidence) -> None:
    index = _first(evidence, OrderSubmitted)
    evidence.committed[index] = replace(evidence.committed[index], run=7)


def _absent(*views: str) -> Break:
    """The last order: its answer is lost, and it is believed absent."""

    def act(evidence: Evidence) -> None:
        name = evidence.sent[-1].fields["cl_ord_id"]
        index = _first(evidence, OrderSubmitted, lambda fact: fact.cl_ord_id == name) + 1
        evidence.now_ns = evidence.committed[index].at_ns
        lost, gone = AnswerLost(str(name), "made up"), OrderAbsent(str(name), views, UtcNanos(0))
        evidence.committed[index:] = [
            replace(evidence.committed[index], fact=lost),
            replace(evidence.committed[index], seq=evidence.committed[index].seq + 1, fact=gone),
        ]

    return act


FOUR = ("executions", "open", "closed", "trades")
BIG = Usd(D(10_000_000))
CLEAN = RunEnded(clean=True, in_flight=0, resting=0, why="made up")
HALTED = TradingHalted("all", "halt_operator", "made up", PERSON)

BREAKS: list[tuple[str, str, Break]] = [
    ("S1", "an order is sent again", _sent_again),
    ("S1", "a second order is sent for an intent", _twice_for_one_intent),
    ("S2", "an order leaves before its fact is durable", _sent_too_early),
    ("S2", "an order leaves that no fact asks for", _saying(cl_ord_id="ae-nobody")),
    ("S3", "an order bears no name", _saying(cl_ord_id=None)),
    ("S3", "an order has no deadline", _saying(deadline=None)),
    ("S3", "a deadline is hours away", _saying(deadline="2031-01-01T00:00:00.000Z")),
    ("S3", "a name is used again", _after(OrderSubmitted, lambda fact: fact)),
    ("S5", "an order is quoted in euros", _saying(symbol="BTC/EUR")),
    ("S5", "an order is levered", _saying(margin=True)),
    ("S5", "an order is off the lot", _saying(order_qty=D("0.000000000001"))),
    ("S5", "an order is below the minimum", _saying(order_qty=D("0.00000001"))),
    ("S5", "an order's rules were never adopted", _deciding(instrument_version=99)),
    ("S5", "an edit makes an order", _asking("edit_order", order_id="O1")),
    ("S6", "an order is larger than approved", _saying(order_qty=D(5))),
    ("S6", "an order is another side than approved", _saying(side="both")),
    ("S6", "the exchange has an order other than approved", _changing(OrderSubmitted, qty=Qty(D("0.5")))),
    ("S7", "more is reserved than there is", _changing(OrderSubmitted, _bought, reserved=BIG)),
    ("S7", "less is reserved than it may cost", _changing(OrderSubmitted, _bought, reserved=Usd(D(1)))),
    ("S7", "more is sold than held", _changing(OrderSubmitted, _bought, side=Side.SELL)),
    ("S7", "what is promised is counted as free", _deciding(cash_free=BIG)),
    ("S7", "a strategy sells what another holds", _selling_of_another),
    ("S7", "the daemon had to stop itself", _before_an_order(replace(HALTED, code="halt_invariant"))),
    ("S8", "an order is worth too much", _changing(OrderSubmitted, limit_price=Price(D(10) ** 9))),
    ("S8", "too many orders in a minute", _many_at_once),
    ("S8", "an order is too large a share", _deciding(equity=Usd(D(100)))),
    ("S8", "a buy comes after the day's loss", _before_an_order(EquityMarked("d", BIG, Usd(D(10) ** 9), BIG))),
    ("S9", "an end is followed by a refusal", _after(OrderEnded, lambda end: OrderRefused(end.cl_ord_id, "", ""))),
    ("S9", "more is filled than ordered", _changing(OrderFilled, qty=Qty(D(100)))),
    ("S9", "less is filled at the end than before", _changing(OrderEnded, cum_qty=Qty(D(0)))),
    ("S9", "an order is told that never was submitted", _before_an_order(OrderAccepted("ae-nobody", "O1"))),
    ("S10", "a living order is believed refused", _after(OrderSubmitted, lambda f: OrderRefused(f.cl_ord_id, "", ""))),
    ("S10", "an order ends that never was", _changing(OrderEnded, cl_ord_id="ae-nobody")),
    ("S11", "absence is believed from three views", _absent(*FOUR[:3])),
    ("S11", "absence is believed at once", _absent(*FOUR)),
    ("S11", "absence of an open order", _after(OrderOpened, lambda f: OrderAbsent(f.cl_ord_id, FOUR, UtcNanos(0)))),
    ("S12", "an order is decided on hold", _before_an_order(HoldBegan("feed", "all", "made up"))),
    ("S12", "an order is decided while stopping", _before_an_order(StopBegan("made up"))),
    ("S12", "an order is decided on a difference", _before_an_order(DifferenceFound("USD", D(1), D(2), "made up"))),
    ("S12", "an order is decided on a crossed book", _quoting(bid=lambda quote: quote.ask)),
    ("S12", "an order leaves after a halt", _after(OrderSubmitted, lambda _: HALTED)),
    ("S12", "the dead man's switch is armed too early", _armed_while_starting),
    ("S13", "all orders are cancelled, of others too", _asking("cancel_all")),
    ("S13", "another's order is cancelled", _asking("cancel_order", order_id=["O-OTHER"])),
    ("S13", "another's order is amended", _asking("AmendOrder", txid="O-OTHER")),
    ("S13", "a switch is armed that others would suffer from", _asking("cancel_all_orders_after", timeout=60)),
    ("S15", "a fill is booked twice", _after(OrderFilled, lambda fill: fill)),
    ("S16", "a fill is invented", _changing(OrderFilled, exec_id="T-INVENTED")),
    ("S16", "a fill is booked at another price", _changing(OrderFilled, price=Price(D(1)))),
    ("S16", "a fill is booked on another pair", _changing(OrderFilled, name="SOL/USD")),
    ("S16", "a fill's fee is not what was taken", _changing(OrderFilled, fees=())),
    ("S16", "a fill of ours is booked as somebody else's", _changing(OrderFilled, cl_ord_id=None)),
    ("S17", "the sums begin with other money", _changing(AccountOpened, balances=(AssetBalance("USD", D(1), D(0)),))),
    ("S17", "a fee is left out", _changing(OrderFilled, fees=())),
    ("S19", "a fill is of no strategy", _changing(OrderFilled, strategy=None)),
    ("S20", "a float is in a fact", _changing(OrderFilled, venue_ns=1.5)),
    ("S23", "an order is priced from an old quote", _quoting(age_ms=lambda _: 10**6)),
    ("S25", "a resume is nobody's", _before_an_order(TradingResumed("all", "made up", PERSON))),
    ("S25", "a halt is of another than who gave it", _before_an_order(
        CommandAccepted("r1", Actor("uid:7", Role.OPERATOR), Halt("all", "made up")), HALTED)),
    ("S25", "a resume follows a halt", _before_an_order(
        CommandAccepted("r1", PERSON, Halt("all", "made up")), TradingResumed("all", "made up", PERSON))),
    ("S30", "an acknowledged fact is gone", _losing(OrderSubmitted)),
    ("S32", "a run begins out of turn", _changing(RunStarted, run=3)),
    ("S32", "a fact is of another run", _of_another_run),
    ("S32", "a second daemon is heard of, and trading goes on", _twin_seen),
    ("S33", "a run ends clean with an order under way", _after(OrderSubmitted, lambda _: CLEAN)),
    ("L3", "a halt is told twice", _before_an_order(HALTED, HALTED)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "do"), [(rule, do) for rule, _, do in BREAKS], ids=[f"{r} {w}" for r, w, _ in BREAKS])
def test_what_is_broken_is_told(run: _Run, rule: str, do: Break) -> None:
    evidence = _copy(run.evidence)
    do(evidence)
    assert rule in _rules(evidence)


def test_s32_people_who_resume_know_every_order_of_another_daemon_that_was_seen_before(run: _Run) -> None:
    evidence = _copy(run.evidence)
    _twin_seen_while_halted_for_one(evidence)
    assert "S32" not in _rules(evidence)


# --- what the daemon itself believes, and what time must mend ---------------------------------------------------------


@pytest.fixture
def machine(run: _Run) -> Machine:
    assert run.evidence.machine is not None
    return run.evidence.machine


def test_s18_profit_that_no_price_made_is_told(run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = machine.engine.ledger.portfolio.positions
    key, position = next(iter(positions.items()))
    monkeypatch.setitem(positions, key, replace(position, realised=position.realised + Usd(D("0.01"))))
    assert _rules(_copy(run.evidence)) == {"S18"}


def test_s18_money_that_the_exchange_does_not_have_is_told(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    balances = machine.engine.ledger.portfolio.balances
    monkeypatch.setitem(balances, "USD", balances["USD"] + D("0.01"))
    assert _rules(_copy(run.evidence)) == {"S18", "S30"}


def test_s30_money_that_the_journal_does_not_have_is_told_at_once(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, checker = _copy(run.evidence), Checker()
    checker.after_step(evidence)
    assert not checker.violations
    balances = machine.engine.ledger.portfolio.balances
    monkeypatch.setitem(balances, "USD", balances["USD"] + D("0.01"))
    checker.after_step(evidence)
    assert {violation.rule for violation in checker.violations} == {"S30"}


def test_s19_coins_that_no_fill_brought_are_told(run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = machine.engine.ledger.portfolio.positions
    key, position = next(iter(positions.items()))
    monkeypatch.setitem(positions, key, replace(position, coins=position.coins + D("0.001")))
    assert "S19" in _rules(_copy(run.evidence))


def test_s30_a_ledger_that_forgot_a_fill_is_told(run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = machine.engine.ledger
    monkeypatch.delitem(ledger.exec_ids, min(ledger.exec_ids))
    assert _rules(_copy(run.evidence)) == {"S30"}


def test_s30_a_ledger_that_forgot_an_order_is_told(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = machine.engine.ledger
    monkeypatch.delitem(ledger.own_ids.kept, min(ledger.own_ids.kept))
    assert _rules(_copy(run.evidence)) == {"S30"}


def test_s30_a_ledger_that_is_halted_for_nothing_is_told(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(machine.engine.ledger.halts, ("all", "halt_operator"), HALTED)
    assert _rules(_copy(run.evidence)) == {"S30"}


def test_s35_h08_an_inbox_without_bounds_is_told(run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.inbox, "live", 10**6)
    assert _rules(_copy(run.evidence)) == {"S35"}


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_s22_s24_a_book_that_the_exchange_never_had_is_told(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    picture = next(iter(machine.engine.market.pictures.values()))
    book = picture.book
    assert book is not None
    levels = getattr(book, side)
    sides: dict[str, Any] = {side: (*levels[:-1], (levels[-1][0], levels[-1][1] + 1))}
    monkeypatch.setattr(picture, "_book", replace(book, **sides))
    monkeypatch.setattr(picture, "is_live", True)
    assert "S22" in _rules(_copy(run.evidence))


def test_s14_an_order_behind_the_latch_is_told(run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence, checker = _copy(run.evidence), Checker()
    last = evidence.sent.pop()
    latch = Latch()
    latch.set("all")
    monkeypatch.setattr(machine, "latch", latch)
    checker.halt_given(evidence, "all")
    assert checker.violations == []
    evidence.sent.append(last)
    checker.after_step(evidence)
    assert {violation.rule for violation in checker.violations} == {"S14"}


@pytest.mark.parametrize("scope", ["all", "symbol:BTC/USD", "strategy:nobody"])
def test_s12_a_sale_of_people_goes_on_in_their_halt_and_not_after_a_later_one(run: _Run, scope: str) -> None:
    sells: dict[str, Any] = {"side": Side.SELL, "intent_id": f"{EXIT_MARK}1"}
    wanted = replace(HALTED, code="halt_flatten"), FlattenBegan("all", "made up", PERSON)

    def told(*since: Fact) -> list[str]:
        evidence, checker = _copy(run.evidence), Checker()
        _before_an_order(*wanted, *since)(evidence)
        _changing(OrderSubmitted, **sells)(evidence)
        checker.hourly(evidence)
        name = _submitted(evidence).cl_ord_id
        return [v.why for v in checker.violations if v.rule == "S12" and v.why.startswith(name)]

    assert told() == []
    assert len(told(replace(HALTED, scope=scope))) == 2  # it was decided, and it left


def test_l5_a_halt_that_stops_nothing_is_told(run: _Run) -> None:
    evidence, checker = _copy(run.evidence), Checker()
    checker.halt_given(evidence, "all")
    evidence.now_ns += 2 * NANOS_PER_S
    checker.after_step(evidence)
    assert [violation.rule for violation in checker.violations] == ["L5"]


def test_l5_a_halt_that_was_not_written_ends_with_its_process(run: _Run) -> None:
    evidence, checker = _copy(run.evidence), Checker()
    checker.halt_given(evidence, "all")
    checker.ended()
    evidence.now_ns += 2 * NANOS_PER_S
    checker.after_step(evidence)
    assert checker.violations == []


def test_l6_l7_s26_what_the_world_saw_is_kept(run: _Run) -> None:
    evidence, checker = run.evidence, Checker()
    checker.stopped(evidence, 9, 10)
    checker.started(evidence, 59 * NANOS_PER_S)
    assert checker.violations == []
    checker.stopped(evidence, 11, 10)
    checker.started(evidence, 61 * NANOS_PER_S)
    checker.exited(evidence, "made up")
    checker.broken_chain(evidence, "made up")
    assert [violation.rule for violation in checker.violations] == ["L6", "L6", "L7", "S26"]


def _late(evidence: Evidence) -> set[str]:
    """What is broken a quarter of an hour after everything outside was well."""
    checker = Checker()
    checker.in_tail(evidence)
    checker.in_tail(replace(evidence, now_ns=evidence.now_ns + 900 * NANOS_PER_S))
    return {violation.rule for violation in checker.violations}


def test_l1_a_feed_that_is_silent_without_a_reason_is_told(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next(iter(machine.engine.market.pictures.values())), "is_live", False)
    evidence = _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, StopBegan | HoldBegan)]
    assert "L1" in _late(evidence)


def test_l1_a_hold_for_another_reason_explains_no_silence(
    run: _Run, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next(iter(machine.engine.market.pictures.values())), "is_live", False)
    evidence = _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, StopBegan | HoldBegan)]
    assert "L1" in _late(_with(evidence, HoldBegan("disk", "all", "made up")))
    assert "L1" not in _late(_with(evidence, HoldBegan("feed", "all", "made up")))


def test_l2_a_fill_that_never_comes_is_told(run: _Run) -> None:
    evidence = _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, OrderFilled)]
    assert "L2" in _late(evidence)


def test_l2_an_order_that_stays_unresolved_is_told(run: _Run) -> None:
    evidence = _copy(run.evidence)
    index = _first(evidence, OrderSubmitted)
    lost = AnswerLost(_submitted(evidence).cl_ord_id, "made up")
    evidence.committed[index + 1 :] = [replace(evidence.committed[index + 1], fact=lost)]
    assert "L2" in _late(evidence)


def test_l3_a_hold_that_does_not_end_is_told(run: _Run) -> None:
    evidence = _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, StopBegan | HoldEnded | RunEnded)]
    assert "L3" in _late(evidence)


def test_l3_a_halt_excuses_no_hold_of_another_scope(run: _Run) -> None:
    evidence = _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, StopBegan | HoldEnded | RunEnded)]
    assert "L3" in _late(_with(evidence, replace(HALTED, scope="symbol:BTC/USD")))
    assert "L3" not in _late(_with(evidence, HALTED))


def test_l3_a_daemon_that_stays_down_is_told(run: _Run) -> None:
    checker, evidence = Checker(), _copy(run.evidence)
    evidence.committed = [n for n in evidence.committed if not isinstance(n.fact, StopBegan | RunEnded)]
    checker.in_tail(evidence)
    for seconds in (1, 900):
        checker.in_tail(replace(evidence, machine=None, now_ns=evidence.now_ns + seconds * NANOS_PER_S))
    assert "L3" in {violation.rule for violation in checker.violations}


@pytest.fixture
def resting(run: _Run) -> Iterator[str]:
    """An order far from the market, which only the exchange knows of yet."""
    exchange, name = run.evidence.exchange, "aemade00010000zzz"
    order = NewOrder("BTC/USD", "buy", "limit", D("0.01"), D("100.0"), cl_ord_id=name)
    placed = exchange.add_order(MADE_ACCOUNT, order, run.evidence.now_ns)
    yield name
    exchange.cancel_order(MADE_ACCOUNT, placed.order_id, run.evidence.now_ns)


def _with(evidence: Evidence, *facts: Fact) -> Evidence:
    """The same run, and further facts at its end."""
    last = evidence.committed[-1]
    more = [replace(last, seq=last.seq + place + 1, fact=fact) for place, fact in enumerate(facts)]
    return replace(evidence, committed=[*evidence.committed, *more])


def test_l4_a_cancel_that_never_ends_is_told(run: _Run, resting: str) -> None:
    order = replace(_submitted(run.evidence), cl_ord_id=resting)
    wanted = order, OrderOpened(resting, "O1", "executions"), CancelRequested(resting, "made up")
    assert "L4" in _late(_with(run.evidence, *wanted))
    assert "L4" not in _late(_with(run.evidence, *wanted[:2]))


def test_s10_l2_an_order_that_rests_and_counts_for_nothing_is_told(run: _Run, resting: str) -> None:
    order = replace(_submitted(run.evidence), cl_ord_id=resting)
    evidence = _with(run.evidence, order, OrderRefused(resting, "venue_other", "made up"))
    assert {"S10", "L2"} <= _late(evidence) | _rules(evidence)


# --- the table itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "holds"),
    [*SENT_RULES, *FACT_RULES, *STEP_RULES, *WHOLE_RULES, *TAIL_RULES],
    ids=lambda part: str(part)[:12],
)
def test_each_predicate_says_which_property_it_is(rule: str, holds: Callable[..., object]) -> None:
    assert (holds.__doc__ or "").startswith(f"{rule}: ")


def test_every_move_of_an_order_has_its_fact_here() -> None:
    assert set(EVENT_OF.values()) == set(Event)


def test_each_property_of_a_run_is_claimed_and_was_seen_to_fail() -> None:
    claimed = {rule for rule, _ in (*SENT_RULES, *FACT_RULES, *STEP_RULES, *WHOLE_RULES, *TAIL_RULES)}
    claimed |= {"S22", "S24", "S26", "L5", "L6", "L7"}  # told by the books' witness, and by the world itself
    assert claimed | set(NOT_CLAIMED) == {
        *(f"S{number}" for number in range(1, 36) if number not in (31, 34)),
        *(f"L{number}" for number in range(1, 8)),
    }
    source = Path(__file__).read_text()
    assert [rule for rule in claimed if f'"{rule}"' not in source and f"_{rule.lower()}_" not in source] == []


def test_a_request_is_read_in_both_of_krakens_spellings() -> None:
    rest = Sent(0, 1, "rest", "AddOrder", {"pair": "BTC/USD", "type": "buy", "volume": "1", "price": "2"}, 0)
    (asked,) = orders_asked(rest)
    assert (asked.symbol, asked.side, asked.qty, asked.limit_price) == ("BTC/USD", "buy", D(1), D(2))
    rows = [{"cl_ord_id": "a", "order_qty": D(1)}, {"cl_ord_id": "b", "order_qty": D(2)}]
    batch = Sent(0, 1, "ws", "batch_add", {"params": {"symbol": "BTC/USD", "orders": rows}}, 0)
    assert [(asked.cl_ord_id, asked.symbol) for asked in orders_asked(batch)] == [("a", "BTC/USD"), ("b", "BTC/USD")]
    assert ids_named(Sent(0, 1, "ws", "batch_cancel", {"orders": ["O1", "O2"]}, 0)) == ("O1", "O2")
    assert timeout_asked(Sent(0, 1, "ws", "cancel_all_orders_after", {"timeout": 60}, 0)) == 60
    assert time_ns("2026-09-25T18:00:05.001Z") == 1_790_359_205_001_000_000


def test_what_happened_sometimes_is_counted(run: _Run) -> None:
    checker, evidence = Checker(), _copy(run.evidence)
    name = _submitted(evidence).cl_ord_id
    index = _first(evidence, OrderSubmitted)
    del evidence.committed[index + 1 :]
    checker.crashed(evidence)
    assert checker.seen["crash between commit and send"] + checker.seen["crash between send and ack"] == 1
    checker.crashed(replace(evidence, machine=None))
    assert checker.seen["crash inside recovery"] == 1
    lost = AnswerLost(name, "made up")
    checker.after_step(_with(evidence, lost, OrderOpened(name, "O1", "open")))
    assert checker.seen["unknown resolved to open"] == 1
    assert checker.seen["edge unresolved opened"] == 1
    assert set(checker.seen) & set(EDGES) == {"edge in_flight answer_lost", "edge unresolved opened"}
