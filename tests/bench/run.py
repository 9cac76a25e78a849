"""`make bench`: measure each work beside its peer or floor, in one run, and show a table, or JSON with `--json`.

The measuring runs in the peers' environment (`make .venv-peers/.done`), for ours and theirs must stand in one process
to be slowed by the same neighbours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HOUSE = Path(__file__).parents[2]
PEERS = HOUSE / ".venv-peers/bin/python"
# Our own packages come last on its path: they fill in what the peers' environment does not have.
_MEASURE = "import sys; sys.path.append(sys.argv.pop(1)); from tests.bench.measure import main; main()"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--json", action="store_true", help="print the rows as JSON")
    asked.add_argument("--only", help="measure one work: book, sign, ...")
    asked.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works, not to quote")
    told = asked.parse_args()
    if not PEERS.exists():
        print("there is no .venv-peers: run `make bench`, or `make .venv-peers/.done` once", file=sys.stderr)
        return 2
    rows = list(_measure(told.only, quick=told.quick))
    if told.json:
        print(json.dumps(rows, indent=1))
    else:
        Console().print(_table(rows))
    return 0


def _measure(only: str | None, *, quick: bool) -> list[dict[str, Any]]:
    command = [str(PEERS), "-c", _MEASURE, sysconfig.get_path("purelib"), *(["--only", only] if only else [])]
    rows = []
    with subprocess.Popen([*command, *(["--quick"] if quick else [])], cwd=HOUSE, stdout=subprocess.PIPE) as measuring:
        assert measuring.stdout is not None
        for line in measuring.stdout:
            rows.append(json.loads(line))
            print(f"measured: {rows[-1]['work']}", file=sys.stderr)
    if measuring.returncode:
        raise SystemExit(measuring.returncode)
    return rows


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("work", "figures", "ratio", "goal", "")
    for row in rows:
        figures = "\n".join(f"{name} {value:.3g} {row['unit']}" for name, value in row["figures"].items())
        ratios = "\n".join(f"{goal['value']:.2f} x {goal['what']}" for goal in row["goals"])
        bounds = "\n".join(f"{'at most' if goal['at_most'] else 'at least'} {goal['bound']:g}" for goal in row["goals"])
        met = "\n".join("yes" if goal["is_met"] else "no" for goal in row["goals"])
        table.add_row("\n".join(filter(None, (row["work"], row["note"]))), figures, ratios, bounds, met)
        table.add_section()
    return table


if __name__ == "__main__":
    sys.exit(main())
