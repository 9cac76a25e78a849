"""What stands at which address, on the port and on the socket."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from aether.admin import routes, socket_file
from aether.core.view import OrderView, View
from aether.domain.actors import Actor, Role
from aether.domain.errors import InvariantBroken
from aether.domain.facts import StrategyPaused
from aether.domain.inputs import CancelEverything, Flatten, Halt, Resume

PROBES = {"/livez": "alive", "/readyz": "ready", "/startupz": "started"}
PAGES = ("status", "orders", "positions", "balances", "trades", "limits", "refusals", "symbols")


@pytest.mark.parametrize(("path", "attribute"), PROBES.items())
async def test_a_probe_says_yes_or_no_and_nothing_else(house: Any, path: str, attribute: str) -> None:
    async with aiohttp.ClientSession(house.url) as session:
        async with session.get(path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})
        setattr(house.health, attribute, False)
        async with session.get(path) as response:
            assert (response.status, await response.json()) == (503, {"status": "unavailable"})


async def test_metrics_are_shown_in_the_type_that_was_asked_for(house: Any) -> None:
    async with (
        aiohttp.ClientSession(house.url) as session,
        session.get("/metrics", headers={"Accept": "abc"}) as response,
    ):
        assert response.headers["Content-Type"] == "text/plain; asked=3"
        assert await response.text() == "aether_up 1\n"


@pytest.mark.parametrize("path", [f"/v1/{name}" for name in PAGES] + ["/v1/orders/x/why", "/", "/docs", "/debug"])
async def test_the_port_shows_no_account_and_no_other_page(house: Any, path: str) -> None:
    async with aiohttp.ClientSession(house.url) as session, session.get(path) as response:
        assert response.status == 404
        assert (await response.json())["code"] == "api_not_found"


@pytest.mark.parametrize("path", ["/v1/halt", "/v1/resume", "/v1/orders/cancel", "/v1/flatten"])
async def test_the_port_takes_no_command(house: Any, path: str) -> None:
    async with aiohttp.ClientSession(house.url) as session, session.post(path, json={"reason": "x"}) as response:
        assert response.status == 404
    assert house.engine.given == []
    assert house.engine.latch.scopes == []


@pytest.mark.parametrize("name", PAGES)
async def test_each_page_tells_of_which_fact_it_is(house: Any, name: str) -> None:
    async with house.control() as session, session.get(f"/v1/{name}") as response:
        page = await response.json()
    assert response.status == 200
    assert page["at"] == "2026-07-19T17:54:00.000000005Z"
    assert page["seq"] == 0


async def test_before_the_first_picture_a_page_asks_for_patience(house: Any) -> None:
    house.views.clear()
    async with house.control() as session, session.get("/v1/status") as response:
        assert response.status == 503
        assert (await response.json())["code"] == "api_starting"


async def test_the_story_of_an_order_is_found_by_a_quoted_name(house: Any) -> None:
    facts = house.engine.commit(StrategyPaused("trend", "nonsense"))
    house.stories["O/1"] = tuple(facts)
    async with house.control() as session, session.get("/v1/orders/O%2F1/why") as response:
        story = await response.json()
    assert [fact["kind"] for fact in story["facts"]] == ["StrategyPaused"]


async def test_an_order_nobody_knows_is_a_problem(house: Any) -> None:
    async with house.control() as session, session.get("/v1/orders/nothing/why") as response:
        assert response.status == 404


async def test_a_halt_is_latched_before_it_is_put_and_answered_when_committed(house: Any) -> None:
    status, answer = await house.post("/v1/halt", {"scope": "all", "reason": "smoke"})
    assert status == 200
    assert answer["latched"] is True
    assert answer["on_disk"] is True
    assert answer["seq"] == 1
    (given,) = house.engine.given
    assert given.command == Halt("all", "smoke")
    assert given.actor.role is Role.OPERATOR
    assert given.request_id == answer["request_id"]
    assert house.engine.latched_before == [("all",)]


async def test_a_halt_that_is_not_written_in_time_is_in_force_and_says_so(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "COMMAND_WAIT_S", 0.01)
    house.engine.is_silent = True
    status, answer = await house.post("/v1/halt", {"scope": "all", "reason": "smoke"})
    assert status == 202
    assert (answer["latched"], answer["on_disk"], answer["seq"]) == (True, False, None)
    assert house.engine.latch.scopes == ["all"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("all", ["ae1", "ae2"]), ("symbol:BTC/USD", ["ae1"]), ("strategy:trend", ["ae1", "ae2"])],
)
async def test_j11_a_halt_names_the_orders_that_are_not_yet_shown_to_be_gone(
    house: Any, blank_of: Any, scope: str, expected: list[str]
) -> None:
    rows = [
        blank_of(OrderView, cl_ord_id=name, symbol=symbol, strategy="trend", state=state)
        for name, symbol, state in (
            ("ae1", "BTC/USD", "open"),
            ("ae2", "ETH/USD", "unresolved"),
            ("ae3", "BTC/USD", "done"),
        )
    ]
    house.views.append(blank_of(View, orders=tuple(rows)))

    _, answer = await house.post("/v1/halt", {"scope": scope, "reason": "smoke"})

    assert answer["unconfirmed"] == expected
    assert answer["why"].startswith(f"{len(expected)} orders are not yet confirmed")


async def test_a_halt_with_nothing_open_has_nothing_to_confirm(house: Any) -> None:
    _, answer = await house.post("/v1/halt", {"scope": "all", "reason": "smoke"})

    assert (answer["unconfirmed"], answer["why"]) == ([], "")


async def test_another_command_without_an_answer_is_a_problem(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "COMMAND_WAIT_S", 0.01)
    house.engine.is_silent = True
    async with house.control() as session, session.post("/v1/orders/cancel", json={"reason": "tidy"}) as response:
        assert response.status == 503
        assert (await response.json())["code"] == "api_unanswered"
    assert house.engine.given[0].command == CancelEverything("tidy")


async def test_flatten_is_given_as_any_command_and_latches_nothing_by_itself(house: Any) -> None:
    status, answer = await house.post("/v1/flatten", {"scope": "all", "reason": "out"})
    assert (status, answer["accepted"], "latched" in answer) == (200, True, False)
    assert house.engine.given[0].command == Flatten("all", "out")
    assert house.engine.latch.scopes == []


async def test_resume_ends_a_halt_and_is_refused_where_there_is_none(house: Any) -> None:
    body = {"scope": "symbol:BTC/USD", "reason": "fixed"}
    async with house.control() as session:
        async with session.post("/v1/resume", json=body) as response:
            assert response.status == 409
            assert (await response.json())["code"] == "authority_not_halted"
        house.engine.halt("symbol:BTC/USD")
        async with session.post("/v1/resume", json=body) as response:
            answer = await response.json()
    assert response.status == 200
    assert "latched" not in answer
    assert house.engine.given[-1].command == Resume("symbol:BTC/USD", "fixed")


async def test_a_scope_that_is_none_is_refused_and_latches_nothing(house: Any) -> None:
    status, problem = await house.post("/v1/halt", {"scope": "everything", "reason": "x"})
    assert status == 422
    assert (problem["code"], problem["field"]) == ("authority_scope", "scope")
    assert house.engine.latch.scopes == []


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"scope": "all"}, 400, "api_missing_field", "reason"),
        ({"scope": "all", "reason": "x", "role": "director"}, 400, "api_unknown_field", "role"),
        ({"scope": ["all"], "reason": "x"}, 400, "api_malformed", "scope"),
        ({"scope": "all", "reason": ""}, 422, "api_value", "reason"),
        ({"scope": "all", "reason": "x" * 501}, 422, "api_value", "reason"),
        ({"scope": "all", "reason": "a\nb"}, 422, "api_value", "reason"),
        (["all", "x"], 400, "api_malformed", None),
    ],
)
async def test_a_body_of_another_shape_is_refused_with_its_field(
    house: Any, body: object, status: int, code: str, field: str | None
) -> None:
    async with house.control() as session, session.post("/v1/halt", json=body) as response:
        problem = await response.json()
    assert (response.status, problem["code"], problem.get("field")) == (status, code, field)
    assert house.engine.given == []


async def test_another_user_gets_no_page_and_gives_no_command(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "peer_uid", lambda connection: 54321)
    async with house.control() as session:
        async with session.get("/v1/status") as response:
            assert response.status == 403
        async with session.post("/v1/halt", json={"scope": "all", "reason": "x"}) as response:
            assert (await response.json())["code"] == "api_peer"
    assert house.engine.latch.scopes == []


async def test_the_actor_is_the_user_the_kernel_names(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "peer_uid", lambda connection: socket_file._ROOT)
    async with house.control() as session, session.post("/v1/halt", json={"scope": "all", "reason": "x"}):
        pass
    assert house.engine.given[0].actor == Actor("uid:0", Role.OPERATOR)


async def test_a_fault_of_ours_in_a_request_ends_the_process(house: Any) -> None:
    house.engine.fails_with = InvariantBroken("the lane is full")
    status, _ = await house.post("/v1/halt", {"scope": "all", "reason": "x"})
    assert status == 500
    assert house.engine.latch.scopes == ["all"]
    with pytest.raises(InvariantBroken, match="the lane is full"):
        await house.server.run()
