"""Work that crosses loopback: each client is a process of its own on one processor, the venue on another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from tests.bench.loopback import PACE, PAIRS
from tests.bench.timing import Goal, Row

BOOKS = ("aether", "ccxt.pro")
ORDERS = ("loopback alone", "aether order", "aether durable order", "ccxt.pro order", "ccxt REST order")


def book_rows(*, quick: bool) -> Iterator[Row]:
    """Messages that a core takes a second, from the socket to the verified book: by processor time of the client."""
    repeats, rounds = (5, 1) if quick else (25, 5)
    taken: dict[str, list[float]] = {name: [] for name in BOOKS}
    for _ in range(rounds):
        for name in BOOKS:
            told = _run(name, orders=0, repeats=repeats)[0]
            taken[name].append(told["books"] / told["cpu_ns"] * 1e6)
    figures = {name: median(rates) for name, rates in taken.items()}
    goals = [Goal("messages of ccxt.pro", figures["aether"] / figures["ccxt.pro"], 4, at_most=False)]
    yield Row("socket to verified book, depth 100", "thousand a second and core", figures, goals)


def order_rows(*, quick: bool) -> Iterator[Row]:
    """Microseconds from an update on the socket to the order that it causes on the socket, one at a time.

    The tenth part shows the work itself, the middle and the worst hundredth also who else wanted the processors.
    """
    orders, rounds = (300, 1) if quick else (1000, 3)
    waited: dict[str, list[dict[str, float]]] = {name: [] for name in ORDERS}
    for _ in range(rounds):
        for name in ORDERS:
            waited[name].append(_run(name, orders=orders, repeats=1)[1])
    for share in ("p10", "p50", "p99"):
        figures = {name: median(told[share] for told in all_told) for name, all_told in waited.items()}
        yield Row(f"book update to order, {share}", "µs", figures, _order_goals(figures) if share != "p99" else [])


def _order_goals(figures: dict[str, float]) -> list[Goal]:
    ours, durable = figures["aether order"], figures["aether durable order"]
    return [
        Goal("of ccxt.pro's", ours / figures["ccxt.pro order"], 1 / 3, at_most=True),
        Goal("of ccxt's REST order, with the commit", durable / figures["ccxt REST order"], 1, at_most=True),
    ]


def pair_rows(*, quick: bool) -> Iterator[Row]:
    """Share of a core that all USD pairs take at their pace, from the socket through the core."""
    seconds = 3 if quick else 10
    told = _run("aether pairs", orders=0, repeats=1, paced=seconds)[0]
    assert told["books"] >= len(PAIRS) * PACE * seconds, told
    goals = [Goal("of a core", told["share"], 0.5, at_most=True)]
    yield Row(f"{len(PAIRS)} pairs, {PACE} updates a second each", "of a core", {"aether": told["share"]}, goals)


def _run(name: str, *, orders: int, repeats: int, paced: int = 0) -> tuple[dict[str, float], dict[str, float]]:
    """What the client tells, and what the venue tells."""
    cpus = sorted(os.sched_getaffinity(os.getppid()))
    serve = [sys.executable, "-m", "tests.bench.loopback", "--orders", str(orders), "--repeats", str(repeats)]
    serve += ["--paced", str(paced)]
    # Our packages, the last on the path of one process, come first here: every client runs on the daemon's uvloop. ccxt
    # pins an older one, which takes longer to wake and writes at the end of a turn alone.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (sys.path[-1], *sys.path[:-1])))}
    with subprocess.Popen([*serve, "--cpu", str(cpus[0])], stdout=subprocess.PIPE, env=environment) as venue:
        assert venue.stdout is not None
        try:
            port = venue.stdout.readline().decode().strip()
            client = [sys.executable, "-m", "tests.bench.clients", name, port, str(orders), str(cpus[-1])]
            told = subprocess.run(client, stdout=subprocess.PIPE, env=environment, check=True, timeout=120).stdout
            return json.loads(told), json.loads(venue.stdout.readline() or b"{}")
        finally:
            venue.terminate()
