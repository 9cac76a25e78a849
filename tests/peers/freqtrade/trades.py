"""A freqtrade bot on the sandbox: once in its dry run, once live. It is a program of its own, in its own environment.

Only `make peers-freqtrade` runs it, for its environment is large.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FREQTRADE = ROOT / ".venv-freqtrade" / "bin" / "freqtrade"
TRADES_WITHIN_S = 120.0
ENDS_WITHIN_S = 60.0


def config_of(sandbox: Any, *, dry_run: bool, database: Path) -> dict[str, Any]:
    # docs/sandbox.md: freqtrade
    addresses = {"urls": {"api": {"public": sandbox.rest, "private": sandbox.rest}}}
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    return {
        "exchange": {
            "name": "kraken",
            "key": sandbox.api_key,
            "secret": sandbox.api_secret,
            "ccxt_config": addresses,
            "pair_whitelist": ["BTC/USD"],
            "pair_blacklist": [],
            "enable_ws": False,
        },
        "pairlists": [{"method": "StaticPairList"}],
        "dry_run": dry_run,
        "db_url": f"sqlite:///{database}",
        "trading_mode": "spot",
        "stake_currency": "USD",
        "stake_amount": 100,
        "max_open_trades": 1,
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "order_types": {"entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False},
        "internals": {"process_throttle_secs": 1},
        "initial_state": "running",
    }


def closed_trades(database: Path) -> int:
    """How many trades the bot has both opened and closed, by its own records."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as records:
        try:
            (number,) = records.execute("SELECT count(*) FROM trades WHERE NOT is_open").fetchone()
        except sqlite3.OperationalError:  # it has not made its tables yet
            return 0
    return int(number)


def trade_once(sandbox: Any, folder: Path, *, dry_run: bool) -> str:
    """Run the bot until it has bought and sold; what it said."""
    database, talk = folder / "trades.sqlite", folder / "freqtrade.log"
    config = folder / "config.json"
    config.write_text(json.dumps(config_of(sandbox, dry_run=dry_run, database=database)))
    strategy = ("--strategy-path", str(Path(__file__).parent), "--strategy", "BuysAndSellsAtOnce")
    with talk.open("w") as out:
        bot = subprocess.Popen(
            [str(FREQTRADE), "trade", "--config", str(config), "--userdir", str(folder), *strategy],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + TRADES_WITHIN_S
    try:
        while not closed_trades(database):
            assert bot.poll() is None, talk.read_text()
            assert time.monotonic() < deadline, talk.read_text()
            time.sleep(0.2)
    finally:
        bot.send_signal(signal.SIGINT)
        bot.wait(ENDS_WITHIN_S)
    return talk.read_text()


def test_it_trades_in_its_dry_run_and_leaves_the_account_alone(
    start_sandbox: Callable[..., Any], tmp_path: Path
) -> None:
    sandbox = start_sandbox("--speed", "60").account()
    said = trade_once(sandbox, tmp_path, dry_run=True)
    assert "Dry run is enabled" in said
    account = sandbox.account()
    assert account.trades == {}
    assert set(account.balances) == {"ZUSD"}


def test_it_buys_and_sells_live(start_sandbox: Callable[..., Any], tmp_path: Path) -> None:
    sandbox = start_sandbox("--speed", "60").account()
    trade_once(sandbox, tmp_path, dry_run=False)
    account = sandbox.account()
    trades = sorted(account.trades.values(), key=lambda trade: float(trade["time"]))
    assert [trade["type"] for trade in trades][:2] == ["buy", "sell"]
    assert float(trades[0]["cost"]) == pytest.approx(100, rel=0.05)
    assert trades[0]["vol"] == trades[1]["vol"]
    assert account.balances["ZUSD"] < 100_000
