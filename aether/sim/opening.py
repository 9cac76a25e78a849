"""Opens a made Kraken: its market, its exchange with crowd and board, its accounts and their keys. No sockets here."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from aether.domain.errors import BadConfiguration
from aether.ports import Clock
from aether.sim.assets import BY_NAME
from aether.sim.crowd import Crowd
from aether.sim.desk import STANDARD, Desk, Manners
from aether.sim.exchange import Exchange
from aether.sim.keys import TRADING_PERMISSIONS, ApiKey, KeyRing
from aether.sim.market_board import MarketBoard
from aether.sim.markets import Market, own_market, recorded_market, synthetic_market
from aether.sim.records import LevelChanged

ACCOUNT = "main"

_ACTS_MAX = 500  # some ten milliseconds

Draw = Callable[[int], bytes]
"""So many bytes that nobody can guess, or that a seed gives."""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How to make a sandbox.

    `port` 0 takes any free ports; otherwise `port` and `port` + 1 are used. `speed` is how many recorded hours pass in
    one real hour, 1 to 3600. `start_row` is the recorded hour to begin with; as many lie before it, for candles of the
    past. `balances` are the account's deposits by v2 asset name. Without `api_key` and `api_secret` both are new ones;
    with `may_withdraw` the key can also withdraw, which no trading client should take. `keys` is how many keys each of
    the `accounts` has: a program needs its own, for nonces and REST limits belong to the key. `with_faults` opens the
    fault port, on `port` + 2. With `pairs` (a number of them, `all`, or names) the market is drawn from the seed, with
    `data` it is the user's own files of candles; without both it is the recorded one. With `tls_dir` the doors speak
    TLS alone, with a certificate that is made there; the fault port does not.
    """

    balances: Mapping[str, Decimal]
    port: int = 0
    seed: int = 0
    speed: int = 60
    start_row: int = 4_380
    api_key: str | None = None
    api_secret: str | None = None
    manners: Manners = STANDARD
    may_withdraw: bool = False
    accounts: int = 1
    keys: int = 1
    with_faults: bool = False
    pairs: str = ""
    data: Path | None = None
    tls_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A made Kraken, and the keys to it."""

    desk: Desk
    crowd: Crowd
    api_keys: Sequence[ApiKey]


def open_desk(config: SandboxConfig, clock: Clock, draw: Draw) -> Opened:
    """Make it as the config says; `draw` makes keys and tokens. Raises BadConfiguration if that cannot be."""
    now_ns = clock.wall_ns()
    try:
        market = _market(config)
        exchange = Exchange(market.rules, seed=config.seed, open_orders_max=config.manners.tier.open_orders_max)
        crowd = Crowd(
            exchange, market.hours, seed=config.seed, speed=config.speed, start_row=market.start_row, now_ns=now_ns
        )
        api_keys = []
        for number in range(1, config.accounts + 1):
            account = ACCOUNT if number == 1 else f"{ACCOUNT}-{number}"
            exchange.open_account(account, config.balances, now_ns)
            api_keys += [_new_key(config, account, draw) for _ in range(config.keys)]
        first = api_keys[0]
        api_keys[0] = replace(first, key=config.api_key or first.key, secret=config.api_secret or first.secret)
    except ValueError as error:
        raise BadConfiguration(f"no sandbox can be made: {error}", "correct the setting that it names") from error
    board = MarketBoard(crowd.candles, exchange.pairs, now_ns)
    for event in exchange.drain():
        if isinstance(event, LevelChanged):  # the trades till now are in the candles already
            board.change_level(event)
    keys = KeyRing(api_keys, lambda: base64.b64encode(draw(32)).decode().rstrip("="))
    desk = Desk(exchange, _Paced(crowd), board, keys, clock, manners=config.manners, pair_rows=market.rows)
    return Opened(desk, crowd, api_keys)


class _Paced:
    """The crowd in slices, so that clients are served even where the machine cannot keep up with the market."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def advance(self, now_ns: int) -> None:
        """Do some of what is due by now."""
        self._crowd.advance_some(now_ns, _ACTS_MAX)


def _new_key(config: SandboxConfig, account: str, draw: Draw) -> ApiKey:
    return ApiKey(
        base64.b64encode(draw(42)).decode(),
        base64.b64encode(draw(64)).decode(),
        account,
        permissions=(*TRADING_PERMISSIONS, "withdraw-funds") if config.may_withdraw else TRADING_PERMISSIONS,
    )


def _market(config: SandboxConfig) -> Market:
    """Raises ValueError for pairs, files or balances that cannot be."""
    for asset in config.balances:
        if asset not in BY_NAME:
            raise ValueError(f"sandbox.balances has {asset!r}, which no USD pair trades; write BTC, USD")
    if config.data is not None:
        return own_market(config.data)
    return synthetic_market(config.seed, config.pairs) if config.pairs else recorded_market(config.start_row)
