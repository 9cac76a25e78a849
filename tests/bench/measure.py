"""Measures in the peers' environment, one row at a time; each is one JSON object on a line of standard output."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator

from tests.bench import books, memory, signing, sockets
from tests.bench.timing import Row

WORKS: dict[str, Callable[..., Iterator[Row]]] = {
    "book": books.rows,
    "socket": sockets.book_rows,
    "order": sockets.order_rows,
    "pairs": sockets.pair_rows,
    "sign": signing.rows,
    "memory": memory.rows,
}


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--only", choices=sorted(WORKS))
    asked.add_argument("--quick", action="store_true")
    told = asked.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # its clients choose their own
    for name, rows in WORKS.items():
        if told.only in (None, name):
            for row in rows(quick=told.quick):
                print(json.dumps({"name": name, **row.as_json()}), flush=True)


if __name__ == "__main__":
    main()
