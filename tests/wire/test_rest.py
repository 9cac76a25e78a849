from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aether.domain.errors import InvariantBroken, OutcomeUnknown, VenueRefused, VenueUnavailable
from aether.domain.values import NANOS_PER_S, UtcNanos
from aether.kraken.endpoints import Endpoint
from aether.kraken.key_standing import BAD_NONCES_LAST_S
from aether.kraken.rate_limit import MARGIN, Tier, TierLimits
from aether.kraken.rest import BODY_BYTES_MAX, PUBLIC_BURST, KeyInUse, RestClient
from aether.kraken.signing import Credentials, MarkFile, NonceKeeper
from aether.kraken.strict_json import check

CAPTURES = Path(__file__).parent / "captures"
REST_CAPTURES = sorted(
    str(path.relative_to(CAPTURES))
    for pattern in (
        "kraken-async-rs/rest-*",
        "xchange/*",
        "ccxt/*",
        "nautilus/*",
        "live-2026-09/rest-*",
        "assetpairs/*2026*",
    )
    for path in CAPTURES.glob(pattern)
)


@pytest.mark.parametrize("name", REST_CAPTURES)
async def test_every_recorded_answer_is_an_envelope(
    name: str, capture: Callable[[str], bytes], toy: Any, rest: RestClient
) -> None:
    toy.answers("Assets", capture(name))

    check(bytes(await rest.call(Endpoint.ASSETS)), bytes_max=BODY_BYTES_MAX)


async def test_a_public_call_carries_its_fields_and_who_we_are_and_no_key(toy: Any, rest: RestClient) -> None:
    toy.answers("OHLC", {"last": 1})

    assert bytes(await rest.call(Endpoint.OHLC, {"pair": "BTC/USD"})) == b'{"last": 1}'

    name, fields, headers = toy.calls[0]
    assert (name, fields) == ("OHLC", {"pair": "BTC/USD"})
    assert headers["User-Agent"].startswith("aether/")
    assert "API-Key" not in headers


async def test_a_private_call_is_signed_over_the_very_bytes_that_are_sent(toy: Any, rest: RestClient) -> None:
    await rest.call(Endpoint.CLOSED_ORDERS, {"start": "1", "closetime": "close"})

    _, fields, headers = toy.calls[0]
    body = headers["raw-body"].encode()
    digest = hashlib.sha256(fields["nonce"].encode() + body).digest()
    expected = hmac.digest(b"secret", b"/0/private/ClosedOrders" + digest, "sha512")
    assert headers["API-Key"] == "the-key"
    assert headers["API-Sign"] == base64.b64encode(expected).decode()


async def test_calls_at_the_same_time_reach_kraken_with_rising_nonces(toy: Any, rest: RestClient) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(rest.call(Endpoint.BALANCES))

    nonces = [int(fields["nonce"]) for _, fields, _ in toy.calls]
    assert len(nonces) == 8
    assert nonces == sorted(set(nonces))


NO_PROOF = [
    web.Response(status=502, text="<html>Bad gateway</html>"),
    web.Response(status=520, text="<html>"),
    web.Response(status=302, headers={"Location": "/0/private/Elsewhere"}),
    b"",
    b"<html>",
    b'"{}"',
    b'{"error":[]}',
    b'{"error":[],"result":null}',
    b'{"error":["EService:Unavailable"]}',
    b'{"error":["EService:Deadline elapsed"]}',
    b'{"error":["ENever:Seen before"]}',
    b'{"error":["EOrder:Insufficient funds"],"result":{"txid":["O"]}}',
    b'{"error":["EOrder:Insufficient funds","EGeneral:Internal error"]}',
    b'{"error":[],"error":[],"result":{}}',
    b'{"error":"none","result":{}}',
]


@pytest.mark.parametrize("number", range(len(NO_PROOF)))
async def test_what_proves_nothing_leaves_a_cancel_s_outcome_unknown_and_a_read_to_be_asked_again(
    number: int, toy: Any, rest: RestClient
) -> None:
    answer = NO_PROOF[number]
    if isinstance(answer, web.Response):
        answer = web.Response(status=answer.status, body=answer.body, headers={"Location": "/0/private/Elsewhere"})
    toy.answers("CancelOrder", answer)
    with pytest.raises(OutcomeUnknown):
        await rest.call(Endpoint.CANCEL_ORDER, {"pair": "XBTUSD"})
    if isinstance(answer, web.Response):
        answer = web.Response(status=answer.status, body=answer.body, headers={"Location": "/0/private/Elsewhere"})
    toy.answers("BalanceEx", answer)
    with pytest.raises(VenueUnavailable):
        await rest.call(Endpoint.BALANCES)

    assert [name for name, _, _ in toy.calls] == ["CancelOrder", "BalanceEx"], "nothing was repeated or redirected"


async def test_an_empty_result_and_a_warning_beside_it_are_an_answer(toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", b'{"error":["WGeneral:Something"],"result":{}}')

    assert bytes(await rest.call(Endpoint.BALANCES)) == b"{}"


async def test_a_clear_no_is_told_with_our_code_and_kraken_s_text(toy: Any, rest: RestClient) -> None:
    toy.answers("CancelOrder", "EOrder:Unknown order")

    with pytest.raises(VenueRefused) as refused:
        await rest.call(Endpoint.CANCEL_ORDER)

    assert (refused.value.code, refused.value.text) == ("venue_other", "EOrder:Unknown order")


async def test_control_characters_of_kraken_s_text_never_reach_us_raw(toy: Any, rest: RestClient) -> None:
    toy.answers("CancelOrder", "EOrder:\x1b[31mred\n")

    with pytest.raises(VenueRefused) as refused:
        await rest.call(Endpoint.CANCEL_ORDER)

    assert refused.value.text.isprintable()


async def test_no_answer_in_time_is_unknown_for_a_cancel(
    toy: Any, session: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    toy._rest = hang
    application = toy.application()
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    quick = a_client(f"http://127.0.0.1:{port}", session, clock, tmp_path, timeout_s=0.05)
    try:
        with pytest.raises(OutcomeUnknown):
            await quick.call(Endpoint.CANCEL_ORDER)
        with pytest.raises(VenueUnavailable):
            await quick.call(Endpoint.BALANCES)
    finally:
        release.set()
        await runner.cleanup()


def a_client(
    base_url: str,
    session: aiohttp.ClientSession,
    clock: Any,
    tmp_path: Path,
    *,
    timeout_s: float = 1.0,
    counters: Any = None,
    limits: TierLimits = Tier.PRO.value,
) -> RestClient:
    key = KeyInUse(
        Credentials.from_text(base_url, "the-key", "c2VjcmV0"), NonceKeeper(MarkFile(tmp_path / "other"), clock)
    )
    return RestClient(session, base_url, clock=clock, limits=limits, key=key, timeout_s=timeout_s, counters=counters)


async def test_an_address_that_takes_no_connection_certainly_executed_nothing(
    session: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    with pytest.raises(VenueUnavailable, match="not reached"):
        await a_client("http://127.0.0.1:1", session, clock, tmp_path).call(Endpoint.CANCEL_ORDER)


@pytest.mark.parametrize("status", [403, 429])
async def test_c12_the_edge_s_refusal_is_no_execution_and_asks_for_a_minute(
    status: int, toy: Any, rest: RestClient
) -> None:
    toy.answers("CancelOrder", web.Response(status=status, text="<html>captcha</html>"))

    with pytest.raises(VenueUnavailable) as unavailable:
        await rest.call(Endpoint.CANCEL_ORDER)

    assert unavailable.value.retry_after_s >= 60


@pytest.mark.parametrize("status", [403, 429])
async def test_c12_after_the_edge_s_refusal_nothing_but_a_cancel_leaves_for_a_minute(
    status: int, toy: Any, rest: RestClient
) -> None:
    toy.answers("Assets", web.Response(status=status, text="<html>captcha</html>"))
    for endpoint in (Endpoint.ASSETS, Endpoint.ASSETS, Endpoint.OHLC, Endpoint.BALANCES):
        with pytest.raises(VenueUnavailable) as unavailable:
            await rest.call(endpoint)
        assert unavailable.value.retry_after_s > 59
    await rest.call(Endpoint.CANCEL_ORDER)

    assert [name for name, _, _ in toy.calls] == ["Assets", "CancelOrder"]


async def test_a_cancel_passes_reads_that_wait_for_the_counter(toy: Any, rest: RestClient) -> None:
    """Five calls of 4 points fill the counter of 20; the sixth would wait four seconds."""
    toy.answers("TradesHistory", {"trades": {}})
    for _ in range(5):
        await rest.call(Endpoint.TRADES_HISTORY)
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        waiting = group.create_task(rest.call(Endpoint.TRADES_HISTORY))
        await asyncio.sleep(0)
        await rest.call(Endpoint.CANCEL_ORDER)
        waiting.cancel()

    assert [name for name, _, _ in toy.calls] == ["TradesHistory"] * 5 + ["CancelOrder"]


async def test_a_rate_limit_does_not_withhold_a_cancel_and_a_lockout_does(toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", "EAPI:Rate limit exceeded")
    toy.answers("CancelOrder", {"count": 1}, "EGeneral:Temporary lockout")
    with pytest.raises(VenueUnavailable, match="Rate limit"):
        await rest.call(Endpoint.BALANCES)
    await rest.call(Endpoint.CANCEL_ORDER)
    for _ in range(2):
        with pytest.raises(VenueUnavailable, match="lockout"):
            await rest.call(Endpoint.CANCEL_ORDER)

    assert [name for name, _, _ in toy.calls] == ["BalanceEx", "CancelOrder", "CancelOrder"]


class Counted:
    """Keeps what is counted of REST calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.seconds: list[float] = []
        self.throttles: list[str] = []
        self.milli: dict[str, Any] = {}

    def kraken_refused(self, method: str, code: str) -> None: ...

    def throttled(self, transport: str, why: str) -> None:
        self.throttles.append(f"{transport} {why}")

    def show_counter(self, pool: str, milli: Any) -> None:
        self.milli[pool] = milli

    def kraken_request(self, endpoint: str, seconds: float, code: str) -> None:
        self.calls.append((endpoint, code))
        self.seconds.append(seconds)

    def feed_message(self, channel: str) -> None: ...

    def checksum_failed(self, symbol: str) -> None: ...

    def reconnected(self) -> None: ...


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"ZUSD": {"balance": "1"}}, ""),
        ("EGeneral:Permission denied", "venue_auth"),
        ("EAPI:Rate limit exceeded", "rate_limit"),
        ("EGeneral:Temporary lockout", "lockout"),
        ("EService:Unavailable", "unavailable"),
        (b"<html>", "unavailable"),
    ],
)
async def test_every_end_of_a_call_is_counted_under_its_code_and_a_call_kept_back_is_none(
    answer: Any, *, code: str, toy: Any, session: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    toy.answers("BalanceEx", answer)
    counted = Counted()
    client = a_client(toy.base_url, session, clock, tmp_path, counters=counted)

    outcomes = await asyncio.gather(*[client.call(Endpoint.BALANCES) for _ in range(2)], return_exceptions=True)

    assert len(outcomes) == 2
    assert counted.calls == [("balances", code)] * len(toy.calls)
    assert counted.throttles == (["rest EAPI:Rate limit exceeded"] if code == "rate_limit" else [])
    assert counted.milli["rest"]() > 0


async def test_the_wait_for_the_counter_is_not_kraken_s_time(
    toy: Any, session: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    counted = Counted()
    client = a_client(toy.base_url, session, clock, tmp_path, counters=counted, limits=TierLimits(4, 20_000, 1, 1, 60))

    for _ in range(3):
        await client.call(Endpoint.TRADES_HISTORY)  # the second and third wait a fifth of a second each

    assert len(counted.seconds) == 3
    assert max(counted.seconds) < 0.15


async def test_a_body_beyond_the_cap_is_not_read(toy: Any, rest: RestClient) -> None:
    toy.answers("Assets", b'{"error":[],"result":"' + b" " * BODY_BYTES_MAX + b'"}')

    with pytest.raises(VenueUnavailable, match="bytes"):
        await rest.call(Endpoint.ASSETS)


async def test_a_refused_nonce_jumps_ahead_and_repeats_a_read_once(toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", "EAPI:Invalid nonce", {"ZUSD": {"balance": "1"}})

    await rest.call(Endpoint.BALANCES)

    first, second = (int(fields["nonce"]) for _, fields, _ in toy.calls)
    assert second - first >= 10**9


async def test_a_refused_nonce_is_proof_enough_to_repeat_even_a_cancel(toy: Any, rest: RestClient) -> None:
    toy.answers("CancelOrder", "EAPI:Invalid nonce", {"count": 1})

    assert bytes(await rest.call(Endpoint.CANCEL_ORDER)) == b'{"count": 1}'


async def test_c02_bad_nonces_that_go_on_end_the_use_of_the_key_and_say_why(
    toy: Any, rest: RestClient, clock: Any
) -> None:
    toy.answers("BalanceEx", "EAPI:Invalid nonce")
    with pytest.raises(VenueRefused, match="EAPI:Invalid nonce"):
        await rest.call(Endpoint.BALANCES)
    clock.lapse(BAD_NONCES_LAST_S)
    for _ in range(2):
        with pytest.raises(VenueRefused, match="make a new API key"):
            await rest.call(Endpoint.BALANCES)

    assert [name for name, _, _ in toy.calls] == ["BalanceEx"] * 3


async def test_bad_nonces_with_a_good_one_between_them_are_no_end(toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", *(["EAPI:Invalid nonce", {"ZUSD": {"balance": "1"}}] * 4))

    for _ in range(4):
        await rest.call(Endpoint.BALANCES)


@pytest.mark.parametrize(
    "text",
    [
        "EAPI:Invalid key",
        "EAPI:Invalid signature",
        "EGeneral:Permission denied",
        "EAuth:Account temporary disabled",
        "EAuth:Failed",
        "ETrade:User Locked",
    ],
)
async def test_a_refused_key_is_tried_once_and_never_again(text: str, toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", text)
    for _ in range(3):
        with pytest.raises(VenueRefused, match="venue_auth"):
            await rest.call(Endpoint.BALANCES)
    with pytest.raises(VenueRefused, match="venue_auth"):
        await rest.call(Endpoint.CANCEL_ORDER)
    await rest.call(Endpoint.ASSETS)

    assert [name for name, _, _ in toy.calls] == ["BalanceEx", "Assets"]


async def test_a_refusal_about_funding_says_nothing_of_the_key(toy: Any, rest: RestClient) -> None:
    toy.answers("BalanceEx", "EFunding:Something", {"ZUSD": {"balance": "1"}})
    with pytest.raises(VenueRefused):
        await rest.call(Endpoint.BALANCES)

    await rest.call(Endpoint.BALANCES)


@pytest.mark.parametrize(
    ("text", "at_least_s"),
    [("EGeneral:Temporary lockout", 899), ("EAPI:Rate limit exceeded", 0.5), ("EService: Throttled: {soon}", 28)],
)
async def test_a_limit_or_a_lockout_silences_private_calls_and_leaves_public_ones(
    text: str, at_least_s: float, toy: Any, rest: RestClient, clock: Any
) -> None:
    toy.answers("BalanceEx", text.replace("{soon}", str(clock.wall_ns() // 10**9 + 30)))
    for _ in range(2):
        with pytest.raises(VenueUnavailable) as unavailable:
            await rest.call(Endpoint.BALANCES)
        assert unavailable.value.retry_after_s > at_least_s
    await rest.call(Endpoint.ASSETS)

    assert [name for name, _, _ in toy.calls] == ["BalanceEx", "Assets"]


async def test_a_margin_field_cannot_leave(toy: Any, rest: RestClient) -> None:
    for field in ("leverage", "margin", "reduce_only", "settle-position"):
        with pytest.raises(InvariantBroken):
            await rest.call(Endpoint.CANCEL_ORDER, {field: "none"})

    assert toy.calls == []


async def test_a_key_for_one_address_signs_for_no_other(
    toy: Any, session: aiohttp.ClientSession, clock: Any, tmp_path: Path
) -> None:
    key = KeyInUse(
        Credentials.from_text("https://api.kraken.com", "the-key", "c2VjcmV0"),
        NonceKeeper(MarkFile(tmp_path / "n"), clock),
    )
    with pytest.raises(InvariantBroken):
        RestClient(session, toy.base_url, clock=clock, limits=Tier.PRO.value, key=key)


async def test_a_client_without_a_key_makes_no_private_call(
    toy: Any, session: aiohttp.ClientSession, clock: Any
) -> None:
    client = RestClient(session, toy.base_url, clock=clock, limits=Tier.PRO.value)

    with pytest.raises(InvariantBroken):
        await client.call(Endpoint.BALANCES)

    assert toy.calls == []


# --- JSON bodies --------------------------------------------------------------------------------------------------


async def test_a_json_body_holds_the_nonce_and_is_signed_as_it_is_sent(toy: Any, rest: RestClient) -> None:
    toy.answers("CancelOrderBatch", {"count": 2})

    await rest.call(Endpoint.CANCEL_ORDERS, {"orders": ["O1", "O2"]})

    ((name, fields, headers),) = toy.calls
    assert (name, fields["orders"], headers["Content-Type"]) == ("CancelOrderBatch", ["O1", "O2"], "application/json")
    credentials = Credentials.from_text(toy.base_url, "the-key", "c2VjcmV0")
    signature = credentials.sign("/0/private/CancelOrderBatch", int(fields["nonce"]), headers["raw-body"].encode())
    assert headers["API-Sign"] == signature


@pytest.mark.parametrize("endpoint", [Endpoint.CANCEL_ALL, Endpoint.CANCEL_ALL_AFTER, Endpoint.CANCEL_ORDERS])
async def test_c11_a05_a_page_of_the_edge_after_an_act_proves_nothing(
    endpoint: Endpoint, toy: Any, rest: RestClient
) -> None:
    toy.answers(endpoint.value.name, b"<html>502 Bad Gateway</html>")

    with pytest.raises(OutcomeUnknown):
        await rest.call(endpoint, {})
    assert len(toy.calls) == 1


@pytest.mark.parametrize("text", ["EGeneral:Too many requests", "EService: Throttled: 1790000600"])
async def test_c06_a_limit_on_public_calls_silences_those_and_leaves_private_ones(
    text: str, toy: Any, rest: RestClient
) -> None:
    toy.answers("AssetPairs", text)
    with pytest.raises(VenueUnavailable, match=r"Too many|Throttled") as first:
        await rest.call(Endpoint.ASSET_PAIRS)
    with pytest.raises(VenueUnavailable, match="keeping silent"):
        await rest.call(Endpoint.ASSETS)
    toy.answers("BalanceEx", {"ZUSD": {"balance": "1"}})
    await rest.call(Endpoint.BALANCES)

    assert first.value.retry_after_s > 0
    assert [name for name, _, _ in toy.calls] == ["AssetPairs", "BalanceEx"]


class StillClock:
    """A clock that stands: nothing decays."""

    def wall_ns(self) -> UtcNanos:
        return UtcNanos(1_790_000_000 * NANOS_PER_S)

    def monotonic_ns(self) -> int:
        return 0


async def test_c04_after_a_first_few_public_calls_wait_for_one_another(
    toy: Any, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    client = a_client(toy.base_url, session, StillClock(), tmp_path)
    toy.answers("Assets", {"ZUSD": {"altname": "USD"}})
    for _ in range(PUBLIC_BURST - MARGIN):
        await client.call(Endpoint.ASSETS)

    assert client._public_counter.wait_ns(1 + MARGIN, 0) == NANOS_PER_S
