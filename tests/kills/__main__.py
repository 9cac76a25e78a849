"""`python -m tests.kills [--kills N] [--seed S] [--within SECONDS] [--json]`: see `make kills`."""

from __future__ import annotations

import argparse
import sys

import orjson

from tests.kills.campaign import KillsReport, run


def main() -> int:
    """Exit code 0 where journal and account were equal at the end, 1 otherwise."""
    options = _options()
    report = run(options.kills, options.seed, options.within, _show if sys.stderr.isatty() else lambda _: None)
    if options.json:
        sys.stdout.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _tell(report)
    return 1 if report.violations else 0


def _show(report: KillsReport) -> None:
    sys.stderr.write(f"\r{report.kills} kills, {report.seconds:.0f} s ")


def _tell(report: KillsReport) -> None:
    told = report.as_json()
    sys.stdout.write(
        f"{report.kills} kills in {report.seconds} s, seed {report.seed}: {report.runs} runs, {report.orders} orders, "
        f"{report.fills} fills, {report.never_lived} orders that never lived\n"
        f"kills met it {', '.join(f'{what}: {count}' for what, count in sorted(report.moments.items()))}\n"
        f"from the start of the process to its first order: {told['start_s']} s\n"
    )
    sys.stdout.writelines(f"VIOLATION {violation}\n" for violation in report.violations)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs in one run (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--within", type=float, default=1800.0, help="seconds in which it must be done (default 1800)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
